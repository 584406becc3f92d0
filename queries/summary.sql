-- The combinations of a sweep with their main metrics: mean of the runs, and half the width of its 95 % interval.
-- Columns: sweep, serve, bench, n, failed_runs, output_throughput_mean, ±, median_ttft_ms_mean, ±, median_tpot_ms_mean, ±,
--          p99_e2el_ms_mean, ±
SELECT
    sweep,
    coalesce(serve_name, serve_params) AS serve,
    coalesce(bench_name, bench_params) AS bench,
    n,
    failed_runs,
    output_throughput_mean AS output_throughput_mean,
    output_throughput_ci95 AS "± tok/s",
    median_ttft_ms_mean AS median_ttft_ms_mean,
    median_ttft_ms_ci95 AS "± TTFT",
    median_tpot_ms_mean AS median_tpot_ms_mean,
    median_tpot_ms_ci95 AS "± TPOT",
    p99_e2el_ms_mean AS p99_e2el_ms_mean,
    p99_e2el_ms_ci95 AS "± E2EL"
FROM combinations
ORDER BY sweep, started_at
