//! The engine without a clock: what requests that come at known times would see. Hours pass in seconds, and the scheduler and the cost
//! of its steps are those of the server.

use super::CostModel;
use super::engine::Noise;
use super::scheduler::{Limits, Scheduler, Sequence};

/// A request to come. Times are seconds since the start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrival {
    pub at: f64,
    pub prompt_len: usize,
    pub output_len: usize,
}

/// When a request was sent, and when each of its tokens came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    pub sent: f64,
    pub tokens: Vec<f64>,
    pub is_finished: bool,
}

/// An engine, and how many requests its client lets into it at a time.
#[derive(Clone, Copy, Debug)]
pub struct Replay {
    pub limits: Limits,
    pub cost: CostModel,
    /// Spread of a step's time, as the standard deviation of its logarithm.
    pub jitter: f64,
    pub seed: u64,
    pub max_concurrency: usize,
}

impl Replay {
    /// What each request sees. After each step `goes_on` is told the time and what was seen so far, by the order of arrival.
    pub fn run(&self, arrivals: &[Arrival], mut goes_on: impl FnMut(f64, &[Seen]) -> bool) -> Vec<Seen> {
        let mut noise = Noise::new(self.jitter, self.seed);
        let mut scheduler = Scheduler::new(self.limits);
        let mut seen: Vec<Seen> = vec![Seen::default(); arrivals.len()];
        let (mut now, mut next, mut in_flight) = (0.0, 0, 0);
        loop {
            while let Some(arrival) = arrivals.get(next).filter(|arrival| arrival.at <= now)
                && in_flight < self.max_concurrency
            {
                let prompt = vec![0; arrival.prompt_len];
                scheduler.add(Sequence::new(next as u64, &prompt, arrival.output_len, self.limits.block_size));
                seen[next].sent = now.max(arrival.at);
                next += 1;
                in_flight += 1;
            }
            let step = scheduler.schedule();
            if step.is_empty() {
                let Some(arrival) = arrivals.get(next) else { return seen };
                now = arrival.at;
                continue;
            }
            // Who came while the engine was idle was sent at once; who comes during a step waits for its end.
            now += self.cost.step_time(step.load).as_secs_f64() * noise.factor();
            for token in scheduler.finish(step) {
                let request = &mut seen[token.id as usize];
                request.tokens.push(now);
                request.is_finished = token.is_last;
                in_flight -= usize::from(token.is_last);
            }
            if !goes_on(now, &seen) {
                return seen;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replay(max_concurrency: usize) -> Replay {
        let limits = Limits {
            max_num_seqs: 4,
            max_num_batched_tokens: 512,
            block_size: 16,
            num_blocks: 1000,
            chunked_prefill: true,
            prefix_caching: false,
        };
        Replay { limits, cost: CostModel::default(), jitter: 0.0, seed: 0, max_concurrency }
    }

    #[test]
    fn one_request_takes_its_steps() {
        let seen = replay(8).run(&[Arrival { at: 2.0, prompt_len: 100, output_len: 3 }], |_, _| true);
        let cost = CostModel::default();
        let step = |prefill_tokens: usize, context_tokens: usize| {
            cost.step_time(crate::sim::cost::StepLoad { sequences: 1, prefill_tokens, context_tokens }).as_secs_f64()
        };
        let times = [step(100, 100), step(0, 101), step(0, 102)];
        let ends = [times[0], times[0] + times[1], times[0] + times[1] + times[2]];
        assert!(seen[0].tokens.iter().zip(ends).all(|(found, end)| (found - 2.0 - end).abs() < 1e-6), "{seen:?}");
        assert!(seen[0].is_finished && seen[0].sent == 2.0);
    }

    #[test]
    fn who_is_not_let_in_waits_in_the_client_and_a_stop_ends_it() {
        let arrivals = [Arrival { at: 0.0, prompt_len: 10, output_len: 5 }; 3];
        let seen = replay(1).run(&arrivals, |_, _| true);
        assert!(seen.windows(2).all(|pair| pair[1].sent == *pair[0].tokens.last().unwrap()), "{seen:?}");
        let stopped = replay(1).run(&arrivals, |_, seen| !seen[0].is_finished);
        assert_eq!(stopped.iter().filter(|seen| seen.is_finished).count(), 1);
    }
}
