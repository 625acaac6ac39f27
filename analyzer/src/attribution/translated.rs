//! IPv4 addresses inside IPv6 ones: networks with NAT64 or 464XLAT (RFC 6146, RFC 6877) send a flow
//! to an IPv6 address in which the IPv4 address stands that a name was looked up for.
//!
//! Where it stands depends on the length of the translator's prefix (RFC 6052 section 2.2). Two
//! ranges are known to everybody, others are learnt from the answers for `ipv4only.arpa`, by which
//! hosts learn them, too (RFC 7050).

use super::push;
use imon_common::names::Name;
use imon_common::time::UnixNanos;
use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The name that a host asks IPv6 addresses for to learn the prefix of its translator (RFC 7050
/// section 3).
const PROBE: &str = "ipv4only.arpa";

/// The IPv4 addresses of [`PROBE`] (RFC 7050 section 2.2).
const PROBED: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 0, 170), Ipv4Addr::new(192, 0, 0, 171)];

/// Lengths that a prefix may have, longest first (RFC 6052 section 2.2).
const LENGTHS: [u8; 6] = [96, 64, 56, 48, 40, 32];

/// The prefix that all translators may use (RFC 6052 section 2.1).
const WELL_KNOWN: Prefix = Prefix { network: 0x0064_ff9b << 96, len: 96 };

/// Translators of one's own network take prefixes of any length in here (RFC 8215).
const LOCAL_USE: Prefix = Prefix { network: 0x0064_ff9b_0001 << 80, len: 48 };

/// Prefixes remembered: the latest. A network has one, seldom two; forged answers push no more than
/// this out.
const KEPT: usize = 8;

/// The network of a translator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Prefix {
    network: u128,
    len: u8,
}

impl Prefix {
    fn of(address: Ipv6Addr, len: u8) -> Self {
        Self { network: masked(address, len), len }
    }

    fn holds(self, address: Ipv6Addr) -> bool {
        masked(address, self.len) == self.network
    }
}

fn masked(address: Ipv6Addr, len: u8) -> u128 {
    let host_bits = 128_u32.saturating_sub(u32::from(len));
    u128::from(address).checked_shr(host_bits).and_then(|net| net.checked_shl(host_bits)).unwrap_or_default()
}

/// The IPv4 address that stands behind a prefix of this length; `None` where bits 64 to 71 are set,
/// which they never are (RFC 6052 section 2.2). The rest of the address does not count.
fn behind(address: Ipv6Addr, len: u8) -> Option<Ipv4Addr> {
    let [_, _, _, _, a, b, c, d, zero, e, f, g, h, i, j, k] = address.octets();
    let v4 = match len {
        32 => [a, b, c, d],
        40 => [b, c, d, e],
        48 => [c, d, e, f],
        56 => [d, e, f, g],
        64 => [e, f, g, h],
        96 => return Some(Ipv4Addr::from([h, i, j, k])),
        _ => return None,
    };
    (zero == 0).then(|| Ipv4Addr::from(v4))
}

/// Whether nothing stands behind the IPv4 address, as it should be (RFC 6052 section 2.2).
fn ends_behind(address: Ipv6Addr, len: u8) -> bool {
    // 32 bits of the address, and the eight that are always zero.
    len == 96 || masked(address, len.saturating_add(40)) == u128::from(address)
}

/// What is known of translators: their prefixes, and when each was told last.
#[derive(Debug, Default)]
pub(super) struct Prefixes(Vec<(Prefix, UnixNanos)>);

/// Whether an answer for `name` tells of a translator.
pub(super) fn is_probe(name: &Name) -> bool {
    name.as_str() == PROBE
}

impl Prefixes {
    /// Takes an address that was told for [`PROBE`].
    pub(super) fn learn(&mut self, told: IpAddr, ts: UnixNanos) {
        let IpAddr::V6(told) = told else { return };
        let fits = |len: &u8| behind(told, *len).is_some_and(|v4| PROBED.contains(&v4));
        let Some(len) = LENGTHS.into_iter().find(fits) else { return };
        let prefix = Prefix::of(told, len);
        match self.0.iter_mut().find(|(known, _)| *known == prefix) {
            Some((_, last)) => *last = ts.max(*last),
            None => push(&mut self.0, (prefix, ts)),
        }
        self.0.sort_by_key(|(prefix, last)| (Reverse(*last), prefix.network, prefix.len));
        self.0.truncate(KEPT);
    }

    /// The IPv4 addresses that an address may stand for by what was told since `since`, likeliest
    /// first; mostly none.
    pub(super) fn embedded(&self, address: IpAddr, since: UnixNanos) -> Vec<IpAddr> {
        let IpAddr::V6(v6) = address else { return Vec::new() };
        let told = self.0.iter().filter(|(_, last)| *last >= since).map(|(prefix, _)| prefix);
        let known = told.chain(std::iter::once(&WELL_KNOWN)).filter(|prefix| prefix.holds(v6));
        let mut found: Vec<Ipv4Addr> = known.filter_map(|prefix| behind(v6, prefix.len)).collect();
        if LOCAL_USE.holds(v6) {
            // The first one that nothing stands behind: with longer ones a part of the IPv4 address
            // would be of the prefix.
            let lengths = LENGTHS.into_iter().rev().filter(|len| *len >= LOCAL_USE.len && ends_behind(v6, *len));
            found.extend(lengths.filter_map(|len| behind(v6, len)).next());
        }
        // RFC 4291 section 2.5.5.2. It does not belong on a wire, and is seen there.
        found.extend(v6.to_ipv4_mapped());
        found.retain(|v4| !v4.is_unspecified());
        let mut seen = Vec::new();
        for v4 in found.into_iter().map(IpAddr::V4) {
            if !seen.contains(&v4) {
                seen.push(v4);
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embedded(prefixes: &Prefixes, address: &str) -> Vec<String> {
        prefixes.embedded(address.parse().unwrap(), UnixNanos(0)).iter().map(IpAddr::to_string).collect()
    }

    #[test]
    fn the_examples_of_rfc_6052_are_read() {
        // RFC 6052 section 2.4.
        for (len, address) in [
            (32, "2001:db8:c000:221::"),
            (40, "2001:db8:1c0:2:21::"),
            (48, "2001:db8:122:c000:2:2100::"),
            (56, "2001:db8:122:3c0:0:221::"),
            (64, "2001:db8:122:344:c0:2:2100::"),
            (96, "2001:db8:122:344::192.0.2.33"),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(behind(address, len), Some(Ipv4Addr::new(192, 0, 2, 33)), "{len}");
            assert!(ends_behind(address, len), "{len}");
        }
        assert_eq!(behind("2001:db8:122:c000:102:2100::".parse().unwrap(), 48), None, "bits 64 to 71 are set");
    }

    #[test]
    fn the_ranges_that_everybody_knows_need_not_be_learnt() {
        assert_eq!(embedded(&Prefixes::default(), "::ffff:192.0.2.33"), ["192.0.2.33"]);
        let none = Prefixes::default();
        assert_eq!(embedded(&none, "64:ff9b::c633:641c"), ["198.51.100.28"]);
        assert_eq!(embedded(&none, "64:ff9b:1::c633:641c"), ["198.51.100.28"]);
        assert_eq!(embedded(&none, "64:ff9b:1:77::c633:641c"), ["198.51.100.28"]);
        // A prefix of 48 bits: the IPv4 address stands right behind it.
        assert_eq!(embedded(&none, "64:ff9b:1:c633:64:1c00::"), ["198.51.100.28"]);
        for other in ["64:ff9b:0:1::c633:641c", "64:ff9b:2::c633:641c", "2001:db8::c633:641c", "198.51.100.28"] {
            assert_eq!(embedded(&none, other), [""; 0], "{other}");
        }
        assert_eq!(embedded(&none, "64:ff9b::"), [""; 0], "0.0.0.0 is nobody");
    }

    #[test]
    fn a_prefix_of_any_length_is_learnt_from_the_name_that_is_made_for_it() {
        for (told, flow) in [
            ("2001:db8:64::192.0.0.170", "2001:db8:64::198.51.100.28"),
            ("2001:db8:64::192.0.0.171", "2001:db8:64::198.51.100.28"),
            ("2001:db8:122:c000:0:aa00::", "2001:db8:122:c633:64:1c00::"),
            ("2001:db8:122:344:c0:0:aa00::", "2001:db8:122:344:c6:3364:1c00::"),
            ("2001:db8:c000:aa::", "2001:db8:c633:641c::"),
        ] {
            let mut prefixes = Prefixes::default();
            assert_eq!(embedded(&prefixes, flow), [""; 0]);
            prefixes.learn(told.parse().unwrap(), UnixNanos(0));
            assert_eq!(embedded(&prefixes, flow), ["198.51.100.28"], "{told}");
        }
        let mut prefixes = Prefixes::default();
        prefixes.learn("2001:db8:64::192.0.0.172".parse().unwrap(), UnixNanos(0));
        prefixes.learn("192.0.0.170".parse().unwrap(), UnixNanos(0));
        assert_eq!(prefixes.0, []);
    }

    #[test]
    fn the_latest_prefixes_are_kept() {
        let mut prefixes = Prefixes::default();
        (0..100).for_each(|i| prefixes.learn(format!("2001:db8:{i:x}::192.0.0.170").parse().unwrap(), UnixNanos(i)));
        assert_eq!(prefixes.0.len(), KEPT);
        assert_eq!(embedded(&prefixes, "2001:db8:63::198.51.100.28"), ["198.51.100.28"]);
        assert_eq!(embedded(&prefixes, "2001:db8:1::198.51.100.28"), [""; 0]);
    }
}
