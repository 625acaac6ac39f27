//! What observations teach.

use super::kept::{keep_latest, note_start};
use super::{
    AnswerBook, Asker, KEPT_OF_MOMENT, Learned, Lesson, Reply, STEP_NS, ServicePort, TENTH_NS, askers,
    is_public_address, push,
};
use crate::attribution::rules::{is_address, is_public};
use crate::attribution::translated::is_probe;
use crate::site::registrable;
use imon_common::flow::{Flow, Scope};
use imon_common::names::{Name, NameKind, NameSeen, RecordKind};
use std::net::IpAddr;

impl AnswerBook {
    /// Takes what an observation teaches; `note` hears each piece that is to be remembered.
    pub fn learn(&mut self, flow: &Flow, seen: &NameSeen, mut note: impl FnMut(&Lesson)) {
        self.meet(flow);
        match seen.kind {
            // What a device calls itself says nothing about traffic to its address.
            NameKind::Dhcp => {}
            kind if kind.is_in_flow() => self.learn_inside(flow, seen, &mut note),
            kind => {
                let of_host = of_host(seen);
                let seen = of_host.as_ref().unwrap_or(seen);
                match kind {
                    _ if seen.asker_is_server && flow.scope == Scope::Remote => self.learn_told(seen, &mut note),
                    NameKind::DnsQuery => self.learn_query(flow, seen),
                    _ => self.learn_answer(flow, seen, &mut note),
                }
            }
        }
    }

    /// A name inside a flow: when its client began it, and, of a client of ours, what the service
    /// is called.
    fn learn_inside(&mut self, flow: &Flow, seen: &NameSeen, note: &mut impl FnMut(&Lesson)) {
        if !self.policy.in_flow || seen.kind == NameKind::EchOuter || !is_public(&seen.name) || !seen.name.is_host() {
            return;
        }
        // What a visitor asks us for is no connection of ours, and anybody can ask for any name.
        if seen.asker_is_server && flow.scope == Scope::Remote {
            return;
        }
        for asker in askers(flow) {
            self.opened.change((asker, seen.name.clone()), |starts| note_start(starts, flow.start));
        }
        // Neither end ours: whoever is the client may have made the name up, for everybody.
        if flow.scope == Scope::Transit {
            return;
        }
        // Behind a relay any name may be asked for: it is none of the relay's address.
        if let Some(address) = flow.named_address().filter(|address| is_public_address(*address)) {
            let (asker, host) = (Asker::Flow(ServicePort::named(flow)), seen.name.clone());
            let learned = Learned { asker, address, host, ts: seen.ts };
            note(&Lesson::Address(learned.clone()));
            self.insert(learned);
        }
    }

    fn learn_query(&mut self, flow: &Flow, seen: &NameSeen) {
        if !is_public(&seen.name) || !seen.name.is_host() {
            return;
        }
        for asker in told(flow, seen) {
            let moment = (asker, seen.ts.0.div_euclid(TENTH_NS));
            self.asked.change(moment, |asked| {
                if asked.len() < KEPT_OF_MOMENT {
                    push(asked, (seen.ts, seen.name.clone()));
                }
            });
        }
    }

    fn learn_answer(&mut self, flow: &Flow, seen: &NameSeen, note: &mut impl FnMut(&Lesson)) {
        // It does not fit the query: who asked took nothing of it.
        if seen.relayed {
            return;
        }
        let is_unicast = matches!(seen.kind, NameKind::Dns | NameKind::DnsEmpty);
        if is_unicast {
            self.learn_reply(flow, seen);
            self.note_step(flow, seen);
            for led in told(flow, seen).flat_map(|asker| self.heads.taught(asker, seen)).collect::<Vec<_>>() {
                note(&Lesson::Head(led.clone()));
                self.heads.insert(led);
            }
        }
        if seen.kind == NameKind::DnsEmpty || !names_a_host(seen) {
            return;
        }
        // A private address for a public name teaches nothing about others, but what our own side's
        // DNS says of our own addresses shows which names are ours.
        if seen.kind == NameKind::Dns && !seen.asker_is_server && is_public(&seen.name) {
            self.learn_own(seen, |address| !is_public_address(address), note);
        }
        let is_probe = is_unicast && is_probe(&seen.name);
        for asker in told(flow, seen) {
            let host = self.stepped_from(asker, seen).unwrap_or(&seen.name).clone();
            for answer in seen.addresses.iter().filter(|a| is_probe || teaches(&seen.name, a.address)) {
                let learned = Learned { asker, address: answer.address, host: host.clone(), ts: seen.ts };
                note(&Lesson::Address(learned.clone()));
                self.insert(learned);
            }
        }
    }

    /// What a name server of ours told a visitor: it shows which names are ours. What strangers ask
    /// us for says nothing about traffic of our side.
    fn learn_told(&mut self, seen: &NameSeen, note: &mut impl FnMut(&Lesson)) {
        if seen.kind == NameKind::Dns && !seen.relayed && names_a_host(seen) {
            self.learn_own(seen, |_| true, note);
        }
    }

    /// Which of our own services have the name: those with these of its addresses.
    fn learn_own(&mut self, seen: &NameSeen, is_ours: impl Fn(IpAddr) -> bool, note: &mut impl FnMut(&Lesson)) {
        for answer in seen.addresses.iter().filter(|a| is_of_a_host(a.address) && is_ours(a.address)) {
            let (asker, host) = (Asker::Split, seen.name.clone());
            let learned = Learned { asker, address: answer.address, host, ts: seen.ts };
            note(&Lesson::Address(learned.clone()));
            self.insert(learned);
        }
    }

    /// Notes that who asked has to ask for another name now: a reply led to one, and to no address
    /// of it. A server that does not follow chains answers so, and so do HTTPS records (RFC 9460
    /// sections 2.4.2 and 3), whose hints are no addresses to rely on. Only where that changes the
    /// site: a name of the same site is as likely asked for by itself.
    fn note_step(&mut self, flow: &Flow, seen: &NameSeen) {
        let Some(target) = seen.chain.last().filter(|_| !is_final(seen)) else { return };
        if seen.addresses.iter().any(|answer| answer.record != RecordKind::Hint && seen.kind != NameKind::DnsEmpty) {
            return;
        }
        for asker in told(flow, seen) {
            let head = self.stepped_from(asker, seen).unwrap_or(&seen.name).clone();
            if registrable(head.as_str()).name == registrable(target.as_str()).name {
                continue;
            }
            self.steps.change((asker, target.clone()), |steps| {
                steps.clear();
                push(steps, (seen.ts, head));
            });
        }
    }

    /// The name from which a step led to the one that is answered now.
    fn stepped_from(&self, asker: Asker, seen: &NameSeen) -> Option<&Name> {
        let steps = self.steps.get(&(asker, seen.name.clone()));
        let (_, head) = steps.iter().find(|(ts, _)| (0..=STEP_NS).contains(&seen.ts.since(*ts)))?;
        Some(head)
    }

    /// Notes which families of addresses an answer tells of; one without addresses names the
    /// families that were asked for by their unspecified addresses.
    fn learn_reply(&mut self, flow: &Flow, seen: &NameSeen) {
        let records = seen.addresses.iter().filter(|answer| answer.record != RecordKind::Hint);
        let mut reply = Reply { ts: seen.ts, v4: false, v6: false };
        for record in records {
            (reply.v4, reply.v6) = (reply.v4 || record.address.is_ipv4(), reply.v6 || record.address.is_ipv6());
        }
        let is_step = seen.kind == NameKind::DnsEmpty && !seen.chain.is_empty() && !is_final(seen);
        if is_step || !(reply.v4 || reply.v6) || !is_public(&seen.name) {
            return;
        }
        for asker in told(flow, seen) {
            self.replies.change((asker, seen.name.clone()), |replies| {
                keep_latest(replies, reply, |reply| (reply.ts, reply.v4, reply.v6));
            });
        }
    }
}

/// Whether a chain without an address ends there: the reply says so, or that the name does not
/// exist (both families). Else it is a step for whoever follows it itself.
fn is_final(seen: &NameSeen) -> bool {
    let has = |v4: bool| seen.addresses.iter().any(|answer| answer.address.is_ipv4() == v4);
    seen.kind == NameKind::DnsEmpty && (has(true) && has(false) || seen.addresses.iter().any(|a| a.ttl_s > 0))
}

/// Whether an answer is about a host. The root is none. Labels hold any byte (RFC 2181 section 11):
/// what a resolver answered for `a/b.test` is where that device went. `192.0.2.1` is an address
/// that was typed. By multicast anybody on the link answers, unasked, and for names of the link
/// only (RFC 6762 section 3, RFC 4795 section 2): what it says of a name on the Internet is made
/// up.
fn names_a_host(seen: &NameSeen) -> bool {
    let is_of_link = matches!(seen.kind, NameKind::Mdns | NameKind::Llmnr);
    let is_made_up = is_of_link && is_public(&seen.name);
    !is_made_up && !is_address(&seen.name) && seen.name.as_str() != "."
}

/// The name for discovery of a resolver's encrypted services (RFC 9462 section 4): nobody's host.
const DISCOVERY: &str = "resolver.arpa";

/// The same about the host whose service was asked for, where a service was: `_8443._https` (RFC
/// 9460 section 9.1) and `_dns` (RFC 9461 section 4) stand before its name. Of a resolver that is
/// discovered the first target is the host.
fn of_host(seen: &NameSeen) -> Option<NameSeen> {
    let rest = seen.name.as_str().strip_prefix('_')?;
    let (first, host) = rest.split_once('.')?;
    let is_port = first.parse::<u16>().is_ok();
    let host = match is_port {
        true => host.strip_prefix('_')?.split_once('.')?.1,
        false if first == "dns" => host,
        false => return None,
    };
    let name = match host {
        DISCOVERY => seen.chain.first()?.clone(),
        host => Name::from_presentation(host)?,
    };
    let chain = seen.chain.iter().filter(|target| **target != name).cloned().collect();
    Some(NameSeen { name, chain, ..seen.clone() })
}

/// Who is remembered as told, or as asking: the address, and its card where there is one.
fn told(flow: &Flow, seen: &NameSeen) -> impl Iterator<Item = Asker> + use<> {
    let (address, mac) = if seen.asker_is_server { (flow.server, None) } else { (flow.client, flow.client_mac) };
    let told = match seen.kind {
        NameKind::DnsUnpaired => [Some(Asker::Unasked(address)), None],
        _ => [Some(Asker::Address(address)), mac.map(Asker::Mac)],
    };
    told.into_iter().flatten()
}

/// Whether a host can have this address.
fn is_of_a_host(address: IpAddr) -> bool {
    !(address.is_loopback() || address.is_unspecified() || address.is_multicast())
}

/// Whether an answer says something about traffic to `address`. Loopback, unspecified and group
/// addresses are what filters answer; a private address for a public name is a rebinding attack or
/// split DNS.
fn teaches(name: &Name, address: IpAddr) -> bool {
    is_of_a_host(address) && (is_public_address(address) || !is_public(name))
}
