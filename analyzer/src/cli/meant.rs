//! Arguments as typed become settings as meant.

mod times;
mod values;

use super::surroundings::SYSTEM_SPOOL;
use super::{
    AskArgs, CaptureArgs, Command, ExplainArgs, FilterArgs, FlowsArgs, LineFormat, NamesArgs, ObservationArgs,
    OutputArgs, OwnersArgs, RangeArgs, ReportArgs, SiteArgs, SiteOptions, StoreArgs, Surroundings, Vlan,
};
use crate::config::Config;
use crate::error::{Error, shown};
use crate::files;
use crate::idn;
use crate::owners::{MAX_OWNERS_BYTES, Owners};
use crate::question::{DeviceName, Filters, Key, MAX_KEYS, Question};
use crate::range::{self, Back, Range, Unsaid};
use crate::report::Format;
use crate::site::Sites;
use imon_common::local::{LocalNets, MAX_LOCAL_NETS};
use std::path::{Path, PathBuf};
use times::{Ends, billing};
pub(crate) use values::parse_net;
pub(super) use values::{parse_bytes, parse_evidence, parse_percent, parse_server, parse_vlan};

/// Longest list of families: some hundred thousand lines, far more than anybody keeps by hand.
const MAX_FAMILIES_BYTES: u64 = 8 << 20;

/// Rows of a table for people where there are many: what fits a screen. The rest is summed up in
/// one row.
pub(super) const TABLE_LIMIT: usize = 25;

/// Rows of a table on a page: more than anybody reads, and still no megabyte.
const PAGE_LIMIT: usize = 500;

/// Sites, and devices, that have a gauge where nobody says how many, and at most: every series is
/// kept for months.
const GAUGES: usize = 20;
const MAX_GAUGES: usize = 200;

/// Values of each key in a table with several: each has rows for all values of those behind it.
const TABLE_LIMIT_OF_SEVERAL: usize = 10;

/// What a command can write that is no text for people.
struct Written<'a> {
    to: Option<&'a Path>,
    format: Format,
    /// Formats that not every command has, and this one does.
    has: &'static [Format],
}

impl Command {
    /// Refuses formats where a terminal would get them, and those that the command does not have:
    /// Parquet of what has no typed columns, pages of lists.
    ///
    /// # Errors
    /// Usage: one of these.
    pub fn check_format(&self, around: &Surroundings) -> Result<(), Error> {
        let written = match self {
            Self::Flows(FlowsArgs { observations: args, .. }) | Self::Names(NamesArgs { observations: args, .. }) => {
                let format = if args.format() == LineFormat::Parquet { Format::Parquet } else { Format::Csv };
                Written { to: args.output.as_deref(), format, has: &[Format::Parquet] }
            }
            _ => {
                let Some(output) = self.groups().output else { return Ok(()) };
                output.written(match self {
                    Self::Report(_) => &[Format::Parquet, Format::Html, Format::Prometheus],
                    Self::Site(_) => &[Format::Parquet, Format::Html],
                    _ => &[],
                })
            }
        };
        let (name, who) = match written.format {
            Format::Parquet => ("Parquet", "report, site, flows and names do; --format csv is for every command"),
            Format::Html => ("a page", "report and site do; --format csv is for every command"),
            Format::Prometheus => ("gauges", "report does; --format csv is for every command"),
            Format::Table | Format::Json | Format::Csv => return Ok(()),
        };
        if !written.has.contains(&written.format) {
            return Err(Error::usage(format!("this command does not write {name}")).hint(who));
        }
        let is_text = written.format == Format::Prometheus;
        match !is_text && around.width.is_some() && written.to.is_none_or(|to| to.as_os_str() == "-") {
            true => Err(Error::usage(format!("{name} is no text for a terminal")).hint("-o FILE writes it to a file")),
            false => Ok(()),
        }
    }

    /// Refuses `--plan` where nothing is of a billing period: it would do nothing.
    ///
    /// # Errors
    /// Usage: it is there alone.
    pub fn check_plan(&self) -> Result<(), Error> {
        let is_of_period = match self {
            Self::Report(args) => {
                let compares = args.compare.as_deref().is_some_and(|text| billing(text).is_some());
                compares || args.by.contains(&Key::BillingMonth)
            }
            _ => false,
        };
        let Some(RangeArgs { from, to, within, plan, .. }) = self.groups().range else { return Ok(()) };
        let is_billed = [from, to, within].into_iter().flatten().any(|text| billing(text).is_some());
        match plan {
            Some(plan) if !is_of_period && !is_billed => {
                Err(Error::usage(format!("--plan {} says which billing periods, and none is asked for", shown(plan)))
                    .hint("--in billing, --in last-billing or, of report, --by billing-month ask for some"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses what rests on `--owners` where there is none: its rows would all be unknown.
    ///
    /// # Errors
    /// Usage: a key or filter of networks or countries, and no file.
    pub fn check_owners(&self) -> Result<(), Error> {
        let (filters, keys): (_, &[Key]) = match self {
            Self::Report(args) => (&args.asked.filters, &args.by),
            Self::Site(SiteArgs { asked, .. }) | Self::Explain(ExplainArgs { asked, .. }) => (&asked.filters, &[]),
            Self::Flows(FlowsArgs { observations, .. }) | Self::Names(NamesArgs { observations, .. }) => {
                (&observations.filters, &[])
            }
            _ => return Ok(()),
        };
        let owners = self.groups().owners.is_some_and(|owners| !owners.owners.is_empty());
        let asks = [
            ("--network", !filters.network.is_empty()),
            ("--country", !filters.country.is_empty()),
            ("--by network", keys.contains(&Key::Network)),
            ("--by country", keys.contains(&Key::Country)),
        ];
        match asks.into_iter().find(|(_, is_asked)| *is_asked && !owners) {
            None => Ok(()),
            Some((option, _)) => Err(Error::usage(format!("{option} needs a file that says whose addresses are"))
                .hint("--owners FILE.mmdb, or `owners` below [report] in the configuration, names one that you have")),
        }
    }

    /// Whether it writes text for people, and no lines for scripts; what draws its own screen is
    /// neither.
    pub fn is_for_people(&self) -> bool {
        match self {
            Self::Flows(_) | Self::Names(_) | Self::Top(_) => false,
            _ => self.groups().output.is_none_or(|output| output.format() == Format::Table),
        }
    }
}

impl OutputArgs {
    /// Where it goes and how; `has`: the formats that this command has and others do not.
    fn written(&self, has: &'static [Format]) -> Written<'_> {
        Written { to: self.output.as_deref(), format: self.format(), has }
    }

    /// How it is written.
    pub fn format(&self) -> Format {
        match (self.json, self.csv) {
            (true, _) => Format::Json,
            (_, true) => Format::Csv,
            _ => self.format.unwrap_or_default(),
        }
    }
}

impl OutputArgs {
    /// Whether a format or a file is named.
    pub fn is_some(&self) -> bool {
        self.json || self.csv || self.format.is_some() || self.output.is_some()
    }
}

impl ObservationArgs {
    /// How it is written.
    pub fn format(&self) -> LineFormat {
        match (self.json, self.csv) {
            (true, _) => LineFormat::Json,
            (_, true) => LineFormat::Csv,
            _ => self.format.unwrap_or_default(),
        }
    }
}

/// A section of the configuration for a device.
const A_DEVICE: &str = "[devices.\"Ann's phone\"]";

/// What such a section says for an owner or a group.
fn said_of(key: Key) -> &'static str {
    match key {
        Key::Owner => "mac = \"02:00:00:00:00:01\", owner = \"Ann\"",
        _ => "mac = \"02:00:00:00:00:01\", groups = [\"phones\"]",
    }
}

impl FilterArgs {
    /// Whether nothing is filtered.
    pub fn is_empty(&self) -> bool {
        let Self { site, host, family, network, country, device, owner, group, interface, source, recorder, .. } = self;
        let Self { evidence, vlan, .. } = self;
        let texts = [site, host, family, network, country, device, owner, group, interface, source, recorder];
        texts.iter().all(|list| list.is_empty()) && evidence.is_empty() && vlan.is_empty()
    }

    /// What is asked for, by the names of devices and recorders in the configuration.
    ///
    /// # Errors
    /// Usage: a name that no host, site, device or recorder has, or none at all.
    pub fn filters(&self, config: &Config) -> Result<Filters, Error> {
        let (network, country) = (("network", &self.network), ("country", &self.country));
        let texts =
            [("device", &self.device), ("interface", &self.interface), ("source", &self.source), network, country];
        if let Some((option, _)) = texts.iter().find(|(_, typed)| typed.iter().any(|text| text.trim().is_empty())) {
            return Err(Error::usage(format!("--{option} names nothing"))
                .hint(format!("`imon-analyze report --by {option}` shows what there is")));
        }
        let recorder = |typed: &String| {
            config.recorders.meant(typed).ok_or_else(|| {
                Error::usage(format!("there is no recorder `{}`", shown(typed)))
                    .hint("[recorders] in the configuration names them; `imon-analyze report --by recorder` shows ids")
            })
        };
        let unknown = |key: Key, typed: &str| {
            Error::usage(format!("no device has the {} `{}`", key.word(), shown(typed)))
                .hint(config.hint_to_say(A_DEVICE, said_of(key)))
        };
        let owner = |typed: &String| config.devices.of_owner(typed).ok_or_else(|| unknown(Key::Owner, typed));
        let group = |typed: &String| config.devices.of_group(typed).ok_or_else(|| unknown(Key::Group, typed));
        Ok(Filters {
            owners: self.owner.iter().map(owner).collect::<Result<_, _>>()?,
            groups: self.group.iter().map(group).collect::<Result<_, _>>()?,
            sites: names(&self.site)?,
            hosts: names(&self.host)?,
            families: names(&self.family)?,
            networks: self.network.clone(),
            countries: self.country.clone(),
            devices: config.devices.named(self.device.iter().map(|text| DeviceName::parse(text)).collect()),
            evidence: self.evidence.clone(),
            interfaces: self.interface.clone(),
            vlans: self.vlan.iter().map(|Vlan(id)| *id).collect(),
            sources: self.source.clone(),
            recorders: self.recorder.iter().map(recorder).collect::<Result<_, _>>()?,
        })
    }
}

/// Names of sites, hosts or families in the form in which hosts are kept, each once. Of a URL its
/// host is taken.
///
/// # Errors
/// Usage: no host has such a name.
pub fn names(typed: &[String]) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for text in typed {
        let name = idn::to_sent(host_of_url(text).trim_end_matches('.')).filter(|name| !name.is_empty());
        let is_name = |name: &String| name.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        let Some(name) = name.filter(is_name) else {
            return Err(Error::usage(format!("`{}` is no name of a site, host or family", shown(text)))
                .hint("such as youtube.com, www.youtube.com, 192.0.2.1, or Google for all sites of a family"));
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Refuses the name of a file where a site, a host or an address is meant. A name that both could
/// have, such as a folder `example.org`, is taken for a site.
///
/// # Errors
/// Usage: it is a file; `instead` is what was probably meant.
pub fn no_file(word: &str, instead: &str) -> Result<(), Error> {
    let path = Path::new(word);
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let is_called_one = word.contains('/') || FILE_ENDINGS.contains(&ending.as_str());
    match is_called_one && path.exists() {
        true => Err(Error::usage(format!("`{}` is a file, and no site, host or address", shown(word))).hint(instead)),
        false => Ok(()),
    }
}

/// Endings of captures and segments; no domain has one.
const FILE_ENDINGS: [&str; 10] = ["pcap", "pcapng", "cap", "seg", "part", "gz", "zst", "xz", "lz4", "dmp"];

/// The host of a URL (RFC 3986 section 3.2); any other text as it is.
fn host_of_url(text: &str) -> &str {
    let Some((_, rest)) = text.split_once("://") else { return text };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((address, _)) => address,
        None => host.split_once(':').map_or(host, |(host, _)| host),
    }
}

impl StoreArgs {
    /// The database file: the one named, else the service's, else this user's own.
    ///
    /// # Errors
    /// Usage: none is named and there is no home directory.
    pub fn database(&self, around: &Surroundings) -> Result<PathBuf, Error> {
        let own = || around.state_folder().map(|folder| folder.join("imon.db"));
        self.database
            .clone()
            .or_else(|| around.system_database.clone())
            .or_else(own)
            .ok_or_else(|| Error::usage("there is no home directory for the database").hint("name one with --database"))
    }

    /// The folders that segments are looked for in: the one named, else those of the places where
    /// imon-record writes (as root, and as this user) that exist. Into the service's database goes
    /// only what the service recorded.
    pub fn spools(&self, around: &Surroundings) -> Vec<PathBuf> {
        if let Some(spool) = &self.spool {
            return vec![spool.clone()];
        }
        let shared = self.database.is_none() && around.system_database.is_some();
        let own = around.state_folder().filter(|_| !shared);
        [Some(PathBuf::from(SYSTEM_SPOOL)), own].into_iter().flatten().filter(|place| place.is_dir()).collect()
    }
}

impl StoreArgs {
    /// Whether a command that reports may make the database: the one of everybody, that of the
    /// configuration, or one into which a spool that is typed is booked. Any other name that is
    /// typed may be mistyped.
    pub fn may_make(&self, around: &Surroundings) -> bool {
        let of_config = &around.config.report;
        !is_typed(&self.database, &of_config.database) || is_typed(&self.spool, &of_config.spool)
    }

    /// The database, where the command line names one.
    pub fn typed_database(&self, around: &Surroundings) -> Option<&Path> {
        self.database.as_deref().filter(|_| is_typed(&self.database, &around.config.report.database))
    }
}

/// Whether what is meant does not come from the configuration.
fn is_typed(meant: &Option<PathBuf>, configured: &Option<PathBuf>) -> bool {
    meant.is_some() && meant != configured
}

impl CaptureArgs {
    /// The local networks of capture files.
    ///
    /// # Errors
    /// Usage: more networks than a segment header holds.
    pub fn local_nets(&self) -> Result<LocalNets, Error> {
        if self.local.len() > MAX_LOCAL_NETS {
            return Err(Error::usage(format!("--local is given {} times", self.local.len()))
                .cause(format!("{MAX_LOCAL_NETS} networks are the most")));
        }
        Ok(LocalNets::new(self.local.iter().copied()))
    }
}

impl SiteOptions {
    /// The Public Suffix List, our families, and the user's.
    ///
    /// # Errors
    /// Usage: the file cannot be read or understood.
    pub fn sites(&self) -> Result<Sites, Error> {
        let Some(path) = &self.families else {
            return Ok(Sites::new());
        };
        let failed = || Error::usage(format!("cannot use the families in {}", shown(&path.to_string_lossy())));
        let unreadable = |e| failed().because(&e).hint("it is a text file of lines `DOMAIN SITE`").hint_for(path, &e);
        let text = files::read_list(path, MAX_FAMILIES_BYTES).map_err(unreadable)?;
        let hint = "a family is a line `DOMAIN SITE` or `SITE @Family`; docs/REPORTS.md has examples";
        Sites::new().with_families(&text).map_err(|e| failed().because(&e).hint(hint))
    }
}

impl OwnersArgs {
    /// The same sites, with labels for addresses as these files have them.
    ///
    /// # Errors
    /// A file cannot be read, or is not what it should be.
    pub fn on(&self, sites: Sites) -> Result<Sites, Error> {
        if self.owners.is_empty() {
            return Ok(sites);
        }
        let hint = "it is a file in MaxMind DB format (.mmdb) with networks or countries; one that is damaged can be \
                    had again where it came from";
        let mut owners = Owners::default();
        for path in &self.owners {
            let failed = || Error::usage(format!("cannot use the owners in {}", shown(&path.to_string_lossy())));
            let bytes = files::read_whole(path, MAX_OWNERS_BYTES)
                .map_err(|e| failed().because(&e).hint(hint).hint_for(path, &e))?;
            owners = owners.with(bytes).map_err(|e| failed().because(&e).hint(hint))?;
        }
        Ok(sites.with_owners(owners))
    }
}

impl AskArgs {
    /// How hosts become sites, and what addresses without a name are labelled with.
    ///
    /// # Errors
    /// See [`SiteOptions::sites`] and [`OwnersArgs::on`].
    pub fn sites(&self) -> Result<Sites, Error> {
        self.owners.on(self.sites.sites()?)
    }
}

impl ReportArgs {
    /// What is asked.
    ///
    /// # Errors
    /// Usage: too many keys, or one twice; see [`RangeArgs::range`] and [`FilterArgs::filters`].
    pub fn question(&self, around: &Surroundings) -> Result<Question, Error> {
        for (i, key) in self.by.iter().enumerate() {
            if self.by.iter().take(i).any(|earlier| earlier == key) {
                return Err(Error::usage(format!("--by names {} twice", key.word())));
            }
        }
        if self.by.len() > MAX_KEYS {
            return Err(
                Error::usage(format!("--by names {} keys", self.by.len())).cause(format!("{MAX_KEYS} are the most"))
            );
        }
        let of_people = self.by.iter().find(|key| matches!(key, Key::Owner | Key::Group));
        if let Some(key) = of_people.filter(|_| around.config.devices.is_empty()) {
            return Err(Error::usage(format!("--by {} has nothing to go by", key.word()))
                .cause("the configuration names no device")
                .hint(around.config.hint_to_say(A_DEVICE, said_of(*key))));
        }
        let served = self.by.contains(&Key::Served);
        if let Some(other) = self.by.iter().find(|key| served && key.is_of_host() && **key != Key::Served) {
            return Err(Error::usage(format!("--by served and --by {} do not go together", other.word()))
                .cause("what we serve is no visit to a site")
                .hint("--by served,device or --by served,day"));
        }
        Ok(Question {
            keys: self.keys(),
            filters: self.asked.filters.filters(&around.config)?,
            min_bytes: self.min,
            limit: self.limit(),
            include_local: self.include_local,
            range: self.asked.range.range(around, Unsaid::of(&self.files))?.in_quarters()?,
            now: around.now_nanos(),
            billing: if self.by.contains(&Key::BillingMonth) { self.asked.range.plan(around)? } else { Vec::new() },
        })
    }

    /// What the rows stand for.
    fn keys(&self) -> Vec<Key> {
        if self.by.is_empty() { vec![Key::Site] } else { self.by.clone() }
    }

    /// Most sites, and most devices, with a gauge.
    ///
    /// # Errors
    /// Usage: gauges are asked for with keys or a range, which they do not have.
    pub fn gauges(&self) -> Result<usize, Error> {
        let compares = self.compare.is_some() || !self.compare_with.is_empty();
        let asks = !self.by.is_empty() || self.asked.range.is_some() || self.min > 0 || self.resolve.resolve;
        if compares || asks || !self.files.is_empty() || self.dataset.is_some() {
            return Err(Error::usage("gauges are of today and of billing periods, by site and device")
                .cause("--by, --min, --compare, --resolve, a range and files do not go with --format prometheus")
                .hint("--limit N says how many sites and devices have a series; --site and the like say which bytes"));
        }
        Ok(self.limit.unwrap_or(GAUGES).clamp(1, MAX_GAUGES))
    }

    /// Whether it is a page with everything on it.
    pub fn is_overview(&self) -> bool {
        self.asked.output.format() == Format::Html && self.by.is_empty()
    }

    /// The ranges of now and before, where they are compared.
    ///
    /// # Errors
    /// Usage: keys that have no counterpart in another range; see [`Range::with_before`].
    pub fn compared(&self, around: &Surroundings, range: &Range) -> Result<Option<[Range; 2]>, Error> {
        if self.compare.is_none() && self.compare_with.is_empty() {
            return Ok(None);
        }
        let has_none =
            |key: &&Key| (key.is_time() && **key != Key::HourOfDay) || matches!(key, Key::Page | Key::Served);
        if let Some(key) = self.keys().iter().find(has_none) {
            return Err(Error::usage(format!("--by {} cannot be compared", key.word()))
                .hint("site, host, family, device, evidence and hour-of-day are in both ranges"));
        }
        let Some(typed) = &self.compare else { return Ok(Some([range.clone(), range.clone()])) };
        let back = match typed.to_ascii_lowercase().as_str() {
            "previous" => Back::Length,
            "last-year" => Back::Year,
            _ => {
                let within = self.asked.range.billed(typed, Ends::Both, around)?;
                let other = range::Typed { within: Some(("--compare", &within)), from: None, to: None };
                let before =
                    Range::of_typed(&other, Unsaid::Everything, around.now, range.zone.clone())?.in_quarters()?;
                return Ok(Some([range.clone(), before]));
            }
        };
        range.with_before(back, around.now).map(Some)
    }

    /// Most rows of a comparison.
    pub fn limit_of_comparison(&self) -> Option<usize> {
        self.limit()
    }

    /// Most values of each key.
    pub(super) fn limit(&self) -> Option<usize> {
        let is_long = self.keys().iter().any(|key| key.is_long());
        match self.limit {
            Some(0) => None,
            Some(limit) => Some(limit),
            None if !matches!(self.asked.output.format(), Format::Table | Format::Html)
                || !is_long
                || self.is_overview() =>
            {
                None
            }
            None if self.asked.output.format() == Format::Html && self.by.len() == 1 => Some(PAGE_LIMIT),
            None if self.by.len() > 1 => Some(TABLE_LIMIT_OF_SEVERAL),
            None => Some(TABLE_LIMIT),
        }
    }
}
