//! The captures of a collector: bounded, rotating, in the format of pcapng
//! (draft-ietf-opsawg-pcapng).

use crate::error::Error;
use crate::log::{Level, log};
use crate::rotate::{Retention, Rotation};
use crate::spool::Spool;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// What finished captures are called; the analyzer looks for it in a spool.
pub(super) const FINISHED: &str = ".exported.pcapng";

/// What is behind that while one is written.
const OPEN: &str = ".open";

/// Beginning of their names; behind it the time of the beginning, in nanoseconds.
const PREFIX: &str = "imon-";

/// How the interface of these captures is called: by it the analyzer knows what they are.
const INTERFACE: &[u8] = b"imon-record --collect";

/// LINKTYPE_RAW: packets begin with the header of IPv4 or IPv6.
const RAW: u16 = 101;

/// The captures in a spool: length by beginning.
pub(super) type Found = BTreeMap<i64, u64>;

/// The captures that are in the spool at `path`. One that was not finished gets its name: what is
/// in it is good up to where it was cut.
///
/// # Errors
/// The spool cannot be read.
pub(super) fn found(path: &Path) -> Result<Found, Error> {
    let failed = |source| Error::System { doing: "cannot list the captures in the spool", source };
    let mut found = Found::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let finished = name.strip_suffix(OPEN).unwrap_or(name);
        let Some(begin) = begin_of(finished) else { continue };
        if finished != name {
            std::fs::rename(entry.path(), path.join(finished)).map_err(failed)?;
        }
        found.insert(begin, entry.metadata().map_or(0, |about| about.len()));
    }
    Ok(found)
}

fn begin_of(name: &str) -> Option<i64> {
    let digits = name.strip_prefix(PREFIX)?.strip_suffix(FINISHED)?;
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

fn name_of(begin_ns: i64) -> String {
    format!("{PREFIX}{begin_ns}{FINISHED}")
}

/// The captures, and the one that is written.
pub(super) struct Captures<'a> {
    spool: &'a Spool,
    finished: Found,
    open: Option<Open>,
    rotation: Rotation,
    retention: Retention,
    /// Blocks that wait to be written.
    waiting: Vec<u8>,
    /// Datagrams that found no room on the disk.
    lost: u64,
    in_waiting: u64,
}

struct Open {
    file: File,
    begin_ns: i64,
    len_bytes: u64,
}

impl<'a> Captures<'a> {
    pub(super) fn new(spool: &'a Spool, finished: Found, rotation: Rotation, retention: Retention) -> Self {
        Self { spool, finished, open: None, rotation, retention, waiting: Vec::new(), lost: 0, in_waiting: 0 }
    }

    /// Adds a packet, to be written by the next [`Self::write`].
    pub(super) fn add(&mut self, now_ns: i64, packet: &[u8]) {
        enhanced_packet(&mut self.waiting, now_ns, packet);
        self.in_waiting += 1;
        if self.open.is_none() {
            self.open = self.begin(now_ns);
        }
    }

    /// Writes what waits. What finds no room is lost, and told.
    pub(super) fn write(&mut self) -> Result<(), Error> {
        let datagrams = std::mem::take(&mut self.in_waiting);
        if datagrams == 0 {
            return Ok(());
        }
        let written = self.open.as_mut().map(|open| {
            open.len_bytes += self.waiting.len() as u64;
            open.file.write_all(&self.waiting)
        });
        self.waiting.clear();
        if !matches!(written, Some(Ok(()))) {
            if self.lost == 0 {
                let why = written.and_then(Result::err).map_or("no file".into(), |e| e.to_string());
                log(Level::Warning, format_args!("datagrams are lost: the capture cannot be written: {why}"));
            }
            self.lost += datagrams;
            // A block may be there in part: nothing may follow it.
            self.seal()?;
        }
        Ok(())
    }

    /// Begins another capture if it is time, and removes the oldest.
    pub(super) fn rotate(&mut self, now_ns: i64, asked: bool) -> Result<(), Error> {
        let is_due = self.open.as_ref().is_some_and(|open| {
            let age_ns = u64::try_from(now_ns.saturating_sub(open.begin_ns)).unwrap_or(0);
            asked || self.rotation.is_due(open.len_bytes, Duration::from_nanos(age_ns))
        });
        if is_due {
            self.seal()?;
        }
        let age_ns = i64::try_from(self.retention.age.as_nanos()).unwrap_or(i64::MAX);
        let oldest_ns = now_ns.saturating_sub(age_ns);
        loop {
            let open = self.open.as_ref().map_or(0, |open| open.len_bytes);
            let all = self.finished.values().fold(open, |sum, len| sum.saturating_add(*len));
            let Some((begin_ns, _)) = self.finished.first_key_value() else { return Ok(()) };
            let begin_ns = *begin_ns;
            if all <= self.retention.size_bytes && begin_ns >= oldest_ns {
                return Ok(());
            }
            // One that is gone already is as good as removed.
            _ = unlinkat(self.spool.dir(), name_of(begin_ns).as_str(), UnlinkatFlags::NoRemoveDir);
            self.finished.remove(&begin_ns);
        }
    }

    /// Finishes the capture that is written, if one is.
    pub(super) fn seal(&mut self) -> Result<(), Error> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let name = name_of(open.begin_ns);
        let part = format!("{name}{OPEN}");
        open.file.sync_all().map_err(|e| self.spool.failed("cannot sync", &part, e))?;
        let dir = self.spool.dir();
        renameat(dir, part.as_str(), dir, name.as_str())
            .map_err(|e| self.spool.failed("cannot rename", &part, e.into()))?;
        dir.sync_all().map_err(|e| self.spool.failed("cannot sync", &name, e))?;
        self.finished.insert(open.begin_ns, open.len_bytes);
        Ok(())
    }

    /// A new capture, with what stands at its beginning; none if there is no room for it.
    fn begin(&self, now_ns: i64) -> Option<Open> {
        // Two that begin at one instant, after a step of the clock, have one name.
        let begin_ns = (now_ns..now_ns.saturating_add(1_000)).find(|at| !self.finished.contains_key(at))?;
        let part = format!("{}{OPEN}", name_of(begin_ns));
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(self.spool.dir(), part.as_str(), flags, Mode::from_bits_truncate(0o640)).ok()?;
        let mut file = File::from(file);
        let head = head();
        file.write_all(&head).ok()?;
        Some(Open { file, begin_ns, len_bytes: head.len() as u64 })
    }
}

/// A block of a pcapng file: type, length, content padded to four bytes, length again.
fn block(out: &mut Vec<u8>, kind: u32, content: &[u8], data: &[u8]) {
    let padding = data.len().next_multiple_of(4) - data.len();
    let len = u32::try_from(12 + content.len() + data.len() + padding).unwrap_or(0);
    out.extend(kind.to_le_bytes());
    out.extend(len.to_le_bytes());
    out.extend(content);
    out.extend(data);
    out.resize(out.len() + padding, 0);
    out.extend(len.to_le_bytes());
}

/// Section header and the description of the interface: its name, and times in nanoseconds.
fn head() -> Vec<u8> {
    let mut out = Vec::new();
    let section = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &1u16.to_le_bytes(), &0u16.to_le_bytes(), &[0xff; 8]].concat();
    block(&mut out, 0x0a0d_0d0a, &section, &[]);
    let mut interface = [&RAW.to_le_bytes()[..], &[0, 0], &0u32.to_le_bytes()].concat();
    interface.extend(2u16.to_le_bytes()); // if_name
    interface.extend((INTERFACE.len() as u16).to_le_bytes());
    interface.extend(INTERFACE);
    interface.resize(interface.len().next_multiple_of(4), 0);
    interface.extend([9, 0, 1, 0, 9, 0, 0, 0]); // if_tsresol: 10^-9
    interface.extend([0; 4]); // opt_endofopt
    block(&mut out, 1, &interface, &[]);
    out
}

fn enhanced_packet(out: &mut Vec<u8>, at_ns: i64, packet: &[u8]) {
    let at = at_ns.max(0).cast_unsigned();
    let len = u32::try_from(packet.len()).unwrap_or(0);
    let words = [0, (at >> 32) as u32, (at & 0xffff_ffff) as u32, len, len];
    block(out, 6, &words.map(u32::to_le_bytes).concat(), packet);
}

#[cfg(test)]
mod tests {
    use super::*;
    use imon_common::capture_file::CaptureReader;

    #[test]
    fn a_capture_reads_back_with_the_name_of_its_interface() {
        let mut file = head();
        let packets: [&[u8]; 3] = [b"E12345678901234567890", b"E1", b"E123"];
        for (at, packet) in packets.iter().enumerate() {
            enhanced_packet(&mut file, 1_793_491_200_000_000_000 + at as i64, packet);
        }
        let mut reader = CaptureReader::new(&file[..]).unwrap();
        for (at, expected) in packets.iter().enumerate() {
            let packet = reader.next_packet().unwrap().unwrap();
            assert_eq!((packet.data, packet.ts.0), (*expected, 1_793_491_200_000_000_000 + at as i64));
            assert_eq!(packet.link_type.0, RAW);
        }
        assert!(reader.next_packet().unwrap().is_none());
        assert_eq!(reader.interfaces()[0].name.as_bytes(), INTERFACE);
    }

    #[test]
    fn names_tell_the_beginning_and_nothing_else_is_taken_for_one() {
        assert_eq!(begin_of(&name_of(1_793_491_200_000_000_000)), Some(1_793_491_200_000_000_000));
        for other in ["imon-1.seg", "imon-x.exported.pcapng", "imon-.exported.pcapng", "1.exported.pcapng", "lock"] {
            assert_eq!(begin_of(other), None, "{other}");
        }
    }
}
