//! Files of one run each. Thousands of them look alike: what they share is parsed once, and of each file only the columns
//! that are asked for.

use super::StoreError;
use super::parquet::{check_version, without_metadata};
use super::schema::fit;
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::ParquetStatisticsPolicy;
use parquet::schema::types::SchemaDescPtr;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files of few rows whose columns are known.
#[derive(Debug)]
pub struct LooseRows {
    files: Vec<(PathBuf, usize)>,
    kinds: Vec<Kind>,
}

/// What alike files share.
#[derive(Debug)]
struct Kind {
    parquet: SchemaDescPtr,
    arrow: SchemaRef,
}

/// Files that become one batch: what follows costs less for few batches than for many.
const FILES_IN_A_BATCH: usize = 256;

/// The key of the Arrow schema in a footer. Behind it stand only the file's other keys and who wrote it: no numbers of its rows.
const SCHEMA_KEY: &[u8] = b"ARROW:schema";

impl LooseRows {
    pub fn open(paths: Vec<PathBuf>) -> Result<Self, StoreError> {
        let keys = paths.par_iter().map(|path| footer_key(path)).collect::<Result<Vec<_>, _>>()?;
        let mut kind_of: HashMap<Key, usize> = HashMap::new();
        let mut kinds = Vec::new();
        let mut files = Vec::with_capacity(paths.len());
        for (path, key) in paths.into_iter().zip(keys) {
            let kind = match key.and_then(|key| kind_of.get(&key)) {
                Some(kind) => *kind,
                None => {
                    kinds.push(Kind::of(&path)?);
                    kind_of.extend(key.map(|key| (key, kinds.len() - 1)));
                    kinds.len() - 1
                }
            };
            files.push((path, kind));
        }
        Ok(Self { files, kinds })
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub fn schemas(&self) -> impl Iterator<Item = &Schema> {
        self.kinds.iter().map(|kind| kind.arrow.as_ref())
    }

    /// The rows of all files, in their order, with the columns of the schema.
    pub fn read(&self, schema: &SchemaRef) -> Result<Vec<RecordBatch>, StoreError> {
        let masks: Vec<Projection> = self.kinds.iter().map(|kind| kind.projection(schema)).collect();
        let batches = self.files.par_chunks(FILES_IN_A_BATCH).map(|files| {
            let read = files.iter().map(|(path, kind)| read(path, &self.kinds[*kind], &masks[*kind], schema));
            let read = read.collect::<Result<Vec<_>, _>>()?;
            concat_batches(schema, &read).map_err(StoreError::data(&files[0].0))
        });
        batches.collect()
    }
}

type Key = [u8; 32];

/// What tells kinds of files apart without parsing their footers; nothing for a file that another program wrote.
fn footer_key(path: &Path) -> Result<Option<Key>, StoreError> {
    let bytes = std::fs::read(path).map_err(StoreError::io(path))?;
    let found = memchr::memmem::rfind(&bytes, SCHEMA_KEY);
    // The last eight bytes are the footer's length and the magic number.
    Ok(found.and_then(|start| bytes.get(start..bytes.len().checked_sub(8)?)).map(|end| Sha256::digest(end).into()))
}

struct Projection {
    mask: ProjectionMask,
    schema: SchemaRef,
}

impl Kind {
    fn of(path: &Path) -> Result<Self, StoreError> {
        let file = std::fs::File::open(path).map_err(StoreError::io(path))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(StoreError::data(path))?;
        check_version(builder.schema(), path)?;
        Ok(Self {
            parquet: builder.metadata().file_metadata().schema_descr_ptr(),
            arrow: without_metadata(builder.schema()),
        })
    }

    fn projection(&self, schema: &SchemaRef) -> Projection {
        let is_wanted = |index: &usize| schema.index_of(self.arrow.field(*index).name()).is_ok();
        let wanted: Vec<usize> = (0..self.arrow.fields().len()).filter(is_wanted).collect();
        let mask = ProjectionMask::roots(&self.parquet, wanted.iter().copied());
        let fields: Vec<_> = wanted.iter().map(|index| self.arrow.fields()[*index].clone()).collect();
        Projection { mask, schema: Arc::new(Schema::new(fields)) }
    }
}

fn read(path: &Path, kind: &Kind, projection: &Projection, schema: &SchemaRef) -> Result<RecordBatch, StoreError> {
    let bytes = Bytes::from(std::fs::read(path).map_err(StoreError::io(path))?);
    let options = ArrowReaderOptions::new()
        .with_parquet_schema(kind.parquet.clone())
        .with_schema(kind.arrow.clone())
        .with_skip_arrow_metadata(true)
        .with_column_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll);
    let builder =
        ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options).map_err(StoreError::data(path))?;
    let reader = builder.with_projection(projection.mask.clone()).build().map_err(StoreError::data(path))?;
    let batches = reader.collect::<Result<Vec<_>, _>>().map_err(StoreError::data(path))?;
    let batch = concat_batches(&projection.schema, &batches).map_err(StoreError::data(path))?;
    fit(schema, &batch).map_err(StoreError::data(path))
}
