//! What is kept when the clock is wrong, and when somebody floods the link.

use super::*;
use crate::clock::Now;
use crate::retention::share_bytes;
use imon_common::time::UnixNanos;
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

const DAY: i64 = 86_400;

/// Room for 256 KiB of each of two days.
const KEEP: Retention = Retention { size_bytes: 1 << 20, age: Duration::from_secs(2 * 86_400) };

/// A pipeline of the boot `boot`.
fn pipeline(spool: &Path, boot: u8) -> Pipeline {
    let plan = Plan {
        interface: "test0".into(),
        link_type: LinkType(101),
        local: LocalNets::default(),
        interval_ns: SECOND,
        boot: [boot; 16],
        rotation: Rotation { size_bytes: 128 << 10, every: Duration::from_secs(3600) },
        retention: Some(KEEP),
        waiting_bytes: 0,
    };
    Pipeline::new(Spool::open(spool, None).unwrap(), plan).unwrap()
}

/// Seconds of the wall clock and of the boot clock.
fn at(wall_s: i64, boot_s: i64) -> Moment {
    Moment { wall: UnixNanos(wall_s * SECOND), steady_ns: boot_s * SECOND }
}

/// The wall clock of this machine, in seconds: segments have its stamps.
fn today() -> i64 {
    // Never at the end of a day.
    let now = Now::read().unwrap().wall.0 / SECOND;
    if now % DAY > DAY - 3_600 { now - 3_600 } else { now }
}

/// Datagrams of flows with these numbers, all different.
fn send(pipeline: &mut Pipeline, at: Moment, numbers: std::ops::Range<u32>) {
    for n in numbers {
        let [_, x, y, z] = n.to_be_bytes();
        let [.., a, b] = (at.wall.0 / SECOND).to_be_bytes();
        let data = [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 192, 168, 0, 1, 198, a, b, z, x, y, 0, 9, 0, 8, 0, 0];
        let packet = CapturedPacket { ts: at.wall, orig_len: 28, link_type: LinkType(101), interface: 0, data: &data };
        pipeline.packet(&packet).unwrap();
    }
}

/// Datagrams of so many flows, all different, and the end of the second.
fn flows(pipeline: &mut Pipeline, at: Moment, number: u32) {
    send(pipeline, at, 0..number);
    let next = Moment { wall: UnixNanos(at.wall.0 + SECOND), steady_ns: at.steady_ns + SECOND };
    pipeline.tick(next.wall).unwrap();
    pipeline.commit(next).unwrap();
    if pipeline.rotation_due(next.steady_ns) {
        pipeline.rotate(next).unwrap();
    }
}

/// Segments of a run a day, the oldest of them so many days ago, with the stamps of their days.
fn past(spool: &Path, days: i64, seconds: i64) {
    for (run, ago) in (1..=days).rev().enumerate() {
        let begin = today() - ago * DAY;
        let mut pipeline = pipeline(spool, 100 + run as u8);
        pipeline.begin(at(begin, 0)).unwrap();
        (0..seconds).for_each(|s| flows(&mut pipeline, at(begin + s, s), 100));
        pipeline.seal(UnixNanos((begin + seconds) * SECOND)).unwrap();
        drop(pipeline);
        for path in segments(spool) {
            let file = File::options().append(true).open(&path).unwrap();
            if file.metadata().unwrap().modified().unwrap() > stamp(today() - 60) {
                file.set_modified(stamp(begin + seconds)).unwrap();
            }
        }
    }
}

fn stamp(unix_s: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(unix_s.unsigned_abs())
}

fn segments(spool: &Path) -> Vec<PathBuf> {
    let paths = spool.read_dir().unwrap().map(|e| e.unwrap().path());
    let mut segments: Vec<PathBuf> = paths.filter(|p| p.extension().is_some_and(|e| e == "seg")).collect();
    segments.sort();
    segments
}

#[test]
fn a_flood_loses_detail_and_no_byte_and_the_days_before_and_after_have_theirs() {
    let home = tempfile::tempdir().unwrap();
    past(home.path(), 1, 60);
    let before: Vec<(PathBuf, Vec<u8>)> =
        segments(home.path()).into_iter().map(|p| (p.clone(), fs::read(p).unwrap())).collect();
    assert!(!before.is_empty());
    let old = books(home.path());

    let (now, seconds, each) = (today(), 400, 500_u32);
    let mut recorder = pipeline(home.path(), 1);
    recorder.make_room(at(now, 0));
    recorder.begin(at(now, 0)).unwrap();
    let mut ends = 0;
    for s in 0..seconds {
        flows(&mut recorder, at(now + s, s), each);
        ends += i64::from(recorder.keeping.is_shedding());
    }
    let kept = recorder.spool_use().kept;
    assert!(kept.only_sums && kept.removed_for_room == 0, "{kept:?}");
    assert!((100..390).contains(&ends), "{ends} of {seconds} seconds without detail");
    // The next day has detail again.
    recorder.commit(at(now + DAY - 1, DAY - 1)).unwrap();
    (0..60).for_each(|s| flows(&mut recorder, at(now + DAY + s, DAY + s), 100));
    assert!(!recorder.keeping.is_shedding());
    assert_eq!(recorder.health().losses().next().unwrap().0, "no-space");
    recorder.seal(at(now + DAY + 60, DAY + 60).wall).unwrap();
    drop(recorder);

    for (path, bytes) in &before {
        assert_eq!(&fs::read(path).unwrap(), bytes, "of the day before");
    }
    let all = books(home.path());
    let packets = |days: u64| all.usage.packets() - old.usage.packets() - days * 6_000;
    assert_eq!(packets(1), seconds as u64 * u64::from(each), "not a packet is missing");
    assert!(all.flows.len() < old.flows.len() + 6_000 + 400 * 500 / 2, "most have no flow of their own");
    let missing: u64 = all.gaps.iter().map(|(_, length)| length).sum();
    assert!(missing.abs_diff(ends as u64) <= 2, "{missing} s stated, {ends} s without detail");
    let total: u64 = segments(home.path()).iter().map(|p| p.metadata().unwrap().len()).sum();
    assert!(total <= KEEP.size_bytes, "{total}");
}

/// An interval of a flood takes more than there is left: what it will take counts before it is
/// written.
#[test]
fn detail_ends_before_an_interval_of_a_flood_is_written() {
    let home = tempfile::tempdir().unwrap();
    let now = today();
    let mut recorder = pipeline(home.path(), 1);
    recorder.make_room(at(now, 0));
    recorder.begin(at(now, 0)).unwrap();
    for s in 0..8 {
        for slice in 0..20 {
            send(&mut recorder, at(now + s, s), slice * 1_000..(slice + 1) * 1_000);
            recorder.commit(at(now + s, s)).unwrap();
        }
        flows(&mut recorder, at(now + s, s), 0);
    }
    assert!(recorder.keeping.is_shedding());
    recorder.seal(at(now + 8, 8).wall).unwrap();
    drop(recorder);
    let total: u64 = segments(home.path()).iter().map(|p| p.metadata().unwrap().len()).sum();
    // A day leaves room for its own sums, and for a segment that is open.
    let detail_bytes = KEEP.size_bytes - share_bytes(KEEP) - (128 << 10);
    assert!(total < detail_bytes + (32 << 10), "{total} of {detail_bytes}");
    assert_eq!(books(home.path()).usage.packets(), 8 * 20_000);
}

/// Removal by age takes hours; here they pass quickly.
fn hours(pipeline: &mut Pipeline, from: Moment, hours: i64) -> Moment {
    let mut at = from;
    for _ in 0..hours {
        at = Moment { wall: UnixNanos(at.wall.0 + 3_600 * SECOND), steady_ns: at.steady_ns + 3_600 * SECOND };
        pipeline.commit(at).unwrap();
        pipeline.rotate(at).unwrap();
    }
    at
}

#[test]
fn a_clock_that_jumps_ahead_for_six_seconds_or_for_hours_removes_nothing_at_once() {
    let home = tempfile::tempdir().unwrap();
    past(home.path(), 2, 2);
    let old = segments(home.path());
    let mut recorder = pipeline(home.path(), 1);
    let now = today();
    recorder.make_room(at(now, 0));
    recorder.begin(at(now, 0)).unwrap();
    let right = hours(&mut recorder, at(now, 0), 3);
    // 200 days ahead, for six seconds, with a rotation in each.
    for s in 0..6 {
        let wrong = Moment {
            wall: UnixNanos(right.wall.0 + (200 * DAY + s) * SECOND),
            steady_ns: right.steady_ns + s * SECOND,
        };
        recorder.commit(wrong).unwrap();
        recorder.rotate(wrong).unwrap();
    }
    let back = Moment { wall: UnixNanos(right.wall.0 + 7 * SECOND), steady_ns: right.steady_ns + 7 * SECOND };
    recorder.commit(back).unwrap();
    recorder.rotate(back).unwrap();
    assert!(old.iter().all(|p| p.exists()), "nothing went");
    assert_eq!(recorder.keeping.summary().removed_for_age, 0);

    // 200 days ahead, for good: of this boot all is young by the boot clock, and what is before it
    // may be as young.
    let wrong = Moment { wall: UnixNanos(back.wall.0 + 200 * DAY * SECOND), ..back };
    recorder.commit(wrong).unwrap();
    recorder.rotate(wrong).unwrap();
    assert!(old.iter().all(|p| p.exists()), "not within the first hour");
    hours(&mut recorder, wrong, 5);
    assert_eq!([0, 1].map(|n| old[n].exists()), [false, true]);
    let kept = recorder.keeping.summary();
    assert_eq!((kept.removed_for_age, kept.removed_for_room), (1, 0));
    assert!(kept.last_removed.unwrap().contains("older than 2 days by a clock that has been steady for 1 h"));
}

#[test]
fn of_what_is_too_old_one_goes_in_an_hour_in_the_order_of_the_segments() {
    let home = tempfile::tempdir().unwrap();
    past(home.path(), 9, 1);
    let old = segments(home.path());
    assert_eq!(old.len(), 9);
    let mut recorder = pipeline(home.path(), 1);
    let mut now = at(today(), 0);
    recorder.make_room(now);
    recorder.begin(now).unwrap();
    assert!(old.iter().all(|p| p.exists()), "who starts has seen no clock for long");
    assert_eq!(recorder.spool_use().kept.overdue, 6, "four to nine days ago; the next of each is old, too");
    // With the hours the one from three days ago becomes too old, whose next is from two days ago.
    for hour in 1..=9 {
        // Asked for more often than that.
        for _ in 0..4 {
            now = Moment { wall: UnixNanos(now.wall.0 + 900 * SECOND), steady_ns: now.steady_ns + 900 * SECOND };
            recorder.commit(now).unwrap();
            recorder.rotate(now).unwrap();
        }
        let left = old.iter().filter(|p| p.exists()).count();
        assert_eq!(left, 9 - hour.min(7), "hour {hour}");
        assert!(old[9 - left..].iter().all(|p| p.exists()), "the oldest first");
    }
}

#[test]
fn a_board_that_starts_in_1970_keeps_what_it_wrote_before_its_clock_was_set_and_stamps_it_anew() {
    for (first, then) in [(5, today()), (today() - 365 * DAY, today()), (today() + 900 * DAY, today())] {
        let home = tempfile::tempdir().unwrap();
        let mut recorder = pipeline(home.path(), 1);
        recorder.begin(at(first, 10)).unwrap();
        flows(&mut recorder, at(first, 10), 10);
        recorder.rotate(at(first + 600, 610)).unwrap();
        let early = segments(home.path());
        File::options().append(true).open(&early[0]).unwrap().set_modified(stamp(first + 600)).unwrap();
        // As the kernel would have stamped it.
        drop(recorder);
        let mut recorder = pipeline(home.path(), 1);
        recorder.begin(at(first + 700, 710)).unwrap();
        recorder.commit(at(first + 701, 711)).unwrap();
        recorder.commit(at(then, 712)).unwrap();
        let stamped = early[0].metadata().unwrap().modified().unwrap();
        let away = stamped.max(stamp(then - 102)).duration_since(stamped.min(stamp(then - 102))).unwrap();
        assert!(away < Duration::from_secs(3), "{first}: {away:?}");
        hours(&mut recorder, at(then, 712), 30);
        assert!(early[0].exists());
        assert_eq!(recorder.keeping.summary().removed_for_age, 0);
        drop(recorder);
        // The next boot, with a clock that is right: it is as old as it is.
        let mut recorder = pipeline(home.path(), 2);
        recorder.begin(at(then + DAY, 5)).unwrap();
        hours(&mut recorder, at(then + DAY, 5), 3);
        assert!(early[0].exists(), "a day");
    }
}
