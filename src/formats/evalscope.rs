//! evalscope perf: `benchmark_summary.json` for a run, its percentiles and settings in files beside it. Units stand in its keys, and
//! changed between versions.

use super::distribution::{percentile, seconds_in};
use super::document::{flatten, known_at, number_at, rounded, text_at};
use super::sign::Shape::Number;
use super::sign::Sign::Any;
use super::{Format, Run, flattened, known};
use serde_json::{Map, Value};
use std::path::Path;

pub const FORMAT: Format = Format {
    tool: "evalscope",
    name: "evalscope perf",
    needs: &[
        Any(&[("Success Requests", Number), ("Succeed requests", Number)]),
        Any(&[("Test Duration (s)", Number), ("Time taken for tests (s)", Number)]),
        Any(&[("Total Requests", Number), ("Total requests", Number)]),
    ],
    tells: &[Any(&[("Avg Latency (s)", Number), ("Average latency (s)", Number)])],
    definitions: &[
        (
            "ttft",
            "TTFT: until the first chunk with text, of streamed requests; percentiles are values of the sample (nearest rank)",
        ),
        ("tpot", "TPOT: (latency - TTFT) / (output tokens - 1), per request"),
        ("itl", "ITL: gaps between chunks, of all requests together"),
        ("e2el", "Latency, in seconds"),
        ("duration", "from the first request sent to the last response"),
    ],
    read,
};

const PERCENTILES: &str = "benchmark_percentile.json";
const SETTINGS: &str = "benchmark_args.json";
pub const COMPANIONS: [&str; 6] = [
    PERCENTILES,
    SETTINGS,
    "workload_throughput.json",
    "workload_timeline.json",
    "trace_summary.json",
    "speed_benchmark.json",
];

/// What a mean is called in the versions, without its unit; what a percentile is; and vLLM's name.
const LATENCIES: [(&[&str], &str, &str); 4] = [
    (&["Avg TTFT", "Average time to first token"], "TTFT", "ttft"),
    (&["Avg TPOT", "Average time per output token"], "TPOT", "tpot"),
    (&["Avg ITL", "Average inter-token latency", "Average package latency"], "ITL", "itl"),
    (&["Avg Latency", "Average latency"], "Latency", "e2el"),
];

/// What a rate or count is called in the versions, without its unit, and vLLM's name.
const OTHERS: [(&[&str], &str); 6] = [
    (&["Test Duration", "Time taken for tests"], "duration"),
    (&["Success Requests", "Succeed requests"], "completed"),
    (&["Failed Requests", "Failed requests"], "failed"),
    (&["Req Throughput", "Request throughput", "Average QPS"], "request_throughput"),
    (&["Output Throughput", "Output token throughput"], "output_throughput"),
    (&["Total Throughput", "Total token throughput"], "total_token_throughput"),
];

/// What stands where there is no value.
const NONE: f64 = -1.0;

fn read(document: &Map<String, Value>, path: &Path) -> Result<Vec<Run>, String> {
    let mut run = Run::of(document);
    let settings = run.beside(path, SETTINGS).into_iter().next();
    let settings = settings.as_ref().and_then(Value::as_object).cloned().unwrap_or_default();
    for (names, key) in OTHERS {
        let value = names.iter().find_map(|name| told(document, name)).map(|(value, _)| value);
        run.put(
            key,
            value.map(|value| if key == "completed" || key == "failed" { rounded(value) } else { value.into() }),
        );
    }
    for (names, _, latency) in LATENCIES {
        if let Some((value, unit)) = names.iter().find_map(|name| told(document, name)) {
            run.put(&format!("mean_{latency}_ms"), Some(value * 1000.0 * in_seconds(&unit, latency)?));
        }
    }
    add_percentiles(path, &mut run)?;
    let completed = run.result.get("completed").and_then(Value::as_f64).unwrap_or(0.0);
    for (names, key) in [
        (["Avg Input Tokens", "Average input tokens per request"], "total_input_tokens"),
        (["Avg Output Tokens", "Average output tokens per request"], "total_output_tokens"),
    ] {
        let mean = names.iter().find_map(|name| told(document, name));
        run.put(key, mean.map(|(mean, _)| rounded(mean * completed)));
    }
    add_settings(document, &settings, &mut run);
    document.iter().for_each(|(key, value)| flatten(value, key, &mut run.extra));
    Ok(vec![run])
}

/// A value by its name without the unit, and the unit that stands behind it.
fn told(document: &Map<String, Value>, name: &str) -> Option<(f64, String)> {
    let (key, value) = document.iter().find(|(key, _)| key.split(" (").next() == Some(name))?;
    let unit = key.split_once(" (").map(|(_, unit)| unit.trim_end_matches(')').to_owned()).unwrap_or_default();
    value.as_f64().filter(|value| *value != NONE).map(|value| (value, unit))
}

fn in_seconds(unit: &str, what: &str) -> Result<f64, String> {
    seconds_in(unit).ok_or_else(|| format!("{what} is in {unit:?}, which is not a known unit of time"))
}

/// The rows of percentiles: `{"Percentiles": "99%", "TTFT (ms)": …}`.
fn add_percentiles(path: &Path, run: &mut Run) -> Result<(), String> {
    let rows = run.beside(path, PERCENTILES);
    let rows = rows.iter().flat_map(|value| value.as_array().into_iter().flatten()).filter_map(Value::as_object);
    for row in rows {
        let Some(statistic) = text_at(row, "Percentiles").or_else(|| text_at(row, "Percentile")) else { continue };
        let statistic = match statistic {
            "min" | "max" => Some(statistic.to_owned()),
            share => percentile(share.trim_end_matches('%')),
        };
        let Some(statistic) = statistic else { continue };
        for (_, name, latency) in LATENCIES {
            if let Some((value, unit)) = told(row, name) {
                run.put(&format!("{statistic}_{latency}_ms"), Some(value * 1000.0 * in_seconds(&unit, latency)?));
            }
        }
    }
    Ok(())
}

fn add_settings(document: &Map<String, Value>, settings: &Map<String, Value>, run: &mut Run) {
    let of = |key: &str| known_at(settings, key).cloned();
    let positive = |value: Value| Some(value).filter(|value| value.as_f64().is_none_or(|number| number > 0.0));
    let of_summary =
        |names: [&str; 2]| names.iter().find_map(|name| told(document, name)).map(|(value, _)| value.into());
    let same = |low: &str, high: &str| of(low).filter(|value| number_at(settings, high) == value.as_f64());
    let is_random = text_at(settings, "dataset") == Some("random");
    run.serve = known([("model", of("model"))]);
    run.put("model_id", run.serve.get("model").cloned());
    // Whatever else was set tells loads apart.
    let is_load = |key: &str| !NO_LOAD.contains(&key) && !is_of_search(key);
    let mut set = Vec::new();
    settings.iter().filter(|(key, _)| is_load(key)).for_each(|(key, value)| flatten(value, key, &mut set));
    run.bench = flattened(&set);
    run.bench.params.extend(
        known([
            (
                "max_concurrency",
                of("parallel").or_else(|| of_summary(["Concurrency", "Number of concurrency"])).and_then(positive),
            ),
            ("request_rate", of("rate").or_else(|| of_summary(["Request Rate", "Request rate"])).and_then(positive)),
            ("num_prompts", of("number")),
            ("benchmark_duration", of("duration")),
            ("backend", of("api")),
            ("dataset", of("dataset_path").or_else(|| of("dataset"))),
            ("random_input_len", same("min_prompt_length", "max_prompt_length").filter(|_| is_random)),
        ])
        .params,
    );
}

/// Settings that say nothing of the load, or that have a name of vLLM's.
const NO_LOAD: [&str; 33] = [
    "alias",
    "api",
    "api_key",
    "dataset",
    "dataset_path",
    "db_commit_interval",
    "debug",
    "duration",
    "enable_progress_tracker",
    "headers",
    "in_flight_task_multiplier",
    "log_every_n_query",
    "model",
    "model_id",
    "name",
    "no_test_connection",
    "no_timestamp",
    "num_workers",
    "number",
    "outputs_dir",
    "parallel",
    "port",
    "queue_size_multiplier",
    "rate",
    "seed",
    "sleep_interval",
    "swanlab_api_key",
    "swanlab_host",
    "tokenizer_path",
    "visualizer",
    "wandb_api_key",
    "warmup_num",
    "attn_implementation",
];

/// Settings of its own search for a load.
fn is_of_search(key: &str) -> bool {
    key.starts_with("sla_")
}
