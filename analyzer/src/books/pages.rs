//! Which page pulled bytes in: beside the strict rows, never instead of them.

use super::Row;

/// How sure it is that a page pulled bytes in. The numbers are stored in SQLite and the words are
/// in scripts' JSON: neither may change its meaning. Bytes that no row speaks of are a site's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Sureness {
    /// Learned from several visits, and no other page comes near.
    Sure = 1,
    /// More likely than all other explanations together.
    Likely = 2,
    /// The best of several explanations.
    Guess = 3,
    /// No page explains the bytes: they stay on their own site. Updates, sync, what polls.
    Background = 4,
}

impl Sureness {
    /// Every class, surest first.
    pub const ALL: [Self; 4] = [Self::Sure, Self::Likely, Self::Guess, Self::Background];

    /// The word for it in reports, JSON and CSV.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sure => "sure",
            Self::Likely => "likely",
            Self::Guess => "guess",
            Self::Background => "background",
        }
    }

    /// The number that SQLite stores.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The class with this number, if there is one.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.number() == number)
    }

    /// Place in [`Sureness::ALL`], for arrays of one value per class.
    pub const fn index(self) -> usize {
        self as usize - 1
    }
}

/// Part of a strict row that a page pulled in. The parts of a row never sum up to more than the
/// row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRow {
    /// Key of the strict row that this is part of, and the amount of the part.
    pub row: Row,
    /// Index into [`super::Books::hosts`]: the host whose document the page is. The row's own host
    /// where it is [`Sureness::Background`].
    pub page: u32,
    /// How sure.
    pub sureness: Sureness,
    /// Index likewise: the page that could have pulled the bytes in as well.
    pub rival: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_survives_its_number_and_has_its_own_word() {
        for (i, class) in Sureness::ALL.into_iter().enumerate() {
            assert_eq!(Sureness::from_number(class.number()), Some(class));
            assert_eq!(class.index(), i);
            assert_eq!(Sureness::ALL.iter().filter(|c| c.word() == class.word()).count(), 1);
        }
        assert_eq!((Sureness::from_number(0), Sureness::from_number(5)), (None, None));
    }
}
