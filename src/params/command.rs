//! A command line as words, and a parameter set written into it.
//!
//! How a value becomes words:
//!
//! | value | words |
//! | --- | --- |
//! | number, string | `--key VALUE`, the number as it was written |
//! | true, false | `--key`, `--no-key`; of an inner key: `--outer.inner=true` |
//! | object | `--key JSON` |
//! | null, `[]` | the flag is taken out: the program's own default holds |
//! | list | `--key A B C`, the form of a flag that takes several words |
//! | list of lists | `--key A B --key C`: the flag once for each inner list |
//!
//! A flag that is already in the command, in either spelling and as `--key VALUE` or `--key=VALUE`, is replaced
//! where it first stands and removed where it stands again, so that the parameter always wins.

use super::{ParamSet, ParamsError};
use crate::id::column_name;
use crate::redact::Redactor;
use serde_json::Value;
use std::collections::BTreeMap;

/// A program with its arguments, and the `NAME=value` words that were written before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub env: Vec<(String, String)>,
    pub words: Vec<String>,
}

/// Stands in a command for the file of its result.
pub const RESULT: &str = "{result}";

impl Command {
    /// Splits a command as a shell splits words; `flag` says where the text came from.
    pub fn parse(flag: &str, text: &str) -> Result<Self, ParamsError> {
        let bad =
            |reason: &str| ParamsError::BadCommand { flag: flag.into(), text: text.into(), reason: reason.into() };
        let words = shlex::split(text).ok_or_else(|| bad("unclosed quote"))?;
        let assignments = words.iter().take_while(|word| is_assignment(word)).count();
        let (env, words) = words.split_at(assignments);
        let env = env
            .iter()
            .filter_map(|word| word.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        match words.first() {
            Some(program) if !program.is_empty() => Ok(Self { env, words: words.to_vec() }),
            _ => Err(bad("no program")),
        }
    }

    /// A command of these words.
    pub fn new<S: Into<String>>(words: impl IntoIterator<Item = S>) -> Self {
        Self { env: Vec::new(), words: words.into_iter().map(Into::into).collect() }
    }

    /// The program and its arguments.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    pub fn program(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    pub fn arguments(&self) -> &[String] {
        self.words.split_first().map_or(&[], |(_, arguments)| arguments)
    }

    /// The command with a parameter set's flags written into it.
    pub fn with_params(&self, set: &ParamSet) -> Self {
        let words = set.params.iter().fold(self.words.clone(), |words, (key, value)| set_flag(words, key, value));
        Self { env: self.env.clone(), words }
    }

    /// Whether a placeholder stands in it.
    pub fn has(&self, placeholder: &str) -> bool {
        self.words.iter().any(|word| word.contains(placeholder))
    }

    /// The command with something in the place of a placeholder.
    pub fn filled(&self, placeholder: &str, with: &str) -> Self {
        let words = self.words.iter().map(|word| word.replace(placeholder, with)).collect();
        Self { env: self.env.clone(), words }
    }

    /// The command with more words behind it.
    pub fn with_words<S: Into<String>>(&self, more: impl IntoIterator<Item = S>) -> Self {
        let words = self.words.iter().cloned().chain(more.into_iter().map(Into::into)).collect();
        Self { env: self.env.clone(), words }
    }

    /// The command with another value wherever a flag stands, in the form in which it stands.
    pub fn with_value(&self, flag: &str, value: &str) -> Self {
        let forms = flag_forms(flag);
        let mut is_value = false;
        let words = self.words.iter().map(|word| {
            if std::mem::take(&mut is_value) {
                return value.to_owned();
            }
            match word.split_once('=').filter(|(form, _)| forms.iter().any(|known| known == form)) {
                Some((form, _)) => format!("{form}={value}"),
                None => {
                    is_value = forms.contains(word);
                    word.clone()
                }
            }
        });
        Self { env: self.env.clone(), words: words.collect() }
    }

    /// The command without a flag and the words behind it.
    pub fn without(&self, flag: &str) -> Self {
        self.with_params(&ParamSet::unchanged().with(flag, Value::Null))
    }

    /// The command without those uses of a flag whose word is such a one.
    pub fn without_where(&self, flag: &str, is_such: impl Fn(&str) -> bool) -> Self {
        let forms = flag_forms(flag);
        let mut words: Vec<String> = Vec::new();
        let mut rest = self.words.iter().peekable();
        while let Some(word) = rest.next() {
            let inline = word.split_once('=').filter(|(form, _)| forms.iter().any(|known| known == form));
            if inline.is_some_and(|(_, value)| is_such(value)) {
                continue;
            }
            if forms.contains(word) && rest.peek().is_some_and(|value| is_such(value)) {
                rest.next();
                continue;
            }
            words.push(word.clone());
        }
        Self { env: self.env.clone(), words }
    }

    /// The value of a flag: the last one given, in any of the spellings (`tensor-parallel-size`, `-tp`).
    pub fn flag(&self, names: &[&str]) -> Option<&str> {
        let forms: Vec<String> = names.iter().flat_map(|name| flag_forms(name)).collect();
        let mut found = None;
        for (index, word) in self.words.iter().enumerate().skip(1) {
            if forms.contains(word) {
                found = self.words.get(index + 1).map(String::as_str);
            } else if let Some((form, value)) = word.split_once('=')
                && forms.iter().any(|known| known == form)
            {
                found = Some(value);
            }
        }
        found
    }

    /// All long flags by their names in the `_` spelling, with the words behind each; the last of one name counts.
    pub fn flags(&self) -> BTreeMap<String, String> {
        let mut flags = BTreeMap::new();
        let mut words = self.words.iter().skip(1).peekable();
        while let Some(word) = words.next() {
            let Some(flag) = word.strip_prefix("--").filter(|flag| !flag.is_empty()) else { continue };
            let (name, mut values) = match flag.split_once('=') {
                Some((name, value)) => (name, vec![value]),
                None => (flag, Vec::new()),
            };
            while let Some(value) = words.next_if(|word| !word.starts_with("--")) {
                values.push(value);
            }
            flags.insert(column_name(name), values.join(" "));
        }
        flags
    }

    /// The command as it may be stored and shown.
    pub fn redacted(&self, redactor: &Redactor) -> Self {
        let env = self.env.iter().map(|(name, value)| (name.clone(), redactor.named(name, value).into_owned()));
        Self { env: env.collect(), words: redactor.words(&self.words) }
    }

    /// One line that a shell reads back as the same words.
    pub fn quoted(&self) -> String {
        let env = self.env.iter().map(|(name, value)| format!("{name}={}", quote(value)));
        env.chain(self.words.iter().map(|word| quote(word))).collect::<Vec<_>>().join(" ")
    }
}

/// The words that stand for one parameter on a command line.
fn flag_words(key: &str, value: &Value) -> Vec<String> {
    let flag = preferred_flag(key);
    match value {
        Value::Null => Vec::new(),
        Value::Bool(on) if key.contains('.') => vec![format!("{flag}={on}")],
        Value::Bool(true) => vec![flag],
        Value::Bool(false) => vec![preferred_flag(&format!("no-{key}"))],
        Value::Array(items) if items.is_empty() => Vec::new(),
        Value::Array(items) if items.iter().all(Value::is_array) => items
            .iter()
            .filter_map(Value::as_array)
            .flat_map(|inner| std::iter::once(flag.clone()).chain(inner.iter().map(word)).collect::<Vec<_>>())
            .collect(),
        Value::Array(items) => std::iter::once(flag).chain(items.iter().map(word)).collect(),
        scalar => vec![flag, word(scalar)],
    }
}

/// The first parameter of a set that no command line can hold: the words of a process end at a NUL.
pub fn with_nul(set: &ParamSet) -> Option<&str> {
    let has_nul = |(key, value): &(&String, &Value)| flag_words(key, value).iter().any(|word| word.contains('\0'));
    set.params.iter().find(has_nul).map(|(key, _)| key.as_str())
}

/// Replaces the flag where it first stands, drops it where it stands again, appends it where it is new.
fn set_flag(words: Vec<String>, key: &str, value: &Value) -> Vec<String> {
    let positive = flag_forms(key);
    let negative = flag_forms(&format!("no-{key}"));
    let takes_several = value.is_array();
    let mut replacement = Some(flag_words(key, value));
    let mut result = Vec::with_capacity(words.len() + 2);
    let mut words = words.into_iter().enumerate().peekable();
    while let Some((index, word)) = words.next() {
        let name = word.split_once('=').map_or(word.as_str(), |(name, _)| name);
        let is_positive = index > 0 && positive.iter().any(|form| form == name);
        let is_negative = index > 0 && negative.iter().any(|form| form == name);
        if !is_positive && !is_negative {
            result.push(word);
            continue;
        }
        result.extend(replacement.take().unwrap_or_default());
        // A switch and `--key=value` stand alone; otherwise the value behind the flag goes with it.
        let has_values = is_positive && !value.is_boolean() && !word.contains('=');
        let limit = if takes_several { usize::MAX } else { usize::from(has_values) };
        let mut taken = 0;
        while has_values && taken < limit && words.next_if(|(_, next)| !is_flag(next)).is_some() {
            taken += 1;
        }
    }
    result.extend(replacement.unwrap_or_default());
    result
}

/// The spellings of a flag; of a dotted key only the outer part varies.
fn flag_forms(name: &str) -> Vec<String> {
    if name.starts_with('-') {
        return vec![name.to_owned()];
    }
    let (outer, inner) = match name.split_once('.') {
        Some((outer, inner)) => (outer, format!(".{inner}")),
        None => (name, String::new()),
    };
    let mut forms = vec![
        format!("--{}{inner}", outer.replace('_', "-")),
        format!("--{}{inner}", outer.replace('-', "_")),
        format!("--{outer}{inner}"),
    ];
    forms.dedup();
    forms
}

fn preferred_flag(key: &str) -> String {
    flag_forms(key).swap_remove(0)
}

/// A list's or a scalar's own word.
fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => python_spaced(other),
    }
}

/// JSON with a space after each comma and colon, as Python's `json.dumps` writes it and as vLLM passes it on.
fn python_spaced(value: &Value) -> String {
    let join = |parts: Vec<String>| parts.join(", ");
    match value {
        Value::Array(items) => format!("[{}]", join(items.iter().map(python_spaced).collect())),
        Value::Object(fields) => format!("{{{}}}", join(fields.iter().map(spaced_pair).collect())),
        scalar => scalar.to_string(),
    }
}

fn spaced_pair((key, value): (&String, &Value)) -> String {
    format!("{}: {}", Value::String(key.clone()), python_spaced(value))
}

fn is_flag(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-') && word.parse::<f64>().is_err()
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| is_env_name(name))
}

fn is_env_name(name: &str) -> bool {
    let starts_well = name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    starts_well && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

fn quote(word: &str) -> String {
    // What no shell treats specially stays readable; the same set as Python's `shlex.quote`.
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "@%+=:,./-_".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    // NUL is the one character that cannot be quoted, and no argument can hold it.
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), |quoted| quoted.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn applied(command: &str, params: Value) -> String {
        let set = ParamSet { name: None, params: params.as_object().unwrap().clone() };
        Command::parse("--serve-cmd", command).unwrap().with_params(&set).quoted()
    }

    #[test]
    fn all_flags_are_known_by_one_spelling() {
        let command = Command::parse("f", "A=1 bench run --data-set 'a b' -x 3 --n=4 --on --n 5 6").unwrap();
        let flags: Vec<(String, String)> = command.flags().into_iter().collect();
        let expected = [("data_set", "a b -x 3"), ("n", "5 6"), ("on", "")];
        assert_eq!(flags, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn values_become_words() {
        let cases = [
            (json!({"max_num_seqs": 65536}), "v --max-num-seqs 65536"),
            (json!({"gpu_memory_utilization": 0.9}), "v --gpu-memory-utilization 0.9"),
            (json!({"enable_prefix_caching": true}), "v --enable-prefix-caching"),
            (json!({"enable_prefix_caching": false}), "v --no-enable-prefix-caching"),
            (json!({"compilation_config.use_graph": false}), "v --compilation-config.use_graph=false"),
            (json!({"compilation_config.level": 3}), "v --compilation-config.level 3"),
            (json!({"cfg": {"a": 1, "b": [true]}}), r#"v --cfg '{"a": 1, "b": [true]}'"#),
            (json!({"goodput": ["ttft:200", "tpot:50"]}), "v --goodput ttft:200 tpot:50"),
            (json!({"lora": [["a", 1], ["b", 2]]}), "v --lora a 1 --lora b 2"),
            (json!({"seed": null}), "v"),
            (json!({"stop": []}), "v"),
            (json!({"name": "two words"}), "v --name 'two words'"),
        ];
        for (params, expected) in cases {
            assert_eq!(applied("v", params.clone()), expected, "for {params}");
        }
    }

    #[test]
    fn a_flag_of_the_base_command_is_replaced_in_place() {
        let cases = [
            ("v --a_b 1 --c 2", json!({"a-b": 3}), "v --a-b 3 --c 2"),
            ("v --a-b=1 --c 2", json!({"a_b": 3}), "v --a-b 3 --c 2"),
            ("v --x 1 m --x=2", json!({"x": 3}), "v --x 3 m"),
            ("v --num-prompts 5 --num_prompts 8", json!({"num_prompts": 9}), "v --num-prompts 9"),
            ("v --x", json!({"x": 3}), "v --x 3"),
            ("v --x --y 1", json!({"x": 3}), "v --x 3 --y 1"),
            ("v --x model", json!({"x": true}), "v --x model"),
            ("v --no-x model", json!({"x": true}), "v --x model"),
            ("v --x model", json!({"x": false}), "v --no-x model"),
            ("v --t -1 m", json!({"t": 2}), "v --t 2 m"),
            ("v --seed 1 m", json!({"seed": null}), "v m"),
            ("v --g a b --z", json!({"g": ["c"]}), "v --g c --z"),
        ];
        for (command, params, expected) in cases {
            assert_eq!(applied(command, params.clone()), expected, "for {command} with {params}");
        }
    }

    #[test]
    fn the_last_flag_given_is_the_one_read() {
        let command = Command::parse("f", "vllm serve m --port 1 --port=2 -tp 4").unwrap();
        assert_eq!(command.flag(&["port", "-p"]), Some("2"));
        assert_eq!(command.flag(&["tensor-parallel-size", "-tp"]), Some("4"));
        assert_eq!(command.flag(&["host"]), None);
    }

    #[test]
    fn leading_assignments_are_environment() {
        let command = Command::parse("f", "CUDA_VISIBLE_DEVICES=0 A='b c' vllm serve x=y").unwrap();
        assert_eq!(command.env[1], ("A".into(), "b c".into()));
        assert_eq!(command.program(), "vllm");
        assert_eq!(command.quoted(), "CUDA_VISIBLE_DEVICES=0 A='b c' vllm serve x=y");
    }

    #[test]
    fn a_command_that_is_none_is_refused() {
        for (text, reason) in [("vllm 'serve", "unclosed quote"), ("  ", "no program"), ("A=1", "no program")] {
            let error = Command::parse("--serve-cmd", text).unwrap_err().to_string();
            assert_eq!(error, format!("--serve-cmd: {reason} in {text:?}"));
        }
    }

    proptest! {
        #[test]
        fn a_quoted_command_reads_back_as_the_same_words(words in prop::collection::vec("[^\0]{1,12}", 1..6)) {
            let command = Command { env: Vec::new(), words: std::iter::once("p".to_owned()).chain(words).collect() };
            prop_assert_eq!(shlex::split(&command.quoted()).unwrap(), command.words);
        }

        #[test]
        fn a_parameter_always_wins_and_never_twice(value in 0u32..1000, before in "[a-z]{1,4}", twice in any::<bool>()) {
            let again = if twice { " --key=7" } else { "" };
            let command = Command::parse("f", &format!("p --key 1 {before}{again}")).unwrap();
            let set = ParamSet { name: None, params: json!({"key": value}).as_object().unwrap().clone() };
            let words = command.with_params(&set).words;
            prop_assert_eq!(words, ["p".to_owned(), "--key".into(), value.to_string(), before]);
        }
    }
}
