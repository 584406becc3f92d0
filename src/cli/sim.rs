//! `sweeplake sim`: the simulated server.

use super::{Ended, Failure, block_on, not_negative};
use crate::sim::null::Canned;
use crate::sim::{Config, CostModel, Faults, Limits, SimError, StreamFaults, serve};
use std::path::PathBuf;
use std::time::Duration;

/// Takes the `vllm serve` flags that the simulation models, and refuses others.
#[derive(clap::Args)]
pub struct Arguments {
    /// The model's name (any name works).
    #[arg(default_value = "sim/llama-8b")]
    model_tag: String,
    /// The model, as a flag.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Name by which clients know the model.
    #[arg(long, value_name = "NAME")]
    served_model_name: Option<String>,
    /// Address to listen on.
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    host: String,
    /// Port to listen on.
    #[arg(long, short, value_name = "PORT", default_value_t = 8000)]
    port: u16,
    /// Require `Authorization: Bearer KEY` on /v1.
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
    /// Longest prompt and response together.
    #[arg(long, value_name = "TOKENS", default_value_t = 8192)]
    max_model_len: usize,
    /// Maximum number of sequences in a batch.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = positive)]
    max_num_seqs: usize,
    /// Maximum number of tokens computed per step.
    #[arg(long, value_name = "TOKENS", default_value_t = 2048, value_parser = positive)]
    max_num_batched_tokens: usize,
    /// Tokens in a block of the KV cache.
    #[arg(long, value_name = "TOKENS", default_value_t = 16, value_parser = positive)]
    block_size: usize,
    /// Number of KV cache blocks; default: what the weights leave of 80 GB per GPU.
    #[arg(long, value_name = "N")]
    num_gpu_blocks_override: Option<usize>,
    /// Share of the GPU memory that the server uses.
    #[arg(long, value_name = "SHARE", default_value_t = 0.9, value_parser = super::positive_number)]
    gpu_memory_utilization: f64,
    /// GPUs that share each layer.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = positive)]
    tensor_parallel_size: usize,
    /// Pipeline stages, a GPU each.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = positive)]
    pipeline_parallel_size: usize,
    /// Replicas of the model.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = positive)]
    data_parallel_size: usize,
    /// Reuse the KV cache of shared prefixes (the default).
    #[arg(long, overrides_with = "no_enable_prefix_caching")]
    enable_prefix_caching: bool,
    /// Do not reuse the KV cache of shared prefixes.
    #[arg(long)]
    no_enable_prefix_caching: bool,
    /// Split long prompts over several steps (the default).
    #[arg(long, overrides_with = "no_enable_chunked_prefill")]
    enable_chunked_prefill: bool,
    /// Do not split prompts.
    #[arg(long)]
    no_enable_chunked_prefill: bool,
    /// Seed of the noise in step times.
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
    /// Spread of step times: the standard deviation of their logarithm.
    #[arg(long, value_name = "NUMBER", default_value_t = 0.02, value_parser = not_negative)]
    jitter: f64,
    /// Run this many times faster than the modeled GPU.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = super::positive_number)]
    speed: f64,
    /// Simulated time to load the model, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = not_negative)]
    startup_seconds: f64,
    /// Answer at once and always the same, to measure what a client costs.
    #[arg(long)]
    null: bool,
    /// Tokens of the answers of --null.
    #[arg(long, value_name = "N", default_value_t = 128, requires = "null", value_parser = positive)]
    null_tokens: usize,
    /// Milliseconds between the tokens of --null, instead of all at once.
    #[arg(long, value_name = "MS", requires = "null", value_parser = super::positive_number)]
    null_interval: Option<f64>,
    /// The model's tokenizer.json, to count tokens of texts exactly; default: estimate them.
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
    /// Append each request to this file as a line of JSON, with the times of its tokens.
    #[arg(long, value_name = "FILE")]
    request_log: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Fault injection, for tests")]
    faults: FaultArguments,
}

#[derive(clap::Args)]
struct FaultArguments {
    /// Exit with this code instead of starting.
    #[arg(long, value_name = "NUMBER")]
    fault_exit_at_start: Option<u8>,
    /// Run out of memory at start when --max-num-seqs is above this.
    #[arg(long, value_name = "N")]
    fault_oom_above: Option<usize>,
    /// Crash after finishing this many requests.
    #[arg(long, value_name = "N")]
    fault_crash_after: Option<u64>,
    /// Answer this many requests, then hang on all later ones.
    #[arg(long, value_name = "N")]
    fault_stall_after: Option<u64>,
    /// Refuse requests for this many seconds after start, although /health reports ready.
    #[arg(long, value_name = "SECONDS", value_parser = super::positive_number)]
    fault_ready_late: Option<f64>,
    /// Return an error from the reset endpoints.
    #[arg(long)]
    fault_refuse_resets: bool,
    /// Do not provide reset endpoints.
    #[arg(long)]
    fault_no_resets: bool,
    /// Start a worker process that survives SIGTERM.
    #[arg(long)]
    fault_stubborn_worker: bool,
    /// Take three times as long for this many steps after the start.
    #[arg(long, value_name = "N", default_value_t = 0)]
    fault_cold_steps: u64,
    /// Report no token usage.
    #[arg(long)]
    fault_no_usage: bool,
    /// Report the usage so far in every chunk.
    #[arg(long)]
    fault_continuous_usage: bool,
    /// Send this many tokens in each chunk.
    #[arg(long, value_name = "N", value_parser = positive)]
    fault_tokens_per_chunk: Option<usize>,
    /// Send a chunk that only names the role at once.
    #[arg(long)]
    fault_role_first: bool,
    /// Close the connection after this many tokens of a response.
    #[arg(long, value_name = "N")]
    fault_cut_after: Option<usize>,
    /// Send this many tokens as reasoning before the answer.
    #[arg(long, value_name = "N", default_value_t = 0)]
    fault_reasoning: usize,
    /// Refuse prompts of token IDs.
    #[arg(long)]
    fault_text_only: bool,
}

/// KV cache of one 80 GB GPU beside the weights of the modelled model, at full utilization, in tokens.
const KV_TOKENS_PER_GPU: f64 = 480_000.0;

pub fn exec(arguments: Arguments) -> Ended {
    match block_on(serve(config_of(arguments)))? {
        Err(SimError::Asked { code }) => std::process::exit(i32::from(code)),
        ended => ended.map_err(Failure::work),
    }
}

fn config_of(arguments: Arguments) -> Config {
    let gpus = arguments.tensor_parallel_size * arguments.pipeline_parallel_size;
    let kv_tokens = KV_TOKENS_PER_GPU * gpus as f64 * arguments.gpu_memory_utilization;
    Config {
        model: arguments.served_model_name.or(arguments.model).unwrap_or(arguments.model_tag),
        host: arguments.host,
        port: arguments.port,
        api_key: arguments.api_key,
        max_model_len: arguments.max_model_len,
        limits: Limits {
            max_num_seqs: arguments.max_num_seqs,
            max_num_batched_tokens: arguments.max_num_batched_tokens,
            block_size: arguments.block_size,
            num_blocks: arguments
                .num_gpu_blocks_override
                .unwrap_or((kv_tokens / arguments.block_size as f64) as usize)
                .max(1),
            chunked_prefill: arguments.enable_chunked_prefill || !arguments.no_enable_chunked_prefill,
            prefix_caching: arguments.enable_prefix_caching || !arguments.no_enable_prefix_caching,
        },
        cost: CostModel {
            tensor_parallel_size: arguments.tensor_parallel_size,
            pipeline_parallel_size: arguments.pipeline_parallel_size,
            speed: arguments.speed,
            ..CostModel::default()
        },
        data_parallel_size: arguments.data_parallel_size,
        jitter: arguments.jitter,
        seed: arguments.seed,
        startup: Duration::from_secs_f64(arguments.startup_seconds),
        faults: Faults {
            exit_at_start: arguments.faults.fault_exit_at_start,
            oom_above: arguments.faults.fault_oom_above,
            crash_after: arguments.faults.fault_crash_after,
            stall_after: arguments.faults.fault_stall_after,
            ready_late: arguments.faults.fault_ready_late.map(Duration::from_secs_f64),
            refuse_resets: arguments.faults.fault_refuse_resets,
            no_resets: arguments.faults.fault_no_resets,
            stubborn_worker: arguments.faults.fault_stubborn_worker,
            cold_steps: arguments.faults.fault_cold_steps,
            stream: StreamFaults {
                no_usage: arguments.faults.fault_no_usage,
                continuous_usage: arguments.faults.fault_continuous_usage,
                tokens_per_chunk: arguments.faults.fault_tokens_per_chunk,
                role_first: arguments.faults.fault_role_first,
                cut_after: arguments.faults.fault_cut_after,
                reasoning: arguments.faults.fault_reasoning,
                text_only: arguments.faults.fault_text_only,
            },
        },
        canned: arguments.null.then(|| Canned {
            tokens: arguments.null_tokens,
            interval: arguments.null_interval.map(|millis| Duration::from_secs_f64(millis / 1000.0)),
        }),
        tokenizer: arguments.tokenizer,
        request_log: arguments.request_log,
    }
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".into()),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("{error}")),
    }
}
