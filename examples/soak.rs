//! Kills sweeps at random instants, resumes them, and looks whether anything was lost, doubled, torn or left running.
//!
//!     cargo build
//!     cargo run --example soak -- target/debug/sweeplake 400        # so many kills
//!     cargo run --example soak -- target/debug/sweeplake 400 7      # with another seed

use rand::prelude::*;
use serde_json::Value;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The sub-commands that run sweeps.
const KINDS: [&str; 4] = ["serve", "serve_sla", "serve_workload", "startup"];
/// No kill comes later than this after the start.
const LATEST_MS: u64 = 2500;

/// One kind of sweep, in a folder of its own.
struct Case<'a> {
    program: &'a str,
    kind: &'static str,
    folder: &'a Path,
    port: u16,
}

impl Case<'_> {
    fn arguments(&self, name: &str) -> Vec<String> {
        let (program, port) = (self.program, self.port);
        let sim = format!("{program} sim m --port {port} --speed 20");
        let bench = format!(
            "{program} bench --port {port} --random-input-len 32 --random-output-len 4 --num-prompts 8 --ignore-eos --save-detailed"
        );
        let startup = format!("sh {}", self.folder.join("startup.sh").display());
        let own: Vec<&str> = match self.kind {
            "startup" => vec!["--startup-cmd", &startup, "--serve-params", "sets.json", "--num-runs", "3"],
            "serve_sla" => vec![
                "--serve-cmd",
                &sim,
                "--bench-cmd",
                &bench,
                "--sla-params",
                "sla.json",
                "--sla-variable",
                "max_concurrency",
                "--sla-max",
                "8",
                "--sla-min-duration",
                "0",
            ],
            "serve_workload" => vec![
                "--serve-cmd",
                &sim,
                "--bench-cmd",
                &bench,
                "--workload-iters",
                "3",
                "--workload-var",
                "max_concurrency",
                "--num-runs",
                "2",
            ],
            _ => vec!["--serve-cmd", &sim, "--bench-cmd", &bench, "--bench-params", "sets.json", "--num-runs", "4"],
        };
        let own = own.into_iter().map(str::to_owned);
        [self.kind.to_owned()].into_iter().chain(own).chain(["-e".to_owned(), name.to_owned()]).collect()
    }

    fn command(&self, arguments: &[String]) -> Command {
        let mut command = Command::new(self.program);
        command
            .args(arguments)
            .current_dir(self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[String]) -> Result<(), String> {
        let output = self.command(arguments).output().map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(()),
            false => {
                Err(format!("{arguments:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr)))
            }
        }
    }

    fn rows(&self, name: &str, sql: &str) -> Result<Vec<Value>, String> {
        let lake = format!("results/{name}");
        let arguments = ["query", &lake, sql, "--format", "json"];
        let output = Command::new(self.program).args(arguments).current_dir(self.folder).output();
        let output = output.map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(format!("{sql}: {}", String::from_utf8_lossy(&output.stderr)));
        }
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if text.is_empty() { Ok(Vec::new()) } else { serde_json::from_str(&text).map_err(|error| error.to_string()) }
    }

    /// Which runs there are; of a search only that none is there twice, since its values follow from what was measured.
    fn runs(&self, name: &str) -> Result<Vec<Value>, String> {
        let sql = match self.kind {
            "serve_sla" => "SELECT DISTINCT status FROM runs",
            "serve_workload" => "SELECT run_number, count(*) AS n FROM runs GROUP BY 1 ORDER BY 1",
            _ => "SELECT combination, run_number, status FROM runs ORDER BY 1, 2",
        };
        self.rows(name, sql)
    }

    fn is_quiet(&self) -> bool {
        let mark = self.folder.display().to_string();
        let entries = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
        let mut lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
        let own = |line: &Vec<u8>| {
            let line = String::from_utf8_lossy(line).replace('\0', " ");
            line.contains(&format!("--port {} ", self.port)) || line.contains(&mark)
        };
        TcpStream::connect(("127.0.0.1", self.port)).is_err() && !lines.any(|line| own(&line))
    }

    /// Kills a sweep so many times, and resumes it to its end.
    fn soak(&self, kills: usize, random: &mut StdRng) -> Result<(), String> {
        self.run(&self.arguments("undisturbed"))?;
        for kill in 0..kills {
            // Now and then from the beginning: what is killed first is the making of the folder.
            let name = format!("x{}", kill / 6);
            let resumed = self.folder.join(format!("results/{name}/sweep.json")).exists();
            let mut arguments = self.arguments(&name);
            arguments.extend(resumed.then(|| "--resume".to_owned()));
            let mut child =
                self.command(&arguments).stderr(Stdio::null()).spawn().map_err(|error| error.to_string())?;
            std::thread::sleep(Duration::from_millis(random.random_range(0..LATEST_MS)));
            let _ = child.kill();
            child.wait().map_err(|error| error.to_string())?;
            let deadline = Instant::now() + Duration::from_secs(20);
            while !self.is_quiet() {
                if Instant::now() > deadline {
                    return Err(format!("{}: something is still running after kill {kill}", self.kind));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            // What a reader sees meanwhile is whole.
            if self.folder.join(format!("results/{name}/sweep.json")).exists() {
                let twice = "SELECT run_id FROM runs GROUP BY run_id HAVING count(*) > 1";
                if !self.rows(&name, twice).or_else(none_yet)?.is_empty() {
                    return Err(format!("{}: a run is there twice after kill {kill}", self.kind));
                }
            }
            if kill % 6 == 5 || kill + 1 == kills {
                let exists = self.folder.join(format!("results/{name}/sweep.json")).exists();
                let mut arguments = self.arguments(&name);
                arguments.extend(exists.then(|| "--resume".to_owned()));
                self.run(&arguments)?;
                self.check(&name)?;
            }
        }
        Ok(())
    }

    fn check(&self, name: &str) -> Result<(), String> {
        let (found, expected) = (self.runs(name)?, self.runs("undisturbed")?);
        if found != expected {
            return Err(format!("{}: {name} has the runs {found:?}, an undisturbed sweep {expected:?}", self.kind));
        }
        let left: Vec<String> = walkdir::WalkDir::new(self.folder.join("results").join(name))
            .into_iter()
            .filter_map(Result::ok)
            .map(|entry| entry.path().display().to_string())
            .filter(|path| path.contains(".partial.") || path.contains(".ended.") || path.contains(".part"))
            .collect();
        if left.iter().any(|path| !path.contains(".parquet")) {
            return Err(format!("{}: left behind: {left:?}", self.kind));
        }
        let verified = vec!["verify".to_owned(), format!("results/{name}")];
        self.run(&verified)
    }
}

/// A sweep that was killed before its first run has no rows.
fn none_yet(error: String) -> Result<Vec<Value>, String> {
    if error.contains("no sweeps found") || error.contains("has no runs") { Ok(Vec::new()) } else { Err(error) }
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|error| error.to_string())
}

/// Kills so many sweeps of each kind.
pub fn soak(program: &str, kills: usize, seed: u64) -> Result<(), String> {
    let mut random = StdRng::seed_from_u64(seed);
    for kind in KINDS {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
        let startup = "while [ $# -gt 0 ]; do [ $1 != --output-json ] || out=$2; shift; done\nsleep 0.2\n\
                       echo '{\"avg_cold_startup_time\": 1.5}' > $out.2 && mv $out.2 $out\n";
        let written = write("startup.sh", startup)
            .and_then(|()| write("sets.json", r#"[{"max_concurrency": 1}, {"max_concurrency": 2}]"#))
            .and_then(|()| write("sla.json", r#"[{"p99_e2el_ms": "<=500"}]"#));
        written.map_err(|error| error.to_string())?;
        let case = Case { program, kind, folder: folder.path(), port: free_port()? };
        case.soak(kills, &mut random)?;
        println!("{kind}: {kills} kills, nothing lost, doubled, torn or left running");
    }
    Ok(())
}

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize| arguments.get(index).and_then(|text| text.parse().ok());
    let program = arguments.first().ok_or("usage: soak SWEEPLAKE [KILLS] [SEED]")?;
    let program = std::fs::canonicalize(program).map_err(|error| format!("{program}: {error}"))?;
    let kills = number(1).unwrap_or(400) as usize / KINDS.len();
    soak(&program.to_string_lossy(), kills.max(1), number(2).unwrap_or(1))
}
