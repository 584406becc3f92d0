//! Random tokens: prompts of given lengths, with what they share.

use super::lengths::Lengths;
use super::{Content, Conversation, Prompt, Vocabulary};
use crate::load::LoadError;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// `--dataset-name random`: lengths in tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct RandomPrompts {
    pub inputs: Lengths,
    pub outputs: Lengths,
    /// What all prompts begin with, besides.
    pub prefix_len: usize,
    /// Some prompts find the beginning of theirs in the server's cache.
    pub warm: Option<Warm>,
}

/// Prompts that share their beginning, among others that share nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Warm {
    /// How many prompts do.
    pub fraction: f64,
    /// How much of such a prompt is shared.
    pub ratio: f64,
}

/// `--dataset-name prefix_repetition`: each prompt begins with one of a few prefixes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prefixes {
    pub prefix_len: usize,
    pub suffix_len: usize,
    pub num_prefixes: usize,
    pub output_len: usize,
}

/// Conversations of random turns.
#[derive(Clone, Debug, PartialEq)]
pub struct Turns {
    pub first: RandomPrompts,
    /// Tokens of each later message of the user; 0: as the first.
    pub per_turn_len: usize,
    pub turns: Lengths,
    /// How long the user thinks before each of them, ms.
    pub think_ms: u64,
    /// Of the first message, how much is the same in all conversations (a system prompt).
    pub shared_ratio: f64,
}

/// `--dataset-name random-rerank`: a query and documents to be ranked.
#[derive(Clone, Debug, PartialEq)]
pub struct Rerank {
    pub inputs: Lengths,
    pub documents: usize,
}

impl Default for RandomPrompts {
    fn default() -> Self {
        Self { inputs: Lengths::Fixed(1024), outputs: Lengths::Fixed(128), prefix_len: 0, warm: None }
    }
}

fn of_ids(ids: Vec<u32>, output_len: usize) -> Prompt {
    Prompt { input_tokens: Some(ids.len()), content: Content::Ids(ids), output_len, ..Prompt::default() }
}

/// As in vLLM: a common prefix, then tokens of each prompt's own.
pub fn prompts(
    asked: &RandomPrompts,
    vocabulary: &Vocabulary,
    seed: u64,
) -> impl Iterator<Item = Conversation> + Send + use<> {
    let (asked, vocabulary) = (asked.clone(), vocabulary.clone());
    let mut random = StdRng::seed_from_u64(seed);
    let prefix = vocabulary.random(asked.prefix_len, &mut random);
    let mut shared: Vec<u32> = Vec::new();
    std::iter::repeat_with(move || {
        let len = asked.inputs.draw(&mut random);
        let warm = asked.warm.filter(|warm| random.random_bool(warm.fraction.clamp(0.0, 1.0)));
        let from_cache = warm.map_or(0, |warm| (len as f64 * warm.ratio.clamp(0.0, 1.0)).round() as usize);
        if shared.len() < from_cache {
            let lacking = from_cache - shared.len();
            shared.extend(vocabulary.random(lacking, &mut random));
        }
        let own = vocabulary.random(len - from_cache, &mut random);
        let all = prefix.iter().chain(&shared[..from_cache]).copied().chain(own).collect();
        of_ids(all, asked.outputs.draw(&mut random)).into()
    })
}

pub fn prefixes(
    asked: Prefixes,
    vocabulary: &Vocabulary,
    seed: u64,
) -> Result<impl Iterator<Item = Conversation> + Send + use<>, LoadError> {
    let Prefixes { prefix_len, suffix_len, num_prefixes, output_len } = asked;
    if num_prefixes == 0 || prefix_len + suffix_len == 0 {
        let reason = "prompts need at least one prefix, and at least one token".to_owned();
        return Err(LoadError::BadDataset { path: "prefix_repetition".into(), reason });
    }
    let vocabulary = vocabulary.clone();
    let mut random = StdRng::seed_from_u64(seed);
    let all: Vec<Vec<u32>> = (0..num_prefixes).map(|_| vocabulary.random(prefix_len, &mut random)).collect();
    Ok(std::iter::repeat_with(move || {
        let mut ids = all[random.random_range(0..all.len())].clone();
        ids.extend(vocabulary.random(suffix_len, &mut random));
        of_ids(ids, output_len).into()
    }))
}

pub fn turns(asked: &Turns, vocabulary: &Vocabulary, seed: u64) -> impl Iterator<Item = Conversation> + Send + use<> {
    let (asked, vocabulary) = (asked.clone(), vocabulary.clone());
    let mut random = StdRng::seed_from_u64(seed);
    let mut shared: Vec<u32> = Vec::new();
    std::iter::repeat_with(move || {
        let len = asked.first.inputs.draw(&mut random);
        let common = (len as f64 * asked.shared_ratio.clamp(0.0, 1.0)).round() as usize;
        if shared.len() < common {
            let lacking = common - shared.len();
            shared.extend(vocabulary.random(lacking, &mut random));
        }
        let turn = |(number, random): (usize, &mut StdRng)| {
            let ids: Vec<u32> = match number {
                0 => shared[..common].iter().copied().chain(vocabulary.random(len - common, random)).collect(),
                _ if asked.per_turn_len == 0 => vocabulary.random(len, random),
                _ => vocabulary.random(asked.per_turn_len, random),
            };
            let think = std::time::Duration::from_millis(if number == 0 { 0 } else { asked.think_ms });
            Prompt { think, ..of_ids(ids, asked.first.outputs.draw(random)) }
        };
        let count = asked.turns.draw(&mut random);
        Conversation { turns: (0..count).map(|number| turn((number, &mut random))).collect(), at: None }
    })
}

pub fn rerank(asked: &Rerank, vocabulary: &Vocabulary, seed: u64) -> impl Iterator<Item = Conversation> + Send + use<> {
    let (asked, vocabulary) = (asked.clone(), vocabulary.clone());
    let mut random = StdRng::seed_from_u64(seed);
    std::iter::repeat_with(move || {
        let mut text = || {
            let ids = vocabulary.random(asked.inputs.draw(&mut random), &mut random);
            vocabulary.text_of(&ids, &mut random).map_or_else(|| super::words::of(&ids), |(text, _)| text)
        };
        let query = text();
        let documents = (0..asked.documents).map(|_| text()).collect();
        Prompt { content: Content::Text(query), documents, ..Prompt::default() }.into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(ratio: f64, seed: u64) -> Vec<Prompt> {
        let around = |len| Lengths::around(len, ratio);
        let asked = RandomPrompts { inputs: around(100), outputs: around(20), prefix_len: 10, warm: None };
        let all = prompts(&asked, &Vocabulary::default(), seed).take(200);
        all.map(|conversation| conversation.turns.into_iter().next().unwrap()).collect()
    }

    fn ids(prompt: &Prompt) -> &[u32] {
        let Content::Ids(ids) = &prompt.content else { panic!("{prompt:?}") };
        ids
    }

    #[test]
    fn lengths_are_exact_or_in_their_range() {
        assert!(sample(0.0, 1).iter().all(|prompt| ids(prompt).len() == 110 && prompt.output_len == 20));
        let varied = sample(0.5, 1);
        assert!(varied.iter().all(|prompt| (60..=160).contains(&ids(prompt).len())));
        assert!(
            varied.iter().any(|prompt| ids(prompt).len() < 80) && varied.iter().any(|prompt| prompt.output_len > 25)
        );
    }

    #[test]
    fn prompts_share_the_prefix_and_nothing_else_and_repeat_with_the_seed() {
        let prompts = sample(0.0, 1);
        assert_eq!(ids(&prompts[0])[..10], ids(&prompts[1])[..10]);
        assert_ne!(ids(&prompts[0])[10..], ids(&prompts[1])[10..]);
        assert_eq!(prompts, sample(0.0, 1));
        assert_ne!(prompts, sample(0.0, 2));
        assert_eq!(prompts[0].content.text().split(' ').count(), 110);
    }

    #[test]
    fn no_id_is_beyond_the_vocabulary() {
        for size in [1u32, 2, 17, 500, 32_000, 200_000] {
            let all = prompts(&RandomPrompts::default(), &Vocabulary::of_size(size), 0).take(3);
            let is_known = |conversation: Conversation| ids(&conversation.turns[0]).iter().all(|id| *id < size);
            assert!(all.into_iter().all(is_known), "{size}");
        }
    }

    #[test]
    fn as_many_prompts_are_warm_as_asked_and_share_as_much() {
        let warm = Some(Warm { fraction: 0.3, ratio: 0.5 });
        let asked = RandomPrompts { inputs: Lengths::Fixed(40), warm, ..RandomPrompts::default() };
        let all: Vec<Conversation> = prompts(&asked, &Vocabulary::default(), 1).take(1000).collect();
        let mut heads: Vec<&[u32]> = all.iter().map(|one| &ids(&one.turns[0])[..20]).collect();
        heads.sort_unstable();
        let most = heads.chunk_by(|left, right| left == right).map(<[_]>::len).max().unwrap();
        assert!((250..350).contains(&most), "{most}");
    }

    #[test]
    fn each_prefix_is_used_and_each_suffix_is_its_own() {
        let asked = Prefixes { prefix_len: 8, suffix_len: 8, num_prefixes: 3, output_len: 5 };
        let all: Vec<Conversation> = prefixes(asked, &Vocabulary::default(), 1).unwrap().take(60).collect();
        let parts = |from: usize| {
            all.iter().map(|one| ids(&one.turns[0])[from..from + 8].to_vec()).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!((parts(0).len(), parts(8).len()), (3, 60));
        assert!(prefixes(Prefixes { num_prefixes: 0, ..asked }, &Vocabulary::default(), 1).is_err());
    }

    #[test]
    fn conversations_have_their_turns_and_share_what_they_share() {
        let asked = Turns {
            first: RandomPrompts { inputs: Lengths::Fixed(20), ..RandomPrompts::default() },
            per_turn_len: 5,
            turns: Lengths::Uniform(2, 4),
            think_ms: 30,
            shared_ratio: 0.5,
        };
        let all: Vec<Conversation> = turns(&asked, &Vocabulary::default(), 1).take(50).collect();
        assert!(all.iter().all(|one| (2..=4).contains(&one.turns.len()) && ids(&one.turns[1]).len() == 5));
        assert!(all.iter().all(|one| ids(&one.turns[0])[..10] == ids(&all[0].turns[0])[..10]));
        assert!(all.iter().all(|one| one.turns[0].think.is_zero() && one.turns[1].think.as_millis() == 30));
    }
}
