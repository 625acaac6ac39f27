//! What two sources hold counts once.

use super::{Rollup, RowKey};
use crate::attribution::Overlaps;
use crate::books::Overlap;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::observe::Usage;
use imon_common::work;
use std::collections::BTreeMap;

/// Takes what other sources hold out of the rows, where the sources overlap. Parts of a row that
/// pages pulled in become smaller as the row does.
pub(super) fn leave_out(rollup: &mut Rollup, overlaps: &Overlaps) {
    let mut changed: HashMap<RowKey, (Usage, Usage), RandomState> = HashMap::default();
    for ((key, source, of), doubled) in std::mem::take(&mut rollup.doubled) {
        work::step();
        if !overlaps.is_overlap(of, source) {
            continue;
        }
        let Some(row) = rollup.rows.get_mut(&key) else { continue };
        let (before, out) = (*row, each(*row, doubled, u64::min));
        *row = each(*row, out, |a, b| a - b);
        changed.entry(key).or_insert((before, before)).1 = *row;
        let name = |source| overlaps.label(source).to_owned();
        let sums = rollup.left_out.entry((key.bucket_s, name(source), name(of))).or_default();
        sums.0 = sums.0.saturating_add(out.up_packets).saturating_add(out.down_packets);
        sums.1 = sums.1.saturating_add(out.bytes());
    }
    if changed.is_empty() {
        return;
    }
    rollup.rows.retain(|key, usage| *usage != Usage::default() || !changed.contains_key(key));
    rollup.pages.retain(|key, part| {
        let Some((before, after)) = changed.get(&key.row) else { return true };
        let left = each(*before, *after, |before, after| if before == 0 { 0 } else { after });
        *part = Usage {
            up_packets: share(part.up_packets, left.up_packets, before.up_packets),
            down_packets: share(part.down_packets, left.down_packets, before.down_packets),
            up_bytes: share(part.up_bytes, left.up_bytes, before.up_bytes),
            down_bytes: share(part.down_bytes, left.down_bytes, before.down_bytes),
        };
        *part != Usage::default()
    });
}

/// `part` of `before`, made smaller as `before` became `after`.
fn share(part: u64, after: u64, before: u64) -> u64 {
    let scaled = u128::from(part) * u128::from(after) / u128::from(before.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// Each amount of two usages.
fn each(a: Usage, b: Usage, of: impl Fn(u64, u64) -> u64) -> Usage {
    Usage {
        up_packets: of(a.up_packets, b.up_packets),
        down_packets: of(a.down_packets, b.down_packets),
        up_bytes: of(a.up_bytes, b.up_bytes),
        down_bytes: of(a.down_bytes, b.down_bytes),
    }
}

impl Rollup {
    /// What is in no row because another source holds it, of buckets that `in_range` takes.
    pub(super) fn overlaps(&self, in_range: impl Fn(i64) -> bool) -> Vec<Overlap> {
        let mut sums: BTreeMap<(&str, &str), (u64, u64)> = BTreeMap::new();
        for ((_, source, of), (packets, bytes)) in self.left_out.iter().filter(|((bucket, ..), _)| in_range(*bucket)) {
            let sum = sums.entry((source, of)).or_default();
            *sum = (sum.0.saturating_add(*packets), sum.1.saturating_add(*bytes));
        }
        let overlap = |((source, of), (packets, bytes)): ((&str, &str), (u64, u64))| Overlap {
            source: source.to_owned(),
            of: of.to_owned(),
            packets,
            bytes,
        };
        sums.into_iter().map(overlap).collect()
    }
}
