//! Recording a capture file: the same pipeline, with the packets' own time.

use crate::cage::{self, Inherited, Inside, Kept, Needed, Threads, Use, standard};
use crate::capture::FileFilter;
use crate::cli::Settings;
use crate::counters::{Sums, count};
use crate::error::Error;
use crate::log::{Level, know_journal, log};
use crate::pipeline::{Pipeline, Plan};
use crate::privilege;
use crate::spool::Spool;
use crate::summary::Summary;
use imon_common::capture_file::{CaptureFileError, CaptureReader};
use imon_common::local::LocalNets;
use imon_common::observe::Counter;
use imon_common::packet::{CapturedPacket, LinkType};
use imon_common::time::UnixNanos;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::{Mode, umask};
use std::error::Error as _;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Cursor, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::Instant;

/// Longest of the magic numbers in [`PACKED`].
const MAGIC_BYTES: u64 = 6;

/// Where the system shows descriptors of this process as files.
const HANDED: [&str; 3] = ["/dev/fd/", "/dev/stdin", "/proc/self/fd/"];

/// Formats that captures come packed in: magic number, name, program that unpacks to its output.
const PACKED: [(&[u8], &str, &str); 5] = [
    (b"\x1f\x8b", "gzip", "zcat"),
    (b"\x28\xb5\x2f\xfd", "zstd", "zstdcat"),
    (b"\xfd7zXZ\0", "xz", "xzcat"),
    (b"\x04\x22\x4d\x18", "lz4", "lz4cat"),
    (b"BZh", "bzip2", "bzcat"),
];

/// Records a capture file (`-`: standard input) and prints the totals.
///
/// # Errors
/// The file cannot be read or is damaged; what came before the damage is recorded. The spool cannot
/// take it.
pub fn record(settings: Settings, path: &Path) -> Result<(), Error> {
    // First of all: what is open now is not ours.
    let inherited = Inherited::note();
    know_journal();
    umask(Mode::from_bits_truncate(0o077));
    let account = privilege::choose_here(settings.user.as_deref())?;
    let Opened { file, name, kept: opened } = open(path)?;
    let spool = Spool::open(&settings.spool, account.as_ref())?;
    let mut filter = FileFilter::new(&settings.filter);
    // Files are hostile, too. What this kernel cannot enforce is said and no reason to refuse: here
    // are no rights to lose.
    inherited.close();
    let mut kept = standard(if opened.is_none() { Needed::Input } else { Needed::Neither })?;
    kept.extend(opened);
    kept.extend(spool.kept());
    let inside = Inside { spool: &spool, beside: None, captures: &[], kept: &kept };
    cage::enter(account.as_ref(), &inside, Threads::One)?.report.note();
    spool.adopt_leftovers()?;
    spool.note_foreign()?;

    let began = Instant::now();
    let plan = Plan {
        interface: name,
        link_type: LinkType(0), // the first packet says
        local: LocalNets::new(settings.local),
        interval_ns: settings.interval_ns,
        boot: [0; 16],
        rotation: settings.rotation,
        retention: None,  // who imports a file has not asked to remove others
        waiting_bytes: 0, // a file can be read again when there is room
    };
    let mut pipeline = Pipeline::new(spool, plan)?;
    let mut input = Input { last: UnixNanos(0), dropped: None };
    let read = input.read_all(file, path, &mut pipeline, &mut filter);
    if !matches!(read, Ok(()) | Err(Error::CaptureFile { .. })) {
        return read;
    }
    // That nothing was lost is a statement as well.
    if let Some(dropped) = input.dropped {
        pipeline.flush()?;
        pipeline.counts(input.last, &[count(Counter::KernelDropped, dropped, 0)])?;
    }
    pipeline.seal_last(input.last)?;
    let lost = Sums { kernel_dropped: input.dropped.unwrap_or(0), interface_dropped: 0 };
    log(Level::Info, format_args!("{}", Summary::of(&pipeline, lost, began.elapsed())));
    read
}

/// What is known of a capture file when it has been read, to its end or to where it is damaged.
struct Input {
    /// Time of the last packet.
    last: UnixNanos,
    /// Packets that the capturing program lost, if the file says so (pcapng only).
    dropped: Option<u64>,
}

/// A capture file.
struct Opened {
    file: Box<dyn Read>,
    /// By which its segments are known.
    name: String,
    /// What stays open of it beside standard input.
    kept: Option<Kept>,
}

fn open(path: &Path) -> Result<Opened, Error> {
    if path == Path::new("-") {
        return Ok(Opened { file: Box::new(io::stdin().lock()), name: "stdin".into(), kept: None });
    }
    let file = open_file(path).map_err(|source| Error::OpenFile { path: path.to_owned(), source })?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let kept = Kept::new(&file, Use::ReadOnce, "the capture file");
    Ok(Opened { file: Box::new(file), name, kept: Some(kept) })
}

/// Opens a capture file. A named pipe or a device is refused: nobody says that anything will ever
/// come from it. A descriptor that the shell handed over (`<(zcat a.pcap.gz)` is `/dev/fd/63`) is
/// read, whatever it is. As the analyzer opens its files: what both share opens none.
fn open_file(path: &Path) -> io::Result<File> {
    let is_handed = HANDED.iter().any(|place| path.as_os_str().as_bytes().starts_with(place.as_bytes()));
    // To open a device can do something already: a tape is rewound.
    readable(&path.metadata()?, is_handed)?;
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    // By now it may be another one.
    let about = file.metadata()?;
    readable(&about, is_handed)?;
    if !about.is_file() {
        let flags = OFlag::from_bits_truncate(fcntl(&file, FcntlArg::F_GETFL)?);
        fcntl(&file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    }
    Ok(file)
}

fn readable(about: &Metadata, is_handed: bool) -> io::Result<()> {
    let what = about.file_type();
    if what.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if what.is_file() || is_handed {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        match what {
            what if what.is_fifo() => {
                "it is a named pipe, and nobody may ever write into it; `-` reads standard input: --read - < PIPE"
            }
            what if what.is_socket() => "it is a socket",
            _ => "it is a device",
        },
    ))
}

impl Input {
    fn read_all(
        &mut self,
        mut file: Box<dyn Read>,
        path: &Path,
        pipeline: &mut Pipeline,
        filter: &mut FileFilter,
    ) -> Result<(), Error> {
        let mut start = Vec::new();
        let failed = |source| Error::OpenFile { path: path.to_owned(), source };
        file.by_ref().take(MAGIC_BYTES).read_to_end(&mut start).map_err(failed)?;
        if let Some((_, format, unpack)) = PACKED.iter().find(|(magic, ..)| start.starts_with(magic)) {
            return Err(Error::Packed { path: path.to_owned(), format, unpack });
        }
        let damaged = |e: CaptureFileError| Error::CaptureFile {
            path: path.to_owned(),
            packets: e.packets(),
            cause: e.source().map_or_else(|| e.to_string(), |source| format!("{e}: {source}")),
        };
        let mut reader = CaptureReader::new(Cursor::new(start).chain(file)).map_err(damaged)?;
        let outcome = self.packets(&mut reader, pipeline, filter, damaged);
        self.dropped = reader.dropped();
        outcome
    }

    fn packets<R: Read>(
        &mut self,
        reader: &mut CaptureReader<R>,
        pipeline: &mut Pipeline,
        filter: &mut FileFilter,
        damaged: impl Fn(CaptureFileError) -> Error,
    ) -> Result<(), Error> {
        // The first one is copied, so that the reader can be asked what the file has described
        // until there.
        let first = reader.next_packet().map_err(&damaged)?;
        let first = first.map(|packet| (CapturedPacket { data: &[], ..packet }, packet.data.to_vec()));
        let mut told = 0;
        tell_interfaces(reader, &mut told, pipeline)?;
        if let Some((packet, data)) = first {
            self.packet(&CapturedPacket { data: &data, ..packet }, pipeline, filter)?;
        }
        while let Some(packet) = reader.next_packet().map_err(&damaged)? {
            self.packet(&packet, pipeline, filter)?;
            tell_interfaces(reader, &mut told, pipeline)?;
        }
        Ok(())
    }

    #[inline]
    fn packet(
        &mut self,
        packet: &CapturedPacket<'_>,
        pipeline: &mut Pipeline,
        filter: &mut FileFilter,
    ) -> Result<(), Error> {
        if !filter.passes(packet)? {
            return Ok(());
        }
        self.last = packet.ts;
        if pipeline.rotation_due(packet.ts.0) {
            pipeline.seal(packet.ts)?;
        }
        pipeline.packet(packet)
    }
}

/// Tells the pipeline of interfaces that the capture has described since the last time.
#[inline]
fn tell_interfaces<R: Read>(reader: &CaptureReader<R>, told: &mut u32, pipeline: &mut Pipeline) -> Result<(), Error> {
    while let Some(interface) = reader.interfaces().get(*told as usize) {
        pipeline.know_interface(*told, interface)?;
        *told += 1;
    }
    Ok(())
}
