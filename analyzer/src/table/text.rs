//! Text for people: aligned columns, then the totals.
//!
//! Sizes in rows are rounded to three digits (KiB = 1024 bytes); the totals are exact, as are JSON
//! and CSV. Nothing is cut unless a terminal is too narrow: then columns give way, and names lose
//! their beginning, because their end says whose they are.

use super::units::{bytes, change, percent, thousands};
use super::{Amount, Certainty, Column, Footer, Head, Row, RowKind, Shape, Sink, Value};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use console::measure_text_width;
use std::io::{self, Write};

/// Narrowest column that names are cut to: what is left still tells registrable domains apart.
const MIN_NAME_WIDTH: usize = 20;

/// Cells of the longest bar.
const BAR_CELLS: u64 = 10;

/// How text is written.
#[derive(Debug, Clone, Copy, Default)]
pub struct TextStyle {
    /// Columns of the terminal; `None` where there is none: then nothing is cut.
    pub width: Option<usize>,
    /// Bars are drawn where there is room.
    pub bars: bool,
    /// The heading and sums stand out.
    pub color: bool,
    /// How much of the totals is shown; by itself short on a terminal where all is well.
    pub totals: Option<TotalsShown>,
}

/// How much of the totals is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TotalsShown {
    /// Every line that says something
    Full,
    /// One or two lines
    Short,
    /// Nothing, unless the books do not balance
    None,
}

/// Writes text.
pub struct TextSink<'a> {
    out: &'a mut dyn Write,
    style: TextStyle,
    columns: Vec<Column>,
    /// Of each column of the table whether it is written.
    written: Vec<bool>,
    rows: Vec<(RowKind, Vec<Texts>)>,
    certainties: Vec<Option<Certainty>>,
}

/// A value as text, in one length or in several, longest first.
type Texts = Vec<String>;

impl<'a> TextSink<'a> {
    /// Text to `out`.
    pub fn new(out: &'a mut dyn Write, style: TextStyle) -> Self {
        Self { out, style, columns: Vec::new(), written: Vec::new(), rows: Vec::new(), certainties: Vec::new() }
    }

    /// How much of the totals is shown: short only where it was asked for, or where all is well and
    /// a person looks.
    fn totals_shown(&self, footer: &Footer) -> TotalsShown {
        match self.style.totals {
            Some(_) if footer.short.is_empty() => TotalsShown::Full,
            Some(shown) => shown,
            None if self.style.width.is_some() && footer.all_is_well => TotalsShown::Short,
            None => TotalsShown::Full,
        }
    }
}

impl Sink for TextSink<'_> {
    fn begin(&mut self, head: &Head, columns: &[Column]) -> io::Result<()> {
        let bars = self.style.bars && self.style.width.is_some();
        self.columns = columns.iter().filter(|column| bars || column.shape != Shape::Bar).cloned().collect();
        self.written = columns.iter().map(|column| bars || column.shape != Shape::Bar).collect();
        for line in &head.lines {
            writeln!(self.out, "{line}\n")?;
        }
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        let values = row.values.iter().zip(&self.written).filter(|(_, written)| **written).map(|(value, _)| value);
        let values = self.columns.iter().zip(values).filter(|(column, _)| column.is_in_text());
        self.certainties.push(row.certainty);
        self.rows.push((row.kind, values.map(|(column, value)| texts(column.shape, value)).collect()));
        Ok(())
    }

    fn end(&mut self, footer: &Footer) -> io::Result<()> {
        let columns: Vec<&Column> = self.columns.iter().filter(|column| column.is_in_text()).collect();
        match self.rows.is_empty() {
            true if footer.nothing.is_empty() => {}
            true => writeln!(self.out, "{}", footer.nothing)?,
            false => {
                let text = fitted(&columns, &self.rows, self.style.width);
                let text = match (self.style.color, columns.last()) {
                    (true, Some(last)) => colored(&text, &self.rows, (&self.certainties, &last.heading)),
                    _ => text,
                };
                writeln!(self.out, "{text}")?;
            }
        }
        for note in &footer.notes {
            writeln!(self.out, "{note}")?;
        }
        match self.totals_shown(footer) {
            TotalsShown::None => return Ok(()),
            TotalsShown::Short => {
                writeln!(self.out)?;
                return footer.short.iter().try_for_each(|line| writeln!(self.out, "{line}"));
            }
            TotalsShown::Full => {}
        }
        if !footer.totals.is_empty() {
            writeln!(self.out, "\n{}", totals(footer))?;
        }
        footer.lines.iter().try_for_each(|line| writeln!(self.out, "{line}"))
    }
}

/// The heading and sums in bold, rows of nothing faint: whole lines, so that columns stay where
/// they are. The last column, where it has not given way, in the colour of the row's certainty.
fn colored(text: &str, rows: &[(RowKind, Vec<Texts>)], (sure, last): (&[Option<Certainty>], &str)) -> String {
    let heading = text.lines().next().map(str::trim_end).and_then(|line| line.strip_suffix(last));
    let before = heading.map(measure_text_width);
    let (bold, faint) =
        (console::Style::new().bold().force_styling(true), console::Style::new().dim().force_styling(true));
    let kinds = rows.iter().zip(sure).map(|((kind, _), sure)| Some((*kind, *sure)));
    let kinds = std::iter::once(None).chain(kinds);
    let line = |(line, row): (&str, Option<(RowKind, Option<Certainty>)>)| match row {
        None | Some((RowKind::Sum, _)) => bold.apply_to(line).to_string(),
        Some((RowKind::Empty, _)) => faint.apply_to(line).to_string(),
        Some((RowKind::Usual, None)) => line.to_owned(),
        Some((RowKind::Usual, Some(certainty))) => {
            let (left, right) = before.map_or((line, ""), |before| split_at(line, before));
            let color = console::Style::new().force_styling(true);
            let color = match certainty {
                Certainty::Most => color.green(),
                Certainty::Half => color.yellow(),
                Certainty::Little => color.red(),
            };
            if right.is_empty() { line.to_owned() } else { format!("{left}{}", color.apply_to(right)) }
        }
    };
    text.lines().zip(kinds).map(line).collect::<Vec<_>>().join("\n")
}

/// A line before and after so many columns.
fn split_at(line: &str, columns: usize) -> (&str, &str) {
    let mut width = 0;
    let behind = line.char_indices().find(|(_, c)| {
        width += measure_text_width(c.encode_utf8(&mut [0; 4]));
        width > columns
    });
    behind.and_then(|(at, _)| line.split_at_checked(at)).unwrap_or((line, ""))
}

/// A bar of so many millionths of the longest one, in eighths of a cell.
fn bar(millionths: u64) -> String {
    let eighths = millionths.min(1_000_000).saturating_mul(BAR_CELLS * 8).div_ceil(1_000_000);
    let (full, part) = (eighths / 8, eighths % 8);
    let mut bar = "█".repeat(usize::try_from(full).unwrap_or_default());
    bar.extend(["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"].get(usize::try_from(part).unwrap_or_default()).copied());
    bar
}

/// A value as people read it.
fn texts(shape: Shape, value: &Value<'_>) -> Texts {
    let text = match value {
        Value::Lengths(lengths) => return lengths.clone(),
        Value::Null | Value::Amounts(_) => String::new(),
        Value::Text(text) => text.clone().into_owned(),
        Value::List(list) => list.join(" "),
        Value::Bool(is) => if *is { "yes" } else { "no" }.to_owned(),
        Value::Signed(n) => change(*n),
        Value::Number(n) => match shape {
            Shape::Bytes => bytes(*n),
            Shape::Bar => bar(*n),
            _ => thousands(*n),
        },
    };
    vec![text]
}

/// Which columns there is room for.
struct Layout {
    /// How many steps columns have given way.
    step: u8,
    /// Longest name in each column, in columns of the terminal.
    name_widths: Vec<usize>,
}

/// The rows in the fullest layout that fits; the last one is used even if it does not.
fn fitted(columns: &[&Column], rows: &[(RowKind, Vec<Texts>)], width: Option<usize>) -> String {
    let steps = columns.iter().map(|column| column.gives_way).max().unwrap_or_default();
    let name_widths: Vec<usize> = (0..columns.len()).map(|i| widest(rows, i)).collect();
    let mut text = String::new();
    for step in 0..=steps {
        let layout = Layout { step, name_widths: name_widths.clone() };
        text = laid_out(columns, rows, &layout);
        let widest = text.lines().map(measure_text_width).max().unwrap_or_default();
        let over = width.map_or(0, |width| widest.saturating_sub(width));
        if over == 0 {
            return text;
        }
        if let Some(name_widths) = narrowed(columns, &name_widths, over) {
            return laid_out(columns, rows, &Layout { step, name_widths });
        }
    }
    text
}

fn widest(rows: &[(RowKind, Vec<Texts>)], column: usize) -> usize {
    let text = |(_, row): &(RowKind, Vec<Texts>)| {
        row.get(column).and_then(|texts| texts.first()).map_or(0, |text| measure_text_width(text))
    };
    rows.iter().map(text).max().unwrap_or_default()
}

/// Widths of names that save `over` columns, the widest ones cut first; `None` if they would say
/// too little.
fn narrowed(columns: &[&Column], widths: &[usize], over: usize) -> Option<Vec<usize>> {
    let mut widths = widths.to_vec();
    for _ in 0..over {
        let names = widths.iter_mut().zip(columns).filter(|(_, column)| column.shape == Shape::Name);
        let widest = names.map(|(width, _)| width).max().filter(|width| **width > MIN_NAME_WIDTH)?;
        *widest -= 1;
    }
    Some(widths)
}

fn laid_out(columns: &[&Column], rows: &[(RowKind, Vec<Texts>)], layout: &Layout) -> String {
    let stays = |column: &Column| column.gives_way == 0 || column.gives_way > layout.step;
    let mut table = plain();
    table.set_header(columns.iter().filter(|c| stays(c)).map(|column| cell(column, &column.heading)));
    for (_, row) in rows {
        let cells = columns.iter().zip(row).zip(&layout.name_widths).filter(|((column, _), _)| stays(column));
        table.add_row(cells.map(|((column, texts), width)| {
            let text = texts.get(usize::from(layout.step)).or(texts.last()).map_or("", String::as_str);
            match column.shape {
                Shape::Name => cell(column, &cut(text, *width)),
                _ => cell(column, text),
            }
        }));
    }
    text_of(table)
}

fn cell(column: &Column, text: &str) -> Cell {
    match column.shape {
        Shape::Text | Shape::Name | Shape::Bar | Shape::Flag | Shape::Instant | Shape::Date | Shape::List => {
            Cell::new(text)
        }
        Shape::Figures | Shape::Bytes | Shape::Count => right(text),
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

fn totals(footer: &Footer) -> String {
    let mut table = plain();
    table.set_header(vec![
        Cell::new(footer.totals_called),
        right("bytes"),
        right(""),
        right("share"),
        right("packets"),
    ]);
    for total in footer.totals.iter().filter(|total| total.is_shown()) {
        let (size, share) = match total.bytes {
            Amount::Is(n) if total.share => {
                let n = u64::try_from(n).unwrap_or_default();
                (bytes(n), percent(n, footer.whole))
            }
            _ => Default::default(),
        };
        let cells = [amount(total.bytes), size, share, amount(total.packets)];
        table.add_row(std::iter::once(Cell::new(&total.label)).chain(cells.iter().map(|text| right(text))));
    }
    text_of(table)
}

fn amount(amount: Amount) -> String {
    match amount {
        Amount::None => String::new(),
        Amount::Unknown => "unknown".to_owned(),
        Amount::Is(n) => u64::try_from(n).map_or_else(|_| n.to_string(), thousands),
    }
}

/// The lines of a table from [`plain`], columns two spaces apart and the first one at the margin.
fn text_of(mut table: Table) -> String {
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
