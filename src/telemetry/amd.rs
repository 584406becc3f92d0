//! AMD GPUs, by their tools, whose JSON differs from version to version.

use super::samples::{Reading, Source};
use serde_json::Value;
use std::collections::HashSet;
use std::process::{Command, Stdio};

/// The tool that reports AMD GPUs on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amd {
    /// `amd-smi metric --json`
    AmdSmi,
    /// `rocm-smi --json`, its predecessor.
    RocmSmi,
}

/// Places in the tools' JSON, by metric, and by how much a value is multiplied.
const AMD_SMI: [(&str, &[&str], f64); 6] = [
    ("power_w", &["/power/socket_power", "/power/average_socket_power", "/power/current_socket_power"], 1.0),
    ("energy_j", &["/energy/total_energy_consumption"], 1.0),
    ("utilization", &["/usage/gfx_activity"], 0.01),
    ("memory_used_bytes", &["/mem_usage/used_vram", "/vram/vram_used"], 1_048_576.0),
    ("sm_clock_mhz", &["/clock/gfx_0/clk", "/clock/gfx/clk"], 1.0),
    ("temperature_c", &["/temperature/hotspot", "/temperature/edge"], 1.0),
];
const ROCM_SMI: [(&str, &[&str], f64); 5] = [
    (
        "power_w",
        &[
            "Current Socket Graphics Package Power (W)",
            "Average Graphics Package Power (W)",
            "Average Socket Power (W)",
        ],
        1.0,
    ),
    ("energy_j", &["Accumulated Energy (uJ)"], 1e-6),
    ("utilization", &["GPU use (%)"], 0.01),
    ("memory_used_bytes", &["VRAM Total Used Memory (B)"], 1.0),
    ("temperature_c", &["Temperature (Sensor junction) (C)", "Temperature (Sensor edge) (C)"], 1.0),
];

impl Amd {
    /// None where neither tool is there and reports a GPU.
    pub fn open() -> Option<Self> {
        [Self::AmdSmi, Self::RocmSmi].into_iter().find(|tool| !tool.readings().is_empty())
    }

    /// What all GPUs report; nothing of what one does not.
    pub fn readings(self) -> Vec<Reading> {
        told(self.command()).map_or(Vec::new(), |told| self.read(&told))
    }

    /// The GPUs on which any of these processes has work, by index; of `rocm-smi` it is not known.
    pub fn devices_of(self, pids: &HashSet<i32>) -> Vec<String> {
        match self {
            Self::AmdSmi => {
                let mut command = Command::new("amd-smi");
                command.args(["process", "--json"]);
                told(command).map_or(Vec::new(), |told| used_by(&told, pids))
            }
            Self::RocmSmi => Vec::new(),
        }
    }

    fn command(self) -> Command {
        let mut command = match self {
            Self::AmdSmi => Command::new("amd-smi"),
            Self::RocmSmi => Command::new("rocm-smi"),
        };
        command.args(match self {
            Self::AmdSmi => &["metric", "--json"][..],
            Self::RocmSmi => {
                &["--showpower", "--showenergycounter", "--showuse", "--showmeminfo", "vram", "--showtemp", "--json"]
            }
        });
        command
    }

    fn read(self, told: &Value) -> Vec<Reading> {
        match self {
            Self::AmdSmi => {
                let gpus = gpus_of(told);
                let of = |gpu: &Value| {
                    let index = gpu.get("gpu").and_then(Value::as_u64)?.to_string();
                    let at = |place: &str| gpu.pointer(place).and_then(number);
                    Some(read_places(&index, &AMD_SMI, &at))
                };
                gpus.iter().filter_map(of).flatten().collect()
            }
            Self::RocmSmi => {
                let cards = told.as_object().into_iter().flatten();
                let of = |(name, card): (&String, &Value)| {
                    let index = name.strip_prefix("card")?.to_owned();
                    let at = |key: &str| card.get(key).and_then(number);
                    Some(read_places(&index, &ROCM_SMI, &at))
                };
                cards.filter_map(of).flatten().collect()
            }
        }
    }
}

/// What a tool tells.
fn told(mut command: Command) -> Option<Value> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    serde_json::from_slice(&output.stdout).ok()
}

/// Newer versions wrap the list.
fn gpus_of(told: &Value) -> &[Value] {
    told.get("gpu_data").unwrap_or(told).as_array().map_or(&[], Vec::as_slice)
}

/// The GPUs whose lists of processes, which differ from version to version, have one of these.
fn used_by(told: &Value, pids: &HashSet<i32>) -> Vec<String> {
    let index = |gpu: &Value| gpu.get("gpu").and_then(Value::as_u64);
    let used = gpus_of(told).iter().filter(|gpu| has_pid(gpu, pids));
    used.filter_map(index).map(|index| index.to_string()).collect()
}

fn has_pid(value: &Value, pids: &HashSet<i32>) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(name, value)| match number(value) {
            Some(pid) if name == "pid" => pids.contains(&(pid as i32)),
            _ => has_pid(value, pids),
        }),
        Value::Array(items) => items.iter().any(|item| has_pid(item, pids)),
        _ => false,
    }
}

fn read_places(index: &str, places: &[(&str, &[&str], f64)], at: &dyn Fn(&str) -> Option<f64>) -> Vec<Reading> {
    let read = |(metric, candidates, factor): &(&str, &[&str], f64)| {
        let value = candidates.iter().find_map(|place| at(place))?;
        Some(Reading::new(Source::Gpu, Some(index), metric, value * factor))
    };
    places.iter().filter_map(read).collect()
}

/// A number, as such, as text, or with its unit beside it.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Object(map) => map.get("value").and_then(number),
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(tool: Amd, told: &Value) -> Vec<(String, String, f64)> {
        let text = |reading: Reading| {
            let device = reading.series.device.unwrap_or_default().to_string();
            (device, reading.series.metric.to_string(), reading.value)
        };
        tool.read(told).into_iter().map(text).collect()
    }

    #[test]
    fn the_gpus_of_a_process_are_found_however_they_are_listed() {
        let pids = HashSet::from([77, 78]);
        let gpu = |index: u64, list: Value| json!({"gpu": index, "process_list": list});
        let process = |pid: u64| json!({"process_info": {"name": "python", "pid": pid, "memory_usage": {"pid": {"value": 1, "unit": "B"}}}});
        let nothing = json!([{"process_info": "No running processes detected"}]);
        let told = json!([
            gpu(0, json!([process(5)])),
            gpu(1, json!([process(5), process(77)])),
            gpu(2, nothing),
            gpu(3, json!([{"pid": "78"}]))
        ]);
        assert_eq!(used_by(&told, &pids), ["1", "3"]);
        assert_eq!(used_by(&json!({"gpu_data": told}), &pids), ["1", "3"]);
        assert!(used_by(&json!({"error": 77}), &pids).is_empty());
    }

    #[test]
    fn both_tools_are_read() {
        let gpu = json!({"gpu": 1, "power": {"socket_power": {"value": 142, "unit": "W"}, "gfx_voltage": "N/A"},
            "usage": {"gfx_activity": {"value": 87, "unit": "%"}}, "temperature": {"hotspot": "N/A", "edge": {"value": 50, "unit": "C"}},
            "mem_usage": {"used_vram": {"value": 2, "unit": "MB"}}});
        let expected =
            [("power_w", 142.0), ("utilization", 0.87), ("memory_used_bytes", 2_097_152.0), ("temperature_c", 50.0)];
        let expected = expected.map(|(metric, value)| ("1".to_owned(), metric.to_owned(), value));
        assert_eq!(of(Amd::AmdSmi, &json!([gpu])), expected);
        assert_eq!(of(Amd::AmdSmi, &json!({"gpu_data": [gpu]})), expected);
        let cards =
            json!({"card0": {"Average Graphics Package Power (W)": "31.0", "GPU use (%)": "3"}, "system": {"x": 1}});
        let expected = [("power_w", 31.0), ("utilization", 0.03)];
        assert_eq!(
            of(Amd::RocmSmi, &cards),
            expected.map(|(metric, value)| ("0".to_owned(), metric.to_owned(), value))
        );
        assert!(of(Amd::RocmSmi, &json!([1])).is_empty() && of(Amd::AmdSmi, &json!({"error": "no"})).is_empty());
    }
}
