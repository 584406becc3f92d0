//! Latencies that a tool tells as `{unit, avg, p50, …}`, as AIPerf and GenAI-Perf do.

use serde_json::{Map, Value};

/// The values of a metric under vLLM's names: `mean_ttft_ms`, `median_ttft_ms`, `p99_ttft_ms`, …
pub fn add_latency(metric: Option<&Value>, latency: &str, into: &mut Map<String, Value>) -> Result<(), String> {
    let Some(metric) = metric.and_then(Value::as_object) else { return Ok(()) };
    let unit = metric.get("unit").and_then(Value::as_str).unwrap_or("ms");
    let factor = 1000.0
        * seconds_in(unit).ok_or_else(|| format!("{latency} is in {unit:?}, which is not a known unit of time"))?;
    for (key, value) in metric {
        let statistic = match key.as_str() {
            "avg" => "mean",
            "p50" => "median",
            "std" | "min" | "max" => key,
            key if key.strip_prefix('p').is_some_and(|percentile| percentile.parse::<f64>().is_ok()) => key,
            _ => continue,
        };
        if let Some(value) = value.as_f64() {
            into.insert(format!("{statistic}_{latency}_ms"), (value * factor).into());
        }
    }
    Ok(())
}

/// The seconds in a unit of time.
pub fn seconds_in(unit: &str) -> Option<f64> {
    Some(match unit {
        "s" | "sec" | "seconds" => 1.0,
        "ms" | "milliseconds" => 1e-3,
        "us" | "µs" | "microseconds" => 1e-6,
        "ns" | "nanoseconds" => 1e-9,
        _ => return None,
    })
}
