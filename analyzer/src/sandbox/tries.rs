//! What must be refused, tried with arguments that harm nobody.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;

/// What was tried, and the answer.
#[derive(Debug)]
pub struct Tried {
    /// What was tried.
    pub what: &'static str,
    /// `None`: it worked.
    pub answer: Option<io::Error>,
}

impl Tried {
    /// Not refused: it worked, or failed in a way that shows that the kernel looked at what was
    /// asked.
    pub fn is_hole(&self) -> bool {
        let refused = |e: &io::Error| {
            matches!(e.kind(), ErrorKind::PermissionDenied | ErrorKind::NotFound | ErrorKind::ReadOnlyFilesystem)
        };
        !self.answer.as_ref().is_some_and(refused)
    }
}

/// No place: who is let through to look at it hears `ENOTDIR`, who is not `EPERM`.
const NOWHERE: &str = "/dev/null/imon";

/// Tries everything. To be called in the sandbox, with [`super::Burglar::IsRefused`]: else the
/// first try that a burglar would make ends the process.
pub fn tries() -> Vec<Tried> {
    let name = format!("imon-self-test-{}", std::process::id());
    let beside = std::env::temp_dir().join(name);
    let make = File::create_new(&beside).map(|_| drop(std::fs::remove_file(&beside)));
    let nix = |result: nix::Result<()>| result.map_err(io::Error::from);
    let tries: Vec<(&'static str, io::Result<()>)> = vec![
        ("open /etc/shadow", File::open("/etc/shadow").map(drop)),
        ("open /etc/passwd", File::open("/etc/passwd").map(drop)),
        ("open /proc/self/environ", File::open("/proc/self/environ").map(drop)),
        ("list /", std::fs::read_dir("/").map(drop)),
        ("make a file in the folder for temporary files", make),
        ("make a named pipe there", nix(nix::unistd::mkfifo(&beside, nix::sys::stat::Mode::S_IRUSR))),
        ("make a link there", std::os::unix::fs::symlink("x", &beside)),
        ("write to /dev/kmsg", File::options().write(true).open("/dev/kmsg").map(drop)),
        ("socket: UDP", UdpSocket::bind("127.0.0.1:0").map(drop)),
        ("socket: TCP", TcpListener::bind("127.0.0.1:0").map(drop)),
        ("socket: Unix", UnixDatagram::unbound().map(drop)),
        ("run a program", Command::new("/bin/true").status().map(drop)),
        ("become a program", Err(std::os::unix::process::CommandExt::exec(&mut Command::new(NOWHERE)))),
        ("setuid", nix(nix::unistd::setuid(nix::unistd::getuid()))),
        ("kill", nix(nix::sys::signal::kill(nix::unistd::getppid(), None))),
        ("chroot", nix(nix::unistd::chroot(Path::new(NOWHERE)))),
        #[cfg(target_os = "linux")]
        (
            "memory with a name (memfd)",
            nix(nix::sys::memfd::memfd_create("imon", nix::sys::memfd::MFdFlags::empty()).map(drop)),
        ),
    ];
    // Where there is no sandbox it was made.
    _ = std::fs::remove_file(&beside);
    tries.into_iter().map(|(what, answer)| Tried { what, answer: answer.err() }).collect()
}
