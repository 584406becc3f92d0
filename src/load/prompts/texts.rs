//! Prompts out of files of texts: conversations of ShareGPT, lines of one's own, data sets of Hugging Face that are on disk.

use super::rows::{Row, rows};
use super::{Content, Conversation, Conversations, Prompt, Vocabulary};
use crate::load::LoadError;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::{Value, json};
use std::path::PathBuf;

/// What a file of texts is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextsAre {
    /// `{"conversations": [{"from": "human", "value": …}, {"from": "gpt", "value": …}, …]}`
    Sharegpt,
    /// `{"prompt": …, "output_tokens": …}`
    Custom,
    /// `{"turns": [prompt, …], "category": …}`
    SpecBench,
    /// Any rows with a text in them.
    Hf,
    /// Lines of a poem, of which prompts are made.
    Sonnet { input_len: usize, prefix_len: usize },
}

/// A file of texts, and what is taken of it.
#[derive(Clone, Debug, PartialEq)]
pub struct TextFile {
    pub path: PathBuf,
    pub texts_are: TextsAre,
    /// Tokens of each answer; where it is not given, what the row says or its own answer has.
    pub output_len: Option<usize>,
    pub order: Order,
    /// Whether rows come again where there are fewer than requests.
    pub when_over: WhenOver,
    pub category: Option<String>,
    pub column: Option<String>,
    pub split: Option<String>,
    /// Prompts that are longer with their answers are left out.
    pub max_model_len: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Shuffled,
    AsStored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenOver {
    Repeat,
    Stop,
}

/// As vLLM takes ShareGPT's: neither trifles nor what a small context can't hold.
const FEWEST_TOKENS: usize = 4;
const MOST_PROMPT_TOKENS: usize = 1024;
const MOST_TOKENS: usize = 2048;
/// Where rows have their text, the likeliest first.
const COLUMNS: [&str; 10] =
    ["prompt", "question", "text", "instruction", "input", "query", "problem", "content", "messages", "conversations"];

pub fn conversations(file: &TextFile, vocabulary: &Vocabulary, seed: u64) -> Result<Conversations, LoadError> {
    let bad = |reason: String| LoadError::BadDataset { path: file.path.display().to_string(), reason };
    let mut random = StdRng::seed_from_u64(seed);
    if let TextsAre::Sonnet { input_len, prefix_len } = file.texts_are {
        return sonnet(file, [input_len, prefix_len], vocabulary, random).map_err(bad);
    }
    let mut found = rows(&file.path, file.split.as_deref())?;
    if let Some(wanted) = &file.category {
        found.retain(|row| row.get("category").and_then(Value::as_str) == Some(wanted));
        if found.is_empty() {
            return Err(bad(format!("no row has the category {wanted:?}")));
        }
    }
    let all = found.len();
    let mut prompts: Vec<Prompt> = Vec::new();
    let mut why_not = String::new();
    for row in &found {
        match prompt_of(file, row, vocabulary) {
            Ok(Some(prompt)) => prompts.push(prompt),
            Ok(None) => {}
            Err(reason) => why_not = reason,
        }
    }
    if prompts.is_empty() {
        let why = if why_not.is_empty() { "all are too short or too long".to_owned() } else { why_not };
        return Err(bad(format!("none of its {all} row(s) can be used: {why}")));
    }
    if file.order == Order::Shuffled {
        prompts.shuffle(&mut random);
    }
    Ok(over_and_over(prompts.into_iter().map(Conversation::from).collect(), file.when_over))
}

/// The conversations, and again from the first if so asked.
pub fn over_and_over(all: Vec<Conversation>, when_over: WhenOver) -> Conversations {
    match when_over {
        WhenOver::Stop => Box::new(all.into_iter()),
        WhenOver::Repeat => Box::new(all.into_iter().cycle()),
    }
}

/// The prompt of a row; nothing if it is left out by its length, an error if it has none.
fn prompt_of(file: &TextFile, row: &Row, vocabulary: &Vocabulary) -> Result<Option<Prompt>, String> {
    let (content, answer) = match file.texts_are {
        TextsAre::Sharegpt => {
            let turns = row.get("conversations").and_then(Value::as_array).ok_or("no list `conversations`")?;
            let text = |index: usize| turns.get(index)?.get("value")?.as_str();
            let (prompt, answer) = text(0).zip(text(1)).ok_or("fewer than two turns with a text `value`")?;
            (Content::Text(prompt.to_owned()), Some(answer.to_owned()))
        }
        TextsAre::SpecBench => {
            let turn = row.get("turns").and_then(|turns| turns.get(0)?.as_str()).ok_or("no text in `turns`")?;
            (Content::Text(turn.to_owned()), None)
        }
        TextsAre::Custom => (text_in(row, file.column.as_deref().unwrap_or("prompt"))?, None),
        TextsAre::Hf | TextsAre::Sonnet { .. } => (any_text(file, row)?, None),
    };
    let input_tokens = vocabulary.count(&content.text());
    let told = row.get("output_tokens").and_then(Value::as_u64).map(|tokens| tokens as usize);
    let counted = answer.as_deref().and_then(|answer| vocabulary.count(answer));
    let output_len = file.output_len.or(told).or(counted).ok_or(match file.texts_are {
        TextsAre::Sharegpt => "the length of answers is not known: set an output length, or a tokenizer",
        _ => "the length of answers is not known: set an output length, or `output_tokens` in each row",
    })?;
    let is_too_long = |most: usize| input_tokens.is_some_and(|input| input + output_len > most);
    let is_left_out = file.texts_are == TextsAre::Sharegpt
        && (input_tokens.is_some_and(|input| !(FEWEST_TOKENS..=MOST_PROMPT_TOKENS).contains(&input))
            || output_len < FEWEST_TOKENS
            || is_too_long(MOST_TOKENS));
    if is_left_out || file.max_model_len.is_some_and(is_too_long) {
        return Ok(None);
    }
    Ok(Some(Prompt { content, input_tokens, output_len, ..Prompt::default() }))
}

fn text_in(row: &Row, column: &str) -> Result<Content, String> {
    match row.get(column) {
        Some(Value::String(text)) => Ok(Content::Text(text.clone())),
        Some(Value::Array(messages)) if messages.iter().all(Value::is_object) && !messages.is_empty() => {
            Ok(Content::Messages(messages.iter().map(message).collect()))
        }
        Some(_) => Err(format!("`{column}` is neither a text nor a list of messages")),
        None => {
            let columns = row.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            Err(format!("no column `{column}`; there are: {columns}"))
        }
    }
}

/// A message of a chat, also where it is written as ShareGPT writes it.
fn message(value: &Value) -> Value {
    match (value.get("from").and_then(Value::as_str), value.get("value")) {
        (Some(from), Some(text)) => {
            let role = if ["gpt", "assistant", "model"].contains(&from) { "assistant" } else { "user" };
            json!({"role": role, "content": text})
        }
        _ => value.clone(),
    }
}

fn any_text(file: &TextFile, row: &Row) -> Result<Content, String> {
    if let Some(column) = &file.column {
        return text_in(row, column);
    }
    let found = COLUMNS.iter().find_map(|column| text_in(row, column).ok());
    found.ok_or_else(|| {
        let columns = row.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        format!("no column has a text of a known name; name one of: {columns}")
    })
}

/// Prompts of as many lines as are needed, the first of them the same in all.
fn sonnet(
    file: &TextFile,
    [input_len, prefix_len]: [usize; 2],
    vocabulary: &Vocabulary,
    mut random: StdRng,
) -> Result<Conversations, String> {
    let text = crate::files::text(&file.path, crate::files::Links::Follow).map_err(|error| error.to_string())?;
    let lines: Vec<String> = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
    if lines.is_empty() {
        return Err("the file has no lines".into());
    }
    let vocabulary = vocabulary.clone();
    // Without a tokenizer a word stands for a token and a third.
    let tokens = move |line: &String| vocabulary.count(line).unwrap_or(line.split_whitespace().count() * 4 / 3).max(1);
    let mean = (lines.iter().map(&tokens).sum::<usize>() as f64 / lines.len() as f64).max(1.0);
    let (all, shared) = ((input_len as f64 / mean).round() as usize, (prefix_len as f64 / mean).round() as usize);
    let shared = shared.min(lines.len());
    let output_len = file.output_len.unwrap_or(SONNET_OUTPUT);
    let mut rest: Vec<String> = lines[shared.min(lines.len() - 1)..].to_vec();
    let head: Vec<String> = lines[..shared].to_vec();
    Ok(Box::new(std::iter::repeat_with(move || {
        rest.shuffle(&mut random);
        let own = rest.iter().cycle().take(all.saturating_sub(head.len()).max(1));
        let text = ["Pick as many lines as you can from these poem lines:"].into_iter().map(str::to_owned);
        let text = text.chain(head.iter().cloned()).chain(own.cloned()).collect::<Vec<_>>().join("\n");
        let input_tokens = None;
        Prompt { content: Content::Text(text), input_tokens, output_len, ..Prompt::default() }.into()
    })))
}

const SONNET_OUTPUT: usize = 150;
