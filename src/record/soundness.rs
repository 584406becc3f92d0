//! Whether a result can be what it says: how many requests succeeded, whether the load was the one that was asked for, and numbers
//! that no benchmark can measure.

use crate::stats::{percentile, percentile_bounds, values_for_bound};
use serde_json::Value;

/// How the requests of a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Success {
    pub completed: u64,
    pub failed: u64,
}

/// How sure each bound of a percentile is.
pub const BOUND_CONFIDENCE: f64 = 0.99;

/// Percentiles of which so many requests are too few to say how high they may be, as `p99 (662 requests would do)`.
pub fn without_bound<'a>(percentiles: impl Iterator<Item = &'a str>, requests: u64) -> Vec<String> {
    let mut all: Vec<&str> = percentiles.collect();
    all.sort_unstable();
    all.dedup();
    let needed = all.into_iter().filter_map(|percentile| {
        let needed = values_for_bound(percentile.parse().ok()?, BOUND_CONFIDENCE);
        (requests < needed as u64).then(|| format!("p{percentile} (needs {needed} requests)"))
    });
    needed.collect()
}

/// Looks up what a result says.
pub type Lookup<'a> = dyn Fn(&str) -> Option<&'a Value> + 'a;

/// An achieved rate below this share of the one that was asked for is another load.
const SUSTAINED: f64 = 0.9;
/// The same, where the achieved rate is only known from the whole duration, the wait for the last answers included.
const SUSTAINED_BY_DURATION: f64 = 0.5;

impl Success {
    pub fn rate(self) -> f64 {
        self.completed as f64 / (self.completed + self.failed) as f64
    }

    /// Whether a percentile of all requests is one of a failed request: with linear interpolation it rests on the value above it.
    pub fn reaches(self, percent: f64) -> bool {
        let all = self.completed + self.failed;
        (percent / 100.0 * (all.saturating_sub(1)) as f64).ceil() as u64 >= self.completed
    }
}

/// How many requests succeeded and failed, as the result says: by its own count of failures, by their messages, or by what is
/// missing of all.
pub fn success(get: &Lookup<'_>) -> Option<Success> {
    let count = |key: &str| get(key).and_then(whole);
    let completed = count("completed")?;
    let told = || {
        get("errors")
            .and_then(Value::as_array)
            .map(|errors| errors.iter().filter(|error| is_error(error)).count() as u64)
    };
    let missing = || count("num_prompts").and_then(|all| all.checked_sub(completed));
    let failed = count("failed").or_else(told).or_else(missing)?;
    (completed + failed > 0).then_some(Success { completed, failed })
}

/// A number is a count of its own up to here; nobody sends more requests.
const LARGEST_COUNT: f64 = 9_007_199_254_740_992.0;

fn whole(value: &Value) -> Option<u64> {
    let is_count = |number: &f64| (0.0..=LARGEST_COUNT).contains(number) && number.fract() == 0.0;
    value.as_f64().filter(is_count).map(|number| number as u64)
}

fn is_error(error: &Value) -> bool {
    error.as_str().is_some_and(|text| !text.is_empty())
}

/// The latencies of the requests that succeeded, and how many failed.
#[derive(Clone, Debug)]
pub struct Percentiles {
    sorted_ms: Vec<f64>,
    failed: usize,
}

impl Percentiles {
    /// Of `ttft`, `tpot` or `e2el`, where the result tells them of each request.
    pub fn of(latency: &str, get: &Lookup<'_>) -> Option<Self> {
        let list = |key: &str| get(key).and_then(Value::as_array);
        let at = |values: Option<&Vec<Value>>, index: usize| {
            values.and_then(|values| values.get(index)).and_then(Value::as_f64)
        };
        let (errors, latencies, ttfts) = (list("errors"), list("latencies"), list("ttfts"));
        let values = if latency == "ttft" { ttfts? } else { latencies? };
        let success = success(get)?;
        let value = |index: usize| match latency {
            "tpot" => {
                let tokens = at(list("output_lens"), index).filter(|tokens| *tokens > 1.0)?;
                Some((at(latencies, index)? - at(ttfts, index)?) / (tokens - 1.0))
            }
            _ => at(Some(values), index),
        };
        // Without messages the failed ones are those that took no time.
        let is_failed = |index: usize| match errors {
            Some(errors) => errors.get(index).is_some_and(is_error),
            None => at(Some(values), index).is_none_or(|seconds| seconds <= 0.0),
        };
        let failed = (0..values.len()).filter(|index| is_failed(*index)).count();
        if failed as u64 != success.failed {
            return None;
        }
        let succeeded = (0..values.len()).filter(|index| !is_failed(*index)).filter_map(value);
        let mut sorted_ms: Vec<f64> = succeeded.map(|seconds| seconds * 1000.0).collect();
        sorted_ms.sort_by(f64::total_cmp);
        (!sorted_ms.is_empty()).then_some(Self { sorted_ms, failed })
    }

    /// Bounds of a percentile of the requests that succeeded.
    pub fn bounds(&self, percent: f64) -> (Option<f64>, Option<f64>) {
        percentile_bounds(&self.sorted_ms, percent, BOUND_CONFIDENCE)
    }

    /// The percentile of all requests, a failed one unbounded; nothing where that makes it unbounded.
    pub fn at(&self, percent: f64) -> Option<f64> {
        let mut all = self.sorted_ms.clone();
        all.resize(all.len() + self.failed, f64::INFINITY);
        let value = percentile(&all, percent);
        value.is_finite().then_some(value)
    }
}

/// Requests that were sent in a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Achieved {
    pub rate: f64,
    /// The share of the asked rate below which it is another load.
    sustained: f64,
}

/// What the benchmark tells, or from the start times where they are told, else all requests over the duration.
pub fn achieved_rate(get: &Lookup<'_>) -> Option<Achieved> {
    if let Some(rate) = get("achieved_request_rate").and_then(Value::as_f64) {
        return Some(Achieved { rate, sustained: SUSTAINED });
    }
    let starts = get("start_times").and_then(Value::as_array);
    let starts: Vec<f64> = starts.into_iter().flatten().filter_map(Value::as_f64).collect();
    by_starts(&starts).or_else(|| by_duration(get))
}

fn by_starts(starts: &[f64]) -> Option<Achieved> {
    let (first, last) = starts
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(first, last), time| (first.min(*time), last.max(*time)));
    let intervals = starts.len().checked_sub(1).filter(|intervals| *intervals > 0 && last > first)?;
    Some(Achieved { rate: intervals as f64 / (last - first), sustained: SUSTAINED })
}

fn by_duration(get: &Lookup<'_>) -> Option<Achieved> {
    let success = success(get)?;
    let duration = get("duration").and_then(Value::as_f64).filter(|duration| *duration > 0.0)?;
    Some(Achieved { rate: (success.completed + success.failed) as f64 / duration, sustained: SUSTAINED_BY_DURATION })
}

/// Why the benchmark ended the run before its end, where it did.
pub fn stopped_early<'a>(get: &Lookup<'a>) -> Option<&'a str> {
    get("stopped_early")?.as_str()
}

/// Whether the load was another one than was asked for, in words.
pub fn shortfall(get: &Lookup<'_>) -> Option<String> {
    let asked = get("request_rate").and_then(Value::as_f64).filter(|rate| rate.is_finite() && *rate > 0.0)?;
    let achieved = achieved_rate(get).filter(|achieved| achieved.rate < achieved.sustained * asked)?;
    Some(too_few_sent(achieved.rate, asked))
}

/// Whether the client itself sent its requests late, in words: at a rate, one that is late is answered late.
pub fn lateness(get: &Lookup<'_>) -> Option<String> {
    let number = |key: &str| get(key).and_then(Value::as_f64);
    number("request_rate").filter(|rate| rate.is_finite())?;
    let (lag, ttft) = (number("p99_send_lag_ms")?, number("median_ttft_ms").or_else(|| number("mean_ttft_ms"))?);
    (lag > LATE_MS && lag > LATE_SHARE * ttft)
        .then(|| format!("the client was the bottleneck: it sent 1 % of the requests {lag:.0} ms or more too late"))
}

/// A client may be as late as this, and as this share of the time to the first token.
const LATE_MS: f64 = 20.0;
const LATE_SHARE: f64 = 0.1;

/// That a load was another one than was asked for.
pub fn too_few_sent(achieved: f64, asked: f64) -> String {
    format!("only {achieved:.3} of the requested {asked} requests per second were sent")
}

/// Numbers that no benchmark can measure: each broken rule in words.
pub fn absurdities(get: impl Fn(&str) -> Option<f64>) -> Vec<String> {
    let mut broken = Vec::new();
    let counts = ["completed", "failed", "total_input_tokens", "total_output_tokens"];
    let rates = [
        "request_throughput",
        "output_throughput",
        "total_token_throughput",
        "request_goodput",
        "max_output_tokens_per_s",
    ];
    for name in counts.into_iter().chain(rates).chain(["duration"]) {
        broken.extend(get(name).filter(|value| *value < 0.0).map(|value| format!("{name} is {value}, below 0")));
    }
    if let (Some(failed), Some(all)) = (get("failed"), get("num_prompts"))
        && failed > all
    {
        broken.push(format!("failed is {failed}, more than num_prompts, {all}"));
    }
    for latency in ["ttft", "tpot", "itl", "e2el"] {
        let of = |statistic: &str| get(&format!("{statistic}_{latency}_ms"));
        let statistics =
            ["min", "mean", "median", "max", "std"].into_iter().filter_map(|name| Some((name.to_owned(), of(name)?)));
        let percentiles: Vec<(f64, f64)> =
            PERCENTS.into_iter().filter_map(|percent| Some((percent, percentile_of(percent, &of)?))).collect();
        let all = statistics.chain(percentiles.iter().map(|(percent, value)| (format!("p{percent}"), *value)));
        broken.extend(
            all.filter(|(_, value)| *value < 0.0)
                .map(|(name, value)| format!("{name}_{latency}_ms is {value}, below 0")),
        );
        let mut order: Vec<(String, f64)> = of("min").map(|value| ("min".to_owned(), value)).into_iter().collect();
        order.extend(percentiles.iter().map(|(percent, value)| (format!("p{percent}"), *value)));
        order.extend(of("max").map(|value| ("max".to_owned(), value)));
        // A rounded maximum may lie a hair below the percentile that it is.
        let mut pairs = order.iter().zip(order.iter().skip(1));
        let falls = pairs.find(|(lower, upper)| upper.1 < lower.1 * (1.0 - 1e-6));
        broken
            .extend(falls.map(|(lower, upper)| format!("{}_{latency}_ms is below {}_{latency}_ms", upper.0, lower.0)));
    }
    broken
}

/// A percentile; the median is one under its own name.
fn percentile_of(percent: f64, of: &impl Fn(&str) -> Option<f64>) -> Option<f64> {
    of(&format!("p{percent}")).or_else(|| of("median").filter(|_| percent == 50.0))
}

/// The percentiles that tools report.
const PERCENTS: [f64; 12] = [0.1, 1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of<T>(result: Value, what: impl Fn(&Lookup<'_>) -> T) -> T {
        what(&|key: &str| result.get(key))
    }

    #[test]
    fn failures_are_counted_from_what_is_told() {
        let of = |value: Value| of(value, |get| success(get)).map(|success| (success.completed, success.failed));
        assert_eq!(of(json!({"completed": 4, "failed": 36})), Some((4, 36)));
        assert_eq!(of(json!({"completed": 1, "errors": ["", "x", "y"]})), Some((1, 2)));
        assert_eq!(of(json!({"completed": 3, "num_prompts": 5})), Some((3, 2)));
        assert_eq!(of(json!({"completed": 3})), None);
        assert_eq!(of(json!({"completed": 0, "failed": 0})), None);
        assert_eq!(of(json!({"completed": -3, "num_prompts": 5})), None);
        // What is no count is none.
        assert_eq!(of(json!({"completed": 3.6e50, "failed": 1})), None);
        assert_eq!(of(json!({"completed": u64::MAX, "failed": u64::MAX})), None);
        assert_eq!(of(json!({"completed": 4, "num_prompts": 1e30})), None);
    }

    #[test]
    fn a_percentile_is_reached_by_failures_when_it_rests_on_one() {
        let success = Success { completed: 95, failed: 5 };
        assert_eq!(
            [50.0, 90.0, 94.0, 95.0, 99.0].map(|percent| success.reaches(percent)),
            [false, false, false, true, true]
        );
        assert!(!Success { completed: 100, failed: 0 }.reaches(99.0));
    }

    #[test]
    fn a_rate_that_was_not_reached_is_told() {
        let starts: Vec<f64> = (0..11).map(|index| f64::from(index) * 0.5).collect();
        let told = |result: Value| of(result, |get| shortfall(get));
        let result =
            json!({"request_rate": 10.0, "start_times": starts, "completed": 11, "failed": 0, "duration": 5.0});
        assert_eq!(told(result).as_deref(), Some("only 2.000 of the requested 10 requests per second were sent"));
        assert_eq!(told(json!({"request_rate": 2.0, "start_times": starts})), None);
        // By the duration, the wait for the last answers counts too: only a large shortfall is told.
        let by_duration =
            |duration: f64| json!({"request_rate": 10.0, "completed": 100, "failed": 0, "duration": duration});
        assert_eq!(told(by_duration(15.0)), None);
        assert!(told(by_duration(25.0)).is_some());
        assert_eq!(told(json!({"request_rate": "inf", "completed": 1, "failed": 0, "duration": 9.0})), None);
    }

    #[test]
    fn a_client_that_is_late_is_told() {
        let told = |result: Value| of(result, |get| lateness(get));
        let late =
            |lag: f64, rate: Value| json!({"p99_send_lag_ms": lag, "request_rate": rate, "median_ttft_ms": 50.0});
        assert!(told(late(80.0, json!(4.0))).unwrap().contains("80 ms or more too late"));
        assert_eq!(told(late(4.0, json!(4.0))), None);
        assert_eq!(told(late(80.0, json!("inf"))), None);
        assert_eq!(told(json!({"request_rate": 4.0, "median_ttft_ms": 50.0})), None);
    }

    #[test]
    fn absurd_numbers_are_named_by_the_rule_that_they_break() {
        let of = |value: Value| absurdities(|name| value.get(name).and_then(Value::as_f64));
        assert_eq!(of(json!({"completed": -1})), ["completed is -1, below 0"]);
        assert_eq!(of(json!({"duration": -0.5})), ["duration is -0.5, below 0"]);
        assert_eq!(of(json!({"failed": 7, "num_prompts": 5})), ["failed is 7, more than num_prompts, 5"]);
        assert_eq!(of(json!({"p50_ttft_ms": 9.0, "p99_ttft_ms": 3.0})), ["p99_ttft_ms is below p50_ttft_ms"]);
        assert_eq!(of(json!({"p99_itl_ms": 9.0, "max_itl_ms": 3.0})), ["max_itl_ms is below p99_itl_ms"]);
        assert_eq!(of(json!({"mean_e2el_ms": -3.0})), ["mean_e2el_ms is -3, below 0"]);
        assert_eq!(of(json!({"p50_ttft_ms": 3.0, "p99_ttft_ms": 3.0, "completed": 0, "duration": 1})).len(), 0);
    }
}
