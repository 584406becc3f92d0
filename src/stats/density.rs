//! A density from a sample.

use super::{percentile, stddev};

/// Gaussian kernel density estimate at each place, with Silverman's rule for the bandwidth (1986, eq. 3.31):
/// 0.9 · min(σ, IQR / 1.349) · n^(-1/5). In the unit of one over the values. `sorted`: ascending.
pub fn kernel_density(sorted: &[f64], places: &[f64]) -> Vec<f64> {
    let n = sorted.len() as f64;
    let spread = stddev(sorted).unwrap_or(0.0);
    let quartiles = (percentile(sorted, 75.0) - percentile(sorted, 25.0)) / 1.349;
    let narrow = if quartiles > 0.0 { spread.min(quartiles) } else { spread };
    let range = sorted.last().copied().unwrap_or(1.0).abs().max(1e-300);
    let bandwidth = (0.9 * narrow * n.powf(-0.2)).max(1e-6 * range);
    let weight = 1.0 / (n * bandwidth * (2.0 * std::f64::consts::PI).sqrt());
    let density = |place: &f64| {
        // Beyond six bandwidths a kernel is nothing.
        let from = sorted.partition_point(|value| *value < place - 6.0 * bandwidth);
        let to = sorted.partition_point(|value| *value <= place + 6.0 * bandwidth);
        sorted[from..to].iter().map(|value| (-0.5 * ((place - value) / bandwidth).powi(2)).exp()).sum::<f64>() * weight
    };
    places.iter().map(density).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::t_quantile;

    #[test]
    fn a_normal_sample_has_the_normal_density() {
        // Quantiles of the normal distribution: of t with very many degrees of freedom.
        let sorted: Vec<f64> = (1..2000).map(|rank| t_quantile(f64::from(rank) / 2000.0, 1e9)).collect();
        let places = [-1.5, 0.0, 1.0];
        for (found, place) in kernel_density(&sorted, &places).iter().zip(places) {
            let truth = (-0.5 * place * place).exp() / (2.0 * std::f64::consts::PI).sqrt();
            assert!((found - truth).abs() < 0.01, "{found} instead of {truth} at {place}");
        }
    }

    #[test]
    fn the_density_of_any_sample_adds_up_to_one() {
        for sample in [vec![1.0, 2.0, 2.5, 40.0], vec![3.0, 3.0, 3.0, 4.0]] {
            let step = 0.01;
            let places: Vec<f64> = (-5000..10_000).map(|index| f64::from(index) * step).collect();
            let mass: f64 = kernel_density(&sample, &places).iter().sum::<f64>() * step;
            assert!((mass - 1.0).abs() < 0.01, "{mass} of {sample:?}");
        }
    }
}
