//! Frames of DHCP clients through the meter: whose name it is, and whose bytes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use imon_common::flow::Flow;
use imon_common::names::{NameKind, NameSeen};
use imon_common::observe::{Count, Meter, MeterConfig, Observer, Usage};
use imon_common::packet::{CapturedPacket, LinkType};
use imon_common::time::UnixNanos;
use imon_common::wire::Mac;
use std::convert::Infallible;

const ANN: [u8; 6] = [2, 0, 0, 0, 0, 1];
const BOB: [u8; 6] = [2, 0, 0, 0, 0, 2];

#[derive(Default)]
struct Taken {
    names: Vec<(Option<Mac>, String, String)>,
    usage: Vec<(Option<Mac>, u64)>,
}

impl Observer for Taken {
    type Error = Infallible;

    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> Result<(), Infallible> {
        assert_eq!(seen.kind, NameKind::Dhcp);
        let addresses: Vec<String> = seen.addresses.iter().map(|a| a.address.to_string()).collect();
        self.names.push((flow.client_mac, seen.name.to_string(), addresses.join(" ")));
        Ok(())
    }

    fn usage(&mut self, flow: &Flow, _: UnixNanos, usage: Usage) -> Result<(), Infallible> {
        self.usage.push((flow.client_mac, usage.up_packets));
        Ok(())
    }

    fn counts(&mut self, _: UnixNanos, _: &[Count]) -> Result<(), Infallible> {
        Ok(())
    }
}

/// A REQUEST on Ethernet: sent from `mac` and `src`, stating `claimed` and the host name.
fn request(mac: [u8; 6], src: [u8; 4], claimed: [u8; 6], host: &str) -> Vec<u8> {
    let mut bootp = vec![1, 1, 6, 0, 0, 0, 0, 9, 0, 0, 0, 0];
    bootp.extend(src);
    bootp.extend([0; 12]);
    bootp.extend(claimed);
    bootp.resize(236, 0);
    bootp.extend([0x63, 0x82, 0x53, 0x63, 53, 1, 3, 50, 4, 192, 168, 0, 77, 12, host.len() as u8]);
    bootp.extend(host.bytes());
    bootp.push(255);
    let udp_len = bootp.len() as u16 + 8;
    let mut frame = vec![0xff; 6];
    frame.extend(mac);
    frame.extend([0x08, 0x00, 0x45, 0]);
    frame.extend((udp_len + 20).to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    frame.extend(src);
    frame.extend([255; 4]);
    frame.extend([0, 68, 0, 67]);
    frame.extend(udp_len.to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(bootp);
    frame
}

fn through_the_meter(link_type: LinkType, frames: &[Vec<u8>]) -> Taken {
    let mut meter = Meter::new(MeterConfig::default());
    let mut taken = Taken::default();
    for (i, data) in frames.iter().enumerate() {
        let ts = UnixNanos(1_793_491_200_000_000_000 + i as i64 * 1_000_000);
        let orig_len = data.len() as u32;
        meter.packet(&CapturedPacket { ts, orig_len, link_type, interface: 0, data }, &mut taken).unwrap();
    }
    meter.flush(&mut taken).unwrap();
    taken
}

#[test]
fn devices_without_an_address_are_told_apart() {
    let frames = [request(ANN, [0; 4], ANN, "ann"), request(BOB, [0; 4], BOB, "bob"), request(ANN, [0; 4], ANN, "ann")];
    let taken = through_the_meter(LinkType(1), &frames);
    let name = |mac, name: &str| (Some(Mac(mac)), name.to_owned(), "192.168.0.77".to_owned());
    assert_eq!(taken.names, [name(ANN, "ann"), name(BOB, "bob"), name(ANN, "ann")]);
    assert_eq!(taken.usage.iter().filter(|(mac, _)| *mac == Some(Mac(BOB))).map(|(_, n)| n).sum::<u64>(), 1);
    assert_eq!(taken.usage.iter().map(|(_, packets)| packets).sum::<u64>(), 3);
}

#[test]
fn nobody_names_another() {
    let spoofed = request(BOB, [192, 168, 0, 2], ANN, "bobs-joke");
    assert_eq!(through_the_meter(LinkType(1), &[spoofed]).names, []);
    // Without link headers nothing shows who sent it: only who has an address already is believed.
    let raw = |src| request(ANN, src, ANN, "ann")[14..].to_vec();
    assert_eq!(through_the_meter(LinkType(101), &[raw([0; 4])]).names, []);
    let own = through_the_meter(LinkType(101), &[raw([192, 168, 0, 8])]).names;
    assert_eq!(own, [(None, "ann".to_owned(), "192.168.0.8".to_owned())]);
}
