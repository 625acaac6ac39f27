//! The last segment that this spool's recorder began before: opened before the rights are given up,
//! looked into after that.

use super::Spool;
use super::place::look;
use std::cmp::Reverse;
use std::fs::File;

/// The last segment of the recorder before.
#[derive(Debug, Default)]
pub struct Last {
    /// It, open for reading and not looked into.
    pub file: Option<File>,
    /// Sequence of a later one, whose file is empty.
    pub never_written: Option<u64>,
}

impl Spool {
    /// Opens the last segment that this spool's recorder began. What is in it is not to be trusted.
    pub fn last_segment(&self) -> Last {
        let mut last = Last::default();
        let Some(identity) = self.identity else { return last };
        let ours = self.ours.borrow();
        let before = ours.with_suffix("").filter_map(|s| Some((s.sequence().filter(|n| *n < identity.sequence)?, s)));
        let mut before: Vec<_> = before.collect();
        before.sort_unstable_by_key(|(sequence, segment)| Reverse((*sequence, &segment.name)));
        for (sequence, segment) in before {
            if segment.len_bytes > 0 {
                last.file = look(self.dir(), &segment.name).ok();
                break;
            }
            last.never_written = Some(sequence).filter(|n| n.checked_add(1) == Some(identity.sequence));
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;
    use imon_common::segment::{SegmentHeader, SegmentWriter};
    use imon_common::time::UnixNanos;
    use std::fs;
    use std::path::{Path, PathBuf};

    const ME: [u8; 16] = [7; 16];

    fn begun(home: &Path, recorder: [u8; 16], sequence: u64) -> PathBuf {
        let header = SegmentHeader {
            segment: [1; 16],
            recorder,
            run: [3; 16],
            sequence,
            boot: [7; 16],
            start: UnixNanos(1_790_000_000_000_000_000),
            monotonic_start_ns: 9,
            interface: "eth0".into(),
            ..SegmentHeader::default()
        };
        let bytes = SegmentWriter::create(Vec::new(), &header).unwrap().get_ref().clone();
        let path = home.join(format!("{}.part", header.file_stem()));
        fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn the_latest_that_has_bytes_is_opened_and_an_empty_one_behind_it_was_never_written() {
        let home = tempfile::tempdir().unwrap();
        let spool = Spool::open(home.path(), None).unwrap();
        spool.folder().keep_identity(Identity { recorder: ME, sequence: 5, ..Identity::new().unwrap() }).unwrap();
        drop(spool);
        let last = || {
            let last = Spool::open(home.path(), None).unwrap().last_segment();
            let sequence = last.file.map(|mut file| SegmentHeader::read(&mut file).unwrap().0.sequence);
            (sequence, last.never_written)
        };
        assert_eq!(last(), (None, None));
        begun(home.path(), ME, 2);
        begun(home.path(), ME, 3);
        begun(home.path(), [8; 16], 4); // another's
        begun(home.path(), ME, 9); // of no time that this recorder knows of
        assert_eq!(last(), (Some(3), None));
        let latest = begun(home.path(), ME, 4);
        assert_eq!(last(), (Some(4), None));
        fs::write(&latest, "").unwrap();
        assert_eq!(last(), (Some(3), Some(4)));
        fs::remove_file(&latest).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &latest).unwrap();
        assert_eq!(last(), (Some(3), None), "a link is not one of ours");
    }
}
