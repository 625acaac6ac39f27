//! `top`: what passes now.

use super::{archive_error, complain, deliver, hole_error, no_database, owners_told, store_error};
use crate::archive::{self, Need, Opened};
use crate::attribution::{AnswerBook, Habits, KNOWN_NS};
use crate::books::Books;
use crate::cli::{Surroundings, TopArgs};
use crate::error::{Error, Outcome, shown};
use crate::plan::{self, Plan};
use crate::range::{self, Range, zoned};
use crate::report::{Masker, sink};
use crate::site::Sites;
use crate::store::{Store, StoreError};
use crate::threads::Threads;
use crate::top::draw::{self, Around};
use crate::top::follow::{Follower, SegmentId, Step};
use crate::top::live::{Live, Since};
use crate::top::once::{self, About};
use crate::top::screen::{Goes, Over, Screen};
use crate::top::snapshot::{Asked, Snapshot, View};
use crate::top::terminal::Terminal;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use signal_hook::consts::{SIGHUP, SIGTERM};
use std::collections::HashSet;
use std::io::{IsTerminal as _, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// How often what is shown is made anew.
const EVERY: Duration = Duration::from_secs(1);

/// How often files are looked at.
const POLL: Duration = Duration::from_millis(200);

/// Looking at pages is one part in so many of the time.
const PAGES_SHARE: u32 = 100;

/// A recorder that has written nothing for so long is said to be silent: it writes what the kernel
/// counts every minute, whatever passes.
const SILENT_S: i64 = 150;

/// For so long it is said that a recorder's clock is ahead, after it was seen last.
const AHEAD_SAID_S: i64 = 60;

pub(super) fn run(args: &TopArgs, around: &Surroundings, out: &mut dyn Write) -> Result<Outcome, Error> {
    let zone = range::zone(args.zone.as_deref())?;
    let is_once = args.once || args.answer.output.is_some();
    let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if !is_once && !is_terminal {
        return Err(Error::usage("top needs a terminal").hint("`imon-analyze top --once` writes the rows and ends"));
    }
    let mut view = Viewer::new(args, around, zone)?;
    match is_once {
        true => view.write_once(args, around, out),
        false => view.show(around.color),
    }
}

/// Everything that is between the files and the screen.
struct Viewer {
    live: Live,
    follower: Follower,
    sites: Sites,
    zone: TimeZone,
    plans: Vec<Plan>,
    screen: Screen,
    snapshot: Snapshot,
    /// There is more to read of what was recorded before.
    is_behind: bool,
    /// When pages are looked at again.
    pages_due: Option<Instant>,
}

impl Viewer {
    fn new(args: &TopArgs, around: &Surroundings, zone: TimeZone) -> Result<Self, Error> {
        let spools = if args.spools.is_empty() { args.answer.store.spools(around) } else { args.spools.clone() };
        if spools.is_empty() {
            return Err(Error::failed("there is no spool to follow")
                .hint("`sudo imon-record` makes it; `imon-analyze top FOLDER` names another"));
        }
        for spool in &spools {
            let failed = |e: &std::io::Error| {
                Error::failed(format!("cannot read {}", shown(&spool.to_string_lossy()))).because(e).hint_for(spool, e)
            };
            std::fs::read_dir(spool).map_err(|e| failed(&e))?;
        }
        let since = Spans::of(&now(&zone), &around.config.plans).since;
        let start = SystemTime::UNIX_EPOCH + Duration::from_nanos(u64::try_from(since.period.0).unwrap_or(0));
        let follower = Follower::new(spools, start);
        let (mut live, follower) = seeded(args, around, since, follower)?;
        live.cells.given = around.config.devices.clone();
        let screen = Screen {
            asked: Asked { view: args.by, sort: args.sort, filter: args.filter.clone() },
            masked: args.mask.mask,
            ..Screen::default()
        };
        let (sites, plans) = (args.owners.on(args.answer.sites.sites()?)?, around.config.plans.clone());
        Ok(Self {
            live,
            follower,
            sites,
            zone,
            plans,
            screen,
            snapshot: Snapshot::default(),
            is_behind: false,
            pages_due: None,
        })
    }

    /// Reads what is new, for a moment; what the day is comes before what is of it.
    fn step(&mut self) -> Step {
        let now = now(&self.zone);
        self.live.tick(now.timestamp().as_second(), Spans::of(&now, &self.plans).since);
        self.follower.step(&mut self.live)
    }

    fn look(&mut self) {
        self.look_at_pages();
        let now = now(&self.zone).timestamp().as_second();
        self.snapshot = Snapshot::new(&self.live.cells, &self.screen.asked, &self.sites, now);
    }

    /// Finds out which pages pulled in what, if somebody looks at that, and it is time.
    fn look_at_pages(&mut self) {
        if !self.screen.asked.wants_pages() && self.screen.over != Over::Details {
            self.live.forget_pages();
            return;
        }
        let began = Instant::now();
        if !self.live.knows_pages() || self.pages_due.is_none_or(|due| began >= due) {
            self.live.look_at_pages();
            let took = began.elapsed();
            self.pages_due = Some(began + EVERY.saturating_sub(POLL).max(took * PAGES_SHARE));
        }
    }

    fn write_once(&mut self, args: &TopArgs, around: &Surroundings, out: &mut dyn Write) -> Result<Outcome, Error> {
        while self.step() == Step::More {}
        self.live.look_at_all();
        self.look();
        let now = now(&self.zone);
        // A day may have begun meanwhile.
        let (since, Spans { period, .. }) = (self.live.since(), Spans::of(&now, &self.plans));
        let instant = |at: UnixNanos| zoned(at, &self.zone).as_ref().map(range::rfc3339).unwrap_or_default();
        let about = About {
            at: range::rfc3339(&now),
            since: [instant(since.today), instant(since.period)],
            period,
            interfaces: self.live.interfaces().into_iter().map(shown).collect(),
            dropped_packets: self.live.beside.dropped_packets,
        };
        let masker = self.masker();
        let format = args.answer.output.format();
        let to = args.answer.output.output.as_deref();
        let style = around.text_style(to, None);
        deliver(to, out, |out| {
            let mut sink = sink(format, style, String::new(), out);
            once::write(
                (&self.snapshot, args.limit),
                (args.by, &masker, self.sites.owners().is_some()),
                &about,
                &mut *sink,
            )
        })?;
        let lost = [self.follower.away(), self.follower.lost()];
        let lost = lost.iter().flatten().inspect(|text| complain(&Error::failed(shown(text)))).count();
        Ok(owners_told(&self.sites, Outcome::Skipped(u64::try_from(lost).unwrap_or(u64::MAX))))
    }

    fn show(&mut self, color: bool) -> Result<Outcome, Error> {
        let ended = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGHUP] {
            _ = signal_hook::flag::register(signal, Arc::clone(&ended));
        }
        let gone = |e: std::io::Error| Error::failed("cannot use the terminal").because(&e);
        let mut terminal = Terminal::take().map_err(gone)?;
        let (mut masker, mut drawn, mut size) = (self.masker(), None::<Instant>, None);
        while !ended.load(Ordering::Relaxed) {
            let step = self.step();
            self.is_behind = step == Step::More;
            let size_before = size.replace(terminal.drawn.size().map_err(gone)?);
            if drawn.is_none_or(|at| at.elapsed() >= EVERY) || size != size_before {
                self.live.look_again();
                if !self.screen.is_paused {
                    self.look();
                }
                self.draw(&mut terminal, color, &mut masker).map_err(gone)?;
                drawn = Some(Instant::now());
            }
            let wait = if step == Step::More { Duration::ZERO } else { POLL };
            let events = terminal.keys(wait).map_err(gone)?;
            let asked = self.screen.asked.clone();
            for event in &events {
                if self.screen.event(event, &self.snapshot) == Goes::Ends {
                    return Ok(Outcome::Complete);
                }
            }
            if !events.is_empty() {
                if self.screen.asked != asked {
                    self.look();
                } else {
                    self.look_at_pages();
                }
                self.draw(&mut terminal, color, &mut masker).map_err(gone)?;
            }
        }
        Ok(Outcome::Complete)
    }

    fn draw(&mut self, terminal: &mut Terminal, color: bool, masker: &mut Masker) -> std::io::Result<()> {
        if masker.what() != self.screen.masked {
            *masker = self.masker();
        }
        masker.know(self.live.cells.roster.endpoints.values().iter().map(|end| end.address));
        let now = now(&self.zone);
        let behind = match self.screen.over {
            Over::Details => self.behind(),
            _ => Vec::new(),
        };
        let around = Around {
            interfaces: self.live.interfaces(),
            clock: now.strftime("%H:%M:%S").to_string(),
            period: Spans::of(&now, &self.plans).period,
            warning: self.warning(&now),
            dropped_packets: self.live.beside.dropped_packets,
            behind,
            color,
        };
        let (screen, snapshot) = (&mut self.screen, &self.snapshot);
        terminal.drawn.draw(|frame| draw::draw(frame, screen, snapshot, (&around, masker)))?;
        Ok(())
    }

    /// Gives numbers for names that are not shown.
    fn masker(&self) -> Masker {
        let mut masker = Masker::new(self.screen.masked, &Books::default());
        masker.know(self.live.cells.roster.endpoints.values().iter().map(|end| end.address));
        masker
    }

    fn behind(&self) -> Vec<(View, Snapshot)> {
        let view = self.screen.asked.view;
        let Some(row) = self.snapshot.rows.get(self.screen.place(&self.snapshot)) else { return Vec::new() };
        let others =
            View::ALL.into_iter().filter(|other| *other != view && !(view == View::Host && *other == View::Site));
        others.map(|by| (by, Snapshot::behind(&self.live.cells, (view, &row.name), by, &self.sites))).collect()
    }

    /// What a person should know, the most urgent.
    fn warning(&self, now: &Zoned) -> Option<String> {
        if let Some(away) = self.follower.away() {
            return Some(shown(away));
        }
        if self.is_behind {
            return Some("what was recorded before is being read: sums grow".into());
        }
        let now = now.timestamp().as_second();
        if let Some(ahead) = self.live.ahead.filter(|ahead| now.saturating_sub(ahead.at) < AHEAD_SAID_S) {
            return Some(format!("the clock of a recorder is {} s ahead of this one", ahead.by_s));
        }
        let silent = self.live.clock.map(|last| now.saturating_sub(last.0.div_euclid(NANOS_PER_SECOND)));
        match silent.filter(|silent| *silent > SILENT_S) {
            Some(silent) => {
                Some(format!("nothing was written for {} min; `imon-record --status` says why", silent / 60))
            }
            None => self.follower.lost().map(shown),
        }
    }
}

/// Begins with what the store knows and holds. Segments that it has whole are not read again; what
/// it has of others is left out, as they are followed from their beginning.
fn seeded(
    args: &TopArgs,
    around: &Surroundings,
    since: Since,
    mut follower: Follower,
) -> Result<(Live, Follower), Error> {
    let database = args.answer.store.database(around)?;
    let failed = |e: &StoreError| store_error(&database, e);
    // Who names a spool can do without.
    let may_lack = args.answer.store.may_make(around) || !args.spools.is_empty();
    if !may_lack && Store::is_absent(&database).map_err(|e| failed(&e))? {
        return Err(no_database(&database));
    }
    let Some(store) = Store::read_only(&database).map_err(|e| failed(&e))? else {
        return Ok((Live::new(AnswerBook::default(), Habits::default(), since), follower));
    };
    let known = store.known_sources().map_err(|e| failed(&e))?;
    // A torn one may have been read while its last block was written, and a damaged one may grow.
    let whole = known.iter().filter(|source| source.ended == "sealed");
    let whole: HashSet<SegmentId> = whole.filter_map(|source| source.segment.as_slice().try_into().ok()).collect();
    let followed = follower.leave_out(whole);
    let read: HashSet<Vec<u8>> = followed.iter().map(|id| id.to_vec()).collect();
    let rows = known.iter().filter(|source| read.contains(&source.segment)).map(|source| source.id).collect();
    let reach = UnixNanos(since.today.0.saturating_sub(KNOWN_NS));
    let answers = store.knowledge(&rows, reach, UnixNanos(i64::MAX)).map_err(|e| failed(&e))?;
    let habits = store.habits(&rows, reach, UnixNanos(i64::MAX)).map_err(|e| failed(&e))?;
    let mut live = Live::new(answers, habits, since);
    let range = Range { from: Some(since.period), ..Range::everything(TimeZone::UTC) };
    let need = Need { range: &range, pages: true, apart: Vec::new(), only: None, threads: Threads::default() };
    let Opened { books, holes, .. } = archive::books(&store, need).map_err(|e| archive_error(&database, &e))?;
    holes.iter().for_each(|hole| complain(&hole_error(hole)));
    live.add_books(&books, &read);
    Ok((live, follower))
}

fn now(zone: &TimeZone) -> Zoned {
    let now = Timestamp::now();
    // Whole seconds: nobody reads more.
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_zoned(zone.clone())
}

/// The days that sums are of.
struct Spans {
    since: Since,
    /// What people call the period.
    period: String,
}

impl Spans {
    /// Today, and the billing period of the first plan; the month where there is none.
    fn of(now: &Zoned, plans: &[Plan]) -> Self {
        let nanos = |at: &Zoned| UnixNanos(i64::try_from(at.timestamp().as_nanosecond()).unwrap_or(0));
        // A day begins where its first instant is, be that midnight or not.
        let day = |of: &Zoned| of.start_of_day().unwrap_or_else(|_| of.clone());
        let next = |of: &Zoned| of.tomorrow().map_or(UnixNanos(i64::MAX), |of| nanos(&day(&of)));
        let (today, tomorrow) = (nanos(&day(now)), next(now));
        let billed = plans.first().and_then(|plan| plan::in_force(plans, &plan.name, nanos(now)));
        if let Some((_, period)) = billed {
            let since = Since { today, tomorrow, period: period.from, next_period: period.to };
            return Self { since, period: period.first.strftime("from %-d %b").to_string() };
        }
        let first = now.first_of_month().map_or(today, |of| nanos(&day(&of)));
        let next_period = now.last_of_month().map_or(UnixNanos(i64::MAX), |of| next(&of));
        let since = Since { today, tomorrow, period: first, next_period };
        Self { since, period: now.strftime("%b").to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_period_is_that_of_the_first_plan_else_the_month() {
        let now: Zoned = "2026-11-20T10:00:00[Europe/Berlin]".parse().unwrap();
        let of_month = Spans::of(&now, &[]);
        let at = |text: &str| UnixNanos(text.parse::<Timestamp>().unwrap().as_nanosecond() as i64);
        let expected = Since {
            today: at("2026-11-19T23:00:00Z"),
            tomorrow: at("2026-11-20T23:00:00Z"),
            period: at("2026-10-31T23:00:00Z"),
            next_period: at("2026-11-30T23:00:00Z"),
        };
        assert_eq!(of_month.since, expected);
        assert_eq!(of_month.period, "Nov");
        let plan = plan::tests::plan(15, "Europe/Berlin");
        let billed = Spans::of(&now, &[plan]);
        let Since { period, next_period, .. } = billed.since;
        assert_eq!((period, next_period), (at("2026-11-14T23:00:00Z"), at("2026-12-14T23:00:00Z")));
        assert_eq!(billed.period, "from 15 Nov");
    }
}
