//! `sweeplake worker`: answers parts of other machines' queries. And how `query` is told of workers.

use super::{Ended, Failure, block_on, query_failure};
use crate::cli::say::say;
use crate::query::{Service, Workers};
use bytesize::ByteSize;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// The token that workers ask for, and queries bear.
const TOKEN: &str = "SWEEPLAKE_TOKEN";

#[derive(clap::Args)]
#[command(
    after_help = "Each machine must see the lakes at the same paths (a shared folder, or s3://). Who asks has to bear the token in the variable\n\
                  SWEEPLAKE_TOKEN, if the worker was started with one; without one a worker listens on 127.0.0.1 only. Nothing is encrypted: across\n\
                  networks that others use, go through a tunnel."
)]
pub struct Arguments {
    /// Address and port to listen on, such as 10.0.0.5:7077; with port 0 any that is free.
    #[arg(long, value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Lakes and sweeps that may be read; nothing else is.
    #[arg(required = true, value_name = "LAKE")]
    lakes: Vec<PathBuf>,
    /// Memory limit of queries (2GiB, 500MB); anything beyond it spills to temporary files. Default: three quarters of the machine's memory.
    #[arg(long, value_name = "BYTES")]
    memory_limit: Option<ByteSize>,
}

pub fn exec(arguments: Arguments) -> Ended {
    let token = token()?;
    if token.is_none() && !arguments.listen.ip().is_loopback() {
        return Err(Failure::Input(format!(
            "--listen {}: whoever reaches this address could read the lake; set {TOKEN} to a secret here and where queries are asked, or \
             listen on 127.0.0.1",
            arguments.listen
        )));
    }
    let memory_limit = arguments.memory_limit.map(bytes);
    let service = Service::open(&arguments.lakes, token.as_deref(), memory_limit).map_err(query_failure)?;
    block_on(async {
        let fail = |error| Failure::Work(format!("--listen {}: {error}", arguments.listen));
        let listener = TcpListener::bind(arguments.listen).await.map_err(fail)?;
        say!("worker: listening on {}", listener.local_addr().map_err(fail)?);
        service.serve(listener, ended()?).await.map_err(query_failure)
    })?
}

/// Comes with Ctrl-C, or when the worker is to end.
fn ended() -> Result<impl Future<Output = ()>, Failure> {
    let mut end = signal(SignalKind::terminate()).map_err(Failure::work)?;
    Ok(async move {
        tokio::select! {
            _ = end.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    })
}

fn token() -> Result<Option<String>, Failure> {
    match std::env::var(TOKEN) {
        Ok(token) if token.is_empty() => Ok(None),
        Ok(token) => Ok(Some(token)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(error) => Err(Failure::Input(format!("{TOKEN}: {error}"))),
    }
}

pub fn bytes(size: ByteSize) -> usize {
    usize::try_from(size.as_u64()).unwrap_or(usize::MAX)
}

/// Machines that answer a query together.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct WorkersFlags {
    /// Run the query on these workers (see `sweeplake worker`); a name that stands for several addresses means all of them. Default:
    /// SWEEPLAKE_WORKERS, if it is set.
    #[arg(long, value_name = "HOST:PORT,…")]
    workers: Option<String>,
    /// How much a core should have to read before another worker takes part (16MiB by default).
    #[arg(long, value_name = "BYTES")]
    bytes_per_core: Option<ByteSize>,
}

impl WorkersFlags {
    /// The workers, if there shall be some.
    pub fn find(&self) -> Result<Option<Workers>, Failure> {
        let named = self.workers.clone().or_else(|| std::env::var("SWEEPLAKE_WORKERS").ok());
        let Some(named) = named.filter(|named| !named.trim().is_empty()) else { return Ok(None) };
        let token = token()?;
        let bytes_each = self.bytes_per_core.map(bytes);
        block_on(Workers::find(&named, token.as_deref(), bytes_each))?.map(Some).map_err(query_failure)
    }
}
