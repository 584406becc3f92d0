//! A run as a row of table `runs`, and its requests as rows of table `requests`.

use super::{Cell, Origin, Outcome, Row, RunRecord};
use crate::id::column_name;
use crate::params::{Command, ParamSet, redacted_params};
use serde_json::{Map, Value};

/// Keys of a result that hold one value for each request; they go to table `requests`.
pub const REQUEST_ARRAYS: [&str; 9] = [
    "input_lens",
    "output_lens",
    "ttfts",
    "itls",
    "latencies",
    "queue_times",
    "start_times",
    "generated_texts",
    "errors",
];

/// Columns of `runs` that sweeplake owns; a parameter of the same name stands under `param.NAME`.
const OWN_COLUMNS: [&str; 23] = [
    "sweep",
    "combination",
    "run_id",
    "run_number",
    "status",
    "error_kind",
    "error",
    "exit_code",
    "log_tail",
    "started_at",
    "wall_time_s",
    "startup_time_s",
    "serve_params",
    "bench_params",
    "serve_name",
    "bench_name",
    "tokens_per_user",
    "tokens_per_gpu",
    "source_tool",
    "source_version",
    "source_file",
    "source_definitions",
    "extra",
];

impl RunRecord {
    /// The row of this run in table `runs`.
    pub fn to_row(&self) -> Row {
        let failure = self.failure();
        let mut row: Row = vec![
            ("sweep".into(), self.sweep.as_str().into()),
            ("combination".into(), self.combination.id.as_str().into()),
            ("run_id".into(), self.run_id.as_str().into()),
            ("run_number".into(), self.run_number.into()),
            ("status".into(), if failure.is_some() { "failed" } else { "completed" }.into()),
            ("error_kind".into(), failure.map(|failure| failure.kind.as_str()).into()),
            ("error".into(), failure.map(|failure| failure.message.as_str()).into()),
            ("exit_code".into(), failure.and_then(|failure| failure.exit_code).map(i64::from).into()),
            (
                "log_tail".into(),
                failure.map(|failure| failure.log_tail.join("\n").as_str().into()).unwrap_or(Cell::Null),
            ),
            ("started_at".into(), Cell::Time(self.started_at.timestamp_micros())),
            ("wall_time_s".into(), self.wall_time_s.into()),
            ("startup_time_s".into(), self.startup_time_s.into()),
            ("serve_name".into(), self.combination.serve.name.as_deref().into()),
            ("bench_name".into(), self.combination.bench.name.as_deref().into()),
            ("serve_params".into(), json_text(&self.combination.serve)),
            ("bench_params".into(), json_text(&self.combination.bench)),
        ];
        let measured = match &self.outcome {
            Outcome::Completed(result) => measured_columns(result),
            Outcome::Failed(_) => {
                measured_columns(&super::complete_result(Map::new(), self.run_number, &self.combination))
            }
        };
        row.push(("gpu_count".into(), self.gpu_count.into()));
        row.push(("tokens_per_user".into(), tokens_per_user(&measured).into()));
        row.push((
            "tokens_per_gpu".into(),
            number(&measured, "output_throughput").map(|all| all / self.gpu_count).into(),
        ));
        row.extend(measured.into_iter().filter(|(name, _)| name != "gpu_count"));
        row.extend(self.source.iter().flat_map(source_columns));
        row
    }

    /// The rows of this run in table `requests`; none where the result carries no value for each request.
    pub fn to_request_rows(&self) -> Vec<Row> {
        let Some(result) = self.result() else { return Vec::new() };
        let array = |key: &str| result.get(key).and_then(Value::as_array);
        let count = REQUEST_ARRAYS.iter().filter_map(|key| array(key)).map(Vec::len).max().unwrap_or(0);
        let at = |key: &str, index: usize| array(key).and_then(|values| values.get(index));
        let seconds = |key: &str, index: usize| at(key, index).and_then(Value::as_f64);
        let first_start = array("start_times")
            .and_then(|times| times.iter().filter_map(Value::as_f64).reduce(f64::min))
            .unwrap_or(0.0);
        let rows = (0..count).map(|index| {
            let error = at("errors", index).and_then(Value::as_str);
            let failed = error.is_some_and(|error| !error.is_empty());
            let output_len = at("output_lens", index).and_then(Value::as_i64);
            let itls: Option<Vec<f64>> = at("itls", index)
                .and_then(Value::as_array)
                .map(|gaps| gaps.iter().filter_map(Value::as_f64).map(to_ms).collect());
            let ttft = seconds("ttfts", index).filter(|_| !failed).map(to_ms);
            let e2el = seconds("latencies", index).map(to_ms).or_else(|| {
                // Older files lack `latencies`: the last token ends the request.
                ttft.zip(itls.as_ref()).map(|(ttft, gaps)| ttft + gaps.iter().sum::<f64>())
            });
            let e2el = e2el.filter(|_| !failed);
            vec![
                ("sweep".into(), self.sweep.as_str().into()),
                ("combination".into(), self.combination.id.as_str().into()),
                ("run_id".into(), self.run_id.as_str().into()),
                ("run_number".into(), self.run_number.into()),
                ("request_index".into(), (index as i64).into()),
                ("start_s".into(), seconds("start_times", index).map(|start| start - first_start).into()),
                ("input_len".into(), at("input_lens", index).and_then(Value::as_i64).into()),
                ("output_len".into(), output_len.into()),
                ("ttft_ms".into(), ttft.into()),
                ("tpot_ms".into(), tpot(ttft, e2el, output_len).into()),
                ("e2el_ms".into(), e2el.into()),
                ("queue_time_ms".into(), seconds("queue_times", index).map(to_ms).into()),
                ("itls_ms".into(), itls.map_or(Cell::Null, Cell::Floats)),
                ("ok".into(), error.map_or(Cell::Null, |_| Cell::Bool(!failed))),
                ("error".into(), error.filter(|error| !error.is_empty()).into()),
            ]
        });
        rows.collect()
    }
}

fn source_columns(source: &Origin) -> Row {
    vec![
        ("source_tool".into(), source.tool.as_str().into()),
        ("source_version".into(), source.version.as_deref().into()),
        ("source_file".into(), source.file.as_str().into()),
        ("source_definitions".into(), Cell::Map(source.definitions.clone())),
        ("extra".into(), Cell::Map(source.extra.clone())),
    ]
}

/// The number of GPUs of a server: tensor × pipeline × data parallel size, from its command (parameters
/// included), else from a record's keys.
pub fn gpu_count_of(command: Option<&Command>, values: &Map<String, Value>) -> f64 {
    let direct = ["gpu_count", "num_gpus"].iter().find_map(|key| lookup(values, key));
    let sizes = [
        (&["tensor-parallel-size", "-tp", "tp", "tp-size"][..], &["tensor_parallel_size", "tp", "tp_size"][..]),
        (&["pipeline-parallel-size", "-pp", "pp", "pp-size"], &["pipeline_parallel_size", "pp", "pp_size"]),
        (&["data-parallel-size", "-dp", "dp", "dp-size"], &["data_parallel_size", "dp", "dp_size"]),
    ];
    let product = sizes.iter().map(|(flags, keys)| {
        let from_command = command.and_then(|command| command.flag(flags)).and_then(|text| text.parse().ok());
        let from_record = || keys.iter().find_map(|key| lookup(values, key));
        from_command.or_else(from_record).filter(|size| *size >= 1.0).unwrap_or(1.0)
    });
    direct.filter(|count| *count >= 1.0).unwrap_or_else(|| product.product())
}

/// Time per output token after the first, as vLLM defines it.
fn tpot(ttft_ms: Option<f64>, e2el_ms: Option<f64>, output_len: Option<i64>) -> Option<f64> {
    let tokens = output_len.filter(|tokens| *tokens > 1)?;
    Some((e2el_ms? - ttft_ms?) / (tokens - 1) as f64)
}

fn measured_columns(values: &Map<String, Value>) -> Row {
    let mut row = Row::new();
    let mut has_renamed = false;
    for (key, value) in values {
        if REQUEST_ARRAYS.contains(&key.as_str()) || key == "run_number" || key == crate::params::BENCHMARK_NAME {
            continue;
        }
        let mut name = column_name(key.trim_end_matches(':'));
        if OWN_COLUMNS.contains(&name.as_str()) {
            name = format!("param.{name}");
        }
        // Keys differ, but two spellings of one may become the same name.
        has_renamed |= name != *key;
        if !has_renamed || !row.iter().any(|(known, _)| *known == name) {
            row.push((name.into(), Cell::of_json(value)));
        }
    }
    row
}

/// Output tokens per second that one of the concurrent users sees.
fn tokens_per_user(row: &Row) -> Option<f64> {
    let users = ["max_concurrency", "max_concurrent_requests"]
        .iter()
        .find_map(|name| number(row, name).filter(|users| users.is_finite() && *users > 0.0))?;
    number(row, "output_throughput").map(|all| all / users)
}

fn number(row: &Row, name: &str) -> Option<f64> {
    row.iter().find(|(known, _)| known == name).and_then(|(_, cell)| cell.as_f64())
}

fn lookup(values: &Map<String, Value>, key: &str) -> Option<f64> {
    match values.get(key).or_else(|| values.get(&key.replace('_', "-")))? {
        Value::String(text) => text.parse().ok(),
        other => other.as_f64(),
    }
}

fn json_text(set: &ParamSet) -> Cell {
    Cell::Text(Value::Object(redacted_params(&set.params).collect()).to_string())
}

fn to_ms(seconds: f64) -> f64 {
    seconds * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Combination;
    use chrono::DateTime;
    use serde_json::json;

    fn record(serve: Value, result: Value) -> RunRecord {
        let params = |value: Value| ParamSet { name: None, params: value.as_object().unwrap().clone() };
        RunRecord {
            sweep: "s".into(),
            combination: Combination::new(params(serve), params(json!({}))),
            run_id: "r".into(),
            run_number: 0,
            started_at: DateTime::UNIX_EPOCH,
            wall_time_s: 1.0,
            startup_time_s: None,
            gpu_count: 4.0,
            outcome: Outcome::Completed(result.as_object().unwrap().clone()),
            source: None,
        }
    }

    fn cell(row: &Row, name: &str) -> Cell {
        row.iter().find(|(known, _)| known == name).map(|(_, cell)| cell.clone()).unwrap()
    }

    #[test]
    fn a_result_becomes_a_row() {
        let result = json!({
            "request_rate": "inf", "max_concurrency": 8, "output_throughput": 400.0, "latencies": [1.0],
            "run_number": 0, "max-num-seqs": 32, "status": "x",
        });
        let row = record(json!({"max-num-seqs": 32}), result).to_row();
        assert_eq!(cell(&row, "request_rate"), Cell::Float(f64::INFINITY));
        assert_eq!(cell(&row, "tokens_per_user"), Cell::Float(50.0));
        assert_eq!(cell(&row, "tokens_per_gpu"), Cell::Float(100.0));
        assert_eq!(cell(&row, "max_num_seqs"), Cell::Int(32));
        assert_eq!((cell(&row, "status"), cell(&row, "param.status")), ("completed".into(), "x".into()));
        assert!(!row.iter().any(|(name, _)| name == "latencies"));
    }

    #[test]
    fn arrays_become_requests() {
        let result = json!({
            "input_lens": [8, 9], "output_lens": [3, 0], "ttfts": [0.1, 0.0], "itls": [[0.02, 0.04], []],
            "start_times": [100.5, 100.0], "errors": ["", "boom"],
        });
        let rows = record(json!({}), result).to_request_rows();
        assert_eq!(rows.len(), 2);
        assert_eq!(cell(&rows[0], "start_s"), Cell::Float(0.5));
        assert!((cell(&rows[0], "e2el_ms").as_f64().unwrap() - 160.0).abs() < 1e-9);
        assert!((cell(&rows[0], "tpot_ms").as_f64().unwrap() - 30.0).abs() < 1e-9);
        assert_eq!((cell(&rows[1], "ok"), cell(&rows[1], "e2el_ms")), (Cell::Bool(false), Cell::Null));
        assert!(record(json!({}), json!({"duration": 1.0})).to_request_rows().is_empty());
    }

    #[test]
    fn gpus_are_counted_from_any_spelling() {
        let none = Map::new();
        let count = |command: &str| gpu_count_of(Some(&Command::parse("f", command).unwrap()), &none);
        assert_eq!(count("vllm serve m"), 1.0);
        assert_eq!(count("vllm serve m -tp 2 --pipeline_parallel_size=2 --data-parallel-size 3"), 12.0);
        let values = json!({"tensor-parallel-size": "4", "dp": 2});
        assert_eq!(gpu_count_of(None, values.as_object().unwrap()), 8.0);
        assert_eq!(gpu_count_of(None, json!({"num_gpus": 6, "tp": 2}).as_object().unwrap()), 6.0);
    }
}
