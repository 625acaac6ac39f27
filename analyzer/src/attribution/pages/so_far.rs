//! Which pages pulled bytes in, before that is settled, for a view of what is recorded now.

use super::{PagePart, Pages, Second, Waiting};
use crate::attribution::{FlowId, Habit};
use crate::books::Sureness;
use imon_common::observe::Usage;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use std::sync::Arc;

/// Bytes of a flow, and the page that pulled them in as far as is known by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The flow.
    pub flow: FlowId,
    /// When they passed: a second of theirs where that can change, else the bucket.
    pub at: UnixNanos,
    /// How many.
    pub usage: Usage,
    /// How sure it is; `None` where they belong to a visit of their own site.
    pub sureness: Option<Sureness>,
    /// Host of the page's document; `None` where no page pulled them in.
    pub page: Option<Arc<str>>,
    /// What comes in the next minutes may change it.
    pub waits: bool,
}

impl Pages {
    /// What would be booked if nothing came after `latest`, seconds of the interval that is not
    /// over: this one stays as it is. `learns`: whether a source teaches.
    pub fn so_far<'s>(
        &self,
        latest: impl Iterator<Item = Second<'s>>,
        mut learns: impl FnMut(usize) -> bool,
    ) -> Vec<Pulled> {
        let mut note = |source: usize, _: &Habit| learns(source);
        let mut ahead = self.clone();
        latest.for_each(|second| ahead.second(&second, &mut note));
        for device in &mut ahead.devices {
            device.learn(i64::MAX, &mut ahead.habits, &mut note);
        }
        let settled =
            ahead.flows.iter().flat_map(|(id, noted)| noted.parts.iter().map(|part| Pulled::settled(*id, part)));
        let mut all: Vec<Pulled> = settled.collect();
        while let Some(waiting) = ahead.waiting.front().copied() {
            let place = ahead.judge_first();
            let parts = ahead.flows.get(&waiting.flow).map_or(&[][..], |noted| &noted.parts);
            all.push(Pulled::waiting(waiting, place.and_then(|place| parts.get(place))));
        }
        all
    }
}

impl Pulled {
    fn settled(flow: FlowId, part: &PagePart) -> Self {
        let at = UnixNanos(part.share.bucket_s().saturating_mul(NANOS_PER_SECOND));
        let (sureness, page) = (Some(part.sureness), part.page.clone());
        Self { flow, at, usage: part.share.usage, sureness, page, waits: false }
    }

    fn waiting(waiting: Waiting, part: Option<&PagePart>) -> Self {
        let Waiting { flow, interval: at, usage, .. } = waiting;
        let (sureness, page) = (part.map(|part| part.sureness), part.and_then(|part| part.page.clone()));
        Self { flow, at, usage, sureness, page, waits: true }
    }
}
