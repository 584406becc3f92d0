//! The result in vLLM's form: the same keys, the same definitions, the same order.
//!
//! TTFT is the time to the first text (`ttft_chunk`: to the first chunk, which is vLLM's TTFT), ITL the gaps between chunks of all requests
//! pooled, or between tokens where the server counts them as they come, TPOT of a request (latency − TTFT)/(output tokens − 1), E2EL the
//! time to its last chunk. Throughput is over the wall time of the whole run. Percentiles and standard deviations are NumPy's. What was not
//! measured is null, where vLLM writes 0. Where warm-up and cool-down are left out, all of it is of the requests that were sent between
//! them, over the time between them; failures count whenever they were.

mod bound;
mod peak;
mod summary;

pub use summary::summary_lines;

use super::{Config, CountedBy, Details, Measured, Measurement, ReportConfig};
use crate::stats::{mean, percentile, population_std};
use bound::Verdict;
use chrono::{DateTime, Local};
use peak::Peak;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

/// Builds the result of a run.
pub fn result_json(config: &Config, measured: &Measured, date: DateTime<Local>) -> Map<String, Value> {
    let all = Requests::of(measured, &config.report);
    let mut result = Map::new();
    put_setting(&mut result, config, measured, date);
    put_counts(&mut result, config, measured, &all);
    if config.report.details == Details::EachRequest {
        put_details(&mut result, measured, &all);
    }
    put_course(&mut result, &all);
    put_client(&mut result, measured, &all);
    put(&mut result, "rtfx", json!(0.0));
    let asked = config.report.percentile_metrics.iter().map(String::as_str);
    for metric in asked.chain(more_metrics(config, &all)) {
        put_statistics(&mut result, metric, values_of(metric, &all.timed), &config.report.metric_percentiles);
    }
    result
}

/// The requests of a run, by what they are good for.
struct Requests<'a> {
    measured: &'a [Measurement],
    /// All but those that succeeded outside of what is reported.
    reported: Vec<&'a Measurement>,
    left_out: usize,
    /// Where something is left out, what is not, since the start.
    window: Option<Range<Duration>>,
    ok: Vec<&'a Measurement>,
    /// Those that succeeded, and of a run that was stopped those that were cut off: they took at least as long as until then.
    timed: Vec<&'a Measurement>,
    failed: Vec<&'a Measurement>,
    wall_s: f64,
}

impl<'a> Requests<'a> {
    fn of(measured: &'a Measured, report: &ReportConfig) -> Self {
        let window = report.window(measured.duration);
        let is_reported = |request: &&Measurement| {
            let is_inside = window.as_ref().is_none_or(|window| window.contains(&request.start));
            is_inside || !(request.is_ok() || request.is_cut_off())
        };
        let reported: Vec<&Measurement> = measured.requests.iter().filter(is_reported).collect();
        let all = || reported.iter().copied();
        Self {
            measured: &measured.requests,
            ok: all().filter(|request| request.is_ok()).collect(),
            timed: all().filter(|request| request.is_ok() || request.is_cut_off()).collect(),
            failed: all().filter(|request| !request.is_ok() && !request.is_cut_off()).collect(),
            left_out: measured.requests.len() - reported.len(),
            wall_s: window.as_ref().map_or(measured.duration, |window| window.end - window.start).as_secs_f64(),
            window,
            reported,
        }
    }

    /// Something of requests, per second: of a run that is reported whole, as it was counted; else of each that succeeded, wherever it began,
    /// as much as its time in the window.
    fn rate(&self, counted: Option<usize>, value: impl Fn(&Measurement) -> Option<usize>) -> Value {
        let Some(sum) = counted.filter(|_| self.wall_s > 0.0) else { return Value::Null };
        let Some(window) = &self.window else { return json!(sum as f64 / self.wall_s) };
        let ok = self.measured.iter().filter(|request| request.is_ok() && !request.latency.is_zero());
        let parts = ok.map(|request| {
            let end = (request.start + request.latency).min(window.end);
            let inside = end.saturating_sub(request.start.max(window.start)).as_secs_f64();
            Some(value(request)? as f64 * inside / request.latency.as_secs_f64())
        });
        parts.sum::<Option<f64>>().map_or(Value::Null, |sum| json!(sum / self.wall_s))
    }

    /// A sum over those that succeeded; nothing where one of them is not known.
    fn sum(&self, value: impl Fn(&Measurement) -> Option<usize>) -> Option<usize> {
        self.ok.iter().map(|request| value(request)).sum()
    }

    /// Who counted the output tokens; nothing where they were counted differently.
    fn counted_by(&self) -> Option<CountedBy> {
        let first = self.ok.first()?.counted_by;
        self.ok.iter().all(|request| request.counted_by == first).then_some(first)
    }
}

fn put(result: &mut Map<String, Value>, key: &str, value: Value) {
    result.insert(key.to_owned(), value);
}

fn put_setting(result: &mut Map<String, Value>, config: &Config, measured: &Measured, date: DateTime<Local>) {
    let (load, report) = (&config.load, &config.report);
    let backend = config.request.backend.name();
    put(result, "date", date.format("%Y%m%d-%H%M%S").to_string().into());
    put(result, "endpoint_type", backend.into());
    put(result, "backend", backend.into());
    put(result, "label", report.label.clone().into());
    put(result, "model_id", measured.model.clone().into());
    put(result, "tokenizer_id", report.tokenizer.as_ref().unwrap_or(&measured.model).clone().into());
    let counted = load.num_prompts().filter(|_| !config.dataset.has_turns());
    put(result, "num_prompts", counted.unwrap_or(measured.requests.len()).into());
    for (key, value) in &report.metadata {
        put(result, key, value.clone());
    }
    let rate = load.traffic.request_rate;
    put(result, "request_rate", if rate.is_finite() { json!(rate) } else { "inf".into() });
    put(result, "burstiness", json!(load.traffic.burstiness));
    put(result, "max_concurrency", load.max_concurrency.into());
    if measured.prompt_as != config.request.backend.usual_prompt() {
        put(result, "prompt_as", measured.prompt_as.as_str().into());
    }
    if let Some(ramp) = load.traffic.ramp {
        put(result, "ramp_up_strategy", ramp.strategy.as_str().into());
        put(result, "ramp_up_start_rps", json!(ramp.start_rps));
        put(result, "ramp_up_end_rps", json!(ramp.end_rps));
    }
}

fn put_counts(result: &mut Map<String, Value>, config: &Config, measured: &Measured, all: &Requests<'_>) {
    let wall_s = all.wall_s;
    let per_second =
        |count: Option<usize>| count.filter(|_| wall_s > 0.0).map_or(Value::Null, |count| json!(count as f64 / wall_s));
    put(result, "duration", json!(wall_s));
    if let Some(window) = &all.window {
        put(result, "whole_duration", json!(measured.duration.as_secs_f64()));
        put(result, "warmup_window_s", json!(window.start.as_secs_f64()));
        put(result, "cooldown_window_s", json!(measured.duration.saturating_sub(window.end).as_secs_f64()));
        put(result, "requests_left_out", all.left_out.into());
    }
    put(result, "completed", all.ok.len().into());
    put(result, "failed", all.failed.len().into());
    if !all.failed.is_empty() {
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for failure in all.failed.iter().filter_map(|request| request.failure.as_ref()) {
            *kinds.entry(failure.kind.as_str()).or_default() += 1;
        }
        put(result, "failures_by_kind", json!(kinds));
    }
    if let Some(reason) = &measured.stopped_early {
        put(result, "stopped_early", reason.clone().into());
    }
    let generates = config.request.backend.generates();
    let input = all.sum(|request| request.input_tokens);
    let output = if generates { all.sum(|request| request.output_tokens) } else { Some(0) };
    put(result, "total_input_tokens", input.into());
    put(result, "total_output_tokens", output.into());
    if generates && !all.ok.is_empty() {
        put(result, "output_tokens_counted_by", all.counted_by().map_or("several", CountedBy::as_str).into());
    }
    if output.is_none() {
        let chunks: usize = all.ok.iter().map(|request| request.output_tokens.unwrap_or(request.chunks)).sum();
        put(result, "estimated_output_tokens", chunks.into());
    }
    if all.ok.iter().any(|request| request.reasoning_tokens.is_some()) {
        let reasoning: usize = all.ok.iter().filter_map(|request| request.reasoning_tokens).sum();
        put(result, "total_reasoning_tokens", reasoning.into());
    }
    let good = all.ok.iter().filter(|request| is_good(request, &config.report.goodput)).count();
    put(result, "request_throughput", all.rate(Some(all.ok.len()), |_| Some(1)));
    put(result, "request_goodput", per_second((!config.report.goodput.is_empty()).then_some(good)));
    let tokens = |request: &Measurement| if generates { request.output_tokens } else { Some(0) };
    put(result, "output_throughput", all.rate(output, tokens));
    let both = input.zip(output).map(|(input, output)| input + output);
    put(result, "total_token_throughput", all.rate(both, |request| Some(request.input_tokens? + tokens(request)?)));
}

/// What happened when.
fn put_course(result: &mut Map<String, Value>, all: &Requests<'_>) {
    let seconds = |value: fn(&Measurement) -> Duration| {
        all.reported.iter().map(|request| value(request).as_secs_f64()).collect::<Vec<_>>()
    };
    put(result, "latencies", json!(seconds(|request| request.latency)));
    put(result, "queue_times", json!(seconds(Measurement::queue_time)));
    let peak = Peak::of(&all.ok, Duration::from_secs_f64(all.wall_s));
    put(result, "max_output_tokens_per_s", json!(peak.output_tokens_per_s));
    put(result, "max_concurrent_requests", peak.requests_in_a_second.into());
    put(result, "peak_concurrent_requests", peak.concurrent_requests.into());
    let in_flight: f64 = all.ok.iter().map(|request| request.latency.as_secs_f64()).sum();
    put(
        result,
        "mean_concurrent_requests",
        if all.ok.is_empty() || all.wall_s <= 0.0 { Value::Null } else { json!(in_flight / all.wall_s) },
    );
    put(result, "achieved_request_rate", json!(achieved_rate(&all.reported)));
}

/// What the client itself needed.
fn put_client(result: &mut Map<String, Value>, measured: &Measured, all: &Requests<'_>) {
    let mut lags: Vec<f64> = all.ok.iter().map(|request| request.send_lag.as_secs_f64() * 1000.0).collect();
    lags.sort_by(f64::total_cmp);
    put(result, "p99_send_lag_ms", if lags.is_empty() { Value::Null } else { json!(percentile(&lags, 99.0)) });
    let verdict = Verdict::of(measured);
    put(result, "client_cpu_share", json!(verdict.busiest));
    put(result, "client_parse_time_s", json!(measured.spent.iter().map(|one| one.parsing.as_secs_f64()).sum::<f64>()));
    put(result, "p99_client_delay_ms", json!(verdict.p99_delay_ms));
    put(result, "client_share_of_ttft", json!(verdict.share_of_ttft));
    put(result, "client_bound", verdict.word().into());
}

/// Requests that were sent in a second, from the first to the last.
fn achieved_rate(requests: &[&Measurement]) -> Option<f64> {
    let starts = || requests.iter().map(|request| request.start);
    let span = (starts().max()? - starts().min()?).as_secs_f64();
    (span > 0.0).then(|| (requests.len() - 1) as f64 / span)
}

/// Where the client itself may make requests wait, how long they do is part of what their senders see; where chunks say more than one
/// thing, each of them.
fn more_metrics(config: &Config, all: &Requests<'_>) -> Vec<&'static str> {
    let waits = config.load.max_concurrency.is_some() || config.is_open();
    let asks_ttft = config.report.percentile_metrics.iter().any(|metric| metric == "ttft");
    let has = |value: fn(&Measurement) -> Option<Duration>| all.timed.iter().any(|request| value(request).is_some());
    let more = [
        ("client_queue_time", waits),
        ("e2el_including_client_queue", waits),
        ("ttft_including_client_queue", config.is_open() && asks_ttft),
        ("ttft_chunk", asks_ttft && has(|request| request.ttft_chunk)),
        ("ttft_answer", asks_ttft && has(|request| request.ttft_answer)),
    ];
    more.into_iter().filter(|(_, is_told)| *is_told).map(|(metric, _)| metric).collect()
}

fn put_details(result: &mut Map<String, Value>, measured: &Measured, all: &Requests<'_>) {
    let each = |value: &dyn Fn(&Measurement) -> Value| -> Value {
        all.reported.iter().map(|request| value(request)).collect::<Vec<_>>().into()
    };
    // vLLM has a zero for a request that failed; what an answer did not have is null.
    let seconds = |request: &Measurement, time: Option<Duration>| match time {
        Some(time) => json!(time.as_secs_f64()),
        None if request.is_ok() => Value::Null,
        None => json!(0.0),
    };
    put(result, "input_lens", each(&|request| request.input_tokens.into()));
    put(
        result,
        "output_lens",
        each(&|request| match request.is_ok() {
            true => request.output_tokens.into(),
            false => request.output_tokens.unwrap_or(0).into(),
        }),
    );
    put(result, "ttfts", each(&|request| seconds(request, request.ttft)));
    put(result, "itls", each(&|request| json!(request.itl.iter().map(Duration::as_secs_f64).collect::<Vec<_>>())));
    put(result, "start_times", each(&|request| json!(measured.started + request.start.as_secs_f64())));
    put(result, "generated_texts", each(&|request| request.text.clone().into()));
    put(
        result,
        "errors",
        each(&|request| request.failure.as_ref().map(|failure| failure.text.clone()).unwrap_or_default().into()),
    );
}

fn put_statistics(result: &mut Map<String, Value>, metric: &str, mut values_ms: Vec<f64>, percentiles: &[f64]) {
    values_ms.sort_by(f64::total_cmp);
    let of = |statistic: &dyn Fn(&[f64]) -> f64| match values_ms.is_empty() {
        true => Value::Null,
        false => json!(statistic(&values_ms)),
    };
    put(result, &format!("mean_{metric}_ms"), of(&mean));
    put(result, &format!("median_{metric}_ms"), of(&|values| percentile(values, 50.0)));
    put(result, &format!("std_{metric}_ms"), of(&population_std));
    for percent in percentiles {
        put(result, &format!("p{percent}_{metric}_ms"), of(&|values| percentile(values, *percent)));
    }
}

fn values_of(metric: &str, timed: &[&Measurement]) -> Vec<f64> {
    let millis = |duration: Duration| duration.as_secs_f64() * 1000.0;
    let known = |value: &dyn Fn(&Measurement) -> Option<Duration>| -> Vec<f64> {
        timed.iter().filter_map(|request| value(request)).map(millis).collect()
    };
    match metric {
        "ttft" => known(&|request| request.ttft),
        "ttft_chunk" => known(&|request| request.ttft_chunk),
        "ttft_answer" => known(&|request| request.ttft_answer),
        "ttft_including_client_queue" => known(&|request| Some(request.queue_time() + request.ttft?)),
        "tpot" => known(&Measurement::tpot),
        "client_queue_time" => known(&|request| Some(request.queue_time())),
        "e2el_including_client_queue" => known(&|request| Some(request.queue_time() + request.latency)),
        "itl" => timed.iter().flat_map(|request| &request.itl).map(|gap| millis(*gap)).collect(),
        _ => known(&|request| Some(request.latency)),
    }
}

fn is_good(request: &Measurement, limits: &[(String, f64)]) -> bool {
    limits.iter().all(|(metric, limit_ms)| {
        let value = match metric.as_str() {
            "ttft" => request.ttft,
            // An answer of one token has none to be late.
            "tpot" => request.tpot().or((request.output_tokens == Some(1)).then_some(Duration::ZERO)),
            _ => Some(request.latency),
        };
        value.is_some_and(|value| value.as_secs_f64() * 1000.0 <= *limit_ms)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Edge, Extent, Failure, FailureKind, LoadConfig, ReportConfig};

    fn millis(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    fn boom() -> Option<Failure> {
        Some(Failure::new(FailureKind::HttpStatus, "boom"))
    }

    fn request(start: u64, ttft: u64, gaps: &[u64]) -> Measurement {
        Measurement {
            input_tokens: Some(10),
            output_tokens: Some(gaps.len() + 1),
            counted_by: CountedBy::Server,
            intended: millis(start),
            start: millis(start),
            ttft: Some(millis(ttft)),
            ttft_chunk: Some(millis(ttft)),
            latency: millis(ttft + gaps.iter().sum::<u64>()),
            itl: gaps.iter().map(|gap| millis(*gap)).collect(),
            ..Measurement::default()
        }
    }

    fn result(requests: Vec<Measurement>, details: Details) -> Map<String, Value> {
        let config = Config {
            load: LoadConfig {
                extent: Extent::Prompts(requests.len()),
                max_concurrency: Some(2),
                ..LoadConfig::default()
            },
            report: ReportConfig {
                percentile_metrics: ["ttft", "tpot", "itl", "e2el"].map(String::from).to_vec(),
                metric_percentiles: vec![50.0, 99.9],
                goodput: vec![("ttft".into(), 100.0), ("tpot".into(), 25.0)],
                details,
                metadata: [("gpu".to_owned(), json!("H100"))].into_iter().collect(),
                ..ReportConfig::default()
            },
            ..Config::default()
        };
        let measured = Measured { requests, duration: millis(2000), ..Measured::of_model("m") };
        result_json(&config, &measured, DateTime::UNIX_EPOCH.into())
    }

    #[test]
    fn metrics_have_vllms_definitions() {
        let failed = Measurement { failure: boom(), input_tokens: Some(10), ..Measurement::default() };
        let result = result(
            vec![request(0, 100, &[10, 30]), request(100, 200, &[20]), request(900, 300, &[]), failed],
            Details::EachRequest,
        );
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
        assert_eq!(result["failures_by_kind"], json!({"http_status": 1}));
        assert_eq!((&result["gpu"], &result["request_rate"]), (&json!("H100"), &json!("inf")));
        assert!(result.contains_key("p99.9_e2el_ms"));
    }

    #[test]
    fn what_is_left_out_at_the_ends_changes_no_rate_of_a_steady_run() {
        // A request each 10 ms, of 40 ms and four tokens; the first fifty took ten times as long.
        let slow = |index: u64| if index < 50 { 10 } else { 1 };
        let requests = (0..500).map(|index| request(index * 10, 10 * slow(index), &[10 * slow(index); 3]));
        let mut requests: Vec<Measurement> = requests.collect();
        requests[3].failure = boom();
        let measured = Measured { requests, duration: millis(5000), ..Measured::of_model("m") };
        let told = |warm_up: Edge, cool_down: Edge| {
            let percentile_metrics = ["ttft", "e2el"].map(String::from).to_vec();
            let details = Details::EachRequest;
            let report = ReportConfig { warm_up, cool_down, percentile_metrics, details, ..ReportConfig::default() };
            result_json(&Config { report, ..Config::default() }, &measured, DateTime::UNIX_EPOCH.into())
        };
        let whole = told(Edge::NONE, Edge::NONE);
        assert!(!whole.contains_key("requests_left_out") && whole["mean_ttft_ms"].as_f64() > Some(15.0));
        for told in [told(Edge::Time(millis(1000)), Edge::Share(0.1)), told(Edge::Share(0.2), Edge::Time(millis(500)))]
        {
            assert_eq!((&told["mean_ttft_ms"], &told["p99_e2el_ms"]), (&json!(10.0), &json!(40.0)));
            let of = |key: &str| told[key].as_f64().unwrap();
            assert!((of("request_throughput") - 100.0).abs() < 1e-6 && (of("output_throughput") - 400.0).abs() < 1e-6);
            assert_eq!(
                (&told["completed"], &told["failed"], &told["requests_left_out"]),
                (&json!(350), &json!(1), &json!(149))
            );
            assert_eq!((&told["duration"], &told["whole_duration"]), (&json!(3.5), &json!(5.0)));
            assert_eq!(told["ttfts"].as_array().map(Vec::len), Some(351));
        }
        let nothing = told(Edge::Time(millis(4000)), Edge::Time(millis(4000)));
        assert_eq!((&nothing["completed"], &nothing["request_throughput"]), (&json!(0), &Value::Null));
    }

    #[test]
    fn what_was_not_measured_is_null() {
        let failed = Measurement { failure: boom(), ..Measurement::default() };
        let result = result(vec![failed], Details::Summary);
        assert_eq!(result["completed"], 0);
        for key in ["mean_ttft_ms", "p50_e2el_ms", "std_tpot_ms", "peak_concurrent_requests", "max_output_tokens_per_s"]
        {
            assert_eq!(result.get(key), Some(&Value::Null), "{key}");
        }
        assert!(!result.contains_key("ttfts") && result.contains_key("latencies"));
        // Answers of one token have no time per token after the first.
        let short = self::result(vec![request(0, 100, &[]), request(10, 400, &[])], Details::Summary);
        assert_eq!(short["mean_tpot_ms"], Value::Null);
        assert_eq!(short["mean_e2el_ms"], 250.0);
    }

    #[test]
    fn waiting_for_the_clients_own_limit_is_told() {
        let mut waited = request(50, 100, &[]);
        waited.intended = millis(10);
        let told = result(vec![request(0, 100, &[]), waited], Details::Summary);
        assert_eq!(
            (&told["mean_client_queue_time_ms"], &told["p50_client_queue_time_ms"]),
            (&json!(20.0), &json!(20.0))
        );
        assert_eq!(told["mean_e2el_including_client_queue_ms"], 120.0);
    }

    #[test]
    fn tokens_that_nobody_counted_are_not_made_up() {
        let uncounted = Measurement {
            output_tokens: None,
            counted_by: CountedBy::Nobody,
            chunks: 5,
            input_tokens: None,
            ..request(0, 100, &[10, 10])
        };
        let told = result(vec![request(0, 100, &[10]), uncounted], Details::EachRequest);
        for key in ["total_output_tokens", "output_throughput", "total_token_throughput", "total_input_tokens"] {
            assert_eq!(told[key], Value::Null, "{key}");
        }
        assert_eq!((&told["estimated_output_tokens"], &told["output_lens"]), (&json!(7), &json!([2, null])));
        assert_eq!(told["output_tokens_counted_by"], "several");
        assert_eq!(told["mean_itl_ms"], 10.0);
    }

    #[test]
    fn an_answer_without_text_has_no_time_to_its_first() {
        let silent = Measurement { ttft: None, ..request(0, 100, &[]) };
        let told = result(vec![silent, request(0, 50, &[])], Details::EachRequest);
        assert_eq!((&told["mean_ttft_ms"], &told["mean_ttft_chunk_ms"]), (&json!(50.0), &json!(75.0)));
        assert_eq!(told["ttfts"], json!([null, 0.05]));
    }
}
