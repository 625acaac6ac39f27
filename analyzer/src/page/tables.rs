//! Sites and devices as tables with bars.

use super::parts::size;
use super::words;
use crate::books::Evidence;
use crate::owners::Owner;
use crate::report::overview::{Overview, Ranked, Subject};
use crate::table::units::{bytes, thousands, whole_percent};
use maud::{Markup, html};

/// Most kinds of evidence that a row names.
const MAX_KINDS: usize = 2;

pub(super) fn sites(overview: &Overview) -> Markup {
    let title = if overview.served { "Served" } else { "Sites" };
    let note = cut(&overview.sites, "sites");
    table("sites", title, &note, overview)
}

pub(super) fn devices(overview: &Overview) -> Markup {
    table("devices", "Devices", &cut(&overview.devices, "devices"), overview)
}

fn cut(ranked: &Ranked, what: &str) -> String {
    match ranked.rest_count {
        0 => String::new(),
        more => format!(
            "The largest {} are listed; {} more {what} have {} together.",
            thousands(ranked.subjects.len() as u64),
            thousands(more as u64),
            bytes(ranked.rest.amounts.total())
        ),
    }
}

fn table(id: &str, title: &str, note: &str, overview: &Overview) -> Markup {
    let of_devices = id == "devices";
    let ranked = if of_devices { &overview.devices } else { &overview.sites };
    let most = ranked.subjects.iter().map(|one| one.amounts.high()).max().unwrap_or_default();
    let one = if of_devices { "device" } else { "site" };
    html! {
        section id=(id) class="card" aria-labelledby={ (id) "-h" } {
            div.head {
                h2 id={ (id) "-h" } { (title) }
                p.quiet { (note) }
            }
            div.scroll tabindex="0" role="region" aria-label=(title) {
                table.list id={ (id) "-table" } data-ranked="" {
                    thead { tr {
                        th scope="col" { (one) }
                        th.bar scope="col" { span.hidden { "bar" } }
                        th.n scope="col" { "total" }
                        th.n.wide scope="col" { "down" }
                        th.n.wide scope="col" { "up" }
                        @if !of_devices { th.n.wide scope="col" { "could be" } }
                        th.wide scope="col" { "named by" }
                    } }
                    tbody {
                        @for subject in &ranked.subjects { (row(subject, most, of_devices)) }
                        @if ranked.rest_count > 0 { (rest(ranked, of_devices)) }
                    }
                }
            }
        }
    }
}

fn row(subject: &Subject, most: u64, of_devices: bool) -> Markup {
    let amounts = &subject.amounts;
    html! {
        tr {
            th scope="row" { (name(subject)) }
            td.bar { (bar([amounts.low(), amounts.total(), amounts.high()], most)) }
            td.n { (size(amounts.total())) }
            td.n.wide { (size(amounts.down)) }
            td.n.wide { (size(amounts.up)) }
            @if !of_devices {
                td.n.wide { @if is_ranged(subject) { (bytes(amounts.low())) " – " (bytes(amounts.high())) } }
            }
            td.wide { (named_by(&subject.evidence)) }
        }
    }
}

fn rest(ranked: &Ranked, of_devices: bool) -> Markup {
    let amounts = &ranked.rest.amounts;
    html! {
        tr.rest {
            th scope="row" { (thousands(ranked.rest_count as u64)) " more" }
            td.bar {}
            td.n { (size(amounts.total())) }
            td.n.wide { (size(amounts.down)) }
            td.n.wide { (size(amounts.up)) }
            @if !of_devices { td.wide {} }
            td.wide { (named_by(&ranked.rest.evidence)) }
        }
    }
}

fn name(subject: &Subject) -> Markup {
    html! {
        @match &subject.called {
            Some(called) => { bdi { (called) } " " bdi.quiet { (subject.name) } },
            None => bdi { (subject.name) },
        }
        @if let Some(owner) = subject.owner.as_ref().and_then(Owner::text) { " " bdi.quiet { (owner) } }
        @if subject.marked { span.quiet title="no site: a public suffix, a name of the local network, or no host name" { " *" } }
    }
}

/// Whether what it could be says more than its total, as in reports.
fn is_ranged(subject: &Subject) -> bool {
    let (low, high) = (subject.amounts.low(), subject.amounts.high());
    high.saturating_sub(low) > high / 100
}

/// A bar: solid up to what is certain, hatched up to what it could be, a line at what is booked.
pub(super) fn bar([low, total, high]: [u64; 3], most: u64) -> Markup {
    let percent = |n: u64| if most == 0 { 0.0 } else { n as f64 * 100.0 / most as f64 };
    let (solid, end) = (percent(low), percent(high));
    let hatched = end - solid > 0.5;
    html! {
        svg.bar aria-hidden="true" {
            rect width=(format!("{solid:.2}%")) height="100%" {}
            @if hatched {
                rect.doubt x=(format!("{solid:.2}%")) width=(format!("{:.2}%", end - solid)) height="100%" {}
                rect.line x=(format!("{:.2}%", percent(total))) width="2" height="100%" {}
            }
        }
    }
}

/// The kinds of evidence behind it, the largest first.
fn named_by(evidence: &[u64]) -> String {
    let total: u64 = evidence.iter().fold(0, |sum, n| sum.saturating_add(*n));
    let mut kinds: Vec<(u64, Evidence)> =
        evidence.iter().copied().zip(Evidence::ALL).filter(|(bytes, _)| *bytes > 0).collect();
    kinds.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    if let [(_, only)] = kinds.as_slice() {
        return words::kind(*only).to_owned();
    }
    let text = |(bytes, kind): &(u64, Evidence)| format!("{} {}", words::kind(*kind), whole_percent(*bytes, total));
    let mut texts: Vec<String> = kinds.iter().take(MAX_KINDS).map(text).collect();
    if let more @ 1.. = kinds.len().saturating_sub(MAX_KINDS) {
        texts.push(format!("{more} more"));
    }
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::overview::Amounts;

    #[test]
    fn a_bar_is_solid_up_to_what_is_certain_and_hatched_up_to_what_it_could_be() {
        let text = bar([25, 50, 100], 100).into_string();
        for part in [
            "<rect width=\"25.00%\" height=\"100%\"></rect>",
            "<rect class=\"doubt\" x=\"25.00%\" width=\"75.00%\" height=\"100%\"></rect>",
            "<rect class=\"line\" x=\"50.00%\" width=\"2\" height=\"100%\"></rect>",
        ] {
            assert!(text.contains(part), "{text}");
        }
        let certain = bar([50, 50, 50], 200).into_string();
        assert!(certain.contains("width=\"25.00%\"") && !certain.contains("doubt"), "{certain}");
    }

    #[test]
    fn what_it_could_be_is_said_where_it_is_more_than_a_hundredth() {
        let text = |shared: u64| {
            let amounts = Amounts { up: 1_000, down: 9_000, shared, elsewhere: 0 };
            let subject = Subject { name: "a.example".into(), amounts, ..Subject::default() };
            row(&subject, 10_000, false).into_string()
        };
        assert!(text(5_000).contains("4.88 KiB – 9.77 KiB"), "{}", text(5_000));
        assert!(!text(100).contains('–'), "{}", text(100));
        let amounts = |class: &str| format!("<td class=\"{class}\"><data class=\"b\" value=");
        assert!(text(0).contains(&format!("{}\"10000\"", amounts("n"))), "{}", text(0));
        let [total, down, up] = ["10000", "9000", "1000"].map(|n| text(0).find(&format!("value=\"{n}\"")).unwrap());
        assert!(total < down && down < up, "in the order of the heads");
    }
}
