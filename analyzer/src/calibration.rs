//! How often each kind of evidence was right: figures that `make score ARGS=--write` measured over
//! captures with names inside flows. They are shipped as data, so that what a person is told is
//! what was measured, and not what was hoped for. docs/SCORE.md has the same figures by set, and
//! says how they come about.

use crate::books::Evidence;

/// Tabs between: set, evidence, captures, flows, right flows, bytes, right bytes. Lines that begin
/// with `#` are none.
const DATA: &str = include_str!("../data/calibration.tsv");

/// Fewer flows than this are told as a count: a share of them would say more than is known.
const FEW_FLOWS: u64 = 30;

/// Where it was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// Captures of public projects.
    Public,
    /// Made-up homes in which DNS alone is hard to trust (scripts/dns_worlds.py).
    Worlds,
}

/// What was measured of a kind of evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// Captures with such flows.
    pub captures: u64,
    /// Flows that it named, and whose own name is known.
    pub flows: u64,
    /// Those of them that were booked on the site of their own name.
    pub right_flows: u64,
    /// IP bytes of the flows.
    pub bytes: u64,
    /// IP bytes of the right ones.
    pub right_bytes: u64,
}

impl Measured {
    /// Share of flows and of bytes in words, or the counts where they are few.
    fn words(&self) -> String {
        if self.flows < FEW_FLOWS {
            return format!("{} of {} flows", self.right_flows, self.flows);
        }
        let flows = percent(self.right_flows, self.flows);
        format!("{flows} of {} flows, {} of bytes", self.flows, percent(self.right_bytes, self.bytes))
    }
}

/// What was measured of this kind; `None` where a set had no such flow.
pub fn measured(set: Set, evidence: Evidence) -> Option<Measured> {
    DATA.lines().find_map(|line| parse(line, set, evidence.word()))
}

/// How often flows named by this evidence were right, as a sentence's end; `None` where that needs
/// no measuring, as the flow says its name itself or has none.
pub fn how_sure(evidence: Evidence) -> Option<String> {
    let is_dns = !matches!(
        evidence,
        Evidence::Sni | Evidence::Quic | Evidence::Http | Evidence::Ptr | Evidence::EchOuter | Evidence::None
    );
    let claims_site = evidence != Evidence::Infra;
    let right = if claims_site { "right" } else { "no site is claimed; it was the site itself" };
    is_dns.then(|| match (measured(Set::Public, evidence), measured(Set::Worlds, evidence)) {
        (None, None) => "not measured: no capture with names inside flows had such a flow".to_owned(),
        (Some(public), None) => format!("{right} in {} of public captures", public.words()),
        (None, Some(worlds)) => format!("{right} in {} of made-up homes that are hard", worlds.words()),
        (Some(public), Some(worlds)) => {
            format!(
                "{right} in {} of public captures; in {} of made-up homes that are hard",
                public.words(),
                worlds.words()
            )
        }
    })
}

fn parse(line: &str, set: Set, word: &str) -> Option<Measured> {
    let mut fields = line.split('\t');
    let name = match set {
        Set::Public => "public",
        Set::Worlds => "worlds",
    };
    if fields.next()? != name || fields.next()? != word {
        return None;
    }
    let mut number = || fields.next()?.parse().ok();
    Some(Measured {
        captures: number()?,
        flows: number()?,
        right_flows: number()?,
        bytes: number()?,
        right_bytes: number()?,
    })
}

/// Whole per cent, rounded down: nobody is told 100 % where one flow was wrong.
fn percent(part: u64, whole: u64) -> String {
    let share = u128::from(part) * 100 / u128::from(whole.max(1));
    format!("{share} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_data_is_read_and_adds_up() {
        let mut lines = 0;
        for line in DATA.lines().filter(|line| !line.starts_with('#')) {
            let word = line.split('\t').nth(1).unwrap();
            let evidence = Evidence::ALL.into_iter().find(|kind| kind.word() == word).unwrap();
            let set = if line.starts_with("public\t") { Set::Public } else { Set::Worlds };
            let measured = measured(set, evidence).unwrap();
            assert!(measured.captures > 0 && measured.captures <= measured.flows, "{line}");
            assert!(measured.right_flows <= measured.flows && measured.right_bytes <= measured.bytes, "{line}");
            lines += 1;
        }
        assert!(lines > 5, "{lines}");
    }

    #[test]
    fn few_flows_are_told_as_counts_and_no_share_is_rounded_up() {
        let few = Measured { captures: 1, flows: 7, right_flows: 7, bytes: 700, right_bytes: 700 };
        assert_eq!(few.words(), "7 of 7 flows");
        let many = Measured { captures: 9, flows: 1_000, right_flows: 999, bytes: 10_000, right_bytes: 5_550 };
        assert_eq!(many.words(), "99 % of 1000 flows, 55 % of bytes");
        assert_eq!(how_sure(Evidence::Sni), None);
        assert!(how_sure(Evidence::Dns).unwrap().starts_with("right in 9"));
        assert!(how_sure(Evidence::Infra).unwrap().starts_with("no site is claimed"));
    }

    #[test]
    fn a_line_of_another_set_or_kind_or_with_too_few_fields_is_none() {
        let line = "public\tdns\t3\t10\t9\t1000\t900";
        assert_eq!(parse(line, Set::Public, "dns").unwrap().right_flows, 9);
        assert_eq!(parse(line, Set::Worlds, "dns"), None);
        assert_eq!(parse(line, Set::Public, "dns-late"), None);
        assert_eq!(parse("public\tdns\t3\t10\t9", Set::Public, "dns"), None);
        assert_eq!(parse("public\tdns\t3\t10\tnine\t1000\t900", Set::Public, "dns"), None);
    }
}
