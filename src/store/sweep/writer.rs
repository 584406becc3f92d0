//! The one writer of a sweep's folder.

use super::checksums::write_checksums;
use super::compact::compact;
use super::folder::{StoredRow, SweepFolder, named_result};
use super::going_on::{OnChange, conditions_after};
use super::kind::SweepState;
use super::layout;
use super::lock::{lock, lock_manifest};
use super::manifest::Manifest;
use super::names::{check_name, file_name, make_named, make_timestamped};
use super::sampled;
use super::summary::{write_summary, write_summary_csv};
use super::table::Table;
use crate::files::link_below;
use crate::params::ParamSet;
use crate::plan::{Combination, Level};
use crate::record::{Environment, Outcome, Row, RunRecord, Status, complete_result};
use crate::store::StoreError;
use crate::store::file::{
    field_of, read_parquet, remove_if_there, remove_parts, rows_to_batch, runs_to_batch, unite, unite_schemas,
    with_text, write_atomically, write_parquet,
};
use crate::table::Kind;
use crate::telemetry::Samples;
use arrow::array::{ArrayRef, AsArray, BooleanArray, Float64Array, RecordBatch};
use arrow::datatypes::{DataType, FieldRef, Schema};
use arrow::error::ArrowError;
use chrono::{DateTime, Utc};
use nix::fcntl::Flock;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Holds a sweep's folder, and keeps others from writing to it.
pub struct SweepWriter {
    pub(super) at: SweepFolder,
    pub(super) answered: HashSet<(String, String)>,
    /// The tables of the whole sweep hold all of its runs.
    pub(super) is_settled: bool,
    /// None where another machine works at the same sweep and has it.
    pub(super) _lock: Option<Flock<File>>,
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

    /// Goes on with a sweep, under the conditions of `wanted`; parameter sets and runs may be added.
    pub fn resume(
        lake: &Path,
        name: Option<&str>,
        wanted: Manifest,
        combinations: &[Combination],
        on_change: OnChange,
    ) -> Result<Self, StoreError> {
        let name = name.ok_or_else(|| StoreError::ResumeWhich { lake: lake.into() })?;
        check_name(name)?;
        let folder = lake.join(name);
        let stored = SweepFolder::open(&folder)?.manifest;
        if stored.is_shared {
            return Err(StoreError::Shared { path: folder });
        }
        refuse_links(&folder, &stored)?;
        let measured_under = conditions_after(&folder, &stored, &wanted, on_change)?;
        let stored_state = stored.state;
        let manifest = Manifest {
            sweep: stored.sweep,
            started_at: stored.started_at,
            combinations: stored.combinations,
            runs: stored.runs,
            failed: stored.failed,
            server_starts: stored.server_starts,
            measured_under,
            notes: stored.notes,
            checksums: stored.checksums,
            environment: Environment {
                // Known again only once a server is up, and there may be nothing left to run.
                engine: stored.environment.engine.or(wanted.environment.engine),
                engine_version: stored.environment.engine_version,
                ..wanted.environment
            },
            ..wanted
        };
        let mut writer = Self::open(folder, manifest, combinations)?;
        if stored_state == SweepState::Running {
            remove_parts(&writer.at.folder)?;
        }
        writer.is_settled = stored_state != SweepState::Running;
        if stored_state == SweepState::Completed {
            writer.answered = answered(&writer.at.folder.join(layout::SLA));
        }
        Ok(writer)
    }

    fn open(folder: PathBuf, mut manifest: Manifest, combinations: &[Combination]) -> Result<Self, StoreError> {
        let lock = lock(&folder)?;
        manifest.state = SweepState::Running;
        let mut at = SweepFolder::of(folder, manifest);
        combinations.iter().for_each(|combination| at.add(combination));
        at.manifest.write(&at.folder)?;
        Ok(Self { at, answered: HashSet::new(), is_settled: false, _lock: Some(lock) })
    }

    /// What is there.
    pub fn at(&self) -> &SweepFolder {
        &self.at
    }

    /// Gives a combination that was not planned its folder.
    pub fn add(&mut self, combination: &Combination) -> Result<(), StoreError> {
        self.adding(|at| at.add(combination))
    }

    /// Gives a level of a combination its folder.
    pub fn add_level(&mut self, of: &Combination, level: &Level, at: &Combination) -> Result<(), StoreError> {
        self.adding(|folder| folder.add_level(of, level, at))
    }

    fn adding(&mut self, add: impl FnOnce(&mut SweepFolder)) -> Result<(), StoreError> {
        let before = self.at.manifest.combinations.len();
        add(&mut self.at);
        if self.at.manifest.combinations.len() > before { self.change(|_| ()) } else { Ok(()) }
    }

    /// Writes what was found out about the levels of a combination.
    pub fn write_findings(&self, combination: &Combination, name: &str, findings: &Value) -> Result<(), StoreError> {
        let folder = self.at.combination_folder(combination);
        std::fs::create_dir_all(&folder).map_err(StoreError::io(&folder))?;
        write_json(&folder.join(layout::sla_file(name)), findings)
    }

    /// Writes the tables of answers to SLAs. Answers of earlier runs of the sweep stay, unless they are given anew.
    pub fn write_slas(&self, answers: &[Row], history: &[Row]) -> Result<(), StoreError> {
        let _held = if self.at.manifest.is_shared { Some(lock_manifest(&self.at.folder)?) } else { None };
        for (name, rows) in [(layout::SLA, answers), (layout::SLA_HISTORY, history)] {
            let path = self.at.folder.join(name);
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

    /// Writes one of the tables that are found out anew each time.
    pub fn write_table(&self, table: Table, rows: &[Row]) -> Result<(), StoreError> {
        let path = self.at.folder.join(table.file_name());
        if rows.is_empty() { remove_if_there(&path) } else { write_parquet(&path, &rows_to_batch(rows)) }
    }

    /// Combinations with the SLAs that were answered when the sweep, now resumed, had ended.
    pub fn answered_slas(&self) -> &HashSet<(String, String)> {
        &self.answered
    }

    pub fn folder(&self) -> &Path {
        &self.at.folder
    }

    pub fn name(&self) -> &str {
        &self.at.manifest.sweep
    }

    pub fn manifest(&self) -> &Manifest {
        &self.at.manifest
    }

    /// Notes that a server is about to be started; returns how many were before.
    pub fn count_server_start(&mut self) -> Result<u32, StoreError> {
        self.change(|manifest| {
            manifest.server_starts += 1;
            manifest.server_starts - 1
        })
    }

    /// Notes how many runs it is to have in all, for those who watch.
    pub fn set_planned(&mut self, runs: Option<usize>) -> Result<(), StoreError> {
        self.change(|manifest| manifest.planned_runs = runs)
    }

    /// Notes what a server says of itself.
    pub fn set_engine(&mut self, engine: Option<&str>, version: Option<&str>) -> Result<(), StoreError> {
        let environment = &mut self.at.manifest.environment;
        let before = environment.clone();
        environment.engine = engine.map(str::to_owned).or(environment.engine.take());
        environment.engine_version = version.map(str::to_owned).or(environment.engine_version.take());
        if *environment == before { Ok(()) } else { self.change(|_| ()) }
    }

    /// Where the benchmark should write its result of a run; the folder is there afterwards, the file is not.
    pub fn partial_result(&self, combination: &Combination, run_number: i64) -> Result<PathBuf, StoreError> {
        let path = cleared(self.at.partial_result(combination, run_number))?;
        remove_if_there(&layout::run_ended(&self.at.combination_folder(combination), run_number))?;
        Ok(path)
    }

    /// Notes that the benchmark of a run ended well: whatever becomes of us, its result is not measured again.
    pub fn keep_result(&self, combination: &Combination, run_number: i64) -> Result<(), StoreError> {
        let from = self.at.partial_result(combination, run_number);
        let ended = layout::run_ended(&self.at.combination_folder(combination), run_number);
        std::fs::rename(&from, &ended).map_err(StoreError::io(&from))
    }

    /// Where a warm-up should write its result. Asked for a second time, it takes the result away.
    pub fn warm_up_result(&self, combination: &Combination) -> Result<PathBuf, StoreError> {
        cleared(self.at.warm_up_result(combination))
    }

    /// Does what a writer that was killed left undone of a run that had ended well: its row, or its result's name.
    pub fn make_whole(&self, record: &RunRecord) -> Result<(), StoreError> {
        let folder = self.at.combination_folder(&record.combination);
        let number = record.run_number;
        if !StoredRow::read(&folder, number).is_some_and(|row| row.is_finished()) {
            self.save_tables(record)?;
        }
        if named_result(&folder, number).is_none() {
            write_json(&layout::run_json(&folder, number), &CompletedResult(record))?;
        }
        remove_if_there(&layout::run_ended(&folder, number))
    }

    /// Stores a run the moment it ended: its rows first, so that no reader misses it from then on, then the result as vLLM
    /// writes it. Until that has its name, what the benchmark wrote stays.
    pub fn save(&mut self, record: &RunRecord) -> Result<(), StoreError> {
        let folder = self.at.combination_folder(&record.combination);
        std::fs::create_dir_all(&folder).map_err(StoreError::io(&folder))?;
        let failure_path = layout::run_failure(&folder, record.run_number);
        let json_path = layout::run_json(&folder, record.run_number);
        self.is_settled = false;
        set_aside(&folder, record.run_number)?;
        self.save_tables(record)?;
        match &record.outcome {
            Outcome::Completed(_) => {
                write_json(&json_path, &CompletedResult(record))?;
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
        remove_if_there(&layout::run_partial(&folder, record.run_number))?;
        remove_if_there(&layout::run_ended(&folder, record.run_number))
    }

    /// Stores what was sampled so far of a run that goes on.
    pub fn keep_samples(
        &self,
        combination: &Combination,
        run: (i64, &str),
        samples: &Samples,
    ) -> Result<(), StoreError> {
        sampled::keep(&self.at, combination, run, samples)
    }

    /// Writes the combination's summary once its runs are there.
    pub fn finish_combination(&self, combination: &Combination) -> Result<(), StoreError> {
        write_summary(&self.at.combination_folder(combination))
    }

    /// Adds scores of a server to the rows of runs that were made on it.
    pub fn add_scores(&mut self, runs: &[(Combination, i64)], scores: &Map<String, Value>) -> Result<(), StoreError> {
        for (combination, run_number) in runs {
            let path = layout::run_parquet(&self.at.combination_folder(combination), *run_number);
            let row = read_parquet(&path)?;
            write_parquet(&path, &with_scores(&row, scores).map_err(StoreError::data(&path))?)?;
        }
        self.is_settled = false;
        Ok(())
    }

    /// Where an evaluation writes its scores, and what it says.
    pub fn evaluation(&self, serve: &ParamSet) -> Result<(PathBuf, PathBuf), StoreError> {
        let log = self.at.server_log(serve).with_extension("");
        let result = log.with_extension("eval.json");
        remove_if_there(&result)?;
        Ok((result, log.with_extension("eval.log")))
    }

    /// Ends the sweep: summaries, compacted tables, and the state in the manifest.
    pub fn finish(&mut self, state: SweepState, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.settle()?;
        self.change(|manifest| {
            manifest.state = state;
            manifest.finished_at = Some(now);
        })
    }

    /// Writes the tables of the whole sweep, where they do not hold all of its runs.
    pub(super) fn settle(&mut self) -> Result<(), StoreError> {
        if self.is_settled {
            return Ok(());
        }
        let folders = || self.at.manifest.combinations.iter().map(|stored| self.at.folder.join(&stored.folder));
        folders().filter(|folder| !folder.join(layout::SUMMARY).is_file()).try_for_each(|at| write_summary(&at))?;
        write_summary_csv(&self.at.folder, folders())?;
        let counted = compact(&self.at.folder)?;
        (self.at.manifest.runs, self.at.manifest.failed) = (counted.runs, counted.failed);
        self.at.manifest.checksums = Some(write_checksums(&self.at.folder)?);
        self.is_settled = true;
        Ok(())
    }

    fn save_tables(&self, record: &RunRecord) -> Result<(), StoreError> {
        let folder = self.at.combination_folder(&record.combination);
        let requests_path = layout::requests_parquet(&folder, record.run_number);
        let requests = record.to_request_rows();
        match requests.is_empty() {
            true => remove_if_there(&requests_path)?,
            false => write_parquet(&requests_path, &rows_to_batch(&requests))?,
        }
        sampled::save(&folder, record)?;
        write_parquet(&layout::run_parquet(&folder, record.run_number), &runs_to_batch(&[record.to_row()]))
    }
}

/// A run's row with scores behind it.
fn with_scores(row: &RecordBatch, scores: &Map<String, Value>) -> Result<RecordBatch, ArrowError> {
    let mut fields: Vec<FieldRef> = row.schema().fields().iter().cloned().collect();
    let mut columns = row.columns().to_vec();
    for (name, value) in scores {
        let value: ArrayRef = Arc::new(Float64Array::from(vec![value.as_f64(); row.num_rows()]));
        let known = fields.iter().position(|field| field.name() == name).and_then(|index| columns.get_mut(index));
        match known {
            Some(column) => *column = value,
            None => {
                fields.push(Arc::new(field_of(name, DataType::Float64, Some(Kind::Metric), false)));
                columns.push(value);
            }
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// Keeps the row of a failed attempt, and what was sampled during it, beside that of the next one. Its file is renamed before it is written anew: killed in between,
/// the run failed, and no row is there twice.
fn set_aside(folder: &Path, run_number: i64) -> Result<(), StoreError> {
    let path = layout::run_parquet(folder, run_number);
    let Some(row) = StoredRow::read(folder, run_number).filter(|row| !row.is_finished()) else { return Ok(()) };
    sampled::set_aside(folder, run_number, row.attempt())?;
    let aside = layout::attempt_parquet(folder, run_number, row.attempt());
    std::fs::rename(&path, &aside).map_err(StoreError::io(&aside))?;
    let batch = read_parquet(&aside)?;
    write_parquet(&aside, &with_text(&batch, "status", Status::Retried.as_str()))
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

/// The result as vLLM writes it: what the benchmark measured, `run_number`, then the parameters. Nothing of it is copied: it
/// may have millions of numbers.
struct CompletedResult<'a>(&'a RunRecord);

impl Serialize for CompletedResult<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = self.0;
        let added = complete_result(Map::new(), record.run_number, &record.combination);
        let own = record.result().into_iter().flatten();
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in own.clone() {
            // What is set stands where the benchmark told it, as in a map that is written to.
            map.serialize_entry(key, added.get(key).unwrap_or(value))?;
        }
        for (key, value) in added.iter().filter(|(key, _)| !record.result().is_some_and(|own| own.contains_key(*key))) {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// Refuses a sweep parts of which lie elsewhere: they would be written to.
fn refuse_links(folder: &Path, stored: &Manifest) -> Result<(), StoreError> {
    let link = stored.combinations.iter().find_map(|stored| link_below(folder, &stored.folder));
    link.map_or(Ok(()), |path| Err(StoreError::Link { path }))
}

/// A path whose folder is there, and nothing at the path.
fn cleared(path: PathBuf) -> Result<PathBuf, StoreError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(StoreError::io(folder))?;
    }
    remove_if_there(&path)?;
    Ok(path)
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), StoreError> {
    write_atomically(path, |file| {
        let mut buffered = BufWriter::new(file);
        serde_json::to_writer_pretty(&mut buffered, value).map_err(|error| StoreError::io(path)(error.into()))?;
        buffered.flush().map_err(StoreError::io(path))
    })
}
