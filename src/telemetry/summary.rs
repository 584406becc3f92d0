//! What the samples of a run come to.

use super::samples::{Samples, Source};

const GIB: f64 = 1_073_741_824.0;

/// The part of a run in which the server had work, in seconds since its start: a client that takes its time to start, or to end, is
/// no part of what the server cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    pub from: f64,
    pub until: f64,
}

/// Metrics of a server that change only while it works.
const WORK: [&str; 2] = ["generation_tokens", "prompt_tokens"];

impl Window {
    /// From the sample before the first that shows work to the last that does; the whole run where the server reports neither
    /// tokens nor requests.
    pub fn of(samples: &Samples) -> Option<Self> {
        let times = || samples.iter().map(|(_, at_s, _)| at_s);
        let whole = Self { from: times().reduce(f64::min)?, until: times().reduce(f64::max)? };
        let worked = WORK.into_iter().filter_map(|metric| {
            let values = total_over_time(samples, metric);
            let moved: Vec<_> = values.windows(2).filter(|pair| pair[1].1 > pair[0].1).collect();
            Some(Self { from: moved.first()?[0].0, until: moved.last()?[1].0 })
        });
        let busy = || {
            let values = total_over_time(samples, "requests_running");
            let first = values.iter().position(|(_, running)| *running > 0.0)?;
            let last = values.iter().rposition(|(_, running)| *running > 0.0)?;
            let after = values.get(last + 1).unwrap_or(&values[last]);
            Some(Self { from: values[first.saturating_sub(1)].0, until: after.0 })
        };
        let joined =
            |left: Self, right: Self| Self { from: left.from.min(right.from), until: left.until.max(right.until) };
        // Some engines count tokens only when a request ends.
        let found = worked.chain(busy()).reduce(joined).unwrap_or(whole);
        // Where the server fell silent, it may have worked until the end.
        Some(if samples.is_complete { found } else { Self { until: whole.until, ..found } })
    }

    fn has(&self, at_s: f64) -> bool {
        self.from <= at_s && at_s <= self.until
    }
}

/// The columns of a run that follow from its samples; nothing of what is not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Of the server's GPUs together.
    pub gpu_power_w_mean: Option<f64>,
    pub gpu_energy_j: Option<f64>,
    /// The most that one of them held.
    pub gpu_memory_peak_gib: Option<f64>,
    pub gpu_utilization_mean: Option<f64>,
    pub gpu_clock_mhz_min: Option<f64>,
    pub gpu_throttled_s: Option<f64>,
    pub kv_cache_usage_max: Option<f64>,
    pub queue_max: Option<f64>,
    pub queue_time_ms_mean: Option<f64>,
    pub server_ttft_ms_mean: Option<f64>,
    pub server_itl_ms_mean: Option<f64>,
    pub draft_acceptance_rate: Option<f64>,
}

impl Summary {
    pub fn of(samples: &Samples) -> Self {
        let Some(window) = Window::of(samples) else { return Self::default() };
        let gpus = Gpus { samples, window };
        let most = |metric: &str| highest(total_over_time(samples, metric).into_iter().map(|(_, value)| value));
        let kv_cache = samples.over_time(Source::Server, "kv_cache_usage");
        let ratio = |above: &str, below: &str| {
            let below = grown(&total_over_time(samples, below)).filter(|below| *below > 0.0)?;
            Some(grown(&total_over_time(samples, above))? / below)
        };
        let mean_ms = |name: &str| ratio(&format!("{name}_sum"), &format!("{name}_count")).map(|seconds| seconds * 1e3);
        Self {
            gpu_power_w_mean: gpus.sum_of("power_w", mean_over_time),
            gpu_energy_j: gpus.sum_of("energy_j", grown),
            gpu_memory_peak_gib: highest(gpus.each("memory_used_bytes", peak)).map(|bytes| bytes / GIB),
            gpu_utilization_mean: gpus.mean_of("utilization", mean_over_time),
            gpu_clock_mhz_min: gpus.each("sm_clock_mhz", trough_at_work).into_iter().reduce(f64::min),
            gpu_throttled_s: highest(gpus.each("throttled", |values| Some(held(values)))),
            kv_cache_usage_max: highest(kv_cache.iter().filter_map(|course| peak(&course.values))),
            queue_max: most("requests_waiting"),
            queue_time_ms_mean: mean_ms("queue_time_s"),
            server_ttft_ms_mean: mean_ms("ttft_s"),
            server_itl_ms_mean: mean_ms("itl_s"),
            draft_acceptance_rate: ratio("spec_decode_accepted_tokens", "spec_decode_draft_tokens"),
        }
    }

    /// By the names of their columns.
    pub fn columns(&self) -> [(&'static str, Option<f64>); 12] {
        [
            ("gpu_power_w_mean", self.gpu_power_w_mean),
            ("gpu_energy_j", self.gpu_energy_j),
            ("gpu_memory_peak_gib", self.gpu_memory_peak_gib),
            ("gpu_utilization_mean", self.gpu_utilization_mean),
            ("gpu_clock_mhz_min", self.gpu_clock_mhz_min),
            ("gpu_throttled_s", self.gpu_throttled_s),
            ("kv_cache_usage_max", self.kv_cache_usage_max),
            ("queue_max", self.queue_max),
            ("queue_time_ms_mean", self.queue_time_ms_mean),
            ("server_ttft_ms_mean", self.server_ttft_ms_mean),
            ("server_itl_ms_mean", self.server_itl_ms_mean),
            ("draft_acceptance_rate", self.draft_acceptance_rate),
        ]
    }
}

/// The GPUs of the server while it worked.
struct Gpus<'a> {
    samples: &'a Samples,
    window: Window,
}

impl Gpus<'_> {
    /// Of each GPU that is the server's: those on which its processes were seen, or the only one of the machine.
    fn each(&self, metric: &str, of: impl Fn(&[(f64, f64)]) -> Option<f64>) -> Vec<f64> {
        let devices = self.samples.over_time(Source::Gpu, metric);
        let is_only = !self.samples.is_remote && self.samples.devices(Source::Gpu) == 1;
        let is_theirs = |device: Option<&str>| match &self.samples.server_gpus {
            Some(gpus) => gpus.iter().any(|gpu| Some(gpu.as_str()) == device),
            None => is_only,
        };
        let theirs = devices.into_iter().filter(|course| is_theirs(course.device));
        let values = theirs.filter_map(|course| {
            let inside: Vec<_> = course.values.into_iter().filter(|(at_s, _)| self.window.has(*at_s)).collect();
            of(&inside)
        });
        values.collect()
    }

    fn sum_of(&self, metric: &str, of: impl Fn(&[(f64, f64)]) -> Option<f64>) -> Option<f64> {
        self.each(metric, of).into_iter().reduce(|sum, value| sum + value)
    }

    fn mean_of(&self, metric: &str, of: impl Fn(&[(f64, f64)]) -> Option<f64>) -> Option<f64> {
        let values = self.each(metric, of);
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }
}

/// A metric of the server over time, summed over its engines.
fn total_over_time(samples: &Samples, metric: &str) -> Vec<(f64, f64)> {
    let mut total: Vec<(f64, f64)> = Vec::new();
    let engines = samples.over_time(Source::Server, metric);
    let count = engines.len();
    let mut values: Vec<(f64, f64)> = engines.into_iter().flat_map(|course| course.values).collect();
    values.sort_by(|left, right| left.0.total_cmp(&right.0));
    for at_one_time in values.chunk_by(|left, right| left.0 == right.0) {
        // A moment at which an engine did not answer has no total.
        if at_one_time.len() == count {
            total.push((at_one_time[0].0, at_one_time.iter().map(|(_, value)| value).sum()));
        }
    }
    total
}

/// How far a counter went; a counter that went back began anew, and what it counted before is not known.
fn grown(values: &[(f64, f64)]) -> Option<f64> {
    let [first, .., last] = values else { return None };
    values.is_sorted_by(|left, right| left.1 <= right.1).then_some(last.1 - first.1)
}

/// The mean over time, by trapezoids.
fn mean_over_time(values: &[(f64, f64)]) -> Option<f64> {
    let area: f64 = values.windows(2).map(|pair| (pair[1].0 - pair[0].0) * (pair[0].1 + pair[1].1) / 2.0).sum();
    match values {
        [] => None,
        [only] => Some(only.1),
        [first, .., last] => Some(area / (last.0 - first.0)).filter(|mean| mean.is_finite()),
    }
}

/// How long something that is 0 or 1 was 1: from each sample to the next it is what the first one says.
fn held(values: &[(f64, f64)]) -> f64 {
    values.windows(2).map(|pair| pair[0].1 * (pair[1].0 - pair[0].0)).sum()
}

fn peak(values: &[(f64, f64)]) -> Option<f64> {
    highest(values.iter().map(|(_, value)| *value))
}

/// The lowest value but for the first, which is of before the work.
fn trough_at_work(values: &[(f64, f64)]) -> Option<f64> {
    let at_work = if values.len() > 1 { &values[1..] } else { values };
    at_work.iter().map(|(_, value)| *value).reduce(f64::min)
}

fn highest(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    values.into_iter().reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Reading;
    use proptest::prelude::*;

    fn add(samples: &mut Samples, source: Source, device: Option<&str>, metric: &str, values: &[f64]) {
        for (at_s, value) in values.iter().enumerate() {
            samples.push(at_s as f64, Reading::new(source, device, metric, *value));
        }
    }

    /// Ten seconds; the server works from the second to the sixth, on GPU 1 of two.
    fn run() -> Samples {
        let mut samples = Samples::default();
        (samples.server_gpus, samples.is_complete) = (Some(vec!["1".into()]), true);
        add(
            &mut samples,
            Source::Server,
            Some("0"),
            "generation_tokens",
            &[5., 5., 5., 15., 25., 35., 45., 45., 45., 45.],
        );
        add(&mut samples, Source::Server, Some("1"), "generation_tokens", &[0., 0., 0., 0., 0., 0., 0., 0., 0., 0.]);
        add(&mut samples, Source::Gpu, Some("1"), "power_w", &[50., 50., 100., 300., 300., 300., 300., 50., 50., 50.]);
        add(&mut samples, Source::Gpu, Some("0"), "power_w", &[70.; 10]);
        let energy: Vec<f64> = [0., 50., 150., 450., 750., 1050., 1350., 1400., 1450., 1500.].to_vec();
        add(&mut samples, Source::Gpu, Some("1"), "energy_j", &energy);
        add(&mut samples, Source::Gpu, Some("0"), "energy_j", &energy);
        add(&mut samples, Source::Gpu, Some("1"), "throttled", &[1., 1., 0., 0., 1., 1., 0., 0., 1., 1.]);
        samples
    }

    #[test]
    fn what_a_run_cost_is_that_of_the_servers_gpus_while_it_worked() {
        let samples = run();
        assert_eq!(Window::of(&samples), Some(Window { from: 2.0, until: 6.0 }));
        let summary = Summary::of(&samples);
        assert_eq!(summary.gpu_power_w_mean, Some((200.0 + 3.0 * 300.0) / 4.0));
        assert_eq!((summary.gpu_energy_j, summary.gpu_throttled_s), (Some(1200.0), Some(2.0)));
    }

    #[test]
    fn a_server_that_falls_silent_may_have_worked_until_the_end() {
        let mut samples = run();
        samples.is_complete = false;
        assert_eq!(Window::of(&samples), Some(Window { from: 2.0, until: 9.0 }));
        assert_eq!(Summary::of(&samples).gpu_energy_j, Some(1350.0));
    }

    #[test]
    fn of_several_gpus_none_is_the_servers_unless_it_is_known() {
        let mut samples = run();
        samples.server_gpus = None;
        let unknown = Summary::of(&samples);
        assert_eq!((unknown.gpu_power_w_mean, unknown.gpu_energy_j), (None, None));
        let mut only = Samples::default();
        only.is_complete = true;
        add(&mut only, Source::Gpu, Some("0"), "power_w", &[100., 300.]);
        assert_eq!(Summary::of(&only).gpu_power_w_mean, Some(200.0));
        // A GPU of the machine from which a server elsewhere is measured is not the server's.
        only.is_remote = true;
        assert_eq!(Summary::of(&only).gpu_power_w_mean, None);
        // Of two GPUs only one has an energy counter: that does not make it the server's.
        let mut two = Samples::default();
        add(&mut two, Source::Gpu, Some("0"), "energy_j", &[1., 2.]);
        add(&mut two, Source::Gpu, Some("1"), "power_w", &[1., 2.]);
        assert_eq!(Summary::of(&two).gpu_energy_j, None);
    }

    #[test]
    fn means_of_the_engine_follow_from_its_sums_and_counts() {
        let mut samples = Samples::default();
        add(&mut samples, Source::Server, Some("0"), "ttft_s_sum", &[10., 10.5, 11.]);
        add(&mut samples, Source::Server, Some("0"), "ttft_s_count", &[100., 105., 110.]);
        add(&mut samples, Source::Server, Some("0"), "queue_time_s_sum", &[3., 1., 2.]);
        add(&mut samples, Source::Server, Some("0"), "queue_time_s_count", &[5., 1., 2.]);
        let summary = Summary::of(&samples);
        assert_eq!(summary.server_ttft_ms_mean.map(f64::round), Some(100.0));
        assert_eq!(summary.queue_time_ms_mean, None, "the counter began anew");
    }

    proptest! {
        #[test]
        fn whatever_is_sampled_a_mean_lies_between_its_values(values in prop::collection::vec((0.0..100.0f64, 1.0..500.0f64), 1..30)) {
            let mut samples = Samples::default();
            let mut values = values;
            values.sort_by(|left, right| left.0.total_cmp(&right.0));
            for (at_s, value) in &values {
                samples.push(*at_s, Reading::new(Source::Gpu, Some("0"), "power_w", *value));
            }
            let low = values.iter().map(|(_, value)| *value).fold(f64::INFINITY, f64::min);
            let high = peak(&values).unwrap();
            if let Some(mean) = Summary::of(&samples).gpu_power_w_mean {
                prop_assert!(low - 1e-6 <= mean && mean <= high + 1e-6);
            }
        }
    }
}
