//! `sweeplake serve`: a sweep of servers and loads.

use super::job::Job;
use super::places::{PlaceFlags, Tenancy, Tenants};
use super::race::RaceFlags;
use super::runner::Runner;
use super::servers::{ServerCommands, ServerFlags};
use super::share::ShareFlags;
use super::space::{Space, SpaceFlags, told};
use super::sweep::Sweep;
use super::values::{base_url, repeat_until};
use super::{Common, MOST_REPEATS, check_programs, parse_command, redactor_of};
use crate::cli::advice::{of_plan, of_reset};
use crate::cli::{Ended, Failure};
use crate::exec::Reset;
use crate::metric::Metric;
use crate::params::{Address, Command};
use crate::plan::{BenchPlan, Plan, PlanRequest, Rounds};
use crate::record::Environment;
use crate::store::Manifest;
use crate::sweep::{Client, FEWEST, Narrow, Order, Variable, any_seed, is_known_client};
use crate::table::{Kind, Table};
use crate::words::nearest_name;
use chrono::Utc;

/// The flags of `vllm bench sweep serve`.
#[derive(clap::Args, Clone)]
#[group(id = "serve")]
pub struct Arguments {
    /// The command that runs the server: `vllm serve …`. Leading NAME=value words set environment variables.
    #[arg(long, value_name = "COMMAND", required_unless_present = "bench_only")]
    serve_cmd: Option<String>,
    /// Benchmark an already running server at --base-url: wait until it is ready and reset its caches, but neither start nor
    /// stop it.
    #[arg(long, requires = "base_url", conflicts_with_all = ["serve_cmd", "serve_params", "serve_grid", "serve_set"])]
    bench_only: bool,
    /// With --bench-only: the server's address, http://HOST:PORT. Passed to the benchmark unless its command sets an address.
    #[arg(long, value_name = "URL", requires = "bench_only")]
    base_url: Option<String>,
    /// The command that runs the benchmark: `vllm bench serve …`, `sweeplake bench …`, or any other with {result} where its result file
    /// belongs, such as `guidellm benchmark run … --output-path {result}`.
    #[arg(long, value_name = "COMMAND")]
    bench_cmd: String,
    #[command(flatten)]
    servers: ServerFlags,
    #[command(flatten)]
    places: PlaceFlags,
    #[command(flatten)]
    share: ShareFlags,
    #[command(flatten)]
    pub space: SpaceFlags,
    /// Runs of each combination per server start; default: 3 (serve_sla: 1 per level, and more where noise requires
    /// them).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=MOST_REPEATS))]
    num_runs: Option<u32>,
    /// Repeat each combination until the mean of a metric is precise enough: 'ci(p99_e2el_ms)<5%' limits half the width of its
    /// 95 % confidence interval (serve only; at least 10 runs, at most --max-runs).
    #[arg(long, value_name = "CI", conflicts_with_all = ["num_runs", "rounds"], value_parser = repeat_until)]
    repeat_until: Option<(String, f64)>,
    /// Maximum number of runs of a combination with --repeat-until.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(FEWEST as i64..=MOST_REPEATS))]
    max_runs: u32,
    #[command(flatten)]
    pub race: RaceFlags,
    /// Number of rounds, each of which starts every server once (serve only). It takes more than one to see how much server
    /// starts differ.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=MOST_REPEATS))]
    rounds: u32,
    /// The order of a server's runs: interleaved does one run of each load, then the next run of each (serve only).
    #[arg(long, value_name = "ORDER", value_enum, default_value = "interleaved")]
    order: OrderName,
    /// Seed of the random order; default: arbitrary.
    #[arg(long, value_name = "SEED")]
    order_seed: Option<u64>,
    /// Before the first run of each combination on a server, run the benchmark once with this many prompts and discard the result.
    #[arg(long, value_name = "N", default_value_t = 0)]
    warmup_num_prompts: u32,
    #[command(flatten)]
    pub common: Common,
}

/// The flags as words that somebody else typed.
#[derive(clap::Parser)]
#[command(name = "sweeplake serve")]
pub struct Typed {
    #[command(flatten)]
    pub arguments: Arguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OrderName {
    Sequential,
    Interleaved,
    Random,
}

impl OrderName {
    pub fn order(self, seed: Option<u64>) -> Order {
        match self {
            Self::Sequential => Order::Sequential,
            Self::Interleaved => Order::Interleaved,
            Self::Random => Order::Random(seed.unwrap_or_else(any_seed)),
        }
    }
}

impl Arguments {
    /// The same, of a sweep that is not to be run.
    pub fn for_looking(mut self) -> Self {
        self.common.dry_run = Some(super::DryRun::Plan);
        self
    }
}

pub fn exec(arguments: Arguments) -> Ended {
    let narrow = arguments.repeat_until.clone().map(|(metric, width)| Narrow {
        metric,
        width,
        max_runs: arguments.max_runs as usize,
    });
    let job = arguments.race.job()?.unwrap_or(Job::Serve(narrow));
    prepare(arguments, job)?.exec()
}

/// The commands of a sweep.
struct Commands {
    serve: Command,
    bench: Command,
    servers: ServerCommands,
    /// The address of a server that somebody else runs; `serve` is its URL then.
    remote: Option<Address>,
}

impl Commands {
    fn of(arguments: &Arguments) -> Result<Self, Failure> {
        let servers = arguments.servers.commands()?;
        let mut bench = parse_command("--bench-cmd", &arguments.bench_cmd)?;
        let remote = arguments.base_url.as_deref().map(|url| base_url(url, &servers)).transpose()?;
        if let Some(url) = arguments.base_url.as_deref()
            && bench.flag(&["base-url", "host", "port"]).is_none()
            && Client::of(&bench).is_none()
        {
            // Clients put `/v1/…` behind it themselves.
            let url = url.trim_end_matches('/').trim_end_matches("/v1");
            bench = bench.with_words(["--base-url", url]);
        }
        let serve = match &arguments.serve_cmd {
            Some(text) => parse_command("--serve-cmd", text)?,
            None => Command::new(arguments.base_url.iter()),
        };
        Ok(Self { serve, bench, servers, remote })
    }

    /// Where the server listens, where somebody else runs it.
    fn address_words(&self) -> Command {
        match &self.remote {
            None => self.serve.clone(),
            Some(address) => {
                self.serve.with_words(["--host", &address.host, "--port", &address.port.to_string()].map(str::to_owned))
            }
        }
    }

    /// What runs the benchmarks.
    fn runner(&self, flags: &ServerFlags) -> Result<Runner, Failure> {
        let after_bench = self.servers.after_bench.clone();
        let waiting = flags.waiting(&self.servers, &self.serve)?;
        Ok(match self.remote.clone() {
            Some(address) => Runner::Remote { waiting, reset: Reset::of_remote(after_bench), address },
            None => Runner::Servers {
                waiting,
                reset: Reset::of(&self.serve, after_bench).map_err(|error| Failure::Input(of_reset(&error)))?,
            },
        })
    }

    fn by_key(&self) -> Vec<(&'static str, Command)> {
        let serve = if self.remote.is_some() { "base_url" } else { "serve_cmd" };
        let both = [(serve, self.serve.clone()), ("bench_cmd", self.bench.clone())];
        both.into_iter().chain(self.servers.by_key()).collect()
    }

    fn named(&self) -> impl Iterator<Item = (&'static str, &Command)> {
        let serve = self.remote.is_none().then_some(("--serve-cmd", &self.serve));
        serve.into_iter().chain([("--bench-cmd", &self.bench)]).chain(self.servers.named())
    }
}

/// How many runs each combination gets; what does not go together is refused.
fn checked_num_runs(arguments: &Arguments, job: &Job) -> Result<u32, Failure> {
    if arguments.rounds > 1 && !matches!(job, Job::Serve(_)) {
        return Err(Failure::input("--rounds: only for `serve`; a search starts each server once"));
    }
    if arguments.repeat_until.is_some() && !matches!(job, Job::Serve(Some(_))) {
        return Err(Failure::input("--repeat-until: only for `serve`; a search repeats runs as needed"));
    }
    if arguments.race.race && !matches!(job, Job::Race(_)) {
        return Err(Failure::input("--race: only for `serve`; a search repeats runs as needed"));
    }
    if arguments.num_runs.is_some() && job.chooses() {
        return Err(Failure::input(
            "--num-runs: not for serve_tune; each combination is measured once, and --budget limits how many",
        ));
    }
    match arguments.num_runs.unwrap_or(job.default_num_runs()) {
        0 => Err(Failure::input("--num-runs must be at least 1")),
        num_runs => Ok(num_runs),
    }
}

/// Turns what was typed into what is meant; every mistake is found here, before anything starts.
pub fn prepare(arguments: Arguments, job: Job) -> Result<Sweep, Failure> {
    prepare_for(arguments, job, Tenancy::Planned)
}

/// The same, where copies of a server may run at a time.
pub fn prepare_for(arguments: Arguments, job: Job, tenancy: Tenancy) -> Result<Sweep, Failure> {
    let num_runs = checked_num_runs(&arguments, &job)?;
    let arguments = Arguments { common: arguments.common.localized()?, ..arguments };
    let commands = Commands::of(&arguments)?;
    let folder = arguments.common.resumed_folder();
    let lake = &arguments.common.output_dir;
    let space = arguments.space.space(lake, folder.as_deref(), [&commands.serve, &commands.bench])?;
    check_turned(&job, &commands.bench, &space)?;
    check_goals(&job, &commands.bench)?;
    let sets = space.sets();
    let redactor =
        redactor_of(commands.named().map(|(_, command)| command), sets.iter().chain(&arguments.space.said(&space)));
    let plan = Plan::new(&PlanRequest {
        serve_cmd: commands.address_words(),
        bench_cmd: commands.bench.clone(),
        servers: job.arranged(space.points.servers.clone()),
        rounds: Rounds::InTurn(job.rounds(arguments.rounds, num_runs)),
        num_runs,
        warmup_num_prompts: arguments.warmup_num_prompts,
        redactor: redactor.clone(),
    })
    .map_err(|error| Failure::Input(of_plan(&error)))?;
    check_client(&plan)?;
    let mut plan = arguments.share.shard(plan)?;
    plan.warnings.extend(space.warnings.iter().cloned());
    let runner = commands.runner(&arguments.servers)?;
    let share = arguments.share.share(&job, &arguments.common, &runner)?;
    let tenants = Tenants { plan: &plan, runner: &runner, commands: &commands.servers, tenancy };
    let places = arguments.places.places(&tenants)?;
    if !arguments.common.is_dry() {
        check_programs(commands.named())?;
    }
    let manifest = Manifest {
        after_bench_cmd: commands.servers.after_bench.as_ref().map(|command| command.redacted(&redactor).quoted()),
        kind: job.kind(),
        num_runs,
        rounds: arguments.rounds,
        sla_params: job.sla_records(),
        sought: job.sought(),
        variable: job.turned().map(|(_, variable)| variable.key().to_owned()),
        warmup_num_prompts: arguments.warmup_num_prompts,
        min_success: arguments.common.keeping.demands().min_success,
        base_url: arguments.base_url.as_deref().map(|url| redactor.text(url).into_owned()),
        ..Manifest::new(&commands.serve, &commands.bench, &redactor, Utc::now(), Environment::default())
    };
    let manifest = told(manifest, &space, &arguments.space, &redactor);
    let manifest = match commands.remote {
        Some(_) => Manifest { serve_cmd: String::new(), ..manifest },
        None => manifest,
    };
    Ok(Sweep {
        order: arguments.order.order(arguments.order_seed),
        runner,
        places,
        share,
        bench_timeout: arguments.servers.bench_timeout(),
        commands: commands.by_key(),
        after_bench_cmd: commands.servers.after_bench,
        evaluation: commands.servers.evaluation,
        sets,
        space: Some(space.points),
        engine_cmd: commands.serve,
        common: arguments.common,
        job,
        plan,
        manifest,
        redactor,
    })
}

/// What is sought must be something that a run can report. A client that is known reports metrics that are known; of another one that shows
/// in its first run.
fn check_goals(job: &Job, bench_cmd: &Command) -> Result<(), Failure> {
    let names: Vec<&String> = job.metrics().collect();
    if let Some(name) = names.iter().find(|name| name.starts_with("eval.")) {
        return Err(Failure::input(format!("{name}: a server is scored after its runs, too late to choose by it")));
    }
    let objectives = job.objectives();
    for (index, goal) in objectives.iter().enumerate() {
        if objectives[..index].iter().any(|other| other.metric == goal.metric) {
            return Err(Failure::input(format!("--objectives: {:?} is there twice", goal.metric)));
        }
    }
    let is_known = |name: &str| {
        let of_row = Table::Runs.column(name).is_some_and(|column| column.kind == Kind::Metric);
        of_row || Metric::of(name).is_some()
    };
    match names.into_iter().find(|name| is_known_client(bench_cmd) && !is_known(name)) {
        None => Ok(()),
        Some(name) => {
            let known = Table::Runs.columns().iter().filter(|column| column.kind == Kind::Metric);
            let nearest = nearest_name(name, known.map(|column| column.name));
            let hint = nearest.map(|name| format!("; did you mean {name:?}?")).unwrap_or_default();
            Err(Failure::input(format!("no run of this benchmark reports {name:?}{hint}")))
        }
    }
}

/// Flags of a client that can't be set together.
fn check_client(plan: &Plan) -> Result<(), Failure> {
    let benches = plan.servers.iter().flat_map(|server| &server.benches);
    let conflict = |bench: &BenchPlan| {
        let client = Client::of(&bench.command)?;
        Some((client, client.conflict(&bench.command)?))
    };
    match benches.filter_map(conflict).next() {
        None => Ok(()),
        Some((client, [one, other])) => Err(Failure::input(format!(
            "{} takes either {one} or {other}, not both; leave one of them out",
            client.name
        ))),
    }
}

/// What the sweep turns may not be set elsewhere.
fn check_turned(job: &Job, bench_cmd: &Command, space: &Space) -> Result<(), Failure> {
    let Some((flag, variable)) = job.turned() else { return Ok(()) };
    let key = variable.key();
    let own = Client::of(bench_cmd).and_then(|client| client.flag_of(key));
    if let Some(set) = [key].into_iter().chain(own).find(|name| bench_cmd.flag(&[name]).is_some()) {
        return Err(Failure::input(format!("{flag} {key}: --bench-cmd also sets it (--{set}); remove it there")));
    }
    check_params(flag, key, space)?;
    match job {
        // The serial run is one at a time, whatever the variable.
        Job::Explore(_) => check_params(flag, Variable::MaxConcurrency.key(), space),
        _ => Ok(()),
    }
}

fn check_params(flag: &str, key: &str, space: &Space) -> Result<(), Failure> {
    if !space.benches().any(|set| set.get(key).is_some()) {
        return Ok(());
    }
    let by = match space.bench_sets.iter().position(|set| set.get(key).is_some()) {
        Some(index) => format!("--bench-params also sets it (parameter set {})", index + 1),
        None => "--bench-grid or --bench-set also sets it".to_owned(),
    };
    Err(Failure::input(format!("{flag} {key}: {by}; remove it there")))
}
