//! Waiting until an instant to some ten microseconds: tokio's own timers tick in milliseconds.

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::{ClockId as Clock, clock_gettime};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;

/// A timer of the kernel's own, for one waiter at a time.
pub struct Pacer {
    timer: AsyncFd<Timer>,
}

struct Timer(TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Pacer {
    /// Inside a runtime with its I/O enabled.
    #[expect(
        unsafe_code,
        reason = "a descriptor is registered that stays open and the same for as long as the timer lives"
    )]
    pub fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        // SAFETY: the timer owns its descriptor, and nothing closes or replaces it before the registration ends with it.
        Ok(Self { timer: unsafe { AsyncFd::register(Timer(timer))? } })
    }

    /// Waits until then; at once if it has passed.
    pub async fn until(&self, at: Instant) {
        loop {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() || self.wait(left).await.is_err() {
                return;
            }
        }
    }

    async fn wait(&self, left: Duration) -> io::Result<()> {
        let once = Expiration::OneShot(TimeSpec::from_duration(left));
        self.timer.get_ref().0.set(once, TimerSetTimeFlags::empty())?;
        loop {
            let mut ready = self.timer.readable().await?;
            match ready.try_io(|timer| timer.get_ref().0.wait().map_err(io::Error::from)) {
                Ok(ended) => return ended,
                // Woken by what had expired before.
                Err(_would_block) => {}
            }
        }
    }
}

/// Seconds of the monotonic clock: all processes of a machine share it, and Python's `perf_counter` reads it.
pub fn monotonic_seconds() -> f64 {
    clock_gettime(Clock::CLOCK_MONOTONIC).map_or(0.0, |time| Duration::from(time).as_secs_f64())
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
