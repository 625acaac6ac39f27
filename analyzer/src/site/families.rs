//! Families: which domains are one site, and which sites belong to one owner. The format is said in
//! data/families.txt.

use super::{Labels, SiteKind, registrable, without_root};
use crate::error::shown;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::names::Name;
use psl::Type;

/// The families that come with imon; what a line means is said in the file.
const BUILT_IN: &str = include_str!("../../data/families.txt");

/// Longest chain of domains (`a b`, `b c`, …) that is followed; a longer one is a circle or a
/// mistake.
const MAX_CHAIN: usize = 8;

/// Longest name of a family, in characters: it is a column of a table.
const MAX_FAMILY_LEN: usize = 40;

/// Most lines of a file: far more than anyone writes by hand, and bounded memory for whatever is
/// named by mistake.
const MAX_LINES: usize = 100_000;

/// Why a line of a families file was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FamilyError {
    /// Not exactly two words.
    #[error("line {line}: expected `DOMAIN SITE` or `SITE @Family`, found {words} words")]
    Words {
        /// Line number from 1.
        line: usize,
        /// How many words it has.
        words: usize,
    },
    /// A word that is no domain below a public suffix.
    #[error("line {line}: `{word}` is not a domain that can belong to a site")]
    NotADomain {
        /// Line number from 1.
        line: usize,
        /// The word, escaped.
        word: String,
    },
    /// A name that a host could have, or that does not fit a table.
    #[error(
        "line {line}: a family cannot be called `{name}`: at most {MAX_FAMILY_LEN} printable ASCII characters, one of them an \
         upper-case letter, so that no host can pass for it"
    )]
    FamilyName {
        /// Line number from 1.
        line: usize,
        /// The name, escaped.
        name: String,
    },
    /// An owner for a domain that is part of another site.
    #[error("line {line}: `{domain}` is part of the site {site}: give that one to a family")]
    NotASite {
        /// Line number from 1.
        line: usize,
        /// The domain.
        domain: String,
        /// Its site.
        site: String,
    },
    /// Domains that lead to each other.
    #[error("`{domain}` leads in a circle or through more than {MAX_CHAIN} domains")]
    Circle {
        /// A domain of the circle.
        domain: String,
    },
    /// More lines than a file may have.
    #[error("more than {MAX_LINES} lines")]
    TooLong,
}

type Map = HashMap<Box<str>, Box<str>, RandomState>;

/// What families files say.
#[derive(Debug, Clone, Default)]
pub(super) struct Families {
    /// Domain → site; chains are already followed.
    sites: Map,
    /// Site → family.
    owners: Map,
}

impl Families {
    /// Those that come with imon.
    pub(super) fn built_in() -> Self {
        Self::default().with(BUILT_IN).expect("a test reads the file that is compiled in")
    }

    /// The same with the lines of `text` added; a later line for the same domain wins.
    pub(super) fn with(mut self, text: &str) -> Result<Self, FamilyError> {
        let mut owned = Vec::new();
        for (i, line) in text.lines().enumerate() {
            if i >= MAX_LINES {
                return Err(FamilyError::TooLong);
            }
            self.line(i + 1, line, &mut owned)?;
        }
        self.follow_chains()?;
        for (line, domain) in owned {
            if let Some(site) = self.site(&domain).filter(|site| *site != &*domain) {
                return Err(FamilyError::NotASite { line, domain: domain.into(), site: site.to_owned() });
            }
        }
        Ok(self)
    }

    /// The site that a domain itself was given to.
    pub(super) fn site(&self, domain: &str) -> Option<&str> {
        self.sites.get(domain).map(|site| &**site)
    }

    /// The family of a site.
    pub(super) fn owner(&self, site: &str) -> Option<&str> {
        self.owners.get(site).map(|owner| &**owner)
    }

    /// The family called `name`, in whatever case it is typed.
    pub(super) fn called(&self, name: &str) -> Option<&str> {
        self.owners.values().find(|owner| owner.eq_ignore_ascii_case(name)).map(|owner| &**owner)
    }

    /// Takes one line. Sites that are given to a family go to `owned`, to be judged when all lines
    /// are known.
    fn line(&mut self, number: usize, line: &str, owned: &mut Vec<(usize, Box<str>)>) -> Result<(), FamilyError> {
        let line = line.split('#').next().unwrap_or_default();
        if let Some((domain, name)) = line.split_once('@') {
            let words: Vec<&str> = domain.split_whitespace().collect();
            let &[word] = words.as_slice() else {
                return Err(FamilyError::Words { line: number, words: words.len() + 1 });
            };
            let site = member(number, word)?;
            match family_name(number, name)? {
                Some(name) => {
                    owned.push((number, site.clone()));
                    self.owners.insert(site, name)
                }
                None => self.owners.remove(&site),
            };
            return Ok(());
        }
        match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            [] => {}
            [domain, site] => {
                let (domain, site) = (member(number, domain)?, member(number, site)?);
                self.sites.insert(domain, site);
            }
            more => return Err(FamilyError::Words { line: number, words: more.len() }),
        }
        Ok(())
    }

    /// Replaces each site by the end of its chain.
    fn follow_chains(&mut self) -> Result<(), FamilyError> {
        let mut ends = Vec::new();
        for (domain, site) in &self.sites {
            let mut end = site;
            let mut steps = 0;
            while let Some(next) = self.sites.get(end).filter(|next| *next != end) {
                end = next;
                steps += 1;
                if steps > MAX_CHAIN {
                    return Err(FamilyError::Circle { domain: domain.to_string() });
                }
            }
            if end != site {
                ends.push((domain.clone(), end.clone()));
            }
        }
        self.sites.extend(ends);
        Ok(())
    }
}

/// A word as a domain: lower case, no trailing dot. It may be a private suffix (one owner), but not
/// an ICANN one.
fn member(line: usize, word: &str) -> Result<Box<str>, FamilyError> {
    let lower = word.to_ascii_lowercase();
    let name = without_root(&lower);
    let is_private = || Labels::of(name).is_some_and(|l| l.suffix().typ == Some(Type::Private));
    let fits = Name::from_presentation(name).is_some()
        && match registrable(name).kind {
            SiteKind::Site => true,
            SiteKind::Suffix => is_private(),
            _ => false,
        };
    if fits { Ok(name.into()) } else { Err(FamilyError::NotADomain { line, word: shown(word) }) }
}

/// The text behind the `@`; `None` where there is none, which takes the site out of its family.
fn family_name(line: usize, text: &str) -> Result<Option<Box<str>>, FamilyError> {
    let name = text.trim();
    // Host names are kept in lower case.
    let fits = name.len() <= MAX_FAMILY_LEN
        && name.bytes().all(|b| (b' '..=b'~').contains(&b))
        && name.bytes().any(|b| b.is_ascii_uppercase());
    match name {
        "" => Ok(None),
        _ if fits => Ok(Some(name.into())),
        _ => Err(FamilyError::FamilyName { line, name: shown(name) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::{Site, Sites};

    #[test]
    fn domains_join_their_site() {
        let sites = Sites::new();
        for (host, site) in [
            ("rr4---sn-4g5e6nze.googlevideo.com", "youtube.com"),
            ("i.ytimg.com", "youtube.com"),
            ("scontent.xx.fbcdn.net", "facebook.com"),
            ("ipv4-c001-fra001-ix.1.oca.nflxvideo.net", "netflix.com"),
            ("www.example.org", "example.org"),
            ("notgooglevideo.com", "notgooglevideo.com"),
            ("googlevideo.com.example.org", "example.org"),
        ] {
            assert_eq!(sites.of(host), Site { name: site, kind: SiteKind::Site }, "{host}");
        }
    }

    #[test]
    fn sites_join_the_family_of_their_owner() {
        let sites = Sites::new();
        for (host, site, family) in [
            ("rr4---sn-4g5e6nze.googlevideo.com", "youtube.com", "Google"),
            ("mail.google.com", "google.com", "Google"),
            ("scontent.cdninstagram.com", "instagram.com", "Meta"),
            ("mmg.whatsapp.net", "whatsapp.com", "Meta"),
            ("www.example.org", "example.org", "example.org"),
        ] {
            let name = crate::books::Host::Name(Name::from_host(host.as_bytes()).unwrap());
            assert_eq!(sites.of_host(&name).0, site);
            assert_eq!(sites.family_of_host(&name).0, family);
        }
    }

    #[test]
    fn every_family_has_more_than_one_site() {
        let families = Families::built_in();
        for owner in families.owners.values() {
            let members = families.owners.values().filter(|other| *other == owner).count();
            assert!(members > 1, "{owner} says nothing that the site itself does not say");
        }
        // The same name in two spellings would be two families.
        for owner in families.owners.values() {
            assert_eq!(families.called(owner), Some(&**owner));
        }
    }

    #[test]
    fn a_user_file_adds_overrides_and_takes_out() {
        let sites = Sites::new()
            .with_families(
                "# mine\nytimg.com ytimg.com\nStatic.Example.NET example.com # host\nexample.com example.org\n\
                 apps.fbsbx.com facebook.com\nexample.org @Example Group\nyoutube.com @\ngithub.com @Example Group\n",
            )
            .unwrap();
        assert_eq!(sites.of("i.ytimg.com").name, "ytimg.com");
        assert_eq!(sites.of("a.static.example.net").name, "example.org", "chains are followed");
        assert_eq!(sites.of("other.example.net").name, "example.net");
        assert_eq!(sites.of("x.apps.fbsbx.com").name, "facebook.com");
        assert_eq!(sites.family("example.org"), Some("Example Group"));
        assert_eq!(sites.family("github.com"), Some("Example Group"), "a later line wins");
        assert_eq!((sites.family("youtube.com"), sites.family("google.com")), (None, Some("Google")));
        assert_eq!(sites.family_called("EXAMPLE group"), Some("Example Group"));
    }

    #[test]
    fn a_bad_line_is_named() {
        let read = |text: &str| Sites::new().with_families(text).unwrap_err();
        assert_eq!(read("\na b c"), FamilyError::Words { line: 2, words: 3 });
        assert_eq!(read("a.com b.com @X"), FamilyError::Words { line: 1, words: 3 });
        assert_eq!(read("@X"), FamilyError::Words { line: 1, words: 1 });
        assert_eq!(read("co.uk example.com"), FamilyError::NotADomain { line: 1, word: "co.uk".into() });
        assert_eq!(read("co.uk @X"), FamilyError::NotADomain { line: 1, word: "co.uk".into() });
        assert_eq!(read("x\u{1b}.com a.com"), FamilyError::NotADomain { line: 1, word: "x\\027.com".into() });
        assert!(matches!(read("a.com b.com\nb.com a.com"), FamilyError::Circle { .. }));
        assert_eq!(read("a.com @google.com"), FamilyError::FamilyName { line: 1, name: "google.com".into() });
        assert!(matches!(read("a.com @A\u{202e}"), FamilyError::FamilyName { .. }));
        let part = FamilyError::NotASite { line: 1, domain: "ytimg.com".into(), site: "youtube.com".into() };
        assert_eq!(read("ytimg.com @X"), part);
        assert_eq!(Sites::new().with_families(&"\n".repeat(MAX_LINES + 1)).unwrap_err(), FamilyError::TooLong);
    }
}
