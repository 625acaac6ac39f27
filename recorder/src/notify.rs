//! The service manager is told how we are (sd_notify(3)): ready, a line of status, alive, stopping.
//!
//! The socket is opened before the rights are given up and written with write(2): the loop may
//! neither open nor address one. It does not block: a manager that does not listen must not hold up
//! the recording.

use crate::cage::{Kept, Use};
use crate::log::{Level, log};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The way to the service manager; silent where there is none.
#[derive(Debug, Default)]
pub struct Notify {
    socket: Option<File>,
    /// How often the manager wants to hear that we are alive.
    watchdog: Option<Duration>,
    pinged_ns: Option<i64>,
}

impl Notify {
    /// What the environment of this process asks for. A manager that cannot be reached is said, not
    /// an error: it will say itself what it misses.
    pub fn from_environment() -> Self {
        let Some(address) = std::env::var_os("NOTIFY_SOCKET") else {
            return Self::default();
        };
        let variable = |name| std::env::var(name).ok();
        let watchdog = watchdog(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"), std::process::id());
        match connect(&address) {
            Ok(socket) => Self { socket: Some(socket), watchdog, pinged_ns: None },
            Err(e) => {
                log(Level::Warning, format_args!("cannot reach the service manager at NOTIFY_SOCKET: {e}"));
                Self::default()
            }
        }
    }

    /// What of it stays open.
    pub fn kept(&self) -> Option<Kept> {
        self.socket.as_ref().map(|socket| Kept::new(socket, Use::Write, "the way to the service manager"))
    }

    /// The recording has begun.
    pub fn ready(&mut self) {
        self.send("READY=1\n");
    }

    /// The recording ends.
    pub fn stopping(&mut self) {
        self.send("STOPPING=1\n");
    }

    /// A line for `systemctl status`.
    pub fn status(&mut self, text: &str) {
        self.send(&format!("STATUS={}\n", text.replace('\n', " ")));
    }

    /// Says that the loop turns, if it is time to. `steady_ns`: any clock that does not step.
    pub fn alive(&mut self, steady_ns: i64) {
        let Some(every) = self.watchdog else {
            return;
        };
        // A third of what is asked: sd_watchdog_enabled(3) asks for half, and turns may be late.
        let due =
            |pinged: i64| steady_ns.saturating_sub(pinged) >= i64::try_from(every.as_nanos() / 3).unwrap_or(i64::MAX);
        if self.pinged_ns.is_none_or(due) {
            self.pinged_ns = Some(steady_ns);
            self.send("WATCHDOG=1\n");
        }
    }

    fn send(&mut self, message: &str) {
        if let Some(socket) = &mut self.socket {
            // Full or gone: there is nothing that could be done here.
            _ = socket.write(message.as_bytes());
        }
    }
}

/// A datagram socket connected to `address`: a path, or behind `@` a name of the abstract name
/// space.
fn connect(address: &OsStr) -> io::Result<File> {
    let address = match address.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(address)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    Ok(File::from(OwnedFd::from(socket)))
}

/// The interval of sd_watchdog_enabled(3): `None` if nothing is asked for, or not of this process.
fn watchdog(usec: Option<String>, pid: Option<String>, own_pid: u32) -> Option<Duration> {
    let asked_of_us = pid.is_none_or(|pid| pid.parse() == Ok(own_pid));
    let usec = usec?.parse().ok().filter(|usec| *usec > 0 && asked_of_us)?;
    Some(Duration::from_micros(usec))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(listener: &UnixDatagram) -> Option<String> {
        let mut bytes = [0; 256];
        listener.set_nonblocking(true).unwrap();
        listener.recv(&mut bytes).ok().map(|n| String::from_utf8_lossy(&bytes[..n]).into_owned())
    }

    #[test]
    fn paths_and_abstract_names_are_reached() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("notify");
        let name = format!("imon-notify-test-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(&name).unwrap();
        for (listener, address) in [
            (UnixDatagram::bind(&path).unwrap(), path.as_os_str().to_owned()),
            (UnixDatagram::bind_addr(&abstract_address).unwrap(), format!("@{name}").into()),
        ] {
            let mut notify = Notify { socket: Some(connect(&address).unwrap()), ..Notify::default() };
            notify.ready();
            notify.status("two\nlines");
            assert_eq!(received(&listener).unwrap(), "READY=1\n");
            assert_eq!(received(&listener).unwrap(), "STATUS=two lines\n");
            assert_eq!(received(&listener), None);
        }
        assert!(connect(OsStr::new("/nonexistent/socket")).is_err());
        assert!(connect(OsStr::new(&"x".repeat(500))).is_err());
    }

    #[test]
    fn the_watchdog_hears_of_us_three_times_in_its_interval() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        let mut notify = Notify {
            socket: Some(connect(path.as_os_str()).unwrap()),
            watchdog: Some(Duration::from_nanos(300)),
            pinged_ns: None,
        };
        for at in (0..=300).step_by(10) {
            notify.alive(at);
        }
        let pings = std::iter::from_fn(|| received(&listener)).filter(|m| m == "WATCHDOG=1\n").count();
        assert_eq!(pings, 4, "at 0, 100, 200 and 300");
    }

    #[test]
    fn a_manager_that_does_not_listen_holds_nobody_up() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("notify");
        let _listener = UnixDatagram::bind(&path).unwrap();
        let mut notify = Notify { socket: Some(connect(path.as_os_str()).unwrap()), ..Notify::default() };
        (0..10_000).for_each(|_| notify.ready());
    }

    #[test]
    fn the_interval_is_that_of_this_process() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(watchdog(some("30000000"), None, 7), Some(Duration::from_secs(30)));
        assert_eq!(watchdog(some("1"), some("7"), 7), Some(Duration::from_micros(1)));
        assert_eq!(watchdog(some("1"), some("8"), 7), None);
        for bad in [None, some("0"), some("x"), some("-1")] {
            assert_eq!(watchdog(bad, None, 7), None);
        }
    }
}
