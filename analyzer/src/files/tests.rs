use super::*;
use nix::sys::stat::{Mode, umask};
use nix::unistd::mkfifo;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::sync::Mutex;

/// The umask is of the process.
static UMASK: Mutex<()> = Mutex::new(());

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & MODE_BITS
}

#[test]
fn what_is_made_is_private_whatever_the_umask() {
    let _alone = UMASK.lock().unwrap();
    for mask in [0, 0o022, 0o077, 0o277] {
        let dir = tempfile::tempdir().unwrap();
        let shared = dir.path().join("shared");
        std::fs::create_dir(&shared).unwrap();
        std::fs::set_permissions(&shared, Permissions::from_mode(0o2770)).unwrap();
        let before = umask(Mode::from_bits_truncate(mask));
        let made: Vec<io::Result<()>> = [dir.path().join("a/b"), shared.join("captures")]
            .iter()
            .flat_map(|folder| [make_folder(folder), open_own(&folder.join("f")).map(drop)])
            .collect();
        umask(before);
        assert!(made.iter().all(Result::is_ok), "{mask:o}: {made:?}");
        for (path, expected) in [("a", 0o700), ("a/b", 0o700), ("a/b/f", 0o600)] {
            assert_eq!(mode(&dir.path().join(path)), expected, "{path}, umask {mask:o}");
        }
        for (path, expected) in [("captures", 0o2770), ("captures/f", 0o660)] {
            assert_eq!(mode(&shared.join(path)), expected, "{path}, umask {mask:o}");
        }
    }
}

#[test]
fn a_folder_that_was_there_stays_as_it_is_and_a_file_of_ours_is_tightened() {
    let _alone = UMASK.lock().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("there");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    make_folder(&folder).unwrap();
    assert_eq!(mode(&folder), 0o755);
    let file = folder.join("imon.db");
    std::fs::write(&file, "").unwrap();
    std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    assert_eq!(tighten(&file).unwrap(), Some(0o644));
    assert_eq!((mode(&file), tighten(&file).unwrap()), (0o600, None));
    assert_eq!(tighten(&folder.join("none")).unwrap(), None);
}

#[test]
fn pipes_devices_and_sockets_are_refused_without_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let (pipe, link, socket) = (dir.path().join("a.seg"), dir.path().join("b.seg"), dir.path().join("c.seg"));
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    symlink(&pipe, &link).unwrap();
    let _listener = UnixListener::bind(&socket).unwrap();
    for (path, word) in [(pipe, "named pipe"), (link, "named pipe"), (socket, "socket"), ("/dev/zero".into(), "device")]
    {
        let error = open(&path).unwrap_err().to_string();
        assert!(error.contains(word), "{}: {error}", path.display());
        assert!(read_list(&path, 10).is_err());
    }
}

#[test]
fn a_pipe_that_was_handed_over_is_read_to_its_end() {
    let (read, mut write) = io::pipe().unwrap();
    let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&read));
    let writer = std::thread::spawn(move || {
        for _ in 0..3 {
            std::thread::sleep(std::time::Duration::from_millis(20));
            io::Write::write_all(&mut write, b"abc").unwrap();
        }
    });
    let mut text = String::new();
    open(Path::new(&path)).unwrap().read_to_string(&mut text).unwrap();
    writer.join().unwrap();
    assert_eq!(text, "abcabcabc");
}

#[test]
fn a_list_has_a_longest_length() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("list");
    std::fs::write(&path, "0123456789").unwrap();
    assert_eq!(read_list(&path, 10).unwrap(), "0123456789");
    assert_eq!(read_list(&path, 9).unwrap_err().kind(), ErrorKind::FileTooLarge);
}

#[test]
fn a_file_with_a_second_name_or_something_else_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("victim"), "precious").unwrap();
    std::fs::hard_link(at("victim"), at("hard")).unwrap();
    symlink(at("victim"), at("soft")).unwrap();
    mkfifo(&at("pipe"), Mode::S_IRWXU).unwrap();
    for name in ["hard", "soft", "pipe", "."] {
        assert!(open_own(&at(name)).is_err(), "{name}");
        assert!(check_own(&at(name)).is_err(), "{name}");
        assert!(create_new(&at(name)).is_err(), "{name}");
    }
    assert_eq!(std::fs::read(at("victim")).unwrap(), b"precious");
    // One's own link to a file of one name is a way to say where it lies; links of others are not.
    std::fs::remove_file(at("hard")).unwrap();
    assert!(check_own(&at("soft")).is_ok());
    // Only root can give a link to another user; tests/private.rs says where that was skipped.
    if nix::unistd::geteuid().is_root() {
        let nobody = Some(nix::unistd::Uid::from_raw(65_534));
        nix::unistd::fchownat(
            nix::fcntl::AT_FDCWD,
            &at("soft"),
            nobody,
            None,
            nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW,
        )
        .unwrap();
        assert!(check_own(&at("soft")).unwrap_err().to_string().contains("user 65534"));
        symlink(dir.path(), at("folder")).unwrap();
        assert!(make_folder(&at("folder")).is_ok());
        nix::unistd::fchownat(
            nix::fcntl::AT_FDCWD,
            &at("folder"),
            nobody,
            None,
            nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW,
        )
        .unwrap();
        assert!(make_folder(&at("folder")).is_err());
    }
}
