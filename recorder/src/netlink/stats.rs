//! The counters of interfaces, by number: what the kernel counts of a link whatever it is called by
//! now.
//!
//! A text such as /proc/net/dev knows interfaces by name, and a name may belong to another one
//! since the last look.

use super::message::{self, Request};
use crate::counters::InterfaceStats;
use nix::sys::socket::{AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, connect, socket};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Room for one read. The kernel gives at most 32 KiB of a list at a time.
const BUFFER_BYTES: usize = 32 << 10;

/// Most reads for one list: 64 MiB of text, far more links than are kept in mind. A bound.
const MAX_READS: usize = 2_048;

/// Which interfaces are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All of them.
    All,
    /// The one with this number.
    Index(u32),
}

/// A socket for nothing but questions for counters, which the kernel answers at once.
#[derive(Debug)]
pub struct StatsSocket {
    socket: File,
    buffer: Vec<u8>,
    sequence: u32,
}

impl StatsSocket {
    /// Opens the socket; afterwards it takes `read` and `write` on it and nothing else.
    ///
    /// # Errors
    /// The system has no rtnetlink.
    pub fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        connect(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        Ok(Self { socket: socket.into(), buffer: vec![0; BUFFER_BYTES], sequence: 0 })
    }

    /// The socket.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The counters now, by number of the interface; empty if there is none.
    ///
    /// # Errors
    /// The kernel refused, or the answer is not there at once.
    pub fn read(&mut self, which: Which) -> io::Result<Vec<(u32, InterfaceStats)>> {
        self.sequence = self.sequence.checked_add(1).unwrap_or(1);
        let request = match which {
            Which::All => Request::Links,
            Which::Index(index) => Request::Link(index),
        };
        self.socket.write_all(&request.message(self.sequence))?;
        let mut stats = Vec::new();
        for _ in 0..MAX_READS {
            let length = match self.socket.read(&mut self.buffer) {
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                length => length?,
            };
            let bytes = self.buffer.get(..length).unwrap_or(&self.buffer);
            let is_over = message::stats(bytes, self.sequence, |index, counted| stats.push((index, counted)))?;
            if is_over || (which != Which::All && !stats.is_empty()) {
                return Ok(stats);
            }
        }
        Err(ErrorKind::TimedOut.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_counted_by_number_and_once() {
        let mut socket = StatsSocket::open().unwrap();
        let all = socket.read(Which::All).unwrap();
        let lo = std::fs::read_to_string("/sys/class/net/lo/ifindex").unwrap().trim().parse().unwrap();
        let before = all.iter().find(|(index, _)| *index == lo).unwrap().1;
        let here = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        here.send_to(&[0; 100], here.local_addr().unwrap()).unwrap();
        let after = socket.read(Which::Index(lo)).unwrap();
        assert_eq!(after.len(), 1);
        assert!(after[0].1.received_packets > before.received_packets);
        assert_eq!((after[0].1.sent_packets, after[0].1.sent_bytes), (0, 0));
        assert!(socket.read(Which::Index(0x7fff_fff0)).is_err());
        assert_eq!(socket.read(Which::All).unwrap().len(), all.len(), "an error leaves nothing behind");
    }
}
