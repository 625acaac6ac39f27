//! Requests of HTTP/1 and HTTP/2, proxies, from both sides: the name is one that was there.

use crate::books::check_name;
use crate::pieces::{self, pieces};
use imon_common::names::finder::{Finder, FromClient, Search};
use imon_common::names::{Name, NameKind};

/// One input.
pub fn run(data: &[u8]) {
    let found = names(data);
    if found.len() < 2 {
        one_segment(data);
    }
}

fn names(input: &[u8]) -> Vec<(NameKind, Name)> {
    let mut finder = Finder::new(2);
    let mut search = Search::default();
    let mut names = Vec::new();
    for piece in pieces(input, (40_000, 80)) {
        names.extend(finder.tcp(&mut search, FromClient(piece.from_client), &piece.tcp));
    }
    finder.release(&mut search);
    names.iter().for_each(|(kind, name)| {
        assert!(kind.is_in_flow());
        check_name(name);
    });
    names
}

/// The bytes themselves as the first segment of a connection; a host that is found stands in them.
fn one_segment(text: &[u8]) {
    let mut input = Vec::new();
    pieces::put(&mut input, pieces::SYN, &[]);
    pieces::put(&mut input, 0, text);
    for (kind, name) in names(&input) {
        // Compressed (HPACK) and binary forms (SOCKS, TLS) do not show it letter by letter.
        if kind == NameKind::Http && text.starts_with(b"GET /") && !text.windows(4).any(|w| w == b"PRI ") {
            let lower = text.to_ascii_lowercase();
            let plain = !name.as_str().contains('\\');
            assert!(!plain || lower.windows(name.as_str().len()).any(|w| w == name.as_str().as_bytes()), "{name}");
        }
    }
}
