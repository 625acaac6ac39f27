//! A frame as a capture delivers it.

use crate::time::UnixNanos;

/// A link type by its LINKTYPE_ number (<https://www.tcpdump.org/linktypes.html>), as capture files
/// store it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkType(pub u16);

/// An interface that a capture was made on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name, empty where the capture does not say it. At most 255 bytes are kept.
    pub name: String,
    /// What the first header of its packets is.
    pub link_type: LinkType,
}

/// Where a packet was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Spot {
    /// Number of the interface, as the capture numbers them.
    pub interface: u32,
    /// VLAN id of the outermost tag (IEEE 802.1Q); `None` without one.
    pub vlan: Option<u16>,
}

/// One captured frame, link header included.
#[derive(Debug, Clone, Copy)]
pub struct CapturedPacket<'a> {
    /// When the frame was captured.
    pub ts: UnixNanos,
    /// Bytes of the frame on the wire, as the capture states them. May lie; see `wire::decode`.
    pub orig_len: u32,
    /// What the first header of `data` is.
    pub link_type: LinkType,
    /// Which interface of the capture it was seen on: the number that pcapng gives it, the place of
    /// a recorder's `-i`; 0 where there is one.
    pub interface: u32,
    /// The captured bytes; `data.len()` is the `cap_len`.
    pub data: &'a [u8],
}

impl CapturedPacket<'_> {
    /// Whether less was captured of the frame than was sent, or nothing says how much that was.
    #[inline]
    pub fn is_cut(&self) -> bool {
        self.orig_len == 0 || self.orig_len as usize > self.data.len()
    }
}
