//! `alert` with a program to run. What reads the books can run nothing, and what runs the program
//! reads nothing: the first is a process in the sandbox, the second is this one, its parent.
//! Between them go values of bounded length in a fixed order, which nobody has to understand, and a
//! byte back.

use crate::alert::{Message, VARIABLES};
use crate::config::Trust;
use crate::error::{Error, Outcome, shown};
use crate::files;
use crate::say::note;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{AccessFlags, Pid, access};
use std::io::{self, Write};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a program may take: a mail server that does not answer keeps no timer waiting.
const LIMIT: Duration = Duration::from_secs(30);

/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(20);

/// What stands in the environment of the program beside the values.
const ENVIRONMENT: [(&str, &str); 2] = [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("LC_ALL", "C.UTF-8")];

/// Runs this command again in a process that hands over alerts, and `program` for each of them.
/// `configs`: the files that said so.
///
/// # Errors
/// Somebody else could have written the program or a configuration; it is no program; the other
/// process cannot be made.
pub(super) fn run(program: &Path, configs: &[std::path::PathBuf], out: &mut dyn Write) -> Result<Outcome, Error> {
    check(program, configs)?;
    let failed = |e: &io::Error| Error::failed("cannot begin the process that reads the books").because(e);
    let own = std::env::current_exe().map_err(|e| failed(&e))?;
    let mut reader = Command::new(own);
    reader.args(std::env::args_os().skip(1)).arg("--judge").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut reader = reader.spawn().map_err(|e| failed(&e))?;
    let result = serve(&mut reader, program, out);
    // It ends when nobody answers.
    drop((reader.stdin.take(), reader.stdout.take()));
    let ended = reader.wait().map_err(|e| failed(&e))?;
    result?;
    Ok(Outcome::Said(ended.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

fn check(program: &Path, configs: &[std::path::PathBuf]) -> Result<(), Error> {
    let text = |path: &Path| shown(&path.to_string_lossy());
    if !program.is_absolute() {
        return Err(Error::usage(format!("--exec {} is no path from the root", text(program)))
            .hint("as in --exec /usr/local/bin/tell-me; options of the program go into a script"));
    }
    let refused = || Error::usage(format!("cannot run {}", text(program)));
    let about = std::fs::metadata(program).map_err(|e| refused().because(&e).hint_for(program, &e))?;
    if !about.is_file() {
        return Err(refused().cause("it is no file"));
    }
    for path in configs.iter().map(std::path::PathBuf::as_path).chain([program]) {
        files::check_trust(path, Trust::Alone).map_err(|e| {
            refused()
                .cause(format!("{} has to be this user's or root's alone", text(path)))
                .because(&e)
                .hint(format!("`ls -ld {}` and its folders show who may write there", text(path)))
        })?;
    }
    access(program, AccessFlags::X_OK).map_err(|e| {
        refused().because(&io::Error::from(e)).hint(format!("`chmod +x {}` makes it a program", text(program)))
    })
}

/// Runs the program for each alert until there is none any more.
fn serve(reader: &mut Child, program: &Path, out: &mut dyn Write) -> Result<(), Error> {
    let failed = |e: io::Error| Error::failed("cannot take over an alert").because(&e);
    let (Some(answers), Some(alerts)) = (reader.stdin.as_mut(), reader.stdout.as_mut()) else {
        return Err(Error::failed("the process that reads the books has no pipes"));
    };
    while let Some(message) = Message::read(alerts).map_err(failed)? {
        let [line, ..] = &message.0;
        writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|e| Error::writing("to standard output", &e))?;
        let answer = if tell((program, LIMIT), &message) { b"0" } else { b"1" };
        answers.write_all(answer).and_then(|()| answers.flush()).map_err(failed)?;
    }
    Ok(())
}

/// Runs the program, which has so long; whether it took the alert.
fn tell((program, limit): (&Path, Duration), Message(values): &Message) -> bool {
    let mut command = Command::new(program);
    command.env_clear().envs(ENVIRONMENT).envs(VARIABLES.iter().zip(values)).current_dir("/");
    // What it prints is no result of ours. Its own group, so that all of it can be ended.
    command.stdin(Stdio::null()).stdout(io::stderr()).process_group(0);
    let ended = command.spawn().and_then(|mut child| wait(&mut child, limit));
    match ended {
        Ok(Some(status)) if status.success() => true,
        Ok(Some(status)) => {
            note!("note: {} ended with {status}", shown(&program.to_string_lossy()));
            false
        }
        Ok(None) => {
            note!(
                "note: {} did not end within {} s, and was ended",
                shown(&program.to_string_lossy()),
                limit.as_secs()
            );
            false
        }
        Err(e) => {
            note!("note: {} could not be run: {e}", shown(&program.to_string_lossy()));
            false
        }
    }
}

/// How it ended; `None`: not in time.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if end <= Instant::now() {
            // Its group has its number.
            _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn script(home: &Path, text: &str) -> std::path::PathBuf {
        let path = home.join("tell");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn message(subject: &str) -> Message {
        Message(["line", "percent", subject, "", "", "1", ""].map(str::to_owned))
    }

    #[test]
    fn a_program_that_takes_too_long_is_ended_with_all_that_it_began() {
        let home = tempfile::tempdir().unwrap();
        let program = script(home.path(), "cd \"$(dirname \"$0\")\"; sleep 600 & echo $! >child; wait; touch after");
        let limit = Duration::from_millis(1_500);
        let began = Instant::now();
        assert!(!tell((&program, limit), &message("home")), "it did not take the alert");
        assert!((limit..Duration::from_secs(30)).contains(&began.elapsed()), "{:?}", began.elapsed());
        let child = std::fs::read_to_string(home.path().join("child")).unwrap();
        // It is gone, or waits for whoever collects what has ended.
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
        let is_over = || !state().contains(") S ") && !state().contains(") R ");
        while !is_over() && began.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(LOOK);
        }
        assert!(is_over() && !home.path().join("after").exists(), "{}", state());
        assert!(tell((&script(home.path(), "exit 0"), limit), &message("home")), "another one has its own time");
    }
}
