//! Names of content networks and load balancers, by the suffixes in data/infrastructure.txt: names
//! that say who carries bytes, and not whose they are.

use super::{MAX_LABELS, label_end, without_root};
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use std::sync::LazyLock;

/// The list that comes with imon; what a line means is said in the file.
const BUILT_IN: &str = include_str!("../../data/infrastructure.txt");

type Providers = HashMap<&'static str, &'static str, RandomState>;

static PROVIDERS: LazyLock<Providers> = LazyLock::new(|| lines().collect());

/// The last two labels of each suffix: most names end in none of them, which one look shows.
static ENDINGS: LazyLock<HashSet<&'static str, RandomState>> =
    LazyLock::new(|| lines().map(|(suffix, _)| ending(suffix)).collect());

/// What stands behind the last dot but one. A dot that is part of a label makes it too short, which
/// only costs a look.
fn ending(name: &str) -> &str {
    let dots = name.bytes().enumerate().rev().filter(|(_, byte)| *byte == b'.');
    dots.map(|(dot, _)| dot).nth(1).and_then(|dot| name.get(dot + 1..)).unwrap_or(name)
}

/// Suffix and provider of each line.
fn lines() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = BUILT_IN.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter_map(|line| line.split_once(char::is_whitespace)).map(|(suffix, provider)| (suffix, provider.trim()))
}

/// The provider whose infrastructure a host name in presentation form is part of; `None` for all
/// other names. Allocates nothing.
pub fn infrastructure(host: &str) -> Option<&'static str> {
    let mut rest = without_root(host);
    if !ENDINGS.contains(ending(rest)) {
        return None;
    }
    for _ in 0..MAX_LABELS {
        if let Some(provider) = PROVIDERS.get(rest) {
            return Some(provider);
        }
        rest = rest.get(label_end(rest)? + 1..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::{SiteKind, registrable};

    #[test]
    fn a_suffix_stands_for_itself_and_all_names_below_it() {
        for (host, provider) in [
            ("e4593.g.akamaiedge.net", Some("Akamai")),
            ("www.example.com.edgekey.net", Some("Akamai")),
            ("d111111abcdef8.cloudfront.net", Some("Amazon")),
            ("shop.trafficmanager.net.", Some("Microsoft")),
            ("vm7.westeurope.cloudapp.azure.com", Some("Microsoft")),
            ("www.azure.com", None),
            ("notcloudapp.net", None),
            ("cloudfront.net.example.com", None),
            ("evil\\.cloudfront.net", None),
            ("www.example.com", None),
            ("net", None),
            (".", None),
        ] {
            assert_eq!(infrastructure(host), provider, "{host}");
        }
    }

    #[test]
    fn every_line_is_a_domain_once_and_a_provider() {
        for (suffix, provider) in lines() {
            let kind = registrable(suffix).kind;
            assert!(matches!(kind, SiteKind::Site | SiteKind::Suffix), "{suffix}: {kind:?}");
            assert!(
                suffix.contains('.')
                    && suffix.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(&b)),
                "{suffix}"
            );
            assert!(provider.bytes().any(|b| b.is_ascii_uppercase()), "{provider}: no host may pass for it");
            assert_eq!(lines().filter(|(other, _)| *other == suffix).count(), 1, "{suffix} stands twice");
            let above = suffix.split_once('.').and_then(|(_, above)| infrastructure(above));
            assert_eq!(above, None, "{suffix}: what is above it says so already");
        }
        assert_eq!(PROVIDERS.len(), lines().count());
    }
}
