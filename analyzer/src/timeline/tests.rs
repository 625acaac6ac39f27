use super::*;
use jiff::tz::TimeZone;

const SECOND: i64 = NANOS_PER_SECOND;
const ME: [u8; 16] = [1; 16];

fn at(second: i64) -> UnixNanos {
    UnixNanos((1_790_000_000 + second) * SECOND)
}

/// Segment `sequence` of a run, from second to second: sealed, and not the last one.
fn segment(run: u8, sequence: u64, start: i64, to: i64) -> Recorded {
    Recorded {
        recorder: ME,
        run: [run; 16],
        sequence,
        segment: [100 + sequence as u8; 16],
        before: sequence.checked_sub(1).map_or([0; 16], |before| [100 + before as u8; 16]),
        before_sealed: sequence > 0,
        boot: [9; 16],
        interface: "eth0".into(),
        start: at(start),
        to: at(to),
        ended: Ended::Sealed,
        stop_requested: false,
        run_before: None,
        followed_by: 0,
    }
}

fn stopped(segment: Recorded) -> Recorded {
    Recorded { stop_requested: true, ..segment }
}

fn killed(segment: Recorded) -> Recorded {
    Recorded { ended: Ended::Open, ..segment }
}

/// What it knows of the run before: until which second it recorded, and for how long nobody did.
fn knows(segment: Recorded, to: i64, elapsed: Option<i64>) -> Recorded {
    let elapsed_ns = elapsed.map(|seconds| seconds * SECOND);
    let run_before =
        RunBefore { to: at(to), requested: false, sealed: false, rebooted: false, failed: false, elapsed_ns };
    Recorded { before_sealed: false, run_before: Some(run_before), ..segment }
}

fn gone(first: u64, segments: u64, why: Why) -> Gone {
    Gone { recorder: ME, first, segments, why }
}

type Short = (i64, i64, String);

/// Gaps in seconds, the same whatever order the segments come in.
fn gaps(segments: &[Recorded], gone: &[Gone]) -> Vec<Short> {
    let timeline = Timeline::of(segments, gone);
    let turned: Vec<Recorded> = segments.iter().rev().cloned().collect();
    assert_eq!(Timeline::of(&turned, gone), timeline);
    let second = |at: UnixNanos| at.0 / SECOND - 1_790_000_000;
    timeline.gaps.iter().map(|gap| (second(gap.from), second(gap.to), gap.reason.clone())).collect()
}

fn spans(segments: &[Recorded]) -> Vec<(i64, i64)> {
    let second = |at: UnixNanos| at.0 / SECOND - 1_790_000_000;
    Timeline::of(segments, &[]).recorded.iter().map(|span| (second(span.from), second(span.to))).collect()
}

fn gap(from: i64, to: i64, reason: &str) -> Short {
    (from, to, reason.into())
}

#[test]
fn a_run_has_no_gaps_and_is_one_span_though_nothing_came_for_long() {
    let run = [segment(1, 0, 0, 100), killed(segment(1, 1, 3_600, 3_700)), segment(1, 2, 7_200, 9_000)];
    // The second one had no room for its end block: its recorder went on and does not know its
    // hash.
    let mut run = run.to_vec();
    run[2].before_sealed = false;
    assert_eq!(gaps(&run, &[]), []);
    assert_eq!(spans(&run), [(0, 9_000)]);
}

#[test]
fn how_a_run_ended_is_why_nothing_was_recorded_until_the_next() {
    let next = segment(2, 1, 50, 60);
    let after = |before: Recorded, next: Recorded| gaps(&[before, next], &[]);
    assert_eq!(after(stopped(segment(1, 0, 0, 10)), next.clone()), [gap(10, 50, "not-recording")]);
    assert_eq!(after(killed(segment(1, 0, 0, 10)), next.clone()), [gap(10, 50, "interrupted")]);
    assert_eq!(
        after(Recorded { ended: Ended::Torn, ..segment(1, 0, 0, 10) }, next.clone()),
        [gap(10, 50, "interrupted")]
    );
    let other_boot = Recorded { boot: [8; 16], ..next.clone() };
    assert_eq!(after(killed(segment(1, 0, 0, 10)), other_boot.clone()), [gap(10, 50, "reboot")]);
    assert_eq!(after(stopped(segment(1, 0, 0, 10)), other_boot), [gap(10, 50, "not-recording")], "as it was asked to");
    let mut failed = knows(next.clone(), 10, None);
    failed.run_before.as_mut().unwrap().failed = true;
    assert_eq!(after(segment(1, 0, 0, 10), failed), [gap(10, 50, "failed")]);
    // The status knew that it lived on without a packet.
    assert_eq!(after(killed(segment(1, 0, 0, 10)), knows(next, 42, Some(8))), [gap(42, 50, "interrupted")]);
}

#[test]
fn the_end_of_a_run_is_known_without_its_last_segment() {
    let next = knows(segment(2, 7, 50, 60), 42, None);
    assert_eq!(gaps(std::slice::from_ref(&next), &[]), [gap(42, 50, "interrupted")]);
    // Two of the run before are there, and two are gone: for their time there is another reason.
    let first = segment(1, 4, 0, 10);
    assert_eq!(gaps(&[first.clone(), next.clone()], &[]), [gap(10, 42, "missing"), gap(42, 50, "interrupted")]);
    let removed = [gone(5, 2, Why::Removed)];
    assert_eq!(gaps(&[first, next], &removed), [gap(10, 42, "removed"), gap(42, 50, "interrupted")]);
}

#[test]
fn a_missing_segment_has_a_reason_if_somebody_knew() {
    let run = [segment(1, 2, 0, 10), segment(1, 4, 20, 30)];
    let of = |list: &[Gone]| gaps(&run, list);
    assert_eq!(of(&[]), [gap(10, 20, "missing")]);
    assert_eq!(of(&[gone(3, 1, Why::Removed)]), [gap(10, 20, "removed")]);
    assert_eq!(of(&[gone(0, 4, Why::Removed)]), [gap(10, 20, "removed")]);
    assert_eq!(of(&[gone(3, 1, Why::Pruned)]), [gap(10, 20, "pruned")]);
    assert_eq!(of(&[gone(2, 1, Why::Removed), gone(4, 9, Why::Removed)]), [gap(10, 20, "missing")]);
    assert_eq!(of(&[Gone { recorder: [2; 16], ..gone(3, 1, Why::Removed) }]), [gap(10, 20, "missing")]);
    // Begun, and never written: nothing is missing.
    assert_eq!(of(&[gone(3, 1, Why::NeverWritten)]), []);
    let killed_then = [killed(segment(1, 2, 0, 10)), segment(2, 4, 20, 30)];
    assert_eq!(gaps(&killed_then, &[gone(3, 1, Why::NeverWritten)]), [gap(10, 20, "interrupted")]);
    // Of many only the low bits are said.
    let far = 3 << 32;
    let run = [segment(1, far + 2, 0, 10), segment(1, far + 4, 20, 30)];
    assert_eq!(gaps(&run, &[gone(3, 1, Why::Removed)]), [gap(10, 20, "removed")]);
}

#[test]
fn a_segment_that_was_cut_after_it_was_sealed_is_damage() {
    let cut = [killed(segment(1, 0, 0, 10)), segment(1, 1, 20, 30)];
    assert_eq!(gaps(&cut, &[]), [gap(10, 20, "damaged")]);
}

#[test]
fn a_clock_that_was_stepped_between_two_runs_makes_no_gap_longer_or_shorter() {
    let before = killed(segment(1, 0, 0, 100));
    let after = |start: i64, elapsed| knows(segment(2, 1, start, start + 10), 100, elapsed);
    assert_eq!(gaps(&[before.clone(), after(108, Some(8))], &[]), [gap(100, 108, "interrupted")]);
    // Two hours forward: a hole of its own.
    assert_eq!(
        gaps(&[before.clone(), after(7_308, Some(8))], &[]),
        [gap(100, 7_300, "clock-step"), gap(7_300, 7_308, "interrupted")]
    );
    // Back by a minute: an event, and eight seconds by the new time.
    assert_eq!(
        gaps(&[before.clone(), after(48, Some(8))], &[]),
        [gap(40, 48, "interrupted"), gap(100, 100, "clock-step")]
    );
    // Nothing tells how long it was.
    assert_eq!(gaps(&[before.clone(), after(48, None)], &[]), [gap(48, 48, "interrupted")]);
    // A day of an uncorrected clock is no step.
    assert_eq!(gaps(&[before, after(100 + 86_430, Some(86_400))], &[]), [gap(100, 86_530, "interrupted")]);
}

#[test]
fn two_recorders_are_not_mixed_up_and_a_copied_machine_is_followed_by_name() {
    let other = |segment: Recorded| Recorded { recorder: [2; 16], interface: "wlan0".into(), ..segment };
    let both = [
        segment(1, 0, 0, 10),
        segment(1, 1, 10, 20),
        other(Recorded { segment: [50; 16], ..segment(5, 0, 5, 8) }),
        other(stopped(Recorded { segment: [51; 16], before: [50; 16], ..segment(5, 1, 8, 15) })),
    ];
    assert_eq!(gaps(&both, &[]), []);
    assert_eq!(Timeline::of(&both, &[]).recorded.len(), 2);
    // The copy goes on from the same segment, in a run of its own.
    let copied = Recorded { segment: [60; 16], ..segment(7, 2, 100, 200) };
    let original = [stopped(segment(1, 0, 0, 10)), stopped(segment(2, 1, 20, 30)), segment(3, 2, 40, 50)];
    let with_copy: Vec<Recorded> = original.into_iter().chain([copied]).collect();
    assert_eq!(
        gaps(&with_copy, &[]),
        [gap(10, 20, "not-recording"), gap(30, 40, "not-recording"), gap(30, 100, "not-recording")]
    );
}

#[test]
fn a_range_has_what_lies_in_it() {
    let segments = [stopped(segment(1, 0, 0, 100)), segment(2, 1, 300, 400)];
    let range = Range { from: Some(at(50)), to: Some(at(200)), zone: TimeZone::UTC };
    let timeline = Timeline::of(&segments, &[]).within(&range);
    assert_eq!([(timeline.gaps[0].from, timeline.gaps[0].to)], [(at(100), at(200))]);
    assert_eq!(timeline.recorded.iter().map(|s| (s.from, s.to)).collect::<Vec<_>>(), [(at(50), at(100))]);
}

/// Runs of random segments, of which some are gone, killed, torn, stopped or copied.
fn chance_segments(seed: u64) -> Vec<Recorded> {
    let mut chance = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = move |n: u64| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) % n
    };
    let (mut run, mut start, mut segments) = (1, 0, Vec::new());
    for sequence in 0..40 {
        let to = start + 1 + below(20) as i64;
        let mut of = segment(run, sequence, start, to);
        match below(24) {
            0 => of = killed(of),
            1 => of.ended = Ended::Torn,
            2 => (of, run) = (stopped(of), run + 1),
            3 => of.interface = "wlan0".into(),
            4 => of.before_sealed = false,
            5 => of.boot = [8; 16],
            6 => of = knows(of, start - 1, Some(1)),
            // The clock was set back.
            7 => of.to = at(start - 5),
            8 => segments.push(Recorded { segment: [200; 16], run: [77; 16], ..of.clone() }),
            9 => of.recorder = [2; 16],
            _ => {}
        }
        // Some are gone.
        if below(12) > 0 {
            segments.push(of);
        }
        start = to + if below(6) == 0 { 3 } else { 0 };
    }
    segments
}

#[test]
fn segments_that_were_made_one_tell_what_they_told_before() {
    let told = |segments: &[Recorded]| Timeline { before: HashMap::new(), ..Timeline::of(segments, &[]) };
    let (mut joined, mut of_parts) = (0, 0);
    for seed in 0..2_000 {
        let segments = chance_segments(seed);
        let found = condensed(segments.clone(), |_| true);
        assert_eq!(told(&found), told(&segments), "{seed}");
        joined += segments.len() - found.len();
        // Two halves that were made one by themselves, with one in between that is in both.
        let middle = seed % 40;
        let of_half = |is: &dyn Fn(u64) -> bool| {
            let half = segments.iter().filter(|of| is(of.sequence)).cloned().collect();
            condensed(half, |of| of.sequence != middle)
        };
        let mut halves = of_half(&|sequence| sequence <= middle);
        halves.extend(of_half(&|sequence| sequence >= middle).into_iter().filter(|of| of.sequence != middle));
        if are_apart(&halves) {
            of_parts += 1;
            assert_eq!(told(&halves), told(&segments), "{seed}");
        }
    }
    assert!(joined > 10_000 && of_parts > 500, "{joined} {of_parts}");
    let run: Vec<Recorded> = (0..50).map(|n| segment(1, n, n as i64 * 10, n as i64 * 10 + 10)).collect();
    let one = condensed(run.clone(), |_| true);
    assert_eq!((one.len(), one[0].followed_by, one[0].last_sequence()), (1, 49, 49));
    assert!(!are_apart(&[one[0].clone(), run[7].clone()]) && are_apart(&one));
}
