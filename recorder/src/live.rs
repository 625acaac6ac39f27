//! Recording interfaces: check, open, give up rights, and only then look at packets.

use crate::addresses::AddressWatch;
use crate::before::Left;
use crate::cage::{self, Holes, Inherited, Inside, Kept, Needed, Threads, Use, standard};
use crate::capture::{Live, LiveOptions, RING_BYTES, Source as _};
use crate::cautions::{Surroundings, cautions};
use crate::cli::{LiveSettings, Settings};
use crate::clock::Now;
use crate::counters::{self, Captured};
use crate::error::Error;
use crate::identity::from_hex;
use crate::interface::{self, Interface};
use crate::kernel::Kernel;
use crate::log::{Level, know_journal, log};
use crate::netlink::{Netlink, Which};
use crate::notify::Notify;
use crate::pipeline::{Pipeline, Plan};
use crate::ports::{Port, Ports, Task};
use crate::privilege::{self, Account};
use crate::recording::Recording;
use crate::reporter::{Opened, Reporter};
use crate::selection::Selection;
use crate::self_test;
use crate::signals::{Signals, Waker};
use crate::spool::Spool;
use crate::starting::{self, Start, note_failure, note_failure_in};
use crate::status::STATUS_EVERY;
use imon_common::packet::LinkType;
use imon_common::shown::shown;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{Mode, umask};
use std::os::fd::AsFd;
use std::sync::Arc;

/// Records that wait in memory while the disk is full. At a byte a packet it is what a busy gigabit
/// link gives in half a minute, an ordinary one in hours; with the meter's tables it stays within
/// the memory that the recorder may take.
const WAITING_BYTES: usize = 8 << 20;

/// What is captured where only names are wanted: DNS over UDP and TCP (RFC 1035).
const NAMES_FILTER: &str = "port 53";

/// Longest wait for news of interfaces: routes are none of it, and a service manager wants signs of
/// life.
const WAIT_TURN_MS: u16 = 2_000;

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
    let prepared = Prepared::new(&settings, &live, account.as_ref());
    if let (Err(error), false) = (&prepared, live.self_test) {
        note_failure(&settings.spool, account.as_ref(), error);
    }
    let Some(Prepared { netlink, wanted, mut ports, link_type, signals, waker, spool, opened, left }) = prepared?
    else {
        return Ok(()); // ended while it waited
    };
    let boot = Kernel::here().boot_id.as_deref().and_then(from_hex).unwrap_or_default();
    let captures: Vec<_> = ports.fds().collect();
    inherited.close();
    let mut kept = standard(if live.self_test { Needed::Output } else { Needed::Neither })?;
    kept.push(Kept::new(netlink.as_fd(), Use::Both, "news of interfaces"));
    kept.extend(signals.kept());
    kept.extend(ports.kept());
    kept.extend(spool.kept());
    kept.extend(opened.kept());
    kept.extend(left.kept());
    let beside = opened.metrics_dir().map(AsFd::as_fd);
    let inside = Inside { spool: &spool, beside, captures: &captures, kept: &kept };
    // What keeps a start from coming to a recording is said in the spool, wherever it is.
    let folder = Arc::clone(spool.folder());
    let failed = |error: &Error| {
        if !live.self_test {
            note_failure_in(&folder, account.as_ref(), error);
        }
    };
    let cage = cage::enter(account.as_ref(), &inside, Threads::Two).inspect_err(failed)?;
    if live.self_test {
        return self_test::run(&cage, &mut ports, netlink, &spool);
    }
    cage.accept(Holes::from(live.allow_uncaged)).inspect_err(failed)?;

    let name = wanted.traffic.join(",");
    let begin = || {
        let adopted = spool.adopt_leftovers()?;
        if !adopted.is_empty() {
            log(Level::Notice, format_args!("kept from a recorder that did not end properly: {}", adopted.join(" ")));
        }
        spool.note_foreign()?;
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
        if let Some(thread) = cage.disk {
            pipeline.work_beside(thread, waker);
        }
        pipeline.tell_before(left.read(boot, Now::read()?));
        let mut recording = Recording::begin(ports, pipeline, watch, settings.interval_ns)?;
        let reporter = Reporter::begin(opened, &name, Now::read()?, recording.pipeline())?;
        Ok((recording, reporter))
    };
    let (recording, reporter) = begin().inspect_err(failed)?;
    let into = shown(&settings.spool.to_string_lossy());
    let user = account.as_ref().map_or_else(String::new, |a| format!(" as {}", a.name));
    let names = if wanted.names_only.is_empty() {
        String::new()
    } else {
        format!(", names from {}", wanted.names_only.join(","))
    };
    log(Level::Info, format_args!("recording {name}{names} into {into}{user}; end with Ctrl-C"));
    recording.run(&signals, reporter)
}

/// All that is opened before the rights are given up.
struct Prepared {
    netlink: Netlink,
    wanted: Selection,
    ports: Ports<Live>,
    link_type: LinkType,
    signals: Signals,
    waker: Waker,
    spool: Spool,
    opened: Opened,
    left: Left,
}

impl Prepared {
    /// Opens it, and waits for interfaces if that is wanted; `None` if a signal ended the waiting.
    fn new(settings: &Settings, live: &LiveSettings, account: Option<&Account>) -> Result<Option<Self>, Error> {
        // Stays open: what happens to the interface and its addresses is heard through it.
        let mut netlink = Netlink::open()?;
        let (signals, waker) = Signals::install_with_waker()?;
        let mut notify = Notify::from_environment();
        let mut waiting: Option<Waiting> = None;
        let (wanted, ports, link_type) = loop {
            let error = match choose_and_open(settings, live, &netlink) {
                Ok(opened) => break opened,
                Err(error) => error,
            };
            if !live.wait || live.self_test || !error.may_pass() {
                return Err(error);
            }
            if waiting.is_none() {
                log(Level::Notice, format_args!("waits: {}", error.one_line()));
                waiting = Some(Waiting::begin(Spool::open(&settings.spool, account)?, &mut notify)?);
            }
            if let Some(waiting) = &mut waiting
                && !waiting.turn(&error, account, (&signals, &mut netlink), &mut notify)?
            {
                waiting.spool.clear_start()?;
                return Ok(None);
            }
        };
        let spool = match waiting {
            Some(waiting) => waiting.spool,
            None => Spool::open(&settings.spool, account)?,
        };
        for caution in cautions(&wanted, netlink.interfaces(), &Surroundings::here()) {
            log(Level::Notice, format_args!("note: {caution}"));
        }
        let opened = Opened::open(notify, live.metrics.as_deref(), &spool)?;
        let left = Left::open(&spool);
        Ok(Some(Self { netlink, wanted, ports, link_type, signals, waker, spool, opened, left }))
    }
}

/// A start that waits for an interface. It still has its rights, as it must open the capture, and
/// reads nothing but the kernel's news of interfaces.
struct Waiting {
    spool: Spool,
    since: Now,
    /// When that was said in the spool last.
    said: Option<Now>,
}

impl Waiting {
    fn begin(spool: Spool, notify: &mut Notify) -> Result<Self, Error> {
        // A manager would take a longer silence for a failed start, and start anew every few
        // seconds.
        notify.ready();
        umask(spool.umask());
        Ok(Self { spool, since: Now::read()?, said: None })
    }

    /// Waits for news, a while at the most. False: somebody asked for the end.
    fn turn(
        &mut self,
        error: &Error,
        account: Option<&Account>,
        (signals, netlink): (&Signals, &mut Netlink),
        notify: &mut Notify,
    ) -> Result<bool, Error> {
        let now = Now::read()?;
        notify.alive(now.boot_ns);
        if self.said.is_none_or(|said| now.since(said) >= STATUS_EVERY) {
            self.said = Some(now);
            let why = error.doing_and_cause();
            notify.status(&why);
            let text = starting::text(Start::Waiting, &why, self.since, now);
            self.spool.folder().write_start(text.as_bytes(), account)?;
        }
        let mut fds = [signals.as_fd(), netlink.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut fds, PollTimeout::from(WAIT_TURN_MS)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(Error::System { doing: "cannot wait for an interface", source: e.into() }),
        }
        signals.clear();
        netlink.update()?;
        Ok(!signals.stop())
    }
}

/// Chooses the interfaces and opens a capture for each.
fn choose_and_open(
    settings: &Settings,
    live: &LiveSettings,
    netlink: &Netlink,
) -> Result<(Selection, Ports<Live>, LinkType), Error> {
    let wanted = Selection::new(live.interfaces.clone(), live.names_from.clone(), netlink.interfaces(), || {
        interface::default_route()
    })?;
    let (ports, link_type) = open_ports(&wanted, settings, live, netlink.interfaces())?;
    Ok((wanted, ports, link_type))
}

/// Opens a capture for each interface; gives them and the link type of the first.
fn open_ports(
    wanted: &Selection,
    settings: &Settings,
    live: &LiveSettings,
    list: &[Interface],
) -> Result<(Ports<Live>, LinkType), Error> {
    // Where packets of several interfaces are put in order, they stay in the ring for twice the
    // time.
    let times = if wanted.traffic.len() + wanted.names_only.len() > 1 { 2 } else { 1 };
    let tasks = wanted.traffic.iter().map(|name| (Task::Traffic, name));
    let tasks = tasks.chain(wanted.names_only.iter().map(|name| (Task::NamesOnly, name)));
    let captured = if settings.filter.is_empty() { Captured::Whole } else { Captured::Filtered };
    let mut ports = Vec::new();
    let mut link_type = None;
    for (task, name) in tasks {
        let interface = list.iter().find(|i| i.name == *name);
        let is_traffic = task == Task::Traffic;
        let which = interface.map_or(Which::All, |i| Which::Index(i.index));
        let counters = counters::Interface::open(which, captured);
        let source = Live::open(&LiveOptions {
            interface: name.clone(),
            filter: if is_traffic { settings.filter.clone() } else { NAMES_FILTER.into() },
            snaplen: live.snaplen,
            promiscuous: live.promiscuous && is_traffic,
            loopback: interface.is_some_and(|i| i.loopback),
            ring_bytes: if is_traffic { times * RING_BYTES } else { NAMES_RING_BYTES },
        })?;
        link_type.get_or_insert(source.link_type());
        ports.push(Port::new((task, name), (source, counters), interface, Now::read()?));
    }
    // A selection holds at least one.
    Ok((Ports::new(ports), link_type.unwrap_or(LinkType(0))))
}
