//! `--calibrate`: what the client itself needs on this machine, beside a server that answers at once.

use crate::cli::say::out;
use crate::cli::{Ended, Failure};
use crate::load::{Config, Extent, LoadConfig, Measured, ServerConfig, run};
use crate::sim::null::{Canned, serve};
use crate::stats::percentile;
use std::time::Duration;

/// How long each part takes.
const PART: Duration = Duration::from_secs(3);
/// Tokens of each answer.
const TOKENS: usize = 128;

pub fn exec(config: &Config) -> Ended {
    let url = start_server()?;
    let measure = |concurrency: usize| -> Result<Measured, Failure> {
        let load = LoadConfig { extent: Extent::Time(PART), max_concurrency: Some(concurrency), ..config.load.clone() };
        let server = ServerConfig { base_url: url.clone(), ..ServerConfig::default() };
        run(&Config { server, load, ..config.clone() }, |_| {}).map_err(super::failure)
    };
    out!("a server that answers {TOKENS} tokens at once, on this machine, beside the client:");
    let alone = measure(1)?;
    let millis = |measured: &Measured, percent: f64| {
        let firsts = measured.requests.iter().filter(|request| request.is_ok()).filter_map(|request| request.ttft);
        let mut firsts: Vec<f64> = firsts.map(|ttft| ttft.as_secs_f64() * 1000.0).collect();
        firsts.sort_by(f64::total_cmp);
        if firsts.is_empty() { f64::NAN } else { percentile(&firsts, percent) }
    };
    out!(
        "{:<44} {:.3} ms (P99 {:.3} ms)",
        "floor of TTFT, one request at a time:",
        millis(&alone, 50.0),
        millis(&alone, 99.0)
    );
    for concurrency in [64, 256] {
        let many = measure(concurrency)?;
        let ok = many.requests.iter().filter(|request| request.is_ok()).count() as f64;
        let cpu: f64 = many.spent.iter().map(|spent| spent.cpu.as_secs_f64()).sum();
        let failed = many.requests.len() as f64 - ok;
        out!(
            "{:<44} {:.0} req/s, {:.0} per second of the client's CPU, median TTFT {:.3} ms",
            format!("highest rate at a concurrency of {concurrency}:"),
            ok / many.duration.as_secs_f64(),
            ok / cpu,
            millis(&many, 50.0)
        );
        if failed > 0.0 {
            out!("  {failed:.0} requests failed");
        }
    }
    Ok(())
}

/// Starts the server in a thread of its own, and says where it is.
fn start_server() -> Result<String, Failure> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).map_err(Failure::work)?;
    listener.set_nonblocking(true).map_err(Failure::work)?;
    let address = listener.local_addr().map_err(Failure::work)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::work)?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            // It ends with the program.
            serve(listener, Canned { tokens: TOKENS, interval: None }).await.map_err(std::io::Error::other)
        })
    });
    Ok(format!("http://{address}"))
}
