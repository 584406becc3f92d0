//! Which parameters a run of `vllm bench sweep` had: its folder's name tells the server's from the load's, its record tells their
//! values. Either may be wrong alone; where they disagree, that is said.

use super::layout::{python_text, sanitized};
use crate::params::{BENCHMARK_NAME, ParamSet};
use crate::record::params_of;
use serde_json::{Map, Value};
use std::path::Path;

/// The parameters of both sides, and what is to be said of how they were found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FoundParams {
    pub serve: ParamSet,
    pub bench: ParamSet,
    pub caution: Option<String>,
}

/// Prefixes of the sides in a combination's name, the load's in all its forms.
const SERVE: &str = "SERVE--";
const LOADS: [&str; 2] = ["BENCH--", "STARTUP--"];
const LEVEL: &str = "WL--";

/// What a name says of one side.
#[derive(Debug, PartialEq)]
enum Side<'a> {
    /// The set was empty.
    Unchanged,
    Params(Map<String, Value>),
    /// A name of its own, which says nothing of its parameters.
    Named(&'a str),
}

/// The parameters of a run, from the folder that it lies in and its record.
pub fn params_of_run(folder: &Path, record: &Map<String, Value>) -> FoundParams {
    let by_order = params_of(record);
    let behind = behind_run_number(record);
    let Some((name, level)) = combination_name(folder) else {
        // Nothing but the record to go by.
        return FoundParams { bench: by_order, ..FoundParams::default() };
    };
    let (serve, bench) = sides(name);
    let (serve, bench) = (side(serve, record), side(bench, record));
    let mut found = FoundParams::default();
    let mut rest = behind.clone();
    let mut take = |params: &Map<String, Value>| params.keys().for_each(|key| drop(rest.shift_remove(key)));
    for known in [&serve, &bench] {
        if let Side::Params(params) = known {
            take(params);
        }
    }
    if let Some((key, value)) = level.and_then(|level| level_of(level, record)) {
        rest.shift_remove(&key);
        found.bench.params.insert(key, value);
    }
    let is_telling = !matches!((&serve, &bench), (Side::Named(_), _) | (_, Side::Named(_)));
    for (side, set) in [(serve, &mut found.serve), (bench, &mut found.bench)] {
        match side {
            Side::Params(params) => set.params = params.into_iter().chain(std::mem::take(&mut set.params)).collect(),
            Side::Named(name) => {
                set.name = Some(name.to_owned());
                // vLLM's names of parameter sets have no such form.
                if name.contains('=') {
                    found.caution = Some(format!("the folder's name says {name}, but the record does not"));
                }
            }
            Side::Unchanged => {}
        }
    }
    if is_telling && !rest.is_empty() && found.serve.params.len() + found.bench.params.len() > 0 {
        found.caution = Some(format!(
            "parameters are taken from the folder's name; the record's key order would add {}",
            rest.keys().take(4).cloned().collect::<Vec<_>>().join(", ")
        ));
    } else if !rest.is_empty() {
        // The server's stand before the load's: of a side that has a name only the rest can be its own.
        let is_of_serve = found.serve.name.is_some() && found.bench.name.is_none();
        let set = if is_of_serve { &mut found.serve } else { &mut found.bench };
        if found.caution.is_none() && !is_of_serve && set.name.is_some() {
            found.caution =
                Some("it is unknown which parameters are the server's, because both sets have names".into());
        }
        set.params = rest.into_iter().chain(std::mem::take(&mut set.params)).collect();
    }
    found
}

/// What vLLM puts behind `run_number`.
fn behind_run_number(record: &Map<String, Value>) -> Map<String, Value> {
    let behind = record.iter().skip_while(|(key, _)| *key != "run_number").skip(1);
    behind.filter(|(key, _)| *key != BENCHMARK_NAME).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// The name of a combination above a run, and the level below it.
fn combination_name(folder: &Path) -> Option<(&str, Option<&str>)> {
    let last = folder.file_name()?.to_str()?;
    let prefixes = [SERVE, LOADS[0], LOADS[1], LEVEL];
    let is_combination = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
    if is_combination(last) {
        return Some(split_level(last));
    }
    let above = folder.parent()?.file_name()?.to_str()?;
    (is_combination(above) && last.contains('=')).then_some((above, Some(last)))
}

/// `…-WL--max_concurrency=4`: the level stands behind.
fn split_level(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(LEVEL) {
        Some((combination, level)) => (combination.trim_end_matches('-'), Some(level)),
        None => (name, None),
    }
}

fn sides(name: &str) -> (&str, &str) {
    let serve = name.strip_prefix(SERVE);
    for prefix in LOADS {
        if let Some(bench) = name.strip_prefix(prefix) {
            return ("", bench);
        }
        if let Some((serve, bench)) = serve.and_then(|serve| serve.split_once(&format!("-{prefix}"))) {
            return (serve, bench);
        }
    }
    (serve.unwrap_or_default(), "")
}

/// What a side's name says: each `key=value` of it must be in the record.
fn side<'a>(name: &'a str, record: &Map<String, Value>) -> Side<'a> {
    if name.is_empty() {
        return Side::Unchanged;
    }
    let mut params = Map::new();
    let mut rest = name;
    while !rest.is_empty() {
        let fits = |(key, value): &(&String, &Value)| {
            let behind = rest.strip_prefix(pair(key, value).as_str());
            behind.is_some_and(|behind| behind.is_empty() || behind.starts_with('-'))
        };
        // The longest: `1` is the beginning of `1-a`.
        let longest = record.iter().filter(fits).max_by_key(|(key, value)| pair(key, value).len());
        let Some((key, value)) = longest else { return Side::Named(name) };
        rest = rest.strip_prefix(pair(key, value).as_str()).unwrap_or_default().trim_start_matches('-');
        params.insert(key.clone(), value.clone());
    }
    Side::Params(params)
}

fn pair(key: &str, value: &Value) -> String {
    sanitized(&format!("{key}={}", python_text(value)))
}

/// A level that a sweep chose: its key, and the value as the record has it.
fn level_of(level: &str, record: &Map<String, Value>) -> Option<(String, Value)> {
    let (key, text) = level.split_once('=')?;
    let value = record.get(key).cloned().unwrap_or_else(|| serde_json::from_str(text).unwrap_or_else(|_| text.into()));
    Some((key.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn found(folder: &str, record: Value) -> (Value, Value, Option<String>) {
        let found = params_of_run(Path::new(folder), record.as_object().unwrap());
        let shown = |set: &ParamSet| Value::Object(set.to_record());
        (shown(&found.serve), shown(&found.bench), found.caution)
    }

    #[test]
    fn a_folder_tells_the_sides_apart() {
        let record = json!({"duration": 1.0, "max_concurrency": 8, "run_number": 0, "max_num_seqs": 32, "tp": 1, "max_concurrency2": 8});
        assert_eq!(
            found("s/SERVE--max_num_seqs=32-tp=1-BENCH--max_concurrency2=8", record),
            (json!({"max_num_seqs": 32, "tp": 1}), json!({"max_concurrency2": 8}), None)
        );
        let record = json!({"run_number": 0, "a": "x-b=2", "b": 2, "p": "x/y"});
        assert_eq!(
            found("s/SERVE--a=x-b=2-b=2-BENCH--p=x_y", record),
            (json!({"a": "x-b=2", "b": 2}), json!({"p": "x/y"}), None)
        );
    }

    #[test]
    fn levels_are_parameters_of_the_load() {
        let record = json!({"run_number": 0, "a": 1, "request_rate": 2.5});
        let expected = (json!({"a": 1}), json!({"request_rate": 2.5}), None);
        assert_eq!(found("s/SERVE--a=1/request_rate=2.5", record.clone()), expected);
        assert_eq!(found("s/SERVE--a=1-WL--request_rate=2.5", record), expected);
    }

    #[test]
    fn sorted_keys_do_not_hide_the_parameters() {
        let record = json!({"a": 4, "completed": 9, "c": 2, "run_number": 1, "total_output_tokens": 5});
        let (serve, bench, caution) = found("s/SERVE--a=4-BENCH--c=2", record);
        assert_eq!((serve, bench), (json!({"a": 4}), json!({"c": 2})));
        assert!(caution.unwrap().contains("would add total_output_tokens"));
    }

    #[test]
    fn a_name_stands_for_what_is_left() {
        let record = json!({"run_number": 0, "a": 4, "b": 5, "c": 2});
        assert_eq!(
            found("s/SERVE--fast-BENCH--c=2", record),
            (json!({"_benchmark_name": "fast", "a": 4, "b": 5}), json!({"c": 2}), None)
        );
        let both = found("s/SERVE--fast-BENCH--slow", json!({"run_number": 0, "a": 4}));
        assert_eq!(both.1, json!({"_benchmark_name": "slow", "a": 4}));
        assert!(both.2.is_some());
    }

    #[test]
    fn without_such_a_folder_the_record_alone_tells() {
        let record = json!({"num_prompts": 7, "run_number": 0, "a": 4});
        assert_eq!(found("somewhere", record), (json!({}), json!({"num_prompts": 7, "a": 4}), None));
    }

    proptest! {
        /// Whatever parameters a sweep has, those of its own folder's name are found.
        #[test]
        fn the_parameters_of_a_folder_are_found(
            serve in prop::collection::btree_map("[a-d]_[a-z]{1,6}", 0..99i64, 0..4),
            bench in prop::collection::btree_map("[e-h]_[a-z]{1,6}", "[a-z0-9._-]{1,5}", 0..4),
        ) {
            let serve: Map<String, Value> = serve.into_iter().map(|(key, value)| (key, value.into())).collect();
            let bench: Map<String, Value> = bench.into_iter().map(|(key, value)| (key, value.into())).collect();
            let set = |params: &Map<String, Value>| ParamSet { name: None, params: params.clone() };
            let combination = crate::plan::Combination::new(set(&serve), set(&bench));
            let folder = crate::store::sweep::layout::combination_folder(crate::store::SweepKind::Serve, &combination);
            let mut record = json!({"duration": 5, "run_number": 0}).as_object().unwrap().clone();
            record.extend(serve.clone());
            record.extend(bench.clone());
            prop_assume!(!folder.is_empty());
            let found = params_of_run(&Path::new("s").join(folder), &record);
            prop_assert_eq!(Value::Object(found.serve.params), Value::Object(serve));
            prop_assert_eq!(Value::Object(found.bench.params), Value::Object(bench));
        }
    }
}
