//! Random questions over random books, beside an answer that is worked out row by row and text by
//! text.

use super::*;
use crate::question::DeviceName;
use crate::range::zoned;
use crate::recorders::Recorders;
use std::collections::{BTreeMap, BTreeSet};

type Amounts = (u64, u64, u64, u64);

/// The text of a key for a row that would be booked on `host`.
fn text(books: &Books, sites: &Sites, key: Key, row: &Row, host: &Host) -> String {
    let at = zoned(UnixNanos(row.bucket_s * 1_000_000_000), &TimeZone::get("Europe/Berlin").unwrap()).unwrap();
    match key {
        Key::Site => sites.of_host(host).0,
        Key::Family => sites.family_of_host(host).0,
        Key::Host => host.to_string(),
        Key::Device => books.devices[row.device as usize].clone(),
        Key::Interface => match books.interfaces[row.interface as usize].name.as_str() {
            "" => "(unnamed)".to_owned(),
            name => name.to_owned(),
        },
        Key::Vlan => books.interfaces[row.interface as usize].vlan.map_or("none".to_owned(), |id| id.to_string()),
        Key::Source => books.sources[row.source as usize].label.clone(),
        Key::Recorder => books.recorders.called(books.sources[row.source as usize].recorder),
        Key::Evidence => row.evidence.word().to_owned(),
        Key::Day => at.strftime("%Y-%m-%d").to_string(),
        Key::Week => at.strftime("%G-W%V").to_string(),
        Key::Month => at.strftime("%Y-%m").to_string(),
        Key::HourOfDay => at.strftime("%H").to_string(),
        other => panic!("not asked for here: {other:?}"),
    }
}

/// Whether a host is what a filter's list asks for.
fn asked(sites: &Sites, filters: &Filters, host: &Host) -> bool {
    let name = host.to_string();
    let site = sites.of_host(host).0;
    let family = sites.family_of_host(host).0;
    let any = |list: &[String], is: &dyn Fn(&String) -> bool| list.is_empty() || list.iter().any(is);
    any(&filters.sites, &|wanted| *wanted == site || *wanted == name || wanted.eq_ignore_ascii_case(&family))
        && any(&filters.hosts, &|wanted| *wanted == name)
        && any(&filters.families, &|wanted| wanted.eq_ignore_ascii_case(&family))
}

/// Up, down, low and high of every row of the answer that has a byte, or might have one.
fn worked_out(books: &Books, sites: &Sites, question: &Question) -> BTreeMap<Vec<String>, Amounts> {
    let mut answer: BTreeMap<Vec<String>, Amounts> = BTreeMap::new();
    let mut shared: BTreeMap<Vec<String>, u64> = BTreeMap::new();
    let mut elsewhere: BTreeMap<Vec<String>, u64> = BTreeMap::new();
    let filters = &question.filters;
    for row in &books.rows {
        let wanted_traffic = row.traffic.is_of_sites() || (question.include_local && row.traffic == Traffic::Local);
        let ends = books.device_ends.iter().filter(|(device, ..)| *device == row.device);
        let device = filters.devices.is_empty()
            || ends
                .clone()
                .any(|(_, address, mac)| filters.devices.iter().any(|wanted| wanted.is(*address, *mac, None)));
        let kind = filters.evidence.is_empty() || filters.evidence.contains(&row.evidence);
        let spot = &books.interfaces[row.interface as usize];
        let name = if spot.name.is_empty() { "(unnamed)" } else { &spot.name };
        let seen = filters.interfaces.is_empty() || filters.interfaces.iter().any(|wanted| wanted == name);
        let tagged = filters.vlans.is_empty() || filters.vlans.contains(&spot.vlan);
        let Source { label, recorder, .. } = &books.sources[row.source as usize];
        let read = filters.sources.is_empty() || filters.sources.contains(label);
        let by = filters.recorders.iter().map(|wanted| wanted.typed.as_str());
        let read = read && (by.clone().count() == 0 || by.clone().any(|by| (by == "captures") == recorder.is_none()));
        if !wanted_traffic || !device || !kind || !seen || !tagged || !read {
            continue;
        }
        let bytes = row.up_bytes + row.down_bytes;
        let row_of = |host: &Host| -> Option<Vec<String>> {
            let keys = question.keys.iter().map(|key| super::naive::text(books, sites, *key, row, host));
            asked(sites, filters, host).then(|| keys.collect())
        };
        let own = row_of(&books.hosts[row.host as usize]);
        let candidates = row.candidates.map(|set| books.candidate_sets[set as usize].clone()).unwrap_or_default();
        let others: BTreeSet<Option<Vec<String>>> =
            candidates.iter().filter_map(|host| books.hosts.get(*host as usize)).map(row_of).collect();
        let others: Vec<_> = others.into_iter().filter(|other| *other != own).collect();
        for other in others.iter().flatten() {
            *elsewhere.entry(other.clone()).or_default() += bytes;
        }
        if let Some(own) = own {
            let sums = answer.entry(own.clone()).or_default();
            (sums.0, sums.1) = (sums.0 + row.up_bytes, sums.1 + row.down_bytes);
            if !others.is_empty() {
                *shared.entry(own).or_default() += bytes;
            }
        }
    }
    let of_hosts = |key: &Key| matches!(key, Key::Site | Key::Host);
    let has_host_key = question.keys.iter().any(|key| key.is_of_host());
    let filters_hosts = !(filters.sites.is_empty() && filters.hosts.is_empty() && filters.families.is_empty());
    let all_asked = books.hosts.iter().all(|host| asked(sites, filters, host));
    let possible_too = (has_host_key || (filters_hosts && !all_asked))
        && question.keys.iter().filter(|key| key.is_of_host()).all(of_hosts);
    for (row, bytes) in &elsewhere {
        if possible_too {
            answer.entry(row.clone()).or_default();
        }
        if let Some(sums) = answer.get_mut(row) {
            sums.3 += bytes;
        }
    }
    for (row, sums) in &mut answer {
        let total = sums.0 + sums.1;
        (sums.2, sums.3) = (total - shared.get(row).copied().unwrap_or_default(), total + sums.3);
    }
    answer.retain(|_, sums| sums.3 > 0);
    answer
}

fn some_of<T: Clone + std::fmt::Debug + 'static>(from: Vec<T>) -> impl Strategy<Value = Vec<T>> {
    let most = from.len();
    prop_oneof![2 => Just(Vec::new()), 1 => prop::sample::subsequence(from, 1..=most)]
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

fn any_filters() -> impl Strategy<Value = Filters> {
    let sites = names(&["youtube.com", "example.org", "203.0.113.9", "nowhere.example", "google"]);
    let hosts = names(&["www.youtube.com", "b.example.net", "203.0.113.9"]);
    let devices = ["02:00:00:00:00:01", "192.168.1.0/24", "192.168.1.7", "10.0.0.1"].map(DeviceName::parse).to_vec();
    let kinds = Evidence::ALL[..11].to_vec();
    (some_of(sites), some_of(hosts), some_of(names(&["google"])), some_of(devices), some_of(kinds))
        .prop_flat_map(|(sites, hosts, families, devices, evidence)| {
            let filters = Filters { sites, hosts, families, devices, evidence, ..Filters::default() };
            let vlans = some_of(vec![None, Some(7), Some(9)]);
            let spots = (some_of(names(&["eth0", "(unnamed)"])), vlans);
            (Just(filters), spots, some_of(names(&["a.pcap", "b.pcap"])), some_of(names(&["captures", "abababab"])))
        })
        .prop_map(|(filters, (interfaces, vlans), sources, recorders)| {
            let meant = |typed: &String| Recorders::default().meant(typed).unwrap();
            let recorders = recorders.iter().map(meant).collect();
            Filters { interfaces, vlans, sources, recorders, ..filters }
        })
}

fn any_keys() -> impl Strategy<Value = Vec<Key>> {
    let keys = [
        Key::Site,
        Key::Family,
        Key::Host,
        Key::Device,
        Key::Evidence,
        Key::Day,
        Key::Week,
        Key::Month,
        Key::HourOfDay,
        Key::Interface,
        Key::Vlan,
        Key::Source,
        Key::Recorder,
    ];
    prop::sample::subsequence(keys.to_vec(), 1..=4).prop_shuffle()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_report_is_what_can_be_worked_out_row_by_row(
        rows in prop::collection::vec(any_row(), 0..60),
        keys in any_keys(),
        filters in any_filters(),
        include_local: bool,
    ) {
        let mut books = books();
        books.candidate_sets = vec![vec![2, 3], vec![0, 1], vec![4, 0, 5], vec![6]];
        books.device_ends = vec![
            (0, "192.168.1.5".parse().unwrap(), Some(imon_common::wire::Mac([2, 0, 0, 0, 0, 1]))),
            (1, "192.168.1.7".parse().unwrap(), None),
        ];
        books.rows = rows;
        let sites = Sites::new();
        let question = Question { keys, filters, include_local, ..query(Key::Site) };
        // Where nothing was visited, what was served is the answer.
        prop_assume!(!is_only_served(&books, &question));
        let report = Report::new(&books, &question, &sites).unwrap();
        let lines = report.frame().lines();
        let is_filled = question.keys.iter().any(|key| key.is_time());
        let mut answer = BTreeMap::new();
        for line in &lines {
            let key: Vec<String> = line.key.iter().map(|text| (*text).to_owned()).collect();
            prop_assert!(line.high_bytes > 0 || is_filled || line.total_bytes == 0);
            if line.high_bytes > 0 {
                let amounts = (line.up_bytes, line.down_bytes, line.low_bytes, line.high_bytes);
                prop_assert_eq!(answer.insert(key, amounts), None, "a row twice");
            }
        }
        prop_assert_eq!(answer, worked_out(&books, &sites, &question));
    }
}
