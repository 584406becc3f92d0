//! A lake in a few files: what is in thousands of sweeps, to be asked without opening each.
//!
//! `compacted/latest/` holds the tables of all sweeps that had ended when it was made, and in `sweeps.parquet` which
//! ones those are and how their manifests looked. A sweep whose manifest looks otherwise now, or that is gone, is left
//! out of it and read from its own folder. Each compaction is a new folder, which becomes `latest` by one rename; the one
//! before stays until the next, for readers that have just opened it.

use super::catalogue::{Catalogue, MANIFEST_MODIFIED, MANIFEST_SIZE, OWN_NAME, PATH, only, renamed};
use super::discover::{Sweep, find_sweeps};
use super::places::{COMPACTED, Fingerprint, LATEST, SWEEPS};
use crate::record::Cell;
use crate::store::StoreError;
use crate::store::file::{
    LooseRows, is_small, is_version_1, parquet_schema, read_batches, read_runs, remove_if_there, rows_to_batch, unite,
    unite_schemas, without_metadata, write_batches, write_parquet,
};
use crate::store::sweep::Table;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use nix::fcntl::{Flock, FlockArg};
use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Held while a lake is compacted.
pub const LOCK_FILE: &str = ".lock";

/// Writes the tables of all ended sweeps below a folder into a few files. Returns how many sweeps those hold, or `None` if
/// they held them already.
pub fn compact_lake(lake: &Path) -> Result<Option<usize>, StoreError> {
    let home = lake.join(COMPACTED);
    fs::create_dir_all(&home).map_err(StoreError::io(&home))?;
    let lock = File::create(home.join(LOCK_FILE)).map_err(StoreError::io(&home))?;
    let _lock =
        Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|_| StoreError::Locked { path: home.clone() })?;
    let found = find_sweeps(&[lake.to_owned()])?;
    let catalogue = Catalogue::of(lake, None)?;
    let covered: HashSet<&str> =
        found.all().iter().filter(|sweep| sweep.is_covered()).map(|sweep| sweep.name.as_str()).collect();
    let new: Vec<(&Sweep, Fingerprint)> = found
        .all()
        .iter()
        .filter(|sweep| !sweep.is_covered() && sweep.is_ended() && sweep.is_compacted() && damage_of(sweep).is_none())
        .filter_map(|sweep| Some((sweep, sweep.fingerprint()?)))
        .collect();
    let is_whole = catalogue.as_ref().is_some_and(|catalogue| catalogue.without(&covered).is_empty());
    if new.is_empty() && (is_whole || covered.is_empty()) {
        return Ok(None);
    }
    let work = tempfile::Builder::new().prefix(".tmp-").tempdir_in(&home).map_err(StoreError::io(&home))?;
    for table in Table::ALL {
        write_table(table, work.path(), catalogue.as_ref(), &covered, &new)?;
    }
    let of_catalogue = catalogue.as_ref().map(|catalogue| only(&catalogue.sweeps, &covered, &home)).transpose()?;
    let rows = new.iter().map(|(sweep, fingerprint)| {
        let mut row = sweep.to_row()?;
        let path = sweep.folder.strip_prefix(lake).unwrap_or(&sweep.folder).to_string_lossy().into_owned();
        row.push((PATH.into(), Cell::Text(path)));
        row.push((OWN_NAME.into(), sweep.own_name().into()));
        row.push((MANIFEST_SIZE.into(), fingerprint.size.into()));
        row.push((MANIFEST_MODIFIED.into(), fingerprint.modified_ns.into()));
        Ok(row)
    });
    let batches: Vec<RecordBatch> =
        of_catalogue.into_iter().chain([rows_to_batch(&rows.collect::<Result<Vec<_>, StoreError>>()?)]).collect();
    let batches: Vec<RecordBatch> = batches.into_iter().filter(|batch| batch.num_rows() > 0).collect();
    let schema = unite_schemas(batches.iter().map(|batch| batch.schema_ref().as_ref()));
    write_parquet(&work.path().join(SWEEPS), &unite(&schema, &batches, &home)?)?;
    publish(work, &home)?;
    Ok(Some(covered.len() + new.len()))
}

/// Why a sweep's tables can't be read, if one can't: it is left out of what is made of all.
pub fn damage_of(sweep: &Sweep) -> Option<StoreError> {
    let tables = Table::ALL.into_iter().map(|table| sweep.folder.join(table.file_name()));
    tables.filter(|path| path.is_file()).find_map(|path| parquet_schema(&path).err())
}

/// One table of all sweeps: those that a catalogue has from its file, the others from their own.
fn write_table(
    table: Table,
    folder: &Path,
    catalogue: Option<&Catalogue>,
    covered: &HashSet<&str>,
    new: &[(&Sweep, Fingerprint)],
) -> Result<(), StoreError> {
    let old = catalogue.and_then(|catalogue| catalogue.file(table)).filter(|_| !covered.is_empty());
    let mut parts: Vec<Part> = old.and_then(|url| url.to_file_path().ok()).map(Part::Covered).into_iter().collect();
    let own = |sweep: &Sweep| sweep.own_file(table)?.to_file_path().ok();
    let files: Vec<(&Sweep, PathBuf)> = new.iter().filter_map(|(sweep, _)| Some((*sweep, own(sweep)?))).collect();
    let (old, files): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|(_, path)| table == Table::Runs && is_version_1(path).unwrap_or(false));
    for (sweep, path) in old {
        parts.push(Part::Old(read_runs(&path)?.iter().map(|batch| renamed(batch, &sweep.name)).collect()));
    }
    let is_one_of_many = |(sweep, path): &(&Sweep, PathBuf)| !sweep.is_renamed() && is_small(path);
    for files in files.chunk_by(|left, right| is_one_of_many(left) && is_one_of_many(right)) {
        parts.push(match files {
            [file @ (sweep, path)] if !is_one_of_many(file) => Part::Own(sweep, path.clone()),
            many => Part::Small(LooseRows::open(many.iter().map(|(_, path)| path.clone()).collect()).whole()?),
        });
    }
    if parts.is_empty() {
        return Ok(());
    }
    let schemas = parts.iter().map(Part::schema).collect::<Result<Vec<SchemaRef>, _>>()?;
    let schema = without_metadata(&unite_schemas(schemas.iter().map(AsRef::as_ref)));
    write_batches(
        &folder.join(table.file_name()),
        &schema,
        parts.iter().flat_map(|part| part.batches(covered, &schema)),
    )
}

/// Where rows of a compacted table come from.
enum Part<'a> {
    /// The table that was compacted before; of its sweeps only those that it still covers.
    Covered(PathBuf),
    Own(&'a Sweep, PathBuf),
    Small(LooseRows),
    /// Runs of format version 1, as those of the present one.
    Old(Vec<RecordBatch>),
}

type Batches<'a> = Box<dyn Iterator<Item = Result<RecordBatch, StoreError>> + 'a>;

impl Part<'_> {
    fn schema(&self) -> Result<SchemaRef, StoreError> {
        match self {
            Self::Covered(path) | Self::Own(_, path) => parquet_schema(path).map(|(schema, _)| schema),
            Self::Small(rows) => Ok(unite_schemas(rows.schemas())),
            Self::Old(batches) => Ok(unite_schemas(batches.iter().map(|batch| batch.schema_ref().as_ref()))),
        }
    }

    fn batches<'a>(&'a self, covered: &'a HashSet<&str>, schema: &'a SchemaRef) -> Batches<'a> {
        match self {
            Self::Covered(path) => {
                Box::new(batches_of(path).map(move |batch| batch.and_then(|batch| only(&batch, covered, path))))
            }
            Self::Own(sweep, path) if sweep.is_renamed() => {
                Box::new(batches_of(path).map(|batch| batch.map(|batch| renamed(&batch, &sweep.name))))
            }
            Self::Own(_, path) => batches_of(path),
            Self::Old(batches) => Box::new(batches.iter().cloned().map(Ok)),
            Self::Small(rows) => {
                Box::new(rows.batches().iter().map(move |files| rows.read_files(files.clone(), schema)))
            }
        }
    }
}

/// The batches of a file; one error, if it can't be read.
fn batches_of(path: &Path) -> Batches<'static> {
    match read_batches(path) {
        Ok((_, batches)) => Box::new(batches),
        Err(error) => Box::new(std::iter::once(Err(error))),
    }
}

/// Makes a finished folder the latest one, and removes those before the one that was.
fn publish(work: tempfile::TempDir, home: &Path) -> Result<(), StoreError> {
    let fail = |error| StoreError::io(home)(error);
    let numbers = fs::read_dir(home).map_err(fail)?.filter_map(Result::ok);
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<u64>().ok());
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable();
    let name = |number: u64| format!("{number:06}");
    let next = name(numbers.last().copied().unwrap_or(0) + 1);
    fs::set_permissions(work.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).map_err(fail)?;
    fs::rename(work.keep(), home.join(&next)).map_err(fail)?;
    let link = home.join(".latest");
    remove_if_there(&link)?;
    std::os::unix::fs::symlink(&next, &link).map_err(fail)?;
    fs::rename(&link, home.join(LATEST)).map_err(fail)?;
    File::open(home).and_then(|folder| folder.sync_all()).map_err(fail)?;
    numbers.pop();
    numbers.into_iter().try_for_each(|number| fs::remove_dir_all(home.join(name(number)))).map_err(fail)
}
