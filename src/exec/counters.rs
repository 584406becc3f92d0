//! What a server counts, asked before and after a run.

use super::http::get;
use crate::params::Address;
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

/// What they are called by vLLM, by SGLang, and by older versions of vLLM.
const RUNNING: &[&str] = &["vllm:num_requests_running", "sglang:num_running_reqs"];
const WAITING: &[&str] = &["vllm:num_requests_waiting", "sglang:num_queue_reqs"];
const FINISHED: &[&str] = &["vllm:request_success_total", "sglang:num_requests_total"];
const PREEMPTIONS: &[&str] = &["vllm:num_preemptions_total", "sglang:num_retracted_requests_total"];
const PREFIX_QUERIES: &[&str] = &["vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total"];
const PREFIX_HITS: &[&str] = &["vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"];

impl Counters {
    /// Asks a server; none of them where it has no `/metrics`.
    pub async fn of(address: &Address) -> Self {
        match get(address, "/metrics", LIMIT).await {
            Ok(answer) if answer.status == 200 => Self::parse(&String::from_utf8_lossy(&answer.body)),
            _ => Self::default(),
        }
    }

    fn parse(text: &str) -> Self {
        // A counter is told for each engine and each reason to end.
        let sum = |names: &[&str]| {
            let values = text.lines().filter_map(sample).filter(|(name, _)| names.contains(name));
            values.fold(None, |sum, (_, value)| Some(sum.unwrap_or(0.0) + value))
        };
        Self {
            running: sum(RUNNING),
            waiting: sum(WAITING),
            finished: sum(FINISHED),
            preemptions: sum(PREEMPTIONS),
            prefix_queries: sum(PREFIX_QUERIES),
            prefix_hits: sum(PREFIX_HITS),
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

/// The name and the value of a line in Prometheus' text format, `name{label="x"} 1.0`; nothing of a line that is none, whatever
/// it is.
fn sample(line: &str) -> Option<(&str, f64)> {
    let name = line.split(['{', ' ', '\t']).next()?;
    let rest = line.strip_prefix(name)?.trim_start();
    // A label's value may hold a brace; behind the last one stand numbers.
    let rest = if rest.starts_with('{') { rest.rsplit_once('}')?.1 } else { rest };
    let value = rest.split_whitespace().next()?.parse::<f64>().ok()?;
    value.is_finite().then_some((name, value))
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
