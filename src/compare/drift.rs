//! Whether a sweep drifted while it ran.

use super::noise::SweepRuns;
use crate::stats::{mean, t_p_value};

/// A drift of a sweep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    /// The change from the first run to the last, as a ratio less one.
    pub change: f64,
    pub p_value: f64,
}

/// Regresses the logarithms, each less the mean of its cell, on the order of the runs (less its mean in the cell); only
/// repeats tell drift from the effect of parameters. `None` with fewer than four degrees of freedom.
pub fn drift(sweep: &SweepRuns) -> Option<Drift> {
    let all = sweep.cells.iter().flat_map(|(cell, runs)| runs.iter().map(move |run| (*cell, run)));
    let count = all.clone().count();
    let usable: Vec<(usize, f64, f64)> = all
        .filter(|(_, run)| run.value > 0.0 && run.value.is_finite())
        .map(|(cell, run)| (cell, f64::from(run.order), run.value.ln()))
        .collect();
    let mut cells: Vec<usize> = usable.iter().map(|run| run.0).collect();
    cells.sort_unstable();
    cells.dedup();
    let mut centred: Vec<(f64, f64)> = Vec::new();
    for cell in &cells {
        let own: Vec<(f64, f64)> = usable.iter().filter(|run| run.0 == *cell).map(|run| (run.1, run.2)).collect();
        let (order, value) = (
            mean(&own.iter().map(|run| run.0).collect::<Vec<_>>()),
            mean(&own.iter().map(|run| run.1).collect::<Vec<_>>()),
        );
        centred.extend(own.iter().map(|run| (run.0 - order, run.1 - value)));
    }
    let degrees_of_freedom = usable.len().checked_sub(cells.len() + 1)? as f64;
    if degrees_of_freedom < 4.0 {
        return None;
    }
    let sum = |f: fn(&(f64, f64)) -> f64| centred.iter().map(f).sum::<f64>();
    let (xx, xy, yy) = (sum(|run| run.0 * run.0), sum(|run| run.0 * run.1), sum(|run| run.1 * run.1));
    if xx <= 0.0 {
        return None;
    }
    let slope = xy / xx;
    let std_error = ((yy - slope * xy).max(0.0) / degrees_of_freedom / xx).sqrt();
    let p_value = if std_error > 0.0 { t_p_value(slope / std_error, degrees_of_freedom) } else { 1.0 };
    Some(Drift { change: (slope * (count - 1) as f64).exp_m1(), p_value })
}

#[cfg(test)]
mod tests {
    use super::super::noise::Run;
    use super::*;

    fn runs(values: &[f64], repeats: usize) -> SweepRuns {
        let mut sweep = SweepRuns::default();
        for (index, value) in values.iter().enumerate() {
            let run = Run { value: *value, round: 0, order: index as u32 };
            sweep.cells.entry(index / repeats).or_default().push(run);
        }
        sweep
    }

    #[test]
    fn a_sweep_that_becomes_slower_is_seen_and_a_parameter_is_no_drift() {
        let slower: Vec<f64> =
            (0..24).map(|index| 100.0 * (1.0 + 0.01 * f64::from(index)) + f64::from(index % 2)).collect();
        let found = drift(&runs(&slower, 4)).unwrap();
        assert!(found.p_value < 1e-6 && found.change > 0.1, "{found:?}");
        // Each cell is slower than the one before, its repeats are not.
        let steps: Vec<f64> =
            (0..24).map(|index| 100.0 * f64::from(1 + index / 4) + [0.0, 1.0, -1.0, 0.3][index as usize % 4]).collect();
        assert!(drift(&runs(&steps, 4)).unwrap().p_value > 0.05);
        assert_eq!(drift(&runs(&[1.0, 2.0, 3.0], 1)), None);
    }
}
