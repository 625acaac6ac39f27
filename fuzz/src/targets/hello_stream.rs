//! TCP segments with hellos, in any order, cut, repeated, from both sides.

use crate::books::check_name;
use crate::pieces::pieces;
use imon_common::names::finder::{Finder, FromClient, Search};

/// One input.
pub fn run(data: &[u8]) {
    let mut finder = Finder::new(2);
    // Two flows by turns, so that they compete for what a finder may hold.
    let mut searches = [Search::default(), Search::default()];
    let split = data.len() / 2;
    let (first, second) =
        if data.first() == Some(&0x80) { data[1..].split_at(split.saturating_sub(1)) } else { (data, &[][..]) };
    let mut inputs = [pieces(first, (40_000, 443)), pieces(second, (40_000, 443))];
    loop {
        let mut any = false;
        for (search, input) in searches.iter_mut().zip(&mut inputs) {
            let Some(piece) = input.next() else { continue };
            any = true;
            if let Some((kind, name)) = finder.tcp(search, FromClient(piece.from_client), &piece.tcp) {
                assert!(kind.is_in_flow());
                check_name(&name);
            }
        }
        if !any {
            break;
        }
    }
    searches.iter_mut().for_each(|search| finder.release(search));
}
