//! What every page has around it: its head, its policy, its style and its script.

use crate::table::units::{Units, shown_in};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};
use std::io::{self, Write};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// A page without its frame.
pub(super) struct Page<'a> {
    /// What the window is called.
    pub title: &'a str,
    pub body: Markup,
    /// Numbers for the script: JSON that may stand inside a script element.
    pub data: Option<&'a str>,
}

/// Writes all of it.
pub(super) fn write(page: &Page<'_>, out: &mut dyn Write) -> io::Result<()> {
    begin(page.title, out)?;
    out.write_all(page.body.0.as_bytes())?;
    end(page.data, out)
}

/// What stands before the body's contents.
pub(super) fn begin(title: &str, out: &mut dyn Write) -> io::Result<()> {
    let head = html! {
        head {
            meta charset="utf-8";
            meta http-equiv="Content-Security-Policy" content=(policy());
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="referrer" content="no-referrer";
            meta name="color-scheme" content="light dark";
            meta name="generator" content={ "imon " (env!("CARGO_PKG_VERSION")) };
            title { "imon: " (title) }
            style { (PreEscaped(STYLE)) }
        }
    };
    let doctype = html! { (DOCTYPE) };
    writeln!(out, "{}\n<html lang=\"en\" data-units=\"{}\">{}\n<body>", doctype.0, units(), head.0)
}

/// What stands behind it.
pub(super) fn end(data: Option<&str>, out: &mut dyn Write) -> io::Result<()> {
    if let Some(data) = data {
        write!(out, "\n<script type=\"application/json\" id=\"data\">{data}</script>")?;
    }
    writeln!(out, "\n<script>{SCRIPT}</script>\n</body>\n</html>")
}

/// The word for the units of its amounts, for its script.
fn units() -> &'static str {
    match shown_in() {
        Units::Binary => "binary",
        Units::Decimal => "decimal",
    }
}

/// Nothing is fetched from anywhere; what runs is this page's own.
fn policy() -> String {
    let [style, script] = [STYLE, SCRIPT].map(|text| base64(&Sha256::digest(text)));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; base-uri 'none'; \
         form-action 'none'"
    )
}

/// Base 64 (RFC 4648 section 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |bits: u32| DIGITS.get(bits as usize & 63).map_or('=', |digit| char::from(*digit));
    bytes
        .chunks(3)
        .flat_map(|chunk| {
            let bits = (0..3).fold(0, |bits, nth| bits << 8 | chunk.get(nth).map_or(0, |byte| u32::from(*byte)));
            let digits = [18, 12, 6, 0].map(|shift| digit(bits >> shift));
            (0..4).zip(digits).map(move |(nth, digit)| if nth <= chunk.len() { digit } else { '=' })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (text, expected) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(text.as_bytes()), expected);
        }
    }

    #[test]
    fn nothing_in_style_and_script_ends_their_element_or_asks_for_anything() {
        for text in [STYLE, SCRIPT] {
            let text = text.to_ascii_lowercase();
            for word in ["</", "<!--", "url(", "@import", "http://", "https://", "innerhtml", "eval(", "fetch("] {
                // A name, and a pattern in the page itself: nothing is fetched for either.
                let rest = text.replace("http://www.w3.org/2000/svg", "").replace("url(#hatch)", "");
                assert!(!rest.contains(word), "{word}");
            }
        }
        assert!(SCRIPT.lines().count() <= 900);
    }
}
