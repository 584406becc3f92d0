//! Percentiles of all requests of a combination, its runs together.
//!
//! A mean of P99s is no P99; where single requests are stored, the percentile of all of them is. The requests of one run are no
//! independent ones: a slow run is slow for all of them. So the interval is that of runs, each with its own percentile.

use super::reading::{Cells, Reading};
use crate::metric::percentile_of;
use crate::query::{Filter, Lake, QueryError, quoted};
use crate::stats::{mean, t_quantile};
use std::collections::{BTreeMap, HashMap};

/// A percentile in both sweeps, and the interval of its change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pooled {
    pub base: f64,
    pub candidate: f64,
    /// Candidate over base, less one.
    pub change: f64,
    /// 95 % confidence interval of the change between these runs; `None` with fewer than two on a side.
    pub interval: Option<(f64, f64)>,
    pub base_requests: usize,
    pub candidate_requests: usize,
}

/// The requests of a cell: the percentile of all, and of those of each run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Requests {
    pub percentile: f64,
    pub count: usize,
    pub of_runs: Vec<f64>,
}

/// The requests of each cell, for each metric that is a percentile of them.
pub type RequestsOf = HashMap<(usize, usize), Requests>;

const CONFIDENCE: f64 = 0.95;

/// Compares a percentile of two sides.
pub fn pooled(base: &Requests, candidate: &Requests) -> Pooled {
    let change = (candidate.percentile / base.percentile).ln();
    let sides = spread_of_runs(&base.of_runs).zip(spread_of_runs(&candidate.of_runs));
    let interval = sides.map(|(base, candidate)| {
        // Welch: each side has its own spread.
        let variance = base.0 + candidate.0;
        let free = variance.powi(2) / (base.0.powi(2) / base.1 + candidate.0.powi(2) / candidate.1);
        let half = if variance > 0.0 { t_quantile(0.5 + CONFIDENCE / 2.0, free) * variance.sqrt() } else { 0.0 };
        ((change - half).exp_m1(), (change + half).exp_m1())
    });
    Pooled {
        base: base.percentile,
        candidate: candidate.percentile,
        change: change.exp_m1(),
        interval,
        base_requests: base.count,
        candidate_requests: candidate.count,
    }
}

/// The variance of the mean of the runs' percentiles, as logarithms, and its degrees of freedom.
fn spread_of_runs(runs: &[f64]) -> Option<(f64, f64)> {
    let logs: Vec<f64> =
        runs.iter().filter(|value| **value > 0.0 && value.is_finite()).map(|value| value.ln()).collect();
    if logs.len() < 2 || logs.len() < runs.len() {
        return None;
    }
    let (middle, count) = (mean(&logs), logs.len() as f64);
    let squares: f64 = logs.iter().map(|log| (log - middle).powi(2)).sum();
    Some((squares / (count - 1.0) / count, count - 1.0))
}

/// The column of `requests` that a percentile is taken of: `e2el_ms` of `p99_e2el_ms`; and the share that is below it.
fn column_of(metric: &str) -> Option<(&'static str, f64)> {
    let percentile = percentile_of(metric)?;
    let column = metric.strip_prefix('p')?.strip_prefix(percentile)?.strip_prefix('_')?;
    let column = ["ttft_ms", "tpot_ms", "e2el_ms"].into_iter().find(|known| *known == column)?;
    Some((column, percentile.parse::<f64>().ok()? / 100.0))
}

crate::query::typed_row! {
    struct Group {
        key: String,
        run_id: Option<String>,
        requests: i64,
    }
}

/// Asks for the percentiles of the metrics that are ones of requests; of cells that are known.
pub async fn requests_of(lake: &Lake, reading: &Reading, cells: &Cells) -> Result<RequestsOf, QueryError> {
    let asked: Vec<(usize, &str, f64)> = reading
        .metrics
        .iter()
        .enumerate()
        .filter_map(|(index, metric)| column_of(metric).map(|(column, share)| (index, column, share)))
        .collect();
    let mut found = RequestsOf::new();
    if asked.is_empty() {
        return Ok(found);
    }
    let columns = lake.columns("runs").await?;
    let (key, filter) = (reading.key(&columns)?, Filter::parse(&reading.filter_by, &columns)?.to_sql());
    let percentiles = asked.iter().map(|(index, column, share)| {
        format!(", percentile_cont({share}) WITHIN GROUP (ORDER BY requests.{}) AS p_{index}", quoted(column))
    });
    let percentiles = percentiles.collect::<String>();
    for groups in ["wanted.key", "wanted.key, run_id"] {
        let run_id = if groups.contains("run_id") { "run_id" } else { "CAST(NULL AS VARCHAR) AS run_id" };
        let sql = format!(
            "WITH known AS (SELECT run_id, sweep, started_at, fingerprint, {key} AS key FROM runs \
             WHERE status IN ('completed', 'degraded') AND {filter}), \
             aged AS (SELECT *, last_value(fingerprint) OVER (PARTITION BY sweep, key ORDER BY started_at \
             ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS newest FROM known), \
             wanted AS (SELECT run_id, key FROM aged WHERE fingerprint IS NOT DISTINCT FROM newest) \
             SELECT wanted.key, {run_id}, count(*) AS requests{percentiles} \
             FROM requests JOIN wanted USING (run_id) WHERE ok IS NOT FALSE GROUP BY {groups} ORDER BY {groups}"
        );
        let answer = lake.sql(&sql).await?;
        let rows: Vec<Group> = answer.typed("compare: percentiles of requests")?;
        let values: BTreeMap<usize, Vec<Option<f64>>> = asked
            .iter()
            .map(|(index, ..)| Ok((*index, answer.numbers(&format!("p_{index}"))?)))
            .collect::<Result<_, QueryError>>()?;
        for (at, row) in rows.iter().enumerate() {
            let Some(cell) = cells.known(&row.key) else { continue };
            for (index, values) in &values {
                let Some(value) = values[at] else { continue };
                let requests = found.entry((*index, cell)).or_default();
                match row.run_id {
                    Some(_) => requests.of_runs.push(value),
                    None => (requests.percentile, requests.count) = (value, row.requests as usize),
                }
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    // scipy 1.16: ttest_ind(log(c), log(b), equal_var=False).confidence_interval(0.95) of [100, 103, 98] and [110, 109, 113, 108],
    // around log(112 / 101)
    #[test]
    fn the_interval_is_that_of_runs() {
        let side = |percentile: f64, runs: &[f64]| Requests { percentile, count: 1000, of_runs: runs.to_vec() };
        let found = pooled(&side(101.0, &[100.0, 103.0, 98.0]), &side(112.0, &[110.0, 109.0, 113.0, 108.0]));
        let (low, high) = found.interval.unwrap();
        assert!((found.change - 0.108_910_891).abs() < 1e-6);
        let half = ((1.0 + high) / (1.0 + low)).ln() / 2.0;
        assert!((half - SCIPY_HALF_WIDTH).abs() < 1e-6, "{half}");
        assert_eq!(pooled(&side(1.0, &[1.0]), &side(1.0, &[1.0, 1.0])).interval, None);
    }

    const SCIPY_HALF_WIDTH: f64 = 0.049857494;
}
