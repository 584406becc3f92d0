//! Tokens of texts.

use super::SimError;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use tokenizers::Tokenizer;

/// Makes tokens of texts: exactly, where a tokenizer is known, else about as many as one would.
pub struct Counter {
    tokenizer: Option<Box<Tokenizer>>,
}

/// A run of letters has a token for so many of them, as the vocabularies of today's models have it.
const LETTERS: usize = 8;
/// Digits come in threes.
const DIGITS: usize = 3;

impl Counter {
    pub fn new(path: Option<&Path>) -> Result<Self, SimError> {
        let Some(path) = path else { return Ok(Self { tokenizer: None }) };
        let bad = |reason: String| SimError::BadFile { path: path.display().to_string(), reason };
        let file = if path.is_dir() { path.join("tokenizer.json") } else { path.to_owned() };
        let tokenizer = Tokenizer::from_file(file).map_err(|error| bad(error.to_string()))?;
        Ok(Self { tokenizer: Some(Box::new(tokenizer)) })
    }

    pub fn tokens(&self, text: &str) -> Vec<u32> {
        let exact = self.tokenizer.as_ref().and_then(|tokenizer| tokenizer.encode_fast(text, true).ok());
        exact.map_or_else(|| estimated(text), |encoding| encoding.get_ids().to_vec())
    }
}

/// The kinds of letters that tokenizers part before they look closer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Blank,
    Letter,
    Digit,
    Other,
}

fn estimated(text: &str) -> Vec<u32> {
    let kind = |letter: char| match letter {
        letter if letter.is_whitespace() => Kind::Blank,
        letter if letter.is_alphabetic() => Kind::Letter,
        letter if letter.is_numeric() => Kind::Digit,
        _ => Kind::Other,
    };
    let mut pieces: Vec<(Kind, String)> = Vec::new();
    for letter in text.chars() {
        let own = kind(letter);
        match pieces.last_mut().filter(|(known, _)| *known == own) {
            Some((_, piece)) => piece.push(letter),
            None => pieces.push((own, letter.to_string())),
        }
    }
    let most = |kind: Kind| match kind {
        Kind::Letter => LETTERS,
        Kind::Digit => DIGITS,
        Kind::Blank | Kind::Other => usize::MAX,
    };
    // A blank goes with what follows it.
    let parted = pieces.iter().filter(|(kind, _)| *kind != Kind::Blank).flat_map(|(kind, piece)| {
        let letters: Vec<char> = piece.chars().collect();
        letters.chunks(most(*kind).min(letters.len().max(1))).map(hash).collect::<Vec<_>>()
    });
    parted.collect()
}

fn hash(letters: &[char]) -> u32 {
    let mut hasher = DefaultHasher::new();
    letters.hash(&mut hasher);
    hasher.finish() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_words_are_a_token_each_and_long_runs_are_several() {
        assert_eq!(estimated("time year people").len(), 3);
        assert_eq!(estimated("internationalization").len(), 3);
        assert_eq!(estimated("12345, ok!").len(), 2 + 1 + 1 + 1);
        assert_eq!(estimated(""), Vec::<u32>::new());
        assert_eq!(estimated("same words"), estimated("same  words"));
    }
}
