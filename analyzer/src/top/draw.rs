//! A screen as cells of text: what it shows, and how it looks. Pure: a frame comes out of values.

use super::cells::Bytes;
use super::screen::{Over, Screen, sort_word};
use super::snapshot::{Row, Snapshot, View};
use crate::books::{Evidence, Sureness};
use crate::calibration::how_sure;
use crate::owners::Owner;
use crate::report::{Masker, name_of};
use crate::table::Certainty;
use crate::table::units::{bytes, whole_percent};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

/// Columns of the numbers at the right of a name.
const FIGURES: u16 = 11;

/// Blocks of a line of blocks, lowest first.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Rows of text above the table and below it.
const HEAD: u16 = 5;
const FOOT: u16 = 2;

/// What a frame is made of beside rows and state.
#[derive(Debug, Clone, Default)]
pub struct Around<'a> {
    /// Names of the recorded interfaces.
    pub interfaces: Vec<&'a str>,
    /// The time of day, as people read it.
    pub clock: String,
    /// What the period is called.
    pub period: String,
    /// Something that a person should know: a recorder that is silent, a file that cannot be read.
    pub warning: Option<String>,
    /// Packets of today that were lost.
    pub dropped_packets: u64,
    /// What is behind the selected row, by each of the views.
    pub behind: Vec<(View, Snapshot)>,
    /// Colours may be used.
    pub color: bool,
}

/// Colours and weights.
#[derive(Debug, Clone, Copy)]
struct Look {
    color: bool,
}

impl Look {
    fn colored(self, color: Color) -> Style {
        if self.color { Style::new().fg(color) } else { Style::new() }
    }

    fn quiet(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// By the share that need not be doubted. Colour never says it alone: the figure does.
    fn certainty(self, row: &Row) -> Style {
        match Certainty::new(row.certain, row.today.sum()) {
            None => self.quiet(),
            Some(Certainty::Most) => self.colored(Color::Green),
            Some(Certainty::Half) => self.colored(Color::Yellow),
            Some(Certainty::Little) => self.colored(Color::Red),
        }
    }
}

/// Draws everything; keeps in `screen` where rows and tabs are.
pub fn draw(frame: &mut Frame<'_>, screen: &mut Screen, snapshot: &Snapshot, (around, masks): (&Around<'_>, &Masker)) {
    let area = frame.area();
    let look = Look { color: around.color };
    let rows_height = area.height.saturating_sub(HEAD + FOOT);
    screen.rows_area = Rect { x: 0, y: HEAD.min(area.height), width: area.width, height: rows_height };
    screen.scroll(snapshot, usize::from(rows_height));
    line(frame, 0, title(screen, snapshot, around, (look, masks)));
    line(frame, 1, totals(snapshot, around, look));
    let minute = blocks(&snapshot.all.minute, usize::from(area.width.saturating_sub(2)));
    line(frame, 2, Line::from(vec![Span::raw(" "), Span::styled(minute, look.colored(Color::Cyan))]));
    draw_tabs(frame, screen, look);
    let layout = Widths::new(area.width);
    line(frame, 4, heading(screen, around, layout, look));
    draw_rows(frame, screen, snapshot, (layout, look, masks));
    if area.height > HEAD + FOOT {
        line(frame, area.height - 2, below(snapshot, around, look));
        line(frame, area.height - 1, Line::styled(KEYS, look.quiet()));
    }
    match screen.over {
        Over::Nothing => {}
        Over::Help => popup(frame, " keys ", help()),
        Over::Details => popup(frame, " what is behind it ", details(screen, snapshot, (around, masks), area.height)),
        Over::Explain => popup(frame, " how sure are we? ", explained(screen, snapshot, look)),
    }
}

const KEYS: &str = " / filter  s sort  Tab view  ↵ details  e sure  p pause  m mask  ? help  q quit";

fn line(frame: &mut Frame<'_>, y: u16, line: Line<'_>) {
    let area = frame.area();
    if y < area.height {
        frame.render_widget(Paragraph::new(line), Rect { x: 0, y, width: area.width, height: 1 });
    }
}

fn title<'a>(screen: &Screen, snapshot: &Snapshot, around: &Around<'_>, (look, masks): (Look, &Masker)) -> Line<'a> {
    let on = if around.interfaces.is_empty() {
        "no recorder".to_owned()
    } else {
        around.interfaces.iter().map(|name| masks.own("interface", name)).collect::<Vec<_>>().join(", ")
    };
    let mut spans = vec![Span::styled(" imon top ", look.strong()), Span::raw(format!(" {on}  {}  ", around.clock))];
    let Bytes { up, down } = snapshot.all.rate;
    spans.push(Span::styled(format!("▼ {}/s  ▲ {}/s", bytes(down), bytes(up)), look.strong()));
    if screen.is_paused {
        spans.push(Span::styled("  paused", look.colored(Color::Yellow).add_modifier(Modifier::BOLD)));
    }
    Line::from(spans)
}

fn totals<'a>(snapshot: &Snapshot, around: &Around<'_>, look: Look) -> Line<'a> {
    let all = &snapshot.all;
    let text = format!(" today {}   {} {}", bytes(all.today.sum()), around.period, bytes(all.period.sum()));
    let sure = match whole_percent(all.certain, all.today.sum()) {
        sure if sure.is_empty() => String::new(),
        sure => format!("   {sure} of today needs no doubt"),
    };
    Line::from(vec![Span::raw(text), Span::styled(sure, look.certainty(all))])
}

fn draw_tabs(frame: &mut Frame<'_>, screen: &mut Screen, look: Look) {
    let (mut spans, mut x) = (vec![Span::raw(" ")], 1u16);
    screen.tabs.clear();
    for (n, view) in View::ALL.into_iter().enumerate() {
        let text = format!(" {} {} ", n + 1, tab_word(view));
        let width = u16::try_from(text.chars().count()).unwrap_or(u16::MAX);
        screen.tabs.push((Rect { x, y: 3, width, height: 1 }, view));
        x = x.saturating_add(width);
        let style =
            if view == screen.asked.view { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
        spans.push(Span::styled(text, style));
    }
    spans.push(Span::styled(format!("   by {}", sort_word(screen.asked.sort)), look.quiet()));
    match &screen.typed {
        Some(typed) => spans.push(Span::styled(format!("   /{typed}▏"), look.strong())),
        None if !screen.asked.filter.is_empty() => {
            spans.push(Span::styled(format!("   /{}", screen.asked.filter), look.colored(Color::Yellow)));
        }
        None => {}
    }
    line(frame, 3, Line::from(spans));
}

fn tab_word(view: View) -> &'static str {
    match view {
        View::Site => "sites",
        View::Device => "devices",
        View::Host => "hosts",
        View::Page => "pages",
        View::Evidence => "evidence",
    }
}

/// How wide the parts of a row are.
#[derive(Debug, Clone, Copy)]
struct Widths {
    name: usize,
    /// Cells of the line of blocks; 0 where there is no room.
    minute: usize,
    has_period: bool,
    has_up: bool,
}

impl Widths {
    fn new(width: u16) -> Self {
        let left = |figures: u16| usize::from(width.saturating_sub(figures * FIGURES + 8));
        // In steps: first the minute goes, then the period, then what was sent.
        let (has_period, has_up) = (width >= 76, width >= 60);
        let figures = 2 + u16::from(has_period) + u16::from(has_up);
        let room = left(figures);
        let minute = room.saturating_sub(28).min(30);
        Self { name: room.saturating_sub(if minute > 0 { minute + 2 } else { 0 }), minute, has_period, has_up }
    }
}

fn figure(text: &str) -> String {
    format!("{text:>width$}", width = usize::from(FIGURES))
}

fn heading<'a>(screen: &Screen, around: &Around<'_>, widths: Widths, look: Look) -> Line<'a> {
    let mut text = format!("  {:<width$}", screen.asked.view.word(), width = widths.name);
    let mut figures = vec!["▼ now"];
    figures.extend(widths.has_up.then_some("▲ now"));
    figures.push("today");
    figures.extend(widths.has_period.then_some(around.period.as_str()));
    figures.into_iter().for_each(|heading| text.push_str(&figure(heading)));
    text.push_str(&format!("{:>6}", "sure"));
    if widths.minute > 0 {
        text.push_str("  minute");
    }
    Line::styled(text, look.strong())
}

fn draw_rows(
    frame: &mut Frame<'_>,
    screen: &Screen,
    snapshot: &Snapshot,
    (widths, look, masks): (Widths, Look, &Masker),
) {
    let area = screen.rows_area;
    if snapshot.rows.is_empty() && area.height > 0 {
        let said = match screen.asked.filter.is_empty() {
            true => "  nothing has passed yet; `imon-record --status` says whether a recorder runs",
            false => "  nothing passes this filter; Escape clears it",
        };
        line(frame, area.y, Line::styled(said, look.quiet()));
        return;
    }
    let selected = screen.place(snapshot);
    let shown = snapshot.rows.iter().enumerate().skip(screen.first).take(usize::from(area.height));
    for (y, (place, row)) in (area.y..).zip(shown) {
        let name = name_of_row(screen.asked.view, row, masks);
        let owner = row.owner.as_ref().filter(|_| !masks.hides_hosts() && !masks.is_own(&row.name));
        let name = match owner.and_then(Owner::text) {
            Some(owner) => labelled(&name, &owner, widths.name),
            None => name,
        };
        // Reversed, a colour would be the background of its cells, or stand on that of the row, and
        // nobody knows how the two go together: the chosen row has the terminal's colours alone.
        line(
            frame,
            y,
            match place == selected {
                true => row_line(row, &name, widths, Look { color: false }).style(Modifier::REVERSED),
                false => row_line(row, &name, widths, look),
            },
        );
    }
}

/// The name of a row as people read it.
fn name_of_row(view: View, row: &Row, masks: &Masker) -> String {
    name_of(view.key(), &masks.key(view.key(), &row.name), None)
}

fn row_line<'a>(row: &Row, name: &str, widths: Widths, look: Look) -> Line<'a> {
    let rate = |bytes_a_second: u64| match bytes_a_second {
        0 => "–".to_owned(),
        n => format!("{}/s", bytes(n)),
    };
    // What can still change is marked, as colour alone would not be seen by everybody.
    let mark = if row.open > 0 { "~" } else { " " };
    let style = if row.named { Style::new() } else { look.quiet() };
    let mut spans = vec![Span::raw(format!(" {mark}")), Span::styled(fitted(name, widths.name), style)];
    let mut figures = figure(&rate(row.rate.down));
    if widths.has_up {
        figures.push_str(&figure(&rate(row.rate.up)));
    }
    figures.push_str(&figure(&bytes(row.today.sum())));
    if widths.has_period {
        figures.push_str(&figure(&bytes(row.period.sum())));
    }
    spans.push(Span::raw(figures));
    let sure = whole_percent(row.certain, row.today.sum());
    spans.push(Span::styled(format!("{sure:>6}"), look.certainty(row)));
    if widths.minute > 0 {
        spans.push(Span::styled(format!("  {}", blocks(&row.minute, widths.minute)), look.colored(Color::Cyan)));
    }
    Line::from(spans)
}

/// An address with whose it is behind it, as far as there is room: the address stays whole.
fn labelled(address: &str, owner: &str, width: usize) -> String {
    let room = width.saturating_sub(console::measure_text_width(address) + 2);
    match room {
        0..6 => address.to_owned(),
        _ => format!("{address} {}", console::truncate_str(owner, room, "…")),
    }
}

/// A name in so many columns: where there is no room it loses its beginning, as its end says whose
/// it is.
fn fitted(name: &str, width: usize) -> String {
    let too_long = console::measure_text_width(name).saturating_sub(width.saturating_sub(1));
    if too_long == 0 {
        let pad = width.saturating_sub(console::measure_text_width(name));
        return format!("{name}{}", " ".repeat(pad));
    }
    let mut end = String::new();
    for c in name.chars().rev() {
        let longer = format!("{c}{end}");
        if console::measure_text_width(&longer) + 2 > width {
            break;
        }
        end = longer;
    }
    let text = format!("…{end}");
    let pad = width.saturating_sub(console::measure_text_width(&text));
    format!("{text}{}", " ".repeat(pad))
}

/// Values as blocks, in at most `width` of them: neighbours are added up.
fn blocks(values: &[u64], width: usize) -> String {
    if values.is_empty() || width == 0 {
        return String::new();
    }
    let step = values.len().div_ceil(width);
    // From the end, so that a block keeps its seconds while the minute goes on.
    let mut sums: Vec<u64> =
        values.rchunks(step).map(|part| part.iter().fold(0, |a: u64, b| a.saturating_add(*b))).collect();
    sums.reverse();
    let most = sums.iter().copied().max().unwrap_or(0);
    let block = |sum: u64| match sum {
        0 => ' ',
        _ => {
            let place = u128::from(sum) * (BLOCKS.len() as u128 - 1) / u128::from(most.max(1));
            usize::try_from(place).ok().and_then(|place| BLOCKS.get(place)).copied().unwrap_or(' ')
        }
    };
    sums.into_iter().map(block).collect()
}

fn below<'a>(snapshot: &Snapshot, around: &Around<'_>, look: Look) -> Line<'a> {
    if let Some(warning) = &around.warning {
        return Line::styled(format!(" {warning}"), look.colored(Color::Red).add_modifier(Modifier::BOLD));
    }
    let lost = match around.dropped_packets {
        0 => "nothing lost".to_owned(),
        n => format!("{n} packets lost"),
    };
    let text = format!(
        " today also: local {}, served {}, {lost}   ~ may change: {}",
        bytes(snapshot.local),
        bytes(snapshot.served),
        bytes(snapshot.all.open),
    );
    Line::styled(text, look.quiet())
}

fn popup(frame: &mut Frame<'_>, title: &str, lines: Vec<Line<'_>>) {
    let area = frame.area();
    let wanted = lines.iter().map(Line::width).max().unwrap_or(0) + 4;
    let width = u16::try_from(wanted).unwrap_or(u16::MAX).min(area.width);
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let place = Rect { x: (area.width - width) / 2, y: (area.height - height) / 2, width, height };
    frame.render_widget(Clear, place);
    let block = Block::bordered().title(title.to_owned());
    frame.render_widget(Paragraph::new(lines).block(block), place);
}

fn help<'a>() -> Vec<Line<'a>> {
    let keys = [
        ("/", "filter: words, also site:X host:X page:X device:X evidence:X"),
        ("s", "sort: now, today, period, name"),
        ("Tab 1–5", "sites, devices, hosts, pages, evidence"),
        ("↑ ↓ j k", "choose a row; PgUp, PgDn, Home, End"),
        ("Enter", "what is behind the row"),
        ("e", "how sure its bytes are"),
        ("p Space", "pause"),
        ("m", "mask devices, then hosts, then both"),
        ("Esc", "close, or clear the filter"),
        ("q Ctrl-C", "quit"),
    ];
    keys.into_iter().map(|(key, does)| Line::from(format!(" {key:<9} {does} "))).collect()
}

/// Rows of each part of what is behind a row, where there is room.
const BEHIND: usize = 5;

fn details<'a>(
    screen: &Screen,
    snapshot: &Snapshot,
    (around, masks): (&Around<'_>, &Masker),
    height: u16,
) -> Vec<Line<'a>> {
    let Some(row) = snapshot.rows.get(screen.place(snapshot)) else { return vec![Line::from(" nothing is chosen ")] };
    let name = name_of_row(screen.asked.view, row, masks);
    let Bytes { up, down } = row.today;
    let mut lines = vec![Line::from(format!(" {name}: today ▼ {} ▲ {} ", bytes(down), bytes(up)))];
    // A blank line, a heading, and what says that there are more.
    let parts = around.behind.len().max(1);
    let room = usize::from(height).saturating_sub(3) / parts;
    let most = room.saturating_sub(3).clamp(1, BEHIND);
    for (view, part) in &around.behind {
        lines.push(Line::from(""));
        lines.push(Line::styled(format!(" {} ", tab_word(*view)), Modifier::BOLD));
        for row in part.rows.iter().take(most) {
            let name = name_of_row(*view, row, masks);
            lines.push(Line::from(format!("  {} {:>10} ", fitted(&name, 44), bytes(row.today.sum()))));
        }
        if let Some(more @ 1..) = part.rows.len().checked_sub(most) {
            lines.push(Line::from(format!("  and {more} more ")));
        }
    }
    lines
}

fn explained<'a>(screen: &Screen, snapshot: &Snapshot, look: Look) -> Vec<Line<'a>> {
    let row = snapshot.rows.get(screen.place(snapshot)).unwrap_or(&snapshot.all);
    let mut lines = Vec::new();
    for evidence in Evidence::ALL {
        let sum = row.evidence.get(evidence.index()).copied().unwrap_or_default();
        if sum == 0 {
            continue;
        }
        let share = whole_percent(sum, row.today.sum());
        lines.push(Line::styled(
            format!(" {:<11} {:>10} {share:>5}  {} ", evidence.word(), bytes(sum), meaning(evidence)),
            look.strong(),
        ));
        if let Some(measured) = how_sure(evidence) {
            // What public captures showed is enough here.
            let first = measured.split(';').next().unwrap_or_default().to_owned();
            lines.push(Line::styled(format!("             {first} "), look.quiet()));
        }
    }
    if lines.is_empty() {
        lines.push(Line::from(" nothing has passed today "));
    } else if screen.asked.view == View::Page {
        lines.push(Line::from(""));
        lines.extend(of_page(row));
    }
    if row.open > 0 {
        let until = match screen.asked.view {
            View::Page => "its page for ten minutes, its name for an hour",
            _ => "a name can come up to an hour later",
        };
        lines.push(Line::from(format!(" {} may still change: {until} ", bytes(row.open))));
    }
    lines
}

/// What a page's bytes are made of.
fn of_page<'a>(row: &Row) -> Vec<Line<'a>> {
    let line = |(word, sum, meaning): (&str, u64, &str)| {
        let share = whole_percent(sum, row.today.sum());
        Line::styled(format!(" {word:<11} {:>10} {share:>5}  {meaning} ", bytes(sum)), Modifier::BOLD)
    };
    let of = |class: Sureness| row.classes.get(class.index()).copied().unwrap_or_default();
    let classes = Sureness::ALL.map(|class| (class.word(), of(class), pulled(class)));
    let own = ("own", row.own(), "visits to the site itself");
    std::iter::once(own).chain(classes).filter(|(_, sum, _)| *sum > 0).map(line).collect()
}

/// What the sureness of a page means, in a few words.
const fn pulled(class: Sureness) -> &'static str {
    match class {
        Sureness::Sure => "of other sites: learned from several visits",
        Sureness::Likely => "of other sites: likelier than all else",
        Sureness::Guess => "of other sites: one explanation of several",
        Sureness::Background => "its own, without a visit: updates, sync",
    }
}

/// What a kind of evidence means, in a few words.
const fn meaning(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::Sni => "the TLS hello says the name",
        Evidence::Quic => "the QUIC hello says the name",
        Evidence::Http => "the HTTP request says the name",
        Evidence::Dns => "the device was told this name for the address",
        Evidence::DnsShared => "told for several sites; the latest counts",
        Evidence::DnsLate => "told shortly after the flow began",
        Evidence::DnsOther => "another device was told",
        Evidence::Known => "known from earlier",
        Evidence::DnsAsked => "asked for as the flow began",
        Evidence::Ptr => "reverse lookup",
        Evidence::EchOuter => "only the provider's public name is visible",
        Evidence::Infra => "a content network carries it; whose it is nobody says",
        Evidence::None => "the address is all that is known",
    }
}

#[cfg(test)]
mod tests;
