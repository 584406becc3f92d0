//! The HTTP side: OpenAI's completions and chat completions, and what vLLM adds to them.

use super::Config;
use super::engine::{Engine, Gauges, Latencies, Total};
use super::requests::{Noted, Requests};
use super::stream::{Kind, Reply, streamed, unique_id, whole};
use super::tokens::Counter;
use crate::pace::monotonic_seconds;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

pub struct App {
    config: Config,
    engines: Vec<Engine>,
    tokens: Counter,
    requests: Arc<Requests>,
    started: Instant,
}

impl App {
    pub fn new(config: Config, engines: Vec<Engine>, tokens: Counter, requests: Requests) -> Self {
        Self { config, engines, tokens, requests: Arc::new(requests), started: Instant::now() }
    }
}

type Shared = State<Arc<App>>;

pub fn router(app: App) -> Router {
    let faults = app.config.faults.clone();
    let app = Arc::new(app);
    let open = Router::new()
        .route("/health", get(|| async { StatusCode::OK }))
        .route("/version", get(|| async { Json(json!({"version": env!("CARGO_PKG_VERSION")})) }))
        .route("/metrics", get(metrics));
    let resets = Router::new()
        .route("/reset_prefix_cache", post(reset_prefix_cache))
        .route("/reset_mm_cache", post(reset_nothing))
        .route("/reset_encoder_cache", post(reset_nothing));
    let guarded = Router::new()
        .route("/v1/models", get(models))
        .route("/v1/completions", post(completions))
        .route("/v1/chat/completions", post(chat_completions))
        .layer(middleware::from_fn_with_state(app.clone(), require_key));
    let all = if faults.no_resets { open.merge(guarded) } else { open.merge(resets).merge(guarded) };
    all.with_state(app)
}

async fn require_key(State(app): Shared, headers: HeaderMap, request: Request, next: Next) -> Response {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match &app.config.api_key {
        Some(key) if given != Some(&format!("Bearer {key}")) => {
            refusal(StatusCode::UNAUTHORIZED, "Unauthorized".into())
        }
        _ => next.run(request).await,
    }
}

async fn models(State(app): Shared) -> Json<Value> {
    let model = &app.config.model;
    Json(json!({"object": "list", "data": [{
        "id": model, "object": "model", "owned_by": "sweeplake", "root": model,
        "max_model_len": app.config.max_model_len,
    }]}))
}

async fn reset_prefix_cache(State(app): Shared) -> StatusCode {
    if app.config.faults.refuse_resets {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    app.engines.iter().for_each(Engine::reset_prefix_cache);
    StatusCode::OK
}

async fn reset_nothing() -> StatusCode {
    StatusCode::OK
}

async fn metrics(State(app): Shared) -> String {
    let all: Vec<Gauges> = app.engines.iter().map(Engine::gauges).collect();
    let sum = |value: fn(&Gauges) -> f64| all.iter().map(value).sum::<f64>();
    let rows = [
        ("gauge", "num_requests_running", sum(|one| one.running as f64)),
        ("gauge", "num_requests_waiting", sum(|one| one.waiting as f64)),
        ("gauge", "kv_cache_usage_perc", sum(|one| one.kv_cache_usage) / all.len() as f64),
        ("counter", "prefix_cache_queries_total", sum(|one| one.counters.prefix_cache_queries as f64)),
        ("counter", "prefix_cache_hits_total", sum(|one| one.counters.prefix_cache_hits as f64)),
        ("counter", "num_preemptions_total", sum(|one| one.counters.preemptions as f64)),
        ("counter", "prompt_tokens_total", sum(|one| one.counters.prompt_tokens as f64)),
        ("counter", "generation_tokens_total", sum(|one| one.counters.generation_tokens as f64)),
        ("counter", "request_success_total", sum(|one| one.counters.finished as f64)),
    ];
    let histograms = [
        ("request_queue_time_seconds", total(&all, |one| one.queue_time)),
        ("time_to_first_token_seconds", total(&all, |one| one.ttft)),
        ("inter_token_latency_seconds", total(&all, |one| one.itl)),
        ("e2e_request_latency_seconds", total(&all, |one| one.e2el)),
    ];
    let model = app.config.model.replace('\\', "\\\\").replace('"', "\\\"");
    let lines = rows.map(|(kind, name, value)| {
        format!("# TYPE vllm:{name} {kind}\nvllm:{name}{{model_name=\"{model}\"}} {value}\n")
    });
    let histograms = histograms.map(|(name, Total { seconds, count })| {
        let labels = format!("model_name=\"{model}\"");
        format!(
            "# TYPE vllm:{name} histogram\nvllm:{name}_bucket{{{labels},le=\"+Inf\"}} {count}\n\
             vllm:{name}_sum{{{labels}}} {seconds}\nvllm:{name}_count{{{labels}}} {count}\n"
        )
    });
    lines.concat() + &histograms.concat()
}

/// One histogram over all engines.
fn total(engines: &[Gauges], of: fn(&Latencies) -> Total) -> Total {
    let parts = engines.iter().map(|engine| of(&engine.latencies));
    parts.fold(Total::default(), |sum, part| Total {
        seconds: sum.seconds + part.seconds,
        count: sum.count + part.count,
    })
}

#[derive(Deserialize)]
struct Parameters {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    max_tokens: Option<usize>,
    #[serde(default)]
    max_completion_tokens: Option<usize>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    ignore_eos: bool,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Deserialize)]
struct CompletionRequest {
    prompt: Prompt,
    #[serde(flatten)]
    parameters: Parameters,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Prompt {
    Text(String),
    Tokens(Vec<u32>),
    /// One prompt in a list, as some clients send it.
    Texts([String; 1]),
}

#[derive(Deserialize)]
struct ChatRequest {
    messages: Vec<Message>,
    #[serde(flatten)]
    parameters: Parameters,
}

#[derive(Deserialize)]
struct Message {
    content: Value,
}

async fn completions(State(app): Shared, headers: HeaderMap, body: Bytes) -> Response {
    match serde_json::from_slice::<CompletionRequest>(&body) {
        Ok(request) => {
            let prompt = match request.prompt {
                Prompt::Tokens(_) if app.config.faults.stream.text_only => {
                    return refusal(StatusCode::BAD_REQUEST, "prompt must be a string".into());
                }
                Prompt::Text(text) => app.tokens.tokens(&text),
                Prompt::Tokens(tokens) => tokens,
                Prompt::Texts([text]) => app.tokens.tokens(&text),
            };
            answer(&app, Kind::Text, &headers, prompt, request.parameters).await
        }
        Err(error) => refusal(StatusCode::BAD_REQUEST, error.to_string()),
    }
}

async fn chat_completions(State(app): Shared, headers: HeaderMap, body: Bytes) -> Response {
    match serde_json::from_slice::<ChatRequest>(&body) {
        Ok(request) => {
            let texts = request.messages.iter().map(|message| message_text(&message.content));
            let prompt = app.tokens.tokens(&texts.collect::<Vec<_>>().join(" "));
            answer(&app, Kind::Chat, &headers, prompt, request.parameters).await
        }
        Err(error) => refusal(StatusCode::BAD_REQUEST, error.to_string()),
    }
}

async fn answer(app: &App, kind: Kind, headers: &HeaderMap, prompt: Vec<u32>, parameters: Parameters) -> Response {
    let arrived_s = monotonic_seconds();
    let config = &app.config;
    if config.faults.ready_late.is_some_and(|late| app.started.elapsed() < late) {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "no worker is ready".into());
    }
    if let Some(model) = parameters.model.as_ref().filter(|model| **model != config.model) {
        return refusal(StatusCode::NOT_FOUND, format!("The model `{model}` does not exist."));
    }
    let default_tokens = if kind == Kind::Text { 16 } else { config.max_model_len.saturating_sub(prompt.len()) };
    let max_tokens = parameters.max_completion_tokens.or(parameters.max_tokens).unwrap_or(default_tokens);
    let total = prompt.len() + max_tokens;
    if prompt.is_empty() || max_tokens == 0 || total > config.max_model_len {
        let limit = config.max_model_len;
        let message = format!(
            "This model's maximum context length is {limit} tokens, at least one each of prompt and output; you requested {total}."
        );
        return refusal(StatusCode::BAD_REQUEST, message);
    }
    let Some(engine) = least_busy(&app.engines) else {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "no engine".into());
    };
    let tokens = engine.submit(&prompt, max_tokens, parameters.ignore_eos);
    let id = headers.get("x-request-id").and_then(|id| id.to_str().ok()).map_or_else(unique_id, str::to_owned);
    let reply = Reply {
        kind,
        model: config.model.clone(),
        noted: Noted { id, arrived_s, prompt_tokens: prompt.len(), token_times_s: Vec::new() },
        requests: app.requests.clone(),
        faults: config.faults.stream.clone(),
        has_usage: parameters.stream_options.is_some_and(|options| options.include_usage),
    };
    if parameters.stream { streamed(reply, tokens) } else { whole(reply, tokens).await }
}

fn least_busy(engines: &[Engine]) -> Option<&Engine> {
    engines.iter().min_by_key(|engine| {
        let gauges = engine.gauges();
        gauges.running + gauges.waiting
    })
}

fn refusal(status: StatusCode, message: String) -> Response {
    let body = json!({"error": {"message": message, "type": "invalid_request_error", "code": status.as_u16()}});
    (status, Json(body)).into_response()
}

/// A message's text, given as one string or as a list of parts.
fn message_text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str));
            texts.collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}
