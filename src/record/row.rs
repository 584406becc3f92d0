//! A run as a row of table `runs`, and its requests as rows of table `requests`.

use super::field::{Field, REQUEST_ARRAYS, RunRow, TPOTS};
use super::result_fields::{Extent, result_fields};
use super::{Cell, Observed, Outcome, Row, RunRecord, Status, success};
use crate::id::column_name;
use crate::metric::is_cut_off;
use crate::params::ParamSet;
use crate::table::{Kind, parameter_column};
use crate::telemetry::{Samples, Summary};
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::sync::Arc;

impl RunRecord {
    /// The row of this run in table `runs`.
    pub fn to_row(&self) -> RunRow {
        let (serve, bench) = (&self.combination.serve, &self.combination.bench);
        let mut row = self.own_fields();
        row.extend(self.observed_fields());
        let sampled = self.sampled();
        row.extend(sampled.columns().map(|(name, value)| Field::own(name, value)));
        let parameters = parameter_fields(serve, bench);
        let set: HashSet<&str> = parameters.iter().map(|field| field.name.as_ref()).collect();
        let extent = if self.status() == Status::Failed { Extent::Counts } else { Extent::All };
        let none = Map::new();
        let found = result_fields(self.result().unwrap_or(&none), &bench.params, &set, extent);
        let mut cautions = self.cautions.clone();
        cautions.extend(self.observed_cautions());
        cautions.extend(self.client_bound());
        cautions.extend(found.cautions);
        let caution = row.iter_mut().find(|field| field.name == "caution");
        if let Some(caution) = caution.filter(|_| !cautions.is_empty()) {
            caution.cell = Cell::Texts(cautions);
        }
        let users = users(&parameters, &found.fields);
        row.extend(parameters);
        row.extend(found.fields);
        let throughput = number(&row, "output_throughput");
        let per = |count: Option<f64>| throughput.zip(count).map(|(all, count)| all / count);
        // A source may tell them itself, where it does not tell of what they are made.
        if number(&row, "tokens_per_user").is_none() {
            row.push(Field::own("tokens_per_user", per(users)));
        }
        if number(&row, "tokens_per_gpu").is_none() {
            row.push(Field::own("tokens_per_gpu", per(self.gpu_count)));
        }
        let energy = sampled.gpu_energy_j.filter(|energy| *energy > 0.0);
        let tokens = number(&row, "total_output_tokens");
        row.push(Field::own("tokens_per_joule", tokens.zip(energy).map(|(tokens, energy)| tokens / energy)));
        if !found.derived.is_empty() {
            row.push(Field::own("derived", Cell::Texts(found.derived)));
        }
        let mut extra = found.extra;
        if let Some(source) = &self.source {
            row.extend([
                Field::own("source_tool", source.tool.as_str()),
                Field::own("source_version", source.version.as_deref()),
                Field::own("source_file", source.file.as_str()),
                Field::own("source_definitions", Cell::Map(source.definitions.clone())),
            ]);
            extra.extend(source.extra.iter().cloned());
        }
        if !extra.is_empty() {
            row.push(Field::own("extra", Cell::Map(extra)));
        }
        row
    }

    /// What it is, how it ended, and where it was made.
    fn own_fields(&self) -> Vec<Field> {
        let failure = self.failure();
        let (serve, bench) = (&self.combination.serve, &self.combination.bench);
        let company = self.company.as_ref();
        vec![
            Field::own("sweep", self.sweep.as_str()),
            Field::own("combination", self.combination_name().as_str()),
            Field::own("run_id", self.run_id.as_str()),
            Field::own("run_number", self.run_number),
            Field::own("status", self.status().as_str()),
            Field::own("caution", Cell::Null),
            Field::own("error_kind", failure.map(|failure| failure.kind.as_str())),
            Field::own("error", failure.map(|failure| failure.message.as_str())),
            Field::own("exit_code", failure.and_then(|failure| failure.exit_code).map(i64::from)),
            Field::own("log_tail", failure.map(|failure| Cell::Text(failure.log_tail.join("\n")))),
            Field::own("started_at", self.started_at.map(|time| Cell::Time(time.timestamp_micros()))),
            Field::own("wall_time_s", self.wall_time_s),
            Field::own("startup_time_s", self.startup_time_s),
            Field::own("round", self.place.map(|place| i64::from(place.round))),
            Field::own("server_start", self.place.map(|place| i64::from(place.server_start))),
            Field::own("run_order", self.place.map(|place| i64::from(place.run_order))),
            Field::own("attempt", self.place.map(|place| i64::from(place.attempt))),
            Field::own("bench_seed", self.seed.map(i64::from)),
            Field::own("fingerprint", self.under.as_ref().map(|under| under.fingerprint.as_str())),
            Field::own("host", self.machine.as_ref().map(|machine| machine.host.as_str())),
            Field::own("gpu_uuids", self.machine.as_ref().map_or(Cell::Null, |machine| texts(&machine.gpu_uuids))),
            Field::own(
                "server_gpus",
                company.map(|company| company.gpus.join(",")).filter(|gpus| !gpus.is_empty()).as_deref(),
            ),
            Field::own("neighbours", company.map(|company| company.neighbours as i64)),
            Field::own("beside", company.map_or(Cell::Null, |company| texts(&company.beside))),
            Field::own("serve_name", serve.name.as_deref()),
            Field::own("bench_name", bench.name.as_deref()),
            Field::own("serve_params", json_text(serve)),
            Field::own("bench_params", json_text(bench)),
            Field::own("gpu_count", self.gpu_count),
        ]
    }

    /// What was seen around the run.
    fn observed_fields(&self) -> [Field; 5] {
        let seen = |value: fn(&Observed) -> Option<f64>| self.observed.as_ref().and_then(value);
        [
            Field::own("client_cores", seen(|seen| seen.client_cores)),
            Field::own("requests_before", seen(|seen| seen.requests_before)),
            Field::own("server_requests", seen(|seen| seen.server_requests)),
            Field::own("preemptions", seen(|seen| seen.preemptions)),
            Field::own("prefix_cache_hit_rate", seen(|seen| seen.prefix_cache_hit_rate)),
        ]
    }

    /// What was sampled while it was measured.
    pub fn samples(&self) -> Option<&Samples> {
        let of_failure = || self.failure().and_then(|failure| failure.samples.as_ref());
        let samples = self.observed.as_ref().and_then(|observed| observed.samples.as_ref()).or_else(of_failure);
        samples.map(Arc::as_ref).filter(|samples| !samples.is_empty())
    }

    /// What the samples come to.
    fn sampled(&self) -> Summary {
        self.samples().map(Summary::of).unwrap_or_default()
    }

    /// What a client says of itself.
    fn client_bound(&self) -> Option<String> {
        let Outcome::Completed(result) = &self.outcome else { return None };
        let is_bound = result.get("client_bound").and_then(Value::as_str) == Some("yes");
        is_bound.then(|| {
            "the client was the bottleneck, as it says itself (client_bound): the server may be faster".to_owned()
        })
    }

    fn observed_cautions(&self) -> Vec<String> {
        let Some(observed) = &self.observed else { return Vec::new() };
        let result = self.result();
        let counts = success(&|key: &str| result.and_then(|result| result.get(key)));
        observed.cautions(counts.map(|counts| (counts.completed + counts.failed) as f64))
    }

    /// The rows of this run in table `requests`; none where the result carries no value for each request.
    pub fn to_request_rows(&self) -> Vec<Row> {
        let Outcome::Completed(result) = &self.outcome else { return Vec::new() };
        let array = |key: &str| result.get(key).and_then(Value::as_array);
        let count = REQUEST_ARRAYS.iter().filter_map(|key| array(key)).map(Vec::len).max().unwrap_or(0);
        let at = |key: &str, index: usize| array(key).and_then(|values| values.get(index));
        let seconds = |key: &str, index: usize| at(key, index).and_then(Value::as_f64);
        let first_start = array("start_times")
            .and_then(|times| times.iter().filter_map(Value::as_f64).reduce(f64::min))
            .unwrap_or(0.0);
        let combination = self.combination_name();
        let rows = (0..count).map(|index| {
            let error = at("errors", index).and_then(Value::as_str);
            let failed = error.is_some_and(|error| !error.is_empty());
            let is_cut_off = error.is_some_and(is_cut_off);
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
                ("combination".into(), combination.as_str().into()),
                ("run_id".into(), self.run_id.as_str().into()),
                ("run_number".into(), self.run_number.into()),
                ("request_index".into(), (index as i64).into()),
                ("start_s".into(), seconds("start_times", index).map(|start| start - first_start).into()),
                ("input_len".into(), at("input_lens", index).and_then(Value::as_i64).into()),
                ("output_len".into(), output_len.into()),
                ("ttft_ms".into(), ttft.into()),
                ("tpot_ms".into(), seconds(TPOTS, index).map(to_ms).or_else(|| tpot(ttft, e2el, output_len)).into()),
                ("e2el_ms".into(), e2el.into()),
                ("queue_time_ms".into(), seconds("queue_times", index).map(to_ms).into()),
                ("itls_ms".into(), itls.map_or(Cell::Null, Cell::Floats)),
                ("ok".into(), error.filter(|_| !is_cut_off).map_or(Cell::Null, |_| Cell::Bool(!failed))),
                ("error".into(), error.filter(|error| !error.is_empty()).into()),
            ]
        });
        rows.collect()
    }
}

/// None of them is not known.
fn texts(all: &[String]) -> Cell {
    if all.is_empty() { Cell::Null } else { Cell::Texts(all.to_vec()) }
}

/// The parameters of both sides; where both set one, the load's is shown, as in vLLM's records.
fn parameter_fields(serve: &ParamSet, bench: &ParamSet) -> Vec<Field> {
    let of = |set: &ParamSet, kind: Kind| -> Vec<Field> {
        let fields = set.params.iter().map(|(key, value)| Field {
            name: parameter_column(column_name(key)).into(),
            kind,
            cell: Cell::of_setting(value),
        });
        fields.collect()
    };
    let bench = of(bench, Kind::BenchParameter);
    let mut fields = of(serve, Kind::ServeParameter);
    fields.retain(|field| !bench.iter().any(|other| other.name == field.name));
    fields.extend(bench);
    fields
}

/// How many users share the throughput: the concurrency that was asked for, else the one that was measured.
fn users(parameters: &[Field], found: &[Field]) -> Option<f64> {
    let usable = |users: &f64| users.is_finite() && *users > 0.0;
    let of = |fields: &[Field], name: &str| number(fields, name).filter(usable);
    let measured = || USERS[1..].iter().find_map(|name| of(found, name));
    of(parameters, USERS[0]).or_else(|| of(found, USERS[0])).or_else(measured)
}

/// The columns that tell the number of users, in the order in which they are believed.
pub const USERS: [&str; 4] =
    ["max_concurrency", "mean_concurrent_requests", "peak_concurrent_requests", "max_concurrent_requests"];

/// Time per output token after the first, as vLLM defines it.
fn tpot(ttft_ms: Option<f64>, e2el_ms: Option<f64>, output_len: Option<i64>) -> Option<f64> {
    let tokens = output_len.filter(|tokens| *tokens > 1)?;
    Some((e2el_ms? - ttft_ms?) / (tokens - 1) as f64)
}

fn number(row: &[Field], name: &str) -> Option<f64> {
    row.iter().find(|field| field.name == name).and_then(|field| field.cell.as_f64())
}

fn json_text(set: &ParamSet) -> Cell {
    Cell::Text(Value::Object(set.params.clone()).to_string())
}

fn to_ms(seconds: f64) -> f64 {
    seconds * 1000.0
}

/// A map without what it says of single requests.
pub fn without_requests(result: &Map<String, Value>) -> Map<String, Value> {
    let kept = result.iter().filter(|(key, _)| !REQUEST_ARRAYS.contains(&key.as_str()) && *key != TPOTS);
    kept.map(|(key, value)| (key.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Combination;
    use chrono::DateTime;
    use serde_json::json;

    fn record(serve: Value, bench: Value, result: Value) -> RunRecord {
        let params = |value: Value| ParamSet { name: None, params: value.as_object().unwrap().clone() };
        RunRecord {
            sweep: "s".into(),
            run_id: "r".into(),
            started_at: Some(DateTime::UNIX_EPOCH),
            wall_time_s: Some(1.0),
            gpu_count: Some(4.0),
            ..RunRecord::new(
                Combination::new(params(serve), params(bench)),
                Outcome::Completed(result.as_object().unwrap().clone()),
            )
        }
    }

    fn field(row: &RunRow, name: &str) -> Field {
        row.iter().find(|field| field.name == name).cloned().unwrap_or_else(|| panic!("no {name} in {row:?}"))
    }

    fn cell(row: &RunRow, name: &str) -> Cell {
        field(row, name).cell
    }

    #[test]
    fn a_result_becomes_a_row() {
        let result = json!({
            "request_rate": "inf", "max_concurrency": 8, "output_throughput": 400.0, "latencies": [1.0], "run_number": 0,
        });
        let row = record(json!({"max-num-seqs": 32, "status": "x"}), json!({}), result).to_row();
        assert_eq!(cell(&row, "request_rate"), Cell::Float(f64::INFINITY));
        assert_eq!(cell(&row, "tokens_per_user"), Cell::Float(50.0));
        assert_eq!(cell(&row, "tokens_per_gpu"), Cell::Float(100.0));
        assert_eq!(
            (field(&row, "max_num_seqs").kind, cell(&row, "max_num_seqs")),
            (Kind::ServeParameter, Cell::Int(32))
        );
        assert_eq!((cell(&row, "status"), cell(&row, "param.status")), ("completed".into(), "x".into()));
        assert!(!row.iter().any(|field| field.name == "latencies"));
    }

    #[test]
    fn what_is_parameter_and_result_is_both() {
        let result = json!({"request_rate": 9.5, "gpu_power_w": 300, "num_gpus": "16", "note": "x", "dtype": 5});
        let row = record(json!({"dtype": "auto"}), json!({"request_rate": 10}), result).to_row();
        assert_eq!(
            (field(&row, "request_rate").kind, cell(&row, "request_rate")),
            (Kind::BenchParameter, Cell::Int(10))
        );
        assert_eq!(
            (field(&row, "result.request_rate").kind, cell(&row, "result.request_rate")),
            (Kind::Context, Cell::Float(9.5))
        );
        assert_eq!((field(&row, "gpu_power_w").kind, cell(&row, "gpu_power_w")), (Kind::Metric, Cell::Float(300.0)));
        assert_eq!((field(&row, "num_gpus").kind, cell(&row, "num_gpus")), (Kind::Context, Cell::Int(16)));
        assert_eq!((field(&row, "note").kind, cell(&row, "note")), (Kind::Context, "x".into()));
        assert_eq!((field(&row, "result.dtype").kind, cell(&row, "dtype")), (Kind::Metric, "auto".into()));
    }

    #[test]
    fn arrays_become_requests() {
        let result = json!({
            "input_lens": [8, 9], "output_lens": [3, 0], "ttfts": [0.1, 0.0], "itls": [[0.02, 0.04], []],
            "start_times": [100.5, 100.0], "errors": ["", "boom"],
        });
        let rows = record(json!({}), json!({}), result).to_request_rows();
        let cell = |row: &Row, name: &str| row.iter().find(|(known, _)| known == name).unwrap().1.clone();
        assert_eq!(rows.len(), 2);
        assert_eq!(cell(&rows[0], "start_s"), Cell::Float(0.5));
        assert!((cell(&rows[0], "e2el_ms").as_f64().unwrap() - 160.0).abs() < 1e-9);
        assert!((cell(&rows[0], "tpot_ms").as_f64().unwrap() - 30.0).abs() < 1e-9);
        assert_eq!((cell(&rows[1], "ok"), cell(&rows[1], "e2el_ms")), (Cell::Bool(false), Cell::Null));
        assert!(record(json!({}), json!({}), json!({"duration": 1.0})).to_request_rows().is_empty());
    }
}
