//! The rules of attribution: from a flow and what is remembered of answers to where its bytes are booked.
//!
//! A rule sees values only: no clock, no store, no state of the process.

use super::answers::{AnswerBook, Choice};
use crate::books::{Evidence, Host};
use crate::site::{SiteKind, registrable};
use imon_common::flow::{Flow, Scope};
use imon_common::names::{Name, NameKind};

/// Where a flow's bytes were booked, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The host, or the address itself.
    pub host: Host,
    /// The reason.
    pub evidence: Evidence,
    /// Hosts of other sites that could explain the bytes as well, the booked one included; empty where none could.
    pub candidates: Vec<Name>,
    /// Local traffic: both ends local, and the flow names no public site.
    pub local: bool,
}

/// The rules in their order; the first that holds wins (docs/ARCHITECTURE.md, attribution).
///
/// A flow under an ECH provider's public name is booked to what this device itself was answered, or to that public name:
/// thousands of sites share such an address, and what other devices asked for says nothing about this flow. (On
/// synthetic traffic with 4 % ECH, all bytes that other devices' answers named there were named wrongly.)
pub(super) fn judge(flow: &Flow, asked: Option<&Choice>, answers: &AnswerBook) -> Verdict {
    let named = |name: &Name, evidence, candidates: Vec<Name>| Verdict {
        host: Host::Name(name.clone()),
        evidence,
        candidates,
        local: flow.scope == Scope::Local,
    };
    if let Some(verdict) = judge_inside(flow) {
        return verdict;
    }
    let hidden = matches!(flow.name, Some((NameKind::EchOuter, _)));
    let otherwise = || answers.otherwise(flow).filter(|choice| !hidden || choice.evidence == Evidence::DnsLate);
    if let Some(Choice { host, evidence, candidates }) = asked.cloned().or_else(otherwise) {
        return named(&host, evidence, candidates);
    }
    match &flow.name {
        Some((NameKind::EchOuter, name)) => named(name, Evidence::EchOuter, Vec::new()),
        Some((kind, name)) if !is_address(name) => named(name, evidence_of(*kind), Vec::new()),
        _ => Verdict {
            host: Host::Address(flow.server),
            evidence: Evidence::None,
            candidates: Vec::new(),
            local: flow.scope == Scope::Local,
        },
    }
}

/// The verdict that a name inside the flow gives by itself.
pub(super) fn judge_inside(flow: &Flow) -> Option<Verdict> {
    let (name, evidence) = inside(flow)?;
    let local = flow.scope == Scope::Local && !is_public(name);
    Some(Verdict { host: Host::Name(name.clone()), evidence, candidates: Vec::new(), local })
}

/// A name inside the flow that says more than its address does: an SNI without a dot or that is an address is used only
/// where nothing else is known.
pub(super) fn inside(flow: &Flow) -> Option<(&Name, Evidence)> {
    let (kind, name) = flow.name.as_ref()?;
    let usable = *kind != NameKind::EchOuter && name.as_str().contains('.') && !is_address(name);
    usable.then(|| (name, evidence_of(*kind)))
}

fn evidence_of(kind: NameKind) -> Evidence {
    match kind {
        NameKind::Sni => Evidence::Sni,
        NameKind::Quic => Evidence::Quic,
        NameKind::Http => Evidence::Http,
        NameKind::EchOuter => Evidence::EchOuter,
        NameKind::Dns | NameKind::DnsUnpaired | NameKind::Mdns | NameKind::Llmnr | NameKind::Dhcp => Evidence::Dns,
    }
}

/// Whether a name belongs to a registrable domain.
pub(super) fn is_public(name: &Name) -> bool {
    registrable(name.as_str()).kind == SiteKind::Site
}

/// Whether a name is an address in text.
fn is_address(name: &Name) -> bool {
    registrable(name.as_str()).kind == SiteKind::Address
}
