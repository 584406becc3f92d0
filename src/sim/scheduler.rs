//! Continuous batching: which sequences get how many tokens in the next step. Pure; time passes elsewhere.

use super::cache::PrefixCache;
use super::cost::StepLoad;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What an engine has room for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    pub max_num_seqs: usize,
    pub max_num_batched_tokens: usize,
    pub block_size: usize,
    pub num_blocks: usize,
    pub chunked_prefill: bool,
    pub prefix_caching: bool,
}

/// A request inside the engine.
#[derive(Debug)]
pub struct Sequence {
    pub id: u64,
    prompt_len: usize,
    output_len: usize,
    prompt_blocks: Vec<u64>,
    computed: usize,
    generated: usize,
    blocks: usize,
}

/// What was counted since the start, under the names of vLLM's metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counters {
    pub prompt_tokens: u64,
    pub generation_tokens: u64,
    pub prefix_cache_queries: u64,
    pub prefix_cache_hits: u64,
    pub preemptions: u64,
    pub finished: u64,
}

/// The tokens of one step.
#[derive(Debug, Default, PartialEq)]
pub struct Step {
    pub load: StepLoad,
    scheduled: Vec<(u64, usize)>,
}

/// A token that a step gave to a sequence.
#[derive(Debug, PartialEq)]
pub struct Emitted {
    pub id: u64,
    pub is_last: bool,
}

pub struct Scheduler {
    limits: Limits,
    waiting: VecDeque<Sequence>,
    running: Vec<Sequence>,
    free_blocks: usize,
    cache: PrefixCache,
    pub counters: Counters,
}

impl Sequence {
    pub fn new(id: u64, prompt: &[u32], output_len: usize, block_size: usize) -> Self {
        Self {
            id,
            prompt_len: prompt.len().max(1),
            output_len: output_len.max(1),
            prompt_blocks: chained_hashes(prompt, block_size),
            computed: 0,
            generated: 0,
            blocks: 0,
        }
    }

    fn remaining(&self) -> usize {
        self.prompt_len + self.generated - self.computed
    }
}

impl Scheduler {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            waiting: VecDeque::new(),
            running: Vec::new(),
            free_blocks: limits.num_blocks,
            cache: PrefixCache::new(limits.num_blocks),
            counters: Counters::default(),
        }
    }

    pub fn add(&mut self, sequence: Sequence) {
        self.waiting.push_back(sequence);
    }

    /// Drops a sequence whose client went away.
    pub fn abort(&mut self, id: u64) {
        self.waiting.retain(|sequence| sequence.id != id);
        if let Some(index) = self.running.iter().position(|sequence| sequence.id == id) {
            self.free_blocks += self.running.remove(index).blocks;
        }
    }

    pub fn num_running(&self) -> usize {
        self.running.len()
    }

    pub fn num_waiting(&self) -> usize {
        self.waiting.len()
    }

    pub fn kv_cache_usage(&self) -> f64 {
        1.0 - self.free_blocks as f64 / self.limits.num_blocks as f64
    }

    pub fn reset_prefix_cache(&mut self) {
        self.cache.clear();
    }

    /// Chooses the next step: running sequences first, then as many waiting ones as fit.
    pub fn schedule(&mut self) -> Step {
        let mut budget = self.limits.max_num_batched_tokens;
        let mut step = Step::default();
        let preemptions = self.counters.preemptions;
        let mut index = 0;
        while index < self.running.len() && budget > 0 {
            let tokens = self.running[index].remaining().min(budget);
            if !self.make_room(index, tokens) {
                break;
            }
            step.take(&self.running[index], tokens);
            budget -= tokens;
            index += 1;
        }
        if self.counters.preemptions == preemptions {
            self.admit(&mut step, budget);
        }
        step
    }

    /// Ends a step: computed tokens count, and every sequence that has caught up gets a token.
    pub fn finish(&mut self, step: Step) -> Vec<Emitted> {
        let mut emitted = Vec::new();
        for (id, tokens) in step.scheduled {
            // A sequence that was aborted during the step is no longer there.
            let Some(index) = self.running.iter().position(|sequence| sequence.id == id) else { continue };
            let sequence = &mut self.running[index];
            sequence.computed += tokens;
            if sequence.remaining() > 0 {
                continue;
            }
            if sequence.generated == 0 {
                self.counters.prompt_tokens += sequence.prompt_len as u64;
                if self.limits.prefix_caching {
                    self.cache.insert(&sequence.prompt_blocks);
                }
            }
            sequence.generated += 1;
            self.counters.generation_tokens += 1;
            let is_last = sequence.generated >= sequence.output_len;
            emitted.push(Emitted { id, is_last });
            if is_last {
                self.free_blocks += self.running.remove(index).blocks;
                self.counters.finished += 1;
            }
        }
        emitted
    }

    fn admit(&mut self, step: &mut Step, mut budget: usize) {
        while budget > 0 && self.running.len() < self.limits.max_num_seqs {
            let Some(mut sequence) = self.waiting.pop_front() else { return };
            let hit = self.cached_tokens(&sequence);
            sequence.computed = hit;
            let tokens = sequence.remaining().min(budget);
            let is_cut = tokens < sequence.remaining() && !self.limits.chunked_prefill;
            if is_cut && !step.scheduled.is_empty() || !self.allocate(&mut sequence, tokens) {
                sequence.computed = 0;
                self.waiting.push_front(sequence);
                return;
            }
            if self.limits.prefix_caching {
                self.counters.prefix_cache_queries += sequence.prompt_len as u64;
                self.counters.prefix_cache_hits += hit as u64;
            }
            step.take(&sequence, tokens);
            budget -= tokens;
            self.running.push(sequence);
        }
    }

    /// Tokens of the prompt that need no computing; the last one always does, since it gives the first output.
    fn cached_tokens(&mut self, sequence: &Sequence) -> usize {
        if !self.limits.prefix_caching {
            return 0;
        }
        let blocks = self.cache.hits(&sequence.prompt_blocks);
        (blocks * self.limits.block_size).min(sequence.prompt_len - 1)
    }

    /// Gives a running sequence its blocks, preempting the youngest where there are none. `false` when the
    /// sequence itself had to go.
    fn make_room(&mut self, index: usize, tokens: usize) -> bool {
        loop {
            let mut sequence = std::mem::replace(&mut self.running[index], Sequence::new(u64::MAX, &[], 1, 1));
            let has_room = self.allocate(&mut sequence, tokens);
            self.running[index] = sequence;
            if has_room {
                return true;
            }
            let Some(mut youngest) = self.running.pop() else { return false };
            self.free_blocks += youngest.blocks;
            youngest.blocks = 0;
            youngest.computed = 0;
            self.counters.preemptions += 1;
            self.waiting.push_front(youngest);
            if index >= self.running.len() {
                return false;
            }
        }
    }

    fn allocate(&mut self, sequence: &mut Sequence, tokens: usize) -> bool {
        let wanted = (sequence.computed + tokens).div_ceil(self.limits.block_size);
        let more = wanted.saturating_sub(sequence.blocks);
        if more > self.free_blocks {
            return false;
        }
        self.free_blocks -= more;
        sequence.blocks += more;
        true
    }
}

impl Step {
    /// The sequences that it works on.
    pub fn sequences(&self) -> impl Iterator<Item = u64> {
        self.scheduled.iter().map(|(id, _)| *id)
    }

    pub fn is_empty(&self) -> bool {
        self.scheduled.is_empty()
    }

    fn take(&mut self, sequence: &Sequence, tokens: usize) {
        self.scheduled.push((sequence.id, tokens));
        self.load.sequences += 1;
        self.load.context_tokens += sequence.computed + tokens;
        if tokens > 1 || sequence.generated == 0 {
            self.load.prefill_tokens += tokens;
        }
    }
}

/// A hash for each full block, of its tokens and of all before it.
fn chained_hashes(prompt: &[u32], block_size: usize) -> Vec<u64> {
    let mut hasher = DefaultHasher::new();
    prompt
        .chunks_exact(block_size)
        .map(|block| {
            block.hash(&mut hasher);
            hasher.finish()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits {
        max_num_seqs: 4,
        max_num_batched_tokens: 64,
        block_size: 16,
        num_blocks: 100,
        chunked_prefill: true,
        prefix_caching: false,
    };

    fn scheduler(limits: Limits, prompts: &[usize], output_len: usize) -> Scheduler {
        let mut scheduler = Scheduler::new(limits);
        for (id, len) in prompts.iter().enumerate() {
            let prompt: Vec<u32> = (0..*len as u32).collect();
            scheduler.add(Sequence::new(id as u64, &prompt, output_len, limits.block_size));
        }
        scheduler
    }

    fn run(scheduler: &mut Scheduler) -> (usize, Vec<u64>) {
        let (mut steps, mut finished) = (0, Vec::new());
        loop {
            let step = scheduler.schedule();
            if step.is_empty() {
                return (steps, finished);
            }
            steps += 1;
            assert!(steps < 100_000, "the scheduler makes no progress");
            finished.extend(scheduler.finish(step).into_iter().filter(|token| token.is_last).map(|token| token.id));
        }
    }

    #[test]
    fn a_long_prompt_is_computed_in_chunks() {
        let mut one = scheduler(LIMITS, &[150], 3);
        // 64 + 64 + 22 tokens of prompt, the third step giving the first token, then two more.
        assert_eq!(run(&mut one), (5, vec![0]));
        assert_eq!((one.counters.prompt_tokens, one.counters.generation_tokens), (150, 3));
    }

    #[test]
    fn the_batch_is_bounded_and_the_rest_waits() {
        let mut many = scheduler(LIMITS, &[8; 6], 4);
        let step = many.schedule();
        assert_eq!((step.load.sequences, step.load.prefill_tokens), (4, 32));
        assert_eq!((many.num_running(), many.num_waiting()), (4, 2));
        many.finish(step);
        assert_eq!(run(&mut many).1, [0, 1, 2, 3, 4, 5]);
        assert_eq!(many.kv_cache_usage(), 0.0);
    }

    #[test]
    fn a_full_kv_cache_preempts_the_youngest_and_all_still_finish() {
        let mut tight = scheduler(Limits { num_blocks: 6, ..LIMITS }, &[30, 30, 30], 40);
        let (_, finished) = run(&mut tight);
        assert_eq!(finished.len(), 3);
        assert_eq!(finished[0], 0);
        assert!(tight.counters.preemptions > 0);
        assert_eq!(tight.kv_cache_usage(), 0.0);
    }

    #[test]
    fn a_prompt_seen_before_costs_only_its_last_tokens() {
        let limits = Limits { prefix_caching: true, ..LIMITS };
        let mut cached = scheduler(limits, &[64], 1);
        run(&mut cached);
        let prompt: Vec<u32> = (0..64).collect();
        cached.add(Sequence::new(9, &prompt, 1, 16));
        assert_eq!(cached.schedule().load.prefill_tokens, 1);
        assert_eq!((cached.counters.prefix_cache_queries, cached.counters.prefix_cache_hits), (128, 63));
        cached.reset_prefix_cache();
        cached.abort(9);
        cached.add(Sequence::new(10, &prompt, 1, 16));
        assert_eq!(cached.schedule().load.prefill_tokens, 64);
    }

    proptest! {
        #[test]
        fn every_request_ends_with_its_tokens_and_nothing_leaks(
            prompts in prop::collection::vec(1usize..120, 1..12),
            output_len in 1usize..30,
            num_blocks in 10usize..40,
            chunked_prefill in any::<bool>(),
        ) {
            let limits = Limits { num_blocks, chunked_prefill, prefix_caching: true, ..LIMITS };
            let mut scheduler = scheduler(limits, &prompts, output_len);
            let (_, finished) = run(&mut scheduler);
            prop_assert_eq!(finished.len(), prompts.len());
            prop_assert_eq!(scheduler.counters.generation_tokens, (prompts.len() * output_len) as u64);
            prop_assert_eq!(scheduler.kv_cache_usage(), 0.0);
        }
    }
}
