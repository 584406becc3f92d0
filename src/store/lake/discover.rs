//! Finding sweeps: ours by their manifest, vLLM's by their run files.

use super::catalogue::{Catalogue, Entry, Opened, file_url, open_place, renamed};
use super::places::{COMPACTED, Fingerprint, LATEST};
use super::remote::Remote;
use crate::store::StoreError;
use crate::store::file::rows_to_batch;
use crate::store::sweep::{
    Detail, LOOSE_REQUESTS, LOOSE_TELEMETRY, LooseFiles, MANIFEST, Manifest, SUMMARY, Stored, SweepState, Table,
    is_of_run, is_written, read_rows, run_number_of,
};
use arrow::array::RecordBatch;
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use url::Url;
use walkdir::WalkDir;

/// How deep below a lake its sweeps may lie.
const DEPTH: usize = 8;

/// A sweep, where it lies.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// Its folder; of one in an object store the folder that stands for it here.
    pub folder: PathBuf,
    pub name: String,
    origin: Origin,
    remote: Option<Arc<Remote>>,
}

/// Who made a sweep, and how far it is known.
#[derive(Clone, Debug)]
enum Origin {
    /// sweeplake; its manifest was read.
    Own(Box<Manifest>),
    /// sweeplake; all its rows are in a catalogue (told by its place among those found).
    Covered { by: usize, entry: Entry },
    /// `vllm bench sweep`.
    Foreign,
}

impl Sweep {
    /// What it says of itself; `None` for a folder that `vllm bench sweep` made.
    pub fn manifest(&self) -> Result<Option<Cow<'_, Manifest>>, StoreError> {
        match (&self.origin, &self.remote) {
            (Origin::Own(manifest), _) => Ok(Some(Cow::Borrowed(manifest))),
            (Origin::Covered { .. }, None) => Manifest::read(&self.folder).map(Cow::Owned).map(Some),
            (Origin::Covered { .. }, Some(remote)) => {
                let path = self.folder.join(MANIFEST);
                Manifest::parse(&remote.read(&path)?, &path).map(Cow::Owned).map(Some)
            }
            (Origin::Foreign, _) => Ok(None),
        }
    }

    /// The name under which its rows stand on disk.
    pub fn own_name(&self) -> &str {
        match &self.origin {
            Origin::Own(manifest) => &manifest.sweep,
            Origin::Covered { entry, .. } => &entry.own_name,
            Origin::Foreign => &self.name,
        }
    }

    /// Whether its rows on disk carry another name than the one that tells it apart here.
    pub fn is_renamed(&self) -> bool {
        self.own_name() != self.name
    }

    /// Whether the lake's catalogue has all its rows.
    pub fn is_covered(&self) -> bool {
        matches!(self.origin, Origin::Covered { .. })
    }

    /// Whether it lies in this folder, however that is spelled.
    pub fn is_at(&self, folder: &Path) -> bool {
        crate::files::is_same_place(&self.folder, folder)
    }

    /// Whether sweeplake made it.
    pub fn is_own(&self) -> bool {
        !matches!(self.origin, Origin::Foreign)
    }

    /// The path that a user knows: the folder, or the place in the object store.
    pub fn location(&self) -> String {
        match &self.remote {
            Some(remote) => remote.place_of(&self.folder).to_string(),
            None => self.folder.display().to_string(),
        }
    }

    /// Whether nobody is writing it, or will go on without being asked.
    pub fn is_ended(&self) -> bool {
        !self.is_locked()
    }

    /// How its manifest looks from outside.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        Fingerprint::of(&self.folder.join(MANIFEST))
    }

    /// Whether its tables hold all that its loose files do.
    pub fn is_compacted(&self) -> bool {
        let is_running = matches!(&self.origin, Origin::Own(manifest) if manifest.state == SweepState::Running);
        !is_running && self.own_file(Table::Runs).is_some()
    }

    /// Where the rows of a table lie. There is one rule: a compacted table of runs makes all compacted tables whole.
    pub fn stored(&self, table: Table) -> Result<Stored, StoreError> {
        let own = |table| self.own_file(table).into_iter().collect();
        let files = match (&self.origin, table) {
            (Origin::Covered { .. }, _) => Vec::new(),
            (Origin::Foreign, Table::Runs | Table::Requests) => {
                let detail = if table == Table::Runs { Detail::Runs } else { Detail::Requests };
                return Ok(Stored { rows: read_rows(&self.folder, &self.name, detail)?, ..Stored::default() });
            }
            (Origin::Foreign, _) => Vec::new(),
            (Origin::Own(_), Table::Slas | Table::SlaHistory | Table::Dropped | Table::TuneHistory) => own(table),
            (Origin::Own(_), _) if self.is_compacted() => own(table),
            (Origin::Own(_), Table::Runs) => {
                return Ok(Stored { loose: LooseFiles::of(&self.folder).runs, ..Stored::default() });
            }
            (Origin::Own(_), Table::Requests) => self.loose(LOOSE_REQUESTS, |files| files.requests),
            (Origin::Own(_), Table::Telemetry) => self.loose(LOOSE_TELEMETRY, |files| files.telemetry),
        };
        Ok(Stored::of_files(files))
    }

    /// Files of single runs, by how their names end.
    fn loose(&self, ending: &str, of: fn(LooseFiles) -> Vec<PathBuf>) -> Vec<Url> {
        match &self.remote {
            Some(remote) => remote.urls_below(&self.folder, |name| is_of_run(name, ending)),
            None => of(LooseFiles::of(&self.folder)).iter().filter_map(|path| file_url(path)).collect(),
        }
    }

    /// The state: a manifest that says running without a writer holding the folder was left by one that died.
    pub fn state(&self) -> Result<SweepState, StoreError> {
        Ok(match self.manifest()? {
            Some(manifest) if manifest.state == SweepState::Running && !self.is_locked() => SweepState::Interrupted,
            Some(manifest) => manifest.state,
            None => SweepState::Completed,
        })
    }

    fn is_locked(&self) -> bool {
        is_written(&self.folder)
    }

    /// The file of a table that lies in the sweep's own folder.
    pub fn own_file(&self, table: Table) -> Option<Url> {
        let path = self.folder.join(table.file_name());
        match (&self.origin, &self.remote) {
            (Origin::Foreign, _) => None,
            (_, Some(remote)) => remote.url_of(&path),
            (_, None) => (path.is_file() && !path.is_symlink()).then(|| file_url(&path))?,
        }
    }
}

/// The sweeps at some places, and what the lakes there have compacted.
#[derive(Clone, Debug, Default)]
pub struct Found {
    sweeps: Vec<Sweep>,
    catalogues: Vec<Catalogue>,
    /// Folders that were asked for by name.
    named: Vec<PathBuf>,
    /// What can't be read among what was not.
    left_out: Vec<LeftOut>,
}

/// Part of a lake that can't be read: the rest is answered without it.
#[derive(Clone, Debug)]
pub struct LeftOut {
    pub path: PathBuf,
    pub error: Arc<StoreError>,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "skipped: {}", self.error)
    }
}

impl LeftOut {
    fn new(path: &Path, error: StoreError) -> Self {
        Self { path: path.to_owned(), error: Arc::new(error) }
    }
}

/// Where the rows of a table lie, and what of it can't be read.
pub struct Sources {
    pub sources: Vec<Source>,
    pub left_out: Vec<LeftOut>,
}

/// Rows of a table that need the same care.
pub enum Source {
    /// Files with nothing but rows that are meant.
    Files(Vec<Url>),
    /// Files of a sweep that has another name here.
    Renamed {
        files: Vec<Url>,
        name: String,
    },
    /// Files of few rows each.
    Loose {
        files: Vec<PathBuf>,
        name: Option<String>,
    },
    /// A file of which the rows of some sweeps are out of date.
    Without {
        file: Url,
        sweeps: Vec<String>,
    },
    Rows(Vec<RecordBatch>),
}

impl Found {
    /// In the order of their names.
    pub fn all(&self) -> &[Sweep] {
        &self.sweeps
    }

    /// What was left out when the sweeps were looked for.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Notes that a file can't be read; of a sweep that was asked for by name that is an error.
    pub fn leave_out(&self, path: &Path, error: StoreError) -> Result<LeftOut, StoreError> {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        match self.named.iter().any(|named| real.starts_with(named)) {
            true => Err(error),
            false => Ok(LeftOut::new(path, error)),
        }
    }

    /// Where the rows of a table lie.
    pub fn sources(&self, table: Table) -> Result<Sources, StoreError> {
        let mut sources = Vec::new();
        let mut files = Vec::new();
        let mut left_out = Vec::new();
        for (index, catalogue) in self.catalogues.iter().enumerate() {
            let without = catalogue.without(&self.covered_by(index));
            match catalogue.file(table) {
                Some(file) if without.is_empty() => files.push(file),
                Some(file) => sources.push(Source::Without { file, sweeps: without }),
                None => {}
            }
        }
        let open: Vec<&Sweep> = self.sweeps.iter().filter(|sweep| !sweep.is_covered()).collect();
        let stored: Vec<_> = open.par_iter().map(|sweep| sweep.stored(table)).collect();
        let (mut loose, mut rows) = (Vec::new(), Vec::new());
        for (sweep, stored) in open.into_iter().zip(stored) {
            let stored = match stored {
                Ok(stored) => stored,
                Err(error) => {
                    left_out.push(self.leave_out(&sweep.folder, error)?);
                    continue;
                }
            };
            if sweep.is_renamed() {
                rows.extend(stored.rows.iter().map(|batch| renamed(batch, &sweep.name)));
                if !stored.loose.is_empty() {
                    sources.push(Source::Loose { files: stored.loose, name: Some(sweep.name.clone()) });
                }
                if !stored.files.is_empty() {
                    sources.push(Source::Renamed { files: stored.files, name: sweep.name.clone() });
                }
            } else {
                rows.extend(stored.rows);
                loose.extend(stored.loose);
                files.extend(stored.files);
            }
        }
        sources.push(Source::Files(files));
        if !loose.is_empty() {
            sources.push(Source::Loose { files: loose, name: None });
        }
        sources.push(Source::Rows(rows));
        Ok(Sources { sources, left_out })
    }

    /// The rows of table `sweeps`.
    pub fn facts(&self) -> Result<Vec<RecordBatch>, StoreError> {
        let catalogues = self.catalogues.iter().enumerate();
        let of_catalogues = catalogues.map(|(index, catalogue)| catalogue.rows_of(&self.covered_by(index)));
        let open: Vec<&Sweep> = self.sweeps.iter().filter(|sweep| !sweep.is_covered()).collect();
        let rows = open.par_iter().map(|sweep| sweep.to_row()).collect::<Result<Vec<_>, _>>()?;
        of_catalogues.chain([Ok(rows_to_batch(&rows))]).collect()
    }

    fn covered_by(&self, catalogue: usize) -> HashSet<&str> {
        let is_covered = |sweep: &&Sweep| matches!(sweep.origin, Origin::Covered { by, .. } if by == catalogue);
        self.sweeps.iter().filter(is_covered).map(|sweep| sweep.name.as_str()).collect()
    }
}

/// The sweeps at the given paths: each a sweep, or a lake that holds sweeps.
pub fn find_sweeps(paths: &[PathBuf]) -> Result<Found, StoreError> {
    let mut catalogues: Vec<Catalogue> = Vec::new();
    let mut places = BTreeMap::new();
    let mut named = Vec::new();
    for path in paths {
        let Opened { folder, remote, catalogue } = open_place(path)?;
        if !folder.exists() {
            return Err(StoreError::Missing { path: path.clone() });
        }
        let walk =
            Walk { top: &folder, remote: remote.as_ref(), catalogue: catalogue.as_ref(), index: catalogues.len() };
        let found = walk.places();
        if found.is_empty() {
            return Err(StoreError::NoSweeps { path: path.clone() });
        }
        if found.keys().any(|sweep| *sweep == folder) {
            named.push(folder.canonicalize().unwrap_or(folder.clone()));
        }
        // One sweep reached by two ways is one sweep.
        places.extend(found.into_iter().map(|(folder, place)| (folder.canonicalize().unwrap_or(folder), place)));
        catalogues.extend(catalogue);
    }
    let mut found = Found { catalogues, named, ..Found::default() };
    let places: Vec<Place> = places.into_values().collect();
    let opened: Vec<_> = places.into_par_iter().map(|place| (place.folder.clone(), place.open())).collect();
    for (folder, opened) in opened {
        match opened {
            Ok(sweep) => found.sweeps.push(sweep),
            Err(error) => found.left_out.push(found.leave_out(&folder, error)?),
        }
    }
    tell_apart(&mut found.sweeps);
    for sweep in &mut found.sweeps {
        // Its rows stand in the catalogue under a name that now means another sweep, or none.
        if matches!(&sweep.origin, Origin::Covered { entry, .. } if entry.name != sweep.name) {
            let manifest = sweep.manifest()?.map(Cow::into_owned);
            sweep.origin = manifest.map_or(Origin::Foreign, |manifest| Origin::Own(Box::new(manifest)));
        }
    }
    Ok(found)
}

/// A sweep's folder before anything in it is read.
struct Place {
    folder: PathBuf,
    remote: Option<Arc<Remote>>,
    covered: Option<(usize, Entry)>,
}

impl Place {
    fn open(self) -> Result<Sweep, StoreError> {
        let origin = match self.covered {
            Some((by, entry)) => Origin::Covered { by, entry },
            None if self.folder.join(MANIFEST).is_file() => Origin::Own(Box::new(Manifest::read(&self.folder)?)),
            None => Origin::Foreign,
        };
        // A sweep is called as its folder is, so that `mv` renames it; the name in its manifest is the one it was made under.
        let name = match &self.remote {
            Some(remote) => remote.name_of_folder(&self.folder),
            None => {
                let absolute = self.folder.canonicalize().unwrap_or_else(|_| self.folder.clone());
                absolute.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
            }
        };
        Ok(Sweep { folder: self.folder, name, origin, remote: self.remote })
    }
}

/// Sweeps of one name, from two machines or copied, are not repeats of each other: their folders tell them apart, by as
/// many parts of their paths as it takes.
fn tell_apart(sweeps: &mut [Sweep]) {
    let mut of_name: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, sweep) in sweeps.iter().enumerate() {
        of_name.entry(sweep.name.clone()).or_default().push(index);
    }
    for same in of_name.values().filter(|same| same.len() > 1) {
        let paths: Vec<PathBuf> = same
            .iter()
            .filter_map(|index| sweeps.get(*index))
            .map(|sweep| sweep.folder.canonicalize().unwrap_or_else(|_| sweep.folder.clone()))
            .collect();
        let depth = paths.iter().map(|path| path.components().count()).max().unwrap_or(1);
        let is_apart = |parts: &usize| {
            paths.iter().map(|path| last_parts(path, *parts)).collect::<HashSet<_>>().len() == paths.len()
        };
        let parts = (1..=depth).find(is_apart).unwrap_or(depth);
        for (index, path) in same.iter().zip(&paths) {
            if let Some(sweep) = sweeps.get_mut(*index) {
                sweep.name = last_parts(path, parts);
            }
        }
    }
}

fn last_parts(path: &Path, parts: usize) -> String {
    let all: Vec<_> = path.iter().collect();
    let last: PathBuf = all.iter().skip(all.len().saturating_sub(parts)).collect();
    last.to_string_lossy().into_owned()
}

/// A walk through a lake.
struct Walk<'a> {
    top: &'a Path,
    remote: Option<&'a Arc<Remote>>,
    catalogue: Option<&'a Catalogue>,
    index: usize,
}

impl Walk<'_> {
    fn places(&self) -> BTreeMap<PathBuf, Place> {
        let mut places = BTreeMap::new();
        let mut walk = WalkDir::new(self.top).max_depth(DEPTH).into_iter();
        while let Some(entry) = walk.next() {
            let Ok(entry) = entry else { continue };
            let path = entry.path();
            // What begins with a dot is unfinished, or not meant for us.
            let is_hidden = entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b".");
            if is_hidden {
                if entry.file_type().is_dir() {
                    walk.skip_current_dir();
                }
            } else if entry.file_type().is_dir() {
                let is_own = path.join(MANIFEST).is_file();
                if is_own {
                    places.insert(path.to_owned(), self.place(path));
                }
                // The other combinations of a sweep that is found already need no look inside.
                let is_known = is_inside_sweep(path) && places.contains_key(&foreign_sweep_of(path, self.top));
                let is_compacted = entry.file_name() == COMPACTED && path.join(LATEST).exists();
                if is_own || is_known || is_compacted {
                    walk.skip_current_dir();
                }
            } else if is_result(path) {
                let folder = foreign_sweep_of(path.parent().unwrap_or(self.top), self.top);
                let place = self.place(&folder);
                places.entry(folder).or_insert(place);
            }
        }
        places
    }

    fn place(&self, folder: &Path) -> Place {
        let manifest = folder.join(MANIFEST);
        let is_unchanged = |entry: &&Entry| match self.remote {
            Some(remote) => remote.is_as(&manifest, entry.fingerprint),
            None => Fingerprint::of(&manifest) == Some(entry.fingerprint),
        };
        let entry = self.catalogue.and_then(|catalogue| catalogue.entry(folder.strip_prefix(self.top).ok()?));
        Place {
            folder: folder.to_owned(),
            remote: self.remote.cloned(),
            covered: entry.filter(is_unchanged).map(|entry| (self.index, entry.clone())),
        }
    }
}

/// Whether a file is one that only a sweep has: a run's, or a summary that is a list.
fn is_result(path: &Path) -> bool {
    match path.file_name().and_then(|name| name.to_str()) {
        Some(SUMMARY) => begins_with_bracket(path),
        Some(name) => run_number_of(name, ".json").is_some(),
        None => false,
    }
}

fn begins_with_bracket(path: &Path) -> bool {
    let mut start = [0; 16];
    let read =
        crate::files::open(path, crate::files::Links::Refuse).and_then(|mut file| file.read(&mut start)).unwrap_or(0);
    start.get(..read).unwrap_or_default().trim_ascii_start().starts_with(b"[")
}

/// The sweep's folder above a combination's (or a level's, as `max_concurrency=4`), but not above `top`.
fn foreign_sweep_of(combination: &Path, top: &Path) -> PathBuf {
    let mut folder = combination;
    while folder != top && is_inside_sweep(folder) {
        folder = folder.parent().unwrap_or(top);
    }
    folder.to_owned()
}

fn is_inside_sweep(folder: &Path) -> bool {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    ["SERVE-", "BENCH-", "STARTUP-", "WL-", "request_rate=", "max_concurrency="]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}
