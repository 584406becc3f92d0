//! Verdicts between sweeps whose truth is known: false alarms between equal ones, power between different ones, coverage of
//! the intervals; beside benchstat's method (Mann–Whitney, α 0.05) and a plain t-test on the same data.
//!
//!     cargo run --example compare_truth

use rand::prelude::*;
use rand_distr::{Distribution, StandardNormal};
use sweeplake::compare::{Judge, Pair, Verdict, judge};
use sweeplake::metric::Better;
use sweeplake::stats::{Summary, t_p_value};

const CELLS: usize = 24;
const PAIRS: u64 = 1000;
const ALPHA: f64 = 0.05;
const JUDGE: Judge = Judge { threshold: 0.02, false_discovery_rate: ALPHA };

fn main() {
    println!(
        "| change, % | noise of a run, % | repeats | sweeplake: alarms in pairs, % | of cells, % | coverage, % | Mann–Whitney: alarms in pairs, % | of cells, % | t-test: alarms in pairs, % | of cells, % |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for change in [0.0, 0.02, 0.05, 0.1] {
        for noise in [0.01, 0.03, 0.1] {
            for repeats in [3, 5] {
                row(change, noise, repeats);
            }
        }
    }
}

/// One line: how often each method calls a cell changed, and a pair of sweeps with at least one such cell.
fn row(change: f64, noise: f64, repeats: usize) {
    let (mut covered, mut ours, mut ranks, mut plain) = (0, Alarms::default(), Alarms::default(), Alarms::default());
    for seed in 0..PAIRS {
        let mut random = StdRng::seed_from_u64(seed);
        let pairs: Vec<Pair> = (0..CELLS)
            .map(|_| {
                let level = 100.0 * random.random_range(0.5..20.0f64);
                // Not every combination is as noisy as the others.
                let own_noise = noise * 2f64.powf(random.random_range(-0.5..0.5));
                let mut side = |mean: f64| -> Vec<f64> {
                    let mut run = || {
                        let error: f64 = StandardNormal.sample(&mut random);
                        mean * (own_noise * error).exp()
                    };
                    (0..repeats).map(|_| run()).collect()
                };
                Pair { base: side(level), candidate: side(level * (1.0 + change)) }
            })
            .collect();
        let judged = judge(&[(Better::Lower, pairs.clone())], &JUDGE);
        let changes = &judged[0].0;
        covered += changes
            .iter()
            .filter(|cell| cell.interval.is_some_and(|(low, high)| low <= change && change <= high))
            .count();
        ours.add(changes.iter().filter(|cell| matches!(cell.verdict, Verdict::Worse | Verdict::Better)).count());
        ranks.add(pairs.iter().filter(|pair| mann_whitney(pair) < ALPHA).count());
        plain.add(pairs.iter().filter(|pair| t_test(pair) < ALPHA).count());
    }
    println!(
        "| {} | {} | {repeats} | {} | {:.1} | {} | {} |",
        change * 100.0,
        noise * 100.0,
        ours,
        100.0 * covered as f64 / (PAIRS as usize * CELLS) as f64,
        ranks,
        plain
    );
}

#[derive(Default)]
struct Alarms {
    pairs: usize,
    cells: usize,
}

impl Alarms {
    fn add(&mut self, cells: usize) {
        self.pairs += usize::from(cells > 0);
        self.cells += cells;
    }
}

impl std::fmt::Display for Alarms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percent = |count: usize, of: usize| 100.0 * count as f64 / of as f64;
        write!(f, "{:.1} | {:.1}", percent(self.pairs, PAIRS as usize), percent(self.cells, PAIRS as usize * CELLS))
    }
}

/// The exact two-sided p-value of the rank sum, by counting all ways to deal the ranks.
fn mann_whitney(pair: &Pair) -> f64 {
    let (n, m) = (pair.base.len(), pair.candidate.len());
    let wins = pair.base.iter().flat_map(|base| pair.candidate.iter().map(move |other| base > other));
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

fn t_test(pair: &Pair) -> f64 {
    let (Some(base), Some(candidate)) = (Summary::of(&pair.base), Summary::of(&pair.candidate)) else { return 1.0 };
    let variance = |side: &Summary| side.std.unwrap_or(0.0).powi(2) / side.n as f64;
    let std_error = (variance(&base) + variance(&candidate)).sqrt();
    t_p_value((candidate.mean - base.mean) / std_error, (base.n + candidate.n - 2) as f64)
}
