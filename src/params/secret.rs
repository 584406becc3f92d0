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
        let mut words: Vec<String> = Vec::with_capacity(self.words.len());
        let mut hide_values = false;
        for word in &self.words {
            let (name, inline) = match word.split_once('=') {
                Some((name, _)) => (name, true),
                None => (word.as_str(), false),
            };
            if word.starts_with('-') {
                hide_values = is_secret(name) && !inline;
                words.push(if is_secret(name) && inline { format!("{name}={REDACTED}") } else { word.clone() });
            } else {
                words.push(if hide_values { REDACTED.into() } else { redacted_assignment(word) });
            }
        }
        Self { env, words }
    }
}

/// Parameters as they may be stored.
pub fn redacted_params(params: &Map<String, Value>) -> impl Iterator<Item = (String, Value)> + '_ {
    params.iter().map(|(key, value)| {
        let is_hidden = is_secret(key) && !value.is_null();
        (key.clone(), if is_hidden { Value::String(REDACTED.into()) } else { value.clone() })
    })
}

/// `NAME=value` given as an argument (`env NAME=value …`, `docker run -e NAME=value`).
fn redacted_assignment(word: &str) -> String {
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
        let params = json!({"api_key": "s", "seed": 1});
        assert_eq!(
            redacted_params(params.as_object().unwrap()).collect::<Map<_, _>>(),
            json!({"api_key": "***", "seed": 1}).as_object().unwrap().clone()
        );
    }
}
