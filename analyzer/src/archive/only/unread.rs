//! What was not read, summed up.

use crate::archive::read::{Broken, OTHER_NAMES, Table};
use crate::archive::sheets::{DAY_S, class};
use crate::archive::text;
use crate::archive::write::DaySum;
use crate::books::month::Month;
use crate::books::{Blind, Evidence, Host, Row, Traffic};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::names::Name;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What was not read, summed up.
pub(in crate::archive) struct Unread {
    /// The whole UTC days of the range: of those ledgers have sums.
    pub(super) days: (i64, i64),
    /// Packets and bytes of classes of rows, and of hosts that carry tunnels.
    sums: BTreeMap<([u8; 4], String), [i128; 2]>,
    /// The same of rows that carry no tunnel, by class.
    of_class: HashMap<[u8; 4], [i128; 2], RandomState>,
}

impl Unread {
    pub(in crate::archive) fn new((from_s, to_s): (i64, i64)) -> Self {
        let up = from_s.checked_add(DAY_S - 1).map_or(i64::MIN, |s| s.div_euclid(DAY_S) * DAY_S);
        let first = if from_s == i64::MIN { i64::MIN } else { up };
        let end = if to_s == i64::MAX { i64::MAX } else { to_s.div_euclid(DAY_S) * DAY_S };
        // A range within a day has no whole one.
        let days = if first < end { (first, end) } else { (from_s, from_s) };
        Self { days, sums: BTreeMap::new(), of_class: HashMap::default() }
    }

    /// The whole days of the range, in seconds; none: the second is no later than the first.
    pub(in crate::archive) fn days(&self) -> (i64, i64) {
        self.days
    }

    /// Whether all of a month is of whole days.
    pub(in crate::archive) fn has_whole(&self, month: Month) -> bool {
        let (first, end) = month.seconds();
        self.days.0 <= first && end <= self.days.1
    }

    /// Reads rows of which no ledger has the sums: each counts by itself.
    pub(in crate::archive) fn unsummed<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let days = std::mem::replace(&mut self.days, (i64::MIN, i64::MIN));
        let done = read(self);
        self.days = days;
        done
    }

    /// A row that a database holds and that nobody asks for.
    pub(in crate::archive) fn open_row(&mut self, row: &Row, host: Option<&Host>) {
        self.unsummed(|unread| unread.row(row, host, false));
    }

    /// Adds what a ledger has of whole days.
    pub(in crate::archive) fn sums(&mut self, ledger: &Table) -> Result<(), Broken> {
        let days = self.days;
        ledger.day_sums(days, &mut |DaySum { class, carrier, packets, bytes, .. }| {
            self.add((class, carrier), [packets.into(), bytes.into()]);
        })
    }

    fn add(&mut self, key: ([u8; 4], String), amounts: [i128; 2]) {
        add(self.sums.entry(key).or_default(), amounts);
    }

    /// A row of the range: `asked`: it is in the books by itself.
    #[inline]
    pub(super) fn row(&mut self, row: &Row, host: Option<&Host>, is_asked: bool) {
        let is_summed = row.bucket_s >= self.days.0 && row.bucket_s < self.days.1;
        if is_summed != is_asked {
            return;
        }
        let [up_bytes, down_bytes, up_packets, down_packets] = row.amounts().map(i128::from);
        let sign = if is_asked { -1 } else { 1 };
        let amounts = [sign * (up_packets + down_packets), sign * (up_bytes + down_bytes)];
        match row.blind == Some(Blind::Tunnel) {
            true => self.add((class(row, host), host.map(text::of_host).unwrap_or_default()), amounts),
            false => add(self.of_class.entry(class(row, host)).or_default(), amounts),
        }
    }

    /// Rows of it, whose hosts follow `hosts` others, and these hosts.
    pub(in crate::archive) fn rows(mut self, hosts: usize) -> (Vec<Row>, Vec<Host>) {
        for (class, amounts) in std::mem::take(&mut self.of_class) {
            self.add((class, String::new()), amounts);
        }
        let (mut rows, mut added) = (Vec::new(), Vec::new());
        for (([evidence, traffic, blind, named], carrier), [packets, bytes]) in self.sums {
            let amount = |of: i128| u64::try_from(of.max(0)).unwrap_or(u64::MAX);
            let (Some(evidence), Some(traffic)) = (Evidence::from_number(evidence), Traffic::from_number(traffic))
            else {
                continue;
            };
            if packets <= 0 && bytes <= 0 {
                continue;
            }
            let nobody = || match named {
                0 => Some(Host::Address(IpAddr::from([0, 0, 0, 0]))),
                _ => Name::from_presentation(OTHER_NAMES).map(Host::Name),
            };
            let Some(host) = text::to_host(&carrier, named != 0).or_else(nobody) else { continue };
            let place = u32::try_from(hosts.saturating_add(added.len())).unwrap_or(u32::MAX);
            added.push(host);
            rows.push(Row {
                bucket_s: 0,
                host: place,
                device: 0,
                evidence,
                traffic,
                candidates: None,
                blind: Blind::from_number(blind),
                interface: 0,
                source: 0,
                up_bytes: amount(bytes),
                down_bytes: 0,
                up_packets: amount(packets),
                down_packets: 0,
            });
        }
        (rows, added)
    }
}

fn add(sums: &mut [i128; 2], amounts: [i128; 2]) {
    sums.iter_mut().zip(amounts).for_each(|(sum, amount)| *sum = sum.saturating_add(amount));
}
