//! `--self-test`: a table of the confinement as it is on this machine, of what was refused, and of
//! what still works.

use crate::cage::{Cage, Holes, Report, State, Tried, Use, is_hole, permitted_calls};
use crate::capture::Source;
use crate::clock::Now;
use crate::counters::KernelStats;
use crate::error::Error;
use crate::netlink::Netlink;
use crate::ports::{Hold, Ports};
use crate::spool::{PART, Spool};
use crate::stdout::show;
use crate::thread::ended;
use nix::errno::Errno;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;

/// Name of the segment that is made and removed again.
const STEM: &str = "imon-self-test";

/// Shows the table. To be called in the cage.
///
/// # Errors
/// The confinement has holes, or something that a recording needs does not work.
pub fn run(cage: &Cage, ports: &mut Ports<impl Source>, mut netlink: Netlink, spool: &Spool) -> Result<(), Error> {
    // As for a recording: what works must work behind the last door, too.
    let accepted = cage.accept(Holes::Allowed);
    let report = &cage.report;
    let works = [
        ("read packets", ports.drain(1, Hold::No, |_, _| false).map(|_| "of the capture".into())),
        ("read the kernel's counters", ports.stats().map(|all| counters_text(&all))),
        (
            "read the interface's counters",
            Ok(if ports.have_counters() { "packets and bytes" } else { "there are none" }.into()),
        ),
        ("hear of interfaces", netlink.ask_again().map(|()| format!("{} there", netlink.interfaces().len()))),
        ("read the clocks", Now::read().map(|_| "three of them".into())),
        ("make a segment", make_segment(cage, spool)),
    ];
    let shown = show(&table(report, &works));
    accepted?;
    let holes = report.holes();
    if !holes.is_empty() {
        return Err(Error::Uncaged { holes });
    }
    works.into_iter().try_for_each(|(_, result)| result.map(drop)).and(shown)
}

fn counters_text(captures: &[KernelStats]) -> String {
    let texts = captures.iter().map(|s| format!("{} received, {} dropped", s.received, s.dropped));
    texts.collect::<Vec<_>>().join("; ")
}

/// What a rotation does: create, write, sync, rename, list, remove. All but the writing in the
/// thread of the disk.
fn make_segment(cage: &Cage, spool: &Spool) -> Result<String, Error> {
    let Some(disk) = &cage.disk else { return Err(ended()) };
    let folder = Arc::clone(spool.folder());
    let file = Arc::new(disk.run(move || folder.create(STEM))??);
    let written = (&*file).write_all(b"self-test").map_err(|e| spool.failed("cannot write", STEM, e));
    let folder = Arc::clone(spool.folder());
    disk.run(move || {
        let sealed = written.and_then(|()| folder.sync(&file, STEM)).and_then(|()| folder.seal(&file, STEM, STEM));
        let (name, _) = sealed.inspect_err(|_| _ = folder.remove(&format!("{STEM}{PART}")))?;
        let listed = folder.names().map(|names| names.contains(&name));
        folder.remove(&name)?;
        match listed? {
            true => Ok("create, write, sync, rename, list, remove".into()),
            false => Err(folder.failed("cannot find", &name, std::io::ErrorKind::NotFound.into())),
        }
    })?
}

type Works<'a> = (&'a str, Result<String, Error>);

fn table(report: &Report, works: &[Works<'_>]) -> String {
    let mut text = String::from("the cage\n");
    for wall in &report.walls {
        let (mark, state) = match &wall.state {
            State::Up(how) => ("ok", how),
            State::Lower(why) => ("note", why),
            State::Missing(why) => ("HOLE", why),
        };
        line(&mut text, mark, wall.what, state);
    }
    text.push_str("\nstays open\n");
    for kept in &report.kept {
        let usage = match kept.usage {
            Use::Held => "held",
            Use::Read => "read",
            Use::Write => "written to",
            Use::Both => "read and written to",
            Use::ReadOnce => "read once",
        };
        line(&mut text, "ok", &format!("{}: {}", kept.number, kept.what), usage);
    }
    text.push_str("\nmust be refused, in each thread\n");
    for tried in &report.tried {
        line(&mut text, if tried.is_hole() { "HOLE" } else { "ok" }, tried.what, &answers(tried));
    }
    text.push_str("\nmust work\n");
    for (what, result) in works {
        let (mark, how) = match result {
            Ok(how) => ("ok", how.clone()),
            Err(e) => ("FAIL", e.to_string().replace('\n', ";")),
        };
        line(&mut text, mark, what, &how);
    }
    if report.calls_are_shut() {
        _ = writeln!(text, "\nsystem calls permitted: {}", permitted_calls().join(" ")); // a String takes everything
    }
    text
}

fn line(text: &mut String, mark: &str, what: &str, how: &str) {
    _ = writeln!(text, "  {mark:4}  {what:32}  {how}"); // a String takes everything
}

/// What each thread was told, or what all were.
fn answers(tried: &Tried) -> String {
    let mut texts: Vec<String> = tried.answers.iter().map(|answer_to| answer(*answer_to)).collect();
    texts.dedup();
    texts.join("; the thread of the disk: ")
}

fn answer(answer: Option<Errno>) -> String {
    match answer {
        None => "it worked".into(),
        Some(e @ Errno::EPERM) => format!("refused by seccomp ({e:?})"),
        Some(e @ Errno::EACCES) => format!("refused by Landlock or the file's mode ({e:?})"),
        Some(e) if !is_hole(answer) => format!("not possible here ({e:?})"),
        Some(e) => format!("not refused, failed otherwise ({e:?})"),
    }
}
