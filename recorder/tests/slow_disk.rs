//! A disk that is slow or fails, made by strace, which holds up the two calls that sync and no
//! other. Root only, and with strace; otherwise each test says that it was skipped.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr)]

mod support;

use imon_common::segment::SegmentEnd;
use nix::sys::signal::Signal;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use support::net::{Net, ONLY_OURS, Recorder, has_strace, home, program};
use support::{Books, files, read_into, read_sealed, total};

/// A recorder whose syncs strace treats so: of an open segment each, of others from the fourth on,
/// as the first three are those of its start. strace counts each call of each thread by itself.
fn hindered(net: &Net, spool: &Path, how: &str) -> Option<Recorder> {
    if !has_strace() {
        return None;
    }
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &net.here]);
    // -D: the recorder stays our child, and strace is a stranger.
    command.args(["strace", "-D", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=fdatasync,fsync"]);
    command.args(["-e", &format!("inject=fdatasync:{how}"), "-e", &format!("inject=fsync:{how}:when=4+")]);
    command.arg(program());
    command.args(["-i", &net.interface(), "--spool", spool.to_str().unwrap()]).args(ONLY_OURS);
    Some(Recorder::start(command))
}

#[test]
fn who_is_killed_while_the_disk_is_synced_loses_no_more_than_else() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let Some(recorder) = hindered(&net, &spool, "delay_exit=5000000") else { return };
    // The first sync is not through when all of these have come.
    for _ in 0..3 {
        net.send(1_000);
        std::thread::sleep(Duration::from_millis(700));
    }
    std::thread::sleep(Duration::from_millis(1_500));
    recorder.signal(Signal::SIGKILL);
    drop(recorder);
    let mut books = Books::default();
    let (_, end) = read_into(&files(&spool, "part").pop().unwrap(), &mut books);
    assert!(matches!(end, SegmentEnd::Open { .. }), "{end:?}");
    assert_eq!(books.usage.packets(), 3_000); // older than a second when the end came
}

#[test]
fn a_stop_during_a_slow_sync_waits_for_it_and_seals() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let Some(recorder) = hindered(&net, &spool, "delay_exit=400000") else { return };
    net.send(2_000);
    recorder.signal(Signal::SIGHUP);
    let began = Instant::now();
    while files(&spool, "seg").is_empty() {
        assert!(began.elapsed() < Duration::from_secs(60), "no new segment");
        std::thread::sleep(Duration::from_millis(20));
    }
    net.send(2_000);
    let (said, _) = recorder.terminate();
    assert_eq!((total(&said, "packets"), total(&said, "dropped by the kernel")), (4_000, 0), "{said}");
    let (books, headers) = read_sealed(&spool);
    assert_eq!((books.usage.packets(), headers.len(), files(&spool, "part").len()), (4_000, 2, 0));
}

#[test]
fn a_sync_that_fails_is_a_clear_end_and_the_status_says_so() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let Some(recorder) = hindered(&net, &spool, "error=EIO") else { return };
    net.send(1_000);
    let (code, said) = recorder.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("error: cannot sync ") && said.contains("Input/output error"), "{said}");
    let status = std::fs::read_to_string(spool.join("status.json")).unwrap();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["state"], "failed");
    assert!(status["last_error"]["text"].as_str().unwrap().contains("cannot sync "), "{status}");
    // Not sealed: what is in it may not be on the disk.
    assert_eq!((files(&spool, "part").len(), files(&spool, "seg").len()), (1, 0));
    let (_, end) = read_into(&files(&spool, "part")[0], &mut Books::default());
    assert!(matches!(end, SegmentEnd::Open { .. }), "{end:?}");
}
