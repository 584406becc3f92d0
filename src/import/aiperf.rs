//! AIPerf: `profile_export_aiperf.json` for a run, `profile_export.jsonl` beside it for its requests.

use super::distribution::add_latency;
use super::reading::{Format, Run, at, flatten, load, number_at};
use super::requests::{Request, add_requests};
use crate::record::{local_time, parse_results};
use serde_json::{Map, Value};
use std::path::Path;

pub const FORMAT: Format = Format {
    tool: "aiperf",
    definitions: &[
        ("ttft", "time_to_first_token"),
        ("tpot", "inter_token_latency: (request_latency - time_to_first_token) / (output tokens - 1), per request"),
        ("itl", "inter_chunk_latency: gaps between chunks, of all requests together"),
        ("e2el", "request_latency"),
        ("request_goodput", "goodput"),
    ],
    is_it,
    read,
};

/// The file of single requests.
pub const REQUESTS: &str = "profile_export.jsonl";

const LATENCIES: [(&str, &str); 4] = [
    ("time_to_first_token", "ttft"),
    ("inter_token_latency", "tpot"),
    ("inter_chunk_latency", "itl"),
    ("request_latency", "e2el"),
];

/// Single numbers: their tag, and vLLM's key.
const NUMBERS: [(&str, &str); 10] = [
    ("request_throughput", "request_throughput"),
    ("goodput", "request_goodput"),
    ("output_token_throughput", "output_throughput"),
    ("total_token_throughput", "total_token_throughput"),
    ("benchmark_duration", "duration"),
    ("request_count", "completed"),
    ("error_request_count", "failed"),
    ("total_isl", "total_input_tokens"),
    ("total_osl", "total_output_tokens"),
    ("total_output_tokens", "total_output_tokens"),
];

const COUNTS: [&str; 4] = ["completed", "failed", "total_input_tokens", "total_output_tokens"];

fn is_it(document: &Map<String, Value>) -> bool {
    document.contains_key("aiperf_version") && !document.contains_key("metadata")
}

fn read(document: &Map<String, Value>, path: &Path) -> Result<Vec<Run>, String> {
    let mut run = Run { text: Value::Object(document.clone()).to_string(), ..Run::default() };
    for (tag, latency) in LATENCIES {
        add_latency(document.get(tag), latency, &mut run.result)?;
    }
    for (tag, key) in NUMBERS {
        let Some(number) = number_at(document, &format!("{tag}.avg")) else { continue };
        let unit = at(document, &format!("{tag}.unit")).and_then(Value::as_str).unwrap_or_default();
        let number = if unit == "ms" { number / 1000.0 } else { number };
        let value = if COUNTS.contains(&key) { Value::from(number as i64) } else { number.into() };
        run.result.insert(key.into(), value);
    }
    // Without errors AIPerf leaves their number out.
    run.result.entry("failed").or_insert_with(|| 0.into());
    let count = |key: &str| run.result.get(key).and_then(Value::as_i64).unwrap_or(0);
    let num_prompts = count("completed") + count("failed");
    run.result.insert("num_prompts".into(), num_prompts.into());
    let config = |path: &str| at(document, &format!("input_config.{path}")).cloned();
    // The configuration's shape is that of the command line up to 0.3, and of a configuration file since.
    let setting = |paths: [&str; 2]| paths.iter().find_map(|path| config(path));
    let concurrency = setting(["phases.0.concurrency", "loadgen.concurrency"]);
    let rate = setting(["phases.0.rate", "loadgen.request_rate"])
        .or(setting(["phases.0.request_rate", "loadgen.request_rate"]))
        .unwrap_or_else(|| "inf".into());
    let input_len = setting(["datasets.0.prompts.isl.mean", "input.prompt.input_tokens.mean"]);
    let output_len = setting(["datasets.0.prompts.osl.mean", "input.prompt.output_tokens.mean"]);
    run.result
        .insert("model_id".into(), setting(["models.items.0.name", "endpoint.model_names.0"]).unwrap_or_default());
    run.result.insert("max_concurrency".into(), concurrency.clone().unwrap_or_default());
    run.result.insert("request_rate".into(), rate.clone());
    run.bench = load([
        ("num_prompts", Some(num_prompts.into())),
        ("max_concurrency", concurrency),
        ("request_rate", Some(rate)),
        ("random_input_len", input_len),
        ("random_output_len", output_len),
    ]);
    run.version = document.get("aiperf_version").and_then(Value::as_str).map(str::to_owned);
    run.started_at = document.get("start_time").and_then(Value::as_str).and_then(local_time);
    let is_mapped = |key: &str| LATENCIES.iter().chain(&NUMBERS).any(|(tag, _)| *tag == key);
    for (key, value) in document.iter().filter(|(key, _)| !is_mapped(key)) {
        flatten(value, key, &mut run.extra);
    }
    add_requests(&requests(path)?, &mut run.result);
    Ok(vec![run])
}

/// The requests that the file beside the result tells, those of warm-up left out.
fn requests(path: &Path) -> Result<Vec<Request>, String> {
    let path = path.with_file_name(REQUESTS);
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(Vec::new()) };
    let lines = parse_results(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let lines = lines.iter().filter_map(Value::as_object);
    let measured = lines.filter(|line| at(line, "metadata.benchmark_phase").is_none_or(|phase| phase == "profiling"));
    Ok(measured.map(request).collect())
}

fn request(line: &Map<String, Value>) -> Request {
    let metric = |tag: &str| at(line, &format!("metrics.{tag}.value"));
    let seconds = |tag: &str| metric(tag).and_then(Value::as_f64).map(|milliseconds| milliseconds / 1000.0);
    let count = |tags: [&str; 2]| tags.iter().find_map(|tag| metric(tag)?.as_i64());
    let gaps = metric("inter_chunk_latency").and_then(Value::as_array);
    let error = at(line, "error").filter(|error| !error.is_null());
    let text = |error: &Value| {
        let message = error.get("message").and_then(Value::as_str).map_or_else(|| error.to_string(), str::to_owned);
        error.get("code").map_or(message.clone(), |code| format!("{code}: {message}"))
    };
    Request {
        start_s: number_at(line, "metadata.request_start_ns").map(|nanoseconds| nanoseconds / 1e9),
        input_len: count(["input_sequence_length", "error_isl"]),
        output_len: count(["output_sequence_length", "output_token_count"]),
        ttft_s: seconds("time_to_first_token"),
        latency_s: seconds("request_latency"),
        gaps_s: gaps.map(|gaps| gaps.iter().filter_map(Value::as_f64).map(|gap| gap / 1000.0).collect()),
        error: error.map(text).unwrap_or_default(),
    }
}
