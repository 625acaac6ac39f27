//! Messages of rtnetlink: what the kernel says of links and addresses (rtnetlink(7),
//! <linux/rtnetlink.h>).
//!
//! All numbers are in the byte order of the machine. A message that ends early says nothing;
//! attributes that are not needed are passed over.

use crate::counters::InterfaceStats;
use crate::interface::Interface;
use imon_common::cursor::Cursor;
use imon_common::wire::Mac;
use ipnet::IpNet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Length of a message's header (struct nlmsghdr).
const HEADER_BYTES: usize = 16;
/// Length of an attribute's header (struct rtattr).
const ATTRIBUTE_BYTES: usize = 4;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSG_OVERRUN: u16 = 4;
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;

const NLM_F_REQUEST: u16 = 0x1;
/// The table changed while it was listed: the list may have holes.
const NLM_F_DUMP_INTR: u16 = 0x10;
/// Root and match: all of them.
const NLM_F_DUMP: u16 = 0x300;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_STATS64: u16 = 23;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_INFO_KIND: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

const IFF_UP: u32 = 0x1;
const IFF_LOOPBACK: u32 = 0x8;
const IFF_RUNNING: u32 = 0x40;

const AF_UNSPEC: u8 = 0;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// What is asked of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// All links.
    Links,
    /// The link of this number.
    Link(u32),
    /// All addresses.
    Addresses,
}

impl Request {
    /// The message; the answers carry `sequence`.
    pub fn message(self, sequence: u32) -> Vec<u8> {
        // Behind the header a struct ifinfomsg, or a struct ifaddrmsg, with nothing said.
        let (kind, flags, body_bytes) = match self {
            Self::Links => (RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 16),
            Self::Link(_) => (RTM_GETLINK, NLM_F_REQUEST, 16),
            Self::Addresses => (RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, 8),
        };
        let mut message = Vec::with_capacity(HEADER_BYTES + body_bytes);
        message.extend(u32::try_from(HEADER_BYTES + body_bytes).unwrap_or(0).to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend(sequence.to_ne_bytes());
        message.extend([0; 4]); // the kernel knows who asks
        message.extend([AF_UNSPEC, 0, 0, 0]);
        if let Self::Link(index) = self {
            message.extend(index.to_ne_bytes());
        }
        message.resize(HEADER_BYTES + body_bytes, 0);
        message
    }
}

/// What one message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A link exists; also when something about it changed. Without its addresses.
    Link(Interface),
    /// The link of this number is gone, with what it had counted.
    LinkGone(u32, Option<InterfaceStats>),
    /// The link of this number has this address, with the length of the network's prefix.
    Address(u32, IpNet),
    /// The link of this number no longer has this address.
    AddressGone(u32, IpNet),
    /// A list is complete.
    Done,
    /// A list may have holes, or messages were lost: ask again.
    Unreliable,
    /// The request was refused, with this error number.
    Refused(i32),
}

/// A message's content and the sequence number of the request that it answers (0: none).
pub type Answer = (u32, Said);

/// Hands what `bytes` (one read of the socket: whole messages) say to `each`, in order.
pub fn parse(bytes: &[u8], mut each: impl FnMut(Answer)) {
    let mut at = Cursor::new(bytes);
    while let Some((kind, flags, sequence, body)) = next_message(&mut at) {
        if flags & NLM_F_DUMP_INTR != 0 {
            each((sequence, Said::Unreliable));
        }
        if let Some(said) = meaning(kind, body) {
            each((sequence, said));
        }
    }
}

/// Hands the counters of links in `bytes` (one read of the socket), an answer to the request
/// `sequence`, to `each` with the link's number. True if the answer is complete.
///
/// # Errors
/// The request was refused.
pub fn stats(bytes: &[u8], sequence: u32, mut each: impl FnMut(u32, InterfaceStats)) -> io::Result<bool> {
    let mut at = Cursor::new(bytes);
    while let Some((kind, _, answers, body)) = next_message(&mut at) {
        match kind {
            _ if answers != sequence => {} // to a question that was given up
            RTM_NEWLINK => _ = link_stats(Cursor::new(body)).map(|(index, counted)| each(index, counted)),
            _ => match meaning(kind, body) {
                Some(Said::Done) => return Ok(true),
                Some(Said::Refused(error)) => return Err(io::Error::from_raw_os_error(error)),
                _ => {}
            },
        }
    }
    Ok(false)
}

/// Number and counters of a link (struct rtnl_link_stats64: sixteen and more numbers of 64 bits).
/// What a loopback interface sends it receives: that is counted once.
fn link_stats(mut at: Cursor<'_>) -> Option<(u32, InterfaceStats)> {
    at.skip(4)?; // family, hardware
    let index = u32::from_ne_bytes(at.array()?);
    let flags = u32::from_ne_bytes(at.array()?);
    at.skip(4)?; // which flags changed
    let (_, value) = attributes(at).find(|(kind, _)| *kind == IFLA_STATS64)?;
    let numbers = value.as_chunks::<8>().0;
    let number = |place: usize| numbers.get(place).copied().map(u64::from_ne_bytes);
    let sent = |place| if flags & IFF_LOOPBACK != 0 { Some(0) } else { number(place) };
    let counted = InterfaceStats {
        received_packets: number(0)?,
        received_bytes: number(2)?,
        sent_packets: sent(1)?,
        sent_bytes: sent(3)?,
        // rx_dropped (6) is left out on purpose: it counts packets that nobody in the system
        // wanted, too, and the capture has seen those.
        missed_packets: number(14)?.saturating_add(number(15)?), // rx_fifo_errors, rx_missed_errors
    };
    Some((index, counted))
}

/// Type, flags, sequence number and body.
fn next_message<'a>(at: &mut Cursor<'a>) -> Option<(u16, u16, u32, &'a [u8])> {
    let length = usize::try_from(u32::from_ne_bytes(at.array()?)).ok()?;
    let kind = u16::from_ne_bytes(at.array()?);
    let flags = u16::from_ne_bytes(at.array()?);
    let sequence = u32::from_ne_bytes(at.array()?);
    at.skip(4)?; // whom it is for: this socket
    let body = at.take(length.checked_sub(HEADER_BYTES)?)?;
    at.up_to(padding(length));
    Some((kind, flags, sequence, body))
}

fn meaning(kind: u16, body: &[u8]) -> Option<Said> {
    let mut at = Cursor::new(body);
    match kind {
        NLMSG_DONE => Some(Said::Done),
        NLMSG_OVERRUN => Some(Said::Unreliable),
        // Zero is an acknowledgement, which was not asked for.
        NLMSG_ERROR => match i32::from_ne_bytes(at.array()?) {
            0 => None,
            negated => Some(Said::Refused(negated.saturating_neg())),
        },
        RTM_NEWLINK => link(at).map(Said::Link),
        RTM_DELLINK => link(at).map(|link| {
            let last = link_stats(Cursor::new(body)).map(|(_, counted)| counted);
            Said::LinkGone(link.index, last)
        }),
        RTM_NEWADDR => address(at).map(|(index, net)| Said::Address(index, net)),
        RTM_DELADDR => address(at).map(|(index, net)| Said::AddressGone(index, net)),
        _ => None,
    }
}

/// A struct ifinfomsg and its attributes. `None` for what is said of a link by a part of the kernel
/// that has its own view of it (bridges, for one: AF_BRIDGE), which comes and goes while the link
/// stays.
fn link(mut at: Cursor<'_>) -> Option<Interface> {
    let family = at.u8()?;
    at.skip(1)?;
    let hardware = u16::from_ne_bytes(at.array()?);
    let index = u32::from_ne_bytes(at.array()?);
    let flags = u32::from_ne_bytes(at.array()?);
    at.skip(4)?; // which flags changed
    let value_of = |wanted| attributes(at).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let number_of = |wanted| value_of(wanted).and_then(|v| v.try_into().ok()).map(u32::from_ne_bytes);
    let name = value_of(IFLA_IFNAME).map(text)?;
    let is_set = |flag| flags & flag != 0;
    (family == AF_UNSPEC).then(|| Interface {
        index,
        name,
        up: is_set(IFF_UP),
        running: is_set(IFF_UP) && is_set(IFF_RUNNING),
        loopback: is_set(IFF_LOOPBACK),
        hardware,
        mac: value_of(IFLA_ADDRESS).and_then(|v| v.try_into().ok()).filter(|v| *v != [0; 6]).map(Mac),
        kind: value_of(IFLA_LINKINFO).and_then(kind_of).unwrap_or_default(),
        master: number_of(IFLA_MASTER),
        lower: number_of(IFLA_LINK).filter(|lower| *lower != index && value_of(IFLA_LINK_NETNSID).is_none()),
        nets: Vec::new(),
    })
}

/// The kind of a virtual link in its `IFLA_LINKINFO`.
fn kind_of(info: &[u8]) -> Option<String> {
    attributes(Cursor::new(info)).find(|(kind, _)| *kind == IFLA_INFO_KIND).map(|(_, value)| text(value))
}

/// A struct ifaddrmsg and its attributes: the link's own address, which on a point-to-point link is
/// not `IFA_ADDRESS`.
fn address(mut at: Cursor<'_>) -> Option<(u32, IpNet)> {
    let family = at.u8()?;
    let prefix = at.u8()?;
    at.skip(2)?; // flags and scope
    let index = u32::from_ne_bytes(at.array()?);
    let value_of = |wanted| attributes(at).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let address = ip(family, value_of(IFA_LOCAL).or_else(|| value_of(IFA_ADDRESS))?)?;
    Some((index, IpNet::new(address, prefix).ok()?))
}

fn ip(family: u8, bytes: &[u8]) -> Option<IpAddr> {
    match family {
        AF_INET => <[u8; 4]>::try_from(bytes).ok().map(|b| Ipv4Addr::from(b).into()),
        AF_INET6 => <[u8; 16]>::try_from(bytes).ok().map(|b| Ipv6Addr::from(b).into()),
        _ => None,
    }
}

/// Type and value of each attribute, until one does not fit.
fn attributes(mut at: Cursor<'_>) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(at.array()?));
        let kind = u16::from_ne_bytes(at.array()?);
        let value = at.take(length.checked_sub(ATTRIBUTE_BYTES)?)?;
        at.up_to(padding(length));
        Some((kind, value))
    })
}

/// Messages and attributes begin at multiples of four bytes.
fn padding(length: usize) -> usize {
    length.wrapping_neg() % 4
}

/// A text that ends with a zero byte.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or(bytes)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(u32::try_from(16 + body.len()).unwrap().to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(u16::try_from(4 + value.len()).unwrap().to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn link_body(family: u8, index: u32, flags: u32, name: &str) -> Vec<u8> {
        let mut body = vec![family, 0];
        body.extend(1u16.to_ne_bytes());
        body.extend(index.to_ne_bytes());
        body.extend(flags.to_ne_bytes());
        body.extend([0; 4]);
        body.extend(attribute(99, b"passed over"));
        body.extend(attribute(IFLA_IFNAME, format!("{name}\0").as_bytes()));
        body
    }

    fn address_body(family: u8, prefix: u8, index: u32, attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut body = vec![family, prefix, 0, 0];
        body.extend(index.to_ne_bytes());
        attributes.iter().for_each(|a| body.extend(a));
        body
    }

    fn parsed(bytes: &[u8]) -> Vec<Answer> {
        let mut answers = Vec::new();
        parse(bytes, |answer| answers.push(answer));
        answers
    }

    #[test]
    fn links_and_addresses_come_and_go() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let mut bytes = message(RTM_NEWLINK, 2, 7, &link_body(0, 3, IFF_UP | IFF_RUNNING, "eth0"));
        bytes.extend(message(RTM_NEWLINK, 0, 0, &link_body(0, 4, IFF_UP, "wlan0")));
        bytes.extend(message(RTM_DELLINK, 0, 0, &link_body(7, 3, 0, "eth0"))); // left a bridge, is still there
        bytes.extend(message(RTM_DELLINK, 0, 0, &link_body(0, 3, 0, "eth0")));
        let own = [attribute(IFA_ADDRESS, &[192, 0, 2, 2]), attribute(IFA_LOCAL, &[192, 0, 2, 1])];
        bytes.extend(message(RTM_NEWADDR, 0, 0, &address_body(AF_INET, 24, 4, &own)));
        let v6 = "2001:db8::9".parse::<Ipv6Addr>().unwrap().octets();
        bytes.extend(message(RTM_DELADDR, 0, 0, &address_body(AF_INET6, 64, 4, &[attribute(IFA_ADDRESS, &v6)])));
        bytes.extend(message(NLMSG_DONE, 2, 7, &[0; 4]));
        let link = |index, name: &str, running| {
            Said::Link(Interface { index, name: name.into(), up: true, running, hardware: 1, ..Interface::default() })
        };
        assert_eq!(
            parsed(&bytes),
            [
                (7, link(3, "eth0", true)),
                (0, link(4, "wlan0", false)),
                (0, Said::LinkGone(3, None)),
                (0, Said::Address(4, net("192.0.2.1/24"))),
                (0, Said::AddressGone(4, net("2001:db8::9/64"))),
                (7, Said::Done),
            ]
        );
    }

    #[test]
    fn a_virtual_link_says_its_kind() {
        let mut body = link_body(0, 3, IFF_UP, "wg0");
        body.extend(attribute(
            IFLA_LINKINFO,
            &[attribute(2, &[1; 8]), attribute(IFLA_INFO_KIND, b"wireguard\0")].concat(),
        ));
        let [(0, Said::Link(link))] = &parsed(&message(RTM_NEWLINK, 0, 0, &body))[..] else { panic!() };
        assert_eq!(link.kind, "wireguard");
    }

    #[test]
    fn counters_are_read_by_place_and_those_of_loopback_once() {
        let numbers: Vec<u8> = (1..=24_u64).flat_map(u64::to_ne_bytes).collect();
        let read = |flags, numbers: &[u8]| {
            let mut body = link_body(0, 5, flags, "x");
            body.extend(attribute(IFLA_STATS64, numbers));
            let mut bytes = message(RTM_NEWLINK, 2, 7, &body);
            bytes.extend(message(NLMSG_DONE, 2, 7, &[0; 4]));
            let mut all = Vec::new();
            assert!(stats(&bytes, 7, |index, counted| all.push((index, counted))).unwrap());
            assert!(!stats(&bytes, 8, |_, _| panic!("not ours")).unwrap());
            all
        };
        let counted = InterfaceStats {
            received_packets: 1,
            sent_packets: 2,
            received_bytes: 3,
            sent_bytes: 4,
            missed_packets: 15 + 16,
        };
        assert_eq!(read(IFF_UP, &numbers), [(5, counted)]);
        let once = InterfaceStats { sent_packets: 0, sent_bytes: 0, ..counted };
        assert_eq!(read(IFF_UP | IFF_LOOPBACK, &numbers), [(5, once)]);
        assert_eq!(read(IFF_UP, &numbers[..120]), [], "cut short");
        assert!(stats(&message(NLMSG_ERROR, 0, 7, &(-19_i32).to_ne_bytes()), 7, |_, _| {}).is_err());
    }

    #[test]
    fn refusals_and_holes_are_said() {
        assert_eq!(parsed(&message(NLMSG_ERROR, 0, 5, &(-16_i32).to_ne_bytes())), [(5, Said::Refused(16))]);
        assert_eq!(parsed(&message(NLMSG_ERROR, 0, 5, &[0; 4])), []);
        let holes = message(RTM_NEWLINK, NLM_F_DUMP_INTR, 5, &link_body(0, 1, 0, "lo"));
        assert_eq!(parsed(&holes).len(), 2);
        assert_eq!(parsed(&holes)[0], (5, Said::Unreliable));
    }

    #[test]
    fn whatever_the_bytes_it_comes_to_an_end() {
        let mut whole = message(RTM_NEWLINK, 0, 1, &link_body(0, 1, 0, "lo"));
        whole.extend(message(
            RTM_NEWADDR,
            0,
            1,
            &address_body(AF_INET, 8, 1, &[attribute(IFA_ADDRESS, &[127, 0, 0, 1])]),
        ));
        let all = parsed(&whole);
        assert_eq!(all.len(), 2);
        for cut in 0..whole.len() {
            assert!(all.starts_with(&parsed(&whole[..cut])), "cut at {cut}");
        }
        for at in 0..whole.len() {
            for value in [0, 1, 3, 4, 15, 16, 127, 255] {
                let mut changed = whole.clone();
                changed[at] = value;
                assert!(parsed(&changed).len() <= 2 * changed.len() / HEADER_BYTES, "{value} at {at}");
            }
        }
        // A prefix that is none, an address of another length.
        let odd = |prefix, bytes: &[u8]| {
            parsed(&message(RTM_NEWADDR, 0, 0, &address_body(AF_INET, prefix, 1, &[attribute(IFA_LOCAL, bytes)])))
        };
        assert_eq!(odd(33, &[1, 2, 3, 4]), []);
        assert_eq!(odd(24, &[1, 2, 3]), []);
    }

    #[test]
    fn a_request_is_as_long_as_it_says() {
        for (request, wanted) in [(Request::Links, 0x301), (Request::Addresses, 0x301), (Request::Link(7), 1)] {
            let bytes = request.message(9);
            let mut at = Cursor::new(&bytes);
            let (_, flags, sequence, _) = next_message(&mut at).unwrap();
            assert!(at.is_empty());
            assert_eq!((flags, sequence), (wanted, 9));
        }
        assert_eq!(Request::Link(7).message(9)[20..24], 7u32.to_ne_bytes());
    }
}
