-- How a metric of each combination moved from sweep to sweep: since the one before, and since the first. Degraded runs are left out.
-- Parameters: {metric}, a column of runs
-- Defaults: metric = p99_e2el_ms
-- Columns: label, sweep, started_at, {metric}, n, since_previous, since_first
WITH means AS (
    SELECT
        combination,
        first_value(label) AS label,
        sweep,
        min(started_at) AS started_at,
        avg("{metric}") AS mean,
        count("{metric}") AS n
    FROM runs
    WHERE status = 'completed'
    GROUP BY combination, sweep
)
SELECT
    label,
    sweep,
    started_at,
    mean AS "{metric}",
    n,
    mean / lag(mean) OVER (PARTITION BY combination ORDER BY started_at, sweep) - 1 AS since_previous,
    mean / first_value(mean) OVER (PARTITION BY combination ORDER BY started_at, sweep) - 1 AS since_first
FROM means
WHERE mean IS NOT NULL
ORDER BY label, combination, started_at, sweep
