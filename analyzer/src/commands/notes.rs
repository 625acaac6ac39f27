//! What commands tell beside their results, on standard error.

use crate::attribution::Skew;
use crate::books::Overlap;
use crate::error::{Error, shown};
use crate::exported::Spotted;
use crate::ingest::{Copied, PublicServer};
use crate::report::overlap_text;
use crate::say::note;
use crate::store::{KnownSource, Upgrade, Wait};
use crate::table::units::{bytes, counted};
use std::path::{Path, PathBuf};

/// Files that are private from now on that are named one by one.
const MOST_TIGHTENED: usize = 5;

/// Tells something on standard error.
pub fn complain(error: &Error) {
    crate::say::tell(&error.to_string());
}

/// Tells that a capture holds the packets of another one.
pub(super) fn note_copy(Copied { path, of, is_beginning }: &Copied) {
    let [path, of] = [path, of].map(|path| shown(&path.to_string_lossy()));
    let what = if *is_beginning { "holds the first packets of" } else { "holds the same packets as" };
    note!("note: {path} {what} {of}: they count once");
}

/// Tells what is in two sources and counts in one of them.
pub(super) fn note_overlap(overlap: &Overlap) {
    note!("note: {}", overlap_text(overlap));
}

/// Tells that the clocks of two recorders are apart, so that what both saw counts twice.
pub(super) fn note_skew(Skew { ahead, behind, by_ns, flows }: &Skew) {
    let [ahead, behind] = [ahead, behind].map(|name| shown(name));
    let tenths = by_ns / 100_000_000;
    let (seconds, tenth) = (tenths / 10, tenths % 10);
    note!(
        "note: the clock of {ahead} is {seconds}.{tenth} s ahead of that of {behind}, by {flows} connections in both"
    );
    note!(
        "  hint: what both saw counts twice, as their seconds do not fit: report on one of them, or correct its times"
    );
}

/// Tells that what a server serves stands as if it were visited.
pub(super) fn note_public_server(PublicServer { address, percent }: &PublicServer) {
    note!("note: {percent} % of the bytes are of {address}, which others open connections to; neither end is local");
    note!("  hint: if this was captured on {address}, `--local {address}` tells what it served");
}

/// Tells that sources stay as they are booked, though something came that might change them.
pub(super) fn note_gone(gone: &[KnownSource]) {
    let Some(first) = gone.first() else { return };
    let path = shown(&first.read_from);
    match gone.len() {
        1 => note!("note: {path} stays as it is booked: its segment is gone"),
        n => note!("note: {n} sources stay as they are booked: their segments are gone, as that of {path}"),
    }
    note!("  hint: what was ingested now might name some of their bytes anew; all bytes count");
}

/// Tells that two recorders cannot be told apart.
pub(super) fn note_twins(one: &Path, other: &Path) {
    let [one, other] = [one, other].map(|path| shown(&path.to_string_lossy()));
    note!("note: {one} and {other} have one place among the segments of one recorder");
    note!(
        "  hint: on a machine that is a copy of another, remove recorder.id from the spool and start imon-record anew"
    );
}

/// Tells that files of ours are private from now on.
pub(super) fn note_tightened(tightened: &[(PathBuf, u32)]) {
    for (path, was) in tightened.iter().take(MOST_TIGHTENED) {
        let path = shown(&path.to_string_lossy());
        note!("note: the mode of {path} was {was:o}: what imon keeps is now its user's, or its group's, alone");
    }
    if let more @ 1.. = tightened.len().saturating_sub(MOST_TIGHTENED) {
        note!("note: the same for {}", counted(more as u64, "more file"));
    }
}

/// Tells that the schema of a database was changed, and where what it was is kept.
pub(super) fn note_upgraded(upgrade: &Upgrade) {
    let Upgrade { from, kept, needed } = upgrade;
    match kept {
        Some(kept) => {
            note!("note: the database had schema {from}, and has that of this version now; older ones refuse it");
            note!("  what it was is {}; `prune --drop-old` removes it", shown(&kept.to_string_lossy()));
        }
        None => note!(
            "note: the database had schema {from}, and has that of this version now; no copy of what it was is kept, \
             as there was less room than {}",
            bytes(*needed)
        ),
    }
}

/// Tells what is waited for.
pub(super) fn note_wait(wait: &Wait) {
    let at_most = wait.at_most.as_secs();
    match (&wait.lock, wait.holder) {
        (Some(path), Some(holder)) => {
            let path = shown(&path.to_string_lossy());
            note!("note: waiting for {holder}, which holds {path}, at most {at_most} s");
        }
        (Some(path), None) => {
            let path = shown(&path.to_string_lossy());
            note!("note: waiting for another program, which holds {path}, at most {at_most} s");
        }
        (None, _) => note!("note: waiting for another program that writes into the database, at most {at_most} s"),
    }
}

/// Tells that a capture holds messages of an exporter and was read for its packets, or the other
/// way round.
pub(super) fn note_spotted(path: &Path, spotted: Spotted) {
    let path = shown(&path.to_string_lossy());
    match spotted {
        Spotted::Export(to) => {
            note!(
                "note: {path} holds NetFlow or IPFIX datagrams, to {to}: --exported counts the flows that they report"
            );
        }
        Spotted::Nothing => {
            note!(
                "note: {path} holds no NetFlow or IPFIX datagram that --exported could count: without it packets count"
            );
        }
    }
}

/// Tells that files of a folder are not read.
pub(super) fn note_left_out(path: &Path, left_out: u64) {
    let path = shown(&path.to_string_lossy());
    note!("note: left out of {path}, as neither segment nor capture: {}", counted(left_out, "file"));
}
