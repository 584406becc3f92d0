-- The best combination for each purpose, by the mean of its runs. Combinations in which too many requests failed are excluded.
-- Columns: purpose, metric, value, ci95, label, load, n, sweep, combination, serve_params
WITH candidates AS (
    SELECT 1 AS place, 'Highest output throughput' AS purpose, 'output_throughput' AS metric,
        output_throughput_mean AS value, output_throughput_ci95 AS ci95, -output_throughput_mean AS cost,
        sweep, combination, serve_params, label, status, n
    FROM combinations
    UNION ALL
    SELECT 2, 'Highest output throughput per GPU', 'tokens_per_gpu',
        tokens_per_gpu_mean, tokens_per_gpu_ci95, -tokens_per_gpu_mean AS cost,
        sweep, combination, serve_params, label, status, n
    FROM combinations
),
ranked AS (
    SELECT *, row_number() OVER (PARTITION BY place ORDER BY cost, sweep, combination) AS position
    FROM candidates
    WHERE value IS NOT NULL AND status = 'completed'
)
SELECT
    purpose, metric, value, ci95,
    label,
    CAST(NULL AS VARCHAR) AS load,
    n, sweep, combination, serve_params
FROM ranked
WHERE position = 1
ORDER BY place
