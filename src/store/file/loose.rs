//! Files of few rows: of one run, or of a small sweep. Thousands of them look alike: what they share is parsed once, and of each
//! file only the columns that are asked for.

#![expect(clippy::indexing_slicing, reason = "places are those of lists that are made here")]

use super::checksum::check_bytes;
use super::parquet::{check_version, version_of, without_metadata};
use super::schema::{fit, source_of};
use super::version_1::read_runs;
use crate::store::StoreError;
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
    /// Files whose runs are of format version 1.
    old: Vec<PathBuf>,
}

#[derive(Debug)]
struct LooseFile {
    path: PathBuf,
    kind: usize,
    size: usize,
}

/// What alike files share.
#[derive(Debug)]
struct Kind {
    parquet: SchemaDescPtr,
    arrow: SchemaRef,
    schema_part: Option<Vec<u8>>,
    version: Option<u32>,
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

/// Files of few rows, and those that can't be read.
#[derive(Debug)]
pub struct OpenedRows {
    pub rows: LooseRows,
    pub unreadable: Vec<(PathBuf, StoreError)>,
}

impl OpenedRows {
    /// All of them, or the error of the first that can't be read.
    pub fn whole(self) -> Result<LooseRows, StoreError> {
        match self.unreadable.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(self.rows),
        }
    }
}

impl LooseRows {
    pub fn open(paths: Vec<PathBuf>) -> OpenedRows {
        let footers: Vec<_> = paths.par_iter().map(|path| footer(path)).collect();
        let mut kind_of: HashMap<Key, usize> = HashMap::new();
        let mut kinds = Vec::new();
        let mut files: Vec<LooseFile> = Vec::with_capacity(paths.len());
        let mut unreadable = Vec::new();
        for (path, footer) in paths.into_iter().zip(footers) {
            let looked_at = footer.and_then(|footer| {
                if let Some(kind) = footer.key.and_then(|key| kind_of.get(&key)) {
                    return Ok((*kind, footer.file_size));
                }
                kinds.push(Kind::of(&path)?);
                kind_of.extend(footer.key.map(|key| (key, kinds.len() - 1)));
                Ok((kinds.len() - 1, footer.file_size))
            });
            match looked_at {
                Ok((kind, size)) => files.push(LooseFile { path, kind, size }),
                Err(error) => unreadable.push((path, error)),
            }
        }
        let batches = batches(files.iter().map(|file| file.size));
        OpenedRows { rows: Self { files, kinds, batches, old: Vec::new() }, unreadable }
    }

    /// Files of runs. Those of version 1 are told apart: they are not read like the others.
    pub fn open_runs(paths: Vec<PathBuf>) -> OpenedRows {
        let OpenedRows { rows: all, unreadable } = Self::open(paths);
        let is_old = |file: &LooseFile| all.kinds[file.kind].version == Some(1);
        if !all.files.iter().any(is_old) {
            return OpenedRows { rows: all, unreadable };
        }
        let (old, new): (Vec<&LooseFile>, Vec<&LooseFile>) = all.files.iter().partition(|file| is_old(file));
        let paths = |files: Vec<&LooseFile>| files.into_iter().map(|file| file.path.clone()).collect::<Vec<_>>();
        let mut opened = Self::open(paths(new));
        opened.unreadable.extend(unreadable);
        opened.rows.old = paths(old);
        opened
    }

    /// The runs of version 1 among them, as those of the present one.
    pub fn old_runs(&self) -> Result<Vec<RecordBatch>, StoreError> {
        let read = self.old.par_iter().map(|path| read_runs(path)).collect::<Result<Vec<_>, _>>()?;
        Ok(read.into_iter().flatten().collect())
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub fn schemas(&self) -> impl Iterator<Item = &Schema> {
        self.kinds.iter().map(|kind| kind.arrow.as_ref())
    }

    /// Files whose rows come as one batch, by their places.
    pub fn batches(&self) -> &[Range<usize>] {
        &self.batches
    }

    pub fn paths(&self, files: Range<usize>) -> impl Iterator<Item = &Path> {
        self.files[files].iter().map(|file| file.path.as_path())
    }

    pub fn num_bytes(&self) -> usize {
        self.files.iter().map(|file| file.size).sum()
    }

    /// The rows of some files, with the columns of the schema.
    pub fn read_files(&self, files: Range<usize>, schema: &SchemaRef) -> Result<RecordBatch, StoreError> {
        let files = &self.files[files];
        let projections: Vec<Projection> = self.kinds.iter().map(|kind| kind.projection(schema)).collect();
        let read = files.iter().map(|file| read(&file.path, &self.kinds[file.kind], &projections[file.kind], schema));
        let read = read.collect::<Result<Vec<_>, _>>()?;
        concat_batches(schema, &read).map_err(StoreError::data(files.first().map_or(Path::new(""), |file| &file.path)))
    }

    /// The rows of all files, in their order, with the columns of the schema.
    pub fn read(&self, schema: &SchemaRef) -> Result<Vec<RecordBatch>, StoreError> {
        self.batches.par_iter().map(|batch| self.read_files(batch.clone(), schema)).collect()
    }
}

/// Files of these sizes in batches of so many, and of so many bytes.
fn batches(sizes: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut batches: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (index, size) in sizes.enumerate() {
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
    let bytes = crate::files::bytes(path, crate::files::Links::Refuse).map_err(StoreError::io(path))?;
    Ok(Footer { file_size: bytes.len(), key: schema_part(&bytes).map(|part| Sha256::digest(part).into()) })
}

/// The part of a file's footer that files of one kind have alike.
fn schema_part(bytes: &[u8]) -> Option<&[u8]> {
    let start = memchr::memmem::rfind(bytes, SCHEMA_KEY)?;
    // The last eight bytes are the footer's length and the magic number.
    bytes.get(start..bytes.len().checked_sub(8)?)
}

struct Projection {
    mask: ProjectionMask,
    schema: SchemaRef,
}

impl Kind {
    fn of(path: &Path) -> Result<Self, StoreError> {
        Self::of_bytes(
            Bytes::from(crate::files::bytes(path, crate::files::Links::Refuse).map_err(StoreError::io(path))?),
            path,
        )
    }

    fn of_bytes(bytes: Bytes, path: &Path) -> Result<Self, StoreError> {
        let schema_part = schema_part(&bytes).map(<[u8]>::to_vec);
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(StoreError::parquet(path))?;
        check_version(builder.schema(), path)?;
        let parquet = builder.metadata().file_metadata().schema_descr_ptr();
        let version = version_of(builder.schema());
        Ok(Self { parquet, arrow: without_metadata(builder.schema()), schema_part, version })
    }

    fn projection(&self, schema: &SchemaRef) -> Projection {
        let mut wanted: Vec<usize> = schema.fields().iter().filter_map(|field| source_of(field, &self.arrow)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mask = ProjectionMask::roots(&self.parquet, wanted.iter().copied());
        let fields: Vec<_> = wanted.iter().map(|index| self.arrow.fields()[*index].clone()).collect();
        Projection { mask, schema: Arc::new(Schema::new(fields)) }
    }
}

fn read(path: &Path, kind: &Kind, projection: &Projection, schema: &SchemaRef) -> Result<RecordBatch, StoreError> {
    let bytes = Bytes::from(crate::files::bytes(path, crate::files::Links::Refuse).map_err(StoreError::io(path))?);
    if kind.schema_part.is_some() && schema_part(&bytes) == kind.schema_part.as_deref() {
        return read_as(bytes, path, kind, projection, schema);
    }
    // Another program wrote it, or it was written anew since its kind was looked at.
    let kind = Kind::of_bytes(bytes.clone(), path)?;
    read_as(bytes, path, &kind, &kind.projection(schema), schema)
}

fn read_as(
    bytes: Bytes,
    path: &Path,
    kind: &Kind,
    projection: &Projection,
    schema: &SchemaRef,
) -> Result<RecordBatch, StoreError> {
    check_bytes(&bytes, path)?;
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
    use crate::record::Cell;
    use crate::store::{rows_to_batch, unite_schemas};
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;

    #[test]
    fn batches_have_an_end_in_files_and_in_bytes() {
        let batches = |sizes: &[usize]| super::batches(sizes.iter().copied());
        assert!(batches(&[]).is_empty());
        assert_eq!(batches(&[1; 600]), [0..256, 256..512, 512..600]);
        let large = BYTES_IN_A_BATCH / 2;
        assert_eq!(batches(&[large, large, 1, large * 3, 1, 1]), [0..2, 2..3, 3..4, 4..6]);
    }

    #[test]
    fn a_file_that_was_written_anew_is_read_as_it_is_now() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run=0.parquet");
        let write = |row: &[(&'static str, Cell)]| {
            let row = row.iter().map(|(name, cell)| ((*name).into(), cell.clone())).collect();
            crate::store::write_parquet(&path, &rows_to_batch(&[row])).unwrap();
        };
        write(&[("a", Cell::Int(1)), ("b", "x".into())]);
        let rows = LooseRows::open(vec![path.clone()]).whole().unwrap();
        let schema = unite_schemas(rows.schemas());
        // Other columns, in another order, and one of another type.
        write(&[("c", Cell::Bool(true)), ("b", "y".into()), ("a", Cell::Float(2.5))]);
        let batch = rows.read_files(0..1, &schema).unwrap();
        assert_eq!(batch.column_by_name("a").unwrap().as_primitive::<Int64Type>().values(), &[2]);
        assert_eq!(batch.column_by_name("b").unwrap().as_string::<i32>().value(0), "y");
        assert_eq!(batch.num_columns(), 2);
    }
}
