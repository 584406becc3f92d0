//! What a sweep's folder holds: where each combination lies, and which of its runs are finished. Reads only.

use super::layout::{self, combination_folder, level_folder};
use super::manifest::{LevelOf, Manifest, StoredCombination};
use crate::formats::{Measured, measured};
use crate::id::run_id;
use crate::params::ParamSet;
use crate::plan::{Combination, Level};
use crate::record::{
    Demands, ErrorKind, Outcome, Place, RunRecord, Status, Under, local_date, own_result, read_result,
};
use crate::redact::Redactor;
use crate::store::StoreError;
use crate::store::file::read_parquet;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// A sweep's folder as its manifest tells of it.
#[derive(Clone, Debug)]
pub struct SweepFolder {
    pub(super) folder: PathBuf,
    pub(super) manifest: Manifest,
    /// The folder of each combination.
    folders: HashMap<String, String>,
    taken: HashSet<String>,
}

/// What a stored result needs to become a record again.
#[derive(Clone, Debug)]
pub struct Terms {
    pub gpu_count: Option<f64>,
    pub demands: Demands,
    pub redactor: Redactor,
}

/// A run that ended well.
#[derive(Debug)]
pub struct FinishedRun {
    pub record: RunRecord,
    /// A writer that was killed left nothing undone of it.
    pub is_whole: bool,
}

impl SweepFolder {
    /// A folder that is there.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        match folder.join(layout::MANIFEST).is_file() {
            true => Ok(Self::of(folder.to_owned(), Manifest::read(folder)?)),
            false => Err(StoreError::NothingToResume { path: folder.into() }),
        }
    }

    /// A folder with what a manifest says of it, whether it is there or not.
    pub fn of(folder: PathBuf, manifest: Manifest) -> Self {
        let folders = manifest.combinations.iter().map(|stored| (stored.id.clone(), stored.folder.clone())).collect();
        let taken = manifest.combinations.iter().map(|stored| stored.folder.clone()).collect();
        Self { folder, manifest, folders, taken }
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Gives a combination its folder, if it has none. Two that would have one name are told apart by their identity.
    pub fn add(&mut self, combination: &Combination) {
        if self.folders.contains_key(combination.id.as_str()) {
            return;
        }
        let mut name = combination_folder(self.manifest.kind, combination);
        if self.taken.contains(&name) {
            name = format!("{name}-{}", combination.id);
        }
        self.place(combination, name, None);
    }

    /// Takes over where another writer put combinations that are not known here.
    pub(super) fn learn(&mut self, stored: &Manifest) {
        for other in &stored.combinations {
            if !self.folders.contains_key(&other.id) {
                self.folders.insert(other.id.clone(), other.folder.clone());
                self.taken.insert(other.folder.clone());
                self.manifest.combinations.push(other.clone());
            }
        }
    }

    /// Gives a level of a combination its folder, if it has none.
    pub fn add_level(&mut self, of: &Combination, level: &Level, at: &Combination) {
        if self.folders.contains_key(at.id.as_str()) {
            return;
        }
        let base = self.folders.get(of.id.as_str()).cloned().unwrap_or_default();
        let level_of = LevelOf { combination: of.id.to_string(), level: level.clone() };
        self.place(at, level_folder(self.manifest.kind, &base, level), Some(level_of));
    }

    fn place(&mut self, combination: &Combination, folder: String, level_of: Option<LevelOf>) {
        self.folders.insert(combination.id.to_string(), folder.clone());
        self.taken.insert(folder.clone());
        self.manifest.combinations.push(StoredCombination {
            id: combination.id.to_string(),
            folder,
            serve: combination.serve.to_record(),
            bench: combination.bench.to_record(),
            level_of,
        });
    }

    pub fn combination_folder(&self, combination: &Combination) -> PathBuf {
        match self.folders.get(combination.id.as_str()) {
            Some(name) => self.folder.join(name),
            None => self.folder.join(combination_folder(self.manifest.kind, combination)),
        }
    }

    /// Where the benchmark of a run writes its result.
    pub fn partial_result(&self, combination: &Combination, run_number: i64) -> PathBuf {
        layout::run_partial(&self.combination_folder(combination), run_number)
    }

    /// Where a warm-up writes its result.
    pub fn warm_up_result(&self, combination: &Combination) -> PathBuf {
        self.combination_folder(combination).join(layout::WARM_UP_FILE)
    }

    pub fn server_log(&self, serve: &ParamSet) -> PathBuf {
        let id = Combination::new(serve.clone(), ParamSet::unchanged()).id;
        self.folder.join(layout::server_log(serve, id.as_str()))
    }

    pub fn bench_log(&self, combination: &Combination) -> PathBuf {
        self.combination_folder(combination).join(layout::BENCH_LOG)
    }

    /// Which attempt at a run the next one is, from 1.
    pub fn next_attempt(&self, combination: &Combination, run_number: i64) -> u32 {
        let folder = self.combination_folder(combination);
        let is_taken = |attempt: &u32| layout::attempt_parquet(&folder, run_number, *attempt).is_file();
        let aside = (1..).take_while(is_taken).count() as u32;
        let is_failed = StoredRow::read(&folder, run_number).is_some_and(|row| !row.is_finished());
        aside + u32::from(is_failed) + 1
    }

    /// The levels at which a combination was measured.
    pub fn levels_of(&self, combination: &Combination) -> Vec<Level> {
        let levels = self.manifest.combinations.iter().filter_map(|stored| stored.level_of.as_ref());
        let own = levels.filter(|level| level.combination == combination.id.as_str());
        own.map(|level| level.level.clone()).collect()
    }

    /// The finished runs of a combination. One that does not count as finished by today's demands is not among them.
    pub fn finished_runs(&self, combination: &Combination, terms: &Terms) -> Vec<FinishedRun> {
        let folder = self.combination_folder(combination);
        let finished = run_numbers(&folder).into_iter().filter_map(|number| {
            let row = StoredRow::read(&folder, number);
            let has_row = row.as_ref().is_some_and(StoredRow::is_finished);
            let is_whole = has_row && !layout::run_ended(&folder, number).exists();
            let mut found = finished_result(&folder, number)?;
            found.result = own_result(found.result, combination);
            terms.redactor.clean(&mut found.result);
            let record = self.record_of(combination, number, found, row, terms);
            let record = record.redacted(&terms.redactor).judged(&terms.demands);
            (record.status() != Status::Failed).then_some(FinishedRun { record, is_whole })
        });
        finished.collect()
    }

    /// The runs of a combination that failed, and were not made again since.
    pub fn failed_runs(&self, combination: &Combination) -> Vec<FailedRun> {
        let folder = self.combination_folder(combination);
        let failed = numbers_in(&folder, &[".failure.json"]).into_iter().filter_map(|number| {
            let row = StoredRow::read(&folder, number).filter(|row| !row.is_finished())?;
            let told = std::fs::read(layout::run_failure(&folder, number)).ok()?;
            let told: Value = serde_json::from_slice(&told).ok()?;
            let kind = told.get("error_type").and_then(Value::as_str).and_then(ErrorKind::parse);
            let lost_server = !row.had_server && kind.is_some_and(ErrorKind::needs_new_server);
            Some(FailedRun { number, place: row.place, lost_server })
        });
        failed.collect()
    }

    /// Under which conditions a run was made: its row says so, else the time at which its result was written.
    fn under_of(&self, folder: &Path, run_number: i64, row: Option<&StoredRow>) -> Option<Under> {
        if let Some(fingerprint) = row.and_then(|row| row.fingerprint.as_deref()) {
            return Some(self.manifest.known_as(fingerprint));
        }
        let paths = [layout::run_ended(folder, run_number), layout::run_json(folder, run_number)];
        let written = paths.iter().find_map(|path| path.metadata().ok()?.modified().ok())?;
        self.manifest.under_at(written.into())
    }

    fn record_of(
        &self,
        combination: &Combination,
        run_number: i64,
        found: Measured,
        row: Option<StoredRow>,
        terms: &Terms,
    ) -> RunRecord {
        let folder = self.combination_folder(combination);
        let Measured { result, source } = found;
        let started_at = result.get("date").and_then(Value::as_str).and_then(local_date);
        let started_us = started_at.map_or(0, |time| time.timestamp_micros());
        RunRecord {
            sweep: self.manifest.sweep.clone(),
            run_id: run_id(&self.manifest.sweep, &combination.id, run_number, started_us),
            run_number,
            started_at,
            wall_time_s: result.get("duration").and_then(Value::as_f64),
            gpu_count: terms.gpu_count,
            place: row.as_ref().and_then(|row| row.place),
            under: self.under_of(&folder, run_number, row.as_ref()),
            source,
            ..RunRecord::new(combination.clone(), Outcome::Completed(result))
        }
    }
}

/// What the row of a run says, where it is there.
pub(super) struct StoredRow {
    is_finished: bool,
    /// Whether a server had started for it.
    had_server: bool,
    place: Option<Place>,
    fingerprint: Option<String>,
}

/// A run that failed.
#[derive(Clone, Copy, Debug)]
pub struct FailedRun {
    pub number: i64,
    pub place: Option<Place>,
    /// Whether it failed because no server started.
    pub lost_server: bool,
}

impl StoredRow {
    pub(super) fn read(folder: &Path, run_number: i64) -> Option<Self> {
        let batch = read_parquet(&layout::run_parquet(folder, run_number)).ok()?;
        let text = |name: &str| batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
        let status = text("status");
        let fingerprint = text("fingerprint").filter(|all| all.len() == 1 && all.is_valid(0));
        let is_finished = status.is_some_and(|all| all.len() == 1 && all.value(0) != Status::Failed.as_str());
        let fingerprint = fingerprint.map(|all| all.value(0).to_owned());
        let had_server = batch.column_by_name("startup_time_s").is_some_and(|column| column.null_count() == 0);
        Some(Self { is_finished, had_server, place: place_of(&batch), fingerprint })
    }

    pub(super) fn is_finished(&self) -> bool {
        self.is_finished
    }

    pub(super) fn attempt(&self) -> u32 {
        self.place.map_or(1, |place| place.attempt)
    }
}

fn place_of(batch: &RecordBatch) -> Option<Place> {
    let number = |name: &str| {
        let column = batch.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
        (column.len() == 1 && column.is_valid(0)).then(|| column.value(0))?.try_into().ok()
    };
    let attempt = number("attempt").unwrap_or(1);
    Some(Place {
        round: number("round")?,
        server_start: number("server_start")?,
        run_order: number("run_order")?,
        attempt,
    })
}

/// The numbers of the result files in a folder, in ascending order, those that wait for their name too.
fn run_numbers(folder: &Path) -> BTreeSet<i64> {
    numbers_in(folder, &[".json", ".ended.json"])
}

/// The numbers of runs that have a file with one of these endings.
fn numbers_in(folder: &Path, endings: &[&str]) -> BTreeSet<i64> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let number = |name: String| endings.iter().find_map(|ending| layout::run_number_of(&name, ending));
    names.filter_map(number).collect()
}

/// The result of a run that ended well. If that could not be stored, what the benchmark wrote is still there.
fn finished_result(folder: &Path, run_number: i64) -> Option<Measured> {
    let ended = || {
        let path = layout::run_ended(folder, run_number);
        measured(read_result(&path).ok()?, &path).ok()
    };
    named_result(folder, run_number).map(|result| Measured { result, source: None }).or_else(ended)
}

/// The result of a run under its name, if it is whole.
pub(super) fn named_result(folder: &Path, run_number: i64) -> Option<Map<String, Value>> {
    let result = read_result(&layout::run_json(folder, run_number)).ok()?;
    (result.get("run_number").and_then(Value::as_i64) == Some(run_number)).then_some(result)
}
