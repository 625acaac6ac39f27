//! When a segment is sealed, and which sealed ones must go. Decisions only; `spool` and `pipeline` act on them.

use std::time::Duration;

/// When the open segment is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// From this length on, in bytes.
    pub size_bytes: u64,
    /// From this age on.
    pub every: Duration,
}

impl Rotation {
    /// Whether a segment of this length and age is to be sealed now.
    pub fn is_due(self, len_bytes: u64, age: Duration) -> bool {
        len_bytes >= self.size_bytes || age >= self.every
    }
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Bytes of all segments together, the open one with what it may grow to included.
    pub size_bytes: u64,
    /// Age of a segment's last change.
    pub age: Duration,
}

/// A sealed segment, as the disk budget sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// File name; names sort by the time of the start.
    pub name: String,
    /// Place among the segments of this recorder; `None` for what is none.
    pub sequence: Option<u64>,
    /// Length in bytes.
    pub len_bytes: u64,
    /// Last change, in nanoseconds of UTC.
    pub changed_ns: i64,
}

/// The sealed segments that must go, oldest first.
///
/// `reserve_bytes`: what the open segment may grow to. Age is judged before size. A clock that was stepped back
/// makes segments of the future: they are not old.
pub fn surplus(mut sealed: Vec<Sealed>, reserve_bytes: u64, now_ns: i64, keep: Retention) -> Vec<Sealed> {
    sealed.sort_by(|a, b| (a.changed_ns, &a.name).cmp(&(b.changed_ns, &b.name)));
    let limit_ns = i64::try_from(keep.age.as_nanos()).unwrap_or(i64::MAX);
    let mut total = sealed.iter().fold(reserve_bytes, |sum, s| sum.saturating_add(s.len_bytes));
    let mut go = sealed;
    let kept_from = go.iter().position(|s| {
        let stays = now_ns.saturating_sub(s.changed_ns) <= limit_ns && total <= keep.size_bytes;
        total = total.saturating_sub(s.len_bytes);
        stays
    });
    go.truncate(kept_from.unwrap_or(go.len()));
    go
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn sealed(name: &str, len_bytes: u64, changed_ns: i64) -> Sealed {
        Sealed { name: name.into(), sequence: None, len_bytes, changed_ns }
    }

    fn names(list: &[Sealed]) -> Vec<&str> {
        list.iter().map(|s| s.name.as_str()).collect()
    }

    #[test]
    fn a_segment_is_sealed_by_size_or_by_age() {
        let rotation = Rotation { size_bytes: 100, every: Duration::from_secs(10) };
        assert!(!rotation.is_due(99, Duration::from_millis(9_999)));
        assert!(rotation.is_due(100, Duration::ZERO));
        assert!(rotation.is_due(0, Duration::from_secs(10)));
    }

    #[test]
    fn the_oldest_go_until_the_rest_fits() {
        let list = vec![sealed("c", 30, 3), sealed("a", 10, 1), sealed("b", 20, 2)];
        let go = |size_bytes, reserve| {
            let keep = Retention { size_bytes, age: DAY };
            surplus(list.clone(), reserve, 4, keep).into_iter().map(|s| s.name).collect::<Vec<_>>()
        };
        assert!(go(60, 0).is_empty());
        assert_eq!(go(59, 0), ["a"]);
        assert_eq!(go(60, 1), ["a"]);
        assert_eq!(go(49, 0), ["a", "b"]);
        assert_eq!(go(29, 0), ["a", "b", "c"]);
        assert_eq!(go(0, u64::MAX), ["a", "b", "c"]);
    }

    #[test]
    fn what_is_too_old_goes_even_if_there_is_room() {
        let day_ns = 86_400_000_000_000;
        let list = vec![sealed("old", 1, 0), sealed("new", 1, day_ns), sealed("future", 1, 9 * day_ns)];
        let keep = Retention { size_bytes: u64::MAX, age: DAY };
        assert_eq!(names(&surplus(list, 0, 2 * day_ns, keep)), ["old"]);
    }
}
