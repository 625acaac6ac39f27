//! Configuration files: where they are found, what wins, whom they are believed, and what they
//! change.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use support::{Home, testdata};

const OWN: &str = ".config/imon/imon.toml";

/// Addresses of one hardware address.
const HERS: [&str; 2] = ["198.18.0.11", "2001:db8:18::11"];

fn home() -> Home {
    let home = Home::new();
    home.write("browse.pcap.gz", &std::fs::read(testdata("netlab/browse-lan.pcap.gz")).unwrap());
    home
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn a_configuration_gives_defaults_and_the_command_line_wins() {
    let home = home();
    let database = home.path("books/own.db");
    home.write(OWN, format!("[report]\nzone = 'Asia/Kathmandu'\ndatabase = '{}'\n", database.display()).as_bytes());
    home.ok("ingest browse.pcap.gz");
    assert!(database.exists());
    let zone = |line: &str| json(&home.ok(line))["range"]["zone"].clone();
    assert_eq!(zone("report browse.pcap.gz --json"), "Asia/Kathmandu");
    assert_eq!(zone("report browse.pcap.gz --json --zone UTC"), "UTC");
    assert_eq!(zone("report browse.pcap.gz --json --no-config"), "UTC");
    home.write("other.toml", b"[report]\nzone = 'Europe/Berlin'\n");
    assert_eq!(zone("--config other.toml report browse.pcap.gz --json"), "Europe/Berlin");
    home.write("xdg/imon/imon.toml", b"[report]\nunits = 'decimal'\n");
    let text = home.ok("report browse.pcap.gz --no-config");
    assert!(text.contains("iB") && !text.contains(" kB"), "{text}");
    let text = home.ok("report browse.pcap.gz --units decimal");
    assert!(text.contains(" kB") && !text.contains("iB"), "{text}");
}

#[test]
fn flows_by_quarters_name_devices_as_reports_do() {
    let home = home();
    home.write(OWN, b"[devices.\"Ann's phone\"]\naddress = '198.18.0.11'\n");
    let report = json(&home.ok("report browse.pcap.gz --by device --json"));
    let mut sums: BTreeMap<(String, String), u64> = BTreeMap::new();
    for line in home.ok("flows browse.pcap.gz --every 15m").lines().map(json) {
        let bytes = ["up_bytes", "down_bytes"].map(|key| line[key].as_u64().unwrap());
        *sums.entry((line["device"].to_string(), line["device_name"].to_string())).or_default() += bytes[0] + bytes[1];
    }
    let rows = report["rows"].as_array().unwrap();
    let row = |row: &Value| {
        ((row["device"].to_string(), row["device_name"].to_string()), row["total_bytes"].as_u64().unwrap())
    };
    assert_eq!(rows.iter().map(row).collect::<BTreeMap<_, _>>(), sums);
    assert!(rows.iter().any(|row| row["device"] == "Ann's phone"), "{report}");
}

/// Beside sums of the flows by their devices, which know nothing of owners.
#[test]
fn owners_and_groups_are_sums_of_their_devices() {
    let home = home();
    let own = b"[devices.\"Ann's phone\"]\naddress = '198.18.0.11'\nowner = 'Ann'\ngroups = ['phones', 'kids']\n";
    home.write(OWN, own);
    let mut of_devices: BTreeMap<String, u64> = BTreeMap::new();
    for line in home.ok("flows browse.pcap.gz --every 15m").lines().map(json) {
        let bytes = ["up_bytes", "down_bytes"].map(|key| line[key].as_u64().unwrap());
        *of_devices.entry(line["device"].as_str().unwrap().to_owned()).or_default() += bytes[0] + bytes[1];
    }
    let hers = of_devices.remove("Ann's phone").unwrap();
    let others: u64 = of_devices.values().sum();
    assert!(hers > 0 && others > 0);
    let rows = |line: &str, keys: &[&str]| -> BTreeMap<Vec<String>, u64> {
        let report = json(&home.ok(&format!("report browse.pcap.gz --json {line}")));
        let text = |row: &Value| keys.iter().map(|key| row[key].as_str().unwrap().to_owned()).collect();
        let rows = report["rows"].as_array().unwrap().iter();
        rows.map(|row| (text(row), row["total_bytes"].as_u64().unwrap())).collect()
    };
    let wanted = |hers_are: &[&str], others_are: &[&str]| -> BTreeMap<Vec<String>, u64> {
        let row = |texts: &[&str], bytes| (texts.iter().map(|text| (*text).to_owned()).collect(), bytes);
        [row(hers_are, hers), row(others_are, others)].into()
    };
    assert_eq!(rows("--by owner", &["owner"]), wanted(&["Ann"], &["(no owner)"]));
    assert_eq!(rows("--by group", &["group"]), wanted(&["kids, phones"], &["(no group)"]));
    assert_eq!(
        rows("--by group,owner", &["group", "owner"]),
        wanted(&["kids, phones", "Ann"], &["(no group)", "(no owner)"])
    );
    assert_eq!(
        rows("--by owner,device --device 198.18.0.11", &["owner", "device"]).into_keys().collect::<Vec<_>>(),
        [["Ann", "Ann's phone"]]
    );
    for filter in ["--owner ann", "--group KIDS", "--group phones --owner Ann"] {
        assert_eq!(rows(&format!("--by device {filter}"), &["device"]).into_values().collect::<Vec<_>>(), [hers]);
        let of_flows = home.ok(&format!("flows browse.pcap.gz {filter}"));
        let moved = |line: Value| line["up_bytes"].as_u64().unwrap() + line["down_bytes"].as_u64().unwrap();
        assert!(of_flows.lines().map(json).all(|line| HERS.contains(&line["client"].as_str().unwrap())));
        assert_eq!(of_flows.lines().map(json).map(moved).sum::<u64>(), hers, "IPv6 of the same card included");
    }
    assert!(rows("--by device --owner Ann --device 198.18.0.12", &["device"]).is_empty());
    let masked = home.ok("report browse.pcap.gz --by owner,group --mask devices");
    assert!(masked.contains("owner 1") && masked.contains("(no group)") && !masked.contains("Ann"), "{masked}");
    let refused = |line: &str, says: &str| {
        let run = home.analyze(line.split_whitespace());
        assert!(run.code == Some(2) && run.err.contains(says) && run.err.contains("owner = "), "{line}: {}", run.err);
    };
    refused("report browse.pcap.gz --owner Bob", "no device has the owner `Bob`");
    home.write(OWN, b"[report]\nunits = 'binary'\n");
    refused("report browse.pcap.gz --by owner", "the configuration names no device");
}

#[test]
fn lists_name_devices_as_the_user_does() {
    let home = home();
    home.write(OWN, b"[devices.\"Ann's phone\"]\naddress = '198.18.0.11'\n");
    for list in ["flows browse.pcap.gz", "names browse.pcap.gz", "explain site-f.test browse.pcap.gz --json"] {
        let lines = home.ok(list);
        let mut named = 0;
        for line in lines.lines().map(json) {
            let is_hers = HERS.contains(&line["client"].as_str().unwrap());
            assert_eq!(line["device"] == "Ann's phone", is_hers, "{list}: {line}");
            named += usize::from(is_hers);
        }
        assert!(named > 0, "{list}");
    }
    let text = home.ok("explain site-f.test browse.pcap.gz");
    assert!(text.contains("198.18.0.11 (Ann's phone)"), "{text}");
}

#[test]
fn what_is_missing_or_wrong_is_said_with_the_file_that_counts() {
    let home = home();
    let refused = |line: &str, says: &[&str]| {
        let run = home.analyze(line.split_whitespace());
        assert_eq!(run.code, Some(2), "{line}: {}", run.err);
        assert!(says.iter().all(|text| run.err.contains(text)), "{line}: {}", run.err);
        assert_eq!(run.out, "", "{line}");
    };
    let own = format!("hint:  in {}: [", home.path(OWN).display());
    refused("plan", &["there is no plan", &own, "[[plan]]"]);
    refused("alert", &[&own, "[alert]"]);
    refused("report browse.pcap.gz --in billing", &["no billing period", &own]);
    home.write("other.toml", b"[report]\n");
    refused("plan --config other.toml", &["hint:  in other.toml: [[plan]]"]);
    refused("plan --no-config", &["hint:  --no-config reads none"]);
    refused("plan --config none.toml", &["No such file", "hint:  `ls .` shows"]);
    home.write("binary.toml", b"\xff\xfe");
    refused("config --config binary.toml", &["cause: it is no text in UTF-8"]);
    home.write("zero.toml", b"[alert]\npercent = [50, 0]\n");
    refused("alert --config zero.toml", &["line 2: `percent` = 0: expected a whole number from 1 to 1000"]);
    refused("alert --percent 80,x", &["'x'", "expected whole numbers from 1 to 1000, such as 80,100"]);
    home.write("plan.toml", b"[[plan]]\nname = 'home'\n");
    refused("plan --config plan.toml --on soon", &["--on `soon` is no time"]);
    refused("plan --config plan.toml --on 1500-01-01", &["outside the years that imon counts"]);
    refused("plan --config plan.toml away", &["no plan `away`", "there are: home"]);
    refused("report browse.pcap.gz --compare soon", &["--compare `soon` is no time", "hint:  previous, last-year, or"]);
    refused("prune --before 2026-99-01 --database none.db", &["--before `2026-99-01` is not a day"]);
    let run = |args: &[&str]| home.analyze(args);
    for option in ["--device", "--interface", "--source"] {
        let run = run(&["flows", "browse.pcap.gz", option, ""]);
        assert!(run.code == Some(2) && run.err.contains(&format!("{option} names nothing")), "{}", run.err);
    }
    let nobody = run(&["explain", "", "browse.pcap.gz"]);
    assert!(nobody.code == Some(2) && nobody.err.contains("`` is no name of a site"), "{}", nobody.err);
    for line in [
        "report browse.pcap.gz",
        "site a.example --files browse.pcap.gz",
        "flows browse.pcap.gz",
        "names browse.pcap.gz",
    ] {
        refused(&format!("{line} --config plan.toml --plan home"), &["--plan home", "none is asked for"]);
        refused(&format!("{line} --config plan.toml --plan away --in billing"), &["no plan `away`"]);
        home.ok(&format!("{line} --config plan.toml --plan home --in BILLING"));
    }
    home.ok("report browse.pcap.gz --config plan.toml --plan home --by billing-month");
    home.ok("report browse.pcap.gz --from 1500 --to 9000");
}

#[test]
fn what_is_in_force_is_shown_with_where_it_comes_from_and_can_be_read_again() {
    let home = home();
    home.write(
        OWN,
        b"# ours\n[report]\nzone = 'Asia/Kathmandu'\n[devices.\"Ann's \\\"phone\\\"\"]\nmac = '02:00:00:00:00:01'\n",
    );
    let text = home.ok("config --spool /s");
    assert!(text.contains("zone = \"Asia/Kathmandu\"") && text.contains("imon.toml:3\n"), "{text}");
    assert!(text.contains("spool = \"/s\"") && text.contains("# command line"), "{text}");
    assert!(text.contains("units = \"binary\"") && text.contains("# default"), "{text}");
    let again = home.write("again.toml", text.as_bytes());
    let twice = home.ok(&format!("--config {} config", again.display()));
    assert!(twice.contains("[devices.\"Ann's \\\"phone\\\"\"]\nmac = \"02:00:00:00:00:01\""), "{twice}");
    let document = json(&home.ok("config --json"));
    let settings = document["settings"].as_array().unwrap();
    let of = |key: &str| settings.iter().find(|s| s["key"] == key).unwrap();
    assert_eq!((&of("zone")["from"], &of("zone")["line"]), (&json("\"file\""), &json("3")));
    assert_eq!((&of("units")["from"], &of("mac")["item"]), (&json("\"default\""), &json("\"Ann's \\\"phone\\\"\"")));
    assert!(document["files"][0].as_str().unwrap().ends_with(OWN));
    assert!(
        home.ok("config --csv --no-config")
            .starts_with("section,item,key,value,from,file,line\nreport,,zone,UTC,default,")
    );
}

#[test]
fn a_file_that_is_not_understood_or_not_ours_is_an_error() {
    let home = home();
    let path = home.write(OWN, b"[report]\nzoen = 'UTC'\n");
    let run = home.analyze(["report", "browse.pcap.gz"]);
    assert_eq!(run.code, Some(2));
    assert!(run.err.contains("line 2: unknown key `zoen` in [report]\n  hint:  `zone` is one\n"), "{}", run.err);
    assert_eq!(home.analyze(["report", "browse.pcap.gz", "--no-config"]).code, Some(0));
    std::fs::write(&path, "[report]\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    let run = home.analyze(["report", "browse.pcap.gz"]);
    // Root goes without the file of a user.
    match nix::unistd::geteuid().is_root() {
        true => assert!(run.code == Some(0) && run.err.contains("root does not read"), "{}", run.err),
        false => assert!(run.code == Some(2) && run.err.contains("can be written by everybody"), "{}", run.err),
    }
    let big = home.write("big.toml", "#\n".repeat(600_000).as_bytes());
    let run = home.analyze(["--config", big.to_str().unwrap(), "config"]);
    assert!(run.code == Some(2) && run.err.contains("it has more than 1048576 bytes"), "{}", run.err);
    let run = home.analyze(["--config", "none.toml", "config"]);
    assert!(run.code == Some(2) && run.err.contains("cannot use the configuration none.toml"), "{}", run.err);
    for line in ["--config /dev/zero config", "--config /dev/stdin config"] {
        let run = home.analyze(line.split(' '));
        assert!(run.code.is_some_and(|code| code != 101), "{line}: {}", run.err);
    }
}

#[test]
fn devices_are_called_by_their_names_in_rows_and_filters() {
    let home = home();
    let by_device = |extra: &str| json(&home.ok(&format!("report browse.pcap.gz --json --by device {extra}")));
    let before = by_device("--no-config");
    let rows = before["rows"].as_array().unwrap();
    let device = rows[0]["device"].as_str().unwrap();
    home.write(OWN, format!("[devices.\"Ann's phone\"]\naddress = '{device}'\nowner = 'Ann'\n").as_bytes());
    let named = by_device("");
    assert_eq!(named["rows"][0]["device"], "Ann's phone");
    assert_eq!(named["rows"][0]["device_name"], "Ann's phone");
    assert_eq!(named["rows"][0]["total_bytes"], rows[0]["total_bytes"]);
    assert_eq!(named["ledger"], before["ledger"]);
    let filtered = by_device("--device ann");
    assert_eq!(filtered["rows"].as_array().unwrap().len(), 1);
    assert_eq!(filtered["rows"][0], named["rows"][0]);
    let text = home.ok("report browse.pcap.gz --by device,site");
    assert!(text.contains("Ann's phone") && !text.contains("Ann's phone (Ann's phone)"), "{text}");
    assert!(!home.ok("flows browse.pcap.gz --device ann").is_empty());
}

/// What a store takes: its database, closed months and kept captures.
fn taken(home: &Home) -> u64 {
    fn bytes(path: &std::path::Path) -> u64 {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        let of = |entry: std::fs::DirEntry| match entry.path().is_dir() {
            true => bytes(&entry.path()),
            false => entry.metadata().unwrap().len(),
        };
        entries.map(of).sum()
    }
    let database = std::fs::metadata(home.path("imon.db")).unwrap().len();
    database + bytes(&home.path("books")) + bytes(&home.path("captures"))
}

#[test]
fn what_does_not_fit_goes_the_oldest_first() {
    let home = home();
    home.write("old.pcap", &support::ending("netlab/browse-lan.pcap.gz", 1_588_420_800));
    home.write("now.pcap", &support::recent("netlab/browse-lan.pcap.gz"));
    home.ok("ingest old.pcap --database imon.db");
    let fits = taken(&home) + 2_000_000;
    home.ok("ingest now.pcap --database imon.db");
    let prune = |size: &str, dry: &str| {
        home.write(OWN, format!("[keep]\nsize = '{size}'\n").as_bytes());
        let run = home.analyze(format!("prune --configured --database imon.db {dry}").trim().split(' '));
        assert_eq!(run.code, Some(0), "{}", run.err);
        run.err
    };
    let sources =
        || home.ok("status --database imon.db").lines().find(|l| l.starts_with("sources")).unwrap().to_owned();
    assert!(prune(&format!("{fits} B"), "").contains("removed 0 sources, and 0 kept captures"));
    assert!(prune("any", "").contains("nothing to remove"));
    // Captures first: what is booked from them stays.
    let all = taken(&home);
    let size = format!("{} B", all - 1_000);
    let told = prune(&size, "--dry-run");
    assert!(told.contains("would remove 0 sources, and 1 kept capture"), "{told}");
    assert_eq!(taken(&home), all);
    assert!(prune(&size, "").contains("removed 0 sources, and 1 kept capture"));
    assert!(taken(&home) <= all - 1_000 && sources().starts_with("sources   2"), "{}", sources());
    let kept: Vec<_> = std::fs::read_dir(home.path("captures")).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert!(kept.len() == 1 && !kept[0].to_string_lossy().starts_with("imon-2020"), "the oldest goes first: {kept:?}");
    // Then months; the one that goes on stays, and it is said what is too much.
    let told = prune("1 kB", "--dry-run");
    assert!(told.contains("would remove 1 source, and 1 kept capture") && told.contains("are more than"), "{told}");
    let told = prune("1 kB", "");
    assert!(told.contains("removed 1 source, and 1 kept capture") && told.contains("are more than"), "{told}");
    assert!(sources().starts_with("sources   1"), "{}", sources());
    home.write(OWN, b"[keep]\nsize = 'much'\n");
    let run = home.analyze("prune --configured --database imon.db".split(' '));
    assert!(run.code == Some(2) && run.err.contains("\"100 GB\""), "{}", run.err);
}

/// The segment that is kept of the one capture.
fn kept(home: &Home) -> std::path::PathBuf {
    std::fs::read_dir(home.path("captures")).unwrap().next().unwrap().unwrap().path()
}

#[test]
fn what_is_not_kept_goes_when_it_is_pruned() {
    let home = home();
    let run = home.analyze("ingest browse.pcap.gz --database imon.db".split(' '));
    let told = run.err.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        told.contains("kept segments of 1 capture in captures: ") && told.contains("\"never\" below [keep]"),
        "{told}"
    );
    home.write("spool/x.seg", &std::fs::read(kept(&home)).unwrap());
    for again in ["ingest browse.pcap.gz --database imon.db", "ingest spool --database other.db"] {
        let run = home.analyze(again.split(' '));
        assert!(run.code == Some(0) && !run.err.contains("[keep]"), "{again}: {}", run.err);
    }
    let run = home.analyze("prune --configured --database imon.db".split(' '));
    assert!(run.code == Some(0) && run.err.contains("nothing to remove"), "{}", run.err);
    home.write(OWN, b"[keep]\ncaptures = 'never'\n");
    let run = home.analyze("prune --configured --dry-run --database imon.db".split(' '));
    assert!(run.err.contains("would remove 0 sources, and 1 kept capture"), "{}", run.err);
    let run = home.analyze("prune --configured --database imon.db".split(' '));
    assert!(run.err.contains("removed 0 sources, and 1 kept capture"), "{}", run.err);
    home.write(OWN, b"[keep]\nrows = '1 day'\n");
    let run = home.analyze("prune --configured --database imon.db".split(' '));
    let is_old = !home.ok("status --database imon.db").contains("sources   1");
    assert!(is_old && run.err.contains("removed 1 source"), "{}", run.err);
}
