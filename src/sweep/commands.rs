//! The commands of benchmarks, completed with what tells them to measure everything and where to put their result.

use super::clients::Client;
use super::ledger::Detail;
use crate::exec::{Artifact, find_program};
use crate::params::{Command, ParamSet, RESULT};
use std::path::Path;

/// What kind of benchmark a sweep runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BenchKind {
    /// `vllm bench serve` and what takes its flags.
    Load {
        /// Percentiles that it is to report besides its own.
        percentiles: Vec<String>,
        requests: Detail,
    },
    /// `vllm bench startup`.
    Startup,
}

impl BenchKind {
    /// The command, told where to put its result.
    pub fn complete(&self, command: &Command, result_path: &Path) -> Command {
        let client = Client::of(command);
        let own = client.map(|client| client.translated(command));
        let command = own.as_ref().unwrap_or(command);
        // A command that says where its result belongs is another tool's, and takes no flags of ours.
        if command.has(RESULT) {
            return command.filled(RESULT, &result_path.to_string_lossy());
        }
        if let Some(client) = client {
            return client.with_output(command, result_path);
        }
        let words = match self {
            Self::Startup => vec!["--output-json".to_owned(), result_path.to_string_lossy().into_owned()],
            Self::Load { .. } => load_words(result_path),
        };
        match self {
            Self::Startup => command.with_words(words),
            Self::Load { percentiles, requests } => {
                let is_wanted = *requests == Detail::Requests && is_known_client(command);
                let detailed = is_wanted && !command.words().iter().any(|word| word == "--save-detailed");
                let words = words.into_iter().chain(detailed.then(|| "--save-detailed".to_owned()));
                with_percentiles(command, percentiles).with_words(words)
            }
        }
    }
}

/// Where the result of a command is found, if not where it was told to put it.
pub fn artifact_of(command: &Command, result_path: &Path) -> Option<Artifact> {
    Client::of(command).filter(|_| !command.has(&result_path.to_string_lossy()))?.artifact(result_path)
}

fn load_words(result_path: &Path) -> Vec<String> {
    let folder = result_path.parent().unwrap_or(Path::new("."));
    let file = result_path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    vec![
        "--percentile-metrics".to_owned(),
        "ttft,tpot,itl,e2el".into(),
        "--save-result".into(),
        "--result-dir".into(),
        folder.to_string_lossy().into_owned(),
        "--result-filename".into(),
        file,
    ]
}

/// The command with the percentiles that an SLA needs added to those that it reports anyway.
fn with_percentiles(command: &Command, percentiles: &[String]) -> Command {
    let own = command.flag(&["metric-percentiles"]).unwrap_or(DEFAULT_PERCENTILES);
    let mut all: Vec<&str> = own.split(',').map(str::trim).collect();
    let before = all.len();
    for percentile in percentiles {
        if !all.contains(&percentile.as_str()) {
            all.push(percentile);
        }
    }
    match all.len() > before {
        true => command.with_params(&ParamSet::unchanged().with("metric_percentiles", all.join(",").into())),
        false => command.clone(),
    }
}

/// What `vllm bench serve` reports without `--metric-percentiles`.
pub const DEFAULT_PERCENTILES: &str = "99";

/// Whether a benchmark is a load client whose flags are known: vLLM's or ours.
pub fn is_known_client(bench: &Command) -> bool {
    is_client(bench, "vllm") || is_own_client(bench)
}

/// Whether a sweep can tell it how many prompts to send, and by which seed.
pub fn can_be_told(bench: &Command) -> bool {
    is_known_client(bench) || Client::of(bench).is_some()
}

/// Whether it is sweeplake's own.
pub fn is_own_client(bench: &Command) -> bool {
    is_client(bench, "sweeplake")
}

fn is_client(bench: &Command, program: &str) -> bool {
    let names: Vec<&str> = bench.words().iter().map(|word| word.rsplit('/').next().unwrap_or(word)).collect();
    names.windows(2).any(|pair| pair == [program, "bench"])
}

/// A program that can't be found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("program not found: {program}")]
pub struct ProgramNotFound {
    pub program: String,
}

/// Checks that the program of a command exists.
pub fn check_program(command: &Command) -> Result<(), ProgramNotFound> {
    match find_program(command) {
        Some(_) => Ok(()),
        None => Err(ProgramNotFound { program: command.program().into() }),
    }
}

/// The flags that a command says it knows, without dashes and in the `_` spelling; `None` when it does not say.
pub fn known_flags(command: &Command) -> Option<Vec<String>> {
    let help = |flag: &str| {
        let words = command.with_words([flag]);
        let (program, arguments) = words.words().split_first()?;
        let output =
            std::process::Command::new(program).args(arguments).envs(command.env.iter().cloned()).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success().then_some(text)
    };
    let flags = |text: String| -> Vec<String> {
        let words = text.split(|letter: char| !(letter.is_alphanumeric() || "-_".contains(letter)));
        words.filter_map(|word| word.strip_prefix("--")).map(crate::id::column_name).collect()
    };
    // vLLM tells all of its flags only when asked for all.
    let known = help("--help=all").map(flags).unwrap_or_default();
    let known = if known.len() > 1 { known } else { help("--help").map(flags).unwrap_or_default() };
    (known.len() > 1).then_some(known)
}
