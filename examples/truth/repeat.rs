//! How often the interval with which `--repeat-until` ends holds the true mean, and how many runs that takes.

use rand::prelude::*;
use rand_distr::{Distribution, LogNormal, Normal};
use sweeplake::stats::{Summary, mean};
use sweeplake::sweep::{FEWEST, Narrow};

const TRUE_MEAN: f64 = 100.0;

/// Runs of one combination until they are enough: whether their interval holds the truth, and how many there were.
fn repeat(rule: &Narrow, draw: &mut dyn FnMut() -> f64) -> (bool, f64) {
    let mut values: Vec<f64> = (0..FEWEST).map(|_| draw()).collect();
    while values.len() < rule.max_runs && !rule.is_enough(&values) {
        values.push(draw());
    }
    let summary = Summary::of(&values).expect("there are values");
    let half = summary.ci95().expect("there are several");
    ((summary.mean - TRUE_MEAN).abs() <= half, values.len() as f64)
}

pub fn run(sweeps: usize) {
    let mut random = StdRng::seed_from_u64(1);
    println!("| runs scatter | width | runs made | holds the truth |\n| --- | --- | --- | --- |");
    let mut worst: f64 = 1.0;
    for is_skewed in [false, true] {
        for scatter in [0.02, 0.05, 0.1, 0.2] {
            for width in [0.02, 0.05, 0.1] {
                let rule = Narrow { metric: "x".into(), width, max_runs: 500 };
                let ends: Vec<(bool, f64)> = (0..sweeps)
                    .map(|_| match is_skewed {
                        false => {
                            let normal = Normal::new(TRUE_MEAN, scatter * TRUE_MEAN).expect("a scatter above 0");
                            repeat(&rule, &mut || normal.sample(&mut random))
                        }
                        true => {
                            let sigma = (1.0 + scatter * scatter).ln().sqrt();
                            let skewed =
                                LogNormal::new(TRUE_MEAN.ln() - sigma * sigma / 2.0, sigma).expect("a scatter above 0");
                            repeat(&rule, &mut || skewed.sample(&mut random))
                        }
                    })
                    .collect();
                let covered = ends.iter().filter(|(holds, _)| *holds).count() as f64 / ends.len() as f64;
                let runs = mean(&ends.iter().map(|(_, runs)| *runs).collect::<Vec<_>>());
                let shape = if is_skewed { "log-normally" } else { "normally" };
                println!(
                    "| {shape}, {:.0} % | {:.0} % | {runs:.1} | {:.1} % |",
                    scatter * 100.0,
                    width * 100.0,
                    covered * 100.0
                );
                worst = worst.min(covered);
            }
        }
    }
    println!("\nworst: {:.1} %", worst * 100.0);
}
