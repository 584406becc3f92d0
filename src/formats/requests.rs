//! Single requests as vLLM tells them: lists of equal length.

use crate::record::TPOTS;
use serde_json::{Map, Value};

/// One request; `None` for what its tool does not tell.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub start_s: Option<f64>,
    pub input_len: Option<i64>,
    pub output_len: Option<i64>,
    pub ttft_s: Option<f64>,
    pub latency_s: Option<f64>,
    /// Only of tools that tell it themselves.
    pub tpot_s: Option<f64>,
    pub gaps_s: Option<Vec<f64>>,
    /// Empty for a request that was answered.
    pub error: String,
}

/// The requests in the order in which they were sent.
pub fn in_order(requests: impl Iterator<Item = Request>) -> Vec<Request> {
    let mut requests: Vec<Request> = requests.collect();
    requests.sort_by(|left, right| left.start_s.unwrap_or(f64::MAX).total_cmp(&right.start_s.unwrap_or(f64::MAX)));
    requests
}

/// Puts the requests into a result. A list that no request has a value for is left out.
pub fn add_requests(requests: &[Request], into: &mut Map<String, Value>) {
    let mut add = |key: &str, value: fn(&Request) -> Value| {
        let values: Vec<Value> = requests.iter().map(value).collect();
        if values.iter().any(|value| !value.is_null()) {
            into.insert(key.into(), values.into());
        }
    };
    add("start_times", |request| request.start_s.into());
    add("input_lens", |request| request.input_len.into());
    add("output_lens", |request| request.output_len.into());
    add("ttfts", |request| request.ttft_s.into());
    add("latencies", |request| request.latency_s.into());
    add(TPOTS, |request| request.tpot_s.into());
    add("itls", |request| request.gaps_s.clone().into());
    add("errors", |request| request.error.as_str().into());
}
