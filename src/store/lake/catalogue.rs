//! What a compacted lake knows of its sweeps.

use super::places::{COMPACTED, Fingerprint, LATEST, SWEEPS};
use super::remote::{Remote, is_remote};
use crate::store::StoreError;
use crate::store::file::{is_version_1, read_parquet, with_column, with_text};
use crate::store::sweep::Table;
use arrow::array::{AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;
use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use url::Url;

/// Columns of `sweeps.parquet` by which a sweep is known again; the others are those of table `sweeps`.
pub const PATH: &str = "catalogue.path";
pub const OWN_NAME: &str = "catalogue.own_name";
pub const MANIFEST_SIZE: &str = "catalogue.manifest_size";
pub const MANIFEST_MODIFIED: &str = "catalogue.manifest_modified_ns";

/// The compacted tables of a lake.
#[derive(Clone, Debug)]
pub struct Catalogue {
    lake: PathBuf,
    folder: PathBuf,
    remote: Option<Arc<Remote>>,
    pub sweeps: RecordBatch,
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

impl Catalogue {
    /// What the lake has, if it was compacted.
    pub fn of(lake: &Path, remote: Option<&Arc<Remote>>) -> Result<Option<Self>, StoreError> {
        let latest = lake.join(COMPACTED).join(LATEST);
        // By its real name: `latest` may become another one while this one is read.
        let folder = if remote.is_some() { latest } else { latest.canonicalize().unwrap_or(latest) };
        let home = lake.join(COMPACTED);
        if remote.is_none() && home.canonicalize().is_ok_and(|home| !folder.starts_with(home)) {
            // It leads out of the lake: nobody knows what is there.
            return Ok(None);
        }
        let path = folder.join(SWEEPS);
        // What version 1 compacted is read from the sweeps' own folders, until it is compacted anew.
        if !path.is_file() || is_version_1(&path)? {
            return Ok(None);
        }
        let sweeps = read_parquet(&path)?;
        let missing = |column: &str| StoreError::BadData {
            path: path.clone(),
            reason: format!("has no column `{column}`; rebuild it with `sweeplake compact`"),
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
            None => path.is_file().then(|| file_url(&path))?,
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

/// A place where sweeps may lie.
pub struct Opened {
    /// Its folder; of one in an object store the folder that stands for it here.
    pub folder: PathBuf,
    pub remote: Option<Arc<Remote>>,
    pub catalogue: Option<Catalogue>,
}

/// Opens a path or an URL.
pub fn open_place(path: &Path) -> Result<Opened, StoreError> {
    let Some(url) = path.to_str().filter(|_| is_remote(path)) else {
        let catalogue = if path.exists() { Catalogue::of(path, None)? } else { None };
        return Ok(Opened { folder: path.to_owned(), remote: None, catalogue });
    };
    let remote = Arc::new(Remote::list(url)?);
    let catalogue = Catalogue::of(remote.folder(), Some(&remote))?;
    remote.copy_small(|sweep| Some(catalogue.as_ref()?.entry(sweep)?.fingerprint))?;
    Ok(Opened { folder: remote.folder().to_owned(), remote: Some(remote), catalogue })
}

/// The rows of the given sweeps.
pub fn only(batch: &RecordBatch, sweeps: &HashSet<&str>, origin: &Path) -> Result<RecordBatch, StoreError> {
    let names = batch.column_by_name("sweep").and_then(|column| column.as_string_opt::<i32>());
    let mask: BooleanArray = match names {
        Some(names) => names.iter().map(|name| Some(name.is_some_and(|name| sweeps.contains(name)))).collect(),
        None => vec![false; batch.num_rows()].into(),
    };
    filter_record_batch(batch, &mask).map_err(StoreError::data(origin))
}

/// The batch under another name of its sweep.
pub fn renamed(batch: &RecordBatch, name: &str) -> RecordBatch {
    with_text(batch, "sweep", name)
}

/// A path as an URL; brackets and stars in a folder's name are no pattern.
pub fn file_url(path: &Path) -> Option<Url> {
    // An object store takes no `..` in a path.
    let absolute = match path.components().any(|part| part == Component::ParentDir) {
        true => path.canonicalize(),
        false => std::path::absolute(path),
    };
    Url::from_file_path(absolute.ok()?).ok()
}
