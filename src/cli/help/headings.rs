//! Under which heading a flag stands.

/// A flag of one name means the same in every sub-command.
const HEADINGS: [(&str, &[&str]); 11] = [
    (
        "What to run",
        &[
            "serve_cmd",
            "base_serve_cmd",
            "candidate_serve_cmd",
            "bench_cmd",
            "startup_cmd",
            "serve_params",
            "bench_params",
            "startup_params",
            "strict_params",
            "link_vars",
            "bench_only",
            "base_url",
        ],
    ),
    (
        "SLA",
        &[
            "sla_params",
            "sla_variable",
            "sla_min",
            "sla_max",
            "sla_tolerance",
            "sla_max_iters",
            "sla_min_duration",
            "same_seed",
        ],
    ),
    ("Levels", &["workload_var", "workload_iters", "workload_spacing"]),
    ("Pairs", &["pairs", "until", "max_pairs"]),
    (
        "How to run",
        &[
            "num_runs",
            "repeat_until",
            "max_runs",
            "rounds",
            "order",
            "order_seed",
            "warmup_num_prompts",
            "after_bench_cmd",
            "server_ready_timeout",
            "ready_url",
            "ready_cmd",
            "bench_timeout",
            "continue_on_error",
            "retries",
            "budget",
            "min_success",
            "sample_interval",
            "sample_all",
            "dry_run",
            "show_stdout",
        ],
    ),
    ("Where to", &["output_dir", "experiment_name", "resume", "accept_changes", "raw_logs"]),
    (
        "What to compare",
        &[
            "base",
            "base_last",
            "lake",
            "history",
            "match_on",
            "filter_by",
            "force",
            "trend",
            "metric",
            "metrics",
            "direction",
        ],
    ),
    ("Verdict", &["threshold", "assume_sweep_sd", "fail_on", "unclear"]),
    (
        "Figure",
        &[
            "var_x",
            "var_y",
            "x",
            "y",
            "fig_by",
            "row_by",
            "col_by",
            "curve_by",
            "label_by",
            "bin_by",
            "scale_x",
            "scale_y",
            "no_error_bars",
            "fig_height",
            "fig_dpi",
            "svg",
            "user_count_var",
            "gpu_count_var",
        ],
    ),
    (
        "Output",
        &[
            "format", "output", "html", "fig", "fig_dir", "fig_name", "color", "strict", "all", "columns", "sort",
            "limit",
        ],
    ),
    ("Query", &["file", "name", "params", "list", "group_by", "memory_limit", "show_sql"]),
];

/// Of the load generator.
const BENCH: [(&str, &[&str]); 5] = [
    (
        "Server",
        &["backend", "base_url", "host", "port", "endpoint", "model", "served_model_name", "ready_check_timeout_sec"],
    ),
    (
        "Requests",
        &[
            "dataset_name",
            "random_input_len",
            "random_output_len",
            "random_range_ratio",
            "random_prefix_len",
            "seed",
            "ignore_eos",
            "temperature",
            "tokenizer",
        ],
    ),
    ("Load", &["num_prompts", "request_rate", "burstiness", "max_concurrency", "num_warmups", "stop_when_missed"]),
    ("Metrics", &["percentile_metrics", "metric_percentiles", "goodput"]),
    ("Result", &["save_result", "save_detailed", "result_dir", "result_filename", "label", "metadata", "disable_tqdm"]),
];

/// Of the simulated server.
const SIM: [(&str, &[&str]); 3] = [
    ("Server", &["model", "served_model_name", "host", "port", "api_key"]),
    (
        "Engine",
        &[
            "max_model_len",
            "max_num_seqs",
            "max_num_batched_tokens",
            "block_size",
            "num_gpu_blocks_override",
            "gpu_memory_utilization",
            "tensor_parallel_size",
            "pipeline_parallel_size",
            "data_parallel_size",
            "enable_prefix_caching",
            "no_enable_prefix_caching",
            "enable_chunked_prefill",
            "no_enable_chunked_prefill",
        ],
    ),
    ("Simulation", &["seed", "jitter", "speed", "startup_seconds"]),
];

pub fn heading_of(subcommand: &str, flag: &str) -> Option<&'static str> {
    let own: &[(&'static str, &[&str])] = match subcommand {
        "bench" => &BENCH,
        "sim" => &SIM,
        _ => &[],
    };
    own.iter().chain(&HEADINGS).find(|(_, flags)| flags.contains(&flag)).map(|(heading, _)| *heading)
}
