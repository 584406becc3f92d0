//! What of an answer is read, by API.

use super::Backend;
use super::skim::{Found, Malformed, Paths};

/// What a field tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Something was generated, or is about to be.
    Choice,
    Text,
    /// Text that the model thinks before it answers.
    Reasoning,
    /// Anything but null: the answer is complete.
    Finish,
    InputTokens,
    OutputTokens,
    ReasoningTokens,
    /// Anything but null: the request failed.
    Error,
    /// The name of an event of the responses API.
    Kind,
}

/// How an answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Server-sent events, which say when they are complete.
    Events,
    /// Server-sent events that just end.
    EventsUntilClosed,
    /// One JSON text.
    Whole,
}

/// What the text of an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextIs {
    /// What came since the event before.
    New,
    /// All of it so far.
    Cumulative,
}

pub struct Dialect {
    pub shape: Shape,
    pub text_is: TextIs,
    paths: Paths<Field>,
}

const OPENAI: [(&str, Field); 12] = [
    ("/choices/0", Field::Choice),
    ("/choices/0/text", Field::Text),
    ("/choices/0/delta/content", Field::Text),
    ("/choices/0/delta/tool_calls/0/function/arguments", Field::Text),
    ("/choices/0/delta/reasoning_content", Field::Reasoning),
    ("/choices/0/delta/reasoning", Field::Reasoning),
    ("/choices/0/message/content", Field::Text),
    ("/choices/0/finish_reason", Field::Finish),
    ("/usage/prompt_tokens", Field::InputTokens),
    ("/usage/completion_tokens", Field::OutputTokens),
    ("/usage/completion_tokens_details/reasoning_tokens", Field::ReasoningTokens),
    ("/error", Field::Error),
];

const RESPONSES: [(&str, Field); 9] = [
    ("/type", Field::Kind),
    ("/delta", Field::Text),
    ("/response/usage/input_tokens", Field::InputTokens),
    ("/response/usage/output_tokens", Field::OutputTokens),
    ("/response/usage/output_tokens_details/reasoning_tokens", Field::ReasoningTokens),
    ("/response/error", Field::Error),
    ("/error", Field::Error),
    ("/usage/input_tokens", Field::InputTokens),
    ("/usage/output_tokens", Field::OutputTokens),
];

const SGLANG: [(&str, Field); 6] = [
    ("/meta_info", Field::Choice),
    ("/text", Field::Text),
    ("/meta_info/finish_reason", Field::Finish),
    ("/meta_info/prompt_tokens", Field::InputTokens),
    ("/meta_info/completion_tokens", Field::OutputTokens),
    ("/error", Field::Error),
];

const TGI: [(&str, Field); 5] = [
    ("/token", Field::Choice),
    ("/token/text", Field::Text),
    ("/generated_text", Field::Finish),
    ("/details/generated_tokens", Field::OutputTokens),
    ("/error", Field::Error),
];

const TRITON: [(&str, Field); 2] = [("/text_output", Field::Text), ("/error", Field::Error)];

const COUNTS: [(&str, Field); 2] = [("/usage/prompt_tokens", Field::InputTokens), ("/error", Field::Error)];

impl Dialect {
    /// `text_path`: where a custom API has the text of an event.
    pub fn of(backend: Backend, is_streamed: bool, text_path: Option<&'static str>) -> Self {
        let custom = text_path.map(|path| [(path, Field::Text), ("/error", Field::Error)]);
        let fields: &[(&str, Field)] = match backend {
            Backend::Vllm | Backend::Openai | Backend::OpenaiChat => &OPENAI,
            Backend::OpenaiResponses => &RESPONSES,
            Backend::Sglang => &SGLANG,
            Backend::Tgi => &TGI,
            Backend::TensorrtLlm => &TRITON,
            Backend::OpenaiEmbeddings | Backend::VllmPooling | Backend::VllmRerank => &COUNTS,
            Backend::Custom => custom.as_ref().map_or(&[], |fields| fields.as_slice()),
        };
        let shape = match backend {
            _ if !is_streamed || !backend.generates() => Shape::Whole,
            Backend::TensorrtLlm => Shape::EventsUntilClosed,
            Backend::Custom if text_path.is_none() => Shape::Whole,
            Backend::Custom => Shape::EventsUntilClosed,
            _ => Shape::Events,
        };
        let text_is = if backend == Backend::Sglang { TextIs::Cumulative } else { TextIs::New };
        Self { shape, text_is, paths: Paths::new(fields) }
    }

    /// Tells the fields of an event.
    pub fn read<'a>(&self, json: &'a [u8], found: &mut impl FnMut(Field, Found<'a>)) -> Result<(), Malformed> {
        self.paths.skim(json, found)
    }
}
