//! MLPerf Inference: LoadGen's `mlperf_log_summary.txt`; its date, version and counts in `mlperf_log_detail.txt` beside it.

use super::distribution::percentile;
use super::sign::Shape::{Object, Text};
use super::sign::Sign::Has;
use super::{Format, Run, known};
use serde_json::{Map, Value};
use std::path::Path;

pub const FORMAT: Format = Format {
    tool: "mlperf",
    name: "MLPerf Inference LoadGen",
    needs: &[Has("mlperf.Scenario", Text), Has("mlperf.Mode", Text)],
    tells: &[Has("mlperf", Object)],
    definitions: &[
        ("ttft", "first token latency: from when the sample was scheduled; percentiles are values of the sample"),
        ("tpot", "time per output token: (latency - first token latency) / (tokens - 1), per sample"),
        (
            "e2el",
            "latency: from when the sample was scheduled; not of the scenario Offline, which schedules all at once",
        ),
        ("request_throughput", "(completed) samples per second"),
        ("output_throughput", "(completed) tokens per second"),
    ],
    read,
};

pub const SUMMARY: &str = "mlperf_log_summary.txt";
const DETAIL: &str = "mlperf_log_detail.txt";
const TITLE: &str = "MLPerf Results Summary";
const LAST: &str = "Test Parameters Used";

/// What a latency is called by its mean (`Mean X (ns)`) and by its percentiles (`99.00 percentile X (ns)`), and vLLM's name.
const LATENCIES: [(&str, &str, &str); 3] = [
    ("latency", "latency", "e2el"),
    ("First Token latency", "first token latency", "ttft"),
    ("Time per Output Token", "time to output token", "tpot"),
];

/// A summary as a document: what stands before the colon of a line, and what stands behind it. `None` for another text.
pub fn document(text: &str) -> Option<Map<String, Value>> {
    // The last section says what was asked for: without it the file is cut off, maybe within a number.
    let is_whole =
        text.lines().take(5).any(|line| line.trim() == TITLE) && text.lines().any(|line| line.trim() == LAST);
    if !is_whole {
        return None;
    }
    let mut lines = Map::new();
    let parts = |line| str::split_once(line, " : ").or_else(|| str::rsplit_once(line, ':'));
    for (label, value) in text.lines().filter_map(parts) {
        let (label, value) = (label.split_whitespace().collect::<Vec<_>>().join(" "), value.trim());
        if !label.is_empty() && !value.is_empty() {
            let number = value.parse::<f64>().ok().filter(|number| number.is_finite());
            // A label that comes twice says the same twice.
            lines.entry(label).or_insert_with(|| number.map_or_else(|| value.into(), Value::from));
        }
    }
    Some(Map::from_iter([("mlperf".to_owned(), Value::Object(lines))]))
}

fn read(document: &Map<String, Value>, path: &Path) -> Result<Vec<Run>, String> {
    let lines = document.get("mlperf").and_then(Value::as_object).cloned().unwrap_or_default();
    let of = |label: &str| lines.get(label).and_then(Value::as_f64);
    let text = |label: &str| lines.get(label).and_then(Value::as_str).unwrap_or_default();
    let scenario = text("Scenario").to_owned();
    if text("Mode") == "AccuracyOnly" {
        return Err("is an accuracy run, which measures no performance".into());
    }
    let mut run = Run::of(document);
    let detail = run.text_beside(path, DETAIL).as_deref().map(detail).unwrap_or_default();
    let first = |labels: &[&str]| labels.iter().find_map(|label| of(label));
    run.put(
        "request_throughput",
        first(&["Completed samples per second", "Samples per second", "QPS w/ loadgen overhead"]),
    );
    run.put(
        "output_throughput",
        first(&["Completed tokens per second", "Tokens per second", "TPS w/ loadgen overhead"]),
    );
    // Of several samples a query, and of all at once, there is no latency of one.
    let is_of_one = matches!(scenario.as_str(), "Server" | "SingleStream");
    for (mean, of_percentile, latency) in LATENCIES.into_iter().filter(|_| is_of_one) {
        add_latency(&lines, (mean, of_percentile), latency, &mut run);
    }
    let of_detail = |key: &str| detail.get(key).cloned();
    let queries = of_detail("result_query_count").and_then(|count| count.as_f64());
    let samples = of("samples_per_query").unwrap_or(1.0);
    run.put("completed", queries.map(|queries| (queries * samples) as i64));
    run.started_at = of_detail("test_datetime").and_then(|time| time.as_str()?.parse().ok());
    run.version = of_detail("loadgen_version").and_then(|version| Some(version.as_str()?.to_owned()));
    let is_server = scenario == "Server";
    run.bench = known([
        ("scenario", Some(scenario.as_str().into())),
        ("request_rate", lines.get("target_qps").cloned().filter(|_| is_server)),
        ("max_concurrency", (scenario == "SingleStream").then(|| 1.into())),
        ("samples_per_query", lines.get("samples_per_query").cloned().filter(|_| scenario == "MultiStream")),
        ("sut_name", lines.get("SUT name").cloned()),
    ]);
    if text("Result is") == "INVALID" {
        let failed = lines.iter().filter(|(_, value)| value.as_str() == Some("NO")).map(|(label, _)| label.as_str());
        let failed: Vec<&str> = failed.collect();
        let which = if failed.is_empty() { String::new() } else { format!(" (not: {})", failed.join(", ")) };
        run.cautions.push(format!("LoadGen calls this result INVALID{which}"));
    }
    run.extra.extend(lines.iter().map(|(label, value)| (label.clone(), crate::params::value_text(value))));
    Ok(vec![run])
}

/// The statistics of a latency, from nanoseconds.
fn add_latency(lines: &Map<String, Value>, (mean, of_percentile): (&str, &str), latency: &str, run: &mut Run) {
    let in_ms = |nanoseconds: f64| nanoseconds / 1e6;
    for (word, statistic) in [("Mean", "mean"), ("Min", "min"), ("Max", "max")] {
        let value = lines.get(&format!("{word} {mean} (ns)")).and_then(Value::as_f64);
        run.put(&format!("{statistic}_{latency}_ms"), value.map(in_ms));
    }
    for (label, value) in lines {
        let Some(number) = label.strip_suffix(&format!(" percentile {of_percentile} (ns)")) else { continue };
        let Some(statistic) = percentile(number) else { continue };
        run.put(&format!("{statistic}_{latency}_ms"), value.as_f64().map(in_ms));
    }
}

/// The values of the detailed log: `:::MLLOG {"key": …, "value": …}`.
fn detail(text: &str) -> Map<String, Value> {
    let records = text.lines().filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix(":::MLLOG ")?).ok());
    records.filter_map(|record| Some((record.get("key")?.as_str()?.to_owned(), record.get("value")?.clone()))).collect()
}
