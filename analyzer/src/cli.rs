//! The command line as typed. Names and options are stable: scripts rely on them.

mod alert;
mod check;
mod close;
mod config;
mod examples;
mod explain;
mod export;
mod formats;
mod groups;
mod import;
mod ingest;
mod meant;
mod observations;
mod plan;
mod prune;
mod rebuild;
mod report;
mod site;
mod status;
mod surroundings;
mod tips;
mod top;
mod verify;

pub use alert::AlertArgs;
pub use check::CheckArgs;
pub use close::CloseArgs;
pub use config::ConfigArgs;
pub use explain::ExplainArgs;
pub use export::ExportArgs;
pub use groups::{
    AskArgs, CaptureArgs, FilterArgs, Groups, MaskArgs, OutputArgs, OwnersArgs, RangeArgs, SiteOptions, StoreArgs, Vlan,
};
pub use import::ImportArgs;
pub use ingest::IngestArgs;
pub(crate) use meant::parse_net;
pub use meant::{names, no_file};
pub use observations::{Every, FlowsArgs, LineFormat, NamesArgs, ObservationArgs};
pub use plan::PlanArgs;
pub use prune::{PruneAge, PruneArgs};
pub use rebuild::RebuildArgs;
pub use report::{ReportArgs, ResolveArgs};
pub use site::SiteArgs;
pub use status::StatusArgs;
pub(crate) use surroundings::SYSTEM_DATABASE;
pub use surroundings::{Color, Surroundings, columns_of};
pub use tips::parse;
pub use top::TopArgs;
pub use verify::{Judged, VerifyArgs};

use crate::table::units::Units;
use clap::{Parser, Subcommand};
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
    /// Take in totals that vnStat counted before imon did
    #[command(after_help = examples::IMPORT)]
    Import(ImportArgs),
    /// Bytes by site, family, host, device, time or evidence
    #[command(after_help = examples::REPORT, mut_arg("format", formats::of_report))]
    Report(ReportArgs),
    /// Bytes of sites or hosts, day by day
    #[command(after_help = examples::SITE, mut_arg("format", formats::of_site))]
    Site(SiteArgs),
    /// Flows of captures and segments, one a line
    #[command(after_help = examples::FLOWS)]
    Flows(FlowsArgs),
    /// Names seen in captures and segments, one a line
    #[command(after_help = examples::NAMES, mut_arg("format", formats::of_names))]
    Names(NamesArgs),
    /// Put months, closed and open, into a folder as Parquet, for other machines and engines
    #[command(after_help = examples::EXPORT)]
    Export(ExportArgs),
    /// Why bytes were booked there: who was told what, which rule decided, and what lost
    #[command(after_help = examples::EXPLAIN, mut_arg("format", formats::of_list))]
    Explain(ExplainArgs),
    /// How well DNS alone would have named the flows that carry their name
    #[command(after_help = examples::VERIFY, mut_arg("format", formats::of_list))]
    Verify(VerifyArgs),
    /// How segments ended, what is in them, what is damaged
    #[command(after_help = examples::CHECK, mut_arg("format", formats::of_list))]
    Check(CheckArgs),
    /// What the database holds
    #[command(after_help = examples::STATUS, mut_arg("format", formats::of_list))]
    Status(StatusArgs),
    /// Book everything again from the facts, by the rules of this version
    #[command(after_help = examples::REBUILD, mut_arg("format", formats::of_list))]
    Rebuild(RebuildArgs),
    /// Remove what is older than a day from the database
    #[command(after_help = examples::PRUNE)]
    Prune(PruneArgs),
    /// What of a billing period is used, and what is left
    #[command(after_help = examples::PLAN, mut_arg("format", formats::of_document))]
    Plan(PlanArgs),
    /// Say once what asks for attention: plans, rates, new sites and devices, silence
    #[command(after_help = examples::ALERT)]
    Alert(AlertArgs),
    /// What the configuration says, what is in force, and where each value comes from
    #[command(after_help = examples::CONFIG, mut_arg("format", formats::of_document))]
    Config(ConfigArgs),
    /// What passes now, by site, device, host, page or evidence, while imon-record writes it
    #[command(after_help = examples::TOP, mut_arg("format", formats::of_document))]
    Top(TopArgs),
}

#[cfg(test)]
mod tests {
    use super::meant::TABLE_LIMIT;
    use super::surroundings::SYSTEM_DATABASE;
    use super::*;
    use crate::question::Key;
    use crate::range::Unsaid;
    use crate::report::Format;
    use clap::CommandFactory as _;
    use ipnet::IpNet;

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
        assert_eq!((args.limit(), args.asked.output.format()), (Some(TABLE_LIMIT), Format::Table));
        assert_eq!(args.question(&around()).unwrap().keys, [Key::Site]);
        assert!(args.asked.range.range(&around(), Unsaid::Today).unwrap().from.is_some());
        assert!(args.asked.range.range(&around(), Unsaid::Everything).unwrap().from.is_none());
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
        let nets = report("imon-analyze report --local 198.18.0.0/15 --local 2001:db8::1 a.pcap").asked.capture.local;
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
            error
                .to_string()
                .contains("cause: line 1: expected `DOMAIN SITE` or `SITE @Family`, found 1 words\n  hint:"),
            "{error}"
        );
    }
}
