//! A folder of its own and a port of its own for each test, and the program to run in it.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_sweeplake");

pub struct Scratch {
    folder: TempDir,
    pub port: u16,
}

/// A file or folder of tests/data.
pub fn data(name: &str) -> PathBuf {
    repository().join("tests/data").join(name)
}

/// Copies a folder with all that is in it.
pub fn copy_folder(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from).into_iter().map(Result::unwrap) {
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        match entry.file_type().is_dir() {
            true => std::fs::create_dir_all(target).unwrap(),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// What a finished program left.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Scratch {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), port: free_port() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A file that can be run.
    pub fn script(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.write(name, text);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        let path = self.path(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    pub fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// All files below the folder, relative to it, sorted.
    pub fn files(&self) -> Vec<String> {
        let root = self.folder.path();
        let entries = walkdir::WalkDir::new(root).sort_by_file_name().into_iter().map(Result::unwrap);
        let files = entries.filter(|entry| entry.file_type().is_file());
        files.map(|entry| entry.path().strip_prefix(root).unwrap().to_string_lossy().into_owned()).collect()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    /// Runs a program that must end well.
    pub fn ok(&self, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}\n{}\n{}", ran.stdout, ran.stderr);
        ran
    }

    /// Runs a sweep of a server and a benchmark command, with more flags.
    pub fn serve(&self, sim: &str, bench: &str, more: &[&str]) -> Ran {
        self.run(&[&["serve", "--serve-cmd", sim, "--bench-cmd", bench][..], more].concat())
    }

    /// Runs a sweep that must end well.
    pub fn serve_ok(&self, sim: &str, bench: &str, more: &[&str]) -> Ran {
        self.ok(&[&["serve", "--serve-cmd", sim, "--bench-cmd", bench][..], more].concat())
    }

    /// The rows of a query, as JSON.
    pub fn query(&self, lake: &str, sql: &str) -> Vec<Value> {
        let ran = self.ok(&["query", lake, sql, "--format", "json"]);
        if ran.stdout.trim().is_empty() { Vec::new() } else { serde_json::from_str(&ran.stdout).unwrap() }
    }

    /// A server command: the simulated server, fast, with more flags behind it.
    pub fn sim(&self, flags: &str) -> String {
        format!("{PROGRAM} sim m --port {} --speed 20 {flags}", self.port)
    }

    /// A benchmark command that takes some tens of milliseconds.
    pub fn bench(&self, flags: &str) -> String {
        format!(
            "{PROGRAM} bench --port {} --random-input-len 32 --random-output-len 4 --num-prompts 6 --ignore-eos {flags}",
            self.port
        )
    }

    /// Starts a simulated server outside of any sweep.
    pub fn start_sim(&self, flags: &[&str]) -> Running {
        let port = self.port.to_string();
        let mut arguments = vec!["sim", "m", "--port", &port];
        arguments.extend(flags);
        let child = self.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let running = Running(child);
        wait_until("the simulated server answers", || http(self.port, "GET", "/health", "", "").is_some());
        running
    }
}

impl Ran {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A process that ends with the test.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for a condition, but not for ever.
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "it did not happen: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether something listens there.
pub fn is_served(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// A request of its own connection; status and body, or nothing where nobody listens.
pub fn http(port: u16, method: &str, path: &str, headers: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let length = body.len();
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let status = text.split(' ').nth(1)?.parse().ok()?;
    Some((status, text.split_once("\r\n\r\n")?.1.to_owned()))
}

/// Processes whose command line holds a text.
pub fn processes_with(text: &str) -> Vec<i32> {
    command_lines().filter(|(_, line)| line.contains(text)).map(|(pid, _)| pid).collect()
}

/// Processes that were started with these words.
pub fn processes_of(words: &str) -> Vec<i32> {
    command_lines().filter(|(_, line)| line.starts_with(words)).map(|(pid, _)| pid).collect()
}

fn command_lines() -> impl Iterator<Item = (i32, String)> {
    let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.map(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        (pid, String::from_utf8_lossy(&line).replace('\0', " "))
    })
}

pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Servers that run side by side take the ports behind it.
const PORTS_OF_EACH: u16 = 8;

/// A port that nobody else in this run of tests is given, below those that the kernel hands out by itself.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 12_000 + (std::process::id() % 1_000) as u16 * 16;
    loop {
        let port = start + PORTS_OF_EACH * NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
