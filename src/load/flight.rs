//! Requests that are under way: what is known of them before they end, so that a run can be watched and stopped.

use super::measurement::{Failure, Measurement};
use crate::sla::Request;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Moments of one request.
#[derive(Debug, Default)]
struct Moments {
    index: usize,
    input_tokens: Option<usize>,
    intended: Duration,
    sent: Option<Duration>,
    first: Option<Duration>,
    ended: Option<Box<Measurement>>,
}

/// The requests of one worker.
#[derive(Debug)]
pub struct Flights {
    clock: Instant,
    all: Mutex<Vec<Moments>>,
}

/// One of them, as whoever sends it sees it.
#[derive(Clone, Copy)]
pub struct Flight<'a> {
    flights: &'a Flights,
    place: usize,
}

impl Flights {
    pub fn new(clock: Instant) -> Self {
        Self { clock, all: Mutex::new(Vec::new()) }
    }

    /// A request whose time has come.
    pub fn begin(&self, index: usize, input_tokens: Option<usize>, intended: Duration) -> Flight<'_> {
        let mut all = self.lock();
        all.push(Moments { index, input_tokens, intended, ..Moments::default() });
        Flight { flights: self, place: all.len() - 1 }
    }

    /// What is known of all that came so far. In the open loop times count from when they were to be sent.
    pub fn seen(&self, is_open: bool) -> Vec<Request> {
        let now = self.clock.elapsed().as_secs_f64();
        let request = |moments: &Moments| {
            let sent = moments.sent.map(|sent| sent.as_secs_f64());
            let from = if is_open { moments.intended.as_secs_f64() } else { sent? };
            let (first, last) = match &moments.ended {
                Some(ended) if !ended.is_ok() => (None, None),
                Some(ended) => {
                    let since = |time: Duration| sent.map(|sent| sent + time.as_secs_f64());
                    (ended.ttft.and_then(since), since(ended.latency))
                }
                None => (moments.first.map(|first| first.as_secs_f64()), Some(now)),
            };
            Some(Request {
                arrival: from,
                ttft: first.map(|first| first - from),
                e2el: last.map(|last| last - from),
                tpot: None,
                itls: Vec::new(),
                output_len: None,
            })
        };
        self.lock().iter().filter_map(request).collect()
    }

    /// What was measured of each request that was sent; those that did not end were cut off.
    pub fn measurements(&self) -> Vec<Measurement> {
        let now = self.clock.elapsed();
        let all = std::mem::take(&mut *self.lock());
        let of = |moments: Moments| {
            if let Some(ended) = moments.ended {
                return Some(*ended);
            }
            let sent = moments.sent?;
            Some(Measurement {
                index: moments.index,
                input_tokens: moments.input_tokens,
                intended: moments.intended,
                start: sent,
                ttft: Some(moments.first.unwrap_or(now).saturating_sub(sent)),
                latency: now.saturating_sub(sent),
                failure: Some(Failure::cut_off()),
                ..Measurement::default()
            })
        };
        all.into_iter().filter_map(of).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Moments>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight<'_> {
    pub fn sent(&self) {
        self.set(|moments, now| moments.sent = Some(now));
    }

    /// The first token came.
    pub fn first(&self) {
        self.set(|moments, now| moments.first = Some(now));
    }

    pub fn ended(&self, measurement: Measurement) {
        self.set(|moments, _| moments.ended = Some(Box::new(measurement)));
    }

    fn set(&self, change: impl FnOnce(&mut Moments, Duration)) {
        let now = self.flights.clock.elapsed();
        if let Some(moments) = self.flights.lock().get_mut(self.place) {
            change(moments, now);
        }
    }
}
