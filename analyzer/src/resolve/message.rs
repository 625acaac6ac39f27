//! Questions for the name of an address, and what answers say.

use super::{Answer, says_whose};
use imon_common::names::Name;
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};
use std::net::IpAddr;

/// Most CNAMEs that are followed: delegations of parts of a network take one or two (RFC 2317).
const MAX_CHAIN: usize = 8;

/// Bounds of what an answer's time to live may ask for: five minutes, so that a report made again
/// does not ask again, and a day, since owners of addresses change.
const MIN_TTL_S: u32 = 300;
const MAX_TTL_S: u32 = 86_400;

/// How long it is kept that an address has no name: the SOA record may say it (RFC 2308), but few
/// do it with care.
const NO_NAME_TTL_S: u32 = 3_600;

/// The name that an address is asked about by: RFC 1035 section 3.5, RFC 3596 section 2.5.
fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(a) => {
            let [a, b, c, d] = a.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(a) => {
            let nibbles = a.octets().into_iter().rev().map(|byte| format!("{:x}.{:x}.", byte & 15, byte >> 4));
            format!("{}ip6.arpa", nibbles.collect::<String>())
        }
    }
}

/// The question as it is sent. `None` never happens: every such name is a good one.
pub(super) fn question(id: u16, address: IpAddr) -> Option<Vec<u8>> {
    let text = reverse_name(address);
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = simple_dns::Name::new(&text).ok()?;
    packet.questions.push(Question::new(name, QTYPE::TYPE(TYPE::PTR), QCLASS::CLASS(CLASS::IN), false));
    packet.build_bytes_vec().ok()
}

/// Id of a message, whatever else is in it.
pub(super) fn id_of(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk().map(|id| u16::from_be_bytes(*id))
}

/// What `bytes` answers to the question for `address`. `None` where it is no answer to it, or none
/// that may be kept: the server failed.
pub(super) fn answer(bytes: &[u8], address: IpAddr) -> Option<Answer> {
    let packet = Packet::parse(bytes).ok().filter(|packet| packet.has_flags(PacketFlag::RESPONSE))?;
    let mut owner = reverse_name(address);
    let [asked] = packet.questions.as_slice() else { return None };
    let is_ours = asked.qtype == QTYPE::TYPE(TYPE::PTR) && same(&asked.qname, &owner);
    let may_be_kept = matches!(packet.rcode(), RCODE::NoError | RCODE::NameError);
    if !is_ours || !may_be_kept {
        return None;
    }
    for _ in 0..MAX_CHAIN {
        let own = || packet.answers.iter().filter(|record| record.class == CLASS::IN && same(&record.name, &owner));
        let pointer = own().find_map(|record| match &record.rdata {
            RData::PTR(target) => Some((presentation(&target.0), record.ttl)),
            _ => None,
        });
        if let Some((name, ttl)) = pointer {
            return Some(Answer { name: Some(name).filter(says_whose), ttl_s: ttl.clamp(MIN_TTL_S, MAX_TTL_S) });
        }
        let alias = own().find_map(|record| match &record.rdata {
            RData::CNAME(target) => Some(target.0.to_string()),
            _ => None,
        });
        let Some(next) = alias else { break };
        owner = next;
    }
    Some(Answer { name: None, ttl_s: NO_NAME_TTL_S })
}

/// Names compare without case (RFC 4343).
fn same(name: &simple_dns::Name<'_>, text: &str) -> bool {
    name.to_string().trim_end_matches('.').eq_ignore_ascii_case(text.trim_end_matches('.'))
}

fn presentation(name: &simple_dns::Name<'_>) -> Name {
    Name::from_labels(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4() -> IpAddr {
        "8.7.6.5".parse().unwrap()
    }

    /// An answer to the question for [`v4`], whose records stand in `records`.
    fn reply(flags: [u8; 2], count: u8, records: &[u8]) -> Vec<u8> {
        let mut bytes = question(7, v4()).unwrap();
        bytes[2..4].copy_from_slice(&flags);
        bytes[7] = count;
        bytes.extend(records);
        bytes
    }

    fn record(owner: &[u8], kind: u8, ttl: u32, data: &[u8]) -> Vec<u8> {
        [owner, &[0, kind, 0, 1], &ttl.to_be_bytes(), &[0, data.len() as u8], data].concat()
    }

    const ASKED: [u8; 2] = [0xc0, 12];
    const HOST: &[u8] = b"\x04host\x07Example\x03org\0";

    fn name(bytes: &[u8]) -> Option<Option<String>> {
        answer(bytes, v4()).map(|answer| answer.name.map(|name| name.to_string()))
    }

    #[test]
    fn addresses_are_asked_about_backwards() {
        assert_eq!(reverse_name(v4()), "5.6.7.8.in-addr.arpa");
        let v6 = reverse_name("2001:db8::567:89ab".parse().unwrap());
        assert_eq!(v6, "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
        let bytes = question(0x1234, v4()).unwrap();
        assert_eq!(id_of(&bytes), Some(0x1234));
        assert_eq!(bytes[2..6], [1, 0, 0, 1], "recursion desired, one question");
    }

    #[test]
    fn a_pointer_is_the_name_and_its_time_is_bounded() {
        let with_ttl = |ttl| answer(&reply([0x81, 0x80], 1, &record(&ASKED, 12, ttl, HOST)), v4()).unwrap();
        assert_eq!(with_ttl(900), Answer { name: Name::from_host(b"host.example.org"), ttl_s: 900 });
        assert_eq!((with_ttl(0).ttl_s, with_ttl(u32::MAX).ttl_s), (MIN_TTL_S, MAX_TTL_S));
    }

    #[test]
    fn parts_of_networks_are_delegated_by_cname() {
        let target = b"\x015\x040-31\x016\x017\x018\x07in-addr\x04arpa\0";
        let records = [record(&ASKED, 5, 60, target), record(target, 12, 900, HOST)].concat();
        assert_eq!(name(&reply([0x81, 0x80], 2, &records)), Some(Some("host.example.org".into())));
        let circle = record(&ASKED, 5, 60, &ASKED);
        assert_eq!(name(&reply([0x81, 0x80], 1, &circle)), Some(None));
    }

    #[test]
    fn no_name_is_an_answer_and_a_failure_is_none() {
        assert_eq!(name(&reply([0x81, 0x83], 0, &[])), Some(None), "no such name");
        assert_eq!(name(&reply([0x81, 0x80], 0, &[])), Some(None), "no data");
        assert_eq!(name(&reply([0x81, 0x82], 0, &[])), None, "server failure");
        assert_eq!(name(&reply([0x01, 0x00], 0, &[])), None, "a question");
        assert_eq!(answer(&reply([0x81, 0x80], 0, &[]), "8.7.6.4".parse().unwrap()), None, "another question");
    }

    #[test]
    fn names_that_say_nothing_count_as_none() {
        for host in
            [&b"\x09localhost\0"[..], b"\x06router\0", b"\x03nas\x05local\0", b"\x011\x012\x013\x014\0", b"\x03com\0"]
        {
            assert_eq!(name(&reply([0x81, 0x80], 1, &record(&ASKED, 12, 900, host))), Some(None), "{host:?}");
        }
        let hostile = record(&ASKED, 12, 900, b"\x05a\x1b[2J\x07example\x03org\0");
        assert_eq!(name(&reply([0x81, 0x80], 1, &hostile)), Some(Some("a\\027[2j.example.org".into())));
    }

    #[test]
    fn an_answer_cut_anywhere_gives_nothing_wrong() {
        let whole = reply([0x81, 0x80], 1, &record(&ASKED, 12, 900, HOST));
        for cut in 0..whole.len() {
            assert!(!matches!(name(&whole[..cut]), Some(Some(_))), "cut at byte {cut}");
        }
    }
}
