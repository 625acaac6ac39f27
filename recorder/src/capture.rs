//! Where live packets come from: libpcap behind a small trait, so that the loop can be tested
//! without rights and the source be replaced.

use crate::counters::KernelStats;
use crate::error::Error;
use crate::interface::ANY;
use crate::packet_socket;
use crate::snap;
use imon_common::packet::{CapturedPacket, LinkType};
use imon_common::time::UnixNanos;
use nix::errno::Errno;
use pcap::{Active, Capture, Linktype, Precision};
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};

/// Bytes of each packet that the kernel copies, unless `--snaplen` says otherwise.
///
/// Names need whole DNS messages (over UDP at most 4,096 bytes from any resolver in use) and the
/// start of a flow: TLS and QUIC hellos have 0.5 to 5 KB, in one packet where the card or the
/// kernel joined several to up to 64 KB. Of those the rest is payload that nobody looks at: not
/// copying it keeps the ring free. Frames of ordinary links (1.5 KB) and most jumbo frames fit
/// whole.
pub const SNAPLEN: u32 = 8192;

/// The kernel's ring in bytes. At 1 Gbit/s of full frames it holds what comes in 0.27 s, longer
/// than a disk usually takes for a sync; of a million packets a second, mostly bulk data, what
/// comes in 0.13 s. `make bench-live` shows that it is enough.
pub const RING_BYTES: i32 = 32 << 20;

/// The kernel hands over a part-filled block of the ring after this time. Shorter wakes us more
/// often, longer delays the record. After one to two such times a packet that was captured is ours.
pub const HAND_OVER_MS: i32 = 100;

/// After this time every packet that was captured before has been handed over: the kernel looks
/// every [`HAND_OVER_MS`] and hands over a block that it found open the time before, too. The rest
/// is for a busy machine.
pub const RING_DELAY_NS: i64 = (2 * HAND_OVER_MS as i64 + 30) * 1_000_000;

/// LINKTYPE_ETHERNET.
const ETHERNET: LinkType = LinkType(1);

/// DLT_LINUX_SLL2.
const COOKED_2: Linktype = Linktype(276);

/// A live source of packets. Never waits; `fd` becomes readable when there is something.
pub trait Source {
    /// Hands at most `limit` packets that are ready to `each`; gives their number. An interface
    /// that is gone simply has none.
    ///
    /// # Errors
    /// The capture failed.
    fn drain(&mut self, limit: usize, each: impl FnMut(&CapturedPacket<'_>)) -> Result<usize, Error>;

    /// Counters of the kernel since the capture was opened.
    ///
    /// # Errors
    /// libpcap's.
    fn stats(&mut self) -> Result<KernelStats, Error>;

    /// What to poll.
    fn fd(&self) -> BorrowedFd<'_>;

    /// Goes on with the interface of this number. False if there is none.
    ///
    /// # Errors
    /// The system refused.
    fn rebind(&mut self, index: u32) -> Result<bool, Error>;

    /// The kernel counts each packet twice and libpcap hands over one (loopback).
    fn counts_twice(&self) -> bool;

    /// What the first header of each packet is.
    fn link_type(&self) -> LinkType;
}

/// How to open an interface.
#[derive(Debug, Clone)]
pub struct LiveOptions {
    /// Its name, or `any`.
    pub interface: String,
    /// BPF filter; empty for all packets.
    pub filter: String,
    /// Bytes to copy of each packet.
    pub snaplen: u32,
    /// Ask the card for frames that are not for us.
    pub promiscuous: bool,
    /// It is the loopback interface.
    pub loopback: bool,
    /// The kernel's ring in bytes.
    pub ring_bytes: i32,
}

/// An interface, captured by libpcap.
pub struct Live {
    capture: Capture<Active>,
    interface: String,
    link_type: LinkType,
    loopback: bool,
    promiscuous: bool,
}

impl Live {
    /// Opens the capture and sets the filter.
    ///
    /// # Errors
    /// No permission, a bad filter, or what libpcap says.
    pub fn open(options: &LiveOptions) -> Result<Self, Error> {
        let name = &options.interface;
        if !crate::privilege::may_capture() {
            return Err(Error::NoPermission { interface: name.clone() });
        }
        let mut capture = Capture::from_device(name.as_str())
            .and_then(|c| {
                c.snaplen(i32::try_from(options.snaplen).unwrap_or(i32::MAX))
                    .buffer_size(options.ring_bytes)
                    .timeout(HAND_OVER_MS)
                    .promisc(options.promiscuous)
                    .precision(Precision::Nano)
                    .open()
            })
            .map_err(|e| refused(name, e))?;
        if name == ANY {
            // Its header has the interface's number, by which copies are known (Linux cooked
            // capture 2). A libpcap before 1.10 does not have it: then what passes two interfaces
            // counts on both.
            _ = capture.set_datalink(COOKED_2);
        }
        // An empty filter, too: it is what makes the kernel copy no more than the snaplen.
        capture
            .filter(&options.filter, true)
            .map_err(|e| Error::Filter { filter: options.filter.clone(), message: message(e) })?;
        let link_type = link_type_of(capture.get_datalink());
        if link_type == ETHERNET {
            let compile = |text: &str| capture.compile(text, true).map_err(|e| failed(name, e));
            snap::attach(capture.as_fd(), &compile(&options.filter)?, &compile(snap::BULK)?, options.snaplen)?;
        }
        // With its own waiting, libpcap would sleep for ever on an idle link whatever the time-out
        // (TPACKET_V3).
        let capture = capture.setnonblock().map_err(|e| failed(name, e))?;
        Ok(Self {
            capture,
            interface: name.clone(),
            link_type,
            loopback: options.loopback,
            promiscuous: options.promiscuous,
        })
    }
}

impl Source for Live {
    fn drain(&mut self, limit: usize, mut each: impl FnMut(&CapturedPacket<'_>)) -> Result<usize, Error> {
        let link_type = self.link_type;
        // Not next_packet: that copies each packet once more before it hands it over.
        let handled = self.capture.dispatch(Some(limit), |packet| {
            let header = packet.header;
            each(&CapturedPacket {
                // Nanoseconds stand where microseconds would, by Precision::Nano.
                ts: UnixNanos::from_parts(
                    u64::try_from(header.ts.tv_sec).unwrap_or(0),
                    u64::try_from(header.ts.tv_usec).unwrap_or(0),
                ),
                orig_len: header.len,
                link_type,
                interface: 0,
                data: packet.data,
            });
        });
        match handled {
            // Said again and again while it is gone; what was in the ring has been handed over
            // before. The news that it is back comes by another way.
            Err(e) if is_gone(&e) => Ok(0),
            handled => handled.map_err(|e| failed(&self.interface, e)),
        }
    }

    fn stats(&mut self) -> Result<KernelStats, Error> {
        let stats = self.capture.stats().map_err(|e| failed(&self.interface, e))?;
        Ok(KernelStats { received: stats.received, dropped: stats.dropped })
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.capture.as_fd()
    }

    fn rebind(&mut self, index: u32) -> Result<bool, Error> {
        let socket = self.capture.as_fd();
        let bound = packet_socket::bind_to(socket, index).and_then(|()| match self.promiscuous {
            true => packet_socket::be_promiscuous(socket, index),
            false => Ok(()),
        });
        match bound {
            Ok(()) => Ok(true),
            Err(Errno::ENODEV | Errno::ENXIO) => Ok(false),
            Err(e) => Err(Error::Capture { interface: self.interface.clone(), message: format!("cannot go on: {e}") }),
        }
    }

    fn counts_twice(&self) -> bool {
        self.loopback
    }

    fn link_type(&self) -> LinkType {
        self.link_type
    }
}

/// The LINKTYPE_ number for libpcap's DLT_ number: the same but for a few that differ between
/// systems, of which Linux uses one (pcap-common.c; DLT_RAW is 12 there, LINKTYPE_RAW 101
/// everywhere).
fn link_type_of(dlt: Linktype) -> LinkType {
    match dlt.0 {
        12 => LinkType(101),
        other => LinkType(u16::try_from(other).unwrap_or(u16::MAX)),
    }
}

fn dlt_of(link_type: LinkType) -> Linktype {
    Linktype(if link_type.0 == 101 { 12 } else { link_type.0.into() })
}

/// libpcap's own words, on one line.
fn message(error: pcap::Error) -> String {
    let text = match error {
        pcap::Error::PcapError(text) => text,
        other => other.to_string(),
    };
    text.trim().replace('\n', "; ")
}

fn refused(interface: &str, error: pcap::Error) -> Error {
    let message = message(error);
    let lower = message.to_ascii_lowercase();
    if lower.contains("permi") || lower.contains("cap_net_raw") {
        return Error::NoPermission { interface: interface.into() };
    }
    Error::Capture { interface: interface.into(), message }
}

fn failed(interface: &str, error: pcap::Error) -> Error {
    Error::Capture { interface: interface.into(), message: message(error) }
}

/// What libpcap says of an interface that was removed. ENETDOWN it keeps to itself.
fn is_gone(error: &pcap::Error) -> bool {
    matches!(error, pcap::Error::PcapError(text) if text.contains("disappeared") || text.contains("No such device"))
}

/// Link types that capture files have (LINKTYPE_ numbers): NULL, Ethernet, token ring, SLIP, PPP,
/// FDDI, ATM, raw IP, PPP in HDLC-like framing, PPPoE, Cisco HDLC, 802.11, frame relay, LOOP,
/// cooked, pflog, Prism, IP over Fibre Channel, radiotap, IP over 1394, AVS, DOCSIS, Juniper
/// Ethernet, PPI, IPv4, IPv6, NFLOG, netlink, cooked 2.
const USUAL_LINK_TYPES: [u16; 29] = [
    0, 1, 6, 8, 9, 10, 100, 101, 50, 51, 104, 105, 107, 108, 113, 117, 119, 122, 127, 138, 163, 143, 178, 192, 228,
    229, 239, 253, 276,
];

/// A filter for packets from a file, compiled once for each link type in it.
///
/// libpcap judges `greater` and `less` by the captured length here, because the crate hands it no
/// other.
pub struct FileFilter {
    text: String,
    /// What libpcap made of it, or its words.
    programs: HashMap<LinkType, Result<pcap::BpfProgram, String>>,
}

impl FileFilter {
    /// A filter, compiled at once for [`USUAL_LINK_TYPES`]: it may hold names of hosts and
    /// services, and to look those up takes files and sockets that there are none of in the cage.
    /// Which primitives there are depends on the link type, so that what libpcap refuses is an
    /// error only when a packet of that type comes.
    pub fn new(text: &str) -> Self {
        let mut filter = Self { text: text.into(), programs: HashMap::new() };
        if !text.is_empty() {
            filter.programs = USUAL_LINK_TYPES.map(|n| (LinkType(n), filter.compile(LinkType(n)))).into();
        }
        filter
    }

    /// Whether the packet passes.
    ///
    /// # Errors
    /// libpcap refuses the filter for the packet's link type.
    pub fn passes(&mut self, packet: &CapturedPacket<'_>) -> Result<bool, Error> {
        if self.text.is_empty() {
            return Ok(true);
        }
        if !self.programs.contains_key(&packet.link_type) {
            self.programs.insert(packet.link_type, self.compile(packet.link_type));
        }
        match self.programs.get(&packet.link_type) {
            Some(Ok(program)) => Ok(program.filter(packet.data)),
            Some(Err(words)) => Err(Error::Filter { filter: self.text.clone(), message: words.clone() }),
            None => Ok(true), // was just put there
        }
    }

    fn compile(&self, link_type: LinkType) -> Result<pcap::BpfProgram, String> {
        Capture::dead(dlt_of(link_type)).and_then(|dead| dead.compile(&self.text, true)).map_err(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_compiled_for_the_link_type_of_the_packet() {
        let udp = [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0, 53, 0, 53, 0, 8, 0, 0];
        let mut frame = vec![0; 12];
        frame.extend([8, 0]);
        frame.extend(udp);
        let packet = |link: u16, data| CapturedPacket {
            ts: UnixNanos(0),
            orig_len: 0,
            link_type: LinkType(link),
            interface: 0,
            data,
        };
        for (text, expected) in [("udp port 53", true), ("tcp", false), ("", true)] {
            let mut filter = FileFilter::new(text);
            assert_eq!(filter.passes(&packet(1, &frame)).unwrap(), expected, "{text}");
            assert_eq!(filter.passes(&packet(101, &udp)).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_bad_filter_is_a_usage_error_in_the_words_of_libpcap() {
        let mut filter = FileFilter::new("udp prot 53");
        let packet = CapturedPacket { ts: UnixNanos(0), orig_len: 0, link_type: LinkType(1), interface: 0, data: &[] };
        let error = filter.passes(&packet).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("syntax error"), "{error}");
    }

    #[test]
    fn raw_ip_has_one_number_in_files_and_another_in_libpcap() {
        assert_eq!(link_type_of(Linktype(12)), LinkType(101));
        assert_eq!(link_type_of(Linktype(1)), LinkType(1));
        assert_eq!(dlt_of(LinkType(101)).0, 12);
    }
}
