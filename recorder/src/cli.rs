//! The command line: arguments as typed become settings as meant, checked together before anything
//! is opened.

use crate::capture::SNAPLEN;
use crate::error::Error;
use crate::interface::parse_net;
use crate::retention::share_bytes;
use crate::rotate::{Retention, Rotation};
use crate::units::{parse_duration, parse_size};
use clap::{Parser, ValueEnum};
use ipnet::IpNet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Size at which a segment is sealed by default: small enough to be moved about, large enough to be
/// few.
const ROTATE_SIZE: u64 = 64 << 20;

/// Smallest segment: one block.
const MIN_ROTATE_SIZE: u64 = 64 << 10;

/// Bounds of the interval. Shorter than 100 ms would be finer than the kernel hands packets over;
/// longer than a minute would lose that much in a crash.
const INTERVAL: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);

/// Smallest snaplen: link header, IPv6 header and ports.
const MIN_SNAPLEN: u32 = 96;

/// libpcap's own limit (MAXIMUM_SNAPLEN).
const MAX_SNAPLEN: u32 = 262_144;

/// What a script is told, for the help and the manual page.
const EXIT_CODES: &str = "Exit codes: 0 done; 1 failed, and of --status: one does not record; 2 other arguments are the \
remedy; 3 a part of the input was recorded, and of --status: something was lost within a day.";

/// Records who talked to whom, how much, and which names were asked: never the content, never a
/// packet sent.
#[derive(Debug, Parser)]
#[command(name = "imon-record", version, about, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Args {
    /// Interface to record (repeatable) [default: the one with the default route]
    #[arg(short, long, value_name = "IFACE", conflicts_with_all = ["read", "list_interfaces"])]
    interface: Vec<String>,

    /// Take only names from DNS on this interface, for this machine, and count nothing there: `lo`,
    /// where a resolver of its own forwards over encrypted DNS (repeatable)
    #[arg(long, value_name = "IFACE", conflicts_with = "read")]
    names_from: Vec<String>,

    /// Directory for the segments [default: /var/lib/imon as root, else ~/.local/state/imon]
    #[arg(long, value_name = "DIR")]
    spool: Option<PathBuf>,

    /// Seal a segment at this size [default: half of what --keep-size has for a day, 64MiB at most]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    rotate_size: Option<u64>,

    /// Seal a segment at this age
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "1h")]
    rotate_every: Duration,

    /// Remove the oldest sealed segments when all take more than this
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "2GiB", conflicts_with = "read")]
    keep_size: u64,

    /// Remove sealed segments that are older than this
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500), default_value_t = 90, conflicts_with = "read")]
    keep_days: u32,

    /// Length of an interval: how fine the record is, and how much of it a power cut can cost
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "1s")]
    interval: Duration,

    /// Record only packets that match, in the language of pcap-filter(7)
    #[arg(long, value_name = "BPF", default_value = "", hide_default_value = true)]
    filter: String,

    /// Address or network to take for local, beside those of the interface and the private ranges
    /// (repeatable)
    #[arg(long, value_name = "NET", value_parser = parse_net)]
    local: Vec<IpNet>,

    /// As root: user to record as [default: imon if there is one, else who called sudo, else
    /// nobody]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    /// Bytes of each packet to look at; fewer cost names, never counts
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(i64::from(MIN_SNAPLEN)..=i64::from(MAX_SNAPLEN)), default_value_t = SNAPLEN, conflicts_with = "read")]
    snaplen: u32,

    /// Also ask the card for frames that are not for this machine
    #[arg(long, conflicts_with = "read")]
    promiscuous: bool,

    /// Wait for an interface that is not there or not up, as a service does; without this it is an
    /// error
    #[arg(long, conflicts_with_all = ["read", "self_test"])]
    wait: bool,

    /// Record even if this kernel cannot enforce all of the confinement; what is missing is said
    #[arg(long, conflicts_with = "read")]
    allow_uncaged: bool,

    /// Open everything as for a recording, give up all rights, print what is still possible, and
    /// exit
    #[arg(long, conflicts_with_all = ["read", "allow_uncaged"])]
    self_test: bool,

    /// Also write metrics for Prometheus to this file, for node_exporter's textfile collector
    /// (*.prom)
    #[arg(long, value_name = "FILE", conflicts_with = "read")]
    metrics: Option<PathBuf>,

    /// Say how the recorders are that write here: exit code 0 if they record, 3 if they lost
    /// something, 1 if not
    #[arg(long, conflicts_with_all = ["interface", "read", "list_interfaces", "metrics", "user"])]
    status: bool,

    /// How --status is written
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, requires = "status")]
    format: Format,

    /// List the interfaces and exit; a star marks the default
    #[arg(long, exclusive = true)]
    list_interfaces: bool,

    /// Collect NetFlow and IPFIX datagrams that come to this address, such as 0.0.0.0:2055, into
    /// captures that imon-analyze reads; needs no rights, and looks into none
    #[arg(
        long,
        value_name = "UDP-ADDRESS",
        requires = "allow_from",
        conflicts_with_all = [
            "interface", "read", "names_from", "interval", "filter", "local", "snaplen", "promiscuous", "wait", "self_test",
            "metrics", "status"
        ]
    )]
    collect: Option<SocketAddr>,

    /// Address or network whose datagrams --collect takes; others are counted and left out
    /// (repeatable)
    #[arg(long, value_name = "NET", value_parser = parse_net, requires = "collect")]
    allow_from: Vec<IpNet>,

    /// Record from a pcap or pcapng file instead (- for standard input), into --spool; needs no
    /// rights
    #[arg(long, value_name = "FILE")]
    read: Option<PathBuf>,
}

/// How a result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// One object a line for each recorder.
    Json,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// `--list-interfaces`
    List,
    /// `--status` of the recorders of these spools.
    Status(Vec<PathBuf>, Format),
    /// Record an interface.
    Live(Settings, LiveSettings),
    /// Record a capture file.
    Read(Settings, PathBuf),
    /// Collect datagrams of exporters.
    Collect(Settings, CollectSettings),
}

/// What both sources need.
#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the segments go.
    pub spool: PathBuf,
    /// When they are sealed.
    pub rotation: Rotation,
    /// Length of an interval in nanoseconds.
    pub interval_ns: i64,
    /// Filter; empty for none.
    pub filter: String,
    /// Local networks that the user added.
    pub local: Vec<IpNet>,
    /// User to become, as typed.
    pub user: Option<String>,
}

/// What only a live capture needs.
#[derive(Debug, PartialEq, Eq)]
pub struct LiveSettings {
    /// Interfaces to record, if any was named.
    pub interfaces: Vec<String>,
    /// Interfaces that only names are taken from.
    pub names_from: Vec<String>,
    /// How much is kept.
    pub retention: Retention,
    /// Bytes of each packet to look at.
    pub snaplen: u32,
    /// Where metrics go, if they are wanted.
    pub metrics: Option<PathBuf>,
    /// Promiscuous mode.
    pub promiscuous: bool,
    /// Wait for interfaces that are not there.
    pub wait: bool,
    /// Record even where the confinement has holes.
    pub allow_uncaged: bool,
    /// Test the confinement instead of recording.
    pub self_test: bool,
}

/// What only a collector needs.
#[derive(Debug, PartialEq, Eq)]
pub struct CollectSettings {
    /// Where datagrams come to.
    pub address: SocketAddr,
    /// Whose are taken.
    pub allowed: Vec<IpNet>,
    /// How much is kept.
    pub retention: Retention,
    /// Collect even where the confinement has holes.
    pub allow_uncaged: bool,
}

/// What the command line does not say but depends on.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Started as root.
    pub is_root: bool,
    /// `XDG_STATE_HOME`.
    pub state_home: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub fn here() -> Self {
        let path = |name| std::env::var_os(name).map(PathBuf::from).filter(|p: &PathBuf| p.is_absolute());
        Self { is_root: crate::privilege::is_root(), state_home: path("XDG_STATE_HOME"), home: path("HOME") }
    }
}

impl Args {
    /// The settings that are meant.
    ///
    /// # Errors
    /// [`Error::Usage`] for arguments that do not go together.
    pub fn settle(self, around: &Surroundings) -> Result<Command, Error> {
        if self.list_interfaces {
            return Ok(Command::List);
        }
        if self.status {
            return Ok(Command::Status(self.spool.map_or_else(|| spools(around), |spool| vec![spool]), self.format));
        }
        if self.read.is_some() && self.spool.is_none() {
            return Err(usage(
                "--read says nothing of where to write".into(),
                "--spool DIR names a folder; `imon-analyze report FILE` reports on a capture and keeps nothing",
            ));
        }
        let (rotation, retention) = (self.rotation()?, self.retention());
        if !INTERVAL.contains(&self.interval) {
            return Err(usage(
                format!("--interval {:?} is out of range", self.interval),
                "choose between 100ms and 60s; 1s is the usual",
            ));
        }
        let settings = Settings {
            spool: match (self.spool, self.collect) {
                (Some(spool), _) => spool,
                (None, None) => default_spool(around)?,
                // Beside the recorder, which has that place to itself.
                (None, Some(_)) => default_spool(around)?.join("exported"),
            },
            rotation,
            interval_ns: i64::try_from(self.interval.as_nanos()).unwrap_or(i64::MAX),
            filter: self.filter,
            local: self.local,
            user: self.user,
        };
        if let Some(address) = self.collect {
            let (allowed, allow_uncaged) = (self.allow_from, self.allow_uncaged);
            return Ok(Command::Collect(settings, CollectSettings { address, allowed, retention, allow_uncaged }));
        }
        Ok(match self.read {
            Some(file) => Command::Read(settings, file),
            None => Command::Live(
                settings,
                LiveSettings {
                    retention,
                    interfaces: self.interface,
                    names_from: self.names_from,
                    snaplen: self.snaplen,
                    metrics: self.metrics,
                    promiscuous: self.promiscuous,
                    wait: self.wait,
                    allow_uncaged: self.allow_uncaged,
                    self_test: self.self_test,
                },
            ),
        })
    }

    fn retention(&self) -> Retention {
        Retention { size_bytes: self.keep_size, age: Duration::from_secs(u64::from(self.keep_days) * 86_400) }
    }

    /// Half of what each day keeps, so that a day can be cut down to its share, and the smallest
    /// segment at least.
    fn usual_size(&self) -> u64 {
        let most = ROTATE_SIZE.min(self.keep_size / 8);
        match self.read {
            Some(_) => most,
            None => most.min((share_bytes(self.retention()) / 2).max(MIN_ROTATE_SIZE)),
        }
    }

    fn rotation(&self) -> Result<Rotation, Error> {
        let size_bytes = self.rotate_size.unwrap_or_else(|| self.usual_size());
        if size_bytes < MIN_ROTATE_SIZE {
            return Err(match self.rotate_size {
                Some(_) => usage(format!("--rotate-size {size_bytes} is too small"), "64KiB is the least"),
                None => usage(format!("--keep-size {} is too small", self.keep_size), "512KiB is the least"),
            });
        }
        if self.read.is_none() && size_bytes > self.keep_size / 2 {
            return Err(usage(
                format!("--keep-size {} has no room for two segments of --rotate-size {size_bytes}", self.keep_size),
                "keep more, or seal earlier; without --rotate-size it is chosen to fit",
            ));
        }
        if self.rotate_every < Duration::from_secs(1) {
            return Err(usage(format!("--rotate-every {:?} is too short", self.rotate_every), "1s is the least"));
        }
        Ok(Rotation { size_bytes, every: self.rotate_every })
    }
}

fn usage(cause: String, hint: &str) -> Error {
    Error::Usage { cause, hint: hint.into() }
}

/// Where the system's recorders write: root's, and below it those of the service.
pub const SYSTEM_SPOOL: &str = "/var/lib/imon";

/// Where recorders are looked for if nothing is said: the system's place, and the user's own.
fn spools(around: &Surroundings) -> Vec<PathBuf> {
    let mut spools = vec![PathBuf::from(SYSTEM_SPOOL)];
    spools.extend(default_spool(around).ok().filter(|own| own.as_os_str() != SYSTEM_SPOOL));
    spools
}

/// Where segments go if nothing is said: the system's place for root, else the user's own (XDG base
/// directories).
fn default_spool(around: &Surroundings) -> Result<PathBuf, Error> {
    if around.is_root {
        return Ok(SYSTEM_SPOOL.into());
    }
    let state = around.state_home.clone().or_else(|| Some(around.home.as_ref()?.join(".local/state")));
    state
        .map(|dir| dir.join("imon"))
        .ok_or_else(|| usage("there is no home directory for the segments".into(), "name one with --spool"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(args: &[&str]) -> Result<Command, Error> {
        let around = Surroundings { home: Some("/home/ann".into()), ..Default::default() };
        Args::try_parse_from(["imon-record"].iter().chain(args)).unwrap().settle(&around)
    }

    fn settings(args: &[&str]) -> (Settings, LiveSettings) {
        match settle(args).unwrap() {
            Command::Live(settings, live) => (settings, live),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_design() {
        let (all, live) = settings(&[]);
        assert_eq!(all.rotation, Rotation { size_bytes: (2 << 30) / 2 / 90 / 2, every: Duration::from_secs(3600) });
        assert_eq!(live.retention, Retention { size_bytes: 2 << 30, age: Duration::from_secs(90 * 86_400) });
        assert_eq!(all.interval_ns, 1_000_000_000);
        assert_eq!(all.spool, PathBuf::from("/home/ann/.local/state/imon"));
        assert!(!live.promiscuous);
    }

    #[test]
    fn the_spool_follows_who_starts_it() {
        let root = Surroundings { is_root: true, ..Default::default() };
        assert_eq!(default_spool(&root).unwrap(), PathBuf::from("/var/lib/imon"));
        let xdg = Surroundings { state_home: Some("/s".into()), home: Some("/h".into()), is_root: false };
        assert_eq!(default_spool(&xdg).unwrap(), PathBuf::from("/s/imon"));
        assert!(default_spool(&Surroundings::default()).is_err());
    }

    #[test]
    fn the_status_is_looked_for_where_recorders_write() {
        let both = vec![PathBuf::from(SYSTEM_SPOOL), "/home/ann/.local/state/imon".into()];
        assert_eq!(settle(&["--status"]).unwrap(), Command::Status(both, Format::Table));
        let one = vec![PathBuf::from("/s")];
        assert_eq!(
            settle(&["--status", "--spool", "/s", "--format", "json"]).unwrap(),
            Command::Status(one, Format::Json)
        );
        let root = Surroundings { is_root: true, ..Default::default() };
        assert_eq!(spools(&root), [PathBuf::from(SYSTEM_SPOOL)]);
    }

    #[test]
    fn a_collector_has_a_place_of_its_own_and_says_whom_it_takes_datagrams_from() {
        let args = ["--collect", "0.0.0.0:2055", "--allow-from", "192.168.1.1", "--allow-from", "10.0.0.0/8"];
        let Command::Collect(settings, collect) = settle(&args).unwrap() else { panic!() };
        assert_eq!(settings.spool, PathBuf::from("/home/ann/.local/state/imon/exported"));
        assert_eq!(collect.allowed.len(), 2);
        assert_eq!(collect.retention.size_bytes, 2 << 30);
    }

    #[test]
    fn segments_fit_the_budget_unless_both_are_typed() {
        assert_eq!(settings(&["--keep-size", "8MiB"]).0.rotation.size_bytes, 64 << 10);
        assert_eq!(settings(&["--keep-size", "8MiB", "--keep-days", "1"]).0.rotation.size_bytes, 1 << 20);
        assert_eq!(settings(&["--keep-size", "1TiB"]).0.rotation.size_bytes, 64 << 20);
        let Command::Read(settings, _) = settle(&["--read", "x", "--spool", "/s"]).unwrap() else { panic!() };
        assert_eq!(settings.rotation.size_bytes, 64 << 20, "nothing is removed for a file");
        assert!(settle(&["--read", "x"]).is_err(), "a file goes into no recorder's spool unasked");
        assert!(settle(&["--keep-size", "100MiB", "--rotate-size", "64MiB"]).is_err());
        assert!(settle(&["--keep-size", "100KiB"]).is_err());
        assert!(settle(&["--rotate-size", "1KiB"]).is_err());
        assert!(settle(&["--rotate-every", "10ms"]).is_err());
        assert!(settle(&["--interval", "2h"]).is_err());
    }

    #[test]
    fn arguments_that_exclude_each_other_are_refused() {
        for args in [
            &["--read", "x", "-i", "eth0"][..],
            &["--read", "x", "--keep-days", "1"],
            &["--read", "x", "--promiscuous"],
            &["--list-interfaces", "-i", "eth0"],
            &["--keep-days", "0"],
            &["--snaplen", "10"],
            &["--format", "json"],
            &["--status", "-i", "eth0"],
            &["--read", "x", "--metrics", "y"],
            &["--collect", "0.0.0.0:2055"],
            &["--allow-from", "192.168.1.1"],
            &["--collect", "0.0.0.0:2055", "--allow-from", "192.168.1.1", "-i", "eth0"],
        ] {
            assert!(Args::try_parse_from(["imon-record"].iter().chain(args)).is_err(), "{args:?}");
        }
    }
}
