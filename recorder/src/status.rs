//! The status file: how a recorder is, for people, health checks and scripts. docs/RECORDING.md
//! ("Is it recording?") says what each member means.

pub mod judge;
pub mod show;

use crate::clock::Now;
use crate::health::{Health, Loss, seconds};
use crate::json::Value;
use crate::kernel::Kernel;
use crate::spool::Foreign;
use imon_common::time::UnixNanos;
use std::time::Duration;

/// Its name in the spool.
pub const STATUS_FILE: &str = "status.json";

/// How often it is written. Often enough for a person who waits and for a scrape every 15 s, seldom
/// enough for flash.
pub const STATUS_EVERY: Duration = Duration::from_secs(10);

/// Version of its shape: another one means that a member changed its meaning or went away.
pub const FORMAT: u64 = 1;

/// Longest status file that is read: [`Health`] keeps at most 256 events of about 120 bytes.
pub const MAX_STATUS_BYTES: u64 = 256 << 10;

/// What a recorder is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It records, if the file is fresh.
    Recording,
    /// It was asked to stop.
    Stopped,
    /// An error ended it.
    Failed,
}

impl State {
    /// The word in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Recording => "recording",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

/// A segment that is being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenFile {
    /// File name.
    pub name: String,
    /// Length so far.
    pub len_bytes: u64,
    /// Until when all that was seen is in it.
    pub recorded_to: UnixNanos,
    /// Packets and IP bytes that wait in memory for room on the disk.
    pub waiting: (u64, u64),
}

/// What was done to keep to the budget, in this run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeptSummary {
    /// Segments removed because they were too old.
    pub removed_for_age: u64,
    /// Segments removed because there was no room for them.
    pub removed_for_room: u64,
    /// Segments that are too old and still there.
    pub overdue: u64,
    /// The present day has no more room for detail.
    pub only_sums: bool,
    /// The latest that was removed, and why.
    pub last_removed: Option<String>,
}

/// What the segments of a spool take.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SpoolUse {
    /// Sealed segments.
    pub segments: u64,
    /// Their bytes, and those of the open one.
    pub len_bytes: u64,
    /// Most bytes that are kept.
    pub budget_bytes: u64,
    /// What was removed.
    pub kept: KeptSummary,
}

/// The last error, in the words for people on one line.
#[derive(Debug, Clone, PartialEq)]
pub struct LastError {
    /// When, in seconds since 1970.
    pub unix_s: f64,
    /// What.
    pub text: String,
}

/// What does not change while a recorder runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Interface.
    pub interface: String,
    /// Process number.
    pub pid: u32,
    /// The kernel that it runs on.
    pub kernel: Kernel,
    /// Identity of this run, as its segments have it.
    pub run: String,
    /// When it began.
    pub began: Now,
}

/// Sums since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Frames of all kinds.
    pub packets: u64,
    /// IP bytes.
    pub ip_bytes: u64,
    /// Flows in the table at this moment.
    pub flows: u64,
    /// Segments sealed.
    pub sealed_segments: u64,
}

/// How a recorder is at one instant.
#[derive(Debug, Clone)]
pub struct Snapshot<'a> {
    /// Who.
    pub identity: &'a Identity,
    /// What it is doing.
    pub state: State,
    /// The instant.
    pub now: Now,
    /// Sums since the start.
    pub counted: Counted,
    /// Time since the snapshot before, and what was counted then.
    pub before: Option<(Duration, Counted)>,
    /// The open segment.
    pub segment: Option<OpenFile>,
    /// Use of the spool; `None` where it could not be listed.
    pub spool: Option<SpoolUse>,
    /// Files in the spool that look like segments and are somebody else's.
    pub foreign: Foreign,
    /// Interfaces that are recorded and are not there.
    pub missing: &'a [String],
    /// The last error, of this run or of one before.
    pub last_error: Option<&'a LastError>,
}

impl Snapshot<'_> {
    /// Packets and IP bytes a second since the snapshot before.
    pub fn rates(&self) -> Option<(f64, f64)> {
        let (time, before) = self.before?;
        let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / time.as_secs_f64().max(1e-3);
        Some((rate(self.counted.packets, before.packets), rate(self.counted.ip_bytes, before.ip_bytes)))
    }

    /// The text of the status file.
    pub fn to_json(&self, health: &mut Health) -> Value {
        let Identity { interface, pid, kernel, run, began } = self.identity;
        let [boot_id, processes] = kernel.members();
        let Counted { packets, ip_bytes, flows, sealed_segments } = self.counted;
        let optional = |text: Option<&str>| text.map_or(Value::Null, Value::from);
        let rates = self.rates();
        let rate = |pick: fn((f64, f64)) -> f64| rates.map_or(Value::Null, |r| pick(r).into());
        let losses = health.losses().map(|(reason, loss)| (reason.to_owned(), loss_json(loss))).collect();
        let spool = self.spool.as_ref().map_or(Value::Null, |spool| {
            Value::object([
                ("segments", spool.segments.into()),
                ("bytes", spool.len_bytes.into()),
                ("budget_bytes", spool.budget_bytes.into()),
                ("removed_segments", spool.kept.removed_for_age.saturating_add(spool.kept.removed_for_room).into()),
                ("removed_for_age", spool.kept.removed_for_age.into()),
                ("removed_for_room", spool.kept.removed_for_room.into()),
                ("overdue_segments", spool.kept.overdue.into()),
                ("last_removed", optional(spool.kept.last_removed.as_deref())),
                ("only_sums", Value::Bool(spool.kept.only_sums)),
            ])
        });
        let segment = self.segment.as_ref().map_or(Value::Null, |segment| {
            Value::object([
                ("name", segment.name.as_str().into()),
                ("bytes", segment.len_bytes.into()),
                ("recorded_to_unix_s", seconds(segment.recorded_to)),
                ("waiting_packets", segment.waiting.0.into()),
                ("waiting_bytes", segment.waiting.1.into()),
            ])
        });
        let last_error = self.last_error.map_or(Value::Null, |error| {
            Value::object([("unix_s", error.unix_s.into()), ("text", error.text.as_str().into())])
        });
        Value::object([
            ("format", FORMAT.into()),
            ("version", env!("CARGO_PKG_VERSION").into()),
            ("state", self.state.word().into()),
            ("pid", u64::from(*pid).into()),
            ("interface", interface.as_str().into()),
            ("started_unix_s", seconds(began.wall)),
            ("running_s", self.now.since(*began).as_secs_f64().into()),
            ("written_unix_s", seconds(self.now.wall)),
            ("written_boot_s", (self.now.boot_ns as f64 / 1e9).into()),
            boot_id,
            processes,
            ("run", run.as_str().into()),
            ("every_s", STATUS_EVERY.as_secs().into()),
            ("packets_per_s", rate(|r| r.0)),
            ("bytes_per_s", rate(|r| r.1)),
            ("packets", packets.into()),
            ("ip_bytes", ip_bytes.into()),
            ("flows", flows.into()),
            ("sealed_segments", sealed_segments.into()),
            ("segment", segment),
            ("spool", spool),
            ("missing", names(self.missing)),
            ("foreign_files", self.foreign.number.into()),
            ("foreign", names(&self.foreign.names)),
            ("losses", Value::Object(losses)),
            ("last_day", health.last_day(self.now.wall)),
            ("last_error", last_error),
        ])
    }
}

fn names(names: &[String]) -> Value {
    Value::List(names.iter().map(|name| name.as_str().into()).collect())
}

fn loss_json(loss: Loss) -> Value {
    Value::object([
        ("count", loss.count.into()),
        ("packets", loss.packets.into()),
        ("gap_s", (loss.gap_ns as f64 / 1e9).into()),
    ])
}
