//! The promise of the DNS walker: any message up to 64 KiB takes at most 1 ms and 1 MiB.
//!
//! Memory is counted by an allocator of our own, which is why this test stands in a program of its
//! own and has unsafe code. Time is judged in release builds only, as the least of several runs,
//! because machines are shared.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr, missing_docs)]

use imon_common::names::dns::{parse, parse_strict};
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands every call on to the system's allocator unchanged, and only counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(held, Relaxed);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const LONGEST: usize = 65_535;
const A: [u8; 14] = [0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1];

fn header(questions: u16, answers: u16) -> Vec<u8> {
    let mut bytes = vec![1, 2, 0x81, 0x80];
    bytes.extend(questions.to_be_bytes());
    bytes.extend(answers.to_be_bytes());
    bytes.extend([0; 4]);
    bytes
}

fn pointer(at: usize) -> [u8; 2] {
    (0xc000 | at as u16).to_be_bytes()
}

fn name(label_len: u8, fill: u8) -> Vec<u8> {
    let label: Vec<u8> = std::iter::once(label_len).chain(std::iter::repeat_n(fill, label_len.into())).collect();
    let mut name = label.repeat(254 / label.len());
    name.push(0);
    name
}

/// Adds what `next` gives for 0, 1, 2… until the message is full.
fn fill(mut message: Vec<u8>, mut next: impl FnMut(usize) -> Vec<u8>) -> Vec<u8> {
    for index in 0.. {
        let more = next(index);
        if message.len() + more.len() > LONGEST || more.is_empty() {
            break;
        }
        message.extend(more);
    }
    message
}

fn question(name: &[u8]) -> Vec<u8> {
    [name, &[0, 1, 0, 1]].concat()
}

fn cname(owner: &[u8], target: &[u8]) -> Vec<u8> {
    let length = (target.len() as u16).to_be_bytes();
    [owner, &[0, 5, 0, 1, 0, 0, 0, 60], &length, target].concat()
}

/// A name that no other index has.
fn numbered(index: usize) -> Vec<u8> {
    let mut name = name(63, b'a');
    let digits = format!("{index:08}");
    name[1..9].copy_from_slice(digits.as_bytes());
    name
}

fn hostile_messages() -> Vec<(&'static str, Vec<u8>)> {
    let all = |mut message: Vec<u8>| {
        message[6..8].copy_from_slice(&[255; 2]);
        message
    };
    let asked = [header(1, 0xffff), question(&name(63, b'A'))].concat();
    // A record of private type that holds a chain of pointers, each to the one before; then records
    // that use its end.
    let chain_at = asked.len() + 2 + 10;
    let links = 8_000;
    let chain: Vec<u8> = (0..links)
        .flat_map(|i| if i == 0 { pointer(12) } else { pointer(chain_at + 2 * (i - 1)) })
        .take(16_000 - chain_at)
        .collect();
    let mut chained = [&asked[..], &pointer(12), &[0xff, 0, 0, 1, 0, 0, 0, 0]].concat();
    chained.extend((chain.len() as u16).to_be_bytes());
    chained.extend(&chain);
    let deep = |i: usize| pointer(chain_at + 2 * (120 - i % 8));
    let labels = [header(1, 0xffff), question(&name(1, b'X'))].concat();
    let escaped = [header(8, 0xffff), (0..8).flat_map(|i| question(&name(63, 0x80 + i))).collect()].concat();
    let many_hints = {
        let mut record = [&pointer(12)[..], &[0, 65, 0, 1, 0, 0, 0, 60]].concat();
        let hints = (LONGEST - asked.len() - 40) / 4 * 4;
        record.extend(((hints + 7) as u16).to_be_bytes());
        record.extend([0, 1, 0, 0, 4]);
        record.extend((hints as u16).to_be_bytes());
        record.extend((0..hints).map(|i| i as u8));
        [&asked[..], &record].concat()
    };
    let from_all = |message: Vec<u8>| {
        let mut message = message;
        for i in 0..8 {
            message.extend(cname(&pointer(12 + i * 259), &pointer(12)));
        }
        fill(
            message,
            |i| if i < 100 { cname(&pointer(12), &escaped_target(i)) } else { [&pointer(12)[..], &A].concat() },
        )
    };
    vec![
        ("counts of 65,535 and nothing else", vec![0xff; 12]),
        ("the smallest questions", fill(header(0xffff, 0), |_| question(&[0]))),
        ("questions of 255 bytes", fill(header(0xffff, 0), |_| question(&name(63, b'Q')))),
        ("the smallest records", fill(asked.clone(), |_| [&[0][..], &[0, 1, 0, 1, 0, 0, 0, 0, 0, 0]].concat())),
        ("one owner, all addresses", fill(asked.clone(), |_| [&pointer(12)[..], &A].concat())),
        ("two owners by turns", fill(asked.clone(), |i| [&pointer(12 + i % 2 * 64)[..], &A].concat())),
        ("owners deep in labels", fill(labels.clone(), |i| [&pointer(12 + 2 * (i % 100))[..], &A].concat())),
        ("chains of pointers", fill(all(chained.clone()), |i| [&deep(i)[..], &A].concat())),
        (
            "chains of pointers beyond the bound",
            fill(all(chained), |i| [&pointer(12_000 + 2 * (i % 8))[..], &A].concat()),
        ),
        ("CNAMEs, all names new", fill(asked.clone(), |i| cname(&numbered(2 * i), &numbered(2 * i + 1)))),
        ("one chain of CNAMEs", fill(asked.clone(), |i| cname(&numbered(i), &numbered(i + 1)))),
        ("CNAMEs from one name", fill(asked.clone(), |i| cname(&pointer(12), &pointer(12 + 64 * (i % 3))))),
        ("hints to the brim", many_hints),
        ("eight questions that reach everything", from_all(escaped)),
        ("random pointers", fill(asked.clone(), |i| [&pointer(i * 7_919 % 16_384)[..], &A].concat())),
        ("pointers into owners", fill(asked, |i| [&pointer(12 + i * 16 % 16_000)[..], &A].concat())),
    ]
}

/// Names that grow fourfold when shown.
fn escaped_target(index: usize) -> Vec<u8> {
    let mut name = name(63, 0xff);
    name[1] = index as u8;
    name
}

/// The same records, but so few that the strict reader does not turn them away by their number;
/// nothing is left over.
fn for_the_strict_reader(message: &[u8], records: usize) -> Option<Vec<u8>> {
    let mut message = message.to_vec();
    message.get_mut(4..8)?.copy_from_slice(&[0, 1, (records >> 8) as u8, records as u8]);
    Some(message)
}

#[test]
fn any_message_takes_at_most_a_millisecond_and_a_mebibyte() {
    let limit = if cfg!(debug_assertions) { Duration::from_millis(100) } else { Duration::from_millis(1) };
    for (what, message) in hostile_messages() {
        assert!(message.len() <= LONGEST);
        let before = HELD.load(Relaxed);
        PEAK.store(before, Relaxed);
        let parsed = parse(&message);
        let peak = PEAK.load(Relaxed) - before;
        let (answers, addresses) =
            parsed.map_or((0, 0), |m| (m.answers.len(), m.answers.iter().map(|a| a.addresses.len()).sum::<usize>()));
        let time = |work: &dyn Fn()| {
            (0..20)
                .map(|_| {
                    let start = Instant::now();
                    work();
                    start.elapsed()
                })
                .min()
                .unwrap()
        };
        let taken = time(&|| _ = black_box(parse(black_box(&message))));
        let strict = for_the_strict_reader(&message, 512)
            .map_or_else(Duration::default, |message| time(&|| _ = black_box(parse_strict(black_box(&message)))));
        eprintln!(
            "{what}: {} bytes, {answers} answers, {addresses} addresses, {taken:?}, strict {strict:?}, peak {peak} bytes",
            message.len()
        );
        assert!(peak <= 1 << 20, "{what}: {peak} bytes");
        assert!(taken <= limit && strict <= limit, "{what}: {taken:?}, strict {strict:?}");
    }
}
