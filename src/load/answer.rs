//! The times of one answer, as its stream comes.

use super::api::{Dialect, Field, Found, Shape, TextIs, unescaped};
use super::measurement::{CountedBy, Failure, FailureKind, Measurement};
use std::time::{Duration, Instant};

/// Whether texts are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Texts {
    #[default]
    Dropped,
    Kept,
}

/// What a stream has brought so far.
///
/// The time to the first token is that to the first text, of reasoning or of the answer; a chunk before it that only names a role is no
/// token. From then on each chunk is one, an empty one too (a token may be half a letter), unless all it brings is the end.
pub struct Answer {
    sent: Instant,
    texts: Texts,
    first_chunk: Option<Instant>,
    first_text: Option<Instant>,
    first_answer: Option<Instant>,
    has_reasoning: bool,
    /// When the latest token came.
    token: Instant,
    /// When the latest chunk came that had a choice.
    last: Instant,
    itl: Vec<Duration>,
    chunks: usize,
    text: String,
    text_len: usize,
    input_tokens: Option<usize>,
    output_tokens: Option<usize>,
    reasoning_tokens: Option<usize>,
    /// Output tokens that chunks with text have told on their way.
    told_tokens: Option<usize>,
    is_itl_of_tokens: bool,
    is_finished: bool,
}

/// What one event told.
#[derive(Default)]
struct Event<'a> {
    has_choice: bool,
    text: &'a [u8],
    reasoning: &'a [u8],
    is_finish: bool,
    input_tokens: Option<usize>,
    output_tokens: Option<usize>,
    reasoning_tokens: Option<usize>,
    is_error: bool,
    kind: &'a [u8],
}

/// Of an event that can't be read so much is told.
const SHOWN: usize = 200;

impl Answer {
    pub fn new(sent: Instant, texts: Texts) -> Self {
        Self {
            sent,
            texts,
            first_chunk: None,
            first_text: None,
            first_answer: None,
            has_reasoning: false,
            token: sent,
            last: sent,
            itl: Vec::new(),
            chunks: 0,
            text: String::new(),
            text_len: 0,
            input_tokens: None,
            output_tokens: None,
            reasoning_tokens: None,
            told_tokens: None,
            is_itl_of_tokens: false,
            is_finished: false,
        }
    }

    pub fn has_begun(&self) -> bool {
        self.first_text.is_some()
    }

    /// Takes an event that came then.
    pub fn take(&mut self, dialect: &Dialect, data: &[u8], at: Instant) -> Result<(), Failure> {
        if data == b"[DONE]" {
            self.is_finished = true;
            return Ok(());
        }
        let mut event = Event::default();
        let read = dialect.read(data, &mut |field, found| event.put(field, found));
        read.map_err(|_| Failure::new(FailureKind::MalformedChunk, format!("an event is not JSON: {}", shown(data))))?;
        event.sort_kind();
        if event.is_error {
            return Err(Failure::new(FailureKind::ServerError, format!("the server failed: {}", shown(data))));
        }
        self.count(&event);
        if dialect.text_is == TextIs::Cumulative {
            let new = event.text.len().max(self.text_len);
            event.text = &event.text[self.text_len.min(event.text.len())..];
            self.text_len = new;
        }
        if event.has_choice || !event.text.is_empty() || !event.reasoning.is_empty() {
            self.tick(&event, at);
        }
        Ok(())
    }

    fn count(&mut self, event: &Event<'_>) {
        self.input_tokens = event.input_tokens.or(self.input_tokens);
        self.output_tokens = event.output_tokens.or(self.output_tokens);
        self.reasoning_tokens = event.reasoning_tokens.or(self.reasoning_tokens);
        self.is_finished |= event.is_finish;
    }

    /// A chunk: perhaps a token, perhaps several.
    fn tick(&mut self, event: &Event<'_>, at: Instant) {
        self.first_chunk.get_or_insert(at);
        self.last = at;
        let has_text = !event.text.is_empty() || !event.reasoning.is_empty();
        self.has_reasoning |= !event.reasoning.is_empty();
        if !event.text.is_empty() {
            self.first_answer.get_or_insert(at);
        }
        if self.texts == Texts::Kept && !event.text.is_empty() {
            self.text.push_str(&unescaped(event.text));
        }
        if !has_text && (self.first_text.is_none() || event.is_finish) {
            return;
        }
        self.chunks += 1;
        let tokens = event.output_tokens.map(|told| told.saturating_sub(self.told_tokens.unwrap_or(0)));
        self.told_tokens = event.output_tokens.or(self.told_tokens);
        if self.first_text.is_none() {
            self.first_text = Some(at);
        } else {
            let gap = at - self.token;
            let tokens = tokens.unwrap_or(1).max(1);
            self.is_itl_of_tokens |= event.output_tokens.is_some();
            self.itl.extend(std::iter::repeat_n(gap / tokens as u32, tokens));
        }
        self.token = at;
    }

    /// Takes an answer that came in one piece: only its end has a time.
    pub fn take_whole(&mut self, dialect: &Dialect, body: &[u8], at: Instant) -> Result<(), Failure> {
        self.take(dialect, body, at)?;
        self.last = at;
        (self.first_chunk, self.first_text, self.first_answer) = (None, None, None);
        self.is_finished = true;
        Ok(())
    }

    /// What was measured; an answer that has not said that it is complete is none.
    pub fn finish(self, shape: Shape, measurement: &mut Measurement) -> Result<(), Failure> {
        let since = |instant: Instant| instant - self.sent;
        measurement.ttft = self.first_text.map(since);
        measurement.ttft_chunk = self.first_chunk.map(since);
        measurement.ttft_answer = self.first_answer.filter(|_| self.has_reasoning).map(since);
        measurement.latency = since(self.last);
        measurement.itl = self.itl;
        measurement.is_itl_of_tokens = self.is_itl_of_tokens;
        measurement.chunks = self.chunks;
        measurement.text = self.text;
        measurement.input_tokens = self.input_tokens.or(measurement.input_tokens);
        measurement.output_tokens = self.output_tokens;
        measurement.reasoning_tokens = self.reasoning_tokens;
        measurement.counted_by = if self.output_tokens.is_some() { CountedBy::Server } else { CountedBy::Nobody };
        match shape {
            Shape::Events if !self.is_finished => {
                let text = format!("the stream ended after {} chunk(s), before it was complete", self.chunks);
                Err(Failure::new(FailureKind::EndedEarly, text))
            }
            Shape::Events | Shape::EventsUntilClosed if self.first_chunk.is_none() => {
                Err(Failure::new(FailureKind::EndedEarly, "the stream ended without a token"))
            }
            _ => Ok(()),
        }
    }
}

impl<'a> Event<'a> {
    fn put(&mut self, field: Field, found: Found<'a>) {
        let text = if let Found::Text(text) = found { text } else { &[] };
        match field {
            Field::Choice => self.has_choice |= found != Found::Null,
            // One of several places where it may stand.
            Field::Text if self.text.is_empty() => self.text = text,
            Field::Reasoning if self.reasoning.is_empty() => self.reasoning = text,
            Field::Text | Field::Reasoning => {}
            Field::Finish => self.is_finish |= found != Found::Null,
            Field::InputTokens => self.input_tokens = found.number().or(self.input_tokens),
            Field::OutputTokens => self.output_tokens = found.number().or(self.output_tokens),
            Field::ReasoningTokens => self.reasoning_tokens = found.number().or(self.reasoning_tokens),
            Field::Error => self.is_error |= found != Found::Null,
            Field::Kind => self.kind = text,
        }
    }

    /// The responses API says by an event's name what its delta is.
    fn sort_kind(&mut self) {
        if self.kind.is_empty() {
            return;
        }
        match self.kind {
            b"response.output_text.delta" | b"response.function_call_arguments.delta" => self.has_choice = true,
            kind if kind.ends_with(b"delta") && memchr::memmem::find(kind, b"reasoning").is_some() => {
                self.has_choice = true;
                self.reasoning = std::mem::take(&mut self.text);
            }
            b"response.completed" | b"response.incomplete" => (self.text, self.is_finish) = (&[], true),
            b"response.failed" | b"error" => self.is_error = true,
            _ => self.text = &[],
        }
    }
}

fn shown(data: &[u8]) -> String {
    String::from_utf8_lossy(data).chars().take(SHOWN).collect()
}
