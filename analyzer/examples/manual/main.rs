//! Writes the manual pages and the completions of bash, fish and zsh, of both programs: `manual
//! DIR`, which must exist. `make man` runs it.
#![allow(clippy::print_stderr)]

mod sections;

use clap::{Arg, ArgAction, Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;
use sections::Page;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(dir) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: manual DIR");
        return ExitCode::from(2);
    };
    let programs = [imon_record::command(), imon_analyze::cli::Cli::command()];
    match programs.into_iter().try_for_each(|command| write(command, &dir)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: cannot write the manual: {e}");
            ExitCode::FAILURE
        }
    }
}

fn write(mut command: Command, dir: &Path) -> std::io::Result<()> {
    let name = command.get_name().to_owned();
    for shell in [Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut command, &name, dir)?;
    }
    let mut bash = Vec::new();
    clap_complete::generate(Shell::Bash, &mut command, &name, &mut bash);
    std::fs::write(dir.join(format!("{name}.bash")), with_matching_labels(&String::from_utf8_lossy(&bash), &name))?;
    command.build();
    pages(&command, &name, dir)
}

/// clap_complete 4.6 sets `imon__analyze__subcmd__report` and looks for
/// `imon__subcmd__analyze__subcmd__report` where a program's own name has a hyphen: nothing would
/// be completed behind a subcommand.
fn with_matching_labels(bash: &str, name: &str) -> String {
    bash.replace(&name.replace('-', "__subcmd__"), &name.replace('-', "__"))
}

/// The page of a command, and those of its subcommands but `help`, which prints what stands in the
/// others. `name`: with those of the commands above it.
fn pages(command: &Command, name: &str, dir: &Path) -> std::io::Result<()> {
    let page = name.replace(' ', "-");
    // What `make deb` packs must not change from day to day: no date.
    let man = Man::new(command.clone().display_name(page.clone()))
        .title(page.to_uppercase())
        .date("")
        .source(format!("imon {}", env!("CARGO_PKG_VERSION")))
        .manual("User Commands");
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    out.extend(synopsis(command, name).bytes());
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    let subcommands: Vec<&Command> =
        command.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help").collect();
    let names: Vec<String> = subcommands.iter().map(|c| format!("{page}-{}", c.get_name())).collect();
    if !names.is_empty() {
        out.extend(b".SH COMMANDS\n");
        for (sub, sub_page) in subcommands.iter().zip(&names) {
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            writeln!(out, ".TP\n\\fB{}\\fR(1)\n{}", text(sub_page), text(&about))?;
        }
    }
    out.extend(sections::of(&page).map(|page| rest(&page, &names)).unwrap_or_default().bytes());
    std::fs::write(dir.join(format!("{page}.1")), ascii(&String::from_utf8_lossy(&out)))?;
    subcommands.into_iter().try_for_each(|sub| pages(sub, &format!("{name} {}", sub.get_name()), dir))
}

/// Every argument as it is typed, with the name of its value.
fn synopsis(command: &Command, name: &str) -> String {
    let mut words = vec![format!("\\fB{}\\fR", text(name))];
    if command.has_subcommands() {
        words.extend(["\\fICOMMAND\\fR".to_owned(), "[\\fIARGUMENT\\fR]...".to_owned()]);
    }
    let (named, placed): (Vec<&Arg>, Vec<&Arg>) =
        command.get_arguments().filter(|arg| !arg.is_hide_set() && !is_help(arg)).partition(|arg| !arg.is_positional());
    words.extend(named.into_iter().chain(placed).map(argument));
    let page = text(name);
    let version = if command.get_version().is_some() { "|\\fB\\-\\-version\\fR" } else { "" };
    format!(".SH SYNOPSIS\n{}\n.br\n\\fB{page}\\fR \\fB\\-\\-help\\fR{version}\n", words.join(" "))
}

fn is_help(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version)
}

fn argument(arg: &Arg) -> String {
    let value = arg.get_value_names().unwrap_or_default().iter().map(|name| format!("\\fI{}\\fR", text(name)));
    let value = value.collect::<Vec<_>>().join(" ");
    let names = [arg.get_short().map(|c| format!("-{c}")), arg.get_long().map(|long| format!("--{long}"))];
    let names: Vec<String> = names.into_iter().flatten().map(|name| format!("\\fB{}\\fR", text(&name))).collect();
    let takes_value = arg.get_action().takes_values();
    let one = match (names.is_empty(), takes_value) {
        (true, _) => value,
        (false, true) => format!("{} {value}", names.join("|")),
        (false, false) => names.join("|"),
    };
    let many = if matches!(arg.get_action(), ArgAction::Append) { "..." } else { "" };
    if arg.is_required_set() { format!("{one}{many}") } else { format!("[{one}]{many}") }
}

/// The sections behind what clap knows.
fn rest(page: &Page, subpages: &[String]) -> String {
    let mut out = String::new();
    let mut list = |title: &str, entries: &[(&str, &str)]| {
        if !entries.is_empty() {
            out += &format!(".SH {title}\n");
            entries.iter().for_each(|(tag, about)| out += &format!(".TP\n\\fB{}\\fR\n{}\n", text(tag), text(about)));
        }
    };
    list("FILES", page.files);
    list("SIGNALS", page.signals);
    list("ENVIRONMENT", page.environment);
    list("EXIT STATUS", page.exit_status);
    out += ".SH EXAMPLES\n";
    for (line, about) in page.examples {
        out += &format!("{}\n.PP\n.RS\n.nf\n{}\n.fi\n.RE\n.PP\n", text(about), text(line));
    }
    let others = page.see_also.iter().map(|name| (*name).to_owned()).chain(subpages.iter().cloned());
    let others: Vec<String> = others.map(|name| format!("\\fB{}\\fR(1)", text(&name))).collect();
    out + &format!(".SH SEE ALSO\n{}\n", others.join(", "))
}

/// Other letters by the names that roff has for them: what reads the page need not know its
/// encoding.
fn ascii(page: &str) -> String {
    let letter = |c: char| if c.is_ascii() { c.to_string() } else { format!("\\[u{:04X}]", u32::from(c)) };
    page.chars().map(letter).collect()
}

/// Text in roff: hyphens that can be copied, no line that roff takes for a request.
fn text(plain: &str) -> String {
    let escaped = plain.replace('\\', "\\e").replace('-', "\\-");
    let guard = if escaped.starts_with(['.', '\'']) { "\\&" } else { "" };
    format!("{guard}{escaped}")
}
