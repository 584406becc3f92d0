//! Flags of vLLM's clients that mean nothing here: they are accepted and told, or refused with the reason.

use crate::cli::Failure;
use crate::cli::say::say;
use std::path::PathBuf;

/// Hidden from the help; a command that was written for vLLM's client gets an answer.
#[derive(clap::Args)]
pub struct Elsewhere {
    #[arg(long, hide = true)]
    trust_remote_code: bool,
    #[arg(long, hide = true, value_name = "MODE")]
    tokenizer_mode: Option<String>,
    #[arg(long, hide = true)]
    skip_tokenizer_init: bool,
    #[arg(long, hide = true)]
    skip_chat_template: bool,
    #[arg(long, hide = true)]
    enable_multimodal_chat: bool,
    #[arg(long, hide = true)]
    custom_ensure_client_side_data: bool,
    #[arg(long, hide = true)]
    no_reranker: bool,
    #[arg(long, hide = true)]
    no_steady_state: bool,
    #[arg(long, hide = true, value_name = "SHARE")]
    steady_state_threshold: Option<f64>,
    #[arg(long, hide = true, value_name = "SECONDS")]
    steady_state_min_window: Option<f64>,
    #[arg(long, hide = true)]
    plot_dataset_stats: bool,
    #[arg(long, hide = true)]
    plot_timeline: bool,
    #[arg(long, hide = true, value_name = "MS,…")]
    timeline_itl_thresholds: Option<String>,
    #[arg(long, hide = true)]
    use_beam_search: bool,
    #[arg(long, hide = true)]
    profile: bool,
    #[arg(long, hide = true, value_name = "N")]
    profile_batch_threshold: Option<usize>,
    #[arg(long, hide = true, value_name = "SECONDS")]
    profile_duration: Option<f64>,
    #[arg(long, hide = true, value_name = "RATE", default_value_t = 0.0)]
    probe_request_rate: f64,
    #[arg(long, hide = true, value_name = "N,…")]
    sweep_max_concurrency: Option<String>,
    #[arg(long, hide = true, value_name = "N")]
    sweep_num_prompts_factor: Option<f64>,
    #[arg(long, hide = true, value_name = "RATE,…")]
    sweep_request_rate: Option<String>,
    #[arg(long, hide = true, value_name = "PERCENT,…")]
    sweep_summary_percentiles: Option<String>,
    #[arg(long, hide = true)]
    reset_prefix_cache: bool,
    #[arg(long, hide = true, value_name = "N")]
    num_runs: Option<u32>,
    #[arg(long, hide = true, value_name = "N")]
    multi_turn_concurrency: Option<usize>,
    #[arg(long, hide = true, value_name = "SHARE")]
    multi_turn_prefix_conversation_ratio: Option<f64>,
    #[arg(long, hide = true, value_name = "NAME")]
    hf_subset: Option<String>,
    #[arg(long, hide = true, value_name = "NAME")]
    hf_name: Option<String>,
    #[arg(long, hide = true, value_name = "NUMBER")]
    blazedit_min_distance: Option<f64>,
    #[arg(long, hide = true, value_name = "NUMBER")]
    blazedit_max_distance: Option<f64>,
    #[arg(long, hide = true, value_name = "SECONDS")]
    asr_max_audio_len_sec: Option<f64>,
    #[arg(long, hide = true, value_name = "SECONDS")]
    asr_min_audio_len_sec: Option<f64>,
    #[arg(long, hide = true, value_name = "NAME,…")]
    bfcl_categories: Option<String>,
    #[arg(long, hide = true, value_name = "NAME")]
    speed_bench_dataset_subset: Option<String>,
    #[arg(long, hide = true, value_name = "NAME")]
    speed_bench_config: Option<String>,
    #[arg(long, hide = true, value_name = "TOKENS")]
    speed_bench_output_len: Option<usize>,
    #[arg(long, hide = true, value_name = "NAME")]
    speed_bench_category: Option<String>,
    #[arg(long, hide = true, value_name = "TOKENS")]
    speed_bench_max_input_len: Option<usize>,
    #[arg(long, hide = true, value_name = "FILE", num_args = 2)]
    compare: Vec<PathBuf>,
    #[arg(long, hide = true, value_name = "FILE")]
    input: Option<PathBuf>,
    #[arg(long, hide = true, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A flag, whether it is given, and why it is not taken.
type Flag = (&'static str, bool, &'static str);

impl Elsewhere {
    /// Tells what is not done; refuses what would change the measurement.
    pub fn check(&self) -> Result<(), Failure> {
        if let Some((flag, _, why)) = self.refused().into_iter().find(|(_, is_given, _)| *is_given) {
            return Err(Failure::input(format!("{flag} is not supported: {why}")));
        }
        for (flag, _, why) in self.without_effect().into_iter().filter(|(_, is_given, _)| *is_given) {
            say!("note: {flag} has no effect: {why}");
        }
        Ok(())
    }

    /// What would change the measurement: a flag, whether it is given, and what to do instead.
    fn refused(&self) -> [Flag; 22] {
        [
            ("--use-beam-search", self.use_beam_search, "ask for it with --extra-body '{\"use_beam_search\": true}'"),
            (
                "--profile",
                self.profile,
                "start and stop the server's profiler around the run: POST /start_profile, /stop_profile",
            ),
            ("--profile-batch-threshold", self.profile_batch_threshold.is_some(), "see --profile"),
            ("--profile-duration", self.profile_duration.is_some(), "see --profile"),
            ("--probe-request-rate", self.probe_request_rate > 0.0, "probes beside the load are not sent"),
            ("--sweep-max-concurrency", self.sweep_max_concurrency.is_some(), SWEEP),
            ("--sweep-num-prompts-factor", self.sweep_num_prompts_factor.is_some(), SWEEP),
            ("--sweep-request-rate", self.sweep_request_rate.is_some(), SWEEP),
            ("--sweep-summary-percentiles", self.sweep_summary_percentiles.is_some(), SWEEP),
            ("--reset-prefix-cache", self.reset_prefix_cache, "`sweeplake serve` resets caches between runs"),
            (
                "--num-runs",
                self.num_runs.is_some_and(|runs| runs > 1),
                "`sweeplake serve --num-runs` repeats, and stores each run",
            ),
            (
                "--multi-turn-prefix-conversation-ratio",
                self.multi_turn_prefix_conversation_ratio.is_some_and(|ratio| ratio > 0.0),
                "a conversation's own context is its turns so far",
            ),
            (
                "--multi-turn-concurrency",
                self.multi_turn_concurrency.is_some(),
                "use --max-concurrency: it limits conversations",
            ),
            ("--hf-subset", self.hf_subset.is_some(), "give the folder of the subset as --dataset-path"),
            ("--hf-name", self.hf_name.is_some(), "data sets are read from --dataset-path, not downloaded"),
            ("--compare", !self.compare.is_empty(), "import both files, then `sweeplake compare`"),
            ("--input", self.input.is_some(), "use --input-len for lengths, --dataset-path for a file"),
            ("--output", self.output.is_some(), "use --output-len for lengths, --result-filename for a file"),
            ("--blazedit-…", self.blazedit_min_distance.or(self.blazedit_max_distance).is_some(), HUB),
            ("--asr-…", self.asr_max_audio_len_sec.or(self.asr_min_audio_len_sec).is_some(), "audio is not sent"),
            ("--bfcl-categories", self.bfcl_categories.is_some(), HUB),
            ("--speed-bench-…", self.has_speed_bench(), HUB),
        ]
    }

    /// What is accepted and not done.
    fn without_effect(&self) -> [Flag; 10] {
        [
            ("--trust-remote-code", self.trust_remote_code, "no code of a model is run"),
            ("--tokenizer-mode", self.tokenizer_mode.is_some(), "a tokenizer.json has one mode"),
            (
                "--skip-tokenizer-init",
                self.skip_tokenizer_init,
                "no tokenizer is loaded unless --tokenizer names a file",
            ),
            ("--skip-chat-template", self.skip_chat_template, "chat templates are the server's"),
            ("--enable-multimodal-chat", self.enable_multimodal_chat, "images are always sent as messages"),
            (
                "--custom-ensure-client-side-data",
                self.custom_ensure_client_side_data,
                "prompts are read before the run",
            ),
            ("--no-reranker", self.no_reranker, "documents are sent as they are"),
            (
                "--steady-state-…",
                self.has_steady_state(),
                "`sweeplake serve` finds the steady part of every run: columns steady_…",
            ),
            ("--plot-dataset-stats", self.plot_dataset_stats, PLOT),
            ("--plot-timeline", self.plot_timeline || self.timeline_itl_thresholds.is_some(), PLOT),
        ]
    }

    fn has_speed_bench(&self) -> bool {
        self.speed_bench_dataset_subset.is_some()
            || self.speed_bench_config.is_some()
            || self.speed_bench_output_len.is_some()
            || self.speed_bench_category.is_some()
            || self.speed_bench_max_input_len.is_some()
    }

    fn has_steady_state(&self) -> bool {
        self.no_steady_state || self.steady_state_threshold.is_some() || self.steady_state_min_window.is_some()
    }
}

const SWEEP: &str = "`sweeplake serve --bench-params` sweeps loads";
const HUB: &str = "this data set is downloaded from a hub; use --dataset-name hf with its files on disk";
const PLOT: &str = "`sweeplake plot --over requests` draws stored requests";
