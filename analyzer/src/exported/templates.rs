//! The templates of an exporter, and what waits for one.

use super::clock::Clock;
use super::shape::{FIRST_ID, Said, Shape};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// Templates of an exporter. Routers have a dozen.
const MAX_TEMPLATES: usize = 128;

/// Data of an exporter that waits for its template: 15 minutes of a datagram a second, or an hour
/// of a home's router.
const WAITING_BYTES: usize = 2 << 20;

/// Sets that wait: more are none of a router that sends templates at all.
const WAITING_SETS: usize = 8_192;

/// Numbers under which IPFIX withdraws all templates of data, and of options (RFC 7011 section
/// 8.1).
const ALL: [(u16, bool); 2] = [(2, false), (3, true)];

/// A set of records, with the shape of these and the times of the message that brought it.
#[derive(Debug)]
pub(super) struct Set<'m> {
    pub(super) shape: Arc<Shape>,
    pub(super) body: Cow<'m, [u8]>,
    pub(super) clock: Clock,
    /// It has waited for its template.
    pub(super) has_waited: bool,
}

/// A set without a template.
#[derive(Debug)]
struct Waiting {
    body: Vec<u8>,
    clock: Clock,
}

/// What is known of an exporter's templates.
#[derive(Debug, Default)]
pub(super) struct Templates {
    /// By number, with the turn in which it was used last.
    shapes: HashMap<u16, (u64, Arc<Shape>)>,
    turn: u64,
    /// By the number of the template that they wait for: a message may hold thousands of templates
    /// that nothing waits for.
    waiting: HashMap<u16, Vec<Waiting>>,
    /// How many sets wait, and their bytes.
    waiting_sets: usize,
    waiting_bytes: usize,
    /// Sets that were given up.
    given_up: u64,
    told_missing: u64,
}

impl Templates {
    /// Takes what a template says; gives the sets that waited for it.
    pub(super) fn take(&mut self, said: Said) -> Vec<Set<'static>> {
        match said {
            Said::Refused => Vec::new(),
            Said::Withdrawn(id) => {
                match ALL.iter().find(|(all, _)| *all == id) {
                    Some((_, is_options)) => self.shapes.retain(|_, (_, shape)| shape.is_options != *is_options),
                    None => _ = self.shapes.remove(&id),
                }
                Vec::new()
            }
            Said::Shape(id, shape) => self.define(id, Arc::new(shape)),
        }
    }

    fn define(&mut self, id: u16, shape: Arc<Shape>) -> Vec<Set<'static>> {
        self.turn += 1;
        if self.shapes.len() >= MAX_TEMPLATES && !self.shapes.contains_key(&id) {
            let oldest = self.shapes.iter().min_by_key(|(_, (turn, _))| *turn).map(|(id, _)| *id);
            oldest.map(|id| self.shapes.remove(&id));
        }
        self.shapes.insert(id, (self.turn, Arc::clone(&shape)));
        let ready = self.waiting.remove(&id).unwrap_or_default().into_iter();
        let set = |Waiting { body, clock }| Set {
            shape: Arc::clone(&shape),
            body: Cow::Owned(body),
            clock,
            has_waited: true,
        };
        let ready: Vec<Set<'static>> = ready.map(set).collect();
        let bytes: usize = ready.iter().map(|set| set.body.len()).sum();
        self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
        self.waiting_sets = self.waiting_sets.saturating_sub(ready.len());
        ready
    }

    /// A set of data; `None` if it waits, or is of a reserved number.
    pub(super) fn data<'m>(&mut self, (id, body): (u16, &'m [u8]), clock: Clock) -> Option<Set<'m>> {
        if id < FIRST_ID {
            return None;
        }
        self.turn += 1;
        if let Some((turn, shape)) = self.shapes.get_mut(&id) {
            *turn = self.turn;
            return Some(Set { shape: Arc::clone(shape), body: Cow::Borrowed(body), clock, has_waited: false });
        }
        let bytes = self.waiting_bytes.saturating_add(body.len());
        if bytes > WAITING_BYTES || self.waiting_sets >= WAITING_SETS {
            self.given_up += 1;
        } else {
            (self.waiting_bytes, self.waiting_sets) = (bytes, self.waiting_sets + 1);
            self.waiting.entry(id).or_default().push(Waiting { body: body.to_vec(), clock });
        }
        None
    }

    /// The exporter began anew: templates of the time before may have other fields (RFC 3954
    /// section 9), and so may what waits.
    pub(super) fn restart(&mut self) {
        self.shapes.clear();
        self.given_up += self.waiting_sets as u64;
        self.waiting.clear();
        (self.waiting_sets, self.waiting_bytes) = (0, 0);
    }

    /// Sets whose template has not come, since the last time this was asked.
    pub(super) fn newly_missing(&mut self) -> u64 {
        let missing = self.given_up + self.waiting_sets as u64;
        let new = missing.saturating_sub(self.told_missing);
        self.told_missing = missing;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imon_common::time::UnixNanos;

    fn clock() -> Clock {
        Clock { seen: UnixNanos(0), sent: UnixNanos(0), uptime_ms: None, started_ms: None }
    }

    /// A template of one field of four bytes.
    fn template(id: u16) -> Said {
        let set: Vec<u8> = [id, 1, 1, 4].iter().flat_map(|word| word.to_be_bytes()).collect();
        super::super::shape::templates(10, false, &set).remove(0)
    }

    #[test]
    fn what_waits_comes_in_its_order_and_each_waits_for_its_own() {
        let mut templates = Templates::default();
        for (id, body) in [(300, [1; 4]), (301, [2; 4]), (300, [3; 4])] {
            assert!(templates.data((id, &body), clock()).is_none());
        }
        assert_eq!((templates.newly_missing(), templates.waiting_bytes), (3, 12));
        let ready: Vec<u8> = templates.take(template(300)).iter().map(|set| set.body[0]).collect();
        assert_eq!((ready, templates.waiting_sets, templates.waiting_bytes), (vec![1, 3], 1, 4));
        assert!(templates.take(template(300)).is_empty(), "once");
        templates.restart();
        assert!(templates.take(template(301)).is_empty(), "of the time before");
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut templates = Templates::default();
        for _ in 0..2 * WAITING_SETS {
            templates.data((300, &[0; 400]), clock());
        }
        assert!(templates.waiting_sets < WAITING_SETS && templates.waiting_bytes <= WAITING_BYTES);
        assert_eq!(templates.newly_missing(), 2 * WAITING_SETS as u64, "what found no room is told");
    }
}
