//! Flow records that routers export, through every door: datagrams in a capture, files of IPFIX
//! messages, the database. Each way gives the same books.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use serde_json::{Value, json};
use support::exports::{Address, Reported, T, data, ipfix, sampler, sampling, set, template, v5, v9};
use support::{Connection, Home, client_hello, dns_answer, dns_query, pcap, rows_and_ledger, udp};

const ALL: &str = "--from 1970-01-01 --to 2150-01-01 --by host --include-local --limit 0 --format json";

const DEVICE: Address = ([192, 168, 1, 9], 50_001);
const SITE: Address = ([203, 0, 113, 5], 443);
const OTHER: Address = ([203, 0, 113, 9], 443);
const WAN: Address = ([198, 51, 100, 1], 61_001);
const ROUTER: Address = ([192, 168, 1, 1], 40_000);

/// What the router reports unless a test says something else: one flow of 100 s, both ways, in two
/// pieces, and one that no answer names.
fn flows() -> Vec<Reported> {
    vec![
        Reported::new(DEVICE, SITE, 4_000, (1_000, 61_000)),
        Reported::new(SITE, DEVICE, 90_000, (1_100, 61_000)),
        Reported::new(SITE, DEVICE, 30_000, (61_000, 101_000)),
        Reported::new(DEVICE, OTHER, 5_000, (2_000, 3_000)),
    ]
}

/// A capture of these datagrams, so many seconds after [`T`] each.
fn capture(datagrams: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let frame = |(after, message): &(u32, Vec<u8>)| {
        (u64::from(T + after) * 1_000_000, udp(ROUTER, ([192, 168, 1, 2], 2_055), message))
    };
    pcap(&datagrams.iter().map(frame).collect::<Vec<_>>())
}

/// What a resolver told the device, a second before it began its flow.
fn names() -> Vec<u8> {
    let (client, resolver) = ((DEVICE.0, 40_053), ([192, 168, 1, 1], 53));
    let at = u64::from(T) * 1_000_000;
    pcap(&[
        (at, udp(client, resolver, &dns_query("www.example.org"))),
        (at + 20_000, udp(resolver, client, &dns_answer("www.example.org", SITE.0))),
    ])
}

fn home() -> Home {
    let home = Home::in_memory();
    home.write("names.pcap", &names());
    home
}

fn report(home: &Home, files: &str) -> (Vec<Value>, Value) {
    let (rows, ledger) = rows_and_ledger(&home.ok(&format!("report {files} {ALL}")));
    assert_eq!(ledger["residual_bytes"], 0, "{files}");
    (rows, ledger)
}

fn exported(home: &Home, datagrams: &[(u32, Vec<u8>)]) -> (Vec<Value>, Value) {
    home.write("x.pcap", &capture(datagrams));
    report(home, "x.pcap --exported --names-from names.pcap")
}

/// Bytes up and down of a row, and how it was named.
fn row(rows: &[Value], host: &str) -> (u64, u64, String) {
    let row = rows.iter().find(|row| row["host"] == host).unwrap_or_else(|| panic!("{host}: {rows:?}"));
    let evidence = row["evidence"].as_object().unwrap();
    let kinds: Vec<&str> = evidence.iter().filter(|(_, b)| b.as_u64() != Some(0)).map(|(k, _)| k.as_str()).collect();
    (row["up_bytes"].as_u64().unwrap(), row["down_bytes"].as_u64().unwrap(), kinds.join(","))
}

fn fault(ledger: &Value, kind: &str) -> u64 {
    let faults = ledger["export_faults"].as_array().unwrap();
    faults.iter().find(|fault| fault["kind"] == kind).map_or(0, |fault| fault["count"].as_u64().unwrap())
}

fn check(rows: &[Value], ledger: &Value) {
    assert_eq!(row(rows, "www.example.org"), (4_000, 120_000, "dns".into()));
    assert_eq!(row(rows, "203.0.113.9"), (5_000, 0, "none".into()));
    assert_eq!(ledger["ip_bytes"], 129_000);
    assert_eq!(ledger["exported"], serde_json::json!([{"sampled_1_of": 1, "packets": 129, "bytes": 129_000}]));
}

#[test]
fn every_version_gives_the_same_books_and_sites_come_from_the_answers_of_the_network() {
    let home = home();
    for (version, datagrams) in [
        ("v5", vec![(105, v5(105, 0, 0, &flows()))]),
        ("v9", vec![(105, v9(105, 0, &[template(false), data(false, &flows())]))]),
        ("ipfix", vec![(105, ipfix(105, 0, &[template(true), data(true, &flows())]))]),
        ("v9, template last", vec![(105, v9(105, 0, &[data(false, &flows())])), (900, v9(900, 1, &[template(false)]))]),
        ("ipfix, last", vec![(105, ipfix(105, 0, &[data(true, &flows())])), (900, ipfix(900, 4, &[template(true)]))]),
    ] {
        let (rows, ledger) = exported(&home, &datagrams);
        check(&rows, &ledger);
        assert_eq!(ledger["export_faults"], serde_json::json!([]), "{version}");
    }
    // Without the names the same bytes are of addresses.
    let (rows, _) = report(&home, "x.pcap --exported");
    assert_eq!(row(&rows, "203.0.113.5"), (4_000, 120_000, "none".into()));
}

#[test]
fn a_file_of_messages_is_known_by_its_content_compressed_or_not() {
    let home = home();
    let messages = [ipfix(105, 0, &[template(true)]), ipfix(105, 0, &[data(true, &flows())])].concat();
    home.write("plain", &messages);
    home.write("packed", &zstd::encode_all(&messages[..], 3).unwrap());
    for file in ["plain", "packed"] {
        let (rows, ledger) = report(&home, &format!("{file} --names-from names.pcap"));
        check(&rows, &ledger);
    }
    home.write("cut", &messages[..messages.len() - 1]);
    let run = home.analyze(format!("report cut {ALL}").split_whitespace());
    assert_eq!(run.code, Some(3), "{}", run.err);
    // What is both the same is counted once.
    let (rows, _) = report(&home, "plain packed --names-from names.pcap");
    assert_eq!(row(&rows, "www.example.org").1, 120_000);
}

#[test]
fn bytes_lie_in_the_quarters_in_which_they_passed() {
    let home = home();
    // 600 s around a quarter of an hour: 300 s before it, 300 s behind it.
    let long = Reported::new(SITE, DEVICE, 1_000_001, (600_000, 1_200_000));
    home.write("x.pcap", &capture(&[(1_205, v5(1_205, 0, 0, &[long]))]));
    let json = home.ok("flows x.pcap --exported --every 15m --format json");
    let moved: Vec<u64> =
        json.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["down_bytes"].as_u64().unwrap()).collect();
    assert_eq!(moved.iter().sum::<u64>(), 1_000_001);
    assert_eq!(moved.len(), 2);
    assert!(moved.iter().all(|bytes| (500_000..=500_001).contains(bytes)), "{moved:?}");
}

#[test]
fn sampled_exports_are_multiplied_and_marked_wherever_the_rate_comes_from_and_when() {
    let home = home();
    let [options, rate] = sampling(false, 100);
    let [options_x, rate_x] = sampling(true, 100);
    for (from, datagrams) in [
        ("header", vec![(105, v5(105, 0, 100, &flows()))]),
        (
            "options of v9, ten minutes late",
            vec![(105, v9(105, 0, &[template(false), data(false, &flows())])), (705, v9(705, 1, &[options, rate]))],
        ),
        (
            "options of IPFIX, before",
            vec![(1, ipfix(1, 0, &[options_x, rate_x])), (105, ipfix(105, 1, &[template(true), data(true, &flows())]))],
        ),
        (
            "options of IPFIX for one sampler, which records do not name",
            vec![(1, ipfix(1, 0, &sampler(100))), (105, ipfix(105, 1, &[template(true), data(true, &flows())]))],
        ),
    ] {
        let (rows, ledger) = exported(&home, &datagrams);
        assert_eq!(row(&rows, "www.example.org"), (400_000, 12_000_000, "dns".into()), "{from}");
        let marked = serde_json::json!([{"sampled_1_of": 100, "packets": 12_900, "bytes": 12_900_000}]);
        assert_eq!(ledger["exported"], marked, "{from}");
    }
    let text = home.ok("report x.pcap --exported --ledger full");
    assert!(text.contains("of which exported, sampled 1:100"), "{text}");
    let by_interface = home.ok("report x.pcap --exported --by interface --format json");
    assert!(by_interface.contains("192.168.1.1 domain 7 exported, sampled 1:100"), "{by_interface}");
}

#[test]
fn the_device_is_behind_translation_and_what_is_seen_twice_counts_once() {
    let home = home();
    let inside = flows();
    // As a router that translates reports the way back: to its own outer address.
    let mut translated = inside.clone();
    for back in &mut translated[1..3] {
        (back.to, back.behind) = ((WAN.0, DEVICE.1), DEVICE.0);
    }
    let mut twice = translated.clone();
    twice.extend(translated.iter().map(|flow| Reported { egress: true, ..*flow }));
    for (what, records) in [("translated", &translated), ("and where packets leave", &twice)] {
        let (rows, ledger) = exported(&home, &[(105, v9(105, 0, &[template(false), data(false, records)]))]);
        check(&rows, &ledger);
        assert_eq!(ledger["copies_bytes"], if records.len() > 4 { 129_000 } else { 0 }, "{what}");
    }
    // The same datagram on two interfaces of the capture.
    let datagram = (105, v5(105, 0, 0, &inside));
    let (rows, ledger) = exported(&home, &[datagram.clone(), datagram]);
    check(&rows, &ledger);
    assert_eq!(fault(&ledger, "copied"), 1);
}

#[test]
fn names_inside_the_same_flow_name_it() {
    let home = home();
    let connection = Connection::open(u64::from(T + 1) * 1_000_000, DEVICE, SITE, true);
    home.write("names.pcap", &pcap(&connection.ask(&client_hello("inside.example.com")).packets));
    let (rows, ledger) = exported(&home, &[(105, v5(105, 0, 0, &flows()))]);
    assert_eq!(row(&rows, "inside.example.com"), (4_000, 120_000, "sni".into()));
    assert_eq!(ledger["ip_bytes"], 129_000, "the bytes of the names' source do not count");
}

#[test]
fn losses_restarts_and_what_never_got_a_template_stand_in_the_ledger() {
    let home = home();
    let all = flows();
    let (rows, ledger) = exported(&home, &[(62, v5(62, 100, 0, &all[..2])), (105, v5(105, 132, 0, &all[2..]))]);
    check(&rows, &ledger);
    assert_eq!(fault(&ledger, "lost"), 30);
    let (_, ledger) = exported(&home, &[(105, v9(105, 0, &[data(false, &all)]))]);
    assert_eq!((fault(&ledger, "no-template"), &ledger["ip_bytes"]), (1, &Value::from(0)));
    let text = home.ok("report x.pcap --exported");
    assert!(text.contains("exports without template"), "a short ledger would hide it: {text}");
    // A template of the time before the restart has other fields.
    let restarted = |uptime: u32, sets: &[Vec<u8>]| {
        let mut message = v9(105, 0, sets);
        message[4..8].copy_from_slice(&uptime.to_be_bytes());
        message
    };
    let (_, ledger) =
        exported(&home, &[(50, v9(90, 900, &[template(false)])), (105, restarted(5_000, &[data(false, &all)]))]);
    assert_eq!((fault(&ledger, "restarted"), fault(&ledger, "no-template")), (1, 1));
}

/// A template of IPFIX: ends, protocol, bytes, packets, times; `more` is behind them.
fn template_with(more: &[u16]) -> Vec<u8> {
    let fields = [8, 4, 12, 4, 7, 2, 11, 2, 4, 1, 1, 4, 2, 4, 152, 8, 153, 8];
    let count = 9 + more.iter().filter(|word| **word == 2 || **word == u16::MAX).count() as u16;
    set(2, &[&[270, count][..], &fields, more].concat().iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>())
}

/// A record of it, from a port.
fn record_with(port: u16, more: &[u8]) -> Vec<u8> {
    let ms = |after: u64| ((u64::from(T) + after) * 1_000).to_be_bytes();
    let ends = [DEVICE.0, SITE.0].concat();
    let rest = [&[6][..], &1_000u32.to_be_bytes(), &2u32.to_be_bytes(), &ms(10), &ms(20)].concat();
    [&ends[..], &port.to_be_bytes(), &443u16.to_be_bytes(), &rest, more].concat()
}

fn records(ports: std::ops::Range<u16>, more: &[u8]) -> Vec<u8> {
    set(270, &ports.flat_map(|port| record_with(port, more)).collect::<Vec<u8>>())
}

#[test]
fn fields_of_vendors_empty_texts_and_large_sets_take_nothing_from_a_record() {
    let home = home();
    // Field 7 of vendor 9, of two bytes; one of IANA that nobody knows; a text.
    for (more, value) in [
        (&[0x8007, 2, 0, 9][..], &[1, 2][..]),
        (&[32_000, 2], &[1, 2]),
        (&[96, u16::MAX], &[0]),
        (&[96, u16::MAX], &[1, b'a']),
    ] {
        let message = ipfix(50, 0, &[template_with(more), records(1_000..1_003, value)]);
        let (_, ledger) = exported(&home, &[(50, message)]);
        assert_eq!((&ledger["ip_bytes"], &ledger["export_faults"]), (&Value::from(3_000), &json!([])), "{more:?}");
    }
    // More records than a small datagram has, as files of messages do.
    let message = ipfix(50, 0, &[template_with(&[]), records(1_000..2_600, &[])]);
    home.write("large.ipfix", &message);
    assert_eq!(report(&home, "large.ipfix").1["ip_bytes"], 1_600_000);
}

#[test]
fn all_that_waits_for_a_template_is_read_when_it_comes() {
    let home = home();
    let late = |template: Vec<u8>| {
        let data = (0..120).map(|n| (40, ipfix(40, n * 30, &[records(1_000..1_030, &[])])));
        // Each flow goes on.
        exported(&home, &data.chain([(70, ipfix(70, 3_600, &[template]))]).collect::<Vec<_>>()).1
    };
    let ledger = late(template_with(&[]));
    assert_eq!((&ledger["ip_bytes"], fault(&ledger, "no-template")), (&Value::from(3_600_000), 0));
    assert_eq!(fault(&late(template(true)), "no-template"), 120, "another one came");
}

#[test]
fn what_cannot_be_read_of_a_message_is_told_and_the_rest_counts() {
    let home = home();
    let good = records(1_000..1_002, &[]);
    let refused = set(2, &[&271u16.to_be_bytes()[..], &200u16.to_be_bytes(), &[0, 1, 0, 4].repeat(200)].concat());
    let mut long = records(1_000..1_001, &[]);
    long[3] += 4;
    for (sets, bytes) in [
        (vec![refused, good.clone()], 2_000),
        (vec![good.clone(), long.clone()], 2_000),
        (vec![set(270, &[0; 8]), good.clone()], 2_000),
        (vec![good.clone(), set(270, &record_with(1_005, &[0; 40])[..70])], 3_000),
    ] {
        let (_, ledger) = exported(&home, &[(49, ipfix(49, 0, &[template_with(&[])])), (50, ipfix(50, 0, &sets))]);
        let found = (ledger["ip_bytes"].as_u64(), fault(&ledger, "malformed"));
        assert_eq!(found, (Some(bytes), u64::from(bytes == 2_000)), "{sets:?}");
    }
}

#[test]
fn hostile_datagrams_are_counted_and_never_fatal() {
    let home = home();
    let whole = v9(105, 0, &[template(false), data(false, &flows())]);
    let mut datagrams: Vec<(u32, Vec<u8>)> = (0..whole.len()).map(|cut| (100, whole[..cut].to_vec())).collect();
    let mut random = 1u64;
    for at in 0..whole.len() * 4 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let mut broken = ipfix(105, 0, &[template(true), data(true, &flows())]);
        let place = at % broken.len();
        broken[place] = (random >> 33) as u8;
        datagrams.push((101, broken));
    }
    let impossible = Reported { bytes: u32::MAX, packets: u32::MAX, ..flows()[0] };
    datagrams.push((104, v5(104, 7, 0, &[impossible])));
    let (_, ledger) = exported(&home, &datagrams);
    assert!(fault(&ledger, "malformed") >= 20, "{ledger}");
    assert!(fault(&ledger, "corrected") >= 1, "packets of one byte: {ledger}");
    // Frames of anything else are no exports.
    let frame = udp(DEVICE, ([192, 168, 1, 1], 53), &dns_query("www.example.org"));
    home.write("x.pcap", &pcap(&[(u64::from(T) * 1_000_000, frame)]));
    assert_eq!(fault(&report(&home, "x.pcap --exported").1, "no-export"), 1);
}

#[test]
fn a_capture_read_for_its_packets_says_that_it_holds_exports() {
    let home = home();
    home.write("x.pcap", &capture(&[(105, v5(105, 0, 0, &flows()))]));
    for line in ["report x.pcap --format json", "ingest x.pcap --database imon.db"] {
        let run = home.analyze(line.split_whitespace());
        assert_eq!(run.code, Some(0), "{}", run.err);
        assert!(run.err.contains("--exported counts the flows"), "{line}: {}", run.err);
    }
    let run = home.analyze("report x.pcap --exported-port 9999 --format json".split_whitespace());
    assert!(!run.err.contains("--exported counts"), "{}", run.err);
    assert!(run.err.contains("holds no NetFlow or IPFIX datagram"), "none at that port: {}", run.err);
    let (_, ledger) = rows_and_ledger(&run.out);
    assert_eq!((fault(&ledger, "no-export"), &ledger["ip_bytes"]), (1, &Value::from(0)));
}

#[test]
fn the_database_holds_what_a_report_shows_and_keeps_the_names() {
    let home = home();
    let pieces = [
        (62, v9(62, 0, &[template(false), data(false, &flows()[..2])])),
        (105, v9(105, 1, &[data(false, &flows()[2..])])),
    ];
    // Two files of one exporter: templates and flows go on from one to the next.
    home.write("a.pcap", &capture(&pieces[..1]));
    home.write("b.pcap", &capture(&pieces[1..]));
    std::fs::create_dir(home.path("empty")).unwrap();
    let in_memory = report(&home, "a.pcap b.pcap --exported --names-from names.pcap");
    check(&in_memory.0, &in_memory.1);
    home.ok("ingest a.pcap b.pcap --exported --names-from names.pcap --database imon.db");
    let stored = |what: &str| {
        let found = rows_and_ledger(&home.ok(&format!("report --database imon.db --spool empty {ALL}")));
        assert_eq!(found, in_memory, "{what}");
    };
    stored("ingested");
    home.ok("ingest b.pcap a.pcap --exported --database imon.db");
    stored("ingested again");
    std::fs::remove_file(home.path("names.pcap")).unwrap();
    home.ok("rebuild --database imon.db");
    stored("rebuilt without the captures of the names");
}
