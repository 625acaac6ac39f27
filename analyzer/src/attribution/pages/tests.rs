use super::explained::{Explained, Page, Shown, Weighed};
use super::judged::sureness;
use super::runs::Runs;
use super::visits::{Begun, Use, Visits};
use super::*;
use imon_common::flow::Scope;
use imon_common::names::NameKind;

const SECOND_MS: i64 = 1_000;

fn id(number: u64) -> FlowId {
    FlowId { run: 0, number }
}

/// A device's flows, each with its own server, in order of time.
#[derive(Default)]
struct Lab {
    pages: Pages,
    flows: u64,
    habits: Habits,
}

impl Lab {
    /// A new flow to `host` that moves `bytes` in the second that it begins in; gives its number.
    fn flow(&mut self, device: u8, at_ms: i64, host: &str, bytes: u64) -> u64 {
        self.flows += 1;
        let number = self.flows;
        self.second(device, number, at_ms, at_ms, host, bytes);
        number
    }

    /// A second of flow `number`, which began at `start_ms`.
    fn second(&mut self, device: u8, number: u64, start_ms: i64, at_ms: i64, host: &str, bytes: u64) {
        let name = Name::from_host(host.as_bytes()).unwrap();
        let flow = Flow {
            number,
            client: [192, 168, 1, device].into(),
            server: [198, 51, 100, 1].into(),
            client_port: 50_000,
            server_port: 443,
            proto: 6,
            scope: Scope::Remote,
            begin_seen: true,
            opened: imon_common::flow::Opener::Client,
            interface: 0,
            vlan: None,
            client_mac: None,
            start: UnixNanos(start_ms * 1_000_000),
            name: Some(imon_common::flow::FlowName::new(NameKind::Sni, name.clone())),
        };
        let interval = UnixNanos(at_ms.div_euclid(SECOND_MS) * NANOS_PER_SECOND);
        let usage = Usage { up_packets: 1, down_packets: 1, up_bytes: 0, down_bytes: bytes };
        let second = Second {
            id: id(number),
            device: Asker::Address(flow.client),
            flow: &flow,
            host: Some(&name),
            place: crate::attribution::At { source: 0, interface: 0 },
            interval,
            usage,
        };
        self.pages.second(&second, |_, habit| {
            self.habits.learn(habit);
            true
        });
    }

    /// A visit: the document, then what it pulls in, 60 ms apart.
    fn visit(&mut self, device: u8, at_ms: i64, page: &str, pulls: &[&str]) -> Vec<u64> {
        let document = self.flow(device, at_ms, page, 20_000);
        let pulled = pulls.iter().zip(1..).map(|(host, i)| self.flow(device, at_ms + 60 * i, host, 50_000));
        std::iter::once(document).chain(pulled.collect::<Vec<_>>()).collect()
    }

    /// Pages that the flow's bytes were booked on, with bytes and class.
    fn end(&mut self, number: u64) -> Vec<(String, u64, Sureness)> {
        self.pages.end(|_, _| true);
        let host = |page: Option<Arc<str>>| page.map_or(String::new(), |page| page.to_string());
        self.pages.take(id(number)).into_iter().map(|p| (host(p.page), p.share.usage.bytes(), p.sureness)).collect()
    }
}

fn pages_of(booked: &[(String, u64, Sureness)]) -> Vec<&str> {
    booked.iter().map(|(page, ..)| page.as_str()).collect()
}

#[test]
fn what_follows_a_document_is_booked_on_its_page_and_the_document_on_itself() {
    let mut lab = Lab::default();
    let flows = lab.visit(1, 5_000, "www.paper.test", &["static.paper.test", "cdn.third.test", "t.counter.test"]);
    assert_eq!(lab.end(flows[0]), [], "the document");
    assert_eq!(lab.end(flows[1]), [], "the page's own site");
    let third = lab.end(flows[2]);
    assert_eq!((pages_of(&third), third[0].1), (vec!["www.paper.test"], 50_000));
    assert_ne!(third[0].2, Sureness::Sure, "once is not sure");
    assert_eq!(pages_of(&lab.end(flows[3])), ["www.paper.test"]);
}

#[test]
fn what_comes_long_after_every_visit_stays_where_it_is() {
    let mut lab = Lab::default();
    lab.visit(1, 5_000, "www.paper.test", &["cdn.third.test"]);
    let update = lab.flow(1, 900_000, "updates.vendor.test", 5_000_000);
    let page = lab.end(update);
    assert!(page.iter().all(|(page, _, class)| page.is_empty() && *class == Sureness::Background), "{page:?}");
}

#[test]
fn devices_do_not_mix() {
    let mut lab = Lab::default();
    lab.flow(1, 5_000, "www.paper.test", 20_000);
    lab.flow(2, 5_010, "www.shop.test", 20_000);
    let first = lab.flow(2, 5_070, "cdn.third.test", 50_000);
    let second = lab.flow(1, 5_080, "cdn.third.test", 50_000);
    assert_eq!(pages_of(&lab.end(first)), ["www.shop.test"]);
    assert_eq!(pages_of(&lab.end(second)), ["www.paper.test"]);
}

#[test]
fn a_habit_outweighs_the_latest_document() {
    let mut lab = Lab::default();
    for i in 0..6 {
        lab.visit(1, 20_000 * i + 5_000, "www.paper.test", &["cdn.video.test"]);
        lab.visit(1, 20_000 * i + 15_000, "www.shop.test", &["cdn.fonts.test"]);
    }
    // Both at once, the shop after the paper, in two tabs.
    lab.flow(1, 205_000, "www.paper.test", 20_000);
    lab.flow(1, 205_200, "www.shop.test", 20_000);
    let video = lab.flow(1, 205_260, "cdn.video.test", 50_000);
    let fonts = lab.flow(1, 205_270, "cdn.fonts.test", 50_000);
    let (video, fonts) = (lab.end(video), lab.end(fonts));
    assert_eq!((pages_of(&video), pages_of(&fonts)), (vec!["www.paper.test"], vec!["www.shop.test"]));
    assert_ne!(fonts[0].2, Sureness::Guess);
}

/// The paper's video, `bytes` of it, after six visits that pulled in 50,000 bytes each.
fn video_of(bytes: u64) -> Vec<(String, u64, Sureness)> {
    let mut lab = Lab::default();
    for i in 0..6 {
        lab.visit(1, 20_000 * i + 5_000, "www.paper.test", &["cdn.video.test", "t.counter.test"]);
        lab.visit(1, 20_000 * i + 15_000, "www.shop.test", &["cdn.fonts.test", "t.counter.test"]);
    }
    lab.flow(1, 205_000, "www.paper.test", 20_000);
    let video = lab.flow(1, 205_060, "cdn.video.test", bytes);
    lab.end(video)
}

#[test]
fn a_download_larger_than_anything_before_is_a_guess() {
    let (usual, small, large) = (video_of(40_000), video_of(200_000), video_of(5_000_000));
    for booked in [&usual, &small, &large] {
        assert_eq!(pages_of(booked), ["www.paper.test"], "{booked:?}");
    }
    assert_ne!(usual[0].2, Sureness::Guess);
    assert_eq!(small[0].2, Sureness::Likely, "no download, and more than before");
    assert_eq!(large[0].2, Sureness::Guess, "it may be another program's");
}

#[test]
fn one_connection_serves_several_pages_and_each_gets_its_seconds() {
    let mut lab = Lab::default();
    let pages = ["www.paper.test", "www.shop.test", "www.club.test"];
    let cdn = 1_000;
    for (page, i) in pages.iter().zip(0..) {
        let at_ms = 10_000 * i + 5_000;
        lab.flow(1, at_ms, page, 20_000);
        lab.second(1, cdn, 5_050, at_ms + 100, "cdn.third.test", 1_000 * (i as u64 + 1));
    }
    // The connection is closed long after: that belongs to what it was used for last.
    lab.second(1, cdn, 5_050, 200_000, "cdn.third.test", 120);
    let booked = lab.end(cdn);
    assert_eq!(pages_of(&booked), pages);
    assert_eq!(booked.iter().map(|(_, bytes, _)| *bytes).collect::<Vec<_>>(), [1_000, 2_000, 3_120]);
}

/// A page of `chance`.
fn candidate(host: &str, chance: f64) -> Candidate {
    let name = Habits::default().named(&host.trim_start_matches("www.").into());
    Candidate { page: Page::new(name, &host.into()), chance, seen: true }
}

/// Habits of two pages that were visited ten times each and pulled `ads.test` in so often.
fn pulled(paper: i64, shop: i64) -> Habits {
    let mut habits = Habits::default();
    for (page, pulls) in [("paper.test", paper), ("shop.test", shop)] {
        habits.restore_pull(0, &page.into(), &"ads.test".into(), pulls * 1_000);
        let sums = HabitsOfSite { bursts: 10_000, context: 20_000, visits: 10_000, document: None };
        habits.restore_site(0, &page.into(), sums.clone());
        habits.restore_site(
            0,
            &format!("www.{page}").as_str().into(),
            HabitsOfSite { visits: 0, document: None, ..sums },
        );
    }
    habits
}

/// What is made of adverts that these pages may have pulled in, with these odds of the latest one.
fn judged_of(chances: &[(&str, f64)], latest_odds: f64, habits: &Habits) -> Judged {
    let pages: Vec<Candidate> = chances.iter().map(|(host, chance)| candidate(host, *chance)).collect();
    let rates = habits.rates(&habits.named(&"ads.test".into()));
    let weighed = pages.iter().map(|Candidate { page, chance, .. }| {
        let (pulls, rate) = rates.pulls_and_share(&page.name);
        Weighed { name: &page.name, page, chance: *chance, pulls, rate, old: 0.0, seen: true }
    });
    let left = 1.0 - chances.iter().map(|(_, chance)| chance).sum::<f64>();
    judge(Explained::of(0.0, left, weighed.collect(), latest_odds), &rates, habits)
}

/// The same of a page that was opened last, and one whose advert comes again.
fn judged(latest_odds: f64, habits: &Habits) -> (Option<Arc<str>>, Option<Sureness>) {
    let chances = [("www.shop.test", 0.6), ("www.paper.test", 0.3)];
    let Judged { page, sureness, .. } = judged_of(&chances, latest_odds, habits);
    (page.map(|page| Arc::clone(&page.page.host)), sureness)
}

#[test]
fn with_several_tabs_the_page_that_pulls_in_again_and_again_goes_before_the_latest() {
    let often = pulled(60, 6);
    assert_eq!(judged(40.0, &often).0.as_deref(), Some("www.shop.test"), "one tab: the latest page");
    assert_eq!(judged(3.0, &often), (Some("www.paper.test".into()), Some(Sureness::Guess)));
    assert_eq!(judged(3.0, &pulled(6, 6)).0.as_deref(), Some("www.shop.test"), "both as often");
    assert_eq!(judged(3.0, &pulled(1, 0)).0.as_deref(), Some("www.shop.test"), "too little is known");
}

#[test]
fn with_several_tabs_the_rival_is_the_page_that_goes_next_in_the_same_order() {
    let mut habits = pulled(60, 6);
    habits.restore_pull(0, &"blog.test".into(), &"ads.test".into(), 30_000);
    let chances = [("www.shop.test", 0.4), ("www.paper.test", 0.25), ("www.blog.test", 0.2)];
    // Whatever the order that equals would stand in.
    for order in [[0, 1, 2], [1, 0, 2], [0, 2, 1], [2, 1, 0], [1, 2, 0], [2, 0, 1]] {
        let Judged { page, rival, .. } = judged_of(&order.map(|i| chances[i]), 3.0, &habits);
        let host = |page: Option<Candidate>| page.map(|page| page.page.host.to_string());
        let both = (host(page), host(rival));
        assert_eq!(both, (Some("www.paper.test".into()), Some("www.blog.test".into())), "{order:?}");
    }
}

#[test]
fn after_a_doubtful_visit_of_long_ago_the_page_was_rather_shown_again_unseen() {
    let asked = |after_s: i64, visit: f64| {
        let (mut visits, mut shown, habits) = (Visits::default(), Shown::default(), pulled(8, 0));
        let host = Arc::from("www.paper.test");
        let page = habits.named(&"paper.test".into());
        shown.note(page, &host);
        let it = |site, host, at| Use { site, host, from: at, to: at, beside: &[], books: false };
        let nothing = Explained::of(0.0, 1.0, Vec::new(), 1.0);
        let site = habits.named(&"paper.test".into());
        let begun = Begun { it: it(&site, &host, 0), goes_on: false, visit };
        visits.add(&begun, &nothing, &habits);
        let (site, host) = (habits.named(&"ads.test".into()), "ads.test".into());
        let explained = visits.explain(&it(&site, &host, after_s * NANOS_PER_SECOND), &habits, &shown, None);
        assert_eq!(explained.pages.len(), 1);
        (explained.pages[0].seen, explained.pages[0].chance)
    };
    let (just, later) = (asked(1, 0.9), asked(390, 0.15));
    assert!(just.0 && just.1 > 0.9, "{just:?}");
    assert!(!later.0 && later.1 < just.1, "{later:?}");
}

#[test]
fn only_a_page_that_nearly_always_pulls_a_site_in_alone_is_sure_to() {
    let mut runs = Runs::default();
    (1..9).for_each(|i| runs.moved(10 * i * NANOS_PER_SECOND, 10_000));
    let word = |paper, shop| {
        let habits = pulled(paper, shop);
        sureness(&candidate("www.paper.test", 0.99), &habits.rates(&habits.named(&"ads.test".into())), runs, &habits)
    };
    assert_eq!(word(10, 1), Sureness::Sure);
    assert_eq!(word(7, 1), Sureness::Likely, "not in each visit: it may be a tab beside it");
    assert_eq!(word(10, 2), Sureness::Likely, "another page pulls it in, too");
    assert_eq!(word(10, 8), Sureness::Guess);
}

#[test]
fn flows_without_a_name_or_with_no_web_server_are_nobodys() {
    let mut lab = Lab::default();
    lab.flow(1, 5_000, "www.paper.test", 20_000);
    let local = lab.flow(1, 5_050, "nas.local", 50_000);
    assert_eq!(lab.end(local), []);
}

#[test]
fn what_was_learned_survives_the_way_through_the_store() {
    let mut lab = Lab::default();
    for i in 0..4 {
        lab.visit(1, 20_000 * i + 5_000, "www.paper.test", &["cdn.video.test", "t.counter.test"]);
    }
    lab.pages.end(|_, habit| {
        lab.habits.learn(habit);
        true
    });
    let all = |habits: &Habits| {
        let mut sites: Vec<_> = habits.sites().map(|(day, name, sums)| (day, name.to_string(), sums.visits)).collect();
        sites.sort();
        sites
    };
    assert_eq!(all(&lab.pages.habits), all(&lab.habits), "everything learned is told");
    let mut restored = Habits::default();
    lab.habits.sites().for_each(|(day, name, sums)| restored.restore_site(day, name, sums));
    lab.habits.pulls().for_each(|(day, page, site, weight)| restored.restore_pull(day, page, site, weight));
    for site in ["video.test", "counter.test"] {
        let rate = |habits: &Habits| habits.rates(&habits.named(&site.into())).of(&habits.named(&"paper.test".into()));
        assert_eq!(rate(&restored), rate(&lab.habits));
        assert!(rate(&restored) > 0.6, "{}", rate(&restored));
    }
}

#[test]
fn a_page_that_has_another_number_by_now_is_found_by_its_name() {
    let mut habits = Habits::default();
    let paper: Arc<str> = "paper.test".into();
    let video: Arc<str> = "video.test".into();
    let unknown = habits.named(&paper);
    let learn = |habits: &mut Habits, what| habits.learn(&Habit { day: 0, what });
    learn(&mut habits, What::Burst("www.first.test".into(), 0));
    for _ in 0..3 {
        learn(&mut habits, What::Burst(Arc::clone(&paper), 0));
        learn(&mut habits, What::Visit(Arc::clone(&paper), Arc::clone(&paper), 1_000));
        learn(&mut habits, What::Pull(Arc::clone(&paper), Arc::clone(&video), 1_000));
    }
    let known = habits.named(&paper);
    let rate = habits.rates(&habits.named(&video)).of(&known);
    assert!(rate > habits.rates(&habits.named(&video)).of_all, "{rate}");
    assert_eq!(habits.rates(&habits.named(&video)).of(&unknown), rate, "it was not known then");
    // What was used once is forgotten when there are too many, and all others move up.
    (0..65_536).for_each(|i| learn(&mut habits, What::Burst(format!("h{i}.test").into(), 0)));
    assert_ne!(habits.sites().next().map(|(_, name, _)| &**name), Some("www.first.test"));
    assert_eq!(
        habits.rates(&habits.named(&video)).of(&known),
        habits.rates(&habits.named(&video)).of(&habits.named(&paper))
    );
    assert!(habits.rates(&habits.named(&video)).pulled_by(&known) > 0.0);
}

#[test]
fn a_flood_of_names_costs_bounded_memory() {
    let mut habits = Habits::default();
    for i in 0..300_000 {
        let (page, site): (Arc<str>, Arc<str>) = (format!("h{}.test", i / 8).into(), format!("t{i}.test").into());
        habits.learn(&Habit { day: 0, what: What::Visit(Arc::clone(&page), Arc::clone(&page), 1_000) });
        habits.learn(&Habit { day: 0, what: What::Pull(page, site, 1_000) });
    }
    assert!(habits.sites().count() <= 65_536 && habits.pulls().count() <= 262_144);
}

#[test]
fn seconds_that_wait_are_bounded() {
    let mut lab = Lab::default();
    let rows = i64::try_from(MAX_WAITING).unwrap() + 1_000;
    (0..rows).for_each(|i| lab.second(1, 7, 0, i / 1_000 * 1_000, "www.paper.test", 2_000));
    assert_eq!(lab.pages.waiting.len(), MAX_WAITING);
}

#[test]
fn no_more_devices_are_followed_than_the_bound() {
    let mut pages = Pages::default();
    let device = |i: usize| Asker::Address(std::net::Ipv4Addr::from(0x0a00_0000 + u32::try_from(i).unwrap()).into());
    assert!((0..MAX_DEVICES).all(|i| pages.device(device(i)).is_some()));
    assert_eq!(pages.device(device(MAX_DEVICES)), None);
    assert!(pages.device(device(3)).is_some());
}

#[test]
fn a_page_out_of_the_browsers_cache_is_known_by_what_it_pulls_in() {
    let mut lab = Lab::default();
    let paper = ["cdn.video.test", "t.counter.test", "img.photos.test"];
    let shop = ["cdn.fonts.test", "t.counter.test", "api.pay.test"];
    for i in 0..5 {
        lab.visit(1, 20_000 * i + 5_000, "www.paper.test", &paper);
        lab.visit(1, 20_000 * i + 15_000, "www.shop.test", &shop);
    }
    // The paper again, without a byte of its own, long after the shop.
    let again: Vec<u64> = paper.iter().zip(0..).map(|(host, i)| lab.flow(1, 300_000 + 40 * i, host, 50_000)).collect();
    for number in again {
        let booked = lab.end(number);
        assert_eq!(pages_of(&booked), ["www.paper.test"], "{booked:?}");
    }
}

#[test]
fn what_is_read_only_for_its_visits_is_not_learned_again() {
    let mut lab = Lab::default();
    lab.visit(1, 5_000, "www.paper.test", &["cdn.third.test"]);
    lab.pages.end(|_, _| false);
    assert_eq!(lab.pages.habits.sites().count(), 0);
}

#[test]
fn a_stream_that_goes_on_after_a_later_visit_shows_a_second_tab() {
    let odds = |goes_on: bool| {
        let (habits, shown) = (Habits::default(), explained::Shown::default());
        let mut visits = visits::Visits::default();
        let mut begins = |second: i64, host: &str, visit: f64| {
            let (host, at): (Arc<str>, i64) = (host.into(), second * NANOS_PER_SECOND);
            let site = habits.named(&host);
            let it = visits::Use { site: &site, host: &host, from: at, to: at, beside: &[], books: false };
            let explained = visits.explain(&it, &habits, &shown, visits.before(&host));
            visits.add(&visits::Begun { it, goes_on: visit == 0.0, visit }, &explained, &habits);
            visits.latest_odds()
        };
        begins(0, "paper.test", 0.95);
        (1..=5).for_each(|second| _ = begins(second, "video.test", 0.0));
        begins(6, "shop.test", 0.95);
        begins(12, if goes_on { "video.test" } else { "fonts.test" }, 0.0)
    };
    assert!(odds(true) < odds(false) / 10.0, "{} {}", odds(true), odds(false));
}

/// How sure the paper's video is after twelve visits to it among others, each with so many hosts of
/// others behind it.
fn sureness_behind(hosts: usize) -> Sureness {
    let mut lab = Lab::default();
    let behind: Vec<String> = (0..hosts).map(|n| format!("cdn.third{n}.test")).collect();
    let pulls: Vec<&str> = std::iter::once("cdn.video.test").chain(behind.iter().map(String::as_str)).collect();
    for i in 0..12 {
        lab.visit(1, 40_000 * i + 5_000, "www.paper.test", &pulls);
        lab.visit(1, 40_000 * i + 25_000, "www.shop.test", &["cdn.fonts.test", "t.counter.test"]);
    }
    lab.flow(1, 505_000, "www.paper.test", 20_000);
    let video = lab.flow(1, 505_060, "cdn.video.test", 40_000);
    lab.end(video)[0].2
}

#[test]
fn only_a_document_that_brings_hosts_along_is_sure() {
    assert_ne!(sureness_behind(0), Sureness::Sure, "so a frame begins");
    assert_eq!(sureness_behind(6), Sureness::Sure);
}

#[test]
fn what_was_learned_counts_for_seven_days_in_whatever_way_they_pass() {
    let (page, site): (Arc<str>, Arc<str>) = ("paper.test".into(), "cdn.test".into());
    let of = |day: i64| {
        let visit = What::Visit(Arc::clone(&page), Arc::clone(&page), 1_000);
        [visit, What::Pull(Arc::clone(&page), Arc::clone(&site), 1_000)].map(|what| Habit { day, what })
    };
    let days = [0, 1, 3, 7, 30];
    for now in 0..40 {
        let expect = days.iter().filter(|day| **day <= now && now - **day < 7).count() as f64;
        // Learned day by day; known all before; and known all, with no day between.
        let (mut walked, mut known, mut jumped) = (Habits::default(), Habits::default(), Habits::default());
        for day in 0..=now {
            walked.turn_to(day);
            days.iter().filter(|one| **one == day).flat_map(|day| of(*day)).for_each(|habit| walked.learn(&habit));
        }
        for habits in [&mut known, &mut jumped] {
            days.iter().flat_map(|day| of(*day)).for_each(|habit| habits.learn(&habit));
        }
        (0..=now).for_each(|day| known.turn_to(day));
        jumped.turn_to(now);
        for habits in [walked, known, jumped] {
            let (page, site) = (habits.named(&page), habits.named(&site));
            let counted = (habits.visits_of(&page), habits.rates(&site).pulled_by(&page));
            assert_eq!(counted, (expect, expect), "day {now}");
        }
    }
}
