//! Start-up sweeps: a command that measures how an engine starts, under each set of parameters. No server of ours.

use super::event::{Event, Observer};
use super::{Ended, SweepError};
use crate::exec::{Interrupt, Keeper, Logs, Output, Stop, run_to_end};
use crate::id::run_id;
use crate::params::Command;
use crate::plan::BenchPlan;
use crate::record::{Demands, ErrorKind, Failure, Outcome, RunRecord, gpu_count_of, read_result};
use crate::redact::Redactor;
use crate::store::{SweepState, SweepWriter, Terms};
use chrono::Utc;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// How to run a start-up sweep.
#[derive(Clone, Debug)]
pub struct StartupOptions {
    pub num_runs: u32,
    pub show_stdout: bool,
    pub continue_on_error: bool,
    /// The program that keeps watch over what is started: sweeplake itself.
    pub keeper: PathBuf,
    pub demands: Demands,
    pub redactor: Redactor,
    pub logs: Logs,
}

/// The command with where to put its result.
pub fn startup_command(command: &Command, result_path: &Path) -> Command {
    command.with_words(["--output-json".to_owned(), result_path.to_string_lossy().into_owned()])
}

/// The flags that a command says it knows, without dashes and in the `_` spelling; `None` when it does not say.
pub fn known_flags(command: &Command) -> Option<Vec<String>> {
    let help = |flag: &str| {
        let words = command.with_words([flag]);
        let (program, arguments) = words.words().split_first()?;
        let output =
            std::process::Command::new(program).args(arguments).envs(command.env.iter().cloned()).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success().then_some(text)
    };
    let flags = |text: String| -> Vec<String> {
        let words = text.split(|letter: char| !(letter.is_alphanumeric() || "-_".contains(letter)));
        words.filter_map(|word| word.strip_prefix("--")).map(crate::id::column_name).collect()
    };
    // vLLM tells all of its flags only when asked for all.
    let known = help("--help=all").map(flags).unwrap_or_default();
    let known = if known.len() > 1 { known } else { help("--help").map(flags).unwrap_or_default() };
    (known.len() > 1).then_some(known)
}

/// Runs what is missing of the plan.
pub async fn run_startups(
    plan: &[BenchPlan],
    options: &StartupOptions,
    writer: &mut SweepWriter,
    observer: &mut dyn Observer,
    interrupt: &mut Interrupt,
) -> Result<Ended, SweepError> {
    let keeper = Keeper::start(&options.keeper).map_err(SweepError::Keeper)?;
    let (missing, skipped) = missing_runs(plan, options, writer)?;
    let mut ended = Ended { state: SweepState::Completed, runs: 0, failed: 0, degraded: 0, skipped };
    observer.event(Event::SweepStarted {
        folder: writer.folder(),
        servers: 0,
        runs: Some(missing.iter().map(|(_, numbers)| numbers.len()).sum()),
        skipped: ended.skipped,
    });
    'sweep: for (bench, numbers) in missing {
        for number in numbers {
            observer.event(Event::RunStarted { combination: &bench.combination, run_number: number });
            let result_path = writer.partial_result(&bench.combination, number)?;
            let output = Output {
                log: writer.bench_log(&bench.combination),
                show: options.show_stdout,
                redactor: options.redactor.clone(),
                logs: options.logs,
            };
            let (started_at, started) = (Utc::now(), Instant::now());
            let command = startup_command(&bench.command, &result_path);
            let measured = measure(&command, &output, &result_path, &keeper, interrupt);
            let outcome = match measured.await {
                Ok(result) => Outcome::Completed(result),
                Err(Stop::Failed(failure)) => failure.into(),
                Err(Stop::Interrupted) => {
                    ended.state = SweepState::Interrupted;
                    break 'sweep;
                }
            };
            let record = RunRecord {
                sweep: writer.name().to_owned(),
                run_id: run_id(writer.name(), &bench.combination.id, number, started_at.timestamp_micros()),
                run_number: number,
                started_at: Some(started_at),
                wall_time_s: Some(started.elapsed().as_secs_f64()),
                startup_time_s: None,
                gpu_count: gpu_count(bench),
                combination: bench.combination.clone(),
                outcome,
                is_degraded: false,
                cautions: Vec::new(),
                source: None,
            };
            let record = record.redacted(&options.redactor).judged(&options.demands);
            writer.save(&record)?;
            ended.runs += 1;
            observer.event(Event::RunEnded { record: &record });
            if record.failure().is_some() {
                ended.failed += 1;
                ended.state = SweepState::Failed;
                if !options.continue_on_error {
                    break 'sweep;
                }
            }
        }
    }
    writer.finish(ended.state, Utc::now())?;
    Ok(ended)
}

/// Combinations with the numbers of the runs that they lack.
type Missing<'a> = Vec<(&'a BenchPlan, Vec<i64>)>;

/// The numbers of the runs that each combination lacks, and how many runs are there.
fn missing_runs<'a>(
    plan: &'a [BenchPlan],
    options: &StartupOptions,
    writer: &SweepWriter,
) -> Result<(Missing<'a>, usize), SweepError> {
    let (mut missing, mut skipped) = (Vec::new(), 0);
    for bench in plan {
        let terms = Terms { gpu_count: gpu_count(bench), demands: options.demands, redactor: options.redactor.clone() };
        let finished = writer.finished_runs(&bench.combination, &terms)?;
        let is_finished = |number: &i64| finished.iter().any(|run| run.run_number == *number);
        missing.push((bench, (0..i64::from(options.num_runs)).filter(|number| !is_finished(number)).collect()));
        skipped += finished.len();
    }
    Ok((missing, skipped))
}

async fn measure(
    command: &Command,
    output: &Output,
    result_path: &Path,
    keeper: &Keeper,
    interrupt: &mut Interrupt,
) -> Result<Map<String, Value>, Stop> {
    let kind = ErrorKind::BenchmarkFailed;
    run_to_end(command, "the start-up benchmark", kind, output, None, keeper, interrupt).await?;
    read_result(result_path).map_err(|error| {
        Failure::new(ErrorKind::BadResult, format!("the start-up benchmark left no result: {error}")).into()
    })
}

fn gpu_count(bench: &BenchPlan) -> Option<f64> {
    gpu_count_of(Some(&bench.command), &bench.combination.serve.params)
}
