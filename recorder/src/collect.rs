//! Collecting datagrams of exporters (NetFlow, IPFIX): from a socket into captures, unread.
//!
//! What is in a datagram is none of this program's business: it looks at who sent it, and writes it
//! down as a packet. The analyzer reads it, in its sandbox.

mod files;
mod frame;
mod keep;

use crate::cage::{self, Holes, Inherited, Inside, Kept, Needed, Threads, Use, standard};
use crate::cli::{CollectSettings, Settings};
use crate::clock::Now;
use crate::error::Error;
use crate::log::{Level, know_journal, log};
use crate::notify::Notify;
use crate::privilege;
use crate::signals::Signals;
use crate::spool::Spool;
use files::Captures;
use ipnet::IpNet;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{Mode, umask};
use std::fs::File;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;

/// Room for datagrams in the kernel: some seconds of a router that hands on all of its flows at
/// once.
const SOCKET_BYTES: usize = 8 << 20;

/// Longest datagram (RFC 768).
const MOST_BYTES: usize = 65_535;

/// Datagrams that are taken before the clock is looked at and what came is written.
const BATCH: usize = 1_024;

/// Longest wait: how late a rotation that is due, and a sign of life, may be.
const WAIT_MS: u16 = 1_000;

/// A file that tells a collector's folder from a recorder's.
pub const COLLECTOR: &str = "collector";

/// Collects until a signal ends it.
///
/// # Errors
/// Whatever kept it from starting or ended it.
pub fn collect(settings: &Settings, collect: &CollectSettings) -> Result<(), Error> {
    // First of all: what is open now is not ours.
    let inherited = Inherited::note();
    know_journal();
    umask(Mode::from_bits_truncate(0o077));
    let account = privilege::choose_here(settings.user.as_deref())?;
    let signals = Signals::install()?;
    let socket = open(collect.address)?;
    let spool = Spool::open(&settings.spool, account.as_ref())?;
    mark(spool.dir())?;
    let found = files::found(spool.dir())?;
    let mut notify = Notify::from_environment();
    inherited.close();
    let mut kept = standard(Needed::Neither)?;
    kept.push(Kept::new(socket.as_fd(), Use::Held, "the exporters' socket"));
    kept.extend(signals.kept());
    kept.extend(spool.kept());
    kept.extend(notify.kept());
    // The socket stands where captures do: it is read by one call, and nothing can be sent by it.
    let captures = [socket.as_fd()];
    let inside = Inside { spool: &spool, beside: None, captures: &captures, kept: &kept };
    cage::enter(account.as_ref(), &inside, Threads::One)?.accept(Holes::from(collect.allow_uncaged))?;

    let captures = Captures::new(&spool, found, settings.rotation, collect.retention);
    let at = socket.local_addr().unwrap_or(collect.address);
    log(Level::Info, format_args!("collecting datagrams to {at}; end with Ctrl-C"));
    notify.ready();
    Collecting { socket, at, allowed: &collect.allowed, captures, taken: 0, refused: 0 }.run(&signals, &mut notify)
}

/// Says whose folder this is, if nobody has.
fn mark(spool: &File) -> Result<(), Error> {
    // No link is followed by what makes a new file.
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    match openat(spool, COLLECTOR, flags, Mode::from_bits_truncate(0o640)) {
        Ok(_) | Err(Errno::EEXIST) => Ok(()),
        Err(e) => Err(Error::System { doing: "cannot mark the folder as a collector's", source: e.into() }),
    }
}

fn open(address: SocketAddr) -> Result<UdpSocket, Error> {
    let failed = |source| Error::Listen { address, source };
    let socket = UdpSocket::bind(address).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    // The kernel gives what it may; less is no reason not to collect.
    _ = socket2::SockRef::from(&socket).set_recv_buffer_size(SOCKET_BYTES);
    Ok(socket)
}

struct Collecting<'a> {
    socket: UdpSocket,
    at: SocketAddr,
    allowed: &'a [IpNet],
    captures: Captures<'a>,
    taken: u64,
    refused: u64,
}

impl Collecting<'_> {
    fn run(mut self, signals: &Signals, notify: &mut Notify) -> Result<(), Error> {
        let mut buffer = vec![0; MOST_BYTES];
        loop {
            let now = Now::read()?;
            notify.alive(now.boot_ns);
            let more = self.take(&mut buffer, now.wall.0)?;
            self.captures.write(now)?;
            if signals.stop() {
                notify.stopping();
                self.captures.seal(now)?;
                let (taken, refused, lost) = (self.taken, self.refused, self.captures.lost());
                let lost = if lost > 0 { format!("; {lost} found no room on the disk") } else { String::new() };
                log(Level::Info, format_args!("collected {taken} datagrams; {refused} of others were refused{lost}"));
                return Ok(());
            }
            self.captures.rotate(now, signals.take_rotate())?;
            if !more {
                let mut waits = [
                    PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
                    PollFd::new(signals.as_fd(), PollFlags::POLLIN),
                ];
                match poll(&mut waits, PollTimeout::from(WAIT_MS)) {
                    Ok(_) | Err(Errno::EINTR) => signals.clear(),
                    Err(e) => return Err(Error::System { doing: "cannot wait for datagrams", source: e.into() }),
                }
            }
        }
    }

    /// Takes what waits; `true` if there may be more.
    fn take(&mut self, buffer: &mut [u8], now_ns: i64) -> Result<bool, Error> {
        for _ in 0..BATCH {
            match self.socket.recv_from(buffer) {
                Ok((len, from)) if is_allowed(self.allowed, from.ip()) => {
                    self.taken += 1;
                    let datagram = buffer.get(..len).unwrap_or_default();
                    self.captures.add(now_ns, &frame::packet(from, self.at, datagram));
                }
                Ok(_) => self.refused += 1,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                // News of an unreachable port, of somebody whom nothing was sent to.
                Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionRefused) => {}
                Err(source) => return Err(Error::System { doing: "cannot read datagrams", source }),
            }
        }
        Ok(true)
    }
}

/// Whether datagrams of this sender are taken.
fn is_allowed(allowed: &[IpNet], from: IpAddr) -> bool {
    let from = from.to_canonical();
    allowed.iter().any(|net| net.contains(&from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_networks_that_are_named_may_send() {
        let allowed = ["192.168.1.1/32".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        for (from, is) in [
            ("192.168.1.1", true),
            ("192.168.1.2", false),
            ("::ffff:192.168.1.1", true),
            ("2001:db8::5", true),
            ("2001:db9::5", false),
        ] {
            assert_eq!(is_allowed(&allowed, from.parse().unwrap()), is, "{from}");
        }
        assert!(!is_allowed(&[], "127.0.0.1".parse().unwrap()));
    }
}
