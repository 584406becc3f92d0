//! `sweep.json`: what a sweep is, what was asked for, and how far it came.
//!
//! Format versions:
//! - 1: the first.

use super::kind::{SweepKind, SweepState};
use super::layout::MANIFEST;
use crate::files::is_inside;
use crate::params::Command;
use crate::plan::Level;
use crate::record::{Conditions, Environment, Under};
use crate::redact::Redactor;
use crate::store::StoreError;
use crate::store::file::{FORMAT_VERSION, write_bytes_atomically};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::Path;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub format_version: u32,
    pub sweep: String,
    pub kind: SweepKind,
    pub state: SweepState,
    #[serde(with = "rfc3339")]
    pub started_at: DateTime<Utc>,
    #[serde(with = "rfc3339_option")]
    pub finished_at: Option<DateTime<Utc>>,
    /// Commands as given, secrets redacted.
    pub serve_cmd: String,
    pub bench_cmd: String,
    /// Of `ab`: the other server; `serve_cmd` is the base's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate_serve_cmd: Option<String>,
    pub after_bench_cmd: Option<String>,
    pub link_vars: String,
    /// How the parameters below were multiplied, narrowed and drawn from, as words that say it again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub space: Vec<String>,
    /// What a race or a tune was after, as words that say it again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sought: Vec<String>,
    /// Queries that gave sets of parameters, with what they answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<Asked>,
    pub num_runs: u32,
    pub warmup_num_prompts: u32,
    /// The share of requests that had to succeed for a run to count.
    #[serde(default = "all_requests")]
    pub min_success: f64,
    pub serve_params: Vec<Map<String, Value>>,
    pub bench_params: Vec<Map<String, Value>>,
    /// Of `serve_sla`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sla_params: Vec<Map<String, Value>>,
    /// What `serve_sla` and `serve_workload` turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
    /// Where the server was, where somebody else ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Of an import: the folder that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Of an import: the tool that measured its runs, where they are all of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    pub combinations: Vec<StoredCombination>,
    /// Runs that it is to have in all, where that is known while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_runs: Option<usize>,
    pub runs: usize,
    pub failed: usize,
    /// Whether several machines may write it at a time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_shared: bool,
    /// Servers that were started for it, those that did not become ready too.
    #[serde(default)]
    pub server_starts: u32,
    /// In which order a server's runs were to be made, and what drew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_seed: Option<u64>,
    /// How often each server is started.
    #[serde(default = "once")]
    pub rounds: u32,
    pub environment: Environment,
    /// What people wrote about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// SHA-256 of the list of checksums of its files, once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksums: Option<String>,
    /// What its runs were measured under, each as it was changed; the last holds now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measured_under: Vec<MeasuredUnder>,
}

/// A query and the sets of parameters that it gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    pub sql: String,
    pub rows: Vec<Map<String, Value>>,
}

impl Asked {
    /// As it may be stored.
    pub fn redacted(&self, redactor: &Redactor) -> Self {
        let rows = self.rows.iter().map(|row| redactor.fields(row)).collect();
        Self { sql: redactor.text(&self.sql).into_owned(), rows }
    }
}

/// What somebody wrote about a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Note {
    #[serde(with = "rfc3339")]
    pub at: DateTime<Utc>,
    pub text: String,
}

/// Conditions, and since when they hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasuredUnder {
    pub fingerprint: String,
    #[serde(with = "rfc3339")]
    pub since: DateTime<Utc>,
    pub conditions: Conditions,
}

impl MeasuredUnder {
    pub fn new(conditions: Conditions, since: DateTime<Utc>) -> Self {
        Self { fingerprint: conditions.fingerprint(), since, conditions }
    }
}

/// Where a combination's runs lie.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredCombination {
    pub id: String,
    pub folder: String,
    pub serve: Map<String, Value>,
    pub bench: Map<String, Value>,
    /// The combination of the parameter files that this is a level of, where a sweep chose the level itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level_of: Option<LevelOf>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LevelOf {
    pub combination: String,
    #[serde(flatten)]
    pub level: Level,
}

impl Manifest {
    /// The manifest of a sweep that is about to start; the writer adds its name and its combinations.
    /// The commands are stored as they are: without secrets.
    pub fn new(
        serve_cmd: &Command,
        bench_cmd: &Command,
        redactor: &Redactor,
        started_at: DateTime<Utc>,
        environment: Environment,
    ) -> Self {
        Self {
            serve_cmd: serve_cmd.redacted(redactor).quoted(),
            bench_cmd: bench_cmd.redacted(redactor).quoted(),
            ..Self::without_commands(started_at, environment)
        }
    }

    /// The manifest of a sweep that ran no commands, or none that are known.
    pub fn without_commands(started_at: DateTime<Utc>, environment: Environment) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            sweep: String::new(),
            kind: SweepKind::Serve,
            state: SweepState::Running,
            started_at,
            finished_at: None,
            serve_cmd: String::new(),
            bench_cmd: String::new(),
            candidate_serve_cmd: None,
            after_bench_cmd: None,
            link_vars: String::new(),
            space: Vec::new(),
            sought: Vec::new(),
            asked: Vec::new(),
            num_runs: 1,
            order: None,
            order_seed: None,
            warmup_num_prompts: 0,
            min_success: all_requests(),
            serve_params: Vec::new(),
            bench_params: Vec::new(),
            sla_params: Vec::new(),
            variable: None,
            base_url: None,
            origin: None,
            tool: None,
            combinations: Vec::new(),
            planned_runs: None,
            runs: 0,
            failed: 0,
            is_shared: false,
            server_starts: 0,
            rounds: once(),
            environment,
            notes: Vec::new(),
            checksums: None,
            measured_under: Vec::new(),
        }
    }

    /// What runs are measured under now.
    pub fn under(&self) -> Option<Under> {
        self.measured_under.last().map(|under| self.known_as(&under.fingerprint))
    }

    /// What was held at a time.
    pub fn under_at(&self, time: DateTime<Utc>) -> Option<Under> {
        let held = self.measured_under.iter().rev().find(|under| under.since <= time);
        held.or(self.measured_under.first()).map(|under| self.known_as(&under.fingerprint))
    }

    pub fn known_as(&self, fingerprint: &str) -> Under {
        let is_first = self.measured_under.first().is_none_or(|first| first.fingerprint == fingerprint);
        Under { fingerprint: fingerprint.to_owned(), is_first }
    }

    /// Combinations that were measured: where the sweep chose levels itself, each of them is one.
    pub fn num_combinations(&self) -> usize {
        let levels = self.combinations.iter().filter(|stored| stored.level_of.is_some()).count();
        if levels > 0 { levels } else { self.combinations.len() }
    }

    pub fn read(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(MANIFEST);
        let text = crate::files::text(&path, crate::files::Links::Refuse).map_err(StoreError::io(&path))?;
        Self::parse(&text, &path)
    }

    /// Reads the text of a manifest.
    pub fn parse(text: &str, path: &Path) -> Result<Self, StoreError> {
        let bad = |error: serde_json::Error| StoreError::BadManifest {
            path: path.to_owned(),
            line: error.line(),
            column: error.column(),
            reason: error.to_string(),
        };
        // The version first: a newer manifest may look different in every other way.
        let version: Version = serde_json::from_str(text).map_err(bad)?;
        if version.format_version > FORMAT_VERSION {
            return Err(StoreError::NewerFormat {
                path: path.to_owned(),
                found: version.format_version,
                newest: FORMAT_VERSION,
            });
        }
        let manifest: Self = serde_json::from_str(text).map_err(bad)?;
        match manifest.combinations.iter().find(|stored| !is_inside(&stored.folder)) {
            // Made by somebody who wants another folder to be written to, or to be read.
            Some(stored) => Err(StoreError::Outside { path: path.to_owned(), folder: stored.folder.clone() }),
            None => Ok(manifest),
        }
    }

    pub fn write(&self, folder: &Path) -> Result<(), StoreError> {
        let path = folder.join(MANIFEST);
        let text = serde_json::to_string_pretty(self).map_err(StoreError::data(&path))?;
        write_bytes_atomically(&path, (text + "\n").as_bytes())
    }
}

/// Sweeps of format version 1 did not ask.
fn all_requests() -> f64 {
    1.0
}

fn once() -> u32 {
    1
}

/// Times as text, to the millisecond.
mod rfc3339 {
    use chrono::{DateTime, SecondsFormat, Utc};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
        let text = String::deserialize(deserializer)?;
        DateTime::parse_from_rfc3339(&text).map(|time| time.with_timezone(&Utc)).map_err(D::Error::custom)
    }
}

mod rfc3339_option {
    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Time(#[serde(with = "super::rfc3339")] DateTime<Utc>);

    pub fn serialize<S: Serializer>(time: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(Time).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
        Ok(Option::<Time>::deserialize(deserializer)?.map(|Time(time)| time))
    }
}

#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_format_is_refused_with_advice() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(MANIFEST), r#"{"format_version": 99, "other": []}"#).unwrap();
        let error = Manifest::read(folder.path()).unwrap_err().to_string();
        assert!(
            error.ends_with("has format version 99, but this sweeplake only reads up to 2; use a newer sweeplake"),
            "{error}"
        );
    }
}
