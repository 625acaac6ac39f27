//! `explain`: why bytes were booked there, from a capture and from the facts of the store.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use serde_json::Value;
use support::{Home, testdata};

fn records(out: &str, record: &str) -> Vec<Value> {
    let all = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|line| line["record"] == record).collect()
}

#[test]
fn a_shared_address_is_explained_with_what_lost_and_the_store_tells_the_same() {
    let home = Home::new();
    let capture = testdata("netlab").join("browse-lan.pcap.gz").display().to_string();
    let host = "nosni-b.site-l.test";
    let of_file = home.ok(&format!("explain {host} {capture} --format json"));
    let (names, flows) = (records(&of_file, "name"), records(&of_file, "flow"));
    assert!(names.iter().any(|n| n["name"] == host && n["kind"] == "dns"), "{of_file}");
    let shared = flows.iter().find(|f| f["evidence"] == "dns-shared").unwrap();
    assert_eq!(shared["rule"], "asked");
    assert!(shared["candidates"].as_array().unwrap().iter().any(|c| c == host));
    let (booked, instead) = (shared["host"].as_str().unwrap(), shared["instead"].as_array().unwrap());
    assert!(!instead.iter().any(|name| name == booked), "what won has not lost");

    home.ok(&format!("ingest {capture}"));
    let at = shared["ts"].as_str().unwrap();
    let of_store = home.ok(&format!("explain {host} --at {at} --format json"));
    let flows_of =
        |out: &str| records(out, "flow").iter().map(|f| (f["ts"].clone(), f["host"].clone())).collect::<Vec<_>>();
    assert_eq!(flows_of(&of_store), flows_of(&of_file));
    let text = home.ok(&format!("explain {host} {capture}"));
    assert!(text.contains("the device asked for it") && text.contains("could as well be"), "{text}");
    // How sure that is, as it was measured.
    assert!(text.contains("how sure that is") && text.contains("dns-shared: right in "), "{text}");
    assert!(shared["measured_right_flows"].as_u64().unwrap() < shared["measured_flows"].as_u64().unwrap());
    let inside = flows.iter().find(|f| f["rule"] == "inside");
    assert!(inside.is_none_or(|f| f["measured_flows"].is_null()), "a name inside needs no measuring");
}

#[test]
fn a_time_that_is_none_and_a_store_without_facts_are_told() {
    let home = Home::new();
    let run = home.analyze(["explain", "192.0.2.1", "--at", "soon"]);
    assert_eq!(run.code, Some(2), "{}", run.err);
    // A capture of another day.
    home.ok(&format!("ingest {}", testdata("netlab/browse-lan.pcap.gz").display()));
    let run = home.analyze(["explain", "192.0.2.1", "--at", "2020-01-01T12:00"]);
    assert_eq!(run.code, Some(1), "{}", run.err);
    assert!(run.err.contains("knows no facts"), "{}", run.err);
}
