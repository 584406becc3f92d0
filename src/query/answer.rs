//! An answer: rows and columns, as plain values and in the formats that other programs read.

use super::{QueryError, functions};
use crate::record::Row;
use crate::store::rows_to_batch;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, SchemaRef};
use arrow::json::WriterBuilder;
use arrow::json::writer::{JsonArray, LineDelimited};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::datasource::MemTable;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::SessionContext;
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
    pub fn with_names(self, names: &[String]) -> Self {
        let fields = self.schema.fields().iter().zip(names);
        let fields = fields.map(|(field, name)| field.as_ref().clone().with_name(name)).collect::<Vec<_>>();
        let schema = Arc::new(Schema::new(fields));
        let renamed = self.batches.iter().map(|batch| {
            RecordBatch::try_new(schema.clone(), batch.columns().to_vec()).expect("only names are others")
        });
        Self { batches: renamed.collect(), schema: schema.clone() }
    }

    pub fn num_rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// Asks the answer itself, as a table of that name.
    pub async fn sql(&self, name: &str, sql: &str) -> Result<Self, QueryError> {
        let context = SessionContext::new();
        functions::register(&context);
        let table = MemTable::try_new(self.schema.clone(), vec![self.batches.clone()])?;
        context.register_table(name, Arc::new(table))?;
        let frame = context.sql(sql).await.map_err(QueryError::explain)?;
        Rows::new(frame.execute_stream().await.map_err(QueryError::of_execution)?).collect().await
    }

    /// All rows, cells in the order of [`Answer::columns`].
    pub fn rows(&self) -> Vec<Vec<Value>> {
        let of_batch = |batch: &RecordBatch| {
            let columns: Vec<Vec<Value>> = batch.columns().iter().map(|column| values_of(column.as_ref())).collect();
            (0..batch.num_rows())
                .map(|row| columns.iter().map(|column| column[row].clone()).collect())
                .collect::<Vec<_>>()
        };
        self.batches.iter().flat_map(of_batch).collect()
    }

    /// The cells of one column.
    pub fn column(&self, name: &str) -> Option<Vec<Value>> {
        let index = self.schema.index_of(name).ok()?;
        Some(self.batches.iter().flat_map(|batch| values_of(batch.column(index).as_ref())).collect())
    }

    /// The cells of a column as numbers.
    pub fn numbers(&self, name: &str) -> Vec<Option<f64>> {
        self.column(name).unwrap_or_default().iter().map(Value::as_f64).collect()
    }

    /// Writes the answer in a format for other programs.
    pub fn write(&self, format: Format, sink: &mut (dyn Write + Send)) -> Result<(), QueryError> {
        let mut writer = Writer::new(format, sink, &self.schema)?;
        self.batches.iter().try_for_each(|batch| writer.write(batch))?;
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
        Self { schema: batches.schema(), batches }
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
            writer.write(&batch)?;
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
}

type Sink<'a> = &'a mut (dyn Write + Send);

impl<'a> Writer<'a> {
    fn new(format: Format, sink: Sink<'a>, schema: &SchemaRef) -> Result<Self, QueryError> {
        let json = WriterBuilder::new().with_explicit_nulls(true);
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
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        match self {
            Self::Csv(writer, schema) => writer.write(&as_texts(batch, schema)?).map_err(output_error),
            Self::Json(writer) => writer.write(batch).map_err(output_error),
            Self::JsonLines(writer) => writer.write(batch).map_err(output_error),
            Self::Parquet(writer) => writer.write(batch).map_err(output_error),
        }
    }

    fn finish(self) -> Result<(), QueryError> {
        match self {
            Self::Csv(..) => Ok(()),
            Self::Json(mut writer) => writer.finish().map_err(output_error),
            Self::JsonLines(mut writer) => writer.finish().map_err(output_error),
            Self::Parquet(writer) => writer.close().map(|_| ()).map_err(output_error),
        }
    }
}

/// A cell of CSV holds no list and no map: those become text.
fn without_lists(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| match field.data_type().is_nested() {
        true => Field::new(field.name(), DataType::Utf8, true),
        false => field.as_ref().clone(),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn as_texts(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, QueryError> {
    let columns = batch.columns().iter().map(|column| match column.data_type().is_nested() {
        true => {
            let texts = values_of(column.as_ref()).into_iter().map(|value| match value {
                Value::Null => None,
                value => Some(value.to_text()),
            });
            Arc::new(texts.collect::<StringArray>()) as ArrayRef
        }
        false => column.clone(),
    });
    RecordBatch::try_new(schema.clone(), columns.collect()).map_err(output_error)
}

impl Value {
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
            Self::Float(value) => value.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

fn values_of(column: &dyn Array) -> Vec<Value> {
    let each = |value: &dyn Fn(usize) -> Value| {
        (0..column.len()).map(|row| if column.is_null(row) { Value::Null } else { value(row) }).collect()
    };
    match column.data_type() {
        DataType::Boolean => each(&|row| Value::Bool(column.as_boolean().value(row))),
        DataType::Int64 => each(&|row| Value::Int(column.as_primitive::<Int64Type>().value(row))),
        DataType::Float64 => each(&|row| Value::Float(column.as_primitive::<Float64Type>().value(row))),
        DataType::Utf8 => each(&|row| Value::Text(column.as_string::<i32>().value(row).to_owned())),
        DataType::Null => each(&|_| Value::Null),
        kind if kind.is_integer() => {
            let wide = arrow::compute::cast(column, &DataType::Int64);
            wide.map(|wide| values_of(wide.as_ref())).unwrap_or_default()
        }
        kind if kind.is_numeric() => {
            let wide = arrow::compute::cast(column, &DataType::Float64);
            wide.map(|wide| values_of(wide.as_ref())).unwrap_or_default()
        }
        _ => {
            let options = FormatOptions::default().with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.3fZ"));
            match ArrayFormatter::try_new(column, &options) {
                Ok(formatter) => each(&|row| Value::Text(formatter.value(row).to_string())),
                Err(_) => each(&|_| Value::Null),
            }
        }
    }
}

fn output_error(error: impl std::fmt::Display) -> QueryError {
    QueryError::Output(format!("the answer can't be written: {error}"))
}
