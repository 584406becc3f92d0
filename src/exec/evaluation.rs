//! A command that says how good a server's answers are, run once after its loads.

use super::keeper::Keeper;
use super::process::Output;
use super::to_end::{Task, run_to_end};
use super::{Interrupt, Stop};
use crate::params::{Address, Command};
use crate::record::{ErrorKind, Failure};
use serde_json::{Map, Value};
use std::path::Path;

/// Stands for the file into which the command writes its scores.
pub const RESULT: &str = "{result}";
/// Stands for the server's address.
pub const BASE_URL: &str = "{base_url}";

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
        let has_file = self.command.words().iter().any(|word| word.contains(RESULT));
        let path = self.result_path.to_string_lossy();
        let url = format!("http://{address}");
        let filled = |word: &String| word.replace(RESULT, &path).replace(BASE_URL, &url);
        let command =
            Command { env: self.command.env.clone(), words: self.command.words().iter().map(filled).collect() };
        let task = Task {
            command: &command,
            name: "the evaluation",
            kind: ErrorKind::BenchmarkFailed,
            output,
            limit: None,
            measured: None,
            sampled: None,
        };
        let lived = run_to_end(task, keeper, interrupt).await?;
        let text = match has_file {
            true => std::fs::read_to_string(self.result_path)
                .map_err(|error| Failure::new(ErrorKind::BadResult, format!("the evaluation's {path}: {error}")))?,
            false => lived.log_tail.last().cloned().unwrap_or_default(),
        };
        scores_of(&text).map_err(|reason| {
            let place = if has_file { format!("{path}") } else { "its last line".to_owned() };
            Failure::new(ErrorKind::BadResult, format!("the evaluation left no scores: {place} {reason}")).into()
        })
    }
}

/// All numbers of a JSON object, by their path.
fn scores_of(text: &str) -> Result<Scores, String> {
    let value: Value = serde_json::from_str(text.trim()).map_err(|error| format!("is no JSON object ({error})"))?;
    let mut scores = Map::new();
    match &value {
        Value::Object(_) => add_numbers(&value, "eval", &mut scores),
        _ => return Err("is no JSON object".into()),
    }
    if scores.is_empty() { Err("holds no number".into()) } else { Ok(scores) }
}

fn add_numbers(value: &Value, name: &str, scores: &mut Scores) {
    match value {
        Value::Number(_) => drop(scores.insert(name.to_owned(), value.clone())),
        Value::Bool(is_true) => drop(scores.insert(name.to_owned(), u8::from(*is_true).into())),
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| add_numbers(value, &format!("{name}.{key}"), scores))
        }
        Value::Null | Value::String(_) | Value::Array(_) => {}
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
        for (text, part) in
            [("", "no JSON"), ("[1]", "is no JSON object"), ("done", "no JSON"), ("{}", "holds no number")]
        {
            assert!(scores_of(text).unwrap_err().contains(part), "{text}");
        }
    }
}
