//! The columns themselves.

use super::Kind::{BenchParameter, Context, Identity, Metric, ServeParameter};
use super::Type::{Boolean, Integer, Map, Number, Numbers, Text, Texts, Time};
use super::{Column, Kind, Type};

const fn column(name: &'static str, holds: Type, kind: Kind, meaning: &'static str) -> Column {
    Column { name, holds, kind, unit: None, meaning }
}

const fn measured(name: &'static str, unit: &'static str, meaning: &'static str) -> Column {
    Column { name, holds: Number, kind: Metric, unit: Some(unit), meaning }
}

const fn bound(name: &'static str, meaning: &'static str) -> Column {
    Column { name, holds: Number, kind: Context, unit: Some("ms"), meaning }
}

const fn counted(name: &'static str, meaning: &'static str) -> Column {
    Column { name, holds: Integer, kind: Metric, unit: None, meaning }
}

const SWEEP: Column = column("sweep", Text, Identity, "the sweep's name: that of its folder");
const COMBINATION: Column = column("combination", Text, Identity, "ID of the combination: a hash of its parameters");
const RUN_ID: Column = column("run_id", Text, Identity, "ID of the run");
const RUN_NUMBER: Column =
    column("run_number", Integer, Identity, "index of the run among the repeats of its combination, from 0");
const LABEL: Column =
    column("label", Text, Context, "short name of the combination: the parameters that vary in its sweep");
const SERVE: Column = column("serve_params", Text, Context, "parameters of the server, as JSON");
const BENCH: Column = column("bench_params", Text, Context, "parameters of the load, as JSON");
const SERVE_TEXT: Column =
    column("serve", Text, Context, "the server's settings: their name, or the parameters as JSON");
const BENCH_TEXT: Column = column("bench", Text, Context, "the load: its name, or the parameters as JSON");
const SLA_TEXT: Column = column("sla", Text, Identity, "the constraints");
const VARIABLE: Column =
    column("variable", Text, Identity, "the load variable that was searched: request_rate or max_concurrency");

pub static SWEEPS: [Column; 23] = [
    SWEEP,
    column("kind", Text, Context, "the sub-command that made it; NULL for a folder written by vLLM"),
    column("state", Text, Context, "running, completed, failed or interrupted"),
    column("started_at", Time, Context, "when it began, UTC"),
    column("finished_at", Time, Context, "when it ended, UTC"),
    column("runs", Integer, Context, "stored runs, including failed ones"),
    column("failed", Integer, Context, "runs that failed"),
    column("combinations", Integer, Context, "combinations that were measured"),
    column("serve_cmd", Text, Context, "the server's command, secrets removed"),
    column("bench_cmd", Text, Context, "the benchmark's command, secrets removed"),
    column("host", Text, Context, "name of the machine"),
    column("cpu", Text, Context, "model of its CPU"),
    column("gpu", Text, Context, "names of its GPUs"),
    column("gpus", Integer, Context, "number of GPUs of the machine"),
    column("gpu_driver", Text, Context, "version of the GPU driver"),
    Column { unit: Some("MHz"), ..column("gpu_clock_mhz", Number, Context, "highest SM clock of its first GPU") },
    Column { unit: Some("W"), ..column("gpu_power_limit_w", Number, Context, "power limit of its first GPU") },
    column("engine", Text, Context, "the engine that the server's command starts"),
    column("engine_version", Text, Context, "version reported by the server's /version"),
    column("git_commit", Text, Context, "commit of the folder in which the sweep was started"),
    column("sweeplake_version", Text, Context, "version of sweeplake that made it"),
    column("note", Text, Context, "notes added with `sweeplake note`"),
    column("folder", Text, Context, "path or URL of its folder"),
];

pub static RUNS: [Column; 139] = [
    SWEEP,
    COMBINATION,
    RUN_ID,
    RUN_NUMBER,
    LABEL,
    SERVE_TEXT,
    BENCH_TEXT,
    column(
        "status",
        Text,
        Context,
        "completed; degraded: too few requests succeeded; failed; retried: failed, and was run again",
    ),
    column("caution", Texts, Context, "reasons not to take the run's numbers at face value"),
    column("error_kind", Text, Context, "kind of failure, for a failed run"),
    column("error", Text, Context, "why it failed"),
    column("exit_code", Integer, Context, "exit code of what failed"),
    column("log_tail", Text, Context, "last lines of the log of what failed, secrets removed"),
    column("started_at", Time, Context, "when the benchmark was started, UTC"),
    Column { unit: Some("s"), ..column("wall_time_s", Number, Context, "how long the benchmark's process ran") },
    Column {
        unit: Some("s"),
        ..column("startup_time_s", Number, Context, "from the start of the server until it was ready")
    },
    column("round", Integer, Context, "index of the round over all servers, from 0; NULL if unknown"),
    column("server_start", Integer, Context, "index of the server start it ran on, counted across its sweep, from 0"),
    column("run_order", Integer, Context, "index of the run on that server start, from 0"),
    column("attempt", Integer, Context, "number of the attempt, from 1; earlier attempts are `retried`"),
    column("bench_seed", Integer, Context, "seed of the prompts and arrival times, if the sweep gave each run its own"),
    column(
        "fingerprint",
        Text,
        Context,
        "hash of the conditions it was measured under (commands, programs, files, environment): sweep.json lists them",
    ),
    column("host", Text, Context, "name of the machine"),
    column("gpu_uuids", Texts, Context, "UUIDs of the machine's GPUs"),
    column(
        "server_gpus",
        Text,
        Context,
        "GPUs of the machine that were given to its server, such as 0,1; NULL if none were",
    ),
    column(
        "neighbours",
        Integer,
        Context,
        "most other servers of the sweep that were up at a time during the run, on its machine",
    ),
    column("beside", Texts, Context, "parameters of those servers"),
    column("serve_name", Text, Context, "`_benchmark_name` of the server's parameters"),
    column("bench_name", Text, Context, "`_benchmark_name` of the load's parameters"),
    SERVE,
    BENCH,
    column("gpu_count", Number, Context, "number of GPUs of the server; NULL if unknown"),
    Column {
        unit: Some("cores"),
        ..column(
            "client_cores",
            Number,
            Context,
            "cores that the benchmark's processes kept busy; NULL if it ran for less than a second",
        )
    },
    measured("p99_send_lag_ms", "ms", "P99 of the delay with which the client sent its requests; NULL if not reported"),
    column(
        "requests_before",
        Number,
        Context,
        "requests already in the server when the benchmark was started (`/metrics`)",
    ),
    column("server_requests", Number, Context, "requests that the server finished during the run (`/metrics`)"),
    Column {
        kind: Metric,
        ..column("preemptions", Number, Context, "requests that the server preempted (`/metrics`)")
    },
    measured("prefix_cache_hit_rate", "share", "share of prompt tokens served from the prefix cache (`/metrics`)"),
    measured("gpu_power_w_mean", "W", "total power of the server's GPUs, averaged while it was busy"),
    measured("gpu_energy_j", "J", "energy used by the server's GPUs while it was busy, from their own counters"),
    measured("tokens_per_joule", "tok/J", "output tokens per joule used by the server's GPUs"),
    measured("gpu_memory_peak_gib", "GiB", "peak memory in use on any of the server's GPUs"),
    measured(
        "gpu_utilization_mean",
        "share",
        "share of time in which the server's GPUs were busy, averaged over the GPUs",
    ),
    measured("gpu_clock_mhz_min", "MHz", "lowest SM clock of the server's GPUs while it was busy"),
    measured(
        "gpu_throttled_s",
        "s",
        "time during which power or thermal limits lowered the clocks, on the GPU most affected",
    ),
    measured("kv_cache_usage_max", "share", "peak usage of the KV cache (`/metrics`)"),
    Column {
        kind: Metric,
        ..column("queue_max", Number, Context, "peak number of requests waiting in the server (`/metrics`)")
    },
    measured(
        "queue_time_ms_mean",
        "ms",
        "mean time that requests waited in the server, as reported by it (`/metrics`)",
    ),
    measured("server_ttft_ms_mean", "ms", "mean time to first token, as reported by the server (`/metrics`)"),
    measured("server_itl_ms_mean", "ms", "mean gap between tokens, as reported by the server (`/metrics`)"),
    measured("draft_acceptance_rate", "share", "share of draft tokens that were accepted (`/metrics`)"),
    column("date", Text, Context, "the benchmark's own timestamp, in local time"),
    column("backend", Text, BenchParameter, "the API that the benchmark used"),
    column("endpoint_type", Text, Context, "the API that the benchmark used, under its older name"),
    column("model_id", Text, Context, "the requested model"),
    column("tokenizer_id", Text, Context, "the tokenizer used to count tokens"),
    column("tensor_parallel_size", Number, ServeParameter, "GPUs that share each layer"),
    column("pipeline_parallel_size", Number, ServeParameter, "pipeline stages that the layers are split into"),
    column("data_parallel_size", Number, ServeParameter, "replicas of the model"),
    column("num_prompts", Number, BenchParameter, "number of requests to send"),
    column("max_concurrency", Number, BenchParameter, "maximum number of requests in flight"),
    Column {
        unit: Some("req/s"),
        ..column("request_rate", Number, BenchParameter, "requests to send per second; inf: all at once")
    },
    column(
        "burstiness",
        Number,
        BenchParameter,
        "shape of the gamma-distributed intervals between requests; 1: Poisson",
    ),
    column("source_tool", Text, Context, "the tool that an imported run was measured with"),
    column("source_version", Text, Context, "version of that tool"),
    column("source_file", Text, Context, "the file that an imported run was read from"),
    column("source_definitions", Map, Context, "what that tool means by a metric"),
    column("derived", Texts, Context, "metrics that the source did not report, derived from others"),
    column(
        "extra",
        Map,
        Context,
        "values without a column: other values of the source, and values of the wrong type for their column",
    ),
    counted("completed", "requests that succeeded"),
    counted("failed", "requests that failed, as the benchmark reports them"),
    counted("failed_requests", "requests that failed: as reported, else num_prompts minus completed"),
    column(
        "stopped_early",
        Text,
        Context,
        "why the benchmark stopped the run early; requests that it cut off count with their time until then",
    ),
    column(
        "percentiles_without_bound",
        Texts,
        Context,
        "reported percentiles with too few requests for an upper bound at 99 % confidence",
    ),
    bound(
        "p99_ttft_ms_low",
        "lower bound of the true P99 time to first token, from order statistics (99 % confidence)",
    ),
    bound("p99_ttft_ms_high", "upper bound of the true P99 time to first token"),
    bound("p99_tpot_ms_low", "lower bound of the true P99 time per output token"),
    bound("p99_tpot_ms_high", "upper bound of the true P99 time per output token"),
    bound("p99_e2el_ms_low", "lower bound of the true P99 end-to-end latency"),
    bound("p99_e2el_ms_high", "upper bound of the true P99 end-to-end latency"),
    measured("steady_duration_s", "s", "duration of the run without ramp-up and drain"),
    measured("steady_output_throughput", "tok/s", "output tokens per second in that part"),
    measured("steady_request_throughput", "req/s", "requests that ended in that part, per second"),
    measured("success_rate", "share", "completed / (completed + failed requests)"),
    measured(
        "achieved_request_rate",
        "req/s",
        "requests sent per second: from their start times, else all requests over the duration",
    ),
    measured("duration", "s", "wall time of the benchmark"),
    counted("total_input_tokens", "tokens of the prompts"),
    counted("total_output_tokens", "tokens that were generated"),
    measured("request_throughput", "req/s", "completed requests per second"),
    measured("request_goodput", "req/s", "requests per second that met all goodput limits"),
    measured("output_throughput", "tok/s", "output tokens per second"),
    measured("total_token_throughput", "tok/s", "input and output tokens per second"),
    measured(
        "max_output_tokens_per_s",
        "tok/s",
        "output tokens in the busiest second; NULL for runs shorter than a second",
    ),
    counted(
        "max_concurrent_requests",
        "vLLM's value: requests in the busiest one-second bucket, which can exceed the true peak",
    ),
    counted("peak_concurrent_requests", "requests in flight at the busiest moment"),
    measured("mean_concurrent_requests", "requests", "requests in flight, averaged over the run"),
    measured("tokens_per_user", "tok/s/user", "output throughput per concurrent user"),
    measured("tokens_per_gpu", "tok/s/GPU", "output throughput per GPU"),
    measured("mean_ttft_ms", "ms", "time to first token: mean"),
    measured("median_ttft_ms", "ms", "time to first token: median"),
    measured("std_ttft_ms", "ms", "time to first token: standard deviation"),
    measured("p99_ttft_ms", "ms", "time to first token: P99 of the requests that succeeded"),
    measured("mean_tpot_ms", "ms", "time per output token after the first: mean"),
    measured("median_tpot_ms", "ms", "time per output token after the first: median"),
    measured("std_tpot_ms", "ms", "time per output token after the first: standard deviation"),
    measured("p99_tpot_ms", "ms", "time per output token after the first: P99 of the requests that succeeded"),
    measured("mean_itl_ms", "ms", "inter-token latency, gaps of all requests together: mean"),
    measured("median_itl_ms", "ms", "inter-token latency, gaps of all requests together: median"),
    measured("std_itl_ms", "ms", "inter-token latency, gaps of all requests together: standard deviation"),
    measured("p99_itl_ms", "ms", "inter-token latency, gaps of all requests together: P99"),
    measured("mean_e2el_ms", "ms", "end-to-end latency: mean"),
    measured("median_e2el_ms", "ms", "end-to-end latency: median"),
    measured("std_e2el_ms", "ms", "end-to-end latency: standard deviation"),
    measured("p99_e2el_ms", "ms", "end-to-end latency: P99 of the requests that succeeded"),
    measured("mean_client_queue_time_ms", "ms", "time that requests waited in the client before they were sent: mean"),
    measured("p99_client_queue_time_ms", "ms", "time that requests waited in the client before they were sent: P99"),
    measured("mean_e2el_including_client_queue_ms", "ms", "end-to-end latency from the intended start: mean"),
    measured("median_e2el_including_client_queue_ms", "ms", "end-to-end latency from the intended start: median"),
    measured("p99_e2el_including_client_queue_ms", "ms", "end-to-end latency from the intended start: P99"),
    measured("adj_p50_ttft_ms", "ms", "time to first token: P50, a failed request counted as unbounded"),
    measured("adj_p90_ttft_ms", "ms", "time to first token: P90, a failed request counted as unbounded"),
    measured("adj_p95_ttft_ms", "ms", "time to first token: P95, a failed request counted as unbounded"),
    measured("adj_p99_ttft_ms", "ms", "time to first token: P99, a failed request counted as unbounded"),
    measured("adj_p50_tpot_ms", "ms", "time per output token: P50, a failed request counted as unbounded"),
    measured("adj_p90_tpot_ms", "ms", "time per output token: P90, a failed request counted as unbounded"),
    measured("adj_p95_tpot_ms", "ms", "time per output token: P95, a failed request counted as unbounded"),
    measured("adj_p99_tpot_ms", "ms", "time per output token: P99, a failed request counted as unbounded"),
    measured("adj_p50_e2el_ms", "ms", "end-to-end latency: P50, a failed request counted as unbounded"),
    measured("adj_p90_e2el_ms", "ms", "end-to-end latency: P90, a failed request counted as unbounded"),
    measured("adj_p95_e2el_ms", "ms", "end-to-end latency: P95, a failed request counted as unbounded"),
    measured("adj_p99_e2el_ms", "ms", "end-to-end latency: P99, a failed request counted as unbounded"),
    measured("rtfx", "×", "inverse real-time factor, for audio"),
    measured("spec_decode_acceptance_rate", "%", "speculative decoding: share of draft tokens that were accepted"),
    measured("spec_decode_acceptance_length", "tokens", "speculative decoding: tokens accepted per step"),
    counted("spec_decode_num_drafts", "speculative decoding: drafts"),
    counted("spec_decode_draft_tokens", "speculative decoding: draft tokens"),
    counted("spec_decode_accepted_tokens", "speculative decoding: accepted draft tokens"),
    measured("total_input_sequences", "sequences", "input sequences of a pooling benchmark"),
    measured("input_sequence_throughput", "sequences/s", "input sequences per second of a pooling benchmark"),
];

pub static REQUESTS: [Column; 15] = [
    SWEEP,
    COMBINATION,
    RUN_ID,
    RUN_NUMBER,
    column("request_index", Integer, Identity, "index of the request in its run, from 0, in the order of sending"),
    measured("start_s", "s", "when it was sent, relative to the first request"),
    counted("input_len", "tokens of its prompt"),
    counted("output_len", "tokens that were generated"),
    measured("ttft_ms", "ms", "time to first token"),
    measured("tpot_ms", "ms", "time per output token after the first"),
    measured("e2el_ms", "ms", "end-to-end latency"),
    measured("queue_time_ms", "ms", "time that it waited in the client before it was sent"),
    Column { unit: Some("ms"), ..column("itls_ms", Numbers, Metric, "gaps between its chunks") },
    column("ok", Boolean, Metric, "whether it succeeded; NULL if unknown"),
    column("error", Text, Context, "why it failed"),
];

pub static TELEMETRY: [Column; 9] = [
    SWEEP,
    COMBINATION,
    RUN_ID,
    RUN_NUMBER,
    Column {
        unit: Some("s"),
        ..column("at_s", Number, Identity, "when it was sampled, relative to the start of the benchmark")
    },
    column("source", Text, Identity, "who reported it: server, gpu, host or client"),
    column("device", Text, Identity, "which one, if there are several: the index of a GPU, the number of an engine"),
    column("metric", Text, Identity, "name of the metric, including its unit; see docs/telemetry.md"),
    column("value", Number, Metric, "its value at that time"),
];

pub static COMBINATIONS: [Column; 12] = [
    SWEEP,
    COMBINATION,
    LABEL,
    column("status", Text, Context, "completed; degraded: at least one run is degraded; failed: all runs failed"),
    column("n", Integer, Context, "number of runs, not counting failed ones"),
    column("degraded_runs", Integer, Context, "runs in which too many requests failed"),
    column("failed_runs", Integer, Context, "runs that failed"),
    column("cautions", Texts, Context, "the distinct cautions of its runs"),
    column("started_at", Time, Context, "when its first run was started, UTC"),
    SERVE_TEXT,
    BENCH_TEXT,
    column("pooled_requests", Integer, Metric, "stored requests that succeeded, across all its runs"),
];

pub static SLA: [Column; 24] = [
    SWEEP,
    COMBINATION,
    LABEL,
    SERVE,
    BENCH,
    SLA_TEXT,
    column("sla_name", Text, Context, "the SLA's name, if it has one"),
    VARIABLE,
    column("value", Number, Metric, "the highest load that meets the SLA; NULL if none does"),
    column("lower", Number, Metric, "the boundary is not below this load"),
    column("upper", Number, Metric, "the boundary is not above this load"),
    column("status", Text, Metric, "found, wide, passes_everywhere or fails_everywhere"),
    column("confidence", Number, Metric, "confidence that the boundary is between lower and upper"),
    column(
        "boundary_low",
        Number,
        Metric,
        "the boundary lies above this with 97.5 % probability; interpolated between measured values",
    ),
    column("boundary_high", Number, Metric, "the boundary lies below this with 97.5 % probability"),
    column("is_monotone", Boolean, Metric, "false if a higher load passed although a lower one clearly failed"),
    column("binding", Text, Metric, "the metric whose constraint fails first above the answer"),
    column("reason", Text, Metric, "the answer in words"),
    column("runs", Integer, Metric, "number of runs that the answer is based on"),
    column("levels", Integer, Metric, "loads that were measured"),
    column("gpu_count", Number, Context, "number of GPUs of the server; NULL if unknown"),
    column("measured_value", Number, Metric, "the measured load closest to the answer"),
    measured("output_throughput", "tok/s", "output throughput at that load"),
    measured("request_throughput", "req/s", "request throughput at that load"),
];

pub static SLA_HISTORY: [Column; 15] = [
    SWEEP,
    COMBINATION,
    LABEL,
    SERVE,
    BENCH,
    SLA_TEXT,
    VARIABLE,
    column("value", Number, Metric, "the load"),
    column("runs", Integer, Metric, "runs at that load"),
    column("failed_runs", Integer, Metric, "how many of these failed"),
    column("degraded_runs", Integer, Metric, "how many of these are degraded because too many requests failed"),
    column(
        "margin",
        Number,
        Metric,
        "logarithm of the ratio of the worst metric to its target; zero or negative if the SLA is met",
    ),
    column(
        "pass_probability",
        Number,
        Metric,
        "probability that the SLA is met at that load, given all runs of the search",
    ),
    column("passes", Boolean, Metric, "whether pass_probability is above one half"),
    column("binding", Text, Metric, "the metric with the largest margin"),
];

pub static DROPPED: [Column; 10] = [
    SWEEP,
    COMBINATION,
    LABEL,
    SERVE,
    BENCH,
    column("reason", Text, Metric, "why it got no further runs, in words"),
    column("dropped_by", Text, Metric, "the combination that shows it; NULL if there is none"),
    column("confidence", Number, Metric, "confidence that it is neither on the frontier nor meets the SLA"),
    column("runs", Integer, Metric, "number of runs that it got"),
    column("is_predicted", Boolean, Metric, "true if it was not measured: other loads of its server decided"),
];

pub static TUNE_HISTORY: [Column; 13] = [
    SWEEP,
    COMBINATION,
    LABEL,
    SERVE,
    BENCH,
    column("step", Integer, Context, "its place in the order of proposals, from 1"),
    column("proposed_by", Text, Context, "design, optimizer, or load (another load of a proposed server)"),
    column("runs", Integer, Metric, "number of its runs"),
    column("status", Text, Metric, "completed, or failed"),
    column("is_feasible", Boolean, Metric, "whether it keeps all constraints"),
    column("is_on_frontier", Boolean, Metric, "whether no other proposal is better in every objective"),
    column(
        "is_expected_frontier",
        Boolean,
        Metric,
        "whether the model expects no other combination to be better in every objective, of those that keep the constraints",
    ),
    column("hypervolume", Number, Metric, "volume, on logarithmic axes, that this and all earlier proposals dominate"),
];
