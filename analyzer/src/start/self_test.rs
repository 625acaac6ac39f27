//! `--self-test`: what each command reaches, the sandbox as it is on this machine, and what it
//! refused.

use super::{Ready, note};
use crate::commands::deliver;
use crate::error::{Error, Outcome, shown};
use crate::files::Made;
use crate::reach::{Reach, Row, TABLE, Thing};
use crate::sandbox::{Burglar, Tried, Wall, Walls, fatal_calls, permitted_calls, tries};
use std::fmt::Write as _;
use std::io::Write;

/// Tries the sandbox of a command, or of one that reaches nothing.
///
/// # Errors
/// Something was not refused.
pub(super) fn run(reach: Option<Reach>, no_sandbox: bool, out: &mut dyn Write) -> Result<Outcome, Error> {
    let rows = reach.as_ref().map_or_else(|| TABLE.to_vec(), |reach| vec![reach.row]);
    let paths = reach.as_ref().map(paths_of).unwrap_or_default();
    let ready =
        Ready { reach: reach.unwrap_or_else(Reach::nothing), made: Made::default(), output: None, servers: None };
    let walls = match no_sandbox {
        true => {
            note("as --no-sandbox says, there is no sandbox");
            let none = || Wall::Missing("--no-sandbox".into());
            Walls { files: none(), calls: none() }
        }
        false => ready.shut_in(Burglar::IsRefused),
    };
    let tried = tries();
    deliver(None, out, |out| out.write_all(text(&rows, &paths, &walls, &tried).as_bytes()))?;
    let open: Vec<&str> = tried.iter().filter(|tried| tried.is_hole()).map(|tried| tried.what).collect();
    match open.is_empty() {
        true => Ok(Outcome::Complete),
        false => Err(Error::failed("the sandbox has holes").cause(format!("not refused: {}", open.join(", ")))),
    }
}

/// The paths behind the words of a row.
fn paths_of(reach: &Reach) -> Vec<(Thing, String)> {
    let shown = |path: &std::path::PathBuf| shown(&path.to_string_lossy());
    let mut paths: Vec<(Thing, String)> = Vec::new();
    paths.extend(reach.inputs.iter().map(|path| (Thing::Inputs, shown(path))));
    paths.extend(reach.spools.iter().map(|path| (Thing::Spools, shown(path))));
    paths.extend(reach.database.iter().map(|path| (Thing::Database, shown(path))));
    paths.extend(reach.families.iter().map(|path| (Thing::Families, shown(path))));
    paths.extend(reach.owners.iter().map(|path| (Thing::Owners, shown(path))));
    paths.extend(reach.output.iter().map(|path| (Thing::Output, shown(path))));
    paths
}

fn text(rows: &[Row], paths: &[(Thing, String)], walls: &Walls, tried: &[Tried]) -> String {
    let mut text = String::from("what each command reaches\n");
    for row in rows {
        let words = |things: &[Thing]| match things {
            [] => "nothing".to_owned(),
            things => things.iter().map(|thing| thing.word()).collect::<Vec<_>>().join(", "),
        };
        // A String takes everything, here and below.
        _ = writeln!(text, "  {:8} reads     {}", row.command, words(row.reads));
        _ = writeln!(text, "  {:8} writes    {}", "", words(row.writes));
        _ = writeln!(text, "  {:8} sends to  {}", "", words(row.connects));
        _ = writeln!(text, "  {:8} runs      {}", "", words(row.executes));
    }
    for (thing, path) in paths {
        _ = writeln!(text, "  {}: {path}", thing.word());
    }
    text.push_str("\nthe sandbox\n");
    for (what, wall) in [("files (Landlock)", &walls.files), ("system calls (seccomp)", &walls.calls)] {
        let (mark, how) = match wall {
            Wall::Up(how) => ("ok", how),
            Wall::Lower(why) => ("note", why),
            Wall::Missing(why) => ("HOLE", why),
        };
        line(&mut text, mark, what, how);
    }
    text.push_str("\nmust be refused\n");
    for tried in tried {
        let mark = if tried.is_hole() { "HOLE" } else { "ok" };
        let answer = tried.answer.as_ref().map_or_else(|| "it worked".to_owned(), |e| e.to_string());
        line(&mut text, mark, tried.what, &answer);
    }
    if matches!(walls.calls, Wall::Up(_)) {
        let names: Vec<&str> = permitted_calls().into_iter().map(|permitted| permitted.name).collect();
        _ = writeln!(text, "\nsystem calls permitted: {}", names.join(" "));
        _ = writeln!(text, "system calls that end a command: {}", fatal_calls().join(" "));
    }
    text
}

fn line(text: &mut String, mark: &str, what: &str, how: &str) {
    _ = writeln!(text, "  {mark:4}  {what:42}  {how}");
}
