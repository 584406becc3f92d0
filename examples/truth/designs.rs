//! What other ways to compare are worth, on sweeps whose truth is known: one sweep a side with a told noise between sweeps, pairs
//! measured in turn, and percentiles of all requests.

use rand::prelude::*;
use rand_distr::{Distribution, StandardNormal};
use sweeplake::compare::{
    Judge, JudgedMetric, MetricRuns, PairedRuns, Requests, Run, ServerOf, SweepRuns, Verdict, is_decided, judge,
    judge_pairs, pooled,
};
use sweeplake::metric::Better;
use sweeplake::stats::{binomial_quantile, percentile};

const CELLS: usize = 24;
const LOADS: usize = 6;
const METRICS: usize = 4;

pub fn run(cases: u64) {
    println!("One sweep a side, `--assume-sweep-sd 0%`, 2 % noise of a run, interleaved loads:\n");
    println!(
        "| what happens inside the sweeps | repeats | anything said of equal ones, % | intervals that hold, % | +5 % seen in cells, % |"
    );
    println!("| --- | --- | --- | --- | --- |");
    for repeats in [3, 5, 10] {
        for (name, drift, alike) in
            [("nothing", 0.0, 0.0), ("drift, ±10 % over a sweep", 0.1, 0.0), ("neighbours alike, 0.5", 0.0, 0.5)]
        {
            assumed(name, repeats, drift, alike, cases);
        }
    }
    println!("\nPairs measured in turn, looked at after each, 4 metrics of 6 loads, at most 30 pairs:\n");
    println!(
        "| starts differ by, % | change, % | anything said, % | said wrongly, % | pairs until decided: median | 90 % |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    for start in [0.01, 0.03] {
        for change in [0.0, 0.03, 0.05, 0.1] {
            paired(start, change, cases);
        }
    }
    println!(
        "\nP99 of all requests, 1,000 requests a run: how often the 95 % interval of the change holds the truth:\n"
    );
    println!("| runs differ by, % | runs a side | from runs, % | from order statistics of all requests, % |");
    println!("| --- | --- | --- | --- |");
    for noise in [0.0, 0.03, 0.1] {
        for runs in [3, 5, 10] {
            requests(noise, runs, cases);
        }
    }
}

fn normal(random: &mut StdRng) -> f64 {
    StandardNormal.sample(random)
}

fn is_real(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Worse | Verdict::Better)
}

fn is_said(metric: &JudgedMetric) -> bool {
    is_real(metric.overall.verdict) || metric.changes.iter().any(|change| is_real(change.verdict))
}

/// One line: what the runs inside two sweeps say, if sweeps do not differ by themselves.
fn assumed(name: &str, repeats: usize, drift: f64, alike: f64, cases: u64) {
    let servers: ServerOf = (0..CELLS).map(|cell| (cell, cell / LOADS)).collect();
    let judge_by = Judge { threshold: 0.0, assumed_sweep_sd: Some(0.0), ..Judge::default() };
    let (mut said, mut covered, mut intervals, mut seen, mut cells) = (0, 0, 0, 0, 0);
    for seed in 0..cases {
        for change in [0.0, 0.05] {
            let mut random = StdRng::seed_from_u64(seed * 2 + u64::from(change > 0.0));
            let base = sweep(repeats, drift, alike, 0.0, &mut random);
            let candidate = sweep(repeats, drift, alike, change, &mut random);
            let metrics = base.into_iter().zip(candidate).map(|(base, candidate)| MetricRuns {
                better: Some(Better::Lower),
                cells: (0..CELLS).collect(),
                base: vec![base],
                candidate: vec![candidate],
                ..MetricRuns::default()
            });
            let judged = judge(&metrics.collect::<Vec<_>>(), &servers, &judge_by);
            let changes = || judged.iter().flat_map(|metric| &metric.changes);
            if change > 0.0 {
                seen += changes().filter(|one| one.verdict == Verdict::Worse).count();
                cells += changes().count();
                continue;
            }
            said += usize::from(judged.iter().any(is_said));
            intervals += changes().count();
            covered +=
                changes().filter(|one| one.interval.is_some_and(|(low, high)| low <= 0.0 && 0.0 <= high)).count();
        }
    }
    let percent = |count: usize, of: usize| 100.0 * count as f64 / of.max(1) as f64;
    println!(
        "| {name} | {repeats} | {:.1} | {:.1} | {:.1} |",
        percent(said, cases as usize),
        percent(covered, intervals),
        percent(seen, cells)
    );
}

/// Metrics of one sweep, its loads interleaved on each server.
fn sweep(repeats: usize, drift: f64, alike: f64, change: f64, random: &mut StdRng) -> Vec<SweepRuns> {
    let slope = random.random_range(-1.0..1.0) * drift;
    let mut metrics = vec![SweepRuns::default(); METRICS];
    let mut errors = [0.0; METRICS];
    let mut order = 0;
    for server in 0..CELLS / LOADS {
        for _ in 0..repeats {
            for cell in server * LOADS..(server + 1) * LOADS {
                let along = f64::from(order) / (CELLS * repeats) as f64 - 0.5;
                for (metric, error) in metrics.iter_mut().zip(&mut errors) {
                    *error = alike * *error + (1.0 - alike * alike).sqrt() * normal(random);
                    let value = 100.0 * (cell + 1) as f64 * (slope * along + 0.02 * *error + change.ln_1p()).exp();
                    metric.cells.entry(cell).or_default().push(Run { value, round: 0, order });
                }
                order += 1;
            }
        }
    }
    metrics
}

/// One line: how soon pairs decide, and how often wrongly.
fn paired(start_sd: f64, change: f64, cases: u64) {
    const MOST: u32 = 30;
    let judge_by = Judge::default();
    let (mut said, mut wrong, mut needed) = (0, 0, Vec::new());
    for seed in 0..cases {
        let mut random = StdRng::seed_from_u64(seed);
        let mut metrics = vec![PairedRuns { better: Some(Better::Lower), ..PairedRuns::default() }; METRICS];
        for pair in 0..MOST {
            let day = 0.05 * (f64::from(pair) / 7.0).sin();
            for side in 0..2 {
                let start = start_sd * normal(&mut random) + change.ln_1p() * side as f64;
                for (metric, cell) in (0..METRICS).flat_map(|metric| (0..LOADS).map(move |cell| (metric, cell))) {
                    let value = 100.0 * (day + start + 0.01 * normal(&mut random)).exp();
                    metrics[metric].add(pair, side, cell, value);
                }
            }
            if is_decided(&metrics, LOADS, &judge_by, &[]) || pair + 1 == MOST {
                needed.push(pair + 1);
                break;
            }
        }
        let judged = judge_pairs(&metrics, LOADS, &judge_by);
        said += usize::from(judged.iter().any(is_said));
        let is_wrong = |verdict: Verdict| (verdict == Verdict::Better) || (verdict == Verdict::Worse && change == 0.0);
        let all = judged.iter().flat_map(|metric| &metric.changes).map(|change| change.verdict);
        let mut all = all.chain(judged.iter().map(|metric| metric.overall.verdict));
        wrong += usize::from(all.any(is_wrong));
    }
    needed.sort_unstable();
    let percent = |count: usize| 100.0 * count as f64 / cases as f64;
    println!(
        "| {} | {} | {:.1} | {:.1} | {} | {} |",
        start_sd * 100.0,
        change * 100.0,
        percent(said),
        percent(wrong),
        needed[needed.len() / 2],
        needed[needed.len() * 9 / 10]
    );
}

/// One line: the P99 of all requests of equal runs.
fn requests(noise: f64, runs: usize, cases: u64) {
    const REQUESTS: usize = 1000;
    let (mut by_runs, mut by_order) = (0, 0);
    for seed in 0..cases {
        let mut random = StdRng::seed_from_u64(seed);
        let mut side = || {
            let (mut all, mut of_runs) = (Vec::new(), Vec::new());
            for _ in 0..runs {
                let level = noise * normal(&mut random);
                let mut own: Vec<f64> = (0..REQUESTS).map(|_| (level + 0.3 * normal(&mut random)).exp()).collect();
                own.sort_by(f64::total_cmp);
                of_runs.push(percentile(&own, 99.0));
                all.extend(own);
            }
            all.sort_by(f64::total_cmp);
            (Requests { percentile: percentile(&all, 99.0), count: all.len(), of_runs }, all)
        };
        let ((base, of_base), (candidate, of_candidate)) = (side(), side());
        let holds = |(low, high): (f64, f64)| usize::from(low <= 0.0 && 0.0 <= high);
        by_runs += pooled(&base, &candidate).interval.map_or(0, holds);
        let (base, candidate) = (between_order_statistics(&of_base), between_order_statistics(&of_candidate));
        by_order += holds((candidate.0 / base.1 - 1.0, candidate.1 / base.0 - 1.0));
    }
    let percent = |count: usize| 100.0 * count as f64 / cases as f64;
    println!("| {} | {runs} | {:.1} | {:.1} |", noise * 100.0, percent(by_runs), percent(by_order));
}

/// The interval of a P99 if all requests were independent: how many are below it is binomial.
fn between_order_statistics(sorted: &[f64]) -> (f64, f64) {
    let below = |probability: f64| binomial_quantile(probability, 0.99, sorted.len());
    let (low, high) = (below(0.0125), below(0.9875) + 1);
    (sorted[low.max(1) - 1], sorted[high.min(sorted.len()) - 1])
}
