//! Files with different columns become one table.
//!
//! Columns are united by name and kind; what a file lacks is NULL. An integer and a float of the same name meet as float. A
//! parameter that has numbers in one file and texts in another is a mixed column: texts, in which a number stands as people
//! write it. A name that is measured in one file and set in another is two columns: `NAME` and `result.NAME`.

#![expect(clippy::indexing_slicing, reason = "places are those of lists that are made here")]

use crate::record::spelled_number;
use crate::store::StoreError;
use crate::table::{Kind, Table, is_reserved, unit_of};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringArray, new_null_array};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Float64Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Keys of a column's metadata.
const KIND: &str = "sweeplake.kind";
const UNIT: &str = "sweeplake.unit";
const MIXED: &str = "sweeplake.mixed";

const RESULT: &str = "result.";

/// A column with what is known of it.
pub fn field_of(name: &str, holds: DataType, kind: Option<Kind>, is_mixed: bool) -> Field {
    let mut metadata = HashMap::new();
    if let Some(kind) = kind {
        metadata.insert(KIND.to_owned(), kind.as_str().to_owned());
        metadata.extend(unit_of(Table::Runs, name).map(|unit| (UNIT.to_owned(), unit.to_owned())));
    }
    if is_mixed {
        metadata.insert(MIXED.to_owned(), "true".to_owned());
    }
    Field::new(name, holds, true).with_metadata(metadata)
}

pub fn kind_of(field: &Field) -> Option<Kind> {
    field.metadata().get(KIND).and_then(|text| Kind::parse(text))
}

/// Whether a column has both numbers and texts.
pub fn is_mixed(field: &Field) -> bool {
    field.metadata().contains_key(MIXED)
}

pub fn is_metric(kind: Option<Kind>) -> bool {
    kind == Some(Kind::Metric)
}

/// The column of a measured value whose name is a parameter's elsewhere.
pub fn result_name(name: &str) -> String {
    format!("{RESULT}{name}")
}

/// What the files say of one column.
#[derive(Clone, Debug)]
struct United {
    name: String,
    holds: DataType,
    kind: Option<Kind>,
    is_mixed: bool,
}

impl United {
    fn of(field: &Field) -> Self {
        Self {
            name: field.name().clone(),
            holds: plain_type(field.data_type()),
            kind: kind_of(field),
            is_mixed: is_mixed(field),
        }
    }

    fn add(&mut self, field: &Field) {
        let (holds, is_mixed) = common_type(&self.holds, &plain_type(field.data_type()));
        self.is_mixed |= is_mixed || self::is_mixed(field);
        self.holds = holds;
        // A parameter in one file and a fact of the run in another is a parameter.
        self.kind = self.kind.max(kind_of(field));
    }
}

/// The schema that holds the columns of all.
pub fn unite_schemas<'a>(schemas: impl IntoIterator<Item = &'a Schema>) -> SchemaRef {
    let mut columns: Vec<United> = Vec::new();
    let mut index_of: HashMap<(String, bool), usize> = HashMap::new();
    for field in schemas.into_iter().flat_map(|schema| schema.fields()) {
        let is_metric = is_metric(kind_of(field));
        // `result.NAME` is the same column as a `NAME` that is measured, unless the name is one of ours.
        let plain = field.name().strip_prefix(RESULT).filter(|name| is_metric && !is_reserved(name));
        let plain = plain.unwrap_or(field.name());
        match index_of.get(&(plain.to_owned(), is_metric)) {
            Some(&index) => columns[index].add(field),
            None => {
                index_of.insert((plain.to_owned(), is_metric), columns.len());
                columns.push(United { name: plain.to_owned(), ..United::of(field) });
            }
        }
    }
    let fields = columns.iter().map(|column| {
        let is_elsewhere_set = is_metric(column.kind) && index_of.contains_key(&(column.name.clone(), false));
        let name = if is_elsewhere_set { result_name(&column.name) } else { column.name.clone() };
        field_of(&name, column.holds.clone(), column.kind, column.is_mixed)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
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
    let own = found.schema();
    let arrays = schema.fields().iter().map(|field| match source_of(field, &own) {
        Some(index) => converted(found.column(index), field),
        None => Ok(new_null_array(field.data_type(), found.num_rows())),
    });
    Ok(batch(schema.clone(), arrays.collect::<Result<_, _>>()?, found.num_rows()))
}

/// Which column of a file is a column of a table. By name; and what is set is not what is measured.
pub fn source_of(wanted: &Field, file: &Schema) -> Option<usize> {
    let of_kind = |name: &str| {
        let index = file.index_of(name).ok()?;
        let kind = kind_of(file.field(index));
        let is_same = kind_of(wanted).is_none() || kind.is_none() || is_metric(kind) == is_metric(kind_of(wanted));
        is_same.then_some(index)
    };
    let is_measured = is_metric(kind_of(wanted));
    let plain = wanted.name().strip_prefix(RESULT).filter(|_| is_measured);
    let marked = || of_kind(&result_name(wanted.name())).filter(|_| is_measured);
    of_kind(wanted.name()).or_else(|| of_kind(plain?)).or_else(marked)
}

/// A column as the table holds it.
pub fn converted(column: &ArrayRef, field: &Field) -> Result<ArrayRef, ArrowError> {
    match (column.data_type(), field.data_type()) {
        (DataType::Float64 | DataType::Float32, DataType::Utf8) => Ok(Arc::new(spelled(column)?)),
        (_, holds) => cast(column, holds),
    }
}

/// Numbers as people write them: `8` and not `8.0`.
pub fn spelled(numbers: &ArrayRef) -> Result<StringArray, ArrowError> {
    let numbers = cast(numbers, &DataType::Float64)?;
    Ok(numbers.as_primitive::<Float64Type>().iter().map(|number| number.map(spelled_number)).collect())
}

/// Columns that were dictionary- or view-encoded by another writer count as what they hold.
fn plain_type(holds: &DataType) -> DataType {
    match holds {
        DataType::Dictionary(_, value) => plain_type(value),
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        other => other.clone(),
    }
}

/// The type that holds both, and whether it is texts because one of them is not.
pub fn common_type(left: &DataType, right: &DataType) -> (DataType, bool) {
    match (left, right) {
        (DataType::Null, holds) | (holds, DataType::Null) => (holds.clone(), false),
        (left, right) if left == right => (left.clone(), false),
        (left, right) if left.is_numeric() && right.is_numeric() => (DataType::Float64, false),
        _ => (DataType::Utf8, true),
    }
}

/// A batch of arrays that were made for its schema.
#[expect(clippy::expect_used, reason = "columns were built for this schema and number of rows")]
pub fn batch(schema: SchemaRef, arrays: Vec<ArrayRef>, num_rows: usize) -> RecordBatch {
    let options = RecordBatchOptions::new().with_row_count(Some(num_rows));
    RecordBatch::try_new_with_options(schema, arrays, &options)
        .expect("columns were built for this schema and number of rows")
}

/// The batch with one of its texts in place of another.
#[expect(clippy::expect_used, reason = "one column takes the place of another of its type")]
pub fn with_column(batch: &RecordBatch, name: &str, values: ArrayRef) -> RecordBatch {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    let columns = columns.map(|(field, column)| if field.name() == name { values.clone() } else { column.clone() });
    RecordBatch::try_new(schema.clone(), columns.collect()).expect("one text column takes the place of another")
}

/// The batch with one text in all rows of a column.
pub fn with_text(batch: &RecordBatch, name: &str, text: &str) -> RecordBatch {
    with_column(batch, name, Arc::new(StringArray::from(vec![text; batch.num_rows()])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Cell, Row};
    use crate::store::rows_to_batch;

    fn row(cells: &[(&str, Cell)]) -> Row {
        cells.iter().map(|(name, cell)| ((*name).to_owned().into(), cell.clone())).collect()
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

    #[test]
    fn numbers_and_texts_meet_as_texts_that_are_spelled_alike() {
        let texts = rows_to_batch(&[row(&[("a", "auto".into())])]);
        let numbers = rows_to_batch(&[row(&[("a", Cell::Float(8192.0))]), row(&[("a", Cell::Float(0.5))])]);
        let schema = unite_schemas([texts.schema_ref().as_ref(), numbers.schema_ref().as_ref()]);
        assert!(is_mixed(schema.field(0)));
        let all = unite(&schema, &[texts, numbers], Path::new("x")).unwrap();
        assert_eq!(all.column(0).as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["auto", "8192", "0.5"]);
    }

    #[test]
    fn what_is_set_and_what_is_measured_under_one_name_stay_apart() {
        let field = |name: &str, kind: Kind| field_of(name, DataType::Float64, Some(kind), false);
        let set = Schema::new(vec![field("power", Kind::ServeParameter)]);
        let measured = Schema::new(vec![field("power", Kind::Metric)]);
        let both = Schema::new(vec![field("power", Kind::Context), field("result.power", Kind::Metric)]);
        for schemas in [[&set, &measured, &both], [&both, &measured, &set], [&measured, &set, &both]] {
            let united = unite_schemas(schemas);
            let kinds: HashMap<&str, Option<Kind>> =
                united.fields().iter().map(|field| (field.name().as_str(), kind_of(field))).collect();
            assert_eq!(
                kinds,
                HashMap::from([("power", Some(Kind::ServeParameter)), ("result.power", Some(Kind::Metric)),])
            );
            let of = |name: &str, file: &Schema| source_of(united.field_with_name(name).unwrap(), file);
            assert_eq!((of("power", &set), of("result.power", &set)), (Some(0), None));
            assert_eq!((of("power", &measured), of("result.power", &measured)), (None, Some(0)));
            assert_eq!((of("power", &both), of("result.power", &both)), (Some(0), Some(1)));
        }
        let only = unite_schemas([&measured, &measured]);
        assert_eq!(only.field(0).name(), "power");
    }
}
