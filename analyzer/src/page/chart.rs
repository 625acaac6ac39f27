//! Bytes over time, stacked by the largest sites: SVG without text, so that it can be as wide as
//! there is room; what it says in words stands around it, and in the table behind it.

use super::COLOURED;
use super::words;
use crate::report::overview::{Overview, Subject};
use crate::table::units::{Units, bytes, shown_in};
use maud::{Markup, html};

/// Height of the drawing in its own units.
const HEIGHT: u64 = 1_000;

/// Width of a column in its own units, of which [`FILLED`] are drawn.
const COLUMN: usize = 10;
const FILLED: usize = 8;

/// What is left free between two parts of a column: about a pixel.
const BETWEEN: u64 = 4;

/// Labels below.
const LABELS: usize = 6;

/// Bytes of the coloured sites, and of all others, in each block.
pub(super) struct Stack {
    /// What the parts are called.
    pub names: Vec<String>,
    /// A row for each block, a number for each part.
    pub rows: Vec<Vec<u64>>,
}

impl Stack {
    pub fn new(overview: &Overview) -> Self {
        let begins = overview.span.block_begins();
        let block = |time: usize| begins.partition_point(|begin| *begin <= time).saturating_sub(1);
        let sites = &overview.sites;
        let coloured: Vec<&Subject> =
            sites.subjects.iter().filter(|site| site.amounts.total() > 0).take(COLOURED).collect();
        let others = sites.subjects.iter().skip(coloured.len()).chain([&sites.rest]);
        let mut names: Vec<String> = coloured.iter().map(|site| site.name.clone()).collect();
        names.push("all others".to_owned());
        let mut rows = vec![vec![0_u64; names.len()]; overview.span.blocks.len()];
        let last = coloured.len();
        let parts = coloured.into_iter().enumerate().chain(others.map(|site| (last, site)));
        for (part, site) in parts {
            for (time, amounts) in &site.series {
                if let Some(sum) = rows.get_mut(block(*time)).and_then(|row| row.get_mut(part)) {
                    *sum = sum.saturating_add(amounts.total());
                }
            }
        }
        Self { names, rows }
    }

    fn top(&self) -> u64 {
        let most = self.rows.iter().map(|row| row.iter().sum::<u64>()).max().unwrap_or_default();
        nice(most, shown_in())
    }
}

/// The next number of bytes that reads well: in units of 1024 a power of two or three times one, in
/// units of 1000 one, two or five times a power of ten.
fn nice(n: u64, units: Units) -> u64 {
    let (steps, factor): (&[u64], u64) = match units {
        Units::Binary => (&[1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768], 1_024),
        Units::Decimal => (&[1, 2, 5, 10, 20, 50, 100, 200, 500], 1_000),
    };
    let powers = (0..6).map(|power| factor.saturating_pow(power));
    powers
        .flat_map(|power| steps.iter().map(move |step| step.saturating_mul(power)))
        .find(|nice| *nice >= n)
        .unwrap_or(n)
        .max(1)
}

pub(super) fn section(overview: &Overview) -> Markup {
    let stack = Stack::new(overview);
    let top = stack.top();
    let unit = overview.span.blocks_unit.word();
    let texts: Vec<String> = overview.span.blocks.iter().map(|block| words::time(&block.text)).collect();
    html! {
        section #time.card aria-labelledby="time-h" {
            div.head {
                h2 #time-h { "Over time" }
                p.quiet #time-note { "Bytes by " (unit) ", stacked by the largest sites." }
            }
            figure {
                div.plot {
                    div.y aria-hidden="true" #y { @for part in (0..=2).rev() { span { (bytes(top / 2 * part)) } } }
                    (svg(&stack, top, &texts))
                    div.x aria-hidden="true" #x { @for text in labels(&texts) { span { (text) } } }
                }
                figcaption { (legend(&stack.names)) }
            }
            (behind(&stack, unit, &texts))
        }
    }
}

fn svg(stack: &Stack, top: u64, texts: &[String]) -> Markup {
    let width = stack.rows.len().max(1) * COLUMN;
    html! {
        svg #chart viewBox={ "0 0 " (width) " " (HEIGHT) } preserveAspectRatio="none" role="group"
            aria-label="Bytes over time. The arrow keys go from one to the next." {
            @for (nth, (row, text)) in stack.rows.iter().zip(texts).enumerate() {
                (column(nth, row, top, &said(text, row, &stack.names)))
            }
        }
    }
}

fn column(nth: usize, row: &[u64], top: u64, said: &str) -> Markup {
    let scaled = |bytes: u64| u64::try_from(u128::from(bytes) * u128::from(HEIGHT) / u128::from(top)).unwrap_or(HEIGHT);
    let x = nth * COLUMN + (COLUMN - FILLED) / 2;
    let mut below = 0_u64;
    let mut parts = Vec::new();
    for (part, bytes) in row.iter().enumerate() {
        let (from, to) = (scaled(below), scaled(below.saturating_add(*bytes)));
        below = below.saturating_add(*bytes);
        let height = to.saturating_sub(from);
        if height > 0 {
            let drawn = if height > 2 * BETWEEN { height - BETWEEN } else { height };
            parts.push((part, HEIGHT.saturating_sub(to), drawn));
        }
    }
    html! {
        g tabindex=(if nth == 0 { "0" } else { "-1" }) role="img" aria-label=(said) {
            rect.hit x=(nth * COLUMN) y="0" width=(COLUMN) height=(HEIGHT) {}
            @for (part, y, height) in parts {
                rect class={ "c" (part_class(part, row.len())) } x=(x) y=(y) width=(FILLED) height=(height) {}
            }
        }
    }
}

/// The number of a part's colour: the last is that of all others.
fn part_class(part: usize, parts: usize) -> usize {
    if part + 1 == parts { COLOURED } else { part }
}

/// A column in words.
fn said(text: &str, row: &[u64], names: &[String]) -> String {
    let total: u64 = row.iter().fold(0, |sum, bytes| sum.saturating_add(*bytes));
    let parts = row.iter().zip(names).filter(|(part, _)| **part > 0);
    let parts: Vec<String> = parts.map(|(part, name)| format!("{name} {}", bytes(*part))).collect();
    match parts.is_empty() {
        true => format!("{text}: nothing"),
        false => format!("{text}: {}; {}", bytes(total), parts.join(", ")),
    }
}

/// Some of the texts, evenly apart: the first stands below the first column, the last below the
/// last.
fn labels(texts: &[String]) -> Vec<&String> {
    let last = texts.len().saturating_sub(1);
    let steps = last.min(LABELS - 1);
    let mut at: Vec<usize> = (0..=steps).map(|step| (last * step).checked_div(steps).unwrap_or(0)).collect();
    at.dedup();
    at.into_iter().filter_map(|nth| texts.get(nth)).collect()
}

fn legend(names: &[String]) -> Markup {
    html! {
        ul.legend #legend {
            @for (nth, name) in names.iter().enumerate() {
                li { i class={ "c" (part_class(nth, names.len())) } {} bdi { (name) } }
            }
        }
    }
}

/// The table behind the chart.
fn behind(stack: &Stack, unit: &str, texts: &[String]) -> Markup {
    html! {
        details {
            summary { "The same as a table" }
            div.scroll tabindex="0" role="region" aria-label="Bytes over time" {
                table #time-table {
                    thead { tr {
                        th scope="col" { (unit) }
                        th.n scope="col" { "total" }
                        @for name in &stack.names { th.n scope="col" { bdi { (name) } } }
                    } }
                    tbody {
                        @for (row, text) in stack.rows.iter().zip(texts) {
                            tr {
                                th scope="row" { (text) }
                                td.n { (bytes(row.iter().fold(0, |sum, n| sum.saturating_add(*n)))) }
                                @for part in row { td.n { (bytes(*part)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_number_that_reads_well() {
        let binary = |n| nice(n, Units::Binary);
        assert_eq!([0, 1, 5, 1_000, 1_025, 5 << 30].map(binary), [1, 1, 6, 1_024, 2_048, 6 << 30]);
        assert_eq!(binary(u64::MAX), u64::MAX);
        assert_eq!([3, 1_025, 60_000].map(|n| nice(n, Units::Decimal)), [5, 2_000, 100_000]);
    }

    #[test]
    fn labels_are_the_first_the_last_and_some_between() {
        let texts: Vec<String> = (0..31).map(|n| n.to_string()).collect();
        assert_eq!(labels(&texts).iter().map(|t| t.as_str()).collect::<Vec<_>>(), ["0", "6", "12", "18", "24", "30"]);
        assert_eq!(labels(&texts[..1]).len(), 1);
        assert!(labels(&[]).is_empty());
    }
}
