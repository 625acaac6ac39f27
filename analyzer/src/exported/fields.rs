//! The fields of one record, by the numbers of their elements.

use super::element::Element;
use imon_common::wire::Mac;
use std::net::IpAddr;

/// Set in the number of a field of the reverse direction; elements have 15 bits.
pub(super) const REVERSE: u16 = 0x8000;

/// Fields that are looked at, as they came; of one that comes twice the first counts.
#[derive(Debug, Default)]
pub(super) struct Fields {
    numbers: Vec<(u16, u64)>,
    addresses: Vec<(u16, IpAddr)>,
    macs: Vec<(u16, Mac)>,
}

impl Fields {
    /// Forgets the record before.
    pub(super) fn clear(&mut self) {
        self.numbers.clear();
        self.addresses.clear();
        self.macs.clear();
    }

    /// Adds a field: its bytes on the wire.
    pub(super) fn add(&mut self, element: Element, bytes: &[u8]) {
        let number = match element {
            Element::Forward(number) => number,
            Element::Reverse(number) => number | REVERSE,
        };
        match number {
            8 | 12 | 27 | 28 | 225 | 226 | 281 | 282 => {
                let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from).ok();
                let address = v4.or_else(|| <[u8; 16]>::try_from(bytes).map(IpAddr::from).ok());
                self.addresses.extend(address.map(|address| (number, address)));
            }
            56 | 57 => self.macs.extend(<[u8; 6]>::try_from(bytes).map(|mac| (number, Mac(mac)))),
            _ => self.add_number(number, bytes.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte))),
        }
    }

    /// Adds a number that stands where no field is.
    pub(super) fn add_number(&mut self, number: u16, value: u64) {
        self.numbers.push((number, value));
    }

    /// The number in the field of this element.
    pub(super) fn number(&self, wanted: u16) -> Option<u64> {
        self.numbers.iter().find(|(number, _)| *number == wanted).map(|(_, value)| *value)
    }

    /// The address in the first of these fields that holds one.
    pub(super) fn address(&self, wanted: [u16; 2]) -> Option<IpAddr> {
        let of = |wanted: u16| self.addresses.iter().find(|(number, a)| *number == wanted && !a.is_unspecified());
        wanted.into_iter().find_map(of).map(|(_, address)| *address)
    }

    /// The hardware address in the field of this element.
    pub(super) fn mac(&self, wanted: u16) -> Option<Mac> {
        let (_, mac) = self.macs.iter().find(|(number, _)| *number == wanted)?;
        Some(*mac).filter(|mac| mac.0 != [0; 6] && !mac.is_group())
    }
}
