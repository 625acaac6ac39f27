//! Columns of a batch as what they are.

use super::Broken;
use arrow_array::cast::AsArray as _;
use arrow_array::types::Int32Type;
use arrow_array::{Array as _, ArrayRef, DictionaryArray, RecordBatch, StringArray};

pub(super) fn odd(column: &str) -> Broken {
    Broken::Form(format!("a value of the column `{column}` that imon does not write"))
}

pub(super) fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or_default()
}

pub(in crate::archive) fn column<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b ArrayRef, Broken> {
    let found = batch.column_by_name(name).filter(|column| column.null_count() == 0);
    found.ok_or_else(|| Broken::Form(format!("the column `{name}` is missing, or has nulls")))
}

pub(in crate::archive) fn primitive<'b, T: arrow_array::ArrowPrimitiveType>(
    batch: &'b RecordBatch,
    name: &str,
) -> Result<&'b [T::Native], Broken> {
    let column = column(batch, name)?.as_primitive_opt::<T>();
    Ok(column.ok_or_else(|| odd(name))?.values())
}

pub(in crate::archive) fn dictionary<'b>(
    batch: &'b RecordBatch,
    name: &str,
) -> Result<&'b DictionaryArray<Int32Type>, Broken> {
    column(batch, name)?.as_dictionary_opt::<Int32Type>().ok_or_else(|| odd(name))
}

pub(in crate::archive) fn value(column: &DictionaryArray<Int32Type>, i: usize) -> Result<&str, Broken> {
    let key = column.keys().values().get(i).and_then(|key| usize::try_from(*key).ok());
    let values: Option<&StringArray> = column.values().as_string_opt();
    match (key, values) {
        (Some(key), Some(values)) if key < values.len() => Ok(values.value(key)),
        _ => Err(odd("dictionary")),
    }
}

/// What each row's word stands for.
pub(super) fn words<T: Copy>(
    column: &DictionaryArray<Int32Type>,
    of: impl Fn(&str) -> Option<T>,
) -> Result<Vec<Option<T>>, Broken> {
    let values: &StringArray = column.values().as_string_opt().ok_or_else(|| odd("dictionary"))?;
    let meanings: Vec<Option<T>> = values.iter().map(|word| word.and_then(&of)).collect();
    let meaning = |key: &i32| usize::try_from(*key).ok().and_then(|key| meanings.get(key).copied()).flatten();
    Ok(column.keys().values().iter().map(meaning).collect())
}
