-- How a metric of each combination changed from sweep to sweep: since the previous one, since the first, and its change points
-- (step, drift or outlier, judged by the scatter between sweeps; the p-value is corrected for the number of combinations).
-- Degraded runs are excluded.
-- Parameters: {metric}, a column of runs
-- Defaults: metric = p99_e2el_ms
-- Columns: label, sweep, started_at, {metric}, n, since_previous, since_first, change_point, step, p_value
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
),
placed AS (
    SELECT *, row_number() OVER (PARTITION BY combination ORDER BY started_at, sweep) AS place
    FROM means
    WHERE mean IS NOT NULL
),
series AS (
    SELECT combination, change_points(array_agg(CAST(mean AS DOUBLE) ORDER BY place), 0.02) AS points
    FROM placed
    GROUP BY combination
),
points AS (
    SELECT combination, unnest(points) AS point, count(*) OVER () AS series FROM series
),
told AS (
    SELECT
        combination,
        point['at'] AS place,
        point['shape'] AS shape,
        point['change'] AS step,
        least(point['p_value'] * (SELECT count(*) FROM series), 1.0) AS p_value
    FROM points
)
SELECT
    placed.label,
    placed.sweep,
    placed.started_at,
    placed.mean AS "{metric}",
    placed.n,
    placed.mean / lag(placed.mean) OVER (PARTITION BY placed.combination ORDER BY placed.place) - 1 AS since_previous,
    placed.mean / first_value(placed.mean) OVER (PARTITION BY placed.combination ORDER BY placed.place) - 1 AS since_first,
    CASE WHEN told.p_value <= 0.05 OR told.shape = 'outlier' THEN told.shape END AS change_point,
    CASE WHEN told.p_value <= 0.05 OR told.shape = 'outlier' THEN told.step END AS step,
    told.p_value
FROM placed
LEFT JOIN told ON told.combination = placed.combination AND told.place = placed.place
ORDER BY placed.label, placed.combination, placed.place
