//! Asking servers over UDP, slowly, many questions at a time.
//!
//! One thread and one socket for each server: hundreds of lookups are waiting for the network, not
//! for a processor. A socket is connected, so that the kernel drops what comes from elsewhere; its
//! port and the ids are random.

use super::{Answer, message};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// How long an answer is waited for, as resolvers of the C library do it twice as long.
const TIMEOUT: Duration = Duration::from_millis(2_500);

/// How often an address is asked about: the second time at the next server, if there is one.
const TRIES: usize = 2;

/// How long it is kept that nobody answered: a report made again must not wait again.
const SILENCE_TTL_S: u32 = 600;

/// Most servers of a configuration that are asked, as in the C library (`MAXNS`).
const MAX_SERVERS: usize = 3;

/// Longest datagram that is read. Without EDNS servers send 512 bytes (RFC 1035 section 4.2.1).
const MAX_LEN: usize = 4_096;

/// How much is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most questions a second, more than 0.
    pub per_second: u32,
}

/// What was found out.
#[derive(Debug, Default)]
pub struct Answers {
    /// By address: all that were asked about.
    pub of: HashMap<IpAddr, Answer>,
    /// How many of them nobody answered.
    pub silent: usize,
    /// The last reason why a question could not be sent or an answer not be read.
    pub error: Option<io::Error>,
}

/// A question that waits for its answer.
#[derive(Debug, Clone, Copy)]
struct Asked {
    address: IpAddr,
    try_number: usize,
    until: Instant,
}

/// Asks the servers behind `sockets` for the names of `addresses`. Takes as long as the limits say,
/// and at most [`TRIES`] time-outs more.
pub fn lookup(sockets: Vec<UdpSocket>, addresses: &[IpAddr], limits: Limits) -> Answers {
    let between = Duration::from_secs(1) / limits.per_second.max(1);
    let mut work = Work {
        sockets,
        queue: addresses.iter().map(|address| (*address, 0)).collect(),
        waiting: HashMap::new(),
        answers: Answers::default(),
    };
    let mut next_send = Instant::now();
    while !work.is_done() {
        let now = Instant::now();
        work.give_up(now);
        if now >= next_send && work.ask(now) {
            next_send = now + between;
        }
        work.listen(now, next_send);
    }
    work.answers
}

/// Sockets for the first [`MAX_SERVERS`] of these servers.
///
/// # Errors
/// One cannot be made.
pub(super) fn connected(servers: &[SocketAddr]) -> io::Result<Vec<UdpSocket>> {
    let connect = |server: &SocketAddr| {
        let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(server)?;
        Ok(socket)
    };
    servers.iter().take(MAX_SERVERS).map(connect).collect()
}

struct Work {
    sockets: Vec<UdpSocket>,
    /// What is to be asked, and how often it was.
    queue: VecDeque<(IpAddr, usize)>,
    waiting: HashMap<u16, Asked>,
    answers: Answers,
}

impl Work {
    fn is_done(&self) -> bool {
        self.queue.is_empty() && self.waiting.is_empty()
    }

    /// Asks the next question; `false` if there is none.
    fn ask(&mut self, now: Instant) -> bool {
        let Some((address, try_number)) = self.queue.pop_front() else { return false };
        let id = self.free_id();
        let socket = self.sockets.get(try_number % self.sockets.len().max(1));
        if let (Some(socket), Some(question)) = (socket, message::question(id, address))
            && let Err(error) = socket.send(&question)
        {
            self.answers.error = Some(error);
        }
        // What could not be sent waits as well: the network may come back, and the rate holds.
        self.waiting.insert(id, Asked { address, try_number, until: now + TIMEOUT });
        true
    }

    /// A random id that no question has. There are never more questions than seconds of the
    /// time-out times the rate.
    fn free_id(&self) -> u16 {
        loop {
            // Its hashers are seeded from the system's random numbers.
            let id = RandomState::new().hash_one(0) as u16;
            if !self.waiting.contains_key(&id) {
                return id;
            }
        }
    }

    /// Reads answers until something is due.
    fn listen(&mut self, now: Instant, next_send: Instant) {
        let due = self.waiting.values().map(|asked| asked.until).chain((!self.queue.is_empty()).then_some(next_send));
        let Some(due) = due.min() else { return };
        // With several servers each is listened to for a part of the time; an answer waits in its
        // socket meanwhile.
        let all = u32::try_from(self.sockets.len()).unwrap_or(1).max(1);
        let wait =
            (due.saturating_duration_since(now) / all).clamp(Duration::from_millis(1), Duration::from_millis(50));
        let mut buffer = [0; MAX_LEN];
        for i in 0..self.sockets.len() {
            let Some(socket) = self.sockets.get(i) else { return };
            let read = socket.set_read_timeout(Some(wait)).and_then(|()| socket.recv(&mut buffer));
            match read {
                Ok(len) => self.take(buffer.get(..len).unwrap_or_default()),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {
                }
                Err(error) => self.answers.error = Some(error),
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let asked = message::id_of(bytes).and_then(|id| Some((id, *self.waiting.get(&id)?)));
        if let Some((id, asked)) = asked
            && let Some(answer) = message::answer(bytes, asked.address)
        {
            self.waiting.remove(&id);
            self.answers.of.insert(asked.address, answer);
        }
    }

    /// Puts back what was not answered in time, or gives it up.
    fn give_up(&mut self, now: Instant) {
        let late: Vec<u16> = self.waiting.iter().filter(|(_, asked)| asked.until <= now).map(|(id, _)| *id).collect();
        for id in late {
            let Some(Asked { address, try_number, .. }) = self.waiting.remove(&id) else { continue };
            if try_number + 1 < TRIES {
                self.queue.push_back((address, try_number + 1));
            } else {
                self.answers.silent += 1;
                self.answers.of.insert(address, Answer { name: None, ttl_s: SILENCE_TTL_S });
            }
        }
    }
}
