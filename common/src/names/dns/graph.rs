//! Names, what leads from one to the next, and addresses: gathered from a message, then followed
//! from the questions.

use super::super::{AnswerAddress, Name};
use super::Answer;
use super::shown::Shown;
use super::wire_name::{self, Budget, WireName};
use crate::work;
use foldhash::fast::RandomState;
use std::hash::BuildHasher;

/// Most names of one message that are told apart. Answers have as many as their CNAME chain is
/// long; a busy multicast DNS responder has some dozens. More are passed over.
const MAX_NAMES: usize = 128;

/// Most links (CNAME, SVCB target) that are kept. A chain has fewer than names.
const MAX_LINKS: usize = 256;

/// Most public names of ECH of one message. One is usual.
const MAX_PUBLIC_NAMES: usize = 4;

/// Most DNAME records that are kept. One is usual.
const MAX_BRANCHES: usize = 8;

/// Most servers of services that are kept. A domain has a few.
const MAX_SERVERS: usize = 32;

/// Most names that are followed from one question. Resolvers give up after 8 to 16 CNAMEs.
const MAX_CHAIN: usize = 32;

/// Most addresses that are kept, in all answers together: as many A records as 64 KiB can hold.
const MAX_ADDRESSES: usize = 4_096;

/// The section a record was in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Answer,
    Additional,
}

/// Index of a name in [`Graph::names`].
type NameId = u8;

#[derive(Debug)]
struct NameEntry {
    hash: u64,
    start: usize,
    len: usize,
}

#[derive(Debug)]
struct Found {
    owner: NameId,
    origin: Origin,
    address: AnswerAddress,
}

/// Names that one leads to, itself first.
struct Way {
    len: usize,
    ids: [NameId; MAX_CHAIN + 1],
}

impl Way {
    fn ids(&self) -> &[NameId] {
        self.ids.get(..self.len).unwrap_or(&self.ids)
    }
}

/// What a message says. Takes nothing unless begun for a message that may teach. Its memory is used
/// again for the next message.
#[derive(Debug)]
pub(in super::super) struct Graph {
    enabled: bool,
    hasher: RandomState,
    /// Names of this message and those before, as they are shown.
    shown: Shown,
    /// Bytes of all names.
    text: Vec<u8>,
    names: Vec<NameEntry>,
    budget: Budget,
    /// Working space.
    name: WireName,
    /// The last name that was a bare pointer, by its target: the records of a set share their
    /// owner.
    last_pointer: Option<(usize, NameId)>,
    /// The last name that was read, by its place: all hints of a record have the owner of the
    /// record.
    last_place: Option<(usize, NameId)>,
    /// Asked names, without repetition.
    asked: Vec<NameId>,
    has_question: bool,
    links: Vec<(NameId, NameId)>,
    /// DNAME records: names below the first lead to names below the second.
    branches: Vec<(NameId, NameId)>,
    /// SRV and MX records: who asks for the first name goes on to the second, which is a host of
    /// its own and no other name of the first.
    servers: Vec<(NameId, NameId)>,
    /// The authority section holds an SOA record.
    has_authority: bool,
    /// Public names of ECH.
    public_names: Vec<Name>,
    found: Vec<Found>,
}

impl Default for Graph {
    fn default() -> Self {
        Self {
            enabled: false,
            hasher: RandomState::default(),
            shown: Shown::default(),
            text: Vec::new(),
            names: Vec::new(),
            budget: Budget::large(),
            name: WireName::default(),
            last_pointer: None,
            last_place: None,
            asked: Vec::new(),
            has_question: false,
            links: Vec::new(),
            branches: Vec::new(),
            servers: Vec::new(),
            has_authority: false,
            public_names: Vec::new(),
            found: Vec::new(),
        }
    }
}

impl Graph {
    /// Forgets the message before.
    pub(super) fn begin(&mut self, enabled: bool) {
        self.enabled = enabled;
        self.text.clear();
        self.names.clear();
        self.budget = Budget::large();
        (self.last_pointer, self.last_place) = (None, None);
        self.asked.clear();
        self.has_question = false;
        self.links.clear();
        self.branches.clear();
        self.servers.clear();
        self.has_authority = false;
        self.public_names.clear();
        self.found.clear();
    }

    /// Notes the asked name at `at`.
    ///
    /// `None` where it cannot be read.
    pub(super) fn ask(&mut self, message: &[u8], at: usize) -> Option<()> {
        self.has_question = true;
        if !self.enabled {
            return Some(());
        }
        let id = self.name(message, at)?;
        if !self.asked.contains(&id) {
            self.asked.push(id);
        }
        Some(())
    }

    /// Notes that the name at `owner_at` leads to the one at `target_at`.
    pub(super) fn link(&mut self, message: &[u8], owner_at: usize, target_at: usize, origin: Origin) {
        // What the additional section links was not asked for, and multicast DNS has nothing to be
        // followed from.
        if self.links.len() >= MAX_LINKS || origin == Origin::Additional {
            return;
        }
        if let (Some(owner), Some(target)) = (self.name(message, owner_at), self.name(message, target_at)) {
            self.links.push((owner, target));
        }
    }

    /// Notes that names below the one at `owner_at` lead to names below the one at `target_at`.
    pub(super) fn branch(&mut self, message: &[u8], owner_at: usize, target_at: usize, origin: Origin) {
        if self.branches.len() >= MAX_BRANCHES || origin == Origin::Additional {
            return;
        }
        if let (Some(owner), Some(target)) = (self.name(message, owner_at), self.name(message, target_at)) {
            self.branches.push((owner, target));
        }
    }

    /// Notes that the host at `target_at` serves what was asked for at `owner_at` (RFC 2782, RFC
    /// 5321 section 5.1).
    pub(super) fn serve(&mut self, message: &[u8], owner_at: usize, target_at: usize, origin: Origin) {
        if self.servers.len() >= MAX_SERVERS || origin == Origin::Additional {
            return;
        }
        if let (Some(owner), Some(target)) = (self.name(message, owner_at), self.name(message, target_at)) {
            self.servers.push((owner, target));
        }
    }

    /// Notes a public name of ECH.
    pub(super) fn note_public_name(&mut self, name: Name) {
        if self.public_names.len() < MAX_PUBLIC_NAMES && !self.public_names.contains(&name) {
            self.public_names.push(name);
        }
    }

    /// Those that were noted, without names above the one that was asked for.
    pub(super) fn public_names(&mut self) -> Vec<Name> {
        let names = std::mem::take(&mut self.public_names);
        if names.is_empty() {
            return names;
        }
        let asked = self.asked.first().copied().map(|id| self.show(id));
        let is_above = |name: &Name| {
            let rest = asked.as_ref().and_then(|asked| asked.as_str().strip_suffix(name.as_str()));
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        names.into_iter().filter(|name| !is_above(name)).collect()
    }

    /// Notes an SOA record in the authority section.
    pub(super) fn note_authority(&mut self) {
        self.has_authority = true;
    }

    /// Whether there was one.
    pub(super) fn has_authority(&self) -> bool {
        self.has_authority
    }

    /// Notes an address of the name at `owner_at`.
    pub(super) fn address(&mut self, message: &[u8], owner_at: usize, address: AnswerAddress, origin: Origin) {
        if self.found.len() >= MAX_ADDRESSES {
            return;
        }
        if let Some(owner) = self.name(message, owner_at) {
            self.found.push(Found { owner, origin, address });
        }
    }

    /// Follows the links from each asked name, and gives its addresses; then those that no question
    /// leads to.
    pub(super) fn answers(&mut self, answers: &mut Vec<Answer>) {
        if self.found.is_empty() {
            return;
        }
        if !self.has_question {
            self.ask_heads();
        }
        let mut reached_by_any = [false; MAX_NAMES];
        let mut room = MAX_ADDRESSES;
        let (asked, mut hosts) = (self.asked.len(), std::mem::take(&mut self.asked));
        let mut at = 0;
        while let Some(host) = hosts.get(at).copied() {
            at += 1;
            work::steps(self.found.len() + self.links.len() + self.servers.len());
            let way = self.way_from(host);
            let mut reached = [false; MAX_NAMES];
            for id in way.ids() {
                for marks in [&mut reached, &mut reached_by_any] {
                    if let Some(mark) = marks.get_mut(usize::from(*id)) {
                        *mark = true;
                    }
                }
            }
            let served = self.servers.iter().filter(|(owner, _)| is_marked(&reached, *owner));
            for (_, target) in served {
                if !hosts.contains(target) {
                    hosts.push(*target);
                }
            }
            let addresses: Vec<_> =
                self.found.iter().filter(|f| is_marked(&reached, f.owner)).map(|f| f.address).take(room).collect();
            if let (Some((name, chain)), false) = (way.ids().split_first(), addresses.is_empty()) {
                room -= addresses.len();
                let chain = chain.iter().map(|id| self.show(*id)).collect();
                answers.push(Answer { name: self.show(*name), chain, addresses, is_asked: true });
            }
        }
        hosts.truncate(asked);
        self.asked = hosts;
        self.add_unasked(&reached_by_any, room, answers);
    }

    /// The first asked name and those it leads to, nearest first.
    pub(super) fn way(&mut self) -> Option<(Name, Vec<Name>)> {
        let way = self.way_from(*self.asked.first()?);
        let (name, chain) = way.ids().split_first()?;
        Some((self.show(*name), chain.iter().map(|id| self.show(*id)).collect()))
    }

    /// The name itself and those it leads to, each once, nearest first.
    fn way_from(&self, asked: NameId) -> Way {
        let mut way = Way { len: 1, ids: [asked; MAX_CHAIN + 1] };
        let mut at = 0;
        while let Some(from) = way.ids().get(at).copied() {
            let linked = self.links.iter().filter(|(owner, _)| *owner == from).map(|(_, target)| *target);
            let branched = self.branches.iter().filter_map(|branch| self.below(from, *branch));
            for target in linked.chain(branched) {
                if !way.ids().contains(&target)
                    && let Some(place) = way.ids.get_mut(way.len)
                {
                    *place = target;
                    way.len += 1;
                }
            }
            at += 1;
        }
        way
    }

    /// Where a DNAME leads from this name, if that is a name of the message: what the message says
    /// nothing of has no address in it.
    fn below(&self, from: NameId, (owner, target): (NameId, NameId)) -> Option<NameId> {
        let labels = self.bytes(from).strip_suffix(self.bytes(owner)).filter(|labels| ends_with_label(labels))?;
        work::steps(self.names.len());
        let target = self.bytes(target);
        let is_it = |entry: &NameEntry| self.bytes_of(entry).strip_prefix(labels) == Some(target);
        self.names.iter().position(is_it).and_then(|index| NameId::try_from(index).ok())
    }

    /// Of a message without a question: names that lead somewhere, and that nothing leads to, are
    /// what it is about.
    fn ask_heads(&mut self) {
        for (owner, _) in &self.links {
            work::steps(self.links.len());
            if !self.asked.contains(owner) && !self.links.iter().any(|(_, target)| target == owner) {
                self.asked.push(*owner);
            }
        }
    }

    /// Adds the addresses that no question leads to, under their own owner names.
    fn add_unasked(&mut self, reached: &[bool; MAX_NAMES], room: usize, answers: &mut Vec<Answer>) {
        let is_asked = !self.has_question;
        let wanted = |f: &&Found| !is_marked(reached, f.owner) && (f.origin == Origin::Answer || is_asked);
        if !self.found.iter().any(|f| wanted(&f)) {
            return;
        }
        let mut places = [usize::MAX; MAX_NAMES];
        let found = std::mem::take(&mut self.found);
        for found in found.iter().filter(wanted).take(room) {
            let Some(place) = places.get_mut(usize::from(found.owner)) else { continue };
            if *place == usize::MAX {
                *place = answers.len();
                let name = self.show(found.owner);
                answers.push(Answer { name, chain: Vec::new(), addresses: Vec::new(), is_asked });
            }
            if let Some(answer) = answers.get_mut(*place) {
                answer.addresses.push(found.address);
            }
        }
        self.found = found;
    }

    /// The name at `at`, by its index; `None` if it cannot be read or a bound is reached.
    pub(super) fn name(&mut self, message: &[u8], at: usize) -> Option<NameId> {
        if !self.enabled {
            return None;
        }
        if let Some((_, id)) = self.last_place.filter(|(last, _)| *last == at) {
            return Some(id);
        }
        let target = wire_name::pointer_at(message, at);
        if let Some((_, id)) = self.last_pointer.filter(|(last, _)| Some(*last) == target) {
            return Some(id);
        }
        self.name.read(message, at, &mut self.budget)?;
        let id = self.intern()?;
        self.last_place = Some((at, id));
        self.last_pointer = target.filter(|target| *target < at).map(|target| (target, id)).or(self.last_pointer);
        Some(id)
    }

    /// The index of the name that was read last.
    fn intern(&mut self) -> Option<NameId> {
        let name = self.name.as_bytes();
        let hash = self.hasher.hash_one(name);
        work::steps(self.names.len());
        let known = self.names.iter().position(|entry| entry.hash == hash && self.bytes_of(entry) == name);
        let index = match known {
            Some(index) => index,
            None if self.names.len() < MAX_NAMES => {
                self.names.push(NameEntry { hash, start: self.text.len(), len: name.len() });
                self.text.extend_from_slice(name);
                self.names.len() - 1
            }
            None => return None,
        };
        NameId::try_from(index).ok()
    }

    fn bytes_of(&self, entry: &NameEntry) -> &[u8] {
        self.text.get(entry.start..entry.start + entry.len).unwrap_or(&[])
    }

    /// A name as [`WireName::as_bytes`] gave it.
    pub(super) fn bytes(&self, id: NameId) -> &[u8] {
        self.names.get(usize::from(id)).map_or(&[][..], |entry| self.bytes_of(entry))
    }

    /// A name in presentation form.
    pub(super) fn show(&mut self, id: NameId) -> Name {
        let Some(entry) = self.names.get(usize::from(id)) else { return wire_name::name_from(&[]) };
        let bytes = self.text.get(entry.start..entry.start + entry.len).unwrap_or(&[]);
        self.shown.name(entry.hash, bytes)
    }
}

/// Whether these bytes are whole labels, at least one.
fn ends_with_label(mut labels: &[u8]) -> bool {
    let is_some = !labels.is_empty();
    while let Some((len, rest)) = labels.split_first() {
        match rest.get(usize::from(*len)..) {
            Some(rest) => labels = rest,
            None => return false,
        }
    }
    is_some
}

fn is_marked(marks: &[bool; MAX_NAMES], id: NameId) -> bool {
    marks.get(usize::from(id)).copied().unwrap_or(false)
}
