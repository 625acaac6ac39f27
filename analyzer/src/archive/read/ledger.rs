//! Ledgers of files: counts, sums of days, facts of sources.

use super::super::write::DaySum;
use super::columns::{dictionary, odd, primitive, unsigned, value, words};
use super::usage::{Ids, source};
use super::{Broken, Pool, Table};
use crate::books::Blind;
use crate::books::month::CountRow;
use crate::table::units::from_hex;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};

/// Whether counts have their sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::archive) enum Sources {
    Told,
    LeftOut,
}

impl Table {
    /// Whether it has the sums of its days: ledgers that were closed before there were any have
    /// none.
    pub(in crate::archive) fn has_sums(&self) -> Result<bool, Broken> {
        for batch in self.reader(&["kind"])? {
            let batch = batch?;
            let is_sum = words(dictionary(&batch, "kind")?, |word| Some(word == "sum"))?;
            if is_sum.contains(&Some(true)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Calls `take` with what the rows of each UTC day sum up to, of days from `from_s` to before
    /// `to_s`.
    pub(in crate::archive) fn day_sums(&self, days: (i64, i64), take: &mut dyn FnMut(DaySum)) -> Result<(), Broken> {
        let tunnel = Blind::Tunnel.number();
        let mut has_carriers = false;
        self.each_sum(days, false, &mut |sum| match sum.class {
            [_, _, blind, _] if blind == tunnel => has_carriers = true,
            _ => take(sum),
        })?;
        // The texts of a ledger are what makes it large, and few sums have one.
        match has_carriers {
            true => self.each_sum(days, true, &mut |sum| match sum.class {
                [_, _, blind, _] if blind == tunnel => take(sum),
                _ => {}
            }),
            false => Ok(()),
        }
    }

    /// Each sum of days; carriers where they are wished for.
    fn each_sum(
        &self,
        (from_s, to_s): (i64, i64),
        with_carriers: bool,
        take: &mut dyn FnMut(DaySum),
    ) -> Result<(), Broken> {
        let mut names = vec!["start", "kind", "counter", "detail", "packets", "bytes"];
        names.extend(["about"].iter().filter(|_| with_carriers));
        for batch in self.reader(&names)? {
            let batch = batch?;
            let starts = primitive::<TimestampMicrosecondType>(&batch, "start")?;
            let is_sum = words(dictionary(&batch, "kind")?, |word| Some(word == "sum"))?;
            let abouts = with_carriers.then(|| dictionary(&batch, "about")).transpose()?;
            let number = |name| primitive::<Int64Type>(&batch, name);
            let (counter, detail) = (number("counter")?, number("detail")?);
            let (packets, bytes) = (number("packets")?, number("bytes")?);
            for (i, micros) in starts.iter().enumerate() {
                let day_s = micros.div_euclid(1_000_000);
                if is_sum.get(i).copied().flatten() != Some(true) || day_s < from_s || day_s >= to_s {
                    continue;
                }
                let at = |column: &[i64]| column.get(i).copied().unwrap_or_default();
                let [_, named, blind, traffic] = u32::try_from(at(detail)).unwrap_or_default().to_be_bytes();
                let evidence = u8::try_from(at(counter)).map_err(|_| odd("counter"))?;
                let class = [evidence, traffic, blind, named];
                let carrier = abouts.map_or(Ok(""), |abouts| value(abouts, i))?.to_owned();
                take(DaySum { day_s, class, carrier, packets: unsigned(at(packets)), bytes: unsigned(at(bytes)) });
            }
        }
        Ok(())
    }

    /// Calls `take` with each count of the `seconds`, the last not included; its source is 0 where
    /// sources are left out.
    ///
    /// # Errors
    /// [`Broken`]; some counts were taken then.
    pub(in crate::archive) fn counts(
        &self,
        seconds: (i64, i64),
        sources: Sources,
        pool: &mut Pool,
        take: &mut dyn FnMut(CountRow),
    ) -> Result<(), Broken> {
        let mut names = vec!["start", "kind", "counter", "detail", "packets", "bytes"];
        names.extend(["source"].iter().filter(|_| sources == Sources::Told));
        let mut source_ids = Ids::default();
        for batch in self.reader(&names)? {
            let batch = batch?;
            let starts = primitive::<TimestampMicrosecondType>(&batch, "start")?;
            let is_count = words(dictionary(&batch, "kind")?, |word| Some(word == "count"))?;
            let number = |name| primitive::<Int64Type>(&batch, name);
            let (counter, detail) = (number("counter")?, number("detail")?);
            let (packets, bytes) = (number("packets")?, number("bytes")?);
            let sources = (sources == Sources::Told).then(|| dictionary(&batch, "source")).transpose()?;
            sources.into_iter().for_each(|column| source_ids.begin(column));
            for (i, micros) in starts.iter().enumerate() {
                let bucket_s = micros.div_euclid(1_000_000);
                if is_count.get(i).copied().flatten() != Some(true) || bucket_s < seconds.0 || bucket_s >= seconds.1 {
                    continue;
                }
                let at = |column: &[i64]| column.get(i).copied().unwrap_or_default();
                let source = match sources {
                    Some(column) => source_ids.of(column, i, |text| source(text, pool))?,
                    None => 0,
                };
                take(CountRow {
                    bucket_s,
                    source,
                    counter: u8::try_from(at(counter)).unwrap_or_default(),
                    detail: u32::try_from(at(detail)).unwrap_or_default(),
                    packets: unsigned(at(packets)),
                    bytes: unsigned(at(bytes)),
                });
            }
        }
        Ok(())
    }

    /// Calls `take` with kind, source and text of each fact.
    ///
    /// # Errors
    /// [`Broken`]; some facts were taken then.
    pub fn facts(&self, take: &mut dyn FnMut(&str, &[u8], &str)) -> Result<(), Broken> {
        for batch in self.reader(&["kind", "source", "about"])? {
            let batch = batch?;
            let (kind, source, about) =
                (dictionary(&batch, "kind")?, dictionary(&batch, "source")?, dictionary(&batch, "about")?);
            for i in 0..batch.num_rows() {
                let kind = value(kind, i)?;
                if kind != "count" {
                    let source = from_hex(value(source, i)?);
                    take(kind, &source.ok_or_else(|| odd("source"))?, value(about, i)?);
                }
            }
        }
        Ok(())
    }
}
