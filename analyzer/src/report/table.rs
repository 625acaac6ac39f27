//! The table for people: range and zone, rows, then the ledger with every line of the books.
//!
//! Sizes of rows are rounded to three digits (KiB = 1024 bytes); the ledger is exact, as are JSON and CSV. Nothing is
//! cut unless a terminal is too narrow: then names lose their beginning, because their end says whose they are. Names in
//! punycode are decoded where that deceives nobody ([`crate::idn`]).

use super::frame::Line;
use super::keys::{INFRASTRUCTURE, REVERSE};
use super::ledger::Amount;
use super::pages::PageSums;
use super::units::{bytes, percent, thousands, whole_percent};
use super::{Report, Rest};
use crate::books::{Evidence, Gap, Sureness};
use crate::error::shown;
use crate::idn;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use console::measure_text_width;
use std::borrow::Cow;
use std::io::{self, Write};

/// Narrowest column that names are cut to: what is left still tells registrable domains apart.
const MIN_NAME_WIDTH: usize = 20;

/// Most kinds of evidence shown in one row; all are in the ledger.
const MAX_KINDS_SHOWN: usize = 3;

/// Most gaps listed one by one; all are in the JSON.
const MAX_GAPS_SHOWN: usize = 10;

/// What stands behind a name that is no site.
const MARK: &str = " *";

pub(super) fn write(report: &Report, width: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}\n", range_line(report))?;
    if report.only_served {
        writeln!(out, "nothing was visited; others fetched this from our side:\n")?;
    }
    let lines = report.frame().lines();
    if lines.is_empty() {
        writeln!(out, "{}", nothing(report))?;
    } else {
        writeln!(out, "{}", fitted(report, &lines, width))?;
    }
    if lines.iter().any(|line| line.marked) {
        writeln!(out, "* no site: a public suffix, a name of the local network, or no host name")?;
    }
    if lines.iter().any(|line| line.key.iter().any(|key| key.ends_with(REVERSE))) {
        writeln!(out, "(ptr): what the holder of an address calls it, by reverse lookup; nothing that was seen")?;
    }
    if lines.iter().any(|line| line.key.iter().any(|key| key.ends_with(INFRASTRUCTURE))) {
        writeln!(
            out,
            "(infrastructure): only a name of its network was asked for; which site it carried is not known"
        )?;
    }
    if !report.ledger.tunnels.is_empty() {
        let carriers = shown(&report.ledger.tunnels.join(", "));
        writeln!(
            out,
            "{carriers}: carries a tunnel that was recorded, too; what is inside counts there, what the tunnel adds here"
        )?;
    }
    writeln!(out, "\n{}", ledger(report))?;
    gaps(report, out)?;
    super::ledger::hints(report).iter().try_for_each(|hint| writeln!(out, "hint: {hint}"))
}

fn range_line(report: &Report) -> String {
    let from = report.start().unwrap_or_else(|| "the beginning".to_owned());
    let to = report.end().unwrap_or_else(|| "the end".to_owned());
    format!("{from} to {to} ({})", shown(&report.zone))
}

fn nothing(report: &Report) -> String {
    match report.names.as_slice() {
        [] if report.ledger.local_bytes > 0 => {
            "nothing but local traffic in this range: --include-local shows it".to_owned()
        }
        [] if report.ledger.packets > 0 => "nothing in this range that could be booked on a site".to_owned(),
        [] => "nothing was recorded in this range".to_owned(),
        names => format!("nothing in this range for {}", shown(&names.join(", "))),
    }
}

/// What a table leaves out so that it fits.
#[derive(Debug, Clone, Copy)]
struct Layout {
    /// Longest name, in columns.
    name_width: usize,
    packets: bool,
    /// Down and up, beside their total.
    ways: bool,
    /// Most kinds of evidence.
    kinds: usize,
    /// Some row could be more or less than what is booked.
    ranged: bool,
    /// The rows stand for names of hosts.
    names: bool,
}

/// The rows in the fullest layout that fits; the last one is used even if it does not.
fn fitted(report: &Report, lines: &[Line<'_>], width: Option<usize>) -> String {
    let ranged = lines.iter().any(is_shared);
    let names = matches!(report.frame().key_columns().first(), Some(&("site" | "page" | "family" | "host")));
    let full = Layout { name_width: usize::MAX, packets: true, ways: true, kinds: MAX_KINDS_SHOWN, ranged, names };
    let less = Layout { packets: false, kinds: 2, ..full };
    let least = Layout { ways: false, kinds: 1, ..less };
    let widest_name = lines.iter().map(|line| measure_text_width(&name(line, full))).max();
    let mut text = String::new();
    for layout in [full, less, least] {
        text = rows(report, lines, layout);
        let widest = text.lines().map(measure_text_width).max().unwrap_or_default();
        let over = width.map_or(0, |width| widest.saturating_sub(width));
        if over == 0 {
            return text;
        }
        let name_width = widest_name.unwrap_or_default().saturating_sub(over);
        if name_width >= MIN_NAME_WIDTH {
            return rows(report, lines, Layout { name_width, ..layout });
        }
    }
    text
}

fn rows(report: &Report, lines: &[Line<'_>], layout: Layout) -> String {
    let frame = report.frame();
    let total = frame.total();
    let mut table = plain();
    let mut header: Vec<Cell> = frame.key_columns().iter().map(Cell::new).collect();
    header.extend(amounts(["total", "share", "down", "up", "packets"].map(String::from), layout));
    if layout.ranged {
        header.push(right("could be"));
    }
    if report.pages.is_some() {
        header.extend(["own", "third party", "sure", "likely"].map(right));
    } else if frame.has_evidence() {
        header.push(Cell::new("named by"));
    }
    table.set_header(header);
    for line in lines {
        table.add_row(row(report, line, total.total_bytes, layout));
    }
    let sums = |name: String, sums: Rest| {
        let mut cells = vec![Cell::new(name)];
        cells.extend(frame.key_columns().iter().skip(1).map(|_| Cell::new("")));
        let share = percent(sums.total_bytes, total.total_bytes);
        let texts =
            [bytes(sums.total_bytes), share, bytes(sums.down_bytes), bytes(sums.up_bytes), thousands(sums.packets)];
        cells.extend(amounts(texts, layout));
        cells
    };
    if let Some(rest) = frame.rest() {
        table.add_row(sums(format!("({} more)", thousands(rest.rows)), rest));
    }
    let mut cells = sums("total".to_owned(), total);
    if let Some(pages) = &report.pages {
        let mut page = PageSums::default();
        pages.values().for_each(|one| page.add(one));
        cells.extend(layout.ranged.then(|| Cell::new("")));
        cells.extend(page_cells(&page));
    }
    table.add_row(cells);
    text(table)
}

fn row(report: &Report, line: &Line<'_>, total_bytes: u64, layout: Layout) -> Vec<Cell> {
    let mut keys = line.key.iter();
    let mark = if line.marked { MARK } else { "" };
    let first = keys.next().map(|_| format!("{}{mark}", cut(&name(line, layout), layout.name_width)));
    let mut cells: Vec<Cell> = first.into_iter().map(Cell::new).chain(keys.map(|text| Cell::new(*text))).collect();
    let share = percent(line.total_bytes, total_bytes);
    let texts = [bytes(line.total_bytes), share, bytes(line.down_bytes), bytes(line.up_bytes), thousands(line.packets)];
    cells.extend(amounts(texts, layout));
    if layout.ranged {
        let bounds = || format!("{} .. {}", bytes(line.low_bytes), bytes(line.high_bytes));
        cells.push(right(&is_shared(line).then(bounds).unwrap_or_default()));
    }
    if report.pages.is_some() {
        let none = PageSums::default();
        let page = report.page(line).unwrap_or(&none);
        cells.extend(page_cells(page));
    } else if let Some(kinds) = &line.evidence {
        cells.push(Cell::new(named_by(kinds, layout.kinds)));
    }
    cells
}

/// A line's key as people read it: names of hosts decoded where that deceives nobody, devices with what they call
/// themselves.
fn name<'a>(line: &Line<'a>, layout: Layout) -> Cow<'a, str> {
    match (line.key.first(), line.device_name) {
        (Some(address), Some(name)) => format!("{name} ({address})").into(),
        (Some(name), None) if layout.names => idn::display(name),
        (key, _) => key.copied().unwrap_or_default().into(),
    }
}

/// Cells of what a page's bytes are made of.
fn page_cells(page: &PageSums) -> [Cell; 4] {
    let [sure, likely] = [Sureness::Sure, Sureness::Likely].map(|class| page.of(class));
    [page.own, page.third_party, sure, likely].map(|amount| right(&bytes(amount)))
}

/// Cells of total, share, down, up and packets, as far as the layout has them.
fn amounts(texts: [String; 5], layout: Layout) -> impl Iterator<Item = Cell> {
    let shown = [true, true, layout.ways, layout.ways, layout.packets];
    texts.into_iter().zip(shown).filter(|(_, shown)| *shown).map(|(text, _)| right(&text))
}

/// Whether the range of what it could be says more than the total: a range of less than 1 % of it does not.
fn is_shared(line: &Line<'_>) -> bool {
    line.high_bytes.saturating_sub(line.low_bytes) > line.high_bytes / 100
}

/// The kinds of evidence behind a row, largest first, at most `most` of them.
fn named_by(kinds: &[u64], most: usize) -> String {
    let total: u64 = kinds.iter().fold(0, |sum, bytes| sum.saturating_add(*bytes));
    let mut kinds: Vec<(u64, &str)> =
        kinds.iter().copied().zip(Evidence::ALL.map(word)).filter(|(bytes, _)| *bytes > 0).collect();
    kinds.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    if let [(_, only)] = kinds.as_slice() {
        return (*only).to_owned();
    }
    let more = kinds.len().saturating_sub(most);
    let text = |(bytes, word): &(u64, &str)| format!("{word} {}", whole_percent(*bytes, total));
    let mut texts: Vec<String> = kinds.iter().take(most).map(text).collect();
    if more > 0 {
        texts.push(format!("{more} more"));
    }
    texts.join(", ")
}

/// The word for a kind in a table.
fn word(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::None => "address only",
        named => named.word(),
    }
}

/// `name` in at most `width` columns; what is missing is missing at its beginning.
fn cut(name: &str, width: usize) -> String {
    if measure_text_width(name) <= width {
        return name.to_owned();
    }
    let mut end = String::new();
    for c in name.chars().rev() {
        let longer = format!("{c}{end}");
        if measure_text_width(&longer) >= width {
            break;
        }
        end = longer;
    }
    format!("…{end}")
}

fn ledger(report: &Report) -> String {
    let mut table = plain();
    table.set_header(vec![Cell::new("ledger"), right("bytes"), right(""), right("share"), right("packets")]);
    for line in super::ledger::lines(report).iter().filter(|line| line.is_shown()) {
        let (size, share) = match line.bytes {
            Amount::Is(n) if line.share => {
                let n = u64::try_from(n).unwrap_or_default();
                (bytes(n), percent(n, report.ledger.ip_bytes))
            }
            _ => Default::default(),
        };
        let cells = [amount(line.bytes), size, share, amount(line.packets)];
        table.add_row(std::iter::once(Cell::new(&line.label)).chain(cells.iter().map(|text| right(text))));
    }
    text(table)
}

fn amount(amount: Amount) -> String {
    match amount {
        Amount::None => String::new(),
        Amount::Unknown => "unknown".to_owned(),
        Amount::Is(n) => u64::try_from(n).map_or_else(|_| n.to_string(), thousands),
    }
}

fn gaps(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let gaps = &report.ledger.gaps;
    if gaps.is_empty() {
        return writeln!(out, "no gaps");
    }
    let instant = |at| report.instant(at).unwrap_or_else(|| "?".to_owned());
    for Gap { from, to, reason } in gaps.iter().take(MAX_GAPS_SHOWN) {
        writeln!(out, "gap: {} to {} ({})", instant(*from), instant(*to), shown(reason))?;
    }
    match gaps.len().saturating_sub(MAX_GAPS_SHOWN) {
        0 => Ok(()),
        more => writeln!(out, "and {} more gaps", thousands(u64::try_from(more).unwrap_or(u64::MAX))),
    }
}

/// The lines of a table from [`plain`], columns two spaces apart and the first one at the margin.
fn text(mut table: Table) -> String {
    table.column_iter_mut().for_each(|column| _ = column.set_padding((0, 2)));
    table.trim_fmt()
}

/// A table without borders, so that `grep` and `awk` can read it.
fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn right(text: &str) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}
