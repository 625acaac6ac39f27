//! Where the facts of sources are, and what is known of those that are not read again.

use super::read::unsigned;
use super::{CaptureFacts, Store, StoreError, blob, sealed, taught};
use crate::attribution::{AnswerBook, Carried, Rule, Verdict};
use crate::books::{Evidence, Host, Service, Traffic};
use crate::ingest::{CAPTURES_FOLDER, captures_of};
use imon_common::capture_file::ContentId;
use imon_common::flow::{Flow, FlowName, Opener, Scope};
use imon_common::names::{Name, NameKind};
use imon_common::time::UnixNanos;
use rusqlite::{TransactionBehavior, params};
use std::collections::HashSet;
use std::path::Path;

/// A source in the store, and where its facts are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownSource {
    /// Its row.
    pub id: i64,
    /// Segment UUID, or SHA-256 of a capture file.
    pub identity: Vec<u8>,
    /// UUID of the segment with its facts.
    pub segment: Vec<u8>,
    /// The file of that segment.
    pub path: String,
    /// Where the source was read from.
    pub read_from: String,
    /// It is a capture file, of which a segment was kept.
    pub is_capture: bool,
    /// First interval observed.
    pub first: UnixNanos,
    /// Last interval observed.
    pub last: UnixNanos,
    /// Bytes of the file, as far as it was read.
    pub len_bytes: u64,
    /// How it ended, in a word.
    pub ended: String,
    /// To be booked again.
    pub stale: bool,
    /// Identity of its packets, where it is known.
    pub content: Option<ContentId>,
    /// What the capture file was, where it is known.
    pub capture: Option<CaptureFacts>,
    /// Its bytes count whatever other sources hold.
    pub allow_overlap: bool,
}

/// The columns of a [`KnownSource`].
pub(super) const SELECT_KNOWN: &str = "SELECT id, identity, coalesce(kept_segment, identity), coalesce(kept, path),
    kept IS NOT NULL, first_ns, last_ns, len_bytes, stale, path, ended, content, file_len, packets, chain_captures, chain,
    allow_overlap FROM source";

/// A row of [`SELECT_KNOWN`].
pub(super) fn known_source(row: &rusqlite::Row<'_>) -> rusqlite::Result<KnownSource> {
    let content: Option<Vec<u8>> = row.get(11)?;
    Ok(KnownSource {
        id: row.get(0)?,
        identity: row.get(1)?,
        segment: row.get(2)?,
        path: row.get(3)?,
        is_capture: row.get(4)?,
        first: UnixNanos(row.get(5)?),
        last: UnixNanos(row.get(6)?),
        len_bytes: unsigned(row.get(7)?),
        stale: row.get(8)?,
        read_from: row.get(9)?,
        ended: row.get(10)?,
        content: content.and_then(|content| content.try_into().ok()),
        capture: CaptureFacts::of_row(row, 12)?,
        allow_overlap: row.get(16)?,
    })
}

impl Store {
    /// All sources, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn known_sources(&self) -> Result<Vec<KnownSource>, StoreError> {
        self.sources_where("true")
    }

    /// Those of them that are captures, likewise.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn known_captures(&self) -> Result<Vec<KnownSource>, StoreError> {
        self.sources_where("kept IS NOT NULL")
    }

    /// Those of them that are to be booked again, likewise.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn stale_sources(&self) -> Result<Vec<KnownSource>, StoreError> {
        self.sources_where("stale")
    }

    fn sources_where(&self, holds: &str) -> Result<Vec<KnownSource>, StoreError> {
        let mut select =
            self.db.prepare_cached(&format!("{SELECT_KNOWN} WHERE {holds} ORDER BY first_ns, identity"))?;
        let rows = select.query_map([], known_source)?.map(|source| source.map(|source| self.at_home(source)));
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A source whose kept segment is not where it was, in the folder beside the database: the
    /// store was moved, or copied.
    pub(super) fn at_home(&self, source: KnownSource) -> KnownSource {
        let kept = Path::new(&source.path);
        if !source.is_capture || kept.exists() {
            return source;
        }
        // In the folder that every database had once, as well.
        let folders = self.path.iter().flat_map(|path| [captures_of(path), path.with_file_name(CAPTURES_FOLDER)]);
        let name = kept.file_name();
        let here = folders.filter_map(|folder| Some(folder.join(name?))).find(|here| here.exists());
        let here = here.and_then(|here| std::path::absolute(here).ok());
        match here {
            Some(here) => KnownSource { path: here.to_string_lossy().into_owned(), ..source },
            None => source,
        }
    }

    /// What stands for this database as the recorder of the captures that are kept as segments.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn recorder(&self) -> Result<[u8; 16], StoreError> {
        let mut select = self.db.prepare_cached("SELECT value FROM about WHERE key = 'recorder'")?;
        let value: Vec<u8> = select.query_row([], |row| row.get(0))?;
        Ok(value.try_into().unwrap_or_default())
    }

    /// Paths of segments that have the place of another segment of their recorder: two recorders
    /// call themselves by one identity, as a machine and the copy of its image do. At most `most`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn twins(&self, most: u32) -> Result<Vec<(String, String)>, StoreError> {
        let mut select = self.db.prepare_cached(
            "SELECT min(path), max(path) FROM source WHERE recorder IS NOT NULL AND kind = 'segment'
             GROUP BY recorder, sequence HAVING count(*) > 1 ORDER BY min(first_ns) LIMIT ?1",
        )?;
        let rows = select.query_map([most], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether the user has pruned a source: it is not to be ingested again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn is_pruned(&self, identity: &[u8]) -> Result<bool, StoreError> {
        Ok(self.db.prepare_cached("SELECT 1 FROM pruned WHERE identity = ?1")?.exists([identity])?)
    }

    /// Marks sources as to be booked again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn mark_stale(&mut self, ids: &[i64]) -> Result<(), StoreError> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for id in ids {
            tx.prepare_cached("UPDATE source SET stale = 1 WHERE id = ?1")?.execute([id])?;
        }
        tx.commit()?;
        Ok(())
    }

    /// Notes that the file of a segment is now called `path`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn moved(&mut self, id: i64, path: &str) -> Result<(), StoreError> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        sealed::amend_source(&tx, id, || {
            Ok(tx.prepare_cached("UPDATE source SET path = ?2 WHERE id = ?1")?.execute(params![id, path]).map(drop)?)
        })?;
        Ok(tx.commit()?)
    }

    /// What all sources that reach to `since` and begin before `until`, but for `read` (which are
    /// read again), taught since then: for each name of an address who asked for it, when first and
    /// when last. What later sources taught is not known yet when those are read.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn knowledge(&self, read: &HashSet<i64>, since: UnixNanos, until: UnixNanos) -> Result<AnswerBook, StoreError> {
        let mut book = AnswerBook::default();
        taught::tell(&self.db, &mut book, read, (since, until))?;
        let mut select = self.db.prepare_cached(
            "SELECT mac, network, source, last_ns FROM met
             WHERE source IN (SELECT id FROM source WHERE last_ns >= ?1 AND first_ns < ?2)
             ORDER BY last_ns, mac, network",
        )?;
        let mut rows = select.query([since.0, until.0])?;
        while let Some(row) = rows.next()? {
            let (mac, network): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
            if let (false, Some(mac), Some(network)) =
                (read.contains(&row.get(2)?), blob::to_mac(&mac), blob::to_address(&network))
            {
                book.meet_network(mac, network, UnixNanos(row.get(3)?));
            }
        }
        Ok(book)
    }

    /// Flows that go on in a source, with the identity of the source in which each began.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn carried_into(&self, source: i64) -> Result<Vec<(Vec<u8>, Carried)>, StoreError> {
        let mut select = self.db.prepare_cached(
            "SELECT origin, number, client, client_port, server, server_port, proto, scope, begin_seen, mac, start_ns,
                    name_kind, name, host, evidence, traffic, candidates, opened, name_from_server,
                    name_relayed, interface, vlan FROM carried WHERE source = ?1 ORDER BY number",
        )?;
        let mut rows = select.query([source])?;
        let mut carried = Vec::new();
        while let Some(row) = rows.next()? {
            let (client, server, mac): (Vec<u8>, Vec<u8>, Vec<u8>) = (row.get(2)?, row.get(4)?, row.get(9)?);
            let (Some(client), Some(server), Some(scope)) =
                (blob::to_address(&client), blob::to_address(&server), Scope::from_number(row.get(7)?))
            else {
                continue;
            };
            let (name, host, candidates): (String, String, String) = (row.get(12)?, row.get(13)?, row.get(16)?);
            let number: i64 = row.get(1)?;
            let (from_server, relayed) = (row.get(18)?, row.get(19)?);
            let carried_name = NameKind::from_number(row.get(11)?)
                .zip(Name::from_presentation(&name))
                .map(|(kind, name)| FlowName { kind, name, from_server, relayed });
            let flow = Flow {
                number: number as u64,
                client,
                server,
                client_port: row.get(3)?,
                server_port: row.get(5)?,
                proto: row.get(6)?,
                scope,
                begin_seen: row.get(8)?,
                opened: Opener::from_number(row.get(17)?).unwrap_or_default(),
                interface: row.get(20)?,
                vlan: Some(row.get(21)?).filter(|id| *id != 0),
                client_mac: blob::to_mac(&mac),
                start: UnixNanos(row.get(10)?),
                name: carried_name,
            };
            let evidence = Evidence::from_number(row.get(14)?).unwrap_or(Evidence::None);
            let traffic = Traffic::from_number(row.get(15)?).unwrap_or(Traffic::Visited);
            let nameless = match traffic {
                Traffic::Served => {
                    Host::Service(Service { address: client, port: flow.client_port, proto: flow.proto })
                }
                _ => Host::Address(server),
            };
            let verdict = Verdict {
                host: Name::from_presentation(&host).filter(|_| !host.is_empty()).map_or(nameless, Host::Name),
                evidence,
                rule: if traffic == Traffic::Served { Rule::Served } else { Rule::behind(evidence) },
                candidates: candidates.lines().filter_map(Name::from_presentation).collect(),
                traffic,
            };
            carried.push((row.get(0)?, Carried { number: number as u64, origin: 0, flow, verdict }));
        }
        Ok(carried)
    }
}
