//! Text from outside, made safe to show.

use std::fmt::Write as _;

/// `text` with everything escaped that a terminal could act on or that could pass for something
/// else: control characters as `\DDD`, others that are not printable (bidirectional marks,
/// zero-width characters) as `\u{…}`. What is left as it is: printable ASCII, spaces, letters of
/// every script.
pub fn shown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' '..='~' => safe.push(c),
            // Writing to a String cannot fail.
            c if c.is_ascii() => _ = write!(safe, "\\{:03}", u32::from(c)),
            c => safe.extend(c.escape_debug()),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_text_cannot_move_the_cursor_or_turn_the_line_around() {
        assert_eq!(shown("a\x1b[2J\u{9b}b\u{202e}c\u{200b}"), "a\\027[2J\\u{9b}b\\u{202e}c\\u{200b}");
        assert_eq!(shown("Zoë's 電話"), "Zoë's 電話");
    }
}
