//! Rows become columns.

#![expect(clippy::indexing_slicing, reason = "places are those of lists that are made here")]

use super::schema::{batch, common_type, field_of, is_metric, result_name};
use crate::record::{Cell, Row, RunRow};
use crate::table::{Kind, Type, is_reserved, metric_type};
use arrow::array::{
    Array, ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, ListBuilder, MapBuilder, RecordBatch, StringBuilder,
    TimestampMicrosecondBuilder, new_null_array,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use std::collections::{HashMap, HashSet};
use std::mem::discriminant;
use std::sync::Arc;

/// Rows as one batch; columns stand in the order in which they first appear.
pub fn rows_to_batch(rows: &[Row]) -> RecordBatch {
    let cells = rows.iter().map(|row| row.iter().map(|(name, cell)| (name.as_ref(), None, cell)));
    to_batch(rows.len(), cells)
}

/// Runs as one batch, each column with its kind. A name that is measured in one run and set in another is two columns: `NAME` and
/// `result.NAME`.
pub fn runs_to_batch(runs: &[RunRow]) -> RecordBatch {
    let names_of = |is_wanted: fn(Kind) -> bool| -> HashSet<&str> {
        let fields = runs.iter().flatten().filter(move |field| is_wanted(field.kind));
        fields.map(|field| field.name.as_ref()).collect()
    };
    let measured = names_of(|kind| kind == Kind::Metric);
    let others = names_of(|kind| kind != Kind::Metric);
    let renamed: HashMap<&str, String> =
        measured.intersection(&others).map(|name| (*name, result_name(name))).collect();
    let rows = runs.iter().map(|run| {
        run.iter().map(|field| {
            let renamed = renamed.get(field.name.as_ref()).filter(|_| field.kind == Kind::Metric);
            (renamed.map_or(field.name.as_ref(), String::as_str), Some(field.kind), &field.cell)
        })
    });
    to_batch(runs.len(), rows)
}

/// A column while it is found out what it holds.
struct Found<'a> {
    name: &'a str,
    kind: Option<Kind>,
    holds: Option<DataType>,
    is_mixed: bool,
    cells: Vec<&'a Cell>,
}

fn to_batch<'a>(
    num_rows: usize,
    rows: impl Iterator<Item = impl Iterator<Item = (&'a str, Option<Kind>, &'a Cell)>>,
) -> RecordBatch {
    let mut places = Places::default();
    let mut columns: Vec<Found<'a>> = Vec::new();
    for (row_index, row) in rows.enumerate() {
        for (position, (name, kind, cell)) in row.enumerate() {
            let index = places.index_of(position, name);
            if index == columns.len() {
                columns.push(Found { name, kind, holds: None, is_mixed: false, cells: vec![&Cell::Null; num_rows] });
            }
            let column = &mut columns[index];
            column.kind = column.kind.max(kind);
            column.cells[row_index] = cell;
            // Of cells alike one tells the type.
            let is_like_the_last = row_index > 0 && discriminant(column.cells[row_index - 1]) == discriminant(cell);
            if let Some(holds) = type_of(cell).filter(|_| !is_like_the_last) {
                let (common, is_mixed) = match column.holds.take() {
                    Some(known) => common_type(&known, &holds),
                    None => (holds, false),
                };
                column.holds = Some(common);
                column.is_mixed |= is_mixed;
            }
        }
    }
    let types: Vec<DataType> = columns.iter().map(Found::data_type).collect();
    let fields: Vec<Field> = columns
        .iter()
        .zip(&types)
        .map(|(column, holds)| field_of(column.name, holds.clone(), column.kind, column.is_mixed))
        .collect();
    let arrays = columns.iter().zip(&types).map(|(column, holds)| array_of(&column.cells, holds)).collect();
    batch(Arc::new(Schema::new(fields)), arrays, num_rows)
}

impl Found<'_> {
    /// What is measured has a type of its own; a column that holds nothing has none until another file says so.
    fn data_type(&self) -> DataType {
        let of_metric = || match metric_type(self.name) {
            Type::Integer => DataType::Int64,
            _ => DataType::Float64,
        };
        match &self.holds {
            None if is_metric(self.kind) && is_reserved(self.name) => of_metric(),
            Some(DataType::Int64 | DataType::Float64) if is_metric(self.kind) => of_metric(),
            holds => holds.clone().unwrap_or(DataType::Null),
        }
    }
}

/// The columns of rows whose names mostly come in the same order.
#[derive(Default)]
struct Places<'a> {
    names: Vec<&'a str>,
    indices: HashMap<&'a str, usize>,
    /// The column that stood at each position of a row.
    last: Vec<usize>,
}

impl<'a> Places<'a> {
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

fn type_of(cell: &Cell) -> Option<DataType> {
    match cell {
        Cell::Null => None,
        Cell::Bool(_) => Some(DataType::Boolean),
        Cell::Int(_) => Some(DataType::Int64),
        Cell::Float(_) => Some(DataType::Float64),
        Cell::Text(_) => Some(DataType::Utf8),
        Cell::Time(_) => Some(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        Cell::Floats(_) => Some(list_of(DataType::Float64)),
        Cell::Texts(_) => Some(list_of(DataType::Utf8)),
        Cell::Map(_) => Some(empty_map().finish().data_type().clone()),
    }
}

/// A list as the builders make it.
pub fn list_of(holds: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(holds, true)))
}

/// The type of a column of texts by key.
pub fn map_type() -> DataType {
    empty_map().finish().data_type().clone()
}

fn array_of(cells: &[&Cell], holds: &DataType) -> ArrayRef {
    match holds {
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
        DataType::List(_) | DataType::Map(..) => nested_array_of(cells, holds),
        DataType::Null => new_null_array(&DataType::Null, cells.len()),
        _ => {
            let mut column = StringBuilder::new();
            cells.iter().for_each(|cell| column.append_option(cell.spelled()));
            Arc::new(column.finish())
        }
    }
}

#[expect(clippy::expect_used, reason = "each key has a value")]
fn nested_array_of(cells: &[&Cell], holds: &DataType) -> ArrayRef {
    match holds {
        DataType::List(item) if item.data_type() == &DataType::Utf8 => {
            let mut column = ListBuilder::new(StringBuilder::new());
            cells.iter().for_each(|cell| match cell {
                Cell::Texts(texts) => column.append_value(texts.iter().map(Some)),
                _ => column.append_null(),
            });
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
        _ => {
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
    }
}

fn empty_map() -> MapBuilder<StringBuilder, StringBuilder> {
    MapBuilder::new(None, StringBuilder::new(), StringBuilder::new())
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
            row(&[("x", Cell::Int(6)), ("y", Cell::Float(8192.0)), ("z", Cell::Null)]),
            row(&[("x", Cell::Float(f64::INFINITY)), ("y", "auto".into())]),
        ]);
        assert_eq!(batch.column(0).as_primitive::<Float64Type>().values(), &[6.0, f64::INFINITY]);
        assert_eq!(batch.column(1).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("8192"), Some("auto")]);
        assert_eq!(batch.schema().field(2).data_type(), &DataType::Null);
    }

    #[test]
    fn what_is_set_in_one_run_and_measured_in_another_is_two_columns() {
        use crate::record::Field;
        let field = |kind: Kind, cell: Cell| Field { name: "power".into(), kind, cell };
        let batch = runs_to_batch(&[
            vec![field(Kind::ServeParameter, Cell::Int(300))],
            vec![field(Kind::Metric, Cell::Float(299.5))],
        ]);
        let schema = batch.schema();
        assert_eq!(
            schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(),
            ["power", "result.power"]
        );
        assert_eq!(crate::store::file::schema::kind_of(schema.field(0)), Some(Kind::ServeParameter));
        assert_eq!(crate::store::file::schema::kind_of(schema.field(1)), Some(Kind::Metric));
        assert!(batch.column(0).is_null(1) && batch.column(1).is_null(0));
    }

    #[test]
    fn known_metrics_have_their_type_whatever_they_hold() {
        use crate::record::Field;
        let metric = |name: &'static str, cell: Cell| Field { name: name.into(), kind: Kind::Metric, cell };
        let batch = runs_to_batch(&[vec![
            metric("p99_e2el_ms", Cell::Null),
            metric("completed", Cell::Null),
            metric("gpu_power_w", Cell::Float(3.0)),
            metric("unknown", Cell::Null),
        ]]);
        let types: Vec<DataType> = batch.schema().fields().iter().map(|field| field.data_type().clone()).collect();
        assert_eq!(types, [DataType::Float64, DataType::Int64, DataType::Float64, DataType::Null]);
    }
}
