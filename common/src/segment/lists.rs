//! Which lists a payload has, since format 5: bits of the integer at its start. The lists stand in
//! this order; the bits are chosen so that those of most blocks fit a byte.

/// Addresses.
pub(super) const ADDRESSES: u16 = 1 << 6;
/// Hardware addresses.
pub(super) const MACS: u16 = 1 << 7;
/// Names.
pub(super) const NAMES: u16 = 1 << 5;
/// Interfaces.
pub(super) const INTERFACES: u16 = 1 << 8;
/// Clients: an address and the hardware address behind it.
pub(super) const CLIENTS: u16 = 1 << 9;
/// Shapes: what many flows have in common.
pub(super) const SHAPES: u16 = 1 << 10;
/// Statements: what names that were seen say.
pub(super) const STATEMENTS: u16 = 1 << 4;
/// Flows.
pub(super) const FLOWS: u16 = 1 << 1;
/// Names that were seen.
pub(super) const SEEN: u16 = 1 << 2;
/// Usage rows.
pub(super) const USAGE: u16 = 1;
/// Counts.
pub(super) const COUNTS: u16 = 1 << 3;

/// All bits that there are.
pub(super) const ALL: u64 = (1 << 11) - 1;
