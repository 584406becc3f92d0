//! Small requests to the server under test: health, version, resets. Each has a time-out of its own.

use crate::params::Address;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;

/// A server's answer.
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
}

/// Sends a request without a body; any trouble on the way is one text.
pub async fn send(address: &Address, method: Method, path: &str, limit: Duration) -> Result<Answer, String> {
    match tokio::time::timeout(limit, send_unlimited(address, method, path)).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", limit.as_secs_f64())),
    }
}

/// Whether something accepts connections there.
pub async fn accepts_connections(address: &Address) -> bool {
    let connect = TcpStream::connect((address.host.as_str(), address.port));
    matches!(tokio::time::timeout(Duration::from_secs(1), connect).await, Ok(Ok(_)))
}

async fn send_unlimited(
    address: &Address,
    method: Method,
    path: &str,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", address.to_string())
        .header("connection", "close")
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    driver.abort();
    Ok(Answer { status, body })
}
