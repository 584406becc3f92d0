//! Random prompts of given lengths.

use super::{LoadError, RandomLengths};
use rand::Rng;
use rand::rngs::StdRng;
use std::ops::RangeInclusive;

/// Ids that every vocabulary of today's models has and that no special token takes.
const TOKEN_IDS: RangeInclusive<u32> = 1000..=30_000;

/// Short English words, most of them one token in common tokenizers.
const WORDS: [&str; 32] = [
    "time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world", "school", "state",
    "family", "student", "group", "country", "problem", "hand", "part", "place", "case", "week", "company", "system",
    "program", "question", "work", "number", "night", "point", "home",
];

/// A prompt, and how long its answer should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    pub tokens: Vec<u32>,
    pub output_len: usize,
}

impl Prompt {
    /// The prompt as words, for servers that take only text.
    pub fn words(&self) -> String {
        let words = self.tokens.iter().map(|token| WORDS[*token as usize % WORDS.len()]);
        words.collect::<Vec<_>>().join(" ")
    }
}

pub struct RandomDataset {
    lengths: RandomLengths,
}

impl RandomDataset {
    pub fn new(lengths: RandomLengths) -> Result<Self, LoadError> {
        match (0.0..1.0).contains(&lengths.range_ratio) {
            true => Ok(Self { lengths }),
            false => Err(LoadError::BadRange { ratio: lengths.range_ratio }),
        }
    }

    /// As in vLLM: a common prefix, then tokens of each prompt's own; both lengths uniform in
    /// `len·(1 ± range_ratio)`.
    pub fn sample(&self, count: usize, random: &mut StdRng) -> Vec<Prompt> {
        let RandomLengths { input_len, output_len, range_ratio, prefix_len } = self.lengths;
        let prefix: Vec<u32> = (0..prefix_len).map(|_| random.random_range(TOKEN_IDS)).collect();
        let inputs = around(input_len, range_ratio);
        let outputs = around(output_len, range_ratio);
        (0..count)
            .map(|_| {
                let own_len = random.random_range(inputs.clone());
                let own = (0..own_len).map(|_| random.random_range(TOKEN_IDS)).collect::<Vec<_>>();
                let tokens = prefix.iter().copied().chain(own).collect();
                Prompt { tokens, output_len: random.random_range(outputs.clone()) }
            })
            .collect()
    }
}

fn around(len: usize, ratio: f64) -> RangeInclusive<usize> {
    let low = (len as f64 * (1.0 - ratio)).floor() as usize;
    let high = (len as f64 * (1.0 + ratio)).ceil() as usize;
    low.max(1)..=high.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn sample(range_ratio: f64, seed: u64) -> Vec<Prompt> {
        let lengths = RandomLengths { input_len: 100, output_len: 20, range_ratio, prefix_len: 10 };
        RandomDataset::new(lengths).unwrap().sample(200, &mut StdRng::seed_from_u64(seed))
    }

    #[test]
    fn lengths_are_exact_or_in_their_range() {
        assert!(sample(0.0, 1).iter().all(|prompt| prompt.tokens.len() == 110 && prompt.output_len == 20));
        let varied = sample(0.5, 1);
        assert!(varied.iter().all(|prompt| (60..=160).contains(&prompt.tokens.len())));
        assert!(
            varied.iter().any(|prompt| prompt.tokens.len() < 80) && varied.iter().any(|prompt| prompt.output_len > 25)
        );
    }

    #[test]
    fn prompts_share_the_prefix_and_nothing_else_and_repeat_with_the_seed() {
        let prompts = sample(0.0, 1);
        assert_eq!(prompts[0].tokens[..10], prompts[1].tokens[..10]);
        assert_ne!(prompts[0].tokens[10..], prompts[1].tokens[10..]);
        assert_eq!(prompts, sample(0.0, 1));
        assert_ne!(prompts, sample(0.0, 2));
        assert_eq!(prompts[0].words().split(' ').count(), 110);
    }

    #[test]
    fn a_range_that_reaches_nothing_is_refused() {
        let lengths = RandomLengths { input_len: 1, output_len: 1, range_ratio: 1.0, prefix_len: 0 };
        assert!(RandomDataset::new(lengths).is_err());
    }
}
