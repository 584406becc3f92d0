//! The busiest second and the busiest moment.

use crate::load::Measurement;
use std::time::Duration;

/// The busiest second and the busiest moment.
#[derive(Default)]
pub struct Peak {
    /// The most output tokens in any one second, never below the mean of the run; nothing of a run that is shorter than a second.
    pub output_tokens_per_s: Option<f64>,
    /// As vLLM counts them: all that are in flight at any time of a second, which may be more than at any moment.
    pub requests_in_a_second: Option<u32>,
    pub concurrent_requests: Option<i64>,
}

const SECOND: Duration = Duration::from_secs(1);

impl Peak {
    pub fn of(ok: &[&Measurement], wall: Duration) -> Self {
        let Some(first) = ok.iter().map(|request| request.start).min() else { return Self::default() };
        let mut requests: Vec<u32> = Vec::new();
        let mut changes: Vec<(Duration, i64)> = Vec::with_capacity(2 * ok.len());
        for request in ok {
            let start = request.start - first;
            let end = start + request.latency;
            // At the same instant one leaves before the next comes: intervals are half open.
            changes.extend([(start, 1), (end, -1)]);
            (start.as_secs()..=end.as_secs()).for_each(|second| count(&mut requests, second));
        }
        changes.sort();
        let running = changes.iter().scan(0, |running, (_, change)| {
            *running += change;
            Some(*running)
        });
        Self {
            output_tokens_per_s: busiest(ok, wall),
            requests_in_a_second: requests.iter().max().copied(),
            concurrent_requests: running.max(),
        }
    }
}

/// The most tokens that came within a second. A chunk stands for its share of its answer's tokens.
fn busiest(ok: &[&Measurement], wall: Duration) -> Option<f64> {
    if wall < SECOND {
        return None;
    }
    let mut tokens: Vec<(Duration, f64)> = Vec::new();
    for request in ok {
        let (all, Some(ttft)) = (request.output_tokens? as f64, request.ttft) else { continue };
        let each = all / (request.itl.len() + 1) as f64;
        let mut time = request.start + ttft;
        tokens.push((time, each));
        for gap in &request.itl {
            time += *gap;
            tokens.push((time, each));
        }
    }
    tokens.sort_by_key(|(time, _)| *time);
    let (mut most, mut inside, mut oldest) = (0.0f64, 0.0, 0);
    for (time, each) in &tokens {
        inside += each;
        while tokens[oldest].0 + SECOND <= *time {
            inside -= tokens[oldest].1;
            oldest += 1;
        }
        most = most.max(inside);
    }
    let mean = tokens.iter().map(|(_, each)| each).sum::<f64>() / wall.as_secs_f64();
    (!tokens.is_empty()).then_some(most.max(mean))
}

fn count(per_second: &mut Vec<u32>, second: u64) {
    let second = second as usize;
    if per_second.len() <= second {
        per_second.resize(second + 1, 0);
    }
    per_second[second] += 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_busiest_second_is_never_below_the_mean(
            starts in proptest::collection::vec((0u64..3000, 1u64..900, 1usize..40, 0u64..200, 1usize..5), 1..30)
        ) {
            let requests: Vec<Measurement> = starts.into_iter().map(|(start, ttft, gaps, gap, each)| Measurement {
                start: Duration::from_millis(start),
                ttft: Some(Duration::from_millis(ttft)),
                itl: vec![Duration::from_millis(gap); gaps],
                output_tokens: Some((gaps + 1) * each),
                latency: Duration::from_millis(ttft + gap * gaps as u64),
                ..Measurement::default()
            }).collect();
            let wall = requests.iter().map(|request| request.start + request.latency).max().unwrap();
            let all: Vec<&Measurement> = requests.iter().collect();
            let mean = all.iter().map(|one| one.output_tokens.unwrap()).sum::<usize>() as f64 / wall.as_secs_f64();
            match Peak::of(&all, wall).output_tokens_per_s {
                Some(peak) => prop_assert!(peak >= mean * (1.0 - 1e-9), "{} {}", peak, mean),
                None => prop_assert!(wall < SECOND),
            }
        }
    }
}
