//! Requests that are under way: what is known of them before they end, so that a run can be stopped.

use super::Measurement;
use crate::metric::CUT_OFF;
use crate::sla::{Request, Watch};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Moments of one request; 0: not yet.
#[derive(Debug, Default)]
struct Moments {
    arrived: AtomicU64,
    sent: AtomicU64,
    first: AtomicU64,
}

/// All requests of a run.
#[derive(Debug)]
pub struct Flights {
    clock: Instant,
    moments: Vec<Moments>,
    ended: Mutex<Vec<Option<Measurement>>>,
    prompt_lens: Vec<usize>,
}

/// One of them, as whoever sends it sees it.
#[derive(Clone, Copy)]
pub struct Flight<'a> {
    flights: &'a Flights,
    index: usize,
}

/// How often a run is asked whether it is worth going on.
const LOOK: Duration = Duration::from_millis(100);

impl Flights {
    pub fn new(clock: Instant, prompt_lens: Vec<usize>) -> Self {
        Self {
            clock,
            moments: prompt_lens.iter().map(|_| Moments::default()).collect(),
            ended: Mutex::new(vec![None; prompt_lens.len()]),
            prompt_lens,
        }
    }

    pub fn clock(&self) -> Instant {
        self.clock
    }

    pub fn of(&self, index: usize) -> Flight<'_> {
        Flight { flights: self, index }
    }

    /// Ends when the watch says that the run can be stopped, with the reason.
    pub async fn stopped(&self, watch: &Watch, is_open: bool) -> String {
        loop {
            tokio::time::sleep(LOOK).await;
            if let Some(reason) = watch.missed(&self.seen(is_open)) {
                return reason;
            }
        }
    }

    /// What is known of all that came so far. In the open loop times count from their arrival.
    fn seen(&self, is_open: bool) -> Vec<Request> {
        let now = self.clock.elapsed().as_secs_f64();
        let ended = self.lock();
        let request = |(moments, ended): (&Moments, &Option<Measurement>)| {
            let sent = seconds(&moments.sent);
            let from = if is_open { seconds(&moments.arrived)? } else { sent? };
            let (first, last) = match ended {
                Some(ended) if ended.error.is_some() => (None, None),
                Some(ended) => (
                    sent.map(|sent| sent + ended.ttft.as_secs_f64()),
                    sent.map(|sent| sent + ended.latency.as_secs_f64()),
                ),
                None => (seconds(&moments.first), Some(now)),
            };
            Some(Request {
                arrival: from,
                ttft: first.map(|first| first - from),
                e2el: last.map(|last| last - from),
                tpot: None,
                itls: Vec::new(),
                output_len: 0.0,
            })
        };
        self.moments.iter().zip(ended.iter()).filter_map(request).collect()
    }

    /// What was measured of each request that was sent; those that did not end were cut off.
    pub fn measurements(&self) -> Vec<Measurement> {
        let now = self.clock.elapsed();
        let mut ended = self.lock();
        let of = |((moments, ended), prompt_len): ((&Moments, &mut Option<Measurement>), &usize)| {
            if let Some(ended) = ended.take() {
                return Some(ended);
            }
            let at = |moment: &AtomicU64| seconds(moment).map(Duration::from_secs_f64);
            let sent = at(&moments.sent)?;
            Some(Measurement {
                prompt_len: *prompt_len,
                start: sent,
                queue_time: sent.saturating_sub(at(&moments.arrived).unwrap_or(sent)),
                ttft: at(&moments.first).unwrap_or(now).saturating_sub(sent),
                latency: now.saturating_sub(sent),
                error: Some(format!("{CUT_OFF}: the run was stopped")),
                ..Measurement::default()
            })
        };
        self.moments.iter().zip(ended.iter_mut()).zip(&self.prompt_lens).filter_map(of).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<Measurement>>> {
        self.ended.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn now(&self) -> u64 {
        self.clock.elapsed().as_nanos() as u64 + 1
    }
}

impl Flight<'_> {
    pub fn arrived(&self) {
        self.set(|moments| &moments.arrived);
    }

    pub fn sent(&self) {
        self.set(|moments| &moments.sent);
    }

    /// The first token came.
    pub fn first(&self) {
        self.set(|moments| &moments.first);
    }

    pub fn ended(&self, measurement: Measurement) {
        if let Some(place) = self.flights.lock().get_mut(self.index) {
            *place = Some(measurement);
        }
    }

    fn set(&self, moment: fn(&Moments) -> &AtomicU64) {
        if let Some(moments) = self.flights.moments.get(self.index) {
            moment(moments).store(self.flights.now(), Ordering::Relaxed);
        }
    }
}

fn seconds(moment: &AtomicU64) -> Option<f64> {
    let nanos = moment.load(Ordering::Relaxed);
    (nanos > 0).then(|| nanos as f64 / 1e9)
}
