//! What a result tells of single requests, in seconds.

use super::soundness::Lookup;
use crate::metric::is_cut_off;
use serde_json::Value;

/// The times of one request. Nothing of what it does not tell.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestTimes {
    /// When it was sent, by the client's clock.
    pub start: f64,
    /// How long it waited in the client before that.
    pub queued: f64,
    pub ttft: Option<f64>,
    /// Until its last token; of one that was cut off, until then.
    pub latency: Option<f64>,
    pub gaps: Vec<f64>,
    /// `None` where nobody counted.
    pub output_len: Option<f64>,
    pub error: Option<String>,
}

impl RequestTimes {
    pub fn is_cut_off(&self) -> bool {
        self.error.as_deref().is_some_and(is_cut_off)
    }

    pub fn has_failed(&self) -> bool {
        self.error.is_some() && !self.is_cut_off()
    }
}

/// Of each request; nothing where the result does not tell when they were sent.
pub fn request_times(get: &Lookup<'_>) -> Option<Vec<RequestTimes>> {
    let list = |key: &str| get(key).and_then(Value::as_array);
    let at = |values: Option<&Vec<Value>>, index: usize| {
        values.and_then(|values| values.get(index)).and_then(Value::as_f64).filter(|value| value.is_finite())
    };
    let starts = list("start_times")?;
    let (ttfts, latencies, itls) = (list("ttfts"), list("latencies"), list("itls"));
    let (queue_times, output_lens, errors) = (list("queue_times"), list("output_lens"), list("errors"));
    let times = |index: usize| {
        let ttft = at(ttfts, index);
        let gaps = itls.and_then(|itls| itls.get(index)?.as_array());
        let gaps: Option<Vec<f64>> = gaps.map(|gaps| gaps.iter().filter_map(Value::as_f64).collect());
        // Older files lack `latencies`: the last token ends the request.
        let to_last = || Some(ttft? + gaps.as_ref()?.iter().sum::<f64>());
        let error = errors.and_then(|errors| errors.get(index)?.as_str()).filter(|error| !error.is_empty());
        Some(RequestTimes {
            start: at(Some(starts), index)?,
            queued: at(queue_times, index).unwrap_or(0.0),
            ttft,
            latency: at(latencies, index).or_else(to_last),
            gaps: gaps.unwrap_or_default(),
            output_len: at(output_lens, index),
            error: error.map(str::to_owned),
        })
    };
    Some((0..starts.len()).filter_map(times).collect())
}
