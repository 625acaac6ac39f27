//! The worst time of one packet through the whole decoder: `worst INPUT_DIR...` shows a meter every
//! input that the fuzz targets have found interesting (folders named as the targets), and some made
//! to be costly, and prints the slowest packets. Each input is shown several times to a fresh
//! meter; of each packet the least time counts, as machines are shared. Ends with 1 if a packet
//! takes longer than the bound. Run it in a release build without sanitizers.

use imon_common::capture_file::CaptureReader;
use imon_common::flow::Flow;
use imon_common::names::NameSeen;
use imon_common::observe::{Count, Meter, MeterConfig, Observer, Usage};
use imon_common::packet::{CapturedPacket, LinkType};
use imon_common::time::UnixNanos;
use imon_fuzz::books::header;
use imon_fuzz::frames::{self, frame, frames, packets_of};
use imon_fuzz::pieces;
use std::convert::Infallible;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What is promised for a packet of this length or less; longer ones are several packets that
/// offload has joined.
const BOUND: Duration = Duration::from_millis(1);
const BOUND_LEN: usize = 32 * 1024;
/// Times that each input is shown; those near the bound again as often.
const ROUNDS: usize = 3;
const ROUNDS_OF_THE_SLOW: usize = 60;
/// Slower than this is measured again.
const SLOW: Duration = Duration::from_micros(200);

/// Takes observations and does nothing with them: the decoder is measured.
struct Nothing;

impl Observer for Nothing {
    type Error = Infallible;

    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> Result<(), Infallible> {
        _ = black_box((flow, seen));
        Ok(())
    }

    fn usage(&mut self, flow: &Flow, interval: UnixNanos, usage: Usage) -> Result<(), Infallible> {
        _ = black_box((flow, interval, usage));
        Ok(())
    }

    fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> Result<(), Infallible> {
        _ = black_box((ts, counts));
        Ok(())
    }
}

type Owned = (LinkType, UnixNanos, u32, Vec<u8>);

fn own(p: &CapturedPacket<'_>) -> Owned {
    (p.link_type, p.ts, p.orig_len, p.data.to_vec())
}

fn raw(data: Vec<u8>) -> Owned {
    (LinkType(101), header().start, data.len() as u32, data)
}

/// The packets that a target's input stands for.
fn packets(target: &str, input: &[u8]) -> Vec<Owned> {
    match target {
        "frame" => frame(input).iter().map(own).collect(),
        "packets" => frames(input).map(|p| own(&p)).collect(),
        "capture_file" => {
            let mut all = Vec::new();
            if let Ok(mut reader) = CaptureReader::new(input) {
                while let Ok(Some(packet)) = reader.next_packet() {
                    all.push(own(&packet));
                }
            }
            all
        }
        "dns_message" => {
            let mut all: Vec<Owned> = packets_of(target, input).into_iter().map(raw).collect();
            all.extend(repeated(input));
            all
        }
        _ => packets_of(target, input).into_iter().map(raw).collect(),
    }
}

/// The message as often as one TCP segment holds it: offload hands over segments of 64 KiB.
fn repeated(message: &[u8]) -> Vec<Owned> {
    let record = [&(message.len() as u16).to_be_bytes(), message].concat();
    let stream = record.repeat(65_000 / record.len().max(1));
    let mut input = Vec::new();
    pieces::put(&mut input, pieces::SYN | pieces::SERVER, &[]);
    pieces::put(&mut input, pieces::SERVER, &stream);
    packets_of("dns_stream", &input).into_iter().map(raw).collect()
}

/// The least time of each packet.
fn times(packets: &[Owned], rounds: usize) -> Vec<Duration> {
    let mut least = vec![Duration::MAX; packets.len()];
    for _ in 0..rounds {
        let (mut meter, mut nothing) = (Meter::new(MeterConfig::default()), Nothing);
        for ((link_type, ts, orig_len, data), least) in packets.iter().zip(&mut least) {
            let packet = CapturedPacket { ts: *ts, orig_len: *orig_len, link_type: *link_type, interface: 0, data };
            let start = Instant::now();
            let Ok(()) = meter.packet(&packet, &mut nothing);
            *least = start.elapsed().min(*least);
        }
    }
    least
}

/// Every flow of a full table pending: the packet that begins the next interval hands all of them
/// over. That is the work of 65,536 packets, done once in an interval, and so it is told apart.
fn full_table() -> Vec<Owned> {
    let mut all: Vec<Owned> =
        (0..65_536u32).map(|i| raw(frames::udp(true, (i as u16, 1 + (i >> 16) as u16), b"x"))).collect();
    let mut last = raw(frames::udp(true, (1, 1), b"x"));
    last.1 = UnixNanos(header().start.0 + 1_000_000_000);
    all.push(last);
    all
}

fn inputs(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    paths
}

fn main() {
    let mut slowest: Vec<(Duration, String)> = Vec::new();
    let (mut beyond, mut slowest_ordinary) = (0, Duration::ZERO);
    let mut measured = 0;
    for folder in std::env::args_os().skip(1).map(PathBuf::from) {
        let target = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for path in inputs(&folder) {
            let Ok(input) = std::fs::read(&path) else { continue };
            let packets = packets(&target, &input);
            measured += packets.len();
            let mut times_of = times(&packets, ROUNDS);
            if times_of.iter().any(|t| *t > SLOW) {
                times_of = times(&packets, ROUNDS_OF_THE_SLOW);
            }
            let bound = |p: &Owned| BOUND * u32::try_from(p.3.len().div_ceil(BOUND_LEN).max(1)).unwrap_or(u32::MAX);
            beyond += packets.iter().zip(&times_of).filter(|(p, time)| **time > bound(p)).count();
            if let Some((place, time)) = times_of.iter().enumerate().max_by_key(|(_, t)| **t) {
                let len = packets.get(place).map_or(0, |p| p.3.len());
                slowest.push((*time, format!("{} packet {} of {len} bytes", path.display(), place + 1)));
                // The slowest of ordinary length is worth a line of its own.
                let ordinary = packets.iter().zip(&times_of).filter(|(p, _)| p.3.len() <= 9_216);
                slowest_ordinary =
                    ordinary.map(|(_, time)| *time).max().max(Some(slowest_ordinary)).unwrap_or_default();
            }
        }
    }
    slowest.sort();
    println!("{measured} packets of {} inputs; the slowest:", slowest.len());
    slowest.iter().rev().take(12).for_each(|(time, what)| println!("{time:>12.1?}  {what}"));
    let handing_over = times(&full_table(), ROUNDS).last().copied().unwrap_or_default();
    println!("{handing_over:>12.1?}  the end of an interval in which 65,536 flows had packets");
    println!("{slowest_ordinary:>12.1?}  the slowest packet of at most 9,216 bytes");
    if beyond > 0 {
        println!("{beyond} packets take longer than {BOUND:?} for each {BOUND_LEN} bytes begun");
        std::process::exit(1);
    }
}
