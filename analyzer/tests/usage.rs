//! The real binary on command lines that cannot be meant: one clear error each, exit code 2,
//! nothing on standard output.
#![allow(clippy::unwrap_used, clippy::panic)]

use assert_cmd::Command;

/// Standard error of a run with these arguments; it must end with exit code 2 and print no result.
fn refused(args: &str, tz: &str) -> String {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::cargo_bin("imon-analyze").unwrap();
    command.args(args.split_whitespace()).env_clear().env("TZ", tz).env("HOME", home.path());
    let output = command.output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args}: {errors}");
    assert!(output.stdout.is_empty(), "{args}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "{args}: nothing is made before the check");
    errors
}

#[test]
fn days_that_cannot_be_meant_are_named() {
    assert_eq!(
        refused("report --from 2026-11-02 --to 2026-11-01", "UTC"),
        "error: the range begins at 2026-11-02T00:00:00+00:00 and ends at 2026-11-02T00:00:00+00:00\n  hint:  the first \
         time comes first; a day, week or month is included as a whole\n"
    );
    assert_eq!(
        refused("site example.com --from 2026-13-01", "UTC").lines().next(),
        Some("error: --from `2026-13-01` is outside the calendar")
    );
    assert!(
        refused("report --to -3d", "UTC")
            .starts_with("error: --to `-3d` is no time\n  hint:  times are written 2026-11-01, ")
    );
}

#[test]
fn a_zone_that_does_not_exist_is_named_with_its_place() {
    assert!(
        refused("report --zone Europe/Atlantis", "UTC").starts_with("error: unknown time zone `Europe/Atlantis`\n")
    );
    assert!(refused("report", "Europe/Atlantis").starts_with("error: the environment variable TZ names no known"));
}

#[test]
fn what_clap_refuses_has_the_same_exit_code() {
    for args in
        ["", "report --by colour", "report --format xml", "site", "flows", "report --local 10.0.0.0/33", "dance"]
    {
        refused(args, "UTC");
    }
}

#[test]
fn files_that_options_name_are_read_before_anything_else() {
    let errors = refused("report --families /nowhere/families.txt", "UTC");
    assert!(errors.starts_with("error: cannot use the families in /nowhere/families.txt\n  cause: "), "{errors}");
}

#[test]
fn help_goes_to_standard_output_and_is_complete() {
    let output = Command::cargo_bin("imon-analyze").unwrap().arg("--help").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for word in ["ingest", "report", "site", "flows", "names", "check", "status", "rebuild", "prune"] {
        assert!(text.lines().any(|line| line.trim_start().starts_with(word)), "{word} in {text}");
    }
}
