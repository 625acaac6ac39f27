//! `--resolve`: names of a report's addresses by reverse lookup, remembered in the database where
//! there is one.

use super::{complain, open_store, store_error};
use crate::books::Books;
use crate::cli::{ResolveArgs, Surroundings};
use crate::error::Error;
use crate::resolve::{self, Limits, lookup, unnamed};
use imon_common::names::Name;
use std::collections::HashMap;
use std::net::{IpAddr, UdpSocket};
use std::path::Path;

/// Labels what `books` has on addresses alone. `servers`: who is asked. `database`: where answers
/// are kept; without one they are forgotten.
///
/// # Errors
/// There is nobody to ask, or the database cannot be used. That nobody answers is told and no
/// error.
pub(super) fn run(
    (args, servers): (&ResolveArgs, Result<Vec<UdpSocket>, Error>),
    database: Option<&Path>,
    around: &Surroundings,
    books: &mut Books,
) -> Result<(), Error> {
    let now_s = around.now.as_second();
    let mut store = database.map(open_store).transpose()?;
    let kept_in = |e| store_error(database.unwrap_or(Path::new("")), &e);
    let mut known: HashMap<IpAddr, Option<Name>> = match &store {
        Some(store) => store.reverse_names(now_s).map_err(kept_in)?,
        None => HashMap::new(),
    };
    let largest = unnamed(books, args.resolve_limit);
    let asked: Vec<IpAddr> = largest.into_iter().filter(|address| !known.contains_key(address)).collect();
    if !asked.is_empty() {
        let found = lookup(servers?, &asked, Limits { per_second: args.resolve_rate });
        if let Some(store) = &mut store {
            store.keep_reverse_names(&found.of, now_s).map_err(kept_in)?;
        }
        if found.silent > 0 {
            let told = Error::failed(format!("{} of {} addresses could not be looked up", found.silent, asked.len()));
            let told = match &found.error {
                Some(error) => told.because(error),
                None => told.cause("no answer in time"),
            };
            complain(&told.hint("--resolver ADDRESS asks another server"));
        }
        known.extend(found.of.into_iter().map(|(address, answer)| (address, answer.name)));
    }
    let names = known.into_iter().filter_map(|(address, name)| Some((address, name?))).collect();
    resolve::label(books, &names);
    Ok(())
}
