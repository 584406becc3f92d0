//! llm-d's benchmark report, in YAML or JSON: one for each stage of load, whichever client measured it; units are in it.

use super::distribution::{add_statistics, seconds_in};
use super::document::{flatten, instant, known_at, list_at, number_at, rounded, text_at};
use super::sign::Shape::{Object, Text};
use super::sign::Sign::{Any, Has};
use super::{Format, Run, flattened, known};
use serde_json::{Map, Value};
use std::path::Path;

pub const FORMAT: Format = Format {
    tool: "llm-d",
    name: "llm-d benchmark report",
    needs: &[
        Has("version", Text),
        Any(&[("results.request_performance.aggregate", Object), ("metrics.latency", Object)]),
    ],
    tells: &[Any(&[("run.uid", Text), ("metrics.time", Object)])],
    definitions: &[
        ("ttft", "time_to_first_token"),
        ("tpot", "time_per_output_token, per request"),
        ("itl", "inter_token_latency: gaps between tokens, of all requests together"),
        ("e2el", "request_latency"),
        ("duration", "metrics.time.duration; in versions 0.2 requests that succeeded / request_rate"),
    ],
    read,
};

const LATENCIES: [(&str, &str); 4] = [
    ("time_to_first_token", "ttft"),
    ("time_per_output_token", "tpot"),
    ("inter_token_latency", "itl"),
    ("request_latency", "e2el"),
];

/// Rates in versions 0.2 and 0.1, and vLLM's name.
const RATES: [(&str, &str, &str); 3] = [
    ("request_rate.mean", "requests_per_sec", "request_throughput"),
    ("output_token_rate.mean", "output_tokens_per_sec", "output_throughput"),
    ("total_token_rate.mean", "total_tokens_per_sec", "total_token_throughput"),
];

fn read(document: &Map<String, Value>, _: &Path) -> Result<Vec<Run>, String> {
    let part = ["results.request_performance.aggregate", "metrics"].iter().find_map(|path| known_at(document, path));
    let results = part.and_then(Value::as_object).cloned().unwrap_or_default();
    let of = |path: &str| number_at(&results, path);
    let mut run = Run::of(document);
    for (name, latency) in LATENCIES {
        let Some(told) = known_at(&results, &format!("latency.{name}")) else { continue };
        let unit = told.get("units").and_then(Value::as_str).unwrap_or_default();
        let time = unit.split('/').next().unwrap_or(unit);
        let seconds = seconds_in(time).ok_or_else(|| format!("{name} is in {unit:?}, which is not a known unit"))?;
        add_statistics(Some(told), latency, 1000.0 * seconds, &mut run.result);
    }
    for (name, name_0_1, key) in RATES {
        run.put(key, of(&format!("throughput.{name}")).or_else(|| of(&format!("throughput.{name_0_1}"))));
    }
    let (total, failed) = (of("requests.total"), of("requests.failures"));
    let completed = total.zip(failed).map(|(total, failed)| total - failed - of("requests.incomplete").unwrap_or(0.0));
    run.put("completed", completed.map(rounded));
    run.put("failed", failed.map(rounded));
    let tokens = |path: &str| Some(rounded(of(path)? * completed?));
    run.put("total_input_tokens", tokens("requests.input_length.mean"));
    run.put("total_output_tokens", tokens("requests.output_length.mean"));
    let rate = of("throughput.request_rate.mean").filter(|rate| *rate > 0.0);
    let from_rate = completed.zip(rate).map(|(completed, rate)| completed / rate);
    run.put("duration", of("time.duration").or(from_rate));
    let started = text_at(document, "run.time.start").and_then(|time| time.parse().ok());
    run.started_at = started.or_else(|| of("time.start").and_then(instant));
    add_settings(document, &mut run);
    for (key, value) in document {
        flatten(value, key, &mut run.extra);
    }
    Ok(vec![run])
}

fn add_settings(document: &Map<String, Value>, run: &mut Run) {
    let parts = || list_at(document, "scenario.stack").filter_map(Value::as_object);
    let engines: Vec<&Map<String, Value>> =
        parts().filter(|part| known_at(part, "standardized.accelerator").is_some()).collect();
    let only = match engines.as_slice() {
        [only] => (*only).clone(),
        _ => Map::new(),
    };
    let of = |path: &str| known_at(&only, &format!("standardized.{path}")).cloned();
    let of_0_1 = |path: &str| known_at(document, &format!("scenario.{path}")).cloned();
    let model = engines.first().and_then(|engine| known_at(engine, "standardized.model.name")).cloned();
    // Whether a count is that of all replicas is not said.
    let is_one = of("replicas").is_none_or(|replicas| replicas.as_f64() == Some(1.0));
    let of_one = |path: &str| of(path).filter(|_| is_one);
    // Whatever is said of the stack tells servers apart.
    let mut stack = Vec::new();
    for (number, part) in parts().enumerate() {
        for side in ["standardized", "native"] {
            known_at(part, side).iter().for_each(|value| flatten(value, &format!("stack.{number}"), &mut stack));
        }
    }
    for side in ["host", "platform"] {
        of_0_1(side).iter().for_each(|value| flatten(value, side, &mut stack));
    }
    run.serve = flattened(&stack);
    run.serve.params.extend(
        known([
            ("model", model.or_else(|| of_0_1("model.name"))),
            ("engine", of("tool").or_else(|| of_0_1("platform.engine.0.name"))),
            ("engine_version", of("tool_version").or_else(|| of_0_1("platform.engine.0.version"))),
            ("gpu_type", of("accelerator.model").or_else(|| of_0_1("host.accelerator.0.model"))),
            ("gpu_count", of_one("accelerator.count")),
            ("tensor_parallel_size", of_one("accelerator.parallelism.tp")),
            ("pipeline_parallel_size", of_one("accelerator.parallelism.pp")),
            ("data_parallel_size", of_one("accelerator.parallelism.dp")),
        ])
        .params,
    );
    run.put("model_id", run.serve.get("model").cloned());
    let mut load = Vec::new();
    match of_0_1("load.standardized") {
        Some(load_of) => flatten(&load_of, "", &mut load),
        None => of_0_1("load").iter().for_each(|value| flatten(value, "", &mut load)),
    }
    let name =
        |path: &str| LOAD.iter().find(|(own, _)| *own == path).map_or(path.to_owned(), |(_, name)| (*name).into());
    let load: Vec<(String, String)> = load.into_iter().map(|(path, value)| (name(&path), value)).collect();
    run.bench = flattened(&load);
}

/// vLLM's names of what a load is.
const LOAD: [(&str, &str); 4] = [
    ("rate_qps", "request_rate"),
    ("concurrency", "max_concurrency"),
    ("input_seq_len.value", "random_input_len"),
    ("output_seq_len.value", "random_output_len"),
];
