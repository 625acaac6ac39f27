//! Formats as each command has them: its `--help` and shells offer those that it writes, and say
//! what they are there. The others are understood, so that an error can say which command has them.

use super::LineFormat;
use crate::report::Format;
use clap::builder::{EnumValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, Command, Error, ValueEnum};
use std::ffi::OsStr;

/// Formats that are offered, with what they are.
#[derive(Debug, Clone)]
struct Offered<F: 'static>(&'static [(F, &'static str)]);

impl<F: ValueEnum> Offered<F> {
    fn values(&self) -> impl Iterator<Item = PossibleValue> {
        let value = |(format, what): &(F, &'static str)| Some(format.to_possible_value()?.help(*what));
        self.0.iter().filter_map(value)
    }
}

impl<F: ValueEnum + Send + Sync> TypedValueParser for Offered<F> {
    type Value = F;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<F, Error> {
        EnumValueParser::<F>::new().parse_ref(command, arg, value).map_err(|error| {
            // What is no format at all is told with the formats of this command.
            let told = PossibleValuesParser::new(self.values()).parse_ref(command, arg, value);
            told.err().unwrap_or(error)
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.values()))
    }
}

const TABLE: (Format, &str) = (Format::Table, "For people: aligned columns, then the ledger");
const DOCUMENT: (Format, &str) = (Format::Json, "One document: range, rows, ledger");
const ROWS: (Format, &str) = (Format::Csv, "A header, then the rows; no ledger");
const PARQUET: (Format, &str) = (Format::Parquet, "Typed columns for data frames, with -o FILE");
const PAGE: (Format, &str) = (Format::Html, "A page for a browser, one file that asks for nothing");
const OVERVIEW: (Format, &str) =
    (Format::Html, "A page for a browser, one file that asks for nothing; without --by an overview");
const GAUGES: (Format, &str) =
    (Format::Prometheus, "Gauges for Prometheus of today and of billing periods, by site and device");
const TEXT: (Format, &str) = (Format::Table, "For people");

/// Those of `report`.
pub(super) fn of_report(arg: Arg) -> Arg {
    arg.value_parser(Offered(&[TABLE, DOCUMENT, ROWS, PARQUET, OVERVIEW, GAUGES]))
}

/// Those of `site`.
pub(super) fn of_site(arg: Arg) -> Arg {
    arg.value_parser(Offered(&[TABLE, DOCUMENT, ROWS, PARQUET, PAGE]))
}

/// Those of commands that answer with one document.
pub(super) fn of_document(arg: Arg) -> Arg {
    arg.value_parser(Offered(&[TEXT, (Format::Json, "One document"), (Format::Csv, "A header, then the rows")]))
}

/// Those of commands that answer with a list.
pub(super) fn of_list(arg: Arg) -> Arg {
    arg.value_parser(Offered(&[TEXT, (Format::Json, "One object a line"), (Format::Csv, "A header, then the rows")]))
}

/// Those of `names`: flows only can be found by a display filter.
pub(super) fn of_names(arg: Arg) -> Arg {
    const NAMES: &[(LineFormat, &str)] = &[
        (LineFormat::Json, "One JSON object a line"),
        (LineFormat::Csv, "A header, then the rows"),
        (LineFormat::Parquet, "Typed columns for data frames, with -o FILE"),
    ];
    arg.value_parser(Offered(NAMES))
}
