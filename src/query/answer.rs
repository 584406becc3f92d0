//! An answer: rows and columns, as plain values and in the formats that other programs read.

use super::unique::told_apart;
use super::{QueryError, session};
use crate::record::{Row, spelled_number};
use crate::store::{is_mixed, kind_of, rows_to_batch};
use crate::table::Kind;
use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type, Schema, SchemaRef, UInt64Type};
use arrow::error::ArrowError;
use arrow::json::writer::{JsonArray, LineDelimited, NullableEncoder};
use arrow::json::{Encoder, EncoderFactory, EncoderOptions, WriterBuilder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::DFSchema;
use datafusion::datasource::MemTable;
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use std::io::Write;
use std::sync::Arc;

/// What a query returned.
#[derive(Clone, Debug)]
pub struct Answer {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

/// One cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

/// Formats for other programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Csv,
    Json,
    JsonLines,
    Parquet,
    /// Arrow's IPC stream.
    Arrow,
}

impl Answer {
    /// Rows that were found otherwise than by a query.
    pub fn of_rows(rows: &[Row]) -> Self {
        let batch = rows_to_batch(rows);
        Self { schema: batch.schema(), batches: vec![batch] }
    }

    pub fn columns(&self) -> Vec<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    /// The answer without one of its columns.
    pub fn without(mut self, name: &str) -> Self {
        if let Ok(index) = self.schema.index_of(name) {
            self.batches.iter_mut().for_each(|batch| drop(batch.remove_column(index)));
            let fields = self.schema.fields().iter().filter(|field| field.name() != name).cloned();
            self.schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        }
        self
    }

    /// The answer with other names for its columns.
    #[expect(clippy::expect_used, reason = "the columns stay as they are")]
    pub fn with_names(self, names: &[String]) -> Self {
        let fields = self.schema.fields().iter().zip(names);
        let fields = fields.map(|(field, name)| field.as_ref().clone().with_name(name)).collect::<Vec<_>>();
        let schema = Arc::new(Schema::new(fields));
        let renamed = self.batches.iter().map(|batch| {
            RecordBatch::try_new(schema.clone(), batch.columns().to_vec()).expect("only names are others")
        });
        Self { batches: renamed.collect(), schema: schema.clone() }
    }

    /// A column whose values are no single ones.
    pub fn nested_column(&self) -> Option<&str> {
        let nested = self.schema.fields().iter().find(|field| field.data_type().is_nested());
        nested.map(|field| field.name().as_str())
    }

    pub fn num_rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// Asks the answer itself, as a table of that name.
    pub async fn sql(&self, name: &str, sql: &str) -> Result<Self, QueryError> {
        let context = session();
        let table = MemTable::try_new(self.schema.clone(), vec![self.batches.clone()])?;
        context.register_table(name, Arc::new(table))?;
        let frame = context.sql(sql).await.map_err(QueryError::explain)?;
        Rows::new(frame.execute_stream().await.map_err(QueryError::of_execution)?).collect().await
    }

    /// All rows, cells in the order of [`Answer::columns`].
    pub fn rows(&self) -> Result<Vec<Vec<Value>>, QueryError> {
        let mut rows = Vec::with_capacity(self.num_rows());
        for batch in &self.batches {
            let columns = self.schema.fields().iter().zip(batch.columns());
            let columns: Vec<Vec<Value>> =
                columns.map(|(field, column)| values_of(field, column.as_ref())).collect::<Result<_, _>>()?;
            rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|column| column[row].clone()).collect()));
        }
        Ok(rows)
    }

    /// The cells of one column.
    pub fn column(&self, name: &str) -> Result<Vec<Value>, QueryError> {
        let index = self.schema.index_of(name);
        let index = index.map_err(|_| QueryError::NoColumn { column: name.to_owned(), nearest: None })?;
        let columns =
            self.batches.iter().map(|batch| values_of(self.schema.field(index), batch.column(index).as_ref()));
        Ok(columns.collect::<Result<Vec<_>, _>>()?.concat())
    }

    /// The cells of a column as numbers.
    pub fn numbers(&self, name: &str) -> Result<Vec<Option<f64>>, QueryError> {
        Ok(self.column(name)?.iter().map(Value::as_f64).collect())
    }

    /// The rows as values of a type, by the names of their columns; `query` is named in an error.
    pub fn typed<T: FromRow>(&self, query: &'static str) -> Result<Vec<T>, QueryError> {
        let names = self.columns();
        let place = |name: &'static str| {
            let found = names.iter().position(|known| known == name);
            found.ok_or_else(|| QueryError::Contract { query, column: name, reason: "is missing".into() })
        };
        let places = T::COLUMNS.iter().map(|name| place(name)).collect::<Result<Vec<_>, _>>()?;
        self.rows()?.iter().map(|row| T::from_row(query, &|index| &row[places[index]])).collect()
    }

    /// Writes the answer in a format for other programs.
    pub fn write(&self, format: Format, sink: &mut (dyn Write + Send)) -> Result<(), QueryError> {
        let mut writer = Writer::new(format, sink, &self.schema)?;
        self.batches.iter().try_for_each(|batch| writer.write(batch, &self.schema))?;
        writer.finish()
    }
}

/// Rows on their way.
pub struct Rows {
    schema: SchemaRef,
    batches: SendableRecordBatchStream,
}

impl Rows {
    pub(super) fn new(batches: SendableRecordBatchStream) -> Self {
        // That of the plan as it was typed has the types from before they met each other in it.
        Self { schema: told_apart(&batches.schema()), batches }
    }

    pub(super) fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// The rows with what the plan knows of its columns.
    pub(super) fn knowing(mut self, plan: &DFSchema) -> Self {
        let fields = self.schema.fields().iter().zip(plan.fields()).map(|(field, known)| {
            let is_same = field.data_type() == known.data_type();
            let metadata = if is_same { known.metadata() } else { field.metadata() };
            field.as_ref().clone().with_metadata(metadata.clone())
        });
        let fields: Vec<Field> = fields.collect();
        if fields.len() == self.schema.fields().len() {
            self.schema = Arc::new(Schema::new(fields));
        }
        self
    }

    /// Waits for all rows.
    pub async fn collect(self) -> Result<Answer, QueryError> {
        let batches = self.batches.try_collect().await.map_err(QueryError::of_execution)?;
        Ok(Answer { schema: self.schema, batches })
    }

    /// Writes the rows as they come: none is held back.
    pub async fn write(mut self, format: Format, sink: &mut (dyn Write + Send)) -> Result<(), QueryError> {
        let mut writer = Writer::new(format, sink, &self.schema)?;
        while let Some(batch) = self.batches.try_next().await.map_err(QueryError::of_execution)? {
            writer.write(&batch, &self.schema)?;
        }
        writer.finish()
    }
}

/// Writes batches in a format for other programs.
enum Writer<'a> {
    Csv(Box<arrow::csv::Writer<Sink<'a>>>, SchemaRef),
    Json(arrow::json::Writer<Sink<'a>, JsonArray>),
    JsonLines(arrow::json::Writer<Sink<'a>, LineDelimited>),
    Parquet(Box<parquet::arrow::ArrowWriter<Sink<'a>>>),
    Arrow(Box<arrow::ipc::writer::StreamWriter<Sink<'a>>>),
}

type Sink<'a> = &'a mut (dyn Write + Send);

impl<'a> Writer<'a> {
    fn new(format: Format, sink: Sink<'a>, schema: &SchemaRef) -> Result<Self, QueryError> {
        let json = WriterBuilder::new().with_explicit_nulls(true).with_encoder_factory(Arc::new(Spelling));
        Ok(match format {
            Format::Csv => {
                let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(sink);
                // The header, even where no row follows.
                writer.write(&RecordBatch::new_empty(without_lists(schema))).map_err(output_error)?;
                Self::Csv(Box::new(writer), without_lists(schema))
            }
            Format::Json => Self::Json(json.build(sink)),
            Format::JsonLines => Self::JsonLines(json.build(sink)),
            Format::Parquet => {
                let writer = parquet::arrow::ArrowWriter::try_new(sink, schema.clone(), None);
                Self::Parquet(Box::new(writer.map_err(output_error)?))
            }
            Format::Arrow => {
                let writer = arrow::ipc::writer::StreamWriter::try_new(sink, schema);
                Self::Arrow(Box::new(writer.map_err(output_error)?))
            }
        })
    }

    /// Writes a batch; `schema` says more of its columns than its own does.
    fn write(&mut self, batch: &RecordBatch, schema: &SchemaRef) -> Result<(), QueryError> {
        let batch = &RecordBatch::try_new(schema.clone(), batch.columns().to_vec()).unwrap_or_else(|_| batch.clone());
        match self {
            Self::Csv(writer, schema) => writer.write(&as_texts(batch, schema)?).map_err(output_error),
            Self::Json(writer) => writer.write(batch).map_err(output_error),
            Self::JsonLines(writer) => writer.write(batch).map_err(output_error),
            Self::Parquet(writer) => writer.write(batch).map_err(output_error),
            Self::Arrow(writer) => writer.write(batch).map_err(output_error),
        }
    }

    fn finish(self) -> Result<(), QueryError> {
        match self {
            Self::Csv(..) => Ok(()),
            Self::Json(mut writer) => {
                writer.finish().map_err(output_error)?;
                writer.into_inner().write_all(b"\n").map_err(output_error)
            }
            Self::JsonLines(mut writer) => writer.finish().map_err(output_error),
            Self::Parquet(writer) => writer.close().map(|_| ()).map_err(output_error),
            Self::Arrow(mut writer) => writer.finish().map_err(output_error),
        }
    }
}

/// A cell of CSV holds no list and no map: those become text, and so do numbers that are to be written as people write them.
fn without_lists(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| match field.data_type().is_nested() || is_setting(field) {
        true => Field::new(field.name(), DataType::Utf8, true),
        false => field.as_ref().clone(),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Whether a column has numbers that were set and not measured: those are written as they were typed.
fn is_setting(field: &Field) -> bool {
    field.data_type() == &DataType::Float64 && kind_of(field).is_some_and(|kind| kind != Kind::Metric)
}

fn as_texts(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, QueryError> {
    let own = batch.schema();
    let columns = own.fields().iter().zip(batch.columns()).map(|(field, column)| {
        if !column.data_type().is_nested() && !is_setting(field) {
            return Ok(column.clone());
        }
        let texts = values_of(field, column.as_ref())?.into_iter().map(|value| match value {
            Value::Null => None,
            value => Some(value.to_text()),
        });
        Ok(Arc::new(texts.collect::<StringArray>()) as ArrayRef)
    });
    RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, QueryError>>()?).map_err(output_error)
}

/// How JSON spells what it has no numbers for, and what may be a number or a text.
#[derive(Debug)]
struct Spelling;

impl EncoderFactory for Spelling {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        _: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let nulls = array.nulls().cloned();
        Ok(match array.data_type() {
            DataType::Float64 => {
                let encoder = Numbers { numbers: array.as_primitive(), is_setting: is_setting(field) };
                Some(NullableEncoder::new(Box::new(encoder), nulls))
            }
            DataType::Utf8 if is_mixed(field) => {
                Some(NullableEncoder::new(Box::new(MixedTexts(array.as_string())), nulls))
            }
            _ => None,
        })
    }
}

struct Numbers<'a> {
    numbers: &'a Float64Array,
    is_setting: bool,
}

impl Encoder for Numbers<'_> {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(json_number(self.numbers.value(index), self.is_setting).as_bytes());
    }
}

/// Unlimited and unknown stay apart: an infinite number is the text by which vLLM writes it.
fn json_number(number: f64, is_setting: bool) -> String {
    match number {
        number if number.is_nan() => "null".into(),
        number if number.is_infinite() => format!("\"{number}\""),
        number if is_setting => spelled_number(number),
        number => serde_json::Number::from_f64(number).map_or("null".into(), |number| number.to_string()),
    }
}

struct MixedTexts<'a>(&'a StringArray);

impl Encoder for MixedTexts<'_> {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        let text = self.0.value(index);
        let json = match Value::of_mixed(text) {
            Value::Float(number) => json_number(number, true),
            _ if matches!(text, "true" | "false") => text.to_owned(),
            _ => serde_json::Value::String(text.to_owned()).to_string(),
        };
        out.extend_from_slice(json.as_bytes());
    }
}

impl Value {
    /// A value of a column that has numbers and texts.
    fn of_mixed(text: &str) -> Self {
        match text.parse::<f64>() {
            Ok(number) if spelled_number(number) == text => Self::Float(number),
            _ => Self::Text(text.to_owned()),
        }
    }

    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// The value as text; nothing for NULL.
    pub fn to_text(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => spelled_number(*value),
            Self::Text(text) => text.clone(),
        }
    }
}

/// A row of an answer as a value of its own. `typed_row!` writes it.
pub trait FromRow: Sized {
    const COLUMNS: &'static [&'static str];

    /// Reads a row; `cell` gives the value of the column at an index of [`FromRow::COLUMNS`].
    fn from_row<'a>(query: &'static str, cell: &dyn Fn(usize) -> &'a Value) -> Result<Self, QueryError>;
}

/// A cell as a value of a type; `None` if it can't be one.
pub trait FromValue: Sized {
    fn from_value(value: &Value) -> Option<Self>;
}

impl FromValue for Value {
    fn from_value(value: &Value) -> Option<Self> {
        Some(value.clone())
    }
}

impl FromValue for f64 {
    fn from_value(value: &Value) -> Option<Self> {
        value.as_f64()
    }
}

impl FromValue for i64 {
    fn from_value(value: &Value) -> Option<Self> {
        value.as_f64().filter(|number| number.fract() == 0.0).map(|number| number as i64)
    }
}

impl FromValue for usize {
    fn from_value(value: &Value) -> Option<Self> {
        i64::from_value(value).and_then(|number| number.try_into().ok())
    }
}

impl FromValue for bool {
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Bool(value) = value { Some(*value) } else { None }
    }
}

impl FromValue for String {
    fn from_value(value: &Value) -> Option<Self> {
        (*value != Value::Null).then(|| value.to_text())
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value) -> Option<Self> {
        if *value == Value::Null { Some(None) } else { T::from_value(value).map(Some) }
    }
}

/// Reads one cell of a row; what it can't be is named.
pub fn cell_of<T: FromValue>(query: &'static str, column: &'static str, value: &Value) -> Result<T, QueryError> {
    T::from_value(value).ok_or_else(|| QueryError::Contract {
        query,
        column,
        reason: format!("contains {value:?} where a {} is expected", std::any::type_name::<T>()),
    })
}

/// Declares a struct that is read from rows by the names of its fields.
macro_rules! typed_row {
    ($(#[$attribute:meta])* $visibility:vis struct $name:ident {
        $($(#[$inner:meta])* $field_visibility:vis $field:ident: $holds:ty),* $(,)?
    }) => {
        $(#[$attribute])*
        #[derive(Clone, Debug)]
        $visibility struct $name {
            $($(#[$inner])* $field_visibility $field: $holds),*
        }

        impl $crate::query::FromRow for $name {
            const COLUMNS: &'static [&'static str] = &[$(stringify!($field)),*];

            fn from_row<'a>(
                query: &'static str,
                cell: &dyn Fn(usize) -> &'a $crate::query::Value,
            ) -> Result<Self, $crate::query::QueryError> {
                let mut index = 0..;
                Ok(Self {
                    $($field: {
                        let place = index.next().unwrap_or_default();
                        $crate::query::cell_of(query, stringify!($field), cell(place))?
                    }),*
                })
            }
        }
    };
}

pub(crate) use typed_row;

fn values_of(field: &Field, column: &dyn Array) -> Result<Vec<Value>, QueryError> {
    let each = |value: &dyn Fn(usize) -> Value| {
        Ok((0..column.len()).map(|row| if column.is_null(row) { Value::Null } else { value(row) }).collect())
    };
    let wide = |holds: DataType| arrow::compute::cast(column, &holds).map_err(|error| QueryError::Failed(error.into()));
    match column.data_type() {
        DataType::Boolean => each(&|row| Value::Bool(column.as_boolean().value(row))),
        DataType::Int64 => each(&|row| Value::Int(column.as_primitive::<Int64Type>().value(row))),
        DataType::Float64 => each(&|row| Value::Float(column.as_primitive::<Float64Type>().value(row))),
        DataType::Utf8 if is_mixed(field) => each(&|row| Value::of_mixed(column.as_string::<i32>().value(row))),
        DataType::Utf8 => each(&|row| Value::Text(column.as_string::<i32>().value(row).to_owned())),
        DataType::Null => each(&|_| Value::Null),
        DataType::UInt64 => each(&|row| {
            let value = column.as_primitive::<UInt64Type>().value(row);
            i64::try_from(value).map_or_else(|_| Value::Text(value.to_string()), Value::Int)
        }),
        holds if holds.is_integer() => values_of(field, wide(DataType::Int64)?.as_ref()),
        holds if holds.is_numeric() => values_of(field, wide(DataType::Float64)?.as_ref()),
        _ => {
            let options = FormatOptions::default().with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.3fZ"));
            let formatter =
                ArrayFormatter::try_new(column, &options).map_err(|error| QueryError::Failed(error.into()))?;
            each(&|row| Value::Text(formatter.value(row).to_string()))
        }
    }
}

fn output_error(error: impl std::fmt::Display) -> QueryError {
    QueryError::Output(format!("the answer can't be written: {error}"))
}
