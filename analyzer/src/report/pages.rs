//! `--by page`: the strict rows, with what pages pulled in booked on the page.
//!
//! Every byte of the strict view stands in exactly one row here, so both views have the same total.
//! A part that is not sure counts as shared between the page and whoever else could have moved it:
//! the rival page, or its own site.

use crate::books::{Books, PageRow, Row, Sureness};
use crate::error::shown;
use crate::site::Sites;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a page's bytes are made of. The confidence classes sum up to `own + third_party`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageSums {
    /// Bytes of the page's own site, background included.
    pub own: u64,
    /// Bytes of other sites.
    pub third_party: u64,
    /// Bytes by class, in the order of [`Sureness::ALL`]; what is missing to the total is the
    /// site's own for sure.
    pub classes: [u64; Sureness::ALL.len()],
    /// Bytes of each other site.
    pub third_parties: BTreeMap<String, u64>,
}

impl PageSums {
    /// Bytes of a class.
    pub fn of(&self, class: Sureness) -> u64 {
        self.classes.get(class.index()).copied().unwrap_or_default()
    }

    /// Bytes of the site itself that belong to its own visits.
    pub fn own_class(&self) -> u64 {
        self.own.saturating_sub(self.of(Sureness::Background))
    }

    /// Adds bytes that came to the page as `note` says.
    pub fn book(&mut self, note: &PageNote, bytes: u64) {
        let sum = match &note.third_party {
            None => &mut self.own,
            Some(site) => {
                let sum = self.third_parties.entry(site.to_string()).or_default();
                *sum = sum.saturating_add(bytes);
                &mut self.third_party
            }
        };
        *sum = sum.saturating_add(bytes);
        if let Some(sum) = note.class.and_then(|class| self.classes.get_mut(class.index())) {
            *sum = sum.saturating_add(bytes);
        }
    }

    /// Adds another page's bytes, third parties left out.
    pub fn add(&mut self, other: &Self) {
        self.own = self.own.saturating_add(other.own);
        self.third_party = self.third_party.saturating_add(other.third_party);
        for (sum, more) in self.classes.iter_mut().zip(other.classes) {
            *sum = sum.saturating_add(more);
        }
    }
}

/// How a row came to its page.
#[derive(Debug, Clone, Default)]
pub struct PageNote {
    /// The other site whose bytes they are; `None`: the page's own.
    third_party: Option<Arc<str>>,
    /// How sure that is; `None`: the site's own for sure.
    class: Option<Sureness>,
}

/// Key of a strict row, as far as its parts share it.
type Part = (i64, [u32; 4], u8, u8, Option<u32>, Option<u8>);

fn key(row: &Row) -> Part {
    let blind = row.blind.map(crate::books::Blind::number);
    let points = [row.host, row.device, row.interface, row.source];
    (row.bucket_s, points, row.evidence.number(), row.traffic.number(), row.candidates, blind)
}

/// The amounts of a row that are not booked yet.
fn amounts(row: &Row) -> [u64; 4] {
    [row.up_bytes, row.down_bytes, row.up_packets, row.down_packets]
}

fn with(row: &Row, [up_bytes, down_bytes, up_packets, down_packets]: [u64; 4]) -> Row {
    Row { up_bytes, down_bytes, up_packets, down_packets, ..*row }
}

/// `whole` without `part`; `None` if that is more than there is.
fn without(whole: [u64; 4], part: [u64; 4]) -> Option<[u64; 4]> {
    let mut left = whole;
    for (left, part) in left.iter_mut().zip(part) {
        *left = left.checked_sub(part)?;
    }
    Some(left)
}

/// What is left of each row without its parts.
type Left = HashMap<Part, [u64; 4], RandomState>;

/// The parts of rows that pages pulled in, in an order that does not depend on how they came; those
/// left out whose rows were folded, and what is more than its row.
pub fn page_parts(books: &Books) -> Vec<&PageRow> {
    parts_of(books).0
}

/// The parts that have their rows, and what is left of these.
fn parts_of(books: &Books) -> (Vec<&PageRow>, Left) {
    let mut left = Left::default();
    for row in &books.rows {
        let sum = left.entry(key(row)).or_default();
        sum.iter_mut().zip(amounts(row)).for_each(|(sum, more)| *sum = sum.saturating_add(more));
    }
    // Which parts find room must not depend on the order in which they come.
    let mut parts: Vec<&PageRow> = books.pages.iter().collect();
    parts.sort_unstable_by_key(|part| (key(&part.row), part.page, part.sureness, part.rival, amounts(&part.row)));
    parts.retain(|part| {
        // A part without its row: the row was folded. It stays where the fold is.
        let Some(whole) = left.get_mut(&key(&part.row)) else { return false };
        let Some(rest) = without(*whole, amounts(&part.row)) else { return false };
        *whole = rest;
        true
    });
    (parts, left)
}

/// What bytes that a page pulled in are booked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BookedOn {
    /// Their own site, for sure.
    Own,
    /// Their own site, as no page explains them.
    Background,
    /// The page.
    Page,
}

impl BookedOn {
    /// Where bytes belong whose own site is `own`, and whose page (`None`: none) is of `page`.
    pub fn new<T: PartialEq>(sureness: Sureness, own: T, page: Option<T>) -> Self {
        match page {
            Some(page) if sureness != Sureness::Background => {
                // Families that the reader knows, and attribution did not: one site after all.
                if page == own { Self::Own } else { Self::Page }
            }
            _ => Self::Background,
        }
    }
}

/// Books whose rows lie on pages, and how each row came to its page.
pub fn on_pages(books: &Books, sites: &Sites) -> (Books, Vec<PageNote>) {
    let mut paged =
        Paged { sites: site_of_hosts(books, sites), rows: Vec::new(), notes: Vec::new(), sets: Sets::of(books) };
    let (parts, left) = parts_of(books);
    parts.into_iter().for_each(|part| paged.part(part));
    let mut seen: HashMap<Part, (), RandomState> = HashMap::default();
    for row in &books.rows {
        if seen.insert(key(row), ()).is_none()
            && let Some(rest) = left.get(&key(row)).filter(|rest| rest.iter().any(|amount| *amount > 0))
        {
            paged.book(with(row, *rest), PageNote::default());
        }
    }
    let Paged { rows, notes, sets, .. } = paged;
    let books = Books { rows, pages: Vec::new(), candidate_sets: sets.sets, ..books.clone() };
    (books, notes)
}

/// The site of each host, safe to show.
fn site_of_hosts(books: &Books, sites: &Sites) -> Vec<Arc<str>> {
    books.hosts.iter().map(|host| shown(&sites.of_host(host).0).into()).collect()
}

/// Candidate sets, each once.
struct Sets {
    sets: Vec<Vec<u32>>,
    index: HashMap<[u32; 2], u32, RandomState>,
}

impl Sets {
    fn of(books: &Books) -> Self {
        Self { sets: books.candidate_sets.clone(), index: HashMap::default() }
    }

    fn index_of(&mut self, pair: [u32; 2]) -> u32 {
        *self.index.entry(pair).or_insert_with(|| {
            self.sets.push(pair.to_vec());
            u32::try_from(self.sets.len() - 1).unwrap_or(u32::MAX)
        })
    }
}

struct Paged {
    sites: Vec<Arc<str>>,
    rows: Vec<Row>,
    notes: Vec<PageNote>,
    sets: Sets,
}

impl Paged {
    fn site(&self, host: u32) -> Option<&Arc<str>> {
        self.sites.get(host as usize)
    }

    fn book(&mut self, row: Row, note: PageNote) {
        self.rows.push(row);
        self.notes.push(note);
    }

    fn part(&mut self, part: &PageRow) {
        let row = part.row;
        match BookedOn::new(part.sureness, self.site(row.host), self.site(part.page).map(Some)) {
            BookedOn::Background => {
                return self.book(row, PageNote { third_party: None, class: Some(Sureness::Background) });
            }
            BookedOn::Own => return self.book(row, PageNote::default()),
            BookedOn::Page => {}
        }
        let note = PageNote { third_party: self.site(row.host).cloned(), class: Some(part.sureness) };
        let candidates =
            (part.sureness != Sureness::Sure).then(|| self.sets.index_of([part.page, part.rival.unwrap_or(row.host)]));
        self.book(Row { host: part.page, candidates, ..row }, note);
    }
}
