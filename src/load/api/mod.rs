//! The APIs that are spoken: where they are, what is sent, and what of an answer is read.

mod body;
mod dialect;
mod skim;

pub use body::{Bodies, Sampling};
pub use dialect::{Dialect, Field, Shape, TextIs};
pub use skim::{Found, unescaped};

/// Which API is spoken, under the names of vLLM's client where it has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    Vllm,
    #[default]
    Openai,
    OpenaiChat,
    OpenaiResponses,
    /// SGLang's own `/generate`.
    Sglang,
    /// Text Generation Inference's `/generate_stream`.
    Tgi,
    /// Triton's `generate_stream` in front of TensorRT-LLM.
    TensorrtLlm,
    OpenaiEmbeddings,
    VllmPooling,
    VllmRerank,
    /// A body from a template.
    Custom,
}

/// What a server takes as a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptAs {
    Ids,
    Text,
    Messages,
}

impl PromptAs {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ids => "ids",
            Self::Text => "text",
            Self::Messages => "messages",
        }
    }
}

impl Backend {
    pub fn name(self) -> &'static str {
        match self {
            Self::Vllm => "vllm",
            Self::Openai => "openai",
            Self::OpenaiChat => "openai-chat",
            Self::OpenaiResponses => "openai-responses",
            Self::Sglang => "sglang",
            Self::Tgi => "tgi",
            Self::TensorrtLlm => "tensorrt-llm",
            Self::OpenaiEmbeddings => "openai-embeddings",
            Self::VllmPooling => "vllm-pooling",
            Self::VllmRerank => "vllm-rerank",
            Self::Custom => "custom",
        }
    }

    /// The path of its requests.
    pub fn endpoint(self) -> &'static str {
        match self {
            Self::Vllm | Self::Openai => "/v1/completions",
            Self::OpenaiChat => "/v1/chat/completions",
            Self::OpenaiResponses => "/v1/responses",
            Self::Sglang => "/generate",
            Self::Tgi => "/generate_stream",
            Self::TensorrtLlm => "/v2/models/ensemble/generate_stream",
            Self::OpenaiEmbeddings => "/v1/embeddings",
            Self::VllmPooling => "/pooling",
            Self::VllmRerank => "/v1/rerank",
            Self::Custom => "/",
        }
    }

    /// Whether it answers with text, token by token.
    pub fn generates(self) -> bool {
        !matches!(self, Self::OpenaiEmbeddings | Self::VllmPooling | Self::VllmRerank)
    }

    /// What prompts are sent as, unless it is asked for otherwise.
    pub fn usual_prompt(self) -> PromptAs {
        match self {
            Self::Vllm | Self::Openai | Self::Sglang | Self::OpenaiEmbeddings | Self::VllmPooling => PromptAs::Ids,
            Self::OpenaiChat => PromptAs::Messages,
            Self::OpenaiResponses | Self::Tgi | Self::TensorrtLlm | Self::VllmRerank | Self::Custom => PromptAs::Text,
        }
    }

    /// Whether it takes token IDs at all.
    pub fn takes_ids(self) -> bool {
        self.usual_prompt() == PromptAs::Ids || self == Self::Custom
    }
}
