//! The bounded flow table.
pub(crate) struct FlowKey;
pub(crate) struct FlowTable;
pub(crate) enum Side {}
