//! Groups of options that several commands have, and which command has which.

use super::meant::{parse_evidence, parse_net, parse_vlan};
use super::{
    AlertArgs, CheckArgs, CloseArgs, Command, ConfigArgs, ExplainArgs, ExportArgs, FlowsArgs, ImportArgs, IngestArgs,
    NamesArgs, PlanArgs, PruneArgs, RebuildArgs, ReportArgs, SiteArgs, StatusArgs, TopArgs, VerifyArgs,
};
use crate::books::Evidence;
use crate::report::Format;
use crate::report::Mask;
use clap::Args;
use ipnet::IpNet;
use std::num::{NonZeroU16, NonZeroUsize};
use std::path::PathBuf;

/// What a question has whatever its answer looks like: which bytes, of which days, and how and from
/// where the answer comes.
#[derive(Debug, Clone, Default, Args)]
pub struct AskArgs {
    /// Which bytes.
    #[command(flatten)]
    pub filters: FilterArgs,
    /// Days.
    #[command(flatten)]
    pub range: RangeArgs,
    /// Families.
    #[command(flatten)]
    pub sites: SiteOptions,
    /// Labels of addresses.
    #[command(flatten)]
    pub owners: OwnersArgs,
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

/// What an answer from the database has that is no such question.
#[derive(Debug, Clone, Default, Args)]
pub struct AnswerArgs {
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

/// The groups that a command has.
#[derive(Debug, Clone, Copy, Default)]
pub struct Groups<'a> {
    /// Days.
    pub range: Option<&'a RangeArgs>,
    /// Families.
    pub sites: Option<&'a SiteOptions>,
    /// Labels of addresses.
    pub owners: Option<&'a OwnersArgs>,
    /// Where the answer goes, of what is a table.
    pub output: Option<&'a OutputArgs>,
    /// Database and spool.
    pub store: Option<&'a StoreArgs>,
    /// How captures are read, by commands that read some which are named.
    pub capture: Option<&'a CaptureArgs>,
}

impl Command {
    /// The groups that this command has.
    pub fn groups(&self) -> Groups<'_> {
        let none = Groups::default();
        match self {
            Self::Report(ReportArgs { asked, .. })
            | Self::Site(SiteArgs { asked, .. })
            | Self::Explain(ExplainArgs { asked, .. }) => Groups {
                range: Some(&asked.range),
                sites: Some(&asked.sites),
                owners: Some(&asked.owners),
                output: Some(&asked.output),
                store: Some(&asked.store),
                capture: Some(&asked.capture),
            },
            Self::Flows(FlowsArgs { observations: args, .. }) | Self::Names(NamesArgs { observations: args, .. }) => {
                let capture = Some(&args.capture);
                let owners = Some(&args.owners);
                Groups { range: Some(&args.range), sites: Some(&args.sites), owners, capture, ..none }
            }
            Self::Rebuild(RebuildArgs { answer, .. })
            | Self::Plan(PlanArgs { answer, .. })
            | Self::Config(ConfigArgs { answer, .. }) => {
                Groups { sites: Some(&answer.sites), output: Some(&answer.output), store: Some(&answer.store), ..none }
            }
            Self::Top(TopArgs { answer, owners, .. }) => Groups {
                sites: Some(&answer.sites),
                owners: Some(owners),
                output: Some(&answer.output),
                store: Some(&answer.store),
                ..none
            },
            Self::Alert(AlertArgs { sites, store, .. }) => Groups { sites: Some(sites), store: Some(store), ..none },
            Self::Verify(VerifyArgs { sites, output, capture, .. }) => {
                Groups { sites: Some(sites), output: Some(output), capture: Some(capture), ..none }
            }
            Self::Status(StatusArgs { output, store, .. }) => {
                Groups { output: Some(output), store: Some(store), ..none }
            }
            Self::Check(CheckArgs { output, .. }) => Groups { output: Some(output), ..none },
            Self::Ingest(IngestArgs { store, capture, .. }) | Self::Export(ExportArgs { store, capture, .. }) => {
                Groups { store: Some(store), capture: Some(capture), ..none }
            }
            Self::Close(CloseArgs { store, .. })
            | Self::Prune(PruneArgs { store, .. })
            | Self::Import(ImportArgs { store, .. }) => Groups { store: Some(store), ..none },
        }
    }
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
    /// Of addresses without a name in this network, by --owners: AS64500, or who has it; may be
    /// repeated
    #[arg(long, value_name = "NETWORK")]
    pub network: Vec<String>,
    /// Of addresses without a name in this country, by --owners, such as DE; may be repeated
    #[arg(long, value_name = "COUNTRY")]
    pub country: Vec<String>,
    /// Of a device: an address of it, a network, its hardware address, or what it calls itself; may
    /// be repeated
    #[arg(long, value_name = "DEVICE")]
    pub device: Vec<String>,
    /// Of devices of this owner, as [devices] of the configuration says; may be repeated
    #[arg(long, value_name = "NAME")]
    pub owner: Vec<String>,
    /// Of devices in this group, likewise; may be repeated
    #[arg(long, value_name = "NAME")]
    pub group: Vec<String>,
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
    /// Recorded by this recorder: its name in the configuration, its id or the first eight digits
    /// of it, or `captures` for what no recorder recorded; may be repeated
    #[arg(long, value_name = "RECORDER")]
    pub recorder: Vec<String>,
}

/// A VLAN as typed; `None` for frames without a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vlan(pub Option<u16>);

/// Which days, in which zone.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "When")]
pub struct RangeArgs {
    /// From the beginning of: 2026-11-01, 2026-11, 2026-W46, 2026-11-01T14:00, 14:00, today,
    /// yesterday, monday, this-month, last-month, this-week, last-week, 7d (today and six days
    /// before), billing, last-billing (periods of a plan) [default: today, or all of the files
    /// given]
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

/// Whose addresses without a name are.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Names")]
pub struct OwnersArgs {
    /// Show network (AS) and country beside addresses without a name, by this file in MaxMind DB
    /// format; labels, never names. May be repeated: the first that knows an address counts
    #[arg(long, value_name = "FILE.mmdb")]
    pub owners: Vec<PathBuf>,
}

/// Where a result goes and how it is written.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// How it is written [default: table]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(super) format: Option<Format>,
    /// The same as --format json
    #[arg(long, conflicts_with_all = ["format", "csv"])]
    pub(super) json: bool,
    /// The same as --format csv
    #[arg(long, conflicts_with = "format")]
    pub(super) csv: bool,
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
    /// Threads that work on captures, and on closed months; the answer is the same with any number
    /// [default: as there are processors, at most 4]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
}
