//! What stands around the tables: header, sums, evidence explained, ledger, gaps.

use super::calendar;
use super::words::{self, Trust};
use crate::books::Evidence;
use crate::report::overview::Overview;
use crate::table::units::{Units, bytes, percent, shown_in, thousands};
use crate::table::{Amount, Footer, Head, Total};
use maud::{Markup, html};

pub(super) fn header(title: &str, head: &Head) -> Markup {
    html! {
        a.skip href="#sites" { "To the sites" }
        header {
            p.brand { (mark()) "imon" }
            h1 #title { (title) }
            @for line in &head.lines { p.quiet { (line) } }
        }
    }
}

/// The sign of imon: three bars of which one is hatched.
fn mark() -> Markup {
    html! {
        svg.mark viewBox="0 0 16 16" aria-hidden="true" {
            defs {
                pattern id="hatch" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect.under width="4" height="4" {}
                    rect.over width="2" height="4" {}
                }
            }
            rect x="1" y="8" width="4" height="7" rx="1" {}
            rect x="6" y="3" width="4" height="12" rx="1" {}
            rect.doubt x="11" y="6" width="4" height="9" rx="1" {}
        }
    }
}

/// A number of bytes that the script writes as its reader's language does.
pub(super) fn size(n: u64) -> Markup {
    html! { data.b value=(n) { (bytes(n)) } }
}

/// The same for any other number.
fn count(n: u64) -> Markup {
    html! { data.i value=(n) { (thousands(n)) } }
}

pub(super) fn nothing(footer: &Footer) -> Markup {
    html! {
        section.card {
            h2 { "Nothing to show" }
            @for line in footer.nothing.lines() { p { (line) } }
        }
    }
}

pub(super) fn summary(overview: &Overview) -> Markup {
    let total = overview.report.frame().total();
    let sites = overview.sites.subjects.len() + overview.sites.rest_count;
    let devices = overview.devices.subjects.len() + overview.devices.rest_count;
    let what = if overview.served { "fetched by others from our side" } else { "to and from sites" };
    html! {
        section #summary.card aria-label="In sum" {
            div.total {
                p.big #total { (size(total.total_bytes)) }
                p.quiet { (what) span #total-change {} }
            }
            dl.facts {
                div { dt { "down" } dd #down { (size(total.down_bytes)) } }
                div { dt { "up" } dd #up { (size(total.up_bytes)) } }
                div { dt { "sites" } dd #site-count { (count(sites as u64)) } }
                div { dt { "devices" } dd #device-count { (count(devices as u64)) } }
                @if let Some((text, most)) = busiest(overview) {
                    div { dt { "busiest " (overview.span.unit.word()) } dd #busiest { (text) ": " (size(most)) } }
                }
            }
            (certainty(overview))
        }
    }
}

fn busiest(overview: &Overview) -> Option<(String, u64)> {
    let totals = calendar::totals(overview);
    let (nth, most) = totals.iter().enumerate().max_by_key(|(nth, n)| (**n, std::cmp::Reverse(*nth)))?;
    let time = overview.span.times.get(nth)?;
    (*most > 0).then(|| (words::time(&time.text), *most))
}

/// Bytes by how much their names are to be trusted.
fn trusted(evidence: &[u64]) -> [u64; Trust::ALL.len()] {
    let mut sums = [0_u64; Trust::ALL.len()];
    for (bytes, kind) in evidence.iter().zip(Evidence::ALL) {
        if let Some(sum) = sums.get_mut(Trust::of(kind).index()) {
            *sum = sum.saturating_add(*bytes);
        }
    }
    sums
}

fn certainty(overview: &Overview) -> Markup {
    let mut evidence = [0_u64; Evidence::ALL.len()];
    for site in overview.sites.subjects.iter().chain([&overview.sites.rest]) {
        evidence.iter_mut().zip(site.evidence).for_each(|(sum, bytes)| *sum = sum.saturating_add(bytes));
    }
    let trusted = trusted(&evidence);
    let whole: u64 = trusted.iter().fold(0, |sum, n| sum.saturating_add(*n));
    let mut from = 0_u64;
    let shares: Vec<(usize, f64, f64, u64)> = trusted
        .iter()
        .enumerate()
        .map(|(nth, bytes)| {
            let part = |n: u64| if whole == 0 { 0.0 } else { n as f64 * 100.0 / whole as f64 };
            let share = (nth, part(from), part(*bytes), *bytes);
            from = from.saturating_add(*bytes);
            share
        })
        .collect();
    html! {
        div.certainty {
            h2 { "How sure are we?" }
            svg.sure #sure role="img" aria-label="Bytes by how their names are known" {
                @for (nth, x, width, bytes) in &shares {
                    @if *bytes > 0 {
                        rect class={ "t" (nth) } x=(format!("{x:.2}%")) width=(format!("{width:.2}%")) height="100%" {}
                    }
                }
            }
            ul.legend #sure-legend {
                @for (nth, _, _, bytes) in &shares {
                    @if *bytes > 0 {
                        li { i class={ "t" (nth) } {} (Trust::ALL.get(*nth).map_or("", |trust| trust.word())) " "
                            b { (percent(*bytes, whole)) } }
                    }
                }
            }
        }
    }
}

/// What only works with the script, which shows it.
pub(super) fn controls() -> Markup {
    html! {
        section #controls.card aria-label="Choose a time" hidden {
            div.head {
                h2 { "Time" }
                output #range-text for="from to" {}
                button #range-all type="button" { "all" }
            }
            div.slider {
                div.track { div #chosen {} }
                input #from type="range" min="0" step="1" aria-label="First";
                input #to type="range" min="0" step="1" aria-label="Last";
            }
            p.compare {
                label for="compare" { "compare with " }
                select #compare {
                    option value="" { "nothing" }
                    option value="before" { "the same length before" }
                    option value="week" { "a week earlier" }
                }
                span #compare-text.quiet role="status" {}
            }
        }
    }
}

pub(super) fn evidence(overview: &Overview) -> Markup {
    let mut seen = [false; Evidence::ALL.len()];
    for site in overview.sites.subjects.iter().chain([&overview.sites.rest]) {
        seen.iter_mut().zip(site.evidence).for_each(|(seen, bytes)| *seen |= bytes > 0);
    }
    let kinds = Evidence::ALL.into_iter().zip(seen).filter(|(_, seen)| *seen).map(|(kind, _)| kind);
    html! {
        section #evidence.card aria-labelledby="evidence-h" {
            div.head {
                h2 #evidence-h { "What the evidence means" }
                p.quiet { "Solid is certain. Hatched could be somebody else’s: from what only this one explains to \
                    what it could explain." }
            }
            dl.kinds {
                @for kind in kinds {
                    div {
                        dt { i class={ "t" (Trust::of(kind).index()) } {} (words::kind(kind)) }
                        dd id={ "why-" (kind.word()) } {
                            (words::meaning(kind))
                            @if let Some(sure) = words::measured(kind) { " " span.quiet { "(" (sure) ")" } }
                        }
                    }
                }
            }
        }
    }
}

/// Where every byte went, and when nothing was recorded.
pub(super) fn ledger(footer: &Footer) -> Markup {
    html! {
        section #ledger.card aria-labelledby="ledger-h" {
            div.head {
                h2 #ledger-h { "Ledger" }
                p.quiet { "Where every byte and packet of this time went. Filters do not narrow it." }
            }
            div.scroll tabindex="0" role="region" aria-label="Ledger" {
                table {
                    thead { tr {
                        th scope="col" { "part" } th.n scope="col" { "bytes" } th.n scope="col" { "share" }
                        th.n scope="col" { "packets" }
                    } }
                    tbody { @for total in footer.totals.iter().filter(|total| total.is_shown()) { (line(total, footer)) } }
                }
            }
            @for note in &footer.notes { p.quiet { (note) } }
            @if !footer.lines.is_empty() {
                h3 { "Gaps and hints" }
                ul { @for line in &footer.lines { li { (line) } } }
            }
        }
    }
}

fn line(total: &Total, footer: &Footer) -> Markup {
    let part = total.label.starts_with('-') || total.label.starts_with("of which");
    let share = match total.bytes {
        Amount::Is(n) if total.share => u64::try_from(n).map(|n| percent(n, footer.whole)).unwrap_or_default(),
        _ => String::new(),
    };
    html! {
        tr {
            th class=[part.then_some("part")] scope="row" { (total.label.trim_start_matches("- ")) }
            td.n { (amount(total.bytes)) }
            td.n { (share) }
            td.n { (amount(total.packets)) }
        }
    }
}

fn amount(of: Amount) -> Markup {
    html! {
        @match of {
            Amount::None => "",
            Amount::Unknown => "unknown",
            Amount::Is(n) => @match u64::try_from(n) {
                Ok(n) => (count(n)),
                Err(_) => (n),
            },
        }
    }
}

pub(super) fn made_by(head: &Head) -> Markup {
    let field = |name: &str| {
        let value = head.fields.iter().find(|(of, _)| *of == name).map(|(_, value)| value);
        value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).unwrap_or_default()
    };
    let unit = match shown_in() {
        Units::Binary => "1 KiB = 1024 bytes",
        Units::Decimal => "1 kB = 1000 bytes",
    };
    html! {
        footer {
            p.quiet {
                "Made by imon " (field("imon")) ", rules " (field("rules")) ", suffix list of " (field("suffix_list"))
                ", families " (field("families")) ". " (unit) "; bytes are those of IP packets."
            }
        }
    }
}
