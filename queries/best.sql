-- The combinations with the highest throughput among those that keep a limit on P99 end-to-end latency. One in which requests
-- failed counts them as unbounded.
-- Parameters: {sla}, the limit in milliseconds
-- Columns: sweep, label, output_throughput_mean, output_throughput_ci95, p99_e2el_ms_mean, p99_e2el_ms_max, n, cautions
SELECT
    sweep,
    label,
    output_throughput_mean,
    output_throughput_ci95,
    p99_e2el_ms_mean,
    p99_e2el_ms_max,
    n,
    array_to_string(cautions, '; ') AS cautions
FROM combinations
WHERE status = 'completed'
    AND CASE WHEN failed_requests_max > 0 AND success_rate_min <= 0.99 THEN FALSE
             WHEN failed_requests_max > 0 THEN adj_p99_e2el_ms_max <= {sla}
             ELSE p99_e2el_ms_max <= {sla} END
ORDER BY output_throughput_mean DESC, sweep, combination
LIMIT 5
