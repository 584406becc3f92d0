//! A server that answers at once, always the same: what a client measures of it is the client's own.

use super::SimError;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What it answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Canned {
    /// Tokens of each answer, a chunk each.
    pub tokens: usize,
    /// Time between two of them; without, all come in one write.
    pub interval: Option<Duration>,
}

/// A request whose head is longer is none.
const LONGEST_HEAD: usize = 64 * 1024;

struct Answers {
    head: Vec<u8>,
    /// Of each token, and of what comes behind the last.
    chunks: Vec<Vec<u8>>,
    /// All of it.
    whole: Vec<u8>,
    models: Vec<u8>,
    interval: Option<Duration>,
}

impl Answers {
    fn new(canned: Canned) -> Self {
        let event = |value: &str| {
            let data = format!("data: {value}\n\n");
            format!("{:x}\r\n{data}\r\n", data.len()).into_bytes()
        };
        let chunk = |finish: Option<&str>| {
            let choice =
                json!({"index": 0, "text": " token", "logprobs": null, "finish_reason": finish, "stop_reason": null});
            json!({"id": "cmpl-0", "object": "text_completion", "created": 0, "model": "null", "choices": [choice], "usage": null})
        };
        let mut chunks: Vec<Vec<u8>> = (1..canned.tokens).map(|_| event(&chunk(None).to_string())).collect();
        let mut last = event(&chunk(Some("length")).to_string());
        // How long a prompt is it does not look at, and does not tell.
        let usage = json!({"id": "cmpl-0", "object": "text_completion", "created": 0, "model": "null", "choices": [],
            "usage": {"completion_tokens": canned.tokens}});
        last.extend(event(&usage.to_string()));
        last.extend(event("[DONE]"));
        last.extend(b"0\r\n\r\n");
        chunks.push(last);
        let models = json!({"object": "list", "data": [{"id": "null", "object": "model"}]}).to_string();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let models = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{models}",
            models.len()
        );
        let whole = [head.as_bytes(), &chunks.concat()].concat();
        Self { head: head.into(), chunks, whole, models: models.into(), interval: canned.interval }
    }
}

/// Serves whoever connects, until the process is ended.
pub async fn serve(listener: TcpListener, canned: Canned) -> Result<(), SimError> {
    let answers = Arc::new(Answers::new(canned));
    loop {
        let (stream, _): (TcpStream, SocketAddr) = listener.accept().await.map_err(SimError::Serve)?;
        let answers = answers.clone();
        // Whoever goes away is no concern of the others.
        tokio::spawn(async move { drop(converse(stream, &answers).await) });
    }
}

async fn converse(mut stream: TcpStream, answers: &Answers) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer: Vec<u8> = Vec::with_capacity(LONGEST_HEAD);
    loop {
        let head_len = loop {
            match memchr::memmem::find(&buffer, b"\r\n\r\n") {
                Some(at) => break at + 4,
                None if buffer.len() > LONGEST_HEAD => return Ok(()),
                None if stream.read_buf(&mut buffer).await? == 0 => return Ok(()),
                None => {}
            }
        };
        let is_get = buffer.starts_with(b"GET");
        let body_len = length_of(&buffer[..head_len]);
        let mut left = (head_len + body_len).saturating_sub(buffer.len());
        let kept = buffer.len().saturating_sub(head_len + body_len);
        buffer.drain(..buffer.len() - kept);
        let mut waste = [0; 16 * 1024];
        while left > 0 {
            let most = left.min(waste.len());
            match stream.read(&mut waste[..most]).await? {
                0 => return Ok(()),
                count => left -= count,
            }
        }
        if is_get {
            stream.write_all(&answers.models).await?;
        } else {
            answer(&mut stream, answers).await?;
        }
    }
}

async fn answer(stream: &mut TcpStream, answers: &Answers) -> std::io::Result<()> {
    let Some(interval) = answers.interval else {
        return stream.write_all(&answers.whole).await;
    };
    stream.write_all(&answers.head).await?;
    let mut due = Instant::now();
    for chunk in &answers.chunks {
        due += interval;
        tokio::time::sleep_until(due.into()).await;
        stream.write_all(chunk).await?;
    }
    Ok(())
}

/// The length of a request's body.
fn length_of(head: &[u8]) -> usize {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let value =
        text.split("\r\n").find_map(|line| line.strip_prefix("content-length:").map(|value| value.trim().parse()));
    value.and_then(Result::ok).unwrap_or(0)
}
