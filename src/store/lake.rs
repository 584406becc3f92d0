//! A lake in a few files: what is in thousands of sweeps, to be asked without opening each.
//!
//! `compacted/latest/` holds the tables of all sweeps that had ended when it was made, and in `sweeps.parquet` which
//! ones those are and how their manifests looked. A sweep whose manifest looks otherwise now, or that is gone, is left
//! out of it and read from its own folder. Each compaction is a new folder, which becomes `latest` by one rename; the one
//! before stays until the next, for readers that have just opened it.

use super::discover::{Sweep, find_sweeps};
use super::loose::is_small;
use super::parquet::without_metadata;
use super::remote::Remote;
use super::table::Table;
use super::{
    LooseRows, StoreError, is_version_1, read_batches, read_parquet, read_runs, rows_to_batch, unite_schemas,
    write_batches, write_parquet,
};
use crate::record::Cell;
use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int64Type, SchemaRef};
use nix::fcntl::{Flock, FlockArg};
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use url::Url;

/// Where a lake keeps its compacted tables.
pub const COMPACTED: &str = "compacted";
pub const LATEST: &str = "latest";
pub const SWEEPS: &str = "sweeps.parquet";

/// Columns of `sweeps.parquet` by which a sweep is known again; the others are those of table `sweeps`.
const PATH: &str = "catalogue.path";
const OWN_NAME: &str = "catalogue.own_name";
const MANIFEST_SIZE: &str = "catalogue.manifest_size";
const MANIFEST_MODIFIED: &str = "catalogue.manifest_modified_ns";

/// The compacted tables of a lake.
#[derive(Clone, Debug)]
pub struct Catalogue {
    lake: PathBuf,
    folder: PathBuf,
    remote: Option<Arc<Remote>>,
    sweeps: RecordBatch,
    entries: HashMap<PathBuf, Entry>,
}

#[derive(Clone, Debug)]
pub struct Entry {
    /// The name under which its rows stand.
    pub name: String,
    /// The name that the sweep itself has.
    pub own_name: String,
    pub fingerprint: Fingerprint,
}

/// How a manifest looks from outside: it is written anew whenever something of its sweep changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    pub size: i64,
    pub modified_ns: i64,
}

impl Fingerprint {
    pub fn of(manifest: &Path) -> Option<Self> {
        let metadata = fs::metadata(manifest).ok()?;
        let modified_ns = metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec();
        Some(Self { size: metadata.size() as i64, modified_ns })
    }
}

impl Catalogue {
    /// What the lake has, if it was compacted.
    pub fn of(lake: &Path, remote: Option<&Arc<Remote>>) -> Result<Option<Self>, StoreError> {
        let latest = lake.join(COMPACTED).join(LATEST);
        // By its real name: `latest` may become another one while this one is read.
        let folder = if remote.is_some() { latest } else { latest.canonicalize().unwrap_or(latest) };
        let path = folder.join(SWEEPS);
        // What version 1 compacted is read from the sweeps' own folders, until it is compacted anew.
        if !path.is_file() || is_version_1(&path)? {
            return Ok(None);
        }
        let sweeps = read_parquet(&path)?;
        let missing = |column: &str| StoreError::BadData {
            path: path.clone(),
            reason: format!("has no column `{column}`; `sweeplake compact` makes it anew"),
        };
        let texts = |name: &'static str| {
            sweeps.column_by_name(name).and_then(|column| column.as_string_opt::<i32>()).ok_or_else(|| missing(name))
        };
        let numbers = |name: &'static str| {
            let column = sweeps.column_by_name(name).and_then(|column| column.as_primitive_opt::<Int64Type>());
            column.ok_or_else(|| missing(name))
        };
        let (paths, names, own_names) = (texts(PATH)?, texts("sweep")?, texts(OWN_NAME)?);
        let (sizes, times) = (numbers(MANIFEST_SIZE)?, numbers(MANIFEST_MODIFIED)?);
        let entries = (0..sweeps.num_rows()).map(|row| {
            let entry = Entry {
                name: names.value(row).to_owned(),
                own_name: own_names.value(row).to_owned(),
                fingerprint: Fingerprint { size: sizes.value(row), modified_ns: times.value(row) },
            };
            (PathBuf::from(paths.value(row)), entry)
        });
        let entries = entries.collect();
        Ok(Some(Self { lake: lake.to_owned(), folder, remote: remote.cloned(), sweeps, entries }))
    }

    pub fn entry(&self, path_in_lake: &Path) -> Option<&Entry> {
        self.entries.get(path_in_lake)
    }

    /// The sweeps that it has and that the given ones are not.
    pub fn without(&self, covered: &HashSet<&str>) -> Vec<String> {
        let names = self.entries.values().map(|entry| &entry.name);
        let mut without: Vec<String> = names.filter(|name| !covered.contains(name.as_str())).cloned().collect();
        without.sort();
        without
    }

    /// The file of a table, if any sweep had rows for it.
    pub fn file(&self, table: Table) -> Option<Url> {
        let path = self.folder.join(table.file_name());
        match &self.remote {
            Some(remote) => remote.url_of(&path),
            None => path.is_file().then(|| Url::from_file_path(&path).ok())?,
        }
    }

    fn place_of(&self, path_in_lake: &str) -> String {
        let path = self.lake.join(path_in_lake);
        self.remote.as_ref().map_or_else(|| path.display().to_string(), |remote| remote.place_of(&path).to_string())
    }

    /// The rows of table `sweeps` of the given ones.
    pub fn rows_of(&self, covered: &HashSet<&str>) -> Result<RecordBatch, StoreError> {
        let rows = only(&self.sweeps, covered, &self.folder)?;
        let paths = rows.column_by_name(PATH).and_then(|column| column.as_string_opt::<i32>());
        // Where the sweeps lie now, should the lake have moved since.
        let folders: StringArray = paths.into_iter().flatten().map(|path| Some(self.place_of(path?))).collect();
        let rows = with_column(&rows, "folder", Arc::new(folders));
        let is_fact = |name: &str| ![PATH, OWN_NAME, MANIFEST_SIZE, MANIFEST_MODIFIED].contains(&name);
        let facts = (0..rows.num_columns()).filter(|index| is_fact(rows.schema().field(*index).name()));
        rows.project(&facts.collect::<Vec<_>>()).map_err(StoreError::data(&self.folder))
    }
}

/// The rows of the given sweeps.
fn only(batch: &RecordBatch, sweeps: &HashSet<&str>, origin: &Path) -> Result<RecordBatch, StoreError> {
    let names = batch.column_by_name("sweep").and_then(|column| column.as_string_opt::<i32>());
    let mask: BooleanArray = match names {
        Some(names) => names.iter().map(|name| Some(name.is_some_and(|name| sweeps.contains(name)))).collect(),
        None => vec![false; batch.num_rows()].into(),
    };
    filter_record_batch(batch, &mask).map_err(StoreError::data(origin))
}

/// The batch under another name of its sweep.
pub fn renamed(batch: &RecordBatch, name: &str) -> RecordBatch {
    with_column(batch, "sweep", Arc::new(StringArray::from(vec![name; batch.num_rows()])))
}

/// The batch with one of its texts in place of another.
fn with_column(batch: &RecordBatch, name: &str, values: ArrayRef) -> RecordBatch {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    let columns = columns.map(|(field, column)| if field.name() == name { values.clone() } else { column.clone() });
    RecordBatch::try_new(schema.clone(), columns.collect()).expect("one text column takes the place of another")
}

/// Writes the tables of all ended sweeps below a folder into a few files. Returns how many sweeps those hold, or `None` if
/// they held them already.
pub fn compact_lake(lake: &Path) -> Result<Option<usize>, StoreError> {
    let home = lake.join(COMPACTED);
    fs::create_dir_all(&home).map_err(StoreError::io(&home))?;
    let lock = File::create(home.join(".lock")).map_err(StoreError::io(&home))?;
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
    write_parquet(&work.path().join(SWEEPS), &super::unite(&schema, &batches, &home)?)?;
    publish(work, &home)?;
    Ok(Some(covered.len() + new.len()))
}

/// Why a sweep's tables can't be read, if one can't: it is left out of what is made of all.
pub fn damage_of(sweep: &Sweep) -> Option<StoreError> {
    let tables = Table::ALL.into_iter().map(|table| sweep.folder.join(table.file_name()));
    tables.filter(|path| path.is_file()).find_map(|path| super::parquet_schema(&path).err())
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
            Self::Covered(path) | Self::Own(_, path) => super::parquet_schema(path).map(|(schema, _)| schema),
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
            Self::Small(rows) => Box::new((0..rows.num_batches()).map(move |index| rows.read_batch(index, schema))),
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
    super::atomic::remove_if_there(&link)?;
    std::os::unix::fs::symlink(&next, &link).map_err(fail)?;
    fs::rename(&link, home.join(LATEST)).map_err(fail)?;
    File::open(home).and_then(|folder| folder.sync_all()).map_err(fail)?;
    numbers.pop();
    numbers.into_iter().try_for_each(|number| fs::remove_dir_all(home.join(name(number)))).map_err(fail)
}
