use super::super::cells::{Amount, Cells, Kind, Shared};
use super::super::paged::On;
use super::super::snapshot::Asked;
use super::*;
use crate::books::{Books, Host, Traffic};
use crate::report::Mask;
use crate::rollup::Endpoint;
use crate::site::Sites;
use imon_common::names::Name;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

fn cells() -> Cells {
    let mut cells = Cells::default();
    let mut add = |host: Host, device: &str, kind: (Evidence, Shared), bytes: u64| {
        let client = Endpoint { address: device.parse().unwrap(), mac: None };
        let (evidence, share) = kind;
        let cell = cells.at(&host, client, Kind { evidence, traffic: Traffic::Visited, share });
        let some = Bytes { up: bytes / 50, down: bytes };
        cells.add(cell, Amount { today: some, period: Bytes { up: bytes, down: bytes * 30 }, ..Amount::default() });
        cells.tick(98);
        for second in 0..98 {
            let part = if second % 7 == 0 { bytes } else { bytes / 9 };
            cells.passed(second, cell, Bytes { up: part / 60, down: part / 3 });
        }
        if share == Shared::Yes {
            cells.open(cell, bytes);
        }
    };
    let name = |name: &str| Host::Name(Name::from_presentation(name).unwrap());
    add(name("www.example.org"), "192.0.2.7", (Evidence::Sni, Shared::No), 40_000_000);
    add(name("video.example.net"), "192.0.2.8", (Evidence::DnsShared, Shared::Yes), 900_000_000);
    add(name("video.example.net"), "192.0.2.7", (Evidence::Quic, Shared::No), 300_000_000);
    add(
        Host::Address("2001:db8:ffff:ffff:ffff:ffff:ffff:9".parse().unwrap()),
        "192.0.2.8",
        (Evidence::None, Shared::No),
        77,
    );
    for n in 0..30 {
        add(name(&format!("site{n:02}.example")), "192.0.2.9", (Evidence::Dns, Shared::No), 1_000 + n);
    }
    // A page pulled in most of the videos, nothing pulled in what is left of them.
    let page = cells.paged.page("www.example.org");
    let part = |page, sureness, down| {
        let some = Bytes { up: 0, down };
        (On { page, sureness }, Amount { today: some, period: some, ..Amount::default() })
    };
    let parts = [(1, page, Sureness::Guess, 500_000_000), (2, page, Sureness::Sure, 200_000_000)];
    for (cell, page, sureness, down) in parts.into_iter().chain([(2, None, Sureness::Background, 50_000_000)]) {
        let (on, amount) = part(page, sureness, down);
        cells.paged.settle(cell, on, amount);
    }
    cells
}

fn around() -> Around<'static> {
    Around {
        interfaces: vec!["wlan0"],
        clock: "14:07:31".into(),
        period: "Nov".into(),
        warning: None,
        dropped_packets: 0,
        behind: Vec::new(),
        color: true,
    }
}

/// What is on a screen of that size.
fn shown(screen: &mut Screen, (width, height): (u16, u16), around: &Around<'_>) -> String {
    let snapshot = Snapshot::new(&cells(), &screen.asked, &Sites::new(), 100);
    let mut masker = Masker::new(screen.masked, &Books::default());
    masker.know(cells().roster.endpoints.values().iter().map(|end| end.address));
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, screen, &snapshot, (around, &masker))).unwrap();
    terminal.backend().to_string()
}

#[test]
fn sites_on_a_terminal_of_80_by_24() {
    insta::assert_snapshot!(shown(&mut Screen::default(), (80, 24), &around()));
}

#[test]
fn devices_on_a_wide_terminal() {
    let mut screen = Screen { asked: Asked { view: View::Device, ..Asked::default() }, ..Screen::default() };
    insta::assert_snapshot!(shown(&mut screen, (120, 12), &around()));
}

#[test]
fn a_name_is_decoded_where_that_deceives_nobody() {
    let row = |name: &str| Row { name: name.into(), period: Bytes { up: 1, down: 1 }, ..Row::default() };
    // The second one has a Cyrillic letter among Latin ones.
    let rows = vec![row("xn--mnchen-3ya.example"), row("xn--pypal-4ve.example")];
    let snapshot = Snapshot { rows, ..Snapshot::default() };
    let mut terminal = Terminal::new(TestBackend::new(80, 12)).unwrap();
    let (masker, around) = (Masker::new(None, &Books::default()), around());
    terminal.draw(|frame| draw(frame, &mut Screen::default(), &snapshot, (&around, &masker))).unwrap();
    let text = terminal.backend().to_string();
    assert!(text.contains("münchen.example") && text.contains("xn--pypal-4ve.example"), "{text}");
}

#[test]
fn pages_with_what_they_pulled_in() {
    let mut screen = Screen { asked: Asked { view: View::Page, ..Asked::default() }, ..Screen::default() };
    insta::assert_snapshot!(shown(&mut screen, (100, 14), &around()));
}

#[test]
fn what_a_page_is_made_of() {
    let mut screen = Screen {
        asked: Asked { view: View::Page, ..Asked::default() },
        over: Over::Explain,
        selected: Some("example.org".into()),
        ..Screen::default()
    };
    insta::assert_snapshot!(shown(&mut screen, (100, 24), &around()));
}

#[test]
fn whose_an_address_is_stands_behind_it_and_not_where_it_is_hidden() {
    let owner = Owner { network: Some("AS64500 Example Net".into()), country: Some("DE".into()) };
    let row =
        Row { name: "198.51.100.9".into(), owner: Some(owner), period: Bytes { up: 1, down: 1 }, ..Row::default() };
    let snapshot = Snapshot { rows: vec![row], ..Snapshot::default() };
    let drawn = |width, mask| {
        let mut screen = Screen { masked: mask, ..Screen::default() };
        let masker = Masker::new(mask, &Books::default());
        let mut terminal = Terminal::new(TestBackend::new(width, 10)).unwrap();
        terminal.draw(|frame| draw(frame, &mut screen, &snapshot, (&around(), &masker))).unwrap();
        terminal.backend().to_string()
    };
    assert!(drawn(160, None).contains("198.51.100.9 AS64500 Example Net, DE "), "{}", drawn(160, None));
    assert!(drawn(80, None).contains("198.51.100.9 AS64500"), "{}", drawn(80, None));
    assert!(drawn(40, None).contains("51.100.9  "), "{}", drawn(40, None));
    for mask in [Mask::Hosts, Mask::All] {
        assert!(!drawn(120, Some(mask)).contains("64500"), "{}", drawn(120, Some(mask)));
    }
}

#[test]
fn what_is_behind_a_row() {
    let mut screen = Screen { over: Over::Details, selected: Some("example.net".into()), ..Screen::default() };
    let behind = |by| (by, Snapshot::behind(&cells(), (View::Site, "example.net"), by, &Sites::new()));
    let around =
        Around { behind: [View::Device, View::Host, View::Page, View::Evidence].map(behind).to_vec(), ..around() };
    insta::assert_snapshot!(shown(&mut screen, (80, 24), &around));
}

#[test]
fn how_sure_a_row_is() {
    let mut screen = Screen { over: Over::Explain, selected: Some("example.net".into()), ..Screen::default() };
    insta::assert_snapshot!(shown(&mut screen, (120, 16), &around()));
}

#[test]
fn masked_names_are_nowhere_on_the_screen() {
    for view in View::ALL {
        let mut screen = Screen {
            asked: Asked { view, ..Asked::default() },
            masked: Some(Mask::All),
            over: Over::Details,
            ..Screen::default()
        };
        let behind = |by| (by, Snapshot::behind(&cells(), (View::Site, "example.net"), by, &Sites::new()));
        let around = Around { behind: [View::Device, View::Host].map(behind).to_vec(), ..around() };
        let text = shown(&mut screen, (120, 40), &around);
        for secret in ["example", "192.0.2", "2001:db8", "wlan0"] {
            assert!(!text.contains(secret), "{view:?} {secret}\n{text}");
        }
    }
}

#[test]
fn a_screen_of_any_size_is_drawn() {
    for width in [1, 5, 20, 40, 59, 60, 75, 76, 300] {
        for height in [1, 2, 5, 6, 7, 8, 60] {
            for over in [Over::Nothing, Over::Help, Over::Details, Over::Explain] {
                let mut screen = Screen { over, ..Screen::default() };
                let text = shown(&mut screen, (width, height), &around());
                assert_eq!(text.lines().count(), usize::from(height), "{width} by {height}");
            }
        }
    }
}

#[test]
fn a_warning_and_a_pause_are_seen() {
    let mut screen =
        Screen { is_paused: true, asked: Asked { filter: "nothing".into(), ..Asked::default() }, ..Screen::default() };
    let around = Around { warning: Some("nothing was written for 3 min".into()), color: false, ..around() };
    insta::assert_snapshot!(shown(&mut screen, (80, 12), &around));
}

#[test]
fn every_part_of_what_is_behind_a_row_is_seen_on_24_lines() {
    let mut screen = Screen {
        asked: Asked { view: View::Device, ..Asked::default() },
        over: Over::Details,
        selected: Some("192.0.2.9".into()),
        ..Screen::default()
    };
    let behind = |by| (by, Snapshot::behind(&cells(), (View::Device, "192.0.2.9"), by, &Sites::new()));
    let around =
        Around { behind: [View::Site, View::Host, View::Page, View::Evidence].map(behind).to_vec(), ..around() };
    let text = shown(&mut screen, (80, 24), &around);
    assert!(text.contains("│ evidence") && text.matches(" more ").count() == 3, "{text}");
}

/// The cells of the first two rows, of which the first is the chosen one.
fn cells_of_rows(color: bool) -> [Vec<ratatui::buffer::Cell>; 2] {
    let (mut screen, around) = (Screen::default(), Around { color, ..around() });
    let snapshot = Snapshot::new(&cells(), &screen.asked, &Sites::new(), 100);
    let masker = Masker::new(None, &Books::default());
    let mut terminal = Terminal::new(TestBackend::new(120, 12)).unwrap();
    terminal.draw(|frame| draw(frame, &mut screen, &snapshot, (&around, &masker))).unwrap();
    let buffer = terminal.backend().buffer();
    [0, 1].map(|row| (0..120).map(|x| buffer[(x, HEAD + row)].clone()).collect())
}

#[test]
fn the_chosen_row_has_the_two_colours_of_the_terminal_and_no_other() {
    for color in [true, false] {
        let [chosen, next] = cells_of_rows(color);
        let text = |cells: &[ratatui::buffer::Cell]| cells.iter().map(|cell| cell.symbol()).collect::<String>();
        assert!(text(&chosen).contains('%') && text(&chosen).contains('█'), "{}", text(&chosen));
        assert!(chosen.iter().all(|cell| (cell.fg, cell.bg) == (Color::Reset, Color::Reset)), "{chosen:?}");
        assert!(chosen.iter().all(|cell| cell.modifier.contains(Modifier::REVERSED)), "{chosen:?}");
        assert!(!next.iter().any(|cell| cell.modifier.contains(Modifier::REVERSED)), "{next:?}");
        assert_eq!(next.iter().any(|cell| cell.fg != Color::Reset), color, "{next:?}");
    }
    assert_eq!(cells_of_rows(true)[0], cells_of_rows(false)[0], "as without colours");
}

#[test]
fn the_line_of_keys_is_whole_on_80_columns() {
    assert!(console::measure_text_width(KEYS) <= 80, "{KEYS}");
    for view in View::ALL {
        let mut screen = Screen { asked: Asked { view, ..Asked::default() }, over: Over::Explain, ..Screen::default() };
        let text = shown(&mut screen, (80, 40), &around());
        assert!(text.contains("q quit"), "{text}");
        // No line of a window is cut: there is a blank before its border.
        let cut = |line: &str| line.trim_start_matches(['"', ' ']).starts_with('│') && !line.contains(" │");
        assert!(!text.lines().any(cut), "{text}");
    }
}

#[test]
fn blocks_show_the_whole_range_and_keep_their_seconds() {
    assert_eq!(blocks(&[0, 1, 4, 8], 4), " ▁▄█");
    assert_eq!(blocks(&[1, 2, 3, 4, 5], 2), "▂█");
    assert_eq!(blocks(&[], 5), "");
    assert_eq!(blocks(&[u64::MAX, u64::MAX, 1], 2), "██");
    assert_eq!(fitted("averylongname.example.org", 12), "…xample.org ");
}
