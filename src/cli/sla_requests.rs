//! What stored requests say about an SLA: percentiles that the results lack, the part without ramp-up and drain, and whether the
//! server kept up.

use crate::query::{Lake, QueryError, literal};
use crate::sla::{Loop, Request, is_of_requests, metric_of};
use crate::sweep::{Made, Steady, Variable, loop_of};
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeSet, HashMap};

crate::query::typed_row! {
    struct Stored {
        run_id: String,
        arrival: Option<f64>,
        ttft: Option<f64>,
        e2el: Option<f64>,
        tpot: Option<f64>,
        output_len: Option<f64>,
        gaps: Option<String>,
    }
}

/// A run whose requests are wanted.
pub struct RunAsked<'a> {
    pub sweep: &'a str,
    pub run_id: &'a str,
    pub request_rate: Option<f64>,
}

/// By run: metrics of all its requests, and its steady part.
#[derive(Default)]
pub struct StoredRequests(HashMap<String, (Map<String, Json>, Option<Steady>)>);

impl StoredRequests {
    /// Of the runs that have stored requests, one sweep after the other.
    pub async fn of(
        lake: &Lake,
        runs: &[RunAsked<'_>],
        variable: Variable,
        asked: &[String],
    ) -> Result<Self, QueryError> {
        let asked: Vec<String> = asked.iter().filter(|key| is_of_requests(key)).cloned().collect();
        let mut all = Self::default();
        if asked.is_empty() {
            return Ok(all);
        }
        let sweeps: BTreeSet<&str> = runs.iter().map(|run| run.sweep).collect();
        for sweep in sweeps {
            let kinds: HashMap<&str, Loop> = runs
                .iter()
                .filter(|run| run.sweep == sweep)
                .map(|run| (run.run_id, loop_of(Some(variable), run.request_rate)))
                .collect();
            for (run_id, requests) in requests_of(lake, sweep, &asked, &kinds).await? {
                let Some(kind) = kinds.get(run_id.as_str()) else { continue };
                let whole = asked.iter().filter_map(|key| Some((key.clone(), json!(metric_of(&requests, key)?))));
                let whole = whole.collect();
                let steady = Steady::of(&requests, *kind, asked.iter());
                all.0.insert(run_id, (whole, steady));
            }
        }
        Ok(all)
    }

    /// Fills in what the run's result lacks.
    pub fn add_to(&mut self, run_id: &str, made: &mut Made) {
        let Some((whole, steady)) = self.0.remove(run_id) else { return };
        if let Some(metrics) = &mut made.metrics {
            whole.into_iter().for_each(|(key, value)| {
                metrics.entry(key).or_insert(value);
            });
            made.steady = steady;
        }
    }
}

/// The stored requests of a sweep, by run. At a rate, waiting in the client is a part of what a request takes.
async fn requests_of(
    lake: &Lake,
    sweep: &str,
    asked: &[String],
    kinds: &HashMap<&str, Loop>,
) -> Result<HashMap<String, Vec<Request>>, QueryError> {
    // Gaps are most of what is stored.
    let gaps = if asked.iter().any(|key| key.ends_with("_itl_ms")) { "array_to_string(itls_ms, ' ')" } else { "NULL" };
    let sql = format!(
        "SELECT run_id, start_s AS arrival, coalesce(queue_time_ms, 0) AS queued, ttft_ms AS ttft, e2el_ms AS e2el, tpot_ms AS tpot, \
         CAST(output_len AS DOUBLE) AS output_len, CAST({gaps} AS VARCHAR) AS gaps FROM requests WHERE sweep = {} AND start_s IS NOT NULL",
        literal(sweep)
    );
    let answer = lake.sql(&sql).await?;
    let queued = answer.numbers("queued")?;
    let mut requests: HashMap<String, Vec<Request>> = HashMap::new();
    for (stored, queued) in answer.without("queued").typed::<Stored>("sla: stored requests")?.into_iter().zip(queued) {
        let is_open = kinds.get(stored.run_id.as_str()) == Some(&Loop::Open);
        let queued = queued.filter(|_| is_open).unwrap_or(0.0) / 1000.0;
        let seconds = |ms: Option<f64>| ms.map(|ms| ms / 1000.0 + queued);
        let gaps = stored.gaps.unwrap_or_default();
        requests.entry(stored.run_id).or_default().push(Request {
            arrival: stored.arrival.unwrap_or(0.0) - queued,
            ttft: seconds(stored.ttft),
            e2el: seconds(stored.e2el),
            tpot: stored.tpot.map(|ms| ms / 1000.0),
            itls: gaps.split(' ').filter_map(|gap| Some(gap.parse::<f64>().ok()? / 1000.0)).collect(),
            output_len: stored.output_len,
        });
    }
    Ok(requests)
}
