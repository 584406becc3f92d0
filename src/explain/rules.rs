//! The rules: what they look at, from where on they apply, and what to do then.

use super::facts::Facts;
use crate::stats::median;

/// One explanation that a run may have.
pub struct Rule {
    pub name: &'static str,
    pub judge: fn(&Facts) -> Verdict,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Applies(Finding),
    Not,
    /// It can't be told without this.
    Unknown(&'static str),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was measured.
    pub evidence: String,
    /// What to do.
    pub advice: &'static str,
}

pub static RULES: [Rule; 7] = [
    Rule { name: "client-bound", judge: client_bound },
    Rule { name: "KV-bound", judge: kv_bound },
    Rule { name: "queue-bound", judge: queue_bound },
    Rule { name: "prefill-bound", judge: prefill_bound },
    Rule { name: "clock-limited", judge: clock_limited },
    Rule { name: "cold cache", judge: cold_cache },
    Rule { name: "warm-up inside the measurement", judge: warm_up },
];

/// From this share of the time to the first token on, waiting is what makes it long.
const QUEUED: f64 = 0.3;
/// A cache this full has no room for another sequence.
const FULL: f64 = 0.95;
/// From this share of the latency on, reading the prompts is what takes the time.
const PREFILL: f64 = 0.5;
/// Clocks that are held down for a smaller share of a run hardly matter.
const THROTTLED: f64 = 0.1;
/// So much of the prompts was found in the cache by the repeats, and not by this run.
const COLDER: f64 = 0.1;
/// The first requests took so much longer for a token; runs without warm-up stay below the second.
const SLOW_START: f64 = 1.3;
const EVEN: f64 = 1.15;
/// From this share of the time to the first token on, a late client shows in it.
const LATE: f64 = 0.1;

fn applies(evidence: String, advice: &'static str) -> Verdict {
    Verdict::Applies(Finding { evidence, advice })
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn client_bound(facts: &Facts) -> Verdict {
    const ADVICE: &str =
        "Run the client on cores of its own or on another machine, use a faster client, or lower the load.";
    let told = [
        facts.number("client_cores").map(|cores| format!("it kept {cores:.1} cores busy")),
        facts
            .number("client_cpu_share")
            .map(|share| format!("its busiest thread was busy for {} of the time", percent(share))),
        facts
            .number("p99_client_delay_ms")
            .map(|delay| format!("it came to what was due up to {delay:.2} ms late (P99)")),
        facts.number("client_share_of_ttft").map(|share| format!("its own delay was {} of the TTFT", percent(share))),
    ];
    let told: Vec<String> = told.into_iter().flatten().collect();
    match facts.text("client_bound").as_deref() {
        Some("yes") => return applies(format!("the client says so itself: {}", told.join(", ")), ADVICE),
        Some("no") => return Verdict::Not,
        _ => {}
    }
    let (lag, ttft) = (facts.number("p99_send_lag_ms"), facts.number("median_ttft_ms"));
    match (lag, ttft) {
        (Some(lag), Some(ttft)) if lag > LATE * ttft => applies(
            format!("requests were sent up to {lag:.1} ms late (P99), with a median TTFT of {ttft:.1} ms"),
            ADVICE,
        ),
        (Some(_), Some(_)) => Verdict::Not,
        _ => Verdict::Unknown("client_bound, or p99_send_lag_ms"),
    }
}

fn kv_bound(facts: &Facts) -> Verdict {
    const ADVICE: &str = "Give the KV cache more room (gpu_memory_utilization, tensor_parallel_size, kv_cache_dtype fp8, a smaller max_model_len), or admit fewer \
        sequences (max_num_seqs).";
    let (used, preempted) = (facts.number("kv_cache_usage_max"), facts.number("preemptions"));
    let preempted_text = || preempted.filter(|count| *count > 0.0).map(|count| format!("{count:.0} preemptions"));
    let used_text = || used.map(|used| format!("the KV cache was up to {} full", percent(used)));
    let is_full = used.is_some_and(|used| used >= FULL);
    match (used, preempted) {
        (None, None) => Verdict::Unknown("kv_cache_usage_max and preemptions"),
        _ if is_full || preempted.is_some_and(|count| count > 0.0) => {
            let parts: Vec<String> = preempted_text().into_iter().chain(used_text()).collect();
            applies(parts.join("; "), ADVICE)
        }
        _ => Verdict::Not,
    }
}

fn queue_bound(facts: &Facts) -> Verdict {
    let (Some(queued), Some(ttft)) = (facts.number("queue_time_ms_mean"), facts.number("server_ttft_ms_mean")) else {
        return Verdict::Unknown("queue_time_ms_mean and server_ttft_ms_mean");
    };
    // A queue in front of a full cache is the cache's.
    let is_caches = matches!(kv_bound(facts), Verdict::Applies(_));
    // A request also waits for the step that is under way.
    let is_empty = facts.number("queue_max").is_some_and(|most| most < 1.0);
    if is_caches || is_empty || queued < QUEUED * ttft {
        return Verdict::Not;
    }
    let waiting = facts.number("queue_max").map(|most| format!("up to {most:.0} requests waited in the server; "));
    let used = facts.number("kv_cache_usage_max");
    let used = used.map(|used| format!("; the KV cache was at most {} full", percent(used)));
    let evidence = format!(
        "{}a request waited {queued:.1} ms on average, {} of the time to its first token{}",
        waiting.unwrap_or_default(),
        percent(queued / ttft),
        used.unwrap_or_default()
    );
    applies(
        evidence,
        "Admit more sequences at once (max_num_seqs), add replicas (data_parallel_size), or lower the load.",
    )
}

fn prefill_bound(facts: &Facts) -> Verdict {
    let known = ["server_ttft_ms_mean", "queue_time_ms_mean", "mean_e2el_ms"].map(|name| facts.number(name));
    let [Some(ttft), Some(queued), Some(e2el)] = known else {
        return Verdict::Unknown("server_ttft_ms_mean, queue_time_ms_mean and mean_e2el_ms");
    };
    let prefill = ttft - queued;
    if e2el <= 0.0 || prefill < PREFILL * e2el {
        return Verdict::Not;
    }
    let evidence = format!(
        "reading a prompt took {prefill:.1} ms on average, {} of the whole latency of {e2el:.1} ms",
        percent(prefill / e2el)
    );
    applies(
        evidence,
        "Raise max_num_batched_tokens or tensor_parallel_size, reuse prompts (enable_prefix_caching), or run prefill and decode apart.",
    )
}

fn clock_limited(facts: &Facts) -> Verdict {
    let Some(held) = facts.number("gpu_throttled_s") else { return Verdict::Unknown("gpu_throttled_s") };
    let Some(duration) = facts.number("duration").filter(|duration| *duration > 0.0) else {
        return Verdict::Unknown("duration");
    };
    if held < THROTTLED * duration {
        return Verdict::Not;
    }
    let by = facts.throttled_by.iter().map(|(metric, share)| {
        let what = metric.strip_prefix("throttled_by_").unwrap_or(metric);
        format!("{what} in {} of the samples", percent(*share))
    });
    let by: Vec<String> = by.collect();
    let by = if by.is_empty() { String::new() } else { format!(" ({})", by.join(", ")) };
    let clock = facts.number("gpu_clock_mhz_min").map(|clock| format!("; the SM clock fell to {clock:.0} MHz"));
    applies(
        format!("the clocks were held down for {held:.1} s of {duration:.1} s{by}{}", clock.unwrap_or_default()),
        "Check the power limit and the cooling; compare only runs that were held down alike.",
    )
}

fn cold_cache(facts: &Facts) -> Verdict {
    let Some(own) = facts.number("prefix_cache_hit_rate") else { return Verdict::Unknown("prefix_cache_hit_rate") };
    let others: Vec<f64> = facts.siblings.iter().filter_map(|sibling| sibling.prefix_cache_hit_rate).collect();
    if others.is_empty() {
        return Verdict::Unknown("a repeat to compare its prefix_cache_hit_rate with");
    }
    let usual = median(&others);
    if usual - own < COLDER {
        return Verdict::Not;
    }
    applies(
        format!("{} of its prompt tokens came from the prefix cache; {} in its repeats", percent(own), percent(usual)),
        "Reset the caches between runs, or warm them up before each.",
    )
}

fn warm_up(facts: &Facts) -> Verdict {
    let Some(ratio) = facts.slow_start() else { return Verdict::Unknown("tpot_ms of its requests") };
    let is_first = facts.number("run_order").is_none_or(|order| order == 0.0);
    let others: Vec<f64> = facts.siblings.iter().filter_map(|sibling| sibling.slow_start).collect();
    let is_usual = !others.is_empty() && median(&others) > EVEN;
    if ratio < SLOW_START || !is_first || is_usual {
        return Verdict::Not;
    }
    let (early, late) = (facts.early_tpot_ms.unwrap_or_default(), facts.late_tpot_ms.unwrap_or_default());
    let repeats = if others.is_empty() { "" } else { "; its repeats show nothing of it" };
    applies(
        format!(
            "the first requests on the new server took {early:.1} ms for a token, the later half {late:.1} ms: {ratio:.1} times less{repeats}"
        ),
        "Warm each server up before it is measured, or leave the first run out.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::facts::Sibling;
    use crate::query::Value;

    fn facts(values: &[(&str, f64)]) -> Facts {
        Facts::of(values.iter().map(|(name, value)| ((*name).to_owned(), Value::Float(*value))).collect())
    }

    fn is_applied(rule: fn(&Facts) -> Verdict, facts: &Facts) -> bool {
        matches!(rule(facts), Verdict::Applies(_))
    }

    #[test]
    fn what_is_not_known_is_not_judged() {
        for rule in &RULES {
            assert!(matches!((rule.judge)(&Facts::default()), Verdict::Unknown(_)), "{}", rule.name);
        }
    }

    #[test]
    fn a_queue_is_the_caches_where_the_cache_is_full() {
        let waiting = [("queue_time_ms_mean", 400.0), ("server_ttft_ms_mean", 500.0), ("queue_max", 56.0)];
        let roomy = facts(&[&waiting[..], &[("kv_cache_usage_max", 0.12), ("preemptions", 0.0)]].concat());
        assert!(is_applied(queue_bound, &roomy) && !is_applied(kv_bound, &roomy));
        let Verdict::Applies(finding) = queue_bound(&roomy) else { panic!("it applies") };
        assert_eq!(
            finding.evidence,
            "up to 56 requests waited in the server; a request waited 400.0 ms on average, 80 % of the time to its first token; \
             the KV cache was at most 12 % full"
        );
        let full = facts(&[&waiting[..], &[("kv_cache_usage_max", 0.99)]].concat());
        assert!(!is_applied(queue_bound, &full) && is_applied(kv_bound, &full));
        let short = facts(&[("queue_time_ms_mean", 10.0), ("server_ttft_ms_mean", 500.0)]);
        assert_eq!(queue_bound(&short), Verdict::Not);
        // What waits is not read yet.
        assert_eq!(prefill_bound(&facts(&[&waiting[..], &[("mean_e2el_ms", 600.0)]].concat())), Verdict::Not);
    }

    #[test]
    fn a_cold_run_is_told_by_its_repeats() {
        let sibling = |hits: f64| Sibling { prefix_cache_hit_rate: Some(hits), slow_start: None };
        let cold = Facts { siblings: vec![sibling(0.6), sibling(0.62)], ..facts(&[("prefix_cache_hit_rate", 0.02)]) };
        assert!(is_applied(cold_cache, &cold));
        let alike = Facts { siblings: vec![sibling(0.05)], ..facts(&[("prefix_cache_hit_rate", 0.02)]) };
        assert_eq!(cold_cache(&alike), Verdict::Not);
    }

    #[test]
    fn a_slow_start_is_a_warm_up_only_on_a_new_server_and_not_in_every_run() {
        let run = |order: f64, others: &[f64]| Facts {
            early_tpot_ms: Some(20.0),
            late_tpot_ms: Some(10.0),
            siblings: others.iter().map(|slow| Sibling { slow_start: Some(*slow), ..Sibling::default() }).collect(),
            ..facts(&[("run_order", order)])
        };
        assert!(is_applied(warm_up, &run(0.0, &[1.0, 1.05])) && is_applied(warm_up, &run(0.0, &[])));
        assert_eq!(warm_up(&run(1.0, &[1.0])), Verdict::Not);
        assert_eq!(warm_up(&run(0.0, &[1.9, 2.0])), Verdict::Not, "the load is like that");
    }

    #[test]
    fn clocks_matter_where_they_were_held_down_for_long() {
        let held = facts(&[("gpu_throttled_s", 6.0), ("duration", 20.0), ("gpu_clock_mhz_min", 990.0)]);
        let held = Facts { throttled_by: vec![("throttled_by_power".into(), 0.3)], ..held };
        let Verdict::Applies(finding) = clock_limited(&held) else { panic!("it applies") };
        assert_eq!(
            finding.evidence,
            "the clocks were held down for 6.0 s of 20.0 s (power in 30 % of the samples); the SM clock fell to 990 MHz"
        );
        assert_eq!(clock_limited(&facts(&[("gpu_throttled_s", 1.0), ("duration", 20.0)])), Verdict::Not);
    }
}
