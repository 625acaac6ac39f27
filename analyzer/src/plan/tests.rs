use super::*;
use jiff::civil::date;

pub(crate) fn plan(billing_day: i8, zone: &str) -> Plan {
    Plan {
        name: "home".into(),
        interfaces: Vec::new(),
        billing_day,
        zone: TimeZone::get(zone).unwrap(),
        cap: Some(100),
        units: Units::Decimal,
        counted: Counted::Both,
        free_hours: Vec::new(),
        free_sites: Vec::new(),
        rollover: 0,
        already_used: None,
        from: None,
        until: None,
    }
}

fn days(plan: &Plan, day: Date) -> (String, String) {
    let period = plan.period_of(day).unwrap();
    (period.first.to_string(), period.after.to_string())
}

#[test]
fn a_billing_day_that_a_month_has_not_is_its_last() {
    let of = |billing_day, day| days(&plan(billing_day, "UTC"), day);
    for (billing_day, day, first, after) in [
        (31, date(2027, 2, 27), "2027-01-31", "2027-02-28"),
        (31, date(2027, 2, 28), "2027-02-28", "2027-03-31"),
        (31, date(2028, 2, 29), "2028-02-29", "2028-03-31"),
        (30, date(2028, 2, 28), "2028-01-30", "2028-02-29"),
        (29, date(2027, 3, 28), "2027-02-28", "2027-03-29"),
        (28, date(2027, 3, 27), "2027-02-28", "2027-03-28"),
        (31, date(2026, 12, 31), "2026-12-31", "2027-01-31"),
        (1, date(2026, 11, 30), "2026-11-01", "2026-12-01"),
        (15, date(2026, 1, 14), "2025-12-15", "2026-01-15"),
    ] {
        assert_eq!(of(billing_day, day), (first.to_owned(), after.to_owned()), "{billing_day} {day}");
    }
    // No day is in two periods, and none in no period.
    for billing_day in 28..=31 {
        let plan = plan(billing_day, "Europe/Berlin");
        let mut period = plan.period_of(date(2023, 1, 1)).unwrap();
        for _ in 0..60 {
            let next = plan.period_of(period.after).unwrap();
            assert_eq!((next.first, next.from), (period.after, period.to));
            assert_eq!(plan.before(&next), Some(period));
            period = next;
        }
    }
}

#[test]
fn a_period_begins_when_its_first_day_does() {
    let starts = |zone: &str, day| plan(1, zone).period_of(day).unwrap().from.0 / 1_000_000_000;
    let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_second();
    assert_eq!(starts("Europe/Berlin", date(2026, 11, 5)), at("2026-10-31T23:00:00Z"));
    assert_eq!(starts("Asia/Kathmandu", date(2026, 11, 5)), at("2026-10-31T18:15:00Z"));
    let october = plan(1, "Europe/Berlin").period_of(date(2026, 10, 5)).unwrap();
    assert_eq!((october.days(), october.length_s()), (31, 31 * 86_400 + 3_600));
}

#[test]
fn a_plan_that_is_changed_begins_anew() {
    let old = Plan { cap: Some(1), ..plan(10, "UTC") };
    let new = Plan { from: Some(date(2026, 11, 20)), cap: Some(2), ..plan(5, "UTC") };
    let other = Plan { name: "office".into(), from: Some(date(2026, 11, 15)), ..plan(1, "UTC") };
    let plans = in_versions(vec![new, other, old]);
    let of = |day: &str| {
        let at = format!("{day}T12:00:00Z").parse::<jiff::Timestamp>().unwrap().as_nanosecond();
        let (plan, period) = in_force(&plans, "home", UnixNanos(at as i64)).unwrap();
        (plan.cap, period.first.to_string(), period.after.to_string())
    };
    let is = |cap, first: &str, after: &str| (Some(cap), first.to_owned(), after.to_owned());
    assert_eq!(of("2026-11-19"), is(1, "2026-11-10", "2026-11-20"));
    assert_eq!(of("2026-11-20"), is(2, "2026-11-20", "2026-12-05"));
    assert_eq!(of("2026-12-05"), is(2, "2026-12-05", "2027-01-05"));
}

#[test]
fn where_a_plan_moves_to_another_zone_no_moment_is_of_no_period_and_none_of_two() {
    for (old, new) in [("Europe/Berlin", "America/New_York"), ("America/New_York", "Europe/Berlin")] {
        let new = Plan { from: Some(date(2026, 11, 15)), ..plan(15, new) };
        let begins = new.begins().unwrap();
        let plans = in_versions(vec![plan(1, old), new]);
        let of = |minutes: i64| {
            let at = UnixNanos(begins.0 + minutes * 60_000_000_000);
            let (plan, period) = in_force(&plans, "home", at).unwrap();
            assert!(period.contains(at), "{minutes}");
            let standing = plan.standing(period.clone(), at, &[], &Seen::default()).unwrap();
            (period, standing.days_left)
        };
        let (before, after) = (of(-1), of(0));
        assert_eq!((before.0.to, after.0.from), (begins, begins), "{old}");
        assert_eq!((before.0.after, after.0.first), (date(2026, 11, 15), date(2026, 11, 15)));
        assert_eq!((before.1, after.1), (1, 30));
        assert_eq!(of(-2 * 24 * 60).0, before.0);
    }
}

#[test]
fn free_hours_reach_over_midnight_and_are_of_days() {
    let at = |day, hour, minute| date(2026, 11, day).at(hour, minute, 0, 0);
    let nights = FreeHours::parse("22:00-06:00").unwrap();
    assert!(nights.holds(at(2, 22, 0)) && nights.holds(at(2, 0, 0)) && nights.holds(at(2, 5, 45)));
    assert!(!nights.holds(at(2, 6, 0)) && !nights.holds(at(2, 21, 45)));
    // Friday is the 6th: what begins then ends on Saturday.
    let friday = FreeHours::parse("fri 22:00-06:00").unwrap();
    assert!(friday.holds(at(6, 23, 0)) && friday.holds(at(7, 5, 0)));
    assert!(!friday.holds(at(6, 5, 0)) && !friday.holds(at(7, 23, 0)));
    let weekend = FreeHours::parse("sat,sun 00:00-24:00").unwrap();
    assert!(weekend.holds(at(7, 0, 0)) && weekend.holds(at(8, 23, 45)) && !weekend.holds(at(9, 0, 0)));
    for text in
        ["", "2:00-6:00", "02:00", "02:05-06:00", "02:00-02:00", "24:00-06:00", "02:00-24:15", "xyz 02:00-06:00"]
    {
        assert!(FreeHours::parse(text).is_err(), "{text}");
    }
}
