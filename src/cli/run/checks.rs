//! What would spoil a sweep's numbers, said before it starts: each with what to do.

use crate::cli::Failure;
use crate::exec::find_program;
use crate::os;
use crate::params::{Command, PORT};
use crate::plan::{BenchPlan, Plan, ServerPlan};
use crate::record::{BOUND_CONFIDENCE, engine_of, output_of};
use crate::stats::values_for_bound;
use crate::sweep::{DEFAULT_PERCENTILES, is_known_client};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statvfs::statvfs;
use std::collections::BTreeSet;
use std::net::TcpStream;
use std::path::Path;

/// Fewer waves of requests than these are mostly ramp-up and drain.
const WAVES: u32 = 3;
/// vLLM's default of `--max-num-seqs`.
const DEFAULT_MAX_NUM_SEQS: f64 = 256.0;
const LEAST_DISK: u64 = 1 << 30;
/// Besides connections: logs, libraries, pipes.
const OTHER_FILES: u64 = 256;
/// With fewer open files than these no server can be started and asked.
const FEWEST_FILES: u64 = 64;

/// What is looked at of a sweep.
pub struct Checked<'a> {
    pub plan: &'a Plan,
    pub lake: &'a Path,
    /// The command of its servers, where it starts any.
    pub serve_cmd: Option<&'a Command>,
    pub after_bench_cmd: Option<&'a Command>,
    /// How many servers run at a time.
    pub at_a_time: usize,
    pub loads: Loads,
}

/// Whether it is known beforehand which loads are run, with how many prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loads {
    Known,
    Searched,
}

impl Checked<'_> {
    /// The remarks, none twice.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = BTreeSet::new();
        for server in &self.plan.servers {
            for bench in &server.benches {
                remarks.extend(of_answers(bench));
                if self.loads == Loads::Known {
                    remarks.extend(of_load(server, bench));
                }
            }
        }
        if let Some(serve_cmd) = self.serve_cmd {
            remarks.extend(self.of_servers(serve_cmd));
        }
        remarks.extend(of_machine(self.lake, most_in_flight(self.plan)));
        remarks.into_iter().collect()
    }

    fn of_servers(&self, serve_cmd: &Command) -> Vec<String> {
        let mut remarks = Vec::new();
        let engine = engine_of(serve_cmd);
        let tools = ["nvidia-smi", "rocm-smi", "amd-smi"];
        let has_tool = tools.iter().any(|tool| find_program(&Command::new([*tool])).is_some());
        if !has_tool && matches!(engine, Some("vllm" | "sglang" | "tensorrt-llm")) {
            remarks.push(
                "no GPU tool found on PATH (nvidia-smi, rocm-smi): GPUs and their limits will not be recorded".into(),
            );
        }
        // Servers that find a port of their own do not care.
        let fixed = self.plan.servers.iter().filter(|server| self.at_a_time == 1 && !server.command.has(PORT));
        let addresses: BTreeSet<(String, u16)> =
            fixed.map(|server| (server.address.host.clone(), server.address.port)).collect();
        for (host, port) in addresses {
            if TcpStream::connect((host.as_str(), port)).is_ok() {
                remarks.push(format!(
                    "port {port} of {host} is already in use, so the server could not listen there; free it, or use another --port"
                ));
            }
        }
        let is_repeated = self.plan.num_runs > 1 && self.after_bench_cmd.is_some();
        let is_off = serve_cmd.words().iter().any(|word| word == "--no-enable-prefix-caching");
        if is_repeated && !is_off && engine == Some("vllm") {
            remarks.push(
                "repeats send the same prompts (same seed), and --after-bench-cmd replaces the prefix cache reset: make sure that the \
                 command empties the cache, or repeats will be served from it"
                    .into(),
            );
        }
        remarks
    }
}

/// The remarks on a machine and a lake on it.
pub fn of_machine(lake: &Path, in_flight: u64) -> Vec<String> {
    let system = os::check().err().map(str::to_owned);
    system.into_iter().chain(disk(lake)).chain(file_limit(in_flight)).chain(limited_gpus()).collect()
}

fn of_answers(bench: &BenchPlan) -> Option<String> {
    let command = &bench.command;
    let is_random = command.flag(&["dataset-name"]).is_none_or(|name| name.starts_with("random"));
    let is_pinned = command.words().iter().any(|word| word == "--ignore-eos" || word == "--ignore_eos");
    (is_random && !is_pinned && is_known_client(command)).then(|| {
        "responses may stop before the requested length, which makes throughputs incomparable: add --ignore-eos to --bench-cmd"
            .into()
    })
}

fn of_load(server: &ServerPlan, bench: &BenchPlan) -> Vec<String> {
    let command = &bench.command;
    let number = |names: &[&str]| command.flag(names).and_then(|text| text.parse::<f64>().ok());
    let (prompts, concurrency) = (bench.num_prompts(), number(&["max-concurrency"]));
    let mut remarks = Vec::new();
    if let Some(concurrency) = concurrency {
        if f64::from(prompts) < f64::from(WAVES) * concurrency {
            remarks.push(format!(
                "{prompts} prompts are less than {WAVES} times the concurrency of {concurrency}: most of the run is ramp-up and drain; use \
                 --num-prompts {} or more",
                f64::from(WAVES) * concurrency
            ));
        }
        if let Some(admitted) = admitted(&server.command).filter(|admitted| concurrency > *admitted) {
            remarks.push(format!(
                "a concurrency of {concurrency} is more than the server runs at once ({admitted}): this point measures queueing; raise \
                 --max-num-seqs, or lower --max-concurrency"
            ));
        }
    }
    let percentiles = command.flag(&["metric-percentiles"]).unwrap_or(DEFAULT_PERCENTILES).split(',').map(str::trim);
    for percentile in percentiles {
        let needed = percentile.parse().map_or(0, |percent| values_for_bound(percent, BOUND_CONFIDENCE));
        if (u64::from(prompts)) < needed as u64 && needed < usize::MAX {
            remarks.push(format!(
                "{prompts} prompts are too few for an upper bound on the true P{percentile}: use --num-prompts {needed} or more"
            ));
        }
    }
    remarks
}

/// Requests that a server works on at once, where it is vLLM.
fn admitted(serve: &Command) -> Option<f64> {
    let is_known = matches!(engine_of(serve), Some("vllm" | "sweeplake-sim"));
    let number = |names: &[&str]| serve.flag(names).and_then(|text| text.parse::<f64>().ok());
    let replicas = number(&["data-parallel-size", "dp"]).unwrap_or(1.0);
    is_known.then(|| number(&["max-num-seqs"]).unwrap_or(DEFAULT_MAX_NUM_SEQS) * replicas)
}

fn most_in_flight(plan: &Plan) -> u64 {
    let benches = plan.servers.iter().flat_map(|server| &server.benches);
    let given = |bench: &BenchPlan| bench.command.flag(&["max-concurrency"]).and_then(|text| text.parse().ok());
    benches.map(|bench| given(bench).unwrap_or(u64::from(bench.num_prompts()))).max().unwrap_or(0)
}

/// Requests that will be in flight at once whatever the server does: those of a limited concurrency, or all of an unlimited rate.
fn surely_in_flight(plan: &Plan) -> u64 {
    let benches = plan.servers.iter().flat_map(|server| &server.benches);
    let of = |bench: &BenchPlan| {
        let number = |name: &str| bench.command.flag(&[name]).and_then(|text| text.parse::<f64>().ok());
        let prompts = u64::from(bench.num_prompts());
        match (number("max-concurrency"), number("request-rate")) {
            (Some(limit), _) => prompts.min(limit as u64),
            (None, Some(rate)) if rate.is_finite() => 0,
            (None, _) => prompts,
        }
    };
    benches.map(of).max().unwrap_or(0)
}

fn disk(lake: &Path) -> Option<String> {
    let place = lake.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("."));
    let stat = statvfs(if place.as_os_str().is_empty() { Path::new(".") } else { place }).ok()?;
    let free = stat.blocks_available() as u64 * stat.fragment_size() as u64;
    (free < LEAST_DISK).then(|| {
        format!(
            "only {} MiB of disk space left for {}: results may not fit; free some space",
            free >> 20,
            lake.display()
        )
    })
}

fn file_limit(in_flight: u64) -> Option<String> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    let needed = in_flight.saturating_add(OTHER_FILES);
    (soft < needed).then(|| {
        format!("only {soft} open files are allowed, but {in_flight} requests in flight need one connection each: run ulimit -n {needed}")
    })
}

/// Refuses to go on where hardly a file may be open: nothing would work.
pub fn refuse_hardly_any_files() -> Result<(), Failure> {
    let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) else { return Ok(()) };
    match soft < FEWEST_FILES {
        true => Err(Failure::work(format!("only {soft} open files are allowed: run ulimit -n {OTHER_FILES}"))),
        false => Ok(()),
    }
}

/// Refuses to start what could not be carried through: too few files for the connections of its requests, which would wait for each
/// other for ever.
pub fn refuse_too_few_files(plan: &Plan) -> Result<(), Failure> {
    let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) else { return Ok(()) };
    let in_flight = surely_in_flight(plan);
    let needed = in_flight.saturating_add(OTHER_FILES);
    match soft < in_flight.saturating_add(FEWEST_FILES / 2) {
        true => Err(Failure::work(format!(
            "only {soft} open files are allowed, but {in_flight} requests in flight need one connection each: run ulimit -n {needed}"
        ))),
        false => Ok(()),
    }
}

/// GPUs that are kept below what they can.
fn limited_gpus() -> Vec<String> {
    let fields = "--query-gpu=index,power.limit,power.default_limit,clocks.applications.graphics,clocks.default_applications.graphics";
    let text = output_of("nvidia-smi", &[fields, "--format=csv,noheader,nounits"]).unwrap_or_default();
    text.lines().flat_map(limits_of).collect()
}

/// What a line of `nvidia-smi` says is below its default; it writes `[N/A]` where it does not know.
fn limits_of(line: &str) -> Vec<String> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let [gpu, limits @ ..] = fields.as_slice() else { return Vec::new() };
    let kinds = [("power limit", "W"), ("application clock", "MHz")];
    let pairs = limits.chunks(2).zip(kinds).filter_map(|(pair, (what, unit))| match pair {
        [now, usual] => {
            let (now, usual): (f64, f64) = (now.parse().ok()?, usual.parse().ok()?);
            (now < usual).then(|| {
                format!(
                    "GPU {gpu} has its {what} at {now} {unit}, below its default of {usual} {unit}: \
                     reset it with nvidia-smi, or record it with `sweeplake note`"
                )
            })
        }
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_below_their_defaults_are_named() {
        assert_eq!(limits_of("0, 700.00, 700.00, 1980, 1980"), [""; 0]);
        assert_eq!(limits_of("1, 450.00, 700.00, [N/A], [N/A]").len(), 1);
        assert!(limits_of("1, 450.00, 700.00, 1200, 1980")[1].contains("GPU 1 has its application clock at 1200 MHz"));
        assert_eq!(limits_of(""), [""; 0]);
    }
}
