//! Why a run has no result.

use crate::telemetry::Samples;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A failed run, told in the fewest facts that let its reader act.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    pub kind: ErrorKind,
    pub message: String,
    pub exit_code: Option<i32>,
    /// The last lines of the log of what failed.
    pub log_tail: Vec<String>,
    /// What was sampled until then.
    #[serde(skip)]
    pub samples: Option<Arc<Samples>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The server's process ended while it was starting or while it was being measured.
    ServerExited,
    /// The server did not become ready in time.
    ServerNotReady,
    /// The server's or the benchmark's log says that memory ran out.
    OutOfMemory,
    /// Something else listens where the server should.
    PortTaken,
    /// The benchmark's process ended with an error.
    BenchmarkFailed,
    /// The benchmark did not end in the time that `--bench-timeout` gave it.
    TimedOut,
    /// What was measured was stopped meanwhile, or the whole machine slept.
    Stopped,
    /// The benchmark ended well but left no readable result, or one in which no request succeeded.
    BadResult,
    /// The caches could not be reset, so the next run would not start clean.
    ResetFailed,
}

impl ErrorKind {
    const ALL: [Self; 9] = [
        Self::ServerExited,
        Self::ServerNotReady,
        Self::OutOfMemory,
        Self::PortTaken,
        Self::BenchmarkFailed,
        Self::TimedOut,
        Self::Stopped,
        Self::BadResult,
        Self::ResetFailed,
    ];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServerExited => "server_exited",
            Self::ServerNotReady => "server_not_ready",
            Self::OutOfMemory => "out_of_memory",
            Self::PortTaken => "port_taken",
            Self::BenchmarkFailed => "benchmark_failed",
            Self::TimedOut => "timed_out",
            Self::Stopped => "stopped",
            Self::BadResult => "bad_result",
            Self::ResetFailed => "reset_failed",
        }
    }

    /// Whether the server is gone, stuck or unclean, so that the next run needs a new one.
    pub fn needs_new_server(self) -> bool {
        !matches!(self, Self::BenchmarkFailed | Self::BadResult | Self::Stopped)
    }
}

impl Failure {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), exit_code: None, log_tail: Vec::new(), samples: None }
    }

    /// Adds the exit code and the end of a log; a log that speaks of exhausted memory changes the kind.
    pub fn with_log(mut self, exit_code: Option<i32>, log_tail: Vec<String>) -> Self {
        if log_tail.iter().any(|line| speaks_of_memory(line)) {
            self.kind = ErrorKind::OutOfMemory;
        }
        Self { exit_code, log_tail, ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

fn speaks_of_memory(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    ["out of memory", "outofmemoryerror", "hip out of memory", "cannot allocate memory"]
        .iter()
        .any(|phrase| line.contains(phrase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_speaks_of_memory_names_the_kind() {
        let failure = Failure::new(ErrorKind::ServerExited, "gone");
        let tail = vec!["torch.OutOfMemoryError: CUDA out of memory.".to_owned()];
        assert_eq!(failure.clone().with_log(Some(1), tail).kind, ErrorKind::OutOfMemory);
        assert_eq!(failure.with_log(Some(1), vec!["Traceback".into()]).kind, ErrorKind::ServerExited);
    }
}
