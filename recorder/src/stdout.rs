//! Results on standard output. One that is closed or full is an error; a pipe whose reader is gone
//! is none.

use crate::error::Error;
use nix::errno::Errno;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether standard output was open when the program was started. Rust's runtime opens /dev/null in
/// the place of a closed one before `main`, and then nothing tells the two apart.
static WAS_OPEN: AtomicBool = AtomicBool::new(true);

extern "C" fn look() {
    let flags = nix::fcntl::fcntl(io::stdout(), nix::fcntl::FcntlArg::F_GETFD);
    WAS_OPEN.store(flags != Err(Errno::EBADF), Ordering::Relaxed);
}

// SAFETY: the C library calls every function of this section once, before `main`, on the only
// thread. It makes one system call and stores a flag.
#[allow(unsafe_code)]
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = look;

/// Writes a result to standard output.
///
/// # Errors
/// It is closed, or cannot be written to.
pub fn show(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    written(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// What became of a result.
///
/// # Errors
/// As [`show`].
pub fn written(outcome: io::Result<()>) -> Result<(), Error> {
    match outcome {
        _ if !WAS_OPEN.load(Ordering::Relaxed) => Err(Error::Output { source: Errno::EBADF.into() }),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.map_err(|source| Error::Output { source }),
    }
}
