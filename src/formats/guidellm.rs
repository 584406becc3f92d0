//! guidellm: `benchmarks.json`, each of whose benchmarks is a run.

use super::document::{at, flatten, instant, known_at, list_at, number_at, rounded, text_at};
use super::requests::{Request, add_requests, in_order};
use super::sign::Shape::{List, Number, Object, Text};
use super::sign::Sign::{Any, Has};
use super::{Format, Run, known};
use crate::params::value_text;
use serde_json::{Map, Value};
use std::path::Path;

const TOOL: &str = "guidellm";

const DEFINITIONS: &[(&str, &str)] = &[
    (
        "ttft",
        "time_to_first_token_ms of successful requests; percentiles and median are values of the sample (nearest rank)",
    ),
    (
        "tpot",
        "inter_token_latency_ms: (last token - first token) / (tokens - 1) of successful requests; from 0.4 on weighted by tokens",
    ),
    ("e2el", "request_latency (s) of successful requests"),
    ("completed", "requests that overlap the measured window"),
    ("output_throughput", "output_tokens_per_second.successful.mean, of the measured window"),
    ("request_throughput", "requests_per_second.successful.mean: requests that ended in the measured window"),
    ("mean_concurrent_requests", "request_concurrency.successful.mean"),
];

/// From 0.4 on.
pub const FORMAT: Format = Format {
    tool: TOOL,
    name: "guidellm",
    needs: &[Has("benchmarks", List), Any(&[("benchmarks.0.config.strategy", Object), ("metadata.version", Number)])],
    tells: &[Has("benchmarks.0.scheduler_metrics", Object), Any(&[("args", Object), ("config", Object)])],
    definitions: DEFINITIONS,
    read,
};

/// Up to 0.3.
pub const FORMAT_0_3: Format = Format {
    tool: TOOL,
    name: "guidellm up to 0.3",
    needs: &[
        Has("benchmarks.0.args.strategy", Object),
        Has("benchmarks.0.metrics", Object),
        Has("benchmarks.0.run_stats", Object),
    ],
    tells: &[Has("benchmarks.0.type_", Text), Has("benchmarks.0.worker", Object)],
    definitions: DEFINITIONS,
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

const MEANS: [(&str, &str); 4] = [
    ("requests_per_second", "request_throughput"),
    ("output_tokens_per_second", "output_throughput"),
    ("tokens_per_second", "total_token_throughput"),
    ("request_concurrency", "mean_concurrent_requests"),
];

const TOTALS: [(&str, &str); 2] =
    [("prompt_token_count", "total_input_tokens"), ("output_token_count", "total_output_tokens")];

fn read(document: &Map<String, Value>, _: &Path) -> Result<Vec<Run>, String> {
    if let Some(version) = at(document, "metadata.version").and_then(Value::as_i64).filter(|version| *version > NEWEST)
    {
        return Err(format!("uses guidellm schema {version}, but only schemas up to {NEWEST} are supported"));
    }
    Ok(list_at(document, "benchmarks").filter_map(Value::as_object).map(|benchmark| run(benchmark, document)).collect())
}

fn run(benchmark: &Map<String, Value>, document: &Map<String, Value>) -> Run {
    let mut run = Run::of(benchmark);
    for (name, latency, factor) in LATENCIES {
        add_latency(at(benchmark, &format!("metrics.{name}.successful")), latency, factor, &mut run.result);
    }
    for (name, key) in MEANS {
        run.put(key, number_at(benchmark, &format!("metrics.{name}.successful.mean")));
    }
    for (name, key) in TOTALS {
        run.put(key, number_at(benchmark, &format!("metrics.{name}.successful.total_sum")).map(rounded));
    }
    let count = |kind: &str| {
        let of_metrics = known_at(benchmark, &format!("metrics.request_totals.{kind}"));
        of_metrics.or_else(|| known_at(benchmark, &format!("request_totals.{kind}"))).cloned()
    };
    run.put("completed", count("successful"));
    run.put("failed", count("errored"));
    run.put("duration", known_at(benchmark, "duration").cloned());
    let model = ["config.backend.model", "worker.backend_model"].iter().find_map(|path| known_at(benchmark, path));
    let of_arguments = || known_at(document, "args.model");
    let model = model.or_else(of_arguments).cloned();
    run.put("model_id", model.clone());
    run.serve = known([("model", model)]);
    add_load(benchmark, document, &mut run);
    add_data(benchmark, document, &mut run);
    run.version = text_at(document, "metadata.guidellm_version").map(str::to_owned);
    let start = number_at(benchmark, "start_time").or_else(|| number_at(benchmark, "scheduler_metrics.start_time"));
    run.started_at = start.and_then(instant);
    run.extra = extra(benchmark, document);
    let warnings = list_at(benchmark, "warnings").filter_map(|warning| warning.get("message")?.as_str());
    run.cautions.extend(warnings.map(|warning| format!("guidellm: {}", warning.trim_end_matches('.'))));
    let requests = requests(benchmark);
    // Only all of them are a distribution: with a sample size the file keeps a few.
    let ended = ["successful", "errored"].into_iter().filter_map(|kind| count(kind)?.as_u64());
    let all: u64 = ended.sum();
    match requests.len() as u64 {
        0 => {}
        found if found == all => add_requests(&requests, &mut run.result),
        found => run
            .notes
            .push(format!("the file contains only {found} of {all} measured requests: per-request data is left out")),
    }
    run
}

/// A closed loop has streams, an open one a rate, and a sweep rates that it measured itself: not what was asked for.
fn add_load(benchmark: &Map<String, Value>, document: &Map<String, Value>, run: &mut Run) {
    let of = |paths: [&str; 2]| paths.iter().find_map(|path| known_at(benchmark, path)).cloned();
    let strategy = |key: &str| of([&format!("config.strategy.{key}"), &format!("args.strategy.{key}")]);
    let kind = strategy("type_");
    let kind = kind.as_ref().and_then(Value::as_str).unwrap_or_default();
    let profile = of(["config.profile.type_", "args.profile.type_"]);
    let of_command =
        || known_at(document, "args.profile").or_else(|| known_at(document, "config.spec.profile.kind")).cloned();
    let is_sweep = profile.or_else(of_command).is_some_and(|profile| profile == "sweep");
    let rate = strategy("rate");
    if is_sweep {
        let step = of(["config.run_index", "args.strategy_index"]);
        let steps = of(["config.profile.sweep_size", "args.profile.sweep_size"]);
        run.bench = known([("profile", Some("sweep".into())), ("sweep_size", steps), ("strategy", Some(kind.into()))]);
        // Steps of one kind are told apart by their place.
        run.bench.params.extend(known([("sweep_step", step.or_else(|| place_of(benchmark, document)))]).params);
        run.put("request_rate", rate);
    } else {
        let rate = rate.or_else(|| Some("inf".into()));
        run.bench = known([("request_rate", rate), ("strategy", ["poisson"].contains(&kind).then(|| kind.into()))]);
    }
    let streams = if kind == "synchronous" { Some(1.into()) } else { strategy("streams") };
    let number = of(["config.constraints.max_requests.max_num", "args.max_number"])
        .or_else(|| constraint(benchmark, "max_requests", "count"));
    let seconds = of(["config.constraints.max_seconds.max_duration", "args.max_duration"])
        .or_else(|| ["max_duration", "max_seconds"].iter().find_map(|name| constraint(benchmark, name, "seconds")));
    let bounds = known([("max_concurrency", streams), ("num_prompts", number), ("max_seconds", seconds)]);
    run.bench.params.extend(bounds.params);
}

fn place_of(benchmark: &Map<String, Value>, document: &Map<String, Value>) -> Option<Value> {
    list_at(document, "benchmarks").position(|other| other.as_object() == Some(benchmark)).map(Value::from)
}

/// A bound of schema 2: a number, or a list with one for each benchmark.
fn constraint(benchmark: &Map<String, Value>, name: &str, key: &str) -> Option<Value> {
    let path = format!("config.constraints.{name}");
    match known_at(benchmark, &format!("{path}.args.{key}"))? {
        Value::Array(each) => {
            let index = at(benchmark, &format!("{path}.current_index")).and_then(Value::as_u64).unwrap_or_default();
            each.get(index as usize).or(each.last()).cloned()
        }
        one => Some(one.clone()),
    }
}

/// What was sent: lengths of synthetic data, else where it came from. An object in schema 2, JSON or pairs as a text before.
fn add_data(benchmark: &Map<String, Value>, document: &Map<String, Value>, run: &mut Run) {
    let spec = known_at(document, "config.spec.data.0").or_else(|| known_at(document, "args.data.0"));
    let Some(spec) = spec.or_else(|| known_at(benchmark, "request_loader.data")) else { return };
    let parsed = match spec {
        Value::Object(fields) => fields.clone(),
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| pairs(text)),
        _ => Map::new(),
    };
    let of = |key: &str| parsed.get(key).cloned();
    let is_synthetic = parsed.contains_key("prompt_tokens") || parsed.contains_key("output_tokens");
    let source = || {
        let path = ["path", "source", "dataset", "name"].iter().find_map(|key| parsed.get(*key)?.as_str());
        path.map_or_else(|| value_text(spec), str::to_owned)
    };
    let data = known([
        ("random_input_len", of("prompt_tokens")),
        ("random_input_len_stddev", of("prompt_tokens_stdev")),
        ("random_output_len", of("output_tokens")),
        ("random_output_len_stddev", of("output_tokens_stdev")),
        ("dataset", (!is_synthetic).then(|| source().into())),
    ]);
    run.bench.params.extend(data.params);
}

/// `prompt_tokens=32,output_tokens=16`
fn pairs(text: &str) -> Map<String, Value> {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs.filter_map(|(key, value)| Some((key.trim().to_owned(), value.trim().parse::<i64>().ok()?.into()))).collect()
}

fn add_latency(distribution: Option<&Value>, latency: &str, factor: f64, into: &mut Map<String, Value>) {
    let Some(distribution) = distribution.and_then(Value::as_object) else { return };
    let is_empty = distribution.get("count").and_then(Value::as_f64) == Some(0.0);
    if is_empty {
        return;
    }
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

/// The requests that were measured: with warm-up and cool-down windows those that overlap what is between. Those that the end of
/// the run cut off are in none of its numbers.
fn requests(benchmark: &Map<String, Value>) -> Vec<Request> {
    let window = number_at(benchmark, "scheduler_metrics.measure_start_time")
        .zip(number_at(benchmark, "scheduler_metrics.measure_end_time"));
    let is_measured = |row: &&Map<String, Value>| {
        let times = number_at(row, "info.timings.request_start").zip(number_at(row, "info.timings.request_end"));
        window.zip(times).is_none_or(|((from, to), (start, end))| end >= from && start <= to)
    };
    let of = |kind: &str| list_at(benchmark, &format!("requests.{kind}")).filter_map(Value::as_object);
    let rows = of("successful").chain(of("errored")).filter(is_measured);
    in_order(rows.map(request))
}

fn request(request: &Map<String, Value>) -> Request {
    let status = text_at(request, "info.status").unwrap_or_default();
    let error = text_at(request, "info.error").or_else(|| text_at(request, "error")).unwrap_or(status);
    let milliseconds = |key: &str| number_at(request, key).map(|milliseconds| milliseconds / 1000.0);
    let start = number_at(request, "info.timings.request_start").or_else(|| number_at(request, "start_time"));
    Request {
        start_s: start,
        input_len: at(request, "prompt_tokens").and_then(Value::as_i64),
        output_len: at(request, "output_tokens").and_then(Value::as_i64),
        ttft_s: milliseconds("time_to_first_token_ms"),
        latency_s: number_at(request, "request_latency"),
        tpot_s: milliseconds("inter_token_latency_ms"),
        gaps_s: None,
        error: if status == "completed" { String::new() } else { error.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn digits_are_percents_and_what_follows_them() {
        let cases = [("p99", 99.0), ("p50", 50.0), ("p01", 1.0), ("p999", 99.9), ("p001", 0.1), ("p05", 5.0)];
        for (name, expected) in cases {
            assert_eq!(percentile(name), Some(expected));
        }
        assert_eq!(percentile("mean"), None);
    }

    #[test]
    fn data_is_told_in_three_ways() {
        for spec in [json!("prompt_tokens=32, output_tokens=16"), json!(r#"{"prompt_tokens":32,"output_tokens":16}"#)] {
            let document = json!({"args": {"data": [spec]}});
            let mut run = Run::default();
            add_data(&Map::new(), document.as_object().unwrap(), &mut run);
            assert_eq!(Value::Object(run.bench.params), json!({"random_input_len": 32, "random_output_len": 16}));
        }
        let document = json!({"config": {"spec": {"data": [{"kind": "file", "path": "sharegpt.json"}]}}});
        let mut run = Run::default();
        add_data(&Map::new(), document.as_object().unwrap(), &mut run);
        assert_eq!(Value::Object(run.bench.params), json!({"dataset": "sharegpt.json"}));
    }
}
