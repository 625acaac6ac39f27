use super::*;
use crate::time::UnixNanos;

fn flow(port: u16) -> (FlowKey, Flow) {
    let (client, server): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [192, 0, 2, 1].into());
    let flow = Flow::outgoing((client, port).into(), (server, 443).into(), 6, UnixNanos(0));
    (FlowKey::of((&client, port), (&server, 443), 6).0, flow)
}

#[test]
fn both_directions_have_one_key_and_the_families_differ() {
    let (a, b): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "192.0.2.1".parse().unwrap());
    let (up, from) = FlowKey::of((&a, 5000), (&b, 443), 6);
    let (down, back) = FlowKey::of((&b, 443), (&a, 5000), 6);
    assert_eq!((up, from, back), (down, Side::Low, Side::High));
    let (a6, b6): (IpAddr, IpAddr) = ("::a00:1".parse().unwrap(), "::c000:201".parse().unwrap());
    assert_ne!(FlowKey::of((&a6, 5000), (&b6, 443), 6).0, up);
}

#[test]
fn the_table_gives_up_one_sided_flows_first_and_the_oldest_of_them() {
    let mut table = FlowTable::new(3);
    let slots: Vec<u32> = (1..=3)
        .map(|port| {
            let (key, flow) = flow(port);
            table.insert(key, true, flow, port.into())
        })
        .collect();
    assert!(table.is_full());
    table.reclass(slots[0], Class::Stream);
    assert_eq!(table.oldest(), Some(slots[1]));
    table.refresh(slots[1], 9);
    assert_eq!(table.oldest(), Some(slots[2]));
    table.remove(slots[2]).unwrap();
    assert_eq!(table.find(&flow(3).0), None);
    assert_eq!(table.find(&flow(1).0), Some(slots[0]));
    let (key, again) = flow(4);
    assert_eq!(table.insert(key, true, again, 10), slots[2]);
}

#[test]
fn idle_connections_make_way_for_new_flows_and_a_scan_keeps_to_its_share() {
    let mut table = FlowTable::new(16);
    let begin = |table: &mut FlowTable, port: u16| {
        if table.is_full() {
            let oldest = table.oldest().unwrap();
            table.remove(oldest).unwrap();
        }
        let (key, flow) = flow(port);
        table.insert(key, true, flow, port.into())
    };
    for port in 1..=16 {
        let slot = begin(&mut table, port);
        table.reclass(slot, Class::Stream);
    }
    // Two that begin together stay; the connections that were idle longest go.
    begin(&mut table, 100);
    begin(&mut table, 101);
    for (port, there) in [(1, false), (2, false), (3, true), (100, true), (101, true)] {
        assert_eq!(table.find(&flow(port).0).is_some(), there, "{port}");
    }
    (200..300).for_each(|port| _ = begin(&mut table, port));
    let connections = (1..=16).filter(|port| table.find(&flow(*port).0).is_some()).count();
    assert_eq!(connections, 13); // an eighth and one place
    assert!(table.find(&flow(299).0).is_some());
}

#[test]
fn a_flow_expires_after_the_time_out_of_its_class() {
    let mut table = FlowTable::new(9);
    let (key, first) = flow(1);
    let slot = table.insert(key, true, first, 0);
    assert_eq!(table.expired(121 * NANOS_PER_SECOND), Some(slot));
    table.reclass(slot, Class::Stream);
    assert_eq!(table.expired(121 * NANOS_PER_SECOND), None);
    table.refresh(slot, 100 * NANOS_PER_SECOND);
    assert_eq!(table.expired(3700 * NANOS_PER_SECOND), None);
    assert_eq!(table.expired(3701 * NANOS_PER_SECOND), Some(slot));
}
