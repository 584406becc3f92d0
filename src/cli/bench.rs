//! `sweeplake bench`: the load generator, with the flags of `vllm bench serve`.

use super::advice::of_load;
use super::{Ended, Failure, block_on};
use crate::cli::say::{out, say};
use crate::load::{Backend, Config, LoadError, RandomLengths, result_json, run, summary_lines};
use crate::sla::Sla;
use crate::store::write_bytes_atomically;
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Copy, ValueEnum)]
enum BackendName {
    Vllm,
    Openai,
    OpenaiChat,
}

#[derive(Clone, Copy, ValueEnum)]
enum DatasetName {
    Random,
}

#[derive(clap::Args)]
#[command(allow_negative_numbers = true)]
pub struct Arguments {
    /// API of the server: openai (completions) or openai-chat.
    #[arg(long, value_name = "BACKEND", value_enum, default_value = "openai")]
    backend: BackendName,
    /// Server URL (scheme, host and port), instead of --host and --port.
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Host of the server.
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    host: String,
    /// Port of the server.
    #[arg(long, value_name = "PORT", default_value_t = 8000)]
    port: u16,
    /// API path; default: /v1/completions, or /v1/chat/completions for openai-chat.
    #[arg(long, value_name = "PATH")]
    endpoint: Option<String>,
    /// Model name; default: the first model that the server lists.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Name by which the server knows the model, if it differs from --model.
    #[arg(long, value_name = "NAME")]
    served_model_name: Option<String>,
    /// Only recorded in the result: prompts are made of token IDs or words, so no tokenizer is needed.
    #[arg(long, value_name = "NAME")]
    tokenizer: Option<String>,
    /// Label to store in the result.
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Dataset; only random is supported.
    #[arg(long, value_name = "NAME", value_enum, default_value = "random")]
    dataset_name: DatasetName,
    /// Length of the prompts.
    #[arg(long, value_name = "TOKENS", default_value_t = 1024)]
    random_input_len: usize,
    /// Length of the responses.
    #[arg(long, value_name = "TOKENS", default_value_t = 128)]
    random_output_len: usize,
    /// Draw lengths uniformly from len·(1 ± ratio).
    #[arg(long, value_name = "RATIO", default_value_t = 0.0)]
    random_range_ratio: f64,
    /// Number of tokens in the prefix that all prompts share.
    #[arg(long, value_name = "TOKENS", default_value_t = 0)]
    random_prefix_len: usize,
    /// Number of requests to send.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    num_prompts: usize,
    /// Requests per second; inf sends all requests at once.
    #[arg(long, value_name = "RATE", default_value = "inf", value_parser = positive_rate)]
    request_rate: f64,
    /// Burstiness of arrivals: 1 is a Poisson process, lower is burstier, higher is more even.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    burstiness: f64,
    /// Maximum number of requests in flight; default: no limit.
    #[arg(long, value_name = "N")]
    max_concurrency: Option<usize>,
    /// Latency metrics to report, comma-separated: ttft, tpot, itl, e2el.
    #[arg(long, value_name = "METRIC,…", default_value = "ttft,tpot,itl", value_delimiter = ',', value_parser = metric_name)]
    percentile_metrics: Vec<String>,
    /// Percentiles to report, comma-separated.
    #[arg(long, value_name = "PERCENT,…", default_value = "99", value_delimiter = ',', value_parser = percent)]
    metric_percentiles: Vec<f64>,
    /// Latency limits (ms) that a request must meet to count toward goodput: ttft:200 tpot:50 e2el:2000.
    #[arg(long, value_name = "METRIC:MS", num_args = 1.., value_parser = goodput)]
    goodput: Vec<(String, f64)>,
    /// Save the result as JSON.
    #[arg(long)]
    save_result: bool,
    /// Also save the measurements of each request.
    #[arg(long)]
    save_detailed: bool,
    /// Stop the run once an SLA such as 'p99_e2el_ms<=500, p99_ttft_ms<=80' can no longer be met; with several, once none can.
    #[arg(long, value_name = "SLA", num_args = 1.., value_parser = Sla::parse)]
    stop_when_missed: Vec<Sla>,
    /// Folder for the result.
    #[arg(long, value_name = "DIR", default_value = ".")]
    result_dir: PathBuf,
    /// Name of the result file; default: made of the load, the model and the time.
    #[arg(long, value_name = "FILE")]
    result_filename: Option<String>,
    /// Metadata to add to the result: KEY=VALUE …
    #[arg(long, value_name = "KEY=VALUE", num_args = 1.., value_parser = key_value)]
    metadata: Vec<(String, String)>,
    /// Seed of the prompts and arrival times.
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
    /// Ask for responses of the full length, whatever the model would end them with.
    #[arg(long)]
    ignore_eos: bool,
    /// Sampling temperature; default: that of the server.
    #[arg(long, value_name = "NUMBER")]
    temperature: Option<f64>,
    /// Number of unmeasured warm-up requests to send first.
    #[arg(long, value_name = "N", default_value_t = 0)]
    num_warmups: usize,
    /// Seconds to keep retrying a test request until the server answers it; 0 sends none.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    ready_check_timeout_sec: u64,
    /// Hide the progress bar.
    #[arg(long)]
    disable_tqdm: bool,
}

pub fn exec(arguments: Arguments) -> Ended {
    if arguments.num_prompts == 0 {
        return Err(Failure::input("--num-prompts must be at least 1"));
    }
    if arguments.burstiness.is_nan() || arguments.burstiness <= 0.0 {
        return Err(Failure::input("--burstiness must be greater than 0"));
    }
    if arguments.max_concurrency == Some(0) {
        return Err(Failure::input("--max-concurrency must be at least 1"));
    }
    let date = chrono::Local::now();
    let config = config_of(&arguments);
    let is_shown = !arguments.disable_tqdm && std::io::stderr().is_terminal();
    let bar = if is_shown { ProgressBar::new(config.num_prompts as u64) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{pos}/{len} {wide_bar} {elapsed_precise}").map_err(Failure::work)?);
    let shown = bar.clone();
    let measured = block_on(run(&config, move |done| shown.set_position(done as u64)))?.map_err(failure)?;
    bar.finish_and_clear();

    let result = result_json(&config, &measured, date);
    out!("{}", summary_lines(&result).join("\n"));
    if arguments.save_result {
        let name = arguments.result_filename.unwrap_or_else(|| default_name(&config, &measured.model, date));
        std::fs::create_dir_all(&arguments.result_dir)
            .map_err(|error| Failure::work(format!("--result-dir: {}: {error}", arguments.result_dir.display())))?;
        let text = serde_json::to_string(&Value::Object(result)).map_err(Failure::work)?;
        write_bytes_atomically(&arguments.result_dir.join(name), text.as_bytes()).map_err(Failure::work)?;
    }
    if let Some(reason) = &measured.stopped_early {
        say!("stopped after {:.1} s: {reason}", measured.duration.as_secs_f64());
        return Ok(());
    }
    let mut errors = measured.requests.iter().filter_map(|request| request.error.as_ref());
    match errors.next() {
        Some(first) if 1 + errors.count() == measured.requests.len() => {
            Err(Failure::work(format!("every request failed; first error: {first}")))
        }
        Some(first) => {
            say!("warning: some requests failed; first error: {first}");
            Ok(())
        }
        None => Ok(()),
    }
}

fn config_of(arguments: &Arguments) -> Config {
    let backend = match arguments.backend {
        BackendName::Vllm => Backend::Vllm,
        BackendName::Openai => Backend::Openai,
        BackendName::OpenaiChat => Backend::OpenaiChat,
    };
    let endpoint = match backend {
        Backend::OpenaiChat => "/v1/chat/completions",
        Backend::Vllm | Backend::Openai => "/v1/completions",
    };
    let DatasetName::Random = arguments.dataset_name;
    Config {
        backend,
        base_url: arguments.base_url.clone().unwrap_or_else(|| url_of(&arguments.host, arguments.port)),
        endpoint: arguments.endpoint.clone().unwrap_or_else(|| endpoint.into()),
        model: arguments.model.clone(),
        served_model_name: arguments.served_model_name.clone(),
        tokenizer: arguments.tokenizer.clone(),
        label: arguments.label.clone(),
        api_key: std::env::var("OPENAI_API_KEY").ok(),
        dataset: RandomLengths {
            input_len: arguments.random_input_len,
            output_len: arguments.random_output_len,
            range_ratio: arguments.random_range_ratio,
            prefix_len: arguments.random_prefix_len,
        },
        num_prompts: arguments.num_prompts,
        request_rate: arguments.request_rate,
        burstiness: arguments.burstiness,
        max_concurrency: arguments.max_concurrency,
        num_warmups: arguments.num_warmups,
        ready_check_timeout: Duration::from_secs(arguments.ready_check_timeout_sec),
        seed: arguments.seed,
        ignore_eos: arguments.ignore_eos,
        temperature: arguments.temperature,
        percentile_metrics: arguments.percentile_metrics.clone(),
        metric_percentiles: arguments.metric_percentiles.clone(),
        goodput: arguments.goodput.clone(),
        save_detailed: arguments.save_detailed,
        stop_when_missed: arguments.stop_when_missed.clone(),
        metadata: metadata_of(&arguments.metadata),
    }
}

fn failure(error: LoadError) -> Failure {
    match error {
        LoadError::BadUrl { .. } | LoadError::BadRange { .. } => Failure::Input(of_load(&error)),
        LoadError::NoModel { .. } | LoadError::NotReady { .. } => Failure::Work(of_load(&error)),
    }
}

fn url_of(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("http://[{host}]:{port}")
    } else {
        format!("http://{host}:{port}")
    }
}

fn default_name(config: &Config, model: &str, date: chrono::DateTime<chrono::Local>) -> String {
    let concurrency = config.max_concurrency.map(|most| format!("-concurrency{most}")).unwrap_or_default();
    let label = config.label.as_deref().unwrap_or(config.backend.name());
    let model = model.rsplit('/').next().unwrap_or(model);
    let rate = config.request_rate;
    format!("{label}-{rate}qps{concurrency}-{model}-{}.json", date.format("%Y%m%d-%H%M%S")).replace('/', "_")
}

fn metadata_of(pairs: &[(String, String)]) -> Map<String, Value> {
    pairs.iter().map(|(key, value)| (key.clone(), Value::String(value.clone()))).collect()
}

fn positive_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate == f64::INFINITY || super::SENSIBLE.contains(&rate) => Ok(rate),
        Ok(rate) if rate > 0.0 => Err(super::out_of_range()),
        _ => Err("expected a number of requests per second greater than 0, or inf".into()),
    }
}

fn metric_name(text: &str) -> Result<String, String> {
    match text {
        "ttft" | "tpot" | "itl" | "e2el" => Ok(text.to_owned()),
        _ => Err("expected ttft, tpot, itl or e2el".into()),
    }
}

fn percent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("expected a percentile between 0 and 100".into()),
    }
}

fn goodput(text: &str) -> Result<(String, f64), String> {
    let (metric, limit) = text.split_once(':').ok_or("expected METRIC:MILLISECONDS")?;
    match (metric, limit.parse::<f64>()) {
        ("ttft" | "tpot" | "e2el", Ok(limit)) if limit >= 0.0 => Ok((metric.to_owned(), limit)),
        _ => Err("expected ttft, tpot or e2el, a colon, and milliseconds".into()),
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
