//! Sums of rows made by hand.

use super::view::FEW_SUMS;
use super::*;
use crate::books::{Evidence, Traffic};

fn row(bucket_s: i64, host: u32, bytes: u64) -> Row {
    Row {
        bucket_s,
        host,
        device: 0,
        evidence: Evidence::Sni,
        traffic: Traffic::Visited,
        candidates: None,
        blind: None,
        interface: 0,
        source: 0,
        up_bytes: bytes,
        down_bytes: 10 * bytes,
        up_packets: 1,
        down_packets: 2,
    }
}

fn apart(wanted: Wanted, stretch: fn(i64) -> i64) -> Apart<'static> {
    Apart::new(wanted, move |_| stretch)
}

fn folded(apart: &[Apart<'static>], rows: &[Row]) -> Vec<Vec<Row>> {
    let (mut fold, hosts) = (Fold::new(apart, None), Interner::default());
    rows.iter().for_each(|row| fold.add(*row, &hosts));
    let (rows, sides) = fold.finish(&hosts);
    std::iter::once(rows).chain(sides.into_iter().map(Side::into_rows)).collect()
}

/// As hours of the day come again each day.
#[test]
fn rows_of_a_stretch_that_comes_again_are_summed_with_those_before() {
    let rows = [row(0, 1, 1), row(0, 1, 2), row(900, 1, 4), row(1800, 1, 8), row(1800, 2, 16), row(2700, 1, 32)];
    let found = folded(&[apart(Wanted::ALL, |bucket_s| bucket_s % 1800)], &rows);
    let found: Vec<_> = found[0].iter().map(|row| (row.bucket_s, row.host, row.amounts())).collect();
    let expect = [(0, 1, [11, 110, 3, 6]), (0, 2, [16, 160, 1, 2]), (900, 1, [36, 360, 2, 4])];
    assert_eq!(found, expect);
    assert_eq!(folded(&[], &rows), [rows]);
}

/// More visits than entries are kept for one by one.
#[test]
fn stretches_that_come_again_a_thousand_times_stay_small() {
    let (apart, hosts) = ([apart(Wanted::ALL, |bucket_s| bucket_s % 1800)], Interner::default());
    let mut fold = Fold::new(&apart, None);
    for bucket in 0..10_000 {
        (0..5).for_each(|host| fold.add(row(bucket * 900, host, 1), &hosts));
    }
    let kept: usize = fold.views[0].stretches.iter().map(|stretch| stretch.sums.len()).sum();
    assert!(kept < 2 * (2 * 5 + FEW_SUMS + 5), "{kept}");
    let found = fold.finish(&hosts).0;
    assert_eq!(found.len(), 10);
    assert!(found.iter().all(|row| row.amounts() == [5_000, 50_000, 5_000, 10_000]));
}

#[test]
fn each_question_has_sums_of_what_it_tells_apart() {
    let rows = [(0, 1, 1), (0, 2, 1), (900, 1, 2), (900, 2, 1), (1800, 1, 1)];
    let rows = rows.map(|(bucket_s, host, device)| Row { device, ..row(bucket_s, host, 1) });
    let hosts = Wanted { endpoints: false, ..Wanted::ALL };
    let devices = Wanted { hosts: false, ..Wanted::ALL };
    let hours = |bucket_s: i64| bucket_s - bucket_s % 1800;
    let found = folded(&[apart(hosts, hours), apart(devices, |_| 0), apart(Wanted::ALL, |_| 0)], &rows);
    let sums = |rows: &[Row]| -> Vec<(i64, u32, u32, u64)> {
        rows.iter().map(|row| (row.bucket_s, row.host, row.device, row.up_bytes)).collect()
    };
    assert_eq!(sums(&found[0]), [(0, 1, 0, 2), (0, 2, 0, 2), (1800, 1, 0, 1)]);
    assert_eq!(sums(&found[1]), [(0, 0, 1, 4), (0, 0, 2, 1)]);
    assert_eq!(sums(&found[2]), [(0, 1, 1, 2), (0, 2, 1, 2), (0, 1, 2, 1)]);
}

#[test]
fn rows_that_differ_in_anything_but_amounts_stay_apart() {
    let base = row(0, 1, 1);
    let differ = [
        base,
        Row { host: 2, ..base },
        Row { device: 1, ..base },
        Row { evidence: Evidence::Dns, ..base },
        Row { traffic: Traffic::Served, ..base },
        Row { candidates: Some(0), ..base },
        Row { blind: Some(crate::books::Blind::Ech), ..base },
        Row { interface: 1, ..base },
        Row { source: 1, ..base },
    ];
    let twice: Vec<Row> = differ.into_iter().chain(differ).collect();
    assert_eq!(folded(&[apart(Wanted::ALL, |_| 0)], &twice)[0].len(), differ.len());
}
