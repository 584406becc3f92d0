//! When a server is ready: when it can answer, not when it listens. A router is healthy before its workers are.

use super::http::{get, post};
use super::keeper::Keeper;
use super::process::Output;
use super::to_end::{Task, run_to_end};
use super::{Interrupt, Stop};
use crate::params::{Address, Command};
use crate::record::{ErrorKind, engine_of};
use serde_json::{Value, json};
use std::cell::Cell;
use std::time::{Duration, Instant};
use url::Url;

const FIRST_POLL: Duration = Duration::from_millis(100);
const SLOWEST_POLL: Duration = Duration::from_millis(500);
/// How long the first probe waits for an answer; each that waits in vain lets the next wait twice as long.
pub(super) const PROBE_LIMIT: Duration = Duration::from_secs(2);
const LONGEST_PROBE: Duration = Duration::from_secs(60);

/// How a server shows that it is ready.
#[derive(Clone, Debug)]
pub enum Readiness {
    /// `GET /health` is answered with 200.
    Health,
    /// That, and then one short completion is answered: OpenAI's API is known to be there.
    Completion,
    /// A `GET` is answered with 2xx.
    Url(ReadyUrl),
    /// A command ends well.
    Command(Command),
}

/// Where to ask: a path of the server, or another place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyUrl {
    at: Option<Address>,
    path: String,
}

/// Why a text is no place that can be asked.
#[derive(Debug, thiserror::Error)]
pub enum ReadyUrlError {
    #[error("{url:?} is neither a path that begins with / nor a URL: {reason}")]
    NoUrl { url: String, reason: String },
    #[error("{url:?}: only http:// is supported")]
    NotHttp { url: String },
}

impl ReadyUrl {
    pub fn parse(text: &str) -> Result<Self, ReadyUrlError> {
        if text.starts_with('/') {
            return Ok(Self { at: None, path: text.into() });
        }
        let url =
            Url::parse(text).map_err(|error| ReadyUrlError::NoUrl { url: text.into(), reason: error.to_string() })?;
        let host = url.host_str().filter(|_| url.scheme() == "http");
        let Some(host) = host else { return Err(ReadyUrlError::NotHttp { url: text.into() }) };
        let port = url.port_or_known_default().unwrap_or(80);
        let path = url.query().map_or(url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let host = host.trim_matches(['[', ']']).to_owned();
        Ok(Self { at: Some(Address { host, port }), path })
    }

    /// Whether it asks another place than the server.
    pub fn is_elsewhere(&self) -> bool {
        self.at.is_some()
    }
}

impl Readiness {
    /// What is known of the engine that a command starts.
    pub fn of(serve_cmd: &Command) -> Self {
        match engine_of(serve_cmd) {
            Some("vllm" | "sglang" | "sweeplake-sim") => Self::Completion,
            _ => Self::Health,
        }
    }

    /// Asks until the server is ready; `last` is what was seen instead.
    pub(super) async fn wait(&self, mut probe: Probe<'_>, last: &Cell<Option<String>>) {
        let mut pause = FIRST_POLL;
        loop {
            let began = Instant::now();
            let Err(seen) = self.ask(&probe).await else { return };
            last.set(Some(seen));
            if began.elapsed() >= probe.limit {
                probe.limit = (2 * probe.limit).min(LONGEST_PROBE);
            }
            tokio::time::sleep(pause).await;
            pause = pause.mul_f64(1.25).min(SLOWEST_POLL);
        }
    }

    /// Asks once; what was seen instead, where the server is not ready.
    async fn ask(&self, probe: &Probe<'_>) -> Result<(), String> {
        match self {
            Self::Health => health(probe).await,
            Self::Completion => {
                health(probe).await?;
                completion(probe).await
            }
            Self::Url(url) => {
                let answer = get(url.at.as_ref().unwrap_or(probe.address), &url.path, probe.limit).await;
                match answer.map(|answer| answer.status) {
                    Ok(200..300) => Ok(()),
                    other => Err(seen(&format!("GET {}", url.path), other)),
                }
            }
            Self::Command(command) => command_ends_well(command, probe).await,
        }
    }
}

/// One question.
pub(super) struct Probe<'a> {
    pub address: &'a Address,
    pub limit: Duration,
    pub output: &'a Output,
    pub keeper: &'a Keeper,
    pub interrupt: &'a Interrupt,
}

async fn health(probe: &Probe<'_>) -> Result<(), String> {
    match get(probe.address, "/health", probe.limit).await.map(|answer| answer.status) {
        Ok(200) => Ok(()),
        other => Err(seen("GET /health", other)),
    }
}

/// A server that refuses the request for what is in it (it wants a key, it is for embeddings) has answered.
async fn completion(probe: &Probe<'_>) -> Result<(), String> {
    let models = get(probe.address, "/v1/models", probe.limit).await.map_err(|why| seen("GET /v1/models", Err(why)))?;
    let told: Option<Value> = serde_json::from_slice(&models.body).ok();
    let model = told.as_ref().and_then(|told| told.pointer("/data/0/id")).and_then(Value::as_str);
    let Some(model) = model else {
        return if is_refusal(models.status) { Ok(()) } else { Err(seen("GET /v1/models", Ok(models.status))) };
    };
    let asked = json!({"model": model, "prompt": "Hi", "max_tokens": 1, "temperature": 0});
    let answer = post(probe.address, "/v1/completions", Some(asked), probe.limit).await;
    match answer.map(|answer| answer.status) {
        Ok(200..300) => Ok(()),
        Ok(refused) if is_refusal(refused) => Ok(()),
        other => Err(seen("POST /v1/completions", other)),
    }
}

/// What came instead of the answer that was waited for.
fn seen(asked: &str, answer: Result<u16, String>) -> String {
    match answer {
        Ok(status) => format!("{asked}: HTTP status {status}"),
        Err(reason) => format!("{asked}: {reason}"),
    }
}

/// Statuses that say that the question was wrong, not that the server is not there yet.
fn is_refusal(status: u16) -> bool {
    (400..500).contains(&status) && ![408, 425, 429].contains(&status)
}

async fn command_ends_well(command: &Command, probe: &Probe<'_>) -> Result<(), String> {
    let command = &probe.address.fill(command);
    let task = Task {
        command,
        name: "it",
        kind: ErrorKind::ServerNotReady,
        output: probe.output,
        limit: Some(probe.limit),
        measured: None,
        sampled: None,
    };
    match run_to_end(task, probe.keeper, &mut probe.interrupt.clone()).await {
        Ok(_) => Ok(()),
        Err(Stop::Failed(failure)) => Err(format!("`{}`: {}", command.program(), failure.message)),
        Err(Stop::Interrupted) => Err("interrupted".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_to_ask_is_a_path_or_a_url() {
        let path = ReadyUrl::parse("/ready?deep=1").unwrap();
        assert_eq!((path.at, path.path.as_str()), (None, "/ready?deep=1"));
        let elsewhere = ReadyUrl::parse("http://[::1]:9000/v1/health?x=1").unwrap();
        assert_eq!(elsewhere.at, Some(Address { host: "::1".into(), port: 9000 }));
        assert_eq!(elsewhere.path, "/v1/health?x=1");
        assert_eq!(ReadyUrl::parse("http://router").unwrap().at.unwrap().port, 80);
        let told = |text: &str| ReadyUrl::parse(text).unwrap_err().to_string();
        assert_eq!(told("https://router/ready"), "\"https://router/ready\": only http:// is supported");
        assert!(told("ready").contains("neither a path that begins with / nor a URL"));
    }
}
