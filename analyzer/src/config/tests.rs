use super::*;
use crate::books::{Books, Evidence, Row, Traffic};
use crate::plan::Counted;
use crate::question::DeviceName;
use imon_common::wire::Mac;

fn config(text: &str) -> Result<Config, String> {
    let mut config = Config::default();
    let home = Some(Path::new("/home/ann"));
    config.add(Path::new("/etc/imon/imon.toml"), text, home).map(|()| config).map_err(|e| e.to_string())
}

#[test]
fn every_option_is_taken() {
    let config = config(
        "[report]\nzone = 'Europe/Berlin'\nunits = \"decimal\"\nfamilies = '~/families.txt'\n\
         local = ['198.18.0.0/15', '2001:db8::1']\ndatabase = '/d/imon.db'\nspool = '/s'\n\
         [keep]\nrows = '60 months'\ncaptures = 'never'\n\
         [devices.\"Ann's phone\"]\nmac = ['02:00:00:00:00:01', '02-00-00-00-00-02']\nowner = 'Ann'\ngroups = 'phones'\n",
    )
    .unwrap();
    let report = &config.report;
    assert_eq!(report.zone.as_deref(), Some("Europe/Berlin"));
    assert_eq!((report.units, report.local.as_ref().unwrap().len()), (Some(Units::Decimal), 2));
    assert_eq!(report.families, Some("/home/ann/families.txt".into()));
    assert_eq!((&report.database, &report.spool), (&Some("/d/imon.db".into()), &Some("/s".into())));
    let today = jiff::civil::date(2026, 11, 30);
    let first = |kept: Option<Kept>| kept.unwrap().first_day(today).unwrap().unwrap().to_string();
    assert_eq!(first(config.keep.rows), "2021-11-30");
    assert_eq!(first(config.keep.captures), "2026-12-01", "all of today, too");
    let phone = config.devices.iter().next().unwrap();
    assert_eq!((phone.name.as_str(), phone.macs.len(), phone.owner.as_deref()), ("Ann's phone", 2, Some("Ann")));
    let line = |key: &str| config.settings.iter().find(|s| s.key == key).unwrap().line;
    assert_eq!((line("zone"), line("rows"), line("mac")), (2, 9, 12));
}

#[test]
fn what_is_not_understood_is_an_error_with_its_line_and_a_suggestion() {
    for (text, says) in [
        ("[report]\nzoen = 'UTC'\n", "cause: line 2: unknown key `zoen` in [report]\n  hint:  `zone` is one"),
        ("[raport]\n", "cause: line 1: unknown key `raport`\n  hint:  `report` is one"),
        ("[report]\nxyzzy = 1\n", "hint:  there are: zone, units, families"),
        ("[report]\n\nzone = 'Europe/Atlantis'\n", "line 3: `zone` = \"Europe/Atlantis\": there is no such time zone"),
        (
            "[report]\nunits = 'decimel'\n",
            "line 2: `units` = \"decimel\": expected one of binary, decimal (`decimal`?)",
        ),
        ("[report]\nfamilies = 'families.txt'\n", "expected a path that begins with / or ~/"),
        ("[report]\ndatabase = 5\n", "line 2: `database` is an integer: expected a text in quotes"),
        ("[report]\nlocal = ['10.0.0.0/33']\n", "line 2: `local`, \"10.0.0.0/33\": expected a network"),
        ("[keep]\nrows = '60 moons'\n", "line 2: `rows` = \"60 moons\": expected a number of days"),
        ("[keep]\nrows = 'never'\n", "there would be nothing to report on"),
        ("report = 3\n", "line 1: `report` is an integer: expected a section [report]"),
        ("[devices]\nphone = '02:00:00:00:00:01'\n", "line 2: `phone` in [devices] is no section\n  hint:  as in"),
        ("[devices.phone]\nmac = '02:00:00:00:00'\n", "line 2: `mac`, \"02:00:00:00:00\": expected a hardware address"),
        ("[devices.phone]\nowner = 'Ann'\n", "[devices.\"phone\"] says neither `mac` nor `address`"),
        ("[devices.\"a\\u001b[2J\"]\nmac = '02:00:00:00:00:01'\n", "a name has only characters that can be shown"),
        (
            "[devices.a]\nmac = '02:00:00:00:00:01'\n[devices.b]\nmac = '02:00:00:00:00:01'\n",
            "line 3: `b` and `a` have an address in common",
        ),
        ("[devices.phone]\nmac = '02:00:00:00:00:01'\nowenr = 'Ann'\n", "line 3: unknown key `owenr`"),
        ("[report]\nzone = 'UTC'\nzone = 'UTC'\n", "line 3: duplicate key"),
        ("[report\n", "line 1: "),
        ("[plan]\ncap = '1 GB'\n", "`plan` is a table: expected sections [[plan]] with two brackets"),
        ("[[plan]]\nbilling_day = 32\n", "line 2: `billing_day` = 32: expected a whole number from 1 to 31"),
        ("[[plan]]\ncap = '100'\n", "line 2: `cap` = \"100\": expected an amount such as"),
        ("[[plan]]\nbiling_day = 1\n", "line 2: unknown key `biling_day` in [plan]\n  hint:  `billing_day` is one"),
        ("[[plan]]\nfree_hours = '2-6'\n", "line 2: `free_hours`, \"2-6\": expected hours such as"),
        ("[[plan]]\nalready_used = '1 GB'\n", "line 2: `already_used_on` says on which day"),
        ("[[plan]]\nfrom = 2026-02-30\n", "line 2: "),
        ("[[plan]]\nrollover = 'all'\n", "`rollover` needs a `cap`"),
        ("[alert]\nexec = 'mail'\n", "line 2: `exec` = \"mail\": expected a path that begins with / or ~/"),
        ("[alert]\npercent = [80, 0]\n", "line 2: `percent` = 0: expected a whole number from 1 to 1000"),
        ("[alert]\nsilent = '5'\n", "line 2: `silent` = \"5\": expected a time such as \"30 minutes\""),
        ("[[alert.rate]]\nsite = 'a.com'\n", "line 1: [[alert.rate]] says no `above`"),
        ("[alert]\npercnt = 80\n", "line 2: unknown key `percnt` in [alert]\n  hint:  `percent` is one"),
        ("[[plan]]\nname = 'a'\n[[plan]]\nname = 'a'\n", "line 3: two plans are called `a` and begin on one day"),
    ] {
        let error = config(text).unwrap_err();
        assert!(error.starts_with("error: cannot use the configuration /etc/imon/imon.toml\n"), "{error}");
        assert!(error.contains(says), "{text}: {error}");
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }
}

#[test]
fn a_hostile_file_is_an_error_and_no_panic() {
    let deep = format!("a = {}1{}", "[".repeat(50_000), "]".repeat(50_000));
    let tables = format!("{}x = 1", "a.".repeat(50_000));
    for text in [deep, tables, "\u{0}".into(), "[[[[".into(), "a = \"\\uD800\"".into(), "[report]\nzone.a = 1".into()] {
        assert!(config(&text).is_err());
    }
    let many: String =
        (0..=2_000).map(|n| format!("[devices.d{n}]\naddress = '10.{}.{}.1'\n", n / 256, n % 256)).collect();
    assert!(config(&many).unwrap_err().contains("more than 2000 devices"));
}

#[test]
fn a_later_file_says_more_and_wins() {
    let mut both =
        config("[report]\nzone = 'UTC'\nspool = '/s'\n[devices.tv]\nmac = '02:00:00:00:00:01'\nowner = 'Ann'\n")
            .unwrap();
    let own = "[report]\nzone = 'Asia/Kathmandu'\n[devices.tv]\nmac = '02:00:00:00:00:02'\n";
    both.add(Path::new("/home/ann/imon.toml"), own, None).unwrap();
    assert_eq!((both.report.zone.as_deref(), both.report.spool.is_some()), (Some("Asia/Kathmandu"), true));
    assert_eq!(both.devices.iter().next().unwrap().owner, None, "the device as a whole");
    let said: Vec<_> = both.settings.iter().map(|s| (s.key.as_str(), s.file.to_str().unwrap())).collect();
    let [system, own] = ["/etc/imon/imon.toml", "/home/ann/imon.toml"];
    assert_eq!(said, [("spool", system), ("zone", own), ("mac", own)]);
}

fn row(device: u32, bytes: u64) -> Row {
    Row {
        bucket_s: 0,
        host: 0,
        device,
        evidence: Evidence::Sni,
        traffic: Traffic::Visited,
        candidates: None,
        blind: None,
        interface: 0,
        source: 0,
        up_bytes: bytes,
        down_bytes: 0,
        up_packets: 1,
        down_packets: 0,
    }
}

#[test]
fn a_device_of_several_hardware_addresses_is_one_and_found_by_every_name() {
    let config = config(
        "[devices.\"Ann's phone\"]\nmac = ['02:00:00:00:00:01', '02:00:00:00:00:02']\nowner = 'Ann'\ngroups = ['Phones']\n\
         [devices.tv]\naddress = '192.168.1.9'\n",
    )
    .unwrap();
    let mac = |last| Some(Mac([2, 0, 0, 0, 0, last]));
    let mut books = Books {
        devices: ["192.168.1.7", "192.168.1.8", "192.168.1.9", "192.168.1.10"].map(str::to_owned).to_vec(),
        device_ends: vec![
            (0, "192.168.1.7".parse().unwrap(), mac(1)),
            (1, "192.168.1.8".parse().unwrap(), mac(2)),
            // The phone had the television's address once: its card says more.
            (1, "192.168.1.9".parse().unwrap(), mac(2)),
            (2, "192.168.1.9".parse().unwrap(), mac(9)),
            (3, "192.168.1.10".parse().unwrap(), mac(10)),
        ],
        rows: (0..4).map(|device| row(device, 1 << device)).collect(),
        ..Books::default()
    };
    config.devices.name(&mut books);
    let of = |device: u32| books.rows.iter().filter(|row| row.device == device).map(|row| row.up_bytes).sum::<u64>();
    assert_eq!([of(0), of(1), of(2), of(3)], [3, 0, 4, 8]);
    let names: Vec<_> = books.given.iter().map(|given| given.as_ref().map(|given| given.name.as_str())).collect();
    assert_eq!(names, [Some("Ann's phone"), Some("Ann's phone"), Some("tv"), None]);
    for (typed, hits) in [
        ("ann's PHONE", vec![0, 1]),
        ("ann", vec![0, 1]),
        ("phones", vec![0, 1]),
        ("tv", vec![2]),
        ("192.168.1.8", vec![0]),
        ("anns", vec![]),
    ] {
        let devices = config.devices.named(vec![DeviceName::parse(typed)]);
        let asked = crate::question::Filters { devices, ..Default::default() }.devices_of(&books).unwrap();
        let hit: Vec<usize> = (0..4).filter(|device| asked[*device]).collect();
        assert_eq!(hit, hits, "{typed}");
    }
}

#[test]
fn amounts_are_what_the_provider_calls_them() {
    use super::plans::amount;
    for (text, units, bytes) in [
        ("100 GB", Units::Decimal, 100_000_000_000),
        ("100 GB", Units::Binary, 107_374_182_400),
        ("100 GiB", Units::Decimal, 107_374_182_400),
        ("0.1 GB", Units::Decimal, 100_000_000),
        ("1.5TB", Units::Decimal, 1_500_000_000_000),
        ("500 MB", Units::Decimal, 500_000_000),
        ("7 B", Units::Binary, 7),
        ("3 kB", Units::Binary, 3_072),
    ] {
        assert_eq!(amount(text, units), Ok(bytes), "{text}");
    }
    for text in ["", "GB", "100", "-1 GB", "1 gbit", "1.2.3 GB", ".5 GB", "1. GB", "9999999 PB", "1 XB", "\u{661} GB"] {
        assert!(amount(text, Units::Decimal).is_err(), "{text}");
    }
}

#[test]
fn a_plan_is_taken_as_it_stands_and_its_versions_follow_each_other() {
    let config = config(
        "[report]\nzone = 'Asia/Kathmandu'\n[[plan]]\nname = 'home'\nbilling_day = 31\ncap = '1 GB'\nunits = 'binary'\n\
         counted = 'max'\nrollover = '1 MB'\nfree_sites = ['Google', 'youtube.com']\ninterfaces = ['wlan0']\n\
         [[plan]]\nname = 'home'\nfrom = '2026-11-10'\nzone = 'UTC'\n",
    )
    .unwrap();
    let [old, new] = config.plans.as_slice() else { panic!("{:?}", config.plans) };
    assert_eq!((old.billing_day, old.cap, old.rollover), (31, Some(1 << 30), 1 << 20));
    assert_eq!((old.counted, old.zone.iana_name()), (Counted::Max, Some("Asia/Kathmandu")));
    assert_eq!((old.until.map(|(day, _)| day), new.from), (new.from, Some(jiff::civil::date(2026, 11, 10))));
    assert_eq!((old.free_sites.len(), old.interfaces.len(), new.cap, new.until), (2, 1, None, None));
}
