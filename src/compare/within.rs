//! Whether sweeps drifted while they ran, each by itself.

use super::drift::{Drift, drift};
use super::reading::{Cells, Reading};
use crate::query::{Lake, QueryError};

/// A metric that drifted while a sweep ran.
#[derive(Clone, Debug, PartialEq)]
pub struct Drifted {
    pub sweep: String,
    pub metric: String,
    pub drift: Drift,
}

/// The drifts of metrics, in each sweep of a lake, that are less likely to be chance than `p_value`. Sweeps that were not repeated
/// can't show one.
pub async fn drifted(lake: &Lake, metrics: &[&str], p_value: f64) -> Result<Vec<Drifted>, QueryError> {
    let columns = lake.columns("runs").await?;
    let metrics: Vec<String> =
        metrics.iter().filter(|metric| columns.has(metric)).map(|metric| (*metric).to_owned()).collect();
    let reading = Reading { metrics: metrics.clone(), ..Reading::default() };
    let sweeps = reading.read(lake, &mut Cells::default()).await?;
    let found = sweeps.iter().flat_map(|sweep| {
        metrics.iter().zip(&sweep.metrics).filter_map(|(metric, runs)| {
            let drift = drift(runs).filter(|drift| drift.p_value < p_value)?;
            Some(Drifted { sweep: sweep.name.clone(), metric: metric.clone(), drift })
        })
    });
    Ok(found.collect())
}
