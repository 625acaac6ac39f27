mod maker;

use super::*;
use maker::{MARKER, Maker, Value, asn, map, text};

fn owners(maker: &Maker) -> Owners {
    Owners::default().with(maker.bytes()).expect("a good file")
}

fn of(owners: &Owners, address: &str) -> String {
    owners.of(address.parse().expect("an address")).to_string()
}

/// What a record of these fields says.
fn says<const N: usize>(fields: [(&str, Value); N]) -> String {
    let owners = owners(&Maker::default().with("198.51.100.0/24", map(fields)));
    let said = of(&owners, "198.51.100.9");
    assert_eq!(owners.damage(), None);
    said
}

#[test]
fn every_layout_of_the_tree_is_read() {
    for record_size in [24, 28, 32] {
        for points in [false, true] {
            let maker = Maker { record_size, points, ..Maker::default() }
                .with("198.51.100.0/24", asn(64_500, "Example Net"))
                .with("198.51.100.128/25", asn(64_501, "Example Net"))
                .with("2001:db8::/32", asn(4_200_000_000, "Six Net"));
            let found = owners(&maker);
            assert_eq!(of(&found, "198.51.100.9"), "AS64500 Example Net");
            assert_eq!(of(&found, "198.51.100.200"), "AS64501 Example Net", "the longer network");
            assert_eq!(of(&found, "::ffff:198.51.100.9"), "", "no such network is in the file");
            assert_eq!(of(&found, "2001:db8::1"), "AS4200000000 Six Net");
            assert_eq!(of(&found, "203.0.113.1"), "");
            assert_eq!(of(&found, "2001:db9::1"), "");
            assert_eq!(found.damage(), None);
        }
    }
    let v4 = owners(&Maker { ip_version: 4, ..Maker::default() }.with("198.51.100.0/24", asn(64_500, "Four Net")));
    assert_eq!(of(&v4, "198.51.100.9"), "AS64500 Four Net");
    assert_eq!(of(&v4, "::ffff:198.51.100.9"), "AS64500 Four Net", "an address of IPv4 as IPv6 writes it");
    assert_eq!(of(&v4, "2001:db8::1"), "", "nothing is known of IPv6, and that is no damage");
    assert_eq!(v4.damage(), None);
    let v6 = owners(&Maker::default().with("2001:db8::/32", asn(64_500, "Six Net")));
    assert_eq!((of(&v6, "198.51.100.9"), of(&v6, "2001:db8::1")), (String::new(), "AS64500 Six Net".to_owned()));
}

#[test]
fn fields_of_the_usual_makers_are_known() {
    let iso = |code| map([("names", map([("en", text("Nowhere"))])), ("iso_code", text(code))]);
    assert_eq!(says([("country", iso("de")), ("registered_country", iso("FR"))]), "DE", "GeoLite2");
    assert_eq!(says([("registered_country", iso("FR"))]), "FR");
    assert_eq!(
        says([("asn", text("AS64500")), ("domain", text("net.example")), ("name", text("Net")), ("type", text("isp"))]),
        "AS64500 Net",
        "IPinfo ASN"
    );
    let lite = [("asn", text("AS64500")), ("as_name", text("Net")), ("as_domain", text("net.example"))];
    let [asn, name, domain] = lite.clone();
    assert_eq!(
        says([("country", text("Germany")), ("country_code", text("DE")), asn, name, domain]),
        "AS64500 Net, DE",
        "IPinfo Lite"
    );
    assert_eq!(says([("country", text("US")), ("country_name", text("United States"))]), "US", "IPinfo country");
    assert_eq!(says([("country_name", text("Nowhere"))]), "Nowhere");
    assert_eq!(says([("asn", Value::Number(64_500))]), "AS64500");
    assert_eq!(says([("as_domain", text("net.example"))]), "net.example");
    let traits = map([("autonomous_system_number", Value::Number(64_500)), ("organization", text("Net"))]);
    assert_eq!(says([("traits", traits)]), "AS64500 Net");
    assert_eq!(says([("city", text("Nowhere"))]), "", "nothing that is asked for");
    assert_eq!(says([("asn", Value::Number(0)), ("name", text(""))]), "", "no network has the number 0");
}

#[test]
fn other_types_than_expected_say_nothing() {
    for odd in [
        Value::Flag(true),
        Value::Double(1.5),
        Value::Bytes(vec![1, 2]),
        Value::List(vec![text("AS64500"), Value::Number(1)]),
        map([("iso_code", Value::List(vec![]))]),
        map([]),
        Value::Huge(u128::MAX),
        Value::Small(0),
        Value::Long(u64::MAX),
    ] {
        assert_eq!(says([("asn", odd.clone()), ("country_code", text("DE"))]), "DE", "{odd:?}");
    }
    assert_eq!(says([("country_code", Value::Flag(true)), ("asn", text("AS1x"))]), "");
}

#[test]
fn the_first_file_that_knows_counts_and_there_are_few() {
    let first = Maker::default().with("198.51.100.0/24", asn(64_500, "First"));
    let second = Maker::default()
        .with("198.51.100.0/24", map([("asn", Value::Number(64_501)), ("country", text("DE"))]))
        .with("203.0.113.0/24", asn(64_502, "Second"));
    let mut both = owners(&first).with(second.bytes()).unwrap();
    assert_eq!(of(&both, "198.51.100.9"), "AS64500 First, DE");
    assert_eq!(of(&both, "203.0.113.9"), "AS64502 Second");
    assert_eq!(both.about()[1], ("Test-Owners".to_owned(), 1_793_923_200));
    for _ in 2..MAX_OWNERS_FILES {
        both = both.with(first.bytes()).unwrap();
    }
    assert!(matches!(both.with(first.bytes()), Err(OwnersError::TooMany)));
}

#[test]
fn hostile_texts_are_harmless_and_short() {
    let hostile = "(\u{1b}[2J\u{202e}<script>\n\u{0}=1+1";
    assert_eq!(says([("name", text(hostile))]), "\\027[2J\\u{202e}<script>\\010\\000=1+1");
    let long = says([("name", text(&"é".repeat(400)))]);
    assert_eq!((long.chars().count(), long.ends_with('…')), (64, true), "{long}");
    assert_eq!(says([("country_code", text("(unknown)"))]), "unknown)", "no key that stands for none");
    // Escapes are counted, too.
    assert_eq!(says([("name", text(&"\u{202e}".repeat(60)))]).chars().count(), 64);
}

#[test]
fn a_file_that_is_cut_anywhere_is_an_error() {
    let bytes = Maker::default().with("198.51.100.0/24", asn(64_500, "Example Net")).bytes();
    let marker = bytes.windows(MARKER.len()).rposition(|w| w == MARKER).unwrap();
    for cut in 0..bytes.len() {
        // What is cut within the description, which is last, may still say all that is needed.
        match Owners::default().with(bytes[..cut].to_vec()) {
            Err(error) => assert!(!error.to_string().is_empty()),
            Ok(_) => panic!("cut at {cut} of {}, metadata from {marker}", bytes.len()),
        }
    }
}

#[test]
fn what_is_no_such_file_says_so() {
    let damaged = |bytes: Vec<u8>| Owners::default().with(bytes).unwrap_err().to_string();
    assert!(damaged(Vec::new()).contains("could not find MaxMind DB metadata"), "{}", damaged(Vec::new()));
    assert!(damaged(b"PK\x03\x04".to_vec()).contains("metadata"));
    let huge = Maker { nodes_said: Some(u32::MAX), ..Maker::default() }.with("198.51.100.0/24", asn(1, "x"));
    assert!(damaged(huge.bytes()).contains("search tree"), "{}", damaged(huge.bytes()));
    let odd = Maker { record_size: 20, ..Maker::default() }.with("198.51.100.0/24", asn(1, "x"));
    assert!(damaged(odd.bytes()).contains("record_size"), "{}", damaged(odd.bytes()));
    let seven = Maker { ip_version: 7, ..Maker::default() };
    assert!(damaged(seven.bytes()).contains("ip_version"));
}

#[test]
fn a_damaged_record_says_nothing_and_is_told() {
    let bad = [
        Value::Pointer(0),
        Value::Pointer(4_000_000_000),
        text("no map"),
        Value::List(vec![]),
        Value::Map((0..300).map(|n| (format!("field {n}"), Value::Flag(true))).collect()),
        // A map of maps of maps, each of which is the first one.
        map([("traits", Value::Pointer(0))]),
        // The inner map stands behind nine bytes.
        map([("country", map([("iso_code", Value::Pointer(9))]))]),
    ];
    for value in bad {
        let maker = Maker { points: false, ..Maker::default() }.with("198.51.100.0/24", value.clone());
        let found = owners(&maker);
        assert_eq!(of(&found, "198.51.100.9"), "");
        let damage = found.damage().unwrap_or_default();
        assert!(damage.starts_with("the record of 198.51.100.9: "), "{value:?}: {damage}");
    }
}

#[test]
fn a_tree_in_circles_ends() {
    let bytes = Maker::default().with("198.51.100.0/24", asn(64_500, "Net")).bytes();
    // Every record of the tree leads to the first node again.
    let marker = bytes.windows(16).position(|w| w == [0; 16]).unwrap();
    let mut circle = bytes.clone();
    circle[..marker].fill(0);
    let found = Owners::default().with(circle).unwrap();
    assert_eq!((of(&found, "198.51.100.9"), of(&found, "2001:db8::1")), (String::new(), String::new()));
}

#[test]
fn any_byte_may_be_another_one() {
    let bytes = Maker::default()
        .with("198.51.100.0/24", asn(64_500, "Example Net"))
        .with("2001:db8::/32", map([("country", map([("iso_code", text("DE"))])), ("asn", text("AS64501"))]))
        .bytes();
    for place in 0..bytes.len() {
        for value in [0, 0xff, bytes[place] ^ 1, bytes[place] ^ 0x80] {
            let mut changed = bytes.clone();
            changed[place] = value;
            let Ok(found) = Owners::default().with(changed) else { continue };
            for address in ["198.51.100.9", "2001:db8::1", "203.0.113.1"] {
                let said = of(&found, address);
                assert!(said.chars().count() <= 140 && !said.chars().any(char::is_control), "{place}: {said}");
            }
        }
    }
}
