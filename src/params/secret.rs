//! What must not be stored: keys, tokens and passwords in commands, parameters and environment.

use super::Command;
use serde_json::{Map, Value};

const REDACTED: &str = "***";

impl Command {
    /// The command with every secret replaced by `***`.
    pub fn redacted(&self) -> Self {
        let env = self
            .env
            .iter()
            .map(|(name, value)| (name.clone(), if is_secret(name) { REDACTED.into() } else { value.clone() }))
            .collect();
        Self { env, words: redacted_words(&self.words) }
    }
}

fn redacted_words(words: &[String]) -> Vec<String> {
    let mut redacted = Vec::with_capacity(words.len());
    let mut hide_values = false;
    for word in words {
        let (name, inline) = match word.split_once('=') {
            Some((name, _)) => (name, true),
            None => (word.as_str(), false),
        };
        if word.starts_with('-') {
            hide_values = is_secret(name) && !inline;
            redacted.push(if is_secret(name) && inline { format!("{name}={REDACTED}") } else { word.clone() });
        } else {
            redacted.push(if hide_values { REDACTED.into() } else { redacted_word(word) });
        }
    }
    redacted
}

/// Parameters as they may be stored.
pub fn redacted_params(params: &Map<String, Value>) -> impl Iterator<Item = (String, Value)> + '_ {
    params.iter().map(|(key, value)| {
        let is_hidden = is_secret(key) && !value.is_null();
        (key.clone(), if is_hidden { Value::String(REDACTED.into()) } else { redacted_inside(value) })
    })
}

/// A value without the secrets in it.
fn redacted_inside(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(redacted_params(fields).collect()),
        Value::Array(items) => Value::Array(items.iter().map(redacted_inside).collect()),
        Value::String(text) => Value::String(redacted_word(text)),
        other => other.clone(),
    }
}

/// `NAME=value` given as an argument (`env NAME=value …`, `docker run -e NAME=value`), or a whole command in one word
/// (`sh -c '…'`).
fn redacted_word(word: &str) -> String {
    if word.contains(char::is_whitespace)
        && let Some(words) = shlex::split(word)
    {
        let redacted = redacted_words(&words);
        return if redacted == words { word.to_owned() } else { redacted.join(" ") };
    }
    match word.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}={REDACTED}"),
        _ => word.to_owned(),
    }
}

/// Whether a flag, a parameter or a variable of this name holds a secret: its last part is `key`, `token`,
/// `secret` or `password`, or it sends HTTP headers.
fn is_secret(name: &str) -> bool {
    let name = name.trim_start_matches('-').to_ascii_lowercase();
    let last = name.rsplit(['-', '_', '.']).next().unwrap_or_default();
    let is_whole = last == name;
    matches!(last, "token" | "secret" | "password" | "apikey" | "header" | "headers") || (last == "key" && !is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_go_and_the_rest_stays() {
        let cases = [
            ("HF_TOKEN=abc vllm serve m", "HF_TOKEN='***' vllm serve m"),
            ("vllm serve m --api-key s3 --port 1", "vllm serve m --api-key '***' --port 1"),
            ("vllm serve m --api-key s3 s4", "vllm serve m --api-key '***' '***'"),
            ("vllm serve m --api_key=s3", "vllm serve m '--api_key=***'"),
            ("env OPENAI_API_KEY=abc bench", "env 'OPENAI_API_KEY=***' bench"),
            ("sh -c 'HF_TOKEN=a vllm serve m --api-key s3'", "sh -c 'HF_TOKEN=*** vllm serve m --api-key ***'"),
            ("bench --header Authorization=abc", "bench --header '***'"),
            (
                "vllm serve --max-num-batched-tokens 8 --tokenizer t",
                "vllm serve --max-num-batched-tokens 8 --tokenizer t",
            ),
        ];
        for (command, expected) in cases {
            let redacted = Command::parse("f", command).unwrap().redacted().quoted();
            assert_eq!(redacted, expected, "for {command}");
        }
        let nested = json!({"cfg": {"api_key": "s", "list": [{"hf_token": "t"}]}, "text": "a b"});
        assert_eq!(
            Value::Object(redacted_params(nested.as_object().unwrap()).collect()),
            json!({"cfg": {"api_key": "***", "list": [{"hf_token": "***"}]}, "text": "a b"})
        );
        let params = json!({"api_key": "s", "seed": 1});
        assert_eq!(
            redacted_params(params.as_object().unwrap()).collect::<Map<_, _>>(),
            json!({"api_key": "***", "seed": 1}).as_object().unwrap().clone()
        );
    }
}
