//! Parquet of the real binary, in its sandbox: the same rows as CSV, in types.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Date32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::BTreeMap;
use std::path::Path;
use support::{Home, testdata};

/// Rows with values as CSV has them, and the metadata.
fn read(path: &Path) -> (Vec<Vec<String>>, BTreeMap<String, String>) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path).unwrap()).unwrap();
    let about = reader.metadata().file_metadata().key_value_metadata().unwrap().clone();
    let about = about.into_iter().map(|about| (about.key, about.value.unwrap_or_default())).collect();
    let header = reader.schema().fields().iter().map(|field| field.name().clone()).collect();
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    let rows = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|row| texts(batch, row)));
    (std::iter::once(header).chain(rows).collect(), about)
}

fn texts(batch: &RecordBatch, row: usize) -> Vec<String> {
    batch.columns().iter().map(|column| text(column, row)).collect()
}

fn text(column: &dyn Array, row: usize) -> String {
    if column.is_null(row) {
        return String::new();
    }
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        DataType::Date32 => {
            let days = column.as_primitive::<Date32Type>().value(row);
            let epoch = jiff::civil::date(1970, 1, 1);
            epoch.checked_add(jiff::Span::new().days(days)).unwrap().to_string()
        }
        DataType::Timestamp(..) => {
            let at = column.as_primitive::<TimestampMicrosecondType>().value(row);
            jiff::Timestamp::from_microsecond(at).unwrap().to_string()
        }
        DataType::List(_) => {
            let list = column.as_list::<i32>().value(row);
            (0..list.len()).map(|i| text(&list, i)).collect::<Vec<_>>().join(" ")
        }
        other => panic!("{other}"),
    }
}

/// Rows of CSV; the texts of instants in one form, to the microsecond.
fn csv(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let instant = |field: &str| match field.parse::<jiff::Timestamp>() {
        Ok(at) => jiff::Timestamp::from_microsecond(at.as_microsecond()).unwrap().to_string(),
        Err(_) => field.to_owned(),
    };
    reader.records().map(|row| row.unwrap().iter().map(instant).collect()).collect()
}

#[test]
fn parquet_holds_what_csv_holds_and_says_what_made_it() {
    let home = Home::new();
    let capture = testdata("netlab/browse-lan.pcap.gz");
    let capture = capture.to_str().unwrap();
    for command in [
        format!("report {capture} --by site,hour,device --zone Europe/Berlin"),
        format!("report {capture} --by day,evidence --zone Europe/Berlin"),
        format!("site stream-cache.test site-f.test --files {capture}"),
        format!("flows {capture}"),
        format!("names {capture}"),
        format!("names {capture} --summary"),
    ] {
        let expect = csv(&home.ok(&format!("{command} --format csv")));
        assert_eq!(home.ok(&format!("{command} --format parquet -o out.parquet")), "");
        let (rows, about) = read(&home.path("out.parquet"));
        assert!(rows.len() > 1, "{command}");
        assert_eq!(rows, expect, "{command}");
        assert_eq!((about["imon.format"].as_str(), about["imon.families"].as_str()), ("1", "built-in"), "{command}");
        for key in ["imon.imon", "imon.rules", "imon.suffix_list", "imon.range"] {
            assert!(!about[key].is_empty(), "{command}: {key}");
        }
        if command.starts_with("report") {
            let range: serde_json::Value = serde_json::from_str(&about["imon.range"]).unwrap();
            let ledger: serde_json::Value = serde_json::from_str(&about["imon.ledger"]).unwrap();
            assert_eq!((range["zone"].as_str(), ledger["residual_bytes"].as_i64()), (Some("Europe/Berlin"), Some(0)));
        }
    }
}

#[test]
fn commands_without_typed_columns_write_none() {
    let home = Home::new();
    for command in ["status", "check x.seg", "explain a.example", "verify x.pcap", "rebuild --diff"] {
        let args = format!("{command} --format parquet -o out.parquet");
        let run = home.analyze(args.split(' '));
        assert_eq!(run.code, Some(2), "{}", run.err);
        assert!(run.err.starts_with("error: this command does not write Parquet\n  hint: "), "{}", run.err);
        assert!(!home.path("out.parquet").exists());
    }
}
