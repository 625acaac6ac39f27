//! What is asked of the books: keys, filters, range. Plain values; every window asks the same
//! [`Question`].

mod matcher;

pub use matcher::Matcher;

use crate::archive::{Only, Wanted};
use crate::books::{Books, Evidence, Host, Interface, Source, Traffic};
use crate::plan::Plan;
use crate::range::Range;
use crate::recorders::RecorderName;
use crate::site::Sites;
use imon_common::names::Name;
use imon_common::time::UnixNanos;
use imon_common::wire::Mac;
use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;

/// Most keys of one question. Nobody reads a table with more, and a cell of the report has a fixed
/// size.
pub const MAX_KEYS: usize = 4;

/// What the rows of a report stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Key {
    /// Registrable domain, or the site that it is part of
    Site,
    /// Site whose page pulled the bytes in (first party), as far as that can be told; else as by
    /// site
    Page,
    /// The owner of several sites, or the site itself
    Family,
    /// Host name or address
    Host,
    /// Network (AS) of addresses without a name, by --owners
    Network,
    /// Country of addresses without a name, by --owners
    Country,
    /// Our own side
    Device,
    /// Whose device it is, as [devices] of the configuration says
    Owner,
    /// The groups that the device is in, likewise: of several all together, as every byte counts
    /// once
    Group,
    /// What our own side offers to others: bytes of flows that somebody outside opened
    Served,
    /// Local hour
    Hour,
    /// Local day
    Day,
    /// Week of ISO 8601 (Monday to Sunday) in local days
    Week,
    /// Local month
    Month,
    /// Billing period of a plan of the configuration (--plan), by its first day
    BillingMonth,
    /// Hour of the local day, 00 to 23, over all days
    HourOfDay,
    /// How the bytes came by their name
    Evidence,
    /// Where they were seen: the interface of a recorder or a capture
    Interface,
    /// The VLAN on it, by the outermost tag
    Vlan,
    /// The segment or capture that they were read from
    Source,
    /// Who recorded them: the recorder's name in the configuration, or its id
    Recorder,
}

impl Key {
    /// Every key.
    pub const ALL: [Self; 21] = [
        Self::Site,
        Self::Page,
        Self::Family,
        Self::Host,
        Self::Network,
        Self::Country,
        Self::Device,
        Self::Owner,
        Self::Group,
        Self::Served,
        Self::Hour,
        Self::Day,
        Self::Week,
        Self::Month,
        Self::BillingMonth,
        Self::HourOfDay,
        Self::Evidence,
        Self::Interface,
        Self::Vlan,
        Self::Source,
        Self::Recorder,
    ];

    /// The word for it: the option's value, and the name of its column in every format.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Site => "site",
            Self::Page => "page",
            Self::Family => "family",
            Self::Host => "host",
            Self::Network => "network",
            Self::Country => "country",
            Self::Device => "device",
            Self::Owner => "owner",
            Self::Group => "group",
            Self::Served => "served",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::BillingMonth => "billing-month",
            Self::HourOfDay => "hour-of-day",
            Self::Evidence => "evidence",
            Self::Interface => "interface",
            Self::Vlan => "vlan",
            Self::Source => "source",
            Self::Recorder => "recorder",
        }
    }

    /// Whether its values follow from the host that bytes are booked on.
    pub const fn is_of_host(self) -> bool {
        matches!(self, Self::Site | Self::Page | Self::Family | Self::Host | Self::Served) || self.is_of_owner()
    }

    /// Whether its values follow from the device on our side.
    pub const fn is_of_device(self) -> bool {
        matches!(self, Self::Device | Self::Owner | Self::Group)
    }

    /// Whether its values follow from whose an address is.
    pub const fn is_of_owner(self) -> bool {
        matches!(self, Self::Network | Self::Country)
    }

    /// Whether its values are stretches of time.
    pub const fn is_time(self) -> bool {
        matches!(self, Self::Hour | Self::Day | Self::Week | Self::Month | Self::BillingMonth | Self::HourOfDay)
    }

    /// Whether its values follow from where bytes were seen, by whom, and in what they were read.
    pub const fn is_of_origin(self) -> bool {
        matches!(self, Self::Interface | Self::Vlan | Self::Source | Self::Recorder)
    }

    /// Whether there are so many values that a table for people shows the largest only.
    pub const fn is_long(self) -> bool {
        self.is_of_host() || self.is_of_origin() || self.is_of_device()
    }
}

/// A device as people call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceName {
    /// One of its addresses, or a network that one lies in.
    Net(IpNet),
    /// Its hardware address.
    Mac(Mac),
    /// What it calls itself by DHCP or multicast DNS, with or without the domain behind it; lower
    /// case.
    Called(String),
    /// One or several that the configuration names: the device itself, its owner or a group.
    Given {
        /// The name; lower case.
        called: String,
        /// What each of them is called.
        names: Vec<String>,
        /// Their hardware addresses.
        macs: Vec<Mac>,
        /// Their addresses and networks.
        nets: Vec<IpNet>,
    },
}

impl DeviceName {
    /// `text` as typed: an address, a network, a hardware address, or a name.
    pub fn parse(text: &str) -> Self {
        let text = text.trim_end_matches('.').to_ascii_lowercase();
        if let Ok(address) = text.parse::<IpAddr>() {
            return Self::Net(address.into());
        }
        if let Ok(net) = text.parse() {
            return Self::Net(net);
        }
        parse_mac(&text).map_or(Self::Called(text), Self::Mac)
    }

    /// Whether a client with this address, hardware address and name is it.
    pub fn is(&self, address: IpAddr, mac: Option<Mac>, called: Option<&Name>) -> bool {
        match self {
            Self::Net(net) => net.contains(&address),
            Self::Mac(own) => mac == Some(*own),
            Self::Given { macs, nets, .. } => {
                mac.is_some_and(|mac| macs.contains(&mac)) || nets.iter().any(|net| net.contains(&address))
            }
            Self::Called(name) => called.is_some_and(|called| {
                let called = called.as_str();
                called == name || called.split_once('.').is_some_and(|(label, _)| label == name)
            }),
        }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(net) if net.prefix_len() == net.max_prefix_len() => net.addr().fmt(f),
            Self::Net(net) => net.fmt(f),
            Self::Mac(mac) => f.write_str(&mac_text(*mac)),
            Self::Called(name) | Self::Given { called: name, .. } => f.write_str(name),
        }
    }
}

/// A hardware address as people write it.
pub fn mac_text(mac: Mac) -> String {
    let [a, b, c, d, e, f] = mac.0;
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

/// Six pairs of hexadecimal digits with `:` or `-` between.
pub(crate) fn parse_mac(text: &str) -> Option<Mac> {
    let mut bytes = [0; 6];
    let mut parts = text.split([':', '-']);
    for byte in &mut bytes {
        let part = parts.next().filter(|part| part.len() == 2)?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(Mac(bytes))
}

/// Which bytes are asked for. Values of one list are alternatives; of different lists each has to
/// hold. An empty list asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters {
    /// Sites, families, domains, hosts or addresses, in the form in which hosts are kept.
    pub sites: Vec<String>,
    /// Host names or addresses.
    pub hosts: Vec<String>,
    /// Families.
    pub families: Vec<String>,
    /// Networks of addresses without a name.
    pub networks: Vec<String>,
    /// Their countries.
    pub countries: Vec<String>,
    /// Devices.
    pub devices: Vec<DeviceName>,
    /// Devices by whose they are.
    pub owners: Vec<DeviceName>,
    /// Devices by their groups.
    pub groups: Vec<DeviceName>,
    /// Kinds of evidence.
    pub evidence: Vec<Evidence>,
    /// Names of interfaces.
    pub interfaces: Vec<String>,
    /// VLANs; `None` for frames without a tag.
    pub vlans: Vec<Option<u16>>,
    /// Names of sources: see [`Source::is_called`].
    pub sources: Vec<String>,
    /// Recorders.
    pub recorders: Vec<RecorderName>,
}

impl Filters {
    /// Whether every byte is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// For each host of the books whether it is asked for; `None` if all are.
    pub fn hosts_of(&self, books: &Books, sites: &Sites) -> Option<Vec<bool>> {
        let lists = [&self.sites, &self.hosts, &self.families, &self.networks, &self.countries];
        if lists.iter().all(|list| list.is_empty()) {
            return None;
        }
        let hosts = HostFilter::new(self, sites);
        Some(books.hosts.iter().map(|host| hosts.takes(host)).collect())
    }

    /// The lists of devices that ask for some: each of them has to hold one.
    pub fn device_lists(&self) -> impl Iterator<Item = &[DeviceName]> {
        [&self.devices, &self.owners, &self.groups].into_iter().filter(|list| !list.is_empty()).map(Vec::as_slice)
    }

    /// For each device of the books whether it is asked for; `None` if all are.
    pub fn devices_of(&self, books: &Books) -> Option<Vec<bool>> {
        let lists = self.device_lists().map(|list| devices_of(list, books));
        lists.reduce(|all, one| all.iter().zip(&one).map(|(a, b)| *a && *b).collect())
    }

    /// Each filter that is set, by its word, with its values.
    pub fn as_typed(&self) -> Vec<(&'static str, Vec<String>)> {
        let devices = |list: &[DeviceName]| list.iter().map(ToString::to_string).collect();
        let evidence = self.evidence.iter().map(|kind| kind.word().to_owned()).collect();
        let vlan = |vlan: &Option<u16>| Interface { vlan: *vlan, ..Interface::default() }.vlan_label();
        let all = [
            ("site", self.sites.clone()),
            ("host", self.hosts.clone()),
            ("family", self.families.clone()),
            ("network", self.networks.clone()),
            ("country", self.countries.clone()),
            ("device", devices(&self.devices)),
            ("owner", devices(&self.owners)),
            ("group", devices(&self.groups)),
            ("evidence", evidence),
            ("interface", self.interfaces.clone()),
            ("vlan", self.vlans.iter().map(vlan).collect()),
            ("source", self.sources.clone()),
            ("recorder", self.recorders.iter().map(|recorder| recorder.typed.clone()).collect()),
        ];
        all.into_iter().filter(|(_, values)| !values.is_empty()).collect()
    }

    /// Whether what was seen there is asked for.
    pub fn takes_interface(&self, interface: &Interface) -> bool {
        let is_called = |name: &String| name == interface.label();
        (self.interfaces.is_empty() || self.interfaces.iter().any(is_called))
            && (self.vlans.is_empty() || self.vlans.contains(&interface.vlan))
    }

    /// Whether what was read from it, and recorded by its recorder, is asked for.
    pub fn takes_source(&self, source: &Source) -> bool {
        (self.sources.is_empty() || self.sources.iter().any(|name| source.is_called(name)))
            && (self.recorders.is_empty() || self.recorders.iter().any(|wanted| wanted.is(source.recorder)))
    }

    /// Whether bytes with this evidence are asked for.
    pub fn takes_evidence(&self, evidence: Evidence) -> bool {
        self.evidence.is_empty() || self.evidence.contains(&evidence)
    }
}

/// For each device of the books whether the list holds it.
fn devices_of(list: &[DeviceName], books: &Books) -> Vec<bool> {
    let mut asked = vec![false; books.devices.len()];
    for (asked, given) in asked.iter_mut().zip(&books.given) {
        let is_one = |wanted: &DeviceName| match (wanted, given) {
            (DeviceName::Given { names, .. }, Some(given)) => names.contains(&given.name),
            _ => false,
        };
        *asked = list.iter().any(is_one);
    }
    for (device, address, mac) in &books.device_ends {
        // An address that a device with a name had as well says less than the name.
        let has_name = books.given.get(*device as usize).is_some_and(Option::is_some);
        let by_address = |wanted: &&DeviceName| !(has_name && matches!(wanted, DeviceName::Given { .. }));
        let name = books.device_names.get(*device as usize).and_then(Option::as_ref);
        if let Some(asked) = asked.get_mut(*device as usize) {
            *asked |= list.iter().filter(by_address).any(|wanted| wanted.is(*address, *mac, name));
        }
    }
    asked
}

/// Decides for hosts whether they are asked for.
pub struct HostFilter<'a> {
    /// Each list has to hold one.
    lists: Vec<Vec<Matcher<'a>>>,
}

impl<'a> HostFilter<'a> {
    /// The filter on hosts among `filters`.
    pub fn new(filters: &Filters, sites: &'a Sites) -> Self {
        let list = |names: &[String], make: fn(&str, &'a Sites) -> Matcher<'a>| {
            names.iter().map(|name| make(name, sites)).collect::<Vec<_>>()
        };
        let lists = [
            list(&filters.sites, Matcher::new),
            list(&filters.hosts, Matcher::of_host),
            list(&filters.families, Matcher::of_family),
            list(&filters.networks, Matcher::of_network),
            list(&filters.countries, Matcher::of_country),
        ];
        Self { lists: lists.into_iter().filter(|list| !list.is_empty()).collect() }
    }

    /// Whether `host` is asked for.
    pub fn takes(&self, host: &Host) -> bool {
        self.lists.iter().all(|list| list.iter().any(|matcher| matcher.host(host)))
    }
}

/// What is asked of the books.
#[derive(Debug, Clone)]
pub struct Question {
    /// What the rows stand for, in the order of the columns; at least one.
    pub keys: Vec<Key>,
    /// Which bytes.
    pub filters: Filters,
    /// Rows with fewer bytes are summed up in one.
    pub min_bytes: u64,
    /// Of each key that is no time only the largest so many values; the rest is summed up. `None`:
    /// all.
    pub limit: Option<usize>,
    /// Local traffic gets rows too.
    pub include_local: bool,
    /// The range that the books are of, and the zone that days are counted in.
    pub range: Range,
    /// Rows by time end here: what lies after it has not happened yet.
    pub now: Option<UnixNanos>,
    /// The versions of the plan whose periods [`Key::BillingMonth`] is of.
    pub billing: Vec<Plan>,
}

impl Question {
    /// Everything in `range`, by one key.
    pub fn by(key: Key, range: Range) -> Self {
        let filters = Filters::default();
        Self {
            keys: vec![key],
            filters,
            min_bytes: 0,
            limit: None,
            include_local: false,
            range,
            now: None,
            billing: Vec::new(),
        }
    }

    /// What it tells apart beside evidence and time.
    pub fn wanted(&self) -> Wanted {
        let mut wanted = Wanted::default();
        for key in &self.keys {
            match key {
                Key::Device | Key::Owner | Key::Group => wanted.endpoints = true,
                Key::Interface | Key::Vlan => wanted.interfaces = true,
                Key::Source | Key::Recorder => wanted.sources = true,
                Key::Site | Key::Page | Key::Family | Key::Host | Key::Served => wanted.hosts = true,
                Key::Network | Key::Country => wanted.hosts = true,
                Key::Evidence => {}
                Key::Hour | Key::Day | Key::Week | Key::Month | Key::BillingMonth | Key::HourOfDay => {}
            }
        }
        let Filters { interfaces, vlans, sources, recorders, .. } = &self.filters;
        let Filters { sites, hosts, families, networks, countries, .. } = &self.filters;
        wanted.hosts |= [sites, hosts, families, networks, countries].iter().any(|names| !names.is_empty());
        wanted.interfaces |= !interfaces.is_empty() || !vlans.is_empty();
        wanted.sources |= !sources.is_empty() || !recorders.is_empty();
        wanted.endpoints |= self.filters.device_lists().next().is_some() || self.keys.contains(&Key::Page);
        wanted
    }

    /// Which rows its answer is made of, where it is not all of them: of the hosts that its filters
    /// and `names` (if there are any) stand for, and of its recorders.
    pub fn only<'a>(&'a self, names: &[String], sites: &'a Sites) -> Option<Only<'a>> {
        let filter = HostFilter::new(&self.filters, sites);
        let named: Vec<Matcher<'a>> = names.iter().map(|name| Matcher::new(name, sites)).collect();
        let asks = !filter.lists.is_empty() || !named.is_empty();
        // Where one list, or the names, are sites and nothing else, a file's column of sites tells.
        let lists = filter.lists.iter().chain(std::iter::once(&named));
        let of_sites = lists.filter(|list| !list.is_empty()).find_map(|list| {
            let site = |matcher: &Matcher<'_>| matcher.site().map(str::to_owned);
            list.iter().map(site).collect::<Option<Vec<String>>>()
        });
        let lists = crate::version::fields(sites).into_iter().filter(|(name, _)| *name != "imon");
        let about = lists.map(|(name, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (format!("imon.{name}"), text)
        });
        let takes = move |host: &Host| {
            filter.takes(host) && (named.is_empty() || named.iter().any(|matcher| matcher.host(host)))
        };
        let hosts = asks.then(|| Box::new(takes) as Box<dyn Fn(&Host) -> bool + 'a>);
        Only::new(hosts, &self.filters.recorders).map(|only| only.of_sites(of_sites, about.collect()))
    }

    /// Whether rows of this kind of traffic are in the report.
    pub fn takes(&self, traffic: Traffic) -> bool {
        let served = self.keys.contains(&Key::Served);
        match traffic {
            Traffic::Served => served,
            Traffic::Local => self.include_local && !served,
            Traffic::Visited | Traffic::Transit => !served,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_its_family_its_site_its_domain_or_its_host() {
        let sites = Sites::new();
        let hits = |name: &str| {
            let matcher = Matcher::new(name, &sites);
            let hosts = ["www.youtube.com", "i.ytimg.com", "youtube.com", "www.youtube.com.evil.net"];
            let hit = |h: &&str| matcher.host(&Host::Name(Name::from_host(h.as_bytes()).unwrap()));
            hosts.iter().filter(|h| hit(h)).count()
        };
        assert_eq!(hits("YouTube.com."), 3, "the site");
        assert_eq!(hits("ytimg.com"), 1, "a domain of a site");
        assert_eq!(hits("www.youtube.com"), 1, "a host");
        assert_eq!(hits("google"), 3, "the family of its owner");
        assert_eq!(hits("com"), 0);
        let matcher = Matcher::new("2001:DB8::1", &sites);
        assert!(matcher.host(&Host::Address("2001:db8:0::1".parse().unwrap())));
    }

    #[test]
    fn a_device_is_called_by_address_network_hardware_address_or_name() {
        let mac = Mac([2, 0, 0, 0, 0, 0xaf]);
        let address: IpAddr = "192.168.1.7".parse().unwrap();
        let name = Name::from_host(b"anns-phone.local").unwrap();
        let is = |text: &str| DeviceName::parse(text).is(address, Some(mac), Some(&name));
        for text in [
            "192.168.1.7",
            "192.168.1.0/24",
            "02:00:00:00:00:AF",
            "02-00-00-00-00-af",
            "Anns-Phone",
            "anns-phone.local.",
        ] {
            assert!(is(text), "{text}");
        }
        for text in ["192.168.1.8", "192.168.2.0/24", "02:00:00:00:00:ae", "anns", "local", "02:00:00:00:00:af:00", ""]
        {
            assert!(!is(text), "{text}");
        }
    }
}
