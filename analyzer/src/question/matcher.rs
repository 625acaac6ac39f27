//! Whether a host is meant by a name as typed: a site, a family, a domain, a host or an address.

use super::Key;
use crate::books::Host;
use crate::site::{SiteKind, Sites, registrable};

/// Which hosts a name on the command line stands for.
#[derive(Debug)]
pub struct Matcher<'a> {
    name: String,
    sites: &'a Sites,
    meaning: Meaning,
}

/// What kind of name it is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Meaning {
    /// The owner of several sites.
    Family(String),
    /// A site: its hosts, those of domains that are part of it included.
    Site,
    /// A registrable domain that is part of a site.
    Domain,
    /// A host, or an address.
    Host,
    /// Addresses of a network, or of a country, as the key has them.
    Owner(Key),
    /// Nothing.
    Nothing,
}

impl<'a> Matcher<'a> {
    /// The site that it stands for, where it is one.
    pub(super) fn site(&self) -> Option<&str> {
        (self.meaning == Meaning::Site).then_some(self.name.as_str())
    }

    /// A family stands for its sites, a site for its hosts, a registrable domain that is part of a
    /// site for the hosts below it, any other name for the host or address of that name.
    pub fn new(name: &str, sites: &'a Sites) -> Self {
        let name = in_kept_form(name);
        let meaning = if let Some(family) = sites.family_called(&name) {
            Meaning::Family(family.to_owned())
        } else if sites.of(&name).kind == SiteKind::Site && sites.of(&name).name == name {
            Meaning::Site
        } else if registrable(&name).name == name && registrable(&name).kind == SiteKind::Site {
            Meaning::Domain
        } else {
            Meaning::Host
        };
        Self { name, sites, meaning }
    }

    /// The host or address of that name only.
    pub fn of_host(name: &str, sites: &'a Sites) -> Self {
        Self { name: in_kept_form(name), sites, meaning: Meaning::Host }
    }

    /// The family of that name only; of a site that has no owner in the list the site.
    pub fn of_family(name: &str, sites: &'a Sites) -> Self {
        let matcher = Self::new(name, sites);
        match matcher.meaning {
            Meaning::Family(_) | Meaning::Site => matcher,
            _ => Self { meaning: Meaning::Nothing, ..matcher },
        }
    }

    /// Addresses without a name of the network that is called so: by its number (`AS64500`), its
    /// holder, or both.
    pub fn of_network(name: &str, sites: &'a Sites) -> Self {
        Self { name: name.to_lowercase(), sites, meaning: Meaning::Owner(Key::Network) }
    }

    /// Addresses without a name of that country.
    pub fn of_country(name: &str, sites: &'a Sites) -> Self {
        Self { name: name.to_lowercase(), sites, meaning: Meaning::Owner(Key::Country) }
    }

    /// Whether it stands for this host.
    pub fn host(&self, host: &Host) -> bool {
        match (host, &self.meaning) {
            (_, Meaning::Nothing) => false,
            (_, Meaning::Owner(key)) => {
                let owner = self.sites.owner_key(*key, host).to_lowercase();
                let is_number =
                    |text: &&str| text.strip_prefix("as").is_some_and(|digits| digits.parse::<u32>().is_ok());
                let parts = owner.split_once(' ').filter(|(number, _)| is_number(number));
                owner == self.name || parts.is_some_and(|(number, holder)| self.name == number || self.name == holder)
            }
            (Host::Name(_), Meaning::Family(family)) => self.sites.family_of_host(host).0 == *family,
            (Host::Name(name), Meaning::Site) => self.sites.of(name.as_str()).name == self.name,
            (Host::Name(name), Meaning::Domain) => registrable(name.as_str()).name == self.name,
            (Host::Name(name), Meaning::Host) => name.as_str() == self.name,
            (Host::Address(address), _) => self.name.parse() == Ok(*address),
            (Host::Service(service), _) => self.name.parse() == Ok(service.address),
        }
    }
}

fn in_kept_form(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}
