//! What a device calls itself when it asks for an address: the host name option (RFC 2132 section
//! 3.14) and the client FQDN option (RFC 4702) of DHCP, the client FQDN option of DHCPv6 (RFC
//! 4704).
//!
//! Only messages of clients are read, and only those that the client itself sent: a relay's or
//! server's say what others claimed. Whether the frame really came from the hardware address that
//! the message states is for the caller to judge.

use super::Name;
use crate::cursor::Cursor;
use crate::wire::Mac;
use std::net::{IpAddr, Ipv4Addr};

const CLIENT_PORT: u16 = 68;
const SERVER_PORT: u16 = 67;
const CLIENT_PORT_V6: u16 = 546;
const SERVER_PORT_V6: u16 = 547;

/// Most options that are read of one message. Clients send about 15; each takes two bytes at least,
/// so that a datagram of 64 KiB could hold 32,000.
const MAX_OPTIONS: usize = 128;

/// Where the options of DHCP begin, behind the fields of BOOTP and the magic cookie (RFC 2131
/// section 2).
const BOOTP_LEN: usize = 236;
const MAGIC_COOKIE: u32 = 0x6382_5363;

/// Kind of hardware: Ethernet (IANA ARP parameters), as WiFi has it too.
const ETHERNET: u8 = 1;

/// Longest label of a name (RFC 1035 section 2.3.4).
const MAX_LABEL_LEN: u8 = 63;

/// A client's name for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The name.
    pub name: Name,
    /// The hardware address that the message is about; DHCPv6 does not state it.
    pub hardware: Option<Mac>,
    /// The address that the client has or asks for.
    pub address: Option<IpAddr>,
}

/// Whether a datagram between these ports goes from a client to a server: [`claim`] gives nothing
/// for others.
#[inline]
pub(crate) fn is_to_server(src_port: u16, dst_port: u16) -> bool {
    matches!((src_port, dst_port), (CLIENT_PORT, SERVER_PORT) | (CLIENT_PORT_V6, SERVER_PORT_V6))
}

/// Reads a UDP datagram from a client to a server; `payload`: as captured. `None` if it is no such
/// message, or has no name.
#[inline]
pub fn claim(src_port: u16, dst_port: u16, payload: &[u8]) -> Option<Claim> {
    match (src_port, dst_port) {
        (CLIENT_PORT, SERVER_PORT) => claim_v4(payload),
        (CLIENT_PORT_V6, SERVER_PORT_V6) => claim_v6(payload),
        _ => None,
    }
}

/// RFC 2131 section 2.
fn claim_v4(payload: &[u8]) -> Option<Claim> {
    let mut at = Cursor::new(payload);
    let (op, hardware_type, hardware_len) = (at.u8()?, at.u8()?, at.u8()?);
    at.skip(1 + 4 + 2 + 2)?; // hops, transaction, seconds, flags
    let own = Ipv4Addr::from(at.be_u32()?);
    at.skip(4 + 4)?; // address given, next server: a server's to fill in
    let relay = at.be_u32()?;
    let hardware = Mac(at.array()?);
    let is_client = op == 1 && relay == 0 && (hardware_type, hardware_len) == (ETHERNET, 6);
    let mut at = Cursor::new(payload.get(BOOTP_LEN..).filter(|_| is_client)?);
    if at.be_u32()? != MAGIC_COOKIE {
        return None;
    }
    let (mut asks, mut host, mut fqdn, mut requested) = (false, None, None, None);
    for _ in 0..MAX_OPTIONS {
        // Cut by the capture: what was read so far counts.
        let Some((code, value)) = option_v4(&mut at) else { break };
        match code {
            // DISCOVER, REQUEST, INFORM. The others give an address back.
            53 => asks = matches!(value, [1 | 3 | 8]),
            12 => host = name_in_text(value),
            81 => fqdn = fqdn_v4(value),
            50 => requested = <[u8; 4]>::try_from(value).ok().map(Ipv4Addr::from),
            _ => {}
        }
    }
    let address = Some(own).filter(|own| !own.is_unspecified()).or(requested).map(IpAddr::V4);
    Some(Claim { name: host.or(fqdn).filter(|_| asks)?, hardware: Some(hardware), address })
}

/// Code and value of the next option; `None` at the end (RFC 2132 section 2).
fn option_v4<'a>(at: &mut Cursor<'a>) -> Option<(u8, &'a [u8])> {
    match at.u8()? {
        255 => None,
        0 => Some((0, &[])),
        code => {
            let len = at.u8()?;
            Some((code, at.take(len.into())?))
        }
    }
}

/// RFC 4702 section 2: flags, two codes of no use, and the name, in the form of DNS or as text of
/// old clients.
fn fqdn_v4(value: &[u8]) -> Option<Name> {
    let (flags, name) = (value.first()?, value.get(3..)?);
    if flags & 4 != 0 { name_in_labels(name) } else { name_in_text(name) }
}

/// RFC 9915 section 8 (formerly RFC 8415).
fn claim_v6(payload: &[u8]) -> Option<Claim> {
    let mut at = Cursor::new(payload);
    // SOLICIT, REQUEST, CONFIRM, RENEW, REBIND, INFORMATION-REQUEST.
    matches!(at.u8()?, 1 | 3 | 4 | 5 | 6 | 11).then_some(())?;
    at.skip(3)?; // transaction
    for _ in 0..MAX_OPTIONS {
        let (code, len) = (at.be_u16()?, at.be_u16()?);
        let value = at.take(len.into())?;
        if code == 39 {
            // RFC 4704 section 4: flags, then the name.
            let name = name_in_labels(value.get(1..)?)?;
            return Some(Claim { name, hardware: None, address: None });
        }
    }
    None
}

/// A name as text; some clients end it with a zero byte (RFC 2132 section 2 forbids it).
fn name_in_text(value: &[u8]) -> Option<Name> {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    Name::from_host(value.get(..end)?)
}

/// A name in labels (RFC 1035 section 3.1) without compression; one that is not complete has no
/// root at its end.
fn name_in_labels(value: &[u8]) -> Option<Name> {
    let mut at = Cursor::new(value);
    let mut labels = Vec::new();
    while let Some(len) = at.u8().filter(|len| *len > 0) {
        if len > MAX_LABEL_LEN || at.remaining() < len.into() || value.len() > 255 {
            return None;
        }
        labels.push(at.take(len.into())?);
    }
    (!labels.is_empty()).then(|| Name::from_labels(labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(own: [u8; 4], relay: [u8; 4], options: &[u8]) -> Vec<u8> {
        let mut bytes = vec![1, 1, 6, 0, 1, 2, 3, 4, 0, 0, 0, 0];
        bytes.extend(own);
        bytes.extend([0; 8]);
        bytes.extend(relay);
        bytes.extend([2, 0, 0, 0, 0, 7]);
        bytes.resize(BOOTP_LEN, 0);
        bytes.extend(MAGIC_COOKIE.to_be_bytes());
        bytes.extend(options);
        bytes
    }

    fn option(code: u8, value: &[u8]) -> Vec<u8> {
        [&[code, value.len() as u8], value].concat()
    }

    fn name(payload: &[u8]) -> Option<String> {
        claim(68, 67, payload).map(|claim| claim.name.to_string())
    }

    const REQUEST: [u8; 3] = [53, 1, 3];

    #[test]
    fn a_request_names_the_host_that_sends_it() {
        let options =
            [&REQUEST[..], &option(50, &[192, 168, 0, 9]), &[0, 0], &option(12, b"Ann-Laptop\0"), &[255]].concat();
        let found = claim(68, 67, &v4([0; 4], [0; 4], &options)).unwrap();
        assert_eq!(found.name.as_str(), "ann-laptop");
        assert_eq!(found.hardware, Some(Mac([2, 0, 0, 0, 0, 7])));
        assert_eq!(found.address, Some("192.168.0.9".parse().unwrap()));
        let renewed = claim(68, 67, &v4([192, 168, 0, 8], [0; 4], &options)).unwrap();
        assert_eq!(renewed.address, Some("192.168.0.8".parse().unwrap()), "what it has comes before what it asks for");
    }

    #[test]
    fn the_client_fqdn_counts_where_there_is_no_host_name() {
        let labels = option(81, b"\x04\0\0\x03ann\x07example\x03org\0");
        assert_eq!(name(&v4([0; 4], [0; 4], &[&REQUEST[..], &labels].concat())).as_deref(), Some("ann.example.org"));
        let text = option(81, b"\0\0\0ANN.example.org");
        assert_eq!(name(&v4([0; 4], [0; 4], &[&REQUEST[..], &text].concat())).as_deref(), Some("ann.example.org"));
        let both = [&REQUEST[..], &text, &option(12, b"ann")].concat();
        assert_eq!(name(&v4([0; 4], [0; 4], &both)).as_deref(), Some("ann"));
    }

    #[test]
    fn hostile_bytes_of_a_name_are_escaped() {
        let options = [&REQUEST[..], &option(12, b"a\x1b[2J b\xff")].concat();
        assert_eq!(name(&v4([0; 4], [0; 4], &options)).as_deref(), Some("a\\027[2j\\032b\\255"));
    }

    #[test]
    fn only_a_client_that_asks_for_itself_is_believed() {
        let host = option(12, b"ann");
        let message = |kind: u8| v4([0; 4], [0; 4], &[&[53, 1, kind], &host[..]].concat());
        for (kind, counts) in [(1, true), (2, false), (3, true), (4, false), (5, false), (7, false), (8, true)] {
            assert_eq!(name(&message(kind)).is_some(), counts, "message type {kind}");
        }
        let request = [&REQUEST[..], &host].concat();
        assert_eq!(name(&v4([0; 4], [192, 168, 0, 1], &request)), None, "through a relay");
        assert_eq!(name(&v4([0; 4], [0; 4], &host)), None, "BOOTP has no message type");
        let mut reply = v4([0; 4], [0; 4], &request);
        reply[0] = 2;
        assert_eq!(name(&reply), None);
        assert_eq!(claim(67, 68, &v4([0; 4], [0; 4], &request)), None);
    }

    #[test]
    fn dhcpv6_has_its_own_option() {
        let solicit = b"\x01\x01\x02\x03\0\x01\0\x02\xab\xcd\0\x27\0\x0c\x01\x05phone\x03lan\0";
        assert_eq!(claim(546, 547, &[&solicit[..], &[0]].concat()).unwrap().name.as_str(), "phone.lan");
        let partial = b"\x01\x01\x02\x03\0\x27\0\x07\x01\x05phone";
        assert_eq!(claim(546, 547, partial).unwrap().name.as_str(), "phone");
        let advertise = b"\x02\x01\x02\x03\0\x27\0\x07\x01\x05phone";
        assert_eq!(claim(546, 547, advertise), None);
        let compressed = b"\x01\x01\x02\x03\0\x27\0\x03\x01\xc0\x00";
        assert_eq!(claim(546, 547, compressed), None);
    }

    #[test]
    fn a_message_cut_anywhere_gives_its_name_or_none() {
        let whole =
            v4([0; 4], [0; 4], &[&REQUEST[..], &option(12, b"ann"), &option(81, b"\x04\0\0\x03ann\0")].concat());
        for cut in 0..=whole.len() {
            assert!(name(&whole[..cut]).is_none_or(|name| name == "ann"), "cut at byte {cut}");
        }
        assert!(name(&whole).is_some());
    }

    #[test]
    fn options_without_end_are_not_followed_without_end() {
        let options = [&[0; MAX_OPTIONS][..], &REQUEST, &option(12, b"ann")].concat();
        assert_eq!(name(&v4([0; 4], [0; 4], &options)), None);
    }
}
