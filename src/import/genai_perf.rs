//! GenAI-Perf: `profile_export_genai_perf.json` for a run, `profile_export.json` beside it for its requests.

use super::distribution::add_latency;
use super::reading::{Format, Run, at, flatten, load, number_at};
use super::requests::{Request, add_requests};
use crate::record::parse_results;
use crate::stats::{mean, percentile, population_std};
use serde_json::{Map, Value};
use std::path::Path;

pub const FORMAT: Format = Format {
    tool: "genai-perf",
    definitions: &[
        ("ttft", "time_to_first_token"),
        ("tpot", "inter_token_latency: (request_latency - time_to_first_token) / (output tokens - 1), per request"),
        ("itl", "from the raw file's response_timestamps: gaps between responses, of all requests together"),
        ("e2el", "request_latency"),
    ],
    is_it,
    read,
};

/// The raw file of single requests.
pub const RAW: &str = "profile_export.json";

const LATENCIES: [(&str, &str); 3] =
    [("time_to_first_token", "ttft"), ("inter_token_latency", "tpot"), ("request_latency", "e2el")];

const NUMBERS: [(&str, &str); 3] = [
    ("request_throughput", "request_throughput"),
    ("request_goodput", "request_goodput"),
    ("output_token_throughput", "output_throughput"),
];

fn is_it(document: &Map<String, Value>) -> bool {
    at(document, "input_config.perf_analyzer").is_some()
}

fn read(document: &Map<String, Value>, path: &Path) -> Result<Vec<Run>, String> {
    let mut run = Run { text: Value::Object(document.clone()).to_string(), ..Run::default() };
    for (name, latency) in LATENCIES {
        add_latency(document.get(name), latency, &mut run.result)?;
    }
    for (name, key) in NUMBERS {
        let number = number_at(document, &format!("{name}.avg"));
        run.result.extend(number.map(|number| (key.to_owned(), number.into())));
    }
    let completed = number_at(document, "request_count.avg").map(|count| count as i64);
    let total = |name: &str| Some((number_at(document, &format!("{name}.avg"))? * completed? as f64).round() as i64);
    let config = |path: &str| at(document, &format!("input_config.{path}")).cloned();
    let concurrency = config("perf_analyzer.stimulus.concurrency");
    let rate = config("perf_analyzer.stimulus.request_rate").unwrap_or_else(|| "inf".into());
    let duration =
        number_at(document, "request_throughput.avg").zip(completed).map(|(rate, count)| count as f64 / rate);
    let own = [
        ("duration", duration.into()),
        ("completed", completed.into()),
        ("num_prompts", completed.into()),
        ("total_input_tokens", total("input_sequence_length").into()),
        ("total_output_tokens", total("output_sequence_length").into()),
        ("model_id", config("model_names.0").unwrap_or_default()),
        ("max_concurrency", concurrency.clone().unwrap_or_default()),
        ("request_rate", rate.clone()),
    ];
    run.result.extend(own.map(|(key, value)| (key.to_owned(), value)));
    run.bench = load([
        ("num_prompts", completed.map(Value::from)),
        ("max_concurrency", concurrency),
        ("request_rate", Some(rate)),
        ("random_input_len", config("input.synthetic_tokens.mean").filter(|mean| mean != -1)),
        ("random_output_len", config("input.output_tokens.mean").filter(|mean| mean != -1)),
    ]);
    let is_mapped =
        |key: &str| key == "request_count" || LATENCIES.iter().chain(&NUMBERS).any(|(name, _)| *name == key);
    for (key, value) in document.iter().filter(|(key, _)| !is_mapped(key)) {
        flatten(value, key, &mut run.extra);
    }
    let requests = requests(path)?;
    // As many as the result was made from: the raw file of a sweep holds other experiments too.
    if completed == Some(requests.len() as i64) {
        add_gaps(&requests, &mut run.result);
        add_requests(&requests, &mut run.result);
    }
    Ok(vec![run])
}

/// ITL, which only the raw file knows.
fn add_gaps(requests: &[Request], into: &mut Map<String, Value>) {
    let mut gaps: Vec<f64> =
        requests.iter().flat_map(|request| request.gaps_s.iter().flatten()).map(|gap| gap * 1000.0).collect();
    if gaps.is_empty() {
        return;
    }
    gaps.sort_by(f64::total_cmp);
    let statistics = [
        ("mean", mean(&gaps)),
        ("median", percentile(&gaps, 50.0)),
        ("std", population_std(&gaps)),
        ("p99", percentile(&gaps, 99.0)),
    ];
    into.extend(statistics.map(|(statistic, value)| (format!("{statistic}_itl_ms"), value.into())));
}

fn requests(path: &Path) -> Result<Vec<Request>, String> {
    let path = path.with_file_name(RAW);
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(Vec::new()) };
    let documents = parse_results(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let experiments = documents.iter().filter_map(|document| document.get("experiments")?.as_array()).flatten();
    let requests = experiments.filter_map(|experiment| experiment.get("requests")?.as_array()).flatten();
    Ok(requests.filter_map(Value::as_object).map(request).collect())
}

fn request(request: &Map<String, Value>) -> Request {
    let start = request.get("timestamp").and_then(Value::as_i64);
    let ends: Vec<i64> = request
        .get("response_timestamps")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_i64)
        .collect();
    let seconds = |from: i64, to: i64| (to - from) as f64 / 1e9;
    Request {
        start_s: start.map(|start| start as f64 / 1e9),
        ttft_s: start.zip(ends.first()).map(|(start, first)| seconds(start, *first)),
        latency_s: start.zip(ends.last()).map(|(start, last)| seconds(start, *last)),
        gaps_s: (!ends.is_empty()).then(|| ends.windows(2).map(|pair| seconds(pair[0], pair[1])).collect()),
        error: if ends.is_empty() { "no response".into() } else { String::new() },
        ..Request::default()
    }
}
