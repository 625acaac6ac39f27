//! One device with several addresses and hardware addresses: whoever asks for it by any of them, or
//! by a name, gets the same bytes of every command.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use serde_json::Value;
use std::collections::BTreeSet;
use std::net::IpAddr;
use support::{Home, dhcp_request, dns_answer, dns_query, pcap};

const START_US: u64 = 1_793_491_200_000_000;
const CONFIG: &str = ".config/imon/imon.toml";

/// Hardware addresses end in this: two of Ann's, one of a television, and one of a router.
const ROUTER: u8 = 9;
const ENDS: [(u8, &str); 9] = [
    (1, "192.168.1.5"),
    (1, "2001:db8:1::5"),
    (1, "2001:db8:1::abcd"),
    (1, "fe80::5"),
    (2, "192.168.1.6"),
    (2, "2001:db8:1::6"),
    (3, "192.168.1.7"),
    (3, "2001:db8:1::7"),
    (3, "2001:db8:1::7777"),
];

/// An Ethernet frame with UDP over IPv4 or IPv6.
fn udp((from, to): (u8, u8), src: (IpAddr, u16), dst: (IpAddr, u16), payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + payload.len()).unwrap();
    let mut frame = vec![2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from];
    match (src.0, dst.0) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            frame.extend([8, 0, 0x45, 0]);
            frame.extend((20 + len).to_be_bytes());
            frame.extend([0, 0, 0, 0, 64, 17, 0, 0]);
            frame.extend([src.octets(), dst.octets()].concat());
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend(len.to_be_bytes());
            frame.extend([17, 64]);
            frame.extend([src.octets(), dst.octets()].concat());
        }
        other => panic!("{other:?}"),
    }
    [src.1, dst.1, len, 0].into_iter().for_each(|word| frame.extend(word.to_be_bytes()));
    frame.extend(payload);
    frame
}

/// A DHCP request that tells the name of a device.
fn dhcp(last: u8, host: &str) -> Vec<u8> {
    udp((last, 0xff), ([0, 0, 0, 0].into(), 68), ([255; 4].into(), 67), &dhcp_request(last, host))
}

/// Each end asks for a name and is told, and moves something; behind the router are many.
fn capture() -> Vec<u8> {
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let mut frames = vec![dhcp(1, "ann-laptop"), dhcp(3, "tv")];
    for (i, (card, end)) in ENDS.into_iter().enumerate() {
        let (end, port) = (address(end), 40_000 + i as u16);
        let (resolver, server) = match end {
            IpAddr::V4(_) => (address("192.168.1.1"), address("203.0.113.9")),
            IpAddr::V6(_) => (address("2001:db8:1::1"), address("2001:db8:ffff::9")),
        };
        let name = format!("www.site{i}.com");
        frames.push(udp((card, ROUTER), (end, port), (resolver, 53), &dns_query(&name)));
        frames.push(udp((ROUTER, card), (resolver, 53), (end, port), &dns_answer(&name, [203, 0, 113, 9])));
        frames.push(udp((card, ROUTER), (end, port + 100), (server, 9_999), &vec![0; 300 + 7 * i]));
    }
    for k in 0..12u8 {
        let behind = IpAddr::from([10, 9, k, 2]);
        frames.push(udp((ROUTER, 2), (behind, 5_000), (address("203.0.113.77"), 9_998), &[0; 100]));
    }
    pcap(&frames.into_iter().enumerate().map(|(i, frame)| (START_US + i as u64 * 20_000, frame)).collect::<Vec<_>>())
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

fn bytes(rows: &[Value]) -> u64 {
    rows.iter().map(|row| row["up_bytes"].as_u64().unwrap() + row["down_bytes"].as_u64().unwrap()).sum()
}

/// Asks every command for a device; gives its bytes.
fn asked(home: &Home, filter: &str) -> u64 {
    let args = |line: &str| -> String {
        let words = line.split(' ').map(str::to_owned).chain(filter.split(' ').map(|word| word.replace('_', " ")));
        let run = home.analyze(words);
        assert_eq!(run.code, Some(0), "{line} {filter}: {}", run.err);
        run.out
    };
    let rows = |line: &str| {
        let report: Value = serde_json::from_str(&args(line)).unwrap();
        report["rows"].as_array().unwrap().clone()
    };
    let of_report = bytes(&rows("report lan.pcap --json --include-local"));
    assert_eq!(bytes(&rows("report --in 2026-11-01 --json --include-local --database lan.db")), of_report, "{filter}");
    let quarters = lines(&args("flows lan.pcap --every 15m"));
    assert_eq!(bytes(&quarters), of_report, "{filter}");
    let flows = lines(&args("flows lan.pcap"));
    assert_eq!(bytes(&flows), of_report, "{filter}");
    let devices = |lines: &[Value]| -> BTreeSet<String> {
        lines.iter().map(|line| line["client"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(devices(&flows), devices(&quarters), "{filter}");
    // Who is behind the router asks for no name.
    let names = lines(&args("names lan.pcap"));
    let mut asking = devices(&flows);
    asking.retain(|address| !address.starts_with("10."));
    assert_eq!(devices(&names), asking, "{filter}");
    let explained = lines(&args("explain 203.0.113.9 lan.pcap --json"));
    let to_server: Vec<Value> = flows.iter().filter(|flow| flow["server"] == "203.0.113.9").cloned().collect();
    let mut of_explained = explained.iter().filter(|line| line["record"] == "flow");
    assert!(of_explained.all(|line| to_server.iter().any(|flow| flow["client"] == line["client"])), "{filter}");
    assert_eq!(explained.iter().filter(|line| line["record"] == "flow").count(), to_server.len(), "{filter}");
    for line in flows.iter().chain(&names).chain(&explained) {
        let of_report = quarters.iter().find(|quarter| quarter["client"] == line["client"]);
        let name = of_report.map(|quarter| quarter["device"].clone()).unwrap();
        let is_given = name.as_str().is_some_and(|name| name.parse::<IpAddr>().is_err());
        assert!(line["device"] == name || !is_given, "{filter}: {name}: {line}");
    }
    of_report
}

fn home() -> Home {
    let home = Home::in_memory();
    home.write("lan.pcap", &capture());
    home.ok("ingest lan.pcap --database lan.db");
    home
}

#[test]
fn a_device_without_a_configuration_is_its_hardware_address() {
    let home = home();
    let ann = asked(&home, "--device 192.168.1.5");
    assert!(ann > 4 * 300, "{ann}");
    for filter in ["2001:db8:1::abcd", "02:00:00:00:00:01", "ann-laptop", "fe80::/64"] {
        assert_eq!(asked(&home, &format!("--device {filter}")), ann, "{filter}");
    }
    let dock = asked(&home, "--device 2001:db8:1::6");
    assert_eq!(asked(&home, "--device ANN-LAPTOP --device 192.168.1.6"), ann + dock);
    // Those behind a router are devices of their own.
    let one = asked(&home, "--device 10.9.3.2");
    assert_eq!(asked(&home, "--device 02:00:00:00:00:09"), 12 * one);
}

#[test]
fn a_device_with_a_name_is_all_that_the_configuration_and_its_hardware_addresses_say() {
    let home = home();
    let (ann, dock) = (asked(&home, "--device 192.168.1.5"), asked(&home, "--device 192.168.1.6"));
    for (says, bytes) in [
        ("address = '2001:db8:1::abcd'", ann),
        ("mac = ['02:00:00:00:00:01', '02:00:00:00:00:02']", ann + dock),
        ("mac = '02:00:00:00:00:02'\naddress = '192.168.1.5'", ann + dock),
    ] {
        let own = format!("[devices.\"Ann's laptop\"]\nowner = 'Ann'\ngroups = ['laptops']\n{says}\n");
        home.write(CONFIG, own.as_bytes());
        for filter in ["--device Ann's_laptop", "--owner ann", "--group laptops"] {
            assert_eq!(asked(&home, filter), bytes, "{says}: {filter}");
        }
        assert_eq!(asked(&home, "--device 2001:db8:1::5"), bytes, "{says}: any address of it");
        let named = lines(&home.ok("flows lan.pcap"));
        let hers: Vec<Value> = named.into_iter().filter(|flow| flow["device"] == "Ann's laptop").collect();
        assert_eq!(self::bytes(&hers), bytes, "{says}");
    }
}

/// Two names fit one device: in whatever order its addresses were met, the lowest counts.
#[test]
fn a_name_does_not_depend_on_the_order_of_packets() {
    let home = home();
    let own = "[devices.first]\naddress = '2001:db8:1::5'\n[devices.second]\naddress = '192.168.1.5'\n";
    home.write(CONFIG, own.as_bytes());
    let whole = capture();
    let record = |at: usize| 16 + u32::from_le_bytes(whole[at + 8..at + 12].try_into().unwrap()) as usize;
    let ends: Vec<usize> =
        std::iter::successors(Some(24), |at| (*at < whole.len()).then(|| at + record(*at))).collect();
    let mut backwards = whole[..24].to_vec();
    // Times stay in order.
    for (nth, pair) in ends.windows(2).rev().enumerate() {
        backwards.extend(&whole[ends[nth]..ends[nth] + 8]);
        backwards.extend(&whole[pair[0] + 8..pair[1]]);
    }
    home.write("backwards.pcap", &backwards);
    for file in ["lan.pcap", "backwards.pcap"] {
        let report: Value =
            serde_json::from_str(&home.ok(&format!("report {file} --by device --include-local --json"))).unwrap();
        let of = |name: &str| report["rows"].as_array().unwrap().iter().any(|row| row["device"] == name);
        assert!(of("second") && !of("first"), "{file}: {report}");
    }
}

#[test]
fn a_list_from_a_pipe_knows_devices_as_one_from_a_file_does() {
    let home = home();
    home.write(CONFIG, b"[devices.laptop]\naddress = '192.168.1.5'\n");
    for list in ["flows", "names"] {
        let of_file = home.ok(&format!("{list} lan.pcap --device laptop"));
        assert!(of_file.lines().count() >= 4, "{of_file}");
        let mut piped = assert_cmd::Command::new(assert_cmd::cargo::cargo_bin("imon-analyze"));
        piped.env_clear().env("TZ", "UTC").env("HOME", home.path("")).current_dir(home.path(""));
        let run = piped.args([list, "-", "--device", "laptop"]).write_stdin(capture()).output().unwrap();
        let without_source = |text: &str| -> Vec<Value> {
            let mut lines = lines(text);
            lines.iter_mut().for_each(|line| line["source"] = Value::Null);
            lines
        };
        assert_eq!(without_source(&String::from_utf8(run.stdout).unwrap()), without_source(&of_file), "{list}");
    }
}
