//! What frames without IP hold: by number and by name, and what to do where bytes may be missing
//! because of it.
//!
//! Names of link types are those of <https://www.tcpdump.org/linktypes.html>, of EtherTypes those
//! of IANA's and the IEEE's lists, or the product's that uses them.

use imon_common::wire::NotIp;
use std::fmt;

/// Most kinds that a ledger lists; the others are one. A network has a dozen; hostile frames could
/// have 65,536.
pub const MAX_CARRIERS: usize = 32;

/// Frames of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carrier {
    /// The kind; `None` for all that are beyond [`MAX_CARRIERS`].
    pub kind: Option<NotIp>,
    /// Frames.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Carrier {
    /// The word for the kind in JSON.
    pub fn word(&self) -> &'static str {
        match self.kind {
            Some(NotIp::EtherType(_)) => "ether-type",
            Some(NotIp::Llc) => "llc",
            Some(NotIp::Link) => "link",
            Some(NotIp::LinkType(_)) => "link-type",
            None => "other",
        }
    }

    /// EtherType or link type.
    pub fn number(&self) -> Option<u16> {
        match self.kind {
            Some(NotIp::EtherType(number) | NotIp::LinkType(number)) => Some(number),
            _ => None,
        }
    }

    /// What the number stands for, if it is known.
    pub fn name(&self) -> Option<&'static str> {
        match self.kind? {
            NotIp::EtherType(number) => name_of(ETHER_TYPES, number),
            NotIp::LinkType(number) => name_of(LINK_TYPES, number),
            NotIp::Llc | NotIp::Link => None,
        }
    }

    /// What to do about it, where IP may be inside that was not counted.
    pub fn hint(&self) -> Option<&'static str> {
        match self.kind? {
            NotIp::EtherType(0x88e5) => Some("encrypted on the link: record on one of the two machines that have the key"),
            NotIp::EtherType(number) => name_of(ETHER_TYPES, number).is_none().then_some(
                "imon does not know this EtherType: if it carries IP, those bytes are missing here; a capture nearer to the \
                 hosts has them",
            ),
            NotIp::LinkType(105) => {
                Some("encrypted on the air: record on the access point's wire, or on the device itself")
            }
            NotIp::LinkType(186 | 189 | 220 | 249 | 266 | 278 | 288 | 293..=295) => {
                Some("this is what went over a USB cable: record the network interface that the device provides")
            }
            NotIp::LinkType(252) => Some("these are exported parts of packets: give the capture that they were exported from"),
            NotIp::LinkType(253) => Some("messages of the kernel, of which only logged and queued packets hold IP"),
            NotIp::LinkType(_) => Some(
                "imon does not decode this link type: if it carries IP, those bytes are missing here; record an Ethernet or \
                 IP interface (`imon-record --list-interfaces`)",
            ),
            NotIp::Llc | NotIp::Link => None,
        }
    }
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.name()) {
            (Some(NotIp::EtherType(number)), Some(name)) => write!(f, "EtherType 0x{number:04x} ({name})"),
            (Some(NotIp::EtherType(number)), None) => write!(f, "EtherType 0x{number:04x} (unknown)"),
            (Some(NotIp::LinkType(105)), _) => f.write_str("link type 105 (IEEE802_11), encrypted"),
            (Some(NotIp::LinkType(number)), Some(name)) => write!(f, "link type {number} ({name})"),
            (Some(NotIp::LinkType(number)), None) => write!(f, "link type {number} (unknown)"),
            (Some(NotIp::Llc), _) => f.write_str("LLC (spanning tree and the like)"),
            (Some(NotIp::Link), _) => f.write_str("frames of the link itself"),
            (None, _) => f.write_str("other kinds"),
        }
    }
}

/// The list of a ledger: most frames first, no more than [`MAX_CARRIERS`] and what is beyond them.
pub fn listed(mut all: Vec<Carrier>) -> Vec<Carrier> {
    all.sort_by(|a, b| (b.packets, a.kind).cmp(&(a.packets, b.kind)));
    let beyond = all.split_off(all.len().min(MAX_CARRIERS));
    if !beyond.is_empty() {
        let sum = |amount: fn(&Carrier) -> u64| beyond.iter().map(amount).fold(0, u64::saturating_add);
        all.push(Carrier { kind: None, packets: sum(|c| c.packets), bytes: sum(|c| c.bytes) });
    }
    all
}

fn name_of(names: &'static [(u16, &'static str)], number: u16) -> Option<&'static str> {
    let at = names.binary_search_by_key(&number, |(n, _)| *n).ok()?;
    names.get(at).map(|(_, name)| *name)
}

/// EtherTypes (and, in GRE, what stands in their place) that carry no IP, or none that can be read.
/// By number.
#[rustfmt::skip]
const ETHER_TYPES: &[(u16, &str)] = &[
    (0x0806, "ARP"), (0x0842, "Wake-on-LAN"), (0x2000, "CDP"), (0x22ea, "SRP"), (0x22f0, "AVTP"),
    (0x4305, "B.A.T.M.A.N."), (0x6002, "DEC MOP"), (0x6003, "DECnet"), (0x6004, "DEC LAT"), (0x8035, "RARP"),
    (0x809b, "AppleTalk"), (0x80f3, "AppleTalk ARP"), (0x8137, "IPX"), (0x8204, "QNX"), (0x8808, "flow control"),
    (0x8809, "slow protocols, LACP"), (0x8819, "CobraNet"), (0x8863, "PPPoE discovery"), (0x886d, "Intel ANS"),
    (0x887b, "HomePlug 1.0"), (0x888e, "EAPOL"), (0x8892, "PROFINET"), (0x8899, "Realtek"), (0x889a, "HyperSCSI"),
    (0x88a2, "ATA over Ethernet"), (0x88a4, "EtherCAT"), (0x88ab, "POWERLINK"), (0x88b8, "GOOSE"), (0x88b9, "GSE"),
    (0x88ba, "sampled values"), (0x88ca, "TIPC"), (0x88cc, "LLDP"), (0x88cd, "SERCOS III"), (0x88d9, "LLTD"),
    (0x88dc, "WSMP"), (0x88e1, "HomePlug AV"), (0x88e3, "MRP"), (0x88e5, "MACsec"), (0x88f5, "MVRP"), (0x88f6, "MMRP"),
    (0x88f7, "PTP"), (0x88f8, "NC-SI"), (0x88fb, "PRP"), (0x8902, "CFM"), (0x8906, "FCoE"), (0x890d, "802.11r, TDLS"),
    (0x8912, "HomePlug"), (0x8914, "FCoE initialization"), (0x8915, "RoCE"), (0x891d, "TTEthernet"),
    (0x893a, "IEEE 1905.1"), (0x894f, "NSH"), (0x9000, "loopback test"), (0x9998, "Google OnHub"),
];

/// Link types that are not decoded, or hold frames that are not. By number.
#[rustfmt::skip]
const LINK_TYPES: &[(u16, &str)] = &[
    (3, "AX25"), (7, "ARCNET_BSD"), (11, "ATM_RFC1483_DLT"), (15, "SLIP_BSDOS"), (16, "PPP_BSDOS"), (19, "ATM_CLIP"),
    (99, "SYMANTEC_FIREWALL"), (105, "IEEE802_11"), (114, "LTALK"), (118, "CISCO_IOS"), (120, "AIRONET_HEADER"),
    (128, "TZSP"), (129, "ARCNET_LINUX"), (130, "JUNIPER_MLPPP"), (131, "JUNIPER_MLFR"), (132, "JUNIPER_ES"),
    (133, "JUNIPER_GGSN"), (134, "JUNIPER_MFR"), (135, "JUNIPER_ATM2"), (136, "JUNIPER_SERVICES"),
    (137, "JUNIPER_ATM1"), (139, "MTP2_WITH_PHDR"), (140, "MTP2"), (141, "MTP3"), (142, "SCCP"), (144, "LINUX_IRDA"),
    (147, "USER0"), (148, "USER1"), (149, "USER2"), (150, "USER3"), (151, "USER4"), (152, "USER5"), (153, "USER6"),
    (154, "USER7"), (155, "USER8"), (156, "USER9"), (157, "USER10"), (158, "USER11"), (159, "USER12"),
    (160, "USER13"), (161, "USER14"), (162, "USER15"), (164, "JUNIPER_MONITOR"), (165, "BACNET_MS_TP"),
    (167, "JUNIPER_PPPOE"), (168, "JUNIPER_PPPOE_ATM"), (169, "GPRS_LLC"), (170, "GPF_T"), (171, "GPF_F"),
    (172, "GCOM_T1E1"), (173, "GCOM_SERIAL"), (174, "JUNIPER_PIC_PEER"), (175, "ERF_ETH"), (176, "ERF_POS"),
    (177, "LINUX_LAPD"), (179, "JUNIPER_PPP"), (180, "JUNIPER_FRELAY"), (181, "JUNIPER_CHDLC"), (182, "MFR"),
    (183, "JUNIPER_VP"), (184, "A429"), (185, "A653_ICM"), (186, "USB_FREEBSD"), (187, "BLUETOOTH_HCI_H4"),
    (188, "IEEE802_16_MAC_CPS"), (189, "USB_LINUX"), (190, "CAN20B"), (191, "IEEE802_15_4_LINUX"),
    (193, "IEEE802_16_MAC_CPS_RADIO"), (194, "JUNIPER_ISM"), (195, "IEEE802_15_4_WITHFCS"), (196, "SITA"),
    (197, "ERF"), (198, "RAIF1"), (199, "IPMB_KONTRON"), (200, "JUNIPER_ST"), (201, "BLUETOOTH_HCI_H4_WITH_PHDR"),
    (202, "AX25_KISS"), (203, "LAPD"), (207, "LAPB_WITH_DIR"), (209, "I2C_LINUX"), (210, "FLEXRAY"), (211, "MOST"),
    (212, "LIN"), (213, "X2E_SERIAL"), (214, "X2E_XORAYA"), (215, "IEEE802_15_4_NONASK_PHY"), (216, "LINUX_EVDEV"),
    (217, "GSMTAP_UM"), (218, "GSMTAP_ABIS"), (220, "USB_LINUX_MMAPPED"), (221, "DECT"), (222, "AOS"), (223, "WIHART"),
    (224, "FC_2"), (225, "FC_2_WITH_FRAME_DELIMS"), (227, "CAN_SOCKETCAN"), (230, "IEEE802_15_4_NOFCS"), (231, "DBUS"),
    (232, "JUNIPER_VS"), (233, "JUNIPER_SRX_E2E"), (234, "JUNIPER_FIBRECHANNEL"), (235, "DVB_CI"), (236, "MUX27010"),
    (237, "STANAG_5066_D_PDU"), (238, "JUNIPER_ATM_CEMIC"), (243, "MPEG_2_TS"), (244, "NG40"), (245, "NFC_LLCP"),
    (246, "PFSYNC"), (247, "INFINIBAND"), (248, "SCTP"), (249, "USBPCAP"), (250, "RTAC_SERIAL"),
    (251, "BLUETOOTH_LE_LL"), (252, "WIRESHARK_UPPER_PDU"), (253, "NETLINK"), (254, "BLUETOOTH_LINUX_MONITOR"),
    (255, "BLUETOOTH_BREDR_BB"), (256, "BLUETOOTH_LE_LL_WITH_PHDR"), (257, "PROFIBUS_DL"), (260, "IPMI_HPM_2"),
    (261, "ZWAVE_R1_R2"), (262, "ZWAVE_R3"), (263, "WATTSTOPPER_DLM"), (264, "ISO_14443"), (265, "RDS"),
    (266, "USB_DARWIN"), (267, "OPENFLOW"), (268, "SDLC"), (269, "TI_LLN_SNIFFER"), (270, "LORATAP"), (271, "VSOCK"),
    (272, "NORDIC_BLE"), (273, "DOCSIS31_XRA31"), (275, "DISPLAYPORT_AUX"), (277, "SERCOS_MONITOR"),
    (278, "OPENVIZSLA"), (279, "EBHSCR"), (280, "VPP_DISPATCH"), (283, "IEEE802_15_4_TAP"), (286, "ELEE"),
    (287, "Z_WAVE_SERIAL"), (288, "USB_2_0"), (289, "ATSC_ALP"), (290, "ETW"), (292, "ZBOSS_NCP"),
    (293, "USB_2_0_LOW_SPEED"), (294, "USB_2_0_FULL_SPEED"), (295, "USB_2_0_HIGH_SPEED"), (296, "AUERSWALD_LOG"),
    (297, "ZWAVE_TAP"), (298, "SILABS_DEBUG_CHANNEL"), (299, "FIRA_UCI"), (300, "MDB"), (301, "DECT_NR"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn carrier(kind: NotIp, packets: u64) -> Carrier {
        Carrier { kind: Some(kind), packets, bytes: packets * 60 }
    }

    #[test]
    fn the_names_are_in_order_so_that_they_are_found() {
        for names in [ETHER_TYPES, LINK_TYPES] {
            assert!(names.is_sorted_by(|(a, _), (b, _)| a < b));
            assert!(names.iter().all(|(number, name)| name_of(names, *number) == Some(name)));
        }
    }

    #[test]
    fn every_kind_is_called_by_number_and_name() {
        for (kind, shown, has_hint) in [
            (NotIp::EtherType(0x0806), "EtherType 0x0806 (ARP)", false),
            (NotIp::EtherType(0x88e5), "EtherType 0x88e5 (MACsec)", true),
            (NotIp::EtherType(0xbeef), "EtherType 0xbeef (unknown)", true),
            (NotIp::LinkType(147), "link type 147 (USER0)", true),
            (NotIp::LinkType(189), "link type 189 (USB_LINUX)", true),
            (NotIp::LinkType(105), "link type 105 (IEEE802_11), encrypted", true),
            (NotIp::LinkType(9999), "link type 9999 (unknown)", true),
            (NotIp::Llc, "LLC (spanning tree and the like)", false),
            (NotIp::Link, "frames of the link itself", false),
        ] {
            let carrier = carrier(kind, 1);
            assert_eq!((carrier.to_string().as_str(), carrier.hint().is_some()), (shown, has_hint));
        }
    }

    #[test]
    fn a_flood_of_kinds_is_listed_within_bounds_and_adds_up() {
        let all: Vec<_> = (0..5000).map(|n| carrier(NotIp::EtherType(n + 1536), u64::from(n) % 7 + 1)).collect();
        let sum: u64 = all.iter().map(|c| c.packets).sum();
        let list = listed(all);
        assert_eq!((list.len(), list[0].packets), (MAX_CARRIERS + 1, 7));
        assert_eq!(list.iter().map(|c| c.packets).sum::<u64>(), sum);
        assert_eq!(list.last().unwrap().to_string(), "other kinds");
    }
}
