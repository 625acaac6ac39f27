//! Which kernel this process is on. What another process left in a file, a lock or a time by the
//! boot clock, counts only if that one was on the same.

use crate::clock::Now;
use crate::json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;

/// The namespace of processes that every kernel begins with has this number
/// (<linux/proc_ns.h>, `PROC_PID_INIT_INO`).
const FIRST_PROCESSES: u64 = 0xEFFF_FFFC;

/// Two readings of the wall clock and the boot clock that are no farther apart than this, on one
/// kernel: seconds. NTP slews less in the time that matters.
const SAME_BOOT_S: f64 = 1.0;

/// What tells kernels apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kernel {
    /// Identity of this boot of the machine, where the system tells it.
    pub boot_id: Option<String>,
    /// Number of the namespace of processes, in a container.
    pub processes: Option<u64>,
}

impl Kernel {
    /// That of this process, as it was when it was asked for first: later the files may be out of
    /// reach.
    pub fn here() -> &'static Self {
        static HERE: OnceLock<Kernel> = OnceLock::new();
        HERE.get_or_init(|| Self {
            // random(4)
            boot_id: fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|text| text.trim().to_owned()),
            processes: Path::new("/proc/self/ns/pid")
                .metadata()
                .ok()
                .map(|m| m.ino())
                .filter(|n| *n != FIRST_PROCESSES),
        })
    }

    /// The members that say so in a file.
    pub fn members(&self) -> [(&'static str, Value); 2] {
        [
            ("boot_id", self.boot_id.as_deref().map_or(Value::Null, Value::from)),
            ("processes", self.processes.map_or(Value::Null, Value::from)),
        ]
    }

    /// Whether a number of a process in a file that this kernel's [wrote](Self::wrote) names the
    /// same process here.
    pub fn shares_processes(&self, value: &Value) -> bool {
        value.whole(&["processes"]) == self.processes
    }

    /// Whether a file with such members, and with times by both clocks, was written on this kernel.
    ///
    /// A container may show another boot id to who looks than to a service in it that has a /proc
    /// of its own (systemd-nspawn does): processes and clocks tell then.
    pub fn wrote(&self, value: &Value, now: Now) -> bool {
        if value.text(&["boot_id"]) == self.boot_id.as_deref() {
            return true;
        }
        if self.processes.is_none() || value.whole(&["processes"]) != self.processes {
            return false;
        }
        let (Some(wall_s), Some(boot_s)) = (value.number(&["written_unix_s"]), value.number(&["written_boot_s"]))
        else {
            return false;
        };
        let booted_s = (now.wall.0 as f64 - now.boot_ns as f64) / 1e9;
        (wall_s - boot_s - booted_s).abs() <= SAME_BOOT_S
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imon_common::time::UnixNanos;

    fn now(seconds: i64) -> Now {
        let ns = seconds * 1_000_000_000;
        Now { wall: UnixNanos(1_800_000_000_000_000_000 + ns), awake_ns: ns, boot_ns: ns }
    }

    fn file(kernel: &Kernel, booted_s: f64) -> Value {
        let [boot_id, processes] = kernel.members();
        let (wall, boot) = (("written_unix_s", (booted_s + 7.0).into()), ("written_boot_s", 7.0.into()));
        Value::object([boot_id, processes, wall, boot])
    }

    #[test]
    fn a_boot_id_tells_and_in_a_container_processes_and_clocks_together_do() {
        let kernel = |boot: Option<&str>, processes| Kernel { boot_id: boot.map(Into::into), processes };
        let here = kernel(Some("a"), Some(4_026_532_500));
        let cases = [
            (kernel(Some("a"), None), 0.0, true),
            (kernel(Some("b"), Some(4_026_532_500)), 1_800_000_000.5, true),
            (kernel(None, Some(4_026_532_500)), 1_800_000_000.0, true),
            (kernel(Some("b"), Some(4_026_532_500)), 1_800_000_003.0, false),
            (kernel(Some("b"), Some(4_026_532_500)), 1_799_999_997.0, false),
            (kernel(Some("b"), Some(4_026_532_501)), 1_800_000_000.0, false),
            (kernel(Some("b"), None), 1_800_000_000.0, false),
        ];
        for (writer, booted_s, is_here) in cases {
            assert_eq!(here.wrote(&file(&writer, booted_s), now(60)), is_here, "{writer:?} {booted_s}");
        }
        // Two machines, not containers, that were started in the same second.
        assert!(!kernel(Some("a"), None).wrote(&file(&kernel(Some("b"), None), 1_800_000_000.0), now(60)));
    }

    #[test]
    fn what_is_read_first_stays() {
        assert_eq!(Kernel::here(), Kernel::here());
        assert_eq!(Kernel::here().boot_id.as_ref().map(String::len), Some(36));
    }
}
