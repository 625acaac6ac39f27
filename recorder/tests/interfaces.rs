//! Interfaces as they are on a real machine: several, up and down, gone and back, and names from a
//! resolver on the machine itself. In network namespaces of the test's own: root only; otherwise
//! each test says that it was skipped.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr)]

mod support;

use imon_common::observe::{Counter, GapReason};
use imon_common::wire::Mac;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};
use support::net::{HERE, Net, ONLY_OURS, Recorder, THERE, home, within};
use support::{Books, read_sealed, total};

/// How long something is gone in these tests, at least: the kernel itself tells of a carrier up to
/// a second late.
const PAUSE: Duration = Duration::from_millis(1_200);

/// What the recorder may misjudge on a busy machine.
const SLACK: Duration = Duration::from_millis(700);

/// Asserts that gaps of this reason, `number` of them, lasted about `length` together.
fn assert_gap(books: &Books, reason: GapReason, number: u64, length: Duration) {
    let (gaps, lasted_ns) = books.counter(Counter::Gap(reason));
    let lasted = Duration::from_nanos(lasted_ns);
    assert_eq!(gaps, number, "{reason:?}: {lasted:?}");
    assert!(lasted.abs_diff(length) < SLACK, "{reason:?}: {lasted:?} for {length:?}");
}

/// Waits until the recorder says that something is lost, calls `repair` after a pause, and waits
/// until it says that it is back. Gives the time between.
fn lost(recorder: &mut Recorder, what: &str, repair: impl FnOnce()) -> Duration {
    recorder.hear(&format!(": {what}; waits until it is back"));
    let began = Instant::now();
    std::thread::sleep(PAUSE);
    repair();
    recorder.hear(": back");
    began.elapsed()
}

#[test]
fn an_interface_that_is_made_again_is_recorded_on_with_the_gap_stated() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let mut recorder = net.start(&spool, &[ONLY_OURS[0], ONLY_OURS[1], "--promiscuous"]);
    let mut gone = Duration::ZERO;
    for round in 1..=2 {
        net.send(1_000);
        net.ip(&format!("-n {} link del {}", net.here, net.interface()));
        gone += lost(&mut recorder, "interface-gone", || net.join());
        let show = net.ip(&format!("-n {} -d link show {}", net.here, net.interface()));
        assert!(show.contains("promiscuity 1"), "round {round}: {show}");
    }
    net.send(500);
    let (said, _) = recorder.terminate();
    assert_eq!(total(&said, "packets"), 2_500, "{said}");
    assert_eq!(total(&said, "dropped by the kernel"), 0);
    let (books, _) = read_sealed(&spool);
    assert_eq!((books.usage.packets(), books.usage.bytes()), (2_500, 2_500 * 128));
    assert_eq!(books.counter(Counter::KernelReceived).0, 2_500);
    // The counters of the new interface began at zero. What a pair's end had received, its driver
    // has forgotten when it says that it is gone.
    let (received, _) = books.counter(Counter::InterfaceReceived);
    assert!((500..3_500).contains(&received), "{received}");
    // Without a carrier before it is gone, and before it is up again: one gap each time.
    assert_eq!(books.counter(Counter::Gap(GapReason::LinkDown)), (0, 0));
    assert_gap(&books, GapReason::InterfaceGone, 2, gone);
    assert_eq!(said.matches("gap: ").count(), said.matches("gap: interface-gone, ").count(), "{said}");
    assert!(!said.contains(", 0.0 s"), "{said}");
}

/// Of one that is gone the kernel says in the end what it had counted since the last look.
#[test]
fn what_an_interface_counted_before_it_was_unplugged_is_counted() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let plug = || {
        let make = format!("link add link {} name plug0 type macvlan", net.interface());
        for line in [&make, "link set plug0 up", "addr add 192.0.2.1/24 brd + dev plug0"] {
            if !net.try_ip(&format!("-n {} {line}", net.here)) {
                return false;
            }
        }
        true
    };
    if !plug() {
        eprintln!("skipped: this kernel has no macvlan interfaces");
        return;
    }
    let args = ["-i", "plug0", "--spool", spool.to_str().unwrap(), ONLY_OURS[0], ONLY_OURS[1]];
    let mut recorder = Recorder::start(net.command(&args));
    // ARP gets no answer there: a broadcast needs none.
    let send = |count: u32| {
        net.here(move || {
            let socket = UdpSocket::bind(("192.0.2.1", 0)).unwrap();
            socket.set_broadcast(true).unwrap();
            for _ in 0..count {
                socket.send_to(&[0; 100], ("192.0.2.255", 9)).unwrap();
            }
        });
    };
    for _ in 0..3 {
        send(300);
        net.ip(&format!("-n {} link del plug0", net.here));
        recorder.hear("interface-gone; waits until it is back");
        std::thread::sleep(Duration::from_millis(100));
        plug();
        recorder.hear(": back");
    }
    send(50);
    let (said, _) = recorder.terminate();
    let (sent, _) = read_sealed(&spool).0.counter(Counter::InterfaceSent);
    assert!((950..1_100).contains(&sent), "{sent}: {said}");
    assert_eq!(total(&said, "packets"), 950, "{said}");
}

#[test]
fn without_its_interface_it_still_rotates_and_ends_within_a_second() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let mut recorder = net.start(&spool, &[ONLY_OURS[0], ONLY_OURS[1], "--rotate-every", "1s"]);
    net.send(100);
    net.ip(&format!("-n {} link del {}", net.here, net.interface()));
    recorder.hear("interface-gone");
    let began = Instant::now();
    std::thread::sleep(Duration::from_millis(2_500));
    let lasted = began.elapsed();
    let (_, took) = recorder.terminate();
    assert!(took < Duration::from_secs(1), "{took:?}");
    let (books, headers) = read_sealed(&spool);
    assert!(headers.len() >= 3, "{}", headers.len());
    assert_eq!(books.usage.packets(), 100);
    // Each segment says what it lacks.
    let (parts, _) = books.counter(Counter::Gap(GapReason::InterfaceGone));
    assert!(parts >= 3, "{parts}");
    assert_gap(&books, GapReason::InterfaceGone, parts, lasted);
}

#[test]
fn another_kind_of_link_under_the_same_name_is_a_clear_end() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let mut recorder = net.start(&spool, &ONLY_OURS);
    net.send(100);
    net.ip(&format!("-n {} link del {}", net.here, net.interface()));
    recorder.hear("interface-gone");
    if !net.try_ip(&format!("-n {} tuntap add mode tun name {}", net.here, net.interface())) {
        eprintln!("skipped: this kernel makes no tun interface");
        return;
    }
    let (code, said) = recorder.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("made again as another kind of link"), "{said}");
    assert_eq!(read_sealed(&spool).0.usage.packets(), 100);
}

#[test]
fn a_link_that_goes_down_or_loses_its_carrier_is_recorded_on_with_the_gap_stated() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let mut recorder = net.start(&spool, &ONLY_OURS);
    let ends = [(&net.here, net.interface()), (&net.there, format!("{}t", net.link))];
    let mut down = Duration::ZERO;
    for (namespace, interface) in &ends {
        net.send(500);
        net.ip(&format!("-n {namespace} link set {interface} down"));
        down += lost(&mut recorder, "link-down", || _ = net.ip(&format!("-n {namespace} link set {interface} up")));
        net.route();
    }
    net.send(500);
    let (said, _) = recorder.terminate();
    assert_eq!(total(&said, "packets"), 1_500, "{said}");
    let (books, _) = read_sealed(&spool);
    assert_gap(&books, GapReason::LinkDown, 2, down);
}

#[test]
fn a_link_without_carrier_at_the_start_is_waited_for() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    net.ip(&format!("-n {} link set {}t down", net.there, net.link));
    // The kernel takes up to a second to notice.
    std::thread::sleep(Duration::from_millis(1_500));
    let mut recorder = net.start(&spool, &ONLY_OURS);
    assert!(recorder.said.contains(&format!("{}: link-down; waits", net.interface())), "{}", recorder.said);
    let began = Instant::now();
    net.ip(&format!("-n {} link set {}t up", net.there, net.link));
    recorder.hear(": back");
    let down = began.elapsed();
    net.route();
    net.send(100);
    recorder.terminate();
    let (books, _) = read_sealed(&spool);
    assert_eq!(books.usage.packets(), 100);
    assert_gap(&books, GapReason::LinkDown, 1, down);
}

#[test]
fn a_new_address_seals_the_segment_at_once_and_the_next_one_knows_it() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let recorder = net.start(&spool, &ONLY_OURS);
    net.send(100);
    net.ip(&format!("-n {} addr add 192.0.2.1/24 dev {}", net.here, net.interface()));
    std::thread::sleep(Duration::from_millis(500));
    net.send(100);
    net.ip(&format!("-n {} addr del 192.0.2.1/24 dev {}", net.here, net.interface()));
    std::thread::sleep(Duration::from_millis(500));
    net.send(100);
    recorder.terminate();
    let (books, headers) = read_sealed(&spool);
    assert_eq!(books.usage.packets(), 300);
    let knows: Vec<bool> = headers.iter().map(|h| h.local.nets().any(|n| n.to_string() == "192.0.2.0/24")).collect();
    assert_eq!(knows, [false, true, false]);
}

#[test]
fn the_interfaces_any_and_lo_can_be_recorded() {
    let Some(net) = Net::new() else { return };
    for interface in ["any", "lo"] {
        let (_home, spool) = home();
        let args = ["-i", interface, "--spool", spool.to_str().unwrap(), "--filter", "udp dst port 9"];
        let recorder = Recorder::start(net.command(&args));
        net.here(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            (0..50).for_each(|_| _ = socket.send_to(&[0; 100], "127.0.0.1:9"));
        });
        let (said, _) = recorder.terminate();
        assert_eq!(total(&said, "packets"), 50, "{interface}: {said}");
        assert_eq!(total(&said, "IP bytes"), 6_400);
    }
}

#[test]
fn several_interfaces_are_one_recording_and_each_packet_counts_once() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let mut recorder = net.start(&spool, &["-i", "lo", ONLY_OURS[0], ONLY_OURS[1]]);
    net.send(2_000);
    net.here(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        (0..300).for_each(|_| _ = socket.send_to(&[0; 100], "127.0.0.1:9"));
    });
    // One of them goes; the other is recorded on.
    net.ip(&format!("-n {} link del {}", net.here, net.interface()));
    recorder.hear("interface-gone");
    net.here(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        (0..200).for_each(|_| _ = socket.send_to(&[0; 100], "127.0.0.1:9"));
    });
    let (said, took) = recorder.terminate();
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(total(&said, "packets"), 2_500, "{said}");
    assert_eq!(total(&said, "dropped by the kernel"), 0);
    let (books, headers) = read_sealed(&spool);
    assert_eq!((books.usage.packets(), books.usage.bytes()), (2_500, 2_500 * 128));
    assert_eq!(headers[0].interface, format!("{},lo", net.interface()));
}

/// A bridge on the end of the pair in `here`, which has the address then.
fn bridge(net: &Net) {
    let (here, port) = (&net.here, net.interface());
    for line in [
        format!("-n {here} link add br0 address 02:00:00:00:00:01 type bridge"),
        format!("-n {here} link set {port} master br0"),
        format!("-n {here} addr flush dev {port}"),
        format!("-n {here} addr add {HERE}/24 dev br0"),
        format!("-n {here} link set br0 up"),
        format!("-n {here} route replace default dev br0"),
        format!("-n {here} neigh replace {THERE} lladdr 02:00:00:00:00:02 dev br0 nud permanent"),
    ] {
        net.ip(&line);
    }
}

#[test]
fn what_passes_a_bridge_and_its_port_counts_once() {
    let Some(net) = Net::new() else { return };
    bridge(&net);
    let port = net.interface();
    for interfaces in [&["-i", "br0", "-i", &port][..], &["-i", "any"]] {
        let (_home, spool) = home();
        let mut args = vec!["--spool", spool.to_str().unwrap(), ONLY_OURS[0], ONLY_OURS[1]];
        args.extend(interfaces);
        let recorder = Recorder::start(net.command(&args));
        let overlap = format!("what passes br0 passes {port}, too: a packet counts once");
        assert!(recorder.said.contains(&overlap), "{}", recorder.said);
        // In, out, and the same datagram again and again.
        net.send(2_000);
        net.here(|| {
            let socket = UdpSocket::bind((HERE, 0)).unwrap();
            (0..500).for_each(|_| _ = socket.send_to(&[0; 100], (THERE, 9)));
        });
        let (said, _) = recorder.terminate();
        let (books, _) = read_sealed(&spool);
        assert_eq!((books.usage.packets(), books.usage.bytes()), (2_500, 2_500 * 128), "{interfaces:?}: {said}");
        assert_eq!(books.counter(Counter::Copy), (2_500, 2_500 * 128), "{interfaces:?}");
        assert_eq!(total(&said, "IP bytes"), 2_500 * 128);
    }
}

#[test]
fn a_bridge_that_is_built_while_it_is_recorded_is_said() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    net.ip(&format!("-n {} link add br0 type bridge", net.here));
    let down = net.command(&["-i", "br0", "--spool", spool.to_str().unwrap()]).output().unwrap();
    let said = String::from_utf8_lossy(&down.stderr).into_owned();
    assert!(down.status.code() == Some(1) && said.contains("sudo ip link set br0 up"), "{said}");
    net.ip(&format!("-n {} link set br0 up", net.here));
    let mut recorder = net.start(&spool, &["-i", "br0"]);
    net.ip(&format!("-n {} link set {} master br0", net.here, net.interface()));
    recorder.hear(&format!("what passes br0 passes {}, too from now on: a packet counts once", net.interface()));
    recorder.terminate();
}

#[test]
fn a_router_is_told_what_it_counts() {
    let Some(net) = Net::new() else { return };
    net.here(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap());
    for (more, told) in [(&[][..], false), (&["-i", "lo"], true)] {
        let (_home, spool) = home();
        let recorder = net.start(&spool, more);
        assert_eq!(recorder.said.contains("this machine forwards packets"), told, "{}", recorder.said);
        recorder.terminate();
    }
}

/// A network behind `here`, which passes packets on. Gone with this value.
struct Home<'a>(&'a Net, String);

impl<'a> Home<'a> {
    fn behind(net: &'a Net) -> Self {
        let (here, there, link) = (&net.here, &net.there, &net.link);
        let home = format!("{here}-home");
        for line in [
            format!("netns add {home}"),
            format!("link add {link}i netns {here} type veth peer name {link}c address 02:00:00:00:00:07 netns {home}"),
            format!("-n {here} addr add 192.168.9.1/24 dev {link}i"),
            format!("-n {home} addr add 192.168.9.2/24 dev {link}c"),
            format!("-n {here} link set {link}i up"),
            format!("-n {home} link set {link}c up"),
            format!("-n {home} route add default via 192.168.9.1"),
            format!("-n {there} neigh replace 192.168.9.2 lladdr 02:00:00:00:00:01 dev {link}t nud permanent"),
        ] {
            net.ip(&line);
        }
        net.here(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap());
        Self(net, home)
    }
}

impl Drop for Home<'_> {
    fn drop(&mut self) {
        self.0.try_ip(&format!("netns del {}", self.1));
    }
}

#[test]
fn what_a_router_passes_on_counts_once_and_is_the_inner_devices() {
    let Some(net) = Net::new() else { return };
    let home_net = Home::behind(&net);
    let (outer, inner) = (net.interface(), format!("{}i", net.link));
    for interfaces in [&["-i", &outer, "-i", &inner][..], &["-i", "any"]] {
        let (_home, spool) = home();
        let mut args = vec!["--spool", spool.to_str().unwrap(), ONLY_OURS[0], ONLY_OURS[1]];
        args.extend(interfaces);
        let recorder = Recorder::start(net.command(&args));
        within(&home_net.1, || {
            let socket = UdpSocket::bind("192.168.9.2:0").unwrap();
            socket.connect((THERE, 9)).unwrap();
            for n in 0..500_u32 {
                // Nobody listens, and says so.
                _ = socket.send(&n.to_be_bytes().repeat(25));
            }
        });
        let (said, _) = recorder.terminate();
        let (books, _) = read_sealed(&spool);
        let (copies, _) = books.counter(Counter::Copy);
        let packets = books.usage.packets();
        assert!(packets >= 250 && copies == packets, "{interfaces:?}: {packets} and {copies}: {said}");
        assert_eq!(books.usage.bytes(), packets * 128);
        assert_eq!(books.ends.iter().map(|(client, _)| client.to_string()).collect::<Vec<_>>(), ["192.168.9.2"]);
    }
}

#[test]
fn a_renamed_interface_whose_name_another_takes_stays_the_recorded_one() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    let (here, name) = (&net.here, net.interface());
    let mut recorder = net.start(&spool, &ONLY_OURS);
    net.send(100);
    net.ip(&format!("-n {here} link set {name} name lan0"));
    recorder.hear("called lan0 from now on");
    // The heir has other networks, and counters that move much more.
    net.ip(&format!("-n {here} link add {name} type veth peer name other0"));
    net.ip(&format!("-n {here} addr add 192.0.2.1/24 dev {name}"));
    net.ip(&format!("-n {here} link set {name} up"));
    net.ip(&format!("-n {here} link set other0 up"));
    net.ip(&format!("-n {here} neigh replace 192.0.2.2 lladdr 02:00:00:00:00:09 dev {name} nud permanent"));
    std::thread::sleep(Duration::from_millis(1_200));
    net.here(|| {
        let socket = UdpSocket::bind("192.0.2.1:0").unwrap();
        (0..5_000).for_each(|_| _ = socket.send_to(&[0; 100], "192.0.2.2:9"));
    });
    net.ip(&format!("-n {here} addr add 203.0.114.1/24 dev lan0"));
    net.send(100);
    std::thread::sleep(Duration::from_millis(1_200));
    let (said, _) = recorder.terminate();
    let (books, headers) = read_sealed(&spool);
    assert_eq!(books.usage.packets(), 200, "{said}");
    let moved = books.counter(Counter::InterfaceReceived).0 + books.counter(Counter::InterfaceSent).0;
    assert!((200..1_000).contains(&moved), "{moved} packets of the heir");
    let knows = |net: &str| headers.last().unwrap().local.nets().any(|n| n.to_string() == net);
    assert!(knows("203.0.113.0/24") && knows("203.0.114.0/24") && !knows("192.0.2.0/24"), "{headers:?}");
}

#[test]
fn what_passes_loopback_is_counted_once_by_the_interface_too() {
    let Some(net) = Net::new() else { return };
    for interface in ["lo", "any"] {
        let (_home, spool) = home();
        let args = ["-i", interface, "--spool", spool.to_str().unwrap(), ONLY_OURS[0], ONLY_OURS[1]];
        let recorder = Recorder::start(net.command(&args));
        net.here(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            (0..400).for_each(|_| _ = socket.send_to(&[0; 100], "127.0.0.1:9"));
        });
        std::thread::sleep(Duration::from_millis(1_500));
        recorder.terminate();
        let (books, _) = read_sealed(&spool);
        assert_eq!(books.usage.packets(), 400);
        let (packets, bytes) = books.counter(Counter::InterfaceReceived);
        // Each datagram is answered by an ICMP error at most, as nobody listens.
        assert!((400..=850).contains(&packets), "{interface}: {packets}");
        assert!((400 * 142..2 * 400 * 200).contains(&bytes), "{interface}: {bytes}");
        if interface == "lo" {
            assert_eq!(books.counter(Counter::InterfaceSent), (0, 0));
            assert_eq!(books.counter(Counter::KernelReceived).0, 400);
        }
    }
}

/// A DNS message: a query for www.example.org, A; with `answer` the response with that address.
fn dns(id: u8, answer: Option<[u8; 4]>) -> Vec<u8> {
    let mut message = vec![0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    message.extend(b"\x03www\x07example\x03org\0\0\x01\0\x01");
    if let Some(address) = answer {
        message[2..4].copy_from_slice(&[0x81, 0x80]);
        message[7] = 1;
        message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        message.extend(address);
    }
    message
}

/// Asks a resolver at 127.0.0.53 (which this is, too) over UDP and over TCP.
fn ask_at_home() {
    let resolver = UdpSocket::bind("127.0.0.53:53").unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(&dns(1, None), "127.0.0.53:53").unwrap();
    let mut bytes = [0; 512];
    let (_, asker) = resolver.recv_from(&mut bytes).unwrap();
    resolver.send_to(&dns(1, Some([198, 51, 100, 1])), asker).unwrap();
    client.recv(&mut bytes).unwrap();

    let framed = |message: Vec<u8>| [(message.len() as u16).to_be_bytes().to_vec(), message].concat();
    let listener = TcpListener::bind("127.0.0.53:53").unwrap();
    let mut client = TcpStream::connect("127.0.0.53:53").unwrap();
    let (mut served, _) = listener.accept().unwrap();
    client.write_all(&framed(dns(2, None))).unwrap();
    _ = served.read(&mut bytes).unwrap();
    served.write_all(&framed(dns(2, Some([198, 51, 100, 1])))).unwrap();
    _ = client.read(&mut bytes).unwrap();
}

#[test]
fn names_asked_at_home_name_the_traffic_and_are_not_counted() {
    let Some(net) = Net::new() else { return };
    let (_home, spool) = home();
    net.ip(&format!("-n {} addr add 2001:db8::1/64 dev {} nodad", net.here, net.interface()));
    let args = ["--names-from", "lo", "--filter", "udp port 9"];
    let recorder = net.start(&spool, &args);
    net.here(|| {
        ask_at_home();
        let socket = UdpSocket::bind((HERE, 0)).unwrap();
        (0..20).for_each(|_| _ = socket.send_to(&[0; 100], (THERE, 9)));
        // Nobody's names, and nobody's bytes.
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        (0..50).for_each(|_| _ = socket.send_to(&[0; 100], "127.0.0.1:9"));
    });
    let (said, _) = recorder.terminate();
    assert_eq!(total(&said, "packets"), 20, "{said}");
    let (books, headers) = read_sealed(&spool);
    assert_eq!((books.usage.packets(), books.usage.bytes()), (20, 20 * 128));
    // None of those on lo. The new address may have been announced in the moment before the filter
    // was set.
    assert!((20..24).contains(&books.counter(Counter::KernelReceived).0));
    assert_eq!(books.counter(Counter::Gap(GapReason::LinkDown)), (0, 0));
    let (here, there): (IpAddr, IpAddr) = (HERE.parse().unwrap(), THERE.parse().unwrap());
    assert_eq!(books.ends.into_iter().collect::<Vec<_>>(), [(here, there)]);
    // Over UDP and over TCP, each for both addresses of this machine.
    assert_eq!(books.names, ["www.example.org"; 4]);
    let mac = Some(Mac([2, 0, 0, 0, 0, 1]));
    let second: IpAddr = "2001:db8::1".parse().unwrap();
    assert_eq!(books.askers, [(here, mac), (second, mac), (here, mac), (second, mac)]);
    // The flow began a moment after the queries, if the machine was not busy; only they are told,
    // for whichever address.
    assert!(books.queries.iter().all(|name| name == "www.example.org") && books.queries.len() <= 4);
    assert!(books.who_asked.iter().all(|who| [(here, mac), (second, mac)].contains(who)));
    assert_eq!(headers[0].interface, net.interface());
}
