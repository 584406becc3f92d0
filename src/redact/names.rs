//! Names of flags, parameters, variables and fields that hold secrets.

/// How far a name tells that its value is a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Secrecy {
    None,
    /// Secret if it is a text that is no number: `tokens` may count them or list them.
    Texts,
    /// Whatever it holds.
    All,
}

/// Words that are secrets by themselves at the end of a name.
const SECRETS: [&str; 22] = [
    "token",
    "secret",
    "secrets",
    "password",
    "passwords",
    "passwd",
    "pwd",
    "passphrase",
    "apikey",
    "apikeys",
    "authorization",
    "auth",
    "credential",
    "credentials",
    "cookie",
    "cookies",
    "bearer",
    "header",
    "headers",
    "userpwd",
    "signature",
    "sig",
];

/// What comes before `key` and makes it one that opens something. Any other `…_key` is taken for one, too; a plain `key` is not.
const KEYS: [&str; 9] = ["api", "access", "secret", "private", "encryption", "signing", "auth", "account", "master"];

/// What comes before `token` or `tokens` where text is counted in them.
const COUNTED: [&str; 44] = [
    "first",
    "second",
    "third",
    "last",
    "next",
    "new",
    "per",
    "each",
    "inter",
    "time",
    "pad",
    "padding",
    "eos",
    "bos",
    "unk",
    "mask",
    "sep",
    "cls",
    "stop",
    "end",
    "start",
    "special",
    "input",
    "output",
    "prompt",
    "completion",
    "generated",
    "generation",
    "total",
    "max",
    "min",
    "mean",
    "num",
    "batched",
    "cached",
    "draft",
    "accepted",
    "reasoning",
    "image",
    "audio",
    "video",
    "text",
    "decode",
    "prefill",
];

/// Short flags of tools that people put in front of servers and benchmarks.
pub const SHORT_HEADER: &str = "-H";
pub const SHORT_USER: &str = "-u";

/// What a name says of its value.
pub fn secrecy(name: &str) -> Secrecy {
    if name == SHORT_HEADER {
        return Secrecy::All;
    }
    let parts = parts_of(name);
    let Some((last, before)) = parts.split_last() else { return Secrecy::None };
    let previous = before.last().map(String::as_str);
    let is_counted = previous.is_some_and(|word| COUNTED.contains(&word));
    match last.as_str() {
        "token" | "tokens" if is_counted => Secrecy::None,
        "tokens" | "auths" => Secrecy::Texts,
        "key" if previous.is_some() => Secrecy::All,
        "keys" if previous.is_some_and(|word| KEYS.contains(&word)) => Secrecy::All,
        word if SECRETS.contains(&word) => Secrecy::All,
        _ => Secrecy::None,
    }
}

/// The words of a name, however they are joined: `accessToken`, `HF_TOKEN`, `--api-key`, `x.api_key`.
fn parts_of(name: &str) -> Vec<String> {
    let mut parts: Vec<String> = vec![String::new()];
    let mut was_lower = false;
    for letter in name.chars() {
        if !letter.is_alphanumeric() {
            parts.push(String::new());
        } else if letter.is_uppercase() && was_lower {
            parts.push(letter.to_lowercase().collect());
        } else if let Some(part) = parts.last_mut() {
            part.extend(letter.to_lowercase());
        }
        was_lower = letter.is_lowercase();
    }
    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known_in_every_spelling() {
        for name in [
            "--api-key",
            "HF_TOKEN",
            "hf_token",
            "accessToken",
            "OPENAI_API_KEY",
            "AWS_SECRET_ACCESS_KEY",
            "apiKeys",
            "api_keys",
            "passwd",
            "PGPASSWORD",
            "auth",
            "Authorization",
            "--header",
            "-H",
            "x.client.secret",
            "token",
            "private_key",
            "sslPassword",
            "set-cookie",
        ] {
            let known = secrecy(name);
            assert!(known == Secrecy::All || name == "PGPASSWORD", "{name}: {known:?}");
        }
        assert_eq!(secrecy("tokens"), Secrecy::Texts);
    }

    #[test]
    fn names_that_count_tokens_or_sort_by_keys_are_not() {
        for name in [
            "max_num_batched_tokens",
            "tokenizer",
            "total_input_tokens",
            "time_to_first_token",
            "eos_token",
            "key",
            "keys",
            "author",
            "token_ids",
            "tokens_per_user",
            "output_token_throughput",
            "monkey",
            "served_model_name",
            "ssl-keyfile",
        ] {
            assert_eq!(secrecy(name), Secrecy::None, "{name}");
        }
    }
}
