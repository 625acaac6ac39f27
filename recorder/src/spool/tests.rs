use super::place::LOCK;
use super::*;
use imon_common::segment::{SegmentHeader, SegmentWriter};
use imon_common::time::UnixNanos;
use nix::unistd::Uid;
use nix::unistd::mkfifo;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

const ME: [u8; 16] = [0x11; 16];

fn names(spool: &Spool) -> Vec<String> {
    let mut names: Vec<String> =
        spool.folder().path().read_dir().unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A spool of the recorder [`ME`], without anything else.
fn of_me() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let id = Identity { recorder: ME, sequence: 7, before: [0; 16], before_hash: [0; 32] };
    fs::write(home.path().join(IDENTITY_FILE), id.to_text()).unwrap();
    home
}

/// The beginning of a segment.
fn segment(recorder: [u8; 16], sequence: u64) -> Vec<u8> {
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
    SegmentWriter::create(Vec::new(), &header).unwrap().get_ref().clone()
}

fn mark(sequence: u64) -> SegmentMark {
    SegmentMark { recorder: ME, sequence, boot: [7; 16], monotonic_start_ns: 9 }
}

#[test]
fn a_segment_is_part_until_it_is_sealed() {
    let home = tempfile::tempdir().unwrap();
    let spool = Spool::open(&home.path().join("a/b"), None).unwrap();
    let file = spool.create("one", Some(mark(5))).unwrap();
    assert_eq!(names(&spool), ["one.part", LOCK]);
    assert!(spool.create("one", None).is_err());
    assert_eq!(spool.seal(&file, "one").unwrap(), "one.seg");
    assert_eq!(names(&spool), ["one.seg", LOCK]);
    let sealed = spool.sealed().unwrap();
    assert_eq!((sealed.len(), sealed[0].sequence()), (1, Some(5)));
    assert_eq!(spool.foreign().unwrap(), Foreign::default());
    fs::remove_file(home.path().join("a/b/one.seg")).unwrap();
    assert_eq!(spool.sealed().unwrap().len(), 0, "somebody removed it");
}

#[test]
fn a_second_recorder_is_refused_and_told_who_holds_the_spool() {
    let home = tempfile::tempdir().unwrap();
    let first = Spool::open(home.path(), None).unwrap();
    match Spool::open(home.path(), None) {
        Err(Error::SpoolInUse { holder, .. }) => assert_eq!(holder, Some(std::process::id())),
        other => panic!("{other:?}"),
    }
    drop(first);
    Spool::open(home.path(), None).unwrap();
}

#[test]
fn leftovers_get_a_free_name_and_keep_their_bytes() {
    let home = of_me();
    for (name, sequence) in [("x.part", 3), ("x.seg", 1), ("x-1.seg", 2)] {
        fs::write(home.path().join(name), segment(ME, sequence)).unwrap();
    }
    fs::write(home.path().join("imon-20261101T093000Z-11111111-000004.part"), "").unwrap();
    let spool = Spool::open(home.path(), None).unwrap();
    assert_eq!(spool.adopt_leftovers().unwrap(), ["x-2.seg"]);
    assert_eq!(names(&spool), [IDENTITY_FILE, LOCK, "x-1.seg", "x-2.seg", "x.seg"]);
    assert_eq!(fs::read(home.path().join("x-2.seg")).unwrap(), segment(ME, 3));
    assert_eq!(fs::read(home.path().join("x.seg")).unwrap(), segment(ME, 1));
    let mut sealed: Vec<_> = spool.sealed().unwrap().iter().map(Sealed::sequence).collect();
    sealed.sort_unstable();
    assert_eq!(sealed, [Some(1), Some(2), Some(3)]);
}

#[test]
fn what_is_not_ours_is_neither_renamed_nor_removed_nor_counted() {
    let home = of_me();
    let at = |name: &str| home.path().join(name);
    for (name, bytes) in [
        ("film.part", b"not all of it yet".to_vec()),
        ("empty.part", Vec::new()),
        ("notes.seg", b"notes".to_vec()),
        ("other.seg", segment([0x22; 16], 1)),
        ("other.part", segment([0x22; 16], 2)),
        // The same four bytes as in our names.
        (
            "imon-20261101T093000Z-11111111-000003.seg",
            segment([0x11, 0x11, 0x11, 0x11, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5], 3),
        ),
        ("thesis.txt", b"no matter".to_vec()),
    ] {
        fs::write(at(name), bytes).unwrap();
    }
    symlink("/etc/passwd", at("link.part")).unwrap();
    mkfifo(&at("pipe.part"), Mode::S_IRWXU).unwrap();
    fs::create_dir(at("folder.seg")).unwrap();
    let _socket = UnixListener::bind(at("socket.seg")).unwrap();
    let before = home.path().read_dir().unwrap().count();
    let spool = Spool::open(home.path(), None).unwrap();
    assert!(spool.adopt_leftovers().unwrap().is_empty());
    assert!(spool.sealed().unwrap().is_empty());
    let foreign = spool.foreign().unwrap();
    assert_eq!((foreign.number, foreign.names.len()), (10, 10));
    assert!(!foreign.names.iter().any(|name| name == "thesis.txt"));
    assert_eq!(names(&spool).len(), before + 1, "and the lock");
}

#[test]
fn names_that_are_not_ours_are_bounded() {
    let home = of_me();
    for n in 0..40 {
        fs::write(home.path().join(format!("{n:02}.seg")), "").unwrap();
    }
    let foreign = Spool::open(home.path(), None).unwrap().foreign().unwrap();
    assert_eq!((foreign.number, foreign.names.len(), foreign.names[0].as_str()), (40, 16, "00.seg"));
}

#[test]
fn a_file_in_place_of_the_spool_is_a_clear_error() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    fs::write(at("file"), "x").unwrap();
    symlink("missing", at("dangling")).unwrap();
    mkfifo(&at("pipe"), Mode::S_IRWXU).unwrap();
    for name in ["file", "dangling", "pipe"] {
        let text = Spool::open(&at(name), None).unwrap_err().to_string();
        assert!(text.starts_with("error: cannot open spool"), "{text}");
    }
    assert!(!at("missing").exists());
}

/// What may stand where the lock should be, made by whoever may write in the spool.
#[test]
fn what_is_no_lock_is_neither_cut_nor_followed_nor_waited_for() {
    let home = tempfile::tempdir().unwrap();
    let (victim, spool) = (home.path().join("victim"), home.path().join("spool"));
    fs::create_dir(&spool).unwrap();
    let lock = spool.join(LOCK);
    let refused = |word: &str| {
        let error = Spool::open(&spool, None).unwrap_err();
        assert!(matches!(&error, Error::Foreign { found, .. } if found.contains(word)), "{error}");
    };
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, &lock).unwrap();
    refused("link");
    fs::remove_file(&lock).unwrap();
    fs::hard_link(&victim, &lock).unwrap();
    refused("2 names");
    fs::write(&victim, "17\n").unwrap();
    refused("2 names");
    fs::remove_file(&lock).unwrap();
    mkfifo(&lock, Mode::S_IRWXU).unwrap();
    refused("named pipe");
    fs::remove_file(&lock).unwrap();
    let socket = UnixListener::bind(&lock).unwrap();
    refused("socket");
    drop(socket);
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    refused("directory");
    fs::remove_dir(&lock).unwrap();
    for text in ["a poem", "1234567890123456789012345678901234567890"] {
        fs::write(&lock, text).unwrap();
        refused("more than the number");
        assert_eq!(fs::read_to_string(&lock).unwrap(), text);
    }
    for text in ["", "4711\n", "\0\0\0\0"] {
        fs::write(&lock, text).unwrap();
        drop(Spool::open(&spool, None).unwrap());
        assert_eq!(fs::read_to_string(&lock).unwrap(), format!("{}\n", std::process::id()));
    }
}

#[test]
fn what_would_be_replaced_must_be_a_recorder_s() {
    for name in ["status.json", "recorder.id", "status.json.new", "recorder.id.new"] {
        let home = tempfile::tempdir().unwrap();
        let at = home.path().join(name);
        let refused = |word: &str| {
            let error = Spool::open(home.path(), None).unwrap_err();
            assert!(matches!(&error, Error::Foreign { found, .. } if found.contains(word)), "{error}");
        };
        fs::write(&at, "{\"name\":\"my own status\"}").unwrap();
        refused("does not begin with");
        fs::remove_file(&at).unwrap();
        mkfifo(&at, Mode::S_IRWXU).unwrap();
        refused("named pipe");
        fs::remove_file(&at).unwrap();
        symlink("/etc/passwd", &at).unwrap();
        refused("link");
        fs::remove_file(&at).unwrap();
        let ours = if name.starts_with("status") { "{\"format\":1," } else { "imon-recorder 1\n" };
        for text in ["", "\0\0", ours] {
            fs::write(&at, text).unwrap();
            Spool::open(home.path(), None).unwrap();
        }
    }
}

/// As root: what is given to the recorder's user, and what is not.
#[test]
fn nothing_is_given_away_but_what_was_made_or_is_empty_and_root_s_alone() {
    if !crate::privilege::is_root() {
        eprintln!("skipped: needs root, to give something away");
        return;
    }
    let nobody = Account { name: "nobody".into(), uid: 65_534, gid: 65_534 };
    let stranger = Account { name: "stranger".into(), uid: 65_533, gid: 65_533 };
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    let uid = |path: &Path| path.metadata().unwrap().uid();
    // Made, or root's and empty where only root can write.
    fs::create_dir(at("empty")).unwrap();
    for name in ["made", "empty"] {
        drop(Spool::open(&at(name), Some(&nobody)).unwrap());
        assert_eq!((uid(&at(name)), uid(&at(name).join(LOCK))), (65_534, 65_534));
    }
    // A link, to whatever.
    fs::create_dir(at("precious")).unwrap();
    symlink(at("precious"), at("link")).unwrap();
    for name in ["link", "link/", "link/."] {
        let error = Spool::open(&at(name), Some(&nobody)).unwrap_err();
        assert!(error.to_string().contains("it is a link to a directory of root"), "{error}");
        assert_eq!(uid(&at("precious")), 0);
    }
    // A way that somebody else can lead elsewhere.
    fs::create_dir(at("theirs")).unwrap();
    symlink(at("precious"), at("theirs/way")).unwrap();
    fs::create_dir_all(at("precious/inner")).unwrap();
    nix::unistd::chown(&at("theirs"), Some(Uid::from_raw(stranger.uid)), None).unwrap();
    fs::set_permissions(at("precious"), PermissionsExt::from_mode(0o777)).unwrap();
    for way in ["theirs/way/inner", "precious/inner"] {
        assert!(matches!(Spool::open(&at(way), Some(&nobody)), Err(Error::SpoolOwner { .. })), "{way}");
    }
    assert_eq!(uid(&at("precious/inner")), 0);
    // A link to what is the user's already is as good as the directory itself.
    symlink(at("made"), at("to-made")).unwrap();
    drop(Spool::open(&at("to-made"), Some(&nobody)).unwrap());
    // A lock that is another's, or root's with something in it.
    for owner in [stranger.uid, 0] {
        fs::write(at("made").join(LOCK), "1\n").unwrap();
        nix::unistd::chown(&at("made").join(LOCK), Some(Uid::from_raw(owner)), None).unwrap();
        let error = Spool::open(&at("made"), Some(&nobody)).unwrap_err();
        assert!(matches!(&error, Error::Foreign { found, .. } if found.contains("it belongs to")), "{error}");
        assert_eq!((uid(&at("made").join(LOCK)), fs::read(at("made").join(LOCK)).unwrap()), (owner, b"1\n".to_vec()));
    }
}

#[test]
fn when_the_clock_is_set_the_stamps_of_this_boot_follow_and_no_others() {
    let home = of_me();
    for (name, sequence) in [("a.seg", 1), ("b.seg", 2)] {
        fs::write(home.path().join(name), segment(ME, sequence)).unwrap();
    }
    fs::write(home.path().join("foreign.seg"), "x").unwrap();
    let stamp = |name: &str| home.path().join(name).metadata().unwrap().mtime();
    let before = ["a.seg", "b.seg", "foreign.seg"].map(stamp);
    let spool = Spool::open(home.path(), None).unwrap();
    assert_eq!(spool.restamp([8; 16], 86_400_000_000_000), []);
    assert_eq!(spool.restamp([0; 16], 86_400_000_000_000), []);
    let moved = spool.restamp([7; 16], -86_400_000_000_000);
    assert_eq!(moved.len(), 2);
    assert!(moved.iter().all(|(name, changed_ns)| spool.folder().stamp(name, *changed_ns)));
    let [a, b, foreign] = before;
    assert_eq!(["a.seg", "b.seg", "foreign.seg"].map(stamp), [a - 86_400, b - 86_400, foreign]);
    assert!(spool.sealed().unwrap().iter().all(|s| s.changed_ns / 1_000_000_000 <= b - 86_400));
}

#[test]
fn readers_know_what_stands_beside_the_segments() {
    let (mark, start) = (crate::collect::COLLECTOR, crate::starting::START_FILE);
    let ours = [mark, crate::identity::IDENTITY_FILE, LOCK, start, crate::status::STATUS_FILE];
    assert_eq!(ours, imon_common::segment::SPOOL_FILES);
}
