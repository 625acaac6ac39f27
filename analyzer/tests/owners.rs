//! `--owners`: network and country as labels, keys and filters; never names, and never other sums.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

#[path = "../src/owners/tests/maker.rs"]
mod maker;
mod support;

use maker::{Maker, Value as Field, asn, map, text};
use serde_json::Value;
use support::{Home, rows_and_ledger, testdata};

/// A capture whose servers are at 198.19.0.0/16; some have no name. Their networks are made up.
fn home() -> Home {
    let home = Home::new();
    home.write("a.pcap.gz", &std::fs::read(testdata("netlab/browse-lan.pcap.gz")).unwrap());
    let country = map([("country", map([("iso_code", text("DE"))]))]);
    let everywhere =
        |record: Field| Maker::default().with("198.18.0.0/15", record.clone()).with("2001:db8::/32", record).bytes();
    home.write("country.mmdb", &everywhere(country));
    home.write("asn.mmdb", &everywhere(asn(64_500, "Example Net")));
    home
}

const OWNERS: &str = "--owners asn.mmdb --owners country.mmdb";

fn rows(home: &Home, line: &str) -> (Vec<Value>, Value) {
    rows_and_ledger(&home.ok(line))
}

fn total(rows: &[Value]) -> u64 {
    rows.iter().map(|row| row["total_bytes"].as_u64().unwrap()).sum()
}

#[test]
fn labels_stand_beside_addresses_and_change_nothing_else() {
    let home = home();
    for by in ["site", "host", "family", "page", "host,device", "site,day"] {
        let line = format!("report a.pcap.gz --by {by} --json");
        let (plain, ledger) = rows(&home, &line);
        let (labelled, same) = rows(&home, &format!("{line} {OWNERS}"));
        assert_eq!(ledger, same, "{by}");
        assert_eq!(plain.len(), labelled.len(), "{by}");
        let mut addresses = 0;
        for (plain, mut row) in plain.into_iter().zip(labelled) {
            let fields = row.as_object_mut().unwrap();
            let owner = [fields.remove("network").unwrap(), fields.remove("country").unwrap()];
            let is_address = plain["named"] == false;
            addresses += usize::from(is_address);
            let expected =
                if is_address { ["AS64500 Example Net".into(), "DE".into()] } else { [Value::Null, Value::Null] };
            assert_eq!(owner, expected, "{by}: {plain}");
            assert_eq!(plain, row, "{by}");
        }
        assert!(addresses > 0, "{by}");
    }
    let table = home.ok(&format!("report a.pcap.gz --by host --limit 0 {OWNERS}"));
    assert!(table.contains(" (AS64500 Example Net, DE) "), "{table}");
    let document: Value = serde_json::from_str(&home.ok(&format!("report a.pcap.gz --json {OWNERS}"))).unwrap();
    assert_eq!(document["owners"][0], "Test-Owners of 2026-11-06");
    let site = home.ok(&format!("site 198.19.0.10 --files a.pcap.gz --json {OWNERS}"));
    let (site, _) = rows_and_ledger(&site);
    assert!(site.iter().all(|row| row["country"] == "DE"), "{site:?}");
}

#[test]
fn networks_and_countries_are_keys_and_filters() {
    let home = home();
    let (hosts, ledger) = rows(&home, "report a.pcap.gz --by host --json");
    let unnamed: u64 = total(&hosts.iter().filter(|row| row["named"] == false).cloned().collect::<Vec<_>>());
    assert!(unnamed > 0 && unnamed == ledger["address_only_bytes"].as_u64().unwrap());
    for (key, value) in [("network", "AS64500 Example Net"), ("country", "DE")] {
        let (by, same) = rows(&home, &format!("report a.pcap.gz --by {key} --json {OWNERS}"));
        assert_eq!((same, total(&by)), (ledger.clone(), total(&hosts)));
        let of = |value: &str| by.iter().find(|row| row[key] == value).map(|row| row["total_bytes"].as_u64().unwrap());
        assert_eq!((of(value), of("(named)")), (Some(unnamed), Some(total(&hosts) - unnamed)), "{by:?}");
        let (both, _) = rows(&home, &format!("report a.pcap.gz --by {key},host --json {OWNERS}"));
        assert_eq!(total(&both), total(&hosts));
    }
    // Without the network nobody knows the country: the other file does not say it.
    let (by, _) = rows(&home, "report a.pcap.gz --by country --json --owners asn.mmdb");
    assert!(by.iter().any(|row| row["country"] == "(unknown)" && row["total_bytes"] == unnamed), "{by:?}");
    for filter in ["--network AS64500", "--network 'example net'", "--network 'as64500 Example Net'", "--country de"] {
        let mut line: Vec<String> = "report a.pcap.gz --by host --json".split(' ').map(String::from).collect();
        line.extend(OWNERS.split(' ').map(String::from));
        let (option, value) = filter.split_once(' ').unwrap();
        line.extend([option.to_owned(), value.trim_matches('\'').to_owned()]);
        let run = home.analyze(&line);
        assert_eq!(run.code, Some(0), "{}", run.err);
        assert_eq!(total(&rows_and_ledger(&run.out).0), unnamed, "{filter}");
    }
    let run = home.ok(&format!("report a.pcap.gz --by host --json {OWNERS} --network AS6450"));
    assert_eq!(total(&rows_and_ledger(&run).0), 0);
    let flows = home.ok(&format!("flows a.pcap.gz {OWNERS} --country DE"));
    assert!(!flows.is_empty() && flows.lines().all(|line| line.contains(r#""evidence":"none""#)), "{flows}");
}

#[test]
fn without_a_file_there_are_no_networks() {
    let home = home();
    for line in [
        "report a.pcap.gz --by network",
        "report a.pcap.gz --by site,country",
        "flows a.pcap.gz --country DE",
        "site x --network y",
    ] {
        let run = home.analyze(line.split(' '));
        assert!(run.code == Some(2) && run.err.contains("--owners FILE.mmdb"), "{line}: {}", run.err);
    }
}

#[test]
fn lists_have_the_owner_of_each_address() {
    let home = home();
    for (line, address) in [
        ("flows a.pcap.gz", "server"),
        ("flows a.pcap.gz --every 15m", "server"),
        ("names a.pcap.gz", "address"),
        ("explain site-f.test a.pcap.gz --json", "address"),
    ] {
        let text = home.ok(&format!("{line} {OWNERS}"));
        let mut of_addresses = 0;
        for row in text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
            let of = row[address]
                .as_str()
                .is_some_and(|address| ["198.1", "2001:db8:"].iter().any(|start| address.starts_with(start)));
            of_addresses += usize::from(of);
            let expected = if of { ["AS64500 Example Net".into(), "DE".into()] } else { [Value::Null, Value::Null] };
            assert_eq!([row["network"].clone(), row["country"].clone()], expected, "{line}: {row}");
        }
        assert!(of_addresses > 0, "{line}");
        assert!(!home.ok(line).contains("\"network\""), "without a file nothing is new");
    }
    let text = home.ok(&format!("explain 198.19.0.10 a.pcap.gz {OWNERS}"));
    assert!(text.starts_with("the address belongs to AS64500 Example Net, DE, by the file of --owners\n"), "{text}");
}

#[test]
fn a_mask_hides_whose_addresses_are() {
    let home = home();
    for line in [
        "report a.pcap.gz --limit 0",
        "report a.pcap.gz --by host --json",
        "report a.pcap.gz --by network --json",
        "report a.pcap.gz --by country,host --csv",
        "report a.pcap.gz --network AS64500 --json",
        "report a.pcap.gz --format html",
        "report a.pcap.gz --by network --format html",
        "report a.pcap.gz --compare-with a.pcap.gz --by host --limit 0 --json",
        "report a.pcap.gz --compare-with a.pcap.gz --by host --limit 0",
        "flows a.pcap.gz",
        "flows a.pcap.gz --every 15m",
        "names a.pcap.gz",
        "explain 198.19.0.10 a.pcap.gz",
    ] {
        let plain = home.ok(&format!("{line} {OWNERS}"));
        assert!(plain.contains("Example Net") || plain.contains("DE"), "{line}");
        for mask in ["hosts", "all"] {
            let masked = home.ok(&format!("{line} {OWNERS} --mask {mask}"));
            let masked = masked.replace("\"Test-Owners", "");
            for name in ["64500", "Example Net", ">DE<", "\"DE\"", ",DE,", " DE"] {
                assert!(!masked.contains(name), "{line} --mask {mask}: {name}");
            }
        }
    }
    let by = home.ok(&format!("report a.pcap.gz --by network --json {OWNERS} --mask all"));
    assert!(by.contains("\"network 1\"") && by.contains("\"(named)\""), "{by}");
    let page = home.ok(&format!("report a.pcap.gz --format html {OWNERS} --mask hosts"));
    assert!(page.contains("<bdi class=\"quiet\">network 1, country 1</bdi>"), "{page}");
    // Our own addresses have no owner once they are hidden, be they local or not.
    let local = home.ok(&format!("report a.pcap.gz --by host --include-local --json {OWNERS} --mask devices"));
    for row in rows_and_ledger(&local).0.iter().filter(|row| row["host"].as_str().unwrap().starts_with("device")) {
        assert_eq!(row["network"], Value::Null, "{row}");
    }
}

#[test]
fn a_comparison_has_the_owner_of_each_address_and_the_same_sums() {
    let home = home();
    home.write("b.pcap.gz", &std::fs::read(testdata("exports/softflowd-v5.pcap.gz")).unwrap());
    for by in ["site", "host", "host,device"] {
        let line = format!("report a.pcap.gz --compare-with b.pcap.gz --by {by} --limit 0 --json");
        let (plain, labelled) = (rows(&home, &line).0, rows(&home, &format!("{line} {OWNERS}")).0);
        assert_eq!(plain.len(), labelled.len(), "{by}");
        let mut addresses = 0;
        for (plain, mut row) in plain.into_iter().zip(labelled) {
            let fields = row.as_object_mut().unwrap();
            let owner = [fields.remove("network").unwrap(), fields.remove("country").unwrap()];
            assert_eq!(plain, row, "{by}");
            let text = plain[by.split(',').next().unwrap()].as_str().unwrap();
            let is_known = text.starts_with("198.1") || text.starts_with("2001:db8:");
            addresses += usize::from(is_known);
            let expected =
                if is_known { ["AS64500 Example Net".into(), "DE".into()] } else { [Value::Null, Value::Null] };
            assert_eq!(owner, expected, "{by}: {plain}");
        }
        assert!(addresses > 0, "{by}");
    }
    let table = home.ok(&format!("report a.pcap.gz --compare-with b.pcap.gz --by host --limit 0 {OWNERS}"));
    assert!(table.contains(" (AS64500 Example Net, DE) "), "{table}");
    let by = home.ok(&format!("report a.pcap.gz --compare-with b.pcap.gz --by network --json {OWNERS}"));
    assert!(by.contains("\"network\":\"AS64500 Example Net\"") && !by.contains("\"country\""), "{by}");
}

#[test]
fn a_page_shows_whose_an_address_is_and_stays_what_it_is() {
    let home = home();
    let page = home.ok(&format!("report a.pcap.gz --format html {OWNERS}"));
    assert!(page.contains("<bdi class=\"quiet\">AS64500 Example Net, DE</bdi>"), "{page}");
    let hostile =
        Maker::default().with("198.18.0.0/15", asn(64_500, "</td><script>alert(1)</script>\u{202e}\u{1b}[2J"));
    home.write("hostile.mmdb", &hostile.bytes());
    for line in ["report a.pcap.gz --format html", "report a.pcap.gz --by network --format html"] {
        let page = home.ok(&format!("{line} --owners hostile.mmdb"));
        assert!(page.contains("&lt;script&gt;alert(1)") && !page.contains("<script>alert"), "{line}");
        assert!(!page.contains('\u{202e}') && !page.contains('\u{1b}'), "{line}");
    }
    for line in ["report a.pcap.gz --by network", "report a.pcap.gz", "flows a.pcap.gz", "names a.pcap.gz --csv"] {
        let text = home.ok(&format!("{line} --owners hostile.mmdb"));
        assert!(!text.contains('\u{202e}') && !text.contains('\u{1b}'), "{line}");
    }
    let formula = Maker::default().with("198.18.0.0/15", map([("name", text("=1+1"))]));
    home.write("formula.mmdb", &formula.bytes());
    let csv = home.ok("report a.pcap.gz --by network --csv --owners formula.mmdb");
    assert!(csv.contains("\n\\0611+1,") && !csv.contains("\n=1+1"), "{csv}");
}

#[test]
fn a_bad_file_is_an_error_with_a_next_step() {
    let home = home();
    let good = std::fs::read(home.path("asn.mmdb")).unwrap();
    home.write("cut.mmdb", &good[..good.len() - 30]);
    home.write("empty.mmdb", b"");
    home.write("text.mmdb", b"198.51.100.0/24 AS64500\n");
    std::fs::File::create(home.path("huge.mmdb")).unwrap().set_len(300 << 20).unwrap();
    for (file, cause) in [
        ("cut.mmdb", ""),
        ("empty.mmdb", "could not find MaxMind DB metadata"),
        ("text.mmdb", "could not find MaxMind DB metadata"),
        ("huge.mmdb", "it has more than 268435456 bytes"),
        ("nowhere.mmdb", "No such file"),
        ("/dev/zero", "it is a device"),
    ] {
        for command in ["report a.pcap.gz", "flows a.pcap.gz", "explain 198.19.0.10 a.pcap.gz", "top --once"] {
            let mut words: Vec<&str> = command.split(' ').chain(["--owners", file]).collect();
            if command.starts_with("top") {
                std::fs::create_dir_all(home.path("spool")).unwrap();
                words.extend(["--spool", "spool"]);
            }
            let run = home.analyze(words);
            let start = format!("error: cannot use the owners in {file}\n  cause: ");
            assert!(run.code == Some(2) && run.err.starts_with(&start), "{command} {file}: {}", run.err);
            assert!(run.err.contains(cause) && run.err.contains("\n  hint: "), "{}", run.err);
        }
    }
    // A record that is damaged costs labels, and says so at the end.
    home.write("damaged.mmdb", &Maker::default().with("198.18.0.0/15", Field::Pointer(0)).bytes());
    for line in ["report a.pcap.gz --json", "flows a.pcap.gz", "names a.pcap.gz", "report a.pcap.gz --format html"] {
        let run = home.analyze(format!("{line} --owners damaged.mmdb").split(' '));
        assert!(run.code == Some(3) && run.err.contains("error: some addresses have no label"), "{}", run.err);
        assert!(!run.out.is_empty());
    }
}

#[test]
fn the_configuration_names_files() {
    let home = home();
    let path = |name: &str| home.path(name).to_string_lossy().into_owned();
    home.write("imon.toml", format!("[report]\nowners = '{}'\n", path("asn.mmdb")).as_bytes());
    let report = home.ok("report a.pcap.gz --by network --json --config imon.toml");
    assert!(report.contains("AS64500 Example Net"), "{report}");
    let list = format!("[report]\nowners = ['{}', '{}']\n", path("asn.mmdb"), path("country.mmdb"));
    home.write("imon.toml", list.as_bytes());
    let report = home.ok("report a.pcap.gz --by country --json --config imon.toml");
    assert!(report.contains("\"DE\""), "{report}");
    let said: Value = serde_json::from_str(&home.ok("config --json --config imon.toml")).unwrap();
    let said = said["settings"].as_array().unwrap().iter().find(|one| one["key"] == "owners").unwrap().clone();
    assert_eq!(said["value"], serde_json::json!([path("asn.mmdb"), path("country.mmdb")]), "{said}");
    // The command line wins.
    let report = home.ok("report a.pcap.gz --by country --json --config imon.toml --owners asn.mmdb");
    assert!(!report.contains("\"DE\""), "{report}");
    let run = home.analyze("report a.pcap.gz -o asn.mmdb --owners asn.mmdb".split(' '));
    assert_eq!(run.code, Some(2), "it would be written over: {}", run.err);
}
