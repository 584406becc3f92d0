-- The combinations of a sweep with their main metrics: the mean of the runs, and half the width of its 95 % interval.
-- Columns: sweep, label, status, success_rate_mean, output_throughput_mean, output_throughput_ci95, median_ttft_ms_mean, median_ttft_ms_ci95,
--          p99_e2el_ms_mean, p99_e2el_ms_ci95, median_tpot_ms_mean, median_tpot_ms_ci95, n, failed_runs
SELECT
    sweep,
    label,
    status,
    success_rate_mean,
    output_throughput_mean,
    output_throughput_ci95,
    median_ttft_ms_mean,
    median_ttft_ms_ci95,
    p99_e2el_ms_mean,
    p99_e2el_ms_ci95,
    median_tpot_ms_mean,
    median_tpot_ms_ci95,
    n,
    failed_runs
FROM combinations
ORDER BY sweep, started_at, combination
