//! What the recorder tells of itself while it runs: to the service manager, in the status file, as metrics, in the log.
//! None of it may end or hold up the recording.

use crate::clock::Now;
use crate::error::Error;
use crate::health::{Event, INTERRUPTED, STOPPED};
use crate::json::Value;
use crate::log::{Level, log};
use crate::metrics::MetricsFile;
use crate::notify::Notify;
use crate::pipeline::Pipeline;
use crate::spool::Spool;
use crate::status::{Counted, Identity, LastError, STATUS_EVERY, Snapshot, State};
use crate::units::size_text;
use imon_common::time::UnixNanos;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Everything that is opened before the rights are given up.
#[derive(Debug)]
pub struct Opened {
    notify: Notify,
    metrics: Option<MetricsFile>,
    boot_id: Option<String>,
    previous: Option<String>,
}

impl Opened {
    /// Opens the way to the service manager and the directory of the metrics, and takes the text that the recorder
    /// before left in the spool: it is not looked at before the rights are given up.
    ///
    /// # Errors
    /// The directory of the metrics is not there.
    pub fn open(metrics: Option<&Path>, spool: &Spool) -> Result<Self, Error> {
        Ok(Self {
            notify: Notify::from_environment(),
            metrics: metrics.map(MetricsFile::open).transpose()?,
            boot_id: boot_id(),
            previous: spool.read_status(),
        })
    }

    /// The directory that must stay writable beside the spool, if there is one.
    pub fn metrics_dir(&self) -> Option<&fs::File> {
        self.metrics.as_ref().map(MetricsFile::dir)
    }
}

/// Identity of this boot of the machine: random(4), `/proc/sys/kernel/random/boot_id`.
pub fn boot_id() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|text| text.trim().to_owned())
}

/// Tells.
#[derive(Debug)]
pub struct Reporter {
    notify: Notify,
    metrics: Option<MetricsFile>,
    identity: Identity,
    last_error: Option<LastError>,
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
        let Opened { notify, metrics, boot_id, previous } = opened;
        let identity = Identity { interface: interface.to_owned(), pid: std::process::id(), boot_id, began: now };
        let mut reporter = Self { notify, metrics, identity, last_error: None, told: None, troubled: false };
        if let Some(previous) = previous.as_deref().and_then(Value::parse) {
            reporter.take_over(&previous, now, pipeline);
        }
        reporter.write(State::Recording, now, pipeline)?;
        Ok(reporter)
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

    /// One turn of the loop: says what is new, and what is due.
    pub fn turn(&mut self, now: Now, pipeline: &mut Pipeline) {
        self.notify.alive(now.boot_ns);
        if self.told.is_none_or(|(told, _)| now.since(told) >= STATUS_EVERY) {
            for event in pipeline.health().take_news() {
                tell(&event);
            }
            let written = self.write(State::Recording, now, pipeline);
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
        let written = self.write(state, now, pipeline);
        self.complain(written);
    }

    fn complain(&mut self, written: Result<(), Error>) {
        if let (Err(error), false) = (&written, self.troubled) {
            log(Level::Warning, format_args!("the recording goes on, but: {}", error.one_line()));
        }
        self.troubled = written.is_err();
    }

    fn write(&mut self, state: State, now: Now, pipeline: &mut Pipeline) -> Result<(), Error> {
        let counted = pipeline.counted();
        let snapshot = Snapshot {
            identity: &self.identity,
            state,
            now,
            counted,
            before: self.told.map(|(told, counted)| (now.since(told), counted)),
            segment: pipeline.open_segment(),
            spool: pipeline.spool_use(),
            last_error: self.last_error.as_ref(),
        };
        self.told = Some((now, counted));
        if let Some((packets, bytes)) = snapshot.rates() {
            self.notify.status(&format!(
                "{}: {packets:.0} packets/s, {}/s",
                self.identity.interface,
                size_text(bytes as u64)
            ));
        }
        let json = format!("{}\n", snapshot.to_json(pipeline.health()));
        let metrics = self.metrics.as_ref().map_or(Ok(()), |file| file.write(&snapshot, pipeline.health()));
        pipeline.write_status(json.as_bytes()).and(metrics)
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
