-- The parameters that matter: for each value of each parameter the metric's geometric mean over all combinations that have it, as a
-- change from the mean of all, and the share of the metric's variance that the parameter explains alone (eta squared, on
-- logarithms). Where a sweep is no full grid, parameters that vary together share their effects.
-- Parameters: {metric}, a column of runs
-- Defaults: metric = output_throughput
-- Columns: parameter, share, value, combinations, level, effect
WITH measured AS (
    SELECT
        sweep,
        combination,
        first_value(serve_params) AS serve_params,
        first_value(bench_params) AS bench_params,
        avg(ln("{metric}")) AS log_mean
    FROM runs
    WHERE status = 'completed' AND "{metric}" > 0
    GROUP BY sweep, combination
),
entries AS (
    SELECT log_mean, unnest(json_entries(serve_params)) AS entry FROM measured
    UNION ALL
    SELECT log_mean, unnest(json_entries(bench_params)) AS entry FROM measured
),
levels AS (
    SELECT entry['name'] AS parameter, entry['value'] AS value, count(*) AS n, avg(log_mean) AS level_mean
    FROM entries
    GROUP BY entry['name'], entry['value']
),
whole AS (
    SELECT entry['name'] AS parameter, avg(log_mean) AS grand_mean, var_pop(log_mean) * count(*) AS total
    FROM entries
    GROUP BY entry['name']
    HAVING count(DISTINCT entry['value']) > 1
)
SELECT
    levels.parameter,
    CASE WHEN total > 0
        THEN sum(n * power(level_mean - grand_mean, 2)) OVER (PARTITION BY levels.parameter) / total
    END AS share,
    value,
    n AS combinations,
    exp(level_mean) AS level,
    exp(level_mean - grand_mean) - 1 AS effect
FROM levels
JOIN whole ON whole.parameter = levels.parameter
ORDER BY round(share, 9) DESC, levels.parameter, TRY_CAST(value AS DOUBLE), value
