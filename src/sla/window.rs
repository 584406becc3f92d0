//! The part of a run in which the server bore the load that was asked for: without the ramp-up, in which it fills, and the drain, in
//! which it empties.

use super::backlog::{Backlog, Standing};
use super::request::Request;
use crate::metric::percentile_of;
use crate::stats::{mean, percentile, population_std};

/// What decides when a request comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loop {
    /// The traffic, whatever the server does.
    Open,
    /// The end of another request.
    Closed,
}

/// The requests of the window, and what became of those that waited.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    pub seconds: f64,
    /// Those that came in it and had left before the drain.
    requests: Vec<Request>,
    request_throughput: f64,
    output_throughput: Option<f64>,
    pub backlog: Standing,
}

/// A window of fewer requests is none.
const FEWEST: usize = 10;
/// How many of the first requests tell how long the server takes to fill.
const FIRST: f64 = 0.1;

impl Window {
    /// Nothing where no part of the run is without ramp-up and drain.
    pub fn of(requests: &[Request], kind: Loop) -> Option<Self> {
        let mut requests = requests.to_vec();
        requests.sort_by(|left, right| left.arrival.total_cmp(&right.arrival));
        let (first, last) = (requests.first()?.arrival, requests.last()?.arrival);
        let filled = filling(&requests)?;
        let (from, until) = (first + filled, last - filled);
        let inside: Vec<Request> =
            requests.iter().filter(|request| (from..=until).contains(&request.arrival)).cloned().collect();
        if inside.len() < FEWEST {
            return None;
        }
        // Until the last came, the load was whole.
        let seconds = last - from;
        let left = |request: &&Request| {
            request.e2el.is_some_and(|e2el| from < request.arrival + e2el && request.arrival + e2el <= last)
        };
        let tokens: Option<f64> = requests.iter().filter(left).map(|request| request.output_len).sum();
        let completed = requests.iter().filter(left).count();
        let backlog = match kind {
            Loop::Open => Backlog { requests: &requests, from, until: last }.standing(),
            Loop::Closed => Standing::Steady,
        };
        Some(Self {
            seconds,
            requests: inside,
            request_throughput: completed as f64 / seconds,
            output_throughput: tokens.map(|tokens| tokens / seconds),
            backlog,
        })
    }

    pub fn requests(&self) -> usize {
        self.requests.len()
    }

    /// A metric under vLLM's key, as the window shows it; nothing of other metrics, and of a percentile that rests on a request that
    /// failed.
    pub fn metric(&self, key: &str) -> Option<f64> {
        match key {
            "request_throughput" => Some(self.request_throughput),
            "output_throughput" => self.output_throughput,
            _ => metric_of(&self.requests, key),
        }
    }
}

/// Whether single requests tell a metric.
pub fn is_of_requests(key: &str) -> bool {
    let family = key.strip_suffix("_ms").and_then(|key| Some(key.split_once('_')?.1));
    matches!(key, "request_throughput" | "output_throughput")
        || matches!(family, Some("ttft" | "tpot" | "itl" | "e2el"))
            && (percentile_of(key).is_some() || ["mean_", "median_", "std_"].iter().any(|name| key.starts_with(name)))
}

/// A latency's statistic over requests, in milliseconds. A failed request counts as unbounded in percentiles.
pub fn metric_of(requests: &[Request], key: &str) -> Option<f64> {
    let (statistic, family) = key.strip_suffix("_ms")?.split_once('_')?;
    let of = |value: fn(&Request) -> Option<f64>| requests.iter().filter_map(value).collect::<Vec<f64>>();
    let mut values = match family {
        "ttft" => of(|request| request.ttft),
        "tpot" => of(|request| request.tpot),
        "e2el" => of(|request| request.e2el),
        "itl" => requests.iter().flat_map(|request| request.itls.iter().copied()).collect(),
        _ => return None,
    };
    if values.is_empty() {
        return None;
    }
    let percent = match statistic {
        "mean" => return Some(1000.0 * mean(&values)),
        "std" => return Some(1000.0 * population_std(&values)),
        "median" => 50.0,
        _ => percentile_of(key)?.parse().ok()?,
    };
    let failed = requests.iter().filter(|request| request.e2el.is_none()).count();
    if family != "itl" {
        values.extend(std::iter::repeat_n(f64::INFINITY, failed));
    }
    values.sort_by(f64::total_cmp);
    let value = 1000.0 * percentile(&values, percent);
    value.is_finite().then_some(value)
}

/// How long the server takes to fill: as long as the first requests stay in it. `requests`: by their arrival.
fn filling(requests: &[Request]) -> Option<f64> {
    let first = ((requests.len() as f64 * FIRST) as usize).max(FEWEST);
    let mut stays: Vec<f64> = requests.iter().take(first).filter_map(|request| request.e2el).collect();
    stays.sort_by(f64::total_cmp);
    (!stays.is_empty()).then(|| percentile(&stays, 50.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(arrival: f64, e2el: Option<f64>) -> Request {
        let ttft = e2el.map(|e2el| e2el / 4.0);
        Request {
            arrival,
            ttft,
            e2el,
            tpot: e2el.map(|e2el| e2el / 40.0),
            itls: vec![0.01, 0.03],
            output_len: Some(10.0),
        }
    }

    /// One request each tenth of a second for 20 s, each of which takes a second.
    fn even() -> Vec<Request> {
        (0..200).map(|index| request(f64::from(index) * 0.1, Some(1.0))).collect()
    }

    #[test]
    fn ramp_up_and_drain_are_left_out() {
        let mut requests = even();
        // While the server fills it is fast, and again while it empties.
        requests[..9].iter_mut().for_each(|request| request.e2el = Some(0.99));
        requests[191..].iter_mut().for_each(|request| request.e2el = Some(0.2));
        let window = Window::of(&requests, Loop::Open).unwrap();
        assert!((window.seconds - 18.9).abs() < 0.2, "{}", window.seconds);
        assert_eq!(window.metric("p99_e2el_ms"), Some(1000.0));
        assert_eq!(window.metric("mean_ttft_ms"), Some(250.0));
        assert!((window.metric("request_throughput").unwrap() - 10.0).abs() < 0.6);
        assert!((window.metric("output_throughput").unwrap() - 100.0).abs() < 6.0);
        assert_eq!(window.backlog, Standing::Steady);
        assert_eq!(window.metric("completed"), None);
    }

    #[test]
    fn all_at_once_has_no_steady_part() {
        let burst: Vec<Request> = (0..100).map(|_| request(0.0, Some(1.0))).collect();
        assert_eq!(Window::of(&burst, Loop::Closed), None);
        assert_eq!(Window::of(&[], Loop::Open), None);
        assert_eq!(Window::of(&even()[..12], Loop::Open), None);
    }

    #[test]
    fn statistics_are_numpys_and_a_failed_request_is_unbounded() {
        let requests: Vec<Request> = (1..=100).map(|index| request(0.0, Some(f64::from(index) / 1000.0))).collect();
        let of = |key: &str| metric_of(&requests, key);
        assert!(
            (of("p99_e2el_ms").unwrap() - 99.01).abs() < 1e-9 && (of("median_e2el_ms").unwrap() - 50.5).abs() < 1e-9
        );
        assert!(
            (of("mean_itl_ms").unwrap() - 20.0).abs() < 1e-9 && (of("std_e2el_ms").unwrap() - 28.866_07).abs() < 1e-4
        );
        assert_eq!((of("p99_goodput_ms"), of("output_throughput"), of("px_ttft_ms")), (None, None, None));
        let failed: Vec<Request> = requests.into_iter().chain([request(0.0, None), request(0.0, None)]).collect();
        assert_eq!(metric_of(&failed, "p99_e2el_ms"), None);
        assert!(metric_of(&failed, "p95_e2el_ms").is_some());
    }

    #[test]
    fn what_single_requests_tell_is_known_by_its_key() {
        for key in ["p99_e2el_ms", "mean_ttft_ms", "median_itl_ms", "p99.9_tpot_ms", "output_throughput"] {
            assert!(is_of_requests(key), "{key}");
        }
        for key in ["completed", "max_ttft_ms", "p99_client_queue_time_ms", "success_rate"] {
            assert!(!is_of_requests(key), "{key}");
        }
    }
}
