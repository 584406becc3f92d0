//! Texts that more than one module shows: parameters in a few words, names that were meant.

use crate::id::{column_name, text_hash};
use crate::params::{ParamSet, value_text};
use serde_json::Value;
use strsim::jaro_winkler;

/// A short text for a combination: its names, or its parameters.
pub fn describe(serve: &ParamSet, bench: &ParamSet) -> String {
    label(&[("serve", serve), ("bench", bench)].map(|(side, set)| match set.is_unchanged() {
        true => String::new(),
        false => format!("{side} {}", describe_set(set)),
    }))
}

/// A parameter set's name, or its parameters as `key=value`.
pub fn describe_set(set: &ParamSet) -> String {
    if let Some(name) = &set.name {
        return name.clone();
    }
    set.params.iter().map(|(key, value)| pair(key, value)).collect::<Vec<_>>().join(" ")
}

/// A parameter as `key=value`.
pub fn pair(key: &str, value: &Value) -> String {
    format!("{key}={}", short_value(&value_text(value)))
}

/// The longest value that is told whole.
const LONGEST_VALUE: usize = 80;

/// A value to be read by people: a long one cut, with what tells it from others; nothing in it that moves the cursor or turns
/// the direction of writing.
pub fn short_value(text: &str) -> String {
    let is_disturbing = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let shown = |text: &str| -> String {
        text.chars().map(|letter| if is_disturbing(letter) { '\u{fffd}' } else { letter }).collect()
    };
    match text.char_indices().nth(LONGEST_VALUE) {
        None => shown(text),
        Some(_) => {
            let start: String = text.chars().take(LONGEST_VALUE / 2).collect();
            format!("{}…#{}", shown(&start), &text_hash(text)[..6])
        }
    }
}

/// Parameters stored as JSON, `{"a":1,"b":"x"}`, as `a=1 b=x`; any other text as it is.
pub fn params_text(text: &str) -> String {
    match serde_json::from_str(text) {
        Ok(params) => describe_set(&ParamSet { name: None, params }),
        Err(_) => text.to_owned(),
    }
}

/// The most similar of the names that exist, if one is similar at all.
pub fn nearest_name<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let wanted = column_name(wanted);
    names
        .into_iter()
        .map(|name| (jaro_winkler(&wanted, &column_name(name)), name))
        .filter(|(similarity, _)| *similarity >= 0.8)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, name)| name.to_owned())
}

/// What a combination is called: the words of its server and of its load.
pub fn label(parts: &[String; 2]) -> String {
    let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "the commands unchanged".into() } else { parts.join(" · ") }
}
