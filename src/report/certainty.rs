//! How sure the numbers are.

use super::ReportError;
use super::table::percent;
use crate::compare::{DRIFT_P, Drifted, drifted};
use crate::metric::caution;
use crate::query::{Lake, shipped};

crate::query::typed_row! {
    struct Certainty {
        combinations: i64,
        least_runs: Option<i64>,
        most_runs: Option<i64>,
        failed_runs: Option<i64>,
        degraded_runs: Option<i64>,
        throughput_median: Option<f64>,
        throughput_worst: Option<f64>,
        p99_median: Option<f64>,
        p99_worst: Option<f64>,
        fewest_requests: Option<f64>,
    }
}

pub async fn certainty(lake: &Lake) -> Result<Vec<String>, ReportError> {
    let Some(found) = shipped::CERTAINTY.rows::<Certainty>(lake, &[]).await?.into_iter().next() else {
        return Ok(Vec::new());
    };
    let mut lines = lines(&found);
    lines.extend(lake.pooled_apart().await?.iter().map(|apart| format!("In {}, {apart}.", apart.sweep)));
    lines.extend(drifts(lake).await?);
    let unbounded = lake.unbounded_percentiles().await?;
    lines.extend(unbounded.iter().map(|unbounded| format!("Percentiles: {unbounded} (99 % confidence).")));
    lines.extend(lake.steady_states().await?.iter().map(|steady| format!("Steady state: {steady}.")));
    lines.extend(cautions(lake).await?);
    Ok(lines)
}

/// Metrics that changed with the order of the runs: what was measured late is not what would have been measured early.
async fn drifts(lake: &Lake) -> Result<Vec<String>, ReportError> {
    let found = drifted(lake, &["output_throughput", "p99_e2el_ms", "median_ttft_ms"], DRIFT_P).await?;
    let line = |drifted: &Drifted| {
        let Drifted { sweep, metric, drift } = drifted;
        let change = 100.0 * drift.change;
        format!(
            "In {sweep}, {metric} drifted by {change:+.1} % from the first run to the last (p {:.1e}).",
            drift.p_value
        )
    };
    Ok(found.iter().map(line).collect())
}

/// More cautions than these nobody reads; all are in the column.
const MOST_CAUTIONS: usize = 8;

/// What is to be said of single runs.
async fn cautions(lake: &Lake) -> Result<Vec<String>, ReportError> {
    let found = lake.cautions().await?;
    let others = found.len().saturating_sub(MOST_CAUTIONS);
    let shown = found.into_iter().take(MOST_CAUTIONS);
    let mut lines: Vec<String> =
        shown.map(|found| format!("Caution ({} run(s)): {}.", found.runs, found.caution)).collect();
    if others > 0 {
        lines.push(format!("{others} more cautions are listed in column caution of table runs."));
    }
    Ok(lines)
}

fn lines(found: &Certainty) -> Vec<String> {
    let (least, most) = (found.least_runs.unwrap_or(0), found.most_runs.unwrap_or(0));
    let repeats = if least == most { format!("{most}") } else { format!("{least} to {most}") };
    let mut lines = vec![format!("{} combinations with {repeats} run(s) each.", found.combinations)];
    if let Some(failed) = found.failed_runs.filter(|failed| *failed > 0) {
        lines.push(format!("{failed} runs failed and are excluded from all numbers."));
    }
    if let Some(degraded) = found.degraded_runs.filter(|degraded| *degraded > 0) {
        lines.push(format!(
            "{degraded} runs are degraded: some of their requests failed. Their latencies cover only the requests that succeeded, and \
             no configuration with such a run is recommended."
        ));
    }
    if most > 1 {
        lines.push("± is half the width of the 95 % confidence interval of the mean over repeated runs (Student's t). A difference smaller than both intervals may be noise.".into());
    } else {
        lines.push(
            "Nothing was measured more than once, so differences cannot be distinguished from noise. Repeat three times or more."
                .into(),
        );
    }
    let shares = [
        ("output throughput", found.throughput_median, found.throughput_worst),
        ("P99 E2E latency", found.p99_median, found.p99_worst),
    ];
    for (name, median, worst) in shares {
        if let (Some(median), Some(worst)) = (median, worst) {
            lines.push(format!(
                "Half the width of the 95 % interval of {name}: {} of the mean for the median combination, {} for the worst.",
                percent(median),
                percent(worst)
            ));
        }
    }
    lines.extend(found.fewest_requests.and_then(|fewest| caution("p99_e2el_ms", fewest)));
    lines
}
