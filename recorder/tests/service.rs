//! What a service manager, a health check and a person are told: starts that fail or wait, ends
//! that nobody asked for.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr)]

mod support;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, chown};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::net::{Net, ONLY_OURS, home, kernel_can_confine, program};
use support::{files, total};

/// Exit code and text of `--status`.
fn status(spool: &Path) -> (i32, String) {
    let output = Command::new(program()).args(["--status", "--spool"]).arg(spool).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), text)
}

/// Asks for the status until it has this word; gives it.
fn status_with(spool: &Path, word: &str) -> (i32, String) {
    let began = Instant::now();
    loop {
        let (code, text) = status(spool);
        if text.contains(word) {
            return (code, text);
        }
        assert!(began.elapsed() < Duration::from_secs(10), "no '{word}' in {text}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn who_is_killed_is_not_running_at_once_and_who_runs_is_fine_from_the_start() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let recorder = net.start(&spool, &[]);
    assert_eq!(status(&spool).0, 0, "{}", status(&spool).1);
    recorder.signal(Signal::SIGSTOP);
    assert_eq!(status(&spool).0, 0, "who only stands still for a moment");
    recorder.signal(Signal::SIGKILL);
    drop(recorder);
    let (code, text) = status(&spool);
    assert!(code == 1 && text.starts_with("recorder    not running: its process is gone"), "{code} {text}");
    // The next one tells that something was missed, from its first second on.
    let recorder = net.start(&spool, &[]);
    let (code, text) = status(&spool);
    assert!(code == 3 && text.contains("interrupted"), "{code} {text}");
    recorder.terminate();
    let (code, text) = status(&spool);
    assert!(code == 1 && text.contains("it was stopped"), "{code} {text}");
}

/// As an enabled service that cannot come to record: each time it starts anew, and each time it
/// fails.
#[test]
fn a_start_that_fails_is_told_by_the_status_until_one_succeeds() {
    let Some(net) = Net::new() else { return };
    let (home, spool) = home();
    let interface = net.interface();
    let fail = |more: &[&str]| {
        let args = ["-i", &interface, "--spool", spool.to_str().unwrap(), "--user", "65534"];
        assert!(!net.command(&[&args[..], more].concat()).output().unwrap().status.success());
    };
    // No place was made for it: none is made to say so.
    fail(&["--filter", "udp prot 9"]);
    assert!(!spool.exists());
    fs::create_dir(&spool).unwrap();
    chown(&spool, Some(65_534.into()), Some(65_534.into())).unwrap();
    fs::set_permissions(&spool, PermissionsExt::from_mode(0o750)).unwrap();
    fail(&["--filter", "udp prot 9"]);
    let (code, text) = status(&spool);
    assert!(code == 1 && text.contains("not running: its start failed"), "{code} {text}");
    assert!(text.contains("cannot use filter 'udp prot 9'"), "{text}");
    let start = spool.join("start.json").metadata().unwrap();
    assert_eq!((start.uid(), start.mode() & 0o777), (65_534, 0o640), "its user's, for the group of the spool");
    // The status file of a run before says nothing about this one.
    let recorder = net.start(&spool, &["--user", "65534"]);
    assert!(!spool.join("start.json").exists());
    // Another one that is refused says nothing of the one that records.
    fail(&[]);
    assert_eq!(status(&spool).0, 0, "{}", status(&spool).1);
    recorder.terminate();
    let missing = home.path().join("missing/imon.prom");
    fail(&["--metrics", missing.to_str().unwrap()]);
    let (code, text) = status(&spool);
    assert!(code == 1 && text.contains("cannot write the metrics"), "{code} {text}");
}

#[test]
fn with_wait_an_interface_that_is_missing_is_waited_for_and_without_it_is_an_error() {
    let Some(net) = Net::new() else { return };
    let (home, spool) = home();
    fs::set_permissions(home.path(), PermissionsExt::from_mode(0o1777)).unwrap();
    let interface = net.interface();
    net.ip(&format!("-n {} link del {interface}", net.here));
    let args = ["-i", &interface, "--spool", spool.to_str().unwrap()];
    let output = net.command(&args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("--wait"), "{said}");

    let socket = home.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let heard = |word: &str| {
        let mut bytes = [0; 512];
        std::iter::from_fn(|| manager.recv(&mut bytes).ok().map(|n| String::from_utf8_lossy(&bytes[..n]).into_owned()))
            .take(20)
            .find(|message| message.contains(word))
            .unwrap_or_else(|| panic!("no {word}"))
    };
    let mut command = net.command(&[&args[..], &["--wait"], &ONLY_OURS].concat());
    if !kernel_can_confine() {
        command.arg("--allow-uncaged");
    }
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "3000000");
    let mut recorder = command.stderr(Stdio::piped()).spawn().unwrap();
    heard("READY=1");
    assert!(heard("STATUS=").contains(&format!("cannot record interface {interface}: there is no interface")));
    let (code, text) = status_with(&spool, "it waits");
    assert!(code == 1 && text.contains("there is no interface of that name"), "{code} {text}");
    heard("WATCHDOG=1");
    // It comes, not yet up; then up.
    net.join();
    let (code, text) = status_with(&spool, "fine");
    assert_eq!(code, 0, "{text}");
    net.send(500);
    std::thread::sleep(Duration::from_millis(300));
    kill(Pid::from_raw(recorder.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    let mut said = String::new();
    std::io::Read::read_to_string(&mut recorder.stderr.take().unwrap(), &mut said).unwrap();
    assert!(recorder.wait().unwrap().success(), "{said}");
    assert_eq!(total(&said, "packets"), 500, "{said}");
    assert_eq!(said.matches("waits: ").count(), 1, "said once: {said}");
    // An address that the interface gets after the recording began seals the first segment.
    assert!((1..=2).contains(&files(&spool, "seg").len()) && !spool.join("start.json").exists());
}

#[test]
fn who_waits_ends_at_once_when_asked_to() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let mut command = net.command(&["-i", "nosuch0", "--spool", spool.to_str().unwrap(), "--wait"]);
    let mut recorder = command.stderr(Stdio::null()).spawn().unwrap();
    let (code, text) = status_with(&spool, "it waits");
    assert!(code == 1 && text.contains("nosuch0"), "{code} {text}");
    let began = Instant::now();
    kill(Pid::from_raw(recorder.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert!(recorder.wait().unwrap().success() && began.elapsed() < Duration::from_secs(1));
    assert!(!spool.join("start.json").exists());
    let (code, text) = status(&spool);
    assert!(code == 1 && text.contains("no recorder has come to record here"), "{code} {text}");
}

#[test]
fn an_interface_that_is_pulled_out_is_told_by_the_status_until_it_is_back() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let interface = net.interface();
    let recorder = net.start(&spool, &[]);
    net.ip(&format!("-n {} link del {interface}", net.here));
    let (code, text) = status_with(&spool, "is gone: it waits for it");
    assert!(code == 1 && text.contains(&interface), "{code} {text}");
    net.join();
    let (code, text) = status_with(&spool, "fine");
    assert_eq!(code, 0, "{text}");
    recorder.terminate();
}

#[test]
fn a_start_that_was_typed_wrong_is_told_by_the_status() {
    let (_home, spool) = home();
    fs::create_dir(&spool).unwrap();
    let wrong = |more: &[&str]| {
        let args = [&["-i", "lo", "--spool", spool.to_str().unwrap()], more].concat();
        assert_eq!(Command::new(program()).args(args).output().unwrap().status.code(), Some(2));
        let (code, text) = status(&spool);
        assert!(code == 1 && text.contains("its start failed"), "{code} {text}");
        text
    };
    assert!(wrong(&["--no-such-option"]).contains("--no-such-option"));
    assert!(wrong(&["--interval", "1h"]).contains("--interval"));
}

/// A limit that the start meets in its cage, where it has no rights any more.
#[test]
fn a_start_that_fails_in_its_cage_is_told_by_the_status() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    fs::create_dir(&spool).unwrap();
    chown(&spool, Some(65_534.into()), Some(65_534.into())).unwrap();
    let line = format!(
        "ulimit -u 1; exec ip netns exec {} {} -i {} --spool {} --user 65534",
        net.here,
        program().display(),
        net.interface(),
        spool.display()
    );
    let output = Command::new("bash").args(["-c", &line]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("cannot start a thread"), "{said}");
    let (code, text) = status(&spool);
    assert!(code == 1 && text.contains("its start failed") && text.contains("cannot start a thread"), "{code} {text}");
}
