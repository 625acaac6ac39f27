//! What the recorder tells of itself while it runs: to the service manager, in the status file, as
//! metrics, in the log. None of it may end or hold up the recording.

use crate::cage::{Kept, Use};
use crate::clock::Now;
use crate::error::Error;
use crate::health::{Event, INTERRUPTED, STOPPED};
use crate::identity::to_hex;
use crate::json::Value;
use crate::kernel::Kernel;
use crate::log::{Level, log};
use crate::metrics::{self, MetricsFile};
use crate::notify::Notify;
use crate::pipeline::{Moment, Pipeline};
use crate::spool::Spool;
use crate::status::{Counted, Identity, LastError, STATUS_EVERY, Snapshot, State};
use crate::units::size_text;
use imon_common::time::UnixNanos;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Everything that is opened before the rights are given up.
#[derive(Debug)]
pub struct Opened {
    notify: Notify,
    metrics: Option<MetricsFile>,
    kernel: Kernel,
    previous: Option<String>,
}

impl Opened {
    /// Opens the directory of the metrics, and takes the text that the recorder before left in the
    /// spool: it is not looked at before the rights are given up. `notify`: the way to the service
    /// manager.
    ///
    /// # Errors
    /// The directory of the metrics is not there.
    pub fn open(notify: Notify, metrics: Option<&Path>, spool: &Spool) -> Result<Self, Error> {
        Ok(Self {
            notify,
            metrics: metrics.map(|path| MetricsFile::open(path, spool.dir())).transpose()?,
            kernel: Kernel::here().clone(),
            previous: spool.read_status(),
        })
    }

    /// What of it stays open.
    pub fn kept(&self) -> Vec<Kept> {
        let metrics = self.metrics_dir().map(|dir| Kept::new(dir, Use::Held, "the directory of the metrics"));
        self.notify.kept().into_iter().chain(metrics).collect()
    }

    /// The directory that must stay writable beside the spool, if there is one.
    pub fn metrics_dir(&self) -> Option<&fs::File> {
        self.metrics.as_ref().map(MetricsFile::dir)
    }
}

/// Tells.
#[derive(Debug)]
pub struct Reporter {
    notify: Notify,
    metrics: Option<Arc<MetricsFile>>,
    identity: Identity,
    last_error: Option<LastError>,
    /// Interfaces that are recorded and are not there.
    missing: Vec<String>,
    /// A change of them is in no status yet.
    is_unsaid: bool,
    /// When it was told last, and what.
    told: Option<(Now, Counted)>,
    /// The files could not be written the last time: said once, not every ten seconds.
    troubled: bool,
}

impl Reporter {
    /// Takes over from the recorder before, and writes everything for the first time.
    ///
    /// # Errors
    /// The metrics cannot be written: better said now than never noticed.
    pub fn begin(opened: Opened, interface: &str, now: Now, pipeline: &mut Pipeline) -> Result<Self, Error> {
        let Opened { notify, metrics, kernel, previous } = opened;
        let (pid, run) = (std::process::id(), to_hex(&pipeline.run()));
        let identity = Identity { interface: interface.to_owned(), pid, kernel, run, began: now };
        let metrics = metrics.map(Arc::new);
        let mut reporter = Self {
            notify,
            metrics,
            identity,
            last_error: None,
            missing: Vec::new(),
            is_unsaid: false,
            told: None,
            troubled: false,
        };
        if let Some(previous) = previous.as_deref().and_then(Value::parse) {
            reporter.take_over(&previous, now, pipeline);
        }
        reporter.write(State::Recording, now, pipeline);
        match pipeline.wait_until_told(Moment { wall: now.wall, steady_ns: now.boot_ns })? {
            Err(error @ Error::Metrics { .. }) => Err(error),
            written => {
                reporter.complain(written.and_then(|()| pipeline.clear_start()));
                Ok(reporter)
            }
        }
    }

    fn take_over(&mut self, previous: &Value, now: Now, pipeline: &mut Pipeline) {
        previous.items(&["last_day"]).iter().filter_map(Event::from_json).for_each(|e| pipeline.health().remember(e));
        if let (Some(unix_s), Some(text)) =
            (previous.number(&["last_error", "unix_s"]), previous.text(&["last_error", "text"]))
        {
            self.last_error = Some(LastError { unix_s, text: text.to_owned() });
        }
        let Some(written_s) = previous.number(&["written_unix_s"]) else {
            return;
        };
        let asked = previous.text(&["state"]) == Some(State::Stopped.word());
        let from = UnixNanos((written_s * 1e9) as i64);
        if let Ok(gap_ns) = u64::try_from(now.wall.since(from)) {
            let reason = if asked { STOPPED } else { INTERRUPTED };
            pipeline.health().remember(Event { from, to: now.wall, reason: reason.into(), packets: 0, gap_ns });
        }
    }

    /// The recording has begun.
    pub fn ready(&mut self) {
        self.notify.ready();
    }

    /// One turn of the loop: says what is new, and what is due. `missing`: interfaces that are
    /// recorded and are not there; a change of them is said at once.
    pub fn turn(&mut self, now: Now, missing: &[&str], pipeline: &mut Pipeline) {
        self.notify.alive(now.boot_ns);
        if self.missing != missing {
            self.missing = missing.iter().map(|name| (*name).to_owned()).collect();
            self.is_unsaid = true;
        }
        if (self.is_unsaid && pipeline.can_tell()) || self.told.is_none_or(|(told, _)| now.since(told) >= STATUS_EVERY)
        {
            for event in pipeline.health().take_news() {
                tell(&event);
            }
            self.write(State::Recording, now, pipeline);
        }
        if let Some(written) = pipeline.take_told() {
            self.complain(written);
        }
    }

    /// The end, with what ended it if that was no signal.
    pub fn end(&mut self, now: Now, pipeline: &mut Pipeline, error: Option<&Error>) {
        self.notify.stopping();
        pipeline.health().take_news().iter().for_each(tell);
        let mut state = State::Stopped;
        if let Some(error) = error {
            state = State::Failed;
            self.last_error = Some(LastError { unix_s: now.wall.0 as f64 / 1e9, text: error.one_line() });
        }
        // One that is on its way says that it goes on.
        _ = pipeline.wait_for_told();
        self.write(state, now, pipeline);
        let written = pipeline.wait_for_told();
        self.complain(written);
    }

    fn complain(&mut self, written: Result<(), Error>) {
        if let (Err(error), false) = (&written, self.troubled) {
            log(Level::Warning, format_args!("the recording goes on, but: {}", error.one_line()));
        }
        self.troubled = written.is_err();
    }

    /// Lets everything be written. What comes of it is told by the pipeline.
    fn write(&mut self, state: State, now: Now, pipeline: &mut Pipeline) {
        let counted = pipeline.counted();
        let snapshot = Snapshot {
            identity: &self.identity,
            state,
            now,
            counted,
            before: self.told.map(|(told, counted)| (now.since(told), counted)),
            segment: pipeline.open_file(),
            spool: Some(pipeline.spool_use()),
            foreign: pipeline.foreign(),
            missing: &self.missing,
            last_error: self.last_error.as_ref(),
        };
        self.told = Some((now, counted));
        self.is_unsaid = self.is_unsaid && !pipeline.can_tell();
        if !self.missing.is_empty() {
            self.notify.status(&format!("waits for {}, which is gone", self.missing.join(", ")));
        } else if let Some((packets, bytes)) = snapshot.rates() {
            self.notify.status(&format!(
                "{}: {packets:.0} packets/s, {}/s",
                self.identity.interface,
                size_text(bytes as u64)
            ));
        }
        let json = format!("{}\n", snapshot.to_json(pipeline.health()));
        let metrics = self.metrics.as_ref().map(|file| (Arc::clone(file), metrics::text(&snapshot, pipeline.health())));
        // Where the last one is not through yet this one is left out: its time tells.
        pipeline.tell_others(json, metrics);
    }
}

fn tell(event: &Event) {
    let level = if event.is_trouble() { Level::Warning } else { Level::Notice };
    let seconds = Duration::from_nanos(event.gap_ns).as_secs_f64();
    match event.packets {
        0 => log(level, format_args!("gap: {}, {seconds:.1} s", event.reason)),
        packets => log(level, format_args!("lost: {packets} packets, {}", event.reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::gap;
    use crate::pipeline::Plan;
    use crate::rotate::Rotation;
    use imon_common::local::LocalNets;
    use imon_common::observe::GapReason;
    use imon_common::packet::LinkType;

    fn pipeline(home: &Path) -> Pipeline {
        let plan = Plan {
            interface: "test0".into(),
            link_type: LinkType(1),
            local: LocalNets::default(),
            interval_ns: 1_000_000_000,
            rotation: Rotation { size_bytes: 1 << 20, every: Duration::from_secs(3600) },
            retention: None,
            waiting_bytes: 0,
            boot: [0; 16],
        };
        Pipeline::new(Spool::open(home, None).unwrap(), plan).unwrap()
    }

    fn now(seconds: i64) -> Now {
        let ns = seconds * 1_000_000_000;
        Now { wall: UnixNanos(1_800_000_000_000_000_000 + ns), awake_ns: ns, boot_ns: ns }
    }

    fn opened(previous: Option<String>) -> Opened {
        Opened { notify: Notify::default(), metrics: None, kernel: Kernel::default(), previous }
    }

    fn status(home: &Path) -> Value {
        Value::parse(&fs::read_to_string(home.join("status.json")).unwrap()).unwrap()
    }

    #[test]
    fn the_status_is_there_from_the_start_and_is_written_every_ten_seconds() {
        let home = tempfile::tempdir().unwrap();
        let mut pipeline = pipeline(home.path());
        let mut reporter = Reporter::begin(opened(None), "test0", now(0), &mut pipeline).unwrap();
        assert_eq!(status(home.path()).text(&["state"]), Some("recording"));
        pipeline.health().note(now(1).wall, &[gap(GapReason::LinkDown, 1)]);
        reporter.turn(now(9), &[], &mut pipeline);
        assert_eq!(status(home.path()).number(&["running_s"]), Some(0.0), "not yet");
        reporter.turn(now(10), &[], &mut pipeline);
        let written = status(home.path());
        assert_eq!(written.number(&["running_s"]), Some(10.0));
        assert_eq!(written.number(&["packets_per_s"]), Some(0.0));
        assert_eq!(written.whole(&["losses", "link-down", "count"]), Some(1));
    }

    #[test]
    fn an_interface_that_goes_or_comes_back_is_told_at_once() {
        let home = tempfile::tempdir().unwrap();
        let mut pipeline = pipeline(home.path());
        let mut reporter = Reporter::begin(opened(None), "test0", now(0), &mut pipeline).unwrap();
        _ = pipeline.wait_for_told();
        let missing = |home: &Path| status(home).items(&["missing"]).len();
        assert_eq!(missing(home.path()), 0);
        reporter.turn(now(3), &["test0"], &mut pipeline);
        assert_eq!((missing(home.path()), status(home.path()).number(&["running_s"])), (1, Some(3.0)));
        reporter.turn(now(4), &["test0"], &mut pipeline);
        assert_eq!(status(home.path()).number(&["running_s"]), Some(3.0), "no news");
        // The one before is not through: it is told when it is.
        reporter.turn(now(5), &[], &mut pipeline);
        assert_eq!((missing(home.path()), reporter.told.map(|(told, _)| told)), (1, Some(now(3))));
        _ = pipeline.wait_for_told();
        reporter.turn(now(6), &[], &mut pipeline);
        assert_eq!((missing(home.path()), status(home.path()).number(&["running_s"])), (0, Some(6.0)));
    }

    #[test]
    fn the_next_recorder_knows_how_the_one_before_ended() {
        let home = tempfile::tempdir().unwrap();
        let reasons = |previous: Option<String>| {
            let mut pipeline = pipeline(home.path());
            let mut reporter = Reporter::begin(opened(previous), "test0", now(500), &mut pipeline).unwrap();
            let day = pipeline.health().last_day(now(500).wall);
            let error = Error::OtherLink { interface: "test0".into() };
            reporter.end(now(501), &mut pipeline, Some(&error));
            day.items(&[]).iter().map(|e| Event::from_json(e).unwrap().reason.into_owned()).collect::<Vec<_>>()
        };
        assert!(reasons(None).is_empty());
        let failed = status(home.path());
        assert_eq!(failed.text(&["state"]), Some("failed"));
        assert!(
            failed
                .text(&["last_error", "text"])
                .unwrap()
                .contains("; cause: the interface was made again as another kind of link; hint:")
        );
        let before = |state: &str| {
            let written = now(400).wall.0 as f64 / 1e9;
            Some(format!(r#"{{"format":1,"state":"{state}","written_unix_s":{written}}}"#))
        };
        assert_eq!(reasons(before("stopped")), [STOPPED]);
        assert_eq!(reasons(before("recording")), [INTERRUPTED], "killed");
        assert_eq!(reasons(Some(failed.to_string())), [] as [&str; 0], "of the future: the clock was set back");
        for damaged in ["", "{", "[]", "\u{0}", r#"{"format":1,"written_unix_s":"x","last_day":{"a":1}}"#] {
            assert!(reasons(Some(damaged.into())).is_empty(), "{damaged}");
        }
    }

    #[test]
    fn a_status_that_cannot_be_written_does_not_end_the_recording() {
        let home = tempfile::tempdir().unwrap();
        let mut pipeline = pipeline(home.path());
        let mut reporter = Reporter::begin(opened(None), "test0", now(0), &mut pipeline).unwrap();
        // A directory of that name can be replaced by no file, not even by root.
        fs::remove_file(home.path().join("status.json")).unwrap();
        fs::create_dir(home.path().join("status.json")).unwrap();
        let mut turn = |pipeline: &mut Pipeline, seconds| {
            reporter.turn(now(seconds), &[], pipeline);
            pipeline.settle(Moment { wall: now(seconds).wall, steady_ns: now(seconds).boot_ns }).unwrap();
            reporter.turn(now(seconds), &[], pipeline);
            reporter.troubled
        };
        assert!(turn(&mut pipeline, 10));
        fs::remove_dir(home.path().join("status.json")).unwrap();
        assert!(!turn(&mut pipeline, 20));
        assert_eq!(status(home.path()).number(&["running_s"]), Some(20.0));
    }
}
