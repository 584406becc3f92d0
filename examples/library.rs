//! A sweep from a program of your own: plan, run, ask.
//!
//!     cargo build
//!     cargo run --example library -- target/debug/sweeplake 8123 /tmp/lake

use chrono::{Local, Utc};
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use sweeplake::exec::{Interrupter, Logs, ProcessOptions, Processes, Reset, Waiting};
use sweeplake::params::{Command, ParamSet};
use sweeplake::plan::{Plan, PlanRequest, Rounds, every_pair};
use sweeplake::query::Lake;
use sweeplake::record::Environment;
use sweeplake::redact::Redactor;
use sweeplake::store::{Manifest, SweepWriter};
use sweeplake::sweep::{BenchKind, Crew, Detail, Event, Observer, Options, Order, Repeats, run};

/// Prints each run's end.
struct Printer;

impl Observer for Printer {
    fn event(&mut self, _: usize, event: Event<'_>) {
        if let Event::RunEnded { record } = event {
            let throughput = record.result().and_then(|result| result["output_throughput"].as_f64());
            println!("run {}: {:.0} tokens per second", record.run_number, throughput.unwrap_or(f64::NAN));
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [program, port, lake] = &arguments[..] else {
        return Err("usage: library SWEEPLAKE PORT LAKE".into());
    };
    let serve_cmd = Command::parse("serve", &format!("{program} sim m --port {port} --speed 20"))?;
    let bench = format!("{program} bench --port {port} --num-prompts 8 --random-input-len 64 --random-output-len 8");
    let bench_cmd = Command::parse("bench", &bench)?;
    let set =
        |value: serde_json::Value| ParamSet { name: None, params: value.as_object().cloned().unwrap_or_default() };
    let redactor = Redactor::of_environment();
    let plan = Plan::new(&PlanRequest {
        serve_cmd: serve_cmd.clone(),
        bench_cmd: bench_cmd.clone(),
        servers: every_pair(
            &[set(json!({"max_num_seqs": 4})), set(json!({"max_num_seqs": 16}))],
            &[set(json!({"max_concurrency": 8}))],
        ),
        rounds: Rounds::InTurn(1),
        num_runs: 2,
        warmup_num_prompts: 0,
        redactor: redactor.clone(),
    })?;
    let manifest = Manifest::new(&serve_cmd, &bench_cmd, &redactor, Utc::now(), Environment::capture(Some(&serve_cmd)));
    let combinations = plan.combinations();
    let mut writer = SweepWriter::create(Path::new(lake), None, Local::now(), manifest, &combinations)?;
    let bench = BenchKind::Load { percentiles: Vec::new(), requests: Detail::Row };
    let options = Options::new(bench, Order::Interleaved, redactor.clone());
    let processes =
        ProcessOptions { show_stdout: false, redactor, logs: Logs::Redacted, bench_timeout: None, sampling: None };
    let runtime = tokio::runtime::Runtime::new()?;
    let (_interrupter, interrupt) = Interrupter::new();
    let waiting = Waiting::of(&serve_cmd, Duration::from_secs(30));
    let servers = Processes::new(processes, waiting, Reset::of(&serve_cmd, None)?, Path::new(program), interrupt)?;
    let crew = Crew::one(servers);
    runtime.block_on(run(&plan, &mut Repeats { num_runs: 2 }, &options, crew, &mut writer, &mut Printer))?;

    let lake = Lake::open(&[writer.folder().to_owned()])?;
    let sql = "SELECT max_num_seqs, output_throughput_mean FROM combinations ORDER BY 2 DESC LIMIT 1";
    let best = runtime.block_on(lake.sql(sql))?;
    println!("best: {:?}", best.rows());
    Ok(())
}
