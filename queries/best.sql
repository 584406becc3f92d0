-- For each model the five combinations with the highest throughput within a limit on P99 end-to-end latency. Failed requests
-- count as infinitely slow.
-- Parameters: {sla}, the limit in milliseconds
-- Columns: sweep, model_id, label, output_throughput_mean, output_throughput_ci95, p99_e2el_ms_mean, p99_e2el_ms_max, n, cautions
WITH kept AS (
    SELECT
        sweep,
        model_id,
        label,
        combination,
        output_throughput_mean,
        output_throughput_ci95,
        p99_e2el_ms_mean,
        p99_e2el_ms_max,
        n,
        array_to_string(cautions, '; ') AS cautions,
        row_number() OVER (PARTITION BY model_id ORDER BY output_throughput_mean DESC, sweep, combination) AS place
    FROM combinations
    WHERE status = 'completed'
        AND CASE WHEN failed_requests_max > 0 AND success_rate_min <= 0.99 THEN FALSE
                 WHEN failed_requests_max > 0 THEN adj_p99_e2el_ms_max <= {sla}
                 ELSE p99_e2el_ms_max <= {sla} END
)
SELECT
    sweep,
    model_id,
    label,
    output_throughput_mean,
    output_throughput_ci95,
    p99_e2el_ms_mean,
    p99_e2el_ms_max,
    n,
    cautions
FROM kept
WHERE place <= 5
ORDER BY model_id, place
