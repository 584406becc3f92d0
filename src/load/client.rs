//! One request: sent, its stream read, its times taken.

use super::answer::{Answer, Texts};
use super::api::Backend;
use super::api::{Dialect, Shape};
use super::config::Config;
use super::flight::Flight;
use super::measurement::{Failure, FailureKind, Measurement};
use super::wire::{Connection, Events, Framing, Pool, Server};
use serde_json::Value;
use std::cell::Cell;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A client of one thread.
pub struct Client {
    pool: Pool,
    dialect: Arc<Dialect>,
    /// `POST … HTTP/1.1` and the headers that all requests have.
    head: String,
    models_head: String,
    texts: Texts,
    timeout: Option<Duration>,
    id_prefix: Option<String>,
    pub parsing: Parsing,
}

/// How long reading events takes, from a sample of them.
#[derive(Default)]
pub struct Parsing {
    events: Cell<u64>,
    sampled: Cell<u64>,
    nanos: Cell<u64>,
}

/// One of so many events is timed.
const SAMPLED: u64 = 64;
/// Of a response that tells a failure so much is read.
const SHOWN: usize = 500;

impl Parsing {
    /// An estimate of the time spent on all events.
    pub fn total(&self) -> Duration {
        let each = self.nanos.get() as f64 / self.sampled.get().max(1) as f64;
        Duration::from_nanos((each * self.events.get() as f64) as u64)
    }

    fn timed<T>(&self, work: impl FnOnce() -> T) -> T {
        self.events.set(self.events.get() + 1);
        if self.events.get() % SAMPLED != 1 {
            return work();
        }
        let before = Instant::now();
        let done = work();
        self.sampled.set(self.sampled.get() + 1);
        self.nanos.set(self.nanos.get() + before.elapsed().as_nanos() as u64);
        done
    }
}

impl Client {
    pub fn new(config: &Config, server: Arc<Server>, dialect: Arc<Dialect>, texts: Texts) -> Self {
        let endpoint = config.server.endpoint.as_deref().unwrap_or(config.request.backend.endpoint());
        let head = |method: &str, path: &str| {
            let mut head = format!("{method} {}{path} HTTP/1.1\r\nhost: {}\r\n", server.prefix, server.authority);
            for (name, value) in &config.server.headers {
                let _ = write!(head, "{name}: {value}\r\n");
            }
            let is_set = |name: &str| config.server.headers.iter().any(|(set, _)| set.eq_ignore_ascii_case(name));
            if let Some(key) = config.server.api_key.as_ref().filter(|_| !is_set("authorization")) {
                let _ = write!(head, "authorization: Bearer {key}\r\n");
            }
            head
        };
        let (post, get) = (head("POST", endpoint) + "content-type: application/json\r\n", head("GET", "/v1/models"));
        Self {
            pool: Pool::new(server),
            dialect,
            head: post,
            models_head: get,
            texts,
            timeout: config.load.request_timeout,
            id_prefix: config.request.id_prefix.clone(),
            parsing: Parsing::default(),
        }
    }

    /// The models that the server names, as it names them.
    pub async fn models(&self) -> Result<Value, Failure> {
        let request = format!("{}\r\n", self.models_head);
        let (mut connection, head) =
            self.pool.ask(request.as_bytes()).await.map_err(|error| Failure::before(&error))?;
        let (mut framing, mut answer) = (head.framing, Vec::new());
        connection.rest(&mut framing, &mut answer).await.map_err(|error| Failure::amid(&error))?;
        if !is_success(head.status) {
            return Err(status_failure(head.status, &head.reason, &answer));
        }
        serde_json::from_slice(&answer).map_err(|error| Failure::new(FailureKind::MalformedChunk, error.to_string()))
    }

    /// Sends a body and measures its answer; trouble of any kind is in the measurement, which says what was known before.
    pub async fn send(
        &self,
        body: &[u8],
        mut measurement: Measurement,
        clock: Instant,
        flight: Flight<'_>,
    ) -> Measurement {
        let request = self.request(body, measurement.index);
        flight.sent();
        let sent = Instant::now();
        measurement.start = sent - clock;
        let mut answer = Answer::new(sent, self.texts);
        let streamed = self.stream(&request, &mut answer, flight);
        let ended = match self.timeout {
            None => streamed.await,
            Some(limit) => tokio::time::timeout(limit, streamed).await.unwrap_or_else(|_| {
                let text = format!("no complete answer within {} s", limit.as_secs_f64());
                Err(Failure::new(FailureKind::Timeout, text))
            }),
        };
        let complete = answer.finish(self.dialect.shape, &mut measurement);
        measurement.failure = ended.and(complete).err();
        measurement
    }

    fn request(&self, body: &[u8], index: usize) -> Vec<u8> {
        let mut head = String::with_capacity(self.head.len() + 64);
        head.push_str(&self.head);
        if let Some(prefix) = &self.id_prefix {
            let _ = write!(head, "x-request-id: {prefix}{index}\r\n");
        }
        let _ = write!(head, "content-length: {}\r\n\r\n", body.len());
        let mut request = head.into_bytes();
        request.extend_from_slice(body);
        request
    }

    async fn stream(&self, request: &[u8], answer: &mut Answer, flight: Flight<'_>) -> Result<(), Failure> {
        let (mut connection, head) = self.pool.ask(request).await.map_err(|error| Failure::before(&error))?;
        let mut framing = head.framing;
        if !is_success(head.status) {
            let mut text = Vec::new();
            // What came of it is told, even if it did not come whole.
            let _ = connection.rest(&mut framing, &mut text).await;
            return Err(status_failure(head.status, &head.reason, &text));
        }
        match self.dialect.shape {
            Shape::Whole => self.whole(&mut connection, &mut framing, answer).await?,
            Shape::Events | Shape::EventsUntilClosed => {
                self.events(&mut connection, &mut framing, answer, flight).await?;
            }
        }
        if head.keeps {
            self.pool.keep(connection);
        }
        Ok(())
    }

    async fn events(
        &self,
        connection: &mut Connection,
        framing: &mut Framing,
        answer: &mut Answer,
        flight: Flight<'_>,
    ) -> Result<(), Failure> {
        let mut events = Events::default();
        let mut latest = Instant::now();
        while let Some((bytes, at)) = connection.body(framing).await.map_err(|error| Failure::amid(&error))? {
            latest = at;
            let had_begun = answer.has_begun();
            let mut take = |data: &[u8]| self.parsing.timed(|| answer.take(&self.dialect, data, at));
            events.push(bytes, &mut take)?;
            if !had_begun && answer.has_begun() {
                flight.first();
            }
        }
        events.end(&mut |data| answer.take(&self.dialect, data, latest))
    }

    async fn whole(
        &self,
        connection: &mut Connection,
        framing: &mut Framing,
        answer: &mut Answer,
    ) -> Result<(), Failure> {
        let mut body = Vec::new();
        let latest = connection.rest(framing, &mut body).await.map_err(|error| Failure::amid(&error))?;
        answer.take_whole(&self.dialect, &body, latest)
    }
}

fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

fn status_failure(status: u16, reason: &str, body: &[u8]) -> Failure {
    let text: String = String::from_utf8_lossy(body).chars().take(SHOWN).collect();
    Failure::new(FailureKind::HttpStatus, format!("HTTP status {status} {reason}: {text}"))
}

/// The first model of a list.
pub fn first_model(models: &Value) -> Option<&str> {
    models.pointer("/data/0/id").and_then(Value::as_str)
}

/// The context length that the server tells of a model, prompt and answer together.
pub fn context_of(models: &Value, model: &str) -> Option<usize> {
    let all = models.get("data")?.as_array()?;
    let own = all.iter().find(|one| one.get("id").and_then(Value::as_str) == Some(model))?;
    own.get("max_model_len")?.as_u64().map(|len| len as usize)
}

/// Whether a server's complaint means that it wants prompts as text.
pub fn wants_text(failure: &Failure, backend: Backend) -> bool {
    let said = failure.text.to_ascii_lowercase();
    let speaks_of_prompt = ["prompt", "input"].iter().any(|word| said.contains(word));
    backend.takes_ids() && failure.kind == FailureKind::HttpStatus && speaks_of_prompt && said.contains("string")
}
