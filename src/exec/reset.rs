//! Servers are brought back to a clean state between runs.

use super::http::post;
use super::keeper::Keeper;
use super::process::Output;
use super::to_end::{Task, run_to_end};
use super::{Interrupt, Stop};
use crate::params::{Address, Command};
use crate::record::{ErrorKind, Failure, engine_of};
use std::time::Duration;

const RESET_LIMIT: Duration = Duration::from_secs(60);

/// How a server is brought back to a clean state after a run.
#[derive(Clone, Debug)]
pub enum Reset {
    /// `POST` to each; those that are not required may be missing (404).
    Endpoints(&'static [ResetEndpoint]),
    /// The endpoints of whichever engine answers.
    Asked,
    /// A command.
    Command(Command),
}

#[derive(Debug)]
pub struct ResetEndpoint {
    path: &'static str,
    is_required: bool,
}

const VLLM_RESETS: &[ResetEndpoint] = &[
    ResetEndpoint { path: "/reset_prefix_cache", is_required: true },
    ResetEndpoint { path: "/reset_mm_cache", is_required: false },
    ResetEndpoint { path: "/reset_encoder_cache", is_required: false },
];
const SGLANG_RESETS: &[ResetEndpoint] = &[ResetEndpoint { path: "/flush_cache", is_required: true }];

/// A server whose caches nobody knows how to reset.
#[derive(Debug, thiserror::Error)]
#[error("don't know how to reset the caches of `{program}` between runs")]
pub struct ResetUnknown {
    program: String,
}

impl Reset {
    /// The given command, or whatever a server offers that somebody else runs.
    pub fn of_remote(after_bench_cmd: Option<Command>) -> Self {
        after_bench_cmd.map_or(Self::Asked, Self::Command)
    }

    /// The given command, or what is known of the server's engine.
    pub fn of(serve_cmd: &Command, after_bench_cmd: Option<Command>) -> Result<Self, ResetUnknown> {
        match (after_bench_cmd, engine_of(serve_cmd)) {
            (Some(command), _) => Ok(Self::Command(command)),
            (None, Some("vllm" | "sweeplake-sim")) => Ok(Self::Endpoints(VLLM_RESETS)),
            (None, Some("sglang")) => Ok(Self::Endpoints(SGLANG_RESETS)),
            (None, _) => Err(ResetUnknown { program: serve_cmd.program().into() }),
        }
    }
}

/// Brings a server back to a clean state.
pub async fn reset(
    how: &Reset,
    address: &Address,
    output: &Output,
    keeper: &Keeper,
    interrupt: &mut Interrupt,
) -> Result<(), Stop> {
    let over_http = async {
        match how {
            Reset::Endpoints(endpoints) => reset_endpoints(address, endpoints).await,
            _ => reset_whatever_answers(address).await,
        }
    };
    if let Reset::Command(command) = how {
        let (name, kind) = ("the command that resets the server", ErrorKind::ResetFailed);
        let command = &address.fill(command);
        let task = Task { command, name, kind, output, limit: None, measured: None, sampled: None };
        return run_to_end(task, keeper, interrupt).await.map(|_| ());
    }
    tokio::select! {
        () = interrupt.asked() => Err(Stop::Interrupted),
        ended = over_http => ended.map_err(Stop::from),
    }
}

/// The endpoints of the first engine whose are there.
async fn reset_whatever_answers(address: &Address) -> Result<(), Failure> {
    for endpoints in [VLLM_RESETS, SGLANG_RESETS] {
        let first = endpoints.first().map_or("", |endpoint| endpoint.path);
        if !post(address, first, None, RESET_LIMIT).await.is_ok_and(|answer| answer.status == 404) {
            return reset_endpoints(address, endpoints).await;
        }
    }
    let message = format!(
        "the server at {address} provides no known way to reset its caches; the next run would not start clean"
    );
    Err(Failure::new(ErrorKind::ResetFailed, message))
}

async fn reset_endpoints(address: &Address, endpoints: &[ResetEndpoint]) -> Result<(), Failure> {
    for endpoint in endpoints {
        reset_endpoint(address, endpoint).await?;
    }
    Ok(())
}

async fn reset_endpoint(address: &Address, endpoint: &ResetEndpoint) -> Result<(), Failure> {
    let path = endpoint.path;
    let failed = |reason: String| {
        let message = format!("POST {path} at {address} failed: {reason}; the next run would not start clean");
        Failure::new(ErrorKind::ResetFailed, message)
    };
    let answer = post(address, path, None, RESET_LIMIT).await.map_err(failed)?;
    match answer.status {
        200..300 => Ok(()),
        404 if !endpoint.is_required => Ok(()),
        404 => Err(failed(
            "404 Not Found (vLLM provides it with VLLM_SERVER_DEV_MODE=1; or reset the server with a command)".into(),
        )),
        status => Err(failed(format!("HTTP status {status}"))),
    }
}
