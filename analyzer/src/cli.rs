//! The command line as typed. Names and options are stable: scripts rely on them.

use crate::books::Evidence;
use crate::error::{Error, shown};
use crate::idn;
use crate::question::{DeviceName, Filters, Key, MAX_KEYS, Question};
use crate::range::{self, Range};
use crate::report::Format;
use crate::site::Sites;
use clap::{Args, Parser, Subcommand};
use imon_common::local::{LocalNets, MAX_LOCAL_NETS};
use imon_common::time::UnixNanos;
use ipnet::IpNet;
use jiff::Timestamp;
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// Where imon-record writes when it runs as root.
const SYSTEM_SPOOL: &str = "/var/lib/imon";

/// What `--version` says (`-V` says the first line): the version, and the list that sites are made with.
const LONG_VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), "\npublic suffix list: psl 2.1.247 of 2026-11-05, private section on");

/// What the service's timer books into; members of the group imon share it.
const SYSTEM_DATABASE: &str = "/var/lib/imon-analyze/imon.db";

/// Rows of a table for people where there are many: what fits a screen. The rest is summed up in one row.
const TABLE_LIMIT: usize = 25;

/// Values of each key in a table with several: each has rows for all values of those behind it.
const TABLE_LIMIT_OF_SEVERAL: usize = 10;

/// Which sites used my bandwidth, when, and how sure are we?
#[derive(Debug, Parser)]
#[command(name = "imon-analyze", version, long_version = LONG_VERSION, about, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Book segments and captures in the database
    Ingest(IngestArgs),
    /// Bytes by site, family, host, device, time or evidence
    Report(ReportArgs),
    /// Bytes of sites or hosts, day by day
    Site(SiteArgs),
    /// Flows of captures and segments, one a line
    Flows(ObservationArgs),
    /// Names seen in captures and segments, one a line
    Names(NamesArgs),
    /// Why bytes were booked there: who was told what, which rule decided, and what lost
    Explain(ExplainArgs),
    /// How well DNS alone would have named the flows that carry their name
    Verify(VerifyArgs),
    /// How segments ended, what is in them, what is damaged
    Check(CheckArgs),
    /// What the database holds
    Status(StatusArgs),
    /// Book everything again from the facts, by the rules of this version
    Rebuild(RebuildArgs),
    /// Remove what is older than a day from the database
    Prune(PruneArgs),
}

/// Arguments of `ingest`.
#[derive(Debug, Args)]
pub struct IngestArgs {
    /// Segments, folders of segments, pcap and pcapng files, also compressed (.gz .zst .xz .lz4) [default: the spool]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Database and spool.
    #[command(flatten)]
    pub store: StoreArgs,
    /// How captures are read.
    #[command(flatten)]
    pub capture: CaptureArgs,
}

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Report on these files only and keep nothing [default: the database, after ingesting what is new in the spool]
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// What the rows stand for; several with commas between: site,day
    #[arg(long, value_enum, default_value = "site", value_name = "KEY[,KEY…]", value_delimiter = ',')]
    pub by: Vec<Key>,
    /// Of each key only the largest N, times apart; 0 for all [default: 25 in tables for people, 10 with several keys]
    #[arg(short = 'n', long, value_name = "N")]
    pub limit: Option<usize>,
    /// Sum up rows with fewer bytes: 1000, 64KiB, 10MB
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, default_value = "0", hide_default_value = true)]
    pub min: u64,
    /// Give traffic inside the local network rows too
    #[arg(long)]
    pub include_local: bool,
    /// Which bytes.
    #[command(flatten)]
    pub filters: FilterArgs,
    /// Days.
    #[command(flatten)]
    pub range: RangeArgs,
    /// Families.
    #[command(flatten)]
    pub sites: SiteOptions,
    /// Reverse lookups.
    #[command(flatten)]
    pub resolve: ResolveArgs,
    /// Where it goes.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Database and spool.
    #[command(flatten)]
    pub store: StoreArgs,
    /// How captures are read.
    #[command(flatten)]
    pub capture: CaptureArgs,
}

/// Which bytes are asked for. An option that is repeated means either; different ones have to hold together.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Only these bytes")]
pub struct FilterArgs {
    /// Of a site (youtube.com), a family (Google), a domain that is part of a site, a host or an address; may be repeated
    #[arg(long, value_name = "NAME")]
    pub site: Vec<String>,
    /// Of a host (www.youtube.com) or an address; may be repeated
    #[arg(long, value_name = "NAME")]
    pub host: Vec<String>,
    /// Of a family (Google); may be repeated
    #[arg(long, value_name = "NAME")]
    pub family: Vec<String>,
    /// Of a device: an address of it, a network, its hardware address, or what it calls itself; may be repeated
    #[arg(long, value_name = "DEVICE")]
    pub device: Vec<String>,
    /// With this kind of evidence, such as dns or none; may be repeated
    #[arg(long, value_name = "KIND", value_parser = parse_evidence)]
    pub evidence: Vec<Evidence>,
}

impl FilterArgs {
    /// Whether nothing is filtered.
    pub fn is_empty(&self) -> bool {
        let Self { site, host, family, device, evidence } = self;
        [site, host, family, device].iter().all(|list| list.is_empty()) && evidence.is_empty()
    }

    /// What is asked for.
    ///
    /// # Errors
    /// Usage: a name that no host, site or device has.
    pub fn filters(&self) -> Result<Filters, Error> {
        Ok(Filters {
            sites: names(&self.site)?,
            hosts: names(&self.host)?,
            families: names(&self.family)?,
            devices: self.device.iter().map(|text| DeviceName::parse(text)).collect(),
            evidence: self.evidence.clone(),
        })
    }
}

/// Names of sites, hosts or families in the form in which hosts are kept, each once. Of a URL its host is taken.
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

/// Arguments of `site`.
#[derive(Debug, Args)]
pub struct SiteArgs {
    /// A family (Google), a site (youtube.com), a domain that is part of it (ytimg.com), a host (www.youtube.com) or an address
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
    /// Look into these files and folders only and keep nothing [default: the database, after ingesting what is new in the spool]
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub files: Vec<PathBuf>,
    /// Count traffic inside the local network too
    #[arg(long)]
    pub include_local: bool,
    /// Days.
    #[command(flatten)]
    pub range: RangeArgs,
    /// Families.
    #[command(flatten)]
    pub sites: SiteOptions,
    /// Where it goes.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Database and spool.
    #[command(flatten)]
    pub store: StoreArgs,
    /// How captures are read.
    #[command(flatten)]
    pub capture: CaptureArgs,
}

/// Arguments of `flows` and `names`.
#[derive(Debug, Args)]
pub struct ObservationArgs {
    /// Segments, pcap and pcapng files, also compressed
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// How it is written
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: LineFormat,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Only flows of so many bytes or more: 1000, 64KiB, 10MB
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, default_value = "0", hide_default_value = true)]
    pub min: u64,
    /// Days.
    #[command(flatten)]
    pub range: RangeArgs,
    /// Which bytes.
    #[command(flatten)]
    pub filters: FilterArgs,
    /// Families.
    #[command(flatten)]
    pub sites: SiteOptions,
    /// How captures are read.
    #[command(flatten)]
    pub capture: CaptureArgs,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// An address, a host (www.youtube.com) or a site (youtube.com)
    #[arg(value_name = "ADDRESS|NAME")]
    pub target: String,
    /// Captures and segments to look into [default: the facts that the database knows around that time]
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Only an hour before and after this time: 2026-11-22T14:30, or 14:30 of today [default: today, or all of the files]
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// Time zone of what is shown and of --at, such as Europe/Berlin or +05:30 [default: that of the system, or $TZ]
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    pub zone: Option<String>,
    /// Families.
    #[command(flatten)]
    pub sites: SiteOptions,
    /// Where it goes.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Database and spool.
    #[command(flatten)]
    pub store: StoreArgs,
    /// How captures are read.
    #[command(flatten)]
    pub capture: CaptureArgs,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Segments, pcap and pcapng files, also compressed
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Also how often evidence of an age is there, and right, for ages of seconds to days
    #[arg(long)]
    pub curve: bool,
    /// Judge all files as one recording: the pieces of a ring buffer [default: each capture by itself]
    #[arg(long)]
    pub together: bool,
    /// Instead of the sums the flows themselves: what was booked, by which rule, and what is inside
    #[arg(long, value_enum, value_name = "WHICH", conflicts_with = "curve")]
    pub flows: Option<Judged>,
    /// Families.
    #[command(flatten)]
    pub sites: SiteOptions,
    /// Where it goes.
    #[command(flatten)]
    pub output: OutputArgs,
    /// How captures are read.
    #[command(flatten)]
    pub capture: CaptureArgs,
}

/// Which flows `verify --flows` lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Judged {
    /// Booked on another site
    Wrong,
    /// Right by the simplest rules, and not by ours
    Lost,
    /// Not on the right site: booked on another one, or on none
    Missed,
    /// Every flow that carries a name
    All,
}

/// Arguments of `names`.
#[derive(Debug, Args)]
pub struct NamesArgs {
    /// Instead of the names: how many of each kind, what they name, and why the rest has no name
    #[arg(long)]
    pub summary: bool,
    /// Files and output.
    #[command(flatten)]
    pub observations: ObservationArgs,
}

/// How a list of observations is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LineFormat {
    /// One JSON object a line
    #[default]
    Json,
    /// A header, then the rows
    Csv,
    /// A display filter for Wireshark: the addresses and ports of the flows' servers
    DisplayFilter,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Segments, or folders of segments
    #[arg(value_name = "SEGMENT", required = true)]
    pub segments: Vec<PathBuf>,
    /// Where it goes.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Where it goes.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Database and spool.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Arguments of `rebuild`.
#[derive(Debug, Args)]
pub struct RebuildArgs {
    /// Only sources that reach to this day or later: 2026-11-01, today, yesterday or 7d (seven days ago) [default: all]
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// Time zone of the day, such as Europe/Berlin or +05:30 [default: that of the system, or $TZ]
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    pub zone: Option<String>,
    /// Show by site and evidence what changed
    #[arg(long)]
    pub diff: bool,
    /// Change nothing: book again in a copy of the database, which is removed
    #[arg(long, requires = "diff")]
    pub dry_run: bool,
    /// Families.
    #[command(flatten)]
    pub sites: SiteOptions,
    /// Where it goes.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Database and spool.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Arguments of `prune`.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// What to remove.
    #[command(flatten)]
    pub age: PruneAge,
    /// Time zone of the day, such as Europe/Berlin or +05:30 [default: that of the system, or $TZ]
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    pub zone: Option<String>,
    /// Remove only the segments that captures were kept as: what was booked stays, and cannot be booked again
    #[arg(long)]
    pub captures_only: bool,
    /// Change nothing: say what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Database and spool.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// How old a source must be to be removed.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct PruneAge {
    /// Remove sources that end before this day: 2026-11-01, today, yesterday or 30d (thirty days ago)
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    pub before: Option<String>,
    /// Keep today and this many days before it
    #[arg(long, value_name = "N")]
    pub keep_days: Option<u32>,
}

/// Where the database and the segments are.
#[derive(Debug, Clone, Default, Args)]
pub struct StoreArgs {
    /// The database [default: the service's, /var/lib/imon-analyze/imon.db, if there is one and you may use it, else
    /// imon/imon.db in $XDG_STATE_HOME or ~/.local/state]
    #[arg(long, value_name = "FILE")]
    pub database: Option<PathBuf>,
    /// Folder with the segments of imon-record [default: /var/lib/imon, and with a database of your own also imon in the
    /// state folder]
    #[arg(long, value_name = "DIR")]
    pub spool: Option<PathBuf>,
}

/// How captures are read.
#[derive(Debug, Clone, Default, Args)]
pub struct CaptureArgs {
    /// A network that is local in capture files, beside the private ranges; may be repeated
    #[arg(long, value_name = "NET", value_parser = parse_net)]
    pub local: Vec<IpNet>,
}

/// Which days, in which zone.
#[derive(Debug, Clone, Default, Args)]
pub struct RangeArgs {
    /// From the beginning of: 2026-11-01, 2026-11, 2026-W46, 2026-11-01T14:00, 14:00, today, yesterday, monday, this-month,
    /// last-month, this-week, last-week, 7d (today and six days before) [default: today, or all of the files given]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// To the end of: the same words; a day, week or month is included, an instant is the end itself
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub to: Option<String>,
    /// From the beginning to the end of: the same words, such as last-month or 7d, or 2026-11-01..2026-11-07
    #[arg(long = "in", value_name = "TIME", allow_hyphen_values = true, conflicts_with_all = ["from", "to"])]
    pub within: Option<String>,
    /// Time zone of days and hours, such as Europe/Berlin or +05:30 [default: that of the system, or $TZ]
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    pub zone: Option<String>,
}

/// How hosts become sites.
#[derive(Debug, Clone, Default, Args)]
pub struct SiteOptions {
    /// More families: lines of `DOMAIN SITE` (part of that site) and `SITE @Family` (of that owner)
    #[arg(long, value_name = "FILE")]
    pub families: Option<PathBuf>,
}

/// Whether and how addresses are looked up.
#[derive(Debug, Clone, Args)]
pub struct ResolveArgs {
    /// Ask DNS for names of addresses that nothing names: your resolver learns these addresses. Without it nothing is sent
    #[arg(long)]
    pub resolve: bool,
    /// Ask this DNS server [default: those of /etc/resolv.conf]
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = parse_server, requires = "resolve")]
    pub resolver: Option<SocketAddr>,
    /// Most addresses that are asked about, those with most bytes first
    #[arg(long, value_name = "N", default_value_t = 100, requires = "resolve")]
    pub resolve_limit: usize,
    /// Most questions a second
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000), requires = "resolve")]
    pub resolve_rate: u32,
}

/// Where a result goes and how it is written.
#[derive(Debug, Clone, Default, Args)]
pub struct OutputArgs {
    /// How it is written
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// What the process finds around it; a value, so that tests can choose it.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The time.
    pub now: Timestamp,
    /// Columns of the terminal that standard output is, if it is one.
    pub width: Option<usize>,
    /// `$XDG_STATE_HOME`.
    pub state_home: Option<OsString>,
    /// `$HOME`.
    pub home: Option<OsString>,
    /// The service's database, if there is one that this user may use.
    pub system_database: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_process() -> Self {
        let width = console::Term::stdout().size_checked().map(|(_, columns)| columns.into());
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        // Both, as SQLite's readers write beside the database, too.
        let usable = std::fs::OpenOptions::new().read(true).write(true).open(SYSTEM_DATABASE).is_ok();
        Self {
            now: Timestamp::now(),
            width,
            state_home: variable("XDG_STATE_HOME"),
            home: variable("HOME"),
            system_database: usable.then(|| SYSTEM_DATABASE.into()),
        }
    }

    /// The time in nanoseconds; `None` beyond what they can count.
    pub fn now_nanos(&self) -> Option<UnixNanos> {
        i64::try_from(self.now.as_nanosecond()).ok().map(UnixNanos)
    }

    /// The user's own folder for what imon keeps: a database is neither configuration nor a cache that may vanish.
    fn state_folder(&self) -> Option<PathBuf> {
        // The XDG base directory specification: relative paths are to be ignored.
        let xdg = self.state_home.as_ref().map(PathBuf::from).filter(|path| path.is_absolute());
        let home = || self.home.as_ref().map(|home| Path::new(home).join(".local/state"));
        xdg.or_else(home).map(|folder| folder.join("imon"))
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

    /// The folders that segments are looked for in: the one named, else those of the places where imon-record writes
    /// (as root, and as this user) that exist. Into the service's database goes only what the service recorded.
    pub fn spools(&self, around: &Surroundings) -> Vec<PathBuf> {
        if let Some(spool) = &self.spool {
            return vec![spool.clone()];
        }
        let shared = self.database.is_none() && around.system_database.is_some();
        let own = around.state_folder().filter(|_| !shared);
        [Some(PathBuf::from(SYSTEM_SPOOL)), own].into_iter().flatten().filter(|place| place.is_dir()).collect()
    }
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

impl RangeArgs {
    /// Whether there is an end.
    pub fn is_some(&self) -> bool {
        [&self.from, &self.to, &self.within].iter().any(|end| end.is_some())
    }

    /// The range; without days it is today, or everything if `of_files`.
    ///
    /// # Errors
    /// Usage: see [`Range::of_typed`] and [`range::zone`].
    pub fn range(&self, around: &Surroundings, of_files: bool) -> Result<Range, Error> {
        let zone = range::zone(self.zone.as_deref())?;
        let [from, to, within] = [&self.from, &self.to, &self.within].map(|end| end.as_deref());
        Range::of_typed(&range::Typed { within, from, to }, !of_files, around.now, zone)
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
        let text = std::fs::read_to_string(path).map_err(|e| failed().because(&e))?;
        Sites::new().with_families(&text).map_err(|e| failed().because(&e))
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
        let served = self.by.contains(&Key::Served);
        if let Some(other) = self.by.iter().find(|key| served && key.is_of_host() && **key != Key::Served) {
            return Err(Error::usage(format!("--by served and --by {} do not go together", other.word()))
                .cause("what we serve is no visit to a site")
                .hint("--by served,device or --by served,day"));
        }
        Ok(Question {
            keys: self.by.clone(),
            filters: self.filters.filters()?,
            min_bytes: self.min,
            limit: self.limit(),
            include_local: self.include_local,
            range: self.range.range(around, !self.files.is_empty())?.in_quarters()?,
            now: around.now_nanos(),
        })
    }

    /// Most values of each key.
    fn limit(&self) -> Option<usize> {
        let is_long = self.by.iter().any(|key| key.is_long());
        match self.limit {
            Some(0) => None,
            Some(limit) => Some(limit),
            None if self.output.format != Format::Table || !is_long => None,
            None if self.by.len() > 1 => Some(TABLE_LIMIT_OF_SEVERAL),
            None => Some(TABLE_LIMIT),
        }
    }
}

/// A number of bytes: `1000`, `64KiB`, `10MB`, `1.5GiB`.
fn parse_bytes(text: &str) -> Result<u64, String> {
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

/// A kind of evidence by its word.
fn parse_evidence(text: &str) -> Result<Evidence, String> {
    let words = || Evidence::ALL.map(Evidence::word).join(", ");
    Evidence::ALL.into_iter().find(|kind| kind.word() == text).ok_or_else(|| format!("expected one of {}", words()))
}

/// A DNS server as `192.0.2.53`, `192.0.2.53:5300` or `[2001:db8::53]:5300`.
fn parse_server(text: &str) -> Result<SocketAddr, String> {
    let address = || text.parse().map(|address: IpAddr| SocketAddr::new(address, 53)).ok();
    text.parse()
        .ok()
        .or_else(address)
        .ok_or_else(|| "expected an address such as 192.0.2.53 or [2001:db8::53]:5300".into())
}

/// A network as `192.0.2.0/24`, or a single address.
fn parse_net(text: &str) -> Result<IpNet, String> {
    let address = || text.parse().map(|address: std::net::IpAddr| IpNet::from(address)).ok();
    text.parse().ok().or_else(address).ok_or_else(|| "expected a network such as 192.0.2.0/24 or 2001:db8::/32".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn around() -> Surroundings {
        let home = Some("/home/ann".into());
        Surroundings {
            now: "2026-11-05T12:00:00Z".parse().unwrap(),
            width: None,
            state_home: None,
            home,
            system_database: None,
        }
    }

    fn report(line: &str) -> ReportArgs {
        match Cli::try_parse_from(line.split(' ')).unwrap().command {
            Command::Report(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_version_names_the_suffix_list_in_use() {
        assert!(LONG_VERSION.ends_with(&crate::site::suffix_list(jiff::civil::date(2026, 11, 5))));
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_report_is_of_today_by_site_unless_files_are_given() {
        let args = report("imon-analyze report");
        assert_eq!((args.limit(), args.output.format), (Some(TABLE_LIMIT), Format::Table));
        assert_eq!(args.by, [Key::Site]);
        assert!(args.range.range(&around(), false).unwrap().from.is_some());
        assert!(args.range.range(&around(), true).unwrap().from.is_none());
    }

    #[test]
    fn only_long_tables_have_a_limit_of_their_own() {
        assert_eq!(report("imon-analyze report --by day").limit(), None);
        assert_eq!(report("imon-analyze report --format json").limit(), None);
        assert_eq!(report("imon-analyze report --limit 0").limit(), None);
        assert_eq!(report("imon-analyze report --format csv --limit 3").limit(), Some(3));
    }

    #[test]
    fn the_database_is_the_users_own_state() {
        let args = StoreArgs::default();
        assert_eq!(args.database(&around()).unwrap(), PathBuf::from("/home/ann/.local/state/imon/imon.db"));
        let xdg = Surroundings { state_home: Some("/state".into()), ..around() };
        assert_eq!(args.database(&xdg).unwrap(), PathBuf::from("/state/imon/imon.db"));
        let relative = Surroundings { state_home: Some("state".into()), home: None, ..around() };
        assert_eq!(args.database(&relative).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn the_services_database_comes_before_the_users_own_and_takes_the_services_segments_only() {
        let home = tempfile::tempdir().unwrap();
        let own_spool = home.path().join("imon");
        std::fs::create_dir(&own_spool).unwrap();
        let alone = Surroundings { state_home: Some(home.path().into()), ..around() };
        let service = Surroundings { system_database: Some(SYSTEM_DATABASE.into()), ..alone.clone() };
        let args = StoreArgs::default();
        assert_eq!(args.database(&service).unwrap(), PathBuf::from(SYSTEM_DATABASE));
        assert!(args.spools(&alone).contains(&own_spool));
        assert!(!args.spools(&service).contains(&own_spool));
        let named = StoreArgs { database: Some("/a.db".into()), spool: None };
        assert_eq!(named.database(&service).unwrap(), PathBuf::from("/a.db"));
        assert!(named.spools(&service).contains(&own_spool));
    }

    #[test]
    fn local_networks_are_checked_when_typed() {
        let nets = report("imon-analyze report --local 198.18.0.0/15 --local 2001:db8::1 a.pcap").capture.local;
        assert_eq!(nets, ["198.18.0.0/15".parse().unwrap(), "2001:db8::1/128".parse().unwrap()] as [IpNet; 2]);
        assert!(Cli::try_parse_from(["imon-analyze", "report", "--local", "10.0.0.0/33"]).is_err());
    }

    #[test]
    fn options_of_lookups_do_nothing_alone_and_are_refused() {
        let args = report("imon-analyze report --resolve --resolver 2001:db8::53").resolve;
        assert_eq!(args.resolver, Some("[2001:db8::53]:53".parse().unwrap()));
        assert_eq!((args.resolve_limit, args.resolve_rate), (100, 20));
        let refused = |line: &str| Cli::try_parse_from(line.split(' ')).is_err();
        assert!(refused("imon-analyze report --resolver 192.0.2.53"));
        assert!(refused("imon-analyze report --resolve-limit 3"));
        assert!(refused("imon-analyze report --resolve --resolve-rate 0"));
        assert!(refused("imon-analyze report --resolve --resolver dns.example"));
    }

    #[test]
    fn a_families_file_that_is_not_understood_is_a_usage_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "a.com\n").unwrap();
        let error = SiteOptions { families: Some(file.path().into()) }.sites().unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(
            error.to_string().ends_with("cause: line 1: expected `DOMAIN SITE` or `SITE @Family`, found 1 words"),
            "{error}"
        );
    }
}
