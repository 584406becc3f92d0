//! `--link-vars`: parameters of both sides that must be equal.

use super::SpaceError;
use crate::params::ParamSet;
use crate::words::nearest_name;
use serde_json::Value;
use std::fmt;

/// `SERVE=BENCH`: only combinations in which both have the same value are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub serve: String,
    pub bench: String,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.serve, self.bench)
    }
}

impl Link {
    /// Parses `a=b,c=d`.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, SpaceError> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(|part| Self::parse(part).ok_or_else(|| SpaceError::BadLink { text: part.into() })).collect()
    }

    fn parse(text: &str) -> Option<Self> {
        let (serve, bench) = text.split_once('=')?;
        let (serve, bench) = (serve.trim(), bench.trim());
        let is_key = |key: &str| !key.is_empty() && !key.contains('=');
        (is_key(serve) && is_key(bench)).then(|| Self { serve: serve.into(), bench: bench.into() })
    }

    pub fn holds(&self, serve: &ParamSet, bench: &ParamSet) -> bool {
        matches!((serve.get(&self.serve), bench.get(&self.bench)), (Some(left), Some(right)) if is_same(left, right))
    }

    /// Whether each side has its parameter at all.
    pub fn check<'a>(
        &self,
        serve: impl Iterator<Item = &'a ParamSet>,
        bench: impl Iterator<Item = &'a ParamSet>,
    ) -> Result<(), SpaceError> {
        check_side("serve", &self.serve, serve)?;
        check_side("bench", &self.bench, bench)
    }
}

fn check_side<'a>(side: &'static str, key: &str, sets: impl Iterator<Item = &'a ParamSet>) -> Result<(), SpaceError> {
    let sets: Vec<&ParamSet> = sets.collect();
    if sets.iter().any(|set| set.get(key).is_some()) {
        return Ok(());
    }
    let keys = sets.iter().flat_map(|set| set.params.keys()).map(String::as_str);
    Err(SpaceError::UnknownLink { side, key: key.into(), nearest: nearest_name(key, keys) })
}

/// Whether two values are one: 8 and 8.0 are.
fn is_same(left: &Value, right: &Value) -> bool {
    left == right || left.as_f64().zip(right.as_f64()).is_some_and(|(left, right)| left == right)
}
