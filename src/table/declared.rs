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
const COMBINATION: Column =
    column("combination", Text, Identity, "identity of the combination: a hash of its parameters");
const RUN_ID: Column = column("run_id", Text, Identity, "identity of the run");
const RUN_NUMBER: Column = column("run_number", Integer, Identity, "which repeat of its combination, from 0");
const LABEL: Column = column("label", Text, Context, "the combination in short: the parameters that vary in its sweep");
const SERVE: Column = column("serve_params", Text, Context, "parameters of the server, as JSON");
const BENCH: Column = column("bench_params", Text, Context, "parameters of the load, as JSON");
const SLA_TEXT: Column = column("sla", Text, Identity, "the constraints");
const VARIABLE: Column =
    column("variable", Text, Identity, "the load that was searched: request_rate or max_concurrency");

pub static SWEEPS: [Column; 23] = [
    SWEEP,
    column("kind", Text, Context, "the sub-command that made it; NULL for a folder of vLLM's"),
    column("state", Text, Context, "running, completed, failed or interrupted"),
    column("started_at", Time, Context, "when it began, UTC"),
    column("finished_at", Time, Context, "when it ended, UTC"),
    column("runs", Integer, Context, "runs that were stored, failed ones too"),
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
    column("engine_version", Text, Context, "what the server's /version said"),
    column("git_commit", Text, Context, "commit of the folder in which the sweep was started"),
    column("sweeplake_version", Text, Context, "the sweeplake that made it"),
    column("note", Text, Context, "what people wrote about it, with `sweeplake note`"),
    column("folder", Text, Context, "where it lies"),
];

pub static RUNS: [Column; 134] = [
    SWEEP,
    COMBINATION,
    RUN_ID,
    RUN_NUMBER,
    LABEL,
    column(
        "status",
        Text,
        Context,
        "completed; degraded: too few requests succeeded; failed; retried: failed, and made again",
    ),
    column("caution", Texts, Context, "reasons not to trust the run's numbers as they stand"),
    column("error_kind", Text, Context, "what failed, of a failed run"),
    column("error", Text, Context, "why it failed"),
    column("exit_code", Integer, Context, "exit code of what failed"),
    column("log_tail", Text, Context, "last lines of the log of what failed, secrets removed"),
    column("started_at", Time, Context, "when the benchmark was started, UTC"),
    Column { unit: Some("s"), ..column("wall_time_s", Number, Context, "how long the benchmark's process lived") },
    Column {
        unit: Some("s"),
        ..column("startup_time_s", Number, Context, "from the start of the server until it was ready")
    },
    column("round", Integer, Context, "which round over all servers the run belongs to, from 0; NULL: not known"),
    column("server_start", Integer, Context, "which start of a server it ran on, counted over its sweep, from 0"),
    column("run_order", Integer, Context, "which run of that server start it is, from 0"),
    column("attempt", Integer, Context, "which attempt at the run it is, from 1; earlier ones are `retried`"),
    column(
        "bench_seed",
        Integer,
        Context,
        "what prompts and arrival times were drawn by, where the sweep gave each run its own",
    ),
    column(
        "fingerprint",
        Text,
        Context,
        "short name of what it was measured under (commands, programs, files, environment): sweep.json has it whole",
    ),
    column("host", Text, Context, "name of the machine"),
    column("gpu_uuids", Texts, Context, "the machine's GPUs, by their UUIDs"),
    column("serve_name", Text, Context, "`_benchmark_name` of the server's parameters"),
    column("bench_name", Text, Context, "`_benchmark_name` of the load's parameters"),
    SERVE,
    BENCH,
    column("gpu_count", Number, Context, "GPUs of the server; NULL where nobody said so"),
    Column {
        unit: Some("cores"),
        ..column("client_cores", Number, Context, "cores that the benchmark's processes kept busy; NULL below a second")
    },
    measured(
        "p99_send_lag_ms",
        "ms",
        "how much later than they could the client sent its requests: P99; NULL where it does not say",
    ),
    column("requests_before", Number, Context, "requests in the server when the benchmark was started (`/metrics`)"),
    column("server_requests", Number, Context, "requests that the server finished meanwhile (`/metrics`)"),
    Column { kind: Metric, ..column("preemptions", Number, Context, "requests that the server put back (`/metrics`)") },
    measured("prefix_cache_hit_rate", "share", "prompt tokens that the prefix cache answered (`/metrics`)"),
    measured("gpu_power_w_mean", "W", "power of the server's GPUs together, mean while it worked"),
    measured("gpu_energy_j", "J", "energy that the server's GPUs took while it worked, by their own counters"),
    measured("tokens_per_joule", "tok/J", "output tokens for each joule that the server's GPUs took"),
    measured("gpu_memory_peak_gib", "GiB", "the most memory in use on one of the server's GPUs"),
    measured("gpu_utilization_mean", "share", "time in which the server's GPUs were busy, mean over them"),
    measured("gpu_clock_mhz_min", "MHz", "lowest SM clock of the server's GPUs while it worked"),
    measured(
        "gpu_throttled_s",
        "s",
        "time in which power or heat held clocks down, of the GPU on which that was longest",
    ),
    measured("kv_cache_usage_max", "share", "the fullest that the KV cache was (`/metrics`)"),
    Column { kind: Metric, ..column("queue_max", Number, Context, "most requests waiting in the server (`/metrics`)") },
    measured("queue_time_ms_mean", "ms", "time that requests waited in the server, as it reports it (`/metrics`)"),
    measured("server_ttft_ms_mean", "ms", "time to first token as the server reports it (`/metrics`)"),
    measured("server_itl_ms_mean", "ms", "gap between tokens as the server reports it (`/metrics`)"),
    measured("draft_acceptance_rate", "share", "draft tokens that were accepted (`/metrics`)"),
    column("date", Text, Context, "the benchmark's own time stamp, local time"),
    column("backend", Text, BenchParameter, "the API that the benchmark spoke"),
    column("endpoint_type", Text, Context, "the API that the benchmark spoke, under its older name"),
    column("model_id", Text, Context, "the model that was asked for"),
    column("tokenizer_id", Text, Context, "the tokenizer that counted tokens"),
    column("tensor_parallel_size", Number, ServeParameter, "GPUs that share each layer"),
    column("pipeline_parallel_size", Number, ServeParameter, "stages of layers"),
    column("data_parallel_size", Number, ServeParameter, "replicas of the model"),
    column("num_prompts", Number, BenchParameter, "requests that were to be sent"),
    column("max_concurrency", Number, BenchParameter, "requests in flight at most"),
    Column {
        unit: Some("req/s"),
        ..column("request_rate", Number, BenchParameter, "requests to be sent per second; inf: all at once")
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
    column("derived", Texts, Context, "metrics that the source did not report and that follow from others"),
    column(
        "extra",
        Map,
        Context,
        "what has no column: other values of the source, and values that are not of their column's type",
    ),
    counted("completed", "requests that succeeded"),
    counted("failed", "requests that failed, as the benchmark reports them"),
    counted("failed_requests", "requests that failed: reported, or num_prompts less completed"),
    column(
        "stopped_early",
        Text,
        Context,
        "why the benchmark ended the run before its end; requests that it cut off count with their time until then",
    ),
    column(
        "percentiles_without_bound",
        Texts,
        Context,
        "reported percentiles of which the requests are too few to say, with 99 % confidence, how high they may be",
    ),
    bound("p99_ttft_ms_low", "lower bound of the true P99 time to first token, by order statistics: holds with 99 %"),
    bound("p99_ttft_ms_high", "upper bound of it"),
    bound("p99_tpot_ms_low", "lower bound of the true P99 time per output token"),
    bound("p99_tpot_ms_high", "upper bound of it"),
    bound("p99_e2el_ms_low", "lower bound of the true P99 end-to-end latency"),
    bound("p99_e2el_ms_high", "upper bound of it"),
    measured("steady_duration_s", "s", "the part of the run without ramp-up and drain"),
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
    measured("request_goodput", "req/s", "requests per second that met all limits of its goodput"),
    measured("output_throughput", "tok/s", "output tokens per second"),
    measured("total_token_throughput", "tok/s", "input and output tokens per second"),
    measured("max_output_tokens_per_s", "tok/s", "output tokens in the busiest second; NULL for a shorter run"),
    counted(
        "max_concurrent_requests",
        "vLLM's: requests of the busiest one-second bucket, which can exceed the true peak",
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
    measured("rtfx", "×", "inverse real-time factor, of audio"),
    measured("spec_decode_acceptance_rate", "%", "speculative decoding: draft tokens that were accepted"),
    measured("spec_decode_acceptance_length", "tokens", "speculative decoding: tokens accepted in a step"),
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
    column("request_index", Integer, Identity, "which request of its run, from 0, in the order of sending"),
    measured("start_s", "s", "when it was sent, since the first one"),
    counted("input_len", "tokens of its prompt"),
    counted("output_len", "tokens that were generated"),
    measured("ttft_ms", "ms", "time to first token"),
    measured("tpot_ms", "ms", "time per output token after the first"),
    measured("e2el_ms", "ms", "end-to-end latency"),
    measured("queue_time_ms", "ms", "time that it waited in the client before it was sent"),
    Column { unit: Some("ms"), ..column("itls_ms", Numbers, Metric, "gaps between its chunks") },
    column("ok", Boolean, Metric, "whether it succeeded; NULL where that is not known"),
    column("error", Text, Context, "why it failed"),
];

pub static TELEMETRY: [Column; 9] = [
    SWEEP,
    COMBINATION,
    RUN_ID,
    RUN_NUMBER,
    Column {
        unit: Some("s"),
        ..column("at_s", Number, Identity, "when it was sampled, since the benchmark was started")
    },
    column("source", Text, Identity, "who reported it: server, gpu, host or client"),
    column("device", Text, Identity, "which of several: the index of a GPU, the number of an engine"),
    column("metric", Text, Identity, "what it is, with its unit; docs/telemetry.md lists them"),
    column("value", Number, Metric, "its value at that time"),
];

pub static COMBINATIONS: [Column; 12] = [
    SWEEP,
    COMBINATION,
    LABEL,
    column("status", Text, Context, "completed; degraded: one of its runs is; failed: all of its runs are"),
    column("n", Integer, Context, "runs that count: not the failed ones"),
    column("degraded_runs", Integer, Context, "runs in which too many requests failed"),
    column("failed_runs", Integer, Context, "runs that failed"),
    column("cautions", Texts, Context, "the cautions of its runs, each once"),
    column("started_at", Time, Context, "when its first run was started, UTC"),
    column("serve", Text, Context, "the server's settings: their name, or the parameters as JSON"),
    column("bench", Text, Context, "the load: its name, or the parameters as JSON"),
    column("pooled_requests", Integer, Metric, "stored requests that succeeded, of all its runs"),
];

pub static SLA: [Column; 24] = [
    SWEEP,
    COMBINATION,
    LABEL,
    SERVE,
    BENCH,
    SLA_TEXT,
    column("sla_name", Text, Context, "the SLA's own name"),
    VARIABLE,
    column("value", Number, Metric, "the highest load that meets the SLA; NULL: none does"),
    column("lower", Number, Metric, "the boundary is not below this load"),
    column("upper", Number, Metric, "the boundary is not above this load"),
    column("status", Text, Metric, "found, wide, passes_everywhere or fails_everywhere"),
    column("confidence", Number, Metric, "with which the boundary is between lower and upper"),
    column(
        "boundary_low",
        Number,
        Metric,
        "the boundary lies above this with 97.5 % probability; between measured values, not one of them",
    ),
    column("boundary_high", Number, Metric, "the boundary lies below this with 97.5 % probability"),
    column("is_monotone", Boolean, Metric, "false: a higher load passed after a lower one had clearly failed"),
    column("binding", Text, Metric, "the metric that breaks first above the answer"),
    column("reason", Text, Metric, "the answer in words"),
    column("runs", Integer, Metric, "runs that it rests on"),
    column("levels", Integer, Metric, "loads that were measured"),
    column("gpu_count", Number, Context, "GPUs of the server; NULL where nobody said so"),
    column("measured_value", Number, Metric, "the measured load next to the answer"),
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
    column("failed_runs", Integer, Metric, "of these the failed ones"),
    column("degraded_runs", Integer, Metric, "of these those in which too many requests failed"),
    column(
        "margin",
        Number,
        Metric,
        "logarithm of how many times the worst metric is beyond its target; not positive: met",
    ),
    column(
        "pass_probability",
        Number,
        Metric,
        "how likely it is that the SLA is met at that load, given all runs of the search",
    ),
    column("passes", Boolean, Metric, "whether that is more likely than not"),
    column("binding", Text, Metric, "the metric with the largest margin"),
];
