//! Many rows of what a source taught as the bytes of one value.
//!
//! Three lists (who asked, what for, which names), then a row each: both times and three places in
//! these lists. Most rows name what others name: a row takes some 15 bytes, and no look-up to
//! write.
//!
//! ```text
//! byte       1: this layout
//! 3 lists    bytes of the list, then for each entry its length and bytes
//! rows       first time less that of the row before (signed), last less first (signed), 3 places
//! ```
//!
//! Numbers are LEB128 ([`varint`]), times nanoseconds since the Unix epoch.

use crate::attribution::Asker;
use crate::store::blob;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::cursor::Cursor;
use imon_common::names::Name;
use imon_common::segment::varint;
use std::hash::Hash;
use std::net::IpAddr;

/// The only layout so far.
const LAYOUT: u8 = 1;

/// First and last time, in nanoseconds.
pub(super) type Times = (i64, i64);

/// What stands in a list, as its bytes.
pub(super) trait Listed: Eq + Hash {
    /// Appends them.
    fn append(&self, out: &mut Vec<u8>);
}

impl Listed for Asker {
    fn append(&self, out: &mut Vec<u8>) {
        out.extend(blob::of_asker(*self));
    }
}

impl Listed for IpAddr {
    fn append(&self, out: &mut Vec<u8>) {
        out.extend(blob::of_address(*self));
    }
}

impl Listed for &Name {
    fn append(&self, out: &mut Vec<u8>) {
        out.extend(self.as_str().as_bytes());
    }
}

impl Listed for &[u8] {
    fn append(&self, out: &mut Vec<u8>) {
        out.extend(*self);
    }
}

/// A list that is being made.
#[derive(Debug)]
struct List<T> {
    places: HashMap<T, u64, RandomState>,
    bytes: Vec<u8>,
    entry: Vec<u8>,
}

impl<T: Listed> List<T> {
    fn new() -> Self {
        Self { places: HashMap::default(), bytes: Vec::new(), entry: Vec::new() }
    }

    fn place(&mut self, item: T) -> u64 {
        let next = self.places.len() as u64;
        *self.places.entry(item).or_insert_with_key(|item| {
            self.entry.clear();
            item.append(&mut self.entry);
            varint::put(&mut self.bytes, self.entry.len() as u64);
            self.bytes.append(&mut self.entry);
            next
        })
    }

    fn put(&self, out: &mut Vec<u8>) {
        varint::put(out, self.bytes.len() as u64);
        out.extend(&self.bytes);
    }
}

/// Packs rows: who asked, what for, which name, and when. They take least room in order of time.
pub(super) fn pack<A: Listed, F: Listed, N: Listed>(rows: impl Iterator<Item = ((A, F, N), Times)>) -> Vec<u8> {
    let (mut askers, mut asked, mut names) = (List::new(), List::new(), List::new());
    let (mut before, mut packed) = (0, Vec::new());
    for ((asker, of, name), (first, last)) in rows {
        varint::put_signed(&mut packed, first.wrapping_sub(before));
        varint::put_signed(&mut packed, last.wrapping_sub(first));
        before = first;
        for place in [askers.place(asker), asked.place(of), names.place(name)] {
            varint::put(&mut packed, place);
        }
    }
    let mut out = vec![LAYOUT];
    askers.put(&mut out);
    asked.put(&mut out);
    names.put(&mut out);
    out.append(&mut packed);
    out
}

/// A row as its bytes: who asked, what that leads to or the address, and the name; when first and
/// when last.
type Row<'a> = ((&'a [u8], &'a [u8], &'a [u8]), Times);

/// What was packed. What cannot be read of damaged bytes is not in it.
#[derive(Debug, Default)]
pub(super) struct Packed<'a> {
    /// Who asked.
    pub(super) askers: Vec<&'a [u8]>,
    /// What for: addresses, or names.
    pub(super) asked: Vec<&'a [u8]>,
    /// Which names.
    pub(super) names: Vec<&'a [u8]>,
    rows: Option<Cursor<'a>>,
}

impl<'a> Packed<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self::read(bytes).unwrap_or_default()
    }

    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut at = Cursor::new(bytes);
        if at.u8()? != LAYOUT {
            return None;
        }
        let mut list = || -> Option<Vec<&'a [u8]>> {
            let len = varint::get(&mut at)?;
            let mut list = Cursor::new(at.take(usize::try_from(len).ok()?)?);
            let mut entries = Vec::new();
            while !list.is_empty() {
                let len = varint::get(&mut list)?;
                entries.push(list.take(usize::try_from(len).ok()?)?);
            }
            Some(entries)
        };
        let (askers, asked, names) = (list()?, list()?, list()?);
        Some(Self { askers, asked, names, rows: Some(at) })
    }

    /// The rows: places in the three lists, and when.
    pub(super) fn rows(&self) -> impl Iterator<Item = ([usize; 3], Times)> + use<'a> {
        let (mut at, mut before) = (self.rows, 0_i64);
        std::iter::from_fn(move || {
            let at = at.as_mut()?;
            let first = before.wrapping_add(varint::get_signed(at)?);
            let last = first.wrapping_add(varint::get_signed(at)?);
            before = first;
            let mut place = || usize::try_from(varint::get(at)?).ok();
            Some(([place()?, place()?, place()?], (first, last)))
        })
    }

    /// The rows as their bytes.
    pub(super) fn each(&self) -> impl Iterator<Item = Row<'a>> {
        self.rows().filter_map(|([asker, of, name], times)| {
            Some(((*self.askers.get(asker)?, *self.asked.get(of)?, *self.names.get(name)?), times))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        // Few, so that most come again.
        proptest::collection::vec(0_u8..3, 0..3)
    }

    proptest! {
        #[test]
        fn what_was_packed_is_read_back(rows in proptest::collection::vec(((bytes(), bytes(), bytes()), any::<Times>()), 0..60)) {
            let borrowed = rows.iter().map(|((a, b, c), times)| ((&a[..], &b[..], &c[..]), *times));
            let packed = pack(borrowed);
            let read: Vec<_> = Packed::of(&packed).each().map(|((a, b, c), times)| ((a.to_vec(), b.to_vec(), c.to_vec()), times)).collect();
            prop_assert_eq!(&read, &rows);
            // Cut anywhere: some first rows, or none.
            for end in 0..packed.len() {
                let cut: Vec<_> = Packed::of(&packed[..end]).each().map(|(_, times)| times).collect();
                prop_assert!(rows.iter().map(|(_, times)| *times).collect::<Vec<_>>().starts_with(&cut));
            }
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            _ = Packed::of(&[&[LAYOUT], &bytes[..]].concat()).each().count();
            _ = Packed::of(&bytes).each().count();
        }
    }

    #[test]
    fn what_comes_again_stands_in_a_list_once() {
        let name = Name::from_host(b"a-rather-long-name.example").unwrap();
        let (asker, address) = (Asker::Split, IpAddr::from([192, 0, 2, 1]));
        let rows = |n: i64| (0..n).map(|at| ((asker, address, &name), (at, at)));
        assert_eq!(pack(rows(100)).len() - pack(rows(1)).len(), 99 * 5);
    }
}
