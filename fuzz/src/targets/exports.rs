//! Messages of exporters through the meter of exports: any bytes, any number of messages, and what
//! comes out sums up.

use crate::exported::{EXPORTED, ExportMeter, ExportOptions};
use imon_common::flow::Flow;
use imon_common::local::LocalNets;
use imon_common::names::NameSeen;
use imon_common::observe::{Count, Counter, Observer, Usage};
use imon_common::packet::CapturedPacket;
use imon_common::time::UnixNanos;
use std::convert::Infallible;

/// When the first message comes; each further one a second later.
const BEGIN: UnixNanos = UnixNanos(1_793_491_200_000_000_000);

#[derive(Default)]
struct Sums {
    usage: u128,
    exported: u128,
    last: Option<UnixNanos>,
}

impl Observer for Sums {
    type Error = Infallible;

    fn name(&mut self, _: &Flow, _: &NameSeen) -> Result<(), Infallible> {
        Ok(())
    }

    fn usage(&mut self, flow: &Flow, interval: UnixNanos, usage: Usage) -> Result<(), Infallible> {
        assert!(self.last.is_none_or(|last| last <= interval), "time goes back");
        assert!(flow.start <= UnixNanos(interval.0.saturating_add(1_000_000_000)), "before its beginning");
        self.last = Some(interval);
        self.usage += u128::from(usage.up_bytes) + u128::from(usage.down_bytes);
        Ok(())
    }

    fn counts(&mut self, _: UnixNanos, counts: &[Count]) -> Result<(), Infallible> {
        let exported = counts.iter().filter(|count| matches!(count.counter, Counter::Exported(_)));
        self.exported += exported.map(|count| u128::from(count.bytes)).sum::<u128>();
        Ok(())
    }
}

/// One input: messages, each behind its length in two bytes.
pub fn run(data: &[u8]) {
    let mut meter = ExportMeter::new(&ExportOptions::default(), &LocalNets::default());
    let mut sums = Sums::default();
    let mut rest = data;
    let mut ts = BEGIN;
    while let Some((len, behind)) = rest.split_first_chunk::<2>() {
        let (message, more) = behind.split_at(usize::from(u16::from_be_bytes(*len)).min(behind.len()));
        rest = more;
        let packet =
            CapturedPacket { ts, orig_len: message.len() as u32, link_type: EXPORTED, interface: 0, data: message };
        let Ok(()) = meter.packet(&packet, &mut sums);
        ts = UnixNanos(ts.0 + 1_000_000_000);
    }
    meter.end();
    while let Ok(true) = meter.write_next(&mut sums) {}
    meter.written();
    assert_eq!(sums.usage, sums.exported, "what was reported and what came out differ");
}
