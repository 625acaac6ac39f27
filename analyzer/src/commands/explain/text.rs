//! An explanation for people.

use super::{Booked, Explanation, Why};
use crate::attribution::{FRESH_NS, HORIZON_NS, KNOWN_NS, LATE_NS, Rule};
use crate::books::{Evidence, Host};
use crate::calibration::how_sure;
use crate::range::zoned;
use crate::site::infrastructure;
use crate::table::units::{bytes, duration, thousands};
use imon_common::names::NameKind;
use imon_common::time::UnixNanos;
use imon_common::wire::Mac;
use std::fmt::Write as _;
use std::net::IpAddr;

/// Lines of each part; the rest is counted, and stands in JSON and CSV.
const MOST_LINES: usize = 40;

/// Hosts that are told in one line.
const MOST_HOSTS: usize = 5;

impl Explanation<'_> {
    /// Names that were seen, then flows with the reason for each.
    pub(super) fn table(&self) -> String {
        let parties = &self.parties;
        let mut text = format!("names seen for {}\n", crate::error::shown(&self.target()));
        if let Some(owner) = self.owner() {
            text.insert_str(0, &format!("the address belongs to {owner}, by the file of --owners\n\n"));
        }
        if self.names.is_empty() {
            text.push_str("  none\n");
        }
        for seen in self.names.iter().rev().take(MOST_LINES).rev() {
            let how = match (seen.kind, seen.ttl_s) {
                (NameKind::DnsQuery, _) => "asked".to_owned(),
                (NameKind::DnsUnpaired, _) => "told without having been seen to ask".to_owned(),
                (kind, Some(ttl_s)) => format!("told by {}, ttl {ttl_s} s", kind.word()),
                (kind, None) => format!("said inside a flow ({})", kind.word()),
            };
            let chain: Vec<String> = seen.chain.iter().map(|name| parties.name(name)).collect();
            let via = if chain.is_empty() { String::new() } else { format!(", by way of {}", chain.join(" -> ")) };
            let time = self.time(seen.ts);
            let address = seen.address.map_or(String::new(), |address| format!(" = {}", parties.address(address)));
            let (name, who) = (parties.name(&seen.name), self.who(seen.client, seen.mac));
            _ = writeln!(text, "  {time}  {name}{address}  {who} {how}{via}");
        }
        let left_out = self.names.len().saturating_sub(MOST_LINES);
        self.more(&mut text, u64::try_from(left_out).unwrap_or(u64::MAX).saturating_add(self.more_names), "earlier");
        text.push_str("\nflows\n");
        if self.flows.is_empty() {
            text.push_str("  none\n");
        }
        let mut largest: Vec<&Booked> = self.flows.iter().collect();
        largest.sort_by_key(|booked| std::cmp::Reverse(booked.bytes));
        largest.truncate(MOST_LINES);
        largest.sort_by_key(|booked| (booked.flow.start, booked.flow.number));
        for booked in &largest {
            let Booked { flow, bytes: moved, verdict } = booked;
            let why = self.why(booked);
            let (time, moved) = (self.time(flow.start), bytes(*moved));
            let who = self.who(flow.client, flow.client_mac);
            let server = parties.server(verdict.traffic, flow.server);
            _ = writeln!(text, "  {time}  {who} -> {server} port {}  {moved}", flow.server_port);
            let (on, because) = (self.booked_on(verdict), self.because(booked, &why));
            _ = writeln!(text, "      booked on {on} ({}): {because}", verdict.evidence);
            if !verdict.candidates.is_empty() {
                let hosts: Vec<String> = verdict.candidates.iter().map(|name| parties.name(name)).collect();
                _ = writeln!(text, "      could as well be, in part or whole: {}", some(&hosts));
            }
            if !why.instead.is_empty() {
                let hosts: Vec<String> = why.instead.iter().map(|name| parties.name(name)).collect();
                _ = writeln!(text, "      not {}: the rule above comes first", some(&hosts));
            }
        }
        let left_out = self.flows.len().saturating_sub(largest.len());
        self.more(&mut text, u64::try_from(left_out).unwrap_or(u64::MAX).saturating_add(self.more_flows), "smaller");
        self.how_sure(&mut text);
        text
    }

    /// A client: its address, and the name that the user gives its device.
    fn who(&self, client: IpAddr, mac: Option<Mac>) -> String {
        let address = self.parties.client(client);
        match self.parties.given(&self.who, client, mac) {
            Some(name) => format!("{address} ({name})"),
            None => address,
        }
    }

    /// Why a flow was booked there.
    fn because(&self, booked: &Booked, why: &Why<'_>) -> String {
        match (booked.verdict.rule, self.parties.masker.hides_hosts()) {
            (Rule::Infrastructure, true) => because_of_infrastructure("a content network"),
            _ => because(booked, why),
        }
    }

    /// How often the kinds of evidence that these flows were named by were right where that can be
    /// known.
    fn how_sure(&self, text: &mut String) {
        let mut kinds: Vec<Evidence> = self.flows.iter().map(|booked| booked.verdict.evidence).collect();
        kinds.sort_unstable_by_key(|kind| kind.index());
        kinds.dedup();
        let measured: Vec<_> = kinds.into_iter().filter_map(|kind| Some((kind, how_sure(kind)?))).collect();
        if !measured.is_empty() {
            text.push_str("\nhow sure that is, by captures with names inside flows (docs/SCORE.md)\n");
        }
        for (kind, words) in measured {
            _ = writeln!(text, "  {kind}: {words}");
        }
    }

    fn more(&self, text: &mut String, count: u64, word: &str) {
        if count > 0 {
            _ = writeln!(text, "  and {} {word} ones; --format json has more of them", thousands(count));
        }
    }

    fn time(&self, ts: UnixNanos) -> String {
        let local = zoned(ts, &self.zone).map(|at| at.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string());
        local.unwrap_or_else(|| "outside the calendar".to_owned())
    }
}

fn because(booked: &Booked, why: &Why<'_>) -> String {
    let distance =
        |s: f64| if s.abs() < 1.0 { format!("{:.1} ms", s.abs() * 1e3) } else { format!("{:.1} s", s.abs()) };
    let asked = why.asked_before_s.map(distance);
    match booked.verdict.rule {
        Rule::Served => "somebody outside opened the flow to our side".to_owned(),
        Rule::Inside => "the flow says so itself".to_owned(),
        Rule::Asked => {
            let asked = asked.map_or_else(|| "before".to_owned(), |asked| format!("{asked} before"));
            format!(
                "the device asked for it {asked} the flow began, latest of all (answers count for {})",
                duration(FRESH_NS)
            )
        }
        Rule::AskedLate => {
            let asked = asked.map_or_else(|| "after".to_owned(), |asked| format!("{asked} after"));
            format!("the device asked for it {asked} the flow began (counts for {})", duration(LATE_NS))
        }
        Rule::Unasked => "an answer came that the device was not seen to ask for, and nothing better".to_owned(),
        Rule::OuterName => "only the public name of an ECH provider is visible".to_owned(),
        Rule::Lookup => "a lookup by DNS, of a resolver that is reached by its address".to_owned(),
        Rule::Agreed => format!(
            "most of those who knew a name for the address, from {} before to {} after, agree on the site",
            duration(FRESH_NS),
            duration(HORIZON_NS)
        ),
        Rule::Remembered => format!("so the address was called before (remembered for {})", duration(KNOWN_NS)),
        Rule::AskedMeanwhile => format!(
            "the device asked for it {} the flow's beginning, and began no other flow for it",
            asked.map_or_else(|| "at".to_owned(), |asked| format!("{asked} from"))
        ),
        Rule::AskedAgain => "the device asked for it at the beginnings of other flows to the same service".to_owned(),
        Rule::Head => "only the name of a content network was asked for; this name was told to lead to it".to_owned(),
        Rule::Infrastructure => {
            let provider = match &booked.verdict.host {
                Host::Name(name) => infrastructure(name.as_str()).unwrap_or("a content network"),
                Host::Address(_) | Host::Service(_) => "a content network",
            };
            because_of_infrastructure(provider)
        }
        Rule::OddName => "the flow carries a name that is none of the Internet, and nothing better is known".to_owned(),
        Rule::Disagreed => "the address is known by names of several sites, and no site prevails".to_owned(),
        Rule::Nothing => "nobody was told a name for the address, and no flow to it carried one".to_owned(),
    }
}

fn because_of_infrastructure(provider: &str) -> String {
    format!("a name of {provider}, and nothing is known to lead to it: whose bytes these are cannot be told")
}

fn some(hosts: &[String]) -> String {
    let more = hosts.len().saturating_sub(MOST_HOSTS);
    let text = hosts.iter().take(MOST_HOSTS).map(String::as_str).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{text} and {more} more") } else { text }
}
