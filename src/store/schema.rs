//! Rows become columns, and files with different columns become one table.
//!
//! Columns are united by name; what a file lacks is NULL. An integer and a float of the same name meet as
//! float; any other two types meet as text.

use super::StoreError;
use crate::record::{Cell, Row};
use arrow::array::{
    Array, ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, ListBuilder, MapBuilder, RecordBatch,
    RecordBatchOptions, StringBuilder, TimestampMicrosecondBuilder, new_null_array,
};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use std::collections::{HashMap, HashSet};
use std::mem::discriminant;
use std::path::Path;
use std::sync::Arc;

/// Rows as one batch; columns stand in the order in which they first appear.
pub fn rows_to_batch(rows: &[Row]) -> RecordBatch {
    let mut columns = RowColumns::default();
    let mut kinds: Vec<Option<DataType>> = Vec::new();
    let mut cells: Vec<Vec<&Cell>> = Vec::new();
    for (row_index, row) in rows.iter().enumerate() {
        for (position, (name, cell)) in row.iter().enumerate() {
            let index = columns.index_of(position, name);
            if index == cells.len() {
                kinds.push(None);
                cells.push(vec![&Cell::Null; rows.len()]);
            }
            cells[index][row_index] = cell;
            // Of cells alike one tells the type.
            let is_like_the_last = row_index > 0 && discriminant(cells[index][row_index - 1]) == discriminant(cell);
            if let Some(kind) = kind_of(cell).filter(|_| !is_like_the_last) {
                kinds[index] = Some(kinds[index].take().map_or(kind.clone(), |known| common_type(&known, &kind)));
            }
        }
    }
    let names = columns.names;
    // A column that holds nothing yet is text until a file says otherwise.
    let types: Vec<DataType> = kinds.into_iter().map(|kind| kind.unwrap_or(DataType::Null)).collect();
    let fields: Vec<Field> =
        names.iter().zip(&types).map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect();
    let arrays = cells.iter().zip(&types).map(|(cells, kind)| array_of(cells, kind)).collect();
    batch(Arc::new(Schema::new(fields)), arrays, rows.len())
}

/// The columns of rows whose names mostly come in the same order.
#[derive(Default)]
struct RowColumns<'a> {
    names: Vec<&'a str>,
    indices: HashMap<&'a str, usize>,
    /// The column that stood at each position of a row.
    last: Vec<usize>,
}

impl<'a> RowColumns<'a> {
    fn index_of(&mut self, position: usize, name: &'a str) -> usize {
        if let Some(&index) = self.last.get(position).filter(|index| self.names[**index] == name) {
            return index;
        }
        let index = *self.indices.entry(name).or_insert(self.names.len());
        if index == self.names.len() {
            self.names.push(name);
        }
        match self.last.get_mut(position) {
            Some(last) => *last = index,
            None => self.last.push(index),
        }
        index
    }
}

/// The schema that holds the columns of all.
pub fn unite_schemas<'a>(schemas: impl IntoIterator<Item = &'a Schema>) -> SchemaRef {
    let mut fields: Vec<Field> = Vec::new();
    let mut index_of = HashMap::new();
    for field in schemas.into_iter().flat_map(|schema| schema.fields()) {
        match index_of.get(field.name()) {
            None => {
                index_of.insert(field.name().clone(), fields.len());
                fields.push(Field::new(field.name(), plain_type(field.data_type()), true));
            }
            Some(&index) => {
                let kind = common_type(fields[index].data_type(), &plain_type(field.data_type()));
                fields[index] = Field::new(field.name(), kind, true);
            }
        }
    }
    Arc::new(Schema::new(fields))
}

/// Columns that are numbers in some schemas and text in others: they meet as text, which a user should know.
pub fn mixed_columns<'a>(schemas: impl Iterator<Item = &'a Schema>) -> Vec<String> {
    let (mut numbers, mut texts) = (HashSet::new(), HashSet::new());
    for field in schemas.flat_map(|schema| schema.fields()) {
        match plain_type(field.data_type()) {
            DataType::Utf8 => texts.insert(field.name()),
            kind => kind.is_numeric() && numbers.insert(field.name()),
        };
    }
    let mut mixed: Vec<String> = numbers.intersection(&texts).map(|name| (*name).clone()).collect();
    mixed.sort();
    mixed
}

/// The rows of all batches under one schema, as one batch.
pub fn unite(schema: &SchemaRef, batches: &[RecordBatch], origin: &Path) -> Result<RecordBatch, StoreError> {
    fit_all(schema, batches).and_then(|fitted| concat_batches(schema, &fitted)).map_err(StoreError::data(origin))
}

/// Each batch under the schema.
pub fn fit_all(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<RecordBatch>, ArrowError> {
    batches.iter().map(|batch| fit(schema, batch)).collect()
}

/// The batch under the schema: its columns in order, cast, NULL where it lacks one.
pub fn fit(schema: &SchemaRef, found: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let arrays = schema.fields().iter().map(|field| match found.column_by_name(field.name()) {
        Some(column) => cast(column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), found.num_rows())),
    });
    Ok(batch(schema.clone(), arrays.collect::<Result<_, _>>()?, found.num_rows()))
}

fn batch(schema: SchemaRef, arrays: Vec<ArrayRef>, num_rows: usize) -> RecordBatch {
    let options = RecordBatchOptions::new().with_row_count(Some(num_rows));
    RecordBatch::try_new_with_options(schema, arrays, &options)
        .expect("columns were built for this schema and number of rows")
}

/// Columns that were dictionary- or view-encoded by another writer count as what they hold.
fn plain_type(kind: &DataType) -> DataType {
    match kind {
        DataType::Dictionary(_, value) => plain_type(value),
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        other => other.clone(),
    }
}

fn common_type(left: &DataType, right: &DataType) -> DataType {
    match (left, right) {
        (DataType::Null, kind) | (kind, DataType::Null) => kind.clone(),
        (left, right) if left == right => left.clone(),
        (left, right) if left.is_numeric() && right.is_numeric() => DataType::Float64,
        _ => DataType::Utf8,
    }
}

fn kind_of(cell: &Cell) -> Option<DataType> {
    match cell {
        Cell::Null => None,
        Cell::Bool(_) => Some(DataType::Boolean),
        Cell::Int(_) => Some(DataType::Int64),
        Cell::Float(_) => Some(DataType::Float64),
        Cell::Text(_) => Some(DataType::Utf8),
        Cell::Time(_) => Some(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        Cell::Floats(_) => Some(DataType::List(Arc::new(Field::new_list_field(DataType::Float64, true)))),
        Cell::Map(_) => Some(empty_map().finish().data_type().clone()),
    }
}

fn array_of(cells: &[&Cell], kind: &DataType) -> ArrayRef {
    match kind {
        DataType::Boolean => {
            let mut column = BooleanBuilder::new();
            cells
                .iter()
                .for_each(|cell| column.append_option(if let Cell::Bool(value) = cell { Some(*value) } else { None }));
            Arc::new(column.finish())
        }
        DataType::Int64 => {
            let mut column = Int64Builder::new();
            cells
                .iter()
                .for_each(|cell| column.append_option(if let Cell::Int(value) = cell { Some(*value) } else { None }));
            Arc::new(column.finish())
        }
        DataType::Float64 => {
            let mut column = Float64Builder::new();
            cells.iter().for_each(|cell| column.append_option(cell.as_f64()));
            Arc::new(column.finish())
        }
        DataType::Timestamp(..) => {
            let mut column = TimestampMicrosecondBuilder::new().with_timezone("UTC");
            cells
                .iter()
                .for_each(|cell| column.append_option(if let Cell::Time(value) = cell { Some(*value) } else { None }));
            Arc::new(column.finish())
        }
        DataType::List(_) => {
            let mut column = ListBuilder::new(Float64Builder::new());
            cells.iter().for_each(|cell| match cell {
                Cell::Floats(values) => column.append_value(values.iter().map(|value| Some(*value))),
                _ => column.append_null(),
            });
            Arc::new(column.finish())
        }
        DataType::Map(..) => {
            let mut column = empty_map();
            for cell in cells {
                if let Cell::Map(entries) = cell {
                    entries.iter().for_each(|(key, value)| {
                        column.keys().append_value(key);
                        column.values().append_value(value);
                    });
                }
                column.append(matches!(cell, Cell::Map(_))).expect("each key has a value");
            }
            Arc::new(column.finish())
        }
        DataType::Null => new_null_array(&DataType::Null, cells.len()),
        _ => {
            let mut column = StringBuilder::new();
            cells.iter().for_each(|cell| column.append_option(text_of(cell)));
            Arc::new(column.finish())
        }
    }
}

fn empty_map() -> MapBuilder<StringBuilder, StringBuilder> {
    MapBuilder::new(None, StringBuilder::new(), StringBuilder::new())
}

fn text_of(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Null | Cell::Floats(_) | Cell::Map(_) => None,
        Cell::Bool(value) => Some(value.to_string()),
        Cell::Int(value) | Cell::Time(value) => Some(value.to_string()),
        Cell::Float(value) => Some(value.to_string()),
        Cell::Text(text) => Some(text.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::AsArray;
    use arrow::datatypes::Float64Type;

    fn row(cells: &[(&str, Cell)]) -> Row {
        cells.iter().map(|(name, cell)| ((*name).to_owned().into(), cell.clone())).collect()
    }

    #[test]
    fn int_meets_float_and_number_meets_text() {
        let batch = rows_to_batch(&[
            row(&[("x", Cell::Int(6)), ("y", Cell::Int(1)), ("z", Cell::Null)]),
            row(&[("x", Cell::Float(f64::INFINITY)), ("y", "auto".into())]),
        ]);
        assert_eq!(batch.column(0).as_primitive::<Float64Type>().values(), &[6.0, f64::INFINITY]);
        assert_eq!(batch.column(1).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("1"), Some("auto")]);
        assert_eq!(batch.schema().field(2).data_type(), &DataType::Null);
    }

    #[test]
    fn batches_with_different_columns_become_one() {
        let first = rows_to_batch(&[row(&[("a", Cell::Int(1)), ("n", Cell::Null)])]);
        let second = rows_to_batch(&[row(&[("b", "t".into()), ("a", Cell::Float(0.5)), ("n", Cell::Bool(true))])]);
        let schema = unite_schemas([first.schema_ref().as_ref(), second.schema_ref().as_ref()]);
        let all = unite(&schema, &[first, second], Path::new("x")).unwrap();
        assert_eq!(all.column_by_name("a").unwrap().as_primitive::<Float64Type>().values(), &[1.0, 0.5]);
        assert_eq!(all.column_by_name("b").unwrap().null_count(), 1);
        assert!(all.column_by_name("n").unwrap().as_boolean().value(1));
    }
}
