//! Answers: streams of tokens as they are made, or all of them at once; and what other servers do to theirs.

use super::engine::Token;
use super::faults::StreamFaults;
use super::requests::{Noted, Requests};
use crate::pace::monotonic_seconds;
use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Json, Response};
use futures::stream;
use serde_json::{Value, json};
use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc::UnboundedReceiver;

/// The text of every token.
const WORD: &str = " token";

#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Text,
    Chat,
}

/// What all parts of one answer have in common.
pub struct Reply {
    pub kind: Kind,
    pub model: String,
    pub noted: Noted,
    pub requests: Arc<Requests>,
    pub faults: StreamFaults,
    pub has_usage: bool,
}

impl Reply {
    /// A chunk of so many tokens, after as many others.
    fn chunk(&self, before: usize, tokens: usize, finish_reason: Option<&str>) -> Value {
        let text = WORD.repeat(tokens);
        let choice = match self.kind {
            Kind::Text => json!({"index": 0, "text": text, "finish_reason": finish_reason}),
            Kind::Chat => {
                let key = if before < self.faults.reasoning { "reasoning_content" } else { "content" };
                json!({"index": 0, "delta": {key: text}, "finish_reason": finish_reason})
            }
        };
        let mut chunk = self.envelope(true, json!([choice]));
        if self.has_usage && self.faults.continuous_usage {
            chunk["usage"] = self.usage(before + tokens);
        }
        chunk
    }

    fn role(&self) -> Value {
        let choice = match self.kind {
            Kind::Text => json!({"index": 0, "text": "", "finish_reason": null}),
            Kind::Chat => json!({"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": null}),
        };
        self.envelope(true, json!([choice]))
    }

    fn usage(&self, completion_tokens: usize) -> Value {
        let prompt_tokens = self.noted.prompt_tokens;
        let mut usage = json!({
            "prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        });
        if self.faults.reasoning > 0 && self.kind == Kind::Chat {
            let reasoning = self.faults.reasoning.min(completion_tokens);
            usage["completion_tokens_details"] = json!({"reasoning_tokens": reasoning});
        }
        usage
    }

    fn envelope(&self, is_chunk: bool, choices: Value) -> Value {
        let object = match (self.kind, is_chunk) {
            (Kind::Text, _) => "text_completion",
            (Kind::Chat, true) => "chat.completion.chunk",
            (Kind::Chat, false) => "chat.completion",
        };
        json!({"id": self.noted.id, "object": object, "created": now(), "model": self.model, "choices": choices})
    }
}

/// Tokens of one answer on their way.
struct Progress {
    reply: Reply,
    tokens: UnboundedReceiver<Token>,
    count: usize,
    is_begun: bool,
    is_done: bool,
}

impl Progress {
    /// What is sent next; nothing once all was.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.is_done {
            return None;
        }
        if !self.is_begun {
            self.is_begun = true;
            if self.reply.faults.role_first {
                return Some(Ok(Bytes::from(event(&self.reply.role()))));
            }
        }
        let (before, mut is_last) = (self.count, false);
        for _ in 0..self.reply.faults.tokens_per_chunk.unwrap_or(1) {
            is_last = self.tokens.recv().await? == Token::Last;
            self.count += 1;
            self.reply.noted.token_times_s.push(monotonic_seconds());
            if is_last {
                break;
            }
        }
        if self.reply.faults.cut_after.is_some_and(|most| before >= most) {
            self.is_done = true;
            return Some(Err(io::Error::other("the connection is cut, as requested")));
        }
        let mut text = event(&self.reply.chunk(before, self.count - before, is_last.then_some("length")));
        if is_last {
            self.is_done = true;
            self.reply.requests.note(&self.reply.noted);
            if self.reply.has_usage && !self.reply.faults.no_usage {
                let mut last = self.reply.envelope(true, json!([]));
                last["usage"] = self.reply.usage(self.count);
                text += &event(&last);
            }
            text += "data: [DONE]\n\n";
        }
        Some(Ok(Bytes::from(text)))
    }
}

pub fn streamed(reply: Reply, tokens: UnboundedReceiver<Token>) -> Response {
    let start = Progress { reply, tokens, count: 0, is_begun: false, is_done: false };
    let events = stream::unfold(start, |mut progress| async move {
        let next = progress.next().await?;
        Some((next, progress))
    });
    ([(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")], Body::from_stream(events)).into_response()
}

pub async fn whole(mut reply: Reply, mut tokens: UnboundedReceiver<Token>) -> Response {
    while let Some(token) = tokens.recv().await {
        reply.noted.token_times_s.push(monotonic_seconds());
        if token == Token::Last {
            break;
        }
    }
    let count = reply.noted.token_times_s.len();
    reply.requests.note(&reply.noted);
    let text = WORD.repeat(count);
    let choice = match reply.kind {
        Kind::Text => json!({"index": 0, "text": text, "finish_reason": "length"}),
        Kind::Chat => {
            json!({"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "length"})
        }
    };
    let mut body = reply.envelope(false, json!([choice]));
    if !reply.faults.no_usage {
        body["usage"] = reply.usage(count);
    }
    Json(body).into_response()
}

fn event(value: &Value) -> String {
    format!("data: {value}\n\n")
}

pub fn unique_id() -> String {
    format!("cmpl-{:032x}", rand::random::<u128>())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
