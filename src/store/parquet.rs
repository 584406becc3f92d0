//! Parquet files: written atomically, with the format version in their metadata.

use super::manifest::FORMAT_VERSION;
use super::{StoreError, write_atomically};
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use std::fs::File;
use std::path::Path;

const VERSION_KEY: &str = "sweeplake.format_version";

/// Writes the batch; columns of no type at all are left out.
pub fn write_parquet(path: &Path, batch: &RecordBatch) -> Result<(), StoreError> {
    let typed: Vec<usize> = batch
        .schema()
        .fields()
        .iter()
        .enumerate()
        .filter(|(_, field)| field.data_type() != &DataType::Null)
        .map(|(index, _)| index)
        .collect();
    let batch = batch.project(&typed).map_err(StoreError::data(path))?;
    write_atomically(path, |file| {
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties(batch.num_rows())))
            .map_err(StoreError::data(path))?;
        writer.write(&batch).map_err(StoreError::data(path))?;
        writer.close().map_err(StoreError::data(path))?;
        Ok(())
    })
}

/// The columns of a file, from its footer.
pub fn parquet_schema(path: &Path) -> Result<SchemaRef, StoreError> {
    Ok(without_metadata(open(path)?.schema()))
}

/// Reads a whole file.
pub fn read_parquet(path: &Path) -> Result<RecordBatch, StoreError> {
    let builder = open(path)?;
    let schema = without_metadata(builder.schema());
    let reader = builder.build().map_err(StoreError::data(path))?;
    let batches = reader.collect::<Result<Vec<_>, _>>().map_err(StoreError::data(path))?;
    let batches = batches
        .into_iter()
        .map(|batch| batch.with_schema(schema.clone()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(StoreError::data(path))?;
    concat_batches(&schema, &batches).map_err(StoreError::data(path))
}

/// Opens a file and refuses one of a newer format.
fn open(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, StoreError> {
    let file = File::open(path).map_err(StoreError::io(path))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(StoreError::data(path))?;
    let version = builder
        .metadata()
        .file_metadata()
        .key_value_metadata()
        .and_then(|entries| entries.iter().find(|entry| entry.key == VERSION_KEY))
        .and_then(|entry| entry.value.as_deref())
        .and_then(|text| text.parse().ok());
    if let Some(found) = version.filter(|found| *found > FORMAT_VERSION) {
        return Err(StoreError::NewerFormat { path: path.into(), found });
    }
    Ok(builder)
}

fn without_metadata(schema: &SchemaRef) -> SchemaRef {
    std::sync::Arc::new(schema.as_ref().clone().with_metadata(Default::default()))
}

/// One row needs no dictionary and no statistics: they are most of such a file.
fn properties(num_rows: usize) -> WriterProperties {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).unwrap_or_default()))
        .set_key_value_metadata(Some(vec![KeyValue::new(VERSION_KEY.into(), FORMAT_VERSION.to_string())]));
    match num_rows {
        1 => properties
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_compression(Compression::UNCOMPRESSED)
            .build(),
        _ => properties.build(),
    }
}
