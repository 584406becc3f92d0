//! The flags of `vllm bench serve`, and those that it lacks.

use super::values::*;
use crate::load::Edge;
use crate::sla::Sla;
use clap::ValueEnum;
use serde_json::{Map, Value};
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(next_help_heading = "Server")]
pub struct Server {
    /// API of the server; the path of requests follows from it.
    #[arg(long, value_name = "BACKEND", value_enum, default_value = "openai")]
    pub backend: BackendName,
    /// Server URL (scheme, host and port), instead of --host and --port.
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// Host of the server.
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    pub host: String,
    /// Port of the server.
    #[arg(long, value_name = "PORT", default_value_t = 8000)]
    pub port: u16,
    /// API path; default: that of the backend.
    #[arg(long, value_name = "PATH")]
    pub endpoint: Option<String>,
    /// Model name; default: the first model that the server lists.
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Name by which the server knows the model, if it differs from --model.
    #[arg(long, value_name = "NAME")]
    pub served_model_name: Option<String>,
    /// Header to send with every request. OPENAI_API_KEY in the environment is sent as a bearer token without it.
    #[arg(long, value_name = "KEY=VALUE", num_args = 1.., value_parser = key_value)]
    pub header: Vec<(String, String)>,
    /// Accept any TLS certificate.
    #[arg(long)]
    pub insecure: bool,
    /// Seconds to keep retrying a test request until the server answers it; 0 sends none.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub ready_check_timeout_sec: u64,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Requests")]
pub struct Requests {
    /// Ask for responses of the full length, whatever the model would end them with.
    #[arg(long)]
    pub ignore_eos: bool,
    /// Sampling temperature; default: that of the server, as for all sampling flags.
    #[arg(long, value_name = "NUMBER")]
    pub temperature: Option<f64>,
    /// Nucleus sampling: the share of probability to sample from.
    #[arg(long, value_name = "NUMBER")]
    pub top_p: Option<f64>,
    /// Number of most likely tokens to sample from.
    #[arg(long, value_name = "N")]
    pub top_k: Option<i64>,
    /// Least probability of a token to sample, relative to the most likely one.
    #[arg(long, value_name = "NUMBER")]
    pub min_p: Option<f64>,
    /// Penalty for tokens by how often they came.
    #[arg(long, value_name = "NUMBER")]
    pub frequency_penalty: Option<f64>,
    /// Penalty for tokens that came at all.
    #[arg(long, value_name = "NUMBER")]
    pub presence_penalty: Option<f64>,
    /// Factor against tokens that came in the prompt or the response.
    #[arg(long, value_name = "NUMBER")]
    pub repetition_penalty: Option<f64>,
    /// Log probabilities to ask for with each token.
    #[arg(long, value_name = "N")]
    pub logprobs: Option<u32>,
    /// JSON object that is merged into the body of every request.
    #[arg(long, value_name = "JSON", value_parser = json_object)]
    pub extra_body: Option<Map<String, Value>>,
    /// JSON object for the chat template: chat_template_kwargs of the body.
    #[arg(long, value_name = "JSON", value_parser = json_object)]
    pub chat_template_kwargs: Option<Map<String, Value>>,
    /// Ask for whole responses instead of streams; TTFT and ITL are then unknown.
    #[arg(long)]
    pub no_stream: bool,
    /// Send prompts as token IDs or as text. Default: what the backend takes; with --ready-check-timeout-sec text is tried where a server
    /// refuses IDs.
    #[arg(long, value_name = "KIND", value_enum)]
    pub prompt_as: Option<PromptKind>,
    /// As --prompt-as ids.
    #[arg(long, conflicts_with = "prompt_as")]
    pub prompt_token_ids: bool,
    /// With --backend custom: JSON file with the body, in which "{prompt}", "{prompt_token_ids}", "{messages}", "{output_len}" and
    /// "{model}" are replaced.
    #[arg(long, value_name = "FILE")]
    pub body: Option<PathBuf>,
    /// With --backend custom: where the text of a streamed event is, as a JSON pointer such as /choices/0/text.
    #[arg(long, value_name = "POINTER")]
    pub stream_path: Option<String>,
    /// Prefix of the IDs that are sent as x-request-id; an index follows.
    #[arg(long, value_name = "PREFIX")]
    pub request_id_prefix: Option<String>,
    /// LoRA adapters to ask for instead of the model.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub lora_modules: Vec<String>,
    /// How requests are dealt to the adapters.
    #[arg(long, value_name = "ORDER", value_enum, default_value = "random")]
    pub lora_assignment: Assignment,
    /// Seconds after which a request has failed; default: no limit.
    #[arg(long, value_name = "SECONDS", value_parser = crate::cli::positive_number)]
    pub request_timeout: Option<f64>,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Load")]
pub struct Load {
    /// Number of requests (of conversations, with --multi-turn).
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub num_prompts: usize,
    /// Send for so long instead of a number of requests; those under way then are waited for.
    #[arg(long, value_name = "SECONDS", value_parser = crate::cli::positive_number)]
    pub duration: Option<f64>,
    /// Requests per second; inf sends all requests at once.
    #[arg(long, value_name = "RATE", default_value = "inf", value_parser = positive_rate)]
    pub request_rate: f64,
    /// Burstiness of arrivals: 1 is a Poisson process, lower is burstier, higher is more even.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    pub burstiness: f64,
    /// Change the rate from --ramp-up-start-rps to --ramp-up-end-rps in the course of the run.
    #[arg(long, value_name = "STRATEGY", value_enum, requires_all = ["ramp_up_start_rps", "ramp_up_end_rps"])]
    pub ramp_up_strategy: Option<Strategy>,
    /// Requests per second at the start of the ramp.
    #[arg(long, value_name = "RATE", requires = "ramp_up_strategy", value_parser = crate::cli::positive_number)]
    pub ramp_up_start_rps: Option<f64>,
    /// Requests per second at the end of the ramp.
    #[arg(long, value_name = "RATE", requires = "ramp_up_strategy", value_parser = crate::cli::positive_number)]
    pub ramp_up_end_rps: Option<f64>,
    /// Maximum number of requests in flight; default: no limit.
    #[arg(long, visible_alias = "num-users", value_name = "N")]
    pub max_concurrency: Option<usize>,
    /// Number of unmeasured warm-up requests to send first.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub num_warmups: usize,
    /// Stop the run, with exit code 1, once more requests than this have failed.
    #[arg(long, value_name = "N")]
    pub max_failures: Option<usize>,
    /// Stop the run once an SLA such as 'p99_e2el_ms<=500, p99_ttft_ms<=80' can no longer be met; with several, once none can.
    #[arg(long, value_name = "SLA", num_args = 1.., value_parser = Sla::parse)]
    pub stop_when_missed: Vec<Sla>,
    /// Threads that send, each with its own connections. Requests are in exact order with one.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub workers: u16,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Result")]
pub struct Report {
    /// Latency metrics to report, comma-separated: ttft, tpot, itl, e2el.
    #[arg(long, value_name = "METRIC,…", default_value = "ttft,tpot,itl", value_delimiter = ',', value_parser = metric_name)]
    pub percentile_metrics: Vec<String>,
    /// Percentiles to report, comma-separated.
    #[arg(long, value_name = "PERCENT,…", default_value = "99", value_delimiter = ',', value_parser = percent)]
    pub metric_percentiles: Vec<f64>,
    /// Latency limits (ms) that a request must meet to count toward goodput: ttft:200 tpot:50 e2el:2000.
    #[arg(long, value_name = "METRIC:MS", num_args = 1.., value_parser = goodput)]
    pub goodput: Vec<(String, f64)>,
    /// Leave out requests sent in the first seconds, or the first share of the run (30, 10%).
    #[arg(long, value_name = "SECONDS|PERCENT", default_value = "0", value_parser = edge)]
    pub warmup_window: Edge,
    /// Likewise in the last ones.
    #[arg(long, value_name = "SECONDS|PERCENT", default_value = "0", value_parser = edge)]
    pub cooldown_window: Edge,
    /// Save the result as JSON.
    #[arg(long)]
    pub save_result: bool,
    /// Also save the measurements of each request.
    #[arg(long)]
    pub save_detailed: bool,
    /// Save what was measured of each request as Parquet, in the columns of a lake's table `requests`.
    #[arg(long, value_name = "FILE")]
    pub save_requests: Option<PathBuf>,
    /// Append the result to its file, as one more line of JSON.
    #[arg(long)]
    pub append_result: bool,
    /// Folder for the result.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub result_dir: PathBuf,
    /// Name of the result file; default: made of the load, the model and the time.
    #[arg(long, value_name = "FILE")]
    pub result_filename: Option<String>,
    /// Label to store in the result.
    #[arg(long, value_name = "TEXT")]
    pub label: Option<String>,
    /// Metadata to add to the result: KEY=VALUE …
    #[arg(long, value_name = "KEY=VALUE", num_args = 1.., value_parser = key_value)]
    pub metadata: Vec<(String, String)>,
    /// Hide the live view.
    #[arg(long)]
    pub disable_tqdm: bool,
    /// Measure the client itself on this machine, beside a server that answers at once: its floor of TTFT and its highest rate.
    #[arg(long)]
    pub calibrate: bool,
    /// Print what would be sent first, and when, without sending it.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum BackendName {
    /// OpenAI's completions, as vLLM serves them.
    Vllm,
    /// OpenAI's completions.
    Openai,
    /// OpenAI's chat completions.
    OpenaiChat,
    /// OpenAI's responses.
    OpenaiResponses,
    /// SGLang's /generate.
    Sglang,
    /// Text Generation Inference's /generate_stream.
    Tgi,
    /// Triton's generate_stream in front of TensorRT-LLM.
    TensorrtLlm,
    /// OpenAI's embeddings.
    OpenaiEmbeddings,
    /// vLLM's /pooling.
    VllmPooling,
    /// vLLM's /v1/rerank.
    VllmRerank,
    /// A body of your own: --body.
    Custom,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum PromptKind {
    /// Token IDs.
    Ids,
    /// Text.
    Text,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Assignment {
    /// At random, by the seed.
    Random,
    /// In turn.
    RoundRobin,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Strategy {
    /// By the same number of requests per second each time.
    Linear,
    /// By the same factor each time.
    Exponential,
}
