//! What the single requests of a run say of the part without ramp-up and drain.

use crate::record::RequestTimes;
use crate::sla::{Loop, Request, Standing, Window, is_of_requests};
use serde_json::{Map, Value};

/// The steady part of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Steady {
    pub seconds: f64,
    /// The metrics that single requests tell, of this part; null where a failed request makes one unbounded.
    pub metrics: Map<String, Value>,
    pub backlog: Standing,
}

impl Steady {
    /// `wanted`: the metrics' keys. Nothing of a run that has no steady part.
    pub fn of<'a>(requests: &[Request], kind: Loop, wanted: impl Iterator<Item = &'a String>) -> Option<Self> {
        let window = Window::of(requests, kind)?;
        let metrics = wanted.filter(|key| is_of_requests(key)).map(|key| (key.clone(), window.metric(key).into()));
        Some(Self { seconds: window.seconds, metrics: metrics.collect(), backlog: window.backlog })
    }
}

/// Requests as their senders see them: at a rate, waiting in the client is a part of what they take.
pub fn requests_of(times: Vec<RequestTimes>, kind: Loop) -> Vec<Request> {
    let of = |times: RequestTimes| {
        let queued = if kind == Loop::Open { times.queued } else { 0.0 };
        let has_failed = times.has_failed();
        let seen = |value: Option<f64>| value.filter(|_| !has_failed).map(|value| value + queued);
        let tokens = times.output_len;
        let gaps = tokens.map(|tokens| tokens - 1.0).filter(|gaps| *gaps > 0.0 && !has_failed && !times.is_cut_off());
        let tpot = times.ttft.zip(times.latency).zip(gaps);
        Request {
            arrival: times.start - queued,
            ttft: seen(times.ttft),
            e2el: seen(times.latency),
            tpot: tpot.map(|((ttft, latency), gaps)| (latency - ttft) / gaps),
            itls: times.gaps,
            output_len: tokens,
        }
    };
    times.into_iter().map(of).collect()
}
