//! What a sweep says when it ends: the answer, the table, where things are, and what to type next.

use super::job::{AbJob, Job};
use super::race::outcome;
use super::tune::{draw, tune_table};
use crate::cli::next::{self, quoted_path};
use crate::cli::say::say;
use crate::cli::show::{failures_table, sla_table, startup_table, summary_table};
use crate::cli::{Failure, block_on, compare, query_failure};
use crate::compare::Comparison;
use crate::plan::Plan;
use crate::query::{Lake, quoted};
use crate::report::comparison::Extent;
use crate::store::{SweepFolder, SweepState};
use crate::sweep::{self, Narrow};
use std::path::{Path, PathBuf};

/// Says what came out of a sweep.
pub fn tell_results(job: &Job, folder: &Path, ended: sweep::Ended, plan: &Plan) -> Result<(), Failure> {
    let is_search = matches!(job, Job::Tune(_));
    let always_answers = is_search || matches!(job, Job::Ab(_) | Job::Race(_) | Job::Optimize(_));
    if ended.runs == 0 && !always_answers {
        return Ok(());
    }
    // Of runs that all failed there is nothing to show but why.
    let has_numbers = ended.failed < ended.runs + ended.skipped;
    match job {
        _ if !has_numbers => {}
        Job::Tune(_) => say!("\n{}", sla_table(folder)?),
        Job::Startup => say!("{}", startup_table(folder)?),
        Job::Optimize(tune) => say!("{}", tune_table(folder, tune)?),
        Job::Serve(_) | Job::Race(_) | Job::Explore(_) => say!("\n{}", summary_table(folder)?),
        Job::Ab(job) => say!("{}", compare::text(&pairs(job, folder)?, Extent::Telling, false)),
    }
    // A single failure was told when it happened.
    if ended.failed > 1 {
        say!("failed runs, by cause:\n{}", failures_table(folder)?);
    }
    if ended.degraded > 0 {
        say!(
            "{} run(s) are degraded: fewer requests succeeded than --min-success requires; they are never recommended",
            ended.degraded
        );
    }
    if let Job::Serve(Some(narrow)) = job {
        wider_than(folder, narrow)?.iter().for_each(|told| say!("{told}"));
    }
    if let Job::Race(race) = job {
        outcome(folder, race, plan)?.iter().for_each(|told| say!("{told}"));
    }
    if let Job::Optimize(_) = job
        && has_numbers
    {
        draw(folder)?;
    }
    if is_search && has_numbers {
        crate::cli::sla::draw(folder)?;
    }
    say!("\nsweep: {}", folder.display());
    say!("next:  {}", next::commands(folder, job.kind())?.join("\n       "));
    Ok(())
}

/// What the pairs of a sweep say.
pub fn pairs(job: &AbJob, folder: &Path) -> Result<Comparison, Failure> {
    let lake = Lake::open(&[folder.to_owned()]).map_err(query_failure)?;
    compare::of_pairs(&lake, &job.request)
}

crate::query::typed_row! {
    struct Wider {
        label: Option<String>,
        runs: i64,
        share: f64,
    }
}

/// Combinations of which a metric's mean is not known as well as was asked for.
fn wider_than(folder: &Path, narrow: &Narrow) -> Result<Vec<String>, Failure> {
    let Narrow { metric, width, .. } = narrow;
    let lake = Lake::open(&[folder.to_owned()]).map_err(query_failure)?;
    let share = format!("{} / abs({})", quoted(&format!("{metric}_ci95")), quoted(&format!("{metric}_mean")));
    let sql = format!("SELECT label, n AS runs, {share} AS share FROM combinations WHERE {share} > {width} ORDER BY 1");
    let answer = block_on(lake.sql(&sql))?.map_err(query_failure)?;
    let wider: Vec<Wider> = answer.typed("wide intervals").map_err(query_failure)?;
    let told = |wider: Wider| {
        let (label, width, share) = (wider.label.unwrap_or_default(), width * 100.0, wider.share * 100.0);
        format!(
            "{label}: {metric} is known to ±{share:.1} % after {} runs, not yet to ±{width} % (limited by --max-runs)",
            wider.runs
        )
    };
    Ok(wider.into_iter().map(told).collect())
}

pub fn close(folder: &Path, ended: sweep::Ended) -> Result<PathBuf, Failure> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let is_shared = SweepFolder::open(folder).is_ok_and(|folder| folder.manifest().is_shared);
    let again =
        if is_shared { "run the same command again to make what is missing".into() } else { how_to_go_on(&name) };
    match ended.state {
        SweepState::Completed => Ok(folder.to_owned()),
        SweepState::Running => {
            say!("{} run(s) were made here; other machines are making what is left", ended.runs);
            Ok(folder.to_owned())
        }
        SweepState::Interrupted if ended.is_over_budget => {
            let kept = ended.runs + ended.skipped;
            say!("budget used up: {kept} run(s) are kept in {}; {again}", folder.display());
            Ok(folder.to_owned())
        }
        SweepState::Interrupted => {
            let kept = ended.runs + ended.skipped;
            say!("interrupted: {kept} run(s) are kept in {}; {again}", folder.display());
            Err(Failure::Interrupted)
        }
        SweepState::Failed if ended.failed == 0 && ended.unscored > 0 => Err(Failure::work(format!(
            "{} server(s) could not be evaluated; their runs are kept without scores",
            ended.unscored
        ))),
        SweepState::Failed => {
            let planned = ended.planned.unwrap_or(ended.runs).max(ended.runs);
            let left = match planned - ended.runs {
                0 => String::new(),
                left => format!(", {left} were not started (use --continue-on-error to continue after a failure)"),
            };
            Err(Failure::work(format!("{} of {planned} run(s) failed{left}; {again}", ended.failed)))
        }
    }
}

pub fn how_to_go_on(name: &str) -> String {
    format!("add --resume -e {} to the same command to run what is missing", quoted_path(Path::new(name)))
}
