//! The real program on good, odd and hostile input: what it prints, where, and its exit code.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use support::{Home, Run, pcap, rows_and_ledger, testdata, udp};

/// A home with the small capture as `small.pcap`.
fn home() -> Home {
    let home = Home::new();
    home.write("small.pcap", &std::fs::read(testdata("pcap/us-le.pcap")).unwrap());
    home
}

/// A run that must fail with this exit code, say exactly this, and print no result.
fn fails(home: &Home, line: &str, code: i32, message: &str) {
    let run = home.analyze(line.split_whitespace());
    assert_eq!(run, Run { code: Some(code), out: String::new(), err: message.to_owned() }, "{line}");
}

const NOT_READ: &str = "; segments of imon-record, pcap and pcapng files are read\n";

#[test]
fn a_small_capture_as_a_table_for_people() {
    let table = "\
2025-10-09T08:53:20+00:00 to 2025-10-09T08:53:23+00:00 (UTC)

site         total   share  down    up  packets  named by
example.org   40 B  100.0%   0 B  40 B        1  dns
total         40 B  100.0%   0 B  40 B        1

ledger                 bytes          share  packets
named                     40   40 B   22.5%
- by dns                  40   40 B   22.5%
address only               0    0 B    0.0%
local network            138  138 B   77.5%
undecodable                0    0 B    0.0%        0
all IP                   178  178 B  100.0%        3
residual                   0
not IP                                             0
frames read                                        3
lost by the capture                          unknown
interface counters   unknown
no gaps
";
    assert_eq!(home().ok("report small.pcap"), table);
}

#[test]
fn a_small_capture_as_csv_and_json_for_scripts() {
    let home = home();
    let csv = "host,named,up_bytes,down_bytes,total_bytes,packets,sni_bytes,quic_bytes,http_bytes,dns_bytes,\
               dns-shared_bytes,dns-late_bytes,dns-other_bytes,known_bytes,dns-asked_bytes,ptr_bytes,ech-outer_bytes,infra_bytes,none_bytes,\
               low_bytes,high_bytes\nwww.example.org,true,40,0,40,1,0,0,0,40,0,0,0,0,0,0,0,0,0,40,40\n";
    assert_eq!(home.ok("report small.pcap --by host --format csv").replace('\r', ""), csv);
    let json: serde_json::Value = serde_json::from_str(&home.ok("report small.pcap --format json")).unwrap();
    let row = &json["rows"][0];
    assert_eq!(
        (&row["site"], &row["up_bytes"], &row["evidence"]["dns"]),
        (&"example.org".into(), &40.into(), &40.into())
    );
    assert_eq!(json["range"]["zone"], "UTC");
    for (key, value) in [("packets", 3), ("ip_bytes", 178), ("named_bytes", 40), ("local_bytes", 138)] {
        assert_eq!(json["ledger"][key], value, "{key}");
    }
    let flows = home.ok("flows small.pcap");
    let tcp = flows.lines().find(|line| line.contains("\"tcp\"")).unwrap();
    let flow: serde_json::Value = serde_json::from_str(tcp).unwrap();
    assert_eq!(
        (&flow["host"], &flow["server_port"], &flow["up_bytes"]),
        (&"www.example.org".into(), &443.into(), &40.into())
    );
    let names: serde_json::Value = serde_json::from_str(&home.ok("names small.pcap")).unwrap();
    assert_eq!((&names["client"], &names["address"]), (&"192.168.7.2".into(), &"203.0.113.9".into()));
}

#[test]
fn what_is_no_capture_is_named_for_what_it_is() {
    let home = home();
    home.write("notes.txt", b"hello\n");
    home.write("empty.pcap", b"");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(b"hello\n").unwrap();
    home.write("notes.gz", &packed.finish().unwrap());
    for (file, is) in
        [("notes.txt", "a text file"), ("empty.pcap", "an empty file"), ("notes.gz", "a text file, gzip-compressed")]
    {
        fails(
            &home,
            &format!("report {file}"),
            1,
            &format!("error: cannot read {file}\n  cause: this is {is}{NOT_READ}"),
        );
        fails(
            &home,
            &format!("flows {file}"),
            1,
            &format!("error: cannot read {file}\n  cause: this is {is}{NOT_READ}"),
        );
        let message = format!("error: cannot ingest {file}\n  cause: this is {is}{NOT_READ}");
        fails(&home, &format!("ingest {file} --database imon.db"), 1, &message);
    }
}

#[test]
fn what_is_not_there_or_not_to_be_read_is_an_error() {
    let home = home();
    let gone = "  cause: No such file or directory (os error 2)\n";
    let hint = "  hint:  `ls .` shows what is there\n";
    fails(&home, "report gone.pcap", 1, &format!("error: cannot read gone.pcap\n{gone}{hint}"));
    fails(&home, "ingest gone.pcap", 1, &format!("error: cannot ingest gone.pcap\n{gone}{hint}"));
    fails(&home, "report --spool gone", 1, &format!("error: cannot ingest gone\n{gone}{hint}"));
    let hint = "  hint:  there is no folder nowhere\n";
    fails(&home, "report nowhere/gone.pcap", 1, &format!("error: cannot read nowhere/gone.pcap\n{gone}{hint}"));
    let hint = "  hint:  there is no folder /gone\n";
    fails(&home, "report small.pcap -o /gone/report", 1, &format!("error: cannot write /gone/report\n{gone}{hint}"));
    // A file that nobody may read: to root every file is readable, so a socket stands for it there.
    let _socket = std::os::unix::net::UnixListener::bind(home.path("shut.pcap")).unwrap();
    let run = home.analyze(["report", "shut.pcap"]);
    assert_eq!(run.code, Some(1));
    assert!(run.err.starts_with("error: cannot read shut.pcap\n  cause: "), "{}", run.err);
}

#[test]
fn a_folder_without_segments_is_told_and_an_empty_spool_is_an_empty_report() {
    let home = home();
    home.write("folder/notes.txt", b"hello\n");
    for (line, doing) in
        [("report folder", "read"), ("flows folder", "read"), ("names folder", "read"), ("ingest folder", "ingest")]
    {
        let message = format!(
            "error: cannot {doing} folder\n  cause: there is no segment and no capture in this folder (1 other file)\n  \
             hint:  segments of imon-record, pcap and pcapng files are read, also compressed\n"
        );
        fails(&home, line, 1, &message);
    }
    let report = home.ok("report --spool folder");
    assert!(report.contains("nothing was recorded in this range"), "{report}");
}

#[test]
fn a_folder_is_every_capture_in_it_and_a_missing_file_is_skipped_like_a_bad_one() {
    let home = home();
    let small = std::fs::read(home.path("small.pcap")).unwrap();
    home.write("ring/captures/small.pcap", &small);
    home.write("ring/notes.txt", b"hello\n");
    let packets = |run: &Run| rows_and_ledger(&run.out).1["packets"].as_u64();
    for command in ["report ring --format json", "report ring gone.pcap --format json"] {
        let run = home.analyze(command.split(' '));
        assert_eq!(packets(&run), Some(3), "{}", run.err);
        let note = "note: left out of ring, as neither segment nor capture: 1 file\n";
        assert!(run.err.starts_with(note), "{}", run.err);
        let missing = command.contains("gone");
        assert_eq!(run.code, Some(if missing { 3 } else { 0 }), "{}", run.err);
        assert_eq!(run.err.contains("error: cannot read gone.pcap"), missing);
    }
    let run = home.analyze("ingest ring gone.pcap --database imon.db".split(' '));
    assert_eq!(run.code, Some(3), "{}", run.err);
    assert!(run.err.contains("\ningested 1 source with 3 packets; 0 known already, 1 skipped\n"), "{}", run.err);
}

#[test]
fn the_second_question_has_an_answer() {
    let home = home();
    let out = |line: &str| home.ok(line);
    let csv = out("report small.pcap --by site,day --format csv");
    assert!(csv.starts_with("site,day,named,up_bytes,"), "{csv}");
    assert!(csv.contains("\nexample.org,2025-10-09,true,40,0,40,1,"), "{csv}");
    for line in [
        "report small.pcap --device 192.168.7.2 --by site --format csv",
        "report small.pcap --site https://www.example.org/watch?v=1 --by site --format csv",
        "report small.pcap --host www.example.org --evidence dns --in 2025-10 --by site --format csv",
    ] {
        assert!(out(line).contains("\nexample.org,true,40,"), "{line}");
    }
    for line in [
        "report small.pcap --device 192.168.7.3 --format csv",
        "report small.pcap --evidence sni --format csv",
        "report small.pcap --min 41 --format csv",
    ] {
        assert_eq!(out(line).lines().count(), 1, "{line}");
    }
    assert!(out("site example.org --files small.pcap").contains("example.org  2025-10-09   40 B"));
    assert_eq!(out("flows small.pcap --site example.org").lines().count(), 1);
    assert_eq!(out("flows small.pcap --site example.com").lines().count(), 0);
    assert_eq!(out("flows small.pcap --to 2025-10-08").lines().count(), 0);
    assert_eq!(out("names small.pcap --device 192.168.7.0/24 --site example.org").lines().count(), 1);
    assert_eq!(
        out("flows small.pcap --site example.org --format display-filter"),
        "(ip.addr in {203.0.113.9} && tcp.port == 443)\n"
    );
    for (line, says) in [
        ("report small.pcap --by site,site", "--by names site twice"),
        ("report small.pcap --by site,host,day,hour,device", "--by names 5 keys"),
        ("report small.pcap --by served,site", "--by served and --by site do not go together"),
        ("report small.pcap --from 05.11.2026", "hint:  2026-11-05, or 2026-05-11"),
        ("names small.pcap --format display-filter", "names are no flows"),
        ("names small.pcap --summary --site example.org", "--summary is of all names"),
    ] {
        let run = home.analyze(line.split(' '));
        assert_eq!((run.code, run.out.as_str()), (Some(2), ""), "{line}");
        assert!(run.err.contains(says), "{line}: {}", run.err);
    }
}

#[test]
fn an_empty_answer_says_where_it_looked_and_what_there_is() {
    let home = home();
    let empty = home.ok("report small.pcap --in 2026-11");
    assert!(empty.contains("\nlooked in: 1 file or folder\nthey hold: 2025-10-09 (--in 2025-10-09)\n"), "{empty}");
    home.ok("ingest small.pcap --database imon.db");
    std::fs::create_dir(home.path("empty")).unwrap();
    let empty = home.ok("report --database imon.db --spool empty --in 2026-11");
    assert!(empty.contains("\nlooked in: imon.db, empty\nit holds: 2025-10-09 (--in 2025-10-09)\n"), "{empty}");
    let empty = home.ok("report --database new.db --spool empty");
    assert!(empty.contains("\nit holds: nothing\nnext: `imon-record --status`"), "{empty}");
    let found = home.ok("report --database imon.db --spool empty --in 2025-10-09");
    assert!(!found.contains("looked in"), "{found}");
}

#[test]
fn short_options_that_people_try_work() {
    let home = home();
    assert_eq!(home.ok("report small.pcap --json"), home.ok("report small.pcap --format json"));
    assert_eq!(home.ok("report small.pcap --csv -n 1"), home.ok("report small.pcap --format csv --limit 1"));
    assert_eq!(home.ok("flows small.pcap --csv"), home.ok("flows small.pcap --format csv"));
    home.write("ring/small.pcap", &std::fs::read(home.path("small.pcap")).unwrap());
    home.write("ring/notes.txt", b"hello\n");
    assert_eq!(home.analyze("report -q ring --json".split(' ')).err, "");
    assert_eq!(home.analyze("ingest -q ring --database imon.db".split(' ')).err, "");
    assert!(home.analyze("report -q gone".split(' ')).err.starts_with("error: "), "errors are always said");
    assert!(home.ok("report small.pcap --color always").contains("\u{1b}[1msite"));
    assert!(home.ok("help report").contains("--by"));
    let run = home.analyze("small.pcap".split(' '));
    assert_eq!(run.code, Some(2));
    assert!(run.err.contains("imon-analyze report small.pcap"), "{}", run.err);
}

#[test]
fn a_cut_capture_is_reported_as_far_as_it_goes() {
    let home = Home::new();
    home.write("cut.pcap", &std::fs::read(testdata("pcap/cut-in-packet.pcap")).unwrap());
    let run = home.analyze(["report", "cut.pcap", "--include-local"]);
    let message = "error: part of cut.pcap was skipped\n  \
                   cause: the file ends inside packet 3 at byte 287: it begins at byte 222 and has 65 of 70 bytes\n  \
                   hint:  everything else in it is counted\n";
    assert_eq!((run.code, run.err.as_str()), (Some(3), message));
    assert!(run.out.contains("all IP                   138"), "{}", run.out);
    assert_eq!(home.analyze(["ingest", "cut.pcap"]).code, Some(3));
    // Compressed data say where they end.
    let packed = std::fs::read(testdata("netlab/browse-lan.pcap.gz")).unwrap();
    home.write("cut.pcap.gz", &packed[..100_000]);
    let run = home.analyze(["report", "cut.pcap.gz"]);
    let cause = "packets: the gzip data end early: the compressed file is cut at byte 100000\n";
    assert!(run.code == Some(3) && run.err.contains(cause), "{}", run.err);
}

#[test]
fn damage_before_the_first_packet_is_told() {
    let home = home();
    let header = std::fs::read(testdata("pcap/no-packets.pcap")).unwrap();
    let section = std::fs::read(testdata("pcap/ng-no-packets.pcapng")).unwrap()[..28].to_vec();
    for (case, capture) in [
        ("a length", [&header[..], &[1; 8], &[0xff; 8]].concat()),
        ("cut", [&header[..], &[1, 0, 0, 0, 1, 0, 0, 0, 60, 0, 0, 0, 60, 0, 0, 0], &[2; 30]].concat()),
        ("no interface", [&section[..], &[6, 0, 0, 0, 32, 0, 0, 0], &[0; 20], &[32, 0, 0, 0]].concat()),
        ("a block", [&section[..], &[1, 0, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 99, 0, 0, 0]].concat()),
    ] {
        home.write("damaged.pcap", &capture);
        for command in ["report", "flows", "names", "ingest"] {
            let run = home.analyze([command, "damaged.pcap"]);
            let is_told =
                run.err.starts_with(&format!("error: cannot {}", if command == "ingest" { "ingest" } else { "read" }));
            assert!(run.code == Some(1) && is_told, "{command}, {case}: {run:?}");
        }
        let run = home.analyze(["report", "damaged.pcap", "small.pcap"]);
        assert!(run.code == Some(3) && run.err.contains("cannot read damaged.pcap"), "{case}: {run:?}");
    }
    // A file without packets is whole.
    home.write("empty.pcap", &header);
    assert_eq!(home.analyze(["report", "empty.pcap"]).code, Some(0));
}

#[test]
fn a_file_named_twice_is_counted_once() {
    let home = home();
    std::os::unix::fs::symlink(home.path("small.pcap"), home.path("link.pcap")).unwrap();
    let once = home.ok("report small.pcap");
    assert_eq!(home.ok("report small.pcap small.pcap"), once);
    assert_eq!(home.ok("report small.pcap ./small.pcap link.pcap"), once);
    assert_eq!(home.ok("flows small.pcap link.pcap"), home.ok("flows small.pcap"));
}

#[test]
fn flows_are_printed_in_the_same_order_in_every_run() {
    let home = home();
    home.write("many.pcap", &std::fs::read(testdata("pcap/ng-many-link-types.pcapng")).unwrap());
    let once = home.ok("flows many.pcap small.pcap");
    for _ in 0..5 {
        assert_eq!(home.ok("flows many.pcap small.pcap"), once);
    }
}

#[test]
fn an_input_is_never_overwritten() {
    let home = home();
    let before = std::fs::read(home.path("small.pcap")).unwrap();
    std::os::unix::fs::symlink(home.path("small.pcap"), home.path("link.json")).unwrap();
    for command in ["report", "flows", "names"] {
        for output in ["small.pcap", "link.json"] {
            let message = "error: small.pcap is input and output\n  hint:  -o names another file\n";
            fails(&home, &format!("{command} small.pcap -o {output}"), 2, message);
        }
    }
    assert_eq!(std::fs::read(home.path("small.pcap")).unwrap(), before);
}

#[test]
fn an_output_that_cannot_be_made_is_named() {
    let home = home();
    std::fs::create_dir(home.path("folder")).unwrap();
    for command in ["report", "flows", "names"] {
        let message = "error: cannot write folder\n  cause: Is a directory (os error 21)\n";
        fails(&home, &format!("{command} small.pcap -o folder"), 1, message);
    }
}

#[test]
fn a_good_file_beside_a_bad_one_is_reported_and_the_bad_one_told() {
    let home = home();
    home.write("notes.txt", b"hello\n");
    let run = home.analyze(["report", "notes.txt", "small.pcap"]);
    assert_eq!(run.code, Some(3));
    assert_eq!(run.out, home.ok("report small.pcap"));
    assert_eq!(run.err, format!("error: cannot read notes.txt\n  cause: this is a text file{NOT_READ}"));
}

#[test]
fn a_range_without_traffic_never_ends_before_it_begins() {
    let home = home();
    let report = home.ok("report small.pcap --from 2030-01-01");
    assert_eq!(report.lines().next(), Some("2030-01-01T00:00:00+00:00 to the end (UTC)"));
    let report = home.ok("report small.pcap --to 2020-01-01");
    assert_eq!(report.lines().next(), Some("the beginning to 2020-01-02T00:00:00+00:00 (UTC)"));
}

#[test]
fn a_report_of_local_traffic_alone_says_so() {
    let home = home();
    home.write("local.pcap", &std::fs::read(testdata("pcap/cut-in-packet-header.pcap")).unwrap());
    let run = home.analyze(["report", "local.pcap"]);
    assert!(run.out.contains("\nnothing but local traffic in this range: --include-local shows it\n"), "{}", run.out);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let home = home();
    let mut packets = Vec::new();
    for n in 0..20_000_u16 {
        let remote = [203, 0, 113, (n % 200) as u8];
        packets.push((1_760_000_000_000_000 + u64::from(n), udp(([192, 168, 1, 2], 1_024 + n), (remote, 4_000), b"x")));
    }
    let many = home.write("many.pcap", &pcap(&packets));
    for command in ["flows", "report"] {
        let mut child = Command::new(assert_cmd::cargo::cargo_bin("imon-analyze"))
            .args([command, many.to_str().unwrap()])
            .args(if command == "report" { &["--by", "host", "--format", "json"][..] } else { &[] })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(!line.is_empty());
        assert_eq!(
            (output.status.code(), String::from_utf8(output.stderr).unwrap()),
            (Some(0), String::new()),
            "{command}"
        );
    }
}

/// A DNS answer: `labels` has the address 203.0.113.7.
fn dns_answer(labels: &[&[u8]]) -> Vec<u8> {
    let mut message = vec![0, 7, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
    for label in labels {
        message.push(u8::try_from(label.len()).unwrap());
        message.extend(*label);
    }
    message.extend([0, 0, 1, 0, 1, 0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 203, 0, 113, 7]);
    message
}

/// A capture in which a client asks for a hostile name and goes there.
fn hostile(labels: &[&[u8]]) -> Vec<u8> {
    let (client, resolver) = ([192, 168, 1, 2], [192, 168, 1, 1]);
    let at = 1_760_000_000_000_000;
    let answer = dns_answer(labels);
    // The question is the answer without its counts and records.
    let mut question = answer[..answer.len() - 16].to_vec();
    (question[2], question[3], question[7]) = (1, 0, 0);
    pcap(&[
        (at, udp((client, 5_000), (resolver, 53), &question)),
        (at + 1_000, udp((resolver, 53), (client, 5_000), &answer)),
        (at + 2_000, udp((client, 5_001), ([203, 0, 113, 7], 4_000), b"hello")),
        (at + 3_000, udp((client, 5_002), ([203, 0, 113, 8], 80), b"hello")),
    ])
}

#[test]
fn hostile_names_are_shown_escaped_everywhere() {
    let home = Home::new();
    let labels: [&[u8]; 4] = [b"\x1b[2J\x07", b"\"=cmd()'<b>,", "\u{202e}\u{9b}".as_bytes(), b"evil.com"];
    home.write("hostile.pcap", &hostile(&labels));
    home.ok("ingest hostile.pcap --database imon.db");
    std::fs::create_dir(home.path("empty")).unwrap();
    let store = "--database imon.db --spool empty --from 2025-01-01";
    let mut shown =
        vec![home.ok("report hostile.pcap"), home.ok("names hostile.pcap --format csv"), home.ok("flows hostile.pcap")];
    for (by, format) in [("host", "table"), ("site", "csv"), ("host", "json"), ("host", "csv"), ("site", "table")] {
        shown.push(home.ok(&format!("report {store} --by {by} --format {format}")));
    }
    for text in &shown {
        let bad = text.chars().find(|c| (c.is_control() && !"\r\n".contains(*c)) || !c.is_ascii());
        assert_eq!(bad, None, "{text:?}");
        assert!(text.contains("evil"), "{text}");
    }
    let hosts = home.ok(&format!("report {store} --by host --format json"));
    let hosts: serde_json::Value = serde_json::from_str(&hosts).unwrap();
    let named = |row: &&serde_json::Value| row["evidence"]["dns"].as_u64() > Some(0);
    let host = hosts["rows"].as_array().unwrap().iter().find(named).unwrap()["host"].as_str().unwrap();
    assert!(host.starts_with("\\027[2j\\007."), "{host}");
    assert!(host.ends_with(".evil\\.com"), "a dot inside a label is no border: {host}");
    // A spreadsheet takes a field that begins with one of these for a formula.
    for line in home.ok("names hostile.pcap --format csv").lines() {
        assert!(!line.starts_with(['=', '+', '-', '@']), "{line}");
    }
}

#[test]
fn hostile_file_names_are_shown_escaped() {
    let home = Home::new();
    let run = home.analyze(["report", "a\x1b[2Jb\n.pcap"]);
    assert_eq!(run.err.lines().next(), Some("error: cannot read a\\027[2Jb\\010.pcap"));
}

#[test]
fn a_summary_of_names_says_what_they_name_and_why_the_rest_has_none() {
    let home = Home::new();
    let (client, server) = ([192, 168, 1, 5], [203, 0, 113, 9]);
    let ports = [443, 853, 123, 123];
    let packets: Vec<_> = (1..).zip(ports).map(|(s, port)| (s, udp((client, 50_000), (server, port), b"x"))).collect();
    home.write("a.pcap", &pcap(&packets));
    let csv = home.ok("names --summary --format csv a.pcap");
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("part,kind,names,distinct_names,flows,bytes"));
    let told: Vec<&str> = lines.filter(|line| !line.ends_with(",0,0")).collect();
    let expected =
        ["evidence,none,,,3,116", "blind,encrypted-dns,,,1,29", "blind,quic-unreadable,,,1,29", "blind,no-name,,,1,58"];
    assert_eq!(told, expected);
    let small = home.write("small.pcap", &std::fs::read(testdata("pcap/us-le.pcap")).unwrap());
    let json = home.ok(&format!("names --summary {}", small.display()));
    let row = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    let dns = json.lines().map(row).find(|row| row["kind"] == "dns").unwrap();
    assert_eq!((&dns["flows"], &dns["bytes"], &dns["distinct_names"]), (&1.into(), &40.into(), &1.into()), "{dns}");
}

/// Words and orders that people try: an answer, or what leads to it.
#[test]
fn what_people_try_is_answered_or_leads_on() {
    let home = home();
    std::fs::create_dir(home.path("example.org")).unwrap();
    for (line, code, says) in [
        ("report small.pcap --min 1MB", 0, "nothing in this range has 977 KiB or more (--min)"),
        ("site example.org small.pcap", 2, "`small.pcap` is a file, and no site, host or address"),
        ("site small.pcap", 2, "site NAME --files FILE"),
        ("site example.org --files small.pcap", 0, "example.org"),
        ("explain small.pcap", 2, "explain ADDRESS|NAME FILE"),
        ("explain ./small.pcap example.org", 2, "explain ADDRESS|NAME FILE"),
        ("names small.pcap --json", 0, "\"name\":\"www.example.org\""),
        ("flows small.pcap --json", 0, "\"proto\":\"tcp\""),
        ("flows small.pcap --json --csv", 2, "cannot be used with"),
        ("flows small.pcap --by host", 2, "report --by KEY"),
        ("report small.pcap --in week", 2, "this-week, or last-week"),
        ("report small.pcap --in day", 2, "today, yesterday"),
        ("report small.pcap --last 7d", 2, "--in TIME"),
        ("report small.pcap --no-color", 2, "--color never"),
        ("report small.pcap --sort bytes", 2, "most bytes come first"),
        ("devices small.pcap", 2, "imon-analyze report --by device"),
        ("countries", 2, "imon-analyze report --by country"),
        ("list", 2, "imon-analyze report"),
        ("--json", 2, "imon-analyze report --json"),
        ("version", 2, "imon-analyze --version"),
    ] {
        let run = home.analyze(line.split(' '));
        assert_eq!(run.code, Some(code), "{line}: {}{}", run.out, run.err);
        assert!(run.out.contains(says) || run.err.contains(says), "{line}: {}{}", run.out, run.err);
    }
}

/// What `--help` of a command offers is what the command writes.
#[test]
fn each_help_offers_the_formats_that_the_command_has() {
    let home = Home::new();
    home.write("small.pcap", &std::fs::read(testdata("pcap/us-le.pcap")).unwrap());
    home.write("good.seg", &std::fs::read(testdata("segments/good.seg")).unwrap());
    home.write("imon.toml", b"[[plan]]\nname = 'home'\n");
    home.ok("ingest small.pcap --database own.db");
    let all = ["table", "json", "csv", "parquet", "html", "prometheus", "display-filter"];
    let mut refused = 0;
    for line in [
        "report --database own.db",
        "site example.org --files small.pcap",
        "flows small.pcap",
        "names small.pcap",
        "explain example.org small.pcap",
        "verify small.pcap",
        "check good.seg",
        "status --database own.db",
        "rebuild --diff --dry-run --database own.db",
        "plan --config imon.toml --database own.db",
        "config",
        "top --once .",
    ] {
        let help = home.ok(&format!("{} --help", line.split(' ').next().unwrap()));
        let formats = help.split("--format <FORMAT>").nth(1).unwrap().split("--json").next().unwrap();
        for format in all {
            let run = home.analyze(format!("{line} --format {format} -o out").split(' '));
            assert_eq!(run.code == Some(2), !formats.contains(&format!("- {format}:")), "{line} {format}: {}", run.err);
            refused += usize::from(run.code == Some(2));
        }
    }
    assert!(refused > 30, "{refused}");
}

#[test]
fn what_a_library_says_of_a_value_is_escaped() {
    for word in ["--a\r\u{9b}31mb", "--by=a\u{202e}\u{9b}31m"] {
        let run = home().analyze(["report", "small.pcap", word]);
        assert!(run.code == Some(2) && run.err.contains("\\u{9b}31m"), "{}", run.err);
        assert!(!run.err.contains(['\r', '\u{9b}', '\u{202e}']), "{}", run.err);
    }
    let run = home().analyze(["report", "small.pcap", "--zone", "a\u{1b}[31mred"]);
    assert!(run.code == Some(2) && !run.err.contains('\u{1b}') && run.err.contains("\\027[31m"), "{}", run.err);
}
