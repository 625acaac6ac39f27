//! A question that asks for some hosts or recorders: of a dataset only the groups of rows are read
//! that may have them. What the ledger says of all bytes comes from the sums of days that ledgers
//! have.

mod pruning;
mod unread;

pub(super) use pruning::Asked;
pub(super) use unread::Unread;

use super::text;
use crate::books::Host;
use crate::recorders::RecorderName;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Whether a host is asked for.
pub type Takes<'a> = Box<dyn Fn(&Host) -> bool + 'a>;

/// Which rows a question asks for.
pub struct Only<'a> {
    hosts: Option<Takes<'a>>,
    /// Sites that stand for the same hosts, and what a file has to say of the lists that made its
    /// column of sites for that to be so.
    sites: Option<(Vec<String>, BTreeMap<String, String>)>,
    recorders: &'a [RecorderName],
    /// What was found out of texts of hosts.
    known: RefCell<HashMap<String, bool, RandomState>>,
}

impl std::fmt::Debug for Only<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Only").field("sites", &self.sites).finish_non_exhaustive()
    }
}

impl<'a> Only<'a> {
    /// Rows of hosts that `hosts` takes (`None`: of all), and of these recorders (empty: of all);
    /// `None` where every row is asked for.
    pub fn new(hosts: Option<Takes<'a>>, recorders: &'a [RecorderName]) -> Option<Self> {
        let asks = hosts.is_some() || !recorders.is_empty();
        asks.then(|| Self { hosts, sites: None, recorders, known: RefCell::default() })
    }

    /// The hosts are all those of these sites, as lists have them of which a file says `about`.
    #[must_use]
    pub fn of_sites(self, sites: Option<Vec<String>>, about: BTreeMap<String, String>) -> Self {
        Self { sites: sites.map(|sites| (sites, about)), ..self }
    }

    /// Whether what a file has may be asked for; see [`super::Dataset`] for who recorded it.
    pub(super) fn takes_recorder(&self, recorder: Option<Option<[u8; 16]>>) -> bool {
        let Some(recorder) = recorder.filter(|_| !self.recorders.is_empty()) else { return true };
        self.recorders.iter().any(|name| name.is(recorder))
    }

    /// Whether it asks for some recorders.
    pub(super) fn asks_for_recorders(&self) -> bool {
        !self.recorders.is_empty()
    }

    fn takes(&self, host: &Host) -> bool {
        self.hosts.as_ref().is_none_or(|hosts| hosts(host))
    }

    /// Whether a text may be a host that is asked for: as a name, or as an address.
    fn takes_text(&self, text: &str) -> bool {
        if let Some(known) = self.known.borrow().get(text) {
            return *known;
        }
        let hosts = [text::to_host(text, true), text::to_host(text, false)];
        let takes = hosts.iter().flatten().any(|host| self.takes(host));
        self.known.borrow_mut().insert(text.to_owned(), takes);
        takes
    }
}

/// Whether the recorder of a file's rows is asked for.
#[derive(Clone, Copy)]
pub(super) enum Recorded<'r> {
    /// All of it has one, which is asked for or not.
    All(bool),
    /// It has several: what their texts say.
    ByRow(&'r dyn Fn(&str) -> bool),
}
