//! Levels of a few runs that an odd one can't move far.

/// Huber's constant: 95 % efficient where the noise is normal.
const BEND: f64 = 1.345;
/// The median of the absolute value of a standard normal.
const NORMAL_MEDIAN: f64 = 0.674_489_750_196_081_7;
/// A run so many standard deviations off is odd.
const ODD: f64 = 4.5;
const ITERATIONS: usize = 50;

/// The standard deviation of a run, from the differences between the runs of each cell: their median, which a quarter of odd
/// ones can't move far. 0 where no cell has two runs, or most are equal.
pub fn spread<'a>(cells: impl IntoIterator<Item = &'a [f64]>) -> f64 {
    let mut differences: Vec<f64> = Vec::new();
    for runs in cells {
        for (index, run) in runs.iter().enumerate() {
            differences.extend(runs[..index].iter().map(|other| (run - other).abs()));
        }
    }
    if differences.is_empty() {
        return 0.0;
    }
    let middle = differences.len() / 2;
    let (_, median, _) = differences.select_nth_unstable_by(middle, f64::total_cmp);
    *median / (std::f64::consts::SQRT_2 * NORMAL_MEDIAN)
}

/// Huber's M-estimate of the runs' level: their mean, in which a run that is far off for the spread counts for less.
pub fn level(runs: &[f64], spread: f64) -> f64 {
    let mean = |weights: &dyn Fn(f64) -> f64| {
        let (sum, all) =
            runs.iter().fold((0.0, 0.0), |(sum, all), run| (sum + weights(*run) * run, all + weights(*run)));
        sum / all
    };
    if runs.len() < 3 || spread <= 0.0 {
        return mean(&|_| 1.0);
    }
    let mut sorted = runs.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut level = (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0;
    for _ in 0..ITERATIONS {
        let next = mean(&|run| (BEND * spread / (run - level).abs()).min(1.0));
        let is_there = (next - level).abs() <= 1e-9 * spread;
        level = next;
        if is_there {
            break;
        }
    }
    level
}

/// Whether a run is off by more than noise explains.
pub fn is_odd(run: f64, level: f64, spread: f64) -> bool {
    spread > 0.0 && (run - level).abs() > ODD * spread
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_run_moves_the_level_by_less_than_the_spread() {
        let quiet = [1.00, 1.01, 0.99, 1.005, 0.995];
        let spread = spread([&quiet[..]]);
        assert!((0.004..0.012).contains(&spread), "{spread}");
        assert!((level(&quiet, spread) - 1.0).abs() < 1e-6);
        let odd = [1.00, 1.01, 0.99, 1.005, 2.0];
        assert!((level(&odd, spread) - 1.0).abs() < spread && is_odd(2.0, 1.0, spread));
        // Two runs have no middle.
        assert_eq!(level(&[1.0, 3.0], 0.1), 2.0);
    }

    // statsmodels 0.15: sm.robust.norms.estimate_location(x, 0.1, sm.robust.norms.HuberT(1.345))
    #[test]
    fn the_level_is_that_of_statsmodels() {
        assert!((level(&[1.25, 0.9, 1.0, 1.1, 4.0, 1.02], 0.1) - STATSMODELS_LEVEL).abs() < 1e-6);
    }

    const STATSMODELS_LEVEL: f64 = 1.084_833_333;
}
