//! The machine, the code and the engine that a sweep ran on.

use super::Machine;
use crate::params::Command;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::Stdio;
use sysinfo::{CpuRefreshKind, System};

/// What a reader needs to know before comparing two sweeps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    pub host: String,
    pub os: String,
    pub cpu: String,
    pub cpu_cores: usize,
    pub memory_bytes: u64,
    pub gpus: Vec<Gpu>,
    /// Commit of the folder that sweeplake was started in; `-dirty` behind it when files were changed.
    pub git_commit: Option<String>,
    pub engine: Option<String>,
    /// What the server's `/version` said.
    pub engine_version: Option<String>,
    pub sweeplake_version: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gpu {
    pub name: String,
    pub memory_mib: Option<u64>,
    pub driver: Option<String>,
    pub uuid: Option<String>,
    pub serial: Option<String>,
    /// The highest clock of its multiprocessors.
    pub max_clock_mhz: Option<f64>,
    pub power_limit_w: Option<f64>,
}

impl Environment {
    /// The machine itself.
    pub fn machine(&self) -> Machine {
        Machine { host: self.host.clone(), gpu_uuids: self.gpus.iter().filter_map(|gpu| gpu.uuid.clone()).collect() }
    }

    /// Looks at this machine; takes some tens of milliseconds where a GPU tool has to be asked.
    pub fn capture(serve_cmd: Option<&Command>) -> Self {
        let mut system = System::new().ok();
        if let Some(system) = &mut system {
            system.refresh_cpu_list(CpuRefreshKind::nothing());
            system.refresh_memory();
        }
        let cpus = system.as_ref().map(System::cpus).unwrap_or_default();
        Self {
            host: System::host_name().unwrap_or_default(),
            os: System::long_os_version().unwrap_or_default(),
            cpu: cpus.first().map(|cpu| cpu.brand().trim().to_owned()).unwrap_or_default(),
            cpu_cores: cpus.len(),
            memory_bytes: system.as_ref().map_or(0, System::total_memory),
            gpus: gpus(),
            git_commit: git_commit(),
            engine: serve_cmd.and_then(engine_of).map(str::to_owned),
            engine_version: None,
            sweeplake_version: env!("CARGO_PKG_VERSION").into(),
        }
    }
}

/// The engine that a server command starts, where a word of it tells.
pub fn engine_of(command: &Command) -> Option<&'static str> {
    let words: Vec<&str> = command.words.iter().map(|word| file_name(word)).collect();
    let has = |wanted: &str| words.contains(&wanted);
    let has_module = |module: &str| words.iter().any(|word| word.starts_with(module));
    let follows = |first: &str, second: &str| words.windows(2).any(|pair| pair == [first, second]);
    if follows("sweeplake", "sim") {
        Some("sweeplake-sim")
    } else if follows("vllm", "serve") || has_module("vllm.entrypoints") {
        Some("vllm")
    } else if has_module("sglang.launch_server") || has("sglang") {
        Some("sglang")
    } else if has("trtllm-serve") {
        Some("tensorrt-llm")
    } else if has("llama-server") {
        Some("llama.cpp")
    } else {
        None
    }
}

fn file_name(word: &str) -> &str {
    Path::new(word).file_name().and_then(|name| name.to_str()).unwrap_or(word)
}

fn gpus() -> Vec<Gpu> {
    let fields = "--query-gpu=name,memory.total,driver_version,uuid,serial,clocks.max.sm,power.limit";
    if let Some(text) = output_of("nvidia-smi", &[fields, "--format=csv,noheader,nounits"]) {
        return text.lines().filter(|line| !line.trim().is_empty()).map(nvidia_gpu).collect();
    }
    let text = output_of("rocm-smi", &["--showproductname", "--showdriverversion", "--json"]).unwrap_or_default();
    rocm_gpus(&text)
}

/// A line of `nvidia-smi`, which writes `[N/A]` and the like where it does not know.
fn nvidia_gpu(line: &str) -> Gpu {
    let mut fields = line.split(',').map(str::trim);
    let mut text = || fields.next().filter(|text| !text.is_empty() && !text.starts_with('[')).map(str::to_owned);
    Gpu {
        name: text().unwrap_or_default(),
        memory_mib: text().and_then(|text| text.parse().ok()),
        driver: text(),
        uuid: text(),
        serial: text(),
        max_clock_mhz: text().and_then(|text| text.parse().ok()),
        power_limit_w: text().and_then(|text| text.parse().ok()),
    }
}

fn rocm_gpus(text: &str) -> Vec<Gpu> {
    let cards: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).unwrap_or_default();
    let driver = cards.get("system").and_then(|system| system.get("Driver version")).and_then(|text| text.as_str());
    cards
        .iter()
        .filter(|(key, _)| key.starts_with("card"))
        .map(|(key, card)| {
            let name = ["Card Series", "Card series", "Card Model"].iter().find_map(|field| card.get(field)?.as_str());
            Gpu { name: name.unwrap_or(key).to_owned(), driver: driver.map(str::to_owned), ..Gpu::default() }
        })
        .collect()
}

fn git_commit() -> Option<String> {
    let commit = output_of("git", &["rev-parse", "HEAD"])?.trim().to_owned();
    let changed = output_of("git", &["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changed.trim().is_empty() { commit } else { format!("{commit}-dirty") })
}

/// What a tool prints, where it is there and ends well.
pub fn output_of(program: &str, args: &[&str]) -> Option<String> {
    let output = std::process::Command::new(program).args(args).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The machine's memory in bytes; 0 where it can't be told.
pub fn total_memory() -> usize {
    let Ok(mut system) = System::new() else { return 0 };
    system.refresh_memory();
    usize::try_from(system.total_memory()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_is_told_by_the_command() {
        let engine = |text: &str| engine_of(&Command::parse("f", text).unwrap());
        assert_eq!(engine("/opt/bin/vllm serve m"), Some("vllm"));
        assert_eq!(engine("numactl -N 0 vllm serve m"), Some("vllm"));
        assert_eq!(engine("python -m vllm.entrypoints.openai.api_server"), Some("vllm"));
        assert_eq!(engine("python3 -m sglang.launch_server --model m"), Some("sglang"));
        assert_eq!(engine("./target/release/sweeplake sim m"), Some("sweeplake-sim"));
        assert_eq!(engine("my-server --model vllm"), None);
    }

    #[test]
    fn gpu_tools_are_read() {
        let gpu = nvidia_gpu("NVIDIA H100 80GB HBM3, 81559, 550.54.15, GPU-5f, [N/A], 1980, 700.00");
        assert_eq!((gpu.uuid.as_deref(), gpu.serial.as_deref()), (Some("GPU-5f"), None));
        assert_eq!((gpu.max_clock_mhz, gpu.power_limit_w), (Some(1980.0), Some(700.0)));
        assert_eq!(
            (gpu.name.as_str(), gpu.memory_mib, gpu.driver.as_deref()),
            ("NVIDIA H100 80GB HBM3", Some(81559), Some("550.54.15"))
        );
        let cards =
            rocm_gpus(r#"{"card0": {"Card Series": "AMD Instinct MI300X"}, "system": {"Driver version": "6.8"}}"#);
        assert_eq!(
            (cards.len(), cards[0].name.as_str(), cards[0].driver.as_deref()),
            (1, "AMD Instinct MI300X", Some("6.8"))
        );
    }
}
