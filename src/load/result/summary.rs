//! What is printed of a result.

use serde_json::{Map, Value};

/// The lines that `vllm bench serve` prints at its end.
pub fn summary_lines(result: &Map<String, Value>) -> Vec<String> {
    let rows = [
        ("Successful requests:", "completed"),
        ("Failed requests:", "failed"),
        ("Requests left out (warm-up, cool-down):", "requests_left_out"),
        ("Maximum request concurrency:", "max_concurrency"),
        ("Request rate configured (RPS):", "request_rate"),
        ("Benchmark duration (s):", "duration"),
        ("Total input tokens:", "total_input_tokens"),
        ("Total generated tokens:", "total_output_tokens"),
        ("Request throughput (req/s):", "request_throughput"),
        ("Request goodput (req/s):", "request_goodput"),
        ("Output token throughput (tok/s):", "output_throughput"),
        ("Peak output token throughput (tok/s):", "max_output_tokens_per_s"),
        ("Peak concurrent requests:", "peak_concurrent_requests"),
        ("Total token throughput (tok/s):", "total_token_throughput"),
    ];
    let mut lines = vec![format!("{:=^50}", " Serving Benchmark Result ")];
    lines.extend(rows.iter().filter_map(|(label, key)| Some(format!("{label:<40} {}", number(result.get(*key)?)?))));
    for (family, title) in [
        ("ttft", "Time to First Token"),
        ("tpot", "Time per Output Token (excl. 1st token)"),
        ("itl", "Inter-token Latency"),
        ("e2el", "End-to-end Latency"),
    ] {
        let keys: Vec<&String> = result
            .keys()
            .filter(|key| {
                key.strip_suffix("_ms").and_then(|key| key.split_once('_')).is_some_and(|(_, of)| of == family)
            })
            .collect();
        if !keys.is_empty() {
            lines.push(format!("{title:-^50}"));
        }
        lines.extend(keys.iter().filter_map(|key| {
            let label = format!("{}:", crate::metric::label(key));
            Some(format!("{label:<40} {}", number(&result[*key])?))
        }));
    }
    lines.push("=".repeat(50));
    lines
}

fn number(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) if number.is_f64() => number.as_f64().map(|value| format!("{value:.2}")),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
