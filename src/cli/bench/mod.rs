//! `sweeplake bench`: the load generator, with the flags of `vllm bench serve`.

mod calibrate;
mod data;
mod elsewhere;
mod flags;
mod live;
mod save;
mod values;

use super::advice::of_load;
use super::{Ended, Failure};
use crate::cli::say::{out, say};
use crate::load::api::{Backend, PromptAs, Sampling};
use crate::load::{
    Config, Details, Edge, Extent, FailureKind, LoadConfig, LoadError, LoraAssignment, Measured, Preview, Ramp,
    RampStrategy, ReportConfig, RequestConfig, ServerConfig, Traffic, Trust, preview, result_json, run, summary_lines,
};
use data::Data;
use elsewhere::Elsewhere;
use flags::{Assignment, BackendName, Load, PromptKind, Report, Requests, Server, Strategy};
use live::View;
use serde_json::{Map, Value};
use std::time::Duration;

#[derive(clap::Args)]
#[command(allow_negative_numbers = true)]
pub struct Arguments {
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    requests: Requests,
    #[command(flatten)]
    load: Load,
    #[command(flatten)]
    report: Report,
    #[command(flatten)]
    elsewhere: Elsewhere,
}

pub fn exec(arguments: Arguments) -> Ended {
    check(&arguments)?;
    let date = chrono::Local::now();
    let config = config_of(&arguments)?;
    if arguments.report.dry_run {
        return show(&config);
    }
    if arguments.report.calibrate {
        return calibrate::exec(&config);
    }
    let mut view = View::new(&config, arguments.report.disable_tqdm);
    let measured = run(&config, |glance| view.show(glance)).map_err(failure)?;
    view.finish();
    let result = result_json(&config, &measured, date);
    let is_all_failed = !measured.requests.is_empty() && measured.requests.iter().all(|request| !request.is_ok());
    if !is_all_failed || measured.stopped_early.is_some() {
        out!("{}", summary_lines(&result).join("\n"));
    }
    warn(&config, &result);
    let is_empty = result.get("completed") == Some(&Value::from(0));
    if arguments.report.save_result || arguments.report.append_result {
        save::save(&arguments.report, &config, &measured, date, result)?;
    }
    if let Some(path) = &arguments.report.save_requests {
        save::save_requests(path, &config, &measured)?;
    }
    told(&config, &measured)?;
    match is_empty && !is_all_failed && measured.stopped_early.is_none() {
        true => Err(Failure::work(format!(
            "--warmup-window and --cooldown-window leave no request of a run of {:.1} s",
            measured.duration.as_secs_f64()
        ))),
        false => Ok(()),
    }
}

/// Says where the numbers are the client's and not the server's.
fn warn(config: &Config, result: &Map<String, Value>) {
    if result.get("client_bound").and_then(Value::as_str) == Some("yes") {
        say!(
            "warning: the client was the bottleneck, so latencies include its own delays; give it more CPU, or try --workers"
        );
    }
    let asked = config.load.traffic.request_rate;
    let achieved = result.get("achieved_request_rate").and_then(Value::as_f64);
    let is_known = asked.is_finite() && config.load.num_prompts().is_none_or(|count| count >= ENOUGH);
    if let Some(achieved) = achieved.filter(|achieved| is_known && *achieved < SUSTAINED * asked) {
        say!("warning: {achieved:.1} requests/s were sent, not the {asked} asked for");
    }
}

/// A rate that is so much of the one that was asked for is it.
const SUSTAINED: f64 = 0.95;
/// Of fewer requests the rate is chance.
const ENOUGH: usize = 100;

/// The first requests, a line each: when, and what.
fn show(config: &Config) -> Ended {
    for Preview { at, body } in preview(config, SHOWN).map_err(failure)? {
        let length = body.chars().count();
        let cut: String = body.chars().take(MOST_SHOWN).collect();
        let more = if length > MOST_SHOWN { format!(" … ({length} characters)") } else { String::new() };
        out!("{:.4} s  {cut}{more}", at.as_secs_f64());
    }
    Ok(())
}

/// Requests that a dry run shows, and how much of each.
const SHOWN: usize = 5;
const MOST_SHOWN: usize = 300;

fn check(arguments: &Arguments) -> Ended {
    arguments.elsewhere.check()?;
    let (load, requests) = (&arguments.load, &arguments.requests);
    if load.num_prompts == 0 {
        return Err(Failure::input("--num-prompts must be at least 1"));
    }
    if load.burstiness.is_nan() || load.burstiness <= 0.0 {
        return Err(Failure::input("--burstiness must be greater than 0"));
    }
    if load.max_concurrency == Some(0) {
        return Err(Failure::input("--max-concurrency must be at least 1"));
    }
    if load.ramp_up_strategy.is_some() && load.request_rate.is_finite() {
        return Err(Failure::input("--ramp-up-strategy: the ramp sets the rate; leave out --request-rate"));
    }
    let edges = [arguments.report.warmup_window, arguments.report.cooldown_window];
    // Two shares are so much of any run.
    let are_shares = edges.iter().all(|edge| matches!(edge, Edge::Share(_)));
    let length = load.duration.map(Duration::from_secs_f64).or(are_shares.then_some(Duration::from_secs(1)));
    if length.is_some_and(|length| edges.map(|edge| edge.of(length)).iter().sum::<Duration>() >= length) {
        return Err(Failure::input("--warmup-window and --cooldown-window leave nothing of the run"));
    }
    let is_custom = matches!(arguments.server.backend, BackendName::Custom);
    if is_custom != requests.body.is_some() {
        return Err(Failure::input("--backend custom and --body FILE go together"));
    }
    if requests.stream_path.is_some() && !is_custom {
        return Err(Failure::input("--stream-path: only with --backend custom"));
    }
    Ok(())
}

/// Says what is to be known of the numbers, and how the run ended.
fn told(config: &Config, measured: &Measured) -> Ended {
    if measured.prompt_as != config.request.first_prompt_as() {
        say!("note: the server takes no token IDs; prompts were sent as {}", measured.prompt_as.as_str());
    }
    let failed: Vec<_> = measured.requests.iter().filter_map(|request| request.failure.as_ref()).collect();
    let real: Vec<_> = failed.iter().filter(|failure| failure.kind != FailureKind::CutOff).collect();
    let first = real.first().map(|failure| format!("{}: {}", failure.kind.as_str(), failure.text)).unwrap_or_default();
    let uncounted =
        measured.requests.iter().filter(|request| request.is_ok() && request.output_tokens.is_none()).count();
    if config.request.backend.generates() && uncounted > 0 {
        say!(
            "warning: the server did not count the tokens of {uncounted} response(s), so token metrics are unknown; --tokenizer \
             tokenizer.json counts them here"
        );
    }
    if measured.has_failed {
        let reason = measured.stopped_early.as_deref().unwrap_or_default();
        return Err(Failure::work(format!(
            "stopped after {:.1} s: {reason}; first failure: {first}",
            measured.duration.as_secs_f64()
        )));
    }
    if let Some(reason) = &measured.stopped_early {
        say!("stopped after {:.1} s: {reason}", measured.duration.as_secs_f64());
        return Ok(());
    }
    match (real.len(), measured.requests.len()) {
        (0, _) => Ok(()),
        (failed, all) if failed == all => {
            let hint = config.request.prompt_as.is_none() && first.contains("string");
            let hint = if hint { "; --prompt-as text sends prompts as text" } else { "" };
            Err(Failure::work(format!("all {all} requests failed; first failure: {first}{hint}")))
        }
        (failed, all) => {
            say!("warning: {failed} of {all} requests failed; first failure: {first}");
            Ok(())
        }
    }
}

fn config_of(arguments: &Arguments) -> Result<Config, Failure> {
    Ok(Config {
        server: server_of(&arguments.server),
        request: request_of(arguments)?,
        dataset: arguments.data.dataset()?,
        load: load_of(arguments)?,
        report: report_of(arguments),
        seed: arguments.data.seed,
        stop_when_missed: arguments.load.stop_when_missed.clone(),
    })
}

fn server_of(server: &Server) -> ServerConfig {
    ServerConfig {
        base_url: server.base_url.clone().unwrap_or_else(|| url_of(&server.host, server.port)),
        endpoint: server.endpoint.clone(),
        headers: server.header.clone(),
        api_key: std::env::var("OPENAI_API_KEY").ok(),
        trust: if server.insecure { Trust::Anyone } else { Trust::System },
        ready_timeout: Duration::from_secs(server.ready_check_timeout_sec),
    }
}

fn request_of(arguments: &Arguments) -> Result<RequestConfig, Failure> {
    let (server, requests) = (&arguments.server, &arguments.requests);
    let backend = backend_of(server.backend);
    let mut extra = requests.extra_body.clone().unwrap_or_default();
    if let Some(kwargs) = &requests.chat_template_kwargs {
        extra.insert("chat_template_kwargs".into(), Value::Object(kwargs.clone()));
    }
    let asked = match (requests.prompt_as, requests.prompt_token_ids) {
        (Some(PromptKind::Ids), _) | (None, true) => Some(PromptAs::Ids),
        (Some(PromptKind::Text), _) => Some(PromptAs::Text),
        (None, false) => None,
    };
    if asked == Some(PromptAs::Ids) && !backend.takes_ids() {
        return Err(Failure::input(format!("--prompt-as ids: the backend {} takes no token IDs", backend.name())));
    }
    let template = requests.body.as_ref().map(|path| {
        let text = crate::files::text(path, crate::files::Links::Follow)
            .map_err(|error| Failure::input(format!("--body: {}: {error}", path.display())))?;
        let is_json = serde_json::from_str::<Value>(&text);
        is_json.map_err(|error| Failure::input(format!("--body: {}: not valid JSON: {error}", path.display())))?;
        Ok(text)
    });
    Ok(RequestConfig {
        backend,
        model: server.model.clone(),
        served_model_name: server.served_model_name.clone(),
        is_streamed: !requests.no_stream,
        // A chat takes text as messages.
        prompt_as: asked.filter(|asked| !(backend == Backend::OpenaiChat && *asked == PromptAs::Text)),
        sampling: Sampling {
            ignore_eos: requests.ignore_eos,
            temperature: requests.temperature,
            top_p: requests.top_p,
            top_k: requests.top_k,
            min_p: requests.min_p,
            frequency_penalty: requests.frequency_penalty,
            presence_penalty: requests.presence_penalty,
            repetition_penalty: requests.repetition_penalty,
            logprobs: requests.logprobs,
            extra,
        },
        template: template.transpose()?,
        // It lives as long as the program.
        text_path: requests.stream_path.clone().map(|path| &*path.leak()),
        id_prefix: requests.request_id_prefix.clone(),
        lora: requests.lora_modules.clone(),
        lora_assignment: match requests.lora_assignment {
            Assignment::Random => LoraAssignment::Random,
            Assignment::RoundRobin => LoraAssignment::RoundRobin,
        },
    })
}

fn backend_of(name: BackendName) -> Backend {
    match name {
        BackendName::Vllm => Backend::Vllm,
        BackendName::Openai => Backend::Openai,
        BackendName::OpenaiChat => Backend::OpenaiChat,
        BackendName::OpenaiResponses => Backend::OpenaiResponses,
        BackendName::Sglang => Backend::Sglang,
        BackendName::Tgi => Backend::Tgi,
        BackendName::TensorrtLlm => Backend::TensorrtLlm,
        BackendName::OpenaiEmbeddings => Backend::OpenaiEmbeddings,
        BackendName::VllmPooling => Backend::VllmPooling,
        BackendName::VllmRerank => Backend::VllmRerank,
        BackendName::Custom => Backend::Custom,
    }
}

fn load_of(arguments: &Arguments) -> Result<LoadConfig, Failure> {
    let load = &arguments.load;
    let ramp = match (load.ramp_up_strategy, load.ramp_up_start_rps, load.ramp_up_end_rps) {
        (Some(strategy), Some(start_rps), Some(end_rps)) => Some(Ramp {
            strategy: match strategy {
                Strategy::Linear => RampStrategy::Linear,
                Strategy::Exponential => RampStrategy::Exponential,
            },
            start_rps,
            end_rps,
        }),
        _ => None,
    };
    Ok(LoadConfig {
        extent: load
            .duration
            .map_or(Extent::Prompts(load.num_prompts), |time| Extent::Time(Duration::from_secs_f64(time))),
        traffic: Traffic { request_rate: load.request_rate, burstiness: load.burstiness, ramp },
        max_concurrency: load.max_concurrency,
        num_warmups: load.num_warmups,
        request_timeout: arguments.requests.request_timeout.map(Duration::from_secs_f64),
        max_failures: load.max_failures,
        workers: load.workers.into(),
        vocabulary: arguments.data.vocabulary()?,
    })
}

fn report_of(arguments: &Arguments) -> ReportConfig {
    let report = &arguments.report;
    ReportConfig {
        label: report.label.clone(),
        tokenizer: arguments.data.tokenizer.clone(),
        percentile_metrics: report.percentile_metrics.clone(),
        metric_percentiles: report.metric_percentiles.clone(),
        goodput: report.goodput.clone(),
        details: if report.save_detailed { Details::EachRequest } else { Details::Summary },
        warm_up: report.warmup_window,
        cool_down: report.cooldown_window,
        metadata: report.metadata.iter().map(|(key, value)| (key.clone(), Value::String(value.clone()))).collect(),
    }
}

fn failure(error: LoadError) -> Failure {
    match error {
        LoadError::NoModel { .. } | LoadError::NotReady { .. } | LoadError::Io(_) => Failure::Work(of_load(&error)),
        _ => Failure::Input(of_load(&error)),
    }
}

fn url_of(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("http://[{host}]:{port}")
    } else {
        format!("http://{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args, Command};
    use std::collections::BTreeSet;

    #[test]
    fn every_flag_of_vllms_clients_is_known() {
        let command = Arguments::augment_args(Command::new("bench"));
        let names = command.get_arguments().flat_map(|arg| {
            let aliases = arg.get_all_aliases().unwrap_or_default();
            arg.get_long().into_iter().chain(aliases).map(|name| format!("--{name}")).collect::<Vec<_>>()
        });
        let known: BTreeSet<String> = names.collect();
        let list = include_str!("../../../tests/data/vllm_bench_flags.txt");
        let flags = list.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '));
        let unknown: Vec<&str> = flags.map(|(_, flag)| flag).filter(|flag| !known.contains(*flag)).collect();
        assert_eq!(unknown, Vec::<&str>::new());
    }
}
