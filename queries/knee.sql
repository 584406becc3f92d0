-- The knee of the latency-throughput curve: the combination with the best ratio of throughput to latency, by Kleinrock's power, throughput
-- divided by mean response time ("Power and deterministic rules of thumb for probabilistic problems in computer communications", 1979).
-- Columns: purpose, metric, value, ci95, label, load, n, sweep, combination, serve_params
SELECT
    'Knee of the curve: best ratio of throughput to latency' AS purpose,
    'output_throughput' AS metric,
    output_throughput_mean AS value,
    output_throughput_ci95 AS ci95,
    label,
    CAST(NULL AS VARCHAR) AS load,
    n, sweep, combination, serve_params
FROM combinations
WHERE status = 'completed' AND output_throughput_mean > 0 AND mean_e2el_ms_mean > 0
ORDER BY output_throughput_mean / mean_e2el_ms_mean DESC, sweep, combination
LIMIT 1
