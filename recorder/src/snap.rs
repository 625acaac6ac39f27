//! How much of each packet the kernel copies into the ring: everything where names can be, the
//! headers of bulk data.
//!
//! Names are asked for and greeted with by clients: in DNS, and in what goes *to* a web server's
//! port. What comes back from such a port fills the link and holds none, and neither do QUIC
//! packets after the handshake. Their lengths are counted from the headers. The kernel decides with
//! a BPF program, which libpcap compiles from [`BULK`] and which goes on where the user's filter
//! has accepted a packet. Everything else is copied up to the snaplen: other ports, fragments,
//! tunnels, IPv6 with extension headers, other link types.

use crate::error::Error;
use socket2::{SockFilter, SockRef};
use std::os::fd::BorrowedFd;

/// Packets of which [`SNAP`] bytes are enough, in the language of pcap-filter(7). TCP from a web
/// server's port to another one. UDP of port 443 with the short header of QUIC (RFC 9000 section
/// 17.3: first bits 01): handshakes, version negotiation and retry have the long one (11); gQUIC,
/// whose hello comes in packets of any kind, begins with 00. `udp[8]` is IPv4's only, hence the
/// second way for IPv6.
pub const BULK: &str = "(tcp and (src port 443 or src port 80) and not (dst port 443 or dst port 80)) \
     or (udp port 443 and udp[8] & 0xc0 = 0x40) \
     or (ip6[6] = 17 and udp port 443 and ip6[48] & 0xc0 = 0x40)";

/// Bytes of those packets. Ethernet, a tag, IPv6 and TCP with all its options take 118. Half of the
/// slots in the ring are then as small as those of acknowledgements.
pub const SNAP: u32 = 128;

/// Most instructions that the kernel takes (BPF_MAXINSNS).
const MOST_INSTRUCTIONS: usize = 4096;

/// `BPF_RET | BPF_K`: accept so many bytes; 0 refuses the packet.
const RETURN: u16 = 0x06;
/// `BPF_RET`, and the bits that tell it from other classes.
const CLASS: u16 = 0x07;
/// `BPF_JMP | BPF_JA`: go on so many instructions further.
const JUMP: u16 = 0x05;

/// One instruction of classic BPF: code, jumps if true and false, operand.
type Instruction = (u16, u8, u8, u32);

/// Puts a program into the capture that does what `filter` does and copies only [`SNAP`] bytes of
/// bulk data. Does nothing where the two are too long together.
///
/// # Errors
/// The kernel refuses the program.
pub fn attach(
    capture: BorrowedFd<'_>,
    filter: &pcap::BpfProgram,
    bulk: &pcap::BpfProgram,
    snaplen: u32,
) -> Result<(), Error> {
    let failed = |source| Error::System { doing: "cannot set how much of a packet is copied", source };
    let Some(joined) = joined(&instructions(filter), &instructions(bulk), snaplen) else {
        return Ok(());
    };
    let program: Vec<SockFilter> =
        joined.into_iter().map(|(code, jt, jf, k)| SockFilter::new(code, jt, jf, k)).collect();
    SockRef::from(&capture).attach_filter(&program).map_err(failed)
}

/// The instructions of a program; the crate shows them as text only. Empty if that text is not what
/// it was.
fn instructions(program: &pcap::BpfProgram) -> Vec<Instruction> {
    let read = |text: String| {
        let mut numbers = text.split(' ');
        Some((
            numbers.next()?.parse().ok()?,
            numbers.next()?.parse().ok()?,
            numbers.next()?.parse().ok()?,
            numbers.next()?.parse().ok()?,
        ))
    };
    program.get_instructions().iter().map(|i| read(i.to_string())).collect::<Option<_>>().unwrap_or_default()
}

/// First `filter`; what it accepts goes on to `bulk`, which decides how many bytes. `None` if they
/// cannot be joined.
fn joined(filter: &[Instruction], bulk: &[Instruction], snaplen: u32) -> Option<Vec<Instruction>> {
    let length = filter.len() + bulk.len();
    let returns_number = |(code, ..): &Instruction| code & CLASS != RETURN || *code == RETURN;
    if filter.is_empty() || bulk.is_empty() || length > MOST_INSTRUCTIONS {
        return None;
    }
    if !filter.iter().chain(bulk).all(returns_number) {
        return None;
    }
    let go_on = filter.iter().enumerate().map(|(at, instruction)| match *instruction {
        // At most `MOST_INSTRUCTIONS`, so it fits.
        (RETURN, _, _, 1..) => (JUMP, 0, 0, (filter.len() - at - 1) as u32),
        other => other,
    });
    let decide = bulk.iter().map(|instruction| match *instruction {
        (RETURN, _, _, 0) => (RETURN, 0, 0, snaplen),
        (RETURN, ..) => (RETURN, 0, 0, snaplen.min(SNAP)),
        other => other,
    });
    Some(go_on.chain(decide).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use imon_common::capture_file::CaptureReader;
    use imon_common::flow::Flow;
    use imon_common::names::NameSeen;
    use imon_common::observe::{Count, Meter, MeterConfig, Observer, Usage};
    use imon_common::packet::{CapturedPacket, LinkType};
    use imon_common::time::UnixNanos;
    use std::convert::Infallible;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    /// Everything that was observed, in order.
    #[derive(Default, PartialEq)]
    struct Seen {
        names: Vec<(u64, NameSeen)>,
        usage: Vec<(u64, UnixNanos, Usage)>,
        counts: Vec<(UnixNanos, Vec<Count>)>,
    }

    impl Observer for Seen {
        type Error = Infallible;
        fn name(&mut self, flow: &Flow, seen: &NameSeen) -> Result<(), Infallible> {
            self.names.push((flow.number, seen.clone()));
            Ok(())
        }
        fn usage(&mut self, flow: &Flow, interval: UnixNanos, usage: Usage) -> Result<(), Infallible> {
            self.usage.push((flow.number, interval, usage));
            Ok(())
        }
        fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> Result<(), Infallible> {
            self.counts.push((ts, counts.to_vec()));
            Ok(())
        }
    }

    fn compiled(filter: &str) -> pcap::BpfProgram {
        pcap::Capture::dead(pcap::Linktype(1)).unwrap().compile(filter, true).unwrap()
    }

    /// The captures of the repository, and those of `IMON_CORPUS`, unpacked by the programs for
    /// that.
    fn captures() -> Vec<(PathBuf, Vec<u8>)> {
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/netlab")];
        folders.extend(std::env::var_os("IMON_CORPUS").map(|corpus| PathBuf::from(corpus).join("captures")));
        let paths = folders.iter().flat_map(|f| f.read_dir().unwrap()).map(|e| e.unwrap().path());
        let mut captures = Vec::new();
        for path in paths.filter(|p| p.is_file()) {
            let cat = match path.extension().and_then(|e| e.to_str()) {
                Some("gz") => "zcat",
                Some("xz") => "xzcat",
                Some("zst") => "zstdcat",
                Some("lz4") => "lz4cat",
                _ => "cat",
            };
            match Command::new(cat).arg(&path).output() {
                Ok(output) => captures.push((path, output.stdout)),
                Err(_) => eprintln!("skipped: {} needs the program {cat}", path.display()),
            }
        }
        captures
    }

    #[test]
    fn bulk_data_holds_no_names() {
        let bulk = compiled(BULK);
        let (mut files, mut whole_bytes, mut snapped_bytes) = (0, 0, 0);
        for (path, bytes) in captures() {
            let Ok(mut reader) = CaptureReader::new(bytes.as_slice()) else { continue };
            let [mut whole, mut snapped] = [(); 2].map(|()| (Meter::new(MeterConfig::default()), Seen::default()));
            let mut cut = 0;
            while let Ok(Some(packet)) = reader.next_packet() {
                let is_bulk = packet.link_type == LinkType(1) && bulk.filter(packet.data);
                let keep = if is_bulk { packet.data.len().min(SNAP as usize) } else { packet.data.len() };
                let short = CapturedPacket { data: &packet.data[..keep], ..packet };
                whole_bytes += packet.data.len();
                snapped_bytes += keep;
                cut += packet.data.len() - keep;
                let Ok(()) = whole.0.packet(&packet, &mut whole.1);
                let Ok(()) = snapped.0.packet(&short, &mut snapped.1);
            }
            for (meter, seen) in [&mut whole, &mut snapped] {
                let Ok(()) = meter.flush(seen);
            }
            for (n, s) in whole.1.names.iter().zip(&snapped.1.names) {
                assert_eq!(n, s, "{}", path.display());
            }
            assert_eq!(whole.1.names.len(), snapped.1.names.len(), "{}", path.display());
            assert!(whole.1 == snapped.1, "{}: usage or counts", path.display());
            files += usize::from(cut > 0);
        }
        eprintln!("{files} captures with bulk data; {snapped_bytes} of {whole_bytes} bytes copied");
        assert!(files > 0 && snapped_bytes < whole_bytes);
    }

    /// Frames of both kinds: what they are, and whether they are bulk.
    #[test]
    fn what_a_client_sends_and_handshakes_are_copied_whole() {
        let bulk = compiled(BULK);
        let frame = |v6: bool, proto: u8, src: u16, dst: u16, first: u8| {
            let ports = [src.to_be_bytes(), dst.to_be_bytes()].concat();
            let mut bytes = vec![2; 12];
            if v6 {
                bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 100, proto, 64]);
                bytes.extend([0x20; 32]);
            } else {
                bytes.extend([8, 0, 0x45, 0, 0, 120, 0, 0, 0, 0, 64, proto, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
            }
            bytes.extend(ports);
            bytes.extend([0, 100, 0, 0]);
            bytes.extend([first; 92]);
            bytes
        };
        for v6 in [false, true] {
            for (proto, src, dst, first, expected) in [
                (6, 443, 50_000, 0, true),
                (6, 80, 50_000, 0, true),
                (6, 50_000, 443, 0, false),
                (6, 443, 80, 0, false),
                (6, 8080, 50_000, 0, false),
                (17, 443, 50_000, 0x40, true),
                (17, 50_000, 443, 0x40, true),
                (17, 443, 50_000, 0xc0, false),
                (17, 50_000, 443, 0xc0, false),
                (17, 50_000, 443, 0x0d, false),
                (17, 53, 50_000, 0, false),
                (6, 53, 50_000, 0, false),
            ] {
                let is_bulk = bulk.filter(&frame(v6, proto, src, dst, first));
                assert_eq!(is_bulk, expected, "v6 {v6}: {proto} {src} -> {dst}, {first:#x}");
            }
        }
    }

    #[test]
    fn the_joined_program_refuses_with_the_filter_and_cuts_with_the_other() {
        let (filter, bulk) = (instructions(&compiled("ip")), instructions(&compiled("tcp")));
        let both = joined(&filter, &bulk, 8192).unwrap();
        assert_eq!(both.len(), filter.len() + bulk.len());
        let returned =
            |list: &[Instruction]| -> Vec<u32> { list.iter().filter(|i| i.0 == RETURN).map(|i| i.3).collect() };
        assert_eq!(returned(&both[..filter.len()]), [0]);
        let mut decided = returned(&both[filter.len()..]);
        decided.sort_unstable();
        decided.dedup();
        assert_eq!(decided, [SNAP, 8192]);
        for (at, instruction) in both[..filter.len()].iter().enumerate() {
            if instruction.0 == JUMP {
                assert_eq!(at + 1 + instruction.3 as usize, filter.len());
            }
        }
        assert!(joined(&filter, &bulk, 96).unwrap().iter().all(|i| i.0 != RETURN || i.3 <= 96));
        assert!(joined(&[], &bulk, 8192).is_none());
        assert!(joined(&vec![(0, 0, 0, 0); MOST_INSTRUCTIONS], &bulk, 8192).is_none());
        assert!(joined(&[(0x16, 0, 0, 0)], &bulk, 8192).is_none()); // returns what it computed
    }
}
