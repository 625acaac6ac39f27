//! The calls for which no crate in use has a safe function. Unsafe code besides:
//! `packet_socket.rs`.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{getsockopt, setsockopt};
use nix::{getsockopt_impl, setsockopt_impl, sockopt_impl};
use std::ffi::{CStr, c_int, c_long};
use std::os::fd::{AsRawFd, BorrowedFd};

sockopt_impl!(
    /// From now on nobody can change the socket's filter or take it off, with whatever rights
    /// (socket(7)).
    LockFilter,
    Both,
    libc::SOL_SOCKET,
    libc::SO_LOCK_FILTER,
    bool
);

/// Locks the socket's filter. Gives whether it is locked, as the kernel says afterwards.
///
/// # Errors
/// The kernel's answer.
pub fn lock_filter(socket: BorrowedFd<'_>) -> nix::Result<bool> {
    setsockopt(&socket, LockFilter, &true)?;
    getsockopt(&socket, LockFilter)
}

/// Whether a descriptor of this number is open.
pub fn is_open(number: i32) -> bool {
    // SAFETY: asks for a flag; a number that is not open gives an error.
    unsafe { libc::fcntl(number, libc::F_GETFD) != -1 }
}

/// Closes a descriptor that nobody in this program has heard of.
pub fn close(number: i32) {
    // SAFETY: only for numbers that were open before the program opened anything; no value of ours
    // owns one.
    unsafe { libc::close(number) };
}

/// Whether what is open is no file, pipe, socket or device, but a thing of the kernel's without a
/// name and a type (eventfd(2)).
pub fn is_anonymous(number: i32) -> bool {
    // SAFETY: borrowed for one call, which fails for a number that is not open.
    let fd = unsafe { BorrowedFd::borrow_raw(number.max(0)) };
    number >= 0 && stat(fd).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == 0)
}

/// fstat(2) by its own number. What libraries call for it is a call for files by path, which the
/// cage refuses.
///
/// # Errors
/// The kernel's answer.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub fn stat(fd: BorrowedFd<'_>) -> nix::Result<libc::stat> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: on these two libc's structure is the kernel's, which fills it in; zeros are a valid
    // value, too.
    let result = unsafe { libc::syscall(libc::SYS_fstat, fd.as_raw_fd(), stat.as_mut_ptr()) };
    // SAFETY: see above.
    Errno::result(result).map(|_| unsafe { stat.assume_init() })
}

/// As above. On these processors there is no list of calls.
///
/// # Errors
/// The kernel's answer.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub fn stat(fd: BorrowedFd<'_>) -> nix::Result<libc::stat> {
    nix::sys::stat::fstat(fd)
}

/// Memory that was written can never be executed from now on, whatever is asked (`PR_SET_MDWE`,
/// Linux 6.3).
///
/// # Errors
/// `EINVAL` where the kernel does not know it.
pub fn refuse_writable_code() -> Result<(), Errno> {
    // SAFETY: numbers only; nothing of ours is both writable and executable.
    let result = unsafe { libc::prctl(libc::PR_SET_MDWE, libc::PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) };
    Errno::result(result).map(drop)
}

/// The spool's lock: a file that is always there.
const LOCK: &CStr = c"recorder.lock";

/// Something that the cage must refuse, tried with arguments that do no harm where it does not.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// What it would be good for, in a few words.
    pub what: &'static str,
    number: c_long,
    arguments: [Argument; 5],
}

/// An argument: a number, or a text that lives as long as the program.
#[derive(Debug, Clone, Copy)]
enum Argument {
    Number(usize),
    Text(&'static CStr),
}

const NONE: Argument = Argument::Number(0);

/// Signed numbers (-1, `AT_FDCWD`) as the kernel takes them.
const fn int(number: c_int) -> Argument {
    Argument::Number(number as isize as usize)
}

const fn text(text: &'static CStr) -> Argument {
    Argument::Text(text)
}

const fn attempt<const N: usize>(what: &'static str, number: c_long, given: [Argument; N]) -> Attempt {
    let mut arguments = [NONE; 5];
    let mut at = 0;
    #[allow(clippy::indexing_slicing)] // at compile time: too many arguments do not build
    while at < N {
        arguments[at] = given[at];
        at += 1;
    }
    Attempt { what, number, arguments }
}

/// By what name processors of 32 bits have these.
#[cfg(target_pointer_width = "64")]
const MMAP: c_long = libc::SYS_mmap;
#[cfg(target_pointer_width = "32")]
const MMAP: c_long = libc::SYS_mmap2;
#[cfg(target_pointer_width = "64")]
const STAT_AT: c_long = libc::SYS_newfstatat;
#[cfg(target_pointer_width = "32")]
const STAT_AT: c_long = libc::SYS_fstatat64;

/// The flags of a segment.
const NEW_FILE: Argument = int(libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_CLOEXEC);

/// A page, as far as `mmap` is concerned: it rounds up.
const PAGE: Argument = int(4096);
const ANONYMOUS: Argument = int(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
/// Refused with `EINVAL` by a kernel that gets to look at it: signal handlers cannot be shared
/// without the memory.
const CLONE_OF_NOTHING: Argument = int(libc::CLONE_SIGHAND);
const RUN: Argument = int(libc::PROT_READ | libc::PROT_EXEC);
const WRITE_AND_RUN: Argument = int(libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC);

/// Attempts that need no file descriptor of ours. Beside each, what a kernel would do that does not
/// refuse.
const ANYWHERE: [Attempt; 31] = [
    // Opens and is closed again.
    attempt("open /etc/shadow", libc::SYS_openat, [int(libc::AT_FDCWD), text(c"/etc/shadow")]),
    attempt("open /proc/self/mem", libc::SYS_openat, [int(libc::AT_FDCWD), text(c"/proc/self/mem")]),
    // EBADF.
    attempt("change a file's mode", libc::SYS_fchmodat, [int(-1), text(c"x")]),
    attempt("make a directory", libc::SYS_mkdirat, [int(-1), text(c"x")]),
    attempt("make a link", libc::SYS_symlinkat, [text(c"x"), int(-1), text(c"x")]),
    // A socket, closed again.
    attempt("socket: TCP", libc::SYS_socket, [int(libc::AF_INET), int(libc::SOCK_STREAM)]),
    attempt("socket: UDP over IPv6", libc::SYS_socket, [int(libc::AF_INET6), int(libc::SOCK_DGRAM)]),
    attempt("socket: Unix", libc::SYS_socket, [int(libc::AF_UNIX), int(libc::SOCK_STREAM)]),
    attempt("socket: netlink", libc::SYS_socket, [int(libc::AF_NETLINK), int(libc::SOCK_RAW)]),
    // EFAULT.
    attempt("socketpair", libc::SYS_socketpair, [int(libc::AF_UNIX), int(libc::SOCK_STREAM)]),
    // EBADF.
    attempt("connect", libc::SYS_connect, [int(-1)]),
    attempt("sendto", libc::SYS_sendto, [int(-1)]),
    attempt("sendmsg", libc::SYS_sendmsg, [int(-1)]),
    attempt("sendmmsg", libc::SYS_sendmmsg, [int(-1)]),
    // EFAULT.
    attempt("exec", libc::SYS_execve, []),
    attempt("exec of an open file", libc::SYS_execveat, [int(-1)]),
    // EINVAL.
    attempt("fork (clone)", libc::SYS_clone, [CLONE_OF_NOTHING]),
    attempt("fork (clone3)", libc::SYS_clone3, []),
    // A mapping, removed again.
    attempt("memory: writable and executable", MMAP, [NONE, PAGE, WRITE_AND_RUN, ANONYMOUS, int(-1)]),
    attempt("memory: executable", MMAP, [NONE, PAGE, RUN, ANONYMOUS, int(-1)]),
    // Nothing: the range is empty.
    attempt("memory: made executable", libc::SYS_mprotect, [NONE, NONE, RUN]),
    // EFAULT.
    attempt("file in memory", libc::SYS_memfd_create, []),
    attempt("io_uring", libc::SYS_io_uring_setup, []),
    // ESRCH: nobody is traced by us.
    attempt("ptrace", libc::SYS_ptrace, [int(libc::PTRACE_PEEKDATA as c_int), int(-1)]),
    // Nothing: it asks for no byte of ours.
    attempt("read another's memory", libc::SYS_process_vm_readv, []),
    // Nothing: it leaves nothing behind.
    attempt("new namespaces", libc::SYS_unshare, []),
    // EBADF.
    attempt("copy a file descriptor", libc::SYS_dup, [int(-1)]),
    // EFAULT, EBADF: nothing is asked about.
    attempt("look at a file (statx)", libc::SYS_statx, [int(-1), text(c"/etc")]),
    attempt("look at a file (stat)", STAT_AT, [int(-1), text(c"/etc")]),
    // EBADF.
    attempt("read from another descriptor", libc::SYS_read, [int(-1)]),
    // Nothing, or EPERM: it asks what is in force.
    attempt("personality", libc::SYS_personality, [Argument::Number(0xffff_ffff)]),
];

/// A call of this number with arguments that no call can use, for the test that tries them all.
#[cfg(test)]
pub fn useless(number: c_long) -> Option<Errno> {
    // SAFETY: -1 is no address that anything can be mapped at. What such a call does to the process
    // is for the test to judge.
    Errno::result(unsafe { libc::syscall(number, -1, -1, -1, -1, -1, -1) }).err()
}

/// Which directories may be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writable {
    Spool,
    /// Another one, too.
    More,
}

impl Attempt {
    /// Those that make sense here. `spool`: the directory that may be written to, which holds a
    /// file named `lock` that its owner may read. `captures`: sockets that must not be written to.
    pub fn all(spool: BorrowedFd<'_>, writable: Writable, captures: &[BorrowedFd<'_>]) -> Vec<Self> {
        let dir = int(spool.as_raw_fd());
        let me = int(std::process::id().cast_signed());
        let uid = Argument::Number(nix::unistd::getuid().as_raw() as usize);
        let gid = Argument::Number(nix::unistd::getgid().as_raw() as usize);
        let unnamed = int(libc::O_TMPFILE | libc::O_WRONLY);
        let folder = int(libc::O_DIRECTORY);
        let in_spool = [
            attempt("open /etc/shadow past the spool", libc::SYS_openat, [dir, text(c"/etc/shadow")]),
            attempt("open /etc/passwd past the spool", libc::SYS_openat, [dir, text(c"/etc/passwd")]),
            attempt("list / past the spool", libc::SYS_openat, [dir, text(c"/"), folder]),
            attempt("list the spool's parent", libc::SYS_openat, [dir, text(c".."), folder]),
            // Ours to read by its mode, so that only the cage refuses.
            attempt("read a file of the spool", libc::SYS_openat, [dir, text(LOCK)]),
            attempt("write over a file of the spool", libc::SYS_openat, [dir, text(LOCK), int(libc::O_WRONLY)]),
            attempt("hold a file of the spool", libc::SYS_openat, [dir, text(LOCK), int(libc::O_PATH)]),
            // Nothing: it changes to what is.
            attempt("setuid", libc::SYS_setuid, [uid]),
            attempt("setgid", libc::SYS_setgid, [gid]),
            // Nothing: signal 0 is none.
            attempt("kill", libc::SYS_kill, [me, NONE]),
            attempt("signal a thread", libc::SYS_tgkill, [me, me, NONE]),
        ];
        // A file as segments are made, so that only Landlock refuses it; removed where it does not.
        // Then a file without a name, gone when it is closed. Where another directory is open to us
        // these may lie in it.
        let files = [
            attempt(
                "make a segment in /tmp",
                libc::SYS_openat,
                [dir, text(c"/tmp/imon-self-test"), NEW_FILE, int(0o600)],
            ),
            attempt(
                "make a segment beside the spool",
                libc::SYS_openat,
                [dir, text(c"../imon-self-test"), NEW_FILE, int(0o600)],
            ),
            attempt("make a file in /tmp", libc::SYS_openat, [dir, text(c"/tmp"), unnamed]),
            attempt("make a file beside the spool", libc::SYS_openat, [dir, text(c".."), unnamed]),
        ];
        let files = files.into_iter().filter(|_| writable == Writable::Spool);
        // EINVAL: a packet without a byte. Writing to a bound packet socket is sending.
        let send = captures.iter().flat_map(|socket| {
            let socket = int(socket.as_raw_fd());
            [attempt("send by write", libc::SYS_write, [socket]), attempt("send by writev", libc::SYS_writev, [socket])]
        });
        ANYWHERE.into_iter().chain(in_spool).chain(files).chain(send).collect()
    }

    /// Tries it, and takes back what came of it.
    ///
    /// # Errors
    /// The kernel's answer: `EPERM` from seccomp, `EACCES` from Landlock, another one if it was not
    /// refused.
    pub fn make(&self) -> Result<(), Errno> {
        let [a, b, c, d, e] = self.arguments.map(|argument| match argument {
            Argument::Number(number) => number,
            Argument::Text(text) => text.as_ptr().expose_provenance(),
        });
        // SAFETY: the fields are private, so that only the calls above come here. Their arguments
        // are numbers, null pointers, and constant texts, which the kernel only reads. None of them
        // changes memory: the mappings are placed where nothing is, and the range of mprotect is
        // empty.
        let result = Errno::result(unsafe { libc::syscall(self.number, a, b, c, d, e, 0) })?;
        match self.number {
            // SAFETY: the descriptor was just made and nobody else has heard of it. A file that was
            // made as a segment was not there before; its name is a constant text.
            libc::SYS_openat | libc::SYS_socket => unsafe {
                if matches!(self.arguments, [_, Argument::Text(_), Argument::Number(flags), ..] if flags & libc::O_EXCL as usize != 0)
                {
                    libc::syscall(libc::SYS_unlinkat, a, b, 0);
                }
                libc::close(result as c_int)
            },
            // SAFETY: the mapping was just made, of this length, and nobody else has heard of it.
            MMAP => unsafe { libc::munmap(std::ptr::with_exposed_provenance_mut(result as usize), b) },
            _ => 0,
        };
        Ok(())
    }
}
