//! DNS alone against the names inside flows: our rules have to beat the simplest ones.
//!
//! Over testdata/netlab always; with the environment variable IMON_CORPUS over `captures/` and `netlab/` in that folder too.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr, missing_docs)]

mod support;

use std::path::{Path, PathBuf};
use support::{Home, testdata};

fn files_in(folder: &Path, ends: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.to_string_lossy().ends_with(ends));
    files.sort();
    files
}

/// The line of all files and all evidence under these rules.
fn total(lines: &[serde_json::Value], rules: &str) -> serde_json::Value {
    let is_it = |l: &&serde_json::Value| l["part"] == "all" && l["rules"] == rules && l["evidence"].is_null();
    lines.iter().find(is_it).unwrap().clone()
}

fn verify(files: &[PathBuf]) -> Vec<serde_json::Value> {
    let args = ["verify", "--format", "json"].map(PathBuf::from).into_iter().chain(files.iter().cloned());
    let run = Home::new().analyze(args);
    assert!(matches!(run.code, Some(0 | 3)), "{}", run.err);
    run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn number(line: &serde_json::Value, key: &str) -> u64 {
    line[key].as_u64().unwrap()
}

#[test]
fn dns_alone_beats_the_baseline_and_is_seldom_wrong() {
    let mut files = files_in(&testdata("netlab"), ".pcap.gz");
    let corpus = std::env::var_os("IMON_CORPUS").map(PathBuf::from);
    match &corpus {
        Some(corpus) => {
            files.extend(files_in(&corpus.join("captures"), ""));
            files.extend(files_in(&corpus.join("netlab"), ".pcap.gz"));
        }
        None => eprintln!("skipped in part: IMON_CORPUS is not set"),
    }
    let lines = verify(&files);
    let (ours, baseline) = (total(&lines, "imon"), total(&lines, "baseline"));
    assert!(number(&ours, "flows") > 50 && number(&ours, "flows") == number(&baseline, "flows"));
    for key in ["site_flows", "site_bytes", "host_flows"] {
        assert!(number(&ours, key) >= number(&baseline, key), "{key}: {ours} {baseline}");
    }
    let of_part = |rules: &str| {
        lines
            .iter()
            .find(|l| l["part"] == "with-answers" && l["rules"] == rules)
            .map(|l| number(l, "site_flows"))
            .unwrap()
    };
    assert!(of_part("imon") >= of_part("baseline") && of_part("imon") <= number(&ours, "site_flows"));
    if let Some(corpus) = &corpus {
        // Public captures that hold answers of DNS: three points of flows more on the right site.
        let public = verify(&files_in(&corpus.join("captures"), ""));
        let of_public = |rules: &str, key: &str| {
            number(public.iter().find(|l| l["part"] == "with-answers" && l["rules"] == rules).unwrap(), key)
        };
        let more = of_public("imon", "site_flows") - of_public("baseline", "site_flows");
        assert!(more * 100 >= 3 * of_public("imon", "flows"), "{more} of {}", of_public("imon", "flows"));
        assert!(number(&ours, "site_flows") > number(&baseline, "site_flows"), "{ours} {baseline}");
        assert!(number(&ours, "wrong_bytes") * 50 <= number(&ours, "named_bytes"), "{ours}");
    }
    // Files and kinds of evidence are parts of the whole.
    for (part, evidence) in [("file", false), ("all", true)] {
        let parts =
            lines.iter().filter(|l| l["part"] == part && l["rules"] == "imon" && l["evidence"].is_null() != evidence);
        assert_eq!(parts.map(|l| number(l, "site_bytes")).sum::<u64>(), number(&ours, "site_bytes"), "{part}");
    }
}
