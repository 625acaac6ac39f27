//! The numbers of the page for its script: JSON that is safe inside a script element.
//!
//! Names stand once, in lists; a row has one text of numbers for each amount, in base 36 with
//! spaces between, from the first time on. `.n` stands for n zeros; zeros at the end are left out.
//! Only totals are by the finest time: a range of the page begins and ends with a block, and all
//! else is by block.

use super::words::Trust;
use crate::books::Evidence;
use crate::report::overview::{Amounts, Overview, Part, Ranked, Subject, first_of};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io;

/// The data of the page: of each site and device so many hosts and devices, the rest summed up.
pub(super) fn json(overview: &Overview, parts: usize) -> io::Result<String> {
    let span = &overview.span;
    let texts = |stretches: &[crate::report::overview::Stretch]| -> Vec<String> {
        // Without the offset of an hour: times are shown as they are.
        stretches.iter().map(|stretch| stretch.text.get(..16).unwrap_or(&stretch.text).to_owned()).collect()
    };
    let kinds: Vec<Value> = Evidence::ALL
        .iter()
        .map(|kind| json!([kind.word(), super::words::kind(*kind), Trust::of(*kind).index()]))
        .collect();
    let begins = span.block_begins();
    let data = json!({
        "unit": span.unit.word(),
        "times": texts(&span.times),
        "block_unit": span.blocks_unit.word(),
        "blocks": texts(&span.blocks),
        "begins": begins,
        "kinds": kinds,
        "hosts": overview.hosts,
        "served": overview.served,
        "sites": subjects(&overview.sites, &begins, parts),
        "devices": subjects(&overview.devices, &begins, parts),
    });
    Ok(for_script(&serde_json::to_string(&data)?))
}

fn subjects(ranked: &Ranked, begins: &[usize], parts: usize) -> Value {
    let rest = (ranked.rest_count > 0).then(|| subject(&ranked.rest, begins, parts));
    json!({
        "list": ranked.subjects.iter().map(|one| subject(one, begins, parts)).collect::<Vec<_>>(),
        "rest": rest,
        "rest_count": ranked.rest_count,
    })
}

fn subject(of: &Subject, begins: &[usize], most: usize) -> Value {
    let block = |time: usize| begins.partition_point(|begin| *begin <= time).saturating_sub(1);
    let by_block = |pick: fn(&Amounts) -> u64| {
        let mut sums: BTreeMap<usize, u64> = BTreeMap::new();
        for (time, amounts) in &of.series {
            let sum = sums.entry(block(*time)).or_default();
            *sum = sum.saturating_add(pick(amounts));
        }
        stream(sums.into_iter())
    };
    let mut fields = serde_json::Map::new();
    let mut put = |name: &str, value: Value| _ = fields.insert(name.to_owned(), value);
    put("n", json!(of.name));
    if of.key != of.name {
        put("key", json!(of.key));
    }
    if let Some(called) = &of.called {
        put("c", json!(called));
    }
    put("t", json!(stream(of.series.iter().map(|(time, amounts)| (*time, amounts.total())))));
    put("u", json!(by_block(|a| a.up)));
    for (name, pick) in [("s", (|a| a.shared) as fn(&Amounts) -> u64), ("e", |a| a.elsewhere)] {
        let text = by_block(pick);
        if !text.is_empty() {
            put(name, json!(text));
        }
    }
    for (name, parts, most) in [("k", &of.kinds, usize::MAX), ("h", &of.hosts, most), ("d", &of.devices, most)] {
        if !parts.is_empty() {
            put(name, first_of(parts, most).iter().map(part).collect());
        }
    }
    fields.into()
}

/// Its number (of all others -1, with how many they are), and its bytes.
fn part(of: &Part) -> Value {
    let bytes = stream(of.stream.iter().copied());
    match of.name {
        Some(name) => json!([name, bytes]),
        None => json!([-1, bytes, of.count]),
    }
}

/// Numbers by place, as text.
fn stream(values: impl Iterator<Item = (usize, u64)>) -> String {
    let mut text = String::new();
    let mut next = 0;
    for (place, value) in values.filter(|(_, value)| *value > 0) {
        let zeros = place.saturating_sub(next);
        if !text.is_empty() {
            text.push(' ');
        }
        if zeros > 0 {
            text.push('.');
            text.push_str(&base36(zeros as u64));
            text.push(' ');
        }
        text.push_str(&base36(value));
        next = place.saturating_add(1);
    }
    text
}

fn base36(mut n: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.extend(char::from_digit((n % 36) as u32, 36));
        n /= 36;
        if n == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

/// JSON in which no character means anything to HTML: what ends a script element begins with `<`.
fn for_script(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => safe.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_packed_with_their_zeros_counted() {
        let packed = |values: &[(usize, u64)]| stream(values.iter().copied());
        assert_eq!(packed(&[]), "");
        assert_eq!(packed(&[(0, 1), (1, 36), (5, 0), (40, u64::MAX)]), "1 10 .12 3w5e11264sgsf");
        assert_eq!(packed(&[(3, 35)]), ".3 z");
    }

    /// A time belongs to the last block that begins at it or before it.
    #[test]
    fn amounts_are_summed_up_by_the_block_that_their_time_is_in() {
        let amounts = |up| Amounts { up, down: 100, shared: 10 * up, elsewhere: 0 };
        let series = (0..7).map(|time| (time, amounts(1 << time))).collect();
        let of = Subject { name: "a".into(), key: "a".into(), series, ..Subject::default() };
        let fields = subject(&of, &[0, 1, 4, 6], 9);
        let text = |field: &str| fields[field].as_str().unwrap().to_owned();
        let sums = [1, 2 + 4 + 8, 16 + 32, 64];
        let packed = |sums: &[u64]| stream(sums.iter().copied().enumerate());
        assert_eq!(text("u"), packed(&sums));
        assert_eq!(text("s"), packed(&sums.map(|n| 10 * n)));
        assert_eq!(text("t"), packed(&[101, 102, 104, 108, 116, 132, 164]));
        assert!(fields.get("e").is_none() && fields.get("key").is_none(), "{fields}");
    }

    #[test]
    fn nothing_in_the_data_ends_its_element() {
        let text = for_script(&serde_json::to_string("</script><!-- & \u{2028}").unwrap());
        assert_eq!(text, "\"\\u003c/script\\u003e\\u003c!-- \\u0026 \\u2028\"");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), "</script><!-- & \u{2028}");
    }
}
