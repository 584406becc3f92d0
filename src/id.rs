//! Identities: what makes two combinations the same, and the name of one run.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]

use serde_json::{Map, Number, Value};
use sha2::{Digest, Sha256};
use std::fmt;

/// Identity of a combination: a hash of its canonical parameters, never of a folder name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CombinationId(String);

impl CombinationId {
    /// Hashes the parameters of both sides. Order of keys and `-`/`_` spelling do not matter,
    /// and neither does `1` against `"1"`: both reach the command line as the same word.
    pub fn of(serve: &Map<String, Value>, bench: &Map<String, Value>) -> Self {
        let canonical = format!("serve{}bench{}", canonical_params(serve), canonical_params(bench));
        Self(text_hash(&canonical))
    }

    /// An identity that was stored.
    pub fn of_stored(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CombinationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Identity of one execution: a rerun of the same combination and run number has another one.
pub fn run_id(sweep: &str, combination: &CombinationId, run_number: i64, started_at_us: i64) -> String {
    text_hash(&format!("{sweep}\0{combination}\0{run_number}\0{started_at_us}"))
}

/// A short hash that tells texts apart.
pub fn text_hash(text: &str) -> String {
    hex(Sha256::digest(text).iter().take(8))
}

/// The one spelling that a parameter has inside sweeplake: underscores in its name, inner keys as written.
pub fn column_name(key: &str) -> String {
    match key.split_once('.') {
        Some((outer, inner)) => format!("{}.{inner}", outer.replace('-', "_")),
        None => key.replace('-', "_"),
    }
}

/// Whether two keys are one parameter, spelled with dashes or underscores.
pub fn is_same_key(left: &str, right: &str) -> bool {
    let plain = |byte: u8| if byte == b'-' { b'_' } else { byte };
    left.len() == right.len() && left.bytes().map(plain).eq(right.bytes().map(plain))
}

fn canonical_params(params: &Map<String, Value>) -> String {
    let mut pairs: Vec<_> = params.iter().map(|(key, value)| (column_name(key), canonical(value, true))).collect();
    pairs.sort();
    pairs.iter().map(|(key, value)| format!("{{{key:?}:{value}}}")).collect()
}

fn canonical(value: &Value, top: bool) -> String {
    match value {
        // At the top level a number and its text become the same command-line word, and `8.0` means `8`.
        Value::Number(number) if top => format!("{:?}", canonical_number(number)),
        Value::String(text) if top => match serde_json::from_str::<Value>(text) {
            Ok(Value::Number(number)) => format!("{:?}", canonical_number(&number)),
            _ => format!("{text:?}"),
        },
        Value::String(text) => format!("{text:?}"),
        Value::Array(items) => format!("[{}]", join(items.iter().map(|item| canonical(item, top)))),
        Value::Object(fields) => {
            let mut pairs: Vec<_> =
                fields.iter().map(|(key, value)| format!("{key:?}:{}", canonical(value, false))).collect();
            pairs.sort();
            format!("{{{}}}", join(pairs.into_iter()))
        }
        other => other.to_string(),
    }
}

fn canonical_number(number: &Number) -> String {
    match number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9e15) {
        Some(whole) => format!("{whole:.0}"),
        None => number.to_string(),
    }
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(",")
}

fn hex<'a>(bytes: impl Iterator<Item = &'a u8>) -> String {
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn id(serve: Value, bench: Value) -> CombinationId {
        CombinationId::of(serve.as_object().unwrap(), bench.as_object().unwrap())
    }

    #[test]
    fn order_spelling_and_quoting_do_not_matter() {
        let plain = id(json!({"max_num_seqs": 32, "tp": 1}), json!({}));
        assert_eq!(plain, id(json!({"tp": 1, "max-num-seqs": 32}), json!({})));
        assert_eq!(plain, id(json!({"tp": "1", "max_num_seqs": 32}), json!({})));
        assert_eq!(plain, id(json!({"tp": 1.0, "max_num_seqs": "32.0"}), json!({})));
    }

    #[test]
    fn side_value_and_type_matter() {
        let plain = id(json!({"seed": 1}), json!({}));
        assert_ne!(plain, id(json!({}), json!({"seed": 1})));
        assert_ne!(plain, id(json!({"seed": 2}), json!({})));
        assert_ne!(id(json!({"x": {"a": 1}}), json!({})), id(json!({"x": {"a": "1"}}), json!({})));
        assert_ne!(id(json!({"x": "007"}), json!({})), id(json!({"x": 7}), json!({})));
        assert_ne!(id(json!({"x": null}), json!({})), id(json!({}), json!({})));
    }

    #[test]
    fn inner_keys_keep_their_dashes() {
        assert_eq!(column_name("compilation-config.cudagraph-mode"), "compilation_config.cudagraph-mode");
    }
}
