//! Where in a pool is what rows point to that come from elsewhere: from the database, or from a
//! pool that another thread filled.

use super::read::{Pool, Wanted, stand_in};
use crate::books::{Blind, Books, Host, Interface, PageRow, Row};

/// What rows point to, by index.
pub(super) struct Pointed<'b> {
    hosts: &'b [Host],
    candidate_sets: &'b [Vec<u32>],
    interfaces: &'b [Interface],
    /// Identities.
    sources: Vec<&'b Vec<u8>>,
}

impl<'b> Pointed<'b> {
    pub(super) fn of_books(books: &'b Books) -> Self {
        Self {
            hosts: &books.hosts,
            candidate_sets: &books.candidate_sets,
            interfaces: &books.interfaces,
            sources: books.sources.iter().map(|source| &source.identity).collect(),
        }
    }

    pub(super) fn of_pool(pool: &'b Pool) -> Self {
        Self {
            hosts: pool.hosts.values(),
            candidate_sets: pool.candidate_sets.values(),
            interfaces: pool.interfaces.values(),
            sources: pool.sources.values().iter().collect(),
        }
    }
}

/// The places in a pool, by index.
#[derive(Default)]
pub(super) struct Places {
    hosts: Vec<u32>,
    sets: Vec<u32>,
    interfaces: Vec<u32>,
    sources: Vec<u32>,
    /// What stands for hosts that are no names, and for names.
    stand_ins: [Option<u32>; 2],
}

impl Places {
    /// Takes in what there is more than is known.
    pub(super) fn learn(&mut self, of: &Pointed<'_>, pool: &mut Pool) {
        let Self { hosts, sets, interfaces, sources, .. } = self;
        hosts.extend(of.hosts.iter().skip(hosts.len()).map(|host| pool.hosts.index_of(host)));
        let set = |set: &Vec<u32>| {
            let mut set: Vec<u32> = set.iter().filter_map(|host| hosts.get(*host as usize).copied()).collect();
            set.sort_unstable();
            pool.candidate_sets.index_of(&set)
        };
        sets.extend(of.candidate_sets.iter().skip(sets.len()).map(set));
        let new = of.interfaces.iter().skip(interfaces.len());
        interfaces.extend(new.map(|interface| pool.interfaces.index_of(interface)));
        let new = of.sources.iter().skip(sources.len());
        sources.extend(new.map(|identity| pool.sources.index_of(identity)));
    }

    /// What stands for the row's host where hosts are not told apart.
    pub(super) fn stand_in(&mut self, row: &Row, (books, wanted): (&Books, Wanted), pool: &mut Pool) -> Option<u32> {
        if wanted.hosts || row.blind == Some(Blind::Tunnel) {
            return None;
        }
        let named = matches!(books.hosts.get(row.host as usize)?, Host::Name(_));
        let known = self.stand_ins.get_mut(usize::from(named))?;
        Some(*known.get_or_insert_with(|| pool.hosts.index_of(&stand_in(named))))
    }

    /// The row with places for indices.
    pub(super) fn row(&self, row: &Row) -> Row {
        Row {
            host: at(&self.hosts, row.host),
            candidates: row.candidates.map(|set| at(&self.sets, set)),
            interface: at(&self.interfaces, row.interface),
            source: at(&self.sources, row.source),
            ..*row
        }
    }

    pub(super) fn part(&self, part: &PageRow) -> PageRow {
        PageRow {
            row: self.row(&part.row),
            page: at(&self.hosts, part.page),
            rival: part.rival.map(|rival| at(&self.hosts, rival)),
            ..*part
        }
    }
}

/// The place of an index.
pub(super) fn at(places: &[u32], index: u32) -> u32 {
    places.get(index as usize).copied().unwrap_or_default()
}
