//! `serve --race`: repeats only for combinations that may still win.

use super::job::Job;
use super::objectives::{default_objectives, objective};
use crate::cli::sla_params::read_slas;
use crate::cli::{Failure, block_on, query_failure};
use crate::plan::Plan;
use crate::query::Lake;
use crate::sweep::{Goals, Objective};
use std::path::{Path, PathBuf};

#[derive(clap::Args, Clone)]
pub struct RaceFlags {
    /// Run every combination once, then repeat (up to --num-runs) only those that may still be on the frontier of --objectives or meet
    /// --sla, given the noise so far. Table `dropped` says why each of the others got no more runs (serve only).
    #[arg(long, conflicts_with_all = ["repeat_until", "rounds"])]
    pub race: bool,
    /// With --race and in serve_tune: the metrics of the frontier, as NAME:min or NAME:max; default:
    /// output_throughput:max,p99_e2el_ms:min unless --sla is given.
    #[arg(long, value_name = "METRIC,…", value_delimiter = ',', value_parser = objective)]
    objectives: Vec<Objective>,
    /// With --race: a file of SLAs, as for serve_sla. Combinations that meet none of them are dropped.
    #[arg(long, value_name = "FILE", requires = "race")]
    sla: Option<PathBuf>,
}

impl RaceFlags {
    pub fn objectives(&self) -> &[Objective] {
        &self.objectives
    }

    /// What is raced for, if anything is.
    pub fn job(&self) -> Result<Option<Job>, Failure> {
        if !self.race {
            return match self.objectives.is_empty() {
                true => Ok(None),
                false => Err(Failure::input("--objectives: only with --race, and in serve_tune")),
            };
        }
        let slas = self.sla.as_deref().map(read_slas).transpose()?.unwrap_or_default();
        let objectives = match self.objectives.as_slice() {
            [] if slas.is_empty() => default_objectives(),
            given => given.to_vec(),
        };
        Ok(Some(Job::Race(Goals { objectives, slas })))
    }
}

crate::query::typed_row! {
    struct Left {
        label: Option<String>,
        runs: i64,
    }
}

/// Who is left of a race, and what it took.
pub fn outcome(folder: &Path, race: &Goals, plan: &Plan) -> Result<Vec<String>, Failure> {
    let lake = Lake::open(&[folder.to_owned()]).map_err(query_failure)?;
    let left = "SELECT label, n AS runs FROM combinations WHERE combination NOT IN (SELECT combination FROM dropped) \
                ORDER BY started_at, combination";
    let left: Vec<Left> = block_on(lake.sql(left))?.and_then(|answer| answer.typed("race")).map_err(query_failure)?;
    let sum = "SELECT 'made' AS label, count(*) AS runs FROM runs WHERE status <> 'retried' UNION ALL SELECT 'dropped', count(*) FROM dropped";
    let sums: Vec<Left> = block_on(lake.sql(sum))?.and_then(|answer| answer.typed("race")).map_err(query_failure)?;
    let count = |label: &str| sums.iter().find(|row| row.label.as_deref() == Some(label)).map_or(0, |row| row.runs);
    let (made, dropped, all) = (count("made"), count("dropped"), plan.num_combinations());
    let num_runs = plan.num_runs as usize;
    let sought = match (race.objectives.is_empty(), race.slas.is_empty()) {
        (true, _) => "may meet the SLA",
        (false, true) => "may be on the frontier",
        (false, false) => "meet the SLA, as far as is known, and may be on its frontier",
    };
    let head = format!("race: {} of {all} combinations {sought}; {dropped} were dropped", left.len());
    let cost = format!("      {made} runs instead of {} (--num-runs {num_runs} without --race)", all * num_runs);
    let named = left.iter().map(|left| {
        let runs = if left.runs == 1 { "run" } else { "runs" };
        format!("      {} ({} {runs})", left.label.as_deref().unwrap_or_default(), left.runs)
    });
    Ok([head, cost]
        .into_iter()
        .chain(named.take(MOST_NAMED))
        .chain((left.len() > MOST_NAMED).then(|| "      …".into()))
        .collect())
}

/// More combinations than these are not named.
const MOST_NAMED: usize = 20;
