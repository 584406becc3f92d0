//! HTTP/1.1 as far as a client of one server needs it: the head of a response, and how its body is framed.

use super::WireError;
use std::ops::Range;

/// The head of a response.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    pub status: u16,
    pub reason: String,
    pub framing: Framing,
    /// Whether the connection can be used again.
    pub keeps: bool,
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length(u64),
    Chunked(Chunk),
    UntilClosed,
    Ended,
}

/// Where in a chunked body the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk {
    Size,
    Data(u64),
    DataEnd,
    Trailer,
}

/// What the next bytes of a body are.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Data, and how many bytes were taken with it.
    Data {
        data: Range<usize>,
        taken: usize,
    },
    /// More bytes are needed; some may have been taken.
    More {
        taken: usize,
    },
    End {
        taken: usize,
    },
}

const MOST_HEADERS: usize = 64;
/// A line of a chunk's size that is longer is none.
const LONGEST_SIZE: usize = 64;

/// Reads a head; nothing while it has not come whole. The number of bytes is its length.
pub fn head(bytes: &[u8]) -> Result<Option<(Head, usize)>, WireError> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let len = match response.parse(bytes) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(WireError::Malformed(format!("not an HTTP response: {error}"))),
    };
    let value = |name: &str| {
        let header = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        header.map(|header| String::from_utf8_lossy(header.value).trim().to_ascii_lowercase())
    };
    let status = response.code.unwrap_or_default();
    let framing = match (value("transfer-encoding"), value("content-length")) {
        _ if status == 204 || status == 304 => Framing::Ended,
        (Some(coding), _) if coding.ends_with("chunked") => Framing::Chunked(Chunk::Size),
        (None, Some(length)) => match length.parse() {
            Ok(0) => Framing::Ended,
            Ok(length) => Framing::Length(length),
            Err(_) => return Err(WireError::Malformed(format!("content-length {length:?}"))),
        },
        _ => Framing::UntilClosed,
    };
    let keeps = match value("connection").as_deref() {
        Some(said) if said.contains("close") => false,
        Some(said) if said.contains("keep-alive") => true,
        _ => response.version == Some(1),
    };
    let keeps = keeps && framing != Framing::UntilClosed;
    Ok(Some((Head { status, reason: response.reason.unwrap_or_default().to_owned(), framing, keeps }, len)))
}

impl Framing {
    /// What of the body stands at the beginning of these bytes.
    pub fn next(&mut self, bytes: &[u8]) -> Result<Piece, WireError> {
        let mut taken = 0;
        loop {
            let rest = &bytes[taken..];
            match *self {
                Self::Ended => return Ok(Piece::End { taken }),
                _ if rest.is_empty() => return Ok(Piece::More { taken }),
                Self::UntilClosed => return Ok(Piece::Data { data: taken..bytes.len(), taken: bytes.len() }),
                Self::Length(left) => {
                    let len = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    *self = if left == len as u64 { Self::Ended } else { Self::Length(left - len as u64) };
                    return Ok(Piece::Data { data: taken..taken + len, taken: taken + len });
                }
                Self::Chunked(Chunk::Data(left)) => {
                    let len = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    let left = left - len as u64;
                    *self = Self::Chunked(if left == 0 { Chunk::DataEnd } else { Chunk::Data(left) });
                    return Ok(Piece::Data { data: taken..taken + len, taken: taken + len });
                }
                Self::Chunked(at) => match self.between(at, rest)? {
                    0 => return Ok(Piece::More { taken }),
                    len => taken += len,
                },
            }
        }
    }

    /// Reads what stands between the data of chunks; 0 while it has not come whole.
    fn between(&mut self, at: Chunk, rest: &[u8]) -> Result<usize, WireError> {
        let bad = |what: &str| Err(WireError::Malformed(format!("a chunked body without {what}")));
        match at {
            Chunk::Size => match httparse::parse_chunk_size(rest) {
                Ok(httparse::Status::Complete((len, size))) => {
                    *self = Self::Chunked(if size == 0 { Chunk::Trailer } else { Chunk::Data(size) });
                    Ok(len)
                }
                Ok(httparse::Status::Partial) if rest.len() <= LONGEST_SIZE => Ok(0),
                _ => bad("the size of a chunk"),
            },
            Chunk::DataEnd => match rest {
                [b'\r', b'\n', ..] => {
                    *self = Self::Chunked(Chunk::Size);
                    Ok(2)
                }
                [b'\r'] => Ok(0),
                _ => bad("the end of a chunk"),
            },
            _ => match memchr::memchr(b'\n', rest) {
                None => Ok(0),
                Some(end) => {
                    if rest[..end].trim_ascii().is_empty() {
                        *self = Self::Ended;
                    }
                    Ok(end + 1)
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads a response that comes in pieces.
    fn read(response: &[u8], size: usize) -> (Head, Vec<u8>) {
        let (mut bytes, mut pieces) = (Vec::new(), response.chunks(size));
        let (found, len) = loop {
            match head(&bytes).unwrap() {
                Some(found) => break found,
                None => bytes.extend_from_slice(pieces.next().unwrap()),
            }
        };
        bytes.drain(..len);
        let (mut framing, mut body) = (found.framing, Vec::new());
        loop {
            match framing.next(&bytes).unwrap() {
                Piece::Data { data, taken } => {
                    body.extend_from_slice(&bytes[data]);
                    bytes.drain(..taken);
                }
                Piece::End { taken } => {
                    bytes.drain(..taken);
                    assert!(bytes.is_empty());
                    return (found, body);
                }
                Piece::More { taken } => {
                    bytes.drain(..taken);
                    match pieces.next() {
                        Some(piece) => bytes.extend_from_slice(piece),
                        None => return (found, body),
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_body_is_the_same_however_it_is_framed_and_cut(size in 1usize..50, chunk in 1usize..9) {
            let body = b"data: {\"a\": 1}\n\ndata: [DONE]\n\n";
            let mut chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for part in body.chunks(chunk) {
                chunked.extend(format!("{:x};x=y\r\n", part.len()).bytes().chain(part.iter().copied()).chain(*b"\r\n"));
            }
            chunked.extend(b"0\r\nX-After: 1\r\n\r\n");
            let fixed = [format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes(), body].concat();
            let closed = [b"HTTP/1.0 200 OK\r\n\r\n".as_slice(), body].concat();
            for (response, keeps) in [(chunked, true), (fixed, true), (closed, false)] {
                let (head, found) = read(&response, size);
                prop_assert_eq!(&found, body);
                prop_assert_eq!((head.status, head.keeps), (200, keeps));
            }
        }

        #[test]
        fn whatever_comes_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = head(&bytes);
            for mut framing in [Framing::Chunked(Chunk::Size), Framing::Length(7), Framing::UntilClosed] {
                let _ = framing.next(&bytes);
            }
        }
    }

    #[test]
    fn what_is_no_http_is_malformed() {
        assert!(head(b"SSH-2.0-OpenSSH\r\n").is_err());
        assert!(Framing::Chunked(Chunk::Size).next(b"zz\r\n").is_err());
        assert!(Framing::Chunked(Chunk::DataEnd).next(b"ab").is_err());
    }
}
