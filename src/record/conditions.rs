//! What the runs of a sweep were measured under: whatever must not change between repeats.

use crate::id::text_hash;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Facts by name, as texts that may be shown: commands, programs, files, variables of the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Conditions(BTreeMap<String, String>);

/// How the names of facts begin that only some parameter sets have: one may come or go with them.
const OF_SOME: [&str; 2] = ["program ", "file "];

/// Under which of a sweep's conditions a run was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Under {
    pub fingerprint: String,
    /// Whether they are those that the sweep began with.
    pub is_first: bool,
}

impl Under {
    /// The name of a combination in tables: what was measured after a change is another combination.
    pub fn name_of(&self, combination: &str) -> String {
        if self.is_first { combination.to_owned() } else { format!("{combination}{CHANGED}{}", self.fingerprint) }
    }
}

/// What stands between a combination and the fingerprint of changed conditions.
const CHANGED: char = '@';

/// A combination's name in tables, taken apart: its identity, and the fingerprint of conditions that were changed.
pub fn combination_parts(name: &str) -> (&str, Option<&str>) {
    name.split_once(CHANGED).map_or((name, None), |(id, fingerprint)| (id, Some(fingerprint)))
}

/// A fact that is another now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub what: String,
    pub was: String,
    pub now: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was: {}\n{} is:  {}", self.what, self.was, self.what, self.now)
    }
}

/// What a fact is that nobody told.
const NONE: &str = "(none)";

impl Conditions {
    pub fn set(&mut self, what: impl Into<String>, value: impl Into<String>) {
        self.0.insert(what.into(), value.into());
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(what, value)| (what.as_str(), value.as_str()))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A short name of all facts.
    pub fn fingerprint(&self) -> String {
        let facts: Vec<String> = self.0.iter().map(|(what, value)| format!("{what}={value}")).collect();
        text_hash(&facts.join("\n"))
    }

    /// What is another now.
    pub fn changes(&self, now: &Self) -> Vec<Change> {
        let mut names: Vec<&String> = self.0.keys().chain(now.0.keys()).collect();
        names.sort();
        names.dedup();
        let value = |of: &Self, name: &String| of.0.get(name).cloned();
        let changes = names.into_iter().filter_map(|name| {
            let (was, is) = (value(self, name), value(now, name));
            let may_be_missing = OF_SOME.iter().any(|start| name.starts_with(start));
            let is_other = if may_be_missing { was.is_some() && is.is_some() && was != is } else { was != is };
            let told = |value: Option<String>| value.unwrap_or_else(|| NONE.into());
            is_other.then(|| Change { what: name.clone(), was: told(was), now: told(is) })
        });
        changes.collect()
    }

    /// All facts, those of `now` where both have one.
    pub fn merged(&self, now: &Self) -> Self {
        Self(self.0.iter().chain(&now.0).map(|(what, value)| (what.clone(), value.clone())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(facts: &[(&str, &str)]) -> Conditions {
        Conditions(facts.iter().map(|(what, value)| ((*what).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn what_is_another_is_named_and_what_comes_with_a_parameter_set_is_no_change() {
        let was =
            of(&[("bench_cmd", "b"), ("env CUDA_VISIBLE_DEVICES", "0"), ("file a.json", "1"), ("file b.json", "1")]);
        let now = of(&[("bench_cmd", "b"), ("env VLLM_X", "1"), ("file a.json", "2"), ("file c.json", "1")]);
        let told: Vec<String> = was.changes(&now).iter().map(|change| change.what.clone()).collect();
        assert_eq!(told, ["env CUDA_VISIBLE_DEVICES", "env VLLM_X", "file a.json"]);
        assert_eq!(was.changes(&was), []);
        assert_ne!(was.fingerprint(), now.fingerprint());
        assert_eq!(was.merged(&now).iter().count(), 6);
    }
}
