//! Files of `--owners` (MaxMind DB format): whatever they are, an answer is short and safe to show.

use crate::owners::Owners;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One input: the file, whose last bytes are looked up as addresses, too.
pub fn run(data: &[u8]) {
    let Ok(owners) = Owners::default().with(data.to_vec()) else { return };
    let last = |n: usize| data.iter().rev().take(n).fold(0, |sum: u128, byte| sum << 8 | u128::from(*byte));
    let v4 = |bits: u32| IpAddr::V4(Ipv4Addr::from_bits(bits));
    let v6 = |bits: u128| IpAddr::V6(Ipv6Addr::from_bits(bits));
    let made_up = [v4(last(4) as u32), v6(last(16)), v4(0xc633_6409), v4(0), v4(u32::MAX), v6(0), v6(u128::MAX)];
    // 2001:db8::1, and 198.51.100.9 as IPv6 writes it.
    for address in made_up.into_iter().chain([v6(0x2001_0db8 << 96 | 1), v6(0xffff_c633_6409)]) {
        let owner = owners.of(address);
        assert_eq!(owner, owners.of(address), "the same again");
        for text in [owner.network, owner.country].into_iter().flatten() {
            // `AS4294967295 ` and 64 characters.
            assert!(!text.is_empty() && text.chars().count() <= 77, "{text}");
            assert!(!text.chars().any(char::is_control) && !text.starts_with('('), "{text}");
        }
    }
    assert!(owners.damage().is_none_or(|text| text.chars().count() < 300));
    assert!(owners.about().iter().all(|(name, _)| name.chars().count() <= 64));
}
