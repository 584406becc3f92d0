//! Whether the answers of `serve_sla` hold for real traffic: whole sweeps, with the simulated server's own scheduler and costs, but without
//! waiting for its clock. The truth is the greatest rate that meets the SLA in runs of 50 times the prompts.

use chrono::{Local, Utc};
use rand::prelude::*;
use rand_distr::{Distribution, Gamma};
use serde_json::Value;
use std::collections::HashSet;
use std::time::Duration;
use sweeplake::exec::{BenchJob, Benched, EvalJob, Executor, Ready, Scores, ServerJob, Stop};
use sweeplake::formats::Measured;
use sweeplake::load::{
    Config, CountedBy, Details, Extent, Failure, LoadConfig, Measurement, ReportConfig, Traffic, result_json,
};
use sweeplake::params::{Command, ParamSet};
use sweeplake::plan::{Plan, PlanRequest, Rounds};
use sweeplake::query::Lake;
use sweeplake::record::{Environment, Observed};
use sweeplake::redact::Redactor;
use sweeplake::sim::{Arrival, CostModel, Limits, Replay, Seen};
use sweeplake::sla::{Request, Sla, Watch, metric_of};
use sweeplake::store::{Manifest, SweepWriter};
use sweeplake::sweep::{
    BenchKind, Crew, Detail, Event, Observer, OnFailure, Options, Order, Seeds, Tuner, TunerOptions, Variable,
};

/// Server settings: sequences at a time, tokens of a step, GPUs.
const SETTINGS: [(usize, usize, usize); 3] = [(16, 2048, 1), (64, 2048, 1), (256, 8192, 4)];
/// The shape of the intervals between requests: Poisson, and bursts.
const BURSTINESS: [f64; 2] = [1.0, 0.3];
const LIMITS_MS: [f64; 2] = [500.0, 1000.0];
/// What `vllm bench serve` sends by default.
const PROMPTS: usize = 1000;
/// Prompts of the runs that tell the truth.
const LONG: usize = 50 * PROMPTS;
const LONG_RUNS: u64 = 3;
const INPUT: std::ops::RangeInclusive<usize> = 64..=192;
const OUTPUT: std::ops::RangeInclusive<usize> = 16..=48;
const JITTER: f64 = 0.03;

fn replay((seqs, tokens, gpus): (usize, usize, usize), seed: u64) -> Replay {
    let limits = Limits {
        max_num_seqs: seqs,
        max_num_batched_tokens: tokens,
        block_size: 16,
        num_blocks: 100_000,
        chunked_prefill: true,
        prefix_caching: false,
    };
    let cost = CostModel { tensor_parallel_size: gpus, ..CostModel::default() };
    Replay { limits, cost, jitter: JITTER, seed, max_concurrency: usize::MAX }
}

/// Intervals as `vllm bench serve` draws them: gamma-distributed, scaled to the exact rate.
fn arrivals(count: usize, rate: f64, burstiness: f64, seed: u64) -> Vec<Arrival> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut at = 0.0;
    let gamma = rate.is_finite().then(|| Gamma::new(burstiness, 1.0 / (rate * burstiness)).unwrap());
    let mut all: Vec<Arrival> = (0..count)
        .map(|_| {
            at += gamma.map_or(0.0, |gamma| gamma.sample(&mut random));
            Arrival { at, prompt_len: random.random_range(INPUT), output_len: random.random_range(OUTPUT) }
        })
        .collect();
    if at > 0.0 {
        let scale = count as f64 / rate / at;
        all.iter_mut().for_each(|arrival| arrival.at *= scale);
    }
    all
}

/// A request as its sender sees it at a time.
fn request(arrival: &Arrival, seen: &Seen, now: f64) -> Request {
    let end = seen.tokens.last().copied().filter(|_| seen.is_finished).unwrap_or(now);
    Request {
        arrival: arrival.at,
        ttft: seen.tokens.first().map(|first| first - arrival.at),
        e2el: Some(end - arrival.at),
        tpot: None,
        itls: Vec::new(),
        output_len: Some(arrival.output_len as f64),
    }
}

/// The virtual server and its load client.
struct Virtual {
    setting: (usize, usize, usize),
    burstiness: f64,
}

/// How many steps pass between two looks at whether a run is to be stopped.
const LOOK: usize = 20;

impl Virtual {
    fn measure(&self, command: &Command) -> serde_json::Map<String, Value> {
        let number = |flag: &str| command.flag(&[flag]).and_then(|text| text.parse::<f64>().ok());
        let rate = number("request-rate").unwrap_or(f64::INFINITY);
        let (count, seed) =
            (number("num-prompts").map_or(PROMPTS, |count| count as usize), number("seed").unwrap_or(0.0) as u64);
        let words = command.words().iter().skip_while(|word| *word != "--stop-when-missed").skip(1);
        let slas = words.take_while(|word| !word.starts_with("--")).map(|text| Sla::parse(text).unwrap());
        let watch = Watch { slas: slas.collect(), num_prompts: count, ramp_up: 0 };
        let all = arrivals(count, rate, self.burstiness, seed);
        let (mut now, mut steps, mut stopped_early) = (0.0, 0, None);
        let seen = replay(self.setting, seed).run(&all, |time, seen| {
            now = time;
            steps += 1;
            if steps % LOOK == 0 && !watch.slas.is_empty() {
                let come = all.iter().zip(seen).take_while(|(arrival, _)| arrival.at <= time);
                stopped_early =
                    watch.missed(&come.map(|(arrival, seen)| request(arrival, seen, time)).collect::<Vec<_>>());
            }
            stopped_early.is_none()
        });
        let come = all.iter().zip(&seen).take_while(|(arrival, _)| arrival.at <= now);
        let requests = come.map(|(arrival, seen)| {
            let seconds = |seconds: f64| Duration::from_secs_f64(seconds.max(0.0));
            let end = seen.tokens.last().copied().filter(|_| seen.is_finished).unwrap_or(now);
            Measurement {
                input_tokens: Some(arrival.prompt_len),
                output_tokens: Some(seen.tokens.len()),
                counted_by: CountedBy::Server,
                intended: seconds(arrival.at),
                start: seconds(arrival.at),
                ttft: Some(seconds(seen.tokens.first().copied().unwrap_or(now) - arrival.at)),
                latency: seconds(end - arrival.at),
                failure: (!seen.is_finished).then(Failure::cut_off),
                ..Measurement::default()
            }
        });
        let measured = sweeplake::load::Measured {
            requests: requests.collect(),
            duration: Duration::from_secs_f64(now),
            stopped_early,
            ..sweeplake::load::Measured::of_model("m")
        };
        result_json(&config(count, rate, self.burstiness), &measured, Local::now())
    }
}

fn config(num_prompts: usize, request_rate: f64, burstiness: f64) -> Config {
    let traffic = Traffic { request_rate, burstiness, ramp: None };
    Config {
        load: LoadConfig { extent: Extent::Prompts(num_prompts), traffic, ..LoadConfig::default() },
        report: ReportConfig {
            percentile_metrics: vec!["e2el".into()],
            details: Details::EachRequest,
            ..ReportConfig::default()
        },
        ..Config::default()
    }
}

impl Executor for Virtual {
    async fn start(&mut self, _: ServerJob<'_>) -> Result<Ready, Stop> {
        Ok(Ready::default())
    }

    async fn bench(&mut self, job: BenchJob<'_>) -> Result<Benched, Stop> {
        let result = self.measure(job.command);
        std::fs::write(job.result_path, Value::Object(result.clone()).to_string()).unwrap();
        Ok(Benched { measured: Measured { result, source: None }, observed: Observed::default() })
    }

    async fn evaluate(&mut self, _: EvalJob<'_>) -> Result<Scores, Stop> {
        Ok(Scores::new())
    }

    async fn clean(&mut self) {}

    async fn stop(&mut self) -> Vec<String> {
        Vec::new()
    }

    fn is_interrupted(&self) -> bool {
        false
    }
}

/// Adds up what runs took.
#[derive(Default)]
struct Clock {
    runs: usize,
    seconds: f64,
}

impl Observer for Clock {
    fn event(&mut self, _: usize, event: Event<'_>) {
        if let Event::RunEnded { record } = event {
            self.runs += 1;
            self.seconds += record.result().and_then(|result| result["duration"].as_f64()).unwrap_or(0.0);
        }
    }
}

/// What a method answers.
struct Found {
    value: f64,
    lower: f64,
    upper: f64,
    runs: usize,
    seconds: f64,
}

/// A whole sweep.
fn sweep(setting: (usize, usize, usize), burstiness: f64, limit_ms: f64, seed: u64, is_as_before: bool) -> Found {
    let lake = tempfile::tempdir().unwrap();
    let command = |text: &str| Command::parse("command", text).unwrap();
    let redactor = Redactor::new([0; 32]);
    let plan = Plan::new(&PlanRequest {
        serve_cmd: command("server"),
        bench_cmd: command(&format!("sweeplake bench --seed {seed}")),
        servers: vec![(ParamSet::unchanged(), vec![ParamSet::unchanged()])],
        rounds: Rounds::InTurn(1),
        num_runs: 1,
        warmup_num_prompts: 0,
        redactor: redactor.clone(),
    })
    .unwrap();
    let sla = Sla::parse(&format!("p99_e2el_ms<={limit_ms}")).unwrap();
    let mut tuner = Tuner::new(
        TunerOptions {
            slas: vec![sla],
            variable: Variable::RequestRate,
            min: None,
            max: None,
            tolerance: None,
            max_iters: 24,
            num_runs: 1,
            seeds: if is_as_before { Seeds::OfCommand } else { Seeds::Own },
            min_duration: if is_as_before { 0.0 } else { 20.0 },
        },
        HashSet::new(),
    );
    let bench = BenchKind::Load { percentiles: Vec::new(), requests: Detail::Requests };
    let options = Options { on_failure: OnFailure::Continue, ..Options::new(bench, Order::Sequential, redactor) };
    let manifest = Manifest::without_commands(Utc::now(), Environment::default());
    let mut writer = SweepWriter::create(lake.path(), Some("s"), Local::now(), manifest, &plan.combinations()).unwrap();
    let mut clock = Clock::default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let crew = Crew::one(Virtual { setting, burstiness });
    runtime.block_on(sweeplake::sweep::run(&plan, &mut tuner, &options, crew, &mut writer, &mut clock)).unwrap();
    let lake = Lake::open(&[lake.path().to_owned()]).unwrap();
    let answer = runtime.block_on(lake.sql("SELECT value, lower, upper FROM sla")).unwrap();
    let number = |name: &str| answer.numbers(name).unwrap().first().copied().flatten();
    Found {
        value: number("value").unwrap_or(0.0),
        lower: number("lower").unwrap_or(0.0),
        upper: number("upper").unwrap_or(f64::INFINITY),
        runs: clock.runs,
        seconds: clock.seconds,
    }
}

/// Halving between the ends, with the default number of prompts.
fn bisection(setting: (usize, usize, usize), burstiness: f64, limit_ms: f64, seed: u64) -> Found {
    let server = Virtual { setting, burstiness };
    let (mut runs, mut seconds) = (0, 0.0);
    let mut measure = |rate: f64| {
        let result = server.measure(&Command::parse("c", &format!("b --request-rate {rate} --seed {seed}")).unwrap());
        runs += 1;
        seconds += result["duration"].as_f64().unwrap();
        (result["p99_e2el_ms"].as_f64().unwrap() <= limit_ms, result["request_throughput"].as_f64().unwrap())
    };
    let (_, throughput) = measure(f64::INFINITY);
    let (mut lower, mut upper) = (throughput / 100.0, 2.0 * throughput);
    measure(lower);
    while upper / lower > 1.01 {
        let middle = (lower * upper).sqrt();
        if measure(middle).0 { lower = middle } else { upper = middle }
    }
    Found { value: lower, lower, upper, runs, seconds }
}

/// The greatest rate whose P99 over long runs is within the limit.
fn truth(setting: (usize, usize, usize), burstiness: f64, limit_ms: f64) -> f64 {
    let is_met = |rate: f64| {
        let p99 = |seed: u64| {
            let all = arrivals(LONG, rate, burstiness, 1_000_000 + seed);
            let watch = Watch {
                slas: vec![Sla::parse(&format!("p99_e2el_ms<={}", 2.0 * limit_ms)).unwrap()],
                num_prompts: LONG,
                ramp_up: 0,
            };
            let mut steps = 0;
            let mut now = 0.0;
            let seen = replay(setting, seed).run(&all, |time, seen| {
                (steps, now) = (steps + 1, time);
                let come = all.iter().zip(seen).take_while(|(arrival, _)| arrival.at <= time);
                steps % 20_000 != 0
                    || watch
                        .missed(&come.map(|(arrival, seen)| request(arrival, seen, time)).collect::<Vec<_>>())
                        .is_none()
            });
            let come = all.iter().zip(&seen).take_while(|(arrival, _)| arrival.at <= now);
            metric_of(&come.map(|(arrival, seen)| request(arrival, seen, now)).collect::<Vec<_>>(), "p99_e2el_ms")
                .unwrap()
        };
        (0..LONG_RUNS).map(p99).sum::<f64>() / LONG_RUNS as f64 <= limit_ms
    };
    let (mut lower, mut upper) = (1.0, 4000.0);
    while upper / lower > 1.002 {
        let middle = f64::sqrt(lower * upper);
        if is_met(middle) { lower = middle } else { upper = middle }
    }
    f64::sqrt(lower * upper)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub fn run(seeds: u64) {
    println!(
        "| max_num_seqs × GPUs | burstiness | P99 ≤ | truth, req/s | method | bracket holds it | off by, median | off by > 5 % | runs | seconds |"
    );
    println!("| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: |");
    let mut total: Vec<(usize, usize)> = vec![(0, 0); 3];
    for burstiness in BURSTINESS {
        for setting in SETTINGS {
            for limit in LIMITS_MS {
                let truth = truth(setting, burstiness, limit);
                for (method, name) in ["serve_sla", "short runs, one seed", "bisection"].into_iter().enumerate() {
                    let found: Vec<Found> = (0..seeds)
                        .map(|seed| match method {
                            0 => sweep(setting, burstiness, limit, seed, false),
                            1 => sweep(setting, burstiness, limit, seed, true),
                            _ => bisection(setting, burstiness, limit, seed),
                        })
                        .collect();
                    let holds = found.iter().filter(|found| found.lower <= truth && truth <= found.upper).count();
                    let off = |found: &Found| (found.value / truth - 1.0).abs();
                    total[method].0 += holds;
                    total[method].1 += found.len();
                    println!(
                        "| {} × {} | {burstiness} | {limit:.0} ms | {truth:.1} | {name} | {:.0} % | {:.1} % | {:.0} % | {:.0} | {:.0} |",
                        setting.0,
                        setting.2,
                        100.0 * holds as f64 / found.len() as f64,
                        100.0 * median(found.iter().map(off)),
                        100.0 * found.iter().filter(|found| off(found) > 0.05).count() as f64 / found.len() as f64,
                        median(found.iter().map(|found| found.runs as f64)),
                        median(found.iter().map(|found| found.seconds)),
                    );
                }
            }
        }
    }
    let all: Vec<String> =
        total.iter().map(|(holds, all)| format!("{:.1} %", 100.0 * *holds as f64 / *all as f64)).collect();
    println!("\nbracket holds the truth over all: serve_sla {}, short runs {}, bisection {}", all[0], all[1], all[2]);
}
