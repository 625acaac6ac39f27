//! The system calls that the loop and the thread of the disk need, and why. All others are refused
//! (seccomp(2)).
//!
//! What a refused call gets is `EPERM`: a library that tries something dispensable, or a new
//! version of one that does a thing in another way, then fails where its caller sees it, in the
//! words of an ordinary error, and a recording that is good stays good. What nobody here could mean
//! well ([`NEVER`]: running a program, another process, a socket, sending) ends the process at
//! once, with SIGSYS and a line in the kernel's log: only somebody who took it over would try that.
//! That second filter comes when the first was proved, because proving means trying.

use super::descriptors::{Kept, Use};
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
    /// The first one is a descriptor that is read.
    Readable,
    /// The first one is a descriptor that is written to, or a number that was free: a file that was
    /// made here. Not a capture, to which writing would send a packet.
    Writable,
    /// It makes a new file in a directory that may be written to.
    Create,
    /// The first one is the spool's listing.
    Listing,
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

/// No descriptor has this number or a higher one: [`super::rights`] permits some more than are
/// open.
pub const MOST_DESCRIPTORS: u64 = 4096;

const SIOCGIFFLAGS: i32 = 0x8913;
const SOL_PACKET: i32 = 263;
/// Length of a struct sockaddr_ll: the address of a packet socket, and of nothing else.
const SOCKADDR_LL_BYTES: i32 = 20;
const PACKET_ADD_MEMBERSHIP: i32 = 1;
const PACKET_RX_RING: i32 = 5;
const PACKET_STATISTICS: i32 = 6;

/// Call, arguments, why. `strace` over a recording and the tests in `tests/cage.rs` say that
/// nothing is missing.
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
    (call!(SYS_recvfrom), Only::Capture(&[]), "--collect: a datagram, and who sent it"),
    (call!(SYS_read), Only::Readable, "counters, rtnetlink, wake-up, capture file"),
    (call!(SYS_lseek), Only::Any, "the spool is listed again; a block that found no room is written over"),
    // Segments.
    (call!(SYS_openat), Only::Create, "make a segment (Landlock: in the spool and nowhere else)"),
    (call!(SYS_write), Only::Writable, "segments, what is said, ask rtnetlink, wake-up"),
    (call!(SYS_writev), Only::Writable, "what is said"),
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
    (call!(SYS_getdents64), Only::Listing, "list the spool"),
    (call!(SYS_fstat), Only::Any, "length and names of an open segment"),
    (call!(SYS_close), Only::Any, "sealed segments, listings, everything at the end"),
    (call!(SYS_fcntl), Only::OneOf(1, &[libc::F_GETFD, libc::F_GETFL]), "Rust checks what it closes"),
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
    (call!(SYS_sigaltstack), Only::Any, "Rust takes down its stack for overflows at the end of a thread"),
    (call!(SYS_getpid), Only::Any, "abort"),
    (call!(SYS_gettid), Only::Any, "abort"),
    (call!(SYS_tgkill), Only::Own(2, libc::SIGABRT), "abort, and nothing else"),
    (call!(SYS_futex), Only::Any, "two threads hand over and wait; locks of the libraries"),
    (call!(SYS_sched_yield), Only::Any, "the same"),
    (call!(SYS_exit), Only::Any, "end"),
    (call!(SYS_exit_group), Only::Any, "end"),
    // For `tighten`, which refuses both.
    (call!(SYS_prctl), Only::OneOf(0, &[libc::PR_SET_NO_NEW_PRIVS]), "a second filter"),
    (call!(SYS_seccomp), Only::OneOf(0, &[libc::SECCOMP_SET_MODE_FILTER as i32]), "a second filter"),
];

/// Who calls one of these has taken the recorder over. Not here: what is refused without harm to
/// anybody but may be a library's idea, as opening a file is.
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

/// A filter, ready for the kernel.
pub type Program = BpfProgram;

/// The filter that refuses all other calls with `EPERM`.
///
/// `directories`: those that may be written to. `captures`: the sockets that packets come from.
/// `kept`: all that is open. `listing`: the number of the spool's listing.
///
/// # Errors
/// It cannot be made; in words.
pub fn program(
    directories: &[BorrowedFd<'_>],
    captures: &[BorrowedFd<'_>],
    kept: &[Kept],
    listing: i32,
) -> Result<Program, String> {
    let numbers = |fds: &[BorrowedFd<'_>]| fds.iter().map(AsRawFd::as_raw_fd).collect();
    let with = |usages: &[Use]| kept.iter().filter(|k| usages.contains(&k.usage)).map(|k| k.number).collect();
    let places = Places {
        directories: numbers(directories),
        captures: numbers(captures),
        readable: with(&[Use::Read, Use::Both, Use::ReadOnce]),
        not_writable: with(&[Use::Held, Use::Read]),
        listing,
    };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for ((_, number), only, _) in PERMITTED {
        match places.rules(only).map_err(words)? {
            Permission::Always => drop(rules.insert(*number, Vec::new())),
            Permission::If(more) if !more.is_empty() => rules.entry(*number).or_default().extend(more),
            Permission::If(_) => {}
        }
    }
    compiled(rules, SeccompAction::Errno(libc::EPERM.cast_unsigned()), SeccompAction::Allow)
}

/// Puts a filter on this thread, and on those that it starts. Cannot be undone.
///
/// # Errors
/// The kernel has no seccomp, or refused; in words.
pub fn restrict(program: &Program) -> Result<(), String> {
    seccompiler::apply_filter(program).map_err(words)
}

/// From now on a call of [`NEVER`] by this thread ends the process. Cannot be undone.
///
/// # Errors
/// The kernel refused.
pub fn tighten() -> Result<(), String> {
    let rules = NEVER.iter().map(|(_, number)| (*number, Vec::new())).collect();
    restrict(&compiled(rules, SeccompAction::Allow, SeccompAction::KillProcess)?)
}

/// `otherwise`: what happens to calls that no rule is about. A call that comes by the numbers of
/// another architecture ends the process in any case.
fn compiled(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<Program, String> {
    let architecture = std::env::consts::ARCH.try_into().map_err(words)?;
    let filter = SeccompFilter::new(rules, otherwise, matched, architecture).map_err(words)?;
    BpfProgram::try_from(filter).map_err(words)
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// What the conditions speak of.
struct Places {
    directories: Vec<i32>,
    captures: Vec<i32>,
    readable: Vec<i32>,
    not_writable: Vec<i32>,
    listing: i32,
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
            Only::Readable => self.readable.iter().map(|fd| vec![is(0, *fd)]).collect(),
            Only::Writable => {
                // Numbers beyond are of nothing that was there, nor can be: `rights` bounds them.
                let others = self.not_writable.iter().chain(&self.captures).map(|fd| is_not(0, *fd));
                vec![others.chain([condition(0, SeccompCmpOp::Lt, MOST_DESCRIPTORS)]).collect()]
            }
            Only::Create => self.directories.iter().map(|dir| vec![is(0, *dir), makes_new(2)]).collect(),
            Only::Listing => vec![vec![is(0, self.listing)]],
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

/// Flags of a file that was not there, to be written to; of a 64-bit libc or of one that says so.
fn makes_new(argument: u8) -> Condition {
    #[cfg(target_arch = "x86_64")]
    const LARGE_FILE: i32 = 0o100_000;
    #[cfg(target_arch = "aarch64")]
    const LARGE_FILE: i32 = 0o400_000;
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    condition(argument, SeccompCmpOp::MaskedEq((!LARGE_FILE).cast_unsigned().into()), flags.cast_unsigned().into())
}

fn without(argument: u8, bits: i32) -> Condition {
    condition(argument, SeccompCmpOp::MaskedEq(bits.cast_unsigned().into()), 0)
}

#[cfg(test)]
mod tests;
