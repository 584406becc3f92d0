//! AIPerf: `profile_export_aiperf.json` for a run, `profile_export.jsonl` beside it for its requests.

use super::distribution::{add_latency, seconds_in};
use super::document::{at, flatten, instant, known_at, list_at, number_at, rounded, text_at};
use super::requests::{Request, add_requests, in_order};
use super::sign::Shape::{List, Number, Object, Text};
use super::sign::Sign::{Any, Has, Lacks};
use super::{Format, Run, known};
use crate::record::{local_time, parse_results, time_in_zone_of};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use std::path::Path;

const TOOL: &str = "aiperf";

const DEFINITIONS: &[(&str, &str)] = &[
    ("ttft", "time_to_first_token"),
    ("tpot", "inter_token_latency: (request_latency - time_to_first_token) / (output tokens - 1), per request"),
    ("itl", "inter_chunk_latency: gaps between chunks, of all requests together"),
    ("e2el", "request_latency"),
    ("request_goodput", "goodput"),
    (
        "tokens_per_user",
        "output_token_throughput_per_user, where no concurrency was set: the mean of 1 / inter_token_latency",
    ),
];

/// From 0.2 on.
pub const FORMAT: Format = Format {
    tool: TOOL,
    name: "AIPerf",
    needs: &[
        Has("input_config.endpoint", Object),
        Any(&[("input_config.loadgen", Object), ("input_config.phases", List)]),
        Any(&[("request_throughput.avg", Number), ("request_count.avg", Number), ("error_request_count.avg", Number)]),
        Lacks("input_config.perf_analyzer", Object),
    ],
    tells: &[Has("error_summary", List), Has("benchmark_duration.unit", Text)],
    definitions: DEFINITIONS,
    read,
};

/// 0.1, which kept its metrics apart.
pub const FORMAT_0_1: Format = Format {
    tool: TOOL,
    name: "AIPerf 0.1",
    needs: &[Has("records", Object), Has("input_config.endpoint", Object), Has("records.request_count.avg", Number)],
    tells: &[Has("error_summary", List), Has("records.request_latency.unit", Text)],
    definitions: DEFINITIONS,
    read,
};

/// The file of single requests.
pub const REQUESTS: &str = "profile_export.jsonl";
/// The list of phases, each of which has a copy of the result in a folder of its own.
pub const PHASES: &str = "phase_manifest.json";
const PHASES_FOLDER: &str = "phases";

/// Tags, in the order in which they came to be, and vLLM's name.
const LATENCIES: [(&[&str], &str); 4] = [
    (&["time_to_first_token", "ttft"], "ttft"),
    (&["inter_token_latency"], "tpot"),
    (&["inter_chunk_latency"], "itl"),
    (&["request_latency"], "e2el"),
];

/// Rates, and vLLM's key.
const RATES: [(&str, &str); 4] = [
    ("request_throughput", "request_throughput"),
    ("goodput", "request_goodput"),
    ("output_token_throughput", "output_throughput"),
    ("total_token_throughput", "total_token_throughput"),
];

/// Counts, and vLLM's key. `completed_request_count` is none of them: it counts failed requests, too.
const COUNTS: [(&str, &str); 5] = [
    ("request_count", "completed"),
    ("error_request_count", "failed"),
    ("total_isl", "total_input_tokens"),
    ("total_osl", "total_output_tokens"),
    ("total_output_tokens", "total_output_tokens"),
];
const DURATION: &str = "benchmark_duration";

/// Whether a file is the copy of a result that AIPerf makes for each phase.
pub fn is_of_a_phase(path: &Path) -> bool {
    let phases = path.ancestors().find(|folder| folder.file_name().is_some_and(|name| name == PHASES_FOLDER));
    phases
        .and_then(Path::parent)
        .is_some_and(|run| run.join(PHASES_FOLDER).join(PHASES).is_file() || run.join(PHASES).is_file())
}

fn read(document: &Map<String, Value>, path: &Path) -> Result<Vec<Run>, String> {
    let metrics = document.get("records").and_then(Value::as_object).unwrap_or(document);
    let mut run = Run::of(document);
    for (tags, latency) in LATENCIES {
        add_latency(tags.iter().find_map(|tag| metrics.get(*tag)), latency, &mut run.result)?;
    }
    let average = |tag: &str| number_at(metrics, &format!("{tag}.avg"));
    for (tag, key) in RATES {
        run.put(key, average(tag));
    }
    for (tag, key) in COUNTS {
        run.put(key, average(tag).map(rounded));
    }
    // Without errors AIPerf leaves their number out.
    run.result.entry("failed").or_insert_with(|| 0.into());
    let unit = text_at(metrics, &format!("{DURATION}.unit")).and_then(seconds_in).unwrap_or(1.0);
    run.put("duration", average(DURATION).map(|duration| duration * unit));
    add_settings(document, &mut run);
    if !run.bench.params.contains_key("max_concurrency") {
        run.put("tokens_per_user", average("output_token_throughput_per_user"));
        run.put("mean_concurrent_requests", average("effective_concurrency"));
    }
    run.version = text_at(document, "aiperf_version").map(str::to_owned);
    let is_mapped = |key: &str| {
        let of_rates = RATES.iter().chain(&COUNTS).any(|(tag, _)| *tag == key);
        of_rates || key == DURATION || LATENCIES.iter().any(|(tags, _)| tags.contains(&key))
    };
    for (key, value) in document.iter().filter(|(key, _)| *key != "records") {
        if !is_mapped(key) {
            flatten(value, key, &mut run.extra);
        }
    }
    for (key, value) in metrics.iter().filter(|(key, _)| document.contains_key("records") && !is_mapped(key)) {
        flatten(value, &format!("records.{key}"), &mut run.extra);
    }
    let requests = requests(path)?;
    run.started_at = start_of(document, metrics, &requests);
    let all = ["completed", "failed"].iter().filter_map(|key| run.result.get(*key)?.as_i64()).sum::<i64>();
    match requests.len() as i64 {
        0 => {}
        count if count == all => add_requests(&requests, &mut run.result),
        count => run.notes.push(format!(
            "{REQUESTS} lists {count} requests, but the result counts {all}: per-request data is left out"
        )),
    }
    Ok(vec![run])
}

/// What was asked for. The configuration's shape is that of the command line up to 0.8, and of a configuration file since.
fn add_settings(document: &Map<String, Value>, run: &mut Run) {
    let nothing = Map::new();
    let config = document.get("input_config").and_then(Value::as_object).unwrap_or(&nothing);
    let phase = measured_phase(config).unwrap_or(&nothing);
    let of_load =
        |key: &str, old: &str| known_at(phase, key).or_else(|| known_at(config, &format!("loadgen.{old}"))).cloned();
    let of_data = |path: &str, old: &[&str]| {
        let old = || old.iter().find_map(|path| known_at(config, &format!("input.{path}")));
        known_at(config, &format!("datasets.0.{path}")).or_else(old).cloned()
    };
    let is_set = |value: &Value| value.as_f64() != Some(0.0);
    let old_model = || known_at(config, "endpoint.model_names.0").cloned();
    let model = known_at(config, "models.items.0.name").cloned().or_else(old_model);
    run.put("model_id", model.clone());
    run.serve = known([("model", model)]);
    let rate = of_load("rate", "request_rate");
    let arrival = of_load("type", "arrival_pattern").or_else(|| of_load("type", "request_rate_mode"));
    run.bench = known([
        ("num_prompts", of_load("requests", "request_count")),
        ("benchmark_duration", of_load("duration", "benchmark_duration")),
        ("max_concurrency", of_load("concurrency", "concurrency")),
        ("arrival_pattern", arrival.filter(|_| rate.is_some())),
        ("request_rate", Some(rate.unwrap_or_else(|| "inf".into()))),
        ("endpoint_type", known_at(config, "endpoint.type").cloned()),
        ("extra_inputs", known_at(config, "endpoint.extra").map(|extra| extra.to_string().into())),
        ("dataset", of_data("path", &["file", "public_dataset"])),
        ("num_dataset_entries", of_data("entries", &["conversation.num_dataset_entries", "conversation.num"])),
        ("random_input_len", of_data("prompts.isl.mean", &["prompt.input_tokens.mean"])),
        ("random_input_len_stddev", of_data("prompts.isl.stddev", &["prompt.input_tokens.stddev"]).filter(is_set)),
        ("random_output_len", of_data("prompts.osl.mean", &["prompt.output_tokens.mean"])),
        ("random_output_len_stddev", of_data("prompts.osl.stddev", &["prompt.output_tokens.stddev"]).filter(is_set)),
    ]);
}

/// The phase whose requests the metrics are of; others warm up.
fn measured_phase(config: &Map<String, Value>) -> Option<&Map<String, Value>> {
    let phases: Vec<&Map<String, Value>> = list_at(config, "phases").filter_map(Value::as_object).collect();
    let of = |is_it: &dyn Fn(&Map<String, Value>) -> bool| phases.iter().copied().find(|phase| is_it(phase));
    let is_excluded =
        |phase: &Map<String, Value>| phase.get("exclude_from_results").and_then(Value::as_bool) == Some(true);
    of(&|phase| text_at(phase, "kind") == Some("profiling"))
        .or_else(|| of(&|phase| text_at(phase, "name") == Some("profiling")))
        .or_else(|| of(&|phase| !is_excluded(phase)))
}

/// AIPerf writes its client's local time without a zone. The stamps of its requests, which are in UTC, tell the zone.
fn start_of(
    document: &Map<String, Value>,
    metrics: &Map<String, Value>,
    requests: &[Request],
) -> Option<DateTime<Utc>> {
    let text = text_at(document, "start_time")?;
    let first = requests.iter().filter_map(|request| request.start_s).reduce(f64::min);
    let first = first.or_else(|| Some(number_at(metrics, "min_request_timestamp.avg")? / 1e9));
    match first.and_then(instant) {
        Some(stamp) => time_in_zone_of(text, stamp),
        None => local_time(text),
    }
}

/// The requests that the file beside the result tells in the order in which they were sent, those of warm-up left out.
fn requests(path: &Path) -> Result<Vec<Request>, String> {
    let path = path.with_file_name(REQUESTS);
    let Ok(text) = crate::files::text(&path, crate::files::Links::Follow) else { return Ok(Vec::new()) };
    let lines = parse_results(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let lines = lines.iter().filter_map(Value::as_object);
    let measured = lines.filter(|line| at(line, "metadata.benchmark_phase").is_none_or(|phase| phase == "profiling"));
    Ok(in_order(measured.map(request)))
}

fn request(line: &Map<String, Value>) -> Request {
    let metric = |tag: &str| at(line, &format!("metrics.{tag}.value"));
    let seconds = |tag: &str| metric(tag).and_then(Value::as_f64).map(|milliseconds| milliseconds / 1000.0);
    let count = |tags: [&str; 2]| tags.iter().find_map(|tag| metric(tag)?.as_i64());
    let gaps = metric("inter_chunk_latency").and_then(Value::as_array);
    let error = at(line, "error").filter(|error| !error.is_null());
    let text = |error: &Value| {
        let message = error.get("message").and_then(Value::as_str).map_or_else(|| error.to_string(), str::to_owned);
        error.get("code").filter(|code| !code.is_null()).map_or(message.clone(), |code| format!("{code}: {message}"))
    };
    Request {
        start_s: number_at(line, "metadata.request_start_ns").map(|nanoseconds| nanoseconds / 1e9),
        input_len: count(["input_sequence_length", "error_isl"]),
        output_len: count(["output_sequence_length", "output_token_count"]),
        ttft_s: seconds("time_to_first_token"),
        latency_s: seconds("request_latency"),
        tpot_s: seconds("inter_token_latency"),
        gaps_s: gaps.map(|gaps| gaps.iter().filter_map(Value::as_f64).map(|gap| gap / 1000.0).collect()),
        error: error.map(text).unwrap_or_default(),
    }
}
