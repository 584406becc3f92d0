//! What is asked: prompts by data set, made while the run goes.

mod images;
mod lengths;
mod random;
mod rows;
mod texts;
mod tokens;
mod traces;
mod words;

pub use images::WithImages;
pub use lengths::Lengths;
pub use random::{Prefixes, RandomPrompts, Rerank, Turns, Warm};
pub use texts::{Order, TextFile, TextsAre, WhenOver};
pub use tokens::Vocabulary;
pub use traces::{Arrivals, Columns, Trace};

use super::LoadError;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use std::time::Duration;

/// What a prompt says.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    Ids(Vec<u32>),
    Text(String),
    /// Of a chat.
    Messages(Vec<Value>),
}

/// A prompt, and how long its answer should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    pub content: Content,
    /// Tokens as the data set counts them; `None` where nothing counts them but the server.
    pub input_tokens: Option<usize>,
    pub output_len: usize,
    /// What is to be ranked.
    pub documents: Vec<String>,
    /// How long its user thinks before it is sent, once the answer before it has come.
    pub think: Duration,
}

/// Prompts of which each but the first follows the answer to the one before: of most data sets there is but one.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation {
    pub turns: Vec<Prompt>,
    /// When it begins, where the data set says so.
    pub at: Option<Duration>,
}

/// Prompts without end, or as many as there are.
pub type Conversations = Box<dyn Iterator<Item = Conversation> + Send>;

impl Default for Prompt {
    fn default() -> Self {
        Self {
            content: Content::Ids(Vec::new()),
            input_tokens: None,
            output_len: 0,
            documents: Vec::new(),
            think: Duration::ZERO,
        }
    }
}

impl Content {
    /// As text, for servers that take no token IDs.
    pub fn text(&self) -> String {
        match self {
            Self::Ids(ids) => words::of(ids),
            Self::Text(text) => text.clone(),
            Self::Messages(messages) => {
                let texts = messages.iter().filter_map(|message| message.get("content")?.as_str());
                texts.collect::<Vec<_>>().join("\n")
            }
        }
    }

    /// As messages of a chat.
    pub fn messages(&self) -> Vec<Value> {
        match self {
            Self::Messages(messages) => messages.clone(),
            content => vec![json!({"role": "user", "content": content.text()})],
        }
    }

    /// About how much there is of it, in tokens.
    pub fn weight(&self) -> usize {
        match self {
            Self::Ids(ids) => ids.len(),
            Self::Text(text) => text.len() / 4,
            Self::Messages(messages) => 64 * messages.len(),
        }
    }
}

impl From<Prompt> for Conversation {
    fn from(prompt: Prompt) -> Self {
        Self { turns: vec![prompt], at: None }
    }
}

/// Where prompts come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Dataset {
    Random(RandomPrompts),
    Prefixes(Prefixes),
    Turns(Turns),
    Rerank(Rerank),
    Images(WithImages),
    Texts(TextFile),
    Trace(Trace),
}

impl Dataset {
    /// The prompts, the same for the same seed.
    pub fn conversations(&self, vocabulary: &Vocabulary, seed: u64) -> Result<Conversations, LoadError> {
        Ok(match self {
            Self::Random(asked) => Box::new(random::prompts(asked, vocabulary, seed)),
            Self::Prefixes(asked) => Box::new(random::prefixes(*asked, vocabulary, seed)?),
            Self::Turns(asked) => Box::new(random::turns(asked, vocabulary, seed)),
            Self::Rerank(asked) => Box::new(random::rerank(asked, vocabulary, seed)),
            Self::Images(asked) => Box::new(images::prompts(asked, vocabulary, seed)),
            Self::Texts(file) => texts::conversations(file, vocabulary, seed)?,
            Self::Trace(trace) => traces::conversations(trace, vocabulary, seed)?,
        })
    }

    /// Whether answers become part of later prompts.
    pub fn has_turns(&self) -> bool {
        matches!(self, Self::Turns(_))
    }

    /// Whether requests come when the data set says.
    pub fn is_timed(&self) -> bool {
        matches!(self, Self::Trace(trace) if trace.arrivals == Arrivals::AsTraced)
    }
}

/// Prompts of token IDs as texts of as many tokens, where a tokenizer is known.
pub fn as_texts(conversations: Conversations, vocabulary: &Vocabulary, seed: u64) -> Conversations {
    if !vocabulary.has_tokenizer() {
        return conversations;
    }
    let (vocabulary, mut random) = (vocabulary.clone(), StdRng::seed_from_u64(seed));
    Box::new(conversations.map(move |mut conversation| {
        for prompt in &mut conversation.turns {
            if let Content::Ids(ids) = &prompt.content
                && let Some((text, count)) = vocabulary.text_of(ids, &mut random)
            {
                (prompt.content, prompt.input_tokens) = (Content::Text(text), Some(count));
            }
        }
        conversation
    }))
}
