//! One connection to the server: bytes out, and the bytes of its responses with the instant they came.

use super::WireError;
use super::http1::{self, Framing, Head, Piece};
use std::io;
use std::ops::Range;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

pub enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

pub struct Connection {
    stream: Stream,
    buffer: Box<[u8]>,
    /// What of the buffer was read and not used.
    unused: Range<usize>,
    /// When the latest bytes came.
    latest: Instant,
}

/// A read takes all that came since the last one, of a burst some forty tokens; ten thousand connections have to fit into memory.
const BUFFER: usize = 8 * 1024;

impl Connection {
    pub fn new(stream: Stream) -> Self {
        Self { stream, buffer: vec![0; BUFFER].into(), unused: 0..0, latest: Instant::now() }
    }

    /// Whether nothing came while nothing was asked: neither the end of the connection nor anything else.
    pub fn is_quiet(&self) -> bool {
        let tcp = match &self.stream {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => tls.get_ref().0,
        };
        let mut byte = [0];
        self.unused.is_empty() && tcp.try_read(&mut byte).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(bytes).await?,
            Stream::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await?;
            }
        }
        Ok(())
    }

    /// The head of the next response.
    pub async fn head(&mut self) -> Result<Head, WireError> {
        loop {
            if let Some((head, len)) = http1::head(&self.buffer[self.unused.clone()])? {
                self.unused.start += len;
                return Ok(head);
            }
            if self.read().await? == 0 {
                return Err(WireError::Closed);
            }
        }
    }

    /// The next bytes of a body, and when they came; nothing at its end.
    pub async fn body(&mut self, framing: &mut Framing) -> Result<Option<(&[u8], Instant)>, WireError> {
        loop {
            let start = self.unused.start;
            match framing.next(&self.buffer[self.unused.clone()])? {
                Piece::Data { data, taken } => {
                    self.unused.start += taken;
                    return Ok(Some((&self.buffer[start + data.start..start + data.end], self.latest)));
                }
                Piece::End { taken } => {
                    self.unused.start += taken;
                    return Ok(None);
                }
                Piece::More { taken } => self.unused.start += taken,
            }
            if self.read().await? == 0 {
                return if *framing == Framing::UntilClosed { Ok(None) } else { Err(WireError::Closed) };
            }
        }
    }

    /// All that is left of a body, and when the last of it came.
    pub async fn rest(&mut self, framing: &mut Framing, into: &mut Vec<u8>) -> Result<Instant, WireError> {
        while let Some((bytes, _)) = self.body(framing).await? {
            into.extend_from_slice(bytes);
        }
        Ok(self.latest)
    }

    /// Reads more; 0 at the end of the connection.
    async fn read(&mut self) -> Result<usize, WireError> {
        if self.unused.is_empty() {
            self.unused = 0..0;
        } else if self.unused.end == self.buffer.len() {
            let len = self.unused.len();
            if len == self.buffer.len() {
                return Err(WireError::Malformed("the head of a response is too long".into()));
            }
            self.buffer.copy_within(self.unused.clone(), 0);
            self.unused = 0..len;
        }
        let room = &mut self.buffer[self.unused.end..];
        let count = match &mut self.stream {
            Stream::Plain(stream) => stream.read(room).await?,
            Stream::Tls(stream) => stream.read(room).await?,
        };
        self.latest = Instant::now();
        self.unused.end += count;
        Ok(count)
    }
}
