//! Recording an interface: check, open, give up rights, and only then look at packets.

use crate::addresses::AddressWatch;
use crate::cage::{self, Inside};
use crate::capture::{Live, LiveOptions, Source};
use crate::cli::{LiveSettings, Settings};
use crate::clock::Now;
use crate::counters;
use crate::error::Error;
use crate::interface;
use crate::log::{Level, log};
use crate::netlink::Netlink;
use crate::pipeline::{Pipeline, Plan};
use crate::privilege;
use crate::recording::Recording;
use crate::reporter::{Opened, Reporter};
use crate::self_test;
use crate::signals::Signals;
use crate::spool::Spool;
use imon_common::shown::shown;
use nix::sys::stat::{Mode, umask};
use std::os::fd::AsFd;

/// Records that wait in memory while the disk is full. At a byte a packet it is what a busy gigabit link gives in half
/// a minute, an ordinary one in hours; with the meter's tables it stays within the memory that the recorder may take.
const WAITING_BYTES: usize = 8 << 20;

/// Records an interface until a signal ends it, and prints the totals.
///
/// # Errors
/// Whatever kept it from starting or ended it.
pub fn record(settings: Settings, live: LiveSettings) -> Result<(), Error> {
    umask(Mode::from_bits_truncate(0o077));
    let account = privilege::choose_here(settings.user.as_deref())?;
    // Stays open: what happens to the interface and its addresses is heard through it.
    let netlink = Netlink::open()?;
    let interfaces = netlink.interfaces();
    let existing = || interface::names(interfaces);
    let name = match live.interface {
        Some(name) => name,
        None => interface::default_route().ok_or_else(|| Error::NoDefaultRoute { existing: existing() })?,
    };
    if !existing().contains(&name) {
        return Err(Error::NoSuchInterface { existing: existing(), name });
    }
    let signals = Signals::install()?;
    let counters = counters::Interface::open(&name);
    let source = Live::open(&LiveOptions {
        filter: settings.filter,
        snaplen: live.snaplen,
        promiscuous: live.promiscuous,
        loopback: interfaces.iter().any(|i| i.name == name && i.loopback),
        interface: name.clone(),
    })?;
    let spool = Spool::open(&settings.spool, account.as_ref())?;
    let opened = Opened::open(live.metrics.as_deref(), &spool)?;
    let inside = Inside { spool: &spool, beside: opened.metrics_dir().map(AsFd::as_fd), captures: &[source.fd()] };
    let report = cage::enter(account.as_ref(), &inside)?;
    if live.self_test {
        return self_test::run(&report, source, counters, netlink, &spool);
    }
    report.accept(live.allow_uncaged)?;

    let adopted = spool.adopt_leftovers()?;
    if !adopted.is_empty() {
        log(Level::Notice, format_args!("kept from a recorder that did not end properly: {}", adopted.join(" ")));
    }
    let watch = AddressWatch::new(netlink, &name, settings.local);
    let plan = Plan {
        interface: name.clone(),
        link_type: source.link_type(),
        local: watch.local(),
        interval_ns: settings.interval_ns,
        rotation: settings.rotation,
        retention: Some(live.retention),
        waiting_bytes: WAITING_BYTES,
    };
    let pipeline = Pipeline::new(spool, plan)?;
    let mut recording = Recording::begin(source, pipeline, counters, watch, settings.interval_ns)?;
    let reporter = Reporter::begin(opened, &name, Now::read()?, recording.pipeline())?;
    let into = shown(&settings.spool.to_string_lossy());
    let user = account.map_or_else(String::new, |a| format!(" as {}", a.name));
    log(Level::Info, format_args!("recording {name} into {into}{user}; end with Ctrl-C"));
    recording.run(&signals, reporter)
}
