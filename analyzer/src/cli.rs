//! The command line as typed. Names and options are stable: scripts rely on them.

mod examples;
mod meant;
mod surroundings;
mod tips;

pub use meant::names;
pub(crate) use meant::parse_net;
pub(crate) use surroundings::SYSTEM_DATABASE;
pub use surroundings::{Color, Surroundings};
pub use tips::parse;

use crate::books::Evidence;
use crate::books::month::Month;
use crate::question::Key;
use crate::report::{Format, LedgerShown, Mask};
use crate::table::units::Units;
use crate::top::snapshot::{Sort, View};
use clap::{Args, Parser, Subcommand};
use ipnet::IpNet;
use meant::{parse_bytes, parse_evidence, parse_percent, parse_server, parse_vlan};
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroUsize};
use std::path::PathBuf;

/// What `--version` says (`-V` says the first line): the version, and the list that sites are made
/// with.
const LONG_VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), "\npublic suffix list: psl 2.1.247 of 2026-11-05, private section on");

/// Which sites used my bandwidth, when, and how sure are we?
#[derive(Debug, Parser)]
#[command(name = "imon-analyze", version, long_version = LONG_VERSION, about, after_help = examples::ALL, arg_required_else_help = true)]
pub struct Cli {
    /// Say errors only: no notes, no progress
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Colour in text on a terminal [default: auto; the environment variable NO_COLOR means never]
    #[arg(long, value_enum, global = true, value_name = "WHEN", default_value_t, hide_default_value = true)]
    pub color: Color,
    /// Units of bytes in text [default: binary]
    #[arg(long, value_enum, global = true, value_name = "UNITS")]
    pub units: Option<Units>,
    /// Read this configuration, and no other [default: /etc/imon/imon.toml, then imon/imon.toml in
    /// $XDG_CONFIG_HOME or ~/.config]
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "no_config")]
    pub config: Option<PathBuf>,
    /// Read no configuration: for scripts
    #[arg(long, global = true)]
    pub no_config: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Show what each command reaches, and try what its sandbox must refuse; before a command: in
    /// the sandbox of that one, which is not run
    #[arg(long)]
    pub self_test: bool,
    /// Read captures, segments and databases without a sandbox around this program
    #[arg(long, global = true)]
    pub no_sandbox: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Book segments and captures in the database
    #[command(after_help = examples::INGEST)]
    Ingest(IngestArgs),
    /// Put months that are over away as Parquet files beside the database
    #[command(after_help = examples::CLOSE)]
    Close(CloseArgs),
    /// Bytes by site, family, host, device, time or evidence
    #[command(after_help = examples::REPORT)]
    Report(ReportArgs),
    /// Bytes of sites or hosts, day by day
    #[command(after_help = examples::SITE)]
    Site(SiteArgs),
    /// Flows of captures and segments, one a line
    #[command(after_help = examples::FLOWS)]
    Flows(FlowsArgs),
    /// Names seen in captures and segments, one a line
    #[command(after_help = examples::NAMES)]
    Names(NamesArgs),
    /// Why bytes were booked there: who was told what, which rule decided, and what lost
    #[command(after_help = examples::EXPLAIN)]
    Explain(ExplainArgs),
    /// How well DNS alone would have named the flows that carry their name
    #[command(after_help = examples::VERIFY)]
    Verify(VerifyArgs),
    /// How segments ended, what is in them, what is damaged
    #[command(after_help = examples::CHECK)]
    Check(CheckArgs),
    /// What the database holds
    #[command(after_help = examples::STATUS)]
    Status(StatusArgs),
    /// Book everything again from the facts, by the rules of this version
    #[command(after_help = examples::REBUILD)]
    Rebuild(RebuildArgs),
    /// Remove what is older than a day from the database
    #[command(after_help = examples::PRUNE)]
    Prune(PruneArgs),
    /// What of a billing period is used, and what is left
    #[command(after_help = examples::PLAN)]
    Plan(PlanArgs),
    /// Say once what asks for attention: plans, rates, new sites and devices, silence
    #[command(after_help = examples::ALERT)]
    Alert(AlertArgs),
    /// What the configuration says, what is in force, and where each value comes from
    #[command(after_help = examples::CONFIG)]
    Config(ConfigArgs),
    /// What passes now, by site, device, host or evidence, while imon-record writes it
    #[command(after_help = examples::TOP)]
    Top(TopArgs),
}

/// Arguments of `ingest`.
#[derive(Debug, Args)]
pub struct IngestArgs {
    /// Segments, folders of segments, pcap and pcapng files, also compressed (.gz .zst .xz .lz4)
    /// [default: the spool]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Database and spool.
    #[command(flatten)]
    pub store: StoreArgs,
    /// How captures are read.
    #[command(flatten)]
    pub capture: CaptureArgs,
}

/// Arguments of `close`.
#[derive(Debug, Args)]
pub struct CloseArgs {
    /// This month of UTC, such as 2026-10; may be repeated [default: all that ended at least seven
    /// days ago]
    #[arg(long, value_name = "MONTH")]
    pub month: Vec<Month>,
    /// Database and spool.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Report on these files only and keep nothing [default: the database, after ingesting what is
    /// new in the spool]
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// What the rows stand for; several with commas between: site,day [default: site; of a page the
    /// overview]
    #[arg(long, value_enum, value_name = "KEY[,KEY]", value_delimiter = ',')]
    pub by: Vec<Key>,
    /// Only the N largest values of each key, and all of keys that are times; 0 for all [default: 25
    /// in tables for people, 10 with several keys; 500 on a page with one]
    #[arg(short = 'n', long, value_name = "N")]
    pub limit: Option<usize>,
    /// Sum up rows with fewer bytes: 1000, 64KiB, 10MB
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, default_value = "0", hide_default_value = true)]
    pub min: u64,
    /// Give traffic inside the local network rows too
    #[arg(long)]
    pub include_local: bool,
    /// Beside the range another one, largest change first: previous (the one before, as far into it
    /// as now), last-year, or a time as behind --in
    #[arg(long, value_name = "TIME", conflicts_with_all = ["resolve", "compare_with"])]
    pub compare: Option<String>,
    /// Beside the range the same of these files
    #[arg(long, value_name = "FILE", conflicts_with = "resolve")]
    pub compare_with: Vec<PathBuf>,
    /// How much of the ledger text shows [default: short on a terminal when all is well, else full]
    #[arg(long, value_enum, value_name = "HOW")]
    pub ledger: Option<LedgerShown>,
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
    /// What becomes of names.
    #[command(flatten)]
    pub mask: MaskArgs,
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

/// Which bytes are asked for. An option that is repeated means either; different ones have to hold
/// together.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Only these bytes")]
pub struct FilterArgs {
    /// Of a site (youtube.com), a family (Google), a domain that is part of a site, a host or an
    /// address; may be repeated
    #[arg(long, value_name = "NAME")]
    pub site: Vec<String>,
    /// Of a host (www.youtube.com) or an address; may be repeated
    #[arg(long, value_name = "NAME")]
    pub host: Vec<String>,
    /// Of a family (Google); may be repeated
    #[arg(long, value_name = "NAME")]
    pub family: Vec<String>,
    /// Of a device: an address of it, a network, its hardware address, or what it calls itself; may
    /// be repeated
    #[arg(long, value_name = "DEVICE")]
    pub device: Vec<String>,
    /// With this kind of evidence, such as dns or none; may be repeated
    #[arg(long, value_name = "KIND", value_parser = parse_evidence)]
    pub evidence: Vec<Evidence>,
    /// Seen on this interface (eth0); may be repeated
    #[arg(long, value_name = "NAME")]
    pub interface: Vec<String>,
    /// Seen in this VLAN, by its number, or `none` for frames without a tag; may be repeated
    #[arg(long, value_name = "ID", value_parser = parse_vlan)]
    pub vlan: Vec<Vlan>,
    /// Read from this capture or segment, by the name of its file; may be repeated
    #[arg(long, value_name = "FILE")]
    pub source: Vec<String>,
}

/// A VLAN as typed; `None` for frames without a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vlan(pub Option<u16>);

/// Arguments of `site`.
#[derive(Debug, Args)]
pub struct SiteArgs {
    /// A family (Google), a site (youtube.com), a domain that is part of it (ytimg.com), a host
    /// (www.youtube.com) or an address
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
    /// Look into these files and folders only and keep nothing [default: the database, after
    /// ingesting what is new in the spool]
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub files: Vec<PathBuf>,
    /// Count traffic inside the local network too
    #[arg(long)]
    pub include_local: bool,
    /// Sum up days with fewer bytes: 1000, 64KiB, 10MB
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, default_value = "0", hide_default_value = true)]
    pub min: u64,
    /// How much of the ledger text shows [default: short on a terminal when all is well, else full]
    #[arg(long, value_enum, value_name = "HOW")]
    pub ledger: Option<LedgerShown>,
    /// Which bytes.
    #[command(flatten)]
    pub filters: FilterArgs,
    /// Days.
    #[command(flatten)]
    pub range: RangeArgs,
    /// Families.
    #[command(flatten)]
    pub sites: SiteOptions,
    /// What becomes of names.
    #[command(flatten)]
    pub mask: MaskArgs,
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
    /// How it is written [default: json]
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<LineFormat>,
    /// The same as --format csv
    #[arg(long, conflicts_with = "format")]
    csv: bool,
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
    /// Captures and segments to look into [default: the facts that the database knows around that
    /// time]
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Only an hour before and after this time: 2026-11-22T14:30, or 14:30 of today [default:
    /// today, or all of the files]
    #[arg(long, value_name = "TIME", conflicts_with_all = ["from", "to", "within"])]
    pub at: Option<String>,
    /// Only flows of so many bytes or more: 1000, 64KiB, 10MB
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, default_value = "0", hide_default_value = true)]
    pub min: u64,
    /// Which flows; device, interface, VLAN and source also say which names.
    #[command(flatten)]
    pub filters: FilterArgs,
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

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Segments, pcap and pcapng files, also compressed
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Also how often evidence of an age is there, and right, for ages of seconds to days
    #[arg(long)]
    pub curve: bool,
    /// Judge all files as one recording: the pieces of a ring buffer [default: each capture by
    /// itself]
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

/// Arguments of `flows`.
#[derive(Debug, Args)]
pub struct FlowsArgs {
    /// A line for each flow and quarter of an hour, with all that `report` tells rows apart by; by
    /// time, when all was read
    #[arg(long, value_enum, value_name = "LENGTH")]
    pub every: Option<Every>,
    /// Files and output.
    #[command(flatten)]
    pub observations: ObservationArgs,
}

/// Stretches of time that `flows --every` cuts flows into: those that books are kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Every {
    /// A quarter of an hour
    #[value(name = "15m")]
    Quarter,
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
    /// Typed columns for data frames, with -o FILE
    Parquet,
    /// A display filter for Wireshark: the addresses and ports of the flows' servers
    DisplayFilter,
}

/// A SHA-256 as 64 hexadecimal digits.
fn sha256(text: &str) -> Result<[u8; 32], String> {
    let wrong = || "a SHA-256 has 64 hexadecimal digits".to_owned();
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>().ok_or_else(wrong)?;
    let bytes: Vec<u8> = digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    bytes.try_into().ok().filter(|_| digits.len() == 64).ok_or_else(wrong)
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Segments, folders of segments, or a database with its closed months
    #[arg(value_name = "SEGMENT", required = true)]
    pub segments: Vec<PathBuf>,
    /// A hash that the recorder said when it sealed a segment: one of these must have it. May be
    /// given again
    #[arg(long = "anchor", value_name = "SHA256", value_parser = sha256)]
    pub anchors: Vec<[u8; 32]>,
    /// Where it goes.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// All months instead: open or closed, rows, bytes, hash, what can be booked again
    #[arg(long)]
    pub months: bool,
    /// Also copy the database and its closed months into this folder, which must be empty or not be
    /// there yet; another program may book meanwhile
    #[arg(long, value_name = "DIR")]
    pub backup: Option<PathBuf>,
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
    /// Only sources that reach to this day or later: 2026-11-01, today, yesterday or 7d (seven days
    /// ago) [default: all]
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// Time zone of the day, such as Europe/Berlin or +05:30 [default: that of the system, or $TZ]
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    pub zone: Option<String>,
    /// The database is lost: make it anew from its closed months alone. What was not closed is
    /// booked again by the next ingest
    #[arg(long, conflicts_with_all = ["from", "diff"])]
    pub from_books: bool,
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
    /// Remove only the segments that captures were kept as: what was booked stays, and cannot be
    /// booked again
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
    /// Remove sources that end before this day: 2026-11-01, today, yesterday or 30d (thirty days
    /// ago)
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    pub before: Option<String>,
    /// Keep today and this many days before it
    #[arg(long, value_name = "N")]
    pub keep_days: Option<u32>,
    /// Remove what [keep] of the configuration lets go; nothing where it says nothing
    #[arg(long, conflicts_with = "captures_only")]
    pub configured: bool,
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Plans of the configuration, by name [default: all]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// The period that this day lies in: 2026-11-01, yesterday [default: today's]
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    pub on: Option<String>,
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

/// Arguments of `alert`.
#[derive(Debug, Args)]
pub struct AlertArgs {
    /// Run this program for each alert, without a shell and with the alert in its environment; a
    /// path from the root [default: exec in the configuration, else lines on standard output]
    #[arg(long, value_name = "PROGRAM")]
    pub exec: Option<PathBuf>,
    /// Parts of a plan in percent [default: percent in the configuration]
    #[arg(long, value_name = "N[,N]", value_delimiter = ',', value_parser = parse_percent)]
    pub percent: Vec<u32>,
    /// Say everything that holds, told before or not; run nothing and remember nothing
    #[arg(long, conflicts_with = "exec")]
    pub all: bool,
    /// Hand alerts over to a parent, which runs the program.
    #[arg(long, hide = true)]
    pub judge: bool,
    /// Time zone of hours and days of rates [default: that of the system, or $TZ]
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    pub zone: Option<String>,
    /// Families.
    #[command(flatten)]
    pub sites: SiteOptions,
    /// Database and spool.
    #[command(flatten)]
    pub store: StoreArgs,
    /// How captures are read.
    #[command(flatten)]
    pub capture: CaptureArgs,
}

/// Arguments of `config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Time zone, as behind other commands
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
    /// Keys of `[report]` that the command line says.
    #[arg(skip)]
    pub typed: Vec<&'static str>,
}

/// Arguments of `top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Folders that imon-record writes into [default: the spool]
    #[arg(value_name = "SPOOL")]
    pub spools: Vec<PathBuf>,
    /// Which view comes first
    #[arg(long, value_enum, value_name = "VIEW", default_value_t)]
    pub by: View,
    /// What decides the order of rows
    #[arg(long, value_enum, value_name = "ORDER", default_value_t)]
    pub sort: Sort,
    /// Only rows with these words; also site:X, host:X, device:X, evidence:X
    #[arg(long, value_name = "WORDS", default_value = "", hide_default_value = true)]
    pub filter: String,
    /// Names.
    #[command(flatten)]
    pub mask: MaskArgs,
    /// Write the rows of this moment and end
    #[arg(long)]
    pub once: bool,
    /// With --once only the first N rows [default: all]
    #[arg(short = 'n', long, value_name = "N")]
    pub limit: Option<usize>,
    /// Time zone of days and hours, such as Europe/Berlin or +05:30 [default: that of the system,
    /// or $TZ]
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    pub zone: Option<String>,
    /// Families.
    #[command(flatten)]
    pub sites: SiteOptions,
    /// Where it goes, with --once.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Database and spool.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Where the database and the segments are.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Database and spool")]
pub struct StoreArgs {
    /// The database [default: the service's, /var/lib/imon-analyze/imon.db, if there is one and you
    /// may use it, else imon/imon.db in $XDG_STATE_HOME or ~/.local/state]
    #[arg(long, value_name = "FILE")]
    pub database: Option<PathBuf>,
    /// Folder with the segments of imon-record [default: /var/lib/imon, and with a database of your
    /// own also imon in the state folder]
    #[arg(long, value_name = "DIR")]
    pub spool: Option<PathBuf>,
}

/// How captures are read.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Reading captures")]
pub struct CaptureArgs {
    /// A network that is local in capture files, beside the private ranges; may be repeated
    #[arg(long, value_name = "NET", value_parser = parse_net)]
    pub local: Vec<IpNet>,
    /// Count bytes that two sources seem to hold in both: they are known not to overlap
    #[arg(long)]
    pub allow_overlap: bool,
    /// Count the flows that NetFlow and IPFIX datagrams in captures report, and not the packets of
    /// the captures; IPFIX files and captures of imon-record --collect are always read so
    #[arg(long)]
    pub exported: bool,
    /// As --exported, and only datagrams to this port; may be repeated
    #[arg(long, value_name = "PORT")]
    pub exported_port: Vec<NonZeroU16>,
    /// Name exported flows by the DNS answers, and the names inside the same flows, that segments
    /// and captures of this network hold; their bytes do not count; may be repeated
    #[arg(long, value_name = "PATH")]
    pub names_from: Vec<PathBuf>,
    /// Threads that work on captures; the answer is the same with any number [default: as there are
    /// processors, at most 4]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
}

/// Which days, in which zone.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "When")]
pub struct RangeArgs {
    /// From the beginning of: 2026-11-01, 2026-11, 2026-W46, 2026-11-01T14:00, 14:00, today,
    /// yesterday, monday, this-month, last-month, this-week, last-week, 7d (today and six days
    /// before), billing, last-billing (periods of a plan) [default: today, or all of the files given]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// To the end of: the same words; a day, week or month is included, an instant is the end
    /// itself
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub to: Option<String>,
    /// From the beginning to the end of: the same words, such as last-month or 7d, or
    /// 2026-11-01..2026-11-07
    #[arg(long = "in", value_name = "TIME", allow_hyphen_values = true, conflicts_with_all = ["from", "to"])]
    pub within: Option<String>,
    /// The plan that `billing` and billing-month are of [default: the first of the configuration]
    #[arg(long, value_name = "NAME")]
    pub plan: Option<String>,
    /// Time zone of days and hours, such as Europe/Berlin or +05:30 [default: that of the system,
    /// or $TZ]
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    pub zone: Option<String>,
}

/// How hosts become sites.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Names")]
pub struct SiteOptions {
    /// More families: lines of `DOMAIN SITE` (part of that site) and `SITE @Family` (of that owner)
    #[arg(long, value_name = "FILE")]
    pub families: Option<PathBuf>,
}

/// Whether and how addresses are looked up.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Names")]
pub struct ResolveArgs {
    /// Ask DNS for names of addresses that nothing names: your resolver learns these addresses.
    /// Without it nothing is sent
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
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// How it is written [default: table]
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,
    /// The same as --format json
    #[arg(long, conflicts_with_all = ["format", "csv"])]
    json: bool,
    /// The same as --format csv
    #[arg(long, conflicts_with = "format")]
    csv: bool,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// What becomes of names.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct MaskArgs {
    /// Write numbers for names, by their order in this output, so that it can be shown to others
    #[arg(long, value_enum, value_name = "WHAT")]
    pub mask: Option<Mask>,
}

#[cfg(test)]
mod tests {
    use super::meant::TABLE_LIMIT;
    use super::surroundings::SYSTEM_DATABASE;
    use super::*;
    use clap::CommandFactory as _;

    fn around() -> Surroundings {
        let home = Some("/home/ann".into());
        Surroundings {
            now: "2026-11-05T12:00:00Z".parse().unwrap(),
            width: None,
            draws: false,
            color: false,
            state_home: None,
            home,
            ..Surroundings::of_process(Color::Never)
        }
    }

    fn report(line: &str) -> ReportArgs {
        match Cli::try_parse_from(line.split(' ')).unwrap().command {
            Some(Command::Report(args)) => args,
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
        assert_eq!((args.limit(), args.output.format()), (Some(TABLE_LIMIT), Format::Table));
        assert_eq!(args.question(&around()).unwrap().keys, [Key::Site]);
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
    fn a_terminal_gets_no_parquet() {
        let seen = |line: &str, width| {
            let command = Cli::try_parse_from(line.split(' ')).unwrap().command.unwrap();
            command.check_format(&Surroundings { width, ..around() }).map_err(|e| e.exit_code())
        };
        for line in ["report a.pcap", "site a.example --files a.pcap", "flows a.pcap", "names a.pcap"] {
            let line = format!("imon-analyze {line} --format parquet");
            assert_eq!(seen(&line, Some(80)), Err(2), "{line}");
            assert_eq!(seen(&format!("{line} -o -"), Some(80)), Err(2), "{line}");
            assert_eq!(seen(&format!("{line} -o a.parquet"), Some(80)), Ok(()), "{line}");
            assert_eq!(seen(&line, None), Ok(()), "{line}: a pipe or a file");
        }
        assert_eq!(seen("imon-analyze status --format parquet -o a.parquet", None), Err(2));
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
