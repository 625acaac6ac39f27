//! The program as a person or a script meets it; nothing here needs rights.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr)]

mod support;

use assert_cmd::Command;
use imon_common::observe::Counter;
use std::path::{Path, PathBuf};
use support::{read_sealed, spool_ends, total};
use tempfile::TempDir;

fn record() -> Command {
    Command::cargo_bin("imon-record").unwrap()
}

/// Runs with these arguments; gives exit code, standard output and standard error.
fn run(args: &[&str]) -> (i32, String, String) {
    let output = record().args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// Runs `--read` on a file; gives exit code and standard error.
fn read(file: &Path, spool: &Path, more: &[&str]) -> (i32, String) {
    let mut args = vec!["--read", file.to_str().unwrap(), "--spool", spool.to_str().unwrap()];
    args.extend(more);
    let (code, _, stderr) = run(&args);
    (code, stderr)
}

/// UDP datagrams of `payload` bytes from 192.0.2.1 to 203.0.113.1, in Ethernet frames.
fn frame(payload: u16, destination_port: u16) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    frame.extend([0x45, 0]);
    frame.extend((28 + payload).to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 203, 0, 113, 1]);
    frame.extend(50_000u16.to_be_bytes());
    frame.extend(destination_port.to_be_bytes());
    frame.extend((8 + payload).to_be_bytes());
    frame.extend([0, 0]);
    frame.resize(frame.len() + usize::from(payload), 0);
    frame
}

/// A pcap file (draft-ietf-opsawg-pcap, little endian, microseconds) of frames, `gap_s` seconds
/// apart.
fn pcap(frames: &[Vec<u8>], gap_s: u32) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend(0xa1b2_c3d4_u32.to_le_bytes());
    file.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    file.extend(262_144u32.to_le_bytes());
    file.extend(1u32.to_le_bytes());
    for (frame, n) in frames.iter().zip(0..) {
        for field in [1_790_000_000 + n * gap_s, 0, frame.len() as u32, frame.len() as u32] {
            file.extend(field.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}

fn write(home: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = home.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn wrong_arguments_end_with_2_and_say_what_is_expected() {
    for (args, expected) in [
        (&["--rotate-size", "10 parsecs"][..], "unknown unit 'parsecs'"),
        (&["--rotate-every", "1y"], "unknown unit 'y', expected ms, s, m, h or d"),
        (&["--interval", "10"], "'10' has no unit"),
        (&["--interval", "2h"], "choose between 100ms and 60s"),
        (&["--local", "300.1.2.3"], "such as 203.0.113.0/24"),
        (&["--keep-size", "1MiB", "--rotate-size", "1MiB"], "no room for two segments"),
        (&["--keep-days", "0"], "0 is not in 1..=36500"),
        (&["--read", "x", "-i", "eth0"], "cannot be used with"),
        (&["--no-such-thing"], "unexpected argument"),
    ] {
        let (code, stdout, stderr) = run(args);
        assert_eq!(code, 2, "{args:?}: {stderr}");
        assert!(stderr.starts_with("error: ") && stderr.contains(expected), "{args:?}: {stderr}");
        assert_eq!(stdout, "");
    }
}

#[test]
fn an_unknown_interface_is_answered_with_the_list() {
    let home = TempDir::new().unwrap();
    let (code, _, stderr) = run(&["-i", "nosuch0", "--spool", home.path().to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(stderr.starts_with("error: cannot record interface nosuch0\n  cause: "), "{stderr}");
    assert!(stderr.contains("choose one with -i: lo"), "{stderr}");
}

#[test]
fn interfaces_are_listed_on_standard_output() {
    let (code, stdout, stderr) = run(&["--list-interfaces"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.lines().any(|l| l.split_whitespace().next() == Some("lo")), "{stdout}");
    assert!(stdout.contains("any "));
}

#[test]
fn a_capture_file_becomes_sealed_segments_with_the_same_sums() {
    let home = TempDir::new().unwrap();
    let frames: Vec<Vec<u8>> = (0..100).map(|n| frame(n, 9)).collect();
    let file = write(&home, "some.pcap", &pcap(&frames, 0));
    let spool = home.path().join("spool");
    let (code, stderr) = read(&file, &spool, &[]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!((total(&stderr, "packets"), total(&stderr, "segments")), (100, 1));
    let bytes: u64 = (0..100).map(|n| 28 + n).sum();
    assert_eq!(total(&stderr, "IP bytes"), bytes);
    let (books, headers) = read_sealed(&spool);
    assert_eq!((books.usage.packets(), books.usage.bytes()), (100, bytes));
    assert_eq!(headers[0].interface, "some.pcap");
    assert_eq!(headers[0].start.0, 1_790_000_000_000_000_000);
}

#[test]
fn a_file_is_rotated_by_the_time_of_its_packets_and_loses_nothing() {
    let home = TempDir::new().unwrap();
    let file = write(&home, "a.pcap", &pcap(&vec![frame(10, 9); 100], 60));
    let spool = home.path().join("spool");
    let (code, stderr) = read(&file, &spool, &["--rotate-every", "10m"]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(total(&stderr, "segments"), 10);
    let (books, headers) = read_sealed(&spool);
    assert_eq!((books.usage.packets(), books.usage.bytes()), (100, 3800));
    assert_eq!(headers.iter().map(|h| h.sequence).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    assert!(headers.iter().all(|h| h.recorder == headers[0].recorder));
}

#[test]
fn a_recorder_stays_the_same_over_its_runs_and_its_segments_stand_in_a_row() {
    let home = TempDir::new().unwrap();
    let file = write(&home, "a.pcap", &pcap(&vec![frame(10, 9); 30], 60));
    let spool = home.path().join("spool");
    for _run in 0..2 {
        let (code, stderr) = read(&file, &spool, &["--rotate-every", "10m"]);
        assert_eq!(code, 0, "{stderr}");
    }
    let (_, mut headers) = read_sealed(&spool);
    headers.sort_by_key(|header| header.sequence);
    assert_eq!(headers.iter().map(|h| h.sequence).collect::<Vec<_>>(), (0..6).collect::<Vec<_>>());
    assert!(headers.iter().all(|h| h.recorder == headers[0].recorder));
    assert!(
        headers[..3].iter().all(|h| h.run == headers[0].run) && headers[3..].iter().all(|h| h.run == headers[5].run)
    );
    assert_ne!(headers[0].run, headers[5].run);
    assert_eq!(headers[0].before, [0; 16]);
    let requested = spool_ends(&spool);
    assert_eq!(requested, [false, false, true, false, false, true]);
    assert!(headers.windows(2).all(|pair| pair[1].before == pair[0].segment));
    // Whatever stands in the file: another recorder begins, and nothing of the old one is
    // overwritten.
    std::fs::write(spool.join("recorder.id"), "imon-recorder 1\nrecorder \u{1b}[2J\n").unwrap();
    let (code, stderr) = read(&file, &spool, &[]);
    assert_eq!(code, 0, "{stderr}");
    let (_, after) = read_sealed(&spool);
    assert_eq!(after.len(), 7);
    assert_eq!(after.iter().filter(|h| h.recorder != headers[0].recorder).count(), 1);
}

#[test]
fn standard_input_and_a_filter_work_on_files_too() {
    let home = TempDir::new().unwrap();
    let bytes = pcap(&[frame(10, 9), frame(10, 10), frame(10, 9)], 1);
    let spool = home.path().join("spool");
    let output = record()
        .args(["--read", "-", "--filter", "udp dst port 9", "--spool", spool.to_str().unwrap()])
        .write_stdin(bytes)
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert_eq!(total(&stderr, "packets"), 2);
    assert_eq!(read_sealed(&spool).1[0].interface, "stdin");
}

/// Names are looked up before the confinement takes files and sockets away.
#[test]
fn a_filter_may_name_hosts_and_services() {
    let home = TempDir::new().unwrap();
    let file = write(&home, "in.pcap", &pcap(&[frame(10, 53), frame(10, 9)], 1));
    if !Path::new("/etc/services").exists() || !Path::new("/etc/hosts").exists() {
        eprintln!("skipped: this system has no /etc/services or no /etc/hosts");
        return;
    }
    for (filter, packets) in [("udp dst port domain", 1), ("not host localhost", 2)] {
        let (code, stderr) = read(&file, &home.path().join("spool"), &["--filter", filter]);
        assert_eq!((code, total(&stderr, "packets")), (0, packets), "{stderr}");
    }
}

#[test]
fn a_bad_filter_is_a_usage_error_in_the_words_of_libpcap() {
    let home = TempDir::new().unwrap();
    let file = write(&home, "a.pcap", &pcap(&[frame(10, 9)], 1));
    let (code, stderr) = read(&file, &home.path().join("spool"), &["--filter", "udp prot 9"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("cannot use filter 'udp prot 9'") && stderr.contains("syntax error"), "{stderr}");
}

#[test]
fn a_cut_file_keeps_what_came_before_and_ends_with_3() {
    let home = TempDir::new().unwrap();
    let mut bytes = pcap(&vec![frame(10, 9); 5], 1);
    bytes.truncate(bytes.len() - 3);
    let file = write(&home, "cut.pcap", &bytes);
    let spool = home.path().join("spool");
    let (code, stderr) = read(&file, &spool, &[]);
    assert_eq!(code, 3);
    assert_eq!(total(&stderr, "packets"), 4);
    assert!(stderr.contains("error: part of") && stderr.contains("packet 5"), "{stderr}");
    assert_eq!(read_sealed(&spool).0.usage.packets(), 4);
}

#[test]
fn files_that_are_no_capture_are_named_for_what_they_are() {
    let home = TempDir::new().unwrap();
    let spool = home.path().join("spool");
    for (name, bytes, expected) in [
        ("a.gz", &b"\x1f\x8b\x08\x00 more"[..], "packed (gzip)\n  hint:  unpack it on the way: zcat "),
        ("a.zst", b"\x28\xb5\x2f\xfd more", "zstdcat "),
        ("a.txt", b"hello, this is no capture at all", "text"),
        ("a.empty", b"", "empty"),
    ] {
        let (code, stderr) = read(&write(&home, name, bytes), &spool, &[]);
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    }
    let (code, stderr) = read(&home.path().join("missing"), &spool, &[]);
    assert_eq!(code, 1);
    assert!(stderr.contains("No such file"), "{stderr}");
    assert_eq!(read_sealed(&spool).1.len(), 0);
}

#[test]
fn closed_outputs_are_no_error() {
    let home = TempDir::new().unwrap();
    let file = write(&home, "a.pcap", &pcap(&[frame(10, 9)], 1));
    let program = assert_cmd::cargo::cargo_bin!("imon-record");
    let line = r#""$0" --read "$1" --spool "$2" 2>&- >&- && "$0" --list-interfaces | true"#;
    let spool = home.path().join("spool");
    let status =
        std::process::Command::new("sh").args(["-c", line]).arg(program).arg(file).arg(&spool).status().unwrap();
    assert!(status.success());
    assert_eq!(read_sealed(&spool).0.counter(Counter::KernelDropped), (0, 0));
}

#[test]
fn a_named_pipe_or_a_device_is_no_capture_and_is_not_waited_for() {
    let home = TempDir::new().unwrap();
    let pipe = home.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::os::unix::fs::symlink("pipe", home.path().join("link")).unwrap();
    let spool = home.path().join("spool");
    for (file, expected) in [(pipe, "it is a named pipe"), (home.path().join("link"), "it is a named pipe")] {
        let (code, said) = read(&file, &spool, &[]);
        assert!(code == 1 && said.contains(expected), "{code}: {said}");
    }
    let (code, said) = read(Path::new("/dev/zero"), &spool, &[]);
    assert!(code == 1 && said.contains("it is a device"), "{code}: {said}");
    assert!(!spool.exists());
    // What the shell hands over is read.
    let line = format!("{} --read <(cat) --spool s < /dev/null", assert_cmd::cargo::cargo_bin("imon-record").display());
    let output = std::process::Command::new("bash").args(["-c", &line]).current_dir(home.path()).output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("named pipe"), "{output:?}");
}

#[test]
fn a_result_that_cannot_be_written_is_an_error_and_a_closed_pipe_is_none() {
    let program = assert_cmd::cargo::cargo_bin("imon-record");
    for (line, code) in [
        ("--version > /dev/full", 1),
        ("--help >&-", 1),
        ("--list-interfaces > /dev/full", 1),
        ("--list-interfaces >&-", 1),
        ("--list-interfaces > /dev/null", 0),
        ("--list-interfaces | true; exit ${PIPESTATUS[0]}", 0),
        ("--help | true; exit ${PIPESTATUS[0]}", 0),
    ] {
        let line = format!("'{}' {line}", program.display());
        let output = std::process::Command::new("bash").args(["-c", &line]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{line}: {said}");
        assert_eq!(said.starts_with("error: cannot write to standard output\n"), code == 1, "{line}: {said}");
    }
}

#[test]
fn a_limit_for_the_length_of_files_is_an_error_and_not_the_end() {
    let home = TempDir::new().unwrap();
    write(&home, "a.pcap", &pcap(&[frame(100, 80)], 1));
    let program = assert_cmd::cargo::cargo_bin("imon-record");
    let line = format!("ulimit -f 0; '{}' --read a.pcap --spool spool", program.display());
    let output = std::process::Command::new("bash").args(["-c", &line]).current_dir(home.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.starts_with("error: cannot "), "{output:?}");
}

#[test]
fn arguments_do_nothing_to_the_terminal() {
    for word in ["--a\r\u{9b}31mb", "--keep-days=\u{9b}31m\u{202e}"] {
        let (code, _, said) = run(&[word]);
        assert!(code == 2 && said.contains("\\u{9b}31m"), "{said}");
        assert!(!said.contains(['\r', '\u{9b}', '\u{202e}']), "{said}");
    }
}
