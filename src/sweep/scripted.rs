//! Sweeps without processes: an executor that does what a script says, and what the driver makes of it.

use super::agenda::Order;
use super::course::{Course, Pairs, Repeats};
use super::driver::{Crew, run};
use super::event::{Event, Observer};
use super::options::{OnFailure, Options};
use super::{BenchKind, Ended};
use crate::exec::{BenchJob, Benched, EvalJob, Executor, Ready, Scores, ServerJob, Stop};
use crate::formats::Measured;
use crate::params::{Command, ParamSet};
use crate::plan::{Plan, PlanRequest, Rounds, every_pair};
use crate::record::{Demands, Environment, ErrorKind, Failure, Observed, Place};
use crate::redact::Redactor;
use crate::store::{Manifest, OnChange, SweepState, SweepWriter, Terms};
use chrono::{Local, Utc};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// Does what a script says, and keeps what it was asked for: `start a=1`, `bench a=1 b=2`, `clean`, `stop`.
#[derive(Default)]
struct Scripted {
    done: Vec<String>,
    /// Jobs that were begun: starts and benchmarks.
    jobs: usize,
    /// What happens to the job that is begun as the so many-th.
    troubles: Vec<(usize, Trouble)>,
    is_interrupted: bool,
}

#[derive(Clone, Copy)]
enum Trouble {
    Fails(ErrorKind),
    Interrupts,
    NothingSucceeds,
}

impl Scripted {
    fn with(troubles: &[(usize, Trouble)]) -> Self {
        Self { troubles: troubles.to_vec(), ..Self::default() }
    }

    /// What comes of the next job.
    fn begin(&mut self, what: &str, command: &Command) -> Result<Value, Stop> {
        let parameters = command.words.windows(2).filter_map(|pair| Some((pair[0].strip_prefix("--")?, &pair[1])));
        let own = parameters.filter(|(flag, _)| flag.len() == 1).map(|(flag, value)| format!(" {flag}={value}"));
        let trouble = self.troubles.iter().find(|(at, _)| *at == self.jobs).map(|(_, trouble)| *trouble);
        self.jobs += 1;
        self.done.push(format!("{what}{}", own.collect::<String>()));
        match trouble {
            None => Ok(json!({"completed": 4, "failed": 0, "duration": 1.0, "output_throughput": 10.0})),
            Some(Trouble::NothingSucceeds) => Ok(json!({"completed": 0, "failed": 4, "duration": 1.0})),
            Some(Trouble::Fails(kind)) => Err(Failure::new(kind, "as the script says").into()),
            Some(Trouble::Interrupts) => {
                self.is_interrupted = true;
                Err(Stop::Interrupted)
            }
        }
    }
}

impl Executor for &mut Scripted {
    async fn start(&mut self, job: ServerJob<'_>) -> Result<Ready, Stop> {
        self.begin("start", job.command)?;
        Ok(Ready { after: Some(Duration::from_secs(1)), version: None, engine: None })
    }

    async fn bench(&mut self, job: BenchJob<'_>) -> Result<Benched, Stop> {
        let what = if job.result_path.to_string_lossy().contains("warmup") { "warm" } else { "bench" };
        let result = self.begin(what, job.command)?;
        std::fs::write(job.result_path, result.to_string()).unwrap();
        let result = result.as_object().cloned().unwrap_or_default();
        Ok(Benched { measured: Measured { result, source: None }, observed: Observed::default() })
    }

    async fn evaluate(&mut self, job: EvalJob<'_>) -> Result<Scores, Stop> {
        self.begin("evaluate", job.command)?;
        Ok(json!({"eval.gsm8k": 0.5}).as_object().cloned().unwrap_or_default())
    }

    async fn clean(&mut self) {
        self.done.push("clean".into());
    }

    async fn stop(&mut self) -> Vec<String> {
        self.done.push("stop".into());
        Vec::new()
    }

    fn is_interrupted(&self) -> bool {
        self.is_interrupted
    }
}

/// The writer of sweep `s`, which is new or goes on.
pub fn writer(lake: &Path, plan: &Plan, is_resumed: bool) -> SweepWriter {
    let manifest = Manifest::without_commands(Utc::now(), Environment::default());
    let combinations = plan.combinations();
    match is_resumed {
        true => SweepWriter::resume(lake, Some("s"), manifest, &combinations, OnChange::Refuse),
        false => SweepWriter::create(lake, Some("s"), Local::now(), manifest, &combinations),
    }
    .unwrap()
}

pub struct Silent;

impl Observer for Silent {
    fn event(&mut self, _: usize, _: Event<'_>) {}
}

/// A sweep of servers a=1 and a=2 under loads b=1 and b=2.
struct Case {
    lake: tempfile::TempDir,
    plan: Plan,
    options: Options,
}

impl Case {
    fn new(num_runs: u32, rounds: Rounds, order: Order) -> Self {
        let sets = |key: &str| (1..=2).map(|value| ParamSet::unchanged().with(key, value.into())).collect::<Vec<_>>();
        let command = |text: &str| Command::parse("command", text).unwrap();
        let redactor = Redactor::new([0; 32]);
        let plan = Plan::new(&PlanRequest {
            serve_cmd: command("server"),
            bench_cmd: command("bench"),
            servers: every_pair(&sets("a"), &sets("b")),
            rounds,
            num_runs,
            warmup_num_prompts: 0,
            redactor: redactor.clone(),
        });
        let options = Options { on_failure: OnFailure::Continue, ..Options::new(BenchKind::Startup, order, redactor) };
        Self { lake: tempfile::tempdir().unwrap(), plan: plan.unwrap(), options }
    }

    fn writer(&self, is_resumed: bool) -> SweepWriter {
        writer(self.lake.path(), &self.plan, is_resumed)
    }

    fn drive(&self, executor: &mut Scripted, course: &mut dyn Course, is_resumed: bool) -> Ended {
        let mut writer = self.writer(is_resumed);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut silent = Silent;
        let crew = Crew::one(executor);
        runtime.block_on(run(&self.plan, course, &self.options, crew, &mut writer, &mut silent)).unwrap()
    }

    fn repeats(&self, executor: &mut Scripted, is_resumed: bool) -> Ended {
        self.drive(executor, &mut Repeats { num_runs: self.plan.num_runs as usize }, is_resumed)
    }
}

/// What was done, caches aside.
fn steps(executor: &Scripted) -> Vec<&str> {
    executor.done.iter().map(String::as_str).filter(|step| *step != "clean").collect()
}

#[test]
fn loads_are_interleaved_and_servers_are_visited_in_rounds() {
    let case = Case::new(2, Rounds::InTurn(2), Order::Interleaved);
    let mut executor = Scripted::default();
    let ended = case.repeats(&mut executor, false);
    let of = |a: u32| {
        let bench = |b: u32| format!("bench b={b}");
        [vec![format!("start a={a}")], vec![bench(1), bench(2), bench(1), bench(2)], vec!["stop".into()]].concat()
    };
    assert_eq!(steps(&executor), [of(1), of(2), of(1), of(2)].concat());
    assert_eq!((ended.state, ended.runs), (SweepState::Completed, 16));
    // Where each run stands in the sweep is stored with it.
    let writer = case.writer(true);
    let terms = Terms { gpu_count: None, demands: Demands::default(), redactor: Redactor::new([0; 32]) };
    let combinations = case.plan.combinations();
    let runs = combinations.iter().flat_map(|combination| writer.at().finished_runs(combination, &terms));
    let mut found: Vec<Place> = runs.filter_map(|run| run.record.place).collect();
    found.sort_by_key(|place| (place.server_start, place.run_order));
    let expected: Vec<Place> = (0..4)
        .flat_map(|start| {
            (0..4).map(move |run_order| Place { round: start / 2, server_start: start, run_order, attempt: 1 })
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn in_sequence_one_load_has_all_its_runs_before_the_next() {
    let case = Case::new(2, Rounds::InTurn(1), Order::Sequential);
    let mut executor = Scripted::default();
    case.repeats(&mut executor, false);
    assert_eq!(steps(&executor)[..6], ["start a=1", "bench b=1", "bench b=1", "bench b=2", "bench b=2", "stop"]);
}

#[test]
fn a_random_order_makes_every_run_once_and_can_be_had_again() {
    let order = |seed: u64| {
        let case = Case::new(3, Rounds::InTurn(2), Order::Random(seed));
        let mut executor = Scripted::default();
        assert_eq!(case.repeats(&mut executor, false).runs, 24);
        executor.done
    };
    assert_eq!(order(1), order(1));
    assert!((2..10).any(|seed| order(seed) != order(1)));
}

#[test]
fn a_resume_makes_what_is_missing_and_nothing_else() {
    for cut in [1, 2, 5, 9, 13] {
        let case = Case::new(2, Rounds::InTurn(2), Order::Interleaved);
        let mut first = Scripted::with(&[(cut, Trouble::Interrupts)]);
        let cut_off = case.repeats(&mut first, false);
        assert_eq!(cut_off.state, SweepState::Interrupted);
        let mut second = Scripted::default();
        let ended = case.repeats(&mut second, true);
        assert_eq!((ended.state, ended.skipped, ended.runs), (SweepState::Completed, cut_off.runs, 16 - cut_off.runs));
        // A third time there is nothing to do.
        let mut third = Scripted::default();
        assert_eq!((case.repeats(&mut third, true).skipped, third.done.len()), (16, 0));
    }
}

#[test]
fn each_server_is_scored_once_after_its_loads_and_a_failure_leaves_its_runs() {
    let mut case = Case::new(2, Rounds::InTurn(1), Order::Sequential);
    case.options.evaluation = Some(Command::parse("command", "score").unwrap());
    // Jobs: a start, four benchmarks, the score, and the same again.
    let mut executor = Scripted::with(&[(11, Trouble::Fails(ErrorKind::BenchmarkFailed))]);
    let ended = case.repeats(&mut executor, false);
    let done = steps(&executor);
    assert_eq!(done[4..8], ["bench b=2", "evaluate", "stop", "start a=2"]);
    assert_eq!((ended.state, ended.runs, ended.failed, ended.unscored), (SweepState::Failed, 8, 0, 1));
    // What was measured is not measured again.
    let mut again = Scripted::default();
    assert_eq!((case.repeats(&mut again, true).skipped, again.done.len()), (8, 0));
}

#[test]
fn a_server_that_does_not_start_fails_all_its_runs_without_being_tried_again() {
    let case = Case::new(2, Rounds::InTurn(2), Order::Interleaved);
    let mut executor = Scripted::with(&[(0, Trouble::Fails(ErrorKind::ServerExited))]);
    let ended = case.repeats(&mut executor, false);
    assert_eq!((ended.state, ended.runs, ended.failed), (SweepState::Failed, 16, 8));
    assert_eq!(steps(&executor).iter().filter(|step| step.starts_with("start")).count(), 3);
    // The next resume tries it.
    let mut again = Scripted::default();
    assert_eq!(case.repeats(&mut again, true).state, SweepState::Completed);
}

#[test]
fn a_server_that_was_lost_is_started_anew_and_one_that_stands_is_kept() {
    let case = Case::new(2, Rounds::InTurn(1), Order::Sequential);
    let mut executor = Scripted::with(&[
        (1, Trouble::Fails(ErrorKind::ServerExited)),
        (4, Trouble::Fails(ErrorKind::BenchmarkFailed)),
    ]);
    let ended = case.repeats(&mut executor, false);
    assert_eq!(ended.failed, 2);
    let expected = ["start a=1", "bench b=1", "stop", "start a=1", "bench b=1", "bench b=2", "bench b=2", "stop"];
    assert_eq!(steps(&executor)[..8], expected);
}

#[test]
fn the_first_failure_ends_a_sweep_that_does_not_go_on() {
    let mut case = Case::new(2, Rounds::InTurn(1), Order::Interleaved);
    case.options.on_failure = OnFailure::Stop;
    let mut executor = Scripted::with(&[(2, Trouble::NothingSucceeds)]);
    let ended = case.repeats(&mut executor, false);
    assert_eq!((ended.state, ended.runs, ended.failed), (SweepState::Failed, 2, 1));
    assert_eq!(executor.done.last().map(String::as_str), Some("stop"));
}

#[test]
fn each_combination_is_warmed_up_once_on_each_start() {
    let mut case = Case::new(2, Rounds::InTurn(1), Order::Interleaved);
    case.plan.warmup_num_prompts = 2;
    let mut executor = Scripted::default();
    case.repeats(&mut executor, false);
    let words: Vec<&str> = steps(&executor)[..8].iter().map(|step| step.split(' ').next().unwrap_or("")).collect();
    assert_eq!(words, ["start", "warm", "bench", "warm", "bench", "bench", "bench", "stop"]);
}

#[test]
fn a_course_that_is_decided_ends_the_sweep_between_two_rounds() {
    let case = Case::new(1, Rounds::Mirrored(9), Order::Interleaved);
    let mut executor = Scripted::default();
    let mut pairs = Pairs { num_runs: 1, decide: Box::new(|ledger| ledger.count() >= 8) };
    case.drive(&mut executor, &mut pairs, false);
    let starts: Vec<&str> = steps(&executor).into_iter().filter(|step| step.starts_with("start")).collect();
    assert_eq!(starts, ["start a=1", "start a=2", "start a=2", "start a=1"]);
    assert!(case.lake.path().join("s/summary.csv").is_file());
}

#[test]
fn a_failed_run_is_tried_again_and_each_attempt_is_a_row() {
    let mut case = Case::new(1, Rounds::InTurn(1), Order::Interleaved);
    case.options.retries = 2;
    // The start, then the run; the first load fails twice, the second load for good.
    let fails = |job| (job, Trouble::Fails(ErrorKind::BenchmarkFailed));
    let mut executor = Scripted::with(&[fails(1), fails(2), fails(4), fails(5), fails(6)]);
    let ended = case.repeats(&mut executor, false);
    let expected = ["start a=1", "bench b=1", "bench b=1", "bench b=1", "bench b=2", "bench b=2", "bench b=2", "stop"];
    assert_eq!(steps(&executor)[..8], expected);
    assert_eq!((ended.state, ended.runs, ended.failed, ended.retried), (SweepState::Failed, 4, 1, 4));
    let batch = crate::store::read_parquet(&case.lake.path().join("s/runs.parquet")).unwrap();
    let statuses = format!("{:?}", batch.column_by_name("status").unwrap());
    let count = |status: &str| statuses.matches(&format!("\"{status}\"")).count();
    assert_eq!((batch.num_rows(), count("completed"), count("failed"), count("retried")), (8, 3, 1, 4));
    // A resume makes the run that failed, and keeps what came before it.
    let mut again = Scripted::default();
    let ended = case.repeats(&mut again, true);
    assert_eq!(
        (ended.state, ended.runs, steps(&again)),
        (SweepState::Completed, 1, vec!["start a=1", "bench b=2", "stop"])
    );
    assert_eq!(crate::store::read_parquet(&case.lake.path().join("s/runs.parquet")).unwrap().num_rows(), 9);
}

#[test]
fn a_server_that_does_not_start_is_tried_as_often_as_a_run_and_then_given_up() {
    let mut case = Case::new(2, Rounds::InTurn(1), Order::Interleaved);
    case.options.retries = 1;
    let exits = |job| (job, Trouble::Fails(ErrorKind::ServerExited));
    let mut executor = Scripted::with(&[exits(0), exits(1)]);
    let ended = case.repeats(&mut executor, false);
    assert_eq!(steps(&executor)[..3], ["start a=1", "start a=1", "start a=2"]);
    assert_eq!((ended.runs, ended.failed, ended.retried), (8, 4, 1));
}
