//! How long one step of the engine takes.
//!
//! ```text
//! step = (weights + sequences·per_sequence + prefill·per_prefill_token + context·per_context_token)
//!        / speedup(tensor, pipeline) + overhead
//! speedup(t, p) = t / (1 + 0.06·(t - 1)) · p / (1 + 0.15·(p - 1))
//! ```
//!
//! The default numbers are near those of a model of 8 billion parameters on one 80 GB data-centre GPU: reading
//! the weights bounds a small batch, prefill is bound by compute, and attention reads the context of every
//! running sequence.

use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CostModel {
    pub weights_ms: f64,
    pub per_sequence_ms: f64,
    pub per_prefill_token_ms: f64,
    pub per_context_token_ms: f64,
    pub overhead_ms: f64,
    pub tensor_parallel_size: usize,
    pub pipeline_parallel_size: usize,
    /// Everything is this many times faster than it would be.
    pub speed: f64,
}

impl Default for CostModel {
    fn default() -> Self {
        Self {
            weights_ms: 5.0,
            per_sequence_ms: 0.05,
            per_prefill_token_ms: 0.03,
            per_context_token_ms: 0.00004,
            overhead_ms: 0.8,
            tensor_parallel_size: 1,
            pipeline_parallel_size: 1,
            speed: 1.0,
        }
    }
}

/// What one step works on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepLoad {
    pub sequences: usize,
    pub prefill_tokens: usize,
    pub context_tokens: usize,
}

impl CostModel {
    pub fn step_time(&self, load: StepLoad) -> Duration {
        let work_ms = self.weights_ms
            + self.per_sequence_ms * load.sequences as f64
            + self.per_prefill_token_ms * load.prefill_tokens as f64
            + self.per_context_token_ms * load.context_tokens as f64;
        let step_ms = work_ms / self.speedup() + self.overhead_ms;
        Duration::from_secs_f64(step_ms / self.speed / 1000.0)
    }

    fn speedup(&self) -> f64 {
        let gain = |size: usize, loss: f64| size as f64 / (1.0 + loss * (size as f64 - 1.0));
        gain(self.tensor_parallel_size, 0.06) * gain(self.pipeline_parallel_size, 0.15)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(model: CostModel, sequences: usize, prefill_tokens: usize) -> f64 {
        model.step_time(StepLoad { sequences, prefill_tokens, context_tokens: 0 }).as_secs_f64() * 1000.0
    }

    #[test]
    fn a_batch_costs_less_than_its_sequences_one_by_one() {
        let one = CostModel::default();
        assert!(millis(one, 32, 0) < 32.0 * millis(one, 1, 0) / 10.0);
        assert!((millis(one, 1, 2048) - (5.0 + 0.05 + 61.44 + 0.8)).abs() < 1e-6);
    }

    #[test]
    fn more_gpus_are_faster_but_not_in_proportion() {
        let one = CostModel::default();
        let four = CostModel { tensor_parallel_size: 4, ..one };
        let gain = millis(one, 64, 4096) / millis(four, 64, 4096);
        assert!(gain > 2.5 && gain < 4.0, "{gain}");
        assert!((millis(CostModel { speed: 10.0, ..one }, 8, 8) * 10.0 - millis(one, 8, 8)).abs() < 1e-6);
    }
}
