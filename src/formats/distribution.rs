//! Latencies that a tool tells as `{unit, avg, p50, …}`, as AIPerf and GenAI-Perf do.

use serde_json::{Map, Value};

/// The values of a metric under vLLM's names: `mean_ttft_ms`, `median_ttft_ms`, `p99_ttft_ms`, …
pub fn add_latency(metric: Option<&Value>, latency: &str, into: &mut Map<String, Value>) -> Result<(), String> {
    let Some(metric) = metric.and_then(Value::as_object) else { return Ok(()) };
    let unit = metric.get("unit").and_then(Value::as_str).unwrap_or("ms");
    let factor = 1000.0
        * seconds_in(unit).ok_or_else(|| format!("{latency} is in {unit:?}, which is not a known unit of time"))?;
    add_in(metric, latency, factor, into);
    Ok(())
}

/// The statistics of a latency whose unit is known: so many milliseconds are in it.
pub fn add_statistics(metric: Option<&Value>, latency: &str, in_ms: f64, into: &mut Map<String, Value>) {
    metric.and_then(Value::as_object).iter().for_each(|metric| add_in(metric, latency, in_ms, into));
}

fn add_in(metric: &Map<String, Value>, latency: &str, in_ms: f64, into: &mut Map<String, Value>) {
    for (key, value) in metric {
        let Some(statistic) = statistic(key) else { continue };
        if let Some(value) = value.as_f64() {
            into.insert(format!("{statistic}_{latency}_ms"), (value * in_ms).into());
        }
    }
}

/// A statistic as vLLM calls it; `p99p9` is what some tools call the 99.9th percentile.
fn statistic(key: &str) -> Option<String> {
    Some(match key {
        "avg" | "average" | "mean" => "mean".into(),
        "median" => "median".into(),
        "std" | "stddev" => "std".into(),
        "min" | "minimum" => "min".into(),
        "max" | "maximum" => "max".into(),
        key => {
            return percentile(&key.strip_prefix('p')?.replace('p', "."));
        }
    })
}

/// The statistic of a percentile: `99.9` is `p99.9`, and 50 is the median. Nothing for what is none.
pub fn percentile(text: &str) -> Option<String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=100.0).contains(share))?;
    Some(if share == 50.0 { "median".into() } else { format!("p{share}") })
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
