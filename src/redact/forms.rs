//! Secrets that are known by their form, wherever they stand in a text.

#![expect(clippy::indexing_slicing, clippy::string_slice, reason = "at places that were found in the same text")]

use super::names::{Secrecy, secrecy};
use aho_corasick::AhoCorasick;
use regex::{Captures, Regex};
use std::ops::Range;
use std::sync::LazyLock;

/// Tokens whose makers gave them a form of their own, keys in PEM, JSON web tokens.
const TOKENS: [&str; 22] = [
    r"hf_[A-Za-z0-9]{16,}",
    r"sk-[A-Za-z0-9_-]{16,}",
    r"gh[pousr]_[A-Za-z0-9]{16,}",
    r"github_pat_[A-Za-z0-9_]{16,}",
    r"glpat-[A-Za-z0-9_-]{16,}",
    r"xox[a-z]-[A-Za-z0-9-]{10,}",
    r"xapp-[A-Za-z0-9-]{10,}",
    r"(?:AKIA|ASIA|AROA|AIDA)[0-9A-Z]{16}",
    r"AIza[0-9A-Za-z_-]{30,}",
    r"ya29\.[0-9A-Za-z_-]{16,}",
    r"eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]*",
    r"nvapi-[A-Za-z0-9_-]{16,}",
    r"npm_[A-Za-z0-9]{30,}",
    r"pypi-[A-Za-z0-9_-]{16,}",
    r"r8_[A-Za-z0-9]{30,}",
    r"dop_v1_[a-f0-9]{40,}",
    r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    r"gsk_[A-Za-z0-9]{20,}",
    r"lin_api_[A-Za-z0-9]{20,}",
    r"[rs]k_live_[A-Za-z0-9]{16,}",
    r"https://hooks\.slack\.com/services/[A-Za-z0-9/]+",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|\z)",
];

/// The beginnings of the tokens above, in lower case, and what the other forms have in them.
const HINTS: [&str; 32] = [
    "hf_",
    "sk-",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xox",
    "xapp-",
    "akia",
    "asia",
    "aroa",
    "aida",
    "aiza",
    "ya29.",
    "eyj",
    "nvapi-",
    "npm_",
    "pypi-",
    "r8_",
    "dop_v1_",
    "sg.",
    "gsk_",
    "lin_api_",
    "k_live_",
    "hooks.slack",
    "private key",
    "://",
    "-u ",
    "basic",
];

/// What names of secrets have in them.
const STEMS: [&str; 12] =
    ["token", "secret", "pass", "pwd", "key", "auth", "credential", "cookie", "bearer", "header", "signature", "sig="];

static TOKEN: LazyLock<Regex> = LazyLock::new(|| regex(&TOKENS.join("|")));

/// `Authorization: Bearer …`.
static SCHEME: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"(?i)\b(bearer|basic|digest|negotiate)(\s+|%20|\+)([A-Za-z0-9+/._~=-]{6,})"#));

/// `https://user:password@host` and `https://token@host`; the host stays, to tell one from the other. A password may have a slash
/// in it, though it should not.
static URL_USER: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"([A-Za-z][A-Za-z0-9+.-]*://)([^\s/?#"'@:]*:[^\s"'@]+|[^\s/?#"'@:]+)@"#));

/// `curl -u user:password`.
static USER: LazyLock<Regex> = LazyLock::new(|| regex(r#"((?:^|\s)-u\s+)([^\s:*]+):([^\s*][^\s]*)"#));

/// The name of a scheme in front of what it carries.
static SCHEME_NAME: LazyLock<Regex> =
    LazyLock::new(|| regex(&format!(r"^(?i)(?:{})(?:\s+|%20|\+)", super::SCHEMES.join("|"))));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap_or_else(|error| unreachable!("a pattern of ours: {error}"))
}

/// What a text is searched for before it is looked at closely: without any of these it holds no secret.
pub fn hints() -> impl Iterator<Item = &'static str> {
    HINTS.into_iter().chain(STEMS)
}

/// Where tokens with a form of their own stand.
pub fn tokens(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    TOKEN.find_iter(text).map(|found| found.range())
}

/// The text with everything that looks like a secret replaced.
pub fn replace(text: &str, replacement: &dyn Fn(&str) -> String) -> String {
    let text = TOKEN.replace_all(text, |found: &Captures| replacement(&found[0]));
    let text = URL_USER.replace_all(&text, |found: &Captures| match is_port_and_path(&found[2]) {
        true => found[0].to_owned(),
        false => format!("{}{}@", &found[1], replacement(&found[2])),
    });
    let text = SCHEME.replace_all(&text, |found: &Captures| {
        if found[3].starts_with("***") {
            found[0].to_owned()
        } else {
            format!("{}{}{}", &found[1], &found[2], replacement(&found[3]))
        }
    });
    let text = USER.replace_all(&text, |found: &Captures| match is_user_id(&found[2], &found[3]) {
        true => found[0].to_owned(),
        false => format!("{}{}:{}", &found[1], &found[2], replacement(&found[3])),
    });
    replace_pairs(&text, replacement)
}

/// `host:8000/path`, in front of an `@` that is part of the path.
fn is_port_and_path(text: &str) -> bool {
    let Some((_, behind)) = text.split_once(':') else { return false };
    let path = behind.trim_start_matches(|letter: char| letter.is_ascii_digit());
    path.len() < behind.len() && path.starts_with('/')
}

/// `docker run -u 1000:1000`: numbers of a user and a group.
pub fn is_user_id(user: &str, group: &str) -> bool {
    [user, group].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

static STEM: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let built = AhoCorasick::builder().ascii_case_insensitive(true).build(STEMS);
    built.unwrap_or_else(|error| unreachable!("stems of ours: {error}"))
});

/// The values of names that hold secrets: `name=value`, `name: value`, `"name": "value"`, `--name value`.
fn replace_pairs(text: &str, replacement: &dyn Fn(&str) -> String) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut copied = 0;
    let mut from = 0;
    while let Some(stem) = STEM.find(&text.as_bytes()[from..]) {
        let name = name_around(text, from + stem.start());
        from = name.end.max(from + stem.end()).min(text.len());
        let kind = secrecy(&text[name.clone()]);
        let Some(value) = value_behind(text, &name).filter(|_| kind != Secrecy::None) else { continue };
        if is_hidden(kind, &text[value.clone()]) && value.start >= copied {
            replaced.push_str(&text[copied..value.start]);
            replaced.push_str(&replacement(&text[value.clone()]));
            copied = value.end;
            from = value.end;
        }
    }
    replaced.push_str(&text[copied..]);
    replaced
}

/// The name that has a letter at a place.
fn name_around(text: &str, at: usize) -> Range<usize> {
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
    let bytes = text.as_bytes();
    let before = bytes[..at].iter().rev().take_while(|byte| is_of_name(byte)).count();
    let behind = bytes[at..].iter().take_while(|byte| is_of_name(byte)).count();
    at - before..at + behind
}

/// The value of a name: in quotes, or up to what ends a word. With nothing but space between them the name must be a flag's.
fn value_behind(text: &str, name: &Range<usize>) -> Option<Range<usize>> {
    let skip = |from: usize, letters: &str| {
        from + text[from..].len() - text[from..].trim_start_matches(|letter| letters.contains(letter)).len()
    };
    let behind_quote = skip(name.end, "\\\"'");
    let sign = skip(behind_quote, " \t");
    let is_flag = text[name.clone()].starts_with("--") && (sign > name.end || text[sign..].starts_with(','));
    // In a list of words a comma stands between a flag and its value.
    let mut start = skip(sign, if is_flag { ":=>," } else { ":=>" });
    if start == sign && !is_flag {
        return None;
    }
    start = skip(start, " \t");
    start += SCHEME_NAME.find(&text[start..]).map_or(0, |scheme| scheme.end());
    // A backslash before the quote: JSON inside JSON.
    let open = skip(start, "\\");
    let first = text[open..].chars().next();
    let quote = first.filter(|letter| matches!(letter, '"' | '\''));
    if let Some(closing) = first.and_then(closing_bracket) {
        let inner = open + 1;
        let end = text[inner..].find([closing, '\n']).map_or(text.len(), |length| inner + length);
        return (end > inner).then_some(inner..end);
    }
    let inner = open + quote.map_or(0, char::len_utf8);
    let length = match quote {
        Some(quote) => quoted_length(&text[inner..], quote),
        None if is_of_header(&text[name.clone()]) => text[open..].find(['\n', '\r', '"', '\'', ']', '}']),
        None => text[open..].find(|letter: char| letter.is_whitespace() || "\"',;&}])".contains(letter)),
    };
    let end = length.map_or(text.len(), |length| inner + length);
    (end > inner).then_some(inner..end)
}

/// What ends a list or an object of secrets.
fn closing_bracket(opening: char) -> Option<char> {
    [('[', ']'), ('(', ')'), ('{', '}')].into_iter().find(|pair| pair.0 == opening).map(|pair| pair.1)
}

/// Whether a name is that of a header, whose value may have spaces in it.
fn is_of_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["authorization", "header", "headers", "cookie", "cookies"].iter().any(|end| name.ends_with(end))
}

/// Up to the quote that closes, or the backslash before it.
fn quoted_length(text: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    for (index, letter) in text.char_indices() {
        match letter {
            letter if letter == quote && !is_escaped => return Some(index),
            letter if letter == quote => return Some(index - 1),
            _ => is_escaped = letter == '\\' && !is_escaped,
        }
    }
    None
}

/// Whether a value of a name of that secrecy is hidden: not what switches something, and not twice.
pub fn is_hidden(secrecy: Secrecy, text: &str) -> bool {
    let is_switch = ["", "true", "false", "null", "none", "True", "False", "None"].contains(&text);
    match secrecy {
        Secrecy::None => false,
        Secrecy::Texts => !is_switch && !text.starts_with("***") && !is_of_numbers(text),
        Secrecy::All => !is_switch && !text.starts_with("***"),
    }
}

/// A number, a list of them, or counts by names.
fn is_of_numbers(text: &str) -> bool {
    let mut parts = text.split([',', ' ', '[', ']']).filter(|part| !part.is_empty());
    parts.all(|part| part.ends_with(':') || part.parse::<f64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(text: &str) -> String {
        replace(text, &|_| "***".into())
    }

    #[test]
    fn secrets_are_known_by_their_form() {
        let cases = [
            ("using hf_abcdefghijklmnopqrst now", "using *** now"),
            ("Authorization: Bearer abc.def-123", "Authorization: Bearer ***"),
            ("Authorization: Custom abc def", "Authorization: ***"),
            ("{'api_key': ['abc', 'def'], 'n': 5}", "{'api_key': [***], 'n': 5}"),
            ("args: ['--api-key', 'abc', '--port', '8']", "args: ['--api-key', '***', '--port', '8']"),
            (r#"["--api-key","abc"]"#, r#"["--api-key","***"]"#),
            ("headers: {'X-Y': 'abc'} end", "headers: {***} end"),
            ("'tokens': [1, 2, 3], 'tokens': {'prompt': 5}", "'tokens': [1, 2, 3], 'tokens': {'prompt': 5}"),
            ("postgres://me:pa55word@db/x", "postgres://***@db/x"),
            ("http://host:8000/models/a@main hf://a/b@main", "http://host:8000/models/a@main hf://a/b@main"),
            (r#"{"api_key": "s3cr3t value", "n": 5}"#, r#"{"api_key": "***", "n": 5}"#),
            (r#"{\"api_key\": \"s3cr3t\"}"#, r#"{\"api_key\": \"***\"}"#),
            ("--api-key abc --port 8", "--api-key *** --port 8"),
            ("HF_TOKEN=abc vllm", "HF_TOKEN=*** vllm"),
            ("token=abc&x=1", "token=***&x=1"),
            ("a password: hunter2, and more", "a password: ***, and more"),
            ("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nrest", "***\nrest"),
            ("auth_enabled: true password: None", "auth_enabled: true password: None"),
            (
                "max_num_batched_tokens=2048 tokens: 77 prompt tokens: x",
                "max_num_batched_tokens=2048 tokens: 77 prompt tokens: ***",
            ),
            (
                "generation throughput: 99.1 tokens/s, the key is here",
                "generation throughput: 99.1 tokens/s, the key is here",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(hidden(text), expected, "for {text}");
        }
    }

    #[test]
    fn every_form_has_a_hint() {
        for text in [
            "hf_abcdefghijklmnopqrst",
            "xoxb-1234567890-abc",
            "AKIAABCDEFGHIJKLMNOP",
            "password=x",
            "sk-abcdefghijklmnopqrst",
        ] {
            assert_ne!(hidden(text), text);
            assert!(hints().any(|hint| text.to_lowercase().contains(hint)), "{text}");
        }
    }
}
