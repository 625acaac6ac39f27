//! `prune --device X`: a device is taken out of the books, and stays out.

use crate::archive::{Archive, Taken, Trial};
use crate::books::{BUCKET_S, Books, Endpoint};
use crate::cli::{PruneArgs, Surroundings};
use crate::commands::{archive_error, complain, ingest_error, open_existing_store, store_error};
use crate::error::{Error, Outcome, shown};
use crate::ingest::remove_doomed;
use crate::question::{DeviceName, Filters};
use crate::range::{Range, Typed, Unsaid, zone};
use crate::removal::{Key, Removals};
use crate::say::note;
use crate::store::{Devices, Gone, KnownSource, Store, old_copies};
use crate::table::units::{bytes, counted, thousands};
use imon_common::time::NANOS_PER_SECOND;
use imon_common::wire::Mac;
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Files that are named one by one.
const NAMED: usize = 5;

/// Takes devices out of the books.
///
/// # Errors
/// Nothing of them is booked, or the database.
pub(super) fn run(args: &PruneArgs, around: &Surroundings) -> Result<Outcome, Error> {
    let database = args.store.database(around)?;
    let asked = around.config.devices.named(args.age.device.iter().map(|text| DeviceName::parse(text)).collect());
    let seconds = seconds(args, around)?;
    let mut store = open_existing_store(&database)?;
    let _lock = store.lock().map_err(|e| store_error(&database, &e))?;
    super::undamaged(&store, &database)?;
    let trial = if args.dry_run { Trial::Dry } else { Trial::Real };
    if trial == Trial::Real {
        // What one before was kept from, and files of closings that were cut short: they may hold
        // the device, too.
        finish(&mut store, &database)?;
        crate::commands::close::tidy(&mut store, &database)?;
    }
    let devices = store.devices().map_err(|e| store_error(&database, &e))?;
    let salt = store.salt().map_err(|e| store_error(&database, &e))?;
    let gone = gone(&devices, &asked, (salt, seconds), around);
    if gone.ends.is_empty() {
        let names = asked.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Err(Error::failed(format!("nothing is booked of {}", shown(&names))).hint(
            "`imon-analyze report --by device --from 1970-01-01` shows all devices; one is named by an address, a \
             network, a hardware address, or its name in [devices]",
        ));
    }
    let mut archive = Archive::new(&mut store).map_err(|e| archive_error(&database, &e))?;
    let taken = archive.remove(&gone, trial).map_err(|e| archive_error(&database, &e))?;
    tell(&taken, &gone, trial);
    for (_, path) in old_copies(&database) {
        note!("{} holds it still: `prune --drop-old` removes it", shown(&path.to_string_lossy()));
    }
    if trial == Trial::Real {
        crate::commands::alert::forget(&database, &told_of(&taken, &gone, &asked), around.now.as_second())?;
        finish(&mut store, &database)?;
    }
    Ok(Outcome::Complete)
}

/// What alerts may have been about.
fn told_of(taken: &Taken, gone: &Gone, asked: &[DeviceName]) -> BTreeSet<String> {
    let mut told: BTreeSet<String> = taken.forgotten.sites.clone();
    told.extend(taken.forgotten.hosts.iter().map(ToString::to_string));
    for end in &gone.ends {
        told.insert(end.address.to_string());
        told.extend(end.mac.map(crate::question::mac_text));
    }
    for device in asked {
        if let DeviceName::Given { names, .. } = device {
            told.extend(names.iter().cloned());
        }
    }
    told
}

/// Does what is left when the books are as they should be: files and old pages go.
///
/// # Errors
/// The database.
pub(in crate::commands) fn finish(store: &mut Store, database: &Path) -> Result<(), Error> {
    remove_captures(store, database)?;
    match store.wipe() {
        Ok(true) => {}
        Ok(false) => complain(
            &Error::failed("what was removed is not overwritten yet")
                .cause("another program reads the database")
                .hint("`ingest` and `prune` try again"),
        ),
        Err(error) => complain(
            &Error::failed("what was removed is not overwritten yet")
                .because(&error)
                .hint("this takes as much room on the disk as the database; `ingest` and `prune` try again"),
        ),
    }
    Ok(())
}

/// Removes segments of captures that are to go.
///
/// # Errors
/// The database.
pub(super) fn remove_captures(store: &Store, database: &Path) -> Result<(), Error> {
    let left = remove_doomed(store).map_err(|e| ingest_error(database, "prune", &e))?;
    if left > 0 {
        complain(
            &Error::failed(format!("{left} kept captures cannot be removed, and hold what was to be removed"))
                .hint("`ingest` and `prune` try again"),
        );
    }
    Ok(())
}

/// The buckets that are asked for; without an end up to now: what is recorded from now on stays.
fn seconds(args: &PruneArgs, around: &Surroundings) -> Result<(i64, i64), Error> {
    let typed = Typed { within: None, from: args.from.as_deref(), to: args.to.as_deref() };
    let range = Range::of_typed(&typed, Unsaid::Everything, around.now, zone(args.zone.as_deref())?)?.in_quarters()?;
    let second = |at: imon_common::time::UnixNanos| at.0.div_euclid(NANOS_PER_SECOND);
    let now_s = around.now.as_second();
    let until_now = now_s.div_euclid(BUCKET_S).saturating_add(1).saturating_mul(BUCKET_S);
    Ok((range.from.map_or(i64::MIN, second), range.to.map_or(until_now, second)))
}

/// Who goes: the devices that a report with the same `--device` shows, and by what they are known
/// again.
fn gone(
    devices: &Devices,
    asked: &[DeviceName],
    (salt, seconds): (Vec<u8>, (i64, i64)),
    around: &Surroundings,
) -> Gone {
    let mut books = Books::default();
    devices.clients.clone().tell(&mut books);
    around.config.name(&mut books);
    let filters = Filters { devices: asked.to_vec(), ..Filters::default() };
    let is_asked = filters.devices_of(&books).unwrap_or_default();
    let is_asked = |device: &u32| is_asked.get(*device as usize).copied().unwrap_or_default();
    let mut macs: BTreeMap<Mac, bool> = BTreeMap::new();
    let mut ends: BTreeSet<(std::net::IpAddr, Option<Mac>)> = BTreeSet::new();
    for (device, address, mac) in &books.device_ends {
        if is_asked(device) {
            ends.insert((*address, *mac));
        }
        if let Some(mac) = mac {
            // One that stands for others as well is a router's.
            *macs.entry(*mac).or_insert(true) &= is_asked(device);
        }
    }
    let mut keys: BTreeSet<Key> = BTreeSet::new();
    let mut nets: BTreeSet<IpNet> = BTreeSet::new();
    for (address, mac) in &ends {
        match mac.filter(|mac| macs.get(mac) == Some(&true)) {
            Some(mac) => _ = keys.insert(Key::of_mac(&salt, mac)),
            None => _ = nets.insert((*address).into()),
        }
    }
    for name in asked {
        match name {
            DeviceName::Net(net) => _ = nets.insert(*net),
            DeviceName::Mac(mac) => _ = keys.insert(Key::of_mac(&salt, *mac)),
            DeviceName::Given { macs, nets: own, .. } => {
                keys.extend(macs.iter().map(|mac| Key::of_mac(&salt, *mac)));
                nets.extend(own);
            }
            DeviceName::Called(_) => {}
        }
    }
    keys.extend(nets.iter().map(|net| Key::of_net(&salt, *net)));
    // What the rules will take is what goes now: booking again changes nothing.
    let mut rules = Removals::new(salt, keys.iter().map(|key| (*key, (0, BUCKET_S))));
    let all = devices.clients.endpoints.iter().copied().filter(|end| rules.takes(*end, 0));
    let ends: Vec<Endpoint> = if ends.is_empty() { Vec::new() } else { all.collect() };
    Gone { keys: keys.into_iter().collect(), ends, seconds }
}

fn tell(taken: &Taken, gone: &Gone, trial: Trial) {
    let did = if trial == Trial::Dry { "would remove" } else { "removed" };
    let Taken { rows, bytes: amount, packets, months, forgotten, captures, segments } = taken;
    note!(
        "{did} {} of {} with {} in {}",
        counted(*rows, "row"),
        counted(gone.ends.len() as u64, "client"),
        bytes(*amount),
        counted(*packets, "packet")
    );
    for end in gone.ends.iter().take(NAMED) {
        let mac = end.mac.map(|mac| format!(" ({})", crate::question::mac_text(mac))).unwrap_or_default();
        note!("  {}{mac}", end.address);
    }
    if gone.ends.len() > NAMED {
        note!("  ({} more)", gone.ends.len() - NAMED);
    }
    note!("{did} {} names and addresses that nobody else used", thousands(forgotten.hosts.len() as u64));
    let wrote = if trial == Trial::Dry { "would write" } else { "wrote" };
    if !months.is_empty() {
        note!("{wrote} {} anew", counted(months.len() as u64, "closed month"));
    }
    if !captures.is_empty() {
        let captures = counted(captures.len() as u64, "kept capture");
        note!("{did} {captures}; what others have in them stays booked");
    }
    if !segments.is_empty() {
        note!("still in {}, until the recorder removes it:", counted(segments.len() as u64, "segment"));
        list(segments);
    }
    note!("backups, exports and captures made before hold it still, wherever they are");
}

fn list(sources: &[KnownSource]) {
    sources.iter().take(NAMED).for_each(|source| note!("  {}", shown(&source.path)));
    if sources.len() > NAMED {
        note!("  ({} more)", sources.len() - NAMED);
    }
}
