//! The system calls that the loop needs, and why. All others are refused (seccomp(2)).
//!
//! What a refused call gets is `EPERM`: a library that tries something dispensable, or a new version of one that does
//! a thing in another way, then fails where its caller sees it, in the words of an ordinary error, and a recording that
//! is good stays good. What nobody here could mean well ([`NEVER`]: running a program, another process, a socket, sending)
//! ends the process at once, with SIGSYS and a line in the kernel's log: only somebody who took it over would try that.
//! That second filter comes when the first was proved, because proving means trying.

use crate::atomic::PUBLIC_MODE;
use nix::libc;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use std::collections::BTreeMap;
use std::ffi::c_long;
use std::os::fd::{AsRawFd, BorrowedFd};

/// A call with its name.
macro_rules! call {
    ($name:ident) => {
        (stringify!($name), libc::$name)
    };
}

/// What the arguments of a permitted call must be.
enum Only {
    /// Anything.
    Any,
    /// The first one is not a capture: writing to one would send a packet. Captures stay open as long as the process
    /// lives, so that no file ever gets the number of one.
    NoCapture,
    /// The first one is a capture, and these are so.
    Capture(&'static [(u8, i32)]),
    /// These are a directory that may be written to, all the same one.
    Inside(&'static [u8]),
    /// This one is one of these.
    OneOf(u8, &'static [i32]),
    /// This one has none of these bits.
    Without(u8, i32),
    /// The first one is this process, and this one is this.
    Own(u8, i32),
}

type Permit = ((&'static str, c_long), Only, &'static str);

/// From a directory to itself.
const RENAME: Only = Only::Inside(&[0, 2]);

const SIOCGIFFLAGS: i32 = 0x8913;
const SOL_PACKET: i32 = 263;
/// Length of a struct sockaddr_ll: the address of a packet socket, and of nothing else.
const SOCKADDR_LL_BYTES: i32 = 20;
const PACKET_ADD_MEMBERSHIP: i32 = 1;
const PACKET_RX_RING: i32 = 5;
const PACKET_STATISTICS: i32 = 6;

/// Call, arguments, why. `strace` over a recording and the tests in `tests/cage.rs` say that nothing is missing.
const PERMITTED: &[Permit] = &[
    // Packets, counters, news.
    (call!(SYS_ppoll), Only::Any, "wait (poll of musl and of processors without it)"),
    #[cfg(target_arch = "x86_64")]
    (call!(SYS_poll), Only::Any, "wait; libpcap looks at its ring with it"),
    (call!(SYS_getsockopt), Only::Capture(&[(1, SOL_PACKET), (2, PACKET_STATISTICS)]), "packets received and dropped"),
    (call!(SYS_getsockopt), Only::Capture(&[(1, libc::SOL_SOCKET), (2, libc::SO_ERROR)]), "libpcap: why poll woke up"),
    (call!(SYS_getsockname), Only::Capture(&[]), "libpcap: is the interface still there"),
    (call!(SYS_ioctl), Only::Capture(&[(1, SIOCGIFFLAGS)]), "libpcap: is the interface down"),
    (
        call!(SYS_setsockopt),
        Only::Capture(&[(1, SOL_PACKET), (2, PACKET_RX_RING)]),
        "libpcap: give back the ring at the end",
    ),
    (call!(SYS_bind), Only::Capture(&[(2, SOCKADDR_LL_BYTES)]), "go on with an interface that was made again"),
    (
        call!(SYS_setsockopt),
        Only::Capture(&[(1, SOL_PACKET), (2, PACKET_ADD_MEMBERSHIP)]),
        "the same, in promiscuous mode",
    ),
    (call!(SYS_read), Only::Any, "counters, rtnetlink, wake-up, capture file"),
    (call!(SYS_lseek), Only::Any, "counters are read from their start again"),
    // Segments.
    (call!(SYS_openat), Only::Inside(&[0]), "make a segment, list the spool (Landlock: there and nowhere else)"),
    (call!(SYS_write), Only::NoCapture, "segments, what is said, ask rtnetlink, wake-up"),
    (call!(SYS_writev), Only::NoCapture, "what is said"),
    (call!(SYS_fsync), Only::Any, "seal a segment, keep its name"),
    (call!(SYS_fdatasync), Only::Any, "keep an interval"),
    #[cfg(target_arch = "x86_64")]
    (call!(SYS_renameat), RENAME, "the status file; seal where renameat2 is not known"),
    // Known to the kernel and to libc, unknown to the crate.
    #[cfg(target_arch = "aarch64")]
    (("SYS_renameat", 38), RENAME, "the status file; seal where renameat2 is not known"),
    (call!(SYS_renameat2), RENAME, "seal a segment"),
    (call!(SYS_fchmod), Only::OneOf(1, &[PUBLIC_MODE as i32]), "everybody may read the metrics"),
    (call!(SYS_unlinkat), Only::Inside(&[0]), "remove the oldest"),
    (call!(SYS_utimensat), Only::Inside(&[0]), "stamps follow a clock that was set"),
    (call!(SYS_getdents64), Only::Any, "list the spool"),
    (call!(SYS_newfstatat), Only::Any, "sizes and ages of the segments"),
    (call!(SYS_fstat), Only::Any, "the same, of an open file (older libraries, musl)"),
    (call!(SYS_statx), Only::Any, "the same, by Rust's library"),
    (call!(SYS_close), Only::Any, "sealed segments, listings, everything at the end"),
    (
        call!(SYS_fcntl),
        Only::OneOf(1, &[libc::F_GETFD, libc::F_SETFD, libc::F_GETFL]),
        "list a directory; Rust checks what it closes",
    ),
    (call!(SYS_getrandom), Only::Any, "number of a segment, seeds of hash tables"),
    // Time.
    (call!(SYS_clock_gettime), Only::Any, "clocks, where the kernel has no faster way"),
    (call!(SYS_gettimeofday), Only::Any, "the same, for libpcap"),
    (call!(SYS_clock_nanosleep), Only::Any, "wait for the last block of a vanished interface"),
    (call!(SYS_nanosleep), Only::Any, "the same, on musl"),
    // Memory.
    (call!(SYS_mmap), Only::Without(2, libc::PROT_EXEC), "memory, never executable"),
    (call!(SYS_mprotect), Only::Without(2, libc::PROT_EXEC), "memory, never executable"),
    (call!(SYS_munmap), Only::Any, "memory"),
    (call!(SYS_mremap), Only::Any, "memory"),
    (call!(SYS_madvise), Only::Any, "memory"),
    (call!(SYS_brk), Only::Any, "memory"),
    // Signals and the end.
    (call!(SYS_rt_sigreturn), Only::Any, "return from a signal's handler"),
    (call!(SYS_restart_syscall), Only::Any, "the kernel goes on with a wait after SIGSTOP"),
    (call!(SYS_rt_sigaction), Only::Any, "abort"),
    (call!(SYS_rt_sigprocmask), Only::Any, "abort"),
    (call!(SYS_sigaltstack), Only::Any, "Rust takes down its stack for overflows at the end"),
    (call!(SYS_getpid), Only::Any, "abort"),
    (call!(SYS_gettid), Only::Any, "abort"),
    (call!(SYS_tgkill), Only::Own(2, libc::SIGABRT), "abort, and nothing else"),
    (call!(SYS_futex), Only::Any, "locks of the libraries"),
    (call!(SYS_sched_yield), Only::Any, "the same"),
    (call!(SYS_exit), Only::Any, "end"),
    (call!(SYS_exit_group), Only::Any, "end"),
    // For `tighten`, which refuses both.
    (call!(SYS_prctl), Only::OneOf(0, &[libc::PR_SET_NO_NEW_PRIVS]), "a second filter"),
    (call!(SYS_seccomp), Only::OneOf(0, &[libc::SECCOMP_SET_MODE_FILTER as i32]), "a second filter"),
];

/// Who calls one of these has taken the recorder over. Not here: what is refused without harm to anybody but may be a
/// library's idea, as opening a file is.
const NEVER: &[(&str, c_long)] = &[
    call!(SYS_execve),
    call!(SYS_execveat),
    #[cfg(target_arch = "x86_64")]
    call!(SYS_fork),
    #[cfg(target_arch = "x86_64")]
    call!(SYS_vfork),
    call!(SYS_clone),
    call!(SYS_clone3),
    call!(SYS_socket),
    call!(SYS_socketpair),
    call!(SYS_connect),
    call!(SYS_accept),
    call!(SYS_accept4),
    call!(SYS_listen),
    call!(SYS_sendto),
    call!(SYS_sendmsg),
    call!(SYS_sendmmsg),
    call!(SYS_ptrace),
    call!(SYS_process_vm_readv),
    call!(SYS_process_vm_writev),
    call!(SYS_kill),
    call!(SYS_tkill),
    call!(SYS_setuid),
    call!(SYS_setgid),
    call!(SYS_setreuid),
    call!(SYS_setregid),
    call!(SYS_setresuid),
    call!(SYS_setresgid),
    call!(SYS_setgroups),
    call!(SYS_capset),
    call!(SYS_unshare),
    call!(SYS_setns),
    call!(SYS_mount),
    call!(SYS_umount2),
    call!(SYS_chroot),
    call!(SYS_pivot_root),
    call!(SYS_bpf),
    call!(SYS_perf_event_open),
    call!(SYS_io_uring_setup),
    call!(SYS_userfaultfd),
    call!(SYS_memfd_create),
    call!(SYS_keyctl),
    call!(SYS_add_key),
    call!(SYS_request_key),
    call!(SYS_init_module),
    call!(SYS_finit_module),
    call!(SYS_kexec_load),
    call!(SYS_open_by_handle_at),
    call!(SYS_personality),
    call!(SYS_prctl),
    call!(SYS_seccomp),
];

/// Names of the calls that stay permitted, sorted.
pub fn permitted() -> Vec<&'static str> {
    let stays = |permit: &&Permit| !NEVER.contains(&permit.0);
    let mut names: Vec<_> = PERMITTED.iter().filter(stays).map(|((name, _), ..)| &name["SYS_".len()..]).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Refuses all other calls to this thread, and to those that it starts, with `EPERM`. Cannot be undone.
///
/// `directories`: those that may be written to. `captures`: the sockets that packets come from.
///
/// # Errors
/// The kernel has no seccomp, or refused; in words.
pub fn restrict(directories: &[BorrowedFd<'_>], captures: &[BorrowedFd<'_>]) -> Result<(), String> {
    let numbers = |fds: &[BorrowedFd<'_>]| fds.iter().map(AsRawFd::as_raw_fd).collect();
    let places = Places { directories: numbers(directories), captures: numbers(captures) };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for ((_, number), only, _) in PERMITTED {
        match places.rules(only).map_err(words)? {
            Permission::Always => drop(rules.insert(*number, Vec::new())),
            Permission::If(more) if !more.is_empty() => rules.entry(*number).or_default().extend(more),
            Permission::If(_) => {}
        }
    }
    apply(rules, SeccompAction::Errno(libc::EPERM.cast_unsigned()), SeccompAction::Allow)
}

/// From now on a call of [`NEVER`] ends the process. Cannot be undone.
///
/// # Errors
/// The kernel refused.
pub fn tighten() -> Result<(), String> {
    let rules = NEVER.iter().map(|(_, number)| (*number, Vec::new())).collect();
    apply(rules, SeccompAction::Allow, SeccompAction::KillProcess)
}

/// `otherwise`: what happens to calls that no rule is about. A call that comes by the numbers of another architecture
/// ends the process in any case.
fn apply(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<(), String> {
    let architecture = std::env::consts::ARCH.try_into().map_err(words)?;
    let filter = SeccompFilter::new(rules, otherwise, matched, architecture).map_err(words)?;
    let program = BpfProgram::try_from(filter).map_err(words)?;
    seccompiler::apply_filter(&program).map_err(words)
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// What the conditions speak of.
struct Places {
    directories: Vec<i32>,
    captures: Vec<i32>,
}

enum Permission {
    Always,
    /// If one of these holds; never, if there is none.
    If(Vec<SeccompRule>),
}

impl Places {
    fn rules(&self, only: &Only) -> Result<Permission, BackendError> {
        let me = std::process::id().cast_signed();
        // Each list is one rule: all of its conditions must hold.
        let rules: Vec<Vec<Condition>> = match *only {
            Only::Any => return Ok(Permission::Always),
            Only::NoCapture if self.captures.is_empty() => return Ok(Permission::Always),
            Only::NoCapture => vec![self.captures.iter().map(|fd| is_not(0, *fd)).collect()],
            Only::Capture(more) => {
                let also = || more.iter().map(|(argument, value)| is(*argument, *value));
                self.captures.iter().map(|fd| [is(0, *fd)].into_iter().chain(also()).collect()).collect()
            }
            Only::Inside(arguments) => {
                let all = |dir: &i32| arguments.iter().map(|argument| is(*argument, *dir)).collect();
                self.directories.iter().map(all).collect()
            }
            Only::OneOf(argument, values) => values.iter().map(|value| vec![is(argument, *value)]).collect(),
            Only::Without(argument, bits) => vec![vec![without(argument, bits)]],
            Only::Own(argument, value) => vec![vec![is(0, me), is(argument, value)]],
        };
        let rule = |conditions: Vec<Condition>| SeccompRule::new(conditions.into_iter().collect::<Result<_, _>>()?);
        Ok(Permission::If(rules.into_iter().map(rule).collect::<Result<_, _>>()?))
    }
}

type Condition = Result<SeccompCondition, BackendError>;

/// Descriptors, levels and signals are 32 bits wide for the kernel, whatever stands above them.
fn condition(argument: u8, compare: SeccompCmpOp, value: u64) -> Condition {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, compare, value)
}

fn is(argument: u8, value: i32) -> Condition {
    condition(argument, SeccompCmpOp::Eq, value.cast_unsigned().into())
}

fn is_not(argument: u8, value: i32) -> Condition {
    condition(argument, SeccompCmpOp::Ne, value.cast_unsigned().into())
}

fn without(argument: u8, bits: i32) -> Condition {
    condition(argument, SeccompCmpOp::MaskedEq(bits.cast_unsigned().into()), 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cage::raw::{self, Attempt};
    use nix::errno::Errno;
    use std::fs::File;
    use std::io::Write;
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

    /// In a thread of its own, which the filter is for: the tests beside this one stay free. `in_cage` gets the capture,
    /// for which a file stands.
    fn confined<T: Send>(in_cage: impl FnOnce(&File, &File) -> T + Send) -> T {
        let home = tempfile::tempdir().unwrap();
        let dir = File::open(home.path()).unwrap();
        let capture = File::create(home.path().join("capture")).unwrap();
        std::thread::scope(|scope| {
            let work = || {
                restrict(&[dir.as_fd()], &[capture.as_fd()]).unwrap();
                in_cage(&dir, &capture)
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
        // fork and vfork take no arguments that could make them fail; NEVER has them, and the list has not. 335 and 336
        // are the kernel's own (uretprobe, uprobe): it lets them past any filter, and from anywhere but its own
        // trampoline they end in SIGILL.
        #[cfg(target_arch = "x86_64")]
        let untried = [libc::SYS_fork, libc::SYS_vfork, 335, 336];
        #[cfg(not(target_arch = "x86_64"))]
        let untried = [];
        let numbers = ALL.filter(|n| !permitted.contains(n) && !untried.contains(n));
        let let_through = confined(|dir, capture| {
            // First what does no harm: if the filter does not work, nothing else is tried.
            let attempts = Attempt::all(dir.as_fd(), false, &[capture.as_fd()]);
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
        confined(|dir, mut capture: &File| {
            let refused = |result: std::io::Result<()>| {
                assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EPERM));
            };
            // Writing to a capture is sending.
            refused(capture.write_all(b"x"));
            refused(capture.write_vectored(&[std::io::IoSlice::new(b"x")]).map(drop));
            refused(capture.try_clone().map(drop));
            refused(File::open("/dev/null").map(drop));
            let flags = nix::fcntl::OFlag::O_WRONLY | nix::fcntl::OFlag::O_CREAT;
            let mode = nix::sys::stat::Mode::S_IRUSR;
            let mut file: File = nix::fcntl::openat(dir, "x", flags, mode).unwrap().into();
            file.write_all(b"x").unwrap();
            file.sync_all().unwrap();
            nix::fcntl::renameat(dir, "x", dir, "y").unwrap();
            assert_eq!(nix::fcntl::renameat(dir, "y", capture, "y"), Err(Errno::EPERM));
            // More memory than the heap has at hand.
            assert_eq!(vec![1_u8; 64 << 20].len(), 64 << 20);
        });
    }

    /// Runs this test in a process of its own, in which `end` is called in the cage with the last door shut. Gives the
    /// signal that ended it.
    fn signal_of(test: &str, end: impl FnOnce() + Send) -> Option<i32> {
        if std::env::var_os(VICTIM).is_some() {
            confined(|_, _| {
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

    #[test]
    fn what_ends_the_process_is_not_in_the_list() {
        let both = |name: &&&str| NEVER.iter().any(|(never, _)| never == *name);
        let listed: Vec<&str> = PERMITTED.iter().map(|((name, _), ..)| *name).collect();
        // These two are there for `tighten` itself.
        assert_eq!(listed.iter().filter(both).collect::<Vec<_>>(), [&"SYS_prctl", &"SYS_seccomp"]);
    }
}
