-- The combinations as server settings under loads: their throughput on a logarithmic scale, the number of runs, and their latency.
-- Failed and degraded runs are excluded.
-- Columns: sweep, combination, serve_name, bench_name, serve_params, bench_params, runs, starts, log_mean, log_variance, gpu_count, output_throughput, median_ttft_ms, p99_e2el_ms, p99_ttft_ms, p99_tpot_ms
SELECT
    sweep,
    combination,
    first_value(serve_name) AS serve_name,
    first_value(bench_name) AS bench_name,
    first_value(serve_params) AS serve_params,
    first_value(bench_params) AS bench_params,
    count(*) AS runs,
    count(DISTINCT server_start) AS starts,
    avg(ln(output_throughput)) AS log_mean,
    var_samp(ln(output_throughput)) AS log_variance,
    avg(gpu_count) AS gpu_count,
    avg(output_throughput) AS output_throughput,
    avg(median_ttft_ms) AS median_ttft_ms,
    avg(p99_e2el_ms) AS p99_e2el_ms,
    avg(p99_ttft_ms) AS p99_ttft_ms,
    avg(p99_tpot_ms) AS p99_tpot_ms
FROM runs
WHERE status = 'completed' AND output_throughput > 0 AND stopped_early IS NULL
GROUP BY sweep, combination
ORDER BY sweep, min(started_at), combination
