//! What devices call themselves, from the packet to the report.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use support::{Home, dhcp_request, pcap, rows_and_ledger, udp};

const START_US: u64 = 1_793_491_200_000_000;

/// A DHCP request of the device with hardware address 02:00:00:00:00:`last`, before it has an
/// address.
fn dhcp(last: u8, host: &str) -> Vec<u8> {
    from(last, udp(([0; 4], 68), ([255; 4], 67), &dhcp_request(last, host)))
}

/// The frame as sent from 02:00:00:00:00:`last`.
fn from(last: u8, mut frame: Vec<u8>) -> Vec<u8> {
    frame[11] = last;
    frame
}

/// A multicast DNS answer: `host`.local is at `address`.
fn mdns(src: [u8; 4], host: &str, address: [u8; 4]) -> Vec<u8> {
    let mut message = vec![0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0, host.len() as u8];
    message.extend(host.bytes());
    message.extend(b"\x05local\0\0\x01\x80\x01\0\0\0\x78\0\x04");
    message.extend(address);
    udp((src, 5_353), ([224, 0, 0, 251], 5_353), &message)
}

fn traffic(device: [u8; 4]) -> Vec<u8> {
    udp((device, 40_000), ([203, 0, 113, 9], 9_999), &[0; 500])
}

/// Device and name of each row.
fn names(json: &str) -> Vec<(String, Option<String>)> {
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let (rows, _) = rows_and_ledger(json);
    let mut names: Vec<_> = rows.iter().map(|row| (text(&row["device"]).unwrap(), text(&row["device_name"]))).collect();
    names.sort();
    names
}

fn capture() -> Vec<u8> {
    let (ann, bob, eve) = ([192, 168, 0, 5], [192, 168, 0, 6], [192, 168, 0, 7]);
    let frames = [
        dhcp(5, "Ann-Laptop"),
        dhcp(6, "tv"),
        traffic(ann),
        traffic(bob),
        traffic(eve),
        mdns(eve, "eve", eve),
        // Eve speaks of Ann's address, and then from it.
        mdns(eve, "joke", ann),
        from(7, mdns(ann, "joke", ann)),
        traffic(ann),
    ];
    pcap(&frames.into_iter().enumerate().map(|(i, frame)| (START_US + i as u64 * 10_000, frame)).collect::<Vec<_>>())
}

#[test]
fn devices_have_the_names_that_they_gave_themselves() {
    let home = Home::new();
    let file = home.write("lan.pcap", &capture());
    let report = format!("report --by device --include-local --format json {}", file.display());
    let found = names(&home.ok(&report));
    let find = |address: &str| found.iter().find(|(device, _)| device == address).and_then(|(_, name)| name.clone());
    assert_eq!(find("192.168.0.6").as_deref(), Some("tv"));
    assert_eq!(find("192.168.0.5").as_deref(), Some("ann-laptop"));
    assert_eq!(find("192.168.0.7").as_deref(), Some("joke.local"), "whoever plays another names itself");
    assert!(!found.iter().any(|(device, _)| device == "0.0.0.0"), "{found:?}");
    let table = home.ok(&format!("report --by device --include-local {}", file.display()));
    assert!(table.contains("\ntv (192.168.0.6) "), "{table}");
}

#[test]
fn the_database_gives_the_names_that_files_give() {
    let home = Home::new();
    let file = home.write("lan.pcap", &capture());
    home.ok(&format!("ingest {}", file.display()));
    let day = "report --by device --include-local --from 2026-11-01 --to 2026-11-01 --format json";
    let of_files = home.ok(&format!("{day} {}", file.display()));
    let of_store = home.ok(day);
    assert_eq!(names(&of_store), names(&of_files));
    assert!(names(&of_store).iter().any(|(_, name)| name.is_some()));
}

#[test]
fn names_lists_what_was_claimed() {
    let home = Home::new();
    let file = home.write("lan.pcap", &capture());
    let lines = home.ok(&format!("names {}", file.display()));
    assert!(lines.lines().any(|l| l.contains("\"kind\":\"dhcp\"") && l.contains("\"name\":\"ann-laptop\"")), "{lines}");
}

#[test]
fn what_devices_call_themselves_and_where_it_was_looked_is_masked() {
    let home = Home::new();
    home.write("lan.pcap", &capture());
    std::fs::create_dir(home.path("attic")).unwrap();
    home.ok("ingest lan.pcap --database secret.db");
    let day = "report --by device --include-local --in 2026-11-01 --database secret.db --spool attic";
    for question in [day.to_owned(), format!("{day} --compare previous"), day.replace("2026-11-01", "2020-01-01")] {
        for format in ["table", "json", "csv"] {
            let of = |mask: &str| home.ok(&format!("{question} --format {format} {mask}")).to_lowercase();
            let (plain, masked) = (of(""), of("--mask devices"));
            for name in ["ann-laptop", "joke", "secret.db", "attic", "192.168.0."] {
                assert!(!masked.contains(name), "{question} --format {format}: {name}: {masked}");
            }
            let shows = if question.contains("2020") { "secret.db" } else { "ann-laptop" };
            assert!(plain.contains(shows) || format != "table", "{question}: {plain}");
        }
    }
}
