//! What happens before the first request that counts: is the server there, which model has it, what does it take.

use super::LoadError;
use super::answer::Texts;
use super::api::{Bodies, Dialect, PromptAs};
use super::client::{Client, context_of, first_model, wants_text};
use super::config::{Config, Details};
use super::flight::Flights;
use super::measurement::{Failure, FailureKind, Measurement};
use super::prompts::{self, Conversation};
use super::wire::Server;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Prompts that are looked at before the first is sent.
const LOOKED_AT: usize = 32;
/// Files that a run needs besides its connections.
const OTHER_FILES: u64 = 16;

/// What is known before the first request that counts.
pub struct Prepared {
    pub model: String,
    pub model_in_requests: String,
    pub prompt_as: PromptAs,
    pub texts: Texts,
    pub conversations: prompts::Conversations,
}

pub fn prepare(config: &Config, server: &Arc<Server>) -> Result<Prepared, LoadError> {
    open_files(config)?;
    let vocabulary = &config.load.vocabulary;
    let mut conversations = conversations_of(config)?;
    let head: Vec<Conversation> = conversations.by_ref().take(LOOKED_AT).collect();
    let first = head.first().cloned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // What the server does not count is counted here.
    let is_needed = config.dataset.has_turns() || vocabulary.has_tokenizer();
    let texts = match config.report.details {
        Details::Summary if !is_needed => Texts::Dropped,
        _ => Texts::Kept,
    };
    let client = Client::new(config, server.clone(), Arc::new(dialect_of(config)), texts);
    let (model, prompt_as) = runtime.block_on(async {
        let models = known_models(config, &client).await;
        let model = match (&config.request.model, &models) {
            (Some(model), _) => model.clone(),
            (None, Ok(models)) => first_model(models).map(str::to_owned).ok_or_else(|| no_model("an empty list"))?,
            (None, Err(failure)) => return Err(no_model(&failure.text)),
        };
        let asked = config.request.served_model_name.as_ref().unwrap_or(&model).clone();
        if let Ok(models) = &models {
            within_context(&head, models, &asked)?;
        }
        let prompt_as = try_out(config, &client, &asked, first.as_ref()).await?;
        warm_up(config, &client, &asked, prompt_as, first.as_ref()).await;
        Ok::<_, LoadError>((model, prompt_as))
    })?;
    let model_in_requests = config.request.served_model_name.as_ref().unwrap_or(&model).clone();
    let conversations = Box::new(head.into_iter().chain(conversations));
    Ok(Prepared { model, model_in_requests, prompt_as, texts, conversations })
}

/// What the server says of its models. Where it is asked for it is waited for; a model that was named needs no answer.
async fn known_models(config: &Config, client: &Client) -> Result<Value, Failure> {
    if config.request.model.is_some() {
        let asked = tokio::time::timeout(MODELS_WITHIN, client.models()).await;
        return asked.unwrap_or_else(|_| Err(Failure::new(FailureKind::Timeout, "no response")));
    }
    let began = Instant::now();
    loop {
        match client.models().await {
            Err(_) if began.elapsed() < config.server.ready_timeout => tokio::time::sleep(RETRY).await,
            asked => return asked,
        }
    }
}

/// How long a server may take to say what nobody needs to know.
const MODELS_WITHIN: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(200);

fn no_model(reason: &str) -> LoadError {
    LoadError::NoModel { url: "/v1/models".into(), reason: reason.to_owned() }
}

/// Refuses prompts that the server says it can't take, if that is all of the first.
fn within_context(head: &[Conversation], models: &Value, model: &str) -> Result<(), LoadError> {
    let Some(context) = context_of(models, model) else { return Ok(()) };
    let lengths = |conversation: &Conversation| {
        let prompt = conversation.turns.first()?;
        Some((prompt.input_tokens?, prompt.output_len))
    };
    let Some(known) = head.iter().map(lengths).collect::<Option<Vec<_>>>() else { return Ok(()) };
    match known.iter().min_by_key(|(input, output)| input + output) {
        Some((input, output)) if input + output > context => {
            Err(LoadError::BeyondContext { input: *input, output: *output, model: model.to_owned(), context })
        }
        _ => Ok(()),
    }
}

/// Waits until the server answers, where that is asked for; and learns whether it takes token IDs.
async fn try_out(
    config: &Config,
    client: &Client,
    model: &str,
    first: Option<&Conversation>,
) -> Result<PromptAs, LoadError> {
    let usual = config.request.first_prompt_as();
    let (limit, began) = (config.server.ready_timeout, Instant::now());
    let Some(prompt) = first.and_then(|first| first.turns.first()).filter(|_| !limit.is_zero()) else {
        return Ok(usual);
    };
    let (mut prompt_as, mut reason) = (usual, String::new());
    loop {
        let body = bodies_of(config, prompt_as).of(model, prompt);
        let flights = Flights::new(Instant::now());
        let flight = flights.begin(0, None, Duration::ZERO);
        let sent = client.send(&body, Measurement::default(), Instant::now(), flight);
        let left = limit.saturating_sub(began.elapsed());
        match tokio::time::timeout(left, sent).await.map(|measurement| measurement.failure) {
            Ok(None) => return Ok(prompt_as),
            Ok(Some(failure))
                if config.request.prompt_as.is_none()
                    && prompt_as == PromptAs::Ids
                    && wants_text(&failure, config.request.backend) =>
            {
                prompt_as = PromptAs::Text;
                continue;
            }
            Ok(Some(failure)) => reason = failure.text,
            Err(_) if reason.is_empty() => reason = "no response".into(),
            Err(_) => {}
        }
        if began.elapsed() >= limit {
            return Err(LoadError::NotReady { limit, reason });
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn warm_up(config: &Config, client: &Client, model: &str, prompt_as: PromptAs, first: Option<&Conversation>) {
    let Some(prompt) = first.and_then(|first| first.turns.first()) else { return };
    let body = bodies_of(config, prompt_as).of(model, prompt);
    let flights = Flights::new(Instant::now());
    let slots = Semaphore::new(config.load.max_concurrency.unwrap_or(Semaphore::MAX_PERMITS));
    let sent = (0..config.load.num_warmups).map(|index| {
        let (body, flights, slots) = (&body, &flights, &slots);
        async move {
            let _slot = slots.acquire().await;
            let flight = flights.begin(index, None, Duration::ZERO);
            client.send(body, Measurement::default(), Instant::now(), flight).await
        }
    });
    futures::future::join_all(sent).await;
}

pub fn dialect_of(config: &Config) -> Dialect {
    Dialect::of(config.request.backend, config.request.is_streamed, config.request.text_path)
}

pub fn bodies_of(config: &Config, prompt_as: PromptAs) -> Bodies {
    let request = &config.request;
    Bodies::new(request.backend, prompt_as, request.is_streamed, &request.sampling, request.template.clone())
}

/// The prompts, as they are sent.
pub fn conversations_of(config: &Config) -> Result<prompts::Conversations, LoadError> {
    let vocabulary = &config.load.vocabulary;
    let conversations = config.dataset.conversations(vocabulary, config.seed)?;
    Ok(match config.request.first_prompt_as() {
        PromptAs::Ids => conversations,
        PromptAs::Text | PromptAs::Messages => prompts::as_texts(conversations, vocabulary, config.seed),
    })
}

/// Raises the limit of open files as far as it may be, and refuses more connections than that.
fn open_files(config: &Config) -> Result<(), LoadError> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let load = &config.load;
    let Some(connections) = load.max_concurrency.or(load.num_prompts().filter(|_| !config.is_open())) else {
        return Ok(());
    };
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return Ok(()) };
    let wanted = (connections.min(load.num_prompts().unwrap_or(connections)) as u64).saturating_add(OTHER_FILES);
    if wanted > hard {
        return Err(LoadError::TooFewFiles { connections, limit: hard });
    }
    if soft < hard {
        // Where it can't be raised, what does not fit fails and is told.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    Ok(())
}
