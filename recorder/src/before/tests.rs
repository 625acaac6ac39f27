use super::*;
use imon_common::segment::{SegmentClose, SegmentHeader, SegmentWriter};
use std::fs::{self, File};
use std::path::Path;

const SECOND: i64 = 1_000_000_000;
const START: i64 = 1_800_000_000;
const BOOT: [u8; 16] = [0xb0; 16];
const RUN: [u8; 16] = [0x55; 16];

fn at(seconds: i64) -> UnixNanos {
    UnixNanos((START + seconds) * SECOND)
}

fn header() -> SegmentHeader {
    SegmentHeader {
        segment: [1; 16],
        recorder: [2; 16],
        run: RUN,
        boot: BOOT,
        start: at(0),
        monotonic_start_ns: 77 * SECOND as u64,
        interface: "eth0".into(),
        ..SegmentHeader::default()
    }
}

/// A segment with records of the seconds 0 to 9; sealed at second 20 if `close` says whether the
/// stop was requested.
fn segment(header: &SegmentHeader, close: Option<bool>) -> Vec<u8> {
    let mut writer = SegmentWriter::create(Vec::new(), header).unwrap();
    for second in 0..10 {
        let count = Count { counter: Counter::KernelReceived, packets: 1, bytes: 0 };
        imon_common::observe::Observer::counts(&mut writer, at(second), &[count]).unwrap();
    }
    writer.commit().unwrap();
    match close {
        Some(stop_requested) => {
            let close = SegmentClose { stop_requested, recorded_to: Some(at(20)), ..SegmentClose::default() };
            writer.close(&close).unwrap().0
        }
        None => writer.get_ref().clone(),
    }
}

fn status(state: &str, run: &[u8; 16], recorded_to: i64, more: &str) -> String {
    let (run, boot) = (crate::identity::to_hex(run), crate::identity::to_hex(&BOOT));
    let (to, written) = (START + recorded_to, START + recorded_to + 1);
    format!(
        r#"{{"state":"{state}","run":"{run}","boot_id":"{boot}","written_unix_s":{written},"segment":{{"recorded_to_unix_s":{to}{more}}}}}"#
    )
}

/// What is known at second 100 of what is left in a spool.
fn known(bytes: Option<&[u8]>, status: Option<String>, boot: [u8; 16]) -> Before {
    let home = tempfile::tempdir().unwrap();
    let file = bytes.map(|bytes| {
        let path = home.path().join("last");
        fs::write(&path, bytes).unwrap();
        File::open(path).unwrap()
    });
    Left { status, last: Last { file, never_written: None } }.read(boot, now())
}

/// Second 100, of a machine that was started at second -1,000.
fn now() -> Now {
    Now { wall: at(100), awake_ns: 1_100 * SECOND, boot_ns: 1_100 * SECOND }
}

fn run(to: i64) -> RunBefore {
    RunBefore { to: at(to), requested: false, sealed: false, rebooted: false, failed: false, elapsed_ns: None }
}

#[test]
fn a_run_that_was_killed_ended_with_its_last_record_or_with_what_its_status_knew() {
    let killed = segment(&header(), None);
    assert_eq!(known(Some(&killed), None, BOOT).run, Some(run(10)));
    // Then nothing passed for half a minute, which the status says.
    assert_eq!(known(Some(&killed), Some(status("recording", &RUN, 40, "")), BOOT).run, Some(run(40)));
    // The boot clock knows how long ago that was, also where the wall clock was set back by half an
    // hour since.
    let with_clock = |status: String| status.replacen(r#""state""#, r#""written_boot_s":1041,"state""#, 1);
    let a_minute_ago = RunBefore { elapsed_ns: Some(60 * SECOND), ..run(40) };
    assert_eq!(known(Some(&killed), Some(with_clock(status("recording", &RUN, 40, ""))), BOOT).run, Some(a_minute_ago));
    let stepped = with_clock(status("recording", &RUN, 1_840, ""));
    let to = at(1_840);
    assert_eq!(known(None, Some(stepped.clone()), BOOT).run, Some(RunBefore { to, ..a_minute_ago }));
    assert_eq!(known(None, Some(stepped), [0xb1; 16]).run, Some(RunBefore { to, rebooted: true, ..run(0) }));
    // Not of that run; of the future.
    assert_eq!(known(Some(&killed), Some(status("recording", &[9; 16], 40, "")), BOOT).run, Some(run(10)));
    assert_eq!(known(Some(&killed), Some(status("recording", &RUN, 4_000, "")), BOOT).run, Some(run(10)));
    let torn = &killed[..killed.len() - 5];
    assert_eq!(known(Some(torn), None, BOOT).run, Some(run(9)));
    let header_len = u32::from_le_bytes(killed[12..16].try_into().unwrap()) as usize;
    let header_only = &killed[..header_len];
    assert_eq!(known(Some(header_only), None, BOOT).run, Some(run(0)));
}

#[test]
fn a_requested_stop_an_error_and_a_reboot_are_told_apart() {
    let sealed = |requested| segment(&header(), Some(requested));
    let stop = RunBefore { requested: true, sealed: true, ..run(20) };
    assert_eq!(known(Some(&sealed(true)), Some(status("stopped", &RUN, 20, "")), BOOT).run, Some(stop));
    let error = RunBefore { sealed: true, failed: true, ..run(20) };
    assert_eq!(known(Some(&sealed(false)), Some(status("failed", &RUN, 20, "")), BOOT).run, Some(error));
    let reboot = RunBefore { rebooted: true, ..run(10) };
    assert_eq!(known(Some(&segment(&header(), None)), None, [0xb1; 16]).run, Some(reboot));
    // Nothing but the status: the segments are gone.
    let of_status = |state| known(None, Some(status(state, &RUN, 30, "")), BOOT).run;
    assert_eq!(of_status("stopped"), Some(RunBefore { requested: true, sealed: true, ..run(30) }));
    assert_eq!(of_status("recording"), Some(run(30)));
    assert_eq!(known(None, None, BOOT), Before::default());
}

#[test]
fn what_waited_for_room_is_known_unless_it_was_written_in_the_end() {
    let waiting = r#","waiting_packets":7,"waiting_bytes":700"#;
    let killed = segment(&header(), None);
    let before = known(Some(&killed), Some(status("recording", &RUN, 12, waiting)), BOOT);
    assert_eq!(before.unsaved, (7, 700));
    let counts = before.counts(at(100));
    assert_eq!(counts.iter().find(|c| c.counter == Counter::Unsaved).map(|c| (c.packets, c.bytes)), Some((7, 700)));
    assert_eq!(RunBefore::of_count(at(100), &counts[0]), before.run);
    assert_eq!(known(Some(&killed), Some(status("failed", &RUN, 12, waiting)), BOOT).unsaved, (7, 700));
    assert_eq!(known(Some(&killed), Some(status("stopped", &RUN, 12, waiting)), BOOT).unsaved, (0, 0));
}

#[test]
fn a_capture_that_was_read_into_the_spool_is_no_run_before() {
    let of_capture = SegmentHeader { boot: [0; 16], monotonic_start_ns: at(0).0 as u64, ..header() };
    assert_eq!(known(Some(&segment(&of_capture, Some(true))), None, BOOT), Before::default());
}

#[test]
fn what_is_hostile_says_nothing_or_something_and_costs_no_time() {
    let text = |text: &str| Some(text.to_owned());
    for status in [text(""), text("{"), text("[]"), text(r#"{"state":7}"#), text(r#"{"state":"recording","run":"zz"}"#)]
    {
        assert_eq!(known(Some(b"no segment"), status, BOOT), Before::default());
    }
    let far = r#"{"state":"recording","written_unix_s":1e300,"segment":{"waiting_packets":-1}}"#;
    let before = known(None, text(far), BOOT);
    assert_eq!(before.unsaved, (0, 0));
    before.counts(at(0));
    // The seeds of damaged segments.
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/segments")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "seg") {
            Left { status: None, last: Last { file: File::open(path).ok(), never_written: Some(1) } }.read(BOOT, now());
        }
    }
}
