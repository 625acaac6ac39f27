use super::super::live::tests::{DAY, flow, header, since, sums, usage};
use super::*;
use crate::attribution::{AnswerBook, Habits};
use imon_common::observe::Observer as _;
use imon_common::segment::SegmentWriter;
use std::fs;

/// A segment in which flow `n` moves one byte in each direction, for each of `flows`; and where it
/// ends without its seal.
fn segment(header: &SegmentHeader, flows: std::ops::Range<u64>) -> (Vec<u8>, usize) {
    let mut writer = SegmentWriter::create(Vec::new(), header).unwrap();
    for number in flows {
        writer.usage(&flow(number, 1, header.start), header.start, usage(1)).unwrap();
    }
    writer.commit().unwrap();
    let open = writer.get_ref().len();
    (writer.finish().unwrap().0, open)
}

struct Scene {
    home: tempfile::TempDir,
    live: Live,
    follower: Follower,
}

impl Scene {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let spool = home.path().join("spool");
        fs::create_dir(&spool).unwrap();
        let mut live = Live::new(AnswerBook::default(), Habits::default(), since(DAY, DAY));
        live.tick(DAY + 100, since(DAY, DAY));
        Self { home, live, follower: Follower::new(vec![spool], SystemTime::UNIX_EPOCH) }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.home.path().join("spool").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Bytes of today, when everything that is there was read.
    fn read(&mut self) -> u64 {
        self.follower.look();
        while self.follower.step(&mut self.live) == Step::More {}
        // What a lane could not give any more is found by the next step.
        while self.follower.step(&mut self.live) == Step::More {}
        sums(&self.live).values().map(|sums| sums[0]).sum()
    }
}

#[test]
fn a_segment_is_read_as_it_grows_under_both_of_its_names_and_the_next_one_after_it() {
    let mut scene = Scene::new();
    let (bytes, open) = segment(&header(1, 1, DAY + 10), 0..10);
    let part = scene.write("a.part", &bytes[..open]);
    assert_eq!(scene.read(), 20);
    assert_eq!(scene.read(), 20, "nothing counts twice");
    fs::write(&part, &bytes).unwrap();
    fs::rename(&part, part.with_extension("seg")).unwrap();
    assert_eq!(scene.read(), 20);
    let (next, open) = segment(&header(2, 1, DAY + 20), 10..15);
    scene.write("b.part", &next[..open]);
    assert_eq!(scene.read(), 30);
    assert_eq!((scene.follower.away(), scene.follower.lost()), (None, None));
}

#[test]
fn an_earlier_segment_that_comes_late_does_not_end_the_one_that_grows() {
    let mut scene = Scene::new();
    let growing = header(2, 1, DAY + 20);
    let (few, open) = segment(&growing, 0..10);
    let part = scene.write("b.part", &few[..open]);
    assert_eq!(scene.read(), 20);
    scene.write("a.seg", &segment(&header(1, 1, DAY + 10), 100..103).0);
    assert_eq!(scene.read(), 20, "it waits");
    fs::write(&part, &few).unwrap();
    fs::rename(&part, part.with_extension("seg")).unwrap();
    assert_eq!(scene.read(), 26, "its turn");
}

#[test]
fn two_recorders_in_one_tree_are_two_also_as_copies_of_one_machine() {
    let mut scene = Scene::new();
    for (name, id, recorder) in [("one/a.part", 1, 1), ("two/a.part", 2, 1), ("two/b.part", 3, 2)] {
        let (bytes, open) = segment(&header(id, recorder, DAY + i64::from(id)), 0..10);
        scene.write(name, &bytes[..open]);
    }
    assert_eq!(scene.read(), 60);
    // All three are open still.
    assert_eq!(scene.live.interfaces(), ["eth0"]);
    assert_eq!(scene.follower.recorders.values().filter(|recorder| recorder.lane.is_some()).count(), 3);
}

#[test]
fn a_folder_that_goes_away_is_told_and_read_again_when_it_is_back() {
    let mut scene = Scene::new();
    let spool = scene.home.path().join("spool");
    let (bytes, open) = segment(&header(1, 1, DAY + 10), 0..10);
    scene.write("a.part", &bytes[..open]);
    assert_eq!(scene.read(), 20);
    fs::rename(&spool, scene.home.path().join("elsewhere")).unwrap();
    assert_eq!(scene.read(), 20);
    assert!(scene.follower.away().is_some_and(|text| text.starts_with("cannot read ")));
    fs::rename(scene.home.path().join("elsewhere"), &spool).unwrap();
    scene.write("b.seg", &segment(&header(2, 1, DAY + 20), 10..12).0);
    assert_eq!(scene.read(), 24);
    assert_eq!((scene.follower.away(), scene.follower.lost()), (None, None));
}

#[test]
fn what_is_damaged_is_told_and_what_comes_after_it_is_read() {
    // Some 50,000 flows fill a group, which can be read alone.
    const FLOWS: u64 = 120_000;
    let mut scene = Scene::new();
    let (mut bytes, open) = segment(&header(1, 1, DAY + 10), 0..FLOWS);
    let sealed = bytes.clone();
    bytes[2_000] ^= 1;
    let part = scene.write("a.part", &bytes[..open / 2]);
    let half = scene.read();
    assert!(half < FLOWS, "{half}");
    assert!(
        scene.follower.lost().is_some_and(|text| text.contains("is damaged at byte")),
        "{:?}",
        scene.follower.lost()
    );
    fs::write(&part, &bytes[..open]).unwrap();
    let whole = scene.read();
    assert!(whole > 0 && whole > half && whole < 2 * FLOWS, "{half} {whole}");
    // A file that cannot be read at all costs only what is in it.
    scene.write("b.seg", &sealed[..20]);
    scene.write("c.seg", &segment(&header(3, 1, DAY + 20), 0..10).0);
    assert_eq!(scene.read(), whole + 20);
}
