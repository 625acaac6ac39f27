//! A source for tests: hands over what the test gave it, and shows what was asked of it.

use crate::capture::Source;
use crate::counters::KernelStats;
use crate::error::Error;
use imon_common::packet::{CapturedPacket, LinkType};
use imon_common::time::UnixNanos;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::Duration;

/// Start of an ARP frame: not IP, and one packet all the same.
pub const ARP: [u8; 14] = [255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 6];

/// The script, which the test keeps a copy of.
#[derive(Clone)]
pub struct Script {
    pub state: Rc<RefCell<State>>,
    fd: Rc<File>,
}

#[derive(Default)]
pub struct State {
    /// Stamps of the packets that are ready.
    pub stamps: VecDeque<UnixNanos>,
    /// Old packets keep coming.
    pub endless: bool,
    pub stats: KernelStats,
    /// Numbers of the interfaces that it was bound to.
    pub bound: Vec<u32>,
    /// There is no interface to be bound to.
    pub unbindable: bool,
}

impl Script {
    pub fn new(stamps: &[UnixNanos], received: u32, dropped: u32) -> Self {
        let stats = KernelStats { received, dropped };
        let state = State { stamps: stamps.iter().copied().collect(), stats, ..State::default() };
        Self { state: Rc::new(RefCell::new(state)), fd: Rc::new(File::open("/dev/null").unwrap()) }
    }
}

impl Source for Script {
    fn drain(&mut self, limit: usize, mut each: impl FnMut(&CapturedPacket<'_>)) -> Result<usize, Error> {
        let mut state = self.state.borrow_mut();
        let mut give =
            |ts| each(&CapturedPacket { ts, orig_len: 60, link_type: LinkType(1), interface: 0, data: &ARP });
        if state.endless {
            // Slowly, so that the counters stay small.
            std::thread::sleep(Duration::from_millis(20));
            give(UnixNanos(0));
            return Ok(1);
        }
        let taken = state.stamps.len().min(limit);
        state.stamps.drain(..taken).for_each(give);
        Ok(taken)
    }

    fn stats(&mut self) -> Result<KernelStats, Error> {
        Ok(self.state.borrow().stats)
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn rebind(&mut self, index: u32) -> Result<bool, Error> {
        let mut state = self.state.borrow_mut();
        state.bound.push(index);
        Ok(!state.unbindable)
    }

    fn counts_twice(&self) -> bool {
        false
    }

    fn link_type(&self) -> LinkType {
        LinkType(1)
    }
}
