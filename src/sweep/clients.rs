//! Load clients of others: which flags of theirs carry what a sweep turns, and where their result ends up.

use crate::exec::Artifact;
use crate::params::{Command, ParamSet, Takes, scalar};
use std::path::{Path, PathBuf};

/// A load client that is no vLLM's and not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    pub name: &'static str,
    /// Words that follow each other in its commands.
    words: &'static [&'static str],
    /// Parameters under vLLM's names, and what becomes of them.
    flags: &'static [(&'static str, Carried)],
    /// How it is told where to send.
    takes: Takes,
    output: Output,
}

/// How a parameter is given to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carried {
    /// As the value of a flag.
    As(&'static str),
    /// As the value of a flag, besides others that say what it means.
    With(&'static str, &'static [(&'static str, &'static str)]),
    /// As a flag and a text before the value: `--profile kind=concurrent,streams=`.
    In(&'static str, &'static str),
    /// The same, where others of the flag stay: `--constraint kind=max_requests,count=`.
    Among(&'static str, &'static str),
}

/// Where a client's result ends up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    /// In the file that a flag names.
    File(&'static str),
    /// In the file of a flag that takes a text before the path.
    Within(&'static str, &'static str),
    /// In a file below the folder that a flag names.
    Folder(&'static str, &'static str),
}

use Carried::{Among, As, In, With};

/// AIPerf has the flags of the tool that it follows.
const OF_NVIDIA: [(&str, Carried); 4] = [
    ("max_concurrency", As("concurrency")),
    ("request_rate", As("request-rate")),
    ("num_prompts", As("request-count")),
    ("seed", As("random-seed")),
];

const CLIENTS: [Client; 5] = [
    Client {
        name: "AIPerf",
        words: &["aiperf", "profile"],
        flags: &OF_NVIDIA,
        takes: Takes::Url(&["url", "-u"]),
        output: Output::Folder("artifact-dir", "profile_export_aiperf.json"),
    },
    Client {
        name: "GenAI-Perf",
        words: &["genai-perf", "profile"],
        flags: &OF_NVIDIA,
        takes: Takes::Url(&["url", "-u"]),
        output: Output::Folder("artifact-dir", "profile_export_genai_perf.json"),
    },
    Client {
        name: "GuideLLM",
        words: &["guidellm", "benchmark"],
        flags: &[
            ("max_concurrency", With("rate", &[("rate-type", "concurrent")])),
            ("request_rate", With("rate", &[("rate-type", "poisson")])),
            ("num_prompts", As("max-requests")),
            ("seed", As("random-seed")),
        ],
        takes: Takes::Url(&["target"]),
        output: Output::File("output-path"),
    },
    Client {
        name: "GuideLLM",
        words: &["guidellm", "run"],
        flags: &[
            ("max_concurrency", In("profile", "kind=concurrent,streams=")),
            ("request_rate", In("profile", "kind=poisson,rate=")),
            ("num_prompts", Among("constraint", "kind=max_requests,count=")),
            ("seed", In("seed", "kind=static,value=")),
        ],
        takes: Takes::Nothing,
        output: Output::Within("output", "kind=json,path="),
    },
    Client {
        name: "SGLang",
        words: &["sglang.bench_serving"],
        flags: &[
            ("max_concurrency", As("max-concurrency")),
            ("request_rate", As("request-rate")),
            ("num_prompts", As("num-prompts")),
            ("seed", As("seed")),
        ],
        takes: Takes::Port,
        output: Output::File("output-file"),
    },
];

impl Client {
    /// The client that a command starts, if it is one of these.
    pub fn of(command: &Command) -> Option<&'static Self> {
        let names: Vec<&str> = command.words().iter().map(|word| word.rsplit('/').next().unwrap_or(word)).collect();
        CLIENTS.iter().find(|client| names.windows(client.words.len()).any(|words| words == client.words))
    }

    /// How it is told where to send.
    pub fn takes(&self) -> Takes {
        self.takes
    }

    /// The flag of its own that carries a parameter of vLLM's name.
    pub fn flag_of(&self, key: &str) -> Option<&'static str> {
        let (_, carried) = self.flags.iter().find(|(name, _)| *name == key)?;
        Some(match carried {
            As(flag) | With(flag, _) | In(flag, _) | Among(flag, _) => flag,
        })
    }

    /// The command with vLLM's flags as its own.
    pub fn translated(&self, command: &Command) -> Command {
        self.flags.iter().fold(command.clone(), |command, (key, carried)| {
            let Some(text) = command.flag(&[key]).map(str::to_owned) else { return command };
            // A flag of its own that is called the same, in its own form.
            if text.starts_with("kind=") {
                return command;
            }
            // No limit is what it does without one.
            if *key == "request_rate" && is_unlimited(&text) {
                return command.without(key);
            }
            let set = |command: Command, flag: &str, text: &str| {
                command.with_params(&ParamSet::unchanged().with(flag, scalar(text)))
            };
            let others = command.without(key);
            match carried {
                As(flag) => set(others, flag, &text),
                With(flag, more) => {
                    let command = more.iter().fold(others, |command, (flag, text)| set(command, flag, text));
                    set(command, flag, &text)
                }
                In(flag, before) => set(others, flag, &format!("{before}{text}")),
                Among(flag, before) => {
                    let of_kind = |value: &str| value.split(',').next() == before.split(',').next();
                    others.without_where(flag, of_kind).with_words([format!("--{flag}"), format!("{before}{text}")])
                }
            }
        })
    }

    /// Two parameters that a command has and that one flag would carry.
    pub fn conflict(&self, command: &Command) -> Option<[&'static str; 2]> {
        let is_given = |key: &str| command.flag(&[key]).is_some_and(|text| !is_unlimited(text));
        let mut carried: Vec<(&'static str, &'static str)> = Vec::new();
        for (key, how) in self.flags.iter().filter(|(key, _)| is_given(key)) {
            let (In(flag, _) | With(flag, _)) = how else { continue };
            if let Some((other, _)) = carried.iter().find(|(_, known)| known == flag) {
                return Some([*other, *key]);
            }
            carried.push((*key, *flag));
        }
        None
    }

    /// The command told where to put its result.
    pub fn with_output(&self, command: &Command, result_path: &Path) -> Command {
        let result = result_path.to_string_lossy();
        let (flag, text) = match self.output {
            Output::File(flag) => (flag, result.into_owned()),
            Output::Within(flag, before) => (flag, format!("{before}{result}")),
            Output::Folder(flag, _) => (flag, folder_of(result_path).to_string_lossy().into_owned()),
        };
        command.without(flag).with_words([format!("--{flag}"), text])
    }

    /// The name of the file that it writes into a folder of its own, where it does that.
    pub fn artifact(&self, result_path: &Path) -> Option<Artifact> {
        match self.output {
            Output::Folder(_, file) => Some(Artifact { folder: folder_of(result_path), file: file.to_owned() }),
            Output::File(_) | Output::Within(..) => None,
        }
    }
}

/// Whether a load has no limit.
fn is_unlimited(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_infinite)
}

/// Where a client that writes many files writes them.
fn folder_of(result_path: &Path) -> PathBuf {
    result_path.with_extension("artifacts")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What becomes of a command with a concurrency and a number of prompts that a sweep turned.
    fn completed(text: &str, key: &str) -> String {
        let command = Command::parse("command", text).unwrap();
        let turned = ParamSet::unchanged().with(key, json!(8)).with("num_prompts", json!(100)).with("seed", json!(7));
        let client = Client::of(&command).unwrap();
        client.with_output(&client.translated(&command.with_params(&turned)), Path::new("/r/run=0.json")).quoted()
    }

    #[test]
    fn each_client_is_told_in_its_own_words() {
        let concurrency = |text: &str| completed(text, "max_concurrency");
        assert_eq!(
            concurrency("/v/bin/aiperf profile --model m --concurrency 2 --artifact-dir mine"),
            "/v/bin/aiperf profile --model m --concurrency 8 --request-count 100 --random-seed 7 --artifact-dir /r/run=0.artifacts"
        );
        assert_eq!(
            concurrency("guidellm benchmark run --target u --rate-type sweep"),
            "guidellm benchmark run --target u --rate-type concurrent --rate 8 --max-requests 100 --random-seed 7 \
             --output-path /r/run=0.json"
        );
        assert_eq!(
            concurrency(
                "guidellm run --profile kind=sweep --constraint kind=max_duration,seconds=5 --constraint kind=max_requests,count=3"
            ),
            "guidellm run --profile kind=concurrent,streams=8 --constraint kind=max_duration,seconds=5 \
             --constraint kind=max_requests,count=100 --seed kind=static,value=7 --output kind=json,path=/r/run=0.json"
        );
        assert_eq!(
            completed("python -m sglang.bench_serving --backend vllm", "request_rate"),
            "python -m sglang.bench_serving --backend vllm --request-rate 8 --num-prompts 100 --seed 7 --output-file /r/run=0.json"
        );
    }

    #[test]
    fn others_are_none_of_them() {
        for text in ["vllm bench serve", "sweeplake bench", "./aiperf", "python -m bench_serving", "echo guidellm"] {
            assert_eq!(Client::of(&Command::parse("command", text).unwrap()), None, "{text}");
        }
    }
}
