//! No secret leaves with a lake: secrets of every form, planted in every place where people put them, are searched for in all that is
//! written and printed.

use crate::scratch::{PROGRAM, Scratch};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;

/// Secrets that are recognised by their form.
const FORMS: [(&str, usize, &str); 9] = [
    ("hf_", 34, ""),
    ("sk-", 48, ""),
    ("sk-ant-api03-", 40, ""),
    ("ghp_", 36, ""),
    ("glpat-", 20, ""),
    ("xoxb-", 24, ""),
    ("AKIA", 16, "upper"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJ", 20, ".c2lnbmF0dXJl"),
    ("AIza", 35, ""),
];

/// Makes secrets, and remembers them with the place they were put in.
struct Planter {
    random: StdRng,
    planted: Vec<(String, String)>,
}

impl Planter {
    fn letters(&mut self, count: usize) -> String {
        const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        (0..count).map(|_| char::from(LETTERS[self.random.random_range(0..LETTERS.len())])).collect()
    }

    /// A secret that only its name tells.
    fn plain(&mut self, place: &str) -> String {
        let secret = format!("q{}", self.letters(17));
        self.planted.push((secret.clone(), place.to_owned()));
        secret
    }

    /// One that its form tells.
    fn formed(&mut self, place: &str) -> String {
        let (start, length, end) = FORMS[self.planted.len() % FORMS.len()];
        let middle = self.letters(length);
        let middle = if end == "upper" { middle.to_uppercase() } else { middle };
        let secret = format!("{start}{middle}{}", if end == "upper" { "" } else { end });
        self.planted.push((secret.clone(), format!("{place} ({start}…)")));
        secret
    }

    fn search(&self, text: &[u8], where_found: &str) {
        for (secret, place) in &self.planted {
            // A part of it is too much, too.
            let part = &secret.as_bytes()[secret.len() - 12..];
            let found = memchr::memmem::find(text, part);
            assert!(found.is_none(), "the secret from {place} is in {where_found}: {:?}", context(text, found));
        }
    }
}

fn context(text: &[u8], found: Option<usize>) -> String {
    let at = found.unwrap_or(0);
    String::from_utf8_lossy(&text[at.saturating_sub(80)..(at + 60).min(text.len())]).into_owned()
}

/// Programs that take any flag, say what they were given, and are ours behind it.
fn programs(scratch: &Scratch, planter: &mut Planter) -> (String, String) {
    let port = scratch.port;
    let (spoken, formed) =
        (planter.plain("a line of the server's log, with its name"), planter.formed("a line of the server's log"));
    let server = format!(
        "#!/bin/sh\necho \"args: $*\"\necho 'loading with token={spoken}'\necho 'found {formed} in the cache'\n\
         echo \"from the environment: $MY_SERVICE_TOKEN\"\nexec {PROGRAM} sim m --port {port} --speed 50\n"
    );
    let (note, field, list) = (
        planter.formed("a note in the result"),
        planter.plain("a field of the result"),
        planter.plain("a list in the result"),
    );
    let bench = format!(
        r##"#!/bin/sh
echo "args: $*"; echo "environment: $MY_SERVICE_TOKEN" >&2
file=""; fail=""
for word in "$@"; do
  case "$previous" in --result-filename) file="$word" ;; --result-dir) folder="$word" ;; esac
  case "$word" in boom) fail=1 ;; esac
  previous="$word"
done
if [ -n "$fail" ]; then echo "could not log in with password: $MY_SERVICE_TOKEN and {note}"; exit 3; fi
{PROGRAM} bench --port {port} --num-prompts 2 --random-input-len 8 --random-output-len 2 --result-dir "$folder" --result-filename "$file" --save-result --metadata 'auth={field}' || exit 1
sed -i 's#"completed"#"note": "see {note}", "api_keys": ["{list}"], "completed"#' "$folder/$file"
"##
    );
    for (name, text) in [("server.sh", &server), ("bench.sh", &bench)] {
        let path = scratch.write(name, text);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let words = [
        format!("--api-key {}", planter.plain("--api-key")),
        format!("--hf-token={}", planter.plain("--hf-token=")),
        format!("-H 'Authorization: Bearer {}'", planter.plain("-H Authorization")),
        format!("--header 'X-Api-Key: {}'", planter.plain("--header X-Api-Key")),
        format!("--config '{{\"api_key\": \"{}\"}}'", planter.plain("JSON in one word")),
        format!("--extra-body '{{\"deep\": {{\"accessToken\": \"{}\"}}}}'", planter.plain("JSON within JSON")),
        format!("-u me:{}", planter.plain("-u user:password")),
        format!("--proxy https://me:{}@proxy.example:8080/", planter.plain("a URL's password")),
        format!("--passwd {}", planter.plain("--passwd")),
        format!("--note {}", planter.formed("a word of its own form")),
        format!("--note 'a {} b'", planter.formed("inside a word")),
    ];
    let bench_words: Vec<String> =
        (0..3).map(|_| format!("--note {}", planter.formed("the benchmark's command"))).collect();
    let server = format!(
        "DB_PASSWORD={} {} --port {port} {}",
        planter.plain("an assignment before the command"),
        scratch.path("server.sh").display(),
        words.join(" ")
    );
    (server, format!("{} --port {port} {}", scratch.path("bench.sh").display(), bench_words.join(" ")))
}

#[test]
fn no_secret_is_written_or_printed() {
    for seed in 0..2 {
        let scratch = Scratch::new();
        let mut planter = Planter { random: StdRng::seed_from_u64(seed), planted: Vec::new() };
        let (server, bench) = programs(&scratch, &mut planter);
        let serve = json!([
            {"max_num_seqs": 2, "api-key": planter.plain("a parameter"), "tokens": [planter.plain("a list of tokens")]},
            {"max_num_seqs": 3, "config": format!("{{\"auth\": \"{}\"}}", planter.plain("a parameter of JSON text"))},
        ]);
        let loads = json!([
            {"x": 1, "header": format!("Authorization: Basic {}", planter.plain("a header as a parameter")), "label": planter.formed("a label")},
            {"x": 2, "label": "boom"},
        ]);
        scratch.write("in/serve.json", &serve.to_string());
        scratch.write("in/bench.json", &loads.to_string());
        let after = format!("true --api-key {}", planter.plain("the command after a run"));
        let of_environment = planter.plain("a variable of the environment");
        let arguments = [
            "serve",
            "--serve-cmd",
            &server,
            "--bench-cmd",
            &bench,
            "--serve-params",
            "in/serve.json",
            "--bench-params",
            "in/bench.json",
            "-e",
            "x",
            "--num-runs",
            "1",
            "--continue-on-error",
            "--server-ready-timeout",
            "20",
            "--after-bench-cmd",
            &after,
            "--show-stdout",
            "-o",
            "results",
        ];
        let run = |arguments: &[&str]| {
            let output = scratch.command(arguments).env("MY_SERVICE_TOKEN", &of_environment).output().unwrap();
            [output.stdout, output.stderr].concat()
        };
        let printed = run(&arguments);
        planter.search(&printed, "what the sweep printed");
        assert!(scratch.exists("results"), "{}", String::from_utf8_lossy(&printed));
        let rows = scratch.query("results", "SELECT count(*) FILTER (WHERE status = 'completed') AS good, count(*) FILTER (WHERE status = 'failed') AS bad FROM runs");
        assert_eq!(rows, [json!({"good": 2, "bad": 2})], "the sweep measured something, and something failed");
        planter.search(&run(&[&arguments[..], &["--dry-run=commands"]].concat()), "the dry run");
        run(&["report", "results/x"]);
        run(&["report", "--lake", "results"]);
        for table in ["runs", "requests", "sweeps", "combinations"] {
            planter.search(&run(&["query", "results", &format!("SELECT * FROM {table}"), "--format", "json"]), table);
        }
        planter.search(&run(&["show", "results/x"]), "show");
        planter.search(&run(&["list", "results"]), "list");
        planter.search(&run(&["query", "results", "--name", "failures"]), "failures");
        let mut files = 0;
        for path in scratch.files().iter().filter(|path| path.starts_with("results")) {
            planter.search(path.as_bytes(), "a name");
            planter.search(&std::fs::read(scratch.path(path)).unwrap(), path);
            files += 1;
        }
        assert!(files > 10, "{files} files");
        // The same settings have the same marks: a resume finds its runs.
        let again = String::from_utf8(run(&[&arguments[..], &["--resume"]].concat())).unwrap();
        assert!(!again.contains("conditions have changed"), "{again}");
        assert_eq!(
            scratch.query("results", "SELECT count(*) FILTER (WHERE status = 'completed') AS good FROM runs")[0]["good"],
            2
        );
    }
}
