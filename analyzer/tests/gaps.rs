//! A gap is a fact: what was not recorded between segments is in every report, whatever door the
//! segments came through, in whatever order and in however many pieces.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use imon_common::observe::{Count, Counter, Observer as _, RunBefore, Usage};
use imon_common::segment::{SegmentClose, SegmentHeader, SegmentWriter};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use serde_json::Value;
use std::path::PathBuf;
use support::{Home, flow, segment_header};

/// 2026-09-21T14:15:00Z.
const START: i64 = 1_790_000_100;
const DAY: &str = "--from 2026-09-21 --to 2026-09-21 --format json";

fn at(second: i64) -> UnixNanos {
    UnixNanos((START + second) * NANOS_PER_SECOND)
}

/// A segment to be: of which recorder and run, where in the row, from when to when, how it ends,
/// what it says.
#[derive(Clone)]
struct Plan {
    header: SegmentHeader,
    from: i64,
    to: i64,
    close: Option<SegmentClose>,
    says: Vec<Count>,
}

impl Plan {
    fn new(recorder: u8, run: u8, sequence: u64, from: i64, to: i64) -> Self {
        let id = |sequence: u64| [recorder * 16 + sequence as u8; 16];
        let header = SegmentHeader {
            run: [run; 16],
            boot: [0xb0; 16],
            monotonic_start_ns: (1_000_000 + from) as u64 * 1_000_000_000,
            before: sequence.checked_sub(1).map_or([0; 16], id),
            interface: format!("eth{recorder}"),
            ..segment_header(id(sequence), [recorder; 16], sequence, at(from))
        };
        let close = SegmentClose { recorded_to: Some(at(to)), ..SegmentClose::default() };
        Self { header, from, to, close: Some(close), says: Vec::new() }
    }

    fn stopped(mut self) -> Self {
        self.close.as_mut().unwrap().stop_requested = true;
        self
    }

    fn killed(self) -> Self {
        Self { close: None, ..self }
    }

    fn booted(mut self, boot: u8) -> Self {
        self.header.boot = [boot; 16];
        self
    }

    fn says(mut self, counter: Counter, packets: u64, bytes: u64) -> Self {
        self.says.push(Count { counter, packets, bytes });
        self
    }

    fn knows(mut self, to: i64, elapsed: Option<i64>) -> Self {
        let elapsed_ns = elapsed.map(|seconds| seconds * NANOS_PER_SECOND);
        let before =
            RunBefore { to: at(to), requested: false, sealed: false, rebooted: false, failed: false, elapsed_ns };
        self.says.push(before.to_count(self.header.start));
        self
    }

    fn name(&self) -> String {
        format!("{}.seg", self.header.file_stem())
    }

    /// A packet of 100 bytes in each second.
    fn bytes(&self) -> Vec<u8> {
        let mut writer = SegmentWriter::create(Vec::new(), &self.header).unwrap();
        writer.counts(self.header.start, &self.says).unwrap();
        for second in self.from..self.to {
            let usage = Usage { up_packets: 1, up_bytes: 100, ..Usage::default() };
            writer.usage(&flow(1, at(0)), at(second), usage).unwrap();
        }
        match &self.close {
            Some(close) => writer.close(close).unwrap().0,
            None => {
                writer.commit().unwrap();
                writer.get_ref().clone()
            }
        }
    }
}

/// What a report says of time: gaps, what was recorded, what is torn, what was lost in memory.
fn of_time(json: &str) -> [Value; 4] {
    let value: Value = serde_json::from_str(json).unwrap();
    ["gaps", "recorded", "torn", "unsaved_packets"].map(|name| value["ledger"][name].clone())
}

/// What is said of these files, the same through every door, in every order and cut.
fn said(files: &[(String, Vec<u8>)]) -> [Value; 4] {
    let home = Home::in_memory();
    let paths: Vec<PathBuf> = files.iter().map(|(name, bytes)| home.write(&format!("spool/{name}"), bytes)).collect();
    let expected = of_time(&home.ok(&format!("report spool {DAY}")));
    let stored = |database: &str| of_time(&home.ok(&format!("report --database {database} --spool none {DAY}")));
    home.write("none/empty", b"");
    home.ok("ingest spool --database all.db");
    assert_eq!(stored("all.db"), expected, "all at once");
    home.ok("rebuild --database all.db");
    assert_eq!(stored("all.db"), expected, "rebuilt");
    for (database, backward) in [("forward.db", false), ("backward.db", true)] {
        let mut paths = paths.clone();
        if backward {
            paths.reverse();
        }
        for path in &paths {
            home.ok(&format!("ingest {} --database {database}", path.display()));
        }
        assert_eq!(stored(database), expected, "{database}");
    }
    // Each file with half of its blocks, then whole, as while it is recorded.
    for (name, bytes) in files {
        let header_len = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
        home.write(&format!("grown/{name}"), &bytes[..header_len.midpoint(bytes.len())]);
        home.ok("ingest grown --database grown.db");
        home.write(&format!("grown/{name}"), bytes);
    }
    home.ok("ingest grown --database grown.db");
    assert_eq!(stored("grown.db"), expected, "grown");
    expected
}

fn gaps(plans: &[Plan]) -> Vec<(i64, i64, String, String)> {
    let files: Vec<_> = plans.iter().map(|plan| (plan.name(), plan.bytes())).collect();
    listed(&said(&files)[0])
}

fn seconds(value: &Value) -> i64 {
    let at: jiff::Timestamp = value.as_str().unwrap().parse().unwrap();
    at.as_second() - START
}

fn listed(gaps: &Value) -> Vec<(i64, i64, String, String)> {
    let gap = |gap: &Value| {
        let text = |name: &str| gap[name].as_str().unwrap_or_default().to_owned();
        (seconds(&gap["from"]), seconds(&gap["to"]), text("reason"), text("interface"))
    };
    gaps.as_array().unwrap().iter().map(gap).collect()
}

fn gap(from: i64, to: i64, reason: &str) -> (i64, i64, String, String) {
    (from, to, reason.into(), "eth1".into())
}

#[test]
fn a_kill_a_stop_and_a_reboot_are_gaps_with_their_reasons() {
    let all = [
        Plan::new(1, 1, 0, 0, 20).killed(),
        Plan::new(1, 2, 1, 28, 40).knows(20, Some(8)).stopped(),
        Plan::new(1, 3, 2, 100, 110).knows(40, Some(60)).killed(),
        Plan::new(1, 4, 3, 150, 160).booted(0xb1).stopped(),
    ];
    assert_eq!(
        gaps(&all),
        [gap(20, 28, "interrupted"), gap(40, 100, "not-recording"), gap(110, 150, "reboot")],
        "what the end block says of a stop counts, whatever the next run knew"
    );
}

#[test]
fn missing_segments_are_gaps_and_why_they_are_missing_is_said_where_it_is_known() {
    let run = |n: u64| Plan::new(1, 1, n, n as i64 * 10, n as i64 * 10 + 10);
    assert_eq!(gaps(&[run(0), run(1), run(2)]), []);
    assert_eq!(gaps(&[run(0), run(2)]), [gap(10, 20, "missing")]);
    // The recorder says later what it removed.
    let says = run(7).says(Counter::Removed(1), 2, 5_000).says(Counter::NeverWritten(6), 1, 0);
    assert_eq!(gaps(&[run(0), run(3), run(5), says]), [gap(10, 30, "removed"), gap(40, 50, "missing")]);
}

#[test]
fn two_recorders_in_one_tree_are_followed_each_for_itself() {
    let other = |name: String| format!("wlan0/{name}");
    let plans = [
        Plan::new(1, 1, 0, 0, 20).killed(),
        Plan::new(2, 9, 0, 5, 30).stopped(),
        Plan::new(1, 2, 1, 28, 40).stopped(),
        Plan::new(2, 8, 1, 50, 60).stopped(),
    ];
    let files: Vec<_> =
        plans.iter().map(|p| (if p.header.recorder[0] == 2 { other(p.name()) } else { p.name() }, p.bytes())).collect();
    let said = said(&files);
    let of_other = (30, 50, "not-recording".to_owned(), "eth2".to_owned());
    assert_eq!(listed(&said[0]), [gap(20, 28, "interrupted"), of_other]);
    assert_eq!(said[1].as_array().unwrap().len(), 4, "{}", said[1]);
}

#[test]
fn a_clock_that_is_set_between_two_runs_hides_no_pause_and_makes_none() {
    let first = || Plan::new(1, 1, 0, 0, 20).killed();
    let second = |start: i64, elapsed| Plan::new(1, 2, 1, start, start + 5).knows(20, Some(elapsed)).stopped();
    assert_eq!(gaps(&[first(), second(628, 8)]), [gap(20, 620, "clock-step"), gap(620, 628, "interrupted")]);
    assert_eq!(gaps(&[first(), second(10, 8)]), [gap(2, 10, "interrupted"), gap(20, 20, "clock-step")]);
}

#[test]
fn what_waited_in_memory_on_a_full_disk_and_was_lost_is_a_line_of_the_ledger() {
    let plans =
        [Plan::new(1, 1, 0, 0, 20).killed(), Plan::new(1, 2, 1, 50, 60).knows(22, None).says(Counter::Unsaved, 7, 700)];
    let files: Vec<_> = plans.iter().map(|plan| (plan.name(), plan.bytes())).collect();
    let said = said(&files);
    assert_eq!((listed(&said[0]), said[3].as_u64()), (vec![gap(22, 50, "interrupted")], Some(7)));
    let home = Home::new();
    for (name, bytes) in &files {
        home.write(&format!("spool/{name}"), bytes);
    }
    let text = home.ok("report spool");
    let line = text.lines().find(|line| line.starts_with("lost in memory")).unwrap_or_else(|| panic!("{text}"));
    assert!(line.contains("700") && line.ends_with('7'), "{line}");
}

#[test]
fn a_torn_segment_is_named_and_a_range_that_was_recorded_in_part_says_which() {
    let home = Home::new();
    let whole = Plan::new(1, 1, 0, 0, 20).killed().bytes();
    home.write("spool/a.part", &whole[..whole.len() - 3]);
    let next = Plan::new(1, 2, 1, 3_600, 3_700).stopped();
    home.write("spool/b.seg", &next.bytes());
    let text = home.ok("report spool --from 2026-09-21 --to 2026-09-22");
    assert!(
        text.contains("\nrecorded: 2026-09-21T14:15:00+00:00 to 2026-09-21T15:16:40+00:00, with a pause\n"),
        "{text}"
    );
    assert!(text.contains("torn: segment 10101010-1010-1010-1010-101010101010 of eth1 ends inside a block; its records go to 2026-09-21T14:15:19+00:00"), "{text}");
    assert!(text.contains("gap: 2026-09-21T14:15:19+00:00 to 2026-09-21T15:15:00+00:00 (interrupted)"), "{text}");
    // A day on which nobody recorded: the gap, as far as it lies there, and nothing else.
    let last = Plan::new(1, 3, 2, 3 * 86_400, 3 * 86_400 + 10).stopped();
    home.write("spool/c.seg", &last.bytes());
    for door in ["spool", "--spool spool"] {
        let text = home.ok(&format!("report {door} --from 2026-09-22 --to 2026-09-22"));
        assert!(text.contains("nothing was recorded in this range"), "{text}");
        let of_that_day = "gap: 2026-09-22T00:00:00+00:00 to 2026-09-23T00:00:00+00:00 (not-recording)\n";
        assert!(text.contains(of_that_day) && !text.contains("torn"), "{door}: {text}");
    }
    // What was recorded as a whole says nothing of it.
    let text = home.ok("report spool/b.seg");
    assert!(!text.contains("recorded:") && text.contains("no gaps"), "{text}");
}

#[test]
fn status_lists_gaps_and_each_source_has_the_one_before_it() {
    let home = Home::in_memory();
    for plan in [Plan::new(1, 1, 0, 0, 20).killed(), Plan::new(1, 2, 1, 28, 40).knows(20, Some(8))] {
        home.write(&format!("spool/{}", plan.name()), &plan.bytes());
    }
    home.ok("ingest spool --database imon.db");
    let text = home.ok("status --database imon.db");
    assert!(
        text.contains(
            "gaps      1 between segments\n  2026-09-21T14:15:20.000000000Z .. 2026-09-21T14:15:28.000000000Z  interrupted, eth1\n"
        ),
        "{text}"
    );
    let lines = home.ok("status --database imon.db --format json");
    let of = |line: &str| serde_json::from_str::<Value>(line).unwrap()["gap_before_reason"].clone();
    assert_eq!(lines.lines().map(of).collect::<Vec<_>>(), [Value::Null, "interrupted".into()]);
}

#[test]
fn what_was_pruned_is_no_segment_that_somebody_took() {
    let home = Home::in_memory();
    let day = 86_400;
    let plans = [0, 1, 2].map(|n| Plan::new(1, 1, n as u64, n * day, n * day + 20));
    for plan in &plans {
        home.write(&format!("spool/{}", plan.name()), &plan.bytes());
    }
    home.ok("ingest spool --database imon.db");
    home.ok("prune --database imon.db --before 2026-09-22");
    let all = "--from 2026-09-20 --to 2026-09-30 --format json";
    let said = || of_time(&home.ok(&format!("report --database imon.db --spool none {all}")));
    home.write("none/empty", b"");
    assert_eq!(said()[0], serde_json::json!([]));
    // The one in the middle, in a database of its own: it is not there, and was not pruned either.
    home.ok(&format!("ingest spool/{} spool/{} --database two.db", plans[0].name(), plans[2].name()));
    let two = of_time(&home.ok(&format!("report --database two.db --spool none {all}")));
    assert_eq!(listed(&two[0]), [gap(20, 2 * day, "missing")]);
}

#[test]
fn a_segment_that_was_cut_after_it_was_sealed_is_damage_and_a_damaged_one_is_a_gap_through_every_door() {
    let first = Plan::new(1, 1, 0, 0, 20);
    let mut next = Plan::new(1, 1, 1, 60, 70);
    next.header.before_hash = [7; 32];
    let whole = first.bytes();
    // Without the end block.
    let end = whole.windows(4).rposition(|window| window == b"IMBK").unwrap();
    let files = [(first.name(), whole[..end].to_vec()), (next.name(), next.bytes())];
    assert_eq!(listed(&said(&files)[0]), [gap(20, 60, "damaged")]);
    // In a group that is damaged in its middle.
    let home = Home::new();
    let mut damaged = whole.clone();
    let middle = whole.len() / 2;
    damaged[middle] ^= 1;
    home.write("spool/damaged.seg", &damaged);
    let direct = home.analyze(format!("report spool/damaged.seg {DAY}").split(' '));
    let stored = home.analyze(format!("report --spool spool {DAY}").split(' '));
    assert_eq!((direct.code, stored.code), (Some(3), Some(3)));
    let (direct, stored) = (of_time(&direct.out), of_time(&stored.out));
    assert_eq!(direct, stored);
    assert!(direct[0].to_string().contains("damaged"), "{}", direct[0]);
}
