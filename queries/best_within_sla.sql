-- For each requested SLA, the combination with the highest throughput within it; without a value if none meets it.
-- Columns: purpose, metric, value, ci95, label, load, n, sweep, combination, serve_params
WITH ranked AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY sla ORDER BY output_throughput DESC NULLS LAST, value DESC NULLS LAST, sweep, combination) AS position
    FROM sla
)
SELECT
    'Highest throughput within ' || coalesce(sla_name, sla) AS purpose,
    'output_throughput' AS metric,
    CASE WHEN value IS NOT NULL THEN output_throughput END AS value,
    CAST(NULL AS DOUBLE) AS ci95,
    label,
    CASE WHEN value IS NOT NULL THEN variable || '=' || spelled(value) END AS load,
    CAST(NULL AS BIGINT) AS n,
    sweep, combination, serve_params
FROM ranked
WHERE position = 1
ORDER BY sla
