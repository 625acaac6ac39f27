//! Opening what the user names: plain or compressed, a file or the standard input.
//!
//! Compression is known by its first bytes, never by the file's name. Everything is a stream in
//! bounded memory, however much the data grows while it is decompressed. What the bytes mean is not
//! decided here, but for files of IPFIX messages, which are handed on as captures of messages.
//!
//! | compression | read | bound |
//! | --- | --- | --- |
//! | gzip | several members | 32 KiB window by the format |
//! | zstd | several frames, skippable ones | window of 128 MiB, zstd's own default limit: takes `--long`, refuses `--long=28` |
//! | xz | several streams, padding | 128 MiB: takes `xz -9`, which needs 65 |
//! | lz4 | several frames | blocks of 4 MiB by the format |

use crate::exported::{MESSAGE_HEAD_BYTES, Messages, is_message};
use crate::files;
use flate2::bufread::MultiGzDecoder;
use imon_common::capture_file;
use lz4_flex::frame::FrameDecoder;
use lzma_rust2::XzReader;
use sha2::{Digest, Sha256};
use std::io::{self, BufRead, Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Bytes of the raw file held at a time where a decompressor takes it in small bites. Larger
/// requests go straight to the file.
const RAW_BUFFER_BYTES: usize = 64 << 10;

/// Bytes that tell the compressions apart.
const MAGIC_BYTES: usize = 6;

/// Largest window of a zstd frame, as a power of two: the limit that `zstd` itself keeps to unless
/// told otherwise.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Memory that an xz decoder may take. `xz -9` needs 65 MiB.
const XZ_MEMORY_KIB: u32 = 128 << 10;

/// First bytes of a segment of imon-record.
const SEGMENT_MAGIC: &[u8] = b"IMONSEG\0";

/// What cannot be opened, and why.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// No such file, no permission and the like.
    #[error("cannot open {}", path.display())]
    Open {
        /// As typed.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A folder where a file was expected.
    #[error("{} is a folder", path.display())]
    Folder {
        /// As typed.
        path: PathBuf,
    },
    /// The first bytes could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// As typed.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Why compressed data gave no further bytes. Travels inside an [`io::Error`].
#[derive(Debug, thiserror::Error)]
pub enum DecompressError {
    /// The file ends before its compressed data do.
    #[error("the {compression} data end early: the compressed file is cut at byte {at}")]
    Cut {
        /// By its first bytes.
        compression: Compression,
        /// Length of the raw file.
        at: u64,
    },
    /// Damaged, or beyond the memory that is allowed for it.
    #[error("the {compression} data cannot be decompressed near byte {at} of the compressed file: {reason}")]
    Undecodable {
        /// By its first bytes.
        compression: Compression,
        /// Bytes of the raw file read until then.
        at: u64,
        /// What the decompressor says.
        reason: String,
    },
}

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    Plain,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// The .xz format, LZMA2 inside.
    Xz,
    /// The LZ4 frame format.
    Lz4,
}

impl Compression {
    /// By the first bytes of a file.
    fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            // A skippable frame may stand first (pzstd does that).
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x04, 0x22, 0x4d, 0x18, ..] => Self::Lz4,
            _ => Self::Plain,
        }
    }
}

impl std::fmt::Display for Compression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Lz4 => "lz4",
        })
    }
}

/// Called with the bytes of the raw file read so far, and its length where it has one.
pub type Progress = Box<dyn FnMut(u64, Option<u64>) + Send>;

/// What to do while the raw file passes by.
#[derive(Default)]
pub struct Watch {
    /// Compute the SHA-256 of the raw file, see [`Input::finish`].
    pub identity: bool,
    /// Tell how far it is; called once per read of the file (64 KiB or more).
    pub progress: Option<Progress>,
}

/// What a file turned out to be when it was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Length of the raw (compressed) file.
    pub raw_bytes: u64,
    /// SHA-256 of the raw file, if [`Watch::identity`] asked for it.
    pub sha256: Option<[u8; 32]>,
}

/// Opens `path`, or the standard input for `-`, and finds out its compression.
///
/// # Errors
/// It cannot be opened or read, or it is a folder.
pub fn open(path: &Path, watch: Watch) -> Result<Input, InputError> {
    let (source, total) = open_source(path)?;
    Input::new(source, total, watch).map_err(|source| InputError::Read { path: path.to_owned(), source })
}

/// The raw bytes of `path` and their number; no number for a pipe.
fn open_source(path: &Path) -> Result<(Box<dyn Read + Send>, Option<u64>), InputError> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let failed = |source| InputError::Open { path: path.to_owned(), source };
    let file = files::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if about.is_dir() {
        return Err(InputError::Folder { path: path.to_owned() });
    }
    Ok((Box::new(file), about.is_file().then_some(about.len())))
}

/// What a path names, for deciding which way it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A folder: a spool, or one with captures in it.
    Folder,
    /// A segment of imon-record.
    Segment,
    /// A pcap or pcapng file, compressed or not; also the standard input and any pipe, which cannot
    /// be looked into without taking from it.
    Capture,
    /// Something else, named with an article: "an HTML page".
    Other(String),
}

/// Finds out what `path` names, by its first bytes.
///
/// # Errors
/// It cannot be opened or read.
pub fn classify(path: &Path) -> Result<Kind, InputError> {
    if path == Path::new("-") {
        return Ok(Kind::Capture);
    }
    let about = std::fs::metadata(path).map_err(|source| InputError::Open { path: path.to_owned(), source })?;
    if about.is_dir() {
        return Ok(Kind::Folder);
    }
    if !about.is_file() {
        return Ok(Kind::Capture);
    }
    Ok(kind_of(open(path, Watch::default())?))
}

fn kind_of(mut input: Input) -> Kind {
    let compression = input.compression();
    let mut head = Vec::new();
    let read = input.by_ref().take(capture_file::HEAD_BYTES as u64).read_to_end(&mut head);
    if capture_file::is_capture(&head) {
        return Kind::Capture;
    }
    match (compression, read) {
        (Compression::Plain, _) if head.starts_with(SEGMENT_MAGIC) => Kind::Segment,
        (Compression::Plain, _) => Kind::Other(capture_file::describe(&head)),
        (_, Err(_)) => Kind::Other(format!("{compression} data that are cut or damaged at their start")),
        (_, Ok(_)) => Kind::Other(format!("{}, {compression}-compressed", capture_file::describe(&head))),
    }
}

/// The decompressed bytes of a file.
pub struct Input {
    decoder: Decoder,
    compression: Compression,
    shape: Shape,
    /// After an error a decompressor must not be asked again; the file behind it may still be read.
    failed: bool,
}

/// How the decompressed bytes are handed on.
enum Shape {
    /// Nobody has looked.
    Unknown,
    /// As they are, behind the first ones, which were looked at.
    AsIs(Cursor<Vec<u8>>),
    /// As a capture of the messages that they are.
    Messages(Messages),
}

#[allow(clippy::large_enum_variant)] // one per open file
enum Decoder {
    Plain(Raw),
    Gzip(MultiGzDecoder<Raw>),
    Zstd(zstd::stream::read::Decoder<'static, Raw>),
    Xz(XzReader<Raw>),
    Lz4(Lz4Frames),
}

impl Input {
    /// Wraps `source`, of which `total` bytes are known to come.
    ///
    /// # Errors
    /// The first bytes cannot be read.
    pub fn new(source: Box<dyn Read + Send>, total: Option<u64>, watch: Watch) -> io::Result<Self> {
        let mut raw = Raw::new(source, total, watch);
        let compression = Compression::of(raw.peek(MAGIC_BYTES)?);
        let decoder = match compression {
            Compression::Plain => Decoder::Plain(raw),
            Compression::Gzip => Decoder::Gzip(MultiGzDecoder::new(raw)),
            Compression::Zstd => Decoder::Zstd(zstd_decoder(raw)?),
            Compression::Xz => Decoder::Xz(XzReader::new_mem_limit(raw, true, XZ_MEMORY_KIB)),
            Compression::Lz4 => Decoder::Lz4(Lz4Frames { frames: FrameDecoder::new(raw), finished: false }),
        };
        Ok(Self { decoder, compression, shape: Shape::Unknown, failed: false })
    }

    /// Finds out what the decompressed bytes are. An error behind the first ones comes again when
    /// they are read.
    fn look(&mut self) -> io::Result<()> {
        let mut head = Vec::with_capacity(MESSAGE_HEAD_BYTES);
        let read = self.decoder.by_ref().take(MESSAGE_HEAD_BYTES as u64).read_to_end(&mut head);
        if head.is_empty() {
            read?;
        }
        let is_message = is_message(&head);
        let head = Cursor::new(head);
        self.shape = if is_message { Shape::Messages(Messages::new(head)) } else { Shape::AsIs(head) };
        Ok(())
    }

    /// How the file is compressed.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// Reads what is left of the raw file and tells what it was.
    ///
    /// # Errors
    /// The rest cannot be read.
    pub fn finish(mut self) -> io::Result<Source> {
        let raw = self.raw();
        io::copy(raw, &mut io::sink())?;
        Ok(raw.source_so_far())
    }

    fn raw(&mut self) -> &mut Raw {
        match &mut self.decoder {
            Decoder::Plain(raw) => raw,
            Decoder::Gzip(gzip) => gzip.get_mut(),
            Decoder::Zstd(zstd) => zstd.get_mut(),
            Decoder::Xz(xz) => xz.inner_mut(),
            Decoder::Lz4(lz4) => lz4.frames.get_mut(),
        }
    }

    /// Says in which data, and where, a decompressor gave up.
    #[cold]
    fn explain(&mut self, error: io::Error) -> io::Error {
        self.failed = true;
        let (compression, kind) = (self.compression, error.kind());
        if compression == Compression::Plain {
            return error;
        }
        let at = self.raw().passed;
        let cut = kind == ErrorKind::UnexpectedEof;
        io::Error::new(
            kind,
            if cut {
                DecompressError::Cut { compression, at }
            } else {
                DecompressError::Undecodable { compression, at, reason: error.to_string() }
            },
        )
    }
}

fn zstd_decoder(raw: Raw) -> io::Result<zstd::stream::read::Decoder<'static, Raw>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(raw)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.failed {
            return Ok(0);
        }
        if matches!(self.shape, Shape::Unknown)
            && let Err(error) = self.look()
        {
            return Err(self.explain(error));
        }
        let result = match &mut self.shape {
            Shape::Messages(messages) => messages.read(into, &mut self.decoder),
            Shape::AsIs(head) if head.position() < head.get_ref().len() as u64 => head.read(into),
            Shape::AsIs(_) | Shape::Unknown => self.decoder.read(into),
        };
        result.map_err(|error| self.explain(error))
    }
}

impl Read for Decoder {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(raw) => raw.read(into),
            Self::Gzip(gzip) => gzip.read(into),
            Self::Zstd(zstd) => zstd.read(into),
            Self::Xz(xz) => xz.read(into),
            Self::Lz4(lz4) => lz4.read(into),
        }
    }
}

/// The LZ4 decoder over several frames. By itself it ends after the first, and takes a file that is
/// cut between two blocks for complete.
struct Lz4Frames {
    frames: FrameDecoder<Raw>,
    finished: bool,
}

impl Read for Lz4Frames {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() || self.finished {
            return Ok(0);
        }
        loop {
            let got = self.frames.read(into)?;
            if got > 0 {
                return Ok(got);
            }
            // The frame is over, or the file is. A frame that is complete ends without a look at
            // what follows.
            let raw = self.frames.get_mut();
            if raw.at_end {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if raw.fill_buf()?.is_empty() {
                self.finished = true;
                return Ok(0);
            }
        }
    }
}

/// The raw file: buffered, counted, hashed.
struct Raw {
    source: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes taken from the source.
    passed: u64,
    total: Option<u64>,
    /// The source has said that it is over.
    at_end: bool,
    hash: Option<Sha256>,
    progress: Option<Progress>,
}

impl Raw {
    fn new(source: Box<dyn Read + Send>, total: Option<u64>, watch: Watch) -> Self {
        Self {
            source,
            buffer: vec![0; RAW_BUFFER_BYTES],
            start: 0,
            end: 0,
            passed: 0,
            total,
            at_end: false,
            hash: watch.identity.then(Sha256::new),
            progress: watch.progress,
        }
    }

    /// At least the first `n` bytes without taking them; fewer if the file is shorter.
    fn peek(&mut self, n: usize) -> io::Result<&[u8]> {
        while self.end < n {
            let free = self.buffer.get_mut(self.end..).unwrap_or_default();
            let got = read_uninterrupted(&mut self.source, free)?;
            if got == 0 {
                break;
            }
            let new = self.end..self.end + got;
            self.end += got;
            self.note(new);
        }
        Ok(self.buffer.get(..self.end).unwrap_or_default())
    }

    /// Counts and hashes the bytes of the buffer that have just come.
    fn note(&mut self, new: std::ops::Range<usize>) {
        let bytes = self.buffer.get(new).unwrap_or_default();
        note(&mut self.hash, &mut self.passed, bytes);
        if let Some(progress) = &mut self.progress {
            progress(self.passed, self.total);
        }
    }

    fn source_so_far(&mut self) -> Source {
        Source { raw_bytes: self.passed, sha256: self.hash.take().map(|hash| hash.finalize().into()) }
    }
}

fn note(hash: &mut Option<Sha256>, passed: &mut u64, bytes: &[u8]) {
    if let Some(hash) = hash {
        hash.update(bytes);
    }
    *passed += bytes.len() as u64;
}

fn read_uninterrupted(source: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(into) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

impl Read for Raw {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.start == self.end && into.len() >= RAW_BUFFER_BYTES {
            let got = read_uninterrupted(&mut self.source, into)?;
            self.at_end = got == 0;
            note(&mut self.hash, &mut self.passed, into.get(..got).unwrap_or_default());
            if let Some(progress) = &mut self.progress {
                progress(self.passed, self.total);
            }
            return Ok(got);
        }
        let mut here = self.fill_buf()?;
        let got = here.read(into)?;
        self.consume(got);
        Ok(got)
    }
}

impl BufRead for Raw {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            let got = read_uninterrupted(&mut self.source, &mut self.buffer)?;
            (self.start, self.end) = (0, got);
            self.at_end = got == 0;
            self.note(0..got);
        }
        Ok(self.buffer.get(self.start..self.end).unwrap_or_default())
    }

    fn consume(&mut self, n: usize) {
        self.start = self.end.min(self.start + n);
    }
}

#[cfg(test)]
mod tests;
