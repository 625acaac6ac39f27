use super::*;

fn event(period: &str, threshold: &str) -> Event {
    Event {
        kind: Kind::Percent,
        subject: "home".into(),
        period: period.into(),
        threshold: threshold.into(),
        value: 80,
        limit: Some(100),
        line: "80 % of home are used".into(),
    }
}

#[test]
fn an_alert_is_settled_when_it_was_taken_or_tried_three_times() {
    let mut memory = Memory::default();
    let (taken, refused) = (event("2026-11-15", "80").key(), event("2026-11-15", "100").key());
    memory.note(&taken, Tried::Taken, 1);
    for n in 0..MAX_TRIES {
        assert!(!memory.is_settled(&refused), "{n}");
        memory.note(&refused, Tried::Refused, 1);
    }
    assert!(memory.is_settled(&taken) && memory.is_settled(&refused));
    assert!(!memory.is_settled(&event("2026-12-15", "80").key()), "another period");
    assert!(!memory.is_settled(&event("2026-11-15", "90").key()), "another threshold");
    let text = memory.to_json(2).unwrap();
    assert_eq!(Memory::of_json(&text).unwrap(), memory);
    assert!(Memory::of_json("").unwrap() == Memory::default() && Memory::of_json("[1]").is_err());
    // What holds no more is forgotten, and so is what nobody could look through.
    assert_eq!(memory.to_json(500 * 86_400).unwrap(), "{\"told\":{}}");
    (0..20_000).for_each(|n| memory.note(&format!("{n}"), Tried::Taken, n));
    assert!(memory.to_json(20_000).unwrap().matches("done").count() <= 10_000);
}

#[test]
fn a_message_arrives_as_it_was_and_what_is_none_is_refused() {
    let hostile = Event { subject: "a\0b\u{1b}[2J;$(reboot)".into(), line: "x".repeat(5_000), ..event("p", "t") };
    for event in [event("2026-11-15", ""), hostile] {
        let mut bytes = Vec::new();
        Message::of(&event).write(&mut bytes).unwrap();
        let mut input = bytes.as_slice();
        let read = Message::read(&mut input).unwrap().unwrap();
        assert_eq!(read, Message::of(&event));
        assert!(read.0.iter().all(|value| !value.contains(['\0', '\u{1b}', '\n']) && value.len() <= 1_000), "{read:?}");
        assert_eq!(Message::read(&mut input).unwrap(), None);
        for cut in 4..bytes.len() {
            assert!(Message::read(&mut &bytes[..cut]).is_err());
        }
    }
    assert!(Message::read(&mut &u32::MAX.to_le_bytes()[..]).is_err());
    assert!(Message::read(&mut &[3, 0, 0, 0, b'a', 0, b'b'][..]).is_err());
}
