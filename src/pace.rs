//! Waiting until an instant to some ten microseconds: tokio's own timers tick in milliseconds.

use crate::os::Timer;
use nix::time::{ClockId, clock_gettime};
use std::io;
use std::time::{Duration, Instant};

/// For one waiter at a time.
pub struct Pacer {
    timer: Timer,
}

impl Pacer {
    /// Inside a runtime with its I/O enabled.
    pub fn new() -> io::Result<Self> {
        Ok(Self { timer: Timer::new()? })
    }

    /// Waits until then; at once if it has passed.
    pub async fn until(&self, at: Instant) {
        loop {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() || self.timer.wait(left).await.is_err() {
                return;
            }
        }
    }
}

/// Seconds of the monotonic clock: all processes of a machine share it, and Python's `perf_counter` reads it.
pub fn monotonic_seconds() -> f64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0.0, |time| Duration::from(time).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_wait_ends_early_and_a_past_instant_is_no_wait() {
        let pacer = Pacer::new().unwrap();
        for micros in [0, 150, 900, 2500] {
            let at = Instant::now() + Duration::from_micros(micros);
            pacer.until(at).await;
            assert!(Instant::now() >= at);
        }
        let before = Instant::now();
        pacer.until(before - Duration::from_secs(1)).await;
        assert!(before.elapsed() < Duration::from_secs(1));
    }
}
