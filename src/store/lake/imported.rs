//! Sweeps of runs that other tools measured: no folders of combinations, only the tables.

use super::discover::find_sweeps;
use crate::files::holds_only;
use crate::record::{Environment, RunRecord};
use crate::store::StoreError;
use crate::store::file::{
    FORMAT_VERSION, is_version_1, read_batches, read_parquet, read_runs, rows_to_batch, runs_to_batch, unite_schemas,
    write_batches,
};
use crate::store::sweep::{
    Counted, LOCK, MANIFEST, Manifest, REQUESTS, RUNS, StoredCombination, SweepKind, SweepState, Table, check_name,
    lock,
};
use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int64Type, SchemaRef};
use chrono::Utc;
use nix::fcntl::{Flock, FlockArg};
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// Where imported runs belong.
pub struct ImportedSweep {
    pub name: String,
    pub origin: PathBuf,
    /// The tool that measured them; none where those of several tools come together.
    pub tool: Option<String>,
    pub home: Home,
}

/// Which sweep is theirs: the one that came from the same folder and tool, unless one is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// A new one is called as its folder.
    OfFolder,
    /// A new one is called as its folder and its tool, because the folder has runs of others.
    OfTool,
    /// The one of that name.
    Named,
}

/// Runs that become columns at a time: with their requests they take many times the room of the table.
const RUNS_IN_A_BATCH: usize = 64;

pub const IMPORT_LOCK: &str = ".import.lock";
pub const UNFINISHED: &str = ".import-";

/// Makes a lake, if it is not there, and keeps other imports waiting. What one that was killed left unfinished goes.
pub fn lock_for_import(lake: &Path) -> Result<ImportLock, StoreError> {
    let is_new = !lake.exists();
    fs::create_dir_all(lake).map_err(StoreError::io(lake))?;
    let path = lake.join(IMPORT_LOCK);
    let unwritable = |source| StoreError::Unwritable { path: path.clone(), source };
    let file = File::create(&path).map_err(unwritable)?;
    let lock = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| unwritable(errno.into()))?;
    let entries = fs::read_dir(lake).map_err(StoreError::io(lake))?.filter_map(Result::ok);
    for left in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(UNFINISHED)) {
        fs::remove_dir_all(left.path()).map_err(StoreError::io(&left.path()))?;
    }
    Ok(ImportLock { lake: is_new.then(|| lake.to_owned()), _lock: lock })
}

/// Keeps other imports waiting. A lake that was made for an import and got nothing goes with it.
pub struct ImportLock {
    /// The lake, if it was made for this import.
    lake: Option<PathBuf>,
    _lock: Flock<File>,
}

impl Drop for ImportLock {
    fn drop(&mut self) {
        let Some(lake) = &self.lake else { return };
        if holds_only(lake, IMPORT_LOCK) {
            let _ = fs::remove_file(lake.join(IMPORT_LOCK));
            let _ = fs::remove_dir(lake);
        }
    }
}

/// The runs that imported sweeps of a lake have.
pub fn imported_run_ids(lake: &Path) -> Result<HashSet<String>, StoreError> {
    let found = match find_sweeps(&[lake.to_owned()]) {
        Ok(found) => found,
        Err(StoreError::Missing { .. } | StoreError::NoSweeps { .. }) => return Ok(HashSet::new()),
        Err(error) => return Err(error),
    };
    let mut ids = HashSet::new();
    for sweep in found.all() {
        let is_imported = sweep.manifest()?.is_some_and(|manifest| manifest.kind == SweepKind::Import);
        let path = sweep.folder.join(Table::Runs.file_name());
        if is_imported && path.is_file() {
            ids.extend(texts(&read_parquet(&path)?, "run_id"));
        }
    }
    Ok(ids)
}

/// All files below a folder, in the order of their paths.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = WalkDir::new(folder).sort_by_file_name().into_iter().filter_map(Result::ok);
    // A link that leads nowhere is told of when it is read.
    entries.filter(|entry| !entry.file_type().is_dir()).map(walkdir::DirEntry::into_path).collect()
}

/// Adds runs to their sweep, which is made if it is not there. Returns its name and how many were added.
pub fn add_runs(
    lake: &Path,
    sweep: &ImportedSweep,
    mut records: Vec<RunRecord>,
) -> Result<(String, usize), StoreError> {
    let (name, folder) = place(lake, sweep)?;
    records.iter_mut().for_each(|record| record.sweep.clone_from(&name));
    number_repeats(&mut records, numbers_in(&folder.join(RUNS))?);
    match folder.is_dir() {
        true => {
            let _lock = lock(&folder)?;
            write(&folder, &name, sweep, &records)?;
        }
        false => {
            // Whole, or not at all.
            let work = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(lake).map_err(StoreError::io(lake))?;
            write(work.path(), &name, sweep, &records)?;
            fs::write(work.path().join(LOCK), "").map_err(StoreError::io(lake))?;
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(work.path(), mode).map_err(StoreError::io(lake))?;
            fs::rename(work.keep(), &folder).map_err(StoreError::io(&folder))?;
        }
    }
    Ok((name, records.len()))
}

/// The sweep's name and folder.
fn place(lake: &Path, sweep: &ImportedSweep) -> Result<(String, PathBuf), StoreError> {
    let plain = sweep.name.clone();
    if sweep.home == Home::Named {
        let folder = place_named(lake, &plain)?;
        return Ok((plain, folder));
    }
    let tool = sweep.tool.as_deref();
    let with_tool = tool.map_or_else(|| plain.clone(), |tool| format!("{plain}-{tool}"));
    let origin = sweep.origin.to_string_lossy();
    // One of an earlier version does not say which tool's it is, and takes all.
    let is_its = |manifest: &Manifest| {
        manifest.origin.as_deref() == Some(&*origin) && (manifest.tool.is_none() || manifest.tool.as_deref() == tool)
    };
    let stem = |name: &str| {
        name.rsplit_once('_')
            .filter(|(_, number)| number.parse::<u32>().is_ok())
            .map_or(name.to_owned(), |(stem, _)| stem.to_owned())
    };
    let entries =
        fs::read_dir(lake).into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut known: Vec<String> =
        entries.filter(|name| [&plain, &with_tool].iter().any(|own| name == *own || stem(name) == **own)).collect();
    known.sort();
    for name in known {
        let folder = lake.join(&name);
        if is_import(&folder, is_its)? {
            return Ok((name, folder));
        }
    }
    let own = if sweep.home == Home::OfTool { vec![with_tool] } else { vec![plain, with_tool] };
    let last = own.last().cloned().unwrap_or_default();
    let numbered = (2..).map(|number| format!("{last}_{number}"));
    let free =
        own.into_iter().chain(numbered).map(|name| (lake.join(&name), name)).find(|(folder, _)| !folder.exists());
    free.map(|(folder, name)| (name, folder)).ok_or_else(|| StoreError::NoImport { path: lake.to_owned() })
}

/// The folder of the imported sweep of that name, or the one that it will have.
pub fn place_named(lake: &Path, name: &str) -> Result<PathBuf, StoreError> {
    check_name(name)?;
    let folder = lake.join(name);
    match !folder.exists() || is_import(&folder, |_| true)? {
        true => Ok(folder),
        false => Err(StoreError::NoImport { path: folder }),
    }
}

fn is_import(folder: &Path, is_meant: impl Fn(&Manifest) -> bool) -> Result<bool, StoreError> {
    if !folder.join(MANIFEST).is_file() {
        return Ok(false);
    }
    let manifest = Manifest::read(folder)?;
    Ok(manifest.kind == SweepKind::Import && is_meant(&manifest))
}

/// Writes the tables with the runs in them, the runs last: only they make the requests count.
fn write(folder: &Path, name: &str, sweep: &ImportedSweep, records: &[RunRecord]) -> Result<(), StoreError> {
    let stored = folder.join(MANIFEST).is_file().then(|| Manifest::read(folder)).transpose()?;
    if let Some(manifest) = &stored {
        // Written anew before the tables change: from now on no compacted lake takes its rows for those of this sweep.
        manifest.write(folder)?;
    }
    let ids: HashSet<String> = records.iter().map(|record| record.run_id.clone()).collect();
    add_rows(&folder.join(REQUESTS), &request_batches(records), &ids)?;
    let counted = add_rows(&folder.join(RUNS), &run_batches(records), &ids)?;
    let times = records.iter().filter_map(|record| record.started_at);
    let (first, last) = (times.clone().min(), times.max());
    let origin = sweep.origin.to_string_lossy();
    // Where no run tells its time, the sweep is as old as its import.
    let mut manifest = stored.unwrap_or_else(|| Manifest {
        tool: sweep.tool.clone(),
        ..Manifest::imported(name, &origin, first.unwrap_or_else(Utc::now))
    });
    manifest.format_version = FORMAT_VERSION;
    manifest.started_at = first.map_or(manifest.started_at, |first| manifest.started_at.min(first));
    manifest.finished_at = manifest.finished_at.max(last);
    (manifest.runs, manifest.failed) = (counted.runs, counted.failed);
    for record in records {
        let combination = &record.combination;
        if !manifest.combinations.iter().any(|stored| stored.id == combination.id.as_str()) {
            manifest.combinations.push(StoredCombination {
                id: combination.id.to_string(),
                folder: String::new(),
                serve: combination.serve.to_record(),
                bench: combination.bench.to_record(),
                level_of: None,
            });
        }
    }
    manifest.write(folder)
}

impl Manifest {
    fn imported(name: &str, origin: &str, started_at: chrono::DateTime<chrono::Utc>) -> Self {
        let environment = Environment { sweeplake_version: env!("CARGO_PKG_VERSION").into(), ..Environment::default() };
        Self {
            sweep: name.into(),
            kind: SweepKind::Import,
            state: SweepState::Completed,
            origin: Some(origin.into()),
            ..Self::without_commands(started_at, environment)
        }
    }
}

fn run_batches(records: &[RunRecord]) -> Vec<RecordBatch> {
    let of_chunk = |records: &[RunRecord]| runs_to_batch(&records.iter().map(RunRecord::to_row).collect::<Vec<_>>());
    records.chunks(RUNS_IN_A_BATCH).map(of_chunk).collect()
}

fn request_batches(records: &[RunRecord]) -> Vec<RecordBatch> {
    let batches = records
        .chunks(RUNS_IN_A_BATCH)
        .map(|records| rows_to_batch(&records.iter().flat_map(RunRecord::to_request_rows).collect::<Vec<_>>()));
    batches.filter(|batch| batch.num_rows() > 0).collect()
}

/// Writes rows behind those that a file has. Rows of the same runs there are left of a writer that was killed.
fn add_rows(path: &Path, new: &[RecordBatch], ids: &HashSet<String>) -> Result<Counted, StoreError> {
    let mut counted = Counted { runs: 0, failed: 0 };
    if new.is_empty() {
        return Ok(counted);
    }
    let (old_schema, old) = stored_batches(path)?;
    let schemas = old_schema.iter().map(AsRef::as_ref).chain(new.iter().map(|batch| batch.schema_ref().as_ref()));
    let schema = unite_schemas(schemas);
    let old = old.map(|batch| {
        let batch = batch?;
        let mask: BooleanArray = texts(&batch, "run_id").iter().map(|id| Some(!ids.contains(id))).collect();
        filter_record_batch(&batch, &mask).map_err(StoreError::data(path))
    });
    let all = old.chain(new.iter().cloned().map(Ok)).inspect(|batch| {
        if let Ok(batch) = batch {
            counted.runs += batch.num_rows();
            counted.failed += texts(batch, "status").iter().filter(|status| *status == "failed").count();
        }
    });
    write_batches(path, &schema, all)?;
    Ok(counted)
}

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, StoreError>>>;

/// The rows that a file has, if it is there.
fn stored_batches(path: &Path) -> Result<(Option<SchemaRef>, Batches), StoreError> {
    if !path.is_file() {
        return Ok((None, Box::new(std::iter::empty())));
    }
    if path.ends_with(RUNS) && is_version_1(path)? {
        let batches = read_runs(path)?;
        let schema = unite_schemas(batches.iter().map(|batch| batch.schema_ref().as_ref()));
        return Ok((Some(schema), Box::new(batches.into_iter().map(Ok))));
    }
    let (schema, batches) = read_batches(path)?;
    Ok((Some(schema), Box::new(batches)))
}

/// Runs that were not numbered by their tool are repeats of their combination, in the order of their time, behind those that the sweep has.
fn number_repeats(records: &mut [RunRecord], mut next: HashMap<String, i64>) {
    records.sort_by_key(|record| record.started_at);
    for record in records {
        let number = next.entry(record.combination.id.to_string()).or_default();
        if record.run_number < 0 {
            record.run_number = *number;
        }
        *number = record.run_number.max(*number) + 1;
    }
}

/// The number that a combination's next run would have.
fn numbers_in(runs: &Path) -> Result<HashMap<String, i64>, StoreError> {
    let mut next = HashMap::new();
    if !runs.is_file() {
        return Ok(next);
    }
    let batch = read_parquet(runs)?;
    let numbers = batch.column_by_name("run_number").and_then(|column| column.as_primitive_opt::<Int64Type>());
    for (row, combination) in texts(&batch, "combination").into_iter().enumerate() {
        let number = numbers.filter(|numbers| numbers.is_valid(row)).map_or(0, |numbers| numbers.value(row) + 1);
        let known = next.entry(combination).or_default();
        *known = number.max(*known);
    }
    Ok(next)
}

fn texts(batch: &RecordBatch, column: &str) -> Vec<String> {
    let column = batch.column_by_name(column).and_then(|column| column.as_string_opt::<i32>());
    column.map(|column| column.iter().map(|text| text.unwrap_or_default().to_owned()).collect()).unwrap_or_default()
}
