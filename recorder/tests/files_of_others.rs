//! A spool in which others have left something: nothing of theirs is followed, cut, given away,
//! renamed, removed or waited for.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr)]

mod support;

use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, chown, mkfifo};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use support::net::{Net, ONLY_OURS, Recorder, home, program};
use support::{files, total};

/// A user that has nothing to do with the recorder's, which is 65534.
const STRANGER: u32 = 65_533;

/// Name, mode, owner, length and content of what is in a directory.
fn inventory(dir: &Path) -> BTreeMap<String, (u32, u32, u64, Vec<u8>)> {
    let entries = dir.read_dir().unwrap().map(Result::unwrap);
    let described = entries.map(|entry| {
        let stat = entry.path().symlink_metadata().unwrap();
        let bytes = if stat.is_file() { fs::read(entry.path()).unwrap() } else { Vec::new() };
        (entry.file_name().into_string().unwrap(), (stat.mode(), stat.uid(), stat.len(), bytes))
    });
    described.collect()
}

/// What people have in their downloads.
fn fill(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    for (name, text) in
        [("film.part", "half a film"), ("empty.part", ""), ("notes.seg", "notes"), ("thesis.txt", "one")]
    {
        fs::write(dir.join(name), text).unwrap();
    }
    mkfifo(&dir.join("pipe.seg"), Mode::S_IRWXU).unwrap();
    symlink("thesis.txt", dir.join("link.part")).unwrap();
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A pcap file without a packet.
const EMPTY_CAPTURE: [u8; 24] = [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];

#[test]
fn a_file_recorded_into_a_folder_of_other_things_leaves_them_as_they_are() {
    let (home, spool) = home();
    fill(&spool);
    let before = inventory(&spool);
    let capture = home.path().join("a.pcap");
    fs::write(&capture, EMPTY_CAPTURE).unwrap();
    if nix::unistd::geteuid().is_root() {
        chown(&spool, Some(Uid::from_raw(65_534)), None).unwrap();
    }
    let mut command = Command::new(program());
    command.arg("--read").arg(&capture).arg("--spool").arg(&spool);
    if nix::unistd::geteuid().is_root() {
        command.args(["--user", "65534"]);
    }
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("as not this recorder's: 5 files: empty.part film.part"));
    let after = inventory(&spool);
    assert!(before.iter().all(|(name, file)| after.get(name) == Some(file)), "{before:?}\n{after:?}");
}

/// For the age and the budget that everything exceeds.
#[test]
fn a_recording_into_a_folder_of_other_things_leaves_them_as_they_are_and_the_status_names_them() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    fill(&spool);
    fs::write(spool.join("large.seg"), vec![7; 2 << 20]).unwrap();
    Command::new("touch").args(["-d", "2001-01-01"]).arg(spool.join("notes.seg")).status().unwrap();
    chown(&spool, Some(Uid::from_raw(65_534)), None).unwrap();
    let before = inventory(&spool);
    let more = ["--user", "65534", "--keep-size", "1MiB", "--keep-days", "1", "--rotate-every", "1s"];
    let recorder = net.start(&spool, &[&more[..], &ONLY_OURS].concat());
    assert!(recorder.said.contains("as not this recorder's"), "{}", recorder.said);
    std::thread::sleep(Duration::from_millis(2_500));
    let status = Command::new(program()).args(["--status", "--spool"]).arg(&spool).output().unwrap();
    let text = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(text.contains("not ours    6, neither counted nor removed: empty.part film.part large.seg"), "{text}");
    assert!(text.contains("KiB of 1.00 MiB") || text.contains(" B of 1.00 MiB"), "others' bytes do not count: {text}");
    let (said, _) = recorder.terminate();
    assert!(total(&said, "segments") >= 3, "{said}");
    let after = inventory(&spool);
    assert!(before.iter().all(|(name, file)| after.get(name) == Some(file)), "{before:?}\n{after:?}");
}

/// As root, in a spool of the recorder's user, who may have been taken over.
#[test]
fn as_root_nothing_that_was_planted_is_followed_cut_or_given_away() {
    let Some(net) = Net::new() else { return };
    let (home, spool) = home();
    let victim = home.path().join("victim");
    fs::write(&victim, "12\n").unwrap();
    fs::set_permissions(&victim, PermissionsExt::from_mode(0o600)).unwrap();
    let start = |spool: &Path, more: &[&str]| {
        let (interface, began) = (net.interface(), Instant::now());
        let args = ["-i", &interface, "--spool", spool.to_str().unwrap(), "--user", "65534"];
        let output = net.command(&[&args[..], more].concat()).output().unwrap();
        assert!(began.elapsed() < Duration::from_secs(5), "it waited for something");
        assert_eq!(output.status.code().unwrap() & !3, 0, "{}", said(&output));
        assert_ne!(output.status.code(), Some(0), "{}", said(&output));
        let stat = victim.metadata().unwrap();
        assert_eq!(
            (stat.uid(), stat.mode() & 0o777, fs::read_to_string(&victim).unwrap().as_str()),
            (0, 0o600, "12\n")
        );
        said(&output)
    };
    let plant = |name: &str, how: &dyn Fn(&Path)| {
        _ = fs::remove_dir_all(&spool);
        fs::create_dir(&spool).unwrap();
        chown(&spool, Some(Uid::from_raw(65_534)), Some(Gid::from_raw(65_534))).unwrap();
        how(&spool.join(name));
    };
    for name in ["recorder.lock", "recorder.id", "status.json", "status.json.new"] {
        if name == "recorder.lock" {
            plant(name, &|at| fs::hard_link(&victim, at).unwrap());
            assert!(start(&spool, &[]).contains("2 names (hard links)"));
        }
        plant(name, &|at| symlink(&victim, at).unwrap());
        assert!(start(&spool, &[]).contains("it is a link"));
        plant(name, &|at| mkfifo(at, Mode::S_IRWXU).unwrap());
        assert!(start(&spool, &[]).contains("it is a named pipe"));
        plant(name, &|at| fs::create_dir(at).unwrap());
        assert!(start(&spool, &[]).contains("it is a directory"));
    }
    // A lock that a stranger holds, and could keep us from recording with.
    plant("recorder.lock", &|at| {
        fs::write(at, "").unwrap();
        chown(at, Some(Uid::from_raw(STRANGER)), None).unwrap();
    });
    assert!(start(&spool, &[]).contains("it belongs to "));
    // A link in place of the spool.
    let (precious, link) = (home.path().join("precious"), home.path().join("link"));
    fs::create_dir(&precious).unwrap();
    symlink(&precious, &link).unwrap();
    assert!(start(&link, &[]).contains("it is a link to a directory of root"));
    assert_eq!((precious.metadata().unwrap().uid(), precious.read_dir().unwrap().count()), (0, 0));
    // Metrics in place of the lock, and of somebody's file.
    plant("unused", &|_| ());
    for name in ["recorder.lock", "status.json", "a.seg"] {
        let metrics = spool.join(name);
        assert!(start(&spool, &["--metrics", metrics.to_str().unwrap()]).contains("a name that the recorder uses"));
    }
    assert!(start(&spool, &["--metrics", victim.to_str().unwrap()]).contains("will not write"));
}

/// The lock stays the lock, whatever was planted before: a second recorder is still refused.
#[test]
fn a_stranger_with_a_user_of_his_own_cannot_take_the_lock_away() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let recorder = net.start(&spool, &["--user", "65534"]);
    let stranger = Command::new("setpriv")
        .args([&format!("--reuid={STRANGER}"), "--clear-groups", "sh", "-c"])
        .arg(format!("cat {0}/recorder.lock; rm -f {0}/recorder.lock; : > {0}/recorder.lock", spool.display()))
        .output();
    let Ok(stranger) = stranger else {
        eprintln!("skipped: the program setpriv is missing");
        return;
    };
    assert!(!stranger.status.success() && stranger.stdout.is_empty());
    assert_eq!(files(&spool, "lock")[0].metadata().unwrap().uid(), 65_534);
    let second = net.command(&["-i", "lo", "--spool", spool.to_str().unwrap(), "--user", "65534"]).output().unwrap();
    assert!(said(&second).contains("records into it"), "{}", said(&second));
    recorder.terminate();
    let recorder: Recorder = net.start(&spool, &["--user", "65534"]);
    recorder.terminate();
}
