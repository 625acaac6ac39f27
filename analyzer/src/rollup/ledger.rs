//! The ledger of rows and counts.

use crate::books::carriers::{self, Carrier};
use crate::books::{Blind, Evidence, Exported, Gap, Host, Ledger, Row, Traffic};
use imon_common::observe::{Count, Counter, ExportFault};
use imon_common::wire::NotIp;
use std::collections::{BTreeMap, BTreeSet};

/// Carriers that a ledger names. A machine has one or two.
const MAX_CARRIERS_NAMED: usize = 100;

/// Adds to a sum of a ledger. Sums that no counter can hold are not traffic but damage: they stay
/// at the highest number.
fn add(sum: &mut u64, n: u64) {
    *sum = sum.saturating_add(n);
}

/// The ledger of some rows and counts.
pub fn ledger(rows: &[Row], hosts: &[Host], counts: impl Iterator<Item = Count>, gaps: Vec<Gap>) -> Ledger {
    let mut ledger = Ledger { gaps, ..Ledger::default() };
    let mut tunnels: BTreeSet<&Host> = BTreeSet::new();
    for row in rows {
        let bytes = row.up_bytes.saturating_add(row.down_bytes);
        add(&mut ledger.ip_packets, row.up_packets.saturating_add(row.down_packets));
        add(&mut ledger.ip_bytes, bytes);
        match row.traffic {
            Traffic::Local => add(&mut ledger.local_bytes, bytes),
            Traffic::Served => add(&mut ledger.served_bytes, bytes),
            _ if row.evidence == Evidence::Infra => add(&mut ledger.infrastructure_bytes, bytes),
            _ if matches!(hosts.get(row.host as usize), Some(Host::Name(_))) => add(&mut ledger.named_bytes, bytes),
            _ => {
                add(&mut ledger.address_only_bytes, bytes);
                // A reason that only a newer version knows is none here: the parts sum up all the
                // same.
                ledger.address_only_by.add(row.blind.unwrap_or(Blind::NoName), bytes);
            }
        }
        if let Some(blind) = row.blind {
            ledger.blind_spots.add(blind, bytes);
        }
        if row.blind == Some(Blind::Tunnel)
            && let Some(host) = hosts.get(row.host as usize)
            && !tunnels.contains(host)
            && tunnels.len() < MAX_CARRIERS_NAMED
        {
            tunnels.insert(host);
        }
    }
    ledger.tunnels = tunnels.into_iter().map(Host::to_string).collect();
    let mut carriers: BTreeMap<NotIp, (u64, u64)> = BTreeMap::new();
    let mut exported: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    let mut faults: BTreeMap<ExportFault, (u64, u64)> = BTreeMap::new();
    for Count { counter, packets, bytes } in counts {
        match counter {
            Counter::NotIp(kind) => {
                add(&mut ledger.non_ip_packets, packets);
                let sum = carriers.entry(kind).or_default();
                *sum = (sum.0.saturating_add(packets), sum.1.saturating_add(bytes));
            }
            Counter::LengthFromFrame => {
                add(&mut ledger.length_from_frame_packets, packets);
                add(&mut ledger.length_from_frame_bytes, bytes);
            }
            Counter::NotAHost => add(&mut ledger.not_hosts, packets),
            Counter::Unsaved => {
                ledger.unsaved_packets = ledger.unsaved_packets.saturating_add(packets);
                ledger.unsaved_bytes = ledger.unsaved_bytes.saturating_add(bytes);
            }
            Counter::Undecodable(_) => {
                add(&mut ledger.undecodable_packets, packets);
                add(&mut ledger.undecodable_bytes, bytes);
            }
            Counter::KernelDropped | Counter::InterfaceDropped => {
                add(ledger.capture_dropped_packets.get_or_insert(0), packets);
            }
            Counter::KernelReceived => _ = ledger.capture_dropped_packets.get_or_insert(0),
            Counter::InterfaceReceived | Counter::InterfaceSent => add(ledger.interface_bytes.get_or_insert(0), bytes),
            Counter::Copy => {
                add(&mut ledger.copies_packets, packets);
                add(&mut ledger.copies_bytes, bytes);
            }
            Counter::Carried(_) => {
                add(&mut ledger.copies_bytes, bytes);
                add(&mut ledger.carried_bytes, bytes);
            }
            Counter::Exported(rate) => {
                let sum = exported.entry(rate).or_default();
                *sum = (sum.0.saturating_add(packets), sum.1.saturating_add(bytes));
            }
            Counter::Export(fault) => {
                let sum = faults.entry(fault).or_default();
                *sum = (sum.0.saturating_add(packets), sum.1.saturating_add(bytes));
            }
            _ => {}
        }
    }
    let of_rate = |(rate, (packets, bytes))| Exported { rate, packets, bytes };
    ledger.exported = exported.into_iter().map(of_rate).collect();
    ledger.export_faults = faults.into_iter().map(|(fault, (cases, bytes))| (fault, cases, bytes)).collect();
    let carrier = |(kind, (packets, bytes))| Carrier { kind: Some(kind), packets, bytes };
    ledger.carriers = carriers::listed(carriers.into_iter().map(carrier).collect());
    add(&mut ledger.ip_bytes, ledger.undecodable_bytes);
    for packets in [ledger.ip_packets, ledger.non_ip_packets, ledger.undecodable_packets, ledger.copies_packets] {
        add(&mut ledger.packets, packets);
    }
    ledger
}
