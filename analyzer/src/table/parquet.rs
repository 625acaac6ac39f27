//! Parquet: the columns that CSV has, typed, in row groups that are written as they fill up. For
//! data frames and engines: the types are those that all of them read.
//!
//! Numbers are INT64: released engines refuse unsigned ones. Instants are TIMESTAMP(MICROS, UTC).
//! The file's metadata say what made it (`imon.format` and the fields of the head) and, as JSON,
//! what stands below the rows.

use super::json::totals;
use super::{Column, Footer, Head, Row, RowKind, Shape, Sink, Value};
use arrow_array::builder::{
    ArrayBuilder, BooleanBuilder, Date32Builder, Int64Builder, ListBuilder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field as ArrowField, Schema, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Rows of a group: what is in memory at a time, some 10 MiB of flows. Readers skip groups and work
/// on them side by side.
const GROUP_ROWS: usize = 131_072;

/// Version of the layout, as of JSON documents.
const FORMAT: &str = "1";

/// The zone of instants, as Arrow calls it; Parquet says `isAdjustedToUTC`.
const UTC: &str = "UTC";

/// Writes Parquet.
pub struct ParquetSink<'a> {
    out: &'a mut dyn Write,
    columns: Vec<Cells>,
    rows: usize,
    file: Option<(ArrowWriter<Pipe>, Pipe)>,
    schema: Arc<Schema>,
}

/// What the writer of the file has written and `out` has not got yet: of a group at most.
#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<Vec<u8>>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Pipe {
    fn drain(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// The values of a column in this group; `None` for columns that are not written.
enum Cells {
    None,
    Text(StringBuilder),
    Number(Int64Builder),
    Flag(BooleanBuilder),
    Instant(TimestampMicrosecondBuilder),
    Date(Date32Builder),
    List(ListBuilder<StringBuilder>),
}

impl Cells {
    fn of(column: &Column) -> Self {
        match column.shape {
            _ if !column.is_in_csv() => Self::None,
            Shape::Text | Shape::Name | Shape::Figures => Self::Text(StringBuilder::new()),
            Shape::Bytes | Shape::Count | Shape::Bar => Self::Number(Int64Builder::new()),
            Shape::Flag => Self::Flag(BooleanBuilder::new()),
            Shape::Instant => Self::Instant(TimestampMicrosecondBuilder::new().with_timezone(UTC)),
            Shape::Date => Self::Date(Date32Builder::new()),
            Shape::List => Self::List(ListBuilder::new(StringBuilder::new())),
        }
    }

    fn data_type(&self) -> Option<DataType> {
        Some(match self {
            Self::None => return None,
            Self::Text(_) => DataType::Utf8,
            Self::Number(_) => DataType::Int64,
            Self::Flag(_) => DataType::Boolean,
            Self::Instant(_) => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
            Self::Date(_) => DataType::Date32,
            Self::List(_) => DataType::List(Arc::new(ArrowField::new_list_field(DataType::Utf8, true))),
        })
    }

    /// What does not fit the column is not known.
    fn push(&mut self, value: &Value<'_>) {
        match (self, value) {
            (Self::None, _) => {}
            (Self::Text(cells), Value::Text(text)) => cells.append_value(text),
            (Self::Text(cells), Value::Number(n)) => cells.append_value(n.to_string()),
            (Self::Text(cells), _) => cells.append_null(),
            (Self::Number(cells), Value::Signed(n)) => cells.append_value(*n),
            (Self::Number(cells), Value::Number(n)) => cells.append_value(signed(*n)),
            (Self::Number(cells), _) => cells.append_null(),
            (Self::Flag(cells), Value::Bool(is)) => cells.append_value(*is),
            (Self::Flag(cells), _) => cells.append_null(),
            (Self::Instant(cells), Value::Text(text)) => cells.append_option(micros(text)),
            (Self::Instant(cells), _) => cells.append_null(),
            (Self::Date(cells), Value::Text(text)) => cells.append_option(days(text)),
            (Self::Date(cells), _) => cells.append_null(),
            (Self::List(cells), Value::List(list)) => cells.append_value(list.iter().map(Some)),
            (Self::List(cells), _) => cells.append_null(),
        }
    }

    fn finish(&mut self) -> Option<ArrayRef> {
        let builder: &mut dyn ArrayBuilder = match self {
            Self::None => return None,
            Self::Text(cells) => cells,
            Self::Number(cells) => cells,
            Self::Flag(cells) => cells,
            Self::Instant(cells) => cells,
            Self::Date(cells) => cells,
            Self::List(cells) => cells,
        };
        Some(builder.finish())
    }
}

/// No sum here comes near the bound.
fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Microseconds since 1970 of an instant with its offset: `2026-11-05T14:00+01:00`.
fn micros(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_microsecond)
}

/// Days since 1970 of a date.
fn days(text: &str) -> Option<i32> {
    let date: jiff::civil::Date = text.parse().ok()?;
    let epoch = jiff::civil::date(1970, 1, 1);
    date.since((jiff::Unit::Day, epoch)).ok().map(|span| span.get_days())
}

fn failed(error: ParquetError) -> io::Error {
    io::Error::other(error)
}

impl<'a> ParquetSink<'a> {
    /// Parquet to `out`.
    pub fn new(out: &'a mut dyn Write) -> Self {
        Self { out, columns: Vec::new(), rows: 0, file: None, schema: Arc::new(Schema::empty()) }
    }

    /// Writes the rows so far as a group.
    fn group(&mut self) -> io::Result<()> {
        let Some((file, pipe)) = &mut self.file else { return Ok(()) };
        if self.rows > 0 {
            let arrays = self.columns.iter_mut().filter_map(Cells::finish).collect();
            let batch = RecordBatch::try_new(self.schema.clone(), arrays).map_err(ArrowError::into_io)?;
            file.write(&batch).and_then(|()| file.flush()).map_err(failed)?;
            self.rows = 0;
        }
        pipe.drain(self.out)
    }
}

/// An error of Arrow as one of writing.
trait IntoIo {
    fn into_io(self) -> io::Error;
}

impl IntoIo for ArrowError {
    fn into_io(self) -> io::Error {
        io::Error::other(self)
    }
}

fn about(name: &str, value: &serde_json::Value) -> KeyValue {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    KeyValue { key: format!("imon.{name}"), value: Some(text) }
}

impl Sink for ParquetSink<'_> {
    fn begin(&mut self, head: &Head, columns: &[Column]) -> io::Result<()> {
        self.columns = columns.iter().map(Cells::of).collect();
        let field =
            |(column, cells): (&Column, &Cells)| Some(ArrowField::new(column.field.clone(), cells.data_type()?, true));
        self.schema = Arc::new(Schema::new(columns.iter().zip(&self.columns).filter_map(field).collect::<Vec<_>>()));
        let mut metadata = vec![KeyValue { key: "imon.format".to_owned(), value: Some(FORMAT.to_owned()) }];
        metadata.extend(head.fields.iter().map(|(name, value)| about(name, value)));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).map_err(failed)?))
            .set_created_by(format!("imon-analyze {}", env!("CARGO_PKG_VERSION")))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_key_value_metadata(Some(metadata))
            .build();
        let pipe = Pipe::default();
        // Arrow's own schema beside Parquet's would hide the metadata from its readers in Python.
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let file = ArrowWriter::try_new_with_options(pipe.clone(), self.schema.clone(), options).map_err(failed)?;
        self.file = Some((file, pipe));
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        if row.kind == RowKind::Sum {
            return Ok(());
        }
        self.columns.iter_mut().zip(&row.values).for_each(|(cells, value)| cells.push(value));
        self.rows += 1;
        if self.rows < GROUP_ROWS { Ok(()) } else { self.group() }
    }

    fn end(&mut self, footer: &Footer) -> io::Result<()> {
        self.group()?;
        let Some((mut file, pipe)) = self.file.take() else { return Ok(()) };
        for (name, value) in &footer.fields {
            file.append_key_value_metadata(about(name, value));
        }
        if !footer.totals.is_empty() {
            let totals: serde_json::Map<_, _> =
                totals(footer).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            file.append_key_value_metadata(about(footer.totals_called, &totals.into()));
        }
        file.close().map_err(failed)?;
        pipe.drain(self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::{Date32Type, Int64Type, TimestampMicrosecondType};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use serde_json::json;

    fn columns() -> [Column; 7] {
        [
            Column::for_people("shown", Shape::Text),
            Column::for_scripts("host", Shape::Text),
            Column::for_scripts("bytes", Shape::Bytes),
            Column::for_scripts("named", Shape::Flag),
            Column::for_scripts("hour", Shape::Instant),
            Column::for_scripts("day", Shape::Date),
            Column::for_scripts("chain", Shape::List),
        ]
    }

    fn row(n: u64) -> Row<'static> {
        Row::new(vec![
            Value::text("no"),
            Value::text("=\"\n"),
            Value::Number(n),
            Value::Bool(true),
            Value::text("2026-10-25T02:00+01:00"),
            Value::text("1969-12-31"),
            Value::List(vec!["a".into(), "b".into()]),
        ])
    }

    fn written(rows: &[Row<'_>]) -> bytes::Bytes {
        let mut out = Vec::new();
        let mut sink = ParquetSink::new(&mut out);
        let head = Head { lines: Vec::new(), fields: vec![("rules", json!(7)), ("zone", json!("Europe/Berlin"))] };
        sink.begin(&head, &columns()).unwrap();
        rows.iter().for_each(|row| sink.row(row).unwrap());
        sink.end(&Footer { fields: vec![("rest", json!({"rows": 2}))], ..Footer::default() }).unwrap();
        drop(sink);
        out.into()
    }

    #[test]
    fn values_have_the_types_of_their_columns_and_come_back() {
        let sum = Row { kind: RowKind::Sum, ..row(1) };
        let nothing = Row::new(vec![Value::Null; 7]);
        let file = written(&[row(u64::MAX), nothing, sum]);
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let names: Vec<_> = reader.schema().fields().iter().map(|f| f.name().clone()).collect();
        assert_eq!(names, ["host", "bytes", "named", "hour", "day", "chain"]);
        let metadata = reader.metadata().file_metadata().key_value_metadata().unwrap().clone();
        for (key, value) in
            [("imon.format", "1"), ("imon.rules", "7"), ("imon.zone", "Europe/Berlin"), ("imon.rest", "{\"rows\":2}")]
        {
            let found = metadata.iter().find(|about| about.key == key).unwrap();
            assert_eq!(found.value.as_deref(), Some(value), "{key}");
        }
        let batch = reader.build().unwrap().next().unwrap().unwrap();
        assert_eq!(batch.num_rows(), 2, "no sums");
        assert_eq!(batch.column(0).as_string::<i32>().value(0), "=\"\n");
        assert_eq!(batch.column(1).as_primitive::<Int64Type>().value(0), i64::MAX);
        assert!(batch.column(2).as_boolean().value(0));
        let hour = batch.column(3).as_primitive::<TimestampMicrosecondType>();
        assert_eq!((hour.value(0), hour.timezone()), (1_792_890_000_000_000, Some("UTC")));
        assert_eq!(batch.column(4).as_primitive::<Date32Type>().value(0), -1);
        assert_eq!(batch.column(5).as_list::<i32>().value(0).as_string::<i32>().value(1), "b");
        assert!(batch.columns().iter().all(|column| column.is_null(1)));
    }

    #[test]
    fn rows_stream_in_groups() {
        let rows: Vec<_> = (0..GROUP_ROWS as u64 + 1).map(row).collect();
        let reader = ParquetRecordBatchReaderBuilder::try_new(written(&rows)).unwrap();
        let groups: Vec<_> = reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
        assert_eq!(groups, [GROUP_ROWS as i64, 1]);
    }

    #[test]
    fn a_file_without_rows_is_one() {
        let reader = ParquetRecordBatchReaderBuilder::try_new(written(&[])).unwrap();
        assert_eq!((reader.schema().fields().len(), reader.build().unwrap().count()), (6, 0));
    }
}
