-- Of each SLA that was answered, the combination that serves the most within it.
-- Columns: purpose, metric, value, ci95, serve, bench, n, sweep, combination, serve_params
WITH ranked AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY sla ORDER BY output_throughput DESC NULLS LAST, value DESC, sweep, combination) AS position
    FROM sla
    WHERE value IS NOT NULL
)
SELECT
    'Most throughput within ' || coalesce(sla_name, sla) AS purpose,
    'output_throughput' AS metric,
    output_throughput AS value,
    CAST(NULL AS DOUBLE) AS ci95,
    serve_params AS serve,
    '{"' || variable || '":' || CAST(value AS VARCHAR) || '}' AS bench,
    runs AS n,
    sweep, combination, serve_params
FROM ranked
WHERE position = 1 AND output_throughput IS NOT NULL
ORDER BY sla
