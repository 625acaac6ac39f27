//! Which pages pulled in what is in the cells: parts of cells, beside them. A cell stays whole, so
//! that whoever does not ask for pages sees what was always there.

use super::cells::{Amount, Begins, Bytes};
use crate::attribution::FlowId;
use crate::books::{Host, Sureness};
use crate::rollup::Interner;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::names::Name;

/// Parts of flows that are over. What comes beyond stays on its own site.
const MAX_SETTLED: usize = 32_768;

/// Pages of a period. A home reads some thousands in a month; a device that makes hosts up gets no
/// more memory than this, and what comes beyond stays on its own site.
const MAX_PAGES: usize = 16_384;

/// Who pulled bytes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct On {
    /// Index into [`Paged::pages`]: the host of the page's document; `None` where no page did.
    pub page: Option<u32>,
    /// How sure.
    pub sureness: Sureness,
}

/// A part of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Part {
    /// What was moved.
    pub amount: Amount,
    /// Of today: what can still change its page, or its name.
    pub open: u64,
    /// Of these the ones that are among [`super::cells::Cell::open`].
    pub unnamed: u64,
}

impl Part {
    /// Adds.
    pub fn add(&mut self, other: Self) {
        self.amount.add(other.amount);
        self.open = self.open.saturating_add(other.open);
        self.unnamed = self.unnamed.saturating_add(other.unnamed);
    }
}

/// A flow that is not over.
#[derive(Debug, Clone, Default)]
pub struct FlowParts {
    /// Its cell.
    pub cell: u32,
    /// Who pulled its bytes in; `None`: they belong to a visit of their own site.
    pub parts: Vec<(Option<On>, Part)>,
    /// Who pulled in the latest ones: what the flow moves from now on is taken to go there as well.
    pub latest: Option<On>,
}

impl FlowParts {
    /// Adds to a part.
    pub fn add(&mut self, on: Option<On>, part: Part) {
        match self.parts.iter_mut().find(|(known, _)| *known == on) {
            Some((_, known)) => known.add(part),
            None => self.parts.push((on, part)),
        }
    }
}

/// What was found when it was looked for.
#[derive(Debug, Default)]
pub struct SoFar {
    /// Flows that are not over.
    pub flows: HashMap<FlowId, FlowParts, RandomState>,
    /// Bytes of the last minute, by second and cell.
    pub seconds: HashMap<(i64, u32), Vec<(On, Bytes)>, RandomState>,
}

impl SoFar {
    /// Bytes of a cell passed in a second.
    pub fn passed(&mut self, at: (i64, u32), on: On, bytes: Bytes) {
        let parts = self.seconds.entry(at).or_default();
        match parts.iter_mut().find(|(known, _)| *known == on) {
            Some((_, known)) => known.add(bytes),
            None => parts.push((on, bytes)),
        }
    }
}

/// Parts of cells.
#[derive(Debug, Default)]
pub struct Paged {
    /// Hosts of documents.
    pub pages: Interner<Host>,
    /// Of flows that are over.
    settled: HashMap<(u32, On), Amount, RandomState>,
    /// Of the others; `None` until somebody looks at pages.
    pub so_far: Option<SoFar>,
}

impl Paged {
    /// A page, by the host of its document; `None` of what is no name, and where there is no room.
    pub fn page(&mut self, host: &str) -> Option<u32> {
        self.page_of(&Host::Name(Name::from_presentation(host)?))
    }

    /// The same, of a host of the books.
    pub fn page_of(&mut self, host: &Host) -> Option<u32> {
        let has_room = self.pages.values().len() < MAX_PAGES || self.pages.contains(host);
        has_room.then(|| self.pages.index_of(host))
    }

    /// Adds what is settled of a cell.
    pub fn settle(&mut self, cell: u32, on: On, amount: Amount) {
        if self.settled.len() < MAX_SETTLED || self.settled.contains_key(&(cell, on)) {
            self.settled.entry((cell, on)).or_default().add(amount);
        }
    }

    /// A flow is over: what it moved is settled, or on its own site.
    pub fn is_over(&mut self, flow: FlowId) {
        if let Some(so_far) = &mut self.so_far {
            so_far.flows.remove(&flow);
        }
    }

    /// A flow is of another cell than was thought.
    pub fn is_of(&mut self, flow: FlowId, cell: u32) {
        if let Some(known) = self.so_far.as_mut().and_then(|so_far| so_far.flows.get_mut(&flow)) {
            known.cell = cell;
        }
    }

    /// A flow began since pages were looked at: it is on its own site until then.
    pub fn began(&mut self, flow: FlowId, cell: u32, part: Part) {
        if let Some(so_far) = &mut self.so_far {
            let known = so_far.flows.entry(flow).or_insert_with(|| FlowParts { cell, ..FlowParts::default() });
            known.add(None, part);
        }
    }

    /// A flow moved more since it was looked at.
    pub fn moved(&mut self, flow: FlowId, second: i64, bytes: Bytes, part: Part) {
        let Some(so_far) = &mut self.so_far else { return };
        let Some(known) = so_far.flows.get_mut(&flow) else { return };
        let (cell, latest) = (known.cell, known.latest);
        known.add(latest, part);
        if let Some(on) = latest {
            so_far.passed((second, cell), on, bytes);
        }
    }

    /// Parts by cell, in an order that does not depend on how they came.
    pub fn by_cell(&self) -> HashMap<u32, Vec<(Option<On>, Part)>, RandomState> {
        let mut all: HashMap<u32, FlowParts, RandomState> = HashMap::default();
        for ((cell, on), amount) in &self.settled {
            all.entry(*cell).or_default().add(Some(*on), Part { amount: *amount, ..Part::default() });
        }
        for flow in self.so_far.iter().flat_map(|so_far| so_far.flows.values()) {
            let of_cell = all.entry(flow.cell).or_default();
            flow.parts.iter().for_each(|(on, part)| of_cell.add(*on, *part));
        }
        let sorted = all.into_iter().map(|(cell, mut of_cell)| {
            of_cell.parts.sort_unstable_by_key(|(on, _)| *on);
            (cell, of_cell.parts)
        });
        sorted.collect()
    }

    /// Parts of what passed in a second, by cell.
    pub fn in_second(&self, at: i64, cell: u32) -> &[(On, Bytes)] {
        self.so_far.as_ref().and_then(|so_far| so_far.seconds.get(&(at, cell))).map_or(&[], Vec::as_slice)
    }

    /// Seconds that are kept: after the first, up to the second. Pages are looked for again and
    /// again, but not while rows are held on to.
    pub fn keep(&mut self, (from, to): (i64, i64)) {
        if let Some(so_far) = &mut self.so_far {
            so_far.seconds.retain(|(second, _), _| from < *second && *second <= to);
        }
    }

    /// A new day begins: what was of today is not any more.
    pub fn begin_day(&mut self, begins: Begins) {
        self.settled.values_mut().for_each(|amount| amount.begin_day(begins));
        self.so_far = None;
    }

    /// A new period begins, in which cells have other numbers, or are gone. Parts in which nothing
    /// is left go, and pages without any.
    pub fn begin_period(&mut self, begins: Begins, stay: &HashMap<u32, u32, RandomState>) {
        let before = std::mem::take(self);
        for ((cell, on), mut amount) in before.settled {
            amount.begin_period(begins);
            let Some(cell) = stay.get(&cell).filter(|_| amount != Amount::default()) else { continue };
            let page = on.page.and_then(|page| before.pages.get(page)).map(|host| self.pages.index_of(host));
            self.settle(*cell, On { page, ..on }, amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: On = On { page: None, sureness: Sureness::Background };

    #[test]
    fn parts_that_are_settled_have_a_bound() {
        let mut paged = Paged::default();
        let some = Amount { today: Bytes { up: 1, down: 1 }, ..Amount::default() };
        for cell in (0..MAX_SETTLED as u32 + 9).chain([7]) {
            paged.settle(cell, NOBODY, some);
        }
        assert_eq!(paged.settled.len(), MAX_SETTLED);
        assert_eq!(paged.settled[&(7, NOBODY)].today, Bytes { up: 2, down: 2 }, "what is there grows");
    }

    #[test]
    fn parts_go_along_with_their_flow_until_it_is_over() {
        let mut paged = Paged { so_far: Some(SoFar::default()), ..Paged::default() };
        let flow = FlowId::default();
        let cells = |paged: &Paged| paged.by_cell().into_keys().collect::<Vec<_>>();
        paged.began(flow, 1, Part { open: 5, ..Part::default() });
        assert_eq!(cells(&paged), [1]);
        paged.is_of(flow, 2);
        assert_eq!(cells(&paged), [2]);
        paged.is_over(flow);
        assert!(cells(&paged).is_empty());
    }

    #[test]
    fn pages_that_are_made_up_cost_no_more_than_there_is_room_for() {
        let mut paged = Paged::default();
        let mut page = |n: usize| paged.page(&format!("page{n}.example"));
        assert!((0..MAX_PAGES).all(|n| page(n).is_some()));
        assert_eq!([page(MAX_PAGES), page(7)], [None, Some(7)]);
        assert_eq!(paged.pages.values().len(), MAX_PAGES);
    }
}
