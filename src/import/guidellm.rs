//! guidellm: `benchmarks.json`, each of whose benchmarks is a run. Schemas 1 (up to 0.6) and 2.

use super::reading::{Format, Run, at, flatten, load, number_at};
use super::requests::{Request, add_requests};
use chrono::DateTime;
use serde_json::{Map, Value};
use std::path::Path;

pub const FORMAT: Format = Format {
    tool: "guidellm",
    definitions: &[
        ("ttft", "time_to_first_token_ms of successful requests"),
        ("tpot", "inter_token_latency_ms: (last token - first token) / (tokens - 1), per successful request"),
        ("e2el", "request_latency (s) of successful requests"),
        ("output_throughput", "output_tokens_per_second.successful.mean, weighted by time"),
        ("request_throughput", "requests_per_second.successful.mean, weighted by time"),
    ],
    is_it,
    read,
};

/// The newest schema that is known.
const NEWEST: i64 = 2;

/// A latency, vLLM's name for it, and what makes milliseconds of it.
const LATENCIES: [(&str, &str, f64); 3] = [
    ("time_to_first_token_ms", "ttft", 1.0),
    ("inter_token_latency_ms", "tpot", 1.0),
    ("request_latency", "e2el", 1000.0),
];

const MEANS: [(&str, &str); 3] = [
    ("requests_per_second", "request_throughput"),
    ("output_tokens_per_second", "output_throughput"),
    ("tokens_per_second", "total_token_throughput"),
];

const TOTALS: [(&str, &str); 2] =
    [("prompt_token_count", "total_input_tokens"), ("output_token_count", "total_output_tokens")];

fn is_it(document: &Map<String, Value>) -> bool {
    document.get("benchmarks").is_some_and(Value::is_array) && document.contains_key("metadata")
}

fn read(document: &Map<String, Value>, _: &Path) -> Result<Vec<Run>, String> {
    if let Some(version) = at(document, "metadata.version").and_then(Value::as_i64).filter(|version| *version > NEWEST)
    {
        return Err(format!("is of guidellm's schema {version}; known are those up to {NEWEST}"));
    }
    let benchmarks = document["benchmarks"].as_array().into_iter().flatten().filter_map(Value::as_object);
    Ok(benchmarks.map(|benchmark| run(benchmark, document)).collect())
}

fn run(benchmark: &Map<String, Value>, document: &Map<String, Value>) -> Run {
    let mut run = Run { text: Value::Object(benchmark.clone()).to_string(), ..Run::default() };
    for (name, latency, factor) in LATENCIES {
        add_latency(at(benchmark, &format!("metrics.{name}.successful")), latency, factor, &mut run.result);
    }
    for (name, key) in MEANS {
        let mean = number_at(benchmark, &format!("metrics.{name}.successful.mean"));
        run.result.extend(mean.map(|mean| (key.to_owned(), mean.into())));
    }
    for (name, key) in TOTALS {
        let total = number_at(benchmark, &format!("metrics.{name}.successful.total_sum"));
        run.result.extend(total.map(|total| (key.to_owned(), (total as i64).into())));
    }
    let count = |kind: &str| at(benchmark, &format!("metrics.request_totals.{kind}")).cloned().unwrap_or_default();
    // A closed loop has streams; an open one has a rate.
    let strategy = |key: &str| at(benchmark, &format!("config.strategy.{key}")).cloned();
    let streams = strategy("streams");
    let rate = strategy("rate").unwrap_or_else(|| "inf".into());
    let data = data(document);
    let own = [
        ("duration", at(benchmark, "duration").cloned().unwrap_or_default()),
        ("num_prompts", count("total")),
        ("completed", count("successful")),
        ("failed", count("errored")),
        ("model_id", at(benchmark, "config.backend.model").cloned().unwrap_or_default()),
        ("max_concurrency", streams.clone().unwrap_or_default()),
        ("request_rate", rate.clone()),
    ];
    run.result.extend(own.map(|(key, value)| (key.to_owned(), value)));
    run.bench = load([
        ("num_prompts", Some(count("total"))),
        ("max_concurrency", streams),
        ("request_rate", Some(rate)),
        ("random_input_len", data("prompt_tokens")),
        ("random_output_len", data("output_tokens")),
    ]);
    run.version = at(document, "metadata.guidellm_version").and_then(Value::as_str).map(str::to_owned);
    let start = number_at(benchmark, "start_time").or_else(|| number_at(benchmark, "scheduler_metrics.start_time"));
    run.started_at = start.and_then(|seconds| DateTime::from_timestamp_micros((seconds * 1e6) as i64));
    run.extra = extra(benchmark, document);
    let requests = requests(benchmark);
    // Only all of them are a distribution: with a sample size the file keeps a few.
    if count("total").as_u64() == Some(requests.len() as u64) {
        add_requests(&requests, &mut run.result);
    }
    run
}

fn add_latency(distribution: Option<&Value>, latency: &str, factor: f64, into: &mut Map<String, Value>) {
    let Some(distribution) = distribution.and_then(Value::as_object) else { return };
    let statistics = [("mean", "mean"), ("median", "median"), ("std_dev", "std"), ("min", "min"), ("max", "max")];
    for (name, statistic) in statistics {
        if let Some(value) = distribution.get(name).and_then(Value::as_f64) {
            into.insert(format!("{statistic}_{latency}_ms"), (value * factor).into());
        }
    }
    for (name, value) in distribution.get("percentiles").and_then(Value::as_object).into_iter().flatten() {
        if let (Some(percentile), Some(value)) = (percentile(name), value.as_f64()) {
            into.insert(format!("p{percentile}_{latency}_ms"), (value * factor).into());
        }
    }
}

/// `p99` is the 99th percentile, `p01` the first, `p999` the 99.9th and `p001` the 0.1th.
fn percentile(name: &str) -> Option<f64> {
    let digits = name.strip_prefix('p')?;
    let number: f64 = digits.parse().ok()?;
    Some(number / 10_f64.powi(digits.len() as i32 - 2))
}

/// The setting of synthetic data: an object in schema 2, a text of `key=value` pairs in schema 1.
fn data(document: &Map<String, Value>) -> impl Fn(&str) -> Option<Value> + '_ {
    let of_objects = |key: &str| at(document, &format!("config.spec.data.0.{key}")).cloned();
    let of_text = |key: &str| {
        let text = at(document, "args.data.0")?.as_str()?;
        let pair = text.split(',').filter_map(|pair| pair.split_once('=')).find(|(name, _)| name.trim() == key)?;
        pair.1.trim().parse::<i64>().ok().map(Value::from)
    };
    move |key| of_objects(key).filter(|value| !value.is_null()).or_else(|| of_text(key))
}

/// What the file says besides: its configuration, and the metrics that vLLM has no names for. Densities are left out: they
/// are drawn from the requests.
fn extra(benchmark: &Map<String, Value>, document: &Map<String, Value>) -> Vec<(String, String)> {
    let mut extra = Vec::new();
    for (key, value) in document.iter().filter(|(key, _)| *key != "benchmarks") {
        flatten(value, key, &mut extra);
    }
    for (key, value) in benchmark.iter().filter(|(key, _)| *key != "requests") {
        flatten(value, key, &mut extra);
    }
    extra.retain(|(path, _)| !path.ends_with(".pdf"));
    extra
}

fn requests(benchmark: &Map<String, Value>) -> Vec<Request> {
    let of = |kind: &str| at(benchmark, &format!("requests.{kind}")).and_then(Value::as_array).into_iter().flatten();
    let all = of("successful").chain(of("errored")).chain(of("incomplete"));
    all.filter_map(Value::as_object).map(request).collect()
}

fn request(request: &Map<String, Value>) -> Request {
    let status = at(request, "info.status").and_then(Value::as_str).unwrap_or_default();
    let error = at(request, "info.error").and_then(Value::as_str).unwrap_or(status);
    let milliseconds = |key: &str| number_at(request, key).map(|milliseconds| milliseconds / 1000.0);
    Request {
        start_s: number_at(request, "info.timings.request_start"),
        input_len: at(request, "prompt_tokens").and_then(Value::as_i64),
        output_len: at(request, "output_tokens").and_then(Value::as_i64),
        ttft_s: milliseconds("time_to_first_token_ms"),
        latency_s: number_at(request, "request_latency"),
        gaps_s: None,
        error: if status == "completed" { String::new() } else { error.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn digits_are_percents_and_what_follows_them() {
        let cases = [("p99", 99.0), ("p50", 50.0), ("p01", 1.0), ("p999", 99.9), ("p001", 0.1), ("p05", 5.0)];
        for (name, expected) in cases {
            assert_eq!(percentile(name), Some(expected));
        }
        assert_eq!(percentile("mean"), None);
    }
}
