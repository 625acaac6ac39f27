//! Captures as lists of frames: read, changed frame by frame, written as pcap or pcapng, packed.

use super::chance::Chance;
use imon_analyze::input::{Watch, open};
use imon_common::capture_file::CaptureReader;
use std::io::Write as _;
use std::path::Path;

/// Most frames of a case: more take time and show nothing new.
const MAX_FRAMES: usize = 400;

#[derive(Debug, Clone)]
pub struct Frame {
    pub ts_ns: i64,
    pub orig_len: u32,
    pub link: u16,
    pub interface: u32,
    pub data: Vec<u8>,
}

/// The frames of a capture file, packed or not, as far as it can be read.
pub fn read(path: &Path) -> Vec<Frame> {
    let mut frames = Vec::new();
    let Ok(input) = open(path, Watch::default()) else { return frames };
    let Ok(mut reader) = CaptureReader::new(input) else { return frames };
    while let Ok(Some(packet)) = reader.next_packet() {
        frames.push(Frame {
            ts_ns: packet.ts.0,
            orig_len: packet.orig_len,
            link: packet.link_type.0,
            interface: packet.interface,
            data: packet.data.to_vec(),
        });
        if frames.len() == MAX_FRAMES {
            break;
        }
    }
    frames
}

/// What happens to frames that were recorded well: their content, time, order, number and lengths
/// change.
pub fn spoil(frames: &mut Vec<Frame>, chance: &mut Chance) {
    for _ in 0..=chance.below(8) {
        let at = chance.below(frames.len());
        let Some(frame) = frames.get_mut(at) else { return };
        match chance.below(12) {
            0 => drop(frames.remove(at)),
            1 => {
                let copy = frame.clone();
                let to = chance.below(frames.len() + 1);
                frames.insert(to, copy);
            }
            2 => {
                let to = chance.below(frames.len());
                frames.swap(at, to);
            }
            3 => frame.data.truncate(chance.below(frame.data.len() + 1)),
            4 => frame.orig_len = chance.odd_number() as u32,
            5 => {
                let jumps = [1, 1_000, 1_000_000_000, 3_600_000_000_000, 86_400_000_000_000 * 40, i64::MAX / 3];
                let jump = *chance.pick(&jumps) * if chance.one_in(2) { -1 } else { 1 };
                let rest = if chance.one_in(2) { 1 } else { usize::MAX };
                frames.iter_mut().skip(at).take(rest).for_each(|f| f.ts_ns = f.ts_ns.saturating_add(jump));
            }
            6 => {
                let (link, interface) = (*chance.pick(&[1, 12, 101, 113, 127, 228, 276]), chance.below(3) as u32);
                (frame.link, frame.interface) = (link, interface);
            }
            7 => {
                let from = chance.below(frame.data.len() + 1);
                let bytes: Vec<u8> = (0..chance.below(40)).map(|_| chance.next() as u8).collect();
                frame.orig_len = frame.orig_len.saturating_add(bytes.len() as u32);
                frame.data.splice(from..from, bytes);
            }
            _ => chance.flip(&mut frame.data),
        }
    }
}

/// The frames as a file: classic pcap where one link type is enough and chance will have it, else
/// pcapng.
pub fn write(frames: &[Frame], chance: &mut Chance) -> Vec<u8> {
    let one_link = frames.iter().all(|f| f.link == frames[0].link);
    let file = if one_link && chance.one_in(2) { pcap(frames, chance) } else { pcapng(frames, chance) };
    if chance.one_in(3) { pack(file, chance) } else { file }
}

fn pcap(frames: &[Frame], chance: &mut Chance) -> Vec<u8> {
    let (nanoseconds, big) = (chance.one_in(2), chance.one_in(3));
    let word = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let half = |n: u16| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let magic = if nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
    let mut file = [&word(magic)[..], &half(2), &half(4), &[0; 8], &word(65_535)].concat();
    file.extend(word(frames.first().map_or(1, |f| f.link.into())));
    for frame in frames {
        let (second, rest) = (frame.ts_ns.div_euclid(1_000_000_000), frame.ts_ns.rem_euclid(1_000_000_000));
        let part = if nanoseconds { rest } else { rest / 1_000 };
        for n in [second as u32, part as u32, frame.data.len() as u32, frame.orig_len] {
            file.extend(word(n));
        }
        file.extend(&frame.data);
    }
    file
}

fn pcapng(frames: &[Frame], chance: &mut Chance) -> Vec<u8> {
    let mut file = Vec::new();
    let mut block = |kind: u32, body: &[u8]| {
        let padding = vec![0; (4 - body.len() % 4) % 4];
        let len = (12 + body.len() + padding.len()) as u32;
        file.extend([&kind.to_le_bytes()[..], &len.to_le_bytes(), body, &padding, &len.to_le_bytes()].concat());
    };
    block(0x0a0d_0d0a, &[&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat());
    let mut interfaces: Vec<(u16, u32)> = Vec::new();
    for frame in frames {
        let known = interfaces.iter().position(|i| *i == (frame.link, frame.interface));
        let index = known.unwrap_or_else(|| {
            interfaces.push((frame.link, frame.interface));
            // Name, and nanoseconds.
            let name = format!("eth{}", frame.interface);
            let name = [&[2, 0, 4, 0][..], name.as_bytes().get(..4).unwrap_or(b"ethN")].concat();
            let options = [&name[..], &[9, 0, 1, 0, 9, 0, 0, 0], &[0; 4]].concat();
            block(1, &[&frame.link.to_le_bytes()[..], &[0; 6], &options].concat());
            interfaces.len() - 1
        });
        let ts = frame.ts_ns.max(0) as u64;
        let mut body = (index as u32).to_le_bytes().to_vec();
        for n in [(ts >> 32) as u32, ts as u32, frame.data.len() as u32, frame.orig_len] {
            body.extend(n.to_le_bytes());
        }
        body.extend(&frame.data);
        block(6, &body);
    }
    if chance.one_in(3) && !interfaces.is_empty() {
        // Interface statistics: received (4) and dropped (5).
        let numbers = [&[4, 0, 8, 0][..], &chance.odd_number().to_le_bytes(), &[5, 0, 8, 0]].concat();
        let numbers = [&numbers[..], &chance.odd_number().to_le_bytes(), &[0; 4]].concat();
        block(5, &[&[0; 12][..], &numbers].concat());
    }
    file
}

/// Packed by gzip, zstd or lz4. (No xz is written here: its files of testdata are changed as
/// bytes.)
pub fn pack(file: Vec<u8>, chance: &mut Chance) -> Vec<u8> {
    let packed = |result: std::io::Result<Vec<u8>>| result.expect("memory takes everything");
    match chance.below(3) {
        0 => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed(out.write_all(&file).and_then(|()| out.finish()))
        }
        1 => packed(zstd::encode_all(file.as_slice(), 1)),
        _ => {
            let mut out = lz4_flex::frame::FrameEncoder::new(Vec::new());
            packed(out.write_all(&file).and_then(|()| Ok(out.finish()?)))
        }
    }
}
