//! Text on a terminal, broken between words: a line that the terminal breaks by itself is cut
//! anywhere, and looks like two.

use console::measure_text_width as columns;
use std::io::{self, Write};

/// Least width that lines are broken for: below it nobody reads anything.
const LEAST: usize = 20;

/// By how much the parts of a line behind the first stand further in than the line.
const INDENT: usize = 4;

/// Hands lines on that are no wider than a terminal.
pub struct Wrapped<'a> {
    out: &'a mut dyn Write,
    width: usize,
    /// What of a line has come so far.
    line: Vec<u8>,
}

impl<'a> Wrapped<'a> {
    /// Lines of `width` columns to `out`.
    pub fn new(out: &'a mut dyn Write, width: usize) -> Self {
        Self { out, width: width.max(LEAST), line: Vec::new() }
    }

    fn end_line(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        for part in broken(&text, self.width) {
            self.out.write_all(part.as_bytes())?;
            self.out.write_all(b"\n")?;
        }
        Ok(())
    }
}

impl Write for Wrapped<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            match part.split_last() {
                Some((b'\n', text)) => {
                    self.line.extend(text);
                    self.end_line()?;
                }
                _ => self.line.extend(part),
            }
        }
        Ok(bytes.len())
    }

    /// What has no end of line yet goes as it is.
    fn flush(&mut self) -> io::Result<()> {
        let rest = std::mem::take(&mut self.line);
        self.out.write_all(&rest)?;
        self.out.flush()
    }
}

/// The parts of a line: broken before words, which stay whole.
fn broken(line: &str, width: usize) -> Vec<String> {
    if columns(line.trim_end()) <= width {
        let fits = if columns(line) <= width { line } else { line.trim_end() };
        return vec![fits.to_owned()];
    }
    let indent = line.len() - line.trim_start_matches(' ').len();
    let indent = " ".repeat((indent + INDENT).min(width / 2));
    let (mut parts, mut part) = (Vec::new(), String::new());
    // Words with the spaces before them.
    let mut rest = line.trim_end();
    while !rest.is_empty() {
        let spaces = rest.len() - rest.trim_start_matches(' ').len();
        let end = rest.get(spaces..).and_then(|word| word.find(' ')).map_or(rest.len(), |at| spaces + at);
        let (word, behind) = rest.split_at(end);
        if columns(&part) + columns(word) > width && !part.trim().is_empty() {
            parts.push(std::mem::replace(&mut part, indent.clone()));
            part += word.trim_start();
        } else {
            part += word;
        }
        rest = behind;
    }
    parts.push(part);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(text: &str, width: usize) -> String {
        let mut out = Vec::new();
        let mut lines = Wrapped::new(&mut out, width);
        // In pieces, as buffers give them.
        text.as_bytes().chunks(7).for_each(|piece| lines.write_all(piece).unwrap());
        lines.flush().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn long_lines_are_broken_between_words_and_short_ones_stay() {
        assert_eq!(wrapped("one two\n\n  three\n", 20), "one two\n\n  three\n");
        assert_eq!(wrapped("  one two three four five six\n", 20), "  one two three four\n      five six\n");
        assert_eq!(wrapped("total      12          \n", 20), "total      12\n", "spaces at the end are no reason");
        assert_eq!(wrapped("no end of line", 20), "no end of line");
    }

    #[test]
    fn words_stay_whole_and_colours_have_no_width() {
        let hash = "ab".repeat(15);
        assert_eq!(wrapped(&format!("hash {hash}\n"), 20), format!("hash\n    {hash}\n"));
        let coloured = "\u{1b}[1mtwelve chars\u{1b}[0m more\n";
        assert_eq!(wrapped(coloured, 20), coloured);
        assert_eq!(wrapped("日本語日本語日本 語日本語\n", 20), "日本語日本語日本\n    語日本語\n");
    }
}
