//! Whether standard output was open when the program was started.
//!
//! Rust's runtime opens /dev/null in the place of a closed one before `main`, and then nothing
//! tells it from a /dev/null that was meant: a result would vanish without a word. So this is asked
//! before, by the one attribute of this program that counts as unsafe; the library forbids them.

use std::sync::atomic::{AtomicBool, Ordering};

static WAS_OPEN: AtomicBool = AtomicBool::new(true);

/// Whether standard output was open when the program was started.
pub(crate) fn was_open() -> bool {
    WAS_OPEN.load(Ordering::Relaxed)
}

#[cfg(target_os = "linux")]
extern "C" fn look() {
    let flags = nix::fcntl::fcntl(std::io::stdout(), nix::fcntl::FcntlArg::F_GETFD);
    WAS_OPEN.store(flags != Err(nix::errno::Errno::EBADF), Ordering::Relaxed);
}

// SAFETY: the C library calls every function of this section once, before `main`, on the only
// thread. It makes one system call and stores a flag.
#[cfg(target_os = "linux")]
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = look;
