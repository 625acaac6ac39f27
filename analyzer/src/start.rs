//! From the command line to a command in its sandbox. What comes before the sandbox looks at names
//! and kinds of files, and at no byte of any that a stranger may have written.

mod program;
mod self_test;

use crate::cli::{AlertArgs, Cli, Command, Surroundings};
use crate::commands;
use crate::config::{Config, Places};
use crate::error::{Error, Outcome, shown};
use crate::files::{self, Made};
use crate::output::Output;
use crate::reach::{Reach, Thing};
use crate::resolve;
use crate::sandbox::{self, Burglar, Opened, Walls};
use crate::say;
use crate::table::{Wrapped, units};
use std::io::Write;
use std::net::UdpSocket;
use std::path::Path;

/// What a command uses that is opened or made before.
struct Ready {
    reach: Reach,
    /// Folders that were not there.
    made: Made,
    output: Option<Output>,
    /// With `--resolve`. An error counts when there is something to ask.
    servers: Option<Result<Vec<UdpSocket>, Error>>,
}

/// Reads the configuration into `around`, and fills in what the command line does not say.
///
/// # Errors
/// Usage: a file that cannot be read, understood or trusted.
pub fn configure(cli: &mut Cli, around: &mut Surroundings) -> Result<(), Error> {
    if !cli.no_config {
        let places = Places { named: cli.config.clone(), ..around.config_places() };
        around.config = Config::of_places(&places)?;
        around.config.fill(cli);
        around.config.report.units = cli.units;
    }
    if let Some(Command::Alert(args)) = &cli.command {
        // The command line wins, here too.
        let rules = &mut around.config.alerts;
        rules.exec = args.exec.clone().or_else(|| rules.exec.take());
        if !args.percent.is_empty() {
            rules.percent = args.percent.clone();
        }
    }
    units::show_in(cli.units.unwrap_or_default());
    Ok(())
}

/// Runs what the command line says; results go to the file that it names, else to `stdout`.
///
/// # Errors
/// What kept it from being done.
pub fn run(cli: &Cli, around: &Surroundings, stdout: &mut dyn Write) -> Result<Outcome, Error> {
    let Some(command) = &cli.command else { return self_test::run(None, cli.no_sandbox, stdout) };
    command.check_format(around)?;
    command.check_plan()?;
    command.check_owners()?;
    let reach = Reach::of(command, around)?;
    reach.check_output_name()?;
    if cli.self_test {
        return self_test::run(Some(reach), cli.no_sandbox, stdout);
    }
    if let (Command::Alert(AlertArgs { all: false, judge: false, .. }), Some(program)) =
        (command, &around.config.alerts.exec)
    {
        return program::run(program, &around.config.files, stdout);
    }
    let mut ready = Ready::new(reach, around)?;
    match cli.no_sandbox {
        true => note("as --no-sandbox says, there is no sandbox around what is read"),
        false => ready.shut_in(Burglar::Ends).notes().iter().for_each(|text| note(text)),
    }
    // Nothing was changed so far.
    ready.reach.check_output()?;
    let reaches_terminal = ready.output.is_none();
    let out: &mut dyn Write = match &mut ready.output {
        Some(output) => output,
        None => stdout,
    };
    match around.width.filter(|_| reaches_terminal && command.is_for_people()) {
        Some(width) => commands::run(command, around, ready.servers.take(), &mut Wrapped::new(out, width)),
        None => commands::run(command, around, ready.servers.take(), out),
    }
}

fn note(text: &str) {
    say::note!("note: {text}");
}

impl Ready {
    fn new(reach: Reach, around: &Surroundings) -> Result<Self, Error> {
        let mut made = Made::default();
        if let Some(database) = &reach.database {
            prepare_folder(database, reach.makes_database.then_some(&mut made), around)?;
        }
        let dataset = reach.dataset.iter().filter(|_| reach.row.writes.contains(&Thing::Dataset));
        let makes_folder = reach.backup.is_some() || dataset.clone().next().is_some();
        if let Some(database) = reach.database.as_deref().filter(|_| makes_folder && !reach.makes_database)
            && std::fs::metadata(database).is_ok_and(|about| about.len() == 0) | !database.try_exists().unwrap_or(true)
        {
            return Err(commands::no_database(database));
        }
        for folder in reach.backup.iter().chain(dataset) {
            let path = shown(&folder.to_string_lossy());
            made.folder(folder).map_err(|e| {
                Error::failed(format!("cannot make the folder {path}")).because(&e).hint_for(folder, &e)
            })?;
        }
        let output = reach.output.as_deref().map(Output::open).transpose()?;
        let servers = reach.resolver.map(resolve::connect);
        Ok(Self { reach, made, output, servers })
    }

    fn shut_in(&self, burglar: Burglar) -> Walls {
        let sockets = match &self.servers {
            Some(Ok(sockets)) => sockets.as_slice(),
            _ => &[],
        };
        let name_in = self.output.as_ref().and_then(Output::needs_name_in);
        sandbox::enter(&self.reach, Opened { name_in, made: Some(&self.made), sockets }, burglar)
    }
}

/// Makes the folder of a database that is to be made. The folder that imon makes where none is
/// named is nobody else's business: one that everybody may enter was made by an older version.
fn prepare_folder(database: &Path, makes: Option<&mut Made>, around: &Surroundings) -> Result<(), Error> {
    let Some(folder) = database.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    if let Some(made) = makes {
        made.folder(folder).map_err(|source| {
            let error = crate::store::StoreError::Folder { folder: folder.into(), source };
            commands::store_error(database, &error)
        })?;
    }
    if around.state_folder().as_deref() == Some(folder)
        && let Ok(Some(was)) = files::tighten_open(folder)
    {
        note(&format!("the mode of {} was {was:o}: it is now its user's alone", shown(&folder.to_string_lossy())));
    }
    Ok(())
}
