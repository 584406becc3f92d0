//! Sweeps of several servers at a time, without processes: whatever the order in which things end, the same is made and stored, and
//! nobody gets in another's way.

use super::agenda::Order;
use super::course::{Course, Repeats};
use super::driver::{Crew, run};
use super::options::{Limit, OnFailure, Options};
use super::scripted::{Silent, writer};
use super::{BenchKind, Ended, Need};
use crate::exec::{BenchJob, Benched, EvalJob, Executor, Ready, Scores, ServerJob, Stop};
use crate::formats::Measured;
use crate::node::{Gpus, Pin, Seats, Vendor};
use crate::params::{Command, ParamSet};
use crate::plan::{Plan, PlanRequest, Rounds, every_pair};
use crate::record::{Demands, ErrorKind, Failure, Observed};
use crate::redact::Redactor;
use crate::store::{FinishedRun, SweepFolder, SweepState, Terms, read_parquet};
use proptest::prelude::*;
use serde_json::json;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// What all executors of a case see.
#[derive(Default)]
struct World {
    /// What servers hold that are up: their commands, addresses and GPUs.
    up: Vec<(String, u16, Vec<String>)>,
    most: usize,
    benches: usize,
    /// How long benchmarks take, in turn.
    times: Vec<u64>,
    fails_at: Option<usize>,
    interrupts_at: Option<usize>,
    is_interrupted: bool,
    /// What must not be.
    wrong: Vec<String>,
}

struct One {
    world: Rc<RefCell<World>>,
    own: Option<(String, u16, Vec<String>)>,
}

impl Executor for One {
    async fn start(&mut self, job: ServerJob<'_>) -> Result<Ready, Stop> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let own = (job.command.quoted(), job.address.port, job.seat.gpus.clone());
        let world = &mut *self.world.borrow_mut();
        for (command, port, gpus) in &world.up {
            if *port == own.1 || gpus.iter().any(|gpu| own.2.contains(gpu)) || *command == own.0 {
                world.wrong.push(format!("{own:?} beside {command} at {port} on {gpus:?}"));
            }
        }
        let told = job.seat.env.iter().find(|(name, _)| name == "CUDA_VISIBLE_DEVICES").map(|(_, value)| value.clone());
        if told.unwrap_or_default() != own.2.join(",")
            || job.command.flag(&["port"]) != Some(own.1.to_string().as_str())
        {
            world.wrong.push(format!("{own:?} is not told where it is"));
        }
        world.up.push(own.clone());
        world.most = world.most.max(world.up.len());
        self.own = Some(own);
        Ok(Ready { after: Some(Duration::from_millis(1)), version: None, engine: None })
    }

    async fn bench(&mut self, job: BenchJob<'_>) -> Result<Benched, Stop> {
        let (number, time) = {
            let world = &mut *self.world.borrow_mut();
            let number = world.benches;
            world.benches += 1;
            let port = self.own.as_ref().map(|(_, port, _)| port.to_string());
            if job.command.flag(&["port"]).map(str::to_owned) != port {
                world.wrong.push(format!("{} is sent elsewhere than to {port:?}", job.command.quoted()));
            }
            (number, world.times.get(number % world.times.len().max(1)).copied().unwrap_or(1))
        };
        tokio::time::sleep(Duration::from_millis(time)).await;
        let world = &mut *self.world.borrow_mut();
        if world.interrupts_at == Some(number) {
            world.is_interrupted = true;
        }
        if world.is_interrupted {
            return Err(Stop::Interrupted);
        }
        if world.fails_at == Some(number) {
            return Err(Failure::new(ErrorKind::BenchmarkFailed, "as the script says").into());
        }
        let result = json!({"completed": 4, "failed": 0, "duration": 1.0, "output_throughput": 10.0});
        std::fs::write(job.result_path, result.to_string()).unwrap();
        let result = result.as_object().cloned().unwrap_or_default();
        Ok(Benched { measured: Measured { result, source: None }, observed: Observed::default() })
    }

    async fn evaluate(&mut self, _: EvalJob<'_>) -> Result<Scores, Stop> {
        Ok(Scores::default())
    }

    async fn clean(&mut self) {}

    async fn stop(&mut self) -> Vec<String> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let own = self.own.take();
        self.world.borrow_mut().up.retain(|up| Some(up) != own.as_ref());
        Vec::new()
    }

    fn is_interrupted(&self) -> bool {
        self.world.borrow().is_interrupted
    }
}

/// Servers with tensor parallel sizes, each under two loads.
struct Case {
    lake: tempfile::TempDir,
    plan: Plan,
    options: Options,
    gpus: usize,
    slots: usize,
}

impl Case {
    fn new(sizes: &[usize], gpus: usize, slots: usize) -> Self {
        let server = |(index, size): (usize, &usize)| {
            ParamSet::unchanged().with("a", index.into()).with("tensor_parallel_size", (*size).into())
        };
        let servers: Vec<ParamSet> = sizes.iter().enumerate().map(server).collect();
        let loads = [1, 2].map(|load| ParamSet::unchanged().with("b", load.into()));
        let command = |text: &str| Command::parse("command", text).unwrap();
        let redactor = Redactor::new([0; 32]);
        let plan = Plan::new(&PlanRequest {
            serve_cmd: command("vllm serve m --port 21000"),
            bench_cmd: command("vllm bench serve --port 21000"),
            servers: every_pair(&servers, &loads),
            rounds: Rounds::InTurn(2),
            num_runs: 2,
            warmup_num_prompts: 0,
            redactor: redactor.clone(),
        });
        let options = Options {
            on_failure: OnFailure::Continue,
            ..Options::new(BenchKind::Startup, Order::Interleaved, redactor)
        };
        Self { lake: tempfile::tempdir().unwrap(), plan: plan.unwrap(), options, gpus, slots }
    }

    fn seats(&self) -> Seats {
        let names: Vec<String> = (0..self.gpus).map(|index| index.to_string()).collect();
        Seats::new(Gpus::of(Vendor::Nvidia, &names, &[]).unwrap(), self.slots, Pin::Nowhere)
    }

    fn drive(&self, world: &Rc<RefCell<World>>, is_resumed: bool) -> Ended {
        let mut writer = writer(self.lake.path(), &self.plan, is_resumed);
        let executors = (0..self.slots).map(|_| One { world: world.clone(), own: None }).collect();
        let crew = Crew { executors, seats: self.seats(), need: Need::AsSaid, sharing: None };
        let mut course: Box<dyn Course> = Box::new(Repeats { num_runs: 2 });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut silent = Silent;
        let ended = run(&self.plan, course.as_mut(), &self.options, crew, &mut writer, &mut silent);
        let ended = runtime.block_on(ended).unwrap();
        assert_eq!(world.borrow().wrong, Vec::<String>::new());
        assert_eq!(world.borrow().up, Vec::new(), "all servers have ended");
        ended
    }

    /// A column of the runs that are stored, as text.
    fn stored(&self, column: &str) -> String {
        let batch = read_parquet(&self.lake.path().join("s/runs.parquet")).unwrap();
        format!("{:?}", batch.column_by_name(column).unwrap())
    }

    /// Each run that is stored: combination, round and number.
    fn runs(&self) -> Vec<(String, u32, i64)> {
        let folder = SweepFolder::open(&self.lake.path().join("s")).unwrap();
        let terms = Terms { gpu_count: None, demands: Demands::default(), redactor: Redactor::new([0; 32]) };
        let mut runs = Vec::new();
        for combination in self.plan.combinations() {
            let finished = folder.finished_runs(&combination, &terms).into_iter();
            let place = |run: &FinishedRun| run.record.place.unwrap().round;
            runs.extend(finished.map(|run| (combination.id.to_string(), place(&run), run.record.run_number)));
        }
        runs.sort();
        runs
    }
}

fn world(world: World) -> Rc<RefCell<World>> {
    Rc::new(RefCell::new(world))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_same_runs_are_made_whoever_ends_first(
        sizes in prop::collection::vec(1usize..=4, 1..6),
        gpus in 4usize..9,
        slots in 2usize..5,
        times in prop::collection::vec(1u64..6, 1..7),
        cut in prop::option::of(0usize..20),
    ) {
        let case = Case::new(&sizes, gpus, slots);
        let first = world(World { times: times.clone(), interrupts_at: cut, ..World::default() });
        let ended = case.drive(&first, false);
        prop_assert!(first.borrow().most <= slots.min(sizes.len()));
        if ended.state == SweepState::Interrupted {
            let second = world(World { times, ..World::default() });
            let resumed = case.drive(&second, true);
            prop_assert_eq!((resumed.state, resumed.skipped + resumed.runs), (SweepState::Completed, 8 * sizes.len()));
        }
        let mut expected: Vec<(String, u32, i64)> = Vec::new();
        for combination in case.plan.combinations() {
            expected.extend((0..4).map(|run| (combination.id.to_string(), run / 2, i64::from(run))));
        }
        expected.sort();
        prop_assert_eq!(case.runs(), expected);
    }
}

#[test]
fn all_seats_are_used_and_who_sat_beside_is_stored() {
    let case = Case::new(&[1, 1, 1, 1], 4, 4);
    let all = world(World { times: vec![20], ..World::default() });
    case.drive(&all, false);
    assert_eq!(all.borrow().most, 4);
    assert!(case.stored("neighbours").contains('3'));
    assert!(case.stored("beside").contains("a=1"));
    let gpus = case.stored("server_gpus");
    assert!(["0", "1", "2", "3"].iter().all(|gpu| gpus.contains(&format!("\"{gpu}\""))), "{gpus}");
}

#[test]
fn a_failure_lets_the_others_finish_their_run_and_starts_nothing_more() {
    let mut case = Case::new(&[1, 1, 1, 1], 2, 2);
    case.options.on_failure = OnFailure::Stop;
    let all = world(World { times: vec![5, 30], fails_at: Some(0), ..World::default() });
    let ended = case.drive(&all, false);
    assert_eq!((ended.state, ended.runs, ended.failed, all.borrow().benches), (SweepState::Failed, 2, 1, 2));
    // What was not made is made later.
    let later = world(World::default());
    assert_eq!(case.drive(&later, true).state, SweepState::Completed);
}

#[test]
fn no_more_runs_are_made_than_the_budget_allows() {
    for most in [1, 3, 7, 10] {
        let mut case = Case::new(&[1, 1, 1], 3, 3);
        case.options.limit = Some(Limit::Runs(most));
        let ended = case.drive(&world(World { times: vec![3, 1, 5], ..World::default() }), false);
        assert_eq!((ended.runs, ended.is_over_budget), (most, true));
    }
}
