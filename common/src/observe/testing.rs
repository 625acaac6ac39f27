//! What tests of the meter share; those outside the crate take this file in by its path.

use imon_common::flow::Flow;
use imon_common::names::NameSeen;
use imon_common::observe::{Count, Observer, Usage};
use imon_common::time::UnixNanos;
use std::collections::BTreeMap;
use std::convert::Infallible;

/// Names and usage by number of flow.
#[derive(Debug, Default)]
pub struct Seen {
    /// What each flow moved.
    pub usage: BTreeMap<u64, Usage>,
    /// What each was named, the latest last.
    pub names: BTreeMap<u64, Vec<String>>,
}

impl Observer for Seen {
    type Error = Infallible;

    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> Result<(), Infallible> {
        self.names.entry(flow.number).or_default().push(seen.name.to_string());
        Ok(())
    }

    fn usage(&mut self, flow: &Flow, _: UnixNanos, usage: Usage) -> Result<(), Infallible> {
        self.usage.entry(flow.number).or_default().add(usage);
        Ok(())
    }

    fn counts(&mut self, _: UnixNanos, _: &[Count]) -> Result<(), Infallible> {
        Ok(())
    }
}
