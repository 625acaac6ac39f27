//! What a page tells apart. Its parts are sums of several kinds: what is alike for one of them may
//! be one row there. So years of rows become some for each site and day, and for each host, device
//! and month, instead of all that differ in anything.

use super::times::Unit;
use super::{Key, Question, Sites};
use crate::archive::{self, Apart, Likeness, MAX_VIEWS};
use crate::books::{Blind, Books, Evidence, Host, Observed, Row, Traffic};
use crate::question::HostFilter;
use crate::report::stretches;
use crate::rollup::Interner;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::work;

/// What stands for all kinds of evidence that a sum does not tell apart.
const ANY: Evidence = Evidence::Sni;

/// Where names of addresses come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// Traffic alone.
    Seen,
    /// Reverse lookups, too, which are done when all rows are read.
    Resolved,
}

/// Sums that a page is made of, in the order in which the books have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// What is said of all bytes: [`Books::rows`].
    Whole,
    /// Sites over time.
    Sites,
    /// Devices over time.
    Devices,
    /// Hosts and devices, by block.
    Pairs,
    /// Kinds of evidence of sites, by block.
    SiteKinds,
    /// Kinds of evidence of devices, by block.
    DeviceKinds,
}

/// Which stretches of time a sum has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Times {
    /// One.
    All,
    Units,
    Blocks,
}

/// Which hosts a sum tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hosts {
    Each,
    /// One stands for those of its site.
    Sites,
    /// One stands for all names, and one for all that have none.
    Named,
}

impl View {
    const ALL: [Self; MAX_VIEWS] =
        [Self::Whole, Self::Sites, Self::Devices, Self::Pairs, Self::SiteKinds, Self::DeviceKinds];

    /// Calls `take` with each of its rows. Where nothing was summed up all are made of the same.
    pub(super) fn each(self, books: &Books, mut take: impl FnMut(&Row)) {
        let nth = Self::ALL.iter().skip(1).position(|view| *view == self);
        match nth.and_then(|nth| books.sides.get(nth)) {
            Some(side) => {
                work::steps(side.len());
                side.rows().for_each(|row| take(&row));
            }
            None => {
                work::steps(books.rows.len());
                books.rows.iter().for_each(take);
            }
        }
    }

    fn times(self) -> Times {
        match self {
            Self::Whole => Times::All,
            Self::Sites | Self::Devices => Times::Units,
            Self::Pairs | Self::SiteKinds | Self::DeviceKinds => Times::Blocks,
        }
    }

    fn hosts(self) -> Hosts {
        match self {
            Self::Whole | Self::Devices | Self::DeviceKinds => Hosts::Named,
            Self::Sites | Self::SiteKinds => Hosts::Sites,
            Self::Pairs => Hosts::Each,
        }
    }

    fn has_devices(self) -> bool {
        matches!(self, Self::Devices | Self::Pairs | Self::DeviceKinds)
    }

    fn has_evidence(self) -> bool {
        matches!(self, Self::Whole | Self::SiteKinds | Self::DeviceKinds)
    }

    /// Who else could own the bytes says how much a site could be, and nothing else; of devices
    /// that is asked where some hosts are.
    fn has_candidates(self, question: &Question) -> bool {
        self == Self::Sites || (self == Self::Devices && question.wanted().hosts)
    }

    fn apart<'a>(self, question: &'a Question, sites: &'a Sites, naming: Naming) -> Apart<'a> {
        let keys: &[Key] = if self.has_devices() { &[Key::Host, Key::Device] } else { &[Key::Host] };
        let wanted = Question { keys: keys.to_vec(), ..question.clone() }.wanted();
        let stretch = move |observed: Observed| {
            let (unit, block) = Unit::fitting(observed, question);
            let unit = match self.times() {
                Times::All => None,
                Times::Units => Some(unit),
                Times::Blocks => Some(block),
            };
            let mut of_unit = unit.map(|unit| stretches(&Question { keys: vec![unit.key()], ..question.clone() }));
            move |bucket_s| of_unit.as_mut().map_or(0, |of_unit| of_unit(bucket_s))
        };
        let apart = Apart::new(wanted, stretch).by(Of { view: self, question, sites, naming });
        // The ledger has packets.
        if self == Self::Whole { apart } else { apart.without_packets() }
    }
}

/// What a page on `question` tells apart: its keys do not count.
pub fn told_apart<'a>(question: &'a Question, sites: &'a Sites, naming: Naming) -> Vec<Apart<'a>> {
    View::ALL.iter().map(|view| view.apart(question, sites, naming)).collect()
}

/// What rows of a view have in common.
struct Of<'a> {
    view: View,
    question: &'a Question,
    sites: &'a Sites,
    naming: Naming,
}

impl Likeness for Of<'_> {
    fn begin(&self) -> archive::Alike<'_> {
        let mut alike = Alike::new(self);
        Box::new(move |row, hosts| alike.row(row, hosts))
    }
}

/// What hosts have in common for a view: the site, whether they are names, whether they are asked
/// for.
type Class = (Option<String>, bool, bool);

/// Finds what stands for a row in a view.
struct Alike<'a> {
    view: View,
    sites: &'a Sites,
    naming: Naming,
    asked: HostFilter<'a>,
    /// Devices and evidence are told apart since a filter is on them.
    has_devices: bool,
    has_evidence: bool,
    has_candidates: bool,
    first_of: HashMap<Class, u32, RandomState>,
    /// What stands for each host, as far as it was asked for.
    of_hosts: Vec<Option<u32>>,
}

impl<'a> Alike<'a> {
    fn new(Of { view, question, sites, naming }: &'a Of<'_>) -> Self {
        let (view, naming) = (*view, *naming);
        let filters = &question.filters;
        Self {
            view,
            sites,
            naming,
            asked: HostFilter::new(filters, sites),
            has_devices: view.has_devices() || !filters.devices.is_empty(),
            has_evidence: view.has_evidence() || !filters.evidence.is_empty(),
            has_candidates: view.has_candidates(question),
            first_of: HashMap::default(),
            of_hosts: Vec::new(),
        }
    }

    fn row(&mut self, row: &Row, hosts: &Interner<Host>) -> Row {
        // Infrastructure is no site of its own host's, and what is served is told by host.
        let is_itself = row.evidence == Evidence::Infra
            || (row.traffic == Traffic::Served && self.view.hosts() == Hosts::Sites)
            // The ledger names what carries a tunnel.
            || (row.blind == Some(Blind::Tunnel) && self.view == View::Whole);
        let keeps_evidence = self.has_evidence || matches!(row.evidence, Evidence::Infra | Evidence::None);
        Row {
            host: if is_itself { row.host } else { self.host(row.host, hosts) },
            device: if self.has_devices { row.device } else { 0 },
            evidence: if keeps_evidence { row.evidence } else { ANY },
            candidates: row.candidates.filter(|_| self.has_candidates),
            blind: row.blind.filter(|_| self.view == View::Whole),
            ..*row
        }
    }

    /// The first host that is alike.
    fn host(&mut self, host: u32, hosts: &Interner<Host>) -> u32 {
        let place = host as usize;
        if let Some(known) = self.of_hosts.get(place).copied().flatten() {
            return known;
        }
        let first = match hosts.get(host).and_then(|host| self.class(host)) {
            Some(class) => *self.first_of.entry(class).or_insert(host),
            None => host,
        };
        if self.of_hosts.len() <= place {
            self.of_hosts.resize(place + 1, None);
        }
        if let Some(known) = self.of_hosts.get_mut(place) {
            *known = Some(first);
        }
        first
    }

    /// `None`: it is told apart from all others.
    fn class(&self, host: &Host) -> Option<Class> {
        let is_name = matches!(host, Host::Name(_));
        let may_get_name = self.naming == Naming::Resolved && !is_name;
        match self.view.hosts() {
            Hosts::Each => None,
            _ if may_get_name => None,
            Hosts::Sites if !is_name => None,
            Hosts::Sites => Some((Some(self.sites.of_host(host).0), is_name, self.asked.takes(host))),
            Hosts::Named => Some((None, is_name, self.asked.takes(host))),
        }
    }
}
