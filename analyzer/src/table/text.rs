//! Text for people: aligned columns, then the totals.
//!
//! Sizes in rows are rounded to three digits (KiB = 1024 bytes); the totals are exact, as are JSON and CSV. Nothing is
//! cut unless a terminal is too narrow: then columns give way, and names lose their beginning, because their end says whose
//! they are.

use super::units::{bytes, percent, thousands};
use super::{Amount, Column, Footer, Head, Row, Shape, Sink, Value};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use console::measure_text_width;
use std::io::{self, Write};

/// Narrowest column that names are cut to: what is left still tells registrable domains apart.
const MIN_NAME_WIDTH: usize = 20;

/// Writes text.
pub struct TextSink<'a> {
    out: &'a mut dyn Write,
    /// Columns of the terminal; `None` where there is none: then nothing is cut.
    width: Option<usize>,
    columns: Vec<Column>,
    rows: Vec<Vec<Texts>>,
}

/// A value as text, in one length or in several, longest first.
type Texts = Vec<String>;

impl<'a> TextSink<'a> {
    /// Text to `out`, for a terminal of `width` columns.
    pub fn new(out: &'a mut dyn Write, width: Option<usize>) -> Self {
        Self { out, width, columns: Vec::new(), rows: Vec::new() }
    }
}

impl Sink for TextSink<'_> {
    fn begin(&mut self, head: &Head, columns: &[Column]) -> io::Result<()> {
        self.columns = columns.to_vec();
        for line in &head.lines {
            writeln!(self.out, "{line}\n")?;
        }
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        let values = self.columns.iter().zip(&row.values).filter(|(column, _)| column.is_in_text());
        self.rows.push(values.map(|(column, value)| texts(column.shape, value)).collect());
        Ok(())
    }

    fn end(&mut self, footer: &Footer) -> io::Result<()> {
        let columns: Vec<&Column> = self.columns.iter().filter(|column| column.is_in_text()).collect();
        match self.rows.is_empty() {
            true if footer.nothing.is_empty() => {}
            true => writeln!(self.out, "{}", footer.nothing)?,
            false => writeln!(self.out, "{}", fitted(&columns, &self.rows, self.width))?,
        }
        for note in &footer.notes {
            writeln!(self.out, "{note}")?;
        }
        if !footer.totals.is_empty() {
            writeln!(self.out, "\n{}", totals(footer))?;
        }
        footer.lines.iter().try_for_each(|line| writeln!(self.out, "{line}"))
    }
}

/// A value as people read it.
fn texts(shape: Shape, value: &Value<'_>) -> Texts {
    let text = match value {
        Value::Lengths(lengths) => return lengths.clone(),
        Value::Null | Value::Amounts(_) => String::new(),
        Value::Text(text) => text.clone().into_owned(),
        Value::List(list) => list.join(" "),
        Value::Number(n) => match shape {
            Shape::Bytes => bytes(*n),
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
fn fitted(columns: &[&Column], rows: &[Vec<Texts>], width: Option<usize>) -> String {
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

fn widest(rows: &[Vec<Texts>], column: usize) -> usize {
    let text =
        |row: &Vec<Texts>| row.get(column).and_then(|texts| texts.first()).map_or(0, |text| measure_text_width(text));
    rows.iter().map(text).max().unwrap_or_default()
}

/// Widths of names that save `over` columns, the widest ones cut first; `None` if they would say too little.
fn narrowed(columns: &[&Column], widths: &[usize], over: usize) -> Option<Vec<usize>> {
    let mut widths = widths.to_vec();
    for _ in 0..over {
        let names = widths.iter_mut().zip(columns).filter(|(_, column)| column.shape == Shape::Name);
        let widest = names.map(|(width, _)| width).max().filter(|width| **width > MIN_NAME_WIDTH)?;
        *widest -= 1;
    }
    Some(widths)
}

fn laid_out(columns: &[&Column], rows: &[Vec<Texts>], layout: &Layout) -> String {
    let stays = |column: &Column| column.gives_way == 0 || column.gives_way > layout.step;
    let mut table = plain();
    table.set_header(columns.iter().filter(|c| stays(c)).map(|column| cell(column, &column.heading)));
    for row in rows {
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
        Shape::Text | Shape::Name => Cell::new(text),
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
