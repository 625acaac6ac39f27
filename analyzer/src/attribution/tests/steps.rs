//! Names that lead to other names without an address, and cards that have several addresses.

use super::*;

/// A reply of DNS at this millisecond: the name, where it leads, and the address, if there is one.
type Reply<'a> = (i64, &'a str, &'a str, Option<(&'a str, RecordKind)>);

/// Where a flow of `ME` to `SERVER` at 10 s is booked after these replies.
fn after(replies: &[Reply<'_>]) -> String {
    let mut attributor = Attributor::new(AnswerBook::default(), Verdicts::default());
    let lookup = Flow { number: 1, server_port: 53, ..flow(ME, None, "192.0.2.53", 0) };
    for (ms, host, target, answer) in replies {
        let record =
            |&(server, record): &(&str, RecordKind)| AnswerAddress { address: address(server), ttl_s: 60, record };
        let chain = if target.is_empty() { Vec::new() } else { vec![name(target)] };
        let kind = if answer.is_some() { NameKind::Dns } else { NameKind::DnsEmpty };
        let addresses = answer.iter().map(record).collect();
        let (ts, name) = (UnixNanos(ms * 1_000_000), Name::from_presentation(host).unwrap());
        let Ok(()) = attributor
            .name(&lookup, &NameSeen { ts, kind, name, chain, addresses, asker_is_server: false, relayed: false });
    }
    let usage = Usage { up_packets: 1, up_bytes: 100, ..Usage::default() };
    let Ok(()) = attributor.usage(&flow(ME, None, SERVER, 10), UnixNanos(10 * SECOND), usage);
    attributor.finish().0.pop().unwrap().host.to_string()
}

#[test]
fn who_is_led_to_another_name_and_asks_for_it_meant_the_first() {
    let told = Some((SERVER, RecordKind::A));
    let step = (9_000, "www.shop.com", "shop.cdn.net", None);
    assert_eq!(after(&[step, (9_100, "shop.cdn.net", "", told)]), "www.shop.com");
    // Step by step, as a resolver that asks authorities.
    let more = (9_050, "shop.cdn.net", "edge.host.org", None);
    assert_eq!(after(&[step, more, (9_100, "edge.host.org", "", told)]), "www.shop.com");
    // Hints are no addresses to rely on: the target is asked for all the same.
    let hinted = (9_000, "www.shop.com", "shop.cdn.net", Some(("198.51.100.99", RecordKind::Hint)));
    assert_eq!(after(&[hinted, (9_100, "shop.cdn.net", "", told)]), "www.shop.com");
    // A name of the same site may be asked for by itself: browsers are sent from one to the other.
    assert_eq!(after(&[(9_000, "shop.com", "www.shop.com", None), (9_100, "www.shop.com", "", told)]), "www.shop.com");
    // Much later it is asked for by itself; so it is where the first answer had an address.
    assert_eq!(
        after(&[(1_000, "www.shop.com", "shop.cdn.net", None), (9_100, "shop.cdn.net", "", told)]),
        "shop.cdn.net"
    );
    let whole = (9_000, "www.shop.com", "shop.cdn.net", Some(("198.51.100.99", RecordKind::A)));
    assert_eq!(after(&[whole, (9_100, "shop.cdn.net", "", told)]), "shop.cdn.net");
    assert_eq!(
        after(&[(9_100, "shop.cdn.net", "", told), (9_200, "www.shop.com", "shop.cdn.net", None)]),
        "shop.cdn.net"
    );
}

#[test]
fn the_root_is_no_host() {
    assert_eq!(after(&[(9_000, ".", "", Some((SERVER, RecordKind::A)))]), SERVER);
}

#[test]
fn what_the_flows_own_address_was_told_comes_before_what_others_of_its_card_were() {
    let other = "192.168.1.6";
    let one = (ME, Some(7), 8, "one.example", SERVER);
    let two = (other, Some(7), 9, "two.test", SERVER);
    check(&[one, two], &flow(ME, Some(7), SERVER, 9), "one.example", Evidence::Dns);
    check(&[one, two], &flow(other, Some(7), SERVER, 9), "two.test", Evidence::Dns);
    // A device that changed its address, or asks over another family, is one.
    check(&[two], &flow(ME, Some(7), SERVER, 9), "two.test", Evidence::Dns);
    check(
        &[("fd00::5", Some(7), 9, "six.example", SERVER)],
        &flow(ME, Some(7), SERVER, 9),
        "six.example",
        Evidence::Dns,
    );
    // What it was told hours ago is not lately.
    let old = (ME, Some(7), 8 - 7_200, "one.example", SERVER);
    check(&[old, two], &flow(ME, Some(7), SERVER, 9), "two.test", Evidence::Dns);
}
