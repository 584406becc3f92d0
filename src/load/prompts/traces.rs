//! Traces of real traffic: when requests came, and how long they were.

use super::rows::{Row, rows};
use super::texts::{WhenOver, over_and_over};
use super::{Content, Conversation, Conversations, Prompt, Vocabulary};
use crate::load::LoadError;
use chrono::NaiveDateTime;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

/// A trace, and where in its rows what is.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    pub path: PathBuf,
    pub columns: Columns,
    /// Seconds in one unit of its timestamps.
    pub unit_s: f64,
    /// Tokens that one of `hash_ids` stands for: prompts that share one share so many tokens.
    pub block: usize,
    pub arrivals: Arrivals,
    pub when_over: WhenOver,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Columns {
    pub timestamp: String,
    pub input: String,
    pub output: String,
    pub hashes: String,
}

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// When they came in the trace.
    AsTraced,
    /// By the rate that is asked for.
    ByRate,
}

/// Other names of the columns: BurstGPT's, Azure's.
const ALSO: [(&str, &[&str]); 3] = [
    ("timestamp", &["Timestamp", "TIMESTAMP"]),
    ("input_length", &["Request tokens", "ContextTokens"]),
    ("output_length", &["Response tokens", "GeneratedTokens"]),
];

pub fn conversations(trace: &Trace, vocabulary: &Vocabulary, seed: u64) -> Result<Conversations, LoadError> {
    let bad = |reason: String| LoadError::BadDataset { path: trace.path.display().to_string(), reason };
    let found = rows(&trace.path, None)?;
    let mut maker = Maker { trace, vocabulary, random: StdRng::seed_from_u64(seed), blocks: HashMap::new() };
    let mut all: Vec<(f64, Prompt)> = Vec::new();
    for (index, row) in found.iter().enumerate() {
        let told = |reason: String| bad(format!("row {}: {reason}", index + 1));
        all.extend(maker.prompt(row).map_err(told)?);
    }
    if all.is_empty() {
        return Err(bad("no request of the trace has both a prompt and an answer".into()));
    }
    all.sort_by(|left, right| left.0.total_cmp(&right.0));
    let first = all[0].0;
    let at =
        |time: f64| (trace.arrivals == Arrivals::AsTraced).then(|| Duration::from_secs_f64((time - first).max(0.0)));
    let all = all.into_iter().map(|(time, prompt)| Conversation { turns: vec![prompt], at: at(time) });
    // What came at its own time comes once.
    let when_over = if trace.arrivals == Arrivals::AsTraced { WhenOver::Stop } else { trace.when_over };
    Ok(over_and_over(all.collect(), when_over))
}

struct Maker<'a> {
    trace: &'a Trace,
    vocabulary: &'a Vocabulary,
    random: StdRng,
    blocks: HashMap<i64, Vec<u32>>,
}

impl Maker<'_> {
    /// The request of a row, with its time in seconds; nothing if it has no prompt or no answer.
    fn prompt(&mut self, row: &Row) -> Result<Option<(f64, Prompt)>, String> {
        let columns = &self.trace.columns;
        let length = |column: &str| {
            let value = value_of(row, column)?;
            value.as_f64().filter(|length| *length >= 0.0).ok_or_else(|| format!("`{column}` is {value}, not a length"))
        };
        let (input, output) = (length(&columns.input)? as usize, length(&columns.output)? as usize);
        let time = match self.trace.arrivals {
            Arrivals::AsTraced => self.seconds(value_of(row, &columns.timestamp)?)?,
            Arrivals::ByRate => 0.0,
        };
        if input == 0 || output == 0 {
            return Ok(None);
        }
        let hashes = row.get(&columns.hashes).and_then(Value::as_array).cloned().unwrap_or_default();
        let mut ids: Vec<u32> = Vec::with_capacity(input);
        for hash in hashes.iter().filter_map(Value::as_i64) {
            let (vocabulary, random, block) = (self.vocabulary, &mut self.random, self.trace.block);
            ids.extend(self.blocks.entry(hash).or_insert_with(|| vocabulary.random(block, random)).iter());
        }
        ids.truncate(input);
        let lacking = input - ids.len();
        ids.extend(self.vocabulary.random(lacking, &mut self.random));
        let prompt =
            Prompt { content: Content::Ids(ids), input_tokens: Some(input), output_len: output, ..Prompt::default() };
        Ok(Some((time, prompt)))
    }

    fn seconds(&self, value: &Value) -> Result<f64, String> {
        if let Some(number) = value.as_f64() {
            return Ok(number * self.trace.unit_s);
        }
        let text = value.as_str().unwrap_or_default();
        let formats = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"];
        let time = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
        time.map(|time| time.and_utc().timestamp_micros() as f64 / 1e6)
            .ok_or_else(|| format!("`{}` is {value}, not a time", self.trace.columns.timestamp))
    }
}

fn value_of<'a>(row: &'a Row, column: &str) -> Result<&'a Value, String> {
    let also = ALSO.iter().find(|(name, _)| *name == column).map_or(&[] as &[&str], |(_, also)| also);
    let found = std::iter::once(&column).chain(also).find_map(|name| row.get(*name));
    found.ok_or_else(|| {
        let columns = row.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        format!("no column `{column}`; there are: {columns}")
    })
}
