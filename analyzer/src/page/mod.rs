//! The page: one file of HTML that asks for nothing. Everything that it says stands in it as text,
//! tables and SVG; its script only sorts, searches, narrows and explains.
//!
//! ```text
//! report::overview ─► parts (text, tables) + chart + calendar + packed (numbers for the script) ─► frame
//! ```
//! What may run in it is said by its own Content-Security-Policy: its style and its script by their
//! hashes, and nothing else. Names come from strangers: maud escapes them, and [`packed`] lets no
//! `<` into the script element that holds the numbers.

mod calendar;
mod chart;
mod frame;
mod packed;
mod parts;
mod plans;
mod sink;
mod tables;
mod words;

pub use sink::HtmlSink;

use crate::plan::{Plan, Standing};
use crate::report::overview::{self, Overview, Unit};
use maud::{Markup, html};
use std::io::{self, Write};

/// Sites that have a colour of their own; all others share one.
const COLOURED: usize = 5;

/// Bytes of a page with hours, and of any other, its style and script left out: what opens at once,
/// and what mail takes.
const MOST_OF_HOURS: usize = 440_000;
const MOST: usize = 900_000;

/// Writes the overview; `plans`: what of them is used now.
///
/// # Errors
/// Those of `out`.
pub fn write(overview: &Overview, plans: &[(&Plan, &Standing)], out: &mut dyn Write) -> io::Result<()> {
    let head = overview.report.head();
    let footer = overview.report.footer();
    let title = overview.report.days();
    let is_empty = overview.sites.subjects.is_empty() && overview.sites.rest_count == 0;
    let body = html! {
        (parts::header(&title, &head))
        main {
            (plans::section(plans, overview.report.masker().hides_devices()))
            @if is_empty {
                (parts::nothing(&footer))
            } @else {
                (parts::summary(overview))
                (parts::controls())
                (chart::section(overview))
                (calendar::section(overview))
                (tables::sites(overview))
                (tables::devices(overview))
                (parts::evidence(overview))
            }
            (parts::ledger(&footer))
        }
        (parts::made_by(&head))
        @if !is_empty { (detail()) }
    };
    let most = if overview.span.unit == Unit::Hour { MOST_OF_HOURS } else { MOST };
    let data = (!is_empty).then(|| data(overview, most.saturating_sub(body.0.len()))).transpose()?;
    frame::write(&frame::Page { title: &title, body, data: data.as_deref() }, out)
}

/// The numbers for the script, in `room` bytes if that is possible: hosts and devices of sites give
/// way, the smallest first.
fn data(overview: &Overview, room: usize) -> io::Result<String> {
    let mut parts = overview::MAX_PARTS;
    loop {
        let data = packed::json(overview, parts)?;
        if data.len() <= room || parts <= 1 {
            return Ok(data);
        }
        parts /= 2;
    }
}

/// What opens when a site or a device is chosen; the script fills it.
fn detail() -> Markup {
    html! {
        dialog #detail aria-labelledby="detail-name" {
            div.bar-top {
                h2 #detail-name tabindex="-1" {}
                button #detail-close type="button" aria-label="Close" { "Close" }
            }
            div #detail-body {}
        }
        div #tip role="status" hidden {}
    }
}
