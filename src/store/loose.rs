//! Files of few rows: of one run, or of a small sweep. Thousands of them look alike: what they share is parsed once, and of each
//! file only the columns that are asked for.

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
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files of few rows whose columns are known.
#[derive(Debug)]
pub struct LooseRows {
    files: Vec<LooseFile>,
    kinds: Vec<Kind>,
    /// Files that are read as one batch: what follows costs less for few batches than for many.
    batches: Vec<Range<usize>>,
}

#[derive(Debug)]
struct LooseFile {
    path: PathBuf,
    kind: usize,
}

/// What alike files share.
#[derive(Debug)]
struct Kind {
    parquet: SchemaDescPtr,
    arrow: SchemaRef,
}

/// A larger file is worth a plan of its own: parts of it can be skipped, and its parts be shared by cores.
const LARGEST: u64 = 256 * 1024;

const FILES_IN_A_BATCH: usize = 256;
const BYTES_IN_A_BATCH: usize = 8 * 1024 * 1024;

/// Whether a file of our disk is one of few rows.
pub fn is_small(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.len() <= LARGEST)
}

/// The key of the Arrow schema in a footer. Behind it stand only the file's other keys and who wrote it: no numbers of its rows.
const SCHEMA_KEY: &[u8] = b"ARROW:schema";

impl LooseRows {
    pub fn open(paths: Vec<PathBuf>) -> Result<Self, StoreError> {
        let footers = paths.par_iter().map(|path| footer(path)).collect::<Result<Vec<_>, _>>()?;
        let mut kind_of: HashMap<Key, usize> = HashMap::new();
        let mut kinds = Vec::new();
        let mut files = Vec::with_capacity(paths.len());
        for (path, footer) in paths.into_iter().zip(&footers) {
            let kind = match footer.key.and_then(|key| kind_of.get(&key)) {
                Some(kind) => *kind,
                None => {
                    kinds.push(Kind::of(&path)?);
                    kind_of.extend(footer.key.map(|key| (key, kinds.len() - 1)));
                    kinds.len() - 1
                }
            };
            files.push(LooseFile { path, kind });
        }
        let sizes: Vec<usize> = footers.iter().map(|footer| footer.file_size).collect();
        Ok(Self { files, kinds, batches: batches(&sizes) })
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub fn schemas(&self) -> impl Iterator<Item = &Schema> {
        self.kinds.iter().map(|kind| kind.arrow.as_ref())
    }

    /// In how many batches the rows come.
    pub fn num_batches(&self) -> usize {
        self.batches.len()
    }

    /// The rows of some files, with the columns of the schema.
    pub fn read_batch(&self, index: usize, schema: &SchemaRef) -> Result<RecordBatch, StoreError> {
        let files = &self.files[self.batches[index].clone()];
        let projections: Vec<Projection> = self.kinds.iter().map(|kind| kind.projection(schema)).collect();
        let read = files.iter().map(|file| read(&file.path, &self.kinds[file.kind], &projections[file.kind], schema));
        let read = read.collect::<Result<Vec<_>, _>>()?;
        concat_batches(schema, &read).map_err(StoreError::data(&files[0].path))
    }

    /// The rows of all files, in their order, with the columns of the schema.
    pub fn read(&self, schema: &SchemaRef) -> Result<Vec<RecordBatch>, StoreError> {
        (0..self.num_batches()).into_par_iter().map(|index| self.read_batch(index, schema)).collect()
    }
}

/// Files of these sizes in batches of so many, and of so many bytes.
fn batches(sizes: &[usize]) -> Vec<Range<usize>> {
    let mut batches: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (index, size) in sizes.iter().enumerate() {
        match batches.last_mut() {
            Some(batch) if batch.len() < FILES_IN_A_BATCH && bytes + size <= BYTES_IN_A_BATCH => batch.end += 1,
            _ => {
                batches.push(index..index + 1);
                bytes = 0;
            }
        }
        bytes += size;
    }
    batches
}

type Key = [u8; 32];

struct Footer {
    file_size: usize,
    /// What tells kinds of files apart without parsing their footers; nothing for a file that another program wrote.
    key: Option<Key>,
}

fn footer(path: &Path) -> Result<Footer, StoreError> {
    let bytes = std::fs::read(path).map_err(StoreError::io(path))?;
    let found = memchr::memmem::rfind(&bytes, SCHEMA_KEY);
    // The last eight bytes are the footer's length and the magic number.
    let end = found.and_then(|start| bytes.get(start..bytes.len().checked_sub(8)?));
    Ok(Footer { file_size: bytes.len(), key: end.map(|end| Sha256::digest(end).into()) })
}

struct Projection {
    mask: ProjectionMask,
    schema: SchemaRef,
}

impl Kind {
    fn of(path: &Path) -> Result<Self, StoreError> {
        let file = std::fs::File::open(path).map_err(StoreError::io(path))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(StoreError::parquet(path))?;
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
        ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options).map_err(StoreError::parquet(path))?;
    let reader = builder.with_projection(projection.mask.clone()).build().map_err(StoreError::parquet(path))?;
    let batches = reader.collect::<Result<Vec<_>, _>>().map_err(StoreError::parquet(path))?;
    let batch = concat_batches(&projection.schema, &batches).map_err(StoreError::data(path))?;
    fit(schema, &batch).map_err(StoreError::data(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_have_an_end_in_files_and_in_bytes() {
        assert!(batches(&[]).is_empty());
        assert_eq!(batches(&[1; 600]), [0..256, 256..512, 512..600]);
        let large = BYTES_IN_A_BATCH / 2;
        assert_eq!(batches(&[large, large, 1, large * 3, 1, 1]), [0..2, 2..3, 3..4, 4..6]);
    }
}
