//! What share of a space's frontier `serve_tune` finds with few runs, beside random search, on surfaces of simulated servers.

use rand::prelude::*;
use rand_distr::{Distribution, Normal};
use rayon::prelude::*;
use serde_json::{Value, json};
use std::error::Error;
use std::path::PathBuf;
use sweeplake::metric::Better;
use sweeplake::params::{Command, ParamSet};
use sweeplake::plan::{Plan, PlanRequest, Rounds, every_pair};
use sweeplake::redact::Redactor;
use sweeplake::stats::{hypervolume, median};
use sweeplake::sweep::tune::{Known, Tune, TuneOptions};
use sweeplake::sweep::{Course, Goals, Ledger, Made, Next, Objective, Visit};

/// By how much runs of the same combination differ.
const NOISE: f64 = 0.03;
/// After so many runs is looked.
const LOOKS: [usize; 3] = [15, 30, 60];

/// Servers (sequences at a time, batched tokens, chunked prefill, block size) × loads, and what each truly is.
struct Surface {
    serve: Vec<ParamSet>,
    bench: Vec<ParamSet>,
    /// Throughput and latency, by server and load.
    truth: Vec<[f64; 2]>,
}

fn set(params: Value) -> ParamSet {
    ParamSet { name: None, params: params.as_object().cloned().unwrap_or_default() }
}

/// Throughput saturates with the requests that are served at a time; a preferred batch size, switches that help or hurt, and a queue.
fn surface(seed: u64) -> Surface {
    let mut random = StdRng::seed_from_u64(seed);
    let half = 2f64.powf(random.random_range(4.0..6.5));
    let (best, width) = (random.random_range(0.2..0.9), random.random_range(0.1..0.6));
    let (prefill, block) = (random.random_range(-0.2..0.2), random.random_range(-0.1..0.1));
    let tail = random.random_range(0.2..1.0);
    let (mut serve, mut truth) = (Vec::new(), Vec::new());
    let loads: Vec<f64> = (0..9).map(|power| 2f64.powi(power)).collect();
    for sequences in (4..10).map(|power| 2f64.powi(power)) {
        for batch in 0..5 {
            for (is_chunked, size) in [(false, 16), (false, 32), (true, 16), (true, 32)] {
                serve.push(set(json!({
                    "max_num_seqs": sequences,
                    "max_num_batched_tokens": 1024 << batch,
                    "enable_chunked_prefill": is_chunked,
                    "block_size": format!("b{size}"),
                })));
                for users in &loads {
                    let (at_once, place) = (users.min(sequences), f64::from(batch) / 4.0);
                    let mut speed = 2000f64.ln() - width * (place - best).powi(2) * (1.0 + at_once.log2() / 4.0);
                    speed += if is_chunked { prefill * users.log2() / 8.0 } else { 0.0 };
                    speed += if size == 32 { block } else { 0.0 };
                    speed -= if sequences > 256.0 { 0.15 } else { 0.0 };
                    let throughput = speed + (at_once / (at_once + half)).ln();
                    let queue = tail * (users / sequences).ln().max(0.0);
                    let latency = users.ln() - throughput + 0.3 * place * tail + queue + 1000f64.ln();
                    truth.push([throughput.exp(), latency.exp()]);
                }
            }
        }
    }
    let bench = loads.iter().map(|users| set(json!({"max_concurrency": users}))).collect();
    Surface { serve, bench, truth }
}

/// Objectives on logarithmic axes, less is better.
fn turned(truth: &[f64; 2]) -> Vec<f64> {
    vec![-truth[0].ln(), truth[1].ln()]
}

/// The share of the whole space's hypervolume that some of its combinations have.
fn share(surface: &Surface, seen: &[usize]) -> f64 {
    let all: Vec<Vec<f64>> = surface.truth.iter().map(turned).collect();
    let reference: Vec<f64> =
        (0..2).map(|axis| all.iter().map(|at| at[axis]).fold(f64::NEG_INFINITY, f64::max)).collect();
    let of: Vec<Vec<f64>> = seen.iter().map(|index| all[*index].clone()).collect();
    hypervolume(&of, &reference) / hypervolume(&all, &reference)
}

/// What of a space was measured, in order, and after how many seconds.
fn tune(surface: &Surface, seed: u64, start_s: f64) -> Result<Vec<(usize, f64)>, Box<dyn Error + Send + Sync>> {
    let plan = Plan::new(&PlanRequest {
        serve_cmd: Command::parse("serve", "server")?,
        bench_cmd: Command::parse("bench", "bench")?,
        servers: every_pair(&surface.serve, &surface.bench),
        rounds: Rounds::InTurn(1),
        num_runs: 1,
        warmup_num_prompts: 0,
        redactor: Redactor::new([0; 32]),
    })?;
    let objective = |metric: &str, better| Objective { metric: metric.into(), better };
    let objectives = vec![objective("output_throughput", Better::Higher), objective("p99_e2el_ms", Better::Lower)];
    let options =
        TuneOptions { goals: Goals { objectives, slas: Vec::new() }, max_runs: 60, seed, known: Vec::<Known>::new() };
    let mut course = Tune::new(options, &plan);
    let (mut ledger, mut seen, mut clock, mut starts) = (Ledger::default(), Vec::new(), 0.0, 0);
    let mut random = StdRng::seed_from_u64(seed);
    let noise = Normal::new(0.0, NOISE)?;
    while let Visit::Server(server) = course.visit(&ledger, &[]) {
        clock += start_s;
        for (load, bench) in plan.servers[server].benches.iter().enumerate() {
            if !matches!(course.next(bench, &ledger, 0)?, Next::Run(_)) {
                continue;
            }
            clock += 1.0;
            let index = server * surface.bench.len() + load;
            let noisy = surface.truth[index].map(|truth| truth * noise.sample(&mut random).exp());
            let metrics = json!({"output_throughput": noisy[0], "p99_e2el_ms": noisy[1]});
            let made = Made {
                metrics: metrics.as_object().cloned(),
                order: Some((starts, seen.len() as u32)),
                wall_time_s: Some(1.0),
                startup_time_s: Some(start_s),
                ..Made::planned(None, 0, 0)
            };
            ledger.add(bench, made);
            seen.push((index, clock));
        }
        starts += 1;
    }
    Ok(seen)
}

fn random_search(surface: &Surface, seed: u64) -> Vec<usize> {
    let mut random = StdRng::seed_from_u64(seed);
    rand::seq::index::sample(&mut random, surface.truth.len(), 60).into_vec()
}

fn told(name: &str, shares: &[Vec<f64>]) {
    let cells = (0..LOOKS.len()).map(|look| {
        let mut all: Vec<f64> = shares.iter().map(|of| 100.0 * of[look]).collect();
        all.sort_by(f64::total_cmp);
        format!("{:.1} % ({:.1}–{:.1})", median(&all), all[all.len() / 20], all[all.len() - 1 - all.len() / 20])
    });
    println!("| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
}

pub fn run(seeds: u64, file: Option<PathBuf>) -> Result<(), Box<dyn Error + Send + Sync>> {
    let surfaces: Vec<Surface> = (0..seeds).map(surface).collect();
    if let Some(path) = file {
        let of = |surface: &Surface| {
            let params =
                |sets: &[ParamSet]| sets.iter().map(|set| Value::Object(set.params.clone())).collect::<Vec<_>>();
            json!({"serve": params(&surface.serve), "bench": params(&surface.bench), "truth": surface.truth})
        };
        std::fs::write(path, json!(surfaces.iter().map(of).collect::<Vec<_>>()).to_string())?;
    }
    let at_looks =
        |surface: &Surface, seen: &[usize]| LOOKS.map(|look| share(surface, &seen[..look.min(seen.len())])).to_vec();
    println!(
        "{} combinations; share of the whole space's hypervolume, median and 90 % band of {seeds} surfaces\n",
        surfaces[0].truth.len()
    );
    println!("| | after 15 runs | 30 runs | 60 runs |\n| --- | --- | --- | --- |");
    let random = surfaces.iter().zip(0..).map(|(surface, seed)| at_looks(surface, &random_search(surface, seed)));
    told("random search", &random.collect::<Vec<_>>());
    for (start_s, name) in [(0.0, "serve_tune, servers start at once"), (5.0, "serve_tune, a start takes 5 runs' time")]
    {
        let all: Vec<Vec<(usize, f64)>> = surfaces
            .par_iter()
            .enumerate()
            .map(|(seed, surface)| tune(surface, seed as u64, start_s))
            .collect::<Result<_, _>>()?;
        let shares = surfaces
            .iter()
            .zip(&all)
            .map(|(surface, seen)| at_looks(surface, &seen.iter().map(|(index, _)| *index).collect::<Vec<_>>()));
        told(name, &shares.collect::<Vec<_>>());
        let whole: Vec<f64> = all.iter().filter_map(|seen| Some(seen.last()?.1)).collect();
        println!("| … 60 runs and their starts take | | | {:.0} runs' time |", median(&whole));
    }
    Ok(())
}
