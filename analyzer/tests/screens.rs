//! What terminals show of every command in the documents: no line is cut by the terminal, and each
//! report ends with its answer.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::process::{Command, Stdio};

/// Serial lines, and terminals that a program makes, say no size.
#[test]
fn a_terminal_without_a_size_gets_no_parquet() {
    let terminal = nix::pty::openpty(None, None).unwrap();
    let run = Command::new(assert_cmd::cargo::cargo_bin("imon-analyze"))
        .args(["--no-config", "names", "none.pcap", "--format", "parquet"])
        .stdin(Stdio::null())
        .stdout(terminal.slave)
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.code() == Some(2) && err.contains("no text for a terminal"), "{err}");
}

#[test]
fn nothing_wraps_on_terminals_of_80_and_120_columns() {
    if !Command::new("python3").args(["-c", "import pty, termios"]).output().is_ok_and(|run| run.status.success()) {
        eprintln!("skipped: there is no python3");
        return;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/screens.py");
    let run = Command::new("python3").arg(script).arg(assert_cmd::cargo::cargo_bin("imon-analyze")).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
}
