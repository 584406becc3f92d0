//! Results that other tools measured, brought into a lake: what was brought in once is not brought in again, and runs are repeats of
//! each other only where that is known.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]

mod identity;
mod sources;
mod told;

pub use sources::result_files_at;
pub use told::{Told, ToldError};

use crate::formats::{Contents, NotRead, Run, read_file};
use crate::id::text_hash;
use crate::plan::Combination;
use crate::record::{Demands, Origin, Outcome, RunRecord, gpu_count_of, own_result, without_requests};
use crate::redact::Redactor;
use crate::store::{
    Home, ImportedSweep, StoreError, add_runs, imported_run_ids, lock_for_import, params_of_run, place_named,
    vllm_serve,
};
use chrono::{DateTime, Utc};
use rayon::prelude::*;
use sources::{Source, sources};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is to be imported, and what is known of it besides.
#[derive(Debug)]
pub struct Request<'a> {
    pub paths: &'a [PathBuf],
    pub lake: &'a Path,
    /// The sweep that all runs go to; otherwise each source's and tool's go to one of their own.
    pub name: Option<&'a str>,
    pub told: Told,
    pub demands: Demands,
}

/// What an import did.
#[derive(Debug, Default)]
pub struct Summary {
    /// The sweeps that got runs, with how many.
    pub sweeps: Vec<(String, usize)>,
    pub runs: usize,
    /// Runs that failed, and those in which too many requests did.
    pub failed: usize,
    pub degraded: usize,
    /// Runs that the lake had.
    pub known: usize,
    /// Files that belong to others, and tell nothing more.
    pub companions: usize,
    /// Files of which something was not read, and why.
    pub not_read: Vec<(PathBuf, String)>,
    /// What was read and is not kept, and why.
    pub notes: Vec<(PathBuf, String)>,
    /// How many files do not say what tells their runs from others, by what they do not say.
    pub kept_apart: BTreeMap<String, usize>,
    /// Files whose paths do not say what they were asked for.
    pub unmatched: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Told(#[from] ToldError),
}

/// Reads whatever results are at the paths, and adds those runs to the lake that it does not have.
pub fn import(request: &Request<'_>) -> Result<Summary, ImportError> {
    request.name.map(|name| place_named(request.lake, name)).transpose()?;
    let sources = sources(request.paths, request.lake)?;
    let told = request.told.for_files(&sources)?;
    let mut summary = Summary { unmatched: told.unmatched(), ..Summary::default() };
    let _lock = lock_for_import(request.lake)?;
    let mut known = imported_run_ids(request.lake)?;
    let redactor = Redactor::of_environment();
    for source in sources {
        let read: Vec<(&PathBuf, Contents)> = source.files.par_iter().map(|path| (path, read_file(path))).collect();
        let mut records = Vec::new();
        for (path, contents) in read {
            let file = File { path, source: &source, told: &told, redactor: &redactor, demands: &request.demands };
            records.extend(file.records(contents, &mut summary));
        }
        let found = records.len();
        records.retain(|record: &RunRecord| known.insert(record.run_id.clone()));
        summary.known += found - records.len();
        if records.is_empty() {
            continue;
        }
        summary.failed += records.iter().filter(|record| record.failure().is_some()).count();
        summary.degraded += records.iter().filter(|record| record.is_degraded).count();
        for (sweep, records) in by_sweep(request.name, &source, records) {
            let (name, added) = add_runs(request.lake, &sweep, records)?;
            summary.runs += added;
            match summary.sweeps.iter_mut().find(|(known, _)| *known == name) {
                Some((_, runs)) => *runs += added,
                None => summary.sweeps.push((name, added)),
            }
        }
    }
    Ok(summary)
}

/// The sweeps that runs of a source go to: one each tool, unless all go to the one that is named.
fn by_sweep(name: Option<&str>, source: &Source, records: Vec<RunRecord>) -> Vec<(ImportedSweep, Vec<RunRecord>)> {
    let sweep = |name: &str, tool: Option<String>, home: Home| ImportedSweep {
        name: name.to_owned(),
        origin: source.origin.clone(),
        tool,
        home,
    };
    if let Some(name) = name {
        return vec![(sweep(name, None, Home::Named), records)];
    }
    let mut by_tool: BTreeMap<Option<String>, Vec<RunRecord>> = BTreeMap::new();
    for record in records {
        by_tool.entry(record.source.as_ref().map(|origin| origin.tool.clone())).or_default().push(record);
    }
    let home = if by_tool.len() > 1 { Home::OfTool } else { Home::OfFolder };
    by_tool.into_iter().map(|(tool, records)| (sweep(&source.name, tool, home), records)).collect()
}

/// A file and all that is known of its runs.
struct File<'a> {
    path: &'a Path,
    source: &'a Source,
    told: &'a told::ForFiles<'a>,
    redactor: &'a Redactor,
    demands: &'a Demands,
}

impl File<'_> {
    fn records(&self, contents: Contents, summary: &mut Summary) -> Vec<RunRecord> {
        match contents.not_read {
            Some(NotRead::Companion) => summary.companions += 1,
            Some(NotRead::Because(reason)) => summary.not_read.push((self.path.to_owned(), reason)),
            None => {}
        }
        let mut records = Vec::new();
        let mut unknown = None;
        for document in contents.documents {
            let format = document.format;
            for mut run in document.runs {
                summary.notes.extend(run.notes.drain(..).map(|note| (self.path.to_owned(), note)));
                match self.identify(&mut run) {
                    Ok(apart) => unknown = unknown.or(apart),
                    Err(reason) => {
                        summary.not_read.push((self.path.to_owned(), reason));
                        return Vec::new();
                    }
                }
                let origin = run.origin(format, self.path);
                records.push(self.record(run, origin));
            }
        }
        if let Some(unknown) = unknown {
            *summary.kept_apart.entry(unknown).or_default() += 1;
        }
        records
    }

    /// Makes the run's parameters all that tells it from others. Returns what is not known of it, where that keeps it apart.
    fn identify(&self, run: &mut Run) -> Result<Option<String>, String> {
        if self.source.is_sweep {
            // Its folders tell what its runs are.
            let found = params_of_run(self.path.parent().unwrap_or(self.path), &run.whole);
            (run.serve, run.bench) = (found.serve, found.bench);
            run.result.clone_from(&run.whole);
            run.cautions.extend(found.caution);
            self.told.add_to(run, self.path)?;
            return Ok(None);
        }
        self.told.add_to(run, self.path)?;
        Ok(identity::complete(run, &self.told.place_of(self.path, self.source)))
    }

    /// A run's identity is what it says: the same file twice, or at two places, is the same run.
    fn record(&self, run: Run, origin: Origin) -> RunRecord {
        let run_id = text_hash(&format!("{}\0{}", origin.tool, run.text));
        let run_number = run.whole.get("run_number").and_then(serde_json::Value::as_i64);
        let mut values = without_requests(&run.result);
        for (name, value) in run.serve.params.iter().chain(&run.bench.params) {
            values.entry(name).or_insert_with(|| value.clone());
        }
        let server = self.source.is_sweep.then(vllm_serve);
        let combination = Combination::new(run.serve.redacted(self.redactor), run.bench.redacted(self.redactor));
        let result = own_result(run.result, &combination);
        let record = RunRecord {
            run_id,
            gpu_count: gpu_count_of(server.as_ref(), &values),
            run_number: run_number.unwrap_or(-1),
            started_at: run.started_at.or_else(|| modified(self.path)),
            wall_time_s: result.get("duration").and_then(serde_json::Value::as_f64),
            cautions: run.cautions,
            source: Some(origin),
            ..RunRecord::new(combination, Outcome::Completed(result))
        };
        record.redacted(self.redactor).judged(self.demands)
    }
}

fn modified(path: &Path) -> Option<DateTime<Utc>> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok().map(DateTime::from)
}
