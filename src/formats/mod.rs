//! Result files of benchmark tools: which tool wrote one, and what it says under vLLM's names. Units and definitions are made one;
//! what has no vLLM name is kept beside them.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]

mod aiperf;
mod distribution;
mod document;
mod evalscope;
mod file;
mod genai_bench;
mod genai_perf;
mod guidellm;
mod inference_perf;
mod inferencex;
mod llama_bench;
mod llm_d;
mod llm_optimizer;
mod mlperf;
mod of_run;
mod recognize;
mod requests;
mod sglang;
mod sign;
mod trtllm;
mod vllm;
mod vllm_offline;

pub use file::{Contents, Document, NotRead, is_result_file, read_file};
pub use of_run::{Measured, measured};
pub use recognize::{FORMATS, Fit, fits, recognize};
pub use sign::Sign;

use crate::params::{ParamSet, scalar};
use crate::record::Origin;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use std::path::Path;

/// How a tool's results look, and how they are read.
#[derive(Debug)]
pub struct Format {
    /// The tool, as `source_tool` has it.
    pub tool: &'static str,
    /// The format, as people call it.
    pub name: &'static str,
    /// What a document of it must have.
    pub needs: &'static [Sign],
    /// What most have besides, by which it is told from others.
    pub tells: &'static [Sign],
    /// vLLM's metric, and what the tool means by it.
    pub definitions: &'static [(&'static str, &'static str)],
    pub read: Reader,
}

/// The runs of a document; its file tells where what lies beside it is.
pub type Reader = fn(&Map<String, Value>, &Path) -> Result<Vec<Run>, String>;

/// One run as its tool tells it, under vLLM's names.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// The record that it was read from, where its folder may tell more of it.
    pub whole: Map<String, Value>,
    /// What came out.
    pub result: Map<String, Value>,
    /// What was asked for, and what is known of the server.
    pub serve: ParamSet,
    pub bench: ParamSet,
    pub started_at: Option<DateTime<Utc>>,
    pub version: Option<String>,
    /// What has no name of vLLM's, by its path in the file.
    pub extra: Vec<(String, String)>,
    /// What is to be said of its numbers.
    pub cautions: Vec<String>,
    /// What can't be kept of it, and why.
    pub notes: Vec<String>,
    /// What it was read from, by which it is known again.
    pub text: String,
}

impl Run {
    fn of(document: &Map<String, Value>) -> Self {
        Self { text: serde_json::to_string(document).unwrap_or_default(), ..Self::default() }
    }

    /// The documents of a file beside the run's. That it can't be read is said.
    fn beside(&mut self, path: &Path, name: &str) -> Vec<Value> {
        document::beside(path, name).unwrap_or_else(|why| self.unread(&why))
    }

    /// The text of a file beside the run's, where it is there. That it can't be read is said.
    fn text_beside(&mut self, path: &Path, name: &str) -> Option<String> {
        document::text_beside(path, name).unwrap_or_else(|why| self.unread(&why))
    }

    fn unread<T: Default>(&mut self, why: &str) -> T {
        self.notes.push(format!("what is beside it is not read: {why}"));
        T::default()
    }

    /// Adds what is known to the result.
    fn put(&mut self, key: &str, value: Option<impl Into<Value>>) {
        self.result.extend(value.map(|value| (key.to_owned(), value.into())).filter(|(_, value)| !value.is_null()));
    }

    /// What is known of where it came from, under the format's definitions.
    pub fn origin(&self, format: &Format, file: &Path) -> Origin {
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        Origin {
            tool: format.tool.into(),
            version: self.version.clone(),
            file: file.display().to_string(),
            definitions: format.definitions.iter().map(owned).collect(),
            extra: self.extra.clone(),
        }
    }
}

/// Settings as a parameter set; those that are not known are left out.
fn known<'a>(settings: impl IntoIterator<Item = (&'a str, Option<Value>)>) -> ParamSet {
    let known = settings.into_iter().filter_map(|(name, value)| Some((name.to_owned(), plain(value?))));
    let is_told = |value: &Value| !value.is_null() && value.as_str() != Some("");
    ParamSet { name: None, params: known.filter(|(_, value)| is_told(value)).collect() }
}

/// Settings that were flattened to text.
fn flattened(settings: &[(String, String)]) -> ParamSet {
    known(settings.iter().map(|(path, value)| (path.as_str(), Some(scalar(value)))))
}

/// 32.0 tokens are 32: written in two ways they would be two settings.
fn plain(value: Value) -> Value {
    match value.as_f64() {
        Some(number) if value.is_f64() && number.fract() == 0.0 && number.abs() < 1e15 => (number as i64).into(),
        _ => value,
    }
}
