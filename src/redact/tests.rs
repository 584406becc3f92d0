use super::*;
use proptest::prelude::*;
use serde_json::json;

const KEY: [u8; 32] = [7; 32];
const SECRET: &str = "Zq7-vN2_secretvalue";

fn redactor() -> Redactor {
    Redactor::new(KEY)
}

fn words(text: &str) -> Vec<String> {
    shlex::split(text).unwrap()
}

#[test]
fn equal_secrets_stay_equal_and_others_apart() {
    let (one, again, other) = (redactor().mark("a"), redactor().mark("a"), redactor().mark("b"));
    assert_eq!(one, again);
    assert_ne!(one, other);
    assert_ne!(one, Redactor::new([8; 32]).mark("a"), "the hash depends on the key");
    // RFC 4231, test case 2: key "Jefe", data "what do ya want for nothing?": 5bdcc146…
    let mut key = [0; 32];
    key[..4].copy_from_slice(b"Jefe");
    assert_eq!(Redactor::new(key).mark("what do ya want for nothing?"), "***5bdcc146");
}

#[test]
fn what_tells_nothing_is_left_alone() {
    for text in [
        "vllm serve m --max-num-batched-tokens 8 --tokenizer t --port 1",
        "bench --num-prompts 5 --dataset-name random",
    ] {
        assert_eq!(redactor().words(&words(text)), words(text));
    }
    let params =
        json!({"max_num_seqs": 3, "key": "a", "enable_auth": true, "time_to_first_token": {"unit": "ms", "avg": 5}});
    assert_eq!(redactor().fields(params.as_object().unwrap()), params.as_object().unwrap().clone());
}

#[test]
fn what_was_a_secret_once_is_one_everywhere() {
    let redactor = redactor().knowing_command(&[], &words(&format!("vllm serve m --api-key {SECRET}")));
    assert_eq!(redactor.text(&format!("loaded with {SECRET}!")), format!("loaded with {}!", redactor.mark(SECRET)));
    let params = json!({"cfg": {"password": "hunter22"}, "url": "https://me:pa55word@host/x"});
    let redactor = redactor.knowing_params(params.as_object().unwrap());
    for leak in ["x hunter22 y", "x pa55word y"] {
        assert!(redactor.text(leak).contains(MARK), "{leak}");
    }
    let quoted = redactor.clone().knowing([r#"a"b\c d/e"#.to_owned()]);
    for spelling in [r#"a"b\c d/e"#, r#"a\"b\\c d/e"#, "a%22b%5Cc%20d%2Fe", "a%22b%5Cc+d%2Fe"] {
        assert!(quoted.text(&format!("<{spelling}>")).starts_with("<***"), "{spelling}");
    }
}

/// Where people put secrets, with `{}` for the secret.
const PLACES: [&str; 24] = [
    "vllm serve m --api-key {}",
    "vllm serve m --api-key={}",
    "vllm serve m --hf_token {}",
    "HF_TOKEN={} vllm serve m",
    "env OPENAI_API_KEY={} bench",
    "docker run -e AWS_SECRET_ACCESS_KEY={} image",
    "sh -c 'HF_TOKEN={} vllm serve m --api-key {}'",
    "bench -H 'Authorization: Bearer {}'",
    "bench -H 'X-Api-Key: {}'",
    "bench --header 'Authorization=Bearer {}'",
    "bench --extra-body '{\"api_key\": \"{}\"}'",
    "bench --config '{\"a\": {\"b\": [{\"accessToken\": \"{}\"}]}}'",
    "bench --base-url https://user:{}@host:8000/v1",
    "bench --base-url 'https://host/v1?api_key={}&x=1'",
    "curl -u user:{} http://host",
    "bench --metadata token={} gpu=H100",
    "bench --auth {}",
    "bench --passwd {}",
    "bench --cookies 'session={}'",
    "bench --note 'the password: {}'",
    "bench --tokens {}",
    "python -c \"import x; x.login(token='{}')\"",
    "bench --dsn postgres://u:{}@db/x",
    "bench --secrets {} {}",
];

/// How programs write their arguments, variables and headers into logs.
const LOG_FORMS: [&str; 9] = [
    "non-default args: {'api_key': ['{}', '{}'], 'port': 8}",
    "argv: ['vllm', '--api-key', '{}', '--port', '8']",
    r#"{"argv":["--hf-token","{}"]}"#,
    "> Authorization: Bearer {}",
    "authorization: Custom {} {}",
    "headers={'X-Own': '{}', 'Y': '{}'}",
    "export HF_TOKEN={}",
    "api_key=('{}',)",
    "cookie: a=1; session={}",
];

#[test]
fn what_is_known_of_one_secret_uncovers_no_other() {
    for place in PLACES {
        let command = place.replace("{}", "kn0wn-Value-of-a-flag");
        let knowing = redactor().knowing_command(&[], &words(&command));
        for form in LOG_FORMS {
            let line = form.replace("{}", SECRET);
            assert!(!knowing.text(&line).contains(SECRET), "{command}: {line}: {}", knowing.text(&line));
            assert_eq!(knowing.text(&knowing.text(&line)), knowing.text(&line), "twice is once");
        }
        for value in [
            json!({"argv": ["serve", "--api-key", SECRET, "--port", "8"]}),
            json!({"env": [{"name": "HF_TOKEN", "value": SECRET}, {"name": "HOME", "value": "/root"}]}),
            json!({"a": {"b": ["--api-key", SECRET]}}),
        ] {
            let redacted = Value::Object(knowing.fields(value.as_object().unwrap())).to_string();
            assert!(!redacted.contains(SECRET), "{value}: {redacted}");
            let mut cleaned = value.as_object().unwrap().clone();
            knowing.clean(&mut cleaned);
            assert_eq!(Value::Object(cleaned).to_string(), redacted);
            let learned = redactor().knowing_params(value.as_object().unwrap());
            assert!(!learned.text(&format!("<{SECRET}>")).contains(SECRET), "{value}");
        }
    }
}

/// Names of parameters and of fields of results.
const NAMES: [&str; 14] = [
    "api_key",
    "api-keys",
    "token",
    "tokens",
    "accessToken",
    "passwd",
    "auth",
    "hf_token",
    "client_secret",
    "Authorization",
    "headers",
    "private_key",
    "aws_secret_access_key",
    "password",
];

/// Secrets that are known by their form alone.
const FORMS: [&str; 12] = [
    "hf_QwErTyUiOpAsDfGhJkLzXcVb",
    "sk-proj-QwErTyUiOpAsDfGhJkLz",
    "ghp_QwErTyUiOpAsDfGhJkLzXcVbNm",
    "xoxb-123456789012-QwErTyUiOp",
    "AKIAQWERTYUIOPASDFGH",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.QwErTyUiOpAsDfGh",
    "nvapi-QwErTyUiOpAsDfGhJkLz",
    "glpat-QwErTyUiOpAsDfGhJkLz",
    "AIzaQwErTyUiOpAsDfGhJkLzXcVbNmQwErTyUi",
    "github_pat_QwErTyUiOpAsDfGhJkLz",
    "npm_QwErTyUiOpAsDfGhJkLzXcVbNmQwErTy",
    "-----BEGIN PRIVATE KEY-----\nMIIQwErTy\nUiOpAs\n-----END PRIVATE KEY-----",
];

proptest! {
    #[test]
    fn no_secret_is_left_in_a_command(place in 0..PLACES.len(), secret in "[A-Za-z][A-Za-z0-9_+/.~-]{9,30}[A-Za-z0-9]") {
        let command = PLACES[place].replace("{}", &secret);
        let redacted = redactor().words(&words(&command)).join(" ");
        prop_assert!(!redacted.contains(&secret), "{command}: {redacted}");
        // Twice is once.
        let again = redactor().words(&words(&command).iter().map(|word| redactor().word(word)).collect::<Vec<_>>()).join(" ");
        prop_assert!(!again.contains(&secret));
    }

    #[test]
    fn no_secret_is_left_in_a_value(
        name in 0..NAMES.len(), depth in 0..3usize, as_text in any::<bool>(), secret in "[A-Za-z][ -~]{9,30}[A-Za-z]",
    ) {
        let mut value = json!({NAMES[name]: secret});
        for _ in 0..depth {
            value = json!({"outer": [1, value]});
        }
        let value = if as_text { json!({"config": value.to_string()}) } else { value };
        let redacted = Value::Object(redactor().fields(value.as_object().unwrap())).to_string();
        let written = Value::String(secret.clone()).to_string();
        let inner = written.trim_matches('"');
        prop_assert!(!redacted.contains(&secret) && !redacted.contains(inner), "{value}: {redacted}");
    }

    #[test]
    fn a_form_tells_a_secret_anywhere(form in 0..FORMS.len(), before in "[ -~]{0,20}", after in "[ -~]{0,20}") {
        let text = format!("{before} {} {after}", FORMS[form]);
        let redacted = redactor().text(&text).into_owned();
        prop_assert!(!redacted.contains(FORMS[form].lines().nth(1).unwrap_or(FORMS[form])), "{text}: {redacted}");
    }

    #[test]
    fn a_stream_hides_what_the_whole_text_would(
        cuts in prop::collection::vec(1..40usize, 1..200), place in 0..PLACES.len(), form in 0..FORMS.len(),
        filler in "[a-z ]{0,60}",
    ) {
        let known = "kn0wn-Value-of-a-flag";
        let command = PLACES[place].replace("{}", SECRET);
        let redactor = redactor().knowing([known.to_owned()]).knowing_command(&[], &words(&command));
        let text = format!(
            "{filler}\n{}\n{filler} {} {known}\nlast {known}", command, FORMS[form]
        );
        let mut written = Vec::new();
        let mut stream = Stream::new(redactor, &mut written);
        let mut rest = text.as_bytes();
        for cut in cuts.iter().cycle() {
            let (piece, behind) = rest.split_at((*cut).min(rest.len()));
            stream.push(piece).unwrap();
            rest = behind;
            if rest.is_empty() { break; }
        }
        drop(stream);
        let written = String::from_utf8(written).unwrap();
        for secret in [SECRET, known, FORMS[form].lines().nth(1).unwrap_or(FORMS[form])] {
            prop_assert!(!written.contains(secret), "{written}");
        }
        prop_assert!(written.starts_with(&filler));
    }

    #[test]
    fn a_secret_in_a_line_without_end_is_found_wherever_it_lies(place in 60_000..70_000usize, piece in 1_000..9_000usize) {
        let secret = "kn0wn-Value-of-a-flag";
        let mut text = vec![b'x'; 140_000];
        text.splice(place..place, secret.bytes());
        let mut written = Vec::new();
        let mut stream = Stream::new(redactor().knowing([secret.to_owned()]), &mut written);
        text.chunks(piece).for_each(|piece| stream.push(piece).unwrap());
        drop(stream);
        let written = String::from_utf8(written).unwrap();
        prop_assert!(!written.contains(secret));
        prop_assert_eq!(written.len(), 140_000 + MARK.len() + 8);
    }
}
