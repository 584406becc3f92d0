//! Texts that more than one module shows: parameters in a few words, names that were meant.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]

use crate::id::{column_name, text_hash};
use crate::params::{ParamSet, value_text};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;
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
        return printable_line(name).into_owned();
    }
    set.params.iter().map(|(key, value)| pair(key, value)).collect::<Vec<_>>().join(" ")
}

/// A parameter as `key=value`.
pub fn pair(key: &str, value: &Value) -> String {
    format!("{key}={}", short_value(&value_text(value)))
}

/// About how long something takes.
pub fn short_time(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..=89 => format!("{seconds} s"),
        seconds @ 90..=5399 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{:.1} h", seconds as f64 / 3600.0),
    }
}

/// The longest value that is told whole.
const LONGEST_VALUE: usize = 80;

/// Whether a letter moves the cursor, turns the direction of writing, or can't be drawn.
fn is_disturbing(letter: char) -> bool {
    let turns = ['\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}'];
    let is_no_letter = matches!(letter, '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}');
    letter.is_control() || is_no_letter || turns.contains(&letter)
}

/// A text that a terminal shows and does not obey: whatever else it holds is written as `\u{1b}`. Lines and tabs stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_plain = |letter: char| letter == '\n' || letter == '\t' || !is_disturbing(letter);
    escaped_unless(text, is_plain)
}

/// A text on one line that can be shown anywhere.
pub fn printable_line(text: &str) -> Cow<'_, str> {
    escaped_unless(text, |letter| !is_disturbing(letter))
}

fn escaped_unless(text: &str, is_plain: impl Fn(char) -> bool) -> Cow<'_, str> {
    if text.chars().all(&is_plain) {
        return text.into();
    }
    let mut escaped = String::new();
    for letter in text.chars() {
        if is_plain(letter) { escaped.push(letter) } else { escaped.extend(letter.escape_default()) }
    }
    escaped.into()
}

/// A value to be read by people: a long one cut, with what tells it from others.
pub fn short_value(text: &str) -> String {
    let shown = printable_line;
    match text.char_indices().nth(LONGEST_VALUE) {
        None => shown(text).into_owned(),
        Some(_) => {
            let start: String = text.chars().take(LONGEST_VALUE / 2).collect();
            let hash: String = text_hash(text).chars().take(6).collect();
            format!("{}…#{hash}", shown(&start))
        }
    }
}

/// Parameters stored as JSON, `{"a":1,"b":"x"}`, as `a=1 b=x`; any other text as it is.
pub fn params_text(text: &str) -> String {
    match serde_json::from_str(text) {
        Ok(params) => describe_set(&ParamSet::of_record(&params)),
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

/// The parameters that tell rows apart. A number of prompts that follows from the others says nothing more. `value`: of a row and a
/// parameter.
pub fn telling<'a>(names: &[&'a str], rows: usize, value: impl Fn(usize, &str) -> String) -> Vec<&'a str> {
    let told = |names: &[&str]| {
        let row = |row| names.iter().map(|name| value(row, name)).collect::<Vec<_>>();
        (0..rows).map(row).collect::<BTreeSet<_>>().len()
    };
    let others: Vec<&str> = names.iter().copied().filter(|name| column_name(name) != "num_prompts").collect();
    if others.is_empty() || told(&others) < told(names) { names.to_vec() } else { others }
}

/// What a combination is called: the words of its server and of its load.
pub fn label(parts: &[String; 2]) -> String {
    let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "unmodified commands".into() } else { parts.join(" · ") }
}
