//! Two network namespaces joined by a veth pair, and a recorder in one of them.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr)]

use landlock::{AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Documentation addresses (RFC 5737): never local by themselves.
pub const HERE: &str = "203.0.113.1";
pub const THERE: &str = "198.51.100.1";

/// Two namespaces, `here` and `there`, joined by a veth pair. Gone with this value.
pub struct Net {
    pub here: String,
    pub there: String,
    pub link: String,
}

impl Net {
    /// `None`, said on standard error, where namespaces cannot be made.
    pub fn new() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let root = nix::unistd::geteuid().is_root();
        if !root || Command::new("ip").arg("-V").output().is_err() {
            eprintln!("skipped: needs root and the program ip");
            return None;
        }
        let id = format!("{}{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let net = Self { here: format!("imr-{id}h"), there: format!("imr-{id}t"), link: format!("v{id}") };
        let Self { here, there, .. } = &net;
        for line in [format!("netns add {here}"), format!("netns add {there}"), format!("-n {here} link set lo up")] {
            net.ip(&line);
        }
        net.join();
        Some(net)
    }

    /// Makes the pair, with its addresses and routes. The end of `here` may be removed and made
    /// again.
    pub fn join(&self) {
        let Self { here, there, link } = self;
        for line in [
            format!(
                "link add {link}h address 02:00:00:00:00:01 netns {here} type veth peer name {link}t address 02:00:00:00:00:02 netns {there}"
            ),
            format!("-n {here} addr add {HERE}/24 dev {link}h"),
            format!("-n {there} addr add {THERE}/24 dev {link}t"),
            format!("-n {here} link set {link}h up"),
            format!("-n {there} link set {link}t up"),
        ] {
            self.ip(&line);
        }
        self.route();
    }

    /// Routes and neighbours, which go when a link goes down.
    pub fn route(&self) {
        let Self { here, there, link } = self;
        for line in [
            format!("-n {here} route replace default dev {link}h"),
            format!("-n {there} route replace default dev {link}t"),
            // No ARP: the first datagrams of a burst would wait for it, and be dropped.
            format!("-n {here} neigh replace {THERE} lladdr 02:00:00:00:00:02 dev {link}h nud permanent"),
            format!("-n {there} neigh replace {HERE} lladdr 02:00:00:00:00:01 dev {link}t nud permanent"),
        ] {
            self.ip(&line);
        }
    }

    /// Runs the program ip, which must succeed; gives what it printed.
    pub fn ip(&self, line: &str) -> String {
        let output = Command::new("ip").args(line.split(' ')).output().unwrap();
        assert!(output.status.success(), "ip {line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs the program ip; whether it succeeded.
    pub fn try_ip(&self, line: &str) -> bool {
        Command::new("ip").args(line.split(' ')).output().unwrap().status.success()
    }

    pub fn interface(&self) -> String {
        format!("{}h", self.link)
    }

    /// Runs `work` in the namespace `here`.
    pub fn here<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        within(&self.here, work)
    }

    /// Runs `work` in the namespace `there`.
    pub fn there<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        within(&self.there, work)
    }

    /// Sends datagrams of 100 bytes from `there` to port 9 of `here`, at most about 20,000 a
    /// second.
    pub fn send(&self, count: u32) {
        self.send_sized(count, 100);
    }

    pub fn send_sized(&self, count: u32, payload: usize) {
        self.there(move || {
            let socket = UdpSocket::bind((THERE, 0)).unwrap();
            for n in 0..count {
                socket.send_to(&vec![0; payload], (HERE, 9)).unwrap();
                if n % 20 == 19 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        });
    }

    /// Starts a recorder and waits until it records.
    pub fn start(&self, spool: &Path, more: &[&str]) -> Recorder {
        let interface = self.interface();
        let mut args = vec!["-i", &interface, "--spool", spool.to_str().unwrap()];
        args.extend(more);
        Recorder::start(self.command(&args))
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.here]).arg(program()).args(args);
        command
    }
}

/// Runs `work` in a thread of its own in a namespace.
pub fn within<T: Send + 'static>(namespace: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let namespace = File::open(format!("/run/netns/{namespace}")).unwrap();
    std::thread::spawn(move || {
        setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
        work()
    })
    .join()
    .unwrap()
}

impl Drop for Net {
    fn drop(&mut self) {
        for name in [&self.here, &self.there] {
            _ = Command::new("ip").args(["netns", "del", name]).output();
        }
    }
}

pub fn program() -> PathBuf {
    assert_cmd::cargo::cargo_bin!("imon-record").into()
}

/// Whether this kernel has what the recorder shuts itself in with. Where it has not, the tests
/// record uncaged.
pub fn kernel_can_confine() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        let strictly = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        let landlock = strictly.handle_access(AccessFs::ReadFile).and_then(Ruleset::create).is_ok();
        let can = landlock && Path::new("/proc/sys/kernel/seccomp/actions_avail").exists();
        if !can {
            eprintln!("this kernel lacks Landlock or seccomp: recording with --allow-uncaged");
        }
        can
    })
}

/// Whether the program strace is there.
pub fn has_strace() -> bool {
    let has = Command::new("strace").arg("-V").output().is_ok();
    if !has {
        eprintln!("skipped: the program strace is missing");
    }
    has
}

/// A running recorder. `ip netns exec` becomes it, so that the process number is its own. Killed
/// with this value.
pub struct Recorder {
    pub child: Child,
    stderr: BufReader<ChildStderr>,
    pub said: String,
}

impl Recorder {
    /// Starts a recording and waits until it has begun.
    pub fn start(mut command: Command) -> Self {
        if !kernel_can_confine() {
            command.arg("--allow-uncaged");
        }
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut recorder = Self { child, stderr, said: String::new() };
        while !recorder.said.contains("recording ") {
            let read = recorder.stderr.read_line(&mut recorder.said).unwrap();
            assert!(read > 0, "did not start: {}", recorder.said);
        }
        recorder
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits until it says `word`.
    pub fn hear(&mut self, word: &str) {
        let before = self.said.len();
        while !self.said[before..].contains(word) {
            let read = self.stderr.read_line(&mut self.said).unwrap();
            assert!(read > 0, "ended without saying '{word}': {}", self.said);
        }
    }

    /// Waits for the end; gives the exit code and what was said on standard error.
    pub fn end(mut self) -> (Option<i32>, String) {
        let mut said = std::mem::take(&mut self.said);
        self.stderr.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }

    /// Ends it by SIGTERM; gives what was said and how long it took.
    pub fn terminate(self) -> (String, Duration) {
        let began = Instant::now();
        self.signal(Signal::SIGTERM);
        let (code, said) = self.end();
        assert_eq!(code, Some(0), "{said}");
        (said, began.elapsed())
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// The spool lies in a directory that everybody may pass, as the recorder's user must.
pub fn home() -> (TempDir, PathBuf) {
    let home = TempDir::new().unwrap();
    let spool = home.path().join("spool");
    (home, spool)
}

/// Nothing but what [`Net::send`] sends.
pub const ONLY_OURS: [&str; 2] = ["--filter", "udp dst port 9"];
