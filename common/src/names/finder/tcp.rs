//! The steps of a search through a TCP flow.

use super::super::gather::Gather;
use super::super::host::Host;
use super::super::look::Look;
use super::super::{Name, NameKind, http, tls};
use super::Step;
use super::lane::{Lane, MAX_STREAM, Segment};
use super::search::{FromClient, Search};
use super::through::{Through, look_through};
use crate::wire::Tcp;

/// Segments out of order kept while nothing shows that they lead to a name.
const MAX_WAITING: u8 = 8;
/// How far behind the start of a segment a hello is looked for: junk, or a header that nobody
/// knows.
const MAX_JUNK: usize = 64;

/// Longest run of zeros that is taken for padding: what fills a frame of 60 bytes behind 40 bytes
/// of headers.
const MAX_PADDING: usize = 6;

/// Some middleboxes let the IP length of a bare acknowledgement cover the frame's padding. Such
/// zeros stand where the message goes on, and would be taken for its bytes.
pub(super) fn is_padding(tcp: &Tcp<'_>) -> bool {
    const PUSH: u8 = 8;
    (1..=MAX_PADDING).contains(&tcp.payload.len()) && tcp.flags & PUSH == 0 && tcp.payload.iter().all(|b| *b == 0)
}

/// What one segment leads to. `lane` is what is held of its direction.
pub(super) fn tcp_step(search: &mut Search, side: FromClient, lane: &mut Option<Lane>, segment: Segment<'_>) -> Step {
    if lane.as_ref().is_none_or(|l| !l.signed) || tls::starts_hello(segment.payload) {
        match fresh(search, side, lane, segment) {
            Step::Go => {}
            step => return step,
        }
    } else if let Some(l) = lane
        && !l.add(&segment)
    {
        return Step::GiveUp;
    }
    lane.take().map_or(Step::Go, |l| reassembled(search, side, (lane, l), &segment))
}

/// A segment that may start a message: all of them, until a direction has shown a sign.
fn fresh(search: &mut Search, side: FromClient, lane: &mut Option<Lane>, segment: Segment<'_>) -> Step {
    let ahead = search.next(side).map_or(0, |next| segment.seq.wrapping_sub(next).cast_signed());
    // Bytes sent again have been looked at, unless what came first in their place was junk.
    let nothing_new =
        lane.is_none() && search.next(side).is_some_and(|next| segment.end().wrapping_sub(next).cast_signed() <= 0);
    let through = look_through(segment.payload);
    through.note(search);
    let Through { mut passed, mut asked, mut look, .. } = through;
    if look == Look::No
        && let Some(at) = tls::find_hello(segment.payload.get(passed..).unwrap_or_default(), MAX_JUNK)
    {
        passed += at;
        let through = look_through(segment.payload.get(passed..).unwrap_or_default());
        search.note_no_host(through.no_host);
        look = through.look;
    }
    let step = match look {
        Look::Name(kind, name) => return Step::Found(kind, name),
        Look::Nameless => {
            return asked.take().map_or(Step::End, |name| Step::Found(NameKind::Http, name));
        }
        _ => asked.map_or(Step::Go, Step::Asked),
    };
    let rest = segment.from(passed).unwrap_or(segment);
    match (look, lane.as_mut()) {
        // Only a hello is enough of a sign to drop what a lane waits for.
        (Look::More { .. }, Some(l)) if tls::starts_hello(rest.payload) => {
            if !l.restart(rest.seq) {
                *l = Lane::at(rest.seq);
            }
            l.signed = true;
            l.add(&rest);
        }
        (_, None) if nothing_new => {}
        (Look::More { .. }, None) => {
            let base = if ahead > 0 && !tls::starts_hello(rest.payload) { search.next(side) } else { None };
            let mut l = Lane::at(base.unwrap_or(rest.seq));
            l.signed = base.is_none();
            if l.add(&rest) {
                *lane = Some(l);
            }
        }
        (_, Some(l)) => {
            l.waiting += 1;
            if !l.add(&segment) || l.waiting > MAX_WAITING {
                *lane = None;
                search.expect(side, segment.end());
            }
        }
        (_, None) => wait_or_pass(search, side, lane, (segment, ahead)),
    }
    step
}

/// A segment without a sign: kept if bytes before it are missing, else passed over.
fn wait_or_pass(search: &mut Search, side: FromClient, lane: &mut Option<Lane>, (segment, ahead): (Segment<'_>, i32)) {
    if ahead > 0
        && let Some(next) = search.next(side)
    {
        let mut l = Lane::at(next);
        l.waiting = 1;
        if l.add(&segment) {
            *lane = Some(l);
            return;
        }
    }
    search.expect(side, segment.end());
}

/// Looks at what is in order in a lane, and puts the lane back if more is to come.
fn reassembled(
    search: &mut Search,
    side: FromClient,
    (slot, mut l): (&mut Option<Lane>, Lane),
    last: &Segment<'_>,
) -> Step {
    if l.long.is_some() {
        return long_hello(slot, l, last);
    }
    let prefix = l.stream.prefix();
    if prefix.is_empty() {
        *slot = Some(l);
        return Step::Go;
    }
    let through = look_through(prefix);
    through.note(search);
    let Through { passed, asked, look, .. } = through;
    let need = match look {
        Look::Name(kind, name) => return Step::Found(kind, name),
        Look::Nameless => return asked.map_or(Step::End, |name| Step::Found(NameKind::Http, name)),
        Look::More { need } => need,
        _ => {
            search.expect(side, last.end());
            return asked.map_or(Step::Go, Step::Asked);
        }
    };
    let step = asked.map_or(Step::Go, Step::Asked);
    l.signed = true;
    if passed > 0 && !l.restart(l.base.wrapping_add(u32::try_from(passed).unwrap_or(0))) {
        return Step::GiveUp;
    }
    if let Some((kind, name)) = behind_hole(&l.stream) {
        return Step::Found(kind, name);
    }
    if need.is_some_and(|need| need > MAX_STREAM) && tls::starts_hello(l.stream.prefix()) {
        return match long_hello(slot, l, last) {
            Step::Go => step,
            end => end,
        };
    }
    if l.is_stuck() {
        match http::cut(l.stream.prefix()) {
            Look::Name(kind, name) => return Step::Found(kind, name),
            Look::Absolute(name) => {
                search.note_relay(true);
                return Step::Found(NameKind::Http, name);
            }
            Look::NotAHost => return Step::NotAHost,
            Look::Wrapper { host: Host::Name(name), .. } => {
                search.note_relay(true);
                search.expect(side, last.end());
                return Step::Asked(name);
            }
            _ => {}
        }
        let behind = last.end().wrapping_sub(l.base) as usize;
        l.waiting += 1;
        match need {
            Some(need) if behind >= need => return Step::End,
            None if l.waiting > MAX_WAITING => {
                search.expect(side, last.end());
                return step;
            }
            _ => {}
        }
    }
    *slot = Some(l);
    step
}

/// A hello that is longer than what is kept of a stream.
fn long_hello(slot: &mut Option<Lane>, mut l: Lane, last: &Segment<'_>) -> Step {
    match l.read_long(last) {
        Look::Name(kind, name) => return Step::Found(kind, name),
        Look::NotAHost => return Step::NotAHost,
        Look::More { .. } => {}
        Look::Nameless => return Step::End,
        _ => return Step::GiveUp,
    }
    if let Some((kind, name)) = l.stream.islands().find_map(|bytes| tls::name_in_stretch(bytes, NameKind::Sni)) {
        return Step::Found(kind, name);
    }
    if l.is_stuck() {
        return Step::GiveUp;
    }
    *slot = Some(l);
    Step::Go
}

/// A name in what is known behind the first hole of a message: its walk cannot go on there, but it
/// has a shape of its own.
fn behind_hole(stream: &Gather) -> Option<(NameKind, Name)> {
    let in_stretch = match stream.prefix().first()? {
        22 => |bytes: &[u8]| tls::name_in_stretch(bytes, NameKind::Sni),
        b'A'..=b'Z' => |bytes: &[u8]| http::host_in_stretch(bytes).map(|name| (NameKind::Http, name)),
        _ => return None,
    };
    stream.islands().find_map(in_stretch)
}
