//! A disk that is slow, hangs, or fails, with a thread beside the loop.

use super::*;
use crate::signals::Signals;
use crate::spool::Folder;
use crate::thread::Thread;
use nix::errno::Errno;
use std::time::Instant;

const SLOW: Duration = Duration::from_millis(400);

/// A pipeline whose disk is another thread's.
fn beside(spool: &Path) -> (Pipeline, Arc<Folder>) {
    let mut pipeline = pipeline(spool, 1 << 20);
    let folder = Arc::clone(pipeline.spool.folder());
    let (_signals, waker) = Signals::install_with_waker().unwrap();
    pipeline.work_beside(Thread::start().unwrap(), waker);
    (pipeline, folder)
}

fn hinder(folder: &Folder, wait: Duration, error: Option<Errno>) {
    let mut hindrance = folder.hindrance.lock().unwrap();
    (hindrance.wait, hindrance.error) = (wait, error);
}

/// Waits until nothing is under way, as the loop does: turn by turn.
fn settled(pipeline: &mut Pipeline, at: i64) -> Result<(), Error> {
    while pipeline.disk.under_way() > 0 {
        pipeline.settle(moment(at))?;
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn suffixes(spool: &Path) -> (usize, usize) {
    let with = |suffix: &str| {
        let names = spool.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(suffix)).count()
    };
    (with(".part"), with(".seg"))
}

#[test]
fn nobody_waits_for_a_slow_disk_and_nothing_piles_up_behind_it() {
    let home = tempfile::tempdir().unwrap();
    let (mut pipeline, folder) = beside(home.path());
    hinder(&folder, SLOW, None);
    let began = Instant::now();
    for s in 0..50 {
        second(&mut pipeline, s);
        pipeline.tell_others("{\"format\":1}".into(), None);
        if s > 10 {
            pipeline.prepare(moment(s)).unwrap();
        }
        // A sync, a status with a list, and the next segment with its identity.
        assert!(pipeline.disk.under_way() <= 4, "{} in second {s}", pipeline.disk.under_way());
    }
    // Who waited would have waited in each of them.
    assert!(began.elapsed() < SLOW * 25, "{:?}", began.elapsed());
    // What a kill would leave is all of it: it was written, synced or not.
    let part = home.path().join(pipeline.open_file().unwrap().name);
    let mut books = Books::default();
    SegmentReader::open(File::open(part).unwrap()).unwrap().read(&mut books).unwrap();
    assert_eq!(books.usage.packets(), 5_000);
    pipeline.seal_last(moment(50).wall).unwrap();
    assert_eq!(suffixes(home.path()), (0, 1));
}

#[test]
fn a_segment_has_its_final_name_only_when_it_is_on_the_disk_and_the_next_one_is_written_meanwhile() {
    let home = tempfile::tempdir().unwrap();
    let (mut pipeline, folder) = beside(home.path());
    second(&mut pipeline, 0);
    pipeline.prepare(moment(1)).unwrap();
    settled(&mut pipeline, 1).unwrap();
    assert!(pipeline.is_prepared() && suffixes(home.path()) == (2, 0));
    hinder(&folder, SLOW, None);
    pipeline.rotate(moment(1)).unwrap();
    second(&mut pipeline, 1);
    assert_eq!((suffixes(home.path()), pipeline.sealed_segments()), ((2, 0), 0), "not synced, so not renamed");
    settled(&mut pipeline, 2).unwrap();
    assert_eq!((suffixes(home.path()), pipeline.sealed_segments()), ((1, 1), 1));
    pipeline.seal_last(moment(3).wall).unwrap();
    let chain = chain(home.path());
    assert_eq!((chain.len(), chain[1].0.before_hash), (2, chain[0].2));
    assert_eq!(books(home.path()).usage.packets(), 200);
}

#[test]
fn a_sync_that_fails_ends_the_recording_and_leaves_a_segment_that_can_be_read() {
    for at_seal in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let (mut pipeline, folder) = beside(home.path());
        second(&mut pipeline, 0);
        settled(&mut pipeline, 1).unwrap();
        pipeline.prepare(moment(1)).unwrap();
        settled(&mut pipeline, 1).unwrap();
        hinder(&folder, Duration::ZERO, Some(Errno::EIO));
        let done = if at_seal {
            pipeline.rotate(moment(1))
        } else {
            try_second(&mut pipeline, 1).map(|()| pipeline.sync_if_due(moment(9)))
        };
        let error = done.and_then(|()| settled(&mut pipeline, 2)).unwrap_err().to_string();
        assert!(error.contains("cannot sync ") && error.contains("Input/output error"), "{error}");
        assert_eq!((suffixes(home.path()), pipeline.sealed_segments()), ((2, 0), 0));
        drop(pipeline);
        Spool::open(home.path(), None).unwrap().adopt_leftovers().unwrap();
        let mut packets = 0;
        for path in home.path().read_dir().unwrap().map(|entry| entry.unwrap().path()) {
            if path.extension().is_some_and(|suffix| suffix == "seg") {
                let mut books = Books::default();
                SegmentReader::open(File::open(path).unwrap()).unwrap().read(&mut books).unwrap();
                packets += books.usage.packets();
            }
        }
        assert!(packets >= 100, "{packets}");
    }
}

#[test]
fn a_file_that_was_removed_is_noticed_by_the_sync() {
    let home = tempfile::tempdir().unwrap();
    let (mut pipeline, _) = beside(home.path());
    second(&mut pipeline, 0);
    settled(&mut pipeline, 1).unwrap();
    fs::remove_file(home.path().join(pipeline.open_file().unwrap().name)).unwrap();
    let done = try_second(&mut pipeline, 1);
    let error = done.and_then(|()| settled(&mut pipeline, 2)).unwrap_err().to_string();
    assert!(error.contains("it was removed while it was written"), "{error}");
}

#[test]
fn the_end_waits_for_the_disk_and_leaves_no_file_that_was_only_prepared() {
    let home = tempfile::tempdir().unwrap();
    let (mut pipeline, folder) = beside(home.path());
    second(&mut pipeline, 0);
    hinder(&folder, SLOW, None);
    second(&mut pipeline, 1);
    pipeline.prepare(moment(2)).unwrap();
    let began = Instant::now();
    pipeline.seal_last(moment(2).wall).unwrap();
    assert!(began.elapsed() >= SLOW);
    assert_eq!((suffixes(home.path()), pipeline.sealed_segments()), ((0, 1), 1));
    drop(pipeline);
    // The number of the segment that never came goes to the next one.
    let mut next = super::pipeline(home.path(), 0);
    next.seal_last(moment(9).wall).unwrap();
    let sequences: Vec<u64> = chain(home.path()).iter().map(|(header, ..)| header.sequence).collect();
    assert_eq!(sequences, [0, 1]);
}

#[test]
fn a_thread_that_ended_is_an_error_and_not_a_silence() {
    let home = tempfile::tempdir().unwrap();
    let (mut pipeline, folder) = beside(home.path());
    // Whoever holds the lock panics, and so does who asks for it next.
    let holder = Arc::clone(&folder);
    assert!(
        std::thread::spawn(move || {
            let _held = holder.hindrance.lock().unwrap();
            panic!("as a test wants it");
        })
        .join()
        .is_err()
    );
    pipeline.sync_if_due(moment(1));
    let error = settled(&mut pipeline, 1).unwrap_err().to_string();
    assert!(error.contains("the thread that waits for the disk"), "{error}");
}
