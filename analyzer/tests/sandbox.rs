//! The sandbox: what it refuses, what works in it, which calls each command makes, and what happens
//! where there is none.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr, missing_docs)]
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

#[path = "../src/owners/tests/maker.rs"]
mod maker;
mod support;

use imon_analyze::reach::{Reach, TABLE};
use imon_analyze::sandbox::{self, Burglar, Opened, Wall};
use maker::{Maker, asn};
use nix::libc;
use rusqlite::Connection;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::ffi::c_long;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use support::{Home, testdata};

fn program() -> PathBuf {
    assert_cmd::cargo::cargo_bin("imon-analyze")
}

fn command(home: &Home, line: &str) -> Command {
    let mut command = Command::new(program());
    command.args(line.split_whitespace());
    command.env_clear().env("TZ", "UTC").env("HOME", home.path(".")).current_dir(home.path("."));
    command
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// False, and said, where this kernel has not both walls.
fn kernel_can_confine() -> bool {
    let can = Command::new(program()).arg("--self-test").output().unwrap().status.success();
    if !can {
        eprintln!("skipped: this kernel has no Landlock or no seccomp");
    }
    can
}

fn home() -> Home {
    let home = Home::new();
    home.write("one.pcap", &std::fs::read(testdata("pcap/us-le.pcap")).unwrap());
    home.write("browse.pcap.gz", &std::fs::read(testdata("netlab/browse-lan.pcap.gz")).unwrap());
    for name in ["good.seg", "open.seg"] {
        home.write(&format!("spool/{name}"), &std::fs::read(testdata(&format!("segments/{name}"))).unwrap());
    }
    home.write("vnstat.json", &std::fs::read(testdata("vnstat/home.json")).unwrap());
    home.write("families.txt", b"example.org example.com\n");
    home.write("owners.mmdb", &Maker::default().with("198.51.100.0/24", asn(64_500, "Net")).bytes());
    home.write("plan.toml", b"[[plan]]\ncap = '1 GB'\n");
    home.write("keep.toml", b"[keep]\nrows = '1 day'\nsize = '1 MB'\n");
    home.write("two.pcapng", &std::fs::read(testdata("pcap/ng-statistics.pcapng")).unwrap());
    home.write("exports.pcap.gz", &std::fs::read(testdata("exports/softflowd-v9.pcap.gz")).unwrap());
    home
}

#[test]
fn the_self_test_shows_the_table_and_finds_everything_refused() {
    if !kernel_can_confine() {
        return;
    }
    let home = home();
    let output = command(&home, "--self-test").output().unwrap();
    let said = text(&output);
    assert!(output.status.success() && !said.contains("HOLE") && !said.contains("note"), "{said}");
    for row in TABLE {
        assert!(said.contains(&format!("\n  {:8} reads ", row.command)), "{}: {said}", row.command);
        // What reads runs nothing: its parent does.
        assert!(row.executes.is_empty() || row.command == "alert");
    }
    assert!(said.matches("\n  ok    ").count() >= 18, "{said}");
    // With a command: its own row and paths, and nothing is done.
    let output = command(&home, "--self-test ingest one.pcap --database new/imon.db").output().unwrap();
    let said = text(&output);
    assert!(output.status.success() && said.contains("files named: one.pcap\n"), "{said}");
    assert!(!said.contains("\n  report ") && !home.path("new/imon.db").exists(), "{said}");
    // Without the sandbox there are holes, and they are shown.
    let output = command(&home, "--self-test --no-sandbox").output().unwrap();
    let said = text(&output);
    assert!(output.status.code() == Some(1) && said.contains("HOLE") && said.contains("error: the sandbox has holes"));
}

/// Every command, in an order in which there is something to do.
const COMMANDS: &[&str] = &[
    "ingest one.pcap browse.pcap.gz --database books/imon.db",
    "ingest --spool spool --database books/imon.db",
    "import vnstat.json --database books/imon.db",
    "close --database books/imon.db",
    "check books/imon.db",
    "status --months --database books/imon.db --backup copy",
    "report --spool spool --database copy/imon.db --from 2020-01-01",
    "rebuild --from-books --database again/imon.db",
    "close --month 2026-10 --database books/imon.db",
    "report --spool spool --database books/imon.db --from 2020-01-01",
    "report --spool spool --database books/imon.db --from 2020-01-01 --by page --format json -o new.json",
    "report --spool spool --database books/imon.db --from 2020-01-01 --format csv --families families.txt -o new.json",
    "report browse.pcap.gz --by hour",
    "report spool -o /dev/null",
    "report two.pcapng",
    "report exports.pcap.gz --exported --by device",
    "ingest exports.pcap.gz --exported --database exported/imon.db",
    "report browse.pcap.gz --format html -o page.html",
    "report browse.pcap.gz --format parquet -o rows.parquet",
    "report browse.pcap.gz --compare-with one.pcap --mask devices",
    "report browse.pcap.gz --threads 4 --names-from one.pcap",
    "report --format prometheus --config plan.toml --spool spool --database books/imon.db",
    "report - --by host",
    "report --resolve --resolver 127.0.0.1:9 --resolve-rate 1000 --resolve-limit 3 browse.pcap.gz",
    "report --resolve browse.pcap.gz --resolve-limit 1",
    "site example.com --spool spool --database books/imon.db --from 2020-01-01",
    "flows browse.pcap.gz -o flows.jsonl",
    "flows spool --format csv",
    "flows browse.pcap.gz --every 15m --format parquet -o flows.parquet",
    "names browse.pcap.gz --format parquet -o names.parquet",
    "report browse.pcap.gz --by country --owners owners.mmdb",
    "top --spool spool --once --owners owners.mmdb --database books/imon.db",
    "names browse.pcap.gz",
    "names --summary browse.pcap.gz",
    "explain www.example.com browse.pcap.gz",
    "explain 192.0.2.1 --at 2026-11-22T14:30 --spool spool --database books/imon.db",
    "verify browse.pcap.gz --curve",
    "verify browse.pcap.gz --flows all --families families.txt",
    "check spool",
    "check spool/good.seg --format json -o checked.json",
    "status --database books/imon.db",
    "status --database books/imon.db --format csv",
    "top spool --once --database books/imon.db",
    "top --spool spool --once --by device --json --families families.txt -o new.json --database books/imon.db",
    "rebuild --spool spool --database books/imon.db --diff",
    "rebuild --spool spool --database books/imon.db --diff --dry-run --format json",
    "export dataset --with flows,names --spool spool --database books/imon.db",
    "export dataset --spool spool --database books/imon.db",
    "export dataset --compact --database books/imon.db",
    "export masked --mask all --mask-key mask.key --spool spool --database books/imon.db",
    "report --dataset dataset --from 2020-01-01 --by page --format json -o new.json",
    "report --dataset dataset --from 2020-01-01 --host www.example.com --format html",
    "site example.com --dataset dataset --from 2020-01-01",
    "prune --configured --config keep.toml --database books/imon.db",
    "prune --captures-only --keep-days 1 --database books/imon.db",
    "prune --device 192.168.1.20 --database books/imon.db",
    "prune --drop-old --database books/imon.db",
    "prune --before 2099-01-01 --database books/imon.db --dry-run",
    "prune --before 2099-01-01 --database books/imon.db",
    "plan --config plan.toml --spool spool --database books/imon.db",
    "alert --percent 80 --config plan.toml --spool spool --database books/imon.db",
    "config --json",
];

#[test]
fn under_strace_no_command_makes_a_call_outside_the_list() {
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("skipped: the program strace is missing");
        return;
    }
    if !kernel_can_confine() {
        return;
    }
    for row in TABLE {
        let of_row = |line: &&&str| line.split(' ').next() == Some(row.command);
        assert!(COMMANDS.iter().find(of_row).is_some(), "{} is not traced", row.command);
    }
    let permitted = sandbox::permitted_calls();
    let home = home();
    let capture = std::fs::read(home.path("browse.pcap.gz")).unwrap();
    let mut calls_made = 0;
    for line in COMMANDS {
        let trace = home.path("trace");
        let mut traced = Command::new("strace");
        traced.args(["-f", "-o"]).arg(&trace).arg(program()).args(line.split_whitespace());
        traced.env_clear().env("TZ", "Europe/Berlin").env("HOME", home.path(".")).current_dir(home.path("."));
        let mut child = traced.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let capture = capture.clone();
        // Who does not read it closes the pipe.
        let feeder = std::thread::spawn(move || drop(stdin.write_all(&capture)));
        let output = child.wait_with_output().unwrap();
        feeder.join().unwrap();
        let code = output.status.code();
        assert!(matches!(code, Some(0 | 1 | 3)), "{line}: {code:?}: {}", text(&output));
        assert!(!text(&output).contains("ot permitted"), "{line}: {}", text(&output));
        let trace = std::fs::read_to_string(trace).unwrap();
        let (_, inside) = trace.rsplit_once("seccomp(SECCOMP_SET_MODE_FILTER").unwrap_or_else(|| panic!("{line}"));
        for call in inside.lines().skip(1).filter_map(call_of) {
            let (name, _) = call.split_once('(').unwrap();
            assert!(permitted.iter().any(|p| p.name == name), "{line}: not in the list: {call}");
            assert!(!call.contains("EPERM"), "{line}: refused: {call}");
            // What Landlock refuses would be a place that a library needs.
            assert!(!call.contains("EACCES"), "{line}: refused: {call}");
            calls_made += 1;
        }
        assert!(!trace.contains("SIGSYS"), "{line}");
    }
    assert!(calls_made > 2_000, "{calls_made}");
    eprintln!("{calls_made} calls of {} commands, all of them in the list", COMMANDS.len());
}

/// The call in a line of strace: `1234 write(2, …) = 1`. `None` for signals, ends, and second
/// halves.
fn call_of(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(' ')?;
    let rest = rest.trim_start();
    rest.starts_with(|c: char| c.is_ascii_alphabetic()).then_some(rest)
}

/// A tree of files with their contents.
fn tree(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(tree(&path));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            found.push((path, bytes));
        }
    }
    found.sort();
    found
}

#[test]
fn paths_of_a_database_that_lead_elsewhere_count_as_gone() {
    if !kernel_can_confine() {
        return;
    }
    let home = home();
    std::fs::create_dir(home.path("elsewhere")).unwrap();
    std::fs::copy(home.path("spool/good.seg"), home.path("elsewhere/good.seg")).unwrap();
    home.ok("ingest elsewhere/good.seg --database books/imon.db");
    let run = home.analyze("rebuild --database books/imon.db".split(' '));
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(
        run.err.contains("booked 0 sources again\nleft as booked, as the facts are gone: 1 source\n"),
        "{}",
        run.err
    );
    assert!(run.err.contains("--spool FOLDER lets them in"), "{}", run.err);
    let run = home.analyze("rebuild --database books/imon.db --spool elsewhere".split(' '));
    assert_eq!(run.err, "booked 1 source again\n");
    // Beside a segment that is named, those that were booked before are read.
    std::fs::copy(home.path("spool/open.seg"), home.path("elsewhere/open.seg")).unwrap();
    home.ok("ingest elsewhere/open.seg --database books/imon.db");
    let run = home.analyze("explain 192.0.2.1 --at 2026-11-22T14:30 --database books/imon.db".split(' '));
    assert_eq!(run.code, Some(1), "{}", run.err);

    // A stranger's database that names what is none of its business: nothing of it is read, changed
    // or removed.
    let secret = home.write("secret/notes.seg", &std::fs::read(testdata("segments/dhcp.seg")).unwrap());
    home.ok("ingest one.pcap --database books/imon.db");
    let before = tree(&home.path("secret"));
    let db = Connection::open(home.path("books/imon.db")).unwrap();
    db.execute("UPDATE source SET path = ?1, kept = CASE WHEN kept IS NULL THEN NULL ELSE ?1 END", [secret.to_str()])
        .unwrap();
    drop(db);
    for line in ["rebuild", "explain 192.0.2.1 --at 2026-11-22T14:30", "prune --before 2099-01-01"] {
        let run = home.analyze(format!("{line} --database books/imon.db").split(' '));
        assert!(matches!(run.code, Some(0 | 1)), "{line}: {}", run.err);
        assert_eq!(tree(&home.path("secret")), before, "{line}: {}", run.err);
    }
}

#[test]
fn links_out_of_a_spool_are_not_followed() {
    if !kernel_can_confine() {
        return;
    }
    let home = home();
    let outside = home.write("outside/good.seg", &std::fs::read(testdata("segments/dhcp.seg")).unwrap());
    symlink(&outside, home.path("spool/link.seg")).unwrap();
    let run = home.analyze("flows spool".split(' '));
    assert_eq!(run.code, Some(3), "{}", run.err);
    assert!(run.err.contains("cannot read spool/link.seg") && run.err.contains("name the file itself"), "{}", run.err);
    home.ok("flows outside/good.seg");
    home.ok("flows spool/link.seg");
}

#[test]
fn a_large_database_is_packed_beside_itself() {
    let home = home();
    home.ok("ingest one.pcap --database books/imon.db");
    let db = Connection::open(home.path("books/imon.db")).unwrap();
    // More than SQLite holds in memory.
    db.execute_batch(
        "CREATE TABLE room (b); WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
         INSERT INTO room SELECT randomblob(1000000) FROM n",
    )
    .unwrap();
    drop(db);
    home.ok("rebuild --diff --dry-run --database books/imon.db");
    home.ok("prune --before 2099-01-01 --database books/imon.db");
    let left: Vec<_> = std::fs::read_dir(home.path("books")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

/// Makes a kernel that does not know these calls.
fn without(calls: &[c_long], command: &mut Command) {
    let rules = calls.iter().map(|number| (*number, Vec::new())).collect();
    let (other, these) = (SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS.cast_unsigned()));
    let filter = SeccompFilter::new(rules, other, these, std::env::consts::ARCH.try_into().unwrap()).unwrap();
    let program = BpfProgram::try_from(filter).unwrap();
    // SAFETY: two system calls, no memory is taken.
    unsafe {
        command.pre_exec(move || seccompiler::apply_filter(&program).map_err(|_| std::io::ErrorKind::Other.into()))
    };
}

#[test]
fn where_there_is_no_sandbox_it_is_said_once_and_the_result_is_the_same() {
    if !kernel_can_confine() {
        return;
    }
    let home = home();
    let right = command(&home, "report browse.pcap.gz").output().unwrap();
    assert!(right.stderr.is_empty(), "{}", text(&right));
    let landlock = libc::SYS_landlock_create_ruleset;
    for (missing, said) in [(vec![landlock], 1), (vec![libc::SYS_seccomp], 1), (vec![landlock, libc::SYS_seccomp], 2)] {
        let mut command = command(&home, "report browse.pcap.gz");
        without(&missing, &mut command);
        let output = command.output().unwrap();
        assert_eq!((output.status.code(), &output.stdout), (Some(0), &right.stdout));
        let notes = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(notes.lines().filter(|line| line.starts_with("note: ")).count(), said, "{notes}");
        assert_eq!(notes.lines().count(), said, "{notes}");
    }
    for line in ["report browse.pcap.gz --no-sandbox", "--no-sandbox report browse.pcap.gz"] {
        let output = command(&home, line).output().unwrap();
        assert_eq!((output.status.code(), &output.stdout), (Some(0), &right.stdout));
        let note = "note: as --no-sandbox says, there is no sandbox around what is read\n";
        assert_eq!(String::from_utf8_lossy(&output.stderr), note);
    }
}

/// In a thread of its own, which the filter is for: the tests beside this one stay free.
fn confined<T: Send>(burglar: Burglar, inside: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let work = || {
            let walls = sandbox::enter(&Reach::nothing(), Opened::default(), burglar);
            matches!(walls.calls, Wall::Up(_)).then(inside)
        };
        scope.spawn(work).join().unwrap()
    })
}

#[test]
fn every_call_outside_the_list_is_refused() {
    let permitted: Vec<c_long> = sandbox::permitted_calls().iter().map(|p| p.number).collect();
    // fork and vfork take no arguments that could make them fail. 335 and 336 are the kernel's own
    // (uretprobe, uprobe): it lets them past any filter, and from anywhere but its own trampoline
    // they end in SIGILL.
    #[cfg(target_arch = "x86_64")]
    let untried = [libc::SYS_fork, libc::SYS_vfork, 335, 336];
    #[cfg(not(target_arch = "x86_64"))]
    let untried = [];
    let numbers: Vec<c_long> = (0..1024).filter(|n| !permitted.contains(n) && !untried.contains(n)).collect();
    let let_through = confined(Burglar::IsRefused, || {
        let refused = |number: c_long| {
            // SAFETY: a call with arguments that make it fail, whatever it is.
            let answer = unsafe { libc::syscall(number, -1, -1, -1, -1, -1, -1) };
            answer == -1 && nix::errno::Errno::last() == nix::errno::Errno::EPERM
        };
        // First what does no harm: if the filter does not work, nothing else is tried.
        assert!(refused(libc::SYS_socket));
        numbers.into_iter().filter(|number| !refused(*number)).collect::<Vec<_>>()
    });
    match let_through {
        Some(let_through) => assert_eq!(let_through, Vec::<c_long>::new()),
        None => eprintln!("skipped: this kernel has no seccomp"),
    }
}

#[test]
fn permitted_calls_are_permitted_with_these_arguments_only() {
    let answers = confined(Burglar::IsRefused, || {
        let failed = |answer: c_long| (answer == -1).then(nix::errno::Errno::last);
        let me = c_long::from(std::process::id());
        let (read, code) = (libc::PROT_READ, libc::PROT_READ | libc::PROT_EXEC);
        let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: calls that take no memory of this program, or fail.
        unsafe {
            [
                failed(libc::syscall(libc::SYS_mmap, 0, 4096, read, private, -1, 0)),
                failed(libc::syscall(libc::SYS_mmap, 0, 4096, code, private, -1, 0)),
                failed(libc::syscall(libc::SYS_tgkill, me, me, libc::SIGKILL)),
                failed(libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0)),
                failed(libc::syscall(libc::SYS_ioctl, 0, libc::TIOCSTI, 0)),
                failed(libc::syscall(libc::SYS_prctl, libc::PR_SET_DUMPABLE, 1, 0, 0, 0)),
                failed(libc::syscall(libc::SYS_prlimit64, 0, libc::RLIMIT_NOFILE, &[9_u64, 9], 0)),
                failed(libc::syscall(libc::SYS_clone3, 0, 0)),
            ]
        }
    });
    let Some(answers) = answers else {
        eprintln!("skipped: this kernel has no seccomp");
        return;
    };
    use nix::errno::Errno::{ENOSYS, EPERM};
    let refused = Some(EPERM);
    let expected = [None, refused, refused, refused, refused, refused, refused, Some(ENOSYS)];
    assert_eq!(answers, expected);
}

/// Set in a process that is to end at once.
const VICTIM: &str = "IMON_TEST_VICTIM";

/// Runs this test in a process of its own, in which `end` is called in the sandbox. Gives the
/// signal that ended it.
fn signal_of(test: &str, end: impl FnOnce() + Send) -> Option<i32> {
    if std::env::var_os(VICTIM).is_some() {
        if confined(Burglar::Ends, end).is_none() {
            std::process::exit(7);
        }
        std::process::exit(0);
    }
    let mut victim = Command::new(std::env::current_exe().unwrap());
    let output = victim.args(["--exact", test, "--nocapture"]).env(VICTIM, "1").output().unwrap();
    if output.status.code() == Some(7) {
        eprintln!("skipped: this kernel has no seccomp");
        return None;
    }
    Some(output.status.signal().unwrap_or_default())
}

#[test]
fn a_socket_ends_the_process() {
    let signal = signal_of("a_socket_ends_the_process", || drop(std::net::UdpSocket::bind("127.0.0.1:0")));
    assert!(signal.is_none_or(|signal| signal == libc::SIGSYS), "{signal:?}");
}

#[test]
fn a_program_ends_the_process() {
    let signal = signal_of("a_program_ends_the_process", || drop(Command::new("/bin/true").status()));
    assert!(signal.is_none_or(|signal| signal == libc::SIGSYS), "{signal:?}");
}

#[test]
fn who_aborts_is_ended_by_the_usual_signal() {
    let signal = signal_of("who_aborts_is_ended_by_the_usual_signal", || std::process::abort());
    assert!(signal.is_none_or(|signal| signal == libc::SIGABRT), "{signal:?}");
}

#[test]
fn a_file_and_a_thread_are_no_reason_to_end() {
    let end = || {
        assert_eq!(std::thread::spawn(|| 7).join().unwrap(), 7);
        assert!(std::fs::File::open("/etc/shadow").is_err());
        assert!(std::fs::File::create("/tmp/imon-outside").is_err());
    };
    let signal = signal_of("a_file_and_a_thread_are_no_reason_to_end", end);
    assert!(signal.is_none_or(|signal| signal == 0), "{signal:?}");
}

/// The calls of a set of systemd's (`@system-service`), with those of the sets in it.
fn calls_of_set(set: &str) -> Vec<String> {
    let output = Command::new("systemd-analyze").args(["syscall-filter", set]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let words = text.lines().skip(1).map(str::trim).filter(|word| !word.is_empty() && !word.starts_with('#'));
    words.flat_map(|word| if word.starts_with('@') { calls_of_set(word) } else { vec![word.to_owned()] }).collect()
}

#[test]
fn the_service_s_own_filter_permits_the_sandbox_and_what_works_in_it() {
    let unit = std::fs::read_to_string(testdata("../packaging/systemd/imon-ingest.service")).unwrap();
    let lines: Vec<&str> = unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")).collect();
    let entering = ["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "seccomp"];
    for call in entering {
        assert!(lines.iter().any(|line| line.split(' ').any(|word| word == call)), "{call}");
    }
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("skipped in part: the program systemd-analyze is missing");
        return;
    }
    let mut permitted: Vec<String> = Vec::new();
    for line in lines {
        let (removes, words) = line.strip_prefix('~').map_or((false, line), |words| (true, words));
        let of = |word: &str| if word.starts_with('@') { calls_of_set(word) } else { vec![word.to_owned()] };
        let calls: Vec<String> = words.split(' ').flat_map(of).collect();
        match removes {
            true => permitted.retain(|call| !calls.contains(call)),
            false => permitted.extend(calls),
        }
    }
    let has = |call: &str| permitted.iter().any(|permitted| permitted == call);
    for call in entering.into_iter().chain(["prctl"]) {
        assert!(has(call), "{call}");
    }
    for call in sandbox::permitted_calls() {
        // The service is not root: it gives no file away. Its socket is that of nobody.
        assert!(has(call.name) || call.name == "fchown", "{}", call.name);
    }
}
