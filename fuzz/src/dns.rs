//! simple-dns beside our walker: wherever it accepts a response, both read the same addresses.

use crate::books::check_name;
use imon_common::names::Name;
use imon_common::names::dns::{Message, parse};
use simple_dns::ResourceRecord;
use simple_dns::rdata::{RData, SVCB, SVCParam};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Fewer questions and records than this are compared: our walker has bounds, simple-dns has none.
const MAX_QUESTIONS: usize = 8;
const MAX_RECORDS: usize = 200;

fn hints(service: &SVCB<'_>) -> Vec<IpAddr> {
    let of = |param: &SVCParam<'_>| match param {
        SVCParam::Ipv4Hint(all) => all.iter().map(|a| Ipv4Addr::from(*a).into()).collect(),
        SVCParam::Ipv6Hint(all) => all.iter().map(|a| Ipv6Addr::from(*a).into()).collect(),
        _ => Vec::new(),
    };
    service.iter_params().filter(|_| service.priority > 0).flat_map(of).collect()
}

type Found = BTreeSet<(Name, IpAddr)>;

/// Owner and address of each record: of the answer section, and of the additional one too, which is
/// ours to use or to leave. `None` where simple-dns refuses the message.
fn oracle(bytes: &[u8]) -> Option<(Found, Found)> {
    let packet = simple_dns::Packet::parse(bytes).ok()?;
    if packet.questions.len() > MAX_QUESTIONS || packet.answers.len() > MAX_RECORDS {
        return None;
    }
    let answers = addresses(&packet.answers);
    let all = answers.union(&addresses(&packet.additional_records)).cloned().collect();
    Some((answers, all))
}

fn addresses(records: &[ResourceRecord<'_>]) -> Found {
    let mut found = BTreeSet::new();
    for record in records.iter().filter(|r| r.class == simple_dns::CLASS::IN) {
        let addresses: Vec<IpAddr> = match &record.rdata {
            RData::A(a) => vec![Ipv4Addr::from(a.address).into()],
            RData::AAAA(a) => vec![Ipv6Addr::from(a.address).into()],
            RData::SVCB(service) => hints(service),
            RData::HTTPS(service) => hints(&service.0),
            _ => Vec::new(),
        };
        let owner = Name::from_labels(record.name.as_bytes());
        found.extend(addresses.into_iter().map(|address| (owner.clone(), address)));
    }
    found
}

/// A pointer leads to before itself, but not to before the labels that it ends ("a prior
/// occurrence", RFC 1035 section 4.1.4). simple-dns follows it; for us the name is damaged, as for
/// BIND.
fn overlaps_itself(bytes: &[u8], start: usize) -> bool {
    let (mut run, mut at) = (start, start);
    for _ in 0..bytes.len() {
        match (bytes.get(at).copied(), bytes.get(at + 1).copied()) {
            (Some(high), Some(low)) if high >= 0xc0 => {
                let to = usize::from(high & 0x3f) << 8 | usize::from(low);
                if to >= run {
                    return true;
                }
                (run, at) = (to, to);
            }
            (Some(0) | None, _) => return false,
            (Some(len), _) => at += 1 + usize::from(len),
        }
    }
    false
}

/// Whether the message has a name that [`overlaps_itself`], or a record whose length is not that of
/// its content: we pass it over, simple-dns reads what fits.
fn has_known_difference(bytes: &[u8]) -> bool {
    let name_end = |mut at: usize| loop {
        match bytes.get(at) {
            Some(0) => return Some(at + 1),
            Some(0xc0..) => return Some(at + 2),
            Some(len) => at += 1 + usize::from(*len),
            None => return None,
        }
    };
    let number = |at: usize| Some(usize::from(*bytes.get(at)?) << 8 | usize::from(*bytes.get(at + 1)?));
    let mut at = 12;
    let mut next = |question: bool| {
        let end = name_end(at)?;
        let overlaps = overlaps_itself(bytes, at);
        if question {
            at = end + 4;
            return Some(overlaps);
        }
        let (kind, len) = (number(end)?, number(end + 8)?);
        let content = match kind {
            1 => len != 4,
            28 => len != 16,
            5 => overlaps_itself(bytes, end + 10) || name_end(end + 10) != Some(end + 10 + len),
            64 | 65 => overlaps_itself(bytes, end + 12),
            _ => false,
        };
        at = end + 10 + len;
        Some(overlaps || content)
    };
    let questions = number(4).unwrap_or(0);
    (0..questions + 2 * MAX_RECORDS).map_while(|i| next(i < questions)).any(|differs| differs)
}

/// The difference between the two, if there is one.
pub fn difference(bytes: &[u8]) -> Option<String> {
    let (theirs, allowed) = oracle(bytes)?;
    if has_known_difference(bytes) {
        return None;
    }
    let Some(ours) = parse(bytes) else { return Some("simple-dns reads what parse does not".into()) };
    check_message(&ours, bytes);
    if !ours.is_response || ours.opcode != 0 || ours.rcode != 0 {
        return (!ours.answers.is_empty()).then(|| "answers of what is no good response".into());
    }
    for (owner, address) in &theirs {
        let is_there = ours.answers.iter().any(|answer| {
            (answer.name == *owner || answer.chain.contains(owner))
                && answer.addresses.iter().any(|a| a.address == *address)
        });
        if !is_there {
            return Some(format!("{owner} {address} is missing in {ours:?}"));
        }
    }
    for answer in &ours.answers {
        for a in &answer.addresses {
            let is_theirs = allowed.iter().any(|(owner, address)| {
                *address == a.address && (answer.name == *owner || answer.chain.contains(owner))
            });
            if !is_theirs {
                return Some(format!("{} {} is not simple-dns's", answer.name, a.address));
            }
        }
    }
    None
}

/// Panics where a message gives what it cannot hold.
pub fn check_message(message: &Message, bytes: &[u8]) {
    message.question.iter().for_each(|(name, _)| check_name(name));
    for answer in &message.answers {
        check_name(&answer.name);
        answer.chain.iter().for_each(check_name);
        assert!(!answer.addresses.is_empty(), "an answer without addresses");
        assert!(answer.addresses.len() <= bytes.len() / 4, "more addresses than bytes");
    }
}
