//! How many GPUs a server has.

use super::environment::engine_of;
use crate::params::Command;
use serde_json::{Map, Value};

/// Sizes whose product is the number of GPUs: flags of a command, and keys of a record.
const SIZES: [(&[&str], &[&str]); 3] = [
    (&["tensor-parallel-size", "-tp", "tp", "tp-size"], &["tensor_parallel_size", "tp", "tp_size"]),
    (&["pipeline-parallel-size", "-pp", "pp", "pp-size"], &["pipeline_parallel_size", "pp", "pp_size"]),
    (&["data-parallel-size", "-dp", "dp", "dp-size"], &["data_parallel_size", "dp", "dp_size"]),
];

/// The number of GPUs of a server: what a record says, else tensor × pipeline × data parallel size, from its command (parameters
/// included) or the record's keys. Where neither names a size nothing is known, unless the engine's default is one GPU.
pub fn gpu_count_of(command: Option<&Command>, values: &Map<String, Value>) -> Option<f64> {
    let direct = ["gpu_count", "num_gpus"].iter().find_map(|key| lookup(values, key));
    let sizes = SIZES.iter().map(|(flags, keys)| {
        let from_command = command.and_then(|command| command.flag(flags)).and_then(|text| text.parse().ok());
        let from_record = || keys.iter().find_map(|key| lookup(values, key));
        from_command.or_else(from_record).filter(|size: &f64| *size >= 1.0)
    });
    let sizes: Vec<Option<f64>> = sizes.collect();
    let is_known = sizes.iter().any(Option::is_some) || command.is_some_and(is_one_gpu_by_default);
    let product = is_known.then(|| sizes.into_iter().flatten().product());
    direct.filter(|count| *count >= 1.0).or(product)
}

/// Engines that take one GPU unless a size says otherwise.
pub fn is_one_gpu_by_default(command: &Command) -> bool {
    matches!(engine_of(command), Some("vllm" | "sglang" | "sweeplake-sim"))
}

fn lookup(values: &Map<String, Value>, key: &str) -> Option<f64> {
    match values.get(key).or_else(|| values.get(&key.replace('_', "-")))? {
        Value::String(text) => text.parse().ok(),
        other => other.as_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn gpus_are_counted_from_any_spelling() {
        let none = Map::new();
        let count = |command: &str| gpu_count_of(Some(&Command::parse("f", command).unwrap()), &none);
        assert_eq!(count("vllm serve m"), Some(1.0));
        assert_eq!(count("vllm serve m -tp 2 --pipeline_parallel_size=2 --data-parallel-size 3"), Some(12.0));
        let values = json!({"tensor-parallel-size": "4", "dp": 2});
        assert_eq!(gpu_count_of(None, values.as_object().unwrap()), Some(8.0));
        assert_eq!(gpu_count_of(None, json!({"num_gpus": "6", "tp": 2}).as_object().unwrap()), Some(6.0));
    }

    #[test]
    fn where_nobody_says_so_nothing_is_known() {
        let count = |command: &str| gpu_count_of(Some(&Command::parse("f", command).unwrap()), &Map::new());
        assert_eq!(count("llama-server -m x"), None);
        assert_eq!(count("./start.sh"), None);
        assert_eq!(count("./start.sh --tp 4"), Some(4.0));
        assert_eq!(gpu_count_of(None, &Map::new()), None);
    }
}
