//! The system calls that the commands need, and why. All others are refused (seccomp(2)).
//!
//! What a refused call gets is `EPERM`: a library that tries something dispensable, or does a thing
//! in another way after an update, fails where its caller sees it. What nobody here could mean well
//! ([`FATAL`]: running a program, another process, a socket, another user) ends the process at
//! once, with SIGSYS and a line in the kernel's log.

use super::{Burglar, Permitted};
use crate::reach::{Reach, Thing};
use nix::libc;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use std::collections::BTreeMap;
use std::ffi::c_long;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;

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
    /// The first one is a socket that was connected before, and these are so.
    Socket(&'static [(u8, i32)]),
    /// A datagram to whom such a socket is connected: no address of its own.
    Connected,
    /// This one is one of these.
    OneOf(u8, &'static [i32]),
    /// This one has none of these bits.
    Without(u8, i32),
    /// This one has all of these bits.
    With(u8, i32),
    /// The first one is this process, and this one is this.
    Own(u8, i32),
    /// Limits of this process, and no new ones.
    ReadLimits,
}

type Call = (&'static str, c_long);
type Permit = (Call, Only, &'static str);

/// Sizes of a terminal, and whether something is one.
const TERMINAL: &[i32] = &[libc::TCGETS as i32, libc::TIOCGWINSZ as i32];

/// The mode of a terminal, for those who draw on it: keys as they are pressed, and back. Nothing
/// that puts bytes into its input.
const TERMINAL_MODE: &[i32] = &[libc::TCSETS as i32, libc::TCSETS2 as i32, libc::TCGETS2 as i32];

/// Flags, locks on ranges of a file (SQLite), and copies of a descriptor of one's own.
const FCNTL: &[i32] = &[
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
    libc::F_GETLK,
    libc::F_SETLK,
    libc::F_SETLKW,
    libc::F_DUPFD_CLOEXEC,
];

/// Call, arguments, why. `tests/sandbox.rs` says by strace, for every command, that nothing is
/// missing.
const PERMITTED: &[Permit] = &[
    // What is read.
    (call!(SYS_openat), Only::Any, "inputs, the database, what is kept (Landlock: the table's paths)"),
    (call!(SYS_read), Only::Any, "inputs, standard input, lists"),
    (call!(SYS_readv), Only::Any, "the same"),
    (call!(SYS_pread64), Only::Any, "SQLite: pages"),
    (call!(SYS_lseek), Only::Any, "lengths, and places in a file"),
    (call!(SYS_getdents64), Only::Any, "list spools and time zones"),
    (call!(SYS_newfstatat), Only::Any, "what a path is"),
    (call!(SYS_fstat), Only::Any, "what an open file is"),
    (call!(SYS_statx), Only::Any, "the same, by Rust's library"),
    (call!(SYS_statfs), Only::Any, "room for the copy of a database whose schema changes"),
    #[cfg(target_arch = "x86_64")]
    (call!(SYS_stat), Only::Any, "the same, by other C libraries"),
    #[cfg(target_arch = "x86_64")]
    (call!(SYS_lstat), Only::Any, "the same"),
    #[cfg(target_arch = "x86_64")]
    (call!(SYS_access), Only::Any, "SQLite: is there a journal"),
    (call!(SYS_faccessat), Only::Any, "the same"),
    (call!(SYS_faccessat2), Only::Any, "the same"),
    #[cfg(target_arch = "x86_64")]
    (call!(SYS_readlink), Only::Any, "where a link leads"),
    (call!(SYS_readlinkat), Only::Any, "the same"),
    (call!(SYS_getcwd), Only::Any, "paths that are the same from everywhere"),
    (call!(SYS_close), Only::Any, "files"),
    (call!(SYS_fcntl), Only::OneOf(1, FCNTL), "flags, SQLite's locks"),
    (call!(SYS_ioctl), Only::OneOf(1, TERMINAL), "is it a terminal, how wide"),
    #[cfg(target_arch = "x86_64")]
    (call!(SYS_poll), Only::Any, "is a descriptor open"),
    (call!(SYS_ppoll), Only::Any, "the same"),
    // What is written.
    (call!(SYS_write), Only::Any, "results, what is said, what is kept"),
    (call!(SYS_writev), Only::Any, "the same"),
    (call!(SYS_pwrite64), Only::Any, "SQLite: pages"),
    (call!(SYS_ftruncate), Only::Any, "SQLite: journals; the file of a result"),
    (call!(SYS_fallocate), Only::Any, "SQLite: room for its index"),
    (call!(SYS_fsync), Only::Any, "keep what was written"),
    (call!(SYS_fdatasync), Only::Any, "the same"),
    (call!(SYS_flock), Only::Any, "one program books at a time"),
    (call!(SYS_fchmod), Only::Any, "what is kept is private"),
    (call!(SYS_fchown), Only::Any, "SQLite as root: a journal belongs to the owner of the database"),
    #[cfg(target_arch = "x86_64")]
    (call!(SYS_mkdir), Only::Any, "the folder of kept captures"),
    (call!(SYS_mkdirat), Only::Any, "the same"),
    #[cfg(target_arch = "x86_64")]
    (call!(SYS_rename), Only::Any, "what is booked gets its name"),
    #[cfg(target_arch = "x86_64")]
    (call!(SYS_renameat), Only::Any, "the same"),
    (call!(SYS_renameat2), Only::Any, "the same"),
    #[cfg(target_arch = "x86_64")]
    (call!(SYS_unlink), Only::Any, "SQLite's journals, what is pruned"),
    (call!(SYS_unlinkat), Only::Any, "the same"),
    #[cfg(target_arch = "x86_64")]
    (call!(SYS_rmdir), Only::Any, "folders of months that are open again"),
    (call!(SYS_linkat), Only::Any, "the file of a result gets its name"),
    // DNS servers.
    (call!(SYS_sendto), Only::Connected, "--resolve: ask"),
    (call!(SYS_recvfrom), Only::Socket(&[]), "--resolve: hear"),
    (call!(SYS_setsockopt), Only::Socket(&[(1, libc::SOL_SOCKET), (2, libc::SO_RCVTIMEO)]), "--resolve: for how long"),
    // Time.
    (call!(SYS_clock_gettime), Only::Any, "clocks, where the kernel has no faster way"),
    (call!(SYS_gettimeofday), Only::Any, "the same, for SQLite"),
    #[cfg(target_arch = "x86_64")]
    (call!(SYS_time), Only::Any, "the same"),
    (call!(SYS_clock_nanosleep), Only::Any, "wait for a lock"),
    (call!(SYS_nanosleep), Only::Any, "the same"),
    // Memory.
    (call!(SYS_mmap), Only::Without(2, libc::PROT_EXEC), "memory, SQLite's index; never executable"),
    (call!(SYS_mprotect), Only::Without(2, libc::PROT_EXEC), "memory, never executable"),
    (call!(SYS_munmap), Only::Any, "memory"),
    (call!(SYS_mremap), Only::Any, "memory"),
    (call!(SYS_madvise), Only::Any, "memory"),
    (call!(SYS_brk), Only::Any, "memory"),
    // Threads of polars: no process.
    (call!(SYS_clone), Only::With(0, libc::CLONE_THREAD), "threads"),
    (call!(SYS_clone3), Only::Any, "threads: told to use clone, whose flags can be judged"),
    (call!(SYS_set_robust_list), Only::Any, "threads"),
    (call!(SYS_rseq), Only::Any, "threads"),
    (call!(SYS_sched_getaffinity), Only::Any, "how many processors"),
    (call!(SYS_sched_yield), Only::Any, "threads without work"),
    (call!(SYS_futex), Only::Any, "locks of the libraries"),
    (call!(SYS_membarrier), Only::Any, "the same"),
    (call!(SYS_prctl), Only::OneOf(0, &[libc::PR_SET_NAME]), "names of threads"),
    (call!(SYS_gettid), Only::Any, "threads, abort"),
    (call!(SYS_getpid), Only::Any, "names of files that are being made, abort"),
    (call!(SYS_geteuid), Only::Any, "whose a file is"),
    (call!(SYS_getuid), Only::Any, "the same"),
    (call!(SYS_getegid), Only::Any, "the same"),
    (call!(SYS_getgid), Only::Any, "the same"),
    (call!(SYS_prlimit64), Only::ReadLimits, "how large a stack may be"),
    (call!(SYS_sysinfo), Only::Any, "how much memory there is"),
    (call!(SYS_uname), Only::Any, "which kernel this is"),
    (call!(SYS_getrusage), Only::Any, "how long it took"),
    (call!(SYS_getrandom), Only::Any, "seeds of hash tables, numbers of questions"),
    // Signals and the end.
    (call!(SYS_rt_sigreturn), Only::Any, "return from a signal's handler"),
    (call!(SYS_restart_syscall), Only::Any, "the kernel goes on with a wait after SIGSTOP"),
    (call!(SYS_rt_sigaction), Only::Any, "abort"),
    (call!(SYS_rt_sigprocmask), Only::Any, "abort, threads"),
    (call!(SYS_sigaltstack), Only::Any, "Rust's stack for overflows"),
    (call!(SYS_tgkill), Only::Own(2, libc::SIGABRT), "abort, and nothing else"),
    (call!(SYS_exit), Only::Any, "the end of a thread"),
    (call!(SYS_exit_group), Only::Any, "end"),
];

/// Who calls one of these has taken the program over. Not here: what is refused without harm to
/// anybody but may be a library's idea.
const FATAL: &[Call] = &[
    call!(SYS_execve),
    call!(SYS_execveat),
    #[cfg(target_arch = "x86_64")]
    call!(SYS_fork),
    #[cfg(target_arch = "x86_64")]
    call!(SYS_vfork),
    call!(SYS_socket),
    call!(SYS_socketpair),
    call!(SYS_connect),
    call!(SYS_bind),
    call!(SYS_listen),
    call!(SYS_accept),
    call!(SYS_accept4),
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
];

/// The calls that stay permitted, sorted by name.
pub(super) fn permitted() -> Vec<Permitted> {
    let permitted = |((name, number), _, why): &Permit| Permitted { name: without_prefix(name), number: *number, why };
    let mut all: Vec<Permitted> = PERMITTED.iter().map(permitted).collect();
    all.sort_unstable_by_key(|permitted| permitted.name);
    all.dedup_by_key(|permitted| permitted.name);
    all
}

/// Names of the calls that end the process, sorted.
pub(super) fn fatal() -> Vec<&'static str> {
    let mut names: Vec<_> = FATAL.iter().map(|(name, _)| without_prefix(name)).collect();
    names.sort_unstable();
    names
}

fn without_prefix(name: &'static str) -> &'static str {
    name.strip_prefix("SYS_").unwrap_or(name)
}

/// Refuses all other calls to this thread, and to those that it starts. Cannot be undone.
///
/// # Errors
/// The kernel has no seccomp, or refused; in words.
pub(super) fn restrict(reach: &Reach, sockets: &[UdpSocket], burglar: Burglar) -> Result<(), String> {
    let sockets: Vec<i32> = sockets.iter().map(|socket| socket.as_raw_fd()).collect();
    // The list comes last: it refuses further filters.
    if burglar == Burglar::Ends {
        apply(fatal_rules(&sockets).map_err(words)?, SeccompAction::Allow, SeccompAction::KillProcess)?;
    }
    // The flags of clone3 are in memory, where a filter cannot look. The C library then takes
    // clone.
    let clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    apply(clone3, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS.cast_unsigned()))?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for ((_, number), only, _) in PERMITTED {
        match only.rules(&sockets).map_err(words)? {
            Permission::Always => drop(rules.insert(*number, Vec::new())),
            Permission::If(more) if !more.is_empty() => rules.entry(*number).or_default().extend(more),
            Permission::If(_) => {}
        }
    }
    if reach.row.writes.contains(&Thing::Terminal)
        && let Permission::If(more) = Only::OneOf(1, TERMINAL_MODE).rules(&sockets).map_err(words)?
    {
        rules.entry(libc::SYS_ioctl).or_default().extend(more);
    }
    apply(rules, SeccompAction::Errno(libc::EPERM.cast_unsigned()), SeccompAction::Allow)
}

/// What ends the process: [`FATAL`], a clone that is no thread, and sending elsewhere than through
/// these sockets.
fn fatal_rules(sockets: &[i32]) -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = FATAL.iter().map(|(_, number)| (*number, Vec::new())).collect();
    rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![bits(0, libc::CLONE_THREAD, 0)?])?]);
    let elsewhere = match sockets.is_empty() {
        true => Vec::new(),
        false => {
            let others = sockets.iter().map(|fd| condition(0, SeccompCmpOp::Ne, number(*fd)));
            vec![SeccompRule::new(others.collect::<Result<_, _>>()?)?]
        }
    };
    rules.insert(libc::SYS_sendto, elsewhere);
    Ok(rules)
}

/// `otherwise`: what happens to calls that no rule is about. A call that comes by the numbers of
/// another architecture ends the process in any case.
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

enum Permission {
    Always,
    /// If one of these holds; never, if there is none.
    If(Vec<SeccompRule>),
}

impl Only {
    fn rules(&self, sockets: &[i32]) -> Result<Permission, BackendError> {
        let me = std::process::id().cast_signed();
        // Each list is one rule: all of its conditions must hold.
        let rules: Vec<Vec<SeccompCondition>> = match *self {
            Self::Any => return Ok(Permission::Always),
            Self::Socket(more) => {
                let of = |fd: &i32| [(0, *fd)].into_iter().chain(more.iter().copied()).map(|(n, v)| is(n, v)).collect();
                sockets.iter().map(of).collect::<Result<_, _>>()?
            }
            Self::Connected => {
                let no_address = || SeccompCondition::new(4, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0);
                sockets.iter().map(|fd| Ok(vec![is(0, *fd)?, no_address()?])).collect::<Result<_, BackendError>>()?
            }
            Self::OneOf(argument, values) => {
                values.iter().map(|value| Ok(vec![is(argument, *value)?])).collect::<Result<_, BackendError>>()?
            }
            Self::Without(argument, mask) => vec![vec![bits(argument, mask, 0)?]],
            Self::With(argument, mask) => vec![vec![bits(argument, mask, mask)?]],
            Self::Own(argument, value) => vec![vec![is(0, me)?, is(argument, value)?]],
            Self::ReadLimits => {
                let none = SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?;
                vec![vec![is(0, 0)?, none]]
            }
        };
        Ok(Permission::If(rules.into_iter().map(SeccompRule::new).collect::<Result<_, _>>()?))
    }
}

type Condition = Result<SeccompCondition, BackendError>;

/// Descriptors, flags and signals are 32 bits wide for the kernel, whatever stands above them.
fn condition(argument: u8, compare: SeccompCmpOp, value: u64) -> Condition {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, compare, value)
}

fn number(value: i32) -> u64 {
    value.cast_unsigned().into()
}

fn is(argument: u8, value: i32) -> Condition {
    condition(argument, SeccompCmpOp::Eq, number(value))
}

fn bits(argument: u8, mask: i32, value: i32) -> Condition {
    condition(argument, SeccompCmpOp::MaskedEq(number(mask)), number(value))
}
