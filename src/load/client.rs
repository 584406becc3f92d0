//! One request: sent, its stream read, its times taken.

use super::dataset::Prompt;
use super::flight::Flight;
use super::{Backend, Config, LoadError, Measurement};
use bytes::{Buf, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, Uri};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::time::{Duration, Instant};

pub struct Client {
    http: HttpClient<HttpConnector, Full<Bytes>>,
    url: Uri,
    models_url: Uri,
    authorization: Option<String>,
}

impl Client {
    pub fn new(config: &Config) -> Result<Self, LoadError> {
        let base = config.base_url.trim_end_matches('/');
        let bad = |reason: &str| LoadError::BadUrl { url: config.base_url.clone(), reason: reason.into() };
        let parse = |path: &str| format!("{base}{path}").parse::<Uri>().map_err(|error| bad(&error.to_string()));
        let url = parse(&config.endpoint)?;
        if url.scheme_str() != Some("http") {
            return Err(bad("only http:// is supported; for an https server, use a proxy that terminates TLS"));
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Ok(Self {
            http: HttpClient::builder(TokioExecutor::new()).build(connector),
            url,
            models_url: parse("/v1/models")?,
            authorization: config.api_key.as_ref().map(|key| format!("Bearer {key}")),
        })
    }

    /// The first model that the server names.
    pub async fn first_model(&self) -> Result<String, LoadError> {
        let failed = |reason: String| LoadError::NoModel { url: self.models_url.to_string(), reason };
        let response = self.request(Method::GET, &self.models_url, Bytes::new()).await.map_err(failed)?;
        let body = response.into_body().collect().await.map_err(|error| failed(error.to_string()))?.to_bytes();
        let value: Value = serde_json::from_slice(&body).map_err(|error| failed(error.to_string()))?;
        let id = value.pointer("/data/0/id").and_then(Value::as_str);
        id.map(str::to_owned).ok_or_else(|| failed("its response has no /data/0/id".into()))
    }

    /// Sends one request and measures it; trouble of any kind is in the measurement.
    pub async fn send(&self, prompt: &Prompt, body: Bytes, clock: Instant, flight: Flight<'_>) -> Measurement {
        flight.sent();
        let mut measurement =
            Measurement { prompt_len: prompt.tokens.len(), start: clock.elapsed(), ..Measurement::default() };
        if let Err(error) = self.stream(body, &mut measurement, flight).await {
            measurement.error = Some(error);
        }
        measurement
    }

    async fn stream(&self, body: Bytes, measurement: &mut Measurement, flight: Flight<'_>) -> Result<(), String> {
        let sent = Instant::now();
        let response = self.request(Method::POST, &self.url, body).await?;
        let mut frames = response.into_body();
        let mut events = EventBuffer::default();
        let mut output = Output::new(sent);
        while let Some(frame) = frames.frame().await {
            let frame = frame.map_err(|error| describe(&error))?;
            let now = Instant::now();
            if let Ok(data) = frame.into_data() {
                events.push(data);
                while let Some(event) = events.next_event() {
                    let is_first = output.first.is_none();
                    output.take(&event, now)?;
                    if is_first && output.first.is_some() {
                        flight.first();
                    }
                }
            }
        }
        output.finish(measurement)
    }

    async fn request(&self, method: Method, url: &Uri, body: Bytes) -> Result<Response<Incoming>, String> {
        let mut request = Request::builder().method(method).uri(url).header("content-type", "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        let response = self.http.request(request).await.map_err(|error| describe(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let text: String = String::from_utf8_lossy(&body).chars().take(500).collect();
        Err(format!("HTTP status {status}: {text}"))
    }
}

/// The JSON body of a request.
pub fn body(config: &Config, model: &str, prompt: &Prompt) -> Bytes {
    let mut body = json!({
        "model": model,
        "stream": true,
        "stream_options": {"include_usage": true},
        "temperature": config.temperature.unwrap_or(0.0),
    });
    match config.backend {
        Backend::Vllm | Backend::Openai => {
            body["prompt"] = json!(prompt.tokens);
            body["max_tokens"] = json!(prompt.output_len);
        }
        Backend::OpenaiChat => {
            body["messages"] = json!([{"role": "user", "content": prompt.words()}]);
            body["max_completion_tokens"] = json!(prompt.output_len);
        }
    }
    if config.ignore_eos {
        body["ignore_eos"] = json!(true);
    }
    Bytes::from(body.to_string())
}

/// What a stream has brought so far.
struct Output {
    sent: Instant,
    first: Option<Instant>,
    last: Instant,
    itl: Vec<Duration>,
    text: String,
    completion_tokens: Option<usize>,
}

impl Output {
    fn new(sent: Instant) -> Self {
        Self { sent, first: None, last: sent, itl: Vec::new(), text: String::new(), completion_tokens: None }
    }

    /// A chunk that carries a choice is a token's time; one that carries usage counts the tokens.
    fn take(&mut self, event: &[u8], now: Instant) -> Result<(), String> {
        if event == b"[DONE]" {
            return Ok(());
        }
        let chunk: Chunk<'_> =
            serde_json::from_slice(event).map_err(|error| format!("cannot parse a chunk of the stream: {error}"))?;
        if let Some(error) = chunk.error {
            return Err(error.to_string());
        }
        if let Some(choice) = chunk.choices.first() {
            match self.first {
                None => self.first = Some(now),
                Some(_) => self.itl.push(now - self.last),
            }
            self.last = now;
            self.text += choice.text();
        }
        if let Some(usage) = chunk.usage {
            self.completion_tokens = Some(usage.completion_tokens);
        }
        Ok(())
    }

    fn finish(self, measurement: &mut Measurement) -> Result<(), String> {
        let first = self.first.ok_or("the stream ended without a token")?;
        measurement.ttft = first - self.sent;
        measurement.latency = self.last - self.sent;
        // A server that reports no usage sent a token in each chunk, as far as can be told.
        measurement.output_len = self.completion_tokens.unwrap_or(self.itl.len() + 1);
        measurement.itl = self.itl;
        measurement.text = self.text;
        Ok(())
    }
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(default, borrow)]
    choices: Vec<Choice<'a>>,
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default, borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    delta: Option<Delta<'a>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(default, borrow)]
    content: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Usage {
    completion_tokens: usize,
}

impl Choice<'_> {
    fn text(&self) -> &str {
        let delta = self.delta.as_ref().and_then(|delta| delta.content.as_deref());
        self.text.as_deref().or(delta).unwrap_or_default()
    }
}

/// Cuts a byte stream into server-sent events.
#[derive(Default)]
struct EventBuffer {
    bytes: BytesMut,
}

impl EventBuffer {
    fn push(&mut self, data: Bytes) {
        self.bytes.extend_from_slice(&data);
    }

    /// The data of the next whole `data:` line.
    fn next_event(&mut self) -> Option<Bytes> {
        loop {
            let end = self.bytes.iter().position(|byte| *byte == b'\n')?;
            let line = self.bytes.split_to(end).freeze();
            self.bytes.advance(1);
            if let Some(data) = line.strip_prefix(b"data:") {
                let data = data.trim_ascii();
                if !data.is_empty() {
                    return Some(line.slice_ref(data));
                }
            }
        }
    }
}

fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_cut_wherever_the_network_cut_them() {
        let mut events = EventBuffer::default();
        events.push(Bytes::from_static(b"data: {\"a\""));
        assert_eq!(events.next_event(), None);
        events.push(Bytes::from_static(b": 1}\r\n\r\n: ping\ndata:[DONE]\n\n"));
        assert_eq!(events.next_event().unwrap(), "{\"a\": 1}");
        assert_eq!(events.next_event().unwrap(), "[DONE]");
        assert_eq!(events.next_event(), None);
    }

    #[test]
    fn times_are_taken_as_vllm_takes_them() {
        let sent = Instant::now();
        let at = |millis: u64| sent + Duration::from_millis(millis);
        let mut output = Output::new(sent);
        let chunks: [(&[u8], u64); 4] = [
            (br#"{"choices":[{"text":"a\n"}]}"#, 30),
            (br#"{"choices":[{"delta":{"content":"b"}}]}"#, 40),
            (br#"{"choices":[{"delta":{}}]}"#, 60),
            (br#"{"choices":[],"usage":{"completion_tokens":3}}"#, 75),
        ];
        for (chunk, millis) in chunks {
            output.take(chunk, at(millis)).unwrap();
        }
        let mut measured = Measurement::default();
        output.finish(&mut measured).unwrap();
        assert_eq!((measured.ttft.as_millis(), measured.latency.as_millis()), (30, 60));
        assert_eq!(measured.itl, [Duration::from_millis(10), Duration::from_millis(20)]);
        assert_eq!((measured.output_len, measured.text.as_str()), (3, "a\nb"));
    }

    #[test]
    fn an_empty_stream_and_an_error_in_the_stream_are_failures() {
        assert!(Output::new(Instant::now()).finish(&mut Measurement::default()).is_err());
        let error = Output::new(Instant::now()).take(br#"{"error": {"message": "boom"}}"#, Instant::now());
        assert!(error.unwrap_err().contains("boom"));
    }
}
