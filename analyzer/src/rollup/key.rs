//! What sums are kept for.

use crate::books::{Blind, Evidence, PageRow, Row, Sureness, Traffic};
use imon_common::observe::Usage;

/// What a sum is kept for. Indices point into the rollup's own lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowKey {
    /// Start of the 15-minute bucket in Unix seconds.
    pub bucket_s: i64,
    /// Index into [`Rollup::hosts`].
    pub host: u32,
    /// Index into [`Rollup::endpoints`].
    pub endpoint: u32,
    /// How the bytes came by their name.
    pub evidence: Evidence,
    /// Which kind of traffic.
    pub traffic: Traffic,
    /// Index into [`Rollup::candidate_sets`].
    pub candidates: Option<u32>,
    /// The blind spot that the bytes are in.
    pub blind: Option<Blind>,
    /// Index into [`Rollup::interfaces`].
    pub interface: u32,
    /// Number of the source.
    pub source: u32,
}

impl RowKey {
    /// The row of it; its device is the endpoint so far.
    pub(crate) fn row(&self, usage: Usage) -> Row {
        let Self { bucket_s, host, endpoint, evidence, traffic, candidates, blind, interface, source } = *self;
        let Usage { up_bytes, down_bytes, up_packets, down_packets } = usage;
        Row {
            bucket_s,
            host,
            device: endpoint,
            evidence,
            traffic,
            candidates,
            blind,
            interface,
            source,
            up_bytes,
            down_bytes,
            up_packets,
            down_packets,
        }
    }

    /// The same in this bucket, source and interface.
    pub(super) fn at(self, bucket_s: i64, source: usize, interface: u32) -> Self {
        Self { bucket_s, source: u32::try_from(source).unwrap_or(u32::MAX), interface, ..self }
    }
}

/// What a sum of bytes that a page pulled in is kept for: part of a row of [`Rollup::rows`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PageKey {
    /// The row that it is part of.
    pub row: RowKey,
    /// Index into [`Rollup::hosts`]: the host of the page's document.
    pub page: u32,
    /// How sure.
    pub sureness: Sureness,
    /// Index likewise: the page that could have been it as well.
    pub rival: Option<u32>,
}

impl PageKey {
    /// The part of it, as [`RowKey::row`].
    pub(crate) fn part(&self, usage: Usage) -> PageRow {
        PageRow { row: self.row.row(usage), page: self.page, sureness: self.sureness, rival: self.rival }
    }
}
