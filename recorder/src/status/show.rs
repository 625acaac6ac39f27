//! `imon-record --status`: reads status files, says how the recorders are, and answers by exit
//! code.

use super::FORMAT;
use super::judge::{Place, Seen, Verdict, judge};
use crate::cli::Format;
use crate::cli::SYSTEM_SPOOL;
use crate::clock::Now;
use crate::error::Error;
use crate::health::Event;
use crate::json::Value;
use crate::kernel::Kernel;
use crate::units::size_text;
use imon_common::shown::shown;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Directories looked into below a directory of spools: one for each interface.
const MAX_SPOOLS: usize = 256;

/// Events shown to people; all are in the JSON.
const MAX_EVENTS_SHOWN: usize = 10;

/// How one recorder is.
#[derive(Debug)]
struct Found {
    spool: PathBuf,
    status: Value,
    verdict: Verdict,
    /// Why it is not [`Verdict::Fine`].
    why: Option<String>,
}

/// The text of `--status`, and the worst verdict. `spools`: where to look, each itself and the
/// directories in it.
///
/// A spool that may not be read is left out if there is another.
///
/// # Errors
/// There is no status that could be read.
pub fn show(spools: &[PathBuf], format: Format, here: &Kernel) -> Result<(String, Verdict), Error> {
    let now = Now::read()?;
    let (mut found, mut unreadable) = (Vec::new(), None);
    for spool in spools.iter().flat_map(|spool| with_inner(spool)) {
        let is_systems = spool.parent() == Some(Path::new(SYSTEM_SPOOL));
        match Seen::in_spool(&spool, if is_systems { Place::Systems } else { Place::Elsewhere }) {
            Ok(None) => {}
            Ok(Some(seen)) => {
                let (verdict, why) = judge(&seen, now, here);
                let status = seen.status.unwrap_or(Value::Null);
                found.push(Found { spool, status, verdict, why });
            }
            Err(error) => unreadable = Some(error),
        }
    }
    let Some(verdict) = found.iter().map(|f| f.verdict).max() else {
        return Err(unreadable.unwrap_or(Error::NoStatus { spools: spools.to_vec() }));
    };
    let text = if format == Format::Json {
        found.iter().map(line).collect()
    } else {
        found.iter().map(|f| paragraph(f, now)).collect::<Vec<_>>().join("\n")
    };
    Ok((text, verdict))
}

/// A spool, and the spools of interfaces in it, by name.
fn with_inner(spool: &Path) -> Vec<PathBuf> {
    let entries = spool.read_dir().into_iter().flatten().flatten();
    let mut inner: Vec<PathBuf> =
        entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).take(MAX_SPOOLS).collect();
    inner.sort();
    inner.insert(0, spool.to_owned());
    inner
}

pub(super) fn events(status: &Value) -> Vec<Event> {
    status.items(&["last_day"]).iter().filter_map(Event::from_json).collect()
}

fn line(found: &Found) -> String {
    let value = Value::object([
        ("spool", (&*found.spool.to_string_lossy()).into()),
        ("verdict", found.verdict.word().into()),
        ("why", found.why.as_deref().map_or(Value::Null, Value::from)),
        ("status", found.status.clone()),
    ]);
    format!("{value}\n")
}

/// What people want to know, one fact a line.
fn paragraph(found: &Found, now: Now) -> String {
    let status = &found.status;
    let mut text = String::new();
    let mut say = |word: &str, value: String| _ = writeln!(text, "{word:<12}{value}");
    let number = |path: &[&str]| status.number(path).unwrap_or(0.0);
    let size = |path: &[&str]| size_text(number(path) as u64);
    let why = found.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
    say("recorder", format!("{}{why}", found.verdict.word()));
    say("spool", shown(&found.spool.to_string_lossy()));
    if status.whole(&["format"]) != Some(FORMAT) {
        return text;
    }
    say("interface", shown(status.text(&["interface"]).unwrap_or("unknown")));
    say("ran for", format!("{}, as process {}", time_text(number(&["running_s"])), number(&["pid"])));
    say("last seen", ago(now, status.number(&["written_unix_s"])));
    if status.number(&["packets_per_s"]).is_some() {
        say("rate", format!("{:.0} packets/s, {}/s", number(&["packets_per_s"]), size(&["bytes_per_s"])));
    }
    say("counted", format!("{} packets, {}", number(&["packets"]), size(&["ip_bytes"])));
    say("flows", number(&["flows"]).to_string());
    if let Some(name) = status.text(&["segment", "name"]) {
        say("segment", format!("{}, {}", shown(name), size(&["segment", "bytes"])));
    }
    if status.number(&["spool", "bytes"]).is_some() {
        let (used, budget) = (size(&["spool", "bytes"]), size(&["spool", "budget_bytes"]));
        let (sealed, removed) = (number(&["spool", "segments"]), number(&["spool", "removed_segments"]));
        say("kept", format!("{used} of {budget}, {sealed} sealed segments; this run removed {removed}"));
        if let Some(last) = status.text(&["spool", "last_removed"]) {
            say("", format!("removed last: {}", shown(last)));
        }
        if let overdue @ 1.. = status.whole(&["spool", "overdue_segments"]).unwrap_or(0) {
            say("", format!("{overdue} are too old, and go one an hour"));
        }
    }
    if let number @ 1.. = status.whole(&["foreign_files"]).unwrap_or(0) {
        let names: Vec<String> = status.items(&["foreign"]).iter().filter_map(|n| n.text(&[])).map(shown).collect();
        let more = if (names.len() as u64) < number { " …" } else { "" };
        say("not ours", format!("{number}, neither counted nor removed: {}{more}", names.join(" ")));
    }
    if let Some(error) = status.text(&["last_error", "text"]) {
        say("last error", format!("{} ({})", shown(error), ago(now, status.number(&["last_error", "unix_s"]))));
    }
    let events = events(status);
    say("last day", if events.is_empty() { "nothing lost".into() } else { format!("{} events", events.len()) });
    for event in events.iter().rev().take(MAX_EVENTS_SHOWN) {
        let lost = match event.packets {
            0 => time_text(event.gap_ns as f64 / 1e9),
            packets => format!("{packets} packets"),
        };
        say("", format!("{}: {}, {lost}", ago(now, Some(event.from.0 as f64 / 1e9)), event.reason));
    }
    text
}

/// How long before `now` an instant was. The wall clock may have been stepped between.
pub(super) fn ago(now: Now, unix_s: Option<f64>) -> String {
    let Some(unix_s) = unix_s else {
        return "at an unknown time".into();
    };
    match now.wall.0 as f64 / 1e9 - unix_s {
        age_s if age_s < -1.0 => "in the future (was the clock set back?)".into(),
        age_s => format!("{} ago", time_text(age_s)),
    }
}

/// A length of time in its two largest units.
pub(super) fn time_text(seconds: f64) -> String {
    let time = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
    let s = time.as_secs();
    match s {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..60 => format!("{s} s"),
        60..3_600 => format!("{} min {} s", s / 60, s % 60),
        3_600..86_400 => format!("{} h {} min", s / 3_600, s / 60 % 60),
        _ => format!("{} d {} h", s / 86_400, s / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Health, INTERRUPTED};
    use crate::spool::Holder;
    use crate::status::{Counted, Identity, KeptSummary, SpoolUse};
    use crate::status::{STATUS_FILE, State};
    use imon_common::time::UnixNanos;

    fn kernel(boot: &str) -> Kernel {
        Kernel { boot_id: Some(boot.into()), processes: None }
    }

    fn here() -> Kernel {
        kernel("8c5f")
    }

    fn now(seconds: i64) -> Now {
        let ns = seconds * 1_000_000_000;
        Now { wall: UnixNanos(1_800_000_000_000_000_000 + ns), awake_ns: ns, boot_ns: ns }
    }

    fn status(state: State, written: Now, health: &mut Health) -> Value {
        let identity =
            Identity { interface: "wlan\u{1b}0".into(), pid: 7, kernel: here(), run: String::new(), began: now(100) };
        let counted = Counted { packets: 1_000, ip_bytes: 10_240, flows: 3, sealed_segments: 1 };
        let spool = SpoolUse { segments: 1, len_bytes: 2_048, budget_bytes: 1 << 30, kept: KeptSummary::default() };
        let snapshot = crate::status::Snapshot {
            identity: &identity,
            state,
            now: written,
            counted,
            before: Some((Duration::from_secs(10), Counted::default())),
            segment: None,
            spool: Some(spool),
            foreign: crate::spool::Foreign { number: 17, names: vec!["film.part".into()] },
            missing: &[],
            last_error: None,
        };
        Value::parse(&snapshot.to_json(health).to_string()).unwrap()
    }

    fn verdict(status: &Value, at: Now, on: &Kernel) -> Verdict {
        held(status, at, on, Holder::Somebody)
    }

    fn held(status: &Value, at: Now, on: &Kernel, holder: Holder) -> Verdict {
        judge(&Seen { status: Some(status.clone()), start: None, holder, is_gone: false }, at, on).0
    }

    #[test]
    fn the_lock_tells_at_once_and_where_it_cannot_a_fresh_time_counts() {
        let fresh = status(State::Recording, now(200), &mut Health::default());
        assert_eq!(held(&fresh, now(201), &here(), Holder::Nobody), Verdict::NotRunning, "killed a second ago");
        assert_eq!(held(&fresh, now(201), &here(), Holder::Unknown), Verdict::Fine, "the lock may not be read");
        for holder in [Holder::Nobody, Holder::Somebody, Holder::Unknown] {
            assert_eq!(held(&fresh, now(205), &kernel("other"), holder), Verdict::Fine, "another kernel");
            assert_eq!(held(&fresh, now(231), &kernel("other"), holder), Verdict::NotRunning, "stale");
            assert_eq!(held(&fresh, now(190), &kernel("other"), holder), Verdict::NotRunning, "of the future");
            assert_eq!(held(&fresh, now(231), &here(), holder), Verdict::NotRunning, "hangs");
        }
        let why = |state, holder| {
            let seen = Seen {
                status: Some(status(state, now(200), &mut Health::default())),
                start: None,
                holder,
                is_gone: false,
            };
            judge(&seen, now(201), &here()).1.unwrap()
        };
        assert_eq!(why(State::Stopped, Holder::Nobody), "it was stopped 1.0 s ago");
        assert_eq!(why(State::Stopped, Holder::Somebody), "it is starting, or about to end");
        assert!(why(State::Recording, Holder::Nobody).starts_with("its process is gone"));
    }

    #[test]
    fn the_process_tells_who_may_not_look_at_the_lock() {
        let why = |holder, on: &Kernel| {
            let status = Some(status(State::Recording, now(200), &mut Health::default()));
            judge(&Seen { status, start: None, holder, is_gone: true }, now(201), on).1
        };
        assert!(why(Holder::Unknown, &here()).unwrap().starts_with("its process is gone"));
        assert!(why(Holder::Somebody, &here()).unwrap().starts_with("it is starting"));
        // Processes of another container have numbers of their own.
        assert_eq!(why(Holder::Unknown, &Kernel { processes: Some(7), ..here() }), None);
        assert_eq!(why(Holder::Unknown, &kernel("other")), None);
    }

    #[test]
    fn a_recorder_whose_interface_is_gone_records_nothing() {
        let text = status(State::Recording, now(200), &mut Health::default()).to_string();
        let text = text.replace("\"missing\":[]", "\"missing\":[\"wlan\\u001b0\"]");
        let seen = Seen { status: Value::parse(&text), start: None, holder: Holder::Somebody, is_gone: false };
        let (verdict, why) = judge(&seen, now(201), &here());
        let why = why.unwrap();
        assert!(verdict == Verdict::NotRunning && why.contains("is gone") && !why.contains('\u{1b}'), "{why}");
        // The others are recorded on.
        let text = text.replace("\"interface\":\"", "\"interface\":\"eth0,");
        let seen = Seen { status: Value::parse(&text), ..seen };
        let (verdict, why) = judge(&seen, now(201), &here());
        assert!(verdict == Verdict::Lossy && why.is_some_and(|why| why.contains("wlan")), "{text}");
    }

    #[test]
    fn a_start_that_waits_or_failed_is_not_running_whatever_the_status_says() {
        let fresh = status(State::Recording, now(200), &mut Health::default());
        let judged = |state: &str, status: Option<&Value>, holder| {
            let text = format!(
                r#"{{"format":1,"state":"{state}","why":"eth9\u001b is not there","since_unix_s":1800000190,"written_unix_s":1800000200,"written_boot_s":200,"boot_id":"8c5f","every_s":10}}"#
            );
            let seen = Seen { status: status.cloned(), start: Value::parse(&text), holder, is_gone: false };
            let (verdict, why) = judge(&seen, now(201), &here());
            assert_eq!(verdict, Verdict::NotRunning);
            why.unwrap()
        };
        for status in [None, Some(&fresh)] {
            assert_eq!(judged("waiting", status, Holder::Somebody), "it waits, since 11 s ago: eth9\\027 is not there");
            assert!(judged("waiting", status, Holder::Nobody).starts_with("it waited, and was killed"));
            assert!(judged("failed", status, Holder::Nobody).starts_with("its start failed 11 s ago: eth9"));
        }
        assert_eq!(judged("failed", None, Holder::Somebody), "it is starting");
    }

    #[test]
    fn a_fresh_status_without_losses_is_fine_and_everything_else_is_not() {
        let mut health = Health::default();
        let fresh = status(State::Recording, now(200), &mut health);
        assert_eq!(verdict(&fresh, now(205), &here()), Verdict::Fine);
        assert_eq!(verdict(&fresh, now(231), &here()), Verdict::NotRunning, "stale");
        assert_eq!(verdict(&fresh, now(235), &kernel("other")), Verdict::NotRunning, "another boot");
        // Who holds the lock is there.
        for (holder, expected) in [(Holder::Somebody, "its disk has no room"), (Holder::Unknown, "it was killed")] {
            let seen = Seen { status: Some(fresh.clone()), start: None, holder, is_gone: false };
            let why = judge(&seen, now(231), &here()).1.unwrap();
            assert!(why.contains(expected), "{why}");
        }
        let stepped = Now { wall: UnixNanos(0), ..now(205) };
        assert_eq!(verdict(&fresh, stepped, &here()), Verdict::Fine, "the wall clock does not matter");
        for state in [State::Stopped, State::Failed] {
            assert_eq!(verdict(&status(state, now(200), &mut health), now(201), &here()), Verdict::NotRunning);
        }
        assert_eq!(verdict(&Value::Null, now(1), &here()), Verdict::NotRunning);
    }

    #[test]
    fn only_what_may_have_missed_traffic_makes_it_lossy() {
        let event = |reason: &'static str| Event {
            from: now(150).wall,
            to: now(151).wall,
            reason: reason.into(),
            packets: 0,
            gap_ns: 1_000_000_000,
        };
        let mut health = Health::default();
        health.add(event("suspend"));
        let slept = status(State::Recording, now(200), &mut health);
        assert_eq!(verdict(&slept, now(201), &here()), Verdict::Fine);
        health.add(event(INTERRUPTED));
        health.add(event("kernel-dropped"));
        let lossy = status(State::Recording, now(200), &mut health);
        let seen = Seen { status: Some(lossy), start: None, holder: Holder::Somebody, is_gone: false };
        let (verdict, why) = judge(&seen, now(201), &here());
        assert_eq!(verdict, Verdict::Lossy);
        assert!(why.unwrap().ends_with(": interrupted, kernel-dropped"));
    }

    #[test]
    fn the_paragraph_says_it_in_words_and_escapes_what_came_from_outside() {
        let status = status(State::Recording, now(3_700), &mut Health::default());
        let found = Found { spool: "/s\n".into(), verdict: Verdict::Fine, why: None, status };
        let text = paragraph(&found, now(3_702));
        for line in [
            "recorder    fine",
            "spool       /s\\010",
            "interface   wlan\\0270",
            "ran for     1 h 0 min, as process 7",
            "last seen   2.0 s ago",
            "rate        100 packets/s, 1.00 KiB/s",
            "kept        2.00 KiB of 1.00 GiB, 1 sealed segments; this run removed 0",
            "not ours    17, neither counted nor removed: film.part …",
            "last day    nothing lost",
        ] {
            assert!(text.lines().any(|l| l == line), "no '{line}' in\n{text}");
        }
    }

    #[test]
    fn a_spool_in_which_nobody_came_to_record_is_seen() {
        let home = tempfile::tempdir().unwrap();
        let seen = |place| Seen::in_spool(home.path(), place).unwrap();
        assert!(seen(Place::Elsewhere).is_none(), "any empty folder");
        let empty = seen(Place::Systems).unwrap();
        assert_eq!(
            judge(&empty, now(1), &here()),
            (Verdict::NotRunning, Some("no recorder has come to record here".into()))
        );
        std::fs::write(home.path().join("film.part"), "").unwrap();
        assert!(seen(Place::Systems).is_none(), "somebody else's");
        // With a lock it is one, wherever it is.
        let spool = crate::spool::Spool::open(home.path(), None).unwrap();
        assert_eq!(seen(Place::Elsewhere).unwrap().holder, Holder::Somebody);
        assert_eq!(judge(&seen(Place::Elsewhere).unwrap(), now(1), &here()).1.unwrap(), "it is starting");
        drop(spool);
        assert_eq!(seen(Place::Elsewhere).unwrap().holder, Holder::Nobody);
        std::fs::write(home.path().join("collector"), "").unwrap();
        assert!(seen(Place::Systems).is_none(), "a collector's");
    }

    #[test]
    fn status_files_are_found_in_a_spool_and_in_those_of_its_interfaces() {
        let home = tempfile::tempdir().unwrap();
        let spools = [home.path().to_owned(), home.path().join("missing")];
        assert!(matches!(show(&spools, Format::Table, &here()), Err(Error::NoStatus { .. })));
        let inner = home.path().join("wlan0");
        std::fs::create_dir(&inner).unwrap();
        let real = Now::read().unwrap();
        let text = status(State::Recording, real, &mut Health::default()).to_string();
        std::fs::write(inner.join(STATUS_FILE), text).unwrap();
        std::fs::create_dir_all(home.path().join("odd").join(STATUS_FILE)).unwrap();
        let odd = [home.path().join("odd")];
        assert!(matches!(show(&odd, Format::Json, &here()), Err(Error::ReadStatus { .. })), "alone it is an error");
        let (json, verdict) = show(&spools, Format::Json, &here()).unwrap();
        assert_eq!(verdict, Verdict::Fine);
        assert_eq!(Value::parse(json.trim()).unwrap().text(&["status", "interface"]), Some("wlan\u{1b}0"));
        std::fs::write(home.path().join(STATUS_FILE), "").unwrap();
        let (text, verdict) = show(&spools, Format::Table, &here()).unwrap();
        assert_eq!(verdict, Verdict::NotRunning, "the worst counts");
        assert!(text.contains("damaged") && text.contains("fine"), "{text}");
    }
}
