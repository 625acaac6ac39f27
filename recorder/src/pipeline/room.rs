//! Room on the disk: what is done when there is none, and which segments go so that there is.

use super::{Moment, Pipeline, RETRY_EVERY, cannot_write, elapsed, part};
use crate::error::Error;
use crate::log::{Level, log};
use crate::retention::{HOUR_NS, Instant, Room, SteadyClock, in_order, length_text, room, too_old};
use crate::rotate::Sealed;
use crate::segment_file::is_no_room;
use crate::status::KeptSummary;
use crate::units::size_text;
use imon_common::time::UnixNanos;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How often a segment says that there is no detail: what a crash leaves unsaid shows as usage
/// without addresses all the same.
const STATE_EVERY: Duration = Duration::from_secs(600);

/// What is reckoned for a flow in a segment: a scan over IPv4 takes about half of it, and an IPv6
/// address is twelve bytes longer.
const FLOW_BYTES: u64 = 32;

/// What is known of the budget, and what was done to keep to it.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    clock: SteadyClock,
    /// The latest judgement; `None` before the first, and when the clock was set.
    room: Option<Room>,
    /// Only sums are taken, and said last at this time of the boot clock.
    shed_stated_ns: Option<i64>,
    /// What was still to be written when that began, as it was reckoned. Detail comes back where
    /// there is room for as much: else it would come and go with each interval.
    shed_pending_bytes: u64,
    /// When a segment was removed for its age last, by the boot clock.
    removed_for_age_at_ns: Option<i64>,
    removed_for_age: u64,
    removed_for_room: u64,
    /// Segments that are too old and still there.
    overdue: u64,
    last_removed: Option<String>,
}

impl Keeping {
    /// Only sums are taken at present.
    pub(super) fn is_shedding(&self) -> bool {
        self.shed_stated_ns.is_some()
    }

    /// A segment was sealed, which the latest judgement does not know of.
    pub(super) fn add_today(&mut self, len_bytes: u64) {
        if let Some(room) = &mut self.room {
            room.today_bytes = room.today_bytes.saturating_add(len_bytes);
        }
    }

    /// For the status.
    pub(super) fn summary(&self) -> KeptSummary {
        KeptSummary {
            removed_for_age: self.removed_for_age,
            removed_for_room: self.removed_for_room,
            overdue: self.overdue,
            only_sums: self.is_shedding(),
            last_removed: self.last_removed.clone(),
        }
    }
}

impl Pipeline {
    /// On a full disk: says so, makes room by the rules of retention, and tries again from time to
    /// time.
    pub(super) fn relieve(&mut self, at: Moment) -> Result<(), Error> {
        let Some(open) = self.open.as_mut().filter(|open| open.segment.file().is_waiting()) else {
            return Ok(());
        };
        match open.tried_at_ns {
            None => {
                let (name, most) = (part(open.segment.part()), self.plan.waiting_bytes);
                log(
                    Level::Warning,
                    format_args!("no room for {name}: records wait in memory; above {most} bytes only sums are kept"),
                );
            }
            Some(before) if elapsed(before, at.steady_ns) < RETRY_EVERY => return Ok(()),
            Some(_) => {}
        }
        open.tried_at_ns = Some(at.steady_ns);
        self.want_room();
        self.settle(at)?;
        self.retry_if_waiting(at)
    }

    /// Tries again at once: somebody may have made room.
    pub(super) fn retry_if_waiting(&mut self, at: Moment) -> Result<(), Error> {
        if self.waiting_bytes() > 0 { self.retry(at) } else { Ok(()) }
    }

    /// Tries to write what waits. When all is written, sums that were taken in place of detail go
    /// into a new segment.
    pub(super) fn retry(&mut self, at: Moment) -> Result<(), Error> {
        let spool = &self.spool;
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        let stem = open.segment.part().to_owned();
        let mark = open.segment.mark();
        let file = open.segment.file_mut();
        let names = &mut self.names;
        file.retry(|| match spool.create(&stem, Some(mark)) {
            Err(Error::Spool { source, .. }) if is_no_room(&source) => Ok(None),
            Err(Error::Spool { source, .. }) => Err(source),
            Err(e) => Err(io::Error::other(e.to_string())),
            Ok(file) => {
                names.insert(part(&stem));
                Ok(Some(Arc::new(file)))
            }
        })
        .map_err(|e| cannot_write(spool, &stem, e))?;
        if file.is_waiting() {
            return Ok(());
        }
        open.tried_at_ns = None;
        log(Level::Notice, format_args!("there is room again: {} goes on", part(&stem)));
        if !open.segment.is_folded() {
            return Ok(());
        }
        self.flush()?;
        let Some(folded) = self.open.as_mut().and_then(|open| open.segment.take_folded()) else {
            return Ok(());
        };
        if let Some((from, gap)) = folded.gap(at.wall) {
            self.health.note(from, &[gap]);
        }
        self.close(at.wall)?;
        self.begin(at)?;
        self.with_segment(|_, segment| folded.replay(at.wall, segment).and_then(|()| segment.commit()))
    }

    /// Bytes of records that wait for room.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.segment.file().waiting_bytes())
    }

    /// Removes sealed segments beyond what is to be kept: of those that are too old one at a time,
    /// and as many as the budget asks for. The disk does it when it comes to it.
    pub fn make_room(&mut self, at: Moment) {
        let Some(keep) = self.plan.retention else {
            return;
        };
        let now = instant(at);
        self.see_clock(now);
        let sealed = in_order(self.spool.sealed_of(&self.names));
        let old = too_old(&sealed, now, self.plan.boot, keep);
        self.keeping.overdue = old as u64;
        let steady_ns = self.keeping.clock.steady_ns(now);
        let rested =
            self.keeping.removed_for_age_at_ns.is_none_or(|before| now.boot_ns.saturating_sub(before) >= HOUR_NS);
        if let Some(oldest) = sealed.first().filter(|_| old > 0 && rested && steady_ns >= HOUR_NS) {
            let (limit, steady) =
                (length_text(keep.age.as_nanos().try_into().unwrap_or(i64::MAX)), length_text(steady_ns));
            let why = format!("older than {limit} by a clock that has been steady for {steady}");
            self.remove(vec![(oldest.clone(), why)]);
            self.keeping.removed_for_age_at_ns = Some(now.boot_ns);
            self.keeping.removed_for_age += 1;
            self.keeping.overdue -= 1;
        }
        self.keep_to_budget(at.wall);
    }

    /// Removes what the budget has no room for, and settles how much the present day may take.
    pub(super) fn keep_to_budget(&mut self, now: UnixNanos) {
        let Some(keep) = self.plan.retention else {
            return;
        };
        let now = Instant { wall_ns: now.0, boot_ns: 0 };
        let sealed = in_order(self.spool.sealed_of(&self.names));
        let mut room = room(&sealed, now, self.plan.rotation.size_bytes, keep);
        let remove = std::mem::take(&mut room.remove).into_iter();
        let remove: Vec<_> = remove.map(|segment| (segment, "to keep to the budget".to_owned())).collect();
        self.keeping.removed_for_room += remove.len() as u64;
        self.keeping.room = Some(room);
        self.remove(remove);
    }

    /// Lets segments be removed, each for its reason. They count as gone from now on; what went is
    /// said when it did.
    fn remove(&mut self, old: Vec<(Sealed, String)>) {
        if old.is_empty() {
            return;
        }
        for (segment, _) in &old {
            self.spool.forget(&segment.name);
            self.names.remove(&segment.name);
        }
        self.disk.remove(old);
    }

    /// Takes note that a segment of our own is gone.
    pub(super) fn removed(&mut self, segment: Sealed, why: &str) {
        self.names.remove(&segment.name);
        self.note_gone(&segment);
        log(Level::Info, format_args!("removed {}, {}, {why}", segment.name, size_text(segment.len_bytes)));
        self.keeping.last_removed = Some(format!("{}, {why}", segment.name));
    }

    /// Follows the clocks. When the wall clock was set, the stamps of what was written since the
    /// machine was started follow it.
    fn see_clock(&mut self, now: Instant) {
        let Some(set_ns) = self.keeping.clock.see(now) else {
            return;
        };
        let moved = self.spool.restamp(self.plan.boot, set_ns);
        let stamps = moved.len();
        self.disk.stamp(moved);
        self.keeping.room = None;
        let (seconds, way) = (set_ns.unsigned_abs() / 1_000_000_000, if set_ns < 0 { "back" } else { "forward" });
        log(
            Level::Notice,
            format_args!(
                "the clock was set {way} by {seconds} s: {stamps} stamps of segments follow; none is removed for its age within an hour"
            ),
        );
    }

    /// Looks whether the present day may still take detail, and begins or ends to take sums in its
    /// place.
    ///
    /// # Errors
    /// The segment could not be written, or the next one not be made.
    pub(super) fn heed_budget(&mut self, at: Moment) -> Result<(), Error> {
        let (Some(keep), Some(open)) = (self.plan.retention, &self.open) else {
            return Ok(());
        };
        let (len_bytes, waits) = (open.segment.len_bytes(), open.segment.file().is_waiting());
        let len_bytes = len_bytes.saturating_add(self.under_way.sealing_bytes);
        // In a flood one interval has thousands of flows, and they will be written with detail.
        let pending_bytes = (self.meter.booked_flows() as u64).saturating_mul(FLOW_BYTES);
        let len_bytes = len_bytes.saturating_add(pending_bytes.max(self.keeping.shed_pending_bytes));
        let now = instant(at);
        self.see_clock(now);
        if self.keeping.room.as_ref().is_none_or(|room| room.day != now.day()) {
            self.keep_to_budget(at.wall);
        }
        let has_room =
            self.keeping.room.as_ref().is_none_or(|r| r.today_bytes.saturating_add(len_bytes) < r.detail_bytes);
        match self.keeping.shed_stated_ns {
            None if !has_room => {
                self.keeping.shed_stated_ns = Some(at.steady_ns);
                self.keeping.shed_pending_bytes = pending_bytes;
                log(
                    Level::Warning,
                    format_args!(
                        "this day has taken its part of the budget ({}): only sums are kept from now on; --keep-size gives more",
                        size_text(keep.size_bytes)
                    ),
                );
                self.with_segment(|meter, segment| {
                    // What is pending has its detail still.
                    meter.flush(segment)?;
                    segment.shed_detail();
                    Ok(())
                })
            }
            // In a new segment: this one has missed names. On a full disk it has to wait.
            Some(_) if has_room && !waits => {
                self.flush()?;
                self.state_shed_detail()?;
                self.keeping.shed_stated_ns = None;
                self.keeping.shed_pending_bytes = 0;
                self.rotation_wanted = true;
                log(Level::Notice, format_args!("there is room for detail again"));
                Ok(())
            }
            Some(stated) if elapsed(stated, at.steady_ns) >= STATE_EVERY => {
                self.keeping.shed_stated_ns = Some(at.steady_ns);
                self.state_shed_detail()
            }
            _ => Ok(()),
        }
    }

    /// Says in the segment since when there is no detail, if that is on purpose.
    pub(super) fn state_shed_detail(&mut self) -> Result<(), Error> {
        let mut stated = None;
        self.with_segment(|_, segment| segment.state_gap().map(|gap| stated = gap))?;
        if let Some((from, gap)) = stated {
            self.health.note(from, &[gap]);
        }
        Ok(())
    }
}

fn instant(at: Moment) -> Instant {
    Instant { wall_ns: at.wall.0, boot_ns: at.steady_ns }
}
