//! What must not be stored: keys, tokens and passwords, wherever they stand in commands, parameters, results, logs and messages.
//!
//! A secret is known by the name that it has, by its form, and by its value: what the environment calls a secret, and what a
//! name or a form gave away once, is taken out wherever it appears again. In its place stands `***` and a keyed hash
//! (HMAC-SHA256, RFC 2104): equal secrets stay equal, and without the key nobody can try guesses.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]

mod forms;
mod key;
mod names;
mod stream;

pub use names::{Secrecy, secrecy};
pub use stream::Stream;

use aho_corasick::{AhoCorasick, MatchKind};
use forms::is_hidden;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value};
use sha2::Sha256;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

pub const MARK: &str = "***";
/// Shorter values are hidden where their names stand, but not searched for: they would be found in any text.
const SHORTEST: usize = 6;
/// What people write where a key is asked for and none is needed.
const PLACEHOLDERS: [&str; 10] =
    ["empty", "dummy", "placeholder", "example", "changeme", "default", "password", "secret", "api-key", "api_key"];
/// What stands before a secret in a header, and is none.
const SCHEMES: [&str; 6] = ["bearer", "basic", "digest", "negotiate", "token", "apikey"];

/// Takes secrets out of texts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Redactor {
    key: [u8; 32],
    values: BTreeSet<String>,
    /// The values in every spelling in which they are searched for, and with what they are replaced.
    known: Arc<Known>,
}

#[derive(Debug, Default)]
struct Known {
    spellings: Option<AhoCorasick>,
    replacements: Vec<String>,
    longest: usize,
}

/// Whether a text needs a closer look.
static HINTS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let built = AhoCorasick::builder().ascii_case_insensitive(true).build(forms::hints());
    built.unwrap_or_else(|error| unreachable!("hints of ours: {error}"))
});

/// The variables of this process's environment that are texts; others are passed on to children, and never read.
pub fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

impl Redactor {
    /// One that knows names and forms, and the secrets of this process's environment. Hashes have this user's key.
    pub fn of_environment() -> Self {
        static OF_ENVIRONMENT: LazyLock<Redactor> =
            LazyLock::new(|| Redactor::new(key::of_user()).knowing_environment(variables()));
        OF_ENVIRONMENT.clone()
    }

    pub fn new(key: [u8; 32]) -> Self {
        Self { key, values: BTreeSet::new(), known: Arc::default() }
    }

    /// The redactor that also knows the values of variables whose names are those of secrets.
    pub fn knowing_environment(self, variables: impl Iterator<Item = (String, String)>) -> Self {
        let is_secret = |name: &str, value: &str| secrecy(name) > Secrecy::None && !is_place(name, value);
        self.knowing(variables.filter(|(name, value)| is_secret(name, value)).map(|(_, value)| value))
    }

    /// The redactor that also knows these values.
    pub fn knowing(mut self, values: impl IntoIterator<Item = String>) -> Self {
        let before = self.values.len();
        let lines = values.into_iter().flat_map(|value| {
            let lines: Vec<String> = value.lines().map(str::to_owned).collect();
            if lines.len() > 1 { lines } else { vec![value] }
        });
        self.values.extend(lines.filter(|value| is_worth_searching(value)));
        if self.values.len() > before {
            self.known = Arc::new(self.search());
        }
        self
    }

    /// The redactor that also knows the secrets that words of a command and values of variables give away.
    pub fn knowing_command(self, env: &[(String, String)], words: &[String]) -> Self {
        let given: Vec<String> = secrets_in_words(words).collect();
        let named = env.iter().filter(|(name, _)| secrecy(name) > Secrecy::None).map(|(_, value)| value.clone());
        let named: Vec<String> = named.chain(given).collect();
        self.knowing(named)
    }

    /// The redactor that also knows the secrets among parameters.
    pub fn knowing_params(self, params: &Map<String, Value>) -> Self {
        let mut found = Vec::new();
        params.iter().for_each(|(name, value)| collect_secrets(name, value, &mut found));
        self.knowing(found)
    }

    fn search(&self) -> Known {
        let spellings: Vec<(String, String)> = self
            .values
            .iter()
            .flat_map(|value| spellings(value).into_iter().map(|spelling| (spelling, self.mark(value))))
            .collect();
        let longest = spellings.iter().map(|(spelling, _)| spelling.len()).max().unwrap_or(0);
        let (patterns, replacements): (Vec<String>, Vec<String>) = spellings.into_iter().unzip();
        let built = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&patterns);
        Known { spellings: built.ok(), replacements, longest }
    }

    /// What stands for a secret.
    fn mark(&self, secret: &str) -> String {
        let mut mac = match Hmac::<Sha256>::new_from_slice(&self.key) {
            Ok(mac) => mac,
            Err(_) => return MARK.into(),
        };
        mac.update(secret.as_bytes());
        let hash = mac.finalize().into_bytes();
        hash.iter().take(4).fold(MARK.to_owned(), |text, byte| text + &format!("{byte:02x}"))
    }

    /// A text without the secrets in it.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let text = match &self.known.spellings {
            Some(spellings) if spellings.is_match(text) => {
                Cow::Owned(spellings.replace_all(text, &self.known.replacements))
            }
            _ => Cow::Borrowed(text),
        };
        if !HINTS.is_match(text.as_ref()) {
            return text;
        }
        let replaced = forms::replace(&text, &|secret| self.mark(secret));
        if replaced == text { text } else { Cow::Owned(replaced) }
    }

    /// The text that belongs to a name.
    pub fn named<'a>(&self, name: &str, text: &'a str) -> Cow<'a, str> {
        match is_hidden(secrecy(name), text) {
            true => Cow::Owned(self.mark(text)),
            false => self.text(text),
        }
    }

    /// The words of a command: values of flags and variables whose names tell, and what tells by itself.
    pub fn words(&self, words: &[String]) -> Vec<String> {
        let mut redacted = Vec::with_capacity(words.len());
        let mut flag = "";
        for word in words {
            let is_value = !is_flag(word);
            redacted.push(match is_value && is_secret_of(flag, word) {
                true => self.mark_behind(flag, word),
                false => self.word(word),
            });
            if !is_value {
                flag = if word.contains('=') { "" } else { word };
            }
        }
        redacted
    }

    /// `NAME=value`, `--flag=value`, a whole command in one word, or any other text.
    fn word(&self, word: &str) -> String {
        if let Some((name, value)) = word.split_once('=')
            && !name.contains(char::is_whitespace)
            && is_hidden(secrecy(name), value)
        {
            return format!("{name}={}", self.mark(value));
        }
        self.text(word).into_owned()
    }

    /// A user's name is none of the secret.
    fn mark_behind(&self, flag: &str, word: &str) -> String {
        match word.split_once(':').filter(|_| flag == names::SHORT_USER) {
            Some((user, password)) => format!("{user}:{}", self.mark(password)),
            None => self.mark(word),
        }
    }

    /// A value without the secrets in it; `name` is that of the field that holds it.
    pub fn value(&self, name: &str, value: &Value) -> Value {
        self.value_of(secrecy(name), value)
    }

    fn value_of(&self, secrecy: Secrecy, value: &Value) -> Value {
        match value {
            Value::String(text) if is_hidden(secrecy, text) => self.mark(text).into(),
            Value::String(text) => self.text(text).into(),
            Value::Number(number) if secrecy == Secrecy::All => self.mark(&number.to_string()).into(),
            Value::Array(items) => {
                secrecies_of_items(secrecy, items).map(|(own, item)| self.value_of(own, item)).collect()
            }
            Value::Object(fields) => {
                let field = |(own, name, value): (Secrecy, &String, &Value)| {
                    (self.text(name).into_owned(), self.value_of(own, value))
                };
                Value::Object(secrecies_of_fields(secrecy, fields).map(field).collect())
            }
            other => other.clone(),
        }
    }

    /// Fields without the secrets in them.
    pub fn fields(&self, fields: &Map<String, Value>) -> Map<String, Value> {
        fields.iter().map(|(name, value)| (self.text(name).into_owned(), self.value(name, value))).collect()
    }

    /// Takes the secrets out of fields that may hold long lists of numbers, which are not copied.
    pub fn clean(&self, fields: &mut Map<String, Value>) {
        if fields.keys().any(|name| matches!(self.text(name), Cow::Owned(_))) {
            *fields = std::mem::take(fields)
                .into_iter()
                .map(|(name, value)| (self.text(&name).into_owned(), value))
                .collect();
        }
        fields.iter_mut().for_each(|(name, value)| self.clean_value(secrecy(name), value));
    }

    fn clean_value(&self, secrecy: Secrecy, value: &mut Value) {
        match value {
            Value::Array(items) if secrecy != Secrecy::All && !items.iter().any(Value::is_string) => {
                items.iter_mut().for_each(|item| self.clean_value(secrecy, item));
            }
            Value::Null | Value::Bool(_) => {}
            Value::Number(_) if secrecy != Secrecy::All => {}
            other => *other = self.value_of(secrecy, other),
        }
    }

    /// Where a secret begins that lies across a place.
    fn secret_across(&self, bytes: &[u8], place: usize) -> Option<usize> {
        let lies_across = |start: usize, end: usize| start < place && place < end;
        let known = self.known.spellings.iter().flat_map(|spellings| spellings.find_iter(bytes));
        let known = known.filter(|found| lies_across(found.start(), found.end())).map(|found| found.start()).min();
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let formed = forms::tokens(text).find(|found| lies_across(found.start, found.end)).map(|found| found.start);
        known.into_iter().chain(formed).min()
    }

    /// The longest text that a known value can stand in.
    fn longest(&self) -> usize {
        self.known.longest
    }
}

/// Whether a variable says where something is: `PWD` is no password, and `…_AUTH_SOCK` names a socket.
fn is_place(name: &str, value: &str) -> bool {
    ["PWD", "OLDPWD"].contains(&name) || (value.starts_with('/') && std::path::Path::new(value).exists())
}

fn is_worth_searching(value: &str) -> bool {
    let is_number = value.parse::<f64>().is_ok() && value.len() < 12;
    let lower = value.to_ascii_lowercase();
    let is_placeholder = PLACEHOLDERS.contains(&lower.as_str()) || SCHEMES.contains(&lower.as_str());
    value.len() >= SHORTEST && !is_number && !is_placeholder && !value.starts_with(MARK)
}

/// A value as it is, as JSON has it in a text, and as an URL has it.
fn spellings(value: &str) -> BTreeSet<String> {
    let json = Value::String(value.to_owned()).to_string();
    let json = json.trim_matches('"').to_owned();
    let twice = Value::String(json.clone()).to_string().trim_matches('"').to_owned();
    let url: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    [value.to_owned(), json, twice, url.replace('+', "%20"), url].into_iter().collect()
}

fn is_flag(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-') && word.parse::<f64>().is_err() && !word.starts_with("-----BEGIN")
}

fn is_secret_of(flag: &str, word: &str) -> bool {
    match flag == names::SHORT_USER {
        true => {
            let parts = word.split_once(':').filter(|(_, password)| !password.starts_with("//"));
            parts.is_some_and(|(user, password)| !password.is_empty() && !forms::is_user_id(user, password))
        }
        false => is_hidden(secrecy(flag), word),
    }
}

/// The values that flags of secrets carry.
fn secrets_in_words(words: &[String]) -> impl Iterator<Item = String> {
    let mut flag = String::new();
    let mut found = Vec::new();
    for word in words {
        if is_flag(word) {
            flag = if word.contains('=') { String::new() } else { word.clone() };
        } else if is_secret_of(&flag, word) {
            let password = word.split_once(':').filter(|_| flag == names::SHORT_USER).map(|(_, password)| password);
            // Of `Authorization: Bearer abc` the last part is the secret.
            let last = word.rsplit([' ', '=', ':']).next().unwrap_or(word);
            found.extend([password.unwrap_or(word).to_owned(), last.to_owned()]);
        }
        if let Some((name, value)) = word.split_once('=')
            && !name.contains(char::is_whitespace)
            && is_hidden(secrecy(name), value)
        {
            found.push(value.to_owned());
        }
        collect_from_text(word, &mut found);
    }
    found.into_iter()
}

/// The secrets that stand in a text by their names or forms.
fn collect_from_text(text: &str, found: &mut Vec<String>) {
    if HINTS.is_match(text) {
        let seen = std::cell::RefCell::new(Vec::new());
        forms::replace(text, &|secret| {
            seen.borrow_mut().push(secret.to_owned());
            MARK.into()
        });
        let password = |secret: String| {
            let password = secret.split_once(':').map(|(_, password)| password.to_owned());
            std::iter::once(secret).chain(password)
        };
        found.extend(seen.into_inner().into_iter().flat_map(password));
    }
}

/// What is said of the items of a list: one behind a flag is its value, as in `["--api-key", "x"]`.
fn secrecies_of_items(secrecy: Secrecy, items: &[Value]) -> impl Iterator<Item = (Secrecy, &Value)> {
    let mut flag = None;
    items.iter().map(move |item| {
        let word = item.as_str();
        let of_flag = flag.filter(|_| word.is_some_and(|word| !is_flag(word))).map_or(Secrecy::None, names::secrecy);
        flag = word.filter(|word| is_flag(word) && !word.contains('='));
        (of_flag.max(secrecy), item)
    })
}

/// What is said of the values of fields: by their names, and of `value` in `{"name": "HF_TOKEN", "value": "x"}` by that name.
fn secrecies_of_fields(
    secrecy: Secrecy,
    fields: &Map<String, Value>,
) -> impl Iterator<Item = (Secrecy, &String, &Value)> {
    let told = ["name", "key"].into_iter().filter_map(|field| fields.get(field)?.as_str()).map(names::secrecy).max();
    fields.iter().map(move |(name, value)| {
        let of_name = if name == "value" { told.unwrap_or(Secrecy::None) } else { Secrecy::None };
        (names::secrecy(name).max(of_name).max(secrecy), name, value)
    })
}

fn collect_secrets(name: &str, value: &Value, found: &mut Vec<String>) {
    collect(secrecy(name), value, found);
}

fn collect(secrecy: Secrecy, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if is_hidden(secrecy, text) => found.push(text.clone()),
        Value::String(text) => collect_from_text(text, found),
        Value::Array(items) => secrecies_of_items(secrecy, items).for_each(|(own, item)| collect(own, item, found)),
        Value::Object(fields) => {
            secrecies_of_fields(secrecy, fields).for_each(|(own, _, value)| collect(own, value, found));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
