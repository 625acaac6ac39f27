//! Hours in which nothing counts.

use jiff::civil::{DateTime, Weekday};

/// Minutes of a day.
const DAY_MIN: u16 = 24 * 60;

/// A stretch of local clock time, on some days of the week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeHours {
    /// Whether it begins on each day, Monday first.
    days: [bool; 7],
    /// First minute of the day.
    from_min: u16,
    /// First minute after it; not after `from_min`: on the next day.
    to_min: u16,
}

impl FreeHours {
    /// `02:00-06:00`, `22:00-06:00` (into the next day), `sat,sun 00:00-24:00`, `mon-fri
    /// 02:00-06:00`.
    ///
    /// # Errors
    /// It is none, or does not begin and end with a quarter hour; in words.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "expected hours such as \"02:00-06:00\", \"22:00-06:00\" or \"sat,sun 00:00-24:00\"";
        let (days, hours) = match text.split_once(' ') {
            Some((days, hours)) => (parse_days(days).ok_or(EXPECTED)?, hours),
            None => ([true; 7], text),
        };
        let (from, to) = hours.split_once('-').ok_or(EXPECTED)?;
        let (from_min, to_min) = (minute(from).ok_or(EXPECTED)?, minute(to).ok_or(EXPECTED)?);
        if from_min % 15 != 0 || to_min % 15 != 0 {
            return Err("the books are kept in quarter hours: free hours begin and end with one");
        }
        match from_min == to_min || from_min == DAY_MIN {
            true => Err(EXPECTED),
            false => Ok(Self { days, from_min, to_min }),
        }
    }

    /// Whether a quarter hour that begins at this local time is free.
    pub fn holds(&self, at: DateTime) -> bool {
        let minute = u16::try_from(i16::from(at.hour()) * 60 + i16::from(at.minute())).unwrap_or_default();
        let begins_on = |day: Weekday| {
            let index = usize::try_from(day.to_monday_zero_offset()).unwrap_or_default();
            self.days.get(index).copied().unwrap_or_default()
        };
        let today = at.date().weekday();
        match self.from_min < self.to_min {
            true => begins_on(today) && (self.from_min..self.to_min).contains(&minute),
            false => begins_on(today) && minute >= self.from_min || begins_on(today.previous()) && minute < self.to_min,
        }
    }
}

/// Minutes of `HH:MM`, up to 24:00.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number =
        |text: &str| (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse::<u16>().ok())?;
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let minute = hours.checked_mul(60)?.checked_add(minutes)?;
    (minutes < 60 && minute <= DAY_MIN).then_some(minute)
}

/// `sat`, `sat,sun`, `mon-fri`.
fn parse_days(text: &str) -> Option<[bool; 7]> {
    const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let place = |name: &str| NAMES.iter().position(|day| *day == name.to_ascii_lowercase());
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut at, last) = (place(first)?, place(last)?);
        loop {
            *days.get_mut(at)? = true;
            if at == last {
                break;
            }
            at = (at + 1) % 7;
        }
    }
    Some(days)
}
