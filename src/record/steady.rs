//! The steady part of a run: without the ramp-up, in which the server fills, and without the drain, in which it empties.

use super::soundness::Lookup;
use super::times::{RequestTimes, request_times};

/// The window in which about as many requests are in flight as in the middle of the run, and what came out of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steady {
    pub duration_s: f64,
    /// Only where each request tells how many tokens it brought.
    pub output_throughput: Option<f64>,
    pub request_throughput: f64,
}

/// The window begins and ends where this share of the usual requests is in flight.
const FILLED: f64 = 0.9;
/// A window of fewer requests is none.
const FEWEST: usize = 20;

/// One request, in seconds.
struct Request {
    start: f64,
    first: f64,
    end: f64,
    tokens: Option<f64>,
}

impl Steady {
    /// Of a result that tells of each request; nothing where there is no steady part.
    pub fn of(get: &Lookup<'_>) -> Option<Self> {
        let requests = requests(get)?;
        let spans: Vec<(f64, f64)> = requests.iter().map(|request| (request.start, request.end)).collect();
        let (from, until) = steady_window(&spans)?;
        let duration_s = until - from;
        let longest = requests.iter().map(|request| request.end - request.start).fold(0.0, f64::max);
        let inside = requests.iter().filter(|request| request.end > from && request.end <= until).count();
        if inside < FEWEST || duration_s < longest {
            return None;
        }
        let tokens: Option<f64> = requests.iter().map(|request| request.tokens_within(from, until)).sum();
        Some(Self {
            duration_s,
            output_throughput: tokens.map(|tokens| tokens / duration_s),
            request_throughput: inside as f64 / duration_s,
        })
    }
}

impl Request {
    /// Its tokens come evenly, from the first to the last.
    fn tokens_within(&self, from: f64, until: f64) -> Option<f64> {
        if self.end <= self.first {
            return self.tokens.map(|tokens| if self.end > from && self.end <= until { tokens } else { 0.0 });
        }
        let inside = (self.end.min(until) - self.first.max(from)).max(0.0);
        self.tokens.map(|tokens| tokens * inside / (self.end - self.first))
    }
}

fn requests(get: &Lookup<'_>) -> Option<Vec<Request>> {
    let request = |times: RequestTimes| {
        let (latency, ttft) = (times.latency?, times.ttft?);
        let is_sound = latency > 0.0 && ttft >= 0.0;
        is_sound.then_some(Request {
            start: times.start,
            first: times.start + ttft,
            end: times.start + latency,
            tokens: times.output_len,
        })
    };
    Some(request_times(get)?.into_iter().filter_map(request).collect())
}

/// From when until when about as many requests are in flight as usual; of each its start and its end.
pub fn steady_window(requests: &[(f64, f64)]) -> Option<(f64, f64)> {
    let mut events: Vec<(f64, i64)> = requests.iter().flat_map(|(start, end)| [(*start, 1), (*end, -1)]).collect();
    // Where one ends and another begins at the same time, nothing was empty.
    events.sort_by(|left, right| left.0.total_cmp(&right.0).then(right.1.cmp(&left.1)));
    let mut in_flight = 0;
    let mut spans: Vec<(f64, f64, i64)> = Vec::with_capacity(events.len());
    for pair in events.windows(2) {
        if let [(from, change), (until, _)] = pair {
            in_flight += change;
            spans.push((*from, *until, in_flight));
        }
    }
    let usual = usual(&spans)?;
    let is_full = |span: &&(f64, f64, i64)| span.2 as f64 >= FILLED * usual && span.1 > span.0;
    Some((spans.iter().find(is_full)?.0, spans.iter().rev().find(is_full)?.1))
}

/// The number of requests in flight that half of the time has.
fn usual(spans: &[(f64, f64, i64)]) -> Option<f64> {
    let mut by_count: Vec<(i64, f64)> = spans.iter().map(|(from, until, count)| (*count, until - from)).collect();
    by_count.sort_by_key(|(count, _)| *count);
    let whole: f64 = by_count.iter().map(|(_, length)| length).sum();
    let mut passed = 0.0;
    let middle = by_count.iter().find(|(_, length)| {
        passed += length;
        passed >= whole / 2.0
    });
    middle.map(|(count, _)| *count as f64).filter(|count| *count > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A server of so many slots, each of which answers one request a second with ten tokens, filled one slot after the other.
    fn result(slots: usize, each: usize, ramp_s: f64) -> Value {
        let starts = (0..slots * each).map(|index| (index % slots) as f64 * ramp_s + (index / slots) as f64);
        let count = slots * each;
        json!({
            "start_times": starts.collect::<Vec<_>>(), "ttfts": vec![0.1; count], "latencies": vec![1.0; count],
            "output_lens": vec![10; count],
        })
    }

    fn steady(result: &Value) -> Option<Steady> {
        Steady::of(&|key: &str| result.get(key))
    }

    #[test]
    fn requests_without_a_count_of_tokens_make_no_rate() {
        let mut result = result(8, 33, 1.0);
        result["output_lens"][7] = Value::Null;
        let found = steady(&result).unwrap();
        assert_eq!(found.output_throughput, None);
        assert!((found.request_throughput - 8.0).abs() < 0.5, "{found:?}");
    }

    #[test]
    fn ramp_up_and_drain_are_left_out() {
        // Eight slots are filled over 7 s of 40: in the middle 8 requests and 80 tokens a second.
        let result = result(8, 33, 1.0);
        let found = steady(&result).unwrap();
        assert!((found.output_throughput.unwrap() - 80.0).abs() < 2.0, "{found:?}");
        assert!((found.request_throughput - 8.0).abs() < 0.5, "{found:?}");
        assert!((found.duration_s - 26.0).abs() < 2.0, "{found:?}");
        // Over the whole it is less: 264 requests in 40 s.
        assert!(264.0 / 40.0 < 0.9 * found.request_throughput);
    }

    #[test]
    fn what_has_no_middle_has_no_steady_part() {
        assert_eq!(steady(&result(8, 1, 0.0)), None);
        assert_eq!(steady(&json!({"completed": 4})), None);
        assert_eq!(steady(&json!({"start_times": [], "ttfts": [], "output_lens": []})), None);
        assert_eq!(
            steady(&json!({"start_times": ["x"], "ttfts": [null], "output_lens": [{}], "latencies": [1e300]})),
            None
        );
    }
}
