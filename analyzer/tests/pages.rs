//! `report --by page` against what the browser logged: every request with the page that made it
//! (testdata/netlab/pages).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use support::{Home, testdata};

/// Bytes by page and site; a site's own stand under itself twice.
type Matrix = BTreeMap<(String, String), f64>;

/// Folder of the browser's sessions, and that of worlds made by scripts/page_worlds.py.
const BROWSER: &str = "netlab/pages";
const WORLDS: &str = "worlds";

fn capture(folder: &str, name: &str) -> PathBuf {
    testdata(&format!("{folder}/{name}.pcap.gz"))
}

fn site_of(host: &str) -> String {
    let labels: Vec<&str> = host.split('.').collect();
    let private = host.ends_with(".github.io") || host.ends_with(".co.uk");
    labels[labels.len() - if private { 3 } else { 2 }..].join(".")
}

/// What the browser says: the host of each response, the page that asked for it, its bytes.
fn logged(folder: &str, name: &str) -> Matrix {
    let text = std::fs::read_to_string(testdata(&format!("{folder}/{name}.tsv"))).unwrap();
    let mut bytes: Matrix = BTreeMap::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let page = fields[0].split('/').nth(2).unwrap();
        *bytes.entry((site_of(page), site_of(fields[1]))).or_default() += fields[2].parse::<f64>().unwrap();
    }
    bytes
}

fn reported(json: &Value) -> Matrix {
    let mut bytes = Matrix::new();
    for row in json["rows"].as_array().unwrap() {
        let page = row["page"].as_str().unwrap();
        bytes.insert((page.to_owned(), page.to_owned()), row["own_bytes"].as_f64().unwrap());
        for (site, amount) in row["third_parties"].as_object().unwrap() {
            bytes.insert((page.to_owned(), site.clone()), amount.as_f64().unwrap());
        }
    }
    bytes
}

/// The simplest rule: each flow belongs to the last host of a document that began before it.
fn last_document(home: &Home, capture: &str) -> Matrix {
    let out = home.ok(&format!("flows {capture}"));
    let mut flows: Vec<Value> = serde_json::Deserializer::from_str(&out).into_iter().map(Result::unwrap).collect();
    flows.sort_by_key(|flow| flow["start"].as_str().unwrap().to_owned());
    let (mut last, mut bytes) = (BTreeMap::<String, String>::new(), Matrix::new());
    for flow in &flows {
        let text = |key: &str| flow[key].as_str().unwrap().to_owned();
        let (host, site, device) = (text("host"), text("site"), text("device"));
        if text("evidence") != "none" && (host == site || host.starts_with("www.")) {
            last.insert(device.clone(), site.clone());
        }
        let page = last.get(&device).unwrap_or(&site).clone();
        let amount = flow["up_bytes"].as_f64().unwrap() + flow["down_bytes"].as_f64().unwrap();
        *bytes.entry((page, site)).or_default() += amount;
    }
    bytes
}

/// Share of the logged bytes of third parties (`own`: of the pages' own sites) that stand on the
/// right page. What is reported of a site is scaled to what is logged of it: reports count headers,
/// requests and handshakes as well.
fn share(truth: &Matrix, found: &Matrix, own: bool) -> f64 {
    let of = |matrix: &Matrix, site: &str| matrix.iter().filter(|((_, s), _)| s == site).map(|(_, b)| b).sum::<f64>();
    let (mut all, mut right) = (0.0, 0.0);
    for ((page, site), bytes) in truth.iter().filter(|((page, site), _)| (page == site) == own) {
        let scaled = found.get(&(page.clone(), site.clone())).map_or(0.0, |b| b * of(truth, site) / of(found, site));
        all += bytes;
        right += scaled.min(*bytes);
    }
    right / all
}

/// Pages one after the other without a pause, none seen before; and pages with pauses, some more
/// than once and out of the browser's cache.
const SESSIONS: [&str; 2] = ["one-after-the-other", "with-pauses"];

#[test]
fn third_parties_stand_on_the_page_that_pulled_them_in() {
    for name in SESSIONS {
        let home = Home::new();
        let capture = capture(BROWSER, name).to_string_lossy().into_owned();
        let json = home.ok(&format!("report {capture} --by page --format json"));
        let (truth, found) = (logged(BROWSER, name), reported(&serde_json::from_str(&json).unwrap()));
        let (third, own) = (share(&truth, &found, false), share(&truth, &found, true));
        assert!(third >= 0.9, "{name}: {third} of third-party bytes");
        assert!(own >= 0.99, "{name}: {own} of the pages' own bytes");
        let simple = share(&truth, &last_document(&home, &capture), false);
        // Without pauses, and with every document seen, the simple rule has nothing to get wrong.
        let least = if name == SESSIONS[0] { simple - 0.01 } else { simple + 0.3 };
        assert!(third > least, "{name}: {third}, and {simple} by the last document");
    }
}

/// What is wanted on worlds with frames, lazy media, players, `www.` third parties, several tabs,
/// two clients behind one router and bulk downloads: somewhat less than was reached, so that a
/// change that costs much is seen. Before visits were told by how hosts begin among others it was
/// 0.28 and 0.17.
#[test]
fn frames_players_tabs_and_noise_keep_a_floor() {
    for (name, least) in [("one-tab-2", 0.7), ("tabs-2", 0.55)] {
        let home = Home::new();
        let file = capture(WORLDS, name);
        let json = home.ok(&format!("report {} --by page --limit 0 --format json", file.display()));
        let (truth, found) = (logged(WORLDS, name), reported(&serde_json::from_str(&json).unwrap()));
        let third = share(&truth, &found, false);
        assert!(third >= least, "{name}: {third} of third-party bytes");
    }
}

#[test]
fn what_is_sure_is_right() {
    let home = Home::new();
    for name in SESSIONS {
        home.ok(&format!("ingest {}", capture(BROWSER, name).display()));
    }
    let range = "--from 2026-01-01 --to 2027-12-31";
    let json: Value = serde_json::from_str(&home.ok(&format!("report {range} --by page --format json"))).unwrap();
    let mut truth = Matrix::new();
    for (key, bytes) in SESSIONS.iter().flat_map(|name| logged(BROWSER, name)) {
        *truth.entry(key).or_default() += bytes;
    }
    for row in json["rows"].as_array().unwrap() {
        let (page, number) = (row["page"].as_str().unwrap(), |key: &str| row["confidence"][key].as_f64().unwrap());
        let classes = ["own", "sure", "likely", "guess", "background"].map(number);
        assert_eq!(classes.iter().sum::<f64>(), row["total_bytes"].as_f64().unwrap());
        // A page cannot have pulled in for sure much more than the browser says that it pulled in
        // at all.
        let logged: f64 = truth.iter().filter(|((p, s), _)| p == page && s != page).map(|(_, b)| b).sum();
        assert!(classes[1] <= 1.15 * logged + 100_000.0, "{page}: {} sure, {logged} logged", classes[1]);
    }
}

#[test]
fn the_store_and_the_file_give_the_same_pages_and_the_strict_view_stays() {
    let home = Home::new();
    let file = capture(BROWSER, SESSIONS[0]).to_string_lossy().into_owned();
    home.ok(&format!("ingest {file}"));
    let range = "--from 2026-01-01 --to 2027-12-31";
    let json = |args: &str| serde_json::from_str::<Value>(&home.ok(&format!("report {args} --format json"))).unwrap();
    let (stored, in_memory) = (json(&format!("{range} --by page")), json(&format!("{file} --by page")));
    assert_eq!(stored["rows"], in_memory["rows"]);
    assert_eq!(stored["ledger"], in_memory["ledger"]);
    let strict = json(&format!("{file} --by site"));
    assert_eq!(strict["ledger"], in_memory["ledger"]);
    let total =
        |json: &Value| json["rows"].as_array().unwrap().iter().map(|r| r["total_bytes"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(total(&strict), total(&in_memory));
}
