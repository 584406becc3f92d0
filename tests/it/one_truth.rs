//! Nothing that is added to a lake changes what was true: any query about some of its sweeps has the same answer whatever other sweeps are
//! there, in folders of vLLM, in our own tables, compacted, or in an object store.

use crate::scratch::Scratch;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use sweeplake::query::{Format, Lake, Shipped};

type Record = Map<String, Value>;

/// A sweep: its combinations, each with its runs' results.
#[derive(Clone, Debug)]
pub struct Sweep {
    combinations: Vec<(Record, Vec<Record>)>,
}

/// Names that are ours, names of metrics, and names that mean nothing.
const NAMES: [&str; 12] = [
    "max_model_len",
    "tensor_parallel_size",
    "status",
    "label",
    "n",
    "kind",
    "duration",
    "output_throughput",
    "x",
    "gpu_power_w",
    "max_concurrency",
    "dtype",
];

fn setting() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (1..200_i64).prop_map(Value::from),
        1 => (1..40_i64).prop_map(|tenths| json!(tenths as f64 / 10.0)),
        2 => prop::sample::select(vec!["auto", "fp8", "8", "8.0", "inf"]).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
    ]
}

fn measured() -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => (1..10_000_i64).prop_map(|tenths| json!(tenths as f64 / 10.0)),
        1 => Just(Value::Null),
        1 => prop::sample::select(vec!["fast", "nan", "inf"]).prop_map(Value::from),
        1 => Just(json!({"avg": 3})),
    ]
}

fn run() -> impl Strategy<Value = Map<String, Value>> {
    let metrics = prop::collection::vec(measured(), 6);
    let more = prop::collection::btree_map(prop::sample::select(&NAMES[..]), setting(), 0..3);
    (metrics, more, 0..3_i64).prop_map(|(metrics, more, failed)| {
        let names =
            ["p99_e2el_ms", "median_ttft_ms", "output_throughput", "request_throughput", "mean_tpot_ms", "duration"];
        let mut result: Map<String, Value> = more.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        result.extend(names.into_iter().map(str::to_owned).zip(metrics));
        result.insert("completed".into(), 12.into());
        result.insert("failed".into(), failed.into());
        result.insert("latencies".into(), json!(vec![0.004; 12 + failed as usize]));
        result.insert("ttfts".into(), json!(vec![0.002; 12 + failed as usize]));
        result
    })
}

pub fn sweep() -> impl Strategy<Value = Sweep> {
    let params = prop::collection::btree_map(prop::sample::select(&NAMES[..]), setting(), 1..4);
    let params = params.prop_map(|params| params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
    let combination = (params, prop::collection::vec(run(), 1..3));
    prop::collection::vec(combination, 1..4).prop_map(|combinations| Sweep { combinations })
}

/// Writes a sweep as vLLM does.
pub fn write(scratch: &Scratch, folder: &str, sweep: &Sweep) {
    let python = |value: &Value| match value {
        Value::Bool(value) => if *value { "True" } else { "False" }.to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    for (params, runs) in &sweep.combinations {
        let pairs: Vec<String> = params.iter().map(|(key, value)| format!("{key}={}", python(value))).collect();
        for (number, result) in runs.iter().enumerate() {
            let mut record = result.clone();
            params.keys().for_each(|key| drop(record.shift_remove(key)));
            record.insert("date".into(), format!("20261101-1200{number:02}").into());
            record.insert("run_number".into(), number.into());
            record.extend(params.clone());
            let path = format!("{folder}/SERVE--{}/run={number}.json", pairs.join("-"));
            scratch.write(&path, &Value::from(record).to_string());
        }
    }
}

/// Configurations whose frontier is asked for.
pub const CONFIGURATIONS: (&str, &str) = (
    "configurations",
    "SELECT sweep, combination, sweep AS series, output_throughput_mean AS x, p99_e2el_ms_mean AS y FROM combinations",
);

/// What the queries that ship are asked.
pub const ASKED: [(&str, &str); 14] = [
    ("gpu_hour_price", "NULL"),
    ("metric", "p99_e2el_ms"),
    ("latency", "e2el_ms"),
    ("seconds", "1"),
    ("x", "output_throughput"),
    ("y", "request_throughput"),
    ("sla", "500"),
    ("share", "0.5"),
    ("condition", "ttft_ms <= 5"),
    ("limit", "1000"),
    ("base", "a0"),
    ("candidate", "a1"),
    ("combinations", "'x'"),
    CONFIGURATIONS,
];

/// Every query that ships, as far as it stands alone, and what people ask of parameters and metrics.
pub fn queries() -> Vec<(String, String)> {
    let filled = Shipped::ALL.iter().map(|shipped| {
        let sql = if shipped.name == "frontier_of_series" {
            shipped.fill(&[CONFIGURATIONS, ("x", "max"), ("y", "min")])
        } else {
            shipped.fill(&ASKED)
        };
        (shipped.name.to_owned(), sql)
    });
    let mut queries: Vec<(String, String)> = filled.filter(|(_, sql)| !sql.contains('{')).collect();
    for name in NAMES {
        for sql in [
            format!("SELECT sweep, combination, run_id, \"{name}\" FROM runs ORDER BY \"{name}\", run_id"),
            format!("SELECT sweep, run_id FROM runs WHERE \"{name}\" <= 50 ORDER BY run_id"),
            format!(
                "SELECT sweep, run_id FROM runs WHERE \"{name}\" IN ('auto', 'fp8') OR \"{name}\" = 8 ORDER BY run_id"
            ),
            format!("SELECT sweep, \"{name}\", count(*) AS how_many FROM runs GROUP BY 1, 2 ORDER BY 1, 2, 3"),
            format!(
                "SELECT sweep, avg(\"{name}\") AS mean, min(\"{name}\") AS least, max(\"{name}\") AS most FROM runs GROUP BY 1 ORDER BY 1"
            ),
        ] {
            queries.push((sql.clone(), sql));
        }
        // Names of ours are texts or numbers, always, and the engine's own rules hold for them.
        if !["status", "label", "kind", "duration", "output_throughput"].contains(&name) {
            for sql in [
                format!("SELECT run_id, coalesce(\"{name}\", 0) AS value FROM runs ORDER BY run_id"),
                format!("SELECT run_id, \"{name}\" || 'x' AS value FROM runs ORDER BY run_id"),
                format!(
                    "SELECT run_id, CASE WHEN run_number = 0 THEN \"{name}\" ELSE 0 END AS value FROM runs ORDER BY run_id"
                ),
                format!("SELECT run_id FROM runs WHERE \"{name}\" <> 'auto' ORDER BY run_id"),
                format!("SELECT run_id FROM runs WHERE 'auto' = \"{name}\" OR TRUE = \"{name}\" ORDER BY run_id"),
            ] {
                queries.push((sql.clone(), sql));
            }
        }
    }
    for metric in ["p99_e2el_ms", "output_throughput", "gpu_power_w"] {
        queries.push((
            metric.to_owned(),
            format!(
                "SELECT sweep, run_id, {metric} + 1 AS more FROM runs WHERE {metric} > 20 ORDER BY {metric}, run_id"
            ),
        ));
    }
    queries.push(("frontier of all".into(), "SELECT sweep, combination FROM pareto(combinations, 'output_throughput_mean max', 'p99_e2el_ms_mean min') ORDER BY 1, 2".into()));
    queries
}

/// The query with only these sweeps in its tables. What it joins is told by the sweep, too.
fn restricted(sql: &str, sweeps: &str) -> String {
    let tables = ["runs", "combinations", "requests", "sweeps", "sla", "sla_history"];
    let tables: Vec<String> =
        tables.iter().map(|table| format!("{table} AS (SELECT * FROM {table} WHERE sweep LIKE '{sweeps}')")).collect();
    match sql.trim_start().strip_prefix("WITH ") {
        Some(rest) => format!("WITH {}, {rest}", tables.join(", ")),
        None => format!("WITH {} {sql}", tables.join(", ")),
    }
}

/// An answer without the columns that hold nothing; an error that is the query's own (it names no such column) is none.
pub fn ask(runtime: &tokio::runtime::Runtime, lake: &Lake, sql: &str) -> Result<Vec<Value>, String> {
    let answer = runtime.block_on(lake.sql(sql)).map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    answer.write(Format::Json, &mut text).map_err(|error| error.to_string())?;
    let mut rows: Vec<Value> = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    for row in rows.iter_mut().filter_map(Value::as_object_mut) {
        row.retain(|_, value| !value.is_null());
        // Where a sweep lies is not what it says.
        ["folder", "path", "sources"].iter().for_each(|place| drop(row.shift_remove(*place)));
    }
    Ok(rows)
}

/// The same rows: in the same order, but for numbers that are sums in another order.
pub fn assert_same(query: &str, alone: &Result<Vec<Value>, String>, among: &Result<Vec<Value>, String>, form: &str) {
    let (alone, among) = match (alone, among) {
        // Our own texts are no numbers, wherever they are asked.
        (Err(alone), Err(among))
            if alone == among || [alone, among].iter().all(|error| error.contains("Cannot cast string")) =>
        {
            return;
        }
        (Ok(alone), Ok(among)) => (alone, among),
        // A column that only other sweeps have.
        (Err(error), Ok(rows)) if error.contains("no column") || error.contains("No field named") => {
            assert!(
                rows.iter().all(|row| row.as_object().unwrap().keys().all(|key| key != "least")),
                "{query}: {rows:?}"
            );
            return;
        }
        (alone, among) => panic!("{form}: {query}\nalone: {alone:?}\namong others: {among:?}"),
    };
    let near = |left: &Value, right: &Value| match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => (left - right).abs() <= 1e-9 * left.abs().max(1.0),
        _ => left == right,
    };
    let is_same = alone.len() == among.len()
        && alone.iter().zip(among).all(|(left, right)| {
            let (left, right) = (left.as_object().unwrap(), right.as_object().unwrap());
            left.len() == right.len()
                && left.iter().all(|(name, value)| right.get(name).is_some_and(|other| near(value, other)))
        });
    assert!(is_same, "{form}: {query}\nalone:\n{}\namong others:\n{}", json!(alone), json!(among));
}

fn check(mine: &[Sweep], others: &[Sweep]) {
    let scratch = Scratch::new();
    for (index, sweep) in mine.iter().enumerate() {
        write(&scratch, &format!("mine/a{index}"), sweep);
        write(&scratch, &format!("all/a{index}"), sweep);
    }
    for (index, sweep) in others.iter().enumerate() {
        write(&scratch, &format!("all/b{index}"), sweep);
    }
    for folder in ["mine", "all"] {
        scratch.ok(&["import", folder, "-o", &format!("{folder}-stored")]);
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let open = |path: &Path| Lake::open(&[PathBuf::from(path)]).unwrap();
    // Planning is most of the work, and alike in all forms: each form gets a share of the queries, another one in each case.
    let mut turn = mine.len() + others.iter().map(|sweep| sweep.combinations.len()).sum::<usize>();
    let mut compare = |alone: &Lake, among: &Lake, form: &str| {
        turn += 1;
        for (_, (name, sql)) in queries().into_iter().enumerate().filter(|(index, _)| (index + turn).is_multiple_of(3))
        {
            let sql = restricted(&sql, "a%");
            assert_same(&name, &ask(&runtime, alone, &sql), &ask(&runtime, among, &sql), form);
        }
    };
    compare(&open(&scratch.path("mine")), &open(&scratch.path("all")), "in place");
    let alone = open(&scratch.path("mine-stored"));
    compare(&alone, &open(&scratch.path("all-stored")), "stored");
    scratch.ok(&["compact", "all-stored"]);
    compare(&alone, &open(&scratch.path("all-stored")), "compacted");
    let url = format!("file://{}", scratch.path("all-stored").display());
    compare(&alone, &open(Path::new(&url)), "in an object store");
}

#[test]
fn no_sweep_changes_what_is_said_of_another() {
    let mut runner =
        TestRunner::new(Config { cases: 3, max_shrink_iters: 0, failure_persistence: None, ..Config::default() });
    let lakes = (prop::collection::vec(sweep(), 2..3), prop::collection::vec(sweep(), 1..3));
    runner
        .run(&lakes, |(mine, others)| {
            check(&mine, &others);
            Ok(())
        })
        .unwrap();
}
