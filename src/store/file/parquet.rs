//! Parquet files: written atomically, with the format version in their metadata.

use super::atomic::write_atomically;
use super::checksum;
use super::columns::rows_to_batch;
use super::schema::{fit, unite_schemas};
use crate::record::Row;
use crate::store::StoreError;
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// The newest format that this program reads and the one that it writes.
///
/// - 1: parameters and metrics stand side by side.
/// - 2: each column says what kind it is of.
pub const FORMAT_VERSION: u32 = 2;

const VERSION_KEY: &str = "sweeplake.format_version";

/// Rows of a row group: enough that a scan is mostly decoding, few enough that two cores share a million rows well
/// and that a writer holds little. Measured: docs/performance.md, "How the files are laid out".
const ROWS_IN_A_GROUP: usize = 128 * 1024;

/// A file of no more rows than these is read whole, and decoding its pages is less work than preparing to.
const FEW_ROWS: usize = 512;

/// Writes the batch; columns of no type at all are left out.
pub fn write_parquet(path: &Path, batch: &RecordBatch) -> Result<(), StoreError> {
    write_batches(path, batch.schema_ref(), [Ok(batch.clone())])
}

/// Writes rows that come in parts, of which each is made twice: to learn the columns of all, and to write it.
pub fn write_rows(path: &Path, parts: impl Iterator<Item = Vec<Row>> + Clone) -> Result<(), StoreError> {
    let schemas: Vec<SchemaRef> = parts.clone().map(|rows| rows_to_batch(&rows).schema()).collect();
    let schema = unite_schemas(schemas.iter().map(AsRef::as_ref));
    write_batches(path, &schema, parts.map(|rows| Ok(rows_to_batch(&rows))))
}

/// Writes batches as they come, each fitted to the schema.
pub fn write_batches(
    path: &Path,
    schema: &SchemaRef,
    batches: impl IntoIterator<Item = Result<RecordBatch, StoreError>>,
) -> Result<(), StoreError> {
    let mut batches = batches.into_iter();
    let mut first = Vec::new();
    let mut num_rows = 0;
    while num_rows <= FEW_ROWS
        && let Some(batch) = batches.next()
    {
        num_rows += batch.as_ref().map_or(0, RecordBatch::num_rows);
        first.push(batch);
    }
    let properties = if num_rows <= FEW_ROWS { few_rows(num_rows) } else { many_rows(schema) };
    write(path, schema, properties, first.into_iter().chain(batches))
}

fn write(
    path: &Path,
    schema: &SchemaRef,
    properties: WriterPropertiesBuilder,
    batches: impl IntoIterator<Item = Result<RecordBatch, StoreError>>,
) -> Result<(), StoreError> {
    let typed = schema.fields().iter().filter(|field| field.data_type() != &DataType::Null).cloned();
    let schema = Arc::new(Schema::new(typed.collect::<Vec<_>>()));
    write_atomically(path, |file| {
        let properties = properties
            .set_key_value_metadata(Some(vec![
                KeyValue::new(VERSION_KEY.into(), FORMAT_VERSION.to_string()),
                KeyValue::new(checksum::KEY.into(), checksum::UNKNOWN.to_owned()),
            ]))
            .build();
        let mut writer =
            ArrowWriter::try_new(&mut *file, schema.clone(), Some(properties)).map_err(StoreError::written(path))?;
        for batch in batches {
            let batch = fit(&schema, &batch?).map_err(StoreError::data(path))?;
            writer.write(&batch).map_err(StoreError::written(path))?;
        }
        writer.close().map_err(StoreError::written(path))?;
        checksum::seal(file).map_err(StoreError::io(path))
    })
}

/// The columns of a file and the format that it says it has, from its footer.
pub fn parquet_schema(path: &Path) -> Result<(SchemaRef, Option<u32>), StoreError> {
    let file = open(path)?;
    Ok((without_metadata(file.schema()), version_of(file.schema())))
}

/// Reads a whole file.
pub fn read_parquet(path: &Path) -> Result<RecordBatch, StoreError> {
    let (schema, batches) = read_batches(path)?;
    let batches = batches.collect::<Result<Vec<_>, _>>()?;
    concat_batches(&schema, &batches).map_err(StoreError::data(path))
}

/// Reads a file a few thousand rows at a time.
pub fn read_batches(
    path: &Path,
) -> Result<(SchemaRef, impl Iterator<Item = Result<RecordBatch, StoreError>> + use<>), StoreError> {
    let builder = open(path)?;
    let schema = without_metadata(builder.schema());
    let reader = builder.build().map_err(StoreError::parquet(path))?;
    let (of_batches, path) = (schema.clone(), path.to_owned());
    let batches = reader.map(move |batch| {
        batch.and_then(|batch| batch.with_schema(of_batches.clone())).map_err(StoreError::parquet(&path))
    });
    Ok((schema, batches))
}

/// Opens a file, and refuses one that was changed since it was written, or is of a newer format.
fn open(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, StoreError> {
    checksum::check(path)?;
    footer(path)
}

/// What a file says of itself.
fn footer(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, StoreError> {
    let file = crate::files::open(path, crate::files::Links::Refuse).map_err(StoreError::io(path))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(StoreError::parquet(path))?;
    check_version(builder.schema(), path)?;
    Ok(builder)
}

/// The format that a file says it has; nothing for one that another program wrote.
pub fn version_of(schema: &Schema) -> Option<u32> {
    schema.metadata().get(VERSION_KEY).and_then(|text| text.parse().ok())
}

/// Whether a file's runs are of the version that did not tell parameters from metrics.
pub fn is_version_1(path: &Path) -> Result<bool, StoreError> {
    // Whoever reads it then opens it, and looks at its checksum.
    Ok(version_of(footer(path)?.schema()) == Some(1))
}

/// Refuses a file of a newer format.
pub fn check_version(schema: &Schema, path: &Path) -> Result<(), StoreError> {
    match version_of(schema).filter(|found| *found > FORMAT_VERSION) {
        Some(found) => Err(StoreError::NewerFormat { path: path.into(), found, newest: FORMAT_VERSION }),
        None => Ok(()),
    }
}

/// A schema by its columns alone.
pub fn without_metadata(schema: &Schema) -> SchemaRef {
    Arc::new(schema.clone().with_metadata(Default::default()))
}

/// Measured numbers hardly repeat: a dictionary of them is wasted work, and LZ4 makes of them about what Zstandard does, in a third
/// of the time. Measured too.
fn many_rows(schema: &Schema) -> WriterPropertiesBuilder {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).unwrap_or_default()))
        .set_max_row_group_row_count(Some(ROWS_IN_A_GROUP));
    let floats = schema.fields().iter().filter(|field| field.data_type() == &DataType::Float64);
    floats.fold(properties, |properties, field| {
        let column = ColumnPath::new(vec![field.name().clone()]);
        properties
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_compression(column, Compression::LZ4_RAW)
    })
}

/// A few rows need no dictionary and no statistics: they are most of such a file. Zstandard makes it larger and takes three times as
/// long to read; of one row there is nothing to compress.
fn few_rows(num_rows: usize) -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_compression(if num_rows > 1 { Compression::LZ4_RAW } else { Compression::UNCOMPRESSED })
}
