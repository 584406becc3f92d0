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
use crate::store::{REPORT, write_bytes_atomically};
use clap::Parser;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Arguments {
    /// The lake in which to store the demo's sweep.
    #[arg(long, short, default_value = "results", value_name = "DIR", value_parser = crate::cli::lake::local_path)]
    output_dir: PathBuf,
    /// The port of the simulated server; default: a free one.
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
}

const SERVE_PARAMS: &str = include_str!("../../../examples/demo_serve.json");
const BENCH_PARAMS: &str = include_str!("../../../examples/demo_bench.json");

/// The latency that the demo's question allows, in milliseconds.
const SLA_MS: &str = "500";

pub fn exec(arguments: Arguments) -> Ended {
    let program = std::env::current_exe().map_err(Failure::work)?.to_string_lossy().into_owned();
    let port = arguments.port.map_or_else(free_port, Ok)?.to_string();
    let folder = arguments.output_dir.join("demo_params");
    let serve_params = params_file(&folder, "serve.json", SERVE_PARAMS)?;
    let bench_params = params_file(&folder, "bench.json", BENCH_PARAMS)?;
    let words = |words: &[&str]| Command::new(words.iter().copied()).quoted();
    let serve_cmd = words(&[&program, "sim", "sim/llama-8b", "--port", &port, "--startup-seconds", "0.3"]);
    let load = ["--random-input-len", "256", "--random-output-len", "32", "--ignore-eos", "--save-detailed"];
    let bench_cmd = words(&[&[program.as_str(), "bench", "--port", &port], &load[..]].concat());
    let again = [
        &program,
        "serve",
        "--serve-cmd",
        &serve_cmd,
        "--bench-cmd",
        &bench_cmd,
        "--serve-params",
        &serve_params.to_string_lossy(),
        "--bench-params",
        &bench_params.to_string_lossy(),
        "-o",
        &arguments.output_dir.to_string_lossy(),
    ];
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
    out!("\nTo sweep something else, edit {} and {}, then:\n  {again}", serve_params.display(), bench_params.display());
    Ok(())
}

/// Writes a params file, unless an earlier demo's was edited.
fn params_file(folder: &Path, name: &str, text: &str) -> Result<PathBuf, Failure> {
    let path = folder.join(name);
    if !path.exists() {
        std::fs::create_dir_all(folder).map_err(|error| Failure::input(format!("{}: {error}", folder.display())))?;
        write_bytes_atomically(&path, text.as_bytes()).map_err(Failure::input)?;
    }
    Ok(path)
}

fn free_port() -> Result<u16, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(Failure::work)?;
    Ok(listener.local_addr().map_err(Failure::work)?.port())
}
