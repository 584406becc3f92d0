//! What is sent: bodies of requests, made by API.

use super::{Backend, PromptAs};
use crate::load::prompts::{Content, Prompt};
use serde_json::{Map, Value, json};

/// How a model is asked to generate. What is not given is left to the server.
#[derive(Clone, Debug, Default)]
pub struct Sampling {
    pub ignore_eos: bool,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub top_k: Option<i64>,
    pub min_p: Option<f64>,
    pub frequency_penalty: Option<f64>,
    pub presence_penalty: Option<f64>,
    pub repetition_penalty: Option<f64>,
    pub logprobs: Option<u32>,
    /// `--extra-body`: what replaces or adds to the rest.
    pub extra: Map<String, Value>,
}

/// How Triton is told to go on.
const MIN_LENGTH: &str = "min_length";

/// Makes bodies: what they have in common is written once.
pub struct Bodies {
    backend: Backend,
    prompt_as: PromptAs,
    /// `{"stream":true,…`, without its end.
    common: String,
    /// Keys that `--extra-body` sets itself.
    set: Vec<String>,
    template: Option<String>,
    sampling: Map<String, Value>,
}

impl Bodies {
    pub fn new(
        backend: Backend,
        prompt_as: PromptAs,
        is_streamed: bool,
        sampling: &Sampling,
        template: Option<String>,
    ) -> Self {
        let own = sampling.fields(backend);
        let mut common = Map::new();
        if is_streamed && backend.generates() && backend != Backend::Tgi {
            common.insert("stream".into(), true.into());
        }
        match backend {
            Backend::Vllm | Backend::Openai | Backend::OpenaiChat => {
                if is_streamed {
                    common.insert("stream_options".into(), json!({"include_usage": true}));
                }
                common.extend(own.clone());
            }
            Backend::OpenaiResponses => common.extend(own.clone()),
            Backend::TensorrtLlm => {
                common.extend(own.clone());
                // It is a number of tokens, each prompt's own.
                common.remove(MIN_LENGTH);
            }
            _ => {}
        }
        common.extend(sampling.extra.clone());
        let mut text = Value::Object(common).to_string();
        text.pop();
        let set = sampling.extra.keys().cloned().collect();
        Self { backend, prompt_as, common: text, set, template, sampling: own }
    }

    /// The body for a prompt; `model`: as the server knows it.
    pub fn of(&self, model: &str, prompt: &Prompt) -> Vec<u8> {
        if let Some(template) = &self.template {
            return filled(template, model, prompt).into_bytes();
        }
        let mut body = String::with_capacity(self.common.len() + 64 + 6 * prompt.content.weight());
        body.push_str(&self.common);
        let content = self.content(prompt);
        match self.backend {
            Backend::Vllm | Backend::Openai => {
                self.put(&mut body, "model", &json!(model).to_string());
                self.put(&mut body, "prompt", &content);
                self.put(&mut body, "max_tokens", &prompt.output_len.to_string());
            }
            Backend::OpenaiChat => {
                self.put(&mut body, "model", &json!(model).to_string());
                self.put(&mut body, "messages", &content);
                self.put(&mut body, "max_completion_tokens", &prompt.output_len.to_string());
            }
            Backend::OpenaiResponses => {
                self.put(&mut body, "model", &json!(model).to_string());
                self.put(&mut body, "input", &content);
                self.put(&mut body, "max_output_tokens", &prompt.output_len.to_string());
            }
            Backend::Sglang => {
                let key = if self.prompt_as == PromptAs::Ids { "input_ids" } else { "text" };
                self.put(&mut body, key, &content);
                let mut sampling = self.sampling.clone();
                sampling.insert("max_new_tokens".into(), prompt.output_len.into());
                self.put(&mut body, "sampling_params", &Value::Object(sampling).to_string());
            }
            Backend::Tgi => {
                self.put(&mut body, "inputs", &content);
                let mut parameters = self.sampling.clone();
                parameters.insert("max_new_tokens".into(), prompt.output_len.into());
                parameters.insert("details".into(), true.into());
                self.put(&mut body, "parameters", &Value::Object(parameters).to_string());
            }
            Backend::TensorrtLlm => {
                self.put(&mut body, "text_input", &content);
                self.put(&mut body, "max_tokens", &prompt.output_len.to_string());
                if self.sampling.contains_key(MIN_LENGTH) {
                    self.put(&mut body, MIN_LENGTH, &prompt.output_len.to_string());
                }
            }
            Backend::OpenaiEmbeddings | Backend::VllmPooling => {
                self.put(&mut body, "model", &json!(model).to_string());
                self.put(&mut body, "input", &content);
            }
            Backend::VllmRerank => {
                self.put(&mut body, "model", &json!(model).to_string());
                self.put(&mut body, "query", &json!(prompt.content.text()).to_string());
                self.put(&mut body, "documents", &json!(prompt.documents).to_string());
            }
            Backend::Custom => self.put(&mut body, "prompt", &content),
        }
        body.push('}');
        body.into_bytes()
    }

    fn put(&self, body: &mut String, key: &str, value: &str) {
        if self.set.iter().any(|set| set == key) {
            return;
        }
        if body.len() > 1 {
            body.push(',');
        }
        body.push('"');
        body.push_str(key);
        body.push_str("\":");
        body.push_str(value);
    }

    /// The prompt as JSON.
    fn content(&self, prompt: &Prompt) -> String {
        match (self.prompt_as, &prompt.content) {
            (PromptAs::Ids, Content::Ids(ids)) => ids_json(ids),
            (PromptAs::Messages, content) => Value::from(content.messages()).to_string(),
            (_, content @ Content::Messages(_)) if self.backend == Backend::OpenaiResponses => {
                Value::from(content.messages()).to_string()
            }
            (_, content) => Value::String(content.text()).to_string(),
        }
    }
}

fn ids_json(ids: &[u32]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(2 + 6 * ids.len());
    text.push('[');
    for (index, id) in ids.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // Writing to a text cannot fail.
        let _ = write!(text, "{comma}{id}");
    }
    text.push(']');
    text
}

/// A template with its placeholders filled in: JSON strings that are nothing but a name in braces.
fn filled(template: &str, model: &str, prompt: &Prompt) -> String {
    let ids = if let Content::Ids(ids) = &prompt.content { ids_json(ids) } else { "[]".into() };
    let values = [
        ("\"{prompt}\"", Value::String(prompt.content.text()).to_string()),
        ("\"{prompt_token_ids}\"", ids),
        ("\"{messages}\"", Value::from(prompt.content.messages()).to_string()),
        ("\"{output_len}\"", prompt.output_len.to_string()),
        ("\"{model}\"", json!(model).to_string()),
    ];
    values.iter().fold(template.to_owned(), |text, (name, value)| text.replace(name, value))
}

impl Sampling {
    /// Under the names that an API has for them.
    fn fields(&self, backend: Backend) -> Map<String, Value> {
        let number = |value: Option<f64>| value.map(|value| json!(value));
        let all = [
            ("temperature", number(self.temperature)),
            ("top_p", number(self.top_p)),
            ("top_k", self.top_k.map(Value::from)),
            ("min_p", number(self.min_p)),
            ("frequency_penalty", number(self.frequency_penalty)),
            ("presence_penalty", number(self.presence_penalty)),
            ("repetition_penalty", number(self.repetition_penalty)),
            ("logprobs", self.logprobs.map(Value::from)),
        ];
        let eos = match backend {
            Backend::Tgi => "ignore_eos_token",
            Backend::TensorrtLlm => MIN_LENGTH,
            _ => "ignore_eos",
        };
        let eos = (eos, self.ignore_eos.then_some(Value::Bool(true)));
        all.into_iter().chain([eos]).filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt() -> Prompt {
        Prompt { content: Content::Ids(vec![5, 70]), output_len: 3, ..Prompt::default() }
    }

    fn body(backend: Backend, sampling: &Sampling) -> Value {
        let bodies = Bodies::new(backend, backend.usual_prompt(), true, sampling, None);
        serde_json::from_slice(&bodies.of("m\"", &prompt())).unwrap()
    }

    #[test]
    fn each_api_gets_what_it_understands() {
        let asked = Sampling { ignore_eos: true, temperature: Some(0.5), ..Sampling::default() };
        assert_eq!(
            body(Backend::Vllm, &asked),
            json!({"stream": true, "stream_options": {"include_usage": true}, "temperature": 0.5, "ignore_eos": true,
                   "model": "m\"", "prompt": [5, 70], "max_tokens": 3})
        );
        let chat = body(Backend::OpenaiChat, &Sampling::default());
        assert_eq!((&chat["messages"][0]["role"], &chat["max_completion_tokens"]), (&json!("user"), &json!(3)));
        assert!(chat.get("temperature").is_none() && chat.get("ignore_eos").is_none(), "{chat}");
        let sglang = body(Backend::Sglang, &asked);
        assert_eq!(sglang["sampling_params"], json!({"temperature": 0.5, "ignore_eos": true, "max_new_tokens": 3}));
        assert_eq!((&sglang["input_ids"], &sglang["stream"]), (&json!([5, 70]), &json!(true)));
        let tgi = body(Backend::Tgi, &asked);
        assert_eq!(tgi["parameters"]["ignore_eos_token"], json!(true));
        assert!(tgi["inputs"].is_string() && tgi.get("stream").is_none(), "{tgi}");
        assert_eq!(body(Backend::TensorrtLlm, &asked)[MIN_LENGTH], json!(3));
        assert_eq!(body(Backend::OpenaiEmbeddings, &asked), json!({"model": "m\"", "input": [5, 70]}));
    }

    #[test]
    fn an_extra_body_goes_before_everything_else() {
        let extra = json!({"max_tokens": 9, "top_k": 4}).as_object().unwrap().clone();
        let sampling = Sampling { top_k: Some(1), extra, ..Sampling::default() };
        let body = body(Backend::Openai, &sampling);
        assert_eq!((&body["max_tokens"], &body["top_k"]), (&json!(9), &json!(4)));
    }

    #[test]
    fn a_template_is_filled() {
        let template = r#"{"q": "{prompt}", "ids": "{prompt_token_ids}", "n": "{output_len}", "who": "{model}"}"#;
        let bodies = Bodies::new(Backend::Custom, PromptAs::Ids, true, &Sampling::default(), Some(template.into()));
        let body: Value = serde_json::from_slice(&bodies.of("m", &prompt())).unwrap();
        assert_eq!((&body["ids"], &body["n"], &body["who"]), (&json!([5, 70]), &json!(3), &json!("m")));
        assert!(body["q"].as_str().unwrap().contains(' '), "{body}");
    }
}
