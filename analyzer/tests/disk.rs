//! Books on a disk that loses what was not synced, and on one that is full: a few of the trials of
//! `make test-disk`.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Command;

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

fn trials(scene: &str, cuts: &str) {
    if let Some(missing) = ["cc", "python3"].into_iter().find(|program| !is_there(program)) {
        eprintln!("skipped: a disk that loses writes needs the program {missing}");
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/disk/disk.py");
    let run = Command::new("python3")
        .arg(script)
        .arg(assert_cmd::cargo::cargo_bin("imon-analyze"))
        .args(["--only", scene, "--cuts", cuts, "--full", "3"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success() && said.contains(" 0 wrong"), "{said}");
}

#[test]
fn a_month_that_is_put_away_survives_a_power_cut_and_a_full_disk() {
    trials("close", "5");
}

#[test]
fn what_is_pruned_survives_a_power_cut_and_a_full_disk() {
    trials("prune all", "5");
}

#[test]
fn a_copy_survives_a_power_cut_and_a_full_disk() {
    trials("status --backup", "5");
}

#[test]
fn what_is_kept_of_captures_is_known_whatever_a_power_cut_leaves() {
    trials("ingest into a new folder", "10");
}
