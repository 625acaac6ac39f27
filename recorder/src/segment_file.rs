//! The file behind an open segment. When the disk has no room its blocks wait in memory, up to a
//! bound, and are written as soon as there is room: to the segment they belong to, in their order,
//! as if nothing had happened.

use sha2::{Digest as _, Sha256};
use std::collections::VecDeque;
use std::io::{self, Seek, SeekFrom, Write};

/// Whether an error says that there is no room (ENOSPC, or EDQUOT for this user): the one failure
/// that passes by itself.
pub fn is_no_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// An open segment's file and what waits to be written to it.
#[derive(Debug)]
pub struct SegmentFile<F> {
    /// `None`: not even the file could be made.
    file: Option<F>,
    /// Bytes in the file that are whole blocks. What a write that found no room left behind them is
    /// written over.
    len_bytes: u64,
    waiting: VecDeque<Vec<u8>>,
    waiting_bytes: usize,
    limit_bytes: usize,
    /// Of the bytes in the file.
    hash: Sha256,
}

impl<F: Write + Seek> SegmentFile<F> {
    /// A file that is empty, or for which there was no room. With `limit_bytes` 0 nothing waits: no
    /// room is an error.
    pub fn new(file: Option<F>, limit_bytes: usize) -> Self {
        Self { file, len_bytes: 0, waiting: VecDeque::new(), waiting_bytes: 0, limit_bytes, hash: Sha256::new() }
    }

    /// SHA-256 of the bytes in the file; `None` while some wait.
    pub fn sha256(&self) -> Option<[u8; 32]> {
        (!self.is_waiting()).then(|| self.hash.clone().finalize().into())
    }

    /// The file, if there was room for one.
    pub fn file(&self) -> Option<&F> {
        self.file.as_ref()
    }

    /// Bytes written.
    pub fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// Bytes that wait for room.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Something waits for room.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// As much waits as may. A block that comes all the same is still taken: its records have been
    /// handed over.
    pub fn is_full(&self) -> bool {
        self.waiting_bytes > 0 && self.waiting_bytes >= self.limit_bytes
    }

    /// Writes what waits, as far as there is room; `create` makes the file where it is missing.
    ///
    /// # Errors
    /// Any but that there is no room.
    pub fn retry<E: From<io::Error>>(&mut self, create: impl FnOnce() -> Result<Option<F>, E>) -> Result<(), E> {
        if self.file.is_none() {
            self.file = create()?;
        }
        while let Some(block) = self.waiting.pop_front() {
            if !self.try_write(&block)? {
                self.waiting.push_front(block);
                return Ok(());
            }
            self.waiting_bytes -= block.len();
        }
        Ok(())
    }

    /// Writes a block. `false`: there is no room, and the next one goes where this one should have
    /// gone.
    fn try_write(&mut self, block: &[u8]) -> io::Result<bool> {
        let Some(file) = &mut self.file else {
            return Ok(false);
        };
        match file.write_all(block) {
            Ok(()) => {
                self.len_bytes += block.len() as u64;
                self.hash.update(block);
                Ok(true)
            }
            Err(e) if is_no_room(&e) && self.limit_bytes > 0 => {
                file.seek(SeekFrom::Start(self.len_bytes))?;
                Ok(false)
            }
            Err(e) => Err(e),
        }
    }
}

impl<F: Write + Seek> Write for SegmentFile<F> {
    /// Takes a whole block, which is what the segment writer hands over in one call.
    fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        if self.is_waiting() || !self.try_write(block)? {
            self.waiting.push_back(block.to_vec());
            self.waiting_bytes += block.len();
        }
        Ok(block.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    /// A disk on which a file may grow to so many bytes.
    struct Disk {
        bytes: io::Cursor<Vec<u8>>,
        room: Rc<Cell<u64>>,
    }

    impl Write for Disk {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            let room = self.room.get().saturating_sub(self.bytes.position()) as usize;
            if room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.bytes.write(&buf[..buf.len().min(room)])
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Seek for Disk {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.bytes.seek(to)
        }
    }

    fn disk(room: u64) -> (Disk, Rc<Cell<u64>>) {
        let room = Rc::new(Cell::new(room));
        (Disk { bytes: io::Cursor::default(), room: room.clone() }, room)
    }

    fn no_file() -> io::Result<Option<Disk>> {
        Ok(None)
    }

    #[test]
    fn blocks_wait_in_their_order_and_overwrite_what_was_torn() {
        let (disk, room) = disk(13);
        let mut file = SegmentFile::new(Some(disk), 100);
        for block in ["first--10-", "second-10-", "third"] {
            file.write_all(block.as_bytes()).unwrap();
        }
        assert_eq!((file.len_bytes(), file.waiting_bytes()), (10, 15));
        file.retry(no_file).unwrap();
        assert_eq!((file.len_bytes(), file.waiting_bytes(), file.sha256()), (10, 15, None));
        room.set(22); // for the second, and a part of the third
        file.retry(no_file).unwrap();
        assert_eq!((file.len_bytes(), file.waiting_bytes()), (20, 5));
        room.set(1000);
        file.retry(no_file).unwrap();
        assert!(!file.is_waiting());
        file.write_all(b"!").unwrap();
        let written = file.file().unwrap().bytes.get_ref();
        assert_eq!(written, b"first--10-second-10-third!");
        assert_eq!(file.sha256(), Some(Sha256::digest(written).into()), "each byte once, in the order of the file");
    }

    #[test]
    fn the_bound_is_seen_and_the_file_may_be_made_later() {
        let mut file = SegmentFile::<Disk>::new(None, 8);
        file.write_all(b"header").unwrap();
        assert!(file.is_waiting() && !file.is_full());
        file.write_all(b"more").unwrap();
        assert!(file.is_full());
        file.retry(no_file).unwrap();
        assert!(file.is_full());
        file.retry(|| io::Result::Ok(Some(disk(1000).0))).unwrap();
        assert!(!file.is_waiting() && !file.is_full());
        assert_eq!(file.len_bytes(), 10);
    }

    #[test]
    fn without_a_bound_no_room_is_an_error_and_so_is_anything_else() {
        let mut file = SegmentFile::new(Some(disk(3).0), 0);
        assert!(is_no_room(&file.write_all(b"block").unwrap_err()));
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::Error::from_raw_os_error(5)) // EIO
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        impl Seek for Broken {
            fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
                Ok(0)
            }
        }
        let error = SegmentFile::new(Some(Broken), 100).write_all(b"block").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(5));
    }

    #[test]
    fn both_ways_to_have_no_room_are_known() {
        use nix::errno::Errno;
        for (errno, expected) in
            [(Errno::ENOSPC, true), (Errno::EDQUOT, true), (Errno::EIO, false), (Errno::EROFS, false)]
        {
            assert_eq!(is_no_room(&errno.into()), expected, "{errno}");
        }
    }
}
