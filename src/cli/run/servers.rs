//! How servers are waited for and brought back, and how long their benchmarks may take.

use super::parse_command;
use crate::cli::Failure;
use crate::exec::{Readiness, ReadyUrl, Waiting};
use crate::params::Command;
use std::time::Duration;

#[derive(clap::Args, Clone)]
pub struct ServerFlags {
    /// Command to run after each benchmark instead of resetting the server's caches over HTTP. Required for servers that
    /// sweeplake cannot reset; `true` resets nothing.
    #[arg(long, value_name = "COMMAND")]
    after_bench_cmd: Option<String>,
    /// Seconds to wait for a server to become ready. By default, it is ready once GET /health returns 200 and, if its API
    /// is known, one short completion succeeds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    server_ready_timeout: u64,
    /// The server is ready once a GET of this returns 2xx: a path on the server (/ready), or http://HOST:PORT/PATH.
    #[arg(long, value_name = "URL", conflicts_with = "ready_cmd")]
    ready_url: Option<String>,
    /// The server is ready once this command succeeds; it is retried until then.
    #[arg(long, value_name = "COMMAND")]
    ready_cmd: Option<String>,
    /// Command to run once per server, after its loads: the numbers of the JSON object on its last line, or in the file {result}, become
    /// columns eval.NAME of the server's runs. {base_url} stands for the server's address.
    #[arg(long, value_name = "COMMAND")]
    eval_cmd: Option<String>,
    /// Time limit for each benchmark; default: none.
    #[arg(long, value_name = "SECONDS", value_parser = crate::cli::positive_number)]
    bench_timeout: Option<f64>,
}

/// What was typed, taken apart.
pub struct ServerCommands {
    pub after_bench: Option<Command>,
    pub ready: Option<Command>,
    pub evaluation: Option<Command>,
}

impl ServerCommands {
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &Command)> {
        let after = self.after_bench.iter().map(|command| ("--after-bench-cmd", command));
        let evaluation = self.evaluation.iter().map(|command| ("--eval-cmd", command));
        after.chain(self.ready.iter().map(|command| ("--ready-cmd", command))).chain(evaluation)
    }
}

impl ServerCommands {
    /// Those on which measurements depend, by their names in the manifest.
    pub fn by_key(&self) -> impl Iterator<Item = (&'static str, Command)> {
        let both = [("after_bench_cmd", &self.after_bench), ("eval_cmd", &self.evaluation)];
        both.into_iter().filter_map(|(key, command)| Some((key, command.clone()?)))
    }
}

impl ServerFlags {
    pub fn commands(&self) -> Result<ServerCommands, Failure> {
        let parse = |flag: &str, text: &Option<String>| {
            let text = text.as_deref().filter(|text| !text.is_empty());
            text.map(|text| parse_command(flag, text)).transpose()
        };
        Ok(ServerCommands {
            after_bench: parse("--after-bench-cmd", &self.after_bench_cmd)?,
            ready: parse("--ready-cmd", &self.ready_cmd)?,
            evaluation: parse("--eval-cmd", &self.eval_cmd)?,
        })
    }

    pub fn bench_timeout(&self) -> Option<f64> {
        self.bench_timeout
    }

    /// For what is waited after the start of a server.
    pub fn waiting(&self, commands: &ServerCommands, serve_cmd: &Command) -> Result<Waiting, Failure> {
        let until = match (&commands.ready, &self.ready_url) {
            (Some(command), _) => Readiness::Command(command.clone()),
            (None, Some(url)) => Readiness::Url(ReadyUrl::parse(url).map_err(|error| {
                Failure::input(format!("--ready-url: {error}; for anything else, use --ready-cmd 'curl -fsS URL'"))
            })?),
            (None, None) => Readiness::of(serve_cmd),
        };
        Ok(Waiting { until, timeout: Duration::from_secs(self.server_ready_timeout) })
    }
}
