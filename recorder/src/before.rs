//! What is known of the run before: how it ended, until when it recorded, what it lost. It was
//! opened before the rights were given up and is looked at after that: whoever may write in the
//! spool may have written it.

use crate::cage::{Kept, Use};
use crate::clock::Now;
use crate::identity::from_hex;
use crate::json::Value;
use crate::spool::{Last, Spool};
use crate::status::State;
use imon_common::observe::{Count, Counter, RunBefore};
use imon_common::segment::SegmentTail;
use imon_common::time::UnixNanos;
use std::io::BufReader;

/// What the run before left in the spool, unread.
#[derive(Debug, Default)]
pub struct Left {
    status: Option<String>,
    last: Last,
}

/// What is known of the run before, for the first segment of this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Before {
    /// How it ended; `None` where there is no trace of one.
    pub run: Option<RunBefore>,
    /// Packets and bytes that waited for room and went with it.
    pub unsaved: (u64, u64),
    /// A segment that it began and never wrote to.
    pub never_written: Option<u64>,
}

impl Before {
    /// The counts of a segment that begins at `start`.
    pub fn counts(&self, start: UnixNanos) -> Vec<Count> {
        let (packets, bytes) = self.unsaved;
        let unsaved = (packets > 0).then_some(Count { counter: Counter::Unsaved, packets, bytes });
        let never_written = self.never_written.map(|sequence| Count {
            counter: Counter::NeverWritten(sequence as u32), // its low bits
            packets: 1,
            bytes: 0,
        });
        self.run.map(|run| run.to_count(start)).into_iter().chain(unsaved).chain(never_written).collect()
    }
}

impl Left {
    /// Takes the status file of the recorder before as it is, and opens its last segment.
    pub fn open(spool: &Spool) -> Self {
        Self { status: spool.read_status(), last: spool.last_segment() }
    }

    /// What of it stays open until it is read.
    pub fn kept(&self) -> Option<Kept> {
        self.last.file.as_ref().map(|file| Kept::new(file, Use::ReadOnce, "the last segment of the run before"))
    }

    /// Reads what was left. `boot`: the time for which the machine has been running.
    pub fn read(self, boot: [u8; 16], now: Now) -> Before {
        let never_written = self.last.never_written;
        let tail = self.last.file.and_then(|file| SegmentTail::read(&mut BufReader::new(file)).ok());
        let status = self.status.as_deref().and_then(Value::parse).and_then(|value| Status::of(&value));
        let (run, unsaved) = judge(tail.filter(|tail| tail.header.is_live()), status, boot, now);
        Before { run, unsaved, never_written }
    }
}

/// What the status file says of its recorder's end.
#[derive(Debug, Clone, Copy, Default)]
struct Status {
    run: Option<[u8; 16]>,
    boot: Option<[u8; 16]>,
    recorded_to: Option<UnixNanos>,
    /// Wall clock less boot clock, when it was written.
    offset_ns: Option<i64>,
    stopped: bool,
    failed: bool,
    unsaved: (u64, u64),
}

impl Status {
    fn of(value: &Value) -> Option<Self> {
        let state = value.text(&["state"])?;
        let hex = |path: &[&str]| value.text(path).and_then(from_hex);
        // Of a recorder that stopped there is no open segment: it recorded until it said so.
        let recorded_s = value.number(&["segment", "recorded_to_unix_s"]).or(value.number(&["written_unix_s"]));
        let ns = |s: f64| (s * 1e9) as i64;
        let clocks = value.number(&["written_unix_s"]).zip(value.number(&["written_boot_s"]));
        let waiting = |name| value.whole(&["segment", name]).unwrap_or_default();
        Some(Self {
            run: hex(&["run"]),
            boot: hex(&["boot_id"]),
            recorded_to: recorded_s.map(|s| UnixNanos(ns(s))),
            offset_ns: clocks.map(|(wall, boot)| ns(wall).saturating_sub(ns(boot))),
            stopped: state == State::Stopped.word(),
            failed: state == State::Failed.word(),
            unsaved: (waiting("waiting_packets"), waiting("waiting_bytes")),
        })
    }
}

/// How the run before ended, and what it lost, by its last segment and by the status file, as far
/// as that is of the same run.
fn judge(
    tail: Option<SegmentTail>,
    status: Option<Status>,
    boot: [u8; 16],
    now: Now,
) -> (Option<RunBefore>, (u64, u64)) {
    let status = status.filter(|status| tail.as_ref().is_none_or(|tail| status.run == Some(tail.header.run)));
    let said = status.unwrap_or_default();
    let tail_to = tail.as_ref().map(|tail| tail.recorded_to.unwrap_or(tail.header.start));
    // Of the future only by a clock that was set back, and then the segment knows.
    let status_to = said.recorded_to.filter(|to| *to <= now.wall || tail_to.is_none());
    let Some(to) = tail_to.max(status_to) else { return (None, (0, 0)) };
    let close = tail.as_ref().map(|tail| tail.close.as_ref());
    let then = tail.as_ref().map(|tail| tail.header.boot).filter(|boot| *boot != [0; 16]).or(said.boot);
    // Where the machine slept or its clock was stepped, only this tells how long nobody recorded.
    let boot_ns = said.offset_ns.filter(|_| said.boot == Some(boot)).map(|offset| to.0.saturating_sub(offset));
    let elapsed_ns = boot_ns.map(|then| now.boot_ns.saturating_sub(then)).filter(|ns| *ns > 0);
    let run = RunBefore {
        to,
        requested: close.map_or(said.stopped, |close| close.is_some_and(|close| close.stop_requested)),
        sealed: close.map_or(said.stopped, |close| close.is_some()),
        rebooted: then.is_some_and(|then| boot != [0; 16] && then != boot),
        failed: said.failed,
        elapsed_ns,
    };
    (Some(run), if said.stopped { (0, 0) } else { said.unsaved })
}

#[cfg(test)]
mod tests;
