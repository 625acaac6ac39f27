//! Live recording in network namespaces of the test's own. Root only; otherwise each test says that
//! it was skipped.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr)]

mod support;

use imon_common::observe::{Counter, GapReason};
use imon_common::segment::{SegmentEnd, SegmentReader};
use nix::sys::signal::Signal;
use std::fs::{File, Permissions};
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use support::net::{HERE, Net, ONLY_OURS, Recorder, THERE, home, program};
use support::{Books, SmallDisk, files, read_into, read_sealed, total};

#[test]
fn totals_are_exact_and_the_stop_takes_what_came_before_it() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let recorder = net.start(&spool, &ONLY_OURS);
    net.send(10_000);
    // At once: the last packets are still in the kernel's ring.
    let (said, _) = recorder.terminate();
    assert_eq!(total(&said, "packets"), 10_000, "{said}");
    assert_eq!(total(&said, "IP bytes"), 1_280_000);
    assert_eq!(total(&said, "dropped by the kernel"), 0);
    let (books, headers) = read_sealed(&spool);
    assert_eq!((books.usage.packets(), books.usage.bytes()), (10_000, 1_280_000));
    assert_eq!(books.counter(Counter::KernelReceived).0, 10_000);
    assert!(books.counter(Counter::InterfaceReceived).0 >= 10_000);
    assert!(headers[0].local.nets().any(|n| n.to_string() == "203.0.113.0/24"));
}

#[test]
fn an_idle_link_is_sealed_within_a_second() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let recorder = net.start(&spool, &ONLY_OURS);
    std::thread::sleep(Duration::from_millis(700));
    let (said, took) = recorder.terminate();
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(total(&said, "segments"), 1);
    assert_eq!(read_sealed(&spool).0.usage.packets(), 0);
}

#[test]
fn a_hangup_rotates_and_nothing_is_lost_or_doubled() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let recorder = net.start(&spool, &ONLY_OURS);
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| net.send(20_000));
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(150));
            recorder.signal(Signal::SIGHUP);
        }
        sender.join().unwrap();
    });
    let (said, _) = recorder.terminate();
    assert_eq!(total(&said, "segments"), 6, "{said}");
    let (books, headers) = read_sealed(&spool);
    assert_eq!(headers.len(), 6);
    assert_eq!((books.usage.packets(), books.usage.bytes()), (20_000, 2_560_000));
    assert_eq!(books.counter(Counter::KernelReceived).0, 20_000);
}

#[test]
fn segments_are_sealed_by_age_and_the_oldest_are_removed() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let recorder = net.start(&spool, &["--rotate-every", "1s"]);
    std::thread::sleep(Duration::from_millis(3_500));
    let (said, _) = recorder.terminate();
    assert!((3..=5).contains(&total(&said, "segments")), "{said}");
    assert_eq!(read_sealed(&spool).1.len() as u64, total(&said, "segments"));
}

/// A flood of beginnings: the day's part of a small budget is used up, detail goes, and no packet
/// does.
#[test]
fn a_flood_costs_its_own_day_detail_and_no_packet_and_the_status_says_so() {
    const PACKETS: u64 = 60_000;
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let recorder = net.start(&spool, &["--keep-size", "1MiB", "--keep-days", "2", ONLY_OURS[0], ONLY_OURS[1]]);
    net.there(|| {
        // Each from another port and another address: what a scan looks like.
        for n in 0..PACKETS {
            if n % 250 == 0 {
                std::thread::sleep(Duration::from_millis(20));
            }
            let socket = UdpSocket::bind((THERE, 0)).unwrap();
            socket.send_to(&[0; 100], (HERE, 9)).unwrap();
        }
    });
    std::thread::sleep(Duration::from_millis(1_300));
    let sizes = |suffix| files(&spool, suffix).iter().map(|p| p.metadata().unwrap().len()).sum::<u64>();
    let taken = sizes("seg") + sizes("part");
    assert!(taken < 1 << 20, "{taken}");
    let (said, _) = recorder.terminate();
    assert!(said.contains("only sums are kept from now on"), "{taken} bytes; {said}");
    assert!(!said.contains("removed "), "{said}");
    assert_eq!(total(&said, "packets") + total(&said, "dropped by the kernel"), PACKETS, "{said}");
    let (books, _) = read_sealed(&spool);
    assert_eq!(books.usage.packets() + total(&said, "dropped by the kernel"), PACKETS);
    assert!(books.counter(Counter::Gap(GapReason::NoSpace)).1 > 0);
    let status = std::fs::read_to_string(spool.join("status.json")).unwrap();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["spool"]["only_sums"], true);
    // Each segment states its part.
    assert!(status["losses"]["no-space"]["count"].as_u64().unwrap() >= 1);
}

#[test]
fn after_kill_the_part_is_readable_and_the_next_start_adopts_it() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let recorder = net.start(&spool, &ONLY_OURS);
    net.send(2_000);
    std::thread::sleep(Duration::from_millis(1_500));
    recorder.signal(Signal::SIGKILL);
    drop(recorder);
    let part = files(&spool, "part").pop().unwrap();
    let mut books = Books::default();
    let (_, end) = read_into(&part, &mut books);
    assert!(matches!(end, SegmentEnd::Open { .. }), "{end:?}");
    assert_eq!(books.usage.packets(), 2_000); // older than a second when the end came

    let bytes = std::fs::read(&part).unwrap();
    let recorder = net.start(&spool, &ONLY_OURS);
    assert!(recorder.said.contains("kept from a recorder that did not end properly"), "{}", recorder.said);
    recorder.terminate();
    assert_eq!(std::fs::read(part.with_extension("seg")).unwrap(), bytes);
    assert_eq!((files(&spool, "seg").len(), files(&spool, "part").len()), (2, 0));
}

/// What libpcap calls received includes what it calls dropped; the ledger rests on it.
#[test]
fn what_the_ring_has_no_room_for_is_recorded_as_dropped() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let recorder = net.start(&spool, &ONLY_OURS);
    recorder.signal(Signal::SIGSTOP);
    net.send_sized(40_000, 1_400); // 56 MB for a ring of 32 MiB
    recorder.signal(Signal::SIGCONT);
    let (said, _) = recorder.terminate();
    let (packets, dropped) = (total(&said, "packets"), total(&said, "dropped by the kernel"));
    assert!(dropped > 0, "{said}");
    assert_eq!(packets + dropped, 40_000, "{said}");
    let (books, _) = read_sealed(&spool);
    assert_eq!(books.usage.packets(), packets);
    assert_eq!(books.counter(Counter::KernelDropped).0, dropped);
    assert_eq!(books.counter(Counter::KernelReceived).0, 40_000);
}

/// Killed at random moments under load: nothing damaged, nothing double, at most a second missing.
/// `IMON_KILLS` sets the number of rounds, after which the longest losses are said.
#[test]
fn kill_at_any_moment_costs_at_most_a_second() {
    const PAUSE: Duration = Duration::from_micros(500);
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let rounds = std::env::var("IMON_KILLS").map_or(4, |n| n.parse().unwrap());
    let mut lost = Vec::new();
    for round in 0..rounds {
        let recorder = net.start(&spool, &ONLY_OURS);
        // A spread of moments over two intervals, another one in every run.
        let spread = u64::from(std::process::id()) * 7 + round * 617;
        let life = Duration::from_millis(1_800 + spread % 2_000);
        let killer = std::thread::spawn(move || {
            std::thread::sleep(life);
            recorder.signal(Signal::SIGKILL);
            let at = Instant::now();
            drop(recorder);
            at
        });
        let sent: Vec<Instant> = net.there(move || {
            let socket = UdpSocket::bind((THERE, 0)).unwrap();
            let began = Instant::now();
            let mut sent = Vec::new();
            while began.elapsed() < life + Duration::from_millis(100) {
                socket.send_to(&[0; 100], (HERE, 9)).unwrap();
                sent.push(Instant::now());
                std::thread::sleep(PAUSE);
            }
            sent
        });
        let killed = killer.join().unwrap();
        let mut books = Books::default();
        let (_, end) = read_into(&files(&spool, "part").pop().unwrap(), &mut books);
        assert!(matches!(end, SegmentEnd::Open { .. } | SegmentEnd::Torn { .. }), "{end:?}");
        let kept = books.usage.packets() as usize;
        assert!(kept <= sent.iter().filter(|at| **at < killed).count() + 1);
        // What was recorded are the first ones.
        let last = sent[kept.checked_sub(1).expect("something was recorded in 1.8 s")];
        lost.push(killed.saturating_duration_since(last));
    }
    assert_eq!(files(&spool, "seg").len() as u64, rounds - 1);
    lost.sort_unstable();
    let (longest, median) = (lost[lost.len() - 1], lost[lost.len() / 2]);
    eprintln!(
        "{rounds} kills: median loss {median:.3?}, longest {:.3?}",
        lost.iter().rev().take(5).collect::<Vec<_>>()
    );
    assert!(longest < Duration::from_secs(1), "{longest:?}");
}

/// Packets in segments and the time between two runs account for what was sent: what is in no
/// segment was sent while nobody recorded, as the second run's first segment says.
#[test]
fn what_is_missing_after_a_kill_was_sent_while_nobody_recorded() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let recorder = net.start(&spool, &ONLY_OURS);
    let sender = std::thread::scope(|scope| {
        let sent = scope.spawn(|| {
            net.there(|| {
                let socket = UdpSocket::bind((THERE, 0)).unwrap();
                let began = Instant::now();
                let mut sent = Vec::new();
                while began.elapsed() < Duration::from_secs(7) {
                    socket.send_to(&[0; 100], (HERE, 9)).unwrap();
                    sent.push(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64);
                    std::thread::sleep(Duration::from_millis(1));
                }
                sent
            })
        });
        std::thread::sleep(Duration::from_millis(2_300));
        recorder.signal(Signal::SIGKILL);
        drop(recorder);
        std::thread::sleep(Duration::from_millis(2_000));
        let again = net.start(&spool, &ONLY_OURS);
        let sent = sent.join().unwrap();
        again.terminate();
        sent
    });
    let mut books = Books::default();
    let mut segments: Vec<_> = files(&spool, "seg")
        .into_iter()
        .map(|path| {
            let reader = SegmentReader::open(File::open(path).unwrap()).unwrap();
            let header = reader.header().clone();
            (header, reader.read(&mut books).unwrap())
        })
        .collect();
    segments.sort_by_key(|(header, _)| header.sequence);
    let [(_, killed), (second, stopped)] = segments.as_slice() else { panic!("{segments:?}") };
    assert!(!matches!(killed.end, SegmentEnd::Sealed { .. }) && stopped.close.stop_requested);
    let before = books.runs_before.first().expect("the second run knows of the first");
    assert!(!before.requested && !before.sealed && !before.rebooted && !before.failed, "{before:?}");
    let from = before.to.max(killed.recorded_to.unwrap());
    let gap_s = second.start.since(from) as f64 / 1e9;
    assert!((1.9..5.0).contains(&gap_s), "{gap_s}");
    let outside = sender.iter().filter(|at| **at < from.0 || **at >= second.start.0).count() as u64;
    let kept = books.usage.packets();
    assert!(kept >= outside, "{kept} recorded, {outside} sent while somebody recorded");
    // The gap is not longer than it must be: what is recorded in it is less than a second's worth.
    assert!(kept - outside < 1_000, "{kept} recorded, {outside} outside the gap");
}

#[test]
fn a_second_recorder_on_the_same_spool_refuses() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let recorder = net.start(&spool, &[]);
    let second = net.command(&["-i", "lo", "--spool", spool.to_str().unwrap()]).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("process {} records into it", recorder.child.id())), "{said}");
    recorder.terminate();
}

#[test]
fn the_loop_runs_without_any_right() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let recorder = net.start(&spool, &["--user", "nobody"]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", recorder.child.id())).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(name)).unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    assert_eq!(field("Uid:"), vec![nobody.uid.to_string(); 4]);
    assert_eq!(field("Gid:"), vec![nobody.gid.to_string(); 4]);
    assert!(field("Groups:").is_empty());
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(set), ["0000000000000000"], "{set}");
    }
    assert_eq!(field("NoNewPrivs:"), ["1"]);
    recorder.terminate();
}

#[test]
fn the_default_route_chooses_the_interface() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let recorder = Recorder::start(net.command(&["--spool", spool.to_str().unwrap()]));
    assert!(recorder.said.contains(&format!("recording {} ", net.interface())), "{}", recorder.said);
    recorder.terminate();
    let list = net.command(&["--list-interfaces"]).output().unwrap();
    assert!(String::from_utf8_lossy(&list.stdout).contains(&format!("* {}", net.interface())));
}

#[test]
fn without_the_right_both_ways_to_get_it_are_named() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let output = as_nobody(&net, &program(), &spool).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("sudo") && said.contains("setcap cap_net_raw=ep"), "{said}");
}

#[test]
fn one_capability_is_enough() {
    let Some(net) = Net::new() else { return };
    let (home, spool) = home();
    let copy = home.path().join("imon-record");
    // By another process: what a test beside this one inherits open for writing cannot be run.
    assert!(Command::new("cp").arg(program()).arg(&copy).status().unwrap().success());
    let given = Command::new("setcap").arg("cap_net_raw=ep").arg(&copy).output();
    if !given.is_ok_and(|o: Output| o.status.success()) {
        eprintln!("skipped: setcap is missing or the file system has no capabilities");
        return;
    }
    open_to_all(home.path());
    let recorder = Recorder::start(as_nobody(&net, &copy, &spool));
    net.send(100);
    let (said, _) = recorder.terminate();
    assert!(total(&said, "packets") >= 100, "{said}");
}

/// The recorder as a user without rights, who may write into the spool's parent.
fn as_nobody(net: &Net, program: &Path, spool: &Path) -> Command {
    open_to_all(spool.parent().unwrap());
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &net.here]);
    command.args(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.arg(program).args(["-i", &net.interface(), "--spool", spool.to_str().unwrap()]);
    command
}

fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).unwrap();
}

#[test]
fn a_full_disk_costs_nothing_if_there_is_room_again_in_time() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let _disk = SmallDisk::mount(&spool, "size=256k");
    let recorder = net.start(&spool, &["--user", "65534", ONLY_OURS[0], ONLY_OURS[1]]);
    net.send(1_000);
    std::thread::sleep(Duration::from_millis(1_300));
    let filler = spool.join("filler");
    let mut file = File::create(&filler).unwrap();
    while std::io::Write::write(&mut file, &[0; 512]).is_ok() {}
    drop(file);
    // Each from a port of its own, so that the records outgrow the page that the segment has.
    net.there(|| {
        for n in 0..3_000 {
            let socket = UdpSocket::bind((THERE, 0)).unwrap();
            socket.send_to(&[0; 100], (HERE, 9)).unwrap();
            if n % 500 == 0 {
                std::thread::sleep(Duration::from_millis(400));
            }
        }
    });
    std::thread::sleep(Duration::from_millis(1_300));
    std::fs::remove_file(&filler).unwrap();
    std::thread::sleep(Duration::from_millis(3_000));
    let (said, _) = recorder.terminate();
    assert!(said.contains("no room for ") && said.contains("there is room again"), "{said}");
    assert_eq!(total(&said, "dropped by the kernel"), 0);
    assert_eq!(read_sealed(&spool).0.usage.packets(), 4_000);
}

#[test]
fn a_disk_that_stays_full_is_a_clear_end_and_what_was_written_is_readable() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    // Three pages: for the lock, for the identity, and for the segment, which the second block
    // outgrows.
    let _disk = SmallDisk::mount(&spool, "size=12k");
    let recorder = net.start(&spool, &["--user", "65534", ONLY_OURS[0], ONLY_OURS[1]]);
    net.there(|| {
        for _ in 0..2_000 {
            let socket = UdpSocket::bind((THERE, 0)).unwrap();
            socket.send_to(&[0; 100], (HERE, 9)).unwrap();
        }
    });
    std::thread::sleep(Duration::from_millis(1_500));
    recorder.signal(Signal::SIGTERM);
    let (code, said) = recorder.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("error: cannot write the last ") && said.contains("--keep-size"), "{said}");
    let (_, end) = read_into(&files(&spool, "part").pop().unwrap(), &mut Books::default());
    assert!(matches!(end, SegmentEnd::Open { .. } | SegmentEnd::Torn { .. }), "{end:?}");
}

#[test]
fn a_file_system_that_becomes_read_only_is_a_clear_end() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let disk = SmallDisk::mount(&spool, "size=64k");
    let recorder = net.start(&spool, &["--user", "65534", ONLY_OURS[0], ONLY_OURS[1], "--rotate-every", "2s"]);
    net.send(100);
    std::thread::sleep(Duration::from_millis(1_300));
    // The open file may be written on; the next one cannot be made.
    let output = Command::new("mount").args(["-o", "remount,ro"]).arg(disk.at()).output().unwrap();
    if !output.status.success() {
        eprintln!("skipped: this kernel does not make a file system with open files read-only");
        return;
    }
    let (code, said) = recorder.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("Read-only file system"), "{said}");
}

#[test]
fn a_spool_that_is_removed_is_a_clear_end_within_seconds() {
    let Some(net) = Net::new() else { return };
    for whole in [true, false] {
        let (_home, spool) = home();
        let recorder = net.start(&spool, &ONLY_OURS);
        net.send(100);
        match whole {
            true => std::fs::remove_dir_all(&spool).unwrap(),
            false => std::fs::remove_file(files(&spool, "part").pop().unwrap()).unwrap(),
        }
        let began = Instant::now();
        net.send(100);
        let (code, said) = recorder.end();
        assert_eq!(code, Some(1), "{said}");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert!(said.contains("it was removed while it was written"), "{said}");
        assert!(said.contains("start again"), "{said}");
    }
}

#[test]
fn a_spool_of_somebody_else_is_refused_with_the_way_out() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    std::fs::create_dir(&spool).unwrap();
    std::fs::write(spool.join("something"), "").unwrap();
    let args = ["-i", &net.interface(), "--spool", spool.to_str().unwrap(), "--user", "nobody"];
    let output = net.command(&args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("it belongs to root, but nobody is to record"), "{said}");
    assert!(said.contains("chown -R nobody: "), "{said}");
}

#[test]
fn a_bad_filter_is_refused_before_the_spool_is_touched() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let args = ["-i", &net.interface(), "--spool", spool.to_str().unwrap(), "--filter", "udp prot 9"];
    let output = net.command(&args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("syntax error"), "{said}");
    assert!(!spool.exists());
}

#[test]
fn the_service_manager_the_status_file_and_the_metrics_are_told() {
    let Some(net) = Net::new() else { return };
    let (home, spool) = home();
    // As /tmp: nobody else can exchange the spool.
    std::fs::set_permissions(home.path(), Permissions::from_mode(0o1777)).unwrap();
    // As the service's: a group may look into it.
    std::fs::create_dir(&spool).unwrap();
    std::fs::set_permissions(&spool, Permissions::from_mode(0o750)).unwrap();
    let (socket, metrics) = (home.path().join("notify"), home.path().join("imon.prom"));
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let heard = || {
        let mut bytes = [0; 512];
        let length = manager.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let interface = net.interface();
    let mut command = net.command(&["-i", &interface, "--spool", spool.to_str().unwrap()]);
    command.arg("--metrics").arg(&metrics).env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "600000");
    let recorder = Recorder::start(command);
    assert_eq!(heard(), "READY=1\n");
    let began = Instant::now();
    for _ in 0..4 {
        assert_eq!(heard(), "WATCHDOG=1\n");
    }
    // An idle link: at least every 250 ms a turn of the loop, each third of 600 ms a sign of life.
    assert!((400..2000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());

    let status = |more: &[&str]| {
        let output = Command::new(program()).args(["--status", "--spool", spool.to_str().unwrap()]).args(more).output();
        let output = output.unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, text) = status(&[]);
    assert!(code == 0 && text.starts_with("recorder    fine\n"), "{code} {text}");
    assert!(text.contains(&interface), "{text}");
    let page = std::fs::read_to_string(&metrics).unwrap();
    assert!(page.contains(&format!("imon_record_recording{{interface=\"{interface}\"}} 1\n")), "{page}");
    assert_eq!(metrics.metadata().unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(spool.join("status.json").metadata().unwrap().permissions().mode() & 0o777, 0o640);

    // A loop that hangs gives no sign of life any more.
    recorder.signal(Signal::SIGSTOP);
    std::thread::sleep(Duration::from_millis(50));
    manager.set_nonblocking(true).unwrap();
    while manager.recv(&mut [0; 512]).is_ok() {}
    std::thread::sleep(Duration::from_millis(800));
    assert!(manager.recv(&mut [0; 512]).is_err());
    recorder.signal(Signal::SIGCONT);
    manager.set_nonblocking(false).unwrap();
    assert_eq!(heard(), "WATCHDOG=1\n");

    recorder.terminate();
    assert!(std::iter::from_fn(|| Some(heard())).take(50).any(|message| message == "STOPPING=1\n"));
    let (code, text) = status(&[]);
    assert!(code == 1 && text.contains("not running: it was stopped"), "{code} {text}");
    let (code, json) = status(&["--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, json["status"]["state"].as_str()), (1, Some("stopped")));
    assert!(std::fs::read_to_string(&metrics).unwrap().contains("\"} 0\n"));
}
