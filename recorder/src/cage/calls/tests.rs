use super::*;
use crate::cage::raw::{self, Attempt, Writable};
use nix::errno::Errno;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

/// Set in a process that is to end at once.
const VICTIM: &str = "IMON_TEST_VICTIM";

/// Numbers beyond any call of today.
const ALL: std::ops::Range<c_long> = 0..1024;

/// False, and said, where there is no seccomp to test.
fn kernel_can() -> bool {
    let can = std::path::Path::new("/proc/sys/kernel/seccomp/actions_avail").exists();
    if !can {
        eprintln!("skipped: this kernel has no seccomp");
    }
    can
}

/// In a thread of its own, which the filter is for: the tests beside this one stay free. `in_cage`
/// gets the capture, for which a file stands.
fn confined<T: Send>(in_cage: impl FnOnce(&File, &File, &File) -> T + Send) -> T {
    let home = tempfile::tempdir().unwrap();
    let dir = File::open(home.path()).unwrap();
    let capture = File::create(home.path().join("capture")).unwrap();
    let read = File::open("/dev/zero").unwrap();
    std::thread::scope(|scope| {
        let work = || {
            let list = nix::dir::Dir::openat(&dir, ".", nix::fcntl::OFlag::O_RDONLY, nix::sys::stat::Mode::empty());
            let list = list.unwrap();
            let kept = [Kept::new(&capture, Use::Held, "capture"), Kept::new(&read, Use::Read, "to be read")];
            let program = program(&[dir.as_fd()], &[capture.as_fd()], &kept, list.as_raw_fd()).unwrap();
            restrict(&program).unwrap();
            in_cage(&dir, &capture, &read)
        };
        scope.spawn(work).join().unwrap()
    })
}

#[test]
fn every_call_outside_the_list_is_refused() {
    if !kernel_can() {
        return;
    }
    let permitted: Vec<c_long> = PERMITTED.iter().map(|((_, number), ..)| *number).collect();
    // fork and vfork take no arguments that could make them fail; NEVER has them, and the list has
    // not. 335 and 336 are the kernel's own (uretprobe, uprobe): it lets them past any filter, and
    // from anywhere but its own trampoline they end in SIGILL.
    #[cfg(target_arch = "x86_64")]
    let untried = [libc::SYS_fork, libc::SYS_vfork, 335, 336];
    #[cfg(not(target_arch = "x86_64"))]
    let untried = [];
    let numbers = ALL.filter(|n| !permitted.contains(n) && !untried.contains(n));
    let let_through = confined(|dir, capture, _| {
        // First what does no harm: if the filter does not work, nothing else is tried.
        let attempts = Attempt::all(dir.as_fd(), Writable::Spool, &[capture.as_fd()]);
        let open: Vec<_> = attempts.iter().filter(|a| a.make() != Err(Errno::EPERM)).map(|a| a.what).collect();
        // For want of Landlock, which has a test of its own.
        let of_files = |what: &&str| ["open", "list", "make", "read"].iter().any(|w| what.starts_with(w));
        assert!(open.iter().all(of_files), "{open:?}");
        numbers.filter(|n| raw::useless(*n) != Some(Errno::EPERM)).collect::<Vec<_>>()
    });
    assert_eq!(let_through, Vec::<c_long>::new());
}

#[test]
fn permitted_calls_are_permitted_with_these_arguments_only() {
    if !kernel_can() {
        return;
    }
    confined(|dir, mut capture: &File, mut read: &File| {
        let refused = |result: std::io::Result<()>| {
            assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EPERM));
        };
        // Writing to a capture is sending.
        refused(capture.write_all(b"x"));
        refused(capture.write_vectored(&[std::io::IoSlice::new(b"x")]).map(drop));
        refused(capture.try_clone().map(drop));
        refused(File::open("/dev/null").map(drop));
        // Each descriptor for what it is there for.
        read.read_exact(&mut [0; 4]).unwrap();
        refused(read.write_all(b"x"));
        refused(capture.read_exact(&mut [0; 4]));
        refused(capture.metadata().map(drop));
        refused(std::fs::metadata("/").map(drop));
        use nix::fcntl::OFlag;
        let mode = nix::sys::stat::Mode::S_IRUSR;
        let open = |name: &str, flags: OFlag| nix::fcntl::openat(dir, name, flags, mode);
        let new = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mut file: File = open("x", new).unwrap().into();
        file.write_all(b"x").unwrap();
        file.sync_all().unwrap();
        refused(file.read_exact(&mut [0; 1]));
        assert_eq!(raw::stat(file.as_fd()).unwrap().st_size, 1);
        // Only what was not there, and never to be read.
        assert_eq!(open("x", new).map(drop), Err(Errno::EEXIST));
        for flags in
            [OFlag::O_WRONLY, OFlag::O_RDWR, OFlag::O_RDONLY, OFlag::O_PATH, new - OFlag::O_EXCL, new | OFlag::O_RDWR]
        {
            assert_eq!(open("x", flags).map(drop), Err(Errno::EPERM), "{flags:?}");
        }
        nix::fcntl::renameat(dir, "x", dir, "y").unwrap();
        assert_eq!(nix::fcntl::renameat(dir, "y", capture, "y"), Err(Errno::EPERM));
        // Stamps of segments, by the spool's handle.
        let (now, how) = (TimeSpec::UTIME_NOW, UtimensatFlags::NoFollowSymlink);
        utimensat(dir, "y", &TimeSpec::UTIME_OMIT, &now, how).unwrap();
        assert_eq!(utimensat(capture, "y", &now, &now, how), Err(Errno::EPERM));
        // More memory than the heap has at hand.
        assert_eq!(vec![1_u8; 64 << 20].len(), 64 << 20);
    });
}

/// Runs this test in a process of its own, in which `end` is called in the cage with the last door
/// shut. Gives the signal that ended it.
fn signal_of(test: &str, end: impl FnOnce() + Send) -> Option<i32> {
    if std::env::var_os(VICTIM).is_some() {
        confined(|_, _, _| {
            tighten().unwrap();
            // Refused, and no more than that.
            assert!(File::open("/dev/null").is_err());
            end();
        });
        std::process::exit(0);
    }
    let mut victim = Command::new(std::env::current_exe().unwrap());
    let test = format!("cage::calls::tests::{test}");
    let output = victim.args(["--exact", &test, "--nocapture"]).env(VICTIM, "1").output().unwrap();
    output.status.signal()
}

#[test]
fn a_burglar_s_call_ends_the_process() {
    if !kernel_can() {
        return;
    }
    let end = || drop(std::net::UdpSocket::bind("127.0.0.1:0"));
    assert_eq!(signal_of("a_burglar_s_call_ends_the_process", end), Some(libc::SIGSYS));
}

#[test]
fn who_aborts_is_ended_by_the_usual_signal() {
    if !kernel_can() {
        return;
    }
    assert_eq!(signal_of("who_aborts_is_ended_by_the_usual_signal", || std::process::abort()), Some(libc::SIGABRT));
}

/// What somebody who took the recorder over still has is written down, call by call.
#[test]
fn the_threat_model_lists_every_call_that_stays_permitted_and_no_other() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/THREAT-MODEL.md");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: {} is not there, as in a published crate", path.display());
        return;
    };
    let section = text.split("### Every call that stays").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next());
    let mut listed: Vec<&str> = rows.flat_map(|names| names.split('`')).filter(|n| !n.trim().is_empty()).collect();
    listed.sort_unstable();
    let mut permitted = permitted();
    // Not on every processor.
    permitted.extend(["poll", "renameat"]);
    permitted.sort_unstable();
    permitted.dedup();
    assert_eq!(listed, permitted);
}

#[test]
fn what_ends_the_process_is_not_in_the_list() {
    let both = |name: &&&str| NEVER.iter().any(|(never, _)| never == *name);
    let listed: Vec<&str> = PERMITTED.iter().map(|((name, _), ..)| *name).collect();
    // These two are there for `tighten` itself.
    assert_eq!(listed.iter().filter(both).collect::<Vec<_>>(), [&"SYS_prctl", &"SYS_seccomp"]);
}
