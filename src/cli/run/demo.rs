//! `sweeplake demo`: the main job on the simulated server, through the same code as the commands.

use super::job::Job;
use super::serve;
use crate::cli::next;
use crate::cli::say::out;
use crate::cli::show::without_empty;
use crate::cli::table::plain_table;
use crate::cli::{Ended, Failure, block_on, query_failure, report};
use crate::params::Command;
use crate::query::{Lake, NamedQuery};
use crate::store::REPORT;
use clap::Parser;
use std::net::TcpListener;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Arguments {
    /// The lake in which to store the demo's sweep.
    #[arg(long, short, default_value = "results", value_name = "DIR", value_parser = crate::cli::lake::local_path)]
    output_dir: PathBuf,
    /// The port of the simulated server; default: a free one.
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Run the simulated GPU this many times faster.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = crate::cli::positive_number)]
    speed: f64,
}

/// Its settings, its loads, and what follows from them.
const SPACE: [&str; 6] = [
    "--serve-grid",
    "max_num_seqs,tensor_parallel_size=8:1,64:1,64:2",
    "--bench-grid",
    "max_concurrency=1,4,16,48",
    "--bench-set",
    "num_prompts = least(6 * max_concurrency, 96)",
];

/// The latency that the demo's question allows, in milliseconds.
const SLA_MS: &str = "500";

pub fn exec(arguments: Arguments) -> Ended {
    let program = std::env::current_exe().map_err(Failure::work)?.to_string_lossy().into_owned();
    let port = arguments.port.map_or_else(free_port, Ok)?.to_string();
    let words = |words: &[&str]| Command::new(words.iter().copied()).quoted();
    let speed = arguments.speed.to_string();
    let faster: &[&str] = if arguments.speed == 1.0 { &[] } else { &["--speed", &speed] };
    let server = [program.as_str(), "sim", "sim/llama-8b", "--port", &port, "--startup-seconds", "0.3"];
    let serve_cmd = words(&[&server[..], faster].concat());
    let load = ["--random-input-len", "256", "--random-output-len", "32", "--ignore-eos", "--save-detailed"];
    let bench_cmd = words(&[&[program.as_str(), "bench", "--port", &port], &load[..]].concat());
    let lake = arguments.output_dir.to_string_lossy();
    let commands = [&program, "serve", "--serve-cmd", &serve_cmd, "--bench-cmd", &bench_cmd];
    let again = [&commands[..], &SPACE, &["-o", &lake]].concat();
    let sweep = serve::Typed::try_parse_from(&again[1..]).map_err(Failure::input)?.arguments;
    let again = words(&again);
    let folder = serve::prepare(sweep, Job::Serve(None))?.run()?;
    let path = folder.join(REPORT);
    report::write(std::slice::from_ref(&folder), &path)?;

    let lake = Lake::open(std::slice::from_ref(&folder)).map_err(query_failure)?;
    let best = NamedQuery::find("best", &[]).and_then(|best| best.sql(&[("limit".to_owned(), SLA_MS.to_owned())]));
    let answer = block_on(lake.sql(&best.map_err(query_failure)?))?.map_err(query_failure)?;
    let answer = without_empty(
        answer.without("sweep").without("model_id").without("metric").without("metric_min").without("metric_max"),
    )?;
    let table = plain_table(&answer).map_err(query_failure)?;
    out!("\nHighest throughput with every P99 end-to-end latency within {SLA_MS} ms:\n{table}");
    out!("\nReport: {}", path.display());
    let more = format!(
        "{} plot {} --var-x max_concurrency --var-y p99_e2el_ms --curve-by max_num_seqs,tensor_parallel_size --scale-x log2",
        next::program(),
        next::quoted_path(&folder)
    );
    out!("\nAnd a chart:\n  {more}");
    out!("\nTo sweep something else, change the grids in:\n  {again}");
    Ok(())
}

fn free_port() -> Result<u16, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(Failure::work)?;
    Ok(listener.local_addr().map_err(Failure::work)?.port())
}
