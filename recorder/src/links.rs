//! The links of captured interfaces: whether each is there and running, and since when it is not.

use crate::clock::{GapAt, Now, gap};
use crate::interface::Interface;
use crate::netlink::Change;
use imon_common::observe::GapReason;
use std::time::Duration;

/// A carrier that was lost so shortly before its interface went away went with it. A link that was
/// down for longer has a gap of its own.
const SOON: Duration = Duration::from_secs(2);

/// The link of one captured interface.
#[derive(Debug)]
pub struct Link {
    name: String,
    /// Its number; `None` while there is none of this name.
    index: Option<u32>,
    trouble: Option<Trouble>,
    /// The trouble before the last change, which lasts if that change turns out to be none.
    before: Option<Trouble>,
}

/// Why nothing comes, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Trouble {
    reason: GapReason,
    since: Now,
}

/// What a change came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    /// The interface is there again, with this number and kind of link (ARPHRD_): the capture must
    /// be bound to it.
    pub back: Option<(u32, u16)>,
    /// A gap that is over.
    pub over: Option<GapAt>,
    /// Why nothing comes from now on.
    pub lost: Option<GapReason>,
}

impl Link {
    /// The link of `interface`, which is captured since `now`.
    pub fn new(interface: &Interface, now: Now) -> Self {
        let mut link = Self { name: interface.name.clone(), index: Some(interface.index), trouble: None, before: None };
        link.turn_to(reason_of(Some(interface)), now);
        link
    }

    /// Why nothing comes at present, if so.
    pub fn reason(&self) -> Option<GapReason> {
        self.trouble.map(|t| t.reason)
    }

    /// The number of the captured interface; `None` while there is none.
    pub fn index(&self) -> Option<u32> {
        self.index
    }

    /// The interface in `list` that takes the place of one that is gone: it has the first name.
    pub fn heir<'a>(&self, list: &'a [Interface]) -> Option<&'a Interface> {
        list.iter().find(|i| self.index.is_none() && i.name == self.name)
    }

    /// Takes in a change; `None` if it is about another interface.
    ///
    /// An interface that is renamed stays the one that is captured. When it is gone, the next one
    /// that has the first name takes its place.
    pub fn see(&mut self, change: &Change, now: Now) -> Option<News> {
        let number = |i: &Option<Interface>| i.as_ref().map(|i| i.index);
        if self.index.is_some() && (number(&change.before) == self.index || number(&change.after) == self.index) {
            self.index = number(&change.after);
            return Some(self.turn_to(reason_of(change.after.as_ref()), now));
        }
        let after = change.after.as_ref().filter(|after| self.index.is_none() && after.name == self.name)?;
        self.index = Some(after.index);
        Some(News { back: Some((after.index, after.hardware)), ..self.turn_to(reason_of(Some(after)), now) })
    }

    /// The capture could not be bound: it was gone again, and what was missing is missing still.
    pub fn missed(&mut self, now: Now) {
        self.index = None;
        match self.before.take() {
            Some(before) => self.trouble = Some(Trouble { reason: GapReason::InterfaceGone, ..before }),
            None => drop(self.turn_to(Some(GapReason::InterfaceGone), now)),
        }
    }

    /// The recording begins: what was missing before is no part of it.
    pub fn begin(&mut self, now: Now) {
        if let Some(trouble) = &mut self.trouble {
            trouble.since = now;
        }
    }

    /// The gap so far, if nothing comes at present; what follows is another one. For the end of a
    /// segment, so that each says what it lacks.
    pub fn take_gap(&mut self, now: Now) -> Option<GapAt> {
        let trouble = self.trouble.as_mut().filter(|trouble| now.since(trouble.since) > Duration::ZERO)?;
        let so_far = lasting(*trouble, now);
        trouble.since = now;
        Some(so_far)
    }

    /// An interface that is unplugged loses its carrier first, and comes back without one: that is
    /// one gap, of the graver reason.
    fn turn_to(&mut self, reason: Option<GapReason>, now: Now) -> News {
        self.before = self.trouble;
        if self.reason() == reason {
            return News::default();
        }
        if let (Some(trouble), Some(reason)) = (&mut self.trouble, reason) {
            let was_gone = trouble.reason == GapReason::InterfaceGone;
            if was_gone {
                return News::default();
            }
            if now.since(trouble.since) < SOON {
                trouble.reason = reason;
                return News { lost: Some(reason), ..News::default() };
            }
        }
        let over = self.trouble.take().map(|t| lasting(t, now));
        self.trouble = reason.map(|reason| Trouble { reason, since: now });
        News { back: None, over, lost: reason }
    }
}

fn lasting(trouble: Trouble, now: Now) -> GapAt {
    let length_ns = i64::try_from(now.since(trouble.since).as_nanos()).unwrap_or(i64::MAX);
    (trouble.since.wall, gap(trouble.reason, length_ns))
}

/// Why nothing comes from an interface in this state. Without a carrier (a cable, an association)
/// it is as good as down.
fn reason_of(interface: Option<&Interface>) -> Option<GapReason> {
    match interface {
        None => Some(GapReason::InterfaceGone),
        Some(i) if !i.running => Some(GapReason::LinkDown),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imon_common::time::UnixNanos;

    const SECOND: i64 = 1_000_000_000;

    fn at(second: i64) -> Now {
        // The wall clock runs two hours ahead: lengths must not come from it.
        Now { wall: UnixNanos((second + 7_200) * SECOND), awake_ns: second * SECOND, boot_ns: second * SECOND }
    }

    fn interface(index: u32, name: &str, running: bool) -> Interface {
        Interface { index, name: name.into(), up: true, running, hardware: 1, ..Interface::default() }
    }

    fn change(before: Option<Interface>, after: Option<Interface>) -> Change {
        Change { before, after, last: None }
    }

    fn usb() -> Link {
        Link::new(&interface(7, "usb0", true), at(0))
    }

    #[test]
    fn without_a_carrier_there_is_a_gap_until_it_is_back() {
        let mut link = usb();
        let (on, off) = (interface(7, "usb0", true), interface(7, "usb0", false));
        let news = link.see(&change(Some(on.clone()), Some(off.clone())), at(5)).unwrap();
        assert_eq!(news, News { lost: Some(GapReason::LinkDown), ..News::default() });
        let news = link.see(&change(Some(off), Some(on)), at(8)).unwrap();
        assert_eq!(news.over, Some((at(5).wall, gap(GapReason::LinkDown, 3 * SECOND))));
        assert_eq!((news.back, news.lost), (None, None));
    }

    #[test]
    fn what_was_missing_before_the_recording_began_is_no_gap_of_it() {
        let (on, off) = (interface(7, "usb0", true), interface(7, "usb0", false));
        let mut link = Link::new(&off, at(0));
        link.begin(at(4));
        let news = link.see(&change(Some(off), Some(on)), at(5)).unwrap();
        assert_eq!(news.over, Some((at(4).wall, gap(GapReason::LinkDown, SECOND))));
    }

    #[test]
    fn one_that_is_made_again_is_bound_again_and_has_one_gap() {
        let mut link = usb();
        let news = link.see(&change(Some(interface(7, "usb0", true)), None), at(1)).unwrap();
        assert_eq!(news.lost, Some(GapReason::InterfaceGone));
        assert_eq!(link.see(&change(None, Some(interface(8, "usb1", true))), at(2)), None);
        let news = link.see(&change(None, Some(interface(9, "usb0", false))), at(3)).unwrap();
        assert_eq!(news.back, Some((9, 1)));
        assert_eq!((news.over, news.lost), (None, None), "not yet running: the gap goes on");
        link.missed(at(4));
        assert_eq!(link.index, None);
        let news = link.see(&change(None, Some(interface(11, "usb0", true))), at(6)).unwrap();
        assert_eq!(news.over, Some((at(1).wall, gap(GapReason::InterfaceGone, 5 * SECOND))));
        assert_eq!((news.back, news.lost), (Some((11, 1)), None));
    }

    #[test]
    fn one_that_is_unplugged_loses_its_carrier_first_and_has_one_gap_all_the_same() {
        let (on, off) = (interface(7, "usb0", true), interface(7, "usb0", false));
        let unplug = |after_s: i64| {
            let mut link = usb();
            let mut gaps = Vec::new();
            for (second, change) in [
                (5, change(Some(on.clone()), Some(off.clone()))),
                (5 + after_s, change(Some(off.clone()), None)),
                (20, change(None, Some(interface(8, "usb0", false)))),
                (21, change(Some(interface(8, "usb0", false)), Some(interface(8, "usb0", true)))),
            ] {
                gaps.extend(link.see(&change, at(second)).unwrap().over);
            }
            gaps
        };
        assert_eq!(unplug(0), [(at(5).wall, gap(GapReason::InterfaceGone, 16 * SECOND))]);
        assert_eq!(unplug(1), [(at(5).wall, gap(GapReason::InterfaceGone, 16 * SECOND))]);
        let long = [
            (at(5).wall, gap(GapReason::LinkDown, 4 * SECOND)),
            (at(9).wall, gap(GapReason::InterfaceGone, 12 * SECOND)),
        ];
        assert_eq!(unplug(4), long, "the cable first");
        assert_eq!(usb().take_gap(at(1)), None);
        let mut link = Link::new(&off, at(3));
        assert_eq!(link.take_gap(at(3)), None, "of no length");
    }

    #[test]
    fn one_that_is_renamed_stays_and_one_that_takes_its_name_is_another() {
        let mut link = usb();
        link.see(&change(Some(interface(7, "usb0", true)), Some(interface(7, "lan0", true))), at(1)).unwrap();
        assert_eq!(link.see(&change(None, Some(interface(8, "usb0", true))), at(2)), None);
        assert_eq!(link.index, Some(7));
    }

    #[test]
    fn a_gap_over_the_end_of_a_segment_is_told_in_both_parts() {
        let mut link = Link::new(&interface(7, "usb0", false), at(0));
        assert_eq!(link.take_gap(at(10)), Some((at(0).wall, gap(GapReason::LinkDown, 10 * SECOND))));
        let news = link.see(&change(None, Some(interface(7, "usb0", true))), at(12)).unwrap();
        assert_eq!(news.over, Some((at(10).wall, gap(GapReason::LinkDown, 2 * SECOND))));
        assert_eq!(link.take_gap(at(13)), None);
    }
}
