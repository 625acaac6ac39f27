//! Fields and options of a block.

use crate::cursor::Cursor;

/// Options looked at in one block. The format defines fewer than 20 kinds; comments may repeat.
const MAX_OPTIONS: usize = 256;

/// Bytes of an interface's name that are kept: Linux allows 15, other systems have longer ones.
const MAX_NAME_BYTES: usize = 255;

/// Option code that ends a list of options (section 3.5 of the draft).
const END_OF_OPTIONS: u16 = 0;

/// Byte order of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Order {
    #[default]
    Little,
    Big,
}

/// Reads fields in the byte order of the section.
pub(super) struct Fields<'a> {
    pub(super) at: Cursor<'a>,
    pub(super) order: Order,
}

impl<'a> Fields<'a> {
    #[inline]
    pub(super) fn u16(&mut self) -> Option<u16> {
        match self.order {
            Order::Little => self.at.le_u16(),
            Order::Big => self.at.be_u16(),
        }
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Option<u32> {
        match self.order {
            Order::Little => self.at.le_u32(),
            Order::Big => self.at.be_u32(),
        }
    }

    #[inline]
    pub(super) fn u64(&mut self) -> Option<u64> {
        match self.order {
            Order::Little => self.at.le_u64(),
            Order::Big => self.at.be_u64(),
        }
    }

    /// Four 32-bit fields at once: one check instead of four, for what every packet has.
    #[inline]
    pub(super) fn four_words(&mut self) -> Option<[u32; 4]> {
        let bytes: [u8; 16] = self.at.array()?;
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = match self.order {
                Order::Little => u32::from_le_bytes(*bytes),
                Order::Big => u32::from_be_bytes(*bytes),
            };
        }
        Some(words)
    }

    /// The next option: its code and its value. `None` at the end of the options, and where they
    /// are damaged: an option that cannot be read costs what it says, not the packets behind it.
    fn option(&mut self) -> Option<(u16, Fields<'a>)> {
        let code = self.u16().filter(|&code| code != END_OF_OPTIONS)?;
        let len = usize::from(self.u16()?);
        let value = self.at.take(len)?;
        self.at.up_to(padding(len));
        Some((code, Fields { at: Cursor::new(value), order: self.order }))
    }

    /// Calls `each` with every option from here on.
    pub(super) fn options(&mut self, mut each: impl FnMut(u16, Fields<'a>)) {
        for _ in 0..MAX_OPTIONS {
            let Some((code, value)) = self.option() else {
                return;
            };
            each(code, value);
        }
    }

    /// The rest of the value as text; what is not UTF-8 is replaced.
    pub(super) fn text(&mut self) -> String {
        String::from_utf8_lossy(self.at.up_to(MAX_NAME_BYTES)).into_owned()
    }

    /// A 64-bit value that fills its option.
    pub(super) fn only_u64(&mut self) -> Option<u64> {
        self.u64().filter(|_| self.at.is_empty())
    }
}

/// Bytes from `len` to the next multiple of four.
pub(super) fn padding(len: usize) -> usize {
    len.wrapping_neg() % 4
}
