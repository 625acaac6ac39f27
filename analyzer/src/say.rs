//! What is said on standard error beside results: notes, which `--quiet` leaves out. Errors are
//! always said. On a terminal, lines are broken between words.

use crate::table::Wrapped;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Whether notes are left out. One for the process, as standard error is.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Columns of the terminal that standard error is; 0 where it is none.
static COLUMNS: AtomicUsize = AtomicUsize::new(0);

/// Standard error is a terminal with so many columns, or none.
pub fn fit(columns: Option<usize>) {
    COLUMNS.store(columns.unwrap_or_default(), Ordering::Relaxed);
}

/// Says lines on standard error. If that is gone, there is nobody left to tell.
pub fn tell(text: &str) {
    let (text, mut err) = (format!("{text}\n"), io::stderr().lock());
    _ = match COLUMNS.load(Ordering::Relaxed) {
        0 => err.write_all(text.as_bytes()),
        columns => Wrapped::new(&mut err, columns).write_all(text.as_bytes()),
    };
}

/// Notes and progress are left out from now on.
pub fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Whether notes and progress are left out.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Says a line that is no error, unless notes are left out.
pub fn say(line: &str) {
    if !is_quiet() {
        tell(line);
    }
}

/// Says a line that is no error, from what `format!` takes, unless notes are left out.
macro_rules! note {
    ($($text:tt)*) => {
        $crate::say::say(&format!($($text)*))
    };
}
pub(crate) use note;
