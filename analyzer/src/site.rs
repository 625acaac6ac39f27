//! Host name → site: the registrable domain by the Public Suffix List, then families; and site →
//! family, the owner's.
//!
//! What has no registrable domain stands for itself and says so by its [`SiteKind`]; it never
//! becomes a site by mistake. Everything here is pure and works on names in presentation form
//! ([`imon_common::names::Name`]).

mod families;
mod infrastructure;
mod lately;

pub use families::FamilyError;
pub use infrastructure::infrastructure;

use crate::books::Host;
use crate::owners::{Owner, Owners};
use crate::question::Key;
use families::Families;
use jiff::civil::{Date, date};
use psl::{Info, Psl as _};
use std::net::IpAddr;
use std::sync::Arc;

/// The Public Suffix List in use: that of the crate which compiles it in.
const SUFFIX_LIST: &str = "psl 2.1.247";

/// The day on which that version of the crate was published. The crate does not hand on the list's
/// own date; it is published again whenever the list has changed, so the list is at most a day
/// older.
const SUFFIX_LIST_DATE: Date = date(2026, 11, 5);

/// From this age on the list is called old: new suffixes come every week, so that some sites are
/// cut wrongly by then.
const SUFFIX_LIST_OLD_DAYS: i32 = 365;

/// Most labels that a name of 255 bytes can have (RFC 1035 section 2.3.4): one byte of length and
/// one of text each.
const MAX_LABELS: usize = 128;

/// Zones that are local everywhere: no name below them leads to a host on the Internet. Routers
/// give some of them to their networks without being asked.
const LOCAL_ZONES: [&str; 11] = [
    "local",     // RFC 6762
    "localhost", // RFC 6761
    "home.arpa", // RFC 8375
    "internal",  // kept free for this by ICANN, 2024
    "lan",       // this and the next four: RFC 6762 appendix G
    "home",
    "corp",
    "private",
    "intranet",
    "localdomain", // what resolvers add where nobody set a domain; never delegated
    "fritz.box",   // the maker's own domain, which its routers give to the home's devices
];

/// Which Public Suffix List sites are made with, for people; `today` tells whether it is old.
pub fn suffix_list(today: Date) -> String {
    let old = (today - SUFFIX_LIST_DATE).get_days() > SUFFIX_LIST_OLD_DAYS;
    let remark = if old { "; more than a year old, a newer imon-analyze has a newer one" } else { "" };
    format!("{SUFFIX_LIST} of {SUFFIX_LIST_DATE}, private section on{remark}")
}

/// The date of that list, in ISO 8601.
pub fn suffix_list_date() -> String {
    SUFFIX_LIST_DATE.to_string()
}

/// What kind of thing a host is booked under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SiteKind {
    /// A registrable domain, or the family that it belongs to.
    Site,
    /// A public suffix itself (`co.uk`, `github.io`): nobody's own.
    Suffix,
    /// A single label (`router`) or the root.
    SingleLabel,
    /// A name of the local network: below one of [`LOCAL_ZONES`].
    LocalName,
    /// An address, or a name written like one (`192.0.2.1`, `[2001:db8::1]`).
    Address,
    /// Not a host name that DNS could hold: an empty label, or too many.
    Malformed,
}

/// Where a host's bytes go in a report by site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Site<'a> {
    /// The registrable domain, the family, or the host itself.
    pub name: &'a str,
    /// Which of these, and why.
    pub kind: SiteKind,
}

/// Turns hosts into sites and families: the Public Suffix List and the families files.
#[derive(Debug, Clone)]
pub struct Sites {
    families: Families,
    /// Lines of the user's families.
    added: usize,
    /// Whose addresses are, where a file tells: for labels, and for nothing else.
    owners: Option<Arc<Owners>>,
}

/// What stands as network and country of what has a name, and of what no file knows. No network is
/// called so.
pub(crate) const OF_NAMES: &str = "(named)";
pub(crate) const NOT_KNOWN: &str = "(unknown)";

impl Sites {
    /// The Public Suffix List and the families that come with imon.
    pub fn new() -> Self {
        Self { families: Families::built_in(), added: 0, owners: None }
    }

    /// The same with the lines of `text` added, in the format of data/families.txt. A later line
    /// for the same domain wins; `DOMAIN DOMAIN` takes a domain out of its site, `SITE @` a site
    /// out of its family.
    ///
    /// # Errors
    /// The first line that is not understood; circles.
    pub fn with_families(self, text: &str) -> Result<Self, FamilyError> {
        let added = self.added.saturating_add(text.lines().count());
        Ok(Self { families: self.families.with(text)?, added, ..self })
    }

    /// The same with labels for addresses without a name.
    #[must_use]
    pub fn with_owners(self, owners: Owners) -> Self {
        Self { owners: Some(Arc::new(owners)), ..self }
    }

    /// Whose addresses are, where a file tells.
    pub fn owners(&self) -> Option<&Owners> {
        self.owners.as_deref()
    }

    /// Whose what bytes are booked on is; `None` of what has a name, of services of our own, and
    /// without a file.
    pub fn owner(&self, host: &Host) -> Option<Owner> {
        match (host, &self.owners) {
            (Host::Address(address), Some(owners)) => Some(owners.of(*address)),
            _ => None,
        }
    }

    /// The network or the country of what bytes are booked on, as `key` says, as text.
    pub fn owner_key(&self, key: Key, host: &Host) -> String {
        let Host::Address(_) = host else { return OF_NAMES.to_owned() };
        let owner = self.owner(host).unwrap_or_default();
        let text = if key == Key::Country { owner.country } else { owner.network };
        text.unwrap_or_else(|| NOT_KNOWN.to_owned())
    }

    /// Which families these are, in words for a document.
    pub fn families_used(&self) -> String {
        match self.added {
            0 => "built-in".to_owned(),
            added => format!("built-in, and {added} lines of the user's"),
        }
    }

    /// The site of a host name in presentation form; allocates nothing.
    pub fn of<'a>(&'a self, host: &'a str) -> Site<'a> {
        let own = registrable(host);
        match own.kind {
            SiteKind::Site | SiteKind::Suffix => self.joined(host, own.name).unwrap_or(own),
            _ => own,
        }
    }

    /// The site of what bytes are booked on, as text.
    pub fn of_host(&self, host: &Host) -> (String, SiteKind) {
        match host {
            Host::Name(name) => {
                let site = self.of(name.as_str());
                (site.name.to_owned(), site.kind)
            }
            Host::Address(_) | Host::Service(_) => (host.to_string(), SiteKind::Address),
        }
    }

    /// The family of what bytes are booked on, as text: the owner of its site, or the site itself.
    pub fn family_of_host(&self, host: &Host) -> (String, SiteKind) {
        let (site, kind) = self.of_host(host);
        match self.family(&site).filter(|_| kind == SiteKind::Site) {
            Some(family) => (family.to_owned(), SiteKind::Site),
            None => (site, kind),
        }
    }

    /// The family of a site, if it has one.
    pub fn family(&self, site: &str) -> Option<&str> {
        self.families.owner(site)
    }

    /// The family called `name`, in whatever case it is typed.
    pub fn family_called(&self, name: &str) -> Option<&str> {
        self.families.called(name)
    }

    /// The site that the longest domain was given to which `host` is or lies below.
    fn joined<'a>(&'a self, host: &'a str, registrable: &str) -> Option<Site<'a>> {
        let mut rest = without_root(host);
        for _ in 0..MAX_LABELS {
            if let Some(site) = self.families.site(rest) {
                return Some(Site { name: site, kind: SiteKind::Site });
            }
            // One label above the registrable domain may be a private suffix (apps.fbsbx.com) of a
            // site.
            if rest.len() < registrable.len() {
                return None;
            }
            rest = rest.get(label_end(rest)? + 1..)?;
        }
        None
    }
}

impl Default for Sites {
    fn default() -> Self {
        Self::new()
    }
}

/// The registrable domain of `host` by the Public Suffix List, private section on, families left
/// out.
pub fn registrable(host: &str) -> Site<'_> {
    lately::look_up(host, cut)
}

/// The same, looked up.
fn cut(host: &str) -> Site<'_> {
    let name = without_root(host);
    let itself = |kind| Site { name, kind };
    if name == "." {
        return itself(SiteKind::SingleLabel);
    }
    if is_address(name) {
        return itself(SiteKind::Address);
    }
    let Some(labels) = Labels::of(name) else {
        return itself(SiteKind::Malformed);
    };
    if labels.count() < 2 {
        return itself(SiteKind::SingleLabel);
    }
    if labels.is_local_name() {
        return itself(SiteKind::LocalName);
    }
    match labels.registrable() {
        Some(domain) => Site { name: domain, kind: SiteKind::Site },
        None => itself(SiteKind::Suffix),
    }
}

/// A name cut into labels, at dots that are not escaped: `a\.b.com` has the labels `a\.b` and
/// `com`, or a hostile name could pass for a site that it does not belong to.
struct Labels<'a> {
    name: &'a str,
    /// Offsets of the first byte of each label.
    starts: [u16; MAX_LABELS],
    count: usize,
}

impl<'a> Labels<'a> {
    /// `None` if a label is empty or there are too many.
    fn of(name: &'a str) -> Option<Self> {
        let mut labels = Self { name, starts: [0; MAX_LABELS], count: 0 };
        let mut start = 0;
        loop {
            let rest = name.get(start..)?;
            let end = label_end(rest).unwrap_or(rest.len());
            if end == 0 {
                return None;
            }
            *labels.starts.get_mut(labels.count)? = u16::try_from(start).ok()?;
            labels.count += 1;
            if end == rest.len() {
                return Some(labels);
            }
            start += end + 1;
        }
    }

    fn count(&self) -> usize {
        self.count
    }

    /// The name from label `i` on.
    fn from(&self, i: usize) -> Option<&'a str> {
        self.name.get(usize::from(*self.starts.get(..self.count)?.get(i)?)..)
    }

    /// The labels' bytes, last label first.
    fn backwards(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        (0..self.count).rev().filter_map(|i| {
            let label = self.from(i)?;
            label.as_bytes().get(..label_end(label).unwrap_or(label.len()))
        })
    }

    /// The public suffix and one label more; `None` where the name is the suffix itself.
    fn registrable(&self) -> Option<&'a str> {
        let suffix_len = self.suffix().len;
        let suffix_start = self.name.len().checked_sub(suffix_len)?;
        let above = (0..self.count).rev().find(|i| self.starts.get(*i).is_some_and(|s| usize::from(*s) < suffix_start));
        self.from(above?)
    }

    /// Whether the last labels are those of a zone that is local everywhere.
    fn is_local_name(&self) -> bool {
        let end = |labels: usize| self.count.checked_sub(labels).and_then(|i| self.from(i));
        let ends = [end(1), end(2)];
        LOCAL_ZONES.iter().any(|zone| ends.contains(&Some(zone)))
    }

    fn suffix(&self) -> Info {
        psl::List.find(self.backwards())
    }
}

/// Offset of the first dot that is not escaped.
fn label_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|b| {
        let ends = b == b'.' && !escaped;
        escaped = b == b'\\' && !escaped;
        ends
    })
}

/// Whether `name` is an address, bracketed or not, perhaps with a zone (RFC 6874), or ends in a
/// label of digits only, which no top-level domain does (RFC 3696 section 2).
fn is_address(name: &str) -> bool {
    let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
    let bare = bare.split_once('%').map_or(bare, |(address, _)| address);
    let last = name.rsplit('.').next().unwrap_or(name);
    bare.parse::<IpAddr>().is_ok() || (!last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()))
}

/// `name` without the dot of the root at its end; an escaped dot belongs to the last label, and `.`
/// is all there is.
fn without_root(name: &str) -> &str {
    name.strip_suffix('.').filter(|rest| !rest.is_empty() && !rest.ends_with('\\')).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use imon_common::names::Name;

    fn check(host: &str, name: &str, kind: SiteKind) {
        assert_eq!(registrable(host), Site { name, kind }, "{host}");
    }

    #[test]
    fn the_registrable_domain_is_the_suffix_and_one_label() {
        check("www.example.com", "example.com", SiteKind::Site);
        check("a.b.example.co.uk", "example.co.uk", SiteKind::Site);
        check("example.com", "example.com", SiteKind::Site);
        check("www.example.com.", "example.com", SiteKind::Site);
        // Wildcard and exception rules: *.ck, !www.ck.
        check("a.b.shop.ck", "b.shop.ck", SiteKind::Site);
        check("a.www.ck", "www.ck", SiteKind::Site);
    }

    #[test]
    fn private_suffixes_give_each_customer_a_site_of_its_own() {
        check("netlab-user1.github.io", "netlab-user1.github.io", SiteKind::Site);
        check("a.netlab-user1.github.io", "netlab-user1.github.io", SiteKind::Site);
        check("bucket.s3.amazonaws.com", "bucket.s3.amazonaws.com", SiteKind::Site);
        check("x.blogspot.com", "x.blogspot.com", SiteKind::Site);
    }

    #[test]
    fn a_suffix_stands_for_itself_and_is_marked() {
        check("co.uk", "co.uk", SiteKind::Suffix);
        check("github.io", "github.io", SiteKind::Suffix);
        check("x.kawasaki.jp", "x.kawasaki.jp", SiteKind::Suffix);
        check("com", "com", SiteKind::SingleLabel);
    }

    #[test]
    fn names_that_are_no_public_names_stand_for_themselves() {
        check("router", "router", SiteKind::SingleLabel);
        check(".", ".", SiteKind::SingleLabel);
        check("printer.local", "printer.local", SiteKind::LocalName);
        check("_ipp._tcp.local", "_ipp._tcp.local", SiteKind::LocalName);
        check("nas.home.arpa", "nas.home.arpa", SiteKind::LocalName);
        check("fritz.box", "fritz.box", SiteKind::LocalName);
        check("openwrt.lan", "openwrt.lan", SiteKind::LocalName);
        check("a.b.corp", "a.b.corp", SiteKind::LocalName);
        check("other.box", "other.box", SiteKind::Site);
        check("www.home.arpa.example", "arpa.example", SiteKind::Site);
        check("a..com", "a..com", SiteKind::Malformed);
        check("", "", SiteKind::Malformed);
    }

    #[test]
    fn names_written_like_addresses_are_no_sites() {
        for name in
            ["192.0.2.1", "[2001:db8::1]", "2001:db8::1", "[fe80::1%25eth0.5]", "fe80::1%eth0", "1.2.3.4.5", "a.7"]
        {
            check(name, name, SiteKind::Address);
        }
    }

    #[test]
    fn a_top_level_domain_that_the_list_does_not_know_is_one_label() {
        check("www.site.test", "site.test", SiteKind::Site);
        check("server.lane", "server.lane", SiteKind::Site);
    }

    #[test]
    fn punycode_suffixes_count() {
        // 公司.cn and 中国 are suffixes of the list.
        check("www.xn--85x722f.xn--55qx5d.cn", "xn--85x722f.xn--55qx5d.cn", SiteKind::Site);
        check("a.xn--85x722f.xn--fiqs8s", "xn--85x722f.xn--fiqs8s", SiteKind::Site);
    }

    #[test]
    fn an_escaped_dot_cannot_pass_for_another_site() {
        let name = Name::from_labels([b"evil.google".as_slice(), b"com"]);
        check(name.as_str(), "evil\\.google.com", SiteKind::Site);
        // An escaped backslash before a real dot.
        let name = Name::from_host(b"evil\\.google.com").unwrap();
        check(name.as_str(), "google.com", SiteKind::Site);
    }

    #[test]
    fn a_name_of_very_many_labels_is_bounded() {
        let name = "a.".repeat(600);
        check(&name, name.strip_suffix('.').unwrap(), SiteKind::Malformed);
    }

    #[test]
    fn the_list_is_the_one_that_is_built_in() {
        let lock = include_str!("../../Cargo.lock");
        let version = lock.split("name = \"psl\"\nversion = \"").nth(1).and_then(|t| t.split('"').next()).unwrap();
        assert_eq!(SUFFIX_LIST, format!("psl {version}"), "SUFFIX_LIST_DATE goes with it: `pubtime` in cargo's index");
    }

    #[test]
    fn an_old_list_says_so() {
        assert_eq!(suffix_list(date(2026, 11, 22)), format!("{SUFFIX_LIST} of 2026-11-05, private section on"));
        assert!(!suffix_list(date(2026, 1, 1)).contains("old"), "a clock that is wrong makes no list old");
        assert!(suffix_list(date(2028, 1, 1)).ends_with("a newer imon-analyze has a newer one"));
    }

    #[test]
    fn addresses_are_their_own_site() {
        let host = Host::Address("2001:db8::1".parse().unwrap());
        assert_eq!(Sites::new().of_host(&host), ("2001:db8::1".to_owned(), SiteKind::Address));
    }
}
