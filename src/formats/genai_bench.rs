//! genai-bench: a file for each load; the unit of its times is in the file or in `experiment_metadata.json` beside it.

use super::distribution::{add_statistics, seconds_in};
use super::document::{flatten, known_at, list_at, number_at, text_at};
use super::requests::{Request, add_requests};
use super::sign::Shape::{List, Number, Object};
use super::sign::Sign::Has;
use super::{Format, Run, flattened, known};
use serde_json::{Map, Value};
use std::path::Path;

pub const FORMAT: Format = Format {
    tool: "genai-bench",
    name: "genai-bench",
    needs: &[
        Has("aggregated_metrics.stats", Object),
        Has("aggregated_metrics.run_duration", Number),
        Has("individual_request_metrics", List),
    ],
    tells: &[Has("aggregated_metrics.requests_per_second", Number)],
    definitions: &[
        ("ttft", "ttft: until the first chunk with text, including the connection"),
        ("tpot", "tpot: (e2e_latency - ttft) / (output tokens - 1), per request"),
        ("e2el", "e2e_latency"),
        ("output_throughput", "output tokens of all requests / run_duration"),
        ("duration", "run_duration: until the client stopped, which it checks once a second"),
    ],
    read,
};

pub const METADATA: &str = "experiment_metadata.json";
/// Copies of runs that could not be summed up begin so.
pub const DEBUG: &str = "debug_for_run_";

const LATENCIES: [(&str, &str); 3] = [("ttft", "ttft"), ("tpot", "tpot"), ("e2e_latency", "e2el")];

fn read(document: &Map<String, Value>, path: &Path) -> Result<Vec<Run>, String> {
    let mut run = Run::of(document);
    let metadata = run.beside(path, METADATA).into_iter().next();
    let metadata = metadata.as_ref().and_then(Value::as_object).cloned().unwrap_or_default();
    let unit = text_at(document, "_time_unit").or_else(|| text_at(&metadata, "metrics_time_unit"));
    // The first version knew seconds only, and did not say so.
    let unit = unit.unwrap_or("s");
    let seconds = seconds_in(unit).ok_or_else(|| format!("its times are in {unit:?}, which is not a known unit"))?;
    let of = |key: &str| number_at(document, &format!("aggregated_metrics.{key}"));
    for (name, latency) in LATENCIES {
        let statistics = known_at(document, &format!("aggregated_metrics.stats.{name}"));
        add_statistics(statistics, latency, 1000.0 * seconds, &mut run.result);
    }
    run.put("duration", of("run_duration"));
    run.put("completed", of("num_completed_requests"));
    run.put("failed", of("num_error_requests"));
    run.put("request_throughput", of("requests_per_second"));
    let is_cut = add_tokens(document, &mut run);
    run.version = text_at(&metadata, "benchmark_version").map(str::to_owned);
    add_settings(document, &metadata, &mut run);
    let requests: Vec<Request> = list_at(document, "individual_request_metrics")
        .filter_map(Value::as_object)
        .map(|record| request(record, seconds))
        .collect();
    // Bounds of a percentile are those of the requests that it is of, and which those are is not said.
    if !is_cut {
        add_requests(&requests, &mut run.result);
    }
    let is_kept = |key: &str| !["stats", "num_completed_requests", "num_error_requests", "error_rate"].contains(&key);
    let rest = document.get("aggregated_metrics").and_then(Value::as_object).into_iter().flatten();
    rest.filter(|(key, _)| is_kept(key)).for_each(|(key, value)| flatten(value, key, &mut run.extra));
    Ok(vec![run])
}

/// The tokens of all requests. genai-bench leaves those outside its warm-up and cool-down windows out of the sum, and their time in; whether
/// it left any out.
fn add_tokens(document: &Map<String, Value>, run: &mut Run) -> bool {
    let of = |key: &str| number_at(document, &format!("aggregated_metrics.{key}"));
    let requests = || list_at(document, "individual_request_metrics").filter_map(Value::as_object);
    let sum = |key: &str| -> f64 { requests().filter_map(|request| number_at(request, key)).sum() };
    let (input, output) = (sum("num_input_tokens"), sum("num_output_tokens"));
    if output <= 0.0 {
        run.put("output_throughput", of("mean_output_throughput_tokens_per_s"));
        run.put("total_token_throughput", of("mean_total_tokens_throughput_tokens_per_s"));
        return false;
    }
    run.put("total_input_tokens", Some(input as i64));
    run.put("total_output_tokens", Some(output as i64));
    let duration = of("run_duration").filter(|duration| *duration > 0.0);
    run.put("output_throughput", duration.map(|duration| output / duration));
    run.put("total_token_throughput", duration.map(|duration| (input + output) / duration));
    let Some(told) = of("stats.num_output_tokens.sum").filter(|told| (told - output).abs() > 0.5) else { return false };
    run.cautions.push(format!(
        "genai-bench counts {told} of {output} output tokens over the whole duration; throughput is from all of them, latencies are \
         those inside its warm-up and cool-down windows"
    ));
    true
}

fn add_settings(document: &Map<String, Value>, metadata: &Map<String, Value>, run: &mut Run) {
    let of = |key: &str| known_at(metadata, key).cloned().filter(|value| value != "None");
    let of_run = |key: &str| known_at(document, &format!("aggregated_metrics.{key}")).cloned();
    let is_of_batches = text_at(document, "aggregated_metrics.iteration_type") == Some("batch_size");
    let scenario = text_at(document, "aggregated_metrics.scenario");
    let lengths = scenario.and_then(lengths);
    let gpus = of("server_gpu_count").and_then(|count| match count {
        Value::String(text) => text.parse::<i64>().ok().map(Value::from),
        number => Some(number),
    });
    run.serve = known([
        ("model", of("api_model_name")),
        ("engine", of("server_engine")),
        ("engine_version", of("server_version")),
        ("gpu_type", of("server_gpu_type")),
        ("gpu_count", gpus),
    ]);
    run.put("model_id", run.serve.get("model").cloned());
    run.bench = known([
        ("max_concurrency", of_run("num_concurrency")),
        ("batch_size", of_run("batch_size").filter(|_| is_of_batches)),
        ("num_prompts", of("max_requests_per_run")),
        ("max_seconds", of("max_time_per_run_s")),
        ("backend", of("api_backend")),
        ("task", of("task")),
        ("traffic_scenario", scenario.map(Value::from)),
        ("dataset", of("dataset_path")),
        ("random_input_len", lengths.map(|(input, _)| input.into())),
        ("random_output_len", lengths.map(|(_, output)| output.into())),
    ]);
    let mut asked = Vec::new();
    known_at(metadata, "additional_request_params").iter().for_each(|value| flatten(value, "", &mut asked));
    run.bench.params.extend(flattened(&asked).params);
    // The command has the key of the server in clear.
    let rest = metadata.iter().filter(|(key, _)| *key != "cmd");
    rest.for_each(|(key, value)| flatten(value, &format!("experiment.{key}"), &mut run.extra));
}

/// The lengths of a scenario in which all are the same: `D(100,50)`.
fn lengths(scenario: &str) -> Option<(i64, i64)> {
    let (input, output) = scenario.strip_prefix("D(")?.strip_suffix(')')?.split_once(',')?;
    Some((input.trim().parse().ok()?, output.trim().parse().ok()?))
}

fn request(record: &Map<String, Value>, seconds: f64) -> Request {
    let of = |key: &str| number_at(record, key);
    let error = known_at(record, "error_code").map(|code| {
        let message = text_at(record, "error_message").unwrap_or_default();
        format!("{code} {message}").trim().to_owned()
    });
    Request {
        input_len: of("num_input_tokens").map(|tokens| tokens as i64),
        output_len: of("num_output_tokens").map(|tokens| tokens as i64),
        ttft_s: of("ttft").map(|time| time * seconds),
        latency_s: of("e2e_latency").map(|time| time * seconds),
        tpot_s: of("tpot").map(|time| time * seconds),
        error: error.unwrap_or_default(),
        ..Request::default()
    }
}
