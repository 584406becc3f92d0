//! llm-optimizer (BentoML): a record for each configuration, `{config, results, cmd}`, or all of them under `test_results`. Results are
//! those of SGLang's bench_serving.

use super::document::{flatten, known_at, list_at, number_at, text_at};
use super::sglang;
use super::sign::Shape::{List, Number, Object, Text};
use super::sign::Sign::Any;
use super::{Format, Run, known};
use serde_json::{Map, Value};
use std::path::Path;

pub const FORMAT: Format = Format {
    tool: "llm-optimizer",
    name: "llm-optimizer",
    needs: &[
        Any(&[("results.duration", Number), ("test_results", List)]),
        Any(&[("config.client_args", Object), ("config.client", Object), ("test_results", List)]),
        Any(&[("cmd", Text), ("best_configurations", Object)]),
    ],
    tells: &[Any(&[("results.mean_ttft_ms", Number), ("metadata.total_tests", Number)])],
    definitions: &[
        ("ttft", "ttft: from sending, behind the limit of concurrency, to the first chunk with text"),
        ("tpot", "tpot: (latency - TTFT) / (output tokens - 1), per request"),
        ("itl", "itl: gaps between chunks, of all requests together"),
        ("e2el", "e2e_latency"),
        ("total_token_throughput", "input_throughput + output_throughput"),
        ("failed", "num_prompts - completed"),
    ],
    read,
};

/// vLLM's names of what engines call otherwise.
const SERVER: [(&str, &str); 3] =
    [("tp_size", "tensor_parallel_size"), ("pp_size", "pipeline_parallel_size"), ("dp_size", "data_parallel_size")];
/// Flags behind which the model stands.
const MODEL_FLAGS: [&str; 2] = ["model-path", "model"];

fn read(document: &Map<String, Value>, _: &Path) -> Result<Vec<Run>, String> {
    if !document.contains_key("test_results") {
        return Ok(vec![run(document, document.get("metadata"))]);
    }
    let records = list_at(document, "test_results").filter_map(Value::as_object);
    Ok(records.map(|record| run(record, record.get("metadata").or_else(|| document.get("metadata")))).collect())
}

fn run(record: &Map<String, Value>, metadata: Option<&Value>) -> Run {
    let metadata = metadata.and_then(Value::as_object).cloned().unwrap_or_default();
    let results = record.get("results").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut run = Run::of(record);
    sglang::put_results(&results, &mut run);
    let of = |key: &str| number_at(&results, key);
    let total = of("input_throughput").zip(of("output_throughput")).map(|(input, output)| input + output);
    run.put("total_token_throughput", total);
    let part = |names: [&str; 2]| names.iter().find_map(|name| known_at(record, name)?.as_object()).cloned();
    let client = part(["config.client_args", "config.client"]).unwrap_or_default();
    let asked = number_at(&client, "num_prompts");
    run.put("failed", asked.zip(of("completed")).map(|(asked, completed)| (asked - completed).max(0.0) as i64));
    // In the first release `server_args` is the list of words.
    let server = part(["config.server", "config.server_args"]).unwrap_or_default();
    let cmd = text_at(record, "cmd").unwrap_or_default();
    let model = text_at(&metadata, "model_tag").map(str::to_owned).or_else(|| model_in(cmd));
    run.put("model_id", model.clone());
    run.serve = known([
        ("model", model.map(Value::from)),
        ("framework", text_at(&metadata, "framework").or_else(|| framework_in(cmd)).map(Value::from)),
        ("gpu_type", known_at(&metadata, "gpu_type").cloned().filter(|kind| kind != "unknown")),
    ]);
    let renamed =
        |key: &str| SERVER.iter().find(|(own, _)| *own == key).map_or(key.to_owned(), |(_, name)| (*name).into());
    let server = server.iter().map(|(key, value)| (renamed(key), Some(value.clone()))).collect::<Vec<_>>();
    run.serve.params.extend(known(server.iter().map(|(key, value)| (key.as_str(), value.clone()))).params);
    // Without a limit, the rate is infinite; later versions write null.
    let rate = known_at(&results, "request_rate")
        .cloned()
        .or_else(|| results.contains_key("request_rate").then(|| Value::from("inf")));
    run.bench = known(sglang::asked(&results).into_iter().map(|(key, value)| (key, Some(value))));
    run.bench.params.extend(known([("num_prompts", asked.map(Value::from)), ("request_rate", rate)]).params);
    flatten(&Value::from(metadata), "metadata", &mut run.extra);
    known_at(record, "constraints").iter().for_each(|value| flatten(value, "constraints", &mut run.extra));
    run.extra.push(("cmd".into(), cmd.to_owned()));
    run
}

fn model_in(cmd: &str) -> Option<String> {
    let words = shlex::split(cmd)?;
    let flags = || words.iter().enumerate().filter_map(|(at, word)| Some((at, word.strip_prefix("--")?)));
    let behind = |flag: &str| {
        flags().find_map(|(at, word)| match word.strip_prefix(flag)? {
            "" => words.get(at + 1).map(String::as_str),
            value => value.strip_prefix('='),
        })
    };
    let serve = words.iter().zip(words.iter().skip(1)).find(|(word, next)| *word == "serve" && !next.starts_with('-'));
    MODEL_FLAGS.into_iter().find_map(behind).or(serve.map(|(_, model)| model.as_str())).map(str::to_owned)
}

fn framework_in(cmd: &str) -> Option<&'static str> {
    ["sglang", "vllm"].into_iter().find(|name| cmd.contains(name))
}
