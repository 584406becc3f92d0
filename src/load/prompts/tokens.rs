//! Tokens: which there are, and how many a text has.

use crate::load::LoadError;
use rand::Rng;
use rand::rngs::StdRng;
use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use tokenizers::Tokenizer;

/// What is known of a model's tokens.
#[derive(Clone)]
pub struct Vocabulary {
    ids: RangeInclusive<u32>,
    special: HashSet<u32>,
    tokenizer: Option<Arc<Tokenizer>>,
}

/// IDs that most vocabularies of today's models have and that no special token takes.
const USUAL: RangeInclusive<u32> = 1000..=30_000;
/// A text is made again so often until it has the number of tokens that is asked for.
const TRIES: usize = 8;

impl Default for Vocabulary {
    fn default() -> Self {
        Self { ids: USUAL, special: HashSet::new(), tokenizer: None }
    }
}

impl Vocabulary {
    /// Of so many tokens. Special ones stand at one of its ends, mostly.
    pub fn of_size(size: u32) -> Self {
        if size > *USUAL.end() {
            return Self::default();
        }
        let edge = size / 16;
        Self { ids: edge..=(size - edge).saturating_sub(1).max(edge), ..Self::default() }
    }

    /// Of a `tokenizer.json`, or of the folder that it lies in.
    pub fn of_tokenizer(path: &Path) -> Result<Self, LoadError> {
        let file = if path.is_dir() { path.join("tokenizer.json") } else { path.to_owned() };
        let bad = |reason: String| LoadError::BadDataset { path: file.display().to_string(), reason };
        let tokenizer = Tokenizer::from_file(&file).map_err(|error| bad(format!("not a tokenizer: {error}")))?;
        let size = u32::try_from(tokenizer.get_vocab_size(true)).map_err(|error| bad(error.to_string()))?;
        if size == 0 {
            return Err(bad("the tokenizer has no tokens".into()));
        }
        let special = tokenizer.get_added_tokens_decoder();
        let special: HashSet<u32> = special.iter().filter(|(_, token)| token.special).map(|(id, _)| *id).collect();
        Ok(Self { ids: 0..=size - 1, special, tokenizer: Some(Arc::new(tokenizer)) })
    }

    pub fn has_tokenizer(&self) -> bool {
        self.tokenizer.is_some()
    }

    /// Tokens of a text, without special ones; nothing where no tokenizer is known.
    pub fn count(&self, text: &str) -> Option<usize> {
        Some(self.encoded(text)?.len())
    }

    fn encoded(&self, text: &str) -> Option<Vec<u32>> {
        Some(self.tokenizer.as_ref()?.encode_fast(text, false).ok()?.get_ids().to_vec())
    }

    /// Any tokens but special ones.
    pub fn random(&self, count: usize, random: &mut StdRng) -> Vec<u32> {
        (0..count).map(|_| self.one(random)).collect()
    }

    fn one(&self, random: &mut StdRng) -> u32 {
        let id = random.random_range(self.ids.clone());
        if self.special.contains(&id) && self.special.len() < self.ids.clone().count() { self.one(random) } else { id }
    }

    /// A text of these tokens, or of others as many where they do not survive being written as text; with the number that it has.
    pub fn text_of(&self, ids: &[u32], random: &mut StdRng) -> Option<(String, usize)> {
        let tokenizer = self.tokenizer.as_ref()?;
        let mut wanted = ids.to_vec();
        let mut best: Option<(String, usize)> = None;
        for _ in 0..TRIES {
            let text = tokenizer.decode(&wanted, true).ok()?;
            let mut found = self.encoded(&text)?;
            let miss = |count: usize| count.abs_diff(ids.len());
            if best.as_ref().is_none_or(|(_, count)| miss(found.len()) < miss(*count)) {
                best = Some((text, found.len()));
            }
            if found.len() == ids.len() {
                break;
            }
            found.truncate(ids.len());
            let lacking = ids.len() - found.len();
            found.extend(self.random(lacking, random));
            wanted = found;
        }
        best
    }
}

impl std::fmt::Debug for Vocabulary {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Vocabulary({:?}, tokenizer: {})", self.ids, self.has_tokenizer())
    }
}
