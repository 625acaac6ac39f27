//! What can go wrong, in words for the person at the terminal: what we were doing, what was found,
//! what to do next.

use imon_common::shown::shown;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Every way in which imon-record ends without success.
#[derive(Debug)]
pub enum Error {
    /// Arguments that are fine one by one but not together.
    Usage {
        /// What contradicts what.
        cause: String,
        /// What to type instead.
        hint: String,
    },
    /// The interface is not there.
    NoSuchInterface {
        /// As typed.
        name: String,
        /// Those that are there.
        existing: Vec<String>,
    },
    /// No interface was named and none has the default route.
    NoDefaultRoute {
        /// Those that are there.
        existing: Vec<String>,
    },
    /// The list of interfaces, addresses or routes could not be read.
    Interfaces(io::Error),
    /// The system refused the capture.
    NoPermission {
        /// Interface that was asked for.
        interface: String,
    },
    /// libpcap refused the filter.
    Filter {
        /// As typed.
        filter: String,
        /// libpcap's words.
        message: String,
    },
    /// libpcap could not open the interface, or failed while capturing.
    Capture {
        /// Interface.
        interface: String,
        /// libpcap's words.
        message: String,
    },
    /// The interface came back as another kind of link.
    OtherLink {
        /// Interface.
        interface: String,
    },
    /// A capture file could not be opened or read.
    OpenFile {
        /// As typed.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A capture file is packed.
    Packed {
        /// As typed.
        path: PathBuf,
        /// Name of the format.
        format: &'static str,
        /// Program that unpacks it to its output.
        unpack: &'static str,
    },
    /// A capture file is damaged, or is none.
    CaptureFile {
        /// As typed.
        path: PathBuf,
        /// What was found, and where.
        cause: String,
        /// Packets before were recorded.
        packets: u64,
    },
    /// Something in the spool failed.
    Spool {
        /// What we were doing: `cannot …`, file included.
        doing: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The spool belongs to somebody else than the user that records.
    SpoolOwner {
        /// Directory.
        path: PathBuf,
        /// Whose it is.
        owner: String,
        /// Who will record.
        user: String,
        /// What was named is a link to it.
        by_link: bool,
    },
    /// A file that is to be written, and that somebody else has made.
    Foreign {
        /// The file.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// Another recorder holds the spool.
    SpoolInUse {
        /// Directory.
        path: PathBuf,
        /// Process that holds it, as it noted itself.
        holder: Option<u32>,
    },
    /// The metrics cannot be written.
    Metrics {
        /// As typed.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A status file is there but cannot be read.
    ReadStatus {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// No recorder has left a status.
    NoStatus {
        /// Where they were looked for.
        spools: Vec<PathBuf>,
    },
    /// The name given by `--user` does not exist.
    NoSuchUser {
        /// As typed.
        name: String,
    },
    /// Rights could not be given up, or came back.
    Privilege {
        /// What we were doing.
        step: &'static str,
        /// What was found.
        cause: String,
    },
    /// The kernel does not enforce what the recorder relies on.
    Uncaged {
        /// What is open.
        holes: Vec<String>,
    },
    /// The address of `--collect` cannot be listened at.
    Listen {
        /// It.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A result could not be written.
    Output {
        /// The system's answer.
        source: io::Error,
    },
    /// Something that the system always has is missing (clock, random numbers, pipes, signals).
    System {
        /// What we were doing.
        doing: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

impl Error {
    /// 2 where other arguments are the remedy, 3 where a part of the input was recorded, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. } | Self::Filter { .. } | Self::NoSuchUser { .. } => 2,
            Self::CaptureFile { packets: 1.., .. } => 3,
            _ => 1,
        }
    }

    /// The whole on one line, as logs and the status file have it.
    pub fn one_line(&self) -> String {
        self.to_string().lines().map(str::trim).collect::<Vec<_>>().join("; ")
    }

    /// What was being done and what was found, on one line.
    pub fn doing_and_cause(&self) -> String {
        format!("{}: {}", self.doing(), self.cause())
    }

    /// An interface is missing or down; it may come.
    pub fn may_pass(&self) -> bool {
        let is_away =
            |message: &str| ["not up", "No such device", "disappeared"].iter().any(|word| message.contains(word));
        match self {
            Self::NoSuchInterface { .. } | Self::NoDefaultRoute { .. } => true,
            Self::Capture { message, .. } => is_away(message),
            _ => false,
        }
    }

    /// The spool has no room; that may pass.
    pub fn is_no_room(&self) -> bool {
        matches!(self, Self::Spool { source, .. } if crate::segment_file::is_no_room(source))
    }

    fn doing(&self) -> String {
        match self {
            Self::Usage { .. } => "these arguments do not go together".into(),
            Self::NoSuchInterface { name, .. } => format!("cannot record interface {name}"),
            Self::NoDefaultRoute { .. } => "cannot choose an interface".into(),
            Self::Interfaces(_) => "cannot list the interfaces".into(),
            Self::NoPermission { interface } | Self::Capture { interface, .. } => {
                format!("cannot capture on {interface}")
            }
            Self::Filter { filter, .. } => format!("cannot use filter '{filter}'"),
            Self::OtherLink { interface } => format!("recording of {interface} ended"),
            Self::CaptureFile { path, packets: 1.., .. } => format!("part of {} was skipped", path.display()),
            Self::OpenFile { path, .. } | Self::Packed { path, .. } | Self::CaptureFile { path, .. } => {
                format!("cannot read {}", path.display())
            }
            Self::Spool { doing, .. } => doing.clone(),
            Self::SpoolOwner { path, .. } | Self::SpoolInUse { path, .. } => {
                format!("cannot use spool {}", path.display())
            }
            Self::Foreign { path, .. } => format!("will not write {}", path.display()),
            Self::Metrics { path, .. } => format!("cannot write the metrics to {}", path.display()),
            Self::ReadStatus { path, .. } => format!("cannot read {}", path.display()),
            Self::NoStatus { .. } => "no recorder is known".into(),
            Self::NoSuchUser { name } => format!("cannot record as user {name}"),
            Self::Privilege { step, .. } => format!("cannot give up rights: {step}"),
            Self::Uncaged { .. } => "will not record: the confinement has holes".into(),
            Self::System { doing, .. } => (*doing).into(),
            Self::Output { .. } => "cannot write to standard output".into(),
            Self::Listen { address, .. } => format!("cannot listen for datagrams at {address}"),
        }
    }

    fn cause(&self) -> String {
        match self {
            Self::Usage { cause, .. } | Self::CaptureFile { cause, .. } | Self::Privilege { cause, .. } => {
                cause.clone()
            }
            Self::NoSuchInterface { .. } => "there is no interface of that name".into(),
            Self::NoDefaultRoute { .. } => "no interface has a default route".into(),
            Self::NoPermission { .. } => "the system does not permit it".into(),
            Self::Filter { message, .. } | Self::Capture { message, .. } => message.clone(),
            Self::OtherLink { .. } => "the interface was made again as another kind of link".into(),
            Self::Packed { format, .. } => format!("the file is packed ({format})"),
            Self::Interfaces(source)
            | Self::OpenFile { source, .. }
            | Self::Metrics { source, .. }
            | Self::ReadStatus { source, .. }
            | Self::Spool { source, .. }
            | Self::Listen { source, .. }
            | Self::Output { source }
            | Self::System { source, .. } => source.to_string(),
            Self::SpoolOwner { owner, user, by_link: false, .. } => {
                format!("it belongs to {owner}, but {user} is to record")
            }
            Self::SpoolOwner { owner, user, by_link: true, .. } => {
                format!("it is a link to a directory of {owner}, but {user} is to record")
            }
            Self::Foreign { found, .. } => format!("{found}, so that it is none that imon-record has made"),
            Self::SpoolInUse { holder: Some(pid), .. } => format!("process {pid} records into it"),
            Self::SpoolInUse { holder: None, .. } => "another recorder holds it".into(),
            Self::NoStatus { spools } => {
                let places: Vec<String> = spools.iter().map(|spool| spool.display().to_string()).collect();
                format!("there is no status file in {}", places.join(" or "))
            }
            Self::NoSuchUser { .. } => "there is no such user".into(),
            Self::Uncaged { holes } => holes.join("; "),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Usage { hint, .. } => hint.clone(),
            Self::NoSuchInterface { existing, .. } | Self::NoDefaultRoute { existing } => {
                format!(
                    "choose one with -i: {}; or let it wait for one that is yet to come: --wait",
                    existing.join(", ")
                )
            }
            Self::NoPermission { .. } => format!(
                "run it with sudo, or permit the program once: sudo setcap cap_net_raw=ep {}",
                std::env::current_exe().unwrap_or_else(|_| "imon-record".into()).display()
            ),
            Self::Capture { interface, message } if message.contains("not up") => {
                format!("bring it up first: sudo ip link set {interface} up; once recorded it may go down and up again")
            }
            Self::Filter { .. } => "the language is described in pcap-filter(7)".into(),
            Self::OtherLink { .. } => "what came before is kept; start again for the new link".into(),
            Self::Packed { path, unpack, .. } => {
                format!("unpack it on the way: {unpack} {} | imon-record --read - …", path.display())
            }
            Self::OpenFile { path, source } => return open_hint(path, source),
            Self::CaptureFile { packets: 1.., .. } => "the packets before that place are recorded".into(),
            Self::Metrics { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "the user that records must be able to write in that directory".into()
            }
            Self::ReadStatus { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "members of the group imon may: sudo usermod -aG imon NAME, then log in again".into()
            }
            Self::NoStatus { .. } => "is it started? Name another place with --spool".into(),
            Self::Spool { source, .. } => return spool_hint(source),
            Self::SpoolOwner { by_link: true, .. } => {
                "name the directory itself; what a link leads to is given to nobody".into()
            }
            Self::Foreign { .. } => "move it away, or choose another place".into(),
            Self::SpoolOwner { path, owner, user, .. } => {
                format!("sudo chown -R {user}: {}, or record as its owner: --user {owner}", path.display())
            }
            Self::SpoolInUse { .. } => "one recorder per spool: choose another with --spool".into(),
            Self::Uncaged { .. } => {
                "imon-record --self-test shows every wall; --allow-uncaged records all the same".into()
            }
            Self::Listen { source, .. } => return listen_hint(source),
            Self::NoSuchUser { .. } => "leave --user out, or: sudo useradd --system NAME".into(),
            _ => return None,
        })
    }
}

fn open_hint(path: &Path, source: &io::Error) -> Option<String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(match source.kind() {
        io::ErrorKind::NotFound => format!("`ls {}` shows what is there", folder.display()),
        io::ErrorKind::PermissionDenied => format!("`ls -ld {}` shows who may", path.display()),
        _ => return None,
    })
}

fn listen_hint(source: &io::Error) -> Option<String> {
    Some(match source.kind() {
        io::ErrorKind::AddrNotAvailable => {
            "`ip address` shows the addresses of this machine; --collect 0.0.0.0:PORT takes what comes to any".into()
        }
        io::ErrorKind::AddrInUse => "another program listens there: `ss -lunp` shows which; choose another port".into(),
        io::ErrorKind::PermissionDenied => "ports below 1024 are for root: exporters can be told another one".into(),
        _ => return None,
    })
}

fn spool_hint(source: &io::Error) -> Option<String> {
    Some(match source.kind() {
        // EACCES is about modes; this is not.
        io::ErrorKind::PermissionDenied if source.raw_os_error() == Some(nix::libc::EPERM) => {
            "the directory is immutable, or the confinement refuses the call: imon-record --self-test".into()
        }
        io::ErrorKind::PermissionDenied => "choose a directory of your own with --spool".into(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room, or let the recorder keep less: --keep-size, --keep-days".into()
        }
        io::ErrorKind::NotFound => {
            "start again; choose a directory that nobody clears with --spool, if this one was removed".into()
        }
        io::ErrorKind::FileTooLarge => {
            "a limit for the length of files is in force (ulimit -f): --rotate-size seals earlier".into()
        }
        io::ErrorKind::ReadOnlyFilesystem => "choose a directory on a writable file system with --spool".into(),
        _ => return None,
    })
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Here once for all: names of files, interfaces and users come from outside.
        write!(f, "error: {}\n  cause: {}", shown(&self.doing()), shown(&self.cause()))?;
        self.hint().map_or(Ok(()), |hint| write!(f, "\n  hint:  {}", shown(&hint)))
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_says_how_to_keep_less() {
        let error = Error::Spool {
            doing: "cannot write a.part".into(),
            source: io::Error::from_raw_os_error(28), // ENOSPC
        };
        let text = error.to_string();
        assert!(text.starts_with("error: cannot write a.part\n  cause: No space left"), "{text}");
        assert!(text.contains("--keep-size"), "{text}");
        assert_eq!(error.exit_code(), 1);
    }

    #[test]
    fn a_missing_interface_lists_those_that_exist() {
        let error = Error::NoSuchInterface { name: "eth9".into(), existing: vec!["lo".into(), "wlan0".into()] };
        assert_eq!(
            error.to_string(),
            "error: cannot record interface eth9\n  cause: there is no interface of that name\n  hint:  choose one with -i: lo, wlan0; or let it wait for one that is yet to come: --wait"
        );
    }

    #[test]
    fn a_hostile_file_name_cannot_act_on_the_terminal() {
        let error = Error::Packed { path: "a\x1b[2J\n.gz".into(), format: "gzip", unpack: "zcat" };
        let text = error.to_string();
        assert!(text.starts_with("error: cannot read a\\027[2J\\010.gz\n  cause: "), "{text}");
        assert!(text.contains("zcat a\\027[2J\\010.gz |"), "{text}");
    }
}
