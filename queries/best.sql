-- The combinations with the highest throughput among those that keep a limit on P99 end-to-end latency.
-- Parameters: {sla}, the limit in milliseconds
-- Columns: serve, bench, output_throughput_mean, ±, p99_e2el_ms_mean, p99_e2el_ms_max, n
SELECT
    coalesce(serve_name, serve_params) AS serve,
    coalesce(bench_name, bench_params) AS bench,
    output_throughput_mean,
    output_throughput_ci95 AS "± tok/s",
    p99_e2el_ms_mean,
    p99_e2el_ms_max,
    n
FROM combinations
WHERE p99_e2el_ms_max <= {sla}
ORDER BY output_throughput_mean DESC
LIMIT 5
