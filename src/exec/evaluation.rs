//! A command that says how good a server's answers are, run once after its loads.

use super::keeper::Keeper;
use super::process::Output;
use super::to_end::{Task, run_to_end};
use super::{Interrupt, Stop};
use crate::params::{Address, Command, RESULT};
use crate::record::{ErrorKind, Failure, parse_result};
use serde_json::{Map, Value};
use std::path::Path;

/// An evaluation to be run.
#[derive(Clone, Copy, Debug)]
pub struct EvalJob<'a> {
    pub command: &'a Command,
    /// For the command to write its scores to, if it asks for a file.
    pub result_path: &'a Path,
    pub log: &'a Path,
}

/// Scores by name.
pub type Scores = Map<String, Value>;

impl EvalJob<'_> {
    /// Runs the command, and reads the numbers of its JSON object: from the file, or from the last line that it wrote.
    pub(super) async fn run(
        self,
        address: &Address,
        output: &Output,
        keeper: &Keeper,
        interrupt: &mut Interrupt,
    ) -> Result<Scores, Stop> {
        let has_file = self.command.has(RESULT);
        let path = self.result_path.to_string_lossy();
        let command = address.fill(&self.command.filled(RESULT, &path));
        let task = Task {
            command: &command,
            name: "the evaluation",
            kind: ErrorKind::BenchmarkFailed,
            output,
            limit: None,
            measured: None,
            sampled: None,
        };
        let before = std::fs::metadata(&output.log).map_or(0, |log| log.len());
        run_to_end(task, keeper, interrupt).await?;
        let bad = |message: String| Failure::new(ErrorKind::BadResult, message);
        let scores = match has_file {
            true => {
                let text = std::fs::read_to_string(self.result_path);
                let text = text.map_err(|error| bad(format!("the evaluation's {path}: {error}")))?;
                scores_of(&text).map_err(|reason| format!("{path} {reason}"))
            }
            false => {
                let log = std::fs::read(&output.log).unwrap_or_default();
                let log = String::from_utf8_lossy(log.get(before as usize..).unwrap_or_default()).into_owned();
                last_scores(&log)
            }
        };
        scores.map_err(|reason| bad(format!("the evaluation left no scores: {reason}")).into())
    }
}

/// The scores of the last line that is a JSON object: warnings may follow it.
fn last_scores(log: &str) -> Result<Scores, String> {
    let object = |line: &&str| line.trim_start().starts_with('{');
    let line = log.lines().rev().find(object).ok_or("it wrote no JSON object")?;
    scores_of(line)
        .map_err(|reason| format!("the last JSON object that it wrote {reason}; a file for {RESULT} is read as it is"))
}

/// All numbers of a JSON object, by their path. What Python writes as NaN is no score.
fn scores_of(text: &str) -> Result<Scores, String> {
    let value: Map<String, Value> = parse_result(text.trim()).map_err(|error| format!("can't be read ({error})"))?;
    let mut scores = Map::new();
    add_numbers(&Value::Object(value), "eval", &mut scores)?;
    if scores.is_empty() { Err("holds no number".into()) } else { Ok(scores) }
}

fn add_numbers(value: &Value, name: &str, scores: &mut Scores) -> Result<(), String> {
    let value = match value {
        Value::Object(fields) => {
            return fields.iter().try_for_each(|(key, value)| add_numbers(value, &format!("{name}.{key}"), scores));
        }
        Value::Number(_) => value.clone(),
        Value::Bool(is_true) => u8::from(*is_true).into(),
        Value::Null | Value::String(_) | Value::Array(_) => return Ok(()),
    };
    match scores.insert(name.to_owned(), value) {
        None => Ok(()),
        Some(_) => Err(format!("has two scores called {name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_numbers_of_an_object_are_its_scores() {
        let text = r#"{"gsm8k": 0.82, "results": {"mmlu": {"acc": 0.7, "alias": "x"}}, "ok": true, "n": null}"#;
        let expected = json!({"eval.gsm8k": 0.82, "eval.results.mmlu.acc": 0.7, "eval.ok": 1});
        assert_eq!(Value::Object(scores_of(text).unwrap()), expected);
        for (text, part) in [
            ("", "can't be read"),
            ("[1]", "can't be read"),
            ("{}", "holds no number"),
            (r#"{"a.b": 1, "a": {"b": 2}}"#, "two scores called eval.a.b"),
        ] {
            let told = scores_of(text).unwrap_err();
            assert!(told.contains(part), "{text}: {told}");
        }
        assert_eq!(Value::Object(scores_of(r#"{"acc": NaN, "b": 0.5}"#).unwrap()), json!({"eval.b": 0.5}));
        let log = "$ command\n{\"a\": 1}\n{\"a\": 2}\nwarning: done in 3 s\n";
        assert_eq!(Value::Object(last_scores(log).unwrap()), json!({"eval.a": 2}));
        assert!(last_scores("nothing\n").unwrap_err().contains("wrote no JSON object"));
    }
}
