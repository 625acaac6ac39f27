//! `imon-record --collect`: datagrams of those that are allowed become captures, and nothing else
//! does.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, missing_docs)]

mod support;

use imon_common::capture_file::CaptureReader;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::SmallDisk;

/// A port that was free a moment ago.
fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start(spool: &Path, port: u16, allowed: &str, more: &[&str]) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_imon-record"))
        .args(["--collect", &format!("127.0.0.1:{port}"), "--allow-from", allowed, "--allow-uncaged", "--spool"])
        .arg(spool)
        .args(more)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.as_mut().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("collecting datagrams")), "it does not begin");
    child
}

fn stop(mut child: Child) -> String {
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    let mut said = String::new();
    std::io::Read::read_to_string(child.stderr.as_mut().unwrap(), &mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    said
}

/// Captures in a spool that are finished, in order.
fn captures(spool: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(spool).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.to_string_lossy().ends_with(".exported.pcapng"));
    found.sort();
    found
}

fn packets(path: &Path) -> Vec<Vec<u8>> {
    let mut reader = CaptureReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut packets = Vec::new();
    while let Some(packet) = reader.next_packet().unwrap() {
        packets.push(packet.data.to_vec());
    }
    packets
}

/// A spool that whoever records may write into.
fn spool() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::PermissionsExt::set_mode(&mut dir.path().metadata().unwrap().permissions(), 0o755);
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let spool = dir.path().join("spool");
    (dir, spool)
}

#[test]
fn datagrams_of_those_who_may_send_are_kept_as_they_came() {
    let (_dir, spool) = spool();
    let port = free_port();
    let child = start(&spool, port, "127.0.0.1", &[]);
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let other = UdpSocket::bind("127.0.0.2:0").unwrap();
    for at in 0..100u8 {
        sender.send_to(&[at; 40], ("127.0.0.1", port)).unwrap();
        other.send_to(&[at; 41], ("127.0.0.1", port)).unwrap();
    }
    sender.send_to(&[], ("127.0.0.1", port)).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let said = stop(child);
    assert!(said.contains("collected 101 datagrams; 100 of others were refused"), "{said}");
    let found = captures(&spool);
    assert_eq!(found.len(), 1, "{found:?}");
    let packets = packets(found.first().unwrap());
    assert_eq!(packets.len(), 101);
    for (at, packet) in packets.iter().take(100).enumerate() {
        assert_eq!(packet.get(28..).unwrap(), [at as u8; 40], "datagram {at}");
    }
}

#[test]
fn captures_rotate_within_their_budget_and_what_a_kill_left_is_adopted() {
    let (_dir, spool) = spool();
    let port = free_port();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sizes = ["--keep-size", "512KiB", "--rotate-size", "64KiB"];
    let child = start(&spool, port, "127.0.0.0/8", &sizes);
    // 2 MB: four times the budget.
    for _ in 0..200 {
        for _ in 0..10 {
            sender.send_to(&[7; 1_000], ("127.0.0.1", port)).unwrap();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let until = Instant::now() + Duration::from_secs(10);
    while captures(&spool).len() < 5 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut child = child;
    child.kill().unwrap();
    child.wait().unwrap();
    let all: u64 = captures(&spool).iter().map(|path| path.metadata().unwrap().len()).sum();
    assert!((64 << 10..=640 << 10).contains(&all), "{all} bytes are kept");
    let before = captures(&spool);
    stop(start(&spool, port, "127.0.0.1", &sizes));
    let after = captures(&spool);
    // What is adopted may need the room of the oldest.
    let young: Vec<_> = before.iter().skip(2).collect();
    assert!(young.len() >= 3 && young.iter().all(|path| after.contains(path)), "{before:?}, then {after:?}");
    assert!(std::fs::read_dir(&spool).unwrap().all(|e| !e.unwrap().file_name().to_string_lossy().ends_with(".open")));
}

#[test]
fn what_has_such_a_name_and_is_another_s_stays_as_it_is() {
    let (_dir, spool) = spool();
    std::fs::create_dir(&spool).unwrap();
    if nix::unistd::geteuid().is_root() {
        nix::unistd::chown(&spool, Some(65_534.into()), Some(65_534.into())).unwrap();
    }
    let at = |name: &str| spool.join(name);
    std::fs::write(at("imon-5.exported.pcapng"), "finished").unwrap();
    std::fs::write(at("imon-5.exported.pcapng.open"), "begun").unwrap();
    std::fs::write(at("imon-6.exported.pcapng.open"), "adopted").unwrap();
    std::fs::create_dir(at("imon-7.exported.pcapng")).unwrap();
    std::os::unix::fs::symlink("imon-5.exported.pcapng", at("imon-8.exported.pcapng.open")).unwrap();
    nix::unistd::mkfifo(&at("imon-9.exported.pcapng.open"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let user: &[&str] = if nix::unistd::geteuid().is_root() { &["--user", "65534"] } else { &[] };
    // All are of 1970: what is too old goes by a clock that was steady for an hour, and not now.
    stop(start(&spool, free_port(), "127.0.0.1", &[user, &["--keep-days", "1"]].concat()));
    let read = |name: &str| std::fs::read_to_string(at(name)).unwrap();
    assert_eq!(read("imon-5.exported.pcapng"), "finished");
    assert_eq!(read("imon-5.exported.pcapng.open"), "begun");
    assert_eq!(read("imon-6.exported.pcapng"), "adopted");
    for name in ["imon-7.exported.pcapng", "imon-8.exported.pcapng.open", "imon-9.exported.pcapng.open"] {
        assert!(at(name).symlink_metadata().is_ok(), "{name}");
    }
}

#[test]
fn on_a_full_disk_datagrams_wait_and_no_file_is_made_in_vain() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: a small disk needs root");
        return;
    }
    let (_dir, spool) = spool();
    let disk = SmallDisk::mount(&spool, "size=256k,nr_inodes=100");
    let port = free_port();
    let child = start(&spool, port, "127.0.0.1", &["--user", "65534"]);
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let send = |number: u32| {
        for at in 0..number {
            sender.send_to(&[7; 1_000], ("127.0.0.1", port)).unwrap();
            if at % 20 == 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    };
    let filler = disk.at().join("filler");
    std::fs::write(&filler, vec![0; 128 << 10]).unwrap();
    send(400);
    std::thread::sleep(Duration::from_millis(300));
    assert!(std::fs::read_dir(disk.at()).unwrap().count() < 10, "one capture, and what a spool has");
    std::fs::remove_file(&filler).unwrap();
    // There is room for half of it. The rest waits.
    std::thread::sleep(Duration::from_millis(2_300));
    let mount = Command::new("mount").args(["-o", "remount,size=4m"]).arg(disk.at()).status().unwrap();
    assert!(mount.success());
    std::thread::sleep(Duration::from_millis(2_300));
    send(10);
    std::thread::sleep(Duration::from_millis(300));
    let said = stop(child);
    assert!(said.contains("no room for ") && said.contains("there is room again"), "{said}");
    assert!(said.contains("collected 410 datagrams; 0 of others were refused\n"), "{said}");
    let found = captures(&spool);
    assert_eq!(found.iter().map(|path| packets(path).len()).sum::<usize>(), 410);
}
