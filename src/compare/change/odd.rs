//! Runs that are off by more than noise explains, and what a level is worth that rests on such.

use super::{OddRun, SEVERAL};
use crate::compare::noise::{Known, Rests, Run, SideOf, SweepRuns, Unit, is_odd, unit};
use crate::stats::binomial_tail;

/// The share of odd runs among all that are known.
pub fn odd_share(known: &Known<'_>, spread: f64) -> f64 {
    let (mut odd, mut all) = (0.0, 0.0);
    for sweep in known.all() {
        let levels = unit(sweep, spread);
        for (cell, runs) in sweep.cells.iter().filter(|(_, runs)| runs.len() >= SEVERAL) {
            let Some(level) = levels.get(cell) else { continue };
            odd += runs.iter().filter(|run| is_odd(run.value.ln(), *level, spread)).count() as f64;
            all += runs.len() as f64;
        }
    }
    if all > 0.0 { odd / all } else { 0.0 }
}

/// How likely it is that half of the runs of a level or more are odd. Several sweeps make up for each other.
pub fn spoiled(rests: Rests, odd_share: f64) -> f64 {
    let runs = rests.runs.round().max(1.0) as usize;
    if rests.sweeps == 1 { binomial_tail(runs.div_ceil(2), odd_share, runs) } else { 0.0 }
}

/// The odd runs of a side.
pub fn odd_runs(side: SideOf, sweeps: &[SweepRuns], levels: &[Unit], spread: f64) -> Vec<OddRun> {
    let mut odd = Vec::new();
    for (sweep, (runs, levels)) in sweeps.iter().zip(levels).enumerate() {
        for (cell, runs) in runs.cells.iter().filter(|(_, runs)| runs.len() >= SEVERAL) {
            let Some(level) = levels.get(cell) else { continue };
            let is_odd = |run: &Run| is_odd(run.value.ln(), *level, spread);
            odd.extend(runs.iter().enumerate().filter(|(_, run)| is_odd(run)).map(|(index, run)| OddRun {
                side,
                sweep,
                cell: *cell,
                index,
                value: run.value,
                off: (run.value.ln() - level).exp_m1(),
            }));
        }
    }
    odd
}
