//! Small requests to the server under test: health, version, resets. Each has a time-out of its own.

use crate::params::Address;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::time::Duration;
use tokio::net::TcpStream;

/// Bytes of an answer; what is longer is no answer to a small request.
const LONGEST_ANSWER: usize = 64 << 20;

/// A server's answer.
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
}

/// Asks for something; any trouble on the way is one text.
pub async fn get(address: &Address, path: &str, limit: Duration) -> Result<Answer, String> {
    within(limit, send(address, Method::GET, path, None)).await
}

/// Tells something; any trouble on the way is one text.
pub async fn post(address: &Address, path: &str, body: Option<Value>, limit: Duration) -> Result<Answer, String> {
    within(limit, send(address, Method::POST, path, body)).await
}

/// JSON that a server tells; nothing where it does not.
pub async fn get_json(address: &Address, path: &str, limit: Duration) -> Option<Value> {
    serde_json::from_slice(&get(address, path, limit).await.ok()?.body).ok()
}

/// What a server says of its version.
pub async fn version_of(address: &Address, limit: Duration) -> Option<String> {
    get_json(address, "/version", limit).await?.get("version").and_then(Value::as_str).map(str::to_owned)
}

/// Whether something accepts connections there.
pub async fn accepts_connections(address: &Address) -> bool {
    let connect = TcpStream::connect((address.host.as_str(), address.port));
    matches!(tokio::time::timeout(Duration::from_secs(1), connect).await, Ok(Ok(_)))
}

type Sent = Result<Answer, Box<dyn std::error::Error + Send + Sync>>;

async fn within(limit: Duration, sent: impl Future<Output = Sent>) -> Result<Answer, String> {
    match tokio::time::timeout(limit, sent).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no response within {} s", limit.as_secs_f64())),
    }
}

async fn send(address: &Address, method: Method, path: &str, body: Option<Value>) -> Sent {
    let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let mut request =
        Request::builder().method(method).uri(path).header("host", address.to_string()).header("connection", "close");
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    let body = body.map_or(Bytes::new(), |body| body.to_string().into());
    let response = sender.send_request(request.body(Full::new(body))?).await?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await?.to_bytes();
    driver.abort();
    Ok(Answer { status, body })
}
