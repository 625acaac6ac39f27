//! A progress bar for work that takes longer than a second, on a terminal only.

use crate::error::shown;
use crate::say;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// Work that ends sooner shows no bar.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether and how progress is shown.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    enabled: bool,
}

impl Progress {
    /// Progress on standard error, if that is a terminal.
    pub fn on_terminal() -> Self {
        Self { enabled: std::io::stderr().is_terminal() && !say::is_quiet() }
    }

    /// Something to be called with the bytes read so far and their number, if that is known, while
    /// `path` is read.
    pub fn watch(&self, path: &Path) -> Option<crate::input::Progress> {
        if !self.enabled {
            return None;
        }
        let name = shown(&path.file_name().unwrap_or_default().to_string_lossy());
        let mut bar = Bar { shown: None, name, started: Instant::now() };
        Some(Box::new(move |done, total| bar.advance(done, total)))
    }
}

struct Bar {
    shown: Option<ProgressBar>,
    name: String,
    started: Instant,
}

impl Bar {
    fn advance(&mut self, done: u64, total: Option<u64>) {
        if self.started.elapsed() < PATIENCE {
            return;
        }
        let name = &self.name;
        let bar = self.shown.get_or_insert_with(|| new_bar(name, total));
        bar.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

fn new_bar(name: &str, total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), "{msg} {wide_bar} {bytes}/{total_bytes} {eta}"),
        None => (ProgressBar::no_length(), "{msg} {spinner} {bytes} {bytes_per_sec}"),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr());
    // The templates are constants; one that did not parse would leave the default look.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(name.to_owned());
    bar
}
