//! HTTP to one server: connections that are kept, and what comes over them with the instant it came.

mod connection;
mod events;
mod http1;
mod tls;

pub use connection::Connection;
pub use events::Events;
pub use http1::{Framing, Head};
pub use tls::Trust;

use super::LoadError;
use connection::Stream;
use hyper::Uri;
use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// Why a response did not come.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("connection failed: {0}")]
    Connect(io::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the server closed the connection")]
    Closed,
    #[error("{0}")]
    Malformed(String),
}

/// Where the server is, and how it is spoken to.
pub struct Server {
    /// As requests name it: `host:port`.
    pub authority: String,
    /// What stands before the path of an endpoint.
    pub prefix: String,
    addresses: Vec<SocketAddr>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Server {
    /// By `http://HOST:PORT` or `https://HOST:PORT`; names are looked up once.
    pub fn new(base_url: &str, trust: Trust) -> Result<Self, LoadError> {
        let bad = |reason: String| LoadError::BadUrl { url: base_url.to_owned(), reason };
        let uri: Uri = base_url.trim_end_matches('/').parse().map_err(|error| bad(format!("{error}")))?;
        let host = uri.host().ok_or_else(|| bad("it names no host".into()))?.to_owned();
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(bad("expected http:// or https://".into())),
        };
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let addresses = (name.as_str(), port).to_socket_addrs();
        let addresses: Vec<SocketAddr> = addresses.map_err(|error| bad(format!("{name}: {error}")))?.collect();
        let tls = match is_tls {
            false => None,
            true => {
                let config = tls::client_config(trust).map_err(bad)?;
                let server = ServerName::try_from(name).map_err(|error| bad(error.to_string()))?;
                Some((TlsConnector::from(Arc::new(config)), server))
            }
        };
        let prefix = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { authority: format!("{host}:{port}"), prefix, addresses, tls })
    }

    async fn connect(&self) -> Result<Connection, WireError> {
        let tcp = TcpStream::connect(self.addresses.as_slice()).await.map_err(WireError::Connect)?;
        tcp.set_nodelay(true)?;
        let stream = match &self.tls {
            None => Stream::Plain(tcp),
            Some((connector, name)) => {
                let tls = connector.connect(name.clone(), tcp).await.map_err(WireError::Connect)?;
                Stream::Tls(Box::new(tls))
            }
        };
        Ok(Connection::new(stream))
    }
}

/// The connections of one thread.
pub struct Pool {
    server: Arc<Server>,
    idle: RefCell<Vec<Connection>>,
}

impl Pool {
    pub fn new(server: Arc<Server>) -> Self {
        Self { server, idle: RefCell::new(Vec::new()) }
    }

    /// Sends a request, and reads the head of its response. A connection that was kept may have been closed by the server meanwhile: then
    /// the request goes over a new one.
    pub async fn ask(&self, request: &[u8]) -> Result<(Connection, Head), WireError> {
        while let Some(mut kept) = self.kept() {
            if let Ok(head) = asked(&mut kept, request).await {
                return Ok((kept, head));
            }
        }
        let mut connection = self.server.connect().await?;
        let head = asked(&mut connection, request).await?;
        Ok((connection, head))
    }

    fn kept(&self) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        std::iter::from_fn(|| idle.pop()).find(Connection::is_quiet)
    }

    /// Keeps a connection whose response has been read.
    pub fn keep(&self, connection: Connection) {
        self.idle.borrow_mut().push(connection);
    }
}

async fn asked(connection: &mut Connection, request: &[u8]) -> Result<Head, WireError> {
    connection.send(request).await?;
    connection.head().await
}
