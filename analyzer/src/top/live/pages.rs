//! Which pages pulled in what is recorded now.
//!
//! A page is settled ten minutes after the bytes passed, as what comes meanwhile teaches. Until
//! then the attribution is asked what it would book if nothing more came. That is work for all of
//! the last ten minutes, so whoever looks says when. What a flow moves until the next time is taken
//! to go where its latest bytes went.

use super::Live;
use crate::attribution::{FlowId, Pulled, SoFar as Verdict};
use crate::books::{Books, Sureness};
use crate::report::page_parts;
use crate::rollup::Endpoint;
use crate::top::cells::{Bytes, Kind, RECENT_S, Shared};
use crate::top::paged::{FlowParts, On, Part, SoFar};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use std::collections::HashSet;
use std::sync::Arc;

/// The cell of a flow, and whether its name can still change; `None` where no page can pull it in.
type Cell = Option<(u32, bool)>;

impl Live {
    /// Whether pages were looked at in this day and period.
    pub fn knows_pages(&self) -> bool {
        self.cells.paged.so_far.is_some()
    }

    /// Nobody looks at pages any more.
    pub fn forget_pages(&mut self) {
        self.cells.paged.so_far = None;
    }

    /// Finds out which pages pulled in what, by what is known by now.
    pub fn look_at_pages(&mut self) {
        let mut so_far = SoFar::default();
        let mut cells: HashMap<FlowId, Cell, RandomState> = HashMap::default();
        for pulled in self.attributor.pulled_so_far() {
            let cell = *cells.entry(pulled.flow).or_insert_with(|| self.cell_to_pull(pulled.flow));
            if let Some(cell) = cell {
                self.pulled(&mut so_far, &pulled, cell);
            }
        }
        self.cells.paged.so_far = Some(so_far);
    }

    fn cell_to_pull(&mut self, id: FlowId) -> Cell {
        self.look_at(id);
        let (_, Verdict { verdict, .. }) = self.attributor.so_far(id)?;
        if !self.attributor.can_be_pulled_in(id, &verdict) {
            return None;
        }
        let (cell, _, open) = self.cell_of(id)?;
        Some((cell, open))
    }

    fn pulled(&mut self, so_far: &mut SoFar, pulled: &Pulled, (cell, open): (u32, bool)) {
        let Some(on) = self.on(pulled.sureness, pulled.page.as_ref()) else { return };
        let bytes = Bytes::from(pulled.usage);
        let amount = self.part(pulled.at, bytes);
        let of_today = amount.today.sum();
        let part = Part {
            amount,
            open: if open || pulled.waits { of_today } else { 0 },
            unnamed: if open { of_today } else { 0 },
        };
        let flow = so_far.flows.entry(pulled.flow).or_insert_with(|| FlowParts { cell, ..FlowParts::default() });
        flow.add(on, part);
        if !pulled.waits {
            return;
        }
        flow.latest = on;
        let second = pulled.at.0.div_euclid(NANOS_PER_SECOND);
        if let Some(on) = on.filter(|_| self.now.saturating_sub(second) <= RECENT_S) {
            so_far.passed((second, cell), on, bytes);
        }
    }

    /// Who pulled bytes in, as the sums have it: `None` in it is a visit of the own site, and
    /// without it there is a page that is no name.
    fn on(&mut self, sureness: Option<Sureness>, page: Option<&Arc<str>>) -> Option<Option<On>> {
        let Some(sureness) = sureness else { return Some(None) };
        let page = match page {
            Some(host) => Some(self.cells.paged.page(host)?),
            None => None,
        };
        Some(Some(On { page, sureness }))
    }

    /// Takes what pages pulled in of flows that are over.
    pub(super) fn hear_of_pages(&mut self) {
        for ((host, client, kind), parts) in std::mem::take(&mut self.attributor.ledger.pulled) {
            let cell = self.cells.at(&host, client, kind);
            for part in parts {
                let at = UnixNanos(part.share.bucket_s().saturating_mul(NANOS_PER_SECOND));
                if let Some(Some(on)) = self.on(Some(part.sureness), part.page.as_ref()) {
                    let amount = self.part(at, part.share.usage.into());
                    self.cells.paged.settle(cell, on, amount);
                }
            }
        }
    }

    /// Adds what the store holds of pages, but for those of `followed` sources.
    pub(super) fn add_pages(
        &mut self,
        books: &Books,
        followed: &HashSet<Vec<u8>>,
        end_of: &HashMap<u32, Endpoint, RandomState>,
    ) {
        let is_followed =
            |source: u32| books.sources.get(source as usize).is_some_and(|s| followed.contains(&s.identity));
        for part in page_parts(books) {
            let row = &part.row;
            let (Some(host), Some(end)) = (books.hosts.get(row.host as usize), end_of.get(&row.device)) else {
                continue;
            };
            if is_followed(row.source) {
                continue;
            }
            let share = if row.candidates.is_some() { Shared::Yes } else { Shared::No };
            let kind = Kind { evidence: row.evidence, traffic: row.traffic, share };
            let cell = self.cells.at(host, *end, kind);
            let page = books.hosts.get(part.page as usize).filter(|_| part.sureness != Sureness::Background);
            let page = match page.map(|host| self.cells.paged.page_of(host)) {
                Some(None) => continue, // no room for one more page: it stays on its own site
                found => found.flatten(),
            };
            let at = UnixNanos(row.bucket_s.saturating_mul(NANOS_PER_SECOND));
            let amount = self.part(at, Bytes { up: row.up_bytes, down: row.down_bytes });
            self.cells.paged.settle(cell, On { page, sureness: part.sureness }, amount);
        }
    }
}
