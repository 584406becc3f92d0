//! Verdicts between sweeps whose truth is known: how often anything is said of equal ones, how often a gate fails on them, how
//! often intervals hold the truth, and how often a real change is seen; beside what else people use on the same data.

use rand::prelude::*;
use rand_distr::{Distribution, StandardNormal};
use sweeplake::compare::{Gate, Judge, JudgedMetric, MetricRuns, Passage, Run, ServerOf, SweepRuns, Verdict, judge};
use sweeplake::metric::Better;
use sweeplake::stats::{Summary, false_discovery, mean, moderate, t_p_value};

const ALPHA: f64 = 0.05;
/// Loads that each server is measured under.
const LOADS: usize = 6;

/// What differs between equal sweeps.
#[derive(Clone, Copy, Default)]
struct Noise {
    run: f64,
    day: f64,
    start: f64,
    /// The slope over a sweep is drawn between minus and plus this.
    drift: f64,
    /// How much a run resembles the one before.
    alike: f64,
    /// The share of runs that take twice as long.
    odd: f64,
}

/// How sweeps are made.
#[derive(Clone, Copy)]
struct Design {
    cells: usize,
    repeats: usize,
    metrics: usize,
    /// Sweeps of the base besides the first.
    history: usize,
}

pub fn run(pairs: u64) {
    let quiet = Noise { run: 0.02, ..Noise::default() };
    let worlds = [
        ("run noise alone", quiet),
        ("the day, sd 2 %", Noise { day: 0.02, ..quiet }),
        ("the day, sd 5 %", Noise { day: 0.05, ..quiet }),
        ("each server start, sd 3 %", Noise { start: 0.03, ..quiet }),
        ("drift, ±10 % over a sweep", Noise { drift: 0.1, ..quiet }),
        ("neighbours alike, 0.5", Noise { alike: 0.5, ..quiet }),
        ("one run in 20 takes twice as long", Noise { odd: 0.05, day: 0.02, ..quiet }),
    ];
    println!(
        "| what differs | cells | repeats | metrics | sweeps of the base | anything said of equal ones, % | gate fails, % | gate can't tell, % | intervals that hold, % | overall, % | +10 % seen: overall, % | cells, % | moderated t + BH: anything said, % | Welch + BH, % | Mann–Whitney, % | mixed model + BH, % | +10 % seen in cells by the mixed model, % |"
    );
    println!("|{}", " --- |".repeat(17));
    for (name, noise) in worlds {
        for history in [0, 1, 3, 10] {
            row(name, noise, Design { cells: 24, repeats: 3, metrics: 4, history }, pairs);
        }
    }
    let usual = Design { cells: 24, repeats: 3, metrics: 3, history: 3 };
    for design in [
        Design { repeats: 5, ..usual },
        Design { repeats: 10, ..usual },
        Design { cells: 6, ..usual },
        Design { cells: 100, ..usual },
        Design { metrics: 1, ..usual },
        Design { metrics: 6, ..usual },
    ] {
        row("the day, sd 2 %", Noise { day: 0.02, ..quiet }, design, pairs);
    }
}

/// One line of the table.
fn row(name: &str, noise: Noise, design: Design, pairs: u64) {
    let (mut same, mut other) = (Tally::default(), Tally::default());
    for seed in 0..pairs {
        same.add(&pair(noise, design, 0.0, seed), 0.0, design.cells);
        other.add(&pair(noise, design, 0.1, seed + 1_000_000), 0.1, design.cells);
    }
    println!(
        "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        design.cells,
        design.repeats,
        design.metrics,
        design.history + 1,
        same.percent(same.said, pairs as usize),
        same.percent(same.gate_fails, pairs as usize),
        same.percent(same.gate_unclear, pairs as usize),
        same.percent(same.covered, same.intervals),
        same.percent(same.overall_covered, same.overalls),
        other.percent(other.overall_seen, other.overalls_all),
        other.percent(other.cells_seen, other.cells),
        same.percent(same.moderated, pairs as usize),
        same.percent(same.welch, pairs as usize),
        same.percent(same.ranks, pairs as usize),
        same.percent(same.mixed, pairs as usize),
        other.percent(other.mixed_cells, other.cells),
    );
}

#[derive(Default)]
struct Tally {
    said: usize,
    gate_fails: usize,
    gate_unclear: usize,
    covered: usize,
    intervals: usize,
    overall_covered: usize,
    overalls: usize,
    overall_seen: usize,
    overalls_all: usize,
    cells_seen: usize,
    cells: usize,
    moderated: usize,
    welch: usize,
    ranks: usize,
    mixed: usize,
    mixed_cells: usize,
}

impl Tally {
    fn percent(&self, count: usize, of: usize) -> String {
        if of == 0 { "–".into() } else { format!("{:.1}", 100.0 * count as f64 / of as f64) }
    }

    fn add(&mut self, metrics: &[MetricRuns], truth: f64, cells: usize) {
        let servers: ServerOf = (0..cells).map(|cell| (cell, cell / LOADS)).collect();
        let judge_by = Judge { threshold: 0.0, ..Judge::default() };
        let judged = judge(metrics, &servers, &judge_by);
        let is_said = |verdict: Verdict| matches!(verdict, Verdict::Worse | Verdict::Better);
        let said = |one: &JudgedMetric| is_said(one.overall.verdict) || one.changes.iter().any(|c| is_said(c.verdict));
        self.said += usize::from(judged.iter().any(said));
        let gate = Gate::parse("p99_e2el_ms>5%").unwrap_or_else(|reason| panic!("{reason}"));
        let passages: Vec<Passage> = judged[0].changes.iter().map(|change| gate.judge(change, ALPHA).0).collect();
        let fails = passages.contains(&Passage::Fails);
        self.gate_fails += usize::from(fails);
        self.gate_unclear += usize::from(!fails && passages.contains(&Passage::Unclear));
        let holds = |(low, high): (f64, f64)| usize::from(low <= truth && truth <= high);
        for one in &judged {
            let intervals = one.changes.iter().filter_map(|change| change.interval);
            self.intervals += intervals.clone().count();
            self.covered += intervals.map(holds).sum::<usize>();
            self.overalls += usize::from(one.overall.interval.is_some());
            self.overall_covered += one.overall.interval.map_or(0, holds);
            self.overalls_all += 1;
            self.overall_seen += usize::from(one.overall.verdict == Verdict::Worse);
            self.cells += one.changes.len();
            self.cells_seen += one.changes.iter().filter(|change| change.verdict == Verdict::Worse).count();
        }
        self.add_others(metrics);
    }

    /// What else people use: the repeats of one sweep a side as if they were copies of it, and a mixed model for each cell.
    fn add_others(&mut self, metrics: &[MetricRuns]) {
        let pairs: Vec<[Vec<f64>; 2]> = metrics.iter().flat_map(pairs_of).collect();
        let any = |p_values: &[f64]| usize::from(false_discovery(p_values).iter().any(|q| *q <= ALPHA));
        self.moderated += any(&metrics.iter().flat_map(moderated).collect::<Vec<f64>>());
        self.welch += any(&pairs.iter().map(welch).collect::<Vec<f64>>());
        self.ranks += usize::from(pairs.iter().any(|pair| mann_whitney(pair) < ALPHA));
        let mixed = false_discovery(&metrics.iter().flat_map(mixed_model).collect::<Vec<f64>>());
        self.mixed += usize::from(mixed.iter().any(|q| *q <= ALPHA));
        self.mixed_cells += mixed.iter().filter(|q| **q <= ALPHA).count();
    }
}

/// Sweeps of the base, and one of the candidate, which takes longer by `change`.
fn pair(noise: Noise, design: Design, change: f64, seed: u64) -> Vec<MetricRuns> {
    let mut random = StdRng::seed_from_u64(seed);
    let levels: Vec<f64> = (0..design.cells).map(|_| 100.0 * random.random_range(0.5..20.0f64)).collect();
    // Not every combination is as noisy as the others.
    let own: Vec<f64> = (0..design.cells).map(|_| 2f64.powf(random.random_range(-0.5..0.5))).collect();
    let mut sweep = |change: f64| sweep(noise, design, &levels, &own, change, &mut random);
    let candidate = sweep(change);
    let base: Vec<Vec<SweepRuns>> = (0..=design.history).map(|_| sweep(0.0)).collect();
    (0..design.metrics)
        .map(|metric| MetricRuns {
            better: Some(Better::Lower),
            cells: (0..design.cells).collect(),
            base: base.iter().map(|sweep| sweep[metric].clone()).collect(),
            candidate: vec![candidate[metric].clone()],
            ..MetricRuns::default()
        })
        .collect()
}

/// One sweep: its loads are interleaved on each server. Day, start and drift are shared by all metrics.
fn sweep(
    noise: Noise,
    design: Design,
    levels: &[f64],
    own: &[f64],
    change: f64,
    random: &mut StdRng,
) -> Vec<SweepRuns> {
    let normal = |random: &mut StdRng| -> f64 { StandardNormal.sample(random) };
    let day = noise.day * normal(random);
    let slope = random.random_range(-1.0..1.0) * noise.drift;
    let mut metrics = vec![SweepRuns::default(); design.metrics];
    let mut errors = vec![0.0; design.metrics];
    let total = (design.cells * design.repeats) as f64;
    let mut order = 0;
    for server in 0..design.cells.div_ceil(LOADS) {
        let start = noise.start * normal(random);
        for _ in 0..design.repeats {
            for cell in server * LOADS..((server + 1) * LOADS).min(design.cells) {
                let shared = day + start + slope * (f64::from(order) / total - 0.5) + change.ln_1p();
                let odd = if random.random_bool(noise.odd) { 2f64.ln() } else { 0.0 };
                for (metric, error) in metrics.iter_mut().zip(&mut errors) {
                    let fresh = (1.0 - noise.alike.powi(2)).sqrt() * normal(random);
                    *error = noise.alike * *error + fresh;
                    let value = levels[cell] * (shared + odd + noise.run * own[cell] * *error).exp();
                    metric.cells.entry(cell).or_default().push(Run { value, round: 0, order });
                }
                order += 1;
            }
        }
    }
    metrics
}

fn logs(runs: &[Run]) -> Vec<f64> {
    runs.iter().map(|run| run.value.ln()).collect()
}

fn pairs_of(metric: &MetricRuns) -> Vec<[Vec<f64>; 2]> {
    let of = |cell: &usize| [logs(&metric.base[0].cells[cell]), logs(&metric.candidate[0].cells[cell])];
    metric.cells.iter().map(of).collect()
}

/// limma's method: pooled variances of the cells, moderated, Student's t.
fn moderated(metric: &MetricRuns) -> Vec<f64> {
    let pairs = pairs_of(metric);
    let squares = |side: &[f64]| side.iter().map(|value| (value - mean(side)).powi(2)).sum::<f64>();
    let free: Vec<f64> = pairs.iter().map(|[base, candidate]| (base.len() + candidate.len() - 2) as f64).collect();
    let variances: Vec<f64> =
        pairs.iter().zip(&free).map(|([base, candidate], free)| (squares(base) + squares(candidate)) / free).collect();
    let moderated = moderate(&variances, &free);
    let all = pairs.iter().zip(moderated.variances).zip(moderated.degrees_of_freedom);
    all.map(|(([base, candidate], variance), free)| {
        let error = (variance * (1.0 / base.len() as f64 + 1.0 / candidate.len() as f64)).sqrt();
        t_p_value((mean(candidate) - mean(base)) / error, free)
    })
    .collect()
}

fn welch([base, candidate]: &[Vec<f64>; 2]) -> f64 {
    let (Some(left), Some(right)) = (Summary::of(base), Summary::of(candidate)) else { return 1.0 };
    let part = |side: &Summary| side.std.unwrap_or(0.0).powi(2) / side.n as f64;
    let (a, b) = (part(&left), part(&right));
    let free = (a + b).powi(2) / (a * a / (left.n - 1) as f64 + b * b / (right.n - 1) as f64);
    t_p_value((right.mean - left.mean) / (a + b).sqrt(), free)
}

/// A mixed model for each cell alone, sweeps random: in a balanced design the t-test of the sweeps' means.
fn mixed_model(metric: &MetricRuns) -> Vec<f64> {
    let of = |cell: &usize| {
        let means: Vec<f64> = metric.base.iter().map(|sweep| mean(&logs(&sweep.cells[cell]))).collect();
        let Some(summary) = Summary::of(&means).filter(|summary| summary.n > 1) else { return 1.0 };
        let candidate = mean(&logs(&metric.candidate[0].cells[cell]));
        let error = summary.std.unwrap_or(0.0) * (1.0 + 1.0 / summary.n as f64).sqrt();
        t_p_value((candidate - summary.mean) / error, (summary.n - 1) as f64)
    };
    metric.cells.iter().map(of).collect()
}

/// The exact two-sided p-value of the rank sum, by counting all ways to deal the ranks.
fn mann_whitney([base, candidate]: &[Vec<f64>; 2]) -> f64 {
    let (n, m) = (base.len(), candidate.len());
    let wins = base.iter().flat_map(|base| candidate.iter().map(move |other| base > other));
    let observed = wins.filter(|wins| *wins).count();
    // ways[u][k]: how many sets of k of the ranks so far have u wins.
    let mut ways = vec![vec![0u64; n + 1]; n * m + 1];
    ways[0][0] = 1;
    for rank in 0..n + m {
        for chosen in (0..n.min(rank + 1)).rev() {
            let beaten = rank - chosen;
            for wins in (0..=(n * m).saturating_sub(beaten)).rev() {
                ways[wins + beaten][chosen + 1] += ways[wins][chosen];
            }
        }
    }
    let total: u64 = ways.iter().map(|row| row[n]).sum();
    let tail: u64 = ways[..=observed.min(n * m - observed)].iter().map(|row| row[n]).sum();
    (2.0 * tail as f64 / total as f64).min(1.0)
}
