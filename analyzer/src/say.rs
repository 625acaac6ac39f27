//! What is said on standard error beside results: notes, which `--quiet` leaves out. Errors are
//! always said.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether notes are left out. One for the process, as standard error is.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Notes and progress are left out from now on.
pub fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Whether notes and progress are left out.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Says a line that is no error, unless notes are left out.
#[allow(clippy::print_stderr)] // the one place for it
pub fn say(line: &str) {
    if !is_quiet() {
        eprintln!("{line}");
    }
}

/// Says a line that is no error: as `eprintln!`, unless notes are left out.
macro_rules! note {
    ($($text:tt)*) => {
        $crate::say::say(&format!($($text)*))
    };
}
pub(crate) use note;
