//! The result in vLLM's form: the same keys, the same definitions, the same order.
//!
//! TTFT is the time to the first chunk, ITL the gaps between chunks of all requests pooled, TPOT of a request
//! (latency − TTFT)/(output tokens − 1), E2EL the time to its last chunk. Throughput is over the wall time of
//! the whole run. Percentiles and standard deviations are NumPy's. What was not measured is null, where vLLM writes 0.

use super::{Backend, Config, Measured, Measurement};
use crate::metric::is_cut_off;
use crate::stats::{mean, percentile, population_std};
use chrono::{DateTime, Local};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Builds the result of a run.
pub fn result_json(config: &Config, measured: &Measured, date: DateTime<Local>) -> Map<String, Value> {
    let ok: Vec<&Measurement> = measured.requests.iter().filter(|request| request.error.is_none()).collect();
    let wall_s = measured.duration.as_secs_f64();
    let input: usize = ok.iter().map(|request| request.prompt_len).sum();
    let output: usize = ok.iter().map(|request| request.output_len).sum();
    let cut_off = |request: &&Measurement| request.error.as_deref().is_some_and(is_cut_off);
    // Of a run that was stopped, what was cut off took at least as long as until then.
    let timed: Vec<&Measurement> =
        measured.requests.iter().filter(|request| request.error.is_none() || cut_off(request)).collect();
    let good = ok.iter().filter(|request| is_good(request, &config.goodput)).count();
    let peak = Peak::of(&ok);
    let mut result = Map::new();
    let mut put = |key: &str, value: Value| result.insert(key.to_owned(), value);
    let backend = config.backend.name();
    put("date", date.format("%Y%m%d-%H%M%S").to_string().into());
    put("endpoint_type", backend.into());
    put("backend", backend.into());
    put("label", config.label.clone().into());
    put("model_id", measured.model.clone().into());
    put("tokenizer_id", config.tokenizer.as_ref().unwrap_or(&measured.model).clone().into());
    put("num_prompts", config.num_prompts.into());
    for (key, value) in &config.metadata {
        put(key, value.clone());
    }
    put("request_rate", if config.request_rate.is_finite() { json!(config.request_rate) } else { "inf".into() });
    put("burstiness", json!(config.burstiness));
    put("max_concurrency", config.max_concurrency.into());
    put("duration", json!(wall_s));
    put("completed", ok.len().into());
    put("failed", (measured.requests.len() - timed.len()).into());
    if let Some(reason) = &measured.stopped_early {
        put("stopped_early", reason.clone().into());
    }
    put("total_input_tokens", input.into());
    put("total_output_tokens", output.into());
    put("request_throughput", json!(ok.len() as f64 / wall_s));
    put("request_goodput", if config.goodput.is_empty() { Value::Null } else { json!(good as f64 / wall_s) });
    put("output_throughput", json!(output as f64 / wall_s));
    put("total_token_throughput", json!((input + output) as f64 / wall_s));
    if config.save_detailed {
        put_details(&mut put, measured);
    }
    let seconds = |value: fn(&Measurement) -> Duration| {
        measured.requests.iter().map(|request| value(request).as_secs_f64()).collect::<Vec<_>>()
    };
    put("latencies", json!(seconds(|request| request.latency)));
    put("queue_times", json!(seconds(|request| request.queue_time)));
    put("max_output_tokens_per_s", json!(peak.output_tokens_per_s));
    put("max_concurrent_requests", peak.requests_in_a_second.into());
    put("peak_concurrent_requests", peak.concurrent_requests.into());
    let in_flight: f64 = ok.iter().map(|request| request.latency.as_secs_f64()).sum();
    put("mean_concurrent_requests", if ok.is_empty() { Value::Null } else { json!(in_flight / wall_s) });
    put("achieved_request_rate", json!(achieved_rate(&measured.requests)));
    let mut lags: Vec<f64> = ok.iter().map(|request| request.send_lag.as_secs_f64() * 1000.0).collect();
    lags.sort_by(f64::total_cmp);
    put("p99_send_lag_ms", if lags.is_empty() { Value::Null } else { json!(percentile(&lags, 99.0)) });
    put("rtfx", json!(0.0));
    let asked = config.percentile_metrics.iter().map(String::as_str);
    let metrics: Vec<&str> = asked.chain(queue_metrics(config)).collect();
    for metric in metrics {
        put_statistics(&mut put, metric, values_of(metric, &timed), &config.metric_percentiles);
    }
    result
}

/// Requests that were sent in a second, from the first to the last.
fn achieved_rate(requests: &[Measurement]) -> Option<f64> {
    let starts = || requests.iter().map(|request| request.start);
    let span = (starts().max()? - starts().min()?).as_secs_f64();
    (span > 0.0).then(|| (requests.len() - 1) as f64 / span)
}

/// Where the client itself may make requests wait, how long they do is part of what their senders see.
fn queue_metrics(config: &Config) -> Vec<&'static str> {
    let is_bounded = config.max_concurrency.is_some();
    ["client_queue_time", "e2el_including_client_queue"].into_iter().filter(|_| is_bounded).collect()
}

/// The lines that `vllm bench serve` prints at its end.
pub fn summary_lines(result: &Map<String, Value>) -> Vec<String> {
    let rows = [
        ("Successful requests:", "completed"),
        ("Failed requests:", "failed"),
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

impl Backend {
    pub fn name(self) -> &'static str {
        match self {
            Self::Vllm => "vllm",
            Self::Openai => "openai",
            Self::OpenaiChat => "openai-chat",
        }
    }
}

fn put_details(put: &mut impl FnMut(&str, Value) -> Option<Value>, measured: &Measured) {
    let each = |value: &dyn Fn(&Measurement) -> Value| measured.requests.iter().map(value).collect::<Vec<_>>().into();
    put("input_lens", each(&|request| request.prompt_len.into()));
    put("output_lens", each(&|request| request.output_len.into()));
    put("ttfts", each(&|request| json!(request.ttft.as_secs_f64())));
    put("itls", each(&|request| json!(request.itl.iter().map(Duration::as_secs_f64).collect::<Vec<_>>())));
    put("start_times", each(&|request| json!(measured.started + request.start.as_secs_f64())));
    put("generated_texts", each(&|request| request.text.clone().into()));
    put("errors", each(&|request| request.error.clone().unwrap_or_default().into()));
}

fn put_statistics(
    put: &mut impl FnMut(&str, Value) -> Option<Value>,
    metric: &str,
    mut values_ms: Vec<f64>,
    percentiles: &[f64],
) {
    values_ms.sort_by(f64::total_cmp);
    let of = |statistic: &dyn Fn(&[f64]) -> f64| match values_ms.is_empty() {
        true => Value::Null,
        false => json!(statistic(&values_ms)),
    };
    put(&format!("mean_{metric}_ms"), of(&mean));
    put(&format!("median_{metric}_ms"), of(&|values| percentile(values, 50.0)));
    put(&format!("std_{metric}_ms"), of(&population_std));
    for percent in percentiles {
        put(&format!("p{percent}_{metric}_ms"), of(&|values| percentile(values, *percent)));
    }
}

fn values_of(metric: &str, ok: &[&Measurement]) -> Vec<f64> {
    let millis = |duration: Duration| duration.as_secs_f64() * 1000.0;
    match metric {
        "ttft" => ok.iter().map(|request| millis(request.ttft)).collect(),
        "tpot" => ok.iter().filter_map(|request| tpot(request)).map(millis).collect(),
        "client_queue_time" => ok.iter().map(|request| millis(request.queue_time)).collect(),
        "e2el_including_client_queue" => {
            ok.iter().map(|request| millis(request.queue_time + request.latency)).collect()
        }
        "itl" => ok.iter().flat_map(|request| &request.itl).map(|gap| millis(*gap)).collect(),
        _ => ok.iter().map(|request| millis(request.latency)).collect(),
    }
}

fn tpot(request: &Measurement) -> Option<Duration> {
    (request.output_len > 1).then(|| (request.latency - request.ttft).div_f64((request.output_len - 1) as f64))
}

fn is_good(request: &Measurement, limits: &[(String, f64)]) -> bool {
    limits.iter().all(|(metric, limit_ms)| {
        let value = match metric.as_str() {
            "ttft" => request.ttft,
            "tpot" => tpot(request).unwrap_or_default(),
            _ => request.latency,
        };
        value.as_secs_f64() * 1000.0 <= *limit_ms
    })
}

/// The busiest second and the busiest moment.
#[derive(Default)]
struct Peak {
    /// Nothing of a run that is shorter than the second it is counted in.
    output_tokens_per_s: Option<f64>,
    /// As vLLM counts them: all that are in flight at any time of a second, which may be more than at any moment.
    requests_in_a_second: Option<u32>,
    concurrent_requests: Option<i64>,
}

impl Peak {
    fn of(ok: &[&Measurement]) -> Self {
        let Some(first) = ok.iter().map(|request| request.start).min() else { return Self::default() };
        let last = ok.iter().map(|request| request.start + request.latency).max().unwrap_or(first);
        let mut tokens: Vec<u32> = Vec::new();
        let mut requests: Vec<u32> = Vec::new();
        let mut changes: Vec<(Duration, i64)> = Vec::with_capacity(2 * ok.len());
        for request in ok {
            let start = request.start - first;
            let end = start + request.latency;
            // At the same instant one leaves before the next comes: intervals are half open.
            changes.extend([(start, 1), (end, -1)]);
            (start.as_secs()..=end.as_secs()).for_each(|second| count(&mut requests, second));
            let mut time = start + request.ttft;
            count(&mut tokens, time.as_secs());
            for gap in &request.itl {
                time += *gap;
                count(&mut tokens, time.as_secs());
            }
        }
        changes.sort();
        let running = changes.iter().scan(0, |running, (_, change)| {
            *running += change;
            Some(*running)
        });
        let is_long_enough = last - first >= Duration::from_secs(1);
        Self {
            output_tokens_per_s: tokens.iter().max().copied().map(f64::from).filter(|_| is_long_enough),
            requests_in_a_second: requests.iter().max().copied(),
            concurrent_requests: running.max(),
        }
    }
}

fn count(per_second: &mut Vec<u32>, second: u64) {
    let second = second as usize;
    if per_second.len() <= second {
        per_second.resize(second + 1, 0);
    }
    per_second[second] += 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::RandomLengths;

    fn millis(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    fn request(start: u64, ttft: u64, gaps: &[u64]) -> Measurement {
        Measurement {
            prompt_len: 10,
            output_len: gaps.len() + 1,
            start: millis(start),
            ttft: millis(ttft),
            latency: millis(ttft + gaps.iter().sum::<u64>()),
            itl: gaps.iter().map(|gap| millis(*gap)).collect(),
            ..Measurement::default()
        }
    }

    fn result(requests: Vec<Measurement>, save_detailed: bool) -> Map<String, Value> {
        let config = Config {
            backend: Backend::Vllm,
            base_url: String::new(),
            endpoint: String::new(),
            model: None,
            served_model_name: None,
            tokenizer: None,
            label: None,
            api_key: None,
            dataset: RandomLengths { input_len: 1, output_len: 1, range_ratio: 0.0, prefix_len: 0 },
            num_prompts: requests.len(),
            request_rate: f64::INFINITY,
            burstiness: 1.0,
            max_concurrency: Some(2),
            num_warmups: 0,
            ready_check_timeout: Duration::ZERO,
            seed: 0,
            ignore_eos: true,
            temperature: None,
            percentile_metrics: ["ttft", "tpot", "itl", "e2el"].map(String::from).to_vec(),
            metric_percentiles: vec![50.0, 99.9],
            goodput: vec![("ttft".into(), 100.0), ("tpot".into(), 25.0)],
            save_detailed,
            stop_when_missed: Vec::new(),
            metadata: [("gpu".to_owned(), json!("H100"))].into_iter().collect(),
        };
        let measured =
            Measured { model: "m".into(), requests, duration: millis(2000), started: 5.0, stopped_early: None };
        result_json(&config, &measured, DateTime::UNIX_EPOCH.into())
    }

    #[test]
    fn metrics_have_vllms_definitions() {
        let failed = Measurement { error: Some("boom".into()), prompt_len: 10, ..Measurement::default() };
        let result =
            result(vec![request(0, 100, &[10, 30]), request(100, 200, &[20]), request(900, 300, &[]), failed], true);
        let get = |key: &str| result[key].as_f64().unwrap();
        assert_eq!((get("completed"), get("failed"), get("total_output_tokens")), (3.0, 1.0, 6.0));
        assert_eq!((get("output_throughput"), get("total_token_throughput")), (3.0, 18.0));
        assert_eq!((get("mean_ttft_ms"), get("median_ttft_ms")), (200.0, 200.0));
        assert_eq!((get("mean_tpot_ms"), get("mean_itl_ms"), get("p50_itl_ms")), (20.0, 20.0, 20.0));
        assert!((get("mean_e2el_ms") - 660.0 / 3.0).abs() < 1e-9);
        assert!((get("std_itl_ms") - 8.16496580927726).abs() < 1e-9);
        // Only the first keeps both limits: the third is too late, a single token has no TPOT.
        assert_eq!(get("request_goodput"), 0.5);
        // Three were in flight in the first second, two at a time.
        assert_eq!((get("max_concurrent_requests"), get("peak_concurrent_requests")), (3.0, 2.0));
        assert_eq!(get("max_output_tokens_per_s"), 5.0);
        assert!((get("mean_concurrent_requests") - 0.33).abs() < 1e-12);
        assert_eq!(result["errors"][3], "boom");
        assert_eq!((&result["gpu"], &result["request_rate"]), (&json!("H100"), &json!("inf")));
        assert!(result.contains_key("p99.9_e2el_ms"));
    }

    #[test]
    fn what_was_not_measured_is_null() {
        let failed = Measurement { error: Some("boom".into()), ..Measurement::default() };
        let result = result(vec![failed], false);
        assert_eq!(result["completed"], 0);
        for key in ["mean_ttft_ms", "p50_e2el_ms", "std_tpot_ms", "peak_concurrent_requests", "max_output_tokens_per_s"]
        {
            assert_eq!(result.get(key), Some(&Value::Null), "{key}");
        }
        assert!(!result.contains_key("ttfts") && result.contains_key("latencies"));
        // Answers of one token have no time per token after the first, and half a second has no busiest second.
        let short = self::result(vec![request(0, 100, &[]), request(10, 400, &[])], false);
        assert_eq!((&short["mean_tpot_ms"], &short["max_output_tokens_per_s"]), (&Value::Null, &Value::Null));
        assert_eq!(short["mean_e2el_ms"], 250.0);
    }

    #[test]
    fn waiting_for_the_clients_own_limit_is_told() {
        let mut waited = request(50, 100, &[]);
        waited.queue_time = millis(40);
        let told = result(vec![request(0, 100, &[]), waited], false);
        assert_eq!(
            (&told["mean_client_queue_time_ms"], &told["p50_client_queue_time_ms"]),
            (&json!(20.0), &json!(20.0))
        );
        assert_eq!(told["mean_e2el_including_client_queue_ms"], 120.0);
    }
}
