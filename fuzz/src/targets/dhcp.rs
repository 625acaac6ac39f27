//! What a DHCP client calls itself: bounded, and a name that a segment can hold.

use imon_common::names::{Name, dhcp};

/// One input.
pub fn run(data: &[u8]) {
    for ports in [(68, 67), (546, 547)] {
        if let Some(claim) = dhcp::claim(ports.0, ports.1, data) {
            assert_eq!(Name::from_presentation(claim.name.as_str()).as_ref(), Some(&claim.name));
            assert_eq!(claim.hardware.is_some(), ports.0 == 68);
        }
    }
    assert_eq!(dhcp::claim(67, 68, data), None, "a server's word");
}
