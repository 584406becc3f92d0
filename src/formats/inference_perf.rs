//! inference-perf: `stage_N_lifecycle_metrics.json` for each stage of load, in seconds; its settings in `config.yaml` beside it, its
//! requests in `per_request_lifecycle_metrics.json`.

use super::distribution::add_statistics;
use super::document::{beside, flatten, known_at, names_beside, number_at, rounded, text_at, unpacked};
use super::requests::{Request, add_requests, in_order};
use super::sign::Shape::{Number, Object};
use super::sign::Sign::Has;
use super::{Format, Run, flattened, known};
use serde_json::{Map, Value};
use std::path::Path;

pub const FORMAT: Format = Format {
    tool: "inference-perf",
    name: "inference-perf",
    needs: &[
        Has("load_summary", Object),
        Has("failures", Object),
        Has("successes.throughput.requests_per_sec", Number),
    ],
    tells: &[Has("successes.latency.request_latency", Object), Has("benchmark_time_seconds", Number)],
    definitions: &[
        ("ttft", "time_to_first_token, in seconds"),
        ("tpot", "time_per_output_token, in seconds: (last token - first token) / (output tokens - 1), per request"),
        ("itl", "inter_token_latency, in seconds: gaps between tokens, of all requests together"),
        ("e2el", "request_latency, in seconds"),
        ("duration", "benchmark_time_seconds: from the first request sent to the last response"),
        ("output_throughput", "output tokens as the server counted them / duration"),
    ],
    read,
};

const REQUESTS: &str = "per_request_lifecycle_metrics.json";
const CONFIG: &str = "config.yaml";
const SUMMARY: &str = "summary_lifecycle_metrics.json";
/// What stands before and behind the number of a stage.
const STAGE: (&str, &str) = ("stage_", "_lifecycle_metrics.json");
/// The same stage as the benchmark report of llm-d.
const REPORT: (&str, &str) = ("inference-perf.partial.stage_", ".yaml");
/// Parts of stages, by the adapter that was asked for.
const OF_ADAPTER: &str = "adapter_";

const LATENCIES: [(&str, &str); 4] = [
    ("request_latency", "e2el"),
    ("time_to_first_token", "ttft"),
    ("time_per_output_token", "tpot"),
    ("inter_token_latency", "itl"),
];

/// A file of a stage: what stands before all files of its run, and the stage's number.
struct Stage {
    prefix: String,
    number: usize,
}

impl Stage {
    fn of(name: &str, (before, after): (&str, &str)) -> Option<Self> {
        let (prefix, number) = name.strip_suffix(after)?.rsplit_once(before)?;
        let number = number.parse().ok()?;
        (!prefix.contains(OF_ADAPTER)).then(|| Self { prefix: prefix.to_owned(), number })
    }

    fn file(&self, (before, after): (&str, &str)) -> String {
        format!("{}{before}{}{after}", self.prefix, self.number)
    }
}

/// Whether a file tells nothing that others do not tell: the settings, single requests, parts of stages, all stages in one, or one of them
/// in another form. `name` is that of what is in the file.
pub fn is_companion(path: &Path, name: &str) -> bool {
    if let Some(stage) = Stage::of(name, REPORT) {
        return is_there(path, &stage.file(STAGE));
    }
    let is_part = name.contains(OF_ADAPTER) && name.ends_with("lifecycle_metrics.json");
    let is_said = |file: &str| name.strip_suffix(file).is_some_and(|prefix| !stages(path, prefix).is_empty());
    // Alone, a summary is all there is.
    is_part || name.ends_with(REQUESTS) || is_said(SUMMARY) || is_said(CONFIG)
}

fn is_there(path: &Path, name: &str) -> bool {
    names_beside(path, name).iter().any(|file| file.is_file())
}

fn read(document: &Map<String, Value>, path: &Path) -> Result<Vec<Run>, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = unpacked(&name);
    let stage = Stage::of(name, STAGE);
    let prefix =
        stage.as_ref().map(|stage| stage.prefix.clone()).or_else(|| name.strip_suffix(SUMMARY).map(str::to_owned));
    let prefix = prefix.unwrap_or_default();
    let mut run = Run::of(document);
    let config = match run.beside(path, &format!("{prefix}{CONFIG}")).into_iter().next() {
        Some(Value::Object(config)) => config,
        _ => Map::new(),
    };
    add_measured(document, &mut run);
    add_settings(document, &config, stage.as_ref().map(|stage| stage.number), &mut run);
    if let Some(stage) = &stage {
        let report = run.beside(path, &stage.file(REPORT)).into_iter().next();
        let start = report.as_ref().and_then(|report| text_at(report.as_object()?, "run.time.start"));
        run.started_at = start.and_then(|time| time.parse().ok());
        add_own_requests(path, stage, &mut run);
    }
    for (key, value) in document.iter().filter(|(key, _)| *key != "successes") {
        flatten(value, key, &mut run.extra);
    }
    for key in ["prompt_tokens", "output_tokens", "output_len", "goodput_metrics", "token_count_mismatches"] {
        known_at(document, &format!("successes.{key}")).iter().for_each(|value| flatten(value, key, &mut run.extra));
    }
    flatten(&Value::from(config), "config", &mut run.extra);
    Ok(vec![run])
}

fn add_measured(document: &Map<String, Value>, run: &mut Run) {
    let of = |path: &str| number_at(document, path);
    let duration = of("benchmark_time_seconds").or_else(|| {
        let rate = of("successes.throughput.requests_per_sec").filter(|rate| *rate > 0.0)?;
        Some(of("successes.count")? / rate)
    });
    run.put("duration", duration);
    run.put("completed", of("successes.count").map(rounded));
    run.put("failed", of("failures.count").map(rounded));
    run.put("request_throughput", of("successes.throughput.requests_per_sec"));
    run.put("request_goodput", of("successes.goodput_metrics.request_goodput"));
    let is_recounted = add_tokens(document, duration, run);
    for (name, latency) in LATENCIES {
        if !(is_recounted && ["tpot", "itl"].contains(&latency)) {
            add_statistics(known_at(document, &format!("successes.latency.{name}")), latency, 1000.0, &mut run.result);
        }
    }
}

/// Tokens as the server counted them. By default inference-perf counts the output once more with a tokenizer of its own, and its
/// rates follow from that: where the two differ, rates are made from the server's counts, and what can't be is left out.
fn add_tokens(document: &Map<String, Value>, duration: Option<f64>, run: &mut Run) -> bool {
    let of = |path: &str| number_at(document, &format!("successes.{path}"));
    let completed = of("count").unwrap_or(0.0);
    let own = of("output_len.mean").map(|mean| mean * completed);
    let server = of("output_tokens.total");
    let output = server.or(own);
    let input = of("prompt_tokens.total").or_else(|| Some(of("prompt_len.mean")? * completed));
    run.put("total_input_tokens", input.map(rounded));
    run.put("total_output_tokens", output.map(rounded));
    let rate = |key: &str| of(&format!("throughput.{key}"));
    let told = rate("output_tokens_per_sec");
    // Rates are those of the server's counts where the two are the same, or where it was asked for them.
    let expected = server.zip(duration).map(|(tokens, duration)| tokens / duration);
    let is_recounted =
        told.zip(expected).is_some_and(|(told, expected)| (told - expected).abs() > 1e-3 * expected.abs());
    if !is_recounted {
        run.put("output_throughput", told);
        run.put("total_token_throughput", rate("total_tokens_per_sec"));
        return false;
    }
    run.put("output_throughput", expected);
    let all = output.zip(input).zip(duration).map(|((output, input), duration)| (output + input) / duration);
    run.put("total_token_throughput", all);
    run.cautions.push(format!(
        "inference-perf counted {:.1} output tokens per request with its own tokenizer, the server counted {:.1}; throughput is from the \
         server's counts, and TPOT and ITL are left out",
        of("output_len.mean").unwrap_or(f64::NAN),
        of("output_tokens.mean").unwrap_or(f64::NAN)
    ));
    true
}

fn add_settings(document: &Map<String, Value>, config: &Map<String, Value>, stage: Option<usize>, run: &mut Run) {
    let concurrency = known_at(document, "load_summary.concurrency").cloned();
    // In a closed loop the rate is a number of prompts over a made-up second.
    let is_closed = concurrency.is_some();
    let of_stage = |key: &str| known_at(config, &format!("load.stages.{}.{key}", stage?)).cloned();
    let of_data = |key: &str| known_at(config, &format!("data.{key}")).cloned();
    let is_random = text_at(config, "data.type") == Some("random");
    let length = |key: &str| of_data(&format!("{key}_distribution.mean")).filter(|_| is_random);
    run.serve = known([("model", known_at(config, "server.model_name").cloned())]);
    run.put("model_id", run.serve.get("model").cloned());
    // Whatever else is said of the data tells workloads apart.
    let mut data = Vec::new();
    known_at(config, "data").iter().for_each(|value| flatten(value, "data", &mut data));
    data.retain(|(path, _)| !path.ends_with(".total_count"));
    run.bench = flattened(&data);
    run.bench.params.extend(
        known([
            ("max_concurrency", concurrency),
            ("request_rate", known_at(document, "load_summary.requested_rate").cloned().filter(|_| !is_closed)),
            ("arrivals", known_at(config, "load.type").cloned()),
            ("num_prompts", of_stage("num_requests").filter(|_| is_closed)),
            ("benchmark_duration", of_stage("duration").filter(|_| !is_closed)),
            ("backend", known_at(config, "api.type").cloned()),
            ("dataset", of_data("path").or_else(|| of_data("type"))),
            ("random_input_len", length("input")),
            ("random_input_len_stddev", of_data("input_distribution.std_dev").filter(|_| is_random)),
            ("random_output_len", length("output")),
            ("random_output_len_stddev", of_data("output_distribution.std_dev").filter(|_| is_random)),
        ])
        .params,
    );
}

/// Each stage's requests follow those of the stage before; they are kept where they are as many as the stages say.
fn add_own_requests(path: &Path, stage: &Stage, run: &mut Run) {
    let records = run.beside(path, &format!("{}{REQUESTS}", stage.prefix));
    if records.is_empty() {
        return;
    }
    let stages = stages(path, &stage.prefix);
    let count = |number: &usize| {
        let name = Stage { prefix: stage.prefix.clone(), number: *number }.file(STAGE);
        let told = beside(path, &name).ok()?.into_iter().next()?;
        Some((*number, number_at(told.as_object()?, "load_summary.count")? as usize))
    };
    let counts: Vec<(usize, usize)> = stages.iter().filter_map(count).collect();
    let all = records.iter().flat_map(|value| value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice));
    let all = in_order(all.filter_map(Value::as_object).map(request));
    let counted: usize = counts.iter().map(|(_, count)| count).sum();
    if counts.len() != stages.len() || counted != all.len() {
        run.notes.push(format!(
            "{REQUESTS} lists {} requests, but the stages count {counted}: per-request data is left out",
            all.len()
        ));
        return;
    }
    let before = counts.iter().filter(|(number, _)| *number < stage.number).map(|(_, count)| count).sum();
    let own = counts.iter().find(|(number, _)| *number == stage.number).map_or(0, |(_, count)| *count);
    let own: Vec<Request> = all.into_iter().skip(before).take(own).collect();
    add_requests(&own, &mut run.result);
}

fn request(record: &Map<String, Value>) -> Request {
    let of = |path: &str| number_at(record, path);
    let start = of("start_time");
    let first = of("computed_metrics.time_to_first_token").or_else(|| {
        let chunk =
            of("info.response_metrics.chunk_times.0").or_else(|| of("info.response_metrics.output_token_times.0"));
        Some(chunk? - start?)
    });
    let error = known_at(record, "error");
    let words = error.and_then(|error| error.get("error_msg").or_else(|| error.get("error_type")));
    let is_failed = error.is_some();
    Request {
        start_s: start,
        input_len: of("info.response_metrics.server_usage.prompt_tokens").map(|tokens| tokens as i64),
        output_len: of("info.response_metrics.server_usage.completion_tokens").map(|tokens| tokens as i64),
        ttft_s: first.filter(|_| !is_failed),
        latency_s: of("end_time").zip(start).map(|(end, start)| end - start).filter(|_| !is_failed),
        error: match error {
            None => String::new(),
            Some(error) => words.and_then(Value::as_str).map_or_else(|| error.to_string(), str::to_owned),
        },
        ..Request::default()
    }
}

/// The numbers of all stages beside a file whose names begin alike, in their order.
fn stages(path: &Path, prefix: &str) -> Vec<usize> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let number = |name: String| {
        let stage = Stage::of(unpacked(&name), STAGE)?;
        (stage.prefix == prefix).then_some(stage.number)
    };
    let mut stages: Vec<usize> =
        entries.filter_map(|entry| number(entry.file_name().to_string_lossy().into_owned())).collect();
    stages.sort_unstable();
    stages.dedup();
    stages
}
