//! The loop, with a script in the place of a capture and clocks that are set by hand.

use super::*;
use crate::counters;
use crate::pipeline::Plan;
use crate::ports::Port;
use crate::rotate::Rotation;
use crate::script::Script;
use crate::spool::Spool;
use imon_common::observe::{Count, Counter, GapReason};
use imon_common::packet::LinkType;
use imon_common::segment::{SegmentEnd, SegmentReader};
use std::cell::Cell;
use std::fs::File;
use std::rc::Rc;

/// Takes the counts out of a segment.
#[derive(Default)]
struct Counts(Vec<Count>);

impl imon_common::observe::Observer for Counts {
    type Error = ();
    fn name(&mut self, _: &imon_common::flow::Flow, _: &imon_common::names::NameSeen) -> Result<(), ()> {
        Ok(())
    }
    fn usage(&mut self, _: &imon_common::flow::Flow, _: UnixNanos, _: imon_common::observe::Usage) -> Result<(), ()> {
        Ok(())
    }
    fn counts(&mut self, _: UnixNanos, counts: &[Count]) -> Result<(), ()> {
        self.0.extend(counts);
        Ok(())
    }
}

fn recording(home: &std::path::Path, source: &Script) -> Recording<Script> {
    recording_by(Box::new(Now::read), home, source)
}

fn recording_by(clock: Clock, home: &std::path::Path, source: &Script) -> Recording<Script> {
    let counters = counters::Interface::none();
    let port = Port::new((Task::Traffic, "test0"), (source.clone(), counters), None, Now::read().unwrap());
    recording_of(clock, home, port)
}

fn recording_of(clock: Clock, home: &std::path::Path, port: Port<Script>) -> Recording<Script> {
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
    let pipeline = Pipeline::new(Spool::open(home, None).unwrap(), plan).unwrap();
    let watch = AddressWatch::new(crate::netlink::Netlink::open().unwrap(), &["lo".into()], Vec::new());
    Recording::begin_at(clock, Ports::new(vec![port]), (pipeline, watch), SECOND).unwrap()
}

/// Counts of all sealed segments.
fn counts_in(home: &std::path::Path) -> Vec<Count> {
    let mut counts = Counts::default();
    for entry in home.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "seg") {
            let report = SegmentReader::open(File::open(path).unwrap()).unwrap().read(&mut counts).unwrap();
            assert!(matches!(report.end, SegmentEnd::Sealed { .. }), "{:?}", report.end);
        }
    }
    counts.0
}

fn of(counts: &[Count], counter: Counter) -> impl Iterator<Item = &Count> {
    counts.iter().filter(move |c| c.counter == counter)
}

fn sum(counts: &[Count], counter: Counter) -> u64 {
    of(counts, counter).map(|c| c.packets).sum()
}

#[test]
fn packets_come_together_for_a_quarter_of_the_ring_and_not_for_long() {
    let (home, now) = (tempfile::tempdir().unwrap(), Now::read().unwrap());
    let mut recording = recording(home.path(), &Script::new(&[], 0, 0));
    let mut pace = |handled: usize, bytes_each: usize, in_ms: i64| {
        (recording.waited, recording.handled, recording.handled_bytes) = (now, handled, handled * bytes_each);
        recording.paced = LONGEST_PACE;
        let pace = recording.pace(Now { boot_ns: now.boot_ns + in_ms * 1_000_000, ..now });
        assert_eq!((recording.handled, recording.handled_bytes), (0, 0));
        pace.as_millis()
    };
    assert_eq!(pace(0, 300, 250), 1, "nothing came: who waits for the first packet waits for it alone");
    assert_eq!(pace(100, 300, 100), 10, "a thousand packets a second");
    assert_eq!(pace(10_000, 300, 100), 100, "100,000");
    assert_eq!(pace(100_000, 300, 100), 27, "a million");
    assert_eq!(pace(20_000, 1_610, 100), 26, "200,000 full frames, copied whole");
}

#[test]
fn a_flood_after_silence_is_measured_before_it_is_let_come_together_for_long() {
    let (home, now) = (tempfile::tempdir().unwrap(), Now::read().unwrap());
    let mut recording = recording(home.path(), &Script::new(&[], 0, 0));
    let mut pace = |handled: usize| {
        (recording.waited, recording.handled, recording.handled_bytes) = (now, handled, handled * 224);
        recording.pace(Now { boot_ns: now.boot_ns + 100_000_000, ..now }).as_millis()
    };
    assert_eq!(pace(10), 10);
    // The first block of the flood is full; for nearly all of the time there was nothing.
    assert_eq!([(); 5].map(|()| pace(2_000)), [20, 40, 80, 100, 100]);
    assert_eq!([pace(0), pace(2_000)], [1, 20], "silence again");
}

#[test]
fn the_stop_counts_what_came_before_and_leaves_out_what_came_after() {
    let home = tempfile::tempdir().unwrap();
    let now = Now::read().unwrap().wall;
    let after = UnixNanos(now.0 + 60_000_000_000);
    let mut recording = recording(home.path(), &Script::new(&[now, after, now], 3, 0));
    recording.stop().unwrap();
    assert_eq!(recording.pipeline.totals().packets, 2);
    let counts = counts_in(home.path());
    assert_eq!(sum(&counts, Counter::KernelReceived), 3);
    assert_eq!(sum(&counts, Counter::KernelDropped), 0);
}

#[test]
fn what_is_left_in_the_ring_is_recorded_as_lost() {
    let home = tempfile::tempdir().unwrap();
    let source = Script::new(&[], 1_000_000, 7);
    source.state.borrow_mut().endless = true;
    let mut recording = recording(home.path(), &source);
    let began = Now::read().unwrap();
    recording.stop().unwrap();
    assert!(Now::read().unwrap().since(began) < Duration::from_secs(1));
    let counts = counts_in(home.path());
    let delivered = recording.pipeline.totals().packets;
    assert_eq!(sum(&counts, Counter::KernelDropped), 1_000_000 - delivered);
    assert_eq!(recording.ports.lost().kernel_dropped, 1_000_000 - delivered);
}

#[test]
fn a_rotation_neither_loses_nor_doubles() {
    let home = tempfile::tempdir().unwrap();
    let now = Now::read().unwrap().wall;
    let source = Script::new(&[now; 100], 100, 0);
    let mut recording = recording(home.path(), &source);
    for _ in 0..3 {
        recording.turn().unwrap();
        recording.rotate().unwrap();
        source.state.borrow_mut().stamps.extend([now; 10]);
    }
    source.state.borrow_mut().stats.received += 30;
    recording.stop().unwrap();
    let counts = counts_in(home.path());
    assert_eq!(recording.pipeline.sealed_segments(), 4);
    assert_eq!(sum(&counts, ARP_FRAMES), 130);
    assert_eq!(sum(&counts, Counter::KernelReceived), 130);
}

#[test]
fn who_is_behind_looks_for_no_names_until_the_ring_is_empty_again() {
    let home = tempfile::tempdir().unwrap();
    let now = Now::read().unwrap().wall;
    let batches = BEHIND as usize + 3;
    let mut recording = recording(home.path(), &Script::new(&vec![now; batches * BATCH + 1], 0, 0));
    for turn in 1..=batches {
        assert_eq!(recording.turn().unwrap(), BATCH);
        assert_eq!(recording.pipeline.looks_for_names(), turn < BEHIND as usize, "{turn}");
    }
    assert_eq!(recording.turn().unwrap(), 1);
    assert!(recording.pipeline.looks_for_names());
}

#[test]
fn the_disk_is_waited_for_when_the_ring_is_empty_or_will_not_be_soon() {
    let home = tempfile::tempdir().unwrap();
    let (hands, source) = (Hands::new(), Script::new(&[], 0, 0));
    let mut recording = recording_by(hands.clock(), home.path(), &source);
    let first = recording.current;
    let mut after = |batches: usize| {
        hands.pass(2 * SECOND);
        source.state.borrow_mut().stamps.extend(vec![hands.0.get().wall; batches * BATCH]);
        let before = recording.current;
        let turns = (1..).find(|_| {
            recording.turn().unwrap();
            recording.current != before
        });
        source.state.borrow_mut().stamps.clear();
        recording.turn().unwrap();
        turns
    };
    assert_eq!(after(0), Some(1));
    assert_eq!(after(3), Some(4), "three full batches, then none");
    assert_eq!(after(100), Some(BEHIND as usize), "behind");
    assert!(recording.current > first);
}

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3_600 * SECOND;

const ARP_FRAMES: Counter = Counter::NotIp(imon_common::wire::NotIp::EtherType(0x0806));

/// Three clocks that the test sets. Each look at them takes a millisecond.
#[derive(Clone)]
struct Hands(Rc<Cell<Now>>);

impl Hands {
    fn new() -> Self {
        let wall = UnixNanos(1_790_000_000 * SECOND);
        Self(Rc::new(Cell::new(Now { wall, awake_ns: 50 * HOUR, boot_ns: 60 * HOUR })))
    }

    fn clock(&self) -> Clock {
        let hands = self.clone();
        Box::new(move || {
            hands.pass(1_000_000);
            Ok(hands.0.get())
        })
    }

    fn turn(&self, wall_ns: i64, awake_ns: i64, boot_ns: i64) {
        let Now { wall, awake_ns: awake, boot_ns: boot } = self.0.get();
        let wall = UnixNanos(wall.0 + wall_ns);
        self.0.set(Now { wall, awake_ns: awake + awake_ns, boot_ns: boot + boot_ns });
    }

    fn pass(&self, ns: i64) {
        self.turn(ns, ns, ns);
    }

    fn sleep(&self, ns: i64) {
        self.turn(ns, 0, ns);
    }

    fn step(&self, ns: i64) {
        self.turn(ns, 0, 0);
    }
}

/// A packet now, and the loop for two seconds.
fn two_seconds(recording: &mut Recording<Script>, source: &Script, hands: &Hands) {
    source.state.borrow_mut().stamps.push_back(hands.0.get().wall);
    source.state.borrow_mut().stats.received += 1;
    for _ in 0..8 {
        recording.turn().unwrap();
        hands.pass(SECOND / 4);
    }
}

#[test]
fn a_clock_set_by_hours_either_way_and_a_night_asleep_are_gaps_and_cost_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (hands, source) = (Hands::new(), Script::new(&[], 0, 0));
    let mut recording = recording_by(hands.clock(), home.path(), &source);
    let start = hands.0.get().wall;
    two_seconds(&mut recording, &source, &hands);
    hands.step(2 * HOUR);
    two_seconds(&mut recording, &source, &hands);
    // What is pending when the clock goes back is written, though no packet ends its interval,
    // which lies in the future.
    source.state.borrow_mut().stamps.push_back(hands.0.get().wall);
    source.state.borrow_mut().stats.received += 1;
    recording.turn().unwrap();
    hands.step(-2 * HOUR);
    for _ in 0..8 {
        recording.turn().unwrap();
        hands.pass(SECOND / 4);
    }
    let mut written = Counts::default();
    let part = home.path().join(recording.pipeline.open_file().unwrap().name);
    SegmentReader::open(File::open(part).unwrap()).unwrap().read(&mut written).unwrap();
    assert_eq!(sum(&written.0, ARP_FRAMES), 3);
    hands.step(-2 * HOUR);
    two_seconds(&mut recording, &source, &hands);
    assert!(!recording.pipeline.rotation_due(hands.0.get().boot_ns), "age is not told by the wall clock");
    hands.sleep(8 * HOUR);
    two_seconds(&mut recording, &source, &hands);
    assert!(recording.pipeline.rotation_due(hands.0.get().boot_ns));
    recording.stop().unwrap();

    let counts = counts_in(home.path());
    assert_eq!(sum(&counts, ARP_FRAMES), 5);
    assert_eq!(sum(&counts, Counter::KernelReceived), 5);
    let lengths = |reason| of(&counts, Counter::Gap(reason)).map(|c| c.bytes as i64 / SECOND).collect::<Vec<_>>();
    // Forward a hole; backward none, but told.
    assert_eq!(lengths(GapReason::ClockStep), [7_200, 0, 0]);
    assert_eq!(lengths(GapReason::Suspend), [8 * 3_600]);
    assert!(hands.0.get().wall.since(start) > 6 * HOUR);
}

#[test]
fn a_link_that_was_down_before_is_a_gap_from_the_beginning_of_the_recording_on() {
    let home = tempfile::tempdir().unwrap();
    let (hands, source) = (Hands::new(), Script::new(&[], 0, 0));
    let down = crate::interface::Interface { name: "test0".into(), up: true, ..Default::default() };
    let port = (source.clone(), counters::Interface::none());
    let port = Port::new((Task::Traffic, "test0"), port, Some(&down), hands.0.get());
    hands.pass(5 * SECOND);
    let mut recording = recording_of(hands.clock(), home.path(), port);
    two_seconds(&mut recording, &source, &hands);
    recording.stop().unwrap();
    let counts = counts_in(home.path());
    let gaps: Vec<_> = of(&counts, Counter::Gap(GapReason::LinkDown)).map(|c| c.bytes as i64 / SECOND).collect();
    assert_eq!(gaps, [2]);
}

#[test]
fn a_day_without_a_packet_is_sealed_every_hour_and_has_no_gap() {
    let home = tempfile::tempdir().unwrap();
    let (hands, source) = (Hands::new(), Script::new(&[], 0, 0));
    let mut recording = recording_by(hands.clock(), home.path(), &source);
    for _ in 0..24 * 360 {
        recording.turn().unwrap();
        hands.pass(10 * SECOND);
        if recording.pipeline.rotation_due(recording.now.boot_ns) {
            recording.rotate().unwrap();
        }
    }
    two_seconds(&mut recording, &source, &hands);
    recording.stop().unwrap();
    assert!((24..=25).contains(&recording.pipeline.sealed_segments()));
    let counts = counts_in(home.path());
    let counts: Vec<Count> = counts.into_iter().filter(|c| c.counter != Counter::RecordedTo).collect();
    assert_eq!(counts.len(), 2, "one packet, as the capture and as the kernel count it: {counts:?}");
}

/// Everything that is in the open segment's file: frames without IP, and until when it says that it
/// has all.
fn in_file(recording: &Recording<Script>, home: &std::path::Path) -> (u64, Option<UnixNanos>) {
    let mut counts = Counts::default();
    let part = home.join(recording.pipeline.open_file().unwrap().name);
    let report = SegmentReader::open(File::open(part).unwrap()).unwrap().read(&mut counts).unwrap();
    (sum(&counts.0, ARP_FRAMES), report.recorded_to)
}

#[test]
fn what_was_seen_is_in_the_file_before_it_is_a_second_old_and_is_written_twice_an_interval() {
    for phase_ms in [0, 130, 480, 770, 950] {
        let home = tempfile::tempdir().unwrap();
        let (hands, source) = (Hands::new(), Script::new(&[], 0, 0));
        hands.pass(phase_ms * 1_000_000);
        let mut recording = recording_by(hands.clock(), home.path(), &source);
        let (mut sent, mut writes) = (Vec::new(), 0);
        let mut before = 0;
        // A packet every 10 ms that the ring hands over 200 ms later, and a turn at the longest
        // pace after each waiting.
        for turn in 0..100 {
            let now = hands.0.get().wall;
            for n in 0..10 {
                sent.push(UnixNanos(now.0 - 200_000_000 + n * 10_000_000));
            }
            source.state.borrow_mut().stamps.extend(&sent[sent.len() - 10..]);
            recording.turn().unwrap();
            let (kept, to) = in_file(&recording, home.path());
            // Before the next turn, when it would be written next, a kill costs this much.
            let killed = UnixNanos(hands.0.get().wall.0 + 100_000_000);
            let oldest = sent.get(kept as usize).copied().unwrap_or(killed);
            assert!(
                turn < 12 || killed.since(oldest) < SECOND,
                "phase {phase_ms}, turn {turn}: {} ms",
                killed.since(oldest) / 1_000_000
            );
            // What it says that it has it has, but for what the kernel still held.
            assert!(to.is_none_or(|to| sent.iter().take_while(|ts| **ts < to).count() as u64 <= kept), "turn {turn}");
            writes += u32::from(kept != before);
            before = kept;
            let pause = recording.wait_time(hands.0.get()).min(LONGEST_PACE);
            hands.pass(i64::try_from(pause.as_nanos()).unwrap().max(95_000_000));
        }
        assert!((18..=21).contains(&writes), "phase {phase_ms}: {writes} writes in 9.6 s");
    }
}

#[test]
fn who_has_nothing_to_save_saves_nothing_and_wakes_for_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (hands, source) = (Hands::new(), Script::new(&[], 0, 0));
    let mut recording = recording_by(hands.clock(), home.path(), &source);
    let length = |recording: &Recording<Script>| recording.pipeline.open_file().unwrap().len_bytes;
    let empty = length(&recording);
    for _ in 0..100 {
        recording.turn().unwrap();
        assert_eq!(recording.unsaved_since_ns, None);
        hands.pass(SECOND / 4);
    }
    assert_eq!(length(&recording), empty);
    // One packet is one write, and then there is nothing again.
    source.state.borrow_mut().stamps.push_back(hands.0.get().wall);
    let mut lengths = vec![empty];
    for _ in 0..100 {
        recording.turn().unwrap();
        lengths.push(length(&recording));
        hands.pass(SECOND / 20);
    }
    lengths.dedup();
    assert_eq!((lengths.len(), recording.unsaved_since_ns), (2, None));
}
