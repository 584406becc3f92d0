//! What engines call their metrics, and the one set of names under which they are kept.
//!
//! Sources: vLLM's, SGLang's, TensorRT-LLM's, llama.cpp's and TGI's documentation of their `/metrics`, older spellings included.

use super::prometheus::{Line, lines};
use super::samples::{Reading, Source};
use std::collections::{BTreeMap, BTreeSet};

/// How the values that a server has for one metric, one for each reason or priority, become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Join {
    Sum,
    Most,
}

/// A metric, and what it is called by engines. Of several names the first that a server has is taken: newer ones stand first.
struct Name {
    metric: &'static str,
    join: Join,
    engines: &'static [&'static str],
}

const fn sum(metric: &'static str, engines: &'static [&'static str]) -> Name {
    Name { metric, join: Join::Sum, engines }
}

const fn most(metric: &'static str, engines: &'static [&'static str]) -> Name {
    Name { metric, join: Join::Most, engines }
}

static NAMES: [Name; 13] = [
    sum(
        "requests_running",
        &[
            "vllm:num_requests_running",
            "sglang:num_running_reqs",
            "trtllm_num_requests_running",
            "llamacpp:requests_processing",
            "tgi_batch_current_size",
        ],
    ),
    sum(
        "requests_waiting",
        &[
            "vllm:num_requests_waiting",
            "sglang:num_queue_reqs",
            "trtllm_num_requests_waiting",
            "llamacpp:requests_deferred",
            "tgi_queue_size",
        ],
    ),
    most(
        "kv_cache_usage",
        &[
            "vllm:kv_cache_usage_perc",
            "vllm:gpu_cache_usage_perc",
            "sglang:token_usage",
            "trtllm_kv_cache_utilization",
            "llamacpp:kv_cache_usage_ratio",
        ],
    ),
    sum("prefix_cache_queries", &["vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total"]),
    sum("prefix_cache_hits", &["vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"]),
    most("prefix_cache_hit_rate", &["sglang:cache_hit_rate", "trtllm_kv_cache_hit_rate"]),
    sum(
        "preemptions",
        &[
            "vllm:num_preemptions_total",
            "sglang:num_retracted_requests_total",
            "sglang:num_retracted_reqs_total",
            "sglang:num_retracted_reqs",
        ],
    ),
    sum(
        "requests_finished",
        &[
            "vllm:request_success_total",
            "sglang:num_requests_total",
            "trtllm_request_success_total",
            "tgi_request_success",
        ],
    ),
    sum(
        "prompt_tokens",
        &[
            "vllm:prompt_tokens_total",
            "sglang:prompt_tokens_total",
            "llamacpp:prompt_tokens_total",
            "tgi_request_input_length_sum",
        ],
    ),
    sum(
        "generation_tokens",
        &[
            "vllm:generation_tokens_total",
            "sglang:generation_tokens_total",
            "llamacpp:tokens_predicted_total",
            "tgi_request_generated_tokens_sum",
        ],
    ),
    sum("spec_decode_draft_tokens", &["vllm:spec_decode_num_draft_tokens_total"]),
    sum("spec_decode_accepted_tokens", &["vllm:spec_decode_num_accepted_tokens_total"]),
    most("spec_decode_accept_length", &["sglang:spec_accept_length"]),
];

/// Histograms, of which sum and count are kept: means over any part of a run follow from them.
static HISTOGRAMS: [(&str, &[&str]); 4] = [
    (
        "ttft_s",
        &[
            "vllm:time_to_first_token_seconds",
            "sglang:time_to_first_token_seconds",
            "trtllm_time_to_first_token_seconds",
        ],
    ),
    (
        "itl_s",
        &[
            "vllm:inter_token_latency_seconds",
            "vllm:time_per_output_token_seconds",
            "sglang:inter_token_latency_seconds",
            "sglang:time_per_output_token_seconds",
            "trtllm_time_per_output_token_seconds",
        ],
    ),
    (
        "queue_time_s",
        &[
            "vllm:request_queue_time_seconds",
            "sglang:queue_time_seconds",
            "trtllm_request_queue_time_seconds",
            "tgi_request_queue_duration",
        ],
    ),
    (
        "e2el_s",
        &[
            "vllm:e2e_request_latency_seconds",
            "sglang:e2e_request_latency_seconds",
            "trtllm_e2e_request_latency_seconds",
            "tgi_request_duration",
        ],
    ),
];

/// What of a server's metrics is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kept {
    /// What has a name of ours.
    #[default]
    Known,
    /// The others too, under their own names.
    All,
}

/// What a server's metrics say.
pub fn from_engine(text: &str, kept: Kept) -> Vec<Reading> {
    let lines: Vec<Line<'_>> = lines(text).collect();
    let mut readings = Vec::new();
    let mut used: Vec<&str> = Vec::new();
    for Name { metric, join, engines } in &NAMES {
        let Some(name) = engines.iter().find(|name| lines.iter().any(|line| line.name == **name)) else { continue };
        used.push(name);
        let of_name: Vec<_> = lines.iter().filter(|line| line.name == *name).collect();
        readings.extend(joined(metric, *join, &of_name));
    }
    for (metric, engines) in &HISTOGRAMS {
        for part in ["sum", "count"] {
            let is_of = |line: &Line<'_>, name: &str| {
                line.name.strip_prefix(name).and_then(|rest| rest.strip_prefix('_')) == Some(part)
            };
            let Some(name) = engines.iter().find(|name| lines.iter().any(|line| is_of(line, name))) else { continue };
            let of_name: Vec<_> = lines.iter().filter(|line| is_of(line, name)).collect();
            used.extend(of_name.first().map(|line| line.name));
            readings.extend(joined(&format!("{metric}_{part}"), Join::Sum, &of_name));
        }
    }
    if kept == Kept::All {
        // The buckets of histograms are thousands of series; their sums and counts are kept.
        let others = lines.iter().filter(|line| !used.contains(&line.name) && !line.name.ends_with("_bucket"));
        let models: BTreeSet<&str> = lines.iter().filter_map(|line| line.label(MODEL)).collect();
        // A server of one model need not say of each value which one it is.
        let left_out: &[&str] = if models.len() > 1 { &ENGINES } else { &[ENGINES[0], ENGINES[1], MODEL] };
        readings.extend(
            others.map(|line| Reading::new(Source::Server, engine_of(line), &own_name(line, left_out), line.value)),
        );
    }
    readings
}

/// The total of a metric over the engines of a server.
pub fn total(readings: &[Reading], metric: &str) -> Option<f64> {
    let of_metric = readings.iter().filter(|reading| &*reading.series.metric == metric);
    of_metric.fold(None, |sum, reading| Some(sum.unwrap_or(0.0) + reading.value))
}

/// A value for each engine.
fn joined(metric: &str, join: Join, lines: &[&Line<'_>]) -> Vec<Reading> {
    let mut by_engine: BTreeMap<Option<&str>, f64> = BTreeMap::new();
    for line in lines {
        let value = by_engine.entry(engine_of(line)).or_insert(if join == Join::Sum { 0.0 } else { f64::NEG_INFINITY });
        *value = match join {
            Join::Sum => *value + line.value,
            Join::Most => value.max(line.value),
        };
    }
    by_engine.into_iter().map(|(engine, value)| Reading::new(Source::Server, engine, metric, value)).collect()
}

/// Labels that tell engines and models apart.
const ENGINES: [&str; 2] = ["engine", "dp_rank"];
const MODEL: &str = "model_name";

fn engine_of<'a>(line: &Line<'a>) -> Option<&'a str> {
    ENGINES.into_iter().find_map(|label| line.label(label))
}

/// Its name with the labels that tell it from others of that name.
fn own_name(line: &Line<'_>, left_out: &[&str]) -> String {
    let labels: Vec<String> = line
        .labels()
        .filter(|(name, _)| !left_out.contains(name))
        .map(|(name, value)| format!("{name}=\"{value}\""))
        .collect();
    match labels.is_empty() {
        true => line.name.to_owned(),
        false => format!("{}{{{}}}", line.name, labels.join(",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(text: &str) -> Vec<(Option<String>, String, f64)> {
        let readings = from_engine(text, Kept::Known);
        let of = |reading: Reading| {
            (reading.series.device.map(|text| text.to_string()), reading.series.metric.to_string(), reading.value)
        };
        readings.into_iter().map(of).collect()
    }

    #[test]
    fn engines_are_kept_apart_and_reasons_are_summed() {
        let text = "vllm:request_success_total{engine=\"0\",finished_reason=\"stop\"} 3\n\
            vllm:request_success_total{engine=\"0\",finished_reason=\"length\"} 4\n\
            vllm:request_success_total{engine=\"1\",finished_reason=\"stop\"} 5\n\
            vllm:time_to_first_token_seconds_bucket{engine=\"0\",le=\"0.1\"} 9\n\
            vllm:time_to_first_token_seconds_sum{engine=\"0\"} 1.5\nvllm:time_to_first_token_seconds_count{engine=\"0\"} 9\n";
        let finished = |engine: &str, value| (Some(engine.to_owned()), "requests_finished".to_owned(), value);
        let ttft = |part: &str, value| (Some("0".to_owned()), format!("ttft_s_{part}"), value);
        assert_eq!(known(text), [finished("0", 7.0), finished("1", 5.0), ttft("sum", 1.5), ttft("count", 9.0)]);
        assert_eq!(total(&from_engine(text, Kept::Known), "requests_finished"), Some(12.0));
        assert_eq!(total(&from_engine(text, Kept::Known), "preemptions"), None);
    }

    #[test]
    fn every_engine_has_the_same_names() {
        for (text, metric, value) in [
            ("sglang:num_running_reqs{model_name=\"m\"} 2\n", "requests_running", 2.0),
            ("trtllm_kv_cache_utilization{model_name=\"m\"} 0.62\n", "kv_cache_usage", 0.62),
            ("llamacpp:requests_deferred 46\n", "requests_waiting", 46.0),
            ("tgi_queue_size 3\n", "requests_waiting", 3.0),
            // Both spellings, as in a version that has just renamed it.
            ("vllm:kv_cache_usage_perc 0.5\nvllm:gpu_cache_usage_perc 0.4\n", "kv_cache_usage", 0.5),
        ] {
            assert_eq!(known(text), [(None, metric.to_owned(), value)], "{text}");
        }
    }

    #[test]
    fn the_others_are_kept_under_their_own_names_if_asked_for() {
        let text = "a_total{engine=\"0\",kind=\"x\"} 1\na_total{engine=\"0\",kind=\"y\"} 2\nb_bucket{le=\"1\"} 3\nvllm:num_requests_running 4\n";
        let names: Vec<String> =
            from_engine(text, Kept::All).iter().map(|reading| reading.series.metric.to_string()).collect();
        assert_eq!(names, ["requests_running", "a_total{kind=\"x\"}", "a_total{kind=\"y\"}"]);
        assert!(known("a_total 1\n").is_empty());
        // Two models are two series.
        let text = "a{model_name=\"x\"} 1\na{model_name=\"y\"} 2\n";
        let names: Vec<String> =
            from_engine(text, Kept::All).iter().map(|reading| reading.series.metric.to_string()).collect();
        assert_eq!(names, ["a{model_name=\"x\"}", "a{model_name=\"y\"}"]);
    }
}
