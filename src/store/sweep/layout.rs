//! Names of folders and files, as vLLM gives them.

use super::kind::SweepKind;
use crate::params::ParamSet;
use crate::plan::{Combination, Level};
use serde_json::Value;
use std::path::{Path, PathBuf};

pub const MANIFEST: &str = "sweep.json";
pub const SUMMARY: &str = "summary.json";
pub const SUMMARY_CSV: &str = "summary.csv";
pub const RUNS: &str = "runs.parquet";
pub const REQUESTS: &str = "requests.parquet";
pub const TELEMETRY: &str = "telemetry.parquet";
/// How the files of single runs end.
pub const LOOSE_REQUESTS: &str = ".requests.parquet";
pub const LOOSE_TELEMETRY: &str = ".telemetry.parquet";
/// Answers to SLAs, and what was measured on the way.
pub const SLA: &str = "sla.parquet";
/// Where the charts of the answers lie in a sweep's folder.
pub const SLA_FIGURES: &str = "sla";
/// Where the charts of a tune lie in a sweep's folder.
pub const TUNE_FIGURES: &str = "tune";
pub const SLA_HISTORY: &str = "sla_history.parquet";
pub const DROPPED: &str = "dropped.parquet";
pub const TUNE_HISTORY: &str = "tune_history.parquet";
pub const BENCH_LOG: &str = "bench.log";
pub const LOCK: &str = ".lock";
/// Held for as long as it takes to change the manifest of a sweep that several machines write.
pub const MANIFEST_LOCK: &str = ".manifest.lock";
/// Who does what of such a sweep.
pub const CLAIMS: &str = "claims";
pub const REPORT: &str = "report.html";
/// Where a warm-up's result lies until it is thrown away.
pub const WARM_UP_FILE: &str = "warmup.partial.json";
/// Where the Pareto chart lies in a sweep's folder.
pub const PARETO_FIGURE: &str = "pareto/PARETO.png";

/// The longest name that common file systems take, less what is put behind it (`.server.log`).
const LONGEST_NAME: usize = 255 - 16;

/// The folder of a combination: `SERVE--a=1-BENCH--b=2`. Empty when both commands run unchanged: then the runs
/// lie in the sweep's own folder.
pub fn combination_folder(kind: SweepKind, combination: &Combination) -> String {
    let second = if kind == SweepKind::Startup { "STARTUP-" } else { "BENCH-" };
    let sides = [("SERVE-", &combination.serve), (second, &combination.bench)];
    let parts: Vec<String> = sides
        .into_iter()
        .filter(|(_, set)| !set.is_unchanged())
        .map(|(prefix, set)| format!("{prefix}-{}", set_name(set)))
        .collect();
    shortened(&sanitized(&parts.join("-")), combination.id.as_str())
}

/// The folder of a level that a sweep chose: of a search below its combination's (`…/max_concurrency=4`), of a workload
/// beside it (`…-WL--max_concurrency=4`).
pub fn level_folder(kind: SweepKind, combination: &str, level: &Level) -> String {
    let text = sanitized(&format!("{}={}", level.variable, python_text(&level.value)));
    let (separator, name) = match kind {
        SweepKind::ServeWorkload => ("-", format!("WL--{text}")),
        _ => ("/", text),
    };
    let whole = if combination.is_empty() { name } else { format!("{combination}{separator}{name}") };
    // Below a folder the level's own name is short; beside it both are one name.
    if separator == "-" { shortened(&whole, &crate::id::text_hash(&whole)) } else { whole }
}

/// Where the answer to an SLA lies in its combination's folder: `SLA--p99_e2el_ms<=500.json`.
pub fn sla_file(sla: &str) -> String {
    let name = format!("SLA--{sla}");
    format!("{}.json", shortened(&sanitized(&name), &crate::id::text_hash(&name)))
}

/// The log of the servers started for a serve parameter set.
pub fn server_log(serve: &ParamSet, id: &str) -> String {
    if serve.is_unchanged() {
        return "server.log".into();
    }
    format!("{}.server.log", shortened(&sanitized(&format!("SERVE--{}", set_name(serve))), id))
}

pub fn run_json(folder: &Path, run_number: i64) -> PathBuf {
    folder.join(format!("run={run_number}.json"))
}

/// Where a benchmark writes, until its result is complete.
pub fn run_partial(folder: &Path, run_number: i64) -> PathBuf {
    folder.join(format!("run={run_number}.partial.json"))
}

/// A result that its benchmark has ended with, and that is not stored yet.
pub fn run_ended(folder: &Path, run_number: i64) -> PathBuf {
    folder.join(format!("run={run_number}.ended.json"))
}

pub fn run_failure(folder: &Path, run_number: i64) -> PathBuf {
    folder.join(format!("run={run_number}.failure.json"))
}

pub fn run_parquet(folder: &Path, run_number: i64) -> PathBuf {
    folder.join(format!("run={run_number}.parquet"))
}

pub fn requests_parquet(folder: &Path, run_number: i64) -> PathBuf {
    folder.join(format!("run={run_number}{LOOSE_REQUESTS}"))
}

pub fn telemetry_parquet(folder: &Path, run_number: i64) -> PathBuf {
    folder.join(format!("run={run_number}{LOOSE_TELEMETRY}"))
}

/// Where the row of a failed attempt lies once the run was tried again.
pub fn attempt_parquet(folder: &Path, run_number: i64, attempt: u32) -> PathBuf {
    folder.join(format!("run={run_number}.attempt={attempt}.parquet"))
}

/// Where what was sampled during a failed attempt lies once the run was tried again.
pub fn attempt_telemetry(folder: &Path, run_number: i64, attempt: u32) -> PathBuf {
    folder.join(format!("run={run_number}.attempt={attempt}{LOOSE_TELEMETRY}"))
}

/// Whether a file holds the row of a run or of an attempt at one.
pub fn is_row(name: &str) -> bool {
    is_of_run(name, ".parquet")
}

/// Whether a file is that of a run or of an attempt at one: `run=K<suffix>`, `run=K.attempt=N<suffix>`.
pub fn is_of_run(name: &str, suffix: &str) -> bool {
    let attempt = || name.rsplit_once(".attempt=").and_then(|(run, rest)| Some((run, rest.strip_suffix(suffix)?)));
    let is_attempt =
        || attempt().is_some_and(|(run, attempt)| attempt.parse::<u32>().is_ok() && run_number_of(run, "").is_some());
    run_number_of(name, suffix).is_some() || is_attempt()
}

/// The run number of a file named `run=K<suffix>`.
pub fn run_number_of(name: &str, suffix: &str) -> Option<i64> {
    name.strip_prefix("run=")?.strip_suffix(suffix)?.parse().ok()
}

/// The file of a figure, as vLLM names it: `FIGURE-model=a-tp=2.png`.
pub fn figure_name(prefix: &str, group: &[(String, String)]) -> String {
    let parts = group.iter().map(|(var, value)| format!("{var}={value}"));
    let name = std::iter::once(prefix.to_owned()).chain(parts).collect::<Vec<_>>().join("-");
    let id = crate::id::text_hash(&name);
    format!("{}.png", shortened(&sanitized(&name), &id))
}

/// vLLM's name of a parameter set: its own, or `a=1-b=2` with values as Python prints them.
fn set_name(set: &ParamSet) -> String {
    match &set.name {
        Some(name) => name.clone(),
        None => {
            let pairs = set.params.iter().map(|(key, value)| format!("{key}={}", python_text(value)));
            pairs.collect::<Vec<_>>().join("-")
        }
    }
}

pub fn python_text(value: &Value) -> String {
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub fn sanitized(name: &str) -> String {
    let name = name.replace('/', "_").replace("..", "__");
    name.chars().map(|letter| if letter.is_control() { '_' } else { letter }).collect()
}

fn shortened(name: &str, id: &str) -> String {
    if name.len() <= LONGEST_NAME {
        return name.to_owned();
    }
    let start = (0..=LONGEST_NAME - id.len() - 1).rev().find_map(|end| name.get(..end)).unwrap_or_default();
    format!("{start}-{id}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn folder(serve: Value, bench: Value) -> String {
        let set = |value: Value| ParamSet { name: None, params: value.as_object().unwrap().clone() };
        combination_folder(SweepKind::Serve, &Combination::new(set(serve), set(bench)))
    }

    #[test]
    fn folders_are_named_as_vllm_names_them() {
        assert_eq!(folder(json!({"a": 1, "b": true}), json!({"c": "x/../y"})), "SERVE--a=1-b=True-BENCH--c=x____y");
        assert_eq!(folder(json!({}), json!({"c": 0.5})), "BENCH--c=0.5");
        assert_eq!(folder(json!({}), json!({})), "");
        let named = ParamSet { name: Some("fast".into()), params: serde_json::Map::new() };
        let named = Combination::new(named, ParamSet::unchanged().with("n", 3.into()));
        assert_eq!(combination_folder(SweepKind::Serve, &named), "SERVE--fast-BENCH--n=3");
        assert_eq!(combination_folder(SweepKind::Startup, &named), "SERVE--fast-STARTUP--n=3");
    }

    #[test]
    fn levels_lie_below_or_beside_their_combination() {
        let level = |value: Value| Level { variable: "request_rate".into(), value };
        assert_eq!(level_folder(SweepKind::ServeSla, "SERVE--a=1", &level(json!(2.5))), "SERVE--a=1/request_rate=2.5");
        assert_eq!(level_folder(SweepKind::ServeSla, "", &level(json!("inf"))), "request_rate=inf");
        assert_eq!(
            level_folder(SweepKind::ServeWorkload, "BENCH--b=1", &level(json!(4))),
            "BENCH--b=1-WL--request_rate=4"
        );
        assert_eq!(sla_file("p99_e2el_ms<=500"), "SLA--p99_e2el_ms<=500.json");
    }

    #[test]
    fn names_that_are_too_long_are_cut_and_stay_apart() {
        let long = |last: i64| {
            let pairs = (0..30).map(|index| (format!("parameter_no_{index}"), json!(index)));
            let mut params: serde_json::Map<String, Value> = pairs.collect();
            params.insert("last".into(), last.into());
            folder(Value::Object(params), json!({}))
        };
        assert!(long(1).len() <= LONGEST_NAME);
        assert_ne!(long(1), long(2));
    }

    #[test]
    fn only_whole_run_files_have_a_number() {
        assert_eq!(run_number_of("run=12.json", ".json"), Some(12));
        assert_eq!(run_number_of("run=1.failure.json", ".json"), None);
        assert_eq!(run_number_of("run=1.requests.parquet", ".parquet"), None);
        assert_eq!(run_number_of("run=1.attempt=2.parquet", ".parquet"), None);
        assert!(is_row("run=1.parquet") && is_row("run=1.attempt=2.parquet"));
        let attempt = attempt_telemetry(Path::new(""), 1, 2);
        assert!(is_of_run(attempt.to_str().unwrap(), LOOSE_TELEMETRY) && !is_row(attempt.to_str().unwrap()));
        for other in ["run=1.requests.parquet", "run=x.attempt=2.parquet", "run=1.attempt=.parquet", "run=1.json"] {
            assert!(!is_row(other), "{other}");
        }
    }
}
