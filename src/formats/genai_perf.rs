//! GenAI-Perf: `profile_export_genai_perf.json` for a run, `profile_export.json` beside it for its requests.

use super::distribution::add_latency;
use super::document::{flatten, instant, known_at, list_at, number_at, rounded, text_at};
use super::requests::{Request, add_requests};
use super::sign::Shape::{List, Number, Object, Text};
use super::sign::Sign::{Any, Has, Lacks};
use super::{Format, Run, known};
use crate::record::parse_results;
use crate::stats::{mean, percentile, population_std};
use serde_json::{Map, Value};
use std::path::Path;

const TOOL: &str = "genai-perf";

const DEFINITIONS: &[(&str, &str)] = &[
    ("ttft", "time_to_first_token, of streamed responses"),
    ("tpot", "inter_token_latency: (request_latency - time_to_first_token) / (output tokens - 1), per request"),
    ("itl", "from the raw file's response_timestamps: gaps between responses, of all requests together"),
    ("e2el", "request_latency"),
    ("duration", "request_count / request_throughput"),
    ("total_output_tokens", "request_count × output_sequence_length.avg"),
];

/// From 0.0.13 on.
pub const FORMAT: Format = Format {
    tool: TOOL,
    name: "GenAI-Perf",
    needs: &[Has("input_config.perf_analyzer", Object), Has("request_throughput.avg", Number)],
    tells: &[Has("input_config.endpoint", Object), Has("input_config.model_names", List)],
    definitions: DEFINITIONS,
    read: read_nested,
};

/// Up to 0.0.12: the command line as it was parsed.
pub const FLAT: Format = Format {
    tool: TOOL,
    name: "GenAI-Perf up to 0.0.12",
    needs: &[
        Has("input_config.service_kind", Text),
        Has("request_throughput.avg", Number),
        Lacks("input_config.perf_analyzer", Object),
    ],
    tells: &[
        Any(&[("input_config.subcommand", Text), ("input_config.formatted_model_name", Text)]),
        Any(&[("input_config.model", List), ("input_config.model", Text)]),
    ],
    definitions: DEFINITIONS,
    read: read_flat,
};

/// The raw file of single requests.
pub const RAW: &str = "profile_export.json";

const LATENCIES: [(&str, &str); 3] =
    [("time_to_first_token", "ttft"), ("inter_token_latency", "tpot"), ("request_latency", "e2el")];

/// Up to 0.0.8 their units are wrong (`requests/sec` of tokens): the names say what they are.
const RATES: [(&str, &str); 3] = [
    ("request_throughput", "request_throughput"),
    ("request_goodput", "request_goodput"),
    ("output_token_throughput", "output_throughput"),
];

/// Means that are told when a mean is not set.
const UNSET: i64 = -1;

fn read_nested(document: &Map<String, Value>, path: &Path) -> Result<Vec<Run>, String> {
    let config = |path: &str| known_at(document, &format!("input_config.{path}")).cloned();
    let mut run = Run::of(document);
    let is_by_count = config("perf_analyzer.measurement.mode").is_some_and(|mode| mode == "request_count");
    let measurement = config("perf_analyzer.measurement.num");
    let of_load = |key: &str| config(&format!("perf_analyzer.stimulus.{key}"));
    run.serve = known([("model", config("model_names.0"))]);
    run.bench = known([
        ("num_prompts", measurement.clone().filter(|_| is_by_count)),
        ("measurement_interval", measurement.filter(|_| !is_by_count)),
        ("max_concurrency", of_load("concurrency")),
        ("request_rate", Some(of_load("request_rate").unwrap_or_else(|| "inf".into()))),
        ("endpoint_type", config("endpoint.type")),
        ("random_input_len", config("input.synthetic_tokens.mean").filter(is_set)),
        ("random_input_len_stddev", config("input.synthetic_tokens.stddev").filter(is_set)),
        ("random_output_len", config("input.output_tokens.mean").filter(is_set)),
        ("random_output_len_stddev", config("input.output_tokens.stddev").filter(is_set)),
        ("dataset", config("input.file")),
    ]);
    read(document, path, run, config("endpoint.streaming"))
}

fn read_flat(document: &Map<String, Value>, path: &Path) -> Result<Vec<Run>, String> {
    let config = |path: &str| known_at(document, &format!("input_config.{path}")).cloned();
    let mut run = Run::of(document);
    let request_count = config("request_count").filter(is_set);
    run.serve = known([("model", config("model.0").or_else(|| config("model")))]);
    run.bench = known([
        ("num_prompts", request_count.clone()),
        ("measurement_interval", config("measurement_interval").filter(|_| request_count.is_none())),
        ("max_concurrency", config("concurrency")),
        ("request_rate", Some(config("request_rate").unwrap_or_else(|| "inf".into()))),
        ("endpoint_type", config("endpoint_type")),
        ("num_dataset_entries", config("num_dataset_entries").or_else(|| config("num_prompts"))),
        ("random_input_len", config("synthetic_input_tokens_mean").filter(is_set)),
        ("random_input_len_stddev", config("synthetic_input_tokens_stddev").filter(is_set)),
        ("random_output_len", config("output_tokens_mean").filter(is_set)),
        ("random_output_len_stddev", config("output_tokens_stddev").filter(is_set)),
        ("dataset", config("input_dataset").or_else(|| config("input_file"))),
    ]);
    read(document, path, run, config("streaming"))
}

fn is_set(value: &Value) -> bool {
    value.as_i64() != Some(UNSET) && value.as_f64() != Some(0.0)
}

/// What both forms have alike.
fn read(
    document: &Map<String, Value>,
    path: &Path,
    mut run: Run,
    streaming: Option<Value>,
) -> Result<Vec<Run>, String> {
    // Without streaming it writes the whole latency as the time to the first token.
    let is_streamed = streaming.is_none_or(|streaming| streaming != false);
    for (name, latency) in LATENCIES.into_iter().filter(|(_, latency)| is_streamed || *latency == "e2el") {
        add_latency(document.get(name), latency, &mut run.result)?;
    }
    for (name, key) in RATES {
        run.put(key, number_at(document, &format!("{name}.avg")));
    }
    run.put("model_id", run.serve.get("model").cloned());
    let is_mapped = |key: &str| key == "request_count" || LATENCIES.iter().chain(&RATES).any(|(name, _)| *name == key);
    for (key, value) in document.iter().filter(|(key, _)| !is_mapped(key)) {
        flatten(value, key, &mut run.extra);
    }
    let mut requests = requests(path, &run)?;
    if !is_streamed {
        requests.iter_mut().for_each(|request| request.ttft_s = None);
    }
    let told = number_at(document, "request_count.avg");
    // Older versions do not tell it; the raw file of one experiment does.
    let completed = told.or_else(|| Some(requests.len() as f64).filter(|count| *count > 0.0));
    let total = |name: &str| Some(rounded(number_at(document, &format!("{name}.avg"))? * completed?));
    run.put("completed", completed.map(rounded));
    run.put("total_input_tokens", total("input_sequence_length"));
    run.put("total_output_tokens", total("output_sequence_length"));
    let rate = number_at(document, "request_throughput.avg");
    run.put("duration", rate.zip(completed).map(|(rate, completed)| completed / rate));
    match requests.len() as f64 {
        0.0 => {}
        count if Some(count) == completed => {
            let start = requests.iter().filter_map(|request| request.start_s).reduce(f64::min);
            run.started_at = start.and_then(instant);
            add_gaps(&requests, &mut run.result);
            add_requests(&requests, &mut run.result);
        }
        count => run.notes.push(format!(
            "{RAW} lists {count} requests, but the result counts {}: per-request data is left out",
            completed.unwrap_or_default()
        )),
    }
    // It ends without a file when a request fails.
    run.put("failed", Some(0));
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

/// The requests of the experiment with the run's load: the raw file of a sweep holds others, too.
fn requests(path: &Path, run: &Run) -> Result<Vec<Request>, String> {
    let path = path.with_file_name(RAW);
    let Ok(text) = crate::files::text(&path, crate::files::Links::Follow) else { return Ok(Vec::new()) };
    let documents = parse_results(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let asked = |key: &str| run.bench.get(key).and_then(Value::as_f64);
    let is_of_run = |experiment: &&Map<String, Value>| {
        let load = match text_at(experiment, "experiment.mode") {
            Some("concurrency") => asked("max_concurrency"),
            Some("request_rate") => asked("request_rate"),
            _ => None,
        };
        load.is_none_or(|load| number_at(experiment, "experiment.value") == Some(load))
    };
    let documents = documents.iter().filter_map(Value::as_object);
    let experiments = documents.flat_map(|document| list_at(document, "experiments")).filter_map(Value::as_object);
    let requests = experiments.filter(is_of_run).flat_map(|experiment| list_at(experiment, "requests"));
    Ok(requests.filter_map(Value::as_object).map(request).collect())
}

fn request(request: &Map<String, Value>) -> Request {
    let start = request.get("timestamp").and_then(Value::as_i64);
    let ends: Vec<i64> = list_at(request, "response_timestamps").filter_map(Value::as_i64).collect();
    let seconds = |from: i64, to: i64| to.saturating_sub(from) as f64 / 1e9;
    Request {
        start_s: start.map(|start| start as f64 / 1e9),
        ttft_s: start.zip(ends.first()).map(|(start, first)| seconds(start, *first)),
        latency_s: start.zip(ends.last()).map(|(start, last)| seconds(start, *last)),
        gaps_s: (!ends.is_empty())
            .then(|| ends.iter().zip(ends.iter().skip(1)).map(|(from, to)| seconds(*from, *to)).collect()),
        error: if ends.is_empty() { "no response".into() } else { String::new() },
        ..Request::default()
    }
}
