//! What was measured of one request.

use super::wire::WireError;
use crate::metric::CUT_OFF;
use std::fmt;
use std::io;
use std::time::Duration;

/// One answered or failed request. Times are since the start of the measurement.
#[derive(Clone, Debug, Default)]
pub struct Measurement {
    pub index: usize,
    /// Tokens of the prompt as the server counts them, or else as the data set does; `None` where neither is known.
    pub input_tokens: Option<usize>,
    /// As the server counts them, or else a tokenizer; `None` where neither is known.
    pub output_tokens: Option<usize>,
    /// Of those, how many are reasoning.
    pub reasoning_tokens: Option<usize>,
    pub counted_by: CountedBy,
    /// Chunks that carried text.
    pub chunks: usize,
    /// When it should have been sent; in the closed loop as soon as a slot was free.
    pub intended: Duration,
    pub start: Duration,
    /// How much later it was sent than it could have been: after its time had come and a slot was free.
    pub send_lag: Duration,
    /// To the first text, of reasoning or of the answer; `None` if none came.
    pub ttft: Option<Duration>,
    /// To the first chunk, whatever it carried: vLLM's definition of the time to the first token.
    pub ttft_chunk: Option<Duration>,
    /// To the first text of the answer, where reasoning came before it.
    pub ttft_answer: Option<Duration>,
    pub latency: Duration,
    pub itl: Vec<Duration>,
    /// Whether the gaps are of tokens and not of chunks.
    pub is_itl_of_tokens: bool,
    /// The text, where it is kept.
    pub text: String,
    /// `None` for a request that succeeded.
    pub failure: Option<Failure>,
}

/// Who counted the output tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CountedBy {
    #[default]
    Nobody,
    Server,
    Tokenizer,
}

impl CountedBy {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Server => "server",
            Self::Tokenizer => "tokenizer",
        }
    }
}

impl Measurement {
    pub fn is_ok(&self) -> bool {
        self.failure.is_none()
    }

    pub fn is_cut_off(&self) -> bool {
        self.failure.as_ref().is_some_and(|failure| failure.kind == FailureKind::CutOff)
    }

    /// Time per output token after the first, where there is more than one.
    pub fn tpot(&self) -> Option<Duration> {
        let tokens = self.output_tokens.filter(|tokens| *tokens > 1)?;
        Some(self.latency.saturating_sub(self.ttft?).div_f64((tokens - 1) as f64))
    }

    /// How long it waited in the client.
    pub fn queue_time(&self) -> Duration {
        self.start.saturating_sub(self.intended)
    }
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureKind {
    ConnectionRefused,
    ConnectionFailed,
    ConnectionReset,
    Timeout,
    HttpStatus,
    MalformedChunk,
    /// The stream told an error.
    ServerError,
    /// The stream ended before it said that it was complete.
    EndedEarly,
    /// The run was stopped meanwhile.
    CutOff,
}

impl FailureKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConnectionRefused => "connection_refused",
            Self::ConnectionFailed => "connection_failed",
            Self::ConnectionReset => "connection_reset",
            Self::Timeout => "timeout",
            Self::HttpStatus => "http_status",
            Self::MalformedChunk => "malformed_chunk",
            Self::ServerError => "server_error",
            Self::EndedEarly => "ended_early",
            Self::CutOff => "cut_off",
        }
    }
}

impl Failure {
    pub fn new(kind: FailureKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    pub fn cut_off() -> Self {
        Self::new(FailureKind::CutOff, format!("{CUT_OFF}: the run was stopped"))
    }

    /// Of a response of which nothing has come.
    pub fn before(error: &WireError) -> Self {
        let kind = match error {
            WireError::Connect(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                FailureKind::ConnectionRefused
            }
            WireError::Connect(_) => FailureKind::ConnectionFailed,
            WireError::Io(_) | WireError::Closed => FailureKind::ConnectionReset,
            WireError::Malformed(_) => FailureKind::MalformedChunk,
        };
        Self::new(kind, error.to_string())
    }

    /// Of a response that was on its way.
    pub fn amid(error: &WireError) -> Self {
        match error {
            WireError::Closed => Self::new(FailureKind::EndedEarly, "the stream ended before it was complete"),
            other => Self::before(other),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}
