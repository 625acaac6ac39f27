//! The confinement as a whole: what it refuses, what works in it, what happens on a kernel that
//! cannot enforce it, and which calls the loop makes. Root, and a kernel with Landlock and seccomp;
//! otherwise the tests say that they were skipped.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr)]

mod support;

use nix::libc;
use nix::sys::signal::Signal;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::collections::BTreeMap;
use std::ffi::c_long;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use support::net::{Net, ONLY_OURS, Recorder, has_strace, home, kernel_can_confine, program};
use support::{files, read_sealed, total};

/// A table of `--self-test`: mark, what, how.
struct Table {
    lines: Vec<(String, String, String)>,
    permitted: Vec<String>,
    text: String,
}

impl Table {
    fn of(output: &Output) -> Self {
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix("  ")).map(|line| {
            let (mark, rest) = line.split_at(6);
            let (what, how) = rest.trim_start().split_once("  ").unwrap_or((rest, ""));
            (mark.trim().into(), what.trim().into(), how.trim().into())
        });
        let permitted = text.lines().find_map(|line| line.strip_prefix("system calls permitted: "));
        let permitted = permitted.unwrap_or_default().split(' ').map(str::to_owned).collect();
        Self { lines: lines.collect(), permitted, text: format!("{text}{}", String::from_utf8_lossy(&output.stderr)) }
    }

    fn marked(&self, mark: &str) -> Vec<&str> {
        self.lines.iter().filter(|(m, ..)| m == mark).map(|(_, what, _)| what.as_str()).collect()
    }

    fn how(&self, what: &str) -> &str {
        let line = self.lines.iter().find(|(_, w, _)| w == what);
        line.map(|(_, _, how)| how.as_str()).unwrap_or_else(|| panic!("no {what} in {}", self.text))
    }
}

/// What must be refused, whatever else is tried.
const REFUSED: [&str; 23] = [
    "open /etc/shadow",
    "open /etc/shadow past the spool",
    "open /etc/passwd past the spool",
    "read a file of the spool",
    "make a file beside the spool",
    "socket: TCP",
    "socket: netlink",
    "connect",
    "sendto",
    "send by write",
    "exec",
    "fork (clone)",
    "memory: writable and executable",
    "setuid",
    "kill",
    "ptrace",
    "copy a file descriptor",
    "make a segment in /tmp",
    "look at a file (statx)",
    "look at a file (stat)",
    "read from another descriptor",
    "write over a file of the spool",
    "hold a file of the spool",
];

/// Everything is shut and everything works.
fn is_whole(output: &Output) {
    let table = Table::of(output);
    assert_eq!(output.status.code(), Some(0), "{}", table.text);
    for what in REFUSED {
        assert!(table.how(what).starts_with("refused by "), "{what}: {}", table.text);
    }
    // A note says that an older kernel has one wall less, which another covers.
    assert!(table.how("descriptors").ends_with(" open, each with a purpose"), "{}", table.text);
    assert_eq!(table.how("threads"), "2, none with a right (imon-record, imon-disk)", "{}", table.text);
    // What is said once holds for both.
    assert!(!table.text.contains("; the thread of the disk: "), "{}", table.text);
    for mark in ["HOLE", "FAIL"] {
        assert!(table.marked(mark).is_empty(), "{}", table.text);
    }
    assert_eq!(table.how("make a segment"), "create, write, sync, rename, list, remove");
    assert!(table.how("read the kernel's counters").contains(" received"), "{}", table.text);
}

fn net_command(net: &Net) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &net.here]);
    command
}

fn self_test(net: &Net, spool: &Path, mut command: Command) -> Output {
    let args = ["-i", &net.interface(), "--spool", spool.to_str().unwrap(), "--self-test"];
    command.arg(program()).args(args).output().unwrap()
}

#[test]
fn as_root_everything_is_shut_and_what_is_needed_works() {
    let Some(net) = Net::new() else { return };
    if !kernel_can_confine() {
        return;
    }
    let (_home, spool) = home();
    is_whole(&self_test(&net, &spool, net_command(&net)));
    let table = Table::of(&self_test(&net, &spool, net_command(&net)));
    // By Landlock alone: seccomp cannot see which path it is.
    assert!(table.how("make a segment in /tmp").starts_with("refused by Landlock"), "{}", table.text);
    // Nothing is left behind but the lock.
    assert_eq!(spool.read_dir().unwrap().count(), 1);
}

/// As a service manager starts it: an ordinary user with one ambient capability.
#[test]
fn with_one_ambient_capability_it_is_the_same() {
    let Some(net) = Net::new() else { return };
    if !kernel_can_confine() {
        return;
    }
    let (home, spool) = home();
    std::fs::set_permissions(home.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let mut command = net_command(&net);
    command.args(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.args(["--inh-caps=-all,+net_raw", "--ambient-caps=+net_raw", "--bounding-set=-all,+net_raw"]);
    is_whole(&self_test(&net, &spool, command));
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
fn on_a_kernel_without_a_wall_it_refuses_unless_told_otherwise() {
    let Some(net) = Net::new() else { return };
    if !kernel_can_confine() {
        return;
    }
    for (missing, word) in [(libc::SYS_landlock_create_ruleset, "Landlock"), (libc::SYS_seccomp, "seccomp")] {
        let (_home, spool) = home();
        let mut args = vec!["-i".to_owned(), net.interface(), "--spool".into(), spool.display().to_string()];
        args.extend(ONLY_OURS.map(str::to_owned));
        let command = |more: &[&str]| {
            let args: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
            let mut command = net.command(&args);
            without(&[missing], &mut command);
            command
        };
        let output = command(&[]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(word) && said.contains("hint:") && said.contains("--allow-uncaged"), "{said}");
        assert_eq!(files(&spool, "part").len() + files(&spool, "seg").len(), 0);

        let output = command(&["--self-test"]).output().unwrap();
        let table = Table::of(&output);
        assert_eq!(output.status.code(), Some(1), "{}", table.text);
        assert!(table.marked("HOLE").iter().any(|what| what.contains(word)), "{}", table.text);
        assert!(table.marked("FAIL").is_empty(), "{}", table.text);

        // The attempts were made in earnest, and the recording is whole all the same.
        let recorder = Recorder::start(command(&["--allow-uncaged"]));
        assert!(recorder.said.contains(word), "{}", recorder.said);
        net.send(1_000);
        let (said, _) = recorder.terminate();
        assert_eq!(total(&said, "packets"), 1_000, "{said}");
    }
}

/// A field of what /proc says of a process or thread.
fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find_map(|l| l.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name}")).trim_start_matches(':').trim()
}

/// What /proc says of a process.
fn status(pid: u32, name: &str) -> String {
    field(&std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap(), name).into()
}

/// What /proc says of each thread of a process.
fn statuses(pid: u32) -> Vec<String> {
    let tasks = Path::new(&format!("/proc/{pid}/task")).read_dir().unwrap();
    tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).unwrap()).collect()
}

#[test]
fn the_loop_and_the_disk_s_thread_have_two_filters_each_and_no_right_and_small_limits() {
    let Some(net) = Net::new() else { return };
    if !kernel_can_confine() {
        return;
    }
    let (_home, spool) = home();
    let recorder = net.start(&spool, &[]);
    let pid = recorder.child.id();
    let threads = statuses(pid);
    let names: Vec<&str> = threads.iter().map(|thread| field(thread, "Name")).collect();
    assert_eq!(names, ["imon-record", "imon-disk"]);
    let none = "0000000000000000";
    for thread in &threads {
        for (name, value) in [
            ("NoNewPrivs", "1"),
            ("Seccomp", "2"),
            ("Seccomp_filters", "2"),
            ("CapInh", none),
            ("CapPrm", none),
            ("CapEff", none),
            ("CapBnd", none),
            ("CapAmb", none),
            ("Groups", ""),
        ] {
            assert_eq!(field(thread, name), value, "{name} of {}", field(thread, "Name"));
        }
        assert_eq!(field(thread, "Uid"), field(&threads[0], "Uid"));
        assert!(!field(thread, "Uid").split_whitespace().any(|uid| uid == "0"));
    }
    // SIGHUP is 1, SIGINT 2, SIGTERM 15: bits of the mask. They interrupt the loop.
    let held_back = |thread: &str| u64::from_str_radix(field(thread, "SigBlk"), 16).unwrap() & 0x4003;
    assert_eq!(threads.iter().map(|thread| held_back(thread)).collect::<Vec<_>>(), [0, 0x4003]);
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let limit = |name: &str| -> u64 {
        let line = limits.lines().find_map(|l| l.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    assert_eq!((limit("Max core file size"), limit("Max processes")), (0, 0));
    assert!(limit("Max open files") < 64, "{limits}");
    // The spool is its user's alone, because it was made.
    assert_eq!(spool.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(files(&spool, "part")[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
    recorder.terminate();
}

/// What a shell, a service manager or a careless program left open is closed before the first
/// packet.
#[test]
fn nothing_stays_open_that_was_inherited_and_standard_input_and_output_are_nothing() {
    let Some(net) = Net::new() else { return };
    let (home, spool) = home();
    let secret = home.path().join("secret");
    std::fs::write(&secret, "secret").unwrap();
    let (reader, _writer) = std::io::pipe().unwrap();
    let mut command = net.command(&["-i", &net.interface(), "--spool", spool.to_str().unwrap()]);
    command.stdin(File::open(&secret).unwrap());
    let inherited = [File::open(&secret).unwrap().into(), OwnedFd::from(reader)];
    // SAFETY: system calls only, no memory is taken.
    unsafe {
        command.pre_exec(move || {
            for (fd, number) in inherited.iter().zip([9, 300]) {
                if libc::dup2(fd.as_raw_fd(), number) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
            }
            Ok(())
        })
    };
    let recorder = Recorder::start(command);
    let mut open: BTreeMap<i32, PathBuf> = BTreeMap::new();
    for entry in Path::new(&format!("/proc/{}/fd", recorder.child.id())).read_dir().unwrap() {
        let entry = entry.unwrap();
        open.insert(entry.file_name().to_str().unwrap().parse().unwrap(), std::fs::read_link(entry.path()).unwrap());
    }
    assert_eq!([&open[&0], &open[&1]], [Path::new("/dev/null"); 2]);
    assert!(!open.values().any(|path| *path == secret), "{open:?}");
    assert!(open.keys().all(|number| *number < 64), "{open:?}");
    recorder.terminate();
}

/// A capture that the shell hands over by a number (`--read <(zcat a.gz)`) is opened before that
/// number is closed.
#[test]
fn a_capture_file_may_be_named_by_a_descriptor() {
    let (home, spool) = home();
    let capture = home.path().join("a.pcap");
    std::fs::write(&capture, [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0])
        .unwrap();
    let line = r#"exec 9< "$1"; "$0" --read /dev/fd/9 --spool "$2""#;
    let output = Command::new("sh").args(["-c", line]).arg(program()).arg(&capture).arg(&spool).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_group_that_may_list_the_spool_may_read_its_segments() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    std::fs::create_dir(&spool).unwrap();
    std::fs::set_permissions(&spool, PermissionsExt::from_mode(0o750)).unwrap();
    net.start(&spool, &[]).terminate();
    assert_eq!(files(&spool, "seg")[0].metadata().unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn who_reads_a_file_is_confined_too() {
    if !kernel_can_confine() {
        return;
    }
    let (_home, spool) = home();
    let mut command = Command::new(program());
    command.args(["--read", "-", "--spool", spool.to_str().unwrap()]).stdin(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let began = Instant::now();
    // It waits for the first byte of the file, which does not come.
    while status(child.id(), "Seccomp") == "0" && began.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let filter = status(child.id(), "Seccomp");
    let privileges = status(child.id(), "NoNewPrivs");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!((filter.as_str(), privileges.as_str()), ("2", "1"));
}

/// Traffic, rotation, removal, hangups, new addresses, a link that goes down, an interface that is
/// made again: no call that is not in the list, and none refused but those that libpcap can do
/// without. `IMON_TRACE_SECONDS` sets how long.
#[test]
fn under_strace_the_loop_makes_no_call_outside_the_list() {
    let Some(net) = Net::new() else { return };
    if !has_strace() || !kernel_can_confine() {
        return;
    }
    let seconds = std::env::var("IMON_TRACE_SECONDS").map_or(4, |n| n.parse().unwrap());
    let (home, spool) = home();
    let whole = self_test(&net, &spool, net_command(&net));
    is_whole(&whole);
    let permitted = Table::of(&whole).permitted;
    // More than the budget: must go before the first packet. What is not ours stays.
    net.start(&spool, &[]).terminate();
    let old = files(&spool, "seg").pop().unwrap();
    File::options().append(true).open(&old).unwrap().write_all(&vec![0; 600 << 10]).unwrap();
    let foreign = spool.join("imon-20000101T000000Z-00000000-000000.seg.part");
    std::fs::write(&foreign, vec![0; 600 << 10]).unwrap();
    let trace = home.path().join("trace");
    let metrics = home.path().join("metrics");
    std::fs::create_dir(&metrics).unwrap();
    std::fs::set_permissions(&metrics, PermissionsExt::from_mode(0o777)).unwrap();
    let mut command = net_command(&net);
    // -D: the recorder stays our child, and strace is a stranger.
    command.args(["strace", "-D", "-f", "-o", trace.to_str().unwrap()]).arg(program());
    command.args(["-i", &net.interface(), "--spool", spool.to_str().unwrap(), "--promiscuous"]);
    command.args(["--rotate-every", "1s", "--keep-size", "512KiB", "--metrics"]).arg(metrics.join("imon.prom"));
    command.args(ONLY_OURS);
    let mut recorder = Recorder::start(command);
    let began = Instant::now();
    let mut sent = 0;
    for round in 0.. {
        net.send(1_000);
        sent += 1_000;
        match round % 5 {
            0 => recorder.signal(Signal::SIGHUP),
            1 => drop(net.ip(&format!("-n {} addr add 192.0.2.1/24 dev {}", net.here, net.interface()))),
            2 => {
                // What is in the ring when the link goes down is gone.
                std::thread::sleep(Duration::from_millis(300));
                net.ip(&format!("-n {} link set {} down", net.here, net.interface()));
                recorder.hear("; waits until it is back");
                net.ip(&format!("-n {} link set {} up", net.here, net.interface()));
                net.route();
                recorder.hear(": back");
            }
            3 => {
                net.ip(&format!("-n {} link del {}", net.here, net.interface()));
                recorder.hear("; waits until it is back");
                net.join();
                recorder.hear(": back");
            }
            _ => std::thread::sleep(Duration::from_millis(500)),
        }
        if began.elapsed() >= Duration::from_secs(seconds) {
            break;
        }
    }
    let (said, _) = recorder.terminate();
    assert_eq!(total(&said, "packets") + total(&said, "dropped by the kernel"), sent, "{said}");
    assert!(!old.exists() && foreign.exists());
    read_sealed(&spool);

    let text = ended(&trace);
    let (_, loop_calls) = text.rsplit_once("seccomp(SECCOMP_SET_MODE_FILTER").unwrap();
    let calls = calls_of(loop_calls);
    assert!(calls.len() > 100, "{} calls", calls.len());
    assert!(calls.iter().any(|call| call.starts_with("fdatasync(")));
    for call in &calls {
        let (name, _) = call.split_once('(').unwrap();
        assert!(permitted.iter().any(|p| p == name), "not in the list: {call}");
        // In promiscuous mode libpcap would like to read a counter of its own. The return from a
        // signal's handler shows what the call before the signal returned.
        let expected = ["openat(AT_FDCWD, \"/sys/class/net/", "rt_sigreturn("];
        let refused = call.contains("EPERM") && !expected.iter().any(|e| call.starts_with(e));
        assert!(!refused, "refused: {call}");
    }
    eprintln!("{} calls in {seconds} s, all of them in the list", calls.len());
}

/// What has no second thread and other inputs has the same list.
#[test]
fn under_strace_capture_files_and_datagrams_take_no_call_outside_the_list() {
    let Some(net) = Net::new() else { return };
    if !has_strace() || !kernel_can_confine() {
        return;
    }
    let (home, spool) = home();
    let permitted = Table::of(&self_test(&net, &spool, net_command(&net))).permitted;
    let trace = home.path().join("trace");
    let traced = |args: &[&str]| {
        let mut command = Command::new("strace");
        command.args(["-D", "-f", "-o", trace.to_str().unwrap()]).arg(program()).args(args);
        command.args(["--spool", spool.to_str().unwrap()]).stderr(Stdio::piped());
        command
    };
    // From a call on that comes after the cage was tried.
    let all_in_the_list = |from: &str, at_least: usize| {
        let text = ended(&trace);
        let (_, inside) = text.rsplit_once("seccomp(SECCOMP_SET_MODE_FILTER").unwrap();
        let (_, working) = inside.split_once(from).unwrap();
        let calls = calls_of(working);
        assert!(calls.len() >= at_least, "{} calls", calls.len());
        for call in &calls {
            let (name, _) = call.split_once('(').unwrap();
            assert!(permitted.iter().any(|p| p == name), "not in the list: {call}");
            assert!(!call.contains("EPERM") || name == "rt_sigreturn", "refused: {call}");
        }
    };
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/pcap/ng-statistics.pcapng");
    let output = traced(&["--read", capture]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    all_in_the_list(", \"imon-", 10);

    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let to = format!("127.0.0.1:{port}");
    let mut collector = traced(&["--collect", &to, "--allow-from", "127.0.0.1"]).spawn().unwrap();
    let mut said = std::io::BufReader::new(collector.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("collecting datagrams") {
        assert!(std::io::BufRead::read_line(&mut said, &mut line).unwrap() > 0, "{line}");
    }
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let pid = nix::unistd::Pid::from_raw(collector.id().try_into().unwrap());
    for signal in [Signal::SIGHUP, Signal::SIGTERM] {
        sender.send_to(&[0; 72], &to).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        nix::sys::signal::kill(pid, signal).unwrap();
    }
    std::io::Read::read_to_string(&mut said, &mut line).unwrap();
    assert!(collector.wait().unwrap().success() && line.contains("collected 2 datagrams"), "{line}");
    all_in_the_list("collecting datagrams", 10);
}

/// The calls in lines of strace, `1234 write(2, …) = 1`, without signals and ends. A call during
/// which another thread made one comes in two halves: `1234 write(2, <unfinished ...>`, and later
/// `1234 <... write resumed> …) = 1`.
fn calls_of(trace: &str) -> Vec<String> {
    let (mut calls, mut begun) = (Vec::new(), BTreeMap::new());
    for line in trace.lines().skip(1) {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(first) = rest.strip_suffix("<unfinished ...>") {
            begun.insert(thread, first);
        } else if let Some((_, second)) = rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
            // The first half of a call may stand before the first line.
            calls.extend(begun.remove(thread).map(|first| format!("{first}{second}")));
        } else if rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            calls.push(rest.to_owned());
        }
    }
    calls.extend(begun.into_values().map(str::to_owned));
    calls
}

/// The trace, when strace has written the end of it.
fn ended(trace: &Path) -> String {
    let began = Instant::now();
    loop {
        let text = std::fs::read_to_string(trace).unwrap();
        if text.contains("+++ exited with ") {
            return text;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "the trace has no end");
        std::thread::sleep(Duration::from_millis(50));
    }
}
