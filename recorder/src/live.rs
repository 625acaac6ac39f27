//! Recording interfaces: check, open, give up rights, and only then look at packets.

use crate::addresses::AddressWatch;
use crate::before::Left;
use crate::cage::{self, Inherited, Inside, Kept, Use, standard};
use crate::capture::{Live, LiveOptions, RING_BYTES, Source as _};
use crate::cautions::{Surroundings, cautions};
use crate::cli::{LiveSettings, Settings};
use crate::clock::Now;
use crate::counters;
use crate::error::Error;
use crate::identity::from_hex;
use crate::interface::{self, Interface};
use crate::log::{Level, know_journal, log};
use crate::netlink::{Netlink, Which};
use crate::pipeline::{Pipeline, Plan};
use crate::ports::{Port, Ports, Task};
use crate::privilege;
use crate::recording::Recording;
use crate::reporter::{Opened, Reporter, boot_id};
use crate::selection::Selection;
use crate::self_test;
use crate::signals::Signals;
use crate::spool::Spool;
use imon_common::packet::LinkType;
use imon_common::shown::shown;
use nix::sys::stat::{Mode, umask};
use std::os::fd::AsFd;

/// Records that wait in memory while the disk is full. At a byte a packet it is what a busy gigabit link gives in half
/// a minute, an ordinary one in hours; with the meter's tables it stays within the memory that the recorder may take.
const WAITING_BYTES: usize = 8 << 20;

/// What is captured where only names are wanted: DNS over UDP and TCP (RFC 1035).
const NAMES_FILTER: &str = "port 53";

/// Ring for names: thousands of messages in the time that one takes to be handed over.
const NAMES_RING_BYTES: i32 = 4 << 20;

/// Records interfaces until a signal ends it, and prints the totals.
///
/// # Errors
/// Whatever kept it from starting or ended it.
pub fn record(settings: Settings, live: LiveSettings) -> Result<(), Error> {
    // First of all: what is open now is not ours.
    let inherited = Inherited::note();
    know_journal();
    umask(Mode::from_bits_truncate(0o077));
    let account = privilege::choose_here(settings.user.as_deref())?;
    // Stays open: what happens to the interface and its addresses is heard through it.
    let netlink = Netlink::open()?;
    let wanted = Selection::new(live.interfaces.clone(), live.names_from.clone(), netlink.interfaces(), || {
        interface::default_route()
    })?;
    for caution in cautions(&wanted, netlink.interfaces(), &Surroundings::here()) {
        log(Level::Notice, format_args!("note: {caution}"));
    }
    let boot = boot_id().and_then(|text| from_hex(&text)).unwrap_or_default();
    let signals = Signals::install()?;
    let (mut ports, link_type) = open_ports(&wanted, &settings, &live, netlink.interfaces())?;
    let spool = Spool::open(&settings.spool, account.as_ref())?;
    let opened = Opened::open(live.metrics.as_deref(), &spool)?;
    let left = Left::open(&spool);
    let captures: Vec<_> = ports.fds().collect();
    inherited.close();
    let mut kept = standard(false, live.self_test)?;
    kept.push(Kept::new(netlink.as_fd(), Use::Both, "news of interfaces"));
    kept.extend(signals.kept());
    kept.extend(ports.kept());
    kept.extend(spool.kept());
    kept.extend(opened.kept());
    kept.extend(left.kept());
    let beside = opened.metrics_dir().map(AsFd::as_fd);
    let inside = Inside { spool: &spool, beside, captures: &captures, kept: &kept };
    let report = cage::enter(account.as_ref(), &inside)?;
    if live.self_test {
        return self_test::run(&report, &mut ports, netlink, &spool);
    }
    report.accept(live.allow_uncaged)?;

    let adopted = spool.adopt_leftovers()?;
    if !adopted.is_empty() {
        log(Level::Notice, format_args!("kept from a recorder that did not end properly: {}", adopted.join(" ")));
    }
    spool.note_foreign()?;
    let name = wanted.traffic.join(",");
    let watch = AddressWatch::new(netlink, &wanted.traffic, settings.local);
    let plan = Plan {
        interface: name.clone(),
        link_type,
        local: watch.local(),
        interval_ns: settings.interval_ns,
        boot,
        rotation: settings.rotation,
        retention: Some(live.retention),
        waiting_bytes: WAITING_BYTES,
    };
    let mut pipeline = Pipeline::new(spool, plan)?;
    pipeline.tell_before(left.read(boot, Now::read()?));
    let mut recording = Recording::begin(ports, pipeline, watch, settings.interval_ns)?;
    let reporter = Reporter::begin(opened, &name, Now::read()?, recording.pipeline())?;
    let into = shown(&settings.spool.to_string_lossy());
    let user = account.map_or_else(String::new, |a| format!(" as {}", a.name));
    let names = if wanted.names_only.is_empty() {
        String::new()
    } else {
        format!(", names from {}", wanted.names_only.join(","))
    };
    log(Level::Info, format_args!("recording {name}{names} into {into}{user}; end with Ctrl-C"));
    recording.run(&signals, reporter)
}

/// Opens a capture for each interface; gives them and the link type of the first.
fn open_ports(
    wanted: &Selection,
    settings: &Settings,
    live: &LiveSettings,
    list: &[Interface],
) -> Result<(Ports<Live>, LinkType), Error> {
    // Where packets of several interfaces are put in order, they stay in the ring for twice the time.
    let times = if wanted.traffic.len() + wanted.names_only.len() > 1 { 2 } else { 1 };
    let tasks = wanted.traffic.iter().map(|name| (Task::Traffic, name));
    let tasks = tasks.chain(wanted.names_only.iter().map(|name| (Task::NamesOnly, name)));
    let mut ports = Vec::new();
    let mut link_type = None;
    for (task, name) in tasks {
        let interface = list.iter().find(|i| i.name == *name);
        let is_traffic = task == Task::Traffic;
        let which = interface.map_or(Which::All, |i| Which::Index(i.index));
        let counters = counters::Interface::open(which, !settings.filter.is_empty());
        let source = Live::open(&LiveOptions {
            interface: name.clone(),
            filter: if is_traffic { settings.filter.clone() } else { NAMES_FILTER.into() },
            snaplen: live.snaplen,
            promiscuous: live.promiscuous && is_traffic,
            loopback: interface.is_some_and(|i| i.loopback),
            ring_bytes: if is_traffic { times * RING_BYTES } else { NAMES_RING_BYTES },
        })?;
        link_type.get_or_insert(source.link_type());
        ports.push(Port::new(task, name, source, counters, interface, Now::read()?));
    }
    // A selection holds at least one.
    Ok((Ports::new(ports), link_type.unwrap_or(LinkType(0))))
}
