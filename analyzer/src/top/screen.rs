//! What keys and mouse do: state, and no terminal.

use super::snapshot::{Asked, Snapshot, Sort, View};
use crate::report::Mask;
use ratatui::layout::Rect;
use ratatui::termion::event::{Event, Key, MouseButton, MouseEvent};

/// Rows that a turn of the wheel moves by.
const WHEEL: usize = 3;

/// Longest filter.
const MAX_FILTER: usize = 200;

/// What is over the table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Over {
    /// Nothing.
    #[default]
    Nothing,
    /// The keys.
    Help,
    /// What is behind the selected row.
    Details,
    /// What its certainty rests on.
    Explain,
}

/// Whether the program goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goes {
    /// On.
    On,
    /// It ends.
    Ends,
}

/// What the screen shows.
#[derive(Debug, Clone, Default)]
pub struct Screen {
    /// Which rows.
    pub asked: Asked,
    /// The filter while it is typed; Escape brings the one before back.
    pub typed: Option<String>,
    /// Name of the selected row; the first one where it is not there.
    pub selected: Option<String>,
    /// First row that is shown.
    pub first: usize,
    /// What is over the table.
    pub over: Over,
    /// What is shown stands still.
    pub is_paused: bool,
    /// Names that are not shown.
    pub masked: Option<Mask>,
    /// Where rows were drawn last, and the tabs.
    pub rows_area: Rect,
    /// Likewise, with what each stands for.
    pub tabs: Vec<(Rect, View)>,
}

impl Screen {
    /// Place of the selected row.
    pub fn place(&self, snapshot: &Snapshot) -> usize {
        let selected = self.selected.as_ref();
        selected.and_then(|name| snapshot.rows.iter().position(|row| row.name == *name)).unwrap_or(0)
    }

    /// Takes a key or the mouse.
    pub fn event(&mut self, event: &Event, snapshot: &Snapshot) -> Goes {
        match event {
            Event::Key(Key::Ctrl('c')) => return Goes::Ends,
            Event::Key(key) if self.typed.is_some() => self.type_filter(*key),
            Event::Key(Key::Char('q')) if self.over == Over::Nothing => return Goes::Ends,
            Event::Key(key) => self.key(*key, snapshot),
            Event::Mouse(mouse) => self.mouse(*mouse, snapshot),
            Event::Unsupported(_) => {}
        }
        Goes::On
    }

    fn type_filter(&mut self, key: Key) {
        let Some(mut typed) = self.typed.take() else { return };
        match key {
            Key::Char('\n') => {
                self.asked.filter = typed;
                return;
            }
            Key::Esc => return,
            Key::Backspace => _ = typed.pop(),
            Key::Ctrl('u') => typed.clear(),
            Key::Char(c) if !c.is_control() && typed.len() < MAX_FILTER => typed.push(c),
            _ => {}
        }
        self.typed = Some(typed);
    }

    fn key(&mut self, key: Key, snapshot: &Snapshot) {
        match key {
            Key::Esc | Key::Char('q') if self.over != Over::Nothing => self.over = Over::Nothing,
            Key::Esc => self.asked.filter.clear(),
            Key::Char('?' | 'h') => self.toggle(Over::Help),
            Key::Char('\n') => self.open(Over::Details, snapshot),
            Key::Char('e') => self.open(Over::Explain, snapshot),
            Key::Char('/') => self.typed = Some(self.asked.filter.clone()),
            Key::Char('s') => self.asked.sort = self.asked.sort.next(),
            Key::Char('p' | ' ') => self.is_paused = !self.is_paused,
            Key::Char('m') => {
                self.masked = match self.masked {
                    None => Some(Mask::Devices),
                    Some(Mask::Devices) => Some(Mask::Hosts),
                    Some(Mask::Hosts) => Some(Mask::All),
                    Some(Mask::All) => None,
                }
            }
            Key::Char('\t') | Key::Right => {
                self.show(View::ALL.into_iter().cycle().skip_while(|v| *v != self.asked.view).nth(1))
            }
            Key::BackTab | Key::Left => {
                self.show(View::ALL.into_iter().rev().cycle().skip_while(|v| *v != self.asked.view).nth(1));
            }
            Key::Char(c @ '1'..='5') => self.show(c.to_digit(10).and_then(|n| View::ALL.get(n as usize - 1)).copied()),
            Key::Down | Key::Char('j') => self.step(snapshot, 1),
            Key::Up | Key::Char('k') => self.step(snapshot, -1),
            Key::PageDown => self.step(snapshot, i64::from(self.rows_area.height)),
            Key::PageUp => self.step(snapshot, -i64::from(self.rows_area.height)),
            Key::Home | Key::Char('g') => self.step(snapshot, i64::MIN),
            Key::End | Key::Char('G') => self.step(snapshot, i64::MAX),
            _ => {}
        }
    }

    fn toggle(&mut self, over: Over) {
        self.over = if self.over == over { Over::Nothing } else { over };
    }

    /// Opens what is about one row, or closes it. Other rows may come to stand where it stood.
    fn open(&mut self, over: Over, snapshot: &Snapshot) {
        self.step(snapshot, 0);
        self.toggle(over);
    }

    fn show(&mut self, view: Option<View>) {
        if let Some(view) = view {
            (self.asked.view, self.selected, self.first) = (view, None, 0);
        }
    }

    fn step(&mut self, snapshot: &Snapshot, by: i64) {
        let last = snapshot.rows.len().saturating_sub(1);
        let place = i64::try_from(self.place(snapshot)).unwrap_or(0).saturating_add(by);
        let place = usize::try_from(place.max(0)).unwrap_or(0).min(last);
        self.selected = snapshot.rows.get(place).map(|row| row.name.clone());
    }

    fn mouse(&mut self, mouse: MouseEvent, snapshot: &Snapshot) {
        let wheel = i64::try_from(WHEEL).unwrap_or(1);
        match mouse {
            MouseEvent::Press(MouseButton::WheelDown, ..) => self.step(snapshot, wheel),
            MouseEvent::Press(MouseButton::WheelUp, ..) => self.step(snapshot, -wheel),
            // The terminal counts from 1.
            MouseEvent::Press(MouseButton::Left, x, y) => {
                self.click(x.saturating_sub(1), y.saturating_sub(1), snapshot)
            }
            _ => {}
        }
    }

    fn click(&mut self, x: u16, y: u16, snapshot: &Snapshot) {
        if self.over != Over::Nothing {
            self.over = Over::Nothing;
            return;
        }
        let position = ratatui::layout::Position { x, y };
        if let Some((_, view)) = self.tabs.iter().find(|(area, _)| area.contains(position)) {
            self.show(Some(*view));
        } else if self.rows_area.contains(position) {
            let place = self.first + usize::from(y - self.rows_area.y);
            let Some(row) = snapshot.rows.get(place) else { return };
            // A second click on a row opens it.
            if self.selected.as_ref() == Some(&row.name) {
                self.over = Over::Details;
            }
            self.selected = Some(row.name.clone());
        }
    }

    /// Scrolls so that the selected row is among `height` rows.
    pub fn scroll(&mut self, snapshot: &Snapshot, height: usize) {
        let place = self.place(snapshot);
        self.first = self.first.min(place).max((place + 1).saturating_sub(height));
        self.first = self.first.min(snapshot.rows.len().saturating_sub(height));
    }
}

/// Heading of what decides the order.
pub const fn sort_word(sort: Sort) -> &'static str {
    match sort {
        Sort::Rate => "now",
        Sort::Today => "today",
        Sort::Period => "period",
        Sort::Name => "name",
    }
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::Row;
    use super::*;

    fn snapshot(n: usize) -> Snapshot {
        let rows = (0..n).map(|i| Row { name: format!("row{i}"), ..Row::default() }).collect();
        Snapshot { rows, ..Snapshot::default() }
    }

    fn press(screen: &mut Screen, keys: &str, snapshot: &Snapshot) {
        for key in keys.chars() {
            assert_eq!(screen.event(&Event::Key(Key::Char(key)), snapshot), Goes::On, "{key}");
        }
    }

    #[test]
    fn a_filter_counts_when_it_is_entered_and_escape_takes_it_back() {
        let (mut screen, rows) = (Screen::default(), snapshot(3));
        press(&mut screen, "/goo", &rows);
        assert_eq!(screen.asked.filter, "");
        press(&mut screen, "q\n", &rows);
        assert_eq!(screen.asked.filter, "gooq");
        press(&mut screen, "/x", &rows);
        screen.event(&Event::Key(Key::Esc), &rows);
        assert_eq!((screen.asked.filter.as_str(), &screen.typed), ("gooq", &None));
        screen.event(&Event::Key(Key::Esc), &rows);
        assert_eq!(screen.asked.filter, "");
        assert_eq!(screen.event(&Event::Key(Key::Char('q')), &rows), Goes::Ends);
    }

    #[test]
    fn what_is_selected_stays_selected_when_rows_move() {
        let (mut screen, mut rows) = (Screen::default(), snapshot(30));
        press(&mut screen, "jjjj", &rows);
        assert_eq!(screen.selected.as_deref(), Some("row4"));
        rows.rows.rotate_left(3);
        assert_eq!(screen.place(&rows), 1);
        press(&mut screen, "G", &rows);
        screen.scroll(&rows, 10);
        assert_eq!((screen.place(&rows), screen.first), (29, 20));
        press(&mut screen, "gk", &rows);
        screen.scroll(&rows, 10);
        assert_eq!((screen.place(&rows), screen.first), (0, 0));
    }

    #[test]
    fn a_window_is_about_the_row_that_it_was_opened_on() {
        for key in ["\n", "e"] {
            let (mut screen, mut rows) = (Screen::default(), snapshot(5));
            press(&mut screen, key, &rows);
            rows.rows.rotate_left(2);
            assert_eq!(rows.rows[screen.place(&rows)].name, "row0", "{key}");
            press(&mut Screen::default(), key, &snapshot(0));
        }
    }

    #[test]
    fn views_go_round_in_both_directions_and_have_numbers() {
        let (mut screen, rows) = (Screen::default(), snapshot(1));
        press(&mut screen, "\t\t", &rows);
        assert_eq!(screen.asked.view, View::Host);
        press(&mut screen, "\t", &rows);
        assert_eq!(screen.asked.view, View::Page);
        for _ in 0..4 {
            screen.event(&Event::Key(Key::BackTab), &rows);
        }
        assert_eq!(screen.asked.view, View::Evidence);
        press(&mut screen, "2", &rows);
        assert_eq!(screen.asked.view, View::Device);
        for (n, view) in (1..).zip(View::ALL) {
            press(&mut screen, &format!("{n}"), &rows);
            assert_eq!(screen.asked.view, view);
        }
    }

    #[test]
    fn whatever_is_over_the_table_goes_by_escape_or_q_or_a_click() {
        let (mut screen, rows) = (Screen::default(), snapshot(5));
        for (open, close) in [('?', Key::Esc), ('\n', Key::Char('q')), ('e', Key::Char('e'))] {
            press(&mut screen, &open.to_string(), &rows);
            assert_ne!(screen.over, Over::Nothing);
            assert_eq!(screen.event(&Event::Key(close), &rows), Goes::On);
            assert_eq!(screen.over, Over::Nothing);
        }
    }

    #[test]
    fn the_mouse_selects_opens_scrolls_and_changes_views() {
        let (mut screen, rows) = (Screen::default(), snapshot(5));
        screen.rows_area = Rect::new(0, 5, 80, 10);
        screen.tabs = vec![(Rect::new(10, 3, 7, 1), View::Device)];
        let mut click = |x, y| screen.event(&Event::Mouse(MouseEvent::Press(MouseButton::Left, x, y)), &rows);
        click(3, 8);
        click(3, 8);
        assert_eq!((screen.selected.as_deref(), &screen.over), (Some("row2"), &Over::Details));
        let mut click = |x, y| screen.event(&Event::Mouse(MouseEvent::Press(MouseButton::Left, x, y)), &rows);
        click(3, 8);
        click(12, 4);
        click(3, 300);
        assert_eq!((screen.over, screen.asked.view), (Over::Nothing, View::Device));
    }
}
