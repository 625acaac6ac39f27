//! What each command reads, writes, connects to and executes: one table, as plain data. A command
//! gets what its row says and nothing else: the paths behind the words come from its arguments, and
//! from the configuration, which is read before, never from what another file or a database holds.

use crate::archive::{self, Folder};
use crate::cli::{Command, Groups, ObservationArgs, StoreArgs, Surroundings};
use crate::error::{Error, shown};
use crate::files;
use crate::ingest::{captures_of, find_to_book, inputs, is_segment_name};
use crate::store::{BESIDE, beside, old_copies};
use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What a command can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// Files and folders that are named; with a database also the segments beside those that are
    /// named, as what was booked before is booked again.
    Inputs,
    /// Folders of segments, where no file is named.
    Spools,
    /// The database, SQLite's files and the lock beside it, kept captures, closed months: the
    /// folder that they are in.
    Database,
    /// The folder of a copy: `status --backup`.
    Backup,
    /// The folder of a dataset: `export`, and `--dataset`.
    Dataset,
    /// `--families`.
    Families,
    /// `--mask-key`; where it is not there yet, the folder that it is made in.
    Key,
    /// `--owners`.
    Owners,
    /// `-o`, or standard output.
    Output,
    /// DNS servers, with `--resolve`.
    Resolvers,
    /// The program of `--exec`: run by the parent of what reads, which reads nothing itself.
    Program,
    /// The terminal: its mode, beside what is written to it.
    Terminal,
}

impl Thing {
    /// In words.
    pub fn word(self) -> &'static str {
        match self {
            Self::Inputs => "files named",
            Self::Spools => "spools",
            Self::Database => "folder of the database",
            Self::Backup => "--backup",
            Self::Dataset => "folder of the dataset",
            Self::Families => "--families",
            Self::Key => "--mask-key",
            Self::Owners => "--owners",
            Self::Output => "-o",
            Self::Resolvers => "DNS servers (--resolve)",
            Self::Program => "--exec, by another process",
            Self::Terminal => "mode of the terminal",
        }
    }
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The command.
    pub command: &'static str,
    /// What it reads.
    pub reads: &'static [Thing],
    /// What it writes.
    pub writes: &'static [Thing],
    /// What it sends to: sockets that are connected before anything is read.
    pub connects: &'static [Thing],
    /// What it runs.
    pub executes: &'static [Thing],
}

use Thing::{Backup, Database, Dataset, Families, Inputs, Key, Output, Owners, Program, Resolvers, Spools, Terminal};

const fn row(command: &'static str, reads: &'static [Thing], writes: &'static [Thing]) -> Row {
    Row { command, reads, writes, connects: &[], executes: &[] }
}

/// All commands. No process that reads runs a program: what `alert` has to run its parent does.
pub const TABLE: &[Row] = &[
    row("ingest", &[Inputs, Spools, Database], &[Database]),
    row("close", &[Database], &[Database]),
    row("import", &[Inputs, Database], &[Database]),
    Row {
        connects: &[Resolvers],
        ..row("report", &[Inputs, Spools, Database, Dataset, Families, Owners], &[Database, Output])
    },
    row("site", &[Inputs, Spools, Database, Dataset, Families, Owners], &[Database, Output]),
    row("export", &[Spools, Database, Dataset, Key], &[Database, Dataset, Key]),
    row("flows", &[Inputs, Families, Owners], &[Output]),
    row("names", &[Inputs, Families, Owners], &[Output]),
    row("explain", &[Inputs, Spools, Database, Families, Owners], &[Database, Output]),
    row("verify", &[Inputs, Families], &[Output]),
    row("check", &[Inputs, Database], &[Database, Output]),
    row("status", &[Database], &[Database, Backup, Output]),
    row("rebuild", &[Spools, Database, Families], &[Database, Output]),
    row("prune", &[Database], &[Database]),
    row("plan", &[Spools, Database, Families], &[Database, Output]),
    Row { executes: &[Program], ..row("alert", &[Spools, Database, Families], &[Database]) },
    row("config", &[], &[Output]),
    row("top", &[Inputs, Spools, Database, Families, Owners], &[Output, Terminal]),
];

/// What a command line names.
#[derive(Debug, Clone, Copy, Default)]
struct Named<'a> {
    command: &'static str,
    inputs: &'a [PathBuf],
    /// Further files that are read beside these, or beside the database.
    beside: &'a [PathBuf],
    /// Sources that name exported flows.
    names_from: &'a [PathBuf],
    families: Option<&'a Path>,
    owners: &'a [PathBuf],
    output: Option<&'a Path>,
    store: Option<&'a StoreArgs>,
    /// A database that is named as an input.
    database: Option<&'a Path>,
    backup: Option<&'a Path>,
    dataset: Option<&'a Path>,
    key: Option<&'a Path>,
    /// It makes the database if it is not there.
    makes: bool,
    /// With inputs it does without the database.
    inputs_suffice: bool,
    resolver: Option<Option<std::net::SocketAddr>>,
}

impl<'a> Named<'a> {
    fn of(command: &'a Command) -> Self {
        let Groups { sites, owners, output, store, capture, .. } = command.groups();
        let all = Self {
            families: sites.and_then(|sites| sites.families.as_deref()),
            owners: owners.map(|owners| owners.owners.as_slice()).unwrap_or_default(),
            output: output.and_then(|output| output.output.as_deref()),
            store,
            names_from: capture.map(|capture| capture.names_from.as_slice()).unwrap_or_default(),
            ..Self::default()
        };
        let observations = |command, args: &'a ObservationArgs| Self {
            command,
            inputs: &args.files,
            output: args.output.as_deref(),
            ..all
        };
        match command {
            Command::Ingest(args) => Self { command: "ingest", inputs: &args.paths, ..all },
            Command::Import(args) => Self { command: "import", inputs: &args.files, ..all },
            Command::Close(_) => Self { command: "close", ..all },
            Command::Report(args) => Self {
                command: "report",
                inputs: &args.files,
                beside: &args.compare_with,
                dataset: args.dataset.as_deref(),
                inputs_suffice: true,
                resolver: args.resolve.resolve.then_some(args.resolve.resolver),
                ..all
            },
            Command::Site(args) => Self {
                command: "site",
                inputs: &args.files,
                dataset: args.dataset.as_deref(),
                inputs_suffice: true,
                ..all
            },
            Command::Export(args) => {
                Self { command: "export", dataset: Some(&args.folder), key: args.mask_key.as_deref(), ..all }
            }
            Command::Flows(args) => observations("flows", &args.observations),
            Command::Names(args) => observations("names", &args.observations),
            Command::Explain(args) => Self { command: "explain", inputs: &args.files, inputs_suffice: true, ..all },
            Command::Verify(args) => Self { command: "verify", inputs: &args.files, ..all },
            Command::Check(args) => Self {
                command: "check",
                inputs: &args.segments,
                database: args.segments.iter().map(PathBuf::as_path).find(|path| is_database(path)),
                ..all
            },
            Command::Status(args) => Self { command: "status", backup: args.backup.as_deref(), ..all },
            Command::Rebuild(args) => Self { command: "rebuild", makes: args.from_books, ..all },
            Command::Prune(_) => Self { command: "prune", ..all },
            Command::Plan(_) => Self { command: "plan", ..all },
            Command::Alert(_) => Self { command: "alert", ..all },
            Command::Config(_) => Self { command: "config", ..all },
            Command::Top(args) => Self { command: "top", inputs: &args.spools, ..all },
        }
    }
}

/// The row of a command with the paths of its arguments.
#[derive(Debug, Clone)]
pub struct Reach {
    /// The row.
    pub row: Row,
    /// Files and folders that are named.
    pub inputs: Vec<PathBuf>,
    /// Folders of segments.
    pub spools: Vec<PathBuf>,
    /// The database.
    pub database: Option<PathBuf>,
    /// It is made where it does not exist.
    pub makes_database: bool,
    /// The folder of a copy, which is made.
    pub backup: Option<PathBuf>,
    /// The folder of a dataset; it is made where the command writes it.
    pub dataset: Option<PathBuf>,
    /// The key of pseudonyms; it is made where it does not exist.
    pub key: Option<PathBuf>,
    /// The list of families.
    pub families: Option<PathBuf>,
    /// Files that say whose addresses are.
    pub owners: Vec<PathBuf>,
    /// The configuration, which was read before the sandbox: no path of the table.
    pub configuration: Vec<PathBuf>,
    /// The file of the result; `None`: standard output.
    pub output: Option<PathBuf>,
    /// With `--resolve`: the server that is named, if one is.
    pub resolver: Option<Option<std::net::SocketAddr>>,
}

impl Reach {
    /// That of a command that reaches nothing.
    pub fn nothing() -> Self {
        Self {
            row: row("nothing", &[], &[]),
            inputs: Vec::new(),
            spools: Vec::new(),
            database: None,
            makes_database: false,
            backup: None,
            dataset: None,
            key: None,
            families: None,
            owners: Vec::new(),
            configuration: Vec::new(),
            output: None,
            resolver: None,
        }
    }

    /// What this command reaches.
    ///
    /// # Errors
    /// Usage: there is no place for the database.
    pub fn of(command: &Command, around: &Surroundings) -> Result<Self, Error> {
        let named = Named::of(command);
        let row = TABLE.iter().find(|row| row.command == named.command).copied();
        let row = row.ok_or_else(|| Error::failed(format!("`{}` is not in the table", named.command)))?;
        let reads = |thing| row.reads.contains(&thing);
        // A dataset that is read is all that is read.
        let suffices = |named: &Named<'_>| {
            named.inputs_suffice
                && (!named.inputs.is_empty() || (named.dataset.is_some() && !row.writes.contains(&Dataset)))
        };
        let store = named.store.filter(|_| !suffices(&named));
        let spools = store.filter(|_| reads(Spools)).map(|store| store.spools(around)).unwrap_or_default();
        let database = store.filter(|_| reads(Database)).map(|store| store.database(around)).transpose()?;
        let database = database.or(named.database.map(Path::to_owned));
        // A report on what nobody recorded makes none: it would hide a mistyped name.
        let makes = match row.command {
            "ingest" | "import" => named.inputs.iter().any(|path| path == "-" || path.exists()) || !spools.is_empty(),
            "report" | "site" | "plan" | "alert" | "export" => {
                !spools.is_empty() && store.is_some_and(|store| store.may_make(around))
            }
            "rebuild" => named.makes,
            _ => false,
        };
        Ok(Self {
            inputs: if reads(Inputs) { [named.inputs, named.beside, named.names_from].concat() } else { Vec::new() },
            families: named.families.filter(|_| reads(Families)).map(Path::to_owned),
            owners: if reads(Owners) { named.owners.to_vec() } else { Vec::new() },
            configuration: around.config.files.clone(),
            output: named.output.filter(|to| row.writes.contains(&Output) && *to != "-").map(Path::to_owned),
            resolver: named.resolver.filter(|_| row.connects.contains(&Resolvers)),
            makes_database: makes && database.is_some(),
            backup: named.backup.map(Path::to_owned),
            dataset: named.dataset.map(Path::to_owned),
            key: named.key.map(Path::to_owned),
            spools,
            database,
            row,
        })
    }

    /// Refuses a result that gets a name which belongs to a database, be it there or not: SQLite
    /// may be about to make it.
    ///
    /// # Errors
    /// Usage: it does.
    pub fn check_output_name(&self) -> Result<(), Error> {
        if let (Some(to), Some(database)) = (&self.output, &self.database)
            && BESIDE.iter().chain([&""]).any(|suffix| same_name(to, &beside(&files::real(database), suffix)))
        {
            return Err(self.refused(&Owner::Database(database.clone())));
        }
        Ok(())
    }

    /// Refuses a result that goes into a file which this command reads, or which belongs to a
    /// database or a spool: it would be emptied, and a capture cannot be had again. Looks into
    /// files, and belongs into the sandbox.
    ///
    /// # Errors
    /// Usage: it is one.
    pub fn check_output(&self) -> Result<(), Error> {
        if !self.row.writes.contains(&Output) {
            return Ok(());
        }
        let about = match &self.output {
            Some(path) => std::fs::metadata(path),
            None => handed(std::io::stdout()),
        };
        // What is not there is no file of anybody. A terminal, a pipe and /dev/null lose nothing.
        let Some(id) = about.ok().filter(Metadata::is_file).as_ref().map(id) else { return Ok(()) };
        match self.files().get(&id) {
            None => Ok(()),
            Some(owner) => Err(self.refused(owner)),
        }
    }

    fn refused(&self, owner: &Owner) -> Error {
        let to = self.output.as_ref().map_or("standard output".into(), |to| shown(&to.to_string_lossy()));
        let path = |path: &Path| shown(&path.to_string_lossy());
        let what = match owner {
            Owner::Input(input) => format!("{} is input and output", path(input)),
            Owner::Configuration(file) => format!("{} is the configuration", path(file)),
            Owner::Database(database) => format!("{to} belongs to the database {}", path(database)),
            Owner::Spool(spool) => format!("{to} is a file of the spool {}", path(spool)),
        };
        Error::usage(what).hint("-o names another file")
    }

    /// The files that must not be written over.
    fn files(&self) -> HashMap<(u64, u64), Owner> {
        let mut files = HashMap::new();
        for path in self.inputs.iter().chain(&self.families).chain(&self.owners) {
            if path == "-" {
                let about = handed(std::io::stdin()).ok().filter(Metadata::is_file);
                files.extend(about.map(|about| (id(&about), Owner::Input(path.clone()))));
                continue;
            }
            // Of what cannot be read nothing is read.
            for path in inputs(path).unwrap_or_default().files {
                add(&mut files, &path, || Owner::Input(path.clone()));
            }
        }
        for path in &self.configuration {
            add(&mut files, path, || Owner::Configuration(path.clone()));
        }
        if let Some(root) = &self.dataset {
            let dataset = archive::Dataset::open(root).ok();
            for path in dataset.iter().flat_map(archive::Dataset::files) {
                add(&mut files, &path, || Owner::Input(path.clone()));
            }
            for path in inside(&root.join(archive::MANIFESTS)) {
                add(&mut files, &path, || Owner::Input(path.clone()));
            }
        }
        for spool in &self.spools {
            for path in inside(spool).into_iter().chain(find_to_book(spool).unwrap_or_default()) {
                add(&mut files, &path, || Owner::Spool(spool.clone()));
            }
        }
        if let Some(database) = &self.database {
            let captures = captures_of(database);
            let real = files::real(database);
            let own = BESIDE.iter().chain([&""]).map(|suffix| beside(&real, suffix));
            let months = Folder::of(database).found().unwrap_or_default().into_iter().map(|file| file.path);
            let old = old_copies(database).into_iter().map(|(_, path)| path);
            for path in own.chain(inside(&captures)).chain(months).chain(old) {
                add(&mut files, &path, || Owner::Database(database.clone()));
            }
        }
        files
    }
}

/// Whether a file that `check` is given is a database: it is not called as segments are. Nothing
/// looks into it before the sandbox.
fn is_database(path: &Path) -> bool {
    path.is_file() && !is_segment_name(path)
}

/// Whose a file is.
#[derive(Debug, Clone)]
enum Owner {
    Input(PathBuf),
    Configuration(PathBuf),
    Database(PathBuf),
    Spool(PathBuf),
}

/// What standard input or output is, also where there is no /proc.
fn handed(stream: impl AsFd) -> std::io::Result<Metadata> {
    File::from(stream.as_fd().try_clone_to_owned()?).metadata()
}

fn id(about: &Metadata) -> (u64, u64) {
    (about.dev(), about.ino())
}

fn add(files: &mut HashMap<(u64, u64), Owner>, path: &Path, owner: impl FnOnce() -> Owner) {
    if let Some(about) = std::fs::metadata(path).ok().filter(Metadata::is_file) {
        files.entry(id(&about)).or_insert_with(owner);
    }
}

/// What is in a folder itself.
fn inside(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Whether two paths are one name in one folder, be it there or not.
fn same_name(one: &Path, other: &Path) -> bool {
    let folder = |path: &Path| {
        let folder = files::folder_of(path);
        std::fs::metadata(folder).ok().as_ref().map(id)
    };
    one.file_name() == other.file_name() && folder(one).is_some_and(|one| Some(one) == folder(other))
}
