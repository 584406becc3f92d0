//! Tokens as words, where no tokenizer is known.

/// Short English words, most of them one token in common tokenizers.
const WORDS: [&str; 32] = [
    "time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world", "school", "state",
    "family", "student", "group", "country", "problem", "hand", "part", "place", "case", "week", "company", "system",
    "program", "question", "work", "number", "night", "point", "home",
];

/// A word for each token.
pub fn of(ids: &[u32]) -> String {
    let words = ids.iter().map(|id| WORDS[*id as usize % WORDS.len()]);
    words.collect::<Vec<_>>().join(" ")
}
