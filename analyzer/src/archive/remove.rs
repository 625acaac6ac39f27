//! A device is taken out of the books: open months in the database, months that are put away by new
//! files. All of it is one transaction, after which old files go: whenever the power fails, the
//! books are those of before or those of after.

use super::ArchiveError;
use super::close::Archive;
use super::write::Layout;
use crate::books::month::{Month, MonthRows};
use crate::books::{Endpoint, Host, Interface, PageRow, Removed, Row};
use crate::site::Sites;
use crate::store::{ClosedFile, Forgotten, Gone, KnownSource};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

/// Whether it is done, or only found out what would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// It is done.
    Real,
    /// Nothing is changed.
    Dry,
}

/// What went, or would go.
#[derive(Debug, Default)]
pub struct Taken {
    /// Rows of sums.
    pub rows: u64,
    /// IP bytes of them.
    pub bytes: u64,
    /// Their packets.
    pub packets: u64,
    /// Months that were put away and have new files.
    pub months: Vec<Month>,
    /// Names and addresses that nobody else used.
    pub forgotten: Forgotten,
    /// Captures whose segment holds it, and goes.
    pub captures: Vec<KnownSource>,
    /// Segments of recorders that hold it still: they are the recorders'.
    pub segments: Vec<KnownSource>,
}

/// Rows that stay, and what was removed of each source, by its identity.
type Split = (MonthRows, Vec<(Vec<u8>, Removed)>);

/// Hosts of rows that go, and of those that stay.
#[derive(Default)]
struct Used {
    gone: BTreeSet<Host>,
    kept: HashSet<Host>,
}

impl Archive<'_> {
    /// Takes a device out of the books, and remembers the rule.
    ///
    /// # Errors
    /// A file of a month is missing or damaged, or cannot be written; the database. Nothing is
    /// changed then.
    pub fn remove(&mut self, gone: &Gone, trial: Trial) -> Result<Taken, ArchiveError> {
        let generation = match trial {
            // Durable before there is a file: no other closing ever has it.
            Trial::Real => self.store.next_generation()?,
            Trial::Dry => 0,
        };
        self.store.begin_removal()?;
        let mut old = Vec::new();
        let taken = self.take_out(gone, (trial, generation), &mut old);
        match (&taken, trial) {
            (Ok(_), Trial::Real) => {
                self.store.commit_removal()?;
                self.folder.remove(&old);
            }
            _ => self.store.undo_removal(),
        }
        taken
    }

    fn take_out(
        &mut self,
        gone: &Gone,
        (trial, generation): (Trial, u64),
        old: &mut Vec<ClosedFile>,
    ) -> Result<Taken, ArchiveError> {
        let (from_s, to_s) = gone.seconds;
        let is_in = |month: &Month| month.seconds().0 < to_s && month.seconds().1 > from_s;
        let (mut taken, mut used) = (Taken::default(), Used::default());
        self.store.note_removal(gone)?;
        for month in self.store.open_months()?.into_iter().filter(is_in) {
            // Compared with its checksums.
            let rows = self.store.month_rows(month)?;
            if taken.split(&rows, gone, &mut used).is_some() {
                self.store.remove_rows(month, gone)?;
            }
        }
        for (month, files) in self.months()?.into_iter().filter(|(month, _)| is_in(month)) {
            let rows = self.rows_of(&files)?;
            let split = taken.split(&rows, gone, &mut used);
            let is_named = self.store.is_named_in(month, &gone.ends)?;
            let (kept, removed) = match split {
                Some(split) => split,
                None if is_named => (rows, Vec::new()),
                None => continue,
            };
            taken.months.push(month);
            for (identity, removed) in &removed {
                self.store.add_removed(identity, removed)?;
            }
            if trial == Trial::Real {
                let files_now = self.write_as(month, &kept, (generation, Layout::default()))?;
                self.store.replace_closed(&files_now, &ends_of(&kept))?;
            }
            old.extend(files);
        }
        let forgotten = used.forgotten();
        self.store.forget(gone, &forgotten)?;
        taken.forgotten = forgotten;
        let holding = self.store.removed_from(gone.seconds)?;
        for source in self.store.known_sources()?.into_iter().filter(|source| holding.contains(&source.id)) {
            if !Path::new(&source.path).exists() {
                continue;
            }
            match source.is_capture {
                true => {
                    self.store.doom(&source.path, &source.segment)?;
                    taken.captures.push(source);
                }
                false => taken.segments.push(source),
            }
        }
        Ok(taken)
    }
}

impl Taken {
    /// The rows of a month without those that go, and what these were; `None` where none goes.
    fn split(&mut self, rows: &MonthRows, gone: &Gone, used: &mut Used) -> Option<Split> {
        let ends: HashSet<Endpoint> = gone.ends.iter().copied().collect();
        let is_end: Vec<bool> = rows.endpoints.iter().map(|end| ends.contains(end)).collect();
        let (from_s, to_s) = gone.seconds;
        let goes = |row: &Row| {
            (from_s..to_s).contains(&row.bucket_s) && is_end.get(row.device as usize).copied().unwrap_or_default()
        };
        let (out, rest): (Vec<Row>, Vec<Row>) = rows.rows.iter().partition(|row| goes(row));
        let (parts_out, parts): (Vec<PageRow>, Vec<PageRow>) = rows.parts.iter().partition(|part| goes(&part.row));
        used.note(rows, (&out, &parts_out), (&rest, &parts));
        if out.is_empty() {
            return None;
        }
        let mut sums: BTreeMap<(i64, u32, Interface, crate::books::Traffic), [u64; 4]> = BTreeMap::new();
        for row in &out {
            let interface = rows.interfaces.get(row.interface as usize).cloned().unwrap_or_default();
            let sum = sums.entry((row.bucket_s, row.source, interface, row.traffic)).or_default();
            sum.iter_mut().zip(row.amounts()).for_each(|(sum, amount)| *sum = sum.saturating_add(amount));
            let [up_bytes, down_bytes, up_packets, down_packets] = row.amounts();
            self.bytes = self.bytes.saturating_add(up_bytes).saturating_add(down_bytes);
            self.packets = self.packets.saturating_add(up_packets).saturating_add(down_packets);
        }
        self.rows = self.rows.saturating_add(out.len() as u64);
        let removed = sums.into_iter().map(|((bucket_s, source, interface, traffic), amounts)| {
            let identity = rows.sources.get(source as usize).cloned().unwrap_or_default();
            (identity, Removed { bucket_s, interface, traffic, amounts })
        });
        let removed = removed.collect();
        Some((MonthRows { rows: rest, parts, ..rows.clone() }, removed))
    }
}

impl Used {
    fn note(&mut self, month: &MonthRows, out: (&[Row], &[PageRow]), rest: (&[Row], &[PageRow])) {
        self.gone.extend(hosts_of(month, out));
        self.kept.extend(hosts_of(month, rest));
    }

    /// Those that nobody else used, and sites that have no other host.
    fn forgotten(self) -> Forgotten {
        let sites = Sites::new();
        let kept: HashSet<String> = self.kept.iter().map(|host| sites.of_host(host).0).collect();
        let hosts: BTreeSet<Host> = self.gone.into_iter().filter(|host| !self.kept.contains(host)).collect();
        let of_hosts = hosts.iter().map(|host| sites.of_host(host).0).filter(|site| !kept.contains(site));
        Forgotten { sites: of_hosts.collect(), hosts }
    }
}

/// Hosts that rows and parts point to.
fn hosts_of(month: &MonthRows, (rows, parts): (&[Row], &[PageRow])) -> BTreeSet<Host> {
    let all = || rows.iter().chain(parts.iter().map(|part| &part.row));
    let in_sets = all().filter_map(|row| month.candidate_sets.get(row.candidates? as usize)).flatten().copied();
    let pages = parts.iter().flat_map(|part| [Some(part.page), part.rival]).flatten();
    let hosts: BTreeSet<u32> = all().map(|row| row.host).chain(in_sets).chain(pages).collect();
    hosts.into_iter().filter_map(|host| month.hosts.get(host as usize).cloned()).collect()
}

/// Whose sums there are.
fn ends_of(month: &MonthRows) -> Vec<Endpoint> {
    let ends = month.rows.iter().map(|row| row.device).chain(month.parts.iter().map(|part| part.row.device));
    let ends: BTreeSet<u32> = ends.collect();
    ends.into_iter().filter_map(|end| month.endpoints.get(end as usize).copied()).collect()
}
