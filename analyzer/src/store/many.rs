//! Many rows into one table, several with each statement: what SQLite does around a statement costs
//! more than the row.

use super::StoreError;
use rusqlite::types::ToSqlOutput;
use rusqlite::{CachedStatement, Transaction};

/// Rows of one statement: of 32, what is around them is a thirtieth for each.
const ROWS: usize = 32;

/// Inserts rows of `N` values each. `into` names the table and its columns, as they stand after
/// INSERT INTO. Rows should come in the order of the primary key: the tree then grows at its end.
pub(super) fn insert<R, const N: usize>(
    tx: &Transaction<'_>,
    into: &str,
    rows: &[R],
    values: impl for<'r> Fn(&'r R) -> [ToSqlOutput<'r>; N],
) -> Result<(), StoreError> {
    let (chunks, rest) = rows.as_chunks::<ROWS>();
    for (chunks, rows) in [(chunks.as_flattened(), ROWS), (rest, 1)] {
        if chunks.is_empty() {
            continue;
        }
        let mut statement = tx.prepare_cached(&sql(into, N, rows))?;
        for chunk in chunks.chunks(rows) {
            execute(&mut statement, chunk.iter().flat_map(&values))?;
        }
    }
    Ok(())
}

fn sql(into: &str, columns: usize, rows: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(", "));
    format!("INSERT INTO {into} VALUES {}", vec![row; rows].join(", "))
}

fn execute<'v>(
    statement: &mut CachedStatement<'_>,
    values: impl Iterator<Item = ToSqlOutput<'v>>,
) -> Result<(), StoreError> {
    for (place, value) in values.enumerate() {
        statement.raw_bind_parameter(place + 1, value)?;
    }
    statement.raw_execute()?;
    Ok(())
}
