//! How a run goes, for whoever watches it.

use super::measurement::{FailureKind, Measurement};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Told by the workers as requests come and go.
pub struct Live {
    sent: AtomicUsize,
    done: AtomicUsize,
    failed: AtomicUsize,
    seen: Mutex<Seen>,
}

struct Seen {
    output_tokens: usize,
    /// In microseconds; nothing where there is no memory for it.
    ttft: Option<Histogram<u64>>,
    e2el: Option<Histogram<u64>>,
    failures: BTreeMap<FailureKind, usize>,
}

/// A look at it.
#[derive(Clone, Debug, Default)]
pub struct Glance {
    pub elapsed: Duration,
    pub sent: usize,
    pub done: usize,
    pub failed: usize,
    pub output_tokens: usize,
    /// Median and P99, ms.
    pub ttft_ms: Option<(f64, f64)>,
    pub e2el_ms: Option<(f64, f64)>,
    pub failures: Vec<(FailureKind, usize)>,
}

impl Glance {
    pub fn in_flight(&self) -> usize {
        self.sent.saturating_sub(self.done)
    }
}

/// To three digits.
const DIGITS: u8 = 3;

impl Default for Live {
    fn default() -> Self {
        let histogram = || Histogram::new(DIGITS).ok();
        let seen = Seen { output_tokens: 0, ttft: histogram(), e2el: histogram(), failures: BTreeMap::new() };
        Self {
            sent: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            seen: Mutex::new(seen),
        }
    }
}

impl Live {
    pub fn sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    pub fn ended(&self, measurement: &Measurement) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let put = |histogram: &mut Option<Histogram<u64>>, time: Duration| {
            if let Some(histogram) = histogram {
                histogram.saturating_record((time.as_micros() as u64).max(1));
            }
        };
        match &measurement.failure {
            Some(failure) => {
                *seen.failures.entry(failure.kind).or_default() += 1;
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
            None => {
                seen.output_tokens += measurement.output_tokens.unwrap_or(0);
                measurement.ttft.iter().for_each(|ttft| put(&mut seen.ttft, *ttft));
                put(&mut seen.e2el, measurement.latency);
            }
        }
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    pub fn failed(&self) -> usize {
        self.failed.load(Ordering::Relaxed)
    }

    pub fn glance(&self, elapsed: Duration) -> Glance {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let both = |histogram: &Option<Histogram<u64>>| {
            let histogram = histogram.as_ref().filter(|histogram| !histogram.is_empty())?;
            let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
            Some((at(0.5), at(0.99)))
        };
        Glance {
            elapsed,
            sent: self.sent.load(Ordering::Relaxed),
            done: self.done.load(Ordering::Relaxed),
            failed: self.failed(),
            output_tokens: seen.output_tokens,
            ttft_ms: both(&seen.ttft),
            e2el_ms: both(&seen.e2el),
            failures: seen.failures.iter().map(|(kind, count)| (*kind, *count)).collect(),
        }
    }
}
