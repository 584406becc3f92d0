-- The combinations with the highest throughput among those that keep a limit on P99 end-to-end latency.
-- Parameters: {sla}, the limit in milliseconds
-- Columns: serve, bench, output_throughput, ci95, p99_e2el_ms, p99_e2el_ms_worst, n
SELECT
    coalesce(serve_name, serve_params) AS serve,
    coalesce(bench_name, bench_params) AS bench,
    output_throughput_mean AS output_throughput,
    output_throughput_ci95 AS ci95,
    p99_e2el_ms_mean AS p99_e2el_ms,
    p99_e2el_ms_max AS p99_e2el_ms_worst,
    n
FROM combinations
WHERE p99_e2el_ms_max <= {sla}
ORDER BY output_throughput_mean DESC
LIMIT 5
