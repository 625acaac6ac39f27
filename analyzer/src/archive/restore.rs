//! The database is lost, and the files of its months are there: what they hold is enough to report
//! from.

use super::close::read_whole;
use super::folder::{Folder, FoundFile};
use super::read::{Pool, Table, hash_of};
use super::schema::Part;
use super::{ArchiveError, text};
use crate::books::month::{Month, MonthRows};
use crate::files;
use crate::store::{ClosedFile, Store};
use crate::table::units::hex;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What was taken in.
#[derive(Debug, Default)]
pub struct Restored {
    /// Months that are in the database now.
    pub months: Vec<Month>,
    /// Rows of them.
    pub rows: u64,
    /// Files that could not be taken in, and why.
    pub failed: Vec<(PathBuf, ArchiveError)>,
    /// Files that newer ones took the place of.
    pub older: u64,
}

/// Takes in the months of the folder that the database does not know. Of each month and recorder
/// the files of the latest closing that are whole count.
///
/// # Errors
/// The database, or the folder. Months before are taken in then.
pub fn restore(store: &mut Store) -> Result<Restored, ArchiveError> {
    let folder = store.path().map(Folder::of).ok_or(ArchiveError::InMemory)?;
    let found = folder.found().map_err(|source| ArchiveError::Io { path: folder.path().to_owned(), source })?;
    let known: std::collections::HashSet<(Month, [u8; 16])> =
        store.closed()?.into_iter().map(|file| (file.month, file.recorder)).collect();
    let mut closings: BTreeMap<(Month, [u8; 16]), BTreeMap<u64, Vec<FoundFile>>> = BTreeMap::new();
    for file in found.into_iter().filter(|file| !known.contains(&(file.month, file.recorder))) {
        let of_one = closings.entry((file.month, file.recorder)).or_default();
        of_one.entry(file.generation).or_default().push(file);
    }
    let mut restored = Restored::default();
    let mut is_first = known.is_empty() && store.known_sources()?.is_empty();
    for ((month, _), generations) in closings {
        let mut is_done = false;
        for (_, files) in generations.into_iter().rev() {
            if is_done {
                restored.older += files.len() as u64;
                continue;
            }
            match taken(&files) {
                Ok(taken) => {
                    if std::mem::take(&mut is_first)
                        && let Some(database) = taken.database
                    {
                        // Captures are known again by the identity under which they were kept.
                        store.become_recorder(database)?;
                    }
                    restored.rows += taken.rows.rows.len() as u64;
                    let (ends, sources) = (&taken.rows.endpoints, &taken.rows.sources);
                    store.adopt_month(&taken.files, &taken.facts, (ends, sources))?;
                    restored.months.push(month);
                    is_done = true;
                }
                Err((path, error)) if error.is_of_one_month() => restored.failed.push((path, error)),
                Err((_, error)) => return Err(error),
            }
        }
    }
    restored.months.dedup();
    Ok(restored)
}

/// What the files of a month hold.
struct Taken {
    files: Vec<ClosedFile>,
    facts: Vec<(String, Vec<u8>, String)>,
    rows: MonthRows,
    database: Option<[u8; 16]>,
}

fn taken(found: &[FoundFile]) -> Result<Taken, (PathBuf, ArchiveError)> {
    let mut taken = Taken { files: Vec::new(), facts: Vec::new(), rows: MonthRows::default(), database: None };
    let mut pool = Pool::default();
    for part in Part::ALL {
        let Some(file) = found.iter().find(|file| file.part == part) else {
            let path = found.first().map(|file| file.path.clone()).unwrap_or_default();
            let missing = PathBuf::from(format!("the table `{}` beside {}", part.word(), path.display()));
            return Err((path, ArchiveError::Missing { path: missing }));
        };
        let at = |error| (file.path.clone(), error);
        let io = |source| at(ArchiveError::of_file(file.path.clone(), source));
        let broken = |source| at(ArchiveError::Broken { path: file.path.clone(), source });
        let mut opened = files::open(&file.path).map_err(io)?;
        let (sha256, len_bytes) = hash_of(&mut opened).map_err(io)?;
        let digits: String = hex(&sha256).chars().take(file.hash.len()).collect();
        if digits != file.hash {
            return Err(at(ArchiveError::Changed {
                path: file.path.clone(),
                found: digits,
                wanted: file.hash.clone(),
            }));
        }
        let table = Table::new(opened, part).map_err(broken)?;
        taken.database = table.about().get("imon.database").and_then(|id| text::to_uuid(id));
        let sums = read_whole(&table, part, &mut pool, &mut taken.rows).map_err(broken)?;
        if part == Part::Ledger {
            let add = &mut |kind: &str, source: &[u8], about: &str| {
                taken.facts.push((kind.to_owned(), source.to_vec(), about.to_owned()));
            };
            table.facts(add).map_err(broken)?;
        }
        let FoundFile { name, month, recorder, generation, .. } = file.clone();
        taken.files.push(ClosedFile { month, recorder, part, generation, file: name, sha256, len_bytes, sums });
    }
    // Sources come before what is known of them.
    taken.facts.sort_by_key(|(kind, ..)| kind != "source");
    taken.rows.endpoints = pool.endpoints.values().to_vec();
    taken.rows.sources = pool.sources.values().to_vec();
    Ok(taken)
}
