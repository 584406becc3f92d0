//! The metrics of a benchmark under vLLM's own keys: what they are called on an axis, their unit, and which
//! way is better.

/// How the error of a request begins that was not waited for, because its run was stopped: its latency is that until then.
pub const CUT_OFF: &str = "cut off";

/// Whether an error is that of such a request.
pub fn is_cut_off(error: &str) -> bool {
    error.starts_with(CUT_OFF)
}

/// Which way a metric improves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    Higher,
    Lower,
}

/// What is known of a metric from its key alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    pub label: String,
    pub unit: Option<&'static str>,
    pub better: Better,
}

impl Metric {
    /// Looks a key up; `None` for parameters and unknown keys.
    pub fn of(key: &str) -> Option<Self> {
        named(key).or_else(|| latency(key)).or_else(|| mean_of_runs(key))
    }
}

/// The text for an axis or a column head: `P99 E2E latency (ms)` for `p99_e2el_ms`; parameters as they were typed.
pub fn label(key: &str) -> String {
    match Metric::of(key) {
        Some(Metric { label, unit: Some(unit), .. }) => format!("{label} ({unit})"),
        Some(Metric { label, unit: None, .. }) => label,
        None if key == "request_rate" => "request_rate (req/s)".into(),
        None => key.to_owned(),
    }
}

/// The head of a narrow column: `TTFT med, ms` for `median_ttft_ms_mean`, `output, tok/s` for `output_throughput_mean`; any other name as it
/// is.
pub fn short(key: &str) -> String {
    let inner = key.strip_suffix("_mean").unwrap_or(key);
    if let Some(text) = short_latency(inner) {
        return text;
    }
    match inner {
        "output_throughput" => "output, tok/s".into(),
        "total_token_throughput" => "all tokens, tok/s".into(),
        "request_throughput" => "requests/s".into(),
        "success_rate" => "success".into(),
        "failed_runs" => "failed".into(),
        "n" => "runs".into(),
        _ => key.to_owned(),
    }
}

fn short_latency(key: &str) -> Option<String> {
    let (statistic, family) = key.strip_suffix("_ms")?.split_once('_')?;
    let family = match family {
        "ttft" | "tpot" | "itl" => family.to_uppercase(),
        "e2el" => "E2E".into(),
        _ => return None,
    };
    let statistic = match statistic {
        "median" => "med".to_owned(),
        "mean" | "std" | "min" | "max" => statistic.to_owned(),
        percentile => format!("P{}", percentile.strip_prefix('p')?),
    };
    Some(format!("{family} {statistic}, ms"))
}

/// The latencies of which a request has one, and which a failed request therefore leaves unbounded.
pub const ADJUSTED_LATENCIES: [&str; 3] = ["ttft", "tpot", "e2el"];
/// The percentiles that are told with failed requests counted as unbounded, as AIPerf does.
pub const ADJUSTED_PERCENTILES: [u8; 4] = [50, 90, 95, 99];

/// The key under which a percentile is told with failed requests counted as unbounded: `adj_p99_e2el_ms` of `p99_e2el_ms`,
/// `adj_p50_ttft_ms` of `median_ttft_ms`.
pub fn adjusted(key: &str) -> Option<String> {
    let (percentile, latency) = match key.strip_prefix("median_") {
        Some(latency) => ("50", latency),
        None => key.strip_prefix('p')?.split_once('_')?,
    };
    let is_known = ADJUSTED_PERCENTILES.iter().any(|known| known.to_string() == percentile)
        && ADJUSTED_LATENCIES.iter().any(|known| latency.strip_suffix("_ms") == Some(known));
    is_known.then(|| format!("adj_p{percentile}_{latency}"))
}

/// The other name of a median, `p50_ttft_ms` of `median_ttft_ms` and the other way.
pub fn median_alias(key: &str) -> Option<String> {
    match (key.strip_prefix("median_"), key.strip_prefix("p50_")) {
        (Some(latency), _) => Some(format!("p50_{latency}")),
        (_, Some(latency)) => Some(format!("median_{latency}")),
        _ => None,
    }
}

/// What to know about a percentile of so few requests: below `1 / (1 - p)` of them it is the slowest request.
pub fn caution(key: &str, fewest_requests: f64) -> Option<String> {
    let percentile = percentile_of(key)?;
    let share_above = 1.0 - percentile.parse::<f64>().ok()? / 100.0;
    // 1 / 0.01 is a little more than 100.
    let needed = (1.0 / share_above - 1e-6).ceil();
    let is_few = fewest_requests < needed && Metric::of(key).is_some();
    is_few.then(|| {
        format!("P{percentile} is based on only {fewest_requests} requests in some runs: with fewer than {needed:.0}, it is just the slowest one.")
    })
}

/// The percentile in a key: `99.9` of `p99.9_ttft_ms` and of `adj_p99.9_ttft_ms`.
pub fn percentile_of(key: &str) -> Option<&str> {
    let percentile = key.strip_prefix("adj_").unwrap_or(key).strip_prefix('p')?.split_once('_')?.0;
    let is_one = |share: f64| (0.0..=100.0).contains(&share);
    percentile.parse::<f64>().is_ok_and(is_one).then_some(percentile)
}

fn named(key: &str) -> Option<Metric> {
    use Better::{Higher, Lower};
    let (label, unit, better) = match key {
        "request_throughput" => ("Request throughput", Some("req/s"), Higher),
        "request_goodput" => ("Request goodput", Some("req/s"), Higher),
        "output_throughput" => ("Output throughput", Some("tok/s"), Higher),
        "total_token_throughput" => ("Total token throughput", Some("tok/s"), Higher),
        "max_output_tokens_per_s" => ("Peak output throughput", Some("tok/s"), Higher),
        "tokens_per_user" => ("Output throughput per user", Some("tok/s/user"), Higher),
        "tokens_per_gpu" => ("Output throughput per GPU", Some("tok/s/GPU"), Higher),
        "duration" => ("Benchmark duration", Some("s"), Lower),
        "completed" => ("Completed requests", None, Higher),
        "failed" | "failed_requests" => ("Failed requests", None, Lower),
        "ttft_ms" => ("TTFT", Some("ms"), Lower),
        "tpot_ms" => ("TPOT", Some("ms"), Lower),
        "e2el_ms" => ("E2E latency", Some("ms"), Lower),
        "success_rate" => ("Success rate", Some("share"), Higher),
        "achieved_request_rate" => ("Achieved request rate", Some("req/s"), Higher),
        "usd_per_million_output_tokens" => ("Cost", Some("USD/M output tokens"), Lower),
        "usd_per_million_total_tokens" => ("Cost", Some("USD/M tokens"), Lower),
        "rtfx" => ("Inverse real-time factor", None, Higher),
        "startup_time_s" => ("Server start-up time", Some("s"), Lower),
        "avg_cold_startup_time" => ("Cold start-up time", Some("s"), Lower),
        "avg_warm_startup_time" => ("Warm start-up time", Some("s"), Lower),
        "avg_cold_compilation_time" => ("Cold compilation time", Some("s"), Lower),
        "avg_warm_compilation_time" => ("Warm compilation time", Some("s"), Lower),
        "spec_decode_acceptance_rate" => ("Speculative acceptance rate", Some("%"), Higher),
        "spec_decode_acceptance_length" => ("Speculative acceptance length", Some("tokens"), Higher),
        _ => return None,
    };
    Some(Metric { label: label.into(), unit, better })
}

fn latency(key: &str) -> Option<Metric> {
    let key = key.strip_suffix("_ms")?;
    let (key, is_adjusted) = key.strip_prefix("adj_").map_or((key, ""), |key| (key, ", failures included"));
    let (statistic, family) = key.split_once('_')?;
    let statistic = match statistic {
        "mean" => "Mean".to_owned(),
        "median" => "Median".to_owned(),
        "std" => "Std. dev. of".to_owned(),
        "min" => "Min".to_owned(),
        "max" => "Max".to_owned(),
        percentile => {
            let number = percentile.strip_prefix('p')?;
            number.parse::<f64>().ok()?;
            format!("P{number}")
        }
    };
    let family = match family {
        "ttft" => "TTFT",
        "tpot" => "TPOT",
        "itl" => "ITL",
        "e2el" => "E2E latency",
        "client_queue_time" => "client queue time",
        "e2el_including_client_queue" => "E2E latency with client queue",
        _ => return None,
    };
    Some(Metric { label: format!("{statistic} {family}{is_adjusted}"), unit: Some("ms"), better: Better::Lower })
}

/// `p99_e2el_ms_mean` of table `combinations`: a mean of P99s, which is not a P99.
fn mean_of_runs(key: &str) -> Option<Metric> {
    let inner = key.strip_suffix("_mean")?;
    let metric = named(inner).or_else(|| latency(inner))?;
    Some(Metric { label: format!("{}, mean of runs", metric.label), ..metric })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_labels_with_units() {
        assert_eq!(label("p99_e2el_ms"), "P99 E2E latency (ms)");
        assert_eq!(label("p99.9_ttft_ms"), "P99.9 TTFT (ms)");
        assert_eq!(label("p99_e2el_ms_mean"), "P99 E2E latency, mean of runs (ms)");
        assert_eq!(label("output_throughput"), "Output throughput (tok/s)");
        assert_eq!(label("request_rate"), "request_rate (req/s)");
        assert_eq!(label("max_concurrency"), "max_concurrency");
        assert_eq!(label("px_ttft_ms"), "px_ttft_ms");
        assert_eq!(short("median_ttft_ms_mean"), "TTFT med, ms");
        assert_eq!(short("p99_e2el_ms"), "E2E P99, ms");
        assert_eq!(short("output_throughput_mean"), "output, tok/s");
        assert_eq!(short("max_num_seqs"), "max_num_seqs");
    }

    #[test]
    fn percentiles_of_few_requests_are_marked() {
        let text = caution("p99_e2el_ms", 99.0).unwrap();
        assert_eq!(
            text,
            "P99 is based on only 99 requests in some runs: with fewer than 100, it is just the slowest one."
        );
        assert!(caution("p99.9_ttft_ms", 999.0).is_some() && caution("p90_itl_ms", 9.0).is_some());
        for (key, requests) in
            [("p99_e2el_ms", 100.0), ("p99.9_ttft_ms", 1000.0), ("p90_itl_ms", 10.0), ("mean_e2el_ms", 1.0)]
        {
            assert_eq!(caution(key, requests), None, "{key} of {requests}");
        }
    }

    #[test]
    fn percentiles_have_one_that_counts_failures_and_medians_two_names() {
        assert_eq!(adjusted("p99_e2el_ms").as_deref(), Some("adj_p99_e2el_ms"));
        assert_eq!(adjusted("median_ttft_ms").as_deref(), Some("adj_p50_ttft_ms"));
        for none in ["mean_e2el_ms", "p99_itl_ms", "p99.9_ttft_ms", "p_ttft_ms", "output_throughput"] {
            assert_eq!(adjusted(none), None, "{none}");
        }
        assert_eq!(label("adj_p99_e2el_ms"), "P99 E2E latency, failures included (ms)");
        assert_eq!(median_alias("p50_itl_ms").as_deref(), Some("median_itl_ms"));
        assert_eq!(median_alias("median_itl_ms").as_deref(), Some("p50_itl_ms"));
    }

    #[test]
    fn direction_is_known() {
        assert_eq!(Metric::of("median_ttft_ms").unwrap().better, Better::Lower);
        assert_eq!(Metric::of("request_goodput").unwrap().better, Better::Higher);
        assert_eq!(Metric::of("max_num_seqs"), None);
    }
}
