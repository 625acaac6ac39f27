//! Values of options as typed.

use super::super::Vlan;
use crate::books::{Evidence, vlan_called};
use crate::config::MAX_PERCENT;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

/// A number of bytes: `1000`, `64KiB`, `10MB`, `1.5GiB`.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let failed = || "expected a number of bytes such as 1000, 64KiB or 10MB".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1_048_576.0,
        "g" | "gib" => 1_073_741_824.0,
        "t" | "tib" => 1_099_511_627_776.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        _ => return Err(failed()),
    };
    if let (Ok(number), true) = (number.parse::<u64>(), factor == 1.0) {
        return Ok(number);
    }
    let bytes = number.parse::<f64>().map_err(|_| failed())? * factor;
    // Beyond it no sum of bytes is.
    if bytes < 9e18 { Ok(bytes as u64) } else { Err(failed()) }
}

/// A part of a plan in percent.
pub(crate) fn parse_percent(text: &str) -> Result<u32, String> {
    let percent = text.parse().ok().filter(|percent| (1..=MAX_PERCENT).contains(percent));
    percent.ok_or_else(|| format!("expected whole numbers from 1 to {MAX_PERCENT}, such as 80,100"))
}

/// A kind of evidence by its word.
pub(crate) fn parse_evidence(text: &str) -> Result<Evidence, String> {
    let words = || Evidence::ALL.map(Evidence::word).join(", ");
    Evidence::ALL.into_iter().find(|kind| kind.word() == text).ok_or_else(|| format!("expected one of {}", words()))
}

/// A VLAN by its number, or `none`.
pub(crate) fn parse_vlan(text: &str) -> Result<Vlan, String> {
    vlan_called(text).map(Vlan).ok_or_else(|| "expected a number from 1 to 4095, or none".to_owned())
}

/// A DNS server as `192.0.2.53`, `192.0.2.53:5300` or `[2001:db8::53]:5300`.
pub(crate) fn parse_server(text: &str) -> Result<SocketAddr, String> {
    let address = || text.parse().map(|address: IpAddr| SocketAddr::new(address, 53)).ok();
    text.parse()
        .ok()
        .or_else(address)
        .ok_or_else(|| "expected an address such as 192.0.2.53 or [2001:db8::53]:5300".into())
}

/// A network as `192.0.2.0/24`, or a single address.
pub(crate) fn parse_net(text: &str) -> Result<IpNet, String> {
    let address = || text.parse().map(|address: std::net::IpAddr| IpNet::from(address)).ok();
    text.parse().ok().or_else(address).ok_or_else(|| "expected a network such as 192.0.2.0/24 or 2001:db8::/32".into())
}
