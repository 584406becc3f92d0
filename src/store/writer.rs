//! The one writer of a sweep's folder.

use super::atomic::remove_if_there;
use super::compact::compact;
use super::layout::{self, combination_folder, level_folder};
use super::manifest::{LevelOf, Manifest, StoredCombination, SweepKind, SweepState};
use super::summary::{write_summary, write_summary_csv};
use super::{
    StoreError, read_parquet, rows_to_batch, runs_to_batch, unite, unite_schemas, write_bytes_atomically, write_parquet,
};
use crate::formats::measured;
use crate::params::ParamSet;
use crate::plan::{Combination, Level};
use crate::record::{Demands, Environment, Outcome, Row, RunRecord, Status, complete_result, own_result, read_result};
use crate::redact::Redactor;
use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::error::ArrowError;
use chrono::{DateTime, Utc};
use nix::fcntl::{Flock, FlockArg};
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

/// Holds a sweep's folder, and keeps others from writing to it.
pub struct SweepWriter {
    folder: PathBuf,
    manifest: Manifest,
    folders: HashMap<String, String>,
    answered: HashSet<(String, String)>,
    _lock: Flock<File>,
}

impl SweepWriter {
    /// Makes the folder of a new sweep. Without a name it is the present time, and never one that is taken.
    pub fn create(
        lake: &Path,
        name: Option<&str>,
        now: DateTime<chrono::Local>,
        mut manifest: Manifest,
        combinations: &[Combination],
    ) -> Result<Self, StoreError> {
        let folder = match name {
            Some(name) => make_named(lake, name)?,
            None => make_timestamped(lake, now)?,
        };
        manifest.sweep = file_name(&folder);
        Self::open(folder, manifest, combinations)
    }

    /// Goes on with a sweep. Its commands must be the ones of `wanted`; parameter sets and runs may be added.
    pub fn resume(
        lake: &Path,
        name: Option<&str>,
        wanted: Manifest,
        combinations: &[Combination],
    ) -> Result<Self, StoreError> {
        let name = name.ok_or_else(|| StoreError::ResumeWhich { lake: lake.into() })?;
        check_name(name)?;
        let folder = lake.join(name);
        let stored = existing_manifest(&folder)?;
        check_unchanged(&folder, &stored, &wanted)?;
        let stored_state = stored.state;
        let manifest = Manifest {
            sweep: stored.sweep,
            started_at: stored.started_at,
            combinations: stored.combinations,
            runs: stored.runs,
            failed: stored.failed,
            environment: Environment {
                // Known again only once a server is up, and there may be nothing left to run.
                engine_version: stored.environment.engine_version,
                ..wanted.environment
            },
            ..wanted
        };
        let has_ended = stored_state == SweepState::Completed;
        let mut writer = Self::open(folder, manifest, combinations)?;
        if has_ended {
            writer.answered = answered(&writer.folder.join(layout::SLA));
        }
        Ok(writer)
    }

    fn open(folder: PathBuf, mut manifest: Manifest, combinations: &[Combination]) -> Result<Self, StoreError> {
        let lock = lock(&folder)?;
        let mut folders: HashMap<String, String> =
            manifest.combinations.iter().map(|stored| (stored.id.clone(), stored.folder.clone())).collect();
        for combination in combinations {
            let id = combination.id.to_string();
            if folders.contains_key(&id) {
                continue;
            }
            let mut name = combination_folder(manifest.kind, combination);
            if folders.values().any(|taken| *taken == name) {
                name = format!("{name}-{id}");
            }
            folders.insert(id.clone(), name.clone());
            manifest.combinations.push(StoredCombination {
                id,
                folder: name,
                serve: combination.serve.to_record(),
                bench: combination.bench.to_record(),
                level_of: None,
            });
        }
        manifest.state = SweepState::Running;
        manifest.write(&folder)?;
        Ok(Self { folder, manifest, folders, answered: HashSet::new(), _lock: lock })
    }

    /// Gives a level of a combination its folder.
    pub fn add_level(&mut self, of: &Combination, level: &Level, at: &Combination) -> Result<(), StoreError> {
        if self.folders.contains_key(at.id.as_str()) {
            return Ok(());
        }
        let base = self.folders.get(of.id.as_str()).cloned().unwrap_or_default();
        let folder = level_folder(self.manifest.kind, &base, level);
        self.folders.insert(at.id.to_string(), folder.clone());
        self.manifest.combinations.push(StoredCombination {
            id: at.id.to_string(),
            folder,
            serve: at.serve.to_record(),
            bench: at.bench.to_record(),
            level_of: Some(LevelOf { combination: of.id.to_string(), level: level.clone() }),
        });
        self.manifest.write(&self.folder)
    }

    /// The levels at which a combination was measured before.
    pub fn levels_of(&self, combination: &Combination) -> Vec<Level> {
        let levels = self.manifest.combinations.iter().filter_map(|stored| stored.level_of.as_ref());
        let own = levels.filter(|level| level.combination == combination.id.as_str());
        own.map(|level| level.level.clone()).collect()
    }

    /// Writes what was found out about the levels of a combination.
    pub fn write_findings(&self, combination: &Combination, name: &str, findings: &Value) -> Result<(), StoreError> {
        let folder = self.combination_folder(combination);
        std::fs::create_dir_all(&folder).map_err(StoreError::io(&folder))?;
        write_json(&folder.join(layout::sla_file(name)), findings)
    }

    /// Writes the tables of answers to SLAs. Answers of earlier runs of the sweep stay, unless they are given anew.
    pub fn write_slas(&self, answers: &[Row], history: &[Row]) -> Result<(), StoreError> {
        for (name, rows) in [(layout::SLA, answers), (layout::SLA_HISTORY, history)] {
            let path = self.folder.join(name);
            let new = rows_to_batch(rows);
            let kept = match path.is_file() {
                true => vec![without_questions_of(&read_parquet(&path)?, &new).map_err(StoreError::data(&path))?],
                false => Vec::new(),
            };
            let batches: Vec<_> = kept.into_iter().chain([new]).filter(|batch| batch.num_rows() > 0).collect();
            if !batches.is_empty() {
                let schema = unite_schemas(batches.iter().map(|batch| batch.schema_ref().as_ref()));
                write_parquet(&path, &unite(&schema, &batches, &path)?)?;
            }
        }
        Ok(())
    }

    /// Combinations with the SLAs that were answered when the sweep, now resumed, had ended.
    pub fn answered_slas(&self) -> &HashSet<(String, String)> {
        &self.answered
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn name(&self) -> &str {
        &self.manifest.sweep
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Notes what a server says of itself.
    pub fn set_engine_version(&mut self, version: &str) -> Result<(), StoreError> {
        if self.manifest.environment.engine_version.as_deref() == Some(version) {
            return Ok(());
        }
        self.manifest.environment.engine_version = Some(version.to_owned());
        self.manifest.write(&self.folder)
    }

    pub fn server_log(&self, serve: &ParamSet) -> PathBuf {
        let id = Combination::new(serve.clone(), ParamSet::unchanged()).id;
        self.folder.join(layout::server_log(serve, id.as_str()))
    }

    pub fn bench_log(&self, combination: &Combination) -> PathBuf {
        self.combination_folder(combination).join(layout::BENCH_LOG)
    }

    /// Where the benchmark should write its result of a run; the folder is there afterwards, the file is not.
    pub fn partial_result(&self, combination: &Combination, run_number: i64) -> Result<PathBuf, StoreError> {
        self.cleared(combination, |folder| layout::run_partial(folder, run_number))
    }

    /// Where a warm-up should write its result. Asked for a second time, it takes the result away.
    pub fn warm_up_result(&self, combination: &Combination) -> Result<PathBuf, StoreError> {
        self.cleared(combination, |folder| folder.join(layout::WARM_UP_FILE))
    }

    /// A path in the combination's folder, which is there afterwards, and nothing at the path.
    fn cleared(&self, combination: &Combination, path: impl Fn(&Path) -> PathBuf) -> Result<PathBuf, StoreError> {
        let folder = self.combination_folder(combination);
        std::fs::create_dir_all(&folder).map_err(StoreError::io(&folder))?;
        let path = path(&folder);
        remove_if_there(&path)?;
        Ok(path)
    }

    /// The finished runs of a combination. What a writer that was killed left undone of one (its result's name, or its row)
    /// is done now. One that does not count as finished by today's demands is not among them.
    pub fn finished_runs(&self, combination: &Combination, terms: &Terms) -> Result<Vec<RunRecord>, StoreError> {
        let folder = self.combination_folder(combination);
        let finished = run_numbers(&folder).into_iter().filter_map(|number| {
            let mut result = own_result(finished_result(&folder, number)?, combination);
            terms.redactor.clean(&mut result);
            let record = self.record_of(combination, number, result, terms.gpu_count).judged(&terms.demands);
            let is_finished = record.status() != Status::Failed;
            is_finished.then(|| self.make_whole(&record, &folder).map(|()| record))
        });
        finished.collect()
    }

    fn make_whole(&self, record: &RunRecord, folder: &Path) -> Result<(), StoreError> {
        let number = record.run_number;
        if !row_is_finished(folder, number) {
            self.save_tables(record)?;
        }
        if named_result(folder, number).is_none() {
            write_json(&layout::run_json(folder, number), &Value::Object(completed_result(record)))?;
        }
        remove_if_there(&layout::run_partial(folder, number))
    }

    fn record_of(
        &self,
        combination: &Combination,
        run_number: i64,
        result: Map<String, Value>,
        gpu_count: Option<f64>,
    ) -> RunRecord {
        let started_at = result.get("date").and_then(Value::as_str).and_then(crate::record::local_date);
        let started_us = started_at.map_or(0, |time| time.timestamp_micros());
        RunRecord {
            sweep: self.manifest.sweep.clone(),
            combination: combination.clone(),
            run_id: crate::id::run_id(&self.manifest.sweep, &combination.id, run_number, started_us),
            run_number,
            started_at,
            wall_time_s: result.get("duration").and_then(Value::as_f64),
            startup_time_s: None,
            gpu_count,
            outcome: Outcome::Completed(result),
            is_degraded: false,
            cautions: Vec::new(),
            source: None,
        }
    }

    /// Stores a run the moment it ended: its rows first, so that no reader misses it from then on, then the result as vLLM
    /// writes it. Until that has its name, the benchmark's own file stays.
    pub fn save(&mut self, record: &RunRecord) -> Result<(), StoreError> {
        let folder = self.combination_folder(&record.combination);
        std::fs::create_dir_all(&folder).map_err(StoreError::io(&folder))?;
        let failure_path = layout::run_failure(&folder, record.run_number);
        let json_path = layout::run_json(&folder, record.run_number);
        self.save_tables(record)?;
        match &record.outcome {
            Outcome::Completed(_) => {
                write_json(&json_path, &Value::Object(completed_result(record)))?;
                remove_if_there(&failure_path)?;
            }
            Outcome::Failed { failure, .. } => {
                let told = json!({
                    "run_number": record.run_number,
                    "error_type": failure.kind.as_str(),
                    "error": failure.message,
                    "exit_code": failure.exit_code,
                    "log_tail": failure.log_tail,
                    "serve_overrides": record.combination.serve.to_record(),
                    "bench_overrides": record.combination.bench.to_record(),
                });
                write_json(&failure_path, &told)?;
                remove_if_there(&json_path)?;
            }
        }
        remove_if_there(&layout::run_partial(&folder, record.run_number))
    }

    /// Writes the combination's summary once its runs are there.
    pub fn finish_combination(&self, combination: &Combination) -> Result<(), StoreError> {
        write_summary(&self.combination_folder(combination))
    }

    /// Ends the sweep: summaries, compacted tables, and the state in the manifest.
    pub fn finish(&mut self, state: SweepState, now: DateTime<Utc>) -> Result<(), StoreError> {
        for stored in &self.manifest.combinations {
            write_summary(&self.folder.join(&stored.folder))?;
        }
        let folders = self.manifest.combinations.iter().map(|stored| self.folder.join(&stored.folder));
        write_summary_csv(&self.folder, folders)?;
        let counted = compact(&self.folder)?;
        self.manifest.runs = counted.runs;
        self.manifest.failed = counted.failed;
        self.manifest.state = state;
        self.manifest.finished_at = Some(now);
        self.manifest.write(&self.folder)
    }

    fn save_tables(&self, record: &RunRecord) -> Result<(), StoreError> {
        let folder = self.combination_folder(&record.combination);
        let requests_path = layout::requests_parquet(&folder, record.run_number);
        let requests = record.to_request_rows();
        match requests.is_empty() {
            true => remove_if_there(&requests_path)?,
            false => write_parquet(&requests_path, &rows_to_batch(&requests))?,
        }
        write_parquet(&layout::run_parquet(&folder, record.run_number), &runs_to_batch(&[record.to_row()]))
    }

    fn combination_folder(&self, combination: &Combination) -> PathBuf {
        match self.folders.get(combination.id.as_str()) {
            Some(name) => self.folder.join(name),
            None => self.folder.join(combination_folder(self.manifest.kind, combination)),
        }
    }
}

/// Combination and SLA of each row of a table of answers.
fn answered(path: &Path) -> HashSet<(String, String)> {
    let Ok(batch) = read_parquet(path) else { return HashSet::new() };
    let column = |name: &str| batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    let (Some(combinations), Some(slas)) = (column("combination"), column("sla")) else { return HashSet::new() };
    (0..batch.num_rows()).map(|row| (combinations.value(row).to_owned(), slas.value(row).to_owned())).collect()
}

/// The rows of a table that answer other questions (combination, variable and SLA) than those of another one.
fn without_questions_of(stored: &RecordBatch, new: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let questions = |batch: &RecordBatch| -> Vec<String> {
        let columns = ["combination", "variable", "sla"]
            .map(|name| batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>()));
        let text = |row: usize| columns.iter().flatten().map(|column| column.value(row)).collect::<Vec<_>>().join("\0");
        (0..batch.num_rows()).map(text).collect()
    };
    let answered: HashSet<String> = questions(new).into_iter().collect();
    let is_other: BooleanArray = questions(stored).iter().map(|question| Some(!answered.contains(question))).collect();
    arrow::compute::filter_record_batch(stored, &is_other)
}

/// What a stored result needs to become a record again.
#[derive(Clone, Debug)]
pub struct Terms {
    pub gpu_count: Option<f64>,
    pub demands: Demands,
    pub redactor: Redactor,
}

/// The result as vLLM writes it.
fn completed_result(record: &RunRecord) -> Map<String, Value> {
    complete_result(record.result().cloned().unwrap_or_default(), record.run_number, &record.combination)
}

/// The numbers of the result files in a folder, in ascending order, those that wait for their name too.
fn run_numbers(folder: &Path) -> BTreeSet<i64> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let number =
        |name: String| [".json", ".partial.json"].into_iter().find_map(|suffix| layout::run_number_of(&name, suffix));
    names.filter_map(number).collect()
}

/// Where the benchmarks of a combination would write; with `only_missing`, of the runs that are not finished.
pub fn result_paths(
    sweep: &Path,
    kind: SweepKind,
    combination: &Combination,
    level: Option<&Level>,
    num_runs: u32,
    only_missing: bool,
) -> Result<Vec<PathBuf>, StoreError> {
    let mut name = combination_folder(kind, combination);
    if only_missing {
        let manifest = existing_manifest(sweep)?;
        let stored = manifest.combinations.into_iter().find(|stored| stored.id == combination.id.as_str());
        name = stored.map_or(name, |stored| stored.folder);
    }
    let folder = sweep.join(level.map_or(name.clone(), |level| level_folder(kind, &name, level)));
    let is_wanted = |number: &i64| !only_missing || finished_result(&folder, *number).is_none();
    let numbers = (0..i64::from(num_runs)).filter(is_wanted);
    Ok(numbers.map(|number| layout::run_partial(&folder, number)).collect())
}

fn existing_manifest(folder: &Path) -> Result<Manifest, StoreError> {
    match folder.join(layout::MANIFEST).is_file() {
        true => Manifest::read(folder),
        false => Err(StoreError::NothingToResume { path: folder.into() }),
    }
}

/// The result of a run that ended well. If its writer was killed before that had its name, the row says so, and the file that
/// the benchmark wrote has it.
fn finished_result(folder: &Path, run_number: i64) -> Option<Map<String, Value>> {
    let unnamed = || {
        let partial = layout::run_partial(folder, run_number);
        let left = row_is_finished(folder, run_number).then(|| read_result(&partial).ok())??;
        measured(left, &partial).ok().map(|measured| measured.result)
    };
    named_result(folder, run_number).or_else(unnamed)
}

/// The result of a run under its name, if it is whole.
fn named_result(folder: &Path, run_number: i64) -> Option<Map<String, Value>> {
    let result = read_result(&layout::run_json(folder, run_number)).ok()?;
    (result.get("run_number").and_then(Value::as_i64) == Some(run_number)).then_some(result)
}

fn make_named(lake: &Path, name: &str) -> Result<PathBuf, StoreError> {
    check_name(name)?;
    let folder = lake.join(name);
    make_lake(lake)?;
    std::fs::create_dir(&folder).map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => match folder.join(layout::MANIFEST).is_file() {
            true => StoreError::Exists { path: folder.clone() },
            false => StoreError::Occupied { path: folder.clone() },
        },
        _ => StoreError::Unwritable { path: folder.clone(), source },
    })?;
    Ok(folder)
}

fn make_timestamped(lake: &Path, now: DateTime<chrono::Local>) -> Result<PathBuf, StoreError> {
    make_lake(lake)?;
    let timestamp = now.format("%Y%m%d_%H%M%S").to_string();
    let mut name = timestamp.clone();
    for attempt in 2.. {
        let folder = lake.join(&name);
        match std::fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => name = format!("{timestamp}_{attempt}"),
            Err(source) => return Err(StoreError::Unwritable { path: folder, source }),
        }
    }
    unreachable!("the loop ends only by returning")
}

fn make_lake(lake: &Path) -> Result<(), StoreError> {
    std::fs::create_dir_all(lake).map_err(|source| StoreError::Unwritable { path: lake.into(), source })
}

fn check_name(name: &str) -> Result<(), StoreError> {
    let is_one_part = !name.is_empty() && !matches!(name, "." | "..") && !name.contains(['/', '\0']);
    if is_one_part { Ok(()) } else { Err(StoreError::BadName { name: name.into() }) }
}

fn check_unchanged(folder: &Path, stored: &Manifest, wanted: &Manifest) -> Result<(), StoreError> {
    // Version 1 told secrets by stars alone.
    let shown = |command: &str| if stored.format_version == 1 { without_hashes(command) } else { command.to_owned() };
    let or_none = |command: &Option<String>| shown(command.as_deref().unwrap_or("(none)"));
    let pairs = [
        ("the sub-command", stored.kind.as_str().to_owned(), wanted.kind.as_str().to_owned()),
        ("--serve-cmd", shown(&stored.serve_cmd), shown(&wanted.serve_cmd)),
        ("--bench-cmd", shown(&stored.bench_cmd), shown(&wanted.bench_cmd)),
        ("--after-bench-cmd", or_none(&stored.after_bench_cmd), or_none(&wanted.after_bench_cmd)),
    ];
    match pairs.into_iter().find(|(_, was, now)| was != now) {
        Some((flag, was, now)) => Err(StoreError::Changed { path: folder.into(), flag, was, now }),
        None => Ok(()),
    }
}

/// A command whose secrets are stars without the hashes behind them.
fn without_hashes(command: &str) -> String {
    let mut parts = command.split("***");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "***" + part.trim_start_matches(|letter: char| letter.is_ascii_hexdigit()))
}

/// Keeps other writers from a sweep's folder.
pub fn lock(folder: &Path) -> Result<Flock<File>, StoreError> {
    let path = folder.join(layout::LOCK);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|source| StoreError::Unwritable { path: path.clone(), source })?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| StoreError::Locked { path: folder.into() })
}

fn row_is_finished(folder: &Path, run_number: i64) -> bool {
    let Ok(batch) = read_parquet(&layout::run_parquet(folder, run_number)) else { return false };
    let status = batch.column_by_name("status").and_then(|column| column.as_string_opt::<i32>());
    status.is_some_and(|status| status.len() == 1 && status.value(0) != Status::Failed.as_str())
}

fn write_json(path: &Path, value: &Value) -> Result<(), StoreError> {
    let text = serde_json::to_string_pretty(value).map_err(StoreError::data(path))?;
    write_bytes_atomically(path, text.as_bytes())
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
