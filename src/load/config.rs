//! What is asked of the load generator.

use super::api::{Backend, PromptAs, Sampling};
use super::prompts::{Dataset, RandomPrompts, Vocabulary};
use super::schedule::{Extent, Traffic};
use super::wire::Trust;
use crate::sla::Sla;
use serde_json::{Map, Value};
use std::ops::Range;
use std::time::Duration;

/// What is sent, how fast, and what is measured. The defaults are those of `vllm bench serve`.
#[derive(Clone, Debug)]
pub struct Config {
    pub server: ServerConfig,
    pub request: RequestConfig,
    pub dataset: Dataset,
    pub load: LoadConfig,
    pub report: ReportConfig,
    pub seed: u64,
    /// The run ends early when none of these can be met any more.
    pub stop_when_missed: Vec<Sla>,
}

/// Where requests go.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Scheme, host and port: `http://127.0.0.1:8000`.
    pub base_url: String,
    /// `None`: the back end's own.
    pub endpoint: Option<String>,
    pub headers: Vec<(String, String)>,
    pub api_key: Option<String>,
    pub trust: Trust,
    pub ready_timeout: Duration,
}

/// What a request says.
#[derive(Clone, Debug)]
pub struct RequestConfig {
    pub backend: Backend,
    /// `None`: the first that the server names.
    pub model: Option<String>,
    pub served_model_name: Option<String>,
    pub is_streamed: bool,
    /// `None`: as the back end takes them, tried once.
    pub prompt_as: Option<PromptAs>,
    pub sampling: Sampling,
    /// Of a custom back end: the body, and where an event has its text.
    pub template: Option<String>,
    pub text_path: Option<&'static str>,
    pub id_prefix: Option<String>,
    /// Adapters, and how requests are dealt to them.
    pub lora: Vec<String>,
    pub lora_assignment: LoraAssignment,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoraAssignment {
    #[default]
    Random,
    RoundRobin,
}

/// How much is sent, and when.
#[derive(Clone, Debug)]
pub struct LoadConfig {
    pub extent: Extent,
    pub traffic: Traffic,
    pub max_concurrency: Option<usize>,
    pub num_warmups: usize,
    /// A request that takes longer has failed.
    pub request_timeout: Option<Duration>,
    /// With more failures than these the run is stopped.
    pub max_failures: Option<usize>,
    /// Threads, each with connections of its own.
    pub workers: usize,
    /// What is known of the model's tokens.
    pub vocabulary: Vocabulary,
}

/// What is told of a run.
#[derive(Clone, Debug)]
pub struct ReportConfig {
    pub label: Option<String>,
    pub tokenizer: Option<String>,
    /// `ttft`, `tpot`, `itl`, `e2el`.
    pub percentile_metrics: Vec<String>,
    pub metric_percentiles: Vec<f64>,
    /// Limits in milliseconds by metric, for `request_goodput`.
    pub goodput: Vec<(String, f64)>,
    pub details: Details,
    pub warm_up: Edge,
    pub cool_down: Edge,
    pub metadata: Map<String, Value>,
}

impl ReportConfig {
    /// The part of a run that is reported, since its start; `None` for all of it.
    pub fn window(&self, run: Duration) -> Option<Range<Duration>> {
        let (warm_up, cool_down) = (self.warm_up.of(run), self.cool_down.of(run));
        let is_whole = warm_up.is_zero() && cool_down.is_zero();
        (!is_whole).then(|| warm_up..run.saturating_sub(cool_down).max(warm_up))
    }
}

/// How much of a run is left out at one of its ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Edge {
    Time(Duration),
    /// Of the whole run.
    Share(f64),
}

impl Edge {
    pub const NONE: Self = Self::Time(Duration::ZERO);

    pub fn of(self, run: Duration) -> Duration {
        match self {
            Self::Time(time) => time,
            Self::Share(share) => run.mul_f64(share),
        }
    }
}

/// Whether the measurements of each request are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Details {
    #[default]
    Summary,
    EachRequest,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: ServerConfig::default(),
            request: RequestConfig::default(),
            dataset: Dataset::Random(RandomPrompts::default()),
            load: LoadConfig::default(),
            report: ReportConfig::default(),
            seed: 0,
            stop_when_missed: Vec::new(),
        }
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            base_url: "http://127.0.0.1:8000".into(),
            endpoint: None,
            headers: Vec::new(),
            api_key: None,
            trust: Trust::System,
            ready_timeout: Duration::ZERO,
        }
    }
}

impl Default for RequestConfig {
    fn default() -> Self {
        Self {
            backend: Backend::Openai,
            model: None,
            served_model_name: None,
            is_streamed: true,
            prompt_as: None,
            sampling: Sampling::default(),
            template: None,
            text_path: None,
            id_prefix: None,
            lora: Vec::new(),
            lora_assignment: LoraAssignment::Random,
        }
    }
}

impl Default for LoadConfig {
    fn default() -> Self {
        Self {
            extent: Extent::Prompts(1000),
            traffic: Traffic::default(),
            max_concurrency: None,
            num_warmups: 0,
            request_timeout: None,
            max_failures: None,
            workers: 1,
            vocabulary: Vocabulary::default(),
        }
    }
}

impl Default for ReportConfig {
    fn default() -> Self {
        Self {
            label: None,
            tokenizer: None,
            percentile_metrics: ["ttft", "tpot", "itl"].map(String::from).to_vec(),
            metric_percentiles: vec![99.0],
            goodput: Vec::new(),
            details: Details::Summary,
            warm_up: Edge::NONE,
            cool_down: Edge::NONE,
            metadata: Map::new(),
        }
    }
}

impl Config {
    /// Whether requests come by the clock and not by the end of others.
    pub fn is_open(&self) -> bool {
        self.load.traffic.is_open() || self.dataset.is_timed()
    }
}

impl RequestConfig {
    /// What prompts are sent as, unless the server refuses that.
    pub fn first_prompt_as(&self) -> PromptAs {
        self.prompt_as.unwrap_or(self.backend.usual_prompt())
    }
}

impl LoadConfig {
    /// Requests of single turns, where their number is known before.
    pub fn num_prompts(&self) -> Option<usize> {
        match self.extent {
            Extent::Prompts(count) => Some(count),
            Extent::Time(_) => None,
        }
    }
}
