//! What a benchmark's result says, as columns: each value with its kind, known metrics as numbers, what follows from others filled in.

use super::cell::Cell;
use super::field::{Field, REQUEST_ARRAYS, TPOTS};
use super::soundness::{self, Lookup, Percentiles};
use super::steady::Steady;
use crate::id::{column_name, is_same_key};
use crate::metric::{ADJUSTED_LATENCIES, ADJUSTED_PERCENTILES, Metric, median_alias, percentile_of};
use crate::params::{BENCHMARK_NAME, value_text};
use crate::table::{Kind, Table, Type, is_reserved, metric_type};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

/// A result by columns.
#[derive(Clone, Debug, Default)]
pub struct ResultFields {
    pub fields: Vec<Field>,
    /// Why its numbers can't be taken as they stand.
    pub cautions: Vec<String>,
    /// Metrics that it did not report and that follow from others.
    pub derived: Vec<String>,
    /// Values that are not of their column's type, by their key.
    pub extra: Vec<(String, String)>,
}

/// Facts of a run that only its result knows.
const FACTS: [&str; 4] = ["date", "model_id", "tokenizer_id", "endpoint_type"];

/// Of a run that failed, what it counted is all that means something.
const COUNTS: [&str; 4] = ["completed", "failed", "failed_requests", "success_rate"];

/// How much of a result means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    All,
    /// Of a failed run: counts and settings.
    Counts,
}

/// The columns of a result, measured under these parameters. `set` has their columns.
pub fn result_fields(
    result: &Map<String, Value>,
    parameters: &Map<String, Value>,
    set: &HashSet<&str>,
    extent: Extent,
) -> ResultFields {
    let mut found = ResultFields::default();
    let mut taken: HashSet<String> = HashSet::new();
    for (key, value) in result {
        let is_elsewhere = REQUEST_ARRAYS.contains(&key.as_str()) || key == TPOTS;
        if is_elsewhere || key == "run_number" || key == BENCHMARK_NAME || key == "gpu_count" {
            continue;
        }
        let name = column_name(key.trim_end_matches(':'));
        match found.field(&name, value, set) {
            Some(field) if taken.insert(field.name.to_string()) => found.fields.push(field),
            // Two spellings of one key: the first stands.
            Some(_) => found.extra.push((key.clone(), value_text(value))),
            None => {}
        }
    }
    found.clear_unmeasured();
    let asked = |key: &str| parameters.iter().find(|(known, _)| is_same_key(known, key)).map(|(_, value)| value);
    found.fill_in(&|key: &str| result.get(key).or_else(|| asked(key)));
    if extent == Extent::Counts {
        found.fields.retain(|field| field.kind != Kind::Metric || COUNTS.contains(&field.name.as_ref()));
        found.derived.clear();
    }
    found
}

impl ResultFields {
    /// A value under the column that is its own; nothing for what can't be in it.
    fn field(&mut self, name: &str, value: &Value, set: &HashSet<&str>) -> Option<Field> {
        let column = Table::Runs.column(name);
        let is_metric = column.map_or_else(|| Metric::of(name).is_some(), |column| column.kind == Kind::Metric);
        if is_metric {
            return Some(Field { name: name.to_owned().into(), kind: Kind::Metric, cell: self.metric(name, value) });
        }
        if value.is_null() {
            return None;
        }
        let is_setting = column.is_some_and(|column| column.kind.is_parameter());
        let cell = if is_setting { Cell::of_setting(value) } else { Cell::of_result(value) };
        let is_number = matches!(value, Value::Number(_)) || matches!(cell, Cell::Float(number) if !number.is_finite());
        let kind = if is_number && !is_setting { Kind::Metric } else { Kind::Context };
        let is_own = is_reserved(name) && !FACTS.contains(&name);
        let name = if is_own || set.contains(name) { format!("result.{name}") } else { name.to_owned() };
        let cell = match (kind, cell) {
            (Kind::Metric, Cell::Int(value)) => Cell::Float(value as f64),
            (_, cell) => cell,
        };
        Some(Field { name: name.into(), kind, cell })
    }

    /// A known metric is a number, always.
    fn metric(&mut self, name: &str, value: &Value) -> Cell {
        let cell = Cell::of_result(value);
        if is_non_finite(value) {
            self.cautions.push(format!("{name} is {}, which is not a measured number", value_text(value)));
        }
        match (metric_type(name), &cell) {
            (_, Cell::Null) => return Cell::Null,
            (Type::Integer, Cell::Int(_)) => return cell,
            (Type::Integer, Cell::Float(number)) if number.fract() == 0.0 && number.abs() < 9e15 => {
                return Cell::Int(*number as i64);
            }
            (Type::Number, Cell::Int(_) | Cell::Float(_)) if !value.is_string() || !is_finite(&cell) => {
                return cell.as_f64().map_or(Cell::Null, Cell::from);
            }
            _ => {}
        }
        self.extra.push((name.to_owned(), value_text(value)));
        self.cautions.push(format!("{name} is {}, which is not a valid value", short(value)));
        Cell::Null
    }

    fn get(&self, name: &str) -> Option<f64> {
        self.fields.iter().find(|field| field.name == name).and_then(|field| field.cell.as_f64())
    }

    fn put(&mut self, name: &str, cell: impl Into<Cell>) {
        let cell = cell.into();
        match self.fields.iter_mut().find(|field| field.name == name) {
            Some(field) => field.cell = cell,
            None => self.fields.push(Field { name: name.to_owned().into(), kind: Kind::Metric, cell }),
        }
    }

    /// A latency whose mean is 0 was not measured: vLLM writes 0 for the time per token of answers in one piece, and for
    /// everything where no request succeeded.
    fn clear_unmeasured(&mut self) {
        let is_unmeasured = |latency: &str| {
            let of = |statistic: &str| self.get(&format!("{statistic}_{latency}_ms"));
            of("mean").or_else(|| of("median")) == Some(0.0) && of("max").is_none_or(|max| max == 0.0)
        };
        let families = ["ttft", "tpot", "itl", "e2el", "e2el_including_client_queue"];
        let unmeasured: Vec<&str> = families.into_iter().filter(|latency| is_unmeasured(latency)).collect();
        for field in &mut self.fields {
            let family = field.name.strip_suffix("_ms").and_then(|name| name.split_once('_')).map(|(_, family)| family);
            if family.is_some_and(|family| unmeasured.contains(&family)) {
                field.cell = Cell::Null;
            }
        }
    }

    /// Adds what follows from the rest, and what must be said of it.
    fn fill_in(&mut self, get: &Lookup<'_>) {
        self.derive();
        self.name_medians();
        let success = soundness::success(get);
        self.put("failed_requests", success.map(|success| success.failed as i64));
        self.put("success_rate", success.map(|success| success.rate()));
        let achieved = soundness::achieved_rate(get);
        self.put("achieved_request_rate", achieved.map(|achieved| achieved.rate));
        let of_requests: HashMap<&str, Percentiles> = ADJUSTED_LATENCIES
            .into_iter()
            .filter_map(|latency| Some((latency, Percentiles::of(latency, get)?)))
            .collect();
        let has_failures = success.is_some_and(|success| success.failed > 0);
        let mut is_unknown = false;
        for latency in ADJUSTED_LATENCIES {
            for percent in ADJUSTED_PERCENTILES {
                let reported = self.get(&format!("p{percent}_{latency}_ms"));
                let adjusted = match (success, of_requests.get(latency)) {
                    (Some(_), _) if !has_failures => reported,
                    (Some(_), Some(percentiles)) => percentiles.at(f64::from(percent)),
                    (Some(success), None) => {
                        is_unknown |= reported.is_some() && !success.reaches(f64::from(percent));
                        None
                    }
                    (None, _) => None,
                };
                self.put(&format!("adj_p{percent}_{latency}_ms"), adjusted);
            }
        }
        if let Some(success) = success.filter(|success| success.failed > 0) {
            let all = success.failed + success.completed;
            let mut text = format!("{} of {all} requests failed: percentiles cover only the others", success.failed);
            if is_unknown {
                text += "; adjusted percentiles require per-request data (save_detailed)";
            }
            self.cautions.push(text);
        }
        self.tell_how_sure(&of_requests, success.map(|success| success.completed));
        let steady = Steady::of(get);
        self.put("steady_duration_s", steady.map(|steady| steady.duration_s));
        self.put("steady_output_throughput", steady.and_then(|steady| steady.output_throughput));
        self.put("steady_request_throughput", steady.map(|steady| steady.request_throughput));
        if let Some(reason) = soundness::stopped_early(get) {
            self.cautions.push(format!("stopped early, so its latencies are lower bounds: {reason}"));
        }
        self.cautions.extend(soundness::shortfall(get));
        self.cautions.extend(soundness::lateness(get));
        let told = |name: &str| self.get(name).or_else(|| get(name).and_then(Value::as_f64));
        self.cautions.extend(soundness::absurdities(told));
    }

    /// Bounds of the percentiles that were reported, and which have none.
    fn tell_how_sure(&mut self, of_requests: &HashMap<&str, Percentiles>, completed: Option<u64>) {
        let reported: Vec<(String, String)> = self
            .fields
            .iter()
            .filter(|field| field.cell != Cell::Null && !field.name.starts_with("adj_"))
            .filter_map(|field| Some((field.name.to_string(), percentile_of(&field.name)?.to_owned())))
            .collect();
        for (name, percent) in &reported {
            let latency = name.split_once('_').and_then(|(_, rest)| rest.strip_suffix("_ms"));
            let requests = latency.and_then(|latency| of_requests.get(latency));
            if let (Some(requests), Ok(percent)) = (requests, percent.parse()) {
                let (low, high) = requests.bounds(percent);
                for (end, value) in [("low", low), ("high", high)] {
                    let name = format!("{name}_{end}").into();
                    self.fields.push(Field { name, kind: Kind::Context, cell: value.into() });
                }
            }
        }
        let of_metrics =
            reported.iter().filter(|(name, _)| !name.contains("_itl_")).map(|(_, percent)| percent.as_str());
        let doubtful = completed.map(|completed| soundness::without_bound(of_metrics, completed)).unwrap_or_default();
        if !doubtful.is_empty() {
            let name = "percentiles_without_bound".into();
            self.fields.push(Field { name, kind: Kind::Context, cell: Cell::Texts(doubtful) });
        }
    }

    /// `p50_X` and `median_X` are one number: each is there where the other is.
    fn name_medians(&mut self) {
        for name in self.fields.iter().filter_map(|field| median_alias(&field.name)).collect::<Vec<_>>() {
            let value = median_alias(&name).and_then(|other| self.get(&other));
            if self.get(&name).is_none() {
                self.put(&name, value);
            }
        }
    }

    /// Rates that follow from counts and the duration.
    fn derive(&mut self) {
        let per_second =
            |count: Option<f64>, duration: Option<f64>| Some(count? / duration.filter(|duration| *duration > 0.0)?);
        let duration = self.get("duration");
        let both = || Some(self.get("total_input_tokens")? + self.get("total_output_tokens")?);
        let rates = [
            ("request_throughput", per_second(self.get("completed"), duration)),
            ("output_throughput", per_second(self.get("total_output_tokens"), duration)),
            ("total_token_throughput", per_second(both(), duration)),
        ];
        for (name, rate) in rates {
            if let Some(rate) = rate.filter(|_| self.get(name).is_none()) {
                self.put(name, rate);
                self.derived.push(name.to_owned());
            }
        }
    }
}

/// Whether a value is a text by which Python writes what is no finite number.
fn is_non_finite(value: &Value) -> bool {
    value.as_str().and_then(|text| text.trim().parse::<f64>().ok()).is_some_and(|number| !number.is_finite())
}

fn is_finite(cell: &Cell) -> bool {
    cell.as_f64().is_some_and(f64::is_finite)
}

/// A value for a sentence.
fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 40 { text } else { text.chars().take(40).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(result: Value) -> ResultFields {
        result_fields(result.as_object().unwrap(), &Map::new(), &HashSet::new(), Extent::All)
    }

    #[test]
    fn a_known_metric_is_a_number_or_null_with_a_caution() {
        let found = fields(
            json!({"p99_e2el_ms": "fast", "request_throughput": {"avg": 1}, "completed": 2.5, "p90_e2el_ms": "inf"}),
        );
        assert_eq!(
            (found.get("p99_e2el_ms"), found.get("request_throughput"), found.get("completed")),
            (None, None, None)
        );
        assert_eq!(found.get("p90_e2el_ms"), Some(f64::INFINITY));
        assert_eq!(found.extra[0], ("p99_e2el_ms".to_owned(), "fast".to_owned()));
        assert_eq!(
            found.cautions[..3],
            [
                "p99_e2el_ms is \"fast\", which is not a valid value",
                "request_throughput is {\"avg\":1}, which is not a valid value",
                "completed is 2.5, which is not a valid value",
            ]
        );
    }

    #[test]
    fn rates_follow_from_counts_and_are_marked() {
        let found =
            fields(json!({"completed": 10, "total_input_tokens": 40, "total_output_tokens": 60, "duration": 5.0}));
        assert_eq!((found.get("request_throughput"), found.get("total_token_throughput")), (Some(2.0), Some(20.0)));
        assert_eq!(found.derived, ["request_throughput", "output_throughput", "total_token_throughput"]);
        let reported = fields(json!({"completed": 10, "duration": 5.0, "request_throughput": 1.9}));
        assert_eq!((reported.get("request_throughput"), reported.derived.len()), (Some(1.9), 0));
        assert_eq!(fields(json!({"completed": 10, "duration": 0.0})).derived.len(), 0);
    }

    #[test]
    fn what_could_not_be_measured_is_null() {
        let found = fields(
            json!({"mean_tpot_ms": 0.0, "std_tpot_ms": 0.0, "p99_tpot_ms": 0.0, "mean_ttft_ms": 5.0, "std_ttft_ms": 0.0}),
        );
        assert_eq!(
            (found.get("p99_tpot_ms"), found.get("std_tpot_ms"), found.get("std_ttft_ms")),
            (None, None, Some(0.0))
        );
    }

    #[test]
    fn medians_have_both_names() {
        assert_eq!(fields(json!({"median_ttft_ms": 5.0})).get("p50_ttft_ms"), Some(5.0));
        assert_eq!(fields(json!({"p50_ttft_ms": 5.0})).get("median_ttft_ms"), Some(5.0));
    }

    #[test]
    fn of_a_failed_run_only_counts_are_kept() {
        let result = json!({"completed": 0, "failed": 5, "num_prompts": 5, "mean_ttft_ms": 0.0, "duration": 1.0});
        let found = result_fields(result.as_object().unwrap(), &Map::new(), &HashSet::new(), Extent::Counts);
        let kept: Vec<&str> = found.fields.iter().map(|field| field.name.as_ref()).collect();
        assert_eq!(kept, ["completed", "failed", "num_prompts", "failed_requests", "success_rate"]);
    }

    #[test]
    fn adjusted_percentiles_count_a_failure_as_unbounded() {
        let latencies: Vec<f64> = (1..=100).map(|tenth| f64::from(tenth) / 10.0).collect();
        let errors: Vec<&str> = (1..=100).map(|request| if request % 20 == 0 { "boom" } else { "" }).collect();
        let found = fields(json!({
            "completed": 95, "failed": 5, "p50_e2el_ms": 5000.0, "p90_e2el_ms": 9000.0, "latencies": latencies, "errors": errors,
        }));
        // numpy: percentile of the 95 that succeeded and five infinite ones, in seconds.
        assert_eq!(found.get("adj_p50_e2el_ms"), Some(5250.0));
        assert!((found.get("adj_p90_e2el_ms").unwrap() - 9400.0).abs() < 400.0);
        assert_eq!((found.get("adj_p95_e2el_ms"), found.get("adj_p99_e2el_ms")), (None, None));
        let sound = fields(json!({"completed": 5, "failed": 0, "p99_e2el_ms": 7.0}));
        assert_eq!((sound.get("adj_p99_e2el_ms"), sound.cautions.len()), (Some(7.0), 0));
        let unknown = fields(json!({"completed": 5, "p99_e2el_ms": 7.0}));
        assert_eq!(unknown.get("adj_p99_e2el_ms"), None);
    }
}
