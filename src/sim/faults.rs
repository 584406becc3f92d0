//! Ways to misbehave on purpose, for tests of what drives a server.

use super::SimError;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// Exit with this code instead of starting.
    pub exit_at_start: Option<u8>,
    /// Run out of memory at start when more sequences than this are asked for.
    pub oom_above: Option<usize>,
    /// Exit when this many requests have been finished.
    pub crash_after: Option<u64>,
    /// Answer this many requests, and never the ones behind them.
    pub stall_after: Option<u64>,
    /// Answer no request in these first seconds, though the server says that it is healthy: a router without workers.
    pub ready_late: Option<Duration>,
    /// Answer the reset endpoints with an error.
    pub refuse_resets: bool,
    /// Offer no reset endpoints.
    pub no_resets: bool,
    /// Start a worker process that survives SIGTERM.
    pub stubborn_worker: bool,
    /// Take three times as long for so many steps after the start, as an engine does that compiles what it runs for the first time.
    pub cold_steps: u64,
    pub stream: StreamFaults,
}

/// What other servers do to their streams.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamFaults {
    /// Tell no usage.
    pub no_usage: bool,
    /// Tell the usage in every chunk.
    pub continuous_usage: bool,
    /// Tokens in each chunk, as speculative decoding has them.
    pub tokens_per_chunk: Option<usize>,
    /// Send a chunk that only names the role as soon as a request comes.
    pub role_first: bool,
    /// Close the connection after so many tokens.
    pub cut_after: Option<usize>,
    /// So many tokens at the beginning are reasoning.
    pub reasoning: usize,
    /// Refuse prompts of token IDs.
    pub text_only: bool,
}

pub fn at_start(faults: &Faults, max_num_seqs: usize) -> Result<(), SimError> {
    if let Some(code) = faults.exit_at_start {
        return Err(SimError::Asked { code });
    }
    if faults.oom_above.is_some_and(|most| max_num_seqs > most) {
        return Err(SimError::OutOfMemory { max_num_seqs });
    }
    if faults.stubborn_worker {
        // Stays in our process group, as the workers of a real engine do.
        let worker = Command::new("sh")
            .args(["-c", "trap '' TERM; while :; do sleep 1; done"])
            .stdin(Stdio::null())
            .arg0("stubborn-worker")
            .spawn();
        if let Err(error) = worker {
            super::log(format_args!("WARNING: no worker: {error}"));
        }
    }
    Ok(())
}
