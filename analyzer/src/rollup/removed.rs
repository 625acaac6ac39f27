//! What the user has removed is in no row: only how much it was, and where it was seen.

use super::{Rollup, Roster, RowKey};
use crate::books::{Endpoint, Interface, Traffic};
use crate::removal::Removals;
use imon_common::flow::Flow;
use imon_common::time::NANOS_PER_SECOND;
use imon_common::work;
use std::collections::{BTreeMap, BTreeSet};

/// Sums of what was removed: by bucket, where it was seen, and kind of traffic.
pub type Taken = BTreeMap<(i64, Interface, Traffic), imon_common::observe::Usage>;

impl Rollup {
    /// Takes out what rules remove. Names of removed clients were not shown to attribution at all;
    /// what is left of them here goes as well.
    pub fn take_out(&mut self, removals: &mut Removals) {
        if removals.is_empty() {
            return;
        }
        let Self { rows, pages, roster, interfaces, removed, carried, met, .. } = self;
        let Roster { endpoints, called } = roster;
        let mut takes = |key: &RowKey| {
            work::step();
            endpoints.get(key.endpoint).is_some_and(|end| removals.takes(*end, key.bucket_s))
        };
        pages.retain(|key, _| !takes(&key.row));
        rows.retain(|key, usage| {
            let is_taken = takes(key);
            if is_taken {
                let interface = interfaces.get(key.interface).cloned().unwrap_or_default();
                removed.entry((key.bucket_s, interface, key.traffic)).or_default().add(*usage);
            }
            !is_taken
        });
        called.retain(|(end, _, _), last| !removals.takes(*end, last.0.div_euclid(NANOS_PER_SECOND)));
        let end = |flow: &Flow| Endpoint { address: flow.client, mac: flow.client_mac };
        carried.retain(|carried| {
            let start_s = carried.flow.start.0.div_euclid(NANOS_PER_SECOND);
            !removals.takes(end(&carried.flow), start_s)
        });
        if !removed.is_empty() {
            // Of hardware addresses, and of no time.
            let mac = |key: &RowKey| endpoints.get(key.endpoint)?.mac;
            let left: BTreeSet<_> = rows.keys().filter_map(mac).collect();
            met.retain(|(mac, _), _| left.contains(mac));
        }
    }
}
