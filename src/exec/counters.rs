//! What a server counts, asked before and after a run.

use super::http::get;
use crate::params::Address;
use crate::telemetry::{Kept, from_engine, total};
use std::time::Duration;

/// A server that takes longer tells nothing.
const LIMIT: Duration = Duration::from_secs(2);

/// The counters of a server at one time; nothing of what it does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counters {
    pub running: Option<f64>,
    pub waiting: Option<f64>,
    pub finished: Option<f64>,
    pub preemptions: Option<f64>,
    pub prefix_queries: Option<f64>,
    pub prefix_hits: Option<f64>,
}

impl Counters {
    /// Asks a server; none of them where it has no `/metrics`.
    pub async fn of(address: &Address) -> Self {
        match get(address, "/metrics", LIMIT).await {
            Ok(answer) if answer.status == 200 => Self::parse(&String::from_utf8_lossy(&answer.body)),
            _ => Self::default(),
        }
    }

    fn parse(text: &str) -> Self {
        let readings = from_engine(text, Kept::Known);
        let total = |metric: &str| total(&readings, metric);
        Self {
            running: total("requests_running"),
            waiting: total("requests_waiting"),
            finished: total("requests_finished"),
            preemptions: total("preemptions"),
            prefix_queries: total("prefix_cache_queries"),
            prefix_hits: total("prefix_cache_hits"),
        }
    }

    /// Requests in the server.
    pub fn in_flight(&self) -> Option<f64> {
        self.running.map(|running| running + self.waiting.unwrap_or(0.0))
    }

    /// The share of hits since `before`.
    pub fn hit_rate_since(&self, before: &Self) -> Option<f64> {
        let queries = since(self.prefix_queries, before.prefix_queries).filter(|queries| *queries > 0.0)?;
        Some(since(self.prefix_hits, before.prefix_hits)? / queries)
    }
}

/// How far a counter went; nothing where it went back, because it began anew.
pub fn since(after: Option<f64>, before: Option<f64>) -> Option<f64> {
    after.zip(before).map(|(after, before)| after - before).filter(|difference| *difference >= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_summed_over_engines_and_reasons() {
        let text = "# TYPE vllm:request_success_total counter\n\
            vllm:request_success_total{engine=\"0\",finished_reason=\"stop\"} 3.0\n\
            vllm:request_success_total{engine=\"1\",finished_reason=\"a}b 9\"} 4.0 1700000000\n\
            # TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{engine=\"0\"} 2.0\n\
            something else entirely {\nvllm:num_preemptions_total NaN\n";
        let counted = Counters::parse(text);
        assert_eq!((counted.finished, counted.in_flight(), counted.preemptions), (Some(7.0), Some(2.0), None));
        assert_eq!(Counters::parse("<html>no metrics</html>"), Counters::default());
    }

    #[test]
    fn a_counter_that_began_anew_tells_nothing() {
        assert_eq!(since(Some(3.0), Some(5.0)), None);
        let at =
            |queries, hits| Counters { prefix_queries: Some(queries), prefix_hits: Some(hits), ..Counters::default() };
        assert_eq!(at(300.0, 50.0).hit_rate_since(&at(100.0, 0.0)), Some(0.25));
        assert_eq!(at(100.0, 0.0).hit_rate_since(&at(100.0, 0.0)), None);
    }
}
