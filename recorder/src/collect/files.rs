//! The captures of a collector: bounded, rotating, in the format of pcapng
//! (draft-ietf-opsawg-pcapng).

use super::keep::Keeping;
use crate::clock::Now;
use crate::error::Error;
use crate::log::{Level, log};
use crate::rotate::{Retention, Rotation, Sealed};
use crate::segment_file::{SegmentFile, is_no_room};
use crate::spool::Spool;
use crate::units::size_text;
use imon_common::segment::SegmentMark;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags, openat, renameat, renameat2};
use nix::sys::stat::{Mode, SFlag, fstatat};
use std::fs::File;
use std::io::{self, Write};
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

/// Datagrams that wait in memory while the disk is full: seconds of a busy router, hours of a
/// small one.
const WAITING_BYTES: usize = 8 << 20;

/// How often a full disk is tried again, as for a recording.
const RETRY_EVERY: Duration = Duration::from_secs(2);

/// A power cut costs what came after the last sync: less than a second, as for a recording.
const SYNC_EVERY: Duration = Duration::from_millis(900);

/// How often it is looked for what has to go, where nothing was added.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The captures in a spool that are finished, the oldest first. One that was not gets its name:
/// what is in it is good up to where it was cut. What is no plain file is none of ours.
///
/// # Errors
/// The spool cannot be read.
pub(super) fn found(dir: &File) -> Result<Vec<Sealed>, Error> {
    let failed = |e: Errno| Error::System { doing: "cannot list the captures in the spool", source: e.into() };
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut found = Vec::new();
    for entry in Dir::openat(dir, ".", flags, Mode::empty()).map_err(failed)?.iter() {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        let finished = name.strip_suffix(OPEN).unwrap_or(name);
        let Some(begin) = begin_of(finished) else { continue };
        let stat = fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(failed)?;
        if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
            continue;
        }
        if finished != name {
            match rename_new(dir, name, finished) {
                Ok(()) => {}
                // Both were there: nobody is replaced.
                Err(Errno::EEXIST) => continue,
                Err(e) => return Err(failed(e)),
            }
        }
        let len_bytes = u64::try_from(stat.st_size).unwrap_or(0);
        found.push(Sealed { name: finished.to_owned(), mark: None, len_bytes, changed_ns: begin });
    }
    found.sort_by_key(|capture| capture.changed_ns);
    Ok(found)
}

/// Renames without ever replacing a file.
fn rename_new(dir: &File, from: &str, to: &str) -> nix::Result<()> {
    match renameat2(dir, from, dir, to, RenameFlags::RENAME_NOREPLACE) {
        // Some file systems do not know the flag. Under the lock nobody else makes names here.
        Err(Errno::EINVAL | Errno::ENOSYS) => match fstatat(dir, to, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => renameat(dir, from, dir, to),
            _ => Err(Errno::EEXIST),
        },
        other => other,
    }
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
    finished: Vec<Sealed>,
    open: Option<Open>,
    rotation: Rotation,
    retention: Retention,
    keeping: Keeping,
    /// When it was last looked for what has to go; `None` if there is a new capture since.
    looked_boot_ns: Option<i64>,
    /// Captures that this run has begun.
    begun: u64,
    /// Blocks of the datagrams that were taken since the last [`Self::write`], and how many.
    taken: Vec<u8>,
    in_taken: u64,
    /// Datagrams that found no room, on the disk or in memory.
    lost: u64,
}

struct Open {
    file: SegmentFile<File>,
    name: String,
    began_boot_ns: i64,
    /// When a full disk was last tried; `None` while there is room.
    tried_boot_ns: Option<i64>,
    /// Length and time of the last sync.
    synced: (u64, i64),
}

impl Open {
    fn part(&self) -> String {
        format!("{}{OPEN}", self.name)
    }
}

impl<'a> Captures<'a> {
    pub(super) fn new(spool: &'a Spool, finished: Vec<Sealed>, rotation: Rotation, retention: Retention) -> Self {
        Self {
            spool,
            finished,
            open: None,
            rotation,
            retention,
            keeping: Keeping::default(),
            looked_boot_ns: None,
            begun: 0,
            taken: Vec::new(),
            in_taken: 0,
            lost: 0,
        }
    }

    /// Datagrams that found no room.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// Adds a packet, to be written by the next [`Self::write`].
    pub(super) fn add(&mut self, now_ns: i64, packet: &[u8]) {
        enhanced_packet(&mut self.taken, now_ns, packet);
        self.in_taken += 1;
    }

    /// Writes what was added, and brings it to the disk if the last time was [`SYNC_EVERY`] ago. On
    /// a full disk it waits in memory; what finds no room there is lost, and told.
    ///
    /// # Errors
    /// Anything but that there is no room.
    pub(super) fn write(&mut self, now: Now) -> Result<(), Error> {
        let datagrams = std::mem::take(&mut self.in_taken);
        if datagrams > 0 {
            if self.open.is_none() {
                self.open = Some(self.begin(now)?);
            }
            match &mut self.open {
                Some(open) if !open.file.is_full() => {
                    open.file.write_all(&self.taken).map_err(|e| cannot_write(self.spool, &open.part(), e))?;
                }
                _ => self.lost += datagrams,
            }
            self.taken.clear();
        }
        self.relieve(now)?;
        self.sync(now)
    }

    /// On a full disk: says so, and tries again from time to time.
    fn relieve(&mut self, now: Now) -> Result<(), Error> {
        let (spool, lost) = (self.spool, self.lost);
        let Some(open) = self.open.as_mut().filter(|open| open.file.is_waiting()) else { return Ok(()) };
        let part = open.part();
        match open.tried_boot_ns {
            None => log(
                Level::Warning,
                format_args!("no room for {part}: datagrams wait in memory; above {WAITING_BYTES} bytes they are lost"),
            ),
            Some(before) if elapsed(before, now) < RETRY_EVERY => return Ok(()),
            Some(_) => {}
        }
        open.tried_boot_ns = Some(now.boot_ns);
        open.file.retry(|| create(spool.dir(), &part)).map_err(|e| cannot_write(spool, &part, e))?;
        if !open.file.is_waiting() {
            open.tried_boot_ns = None;
            log(Level::Notice, format_args!("there is room again: {part} goes on; {lost} datagrams were lost so far"));
        }
        Ok(())
    }

    fn sync(&mut self, now: Now) -> Result<(), Error> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let (len, at) = open.synced;
        if let Some(file) = open.file.file()
            && open.file.len_bytes() > len
            && elapsed(at, now) >= SYNC_EVERY
        {
            // A failed sync is not tried again: the kernel may have let go of the data.
            file.sync_data().map_err(|e| self.spool.failed("cannot sync", &open.part(), e))?;
            open.synced = (open.file.len_bytes(), now.boot_ns);
        }
        Ok(())
    }

    /// Finishes the capture that is written, if it is time, and removes what is too old or too
    /// much.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn rotate(&mut self, now: Now, asked: bool) -> Result<(), Error> {
        // How old it is says the clock that nobody sets.
        let is_due = |open: &Open| {
            let age = elapsed(open.began_boot_ns, now);
            !open.file.is_waiting() && (asked || self.rotation.is_due(open.file.len_bytes(), age))
        };
        if self.open.as_ref().is_some_and(is_due) {
            self.seal(now)?;
        }
        if self.looked_boot_ns.is_some_and(|before| elapsed(before, now) < LOOK_EVERY) {
            return Ok(());
        }
        self.looked_boot_ns = Some(now.boot_ns);
        for (name, why) in self.keeping.due(&self.finished, now, (self.rotation, self.retention)) {
            self.spool.folder().remove(&name)?;
            let len_bytes = self.finished.iter().find(|capture| capture.name == name).map_or(0, |c| c.len_bytes);
            self.finished.retain(|capture| capture.name != name);
            log(Level::Info, format_args!("removed {name}, {}, {why}", size_text(len_bytes)));
        }
        Ok(())
    }

    /// Finishes the capture that is written, if one is.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn seal(&mut self, now: Now) -> Result<(), Error> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        let (spool, part) = (self.spool, open.part());
        open.file.retry(|| create(spool.dir(), &part)).map_err(|e| cannot_write(spool, &part, e))?;
        if open.file.is_waiting() {
            let waiting = open.file.waiting_bytes();
            log(Level::Error, format_args!("no room for {part}: datagrams of {waiting} bytes are lost"));
        }
        let Some(file) = open.file.file() else { return Ok(()) };
        file.sync_all().map_err(|e| spool.failed("cannot sync", &part, e))?;
        let dir = spool.dir();
        rename_new(dir, &part, &open.name).map_err(|e| spool.failed("cannot rename", &part, e.into()))?;
        dir.sync_all().map_err(|e| spool.failed("cannot sync", &open.name, e))?;
        (self.begun, self.looked_boot_ns) = (self.begun + 1, None);
        let monotonic_start_ns = u64::try_from(open.began_boot_ns).unwrap_or(0);
        let mark = SegmentMark { recorder: [0; 16], sequence: self.begun, boot: Keeping::THIS_RUN, monotonic_start_ns };
        let len_bytes = open.file.len_bytes();
        self.finished.push(Sealed { name: open.name, mark: Some(mark), len_bytes, changed_ns: now.wall.0 });
        Ok(())
    }

    /// A new capture, with what stands at its beginning; it waits where there is no room for it.
    fn begin(&self, now: Now) -> Result<Open, Error> {
        // Two that begin at one instant, after a step of the clock, have one name.
        let is_free = |name: &String| self.finished.iter().all(|capture| capture.name != *name);
        let mut names = (now.wall.0.max(0)..=i64::MAX).map(name_of);
        let name = names.find(is_free).unwrap_or_default();
        let part = format!("{name}{OPEN}");
        let failed = |e| cannot_write(self.spool, &part, e);
        let mut file = SegmentFile::new(create(self.spool.dir(), &part).map_err(failed)?, WAITING_BYTES);
        file.write_all(&head()).map_err(failed)?;
        Ok(Open { file, name, began_boot_ns: now.boot_ns, tried_boot_ns: None, synced: (0, now.boot_ns) })
    }
}

/// Makes a file whose name survives a power cut; none if there is no room for it.
fn create(dir: &File, part: &str) -> io::Result<Option<File>> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    match openat(dir, part, flags, Mode::from_bits_truncate(0o640)).map_err(io::Error::from) {
        Ok(file) => dir.sync_all().map(|()| Some(file.into())),
        Err(e) if is_no_room(&e) => Ok(None),
        Err(e) => Err(e),
    }
}

fn cannot_write(spool: &Spool, part: &str, source: io::Error) -> Error {
    spool.failed("cannot write", part, source)
}

fn elapsed(from_boot_ns: i64, now: Now) -> Duration {
    Duration::from_nanos(u64::try_from(now.boot_ns.saturating_sub(from_boot_ns)).unwrap_or(0))
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
