-- The parameters that matter: what each value of each does to a metric while all others are held alike, as a change from the mean of its
-- values with a 95 % interval (least squares on logarithms over the combinations; the sweep counts as a parameter where there are several).
-- `share` is what the parameter explains of the metric's variance (omega squared: what noise explains is taken off), `p_value` that it
-- explains nothing. Parameters that always change together stand in one row; `inseparable` names those from which one can't be told
-- apart. Rows with × and no value are interactions that are large.
-- Parameters: {metric}, a column of runs
-- Defaults: metric = output_throughput
-- Columns: parameter, share, p_value, inseparable, value, combinations, level, effect, effect_low, effect_high
WITH measured AS (
    SELECT
        sweep,
        combination,
        first_value(serve_params) AS serve_params,
        first_value(bench_params) AS bench_params,
        avg(ln("{metric}")) AS log_mean,
        count(*) AS n,
        var_samp(ln("{metric}")) AS variance
    FROM runs
    WHERE status = 'completed' AND "{metric}" > 0
    GROUP BY sweep, combination
),
whole AS (
    SELECT
        array_agg(named_struct('log', log_mean, 'sweep', sweep, 'serve', serve_params, 'bench', bench_params)) AS combinations,
        sum((n - 1) * variance) / nullif(sum(n - 1), 0) * avg(1.0 / n) AS variance,
        sum(n - 1) AS degrees
    FROM measured
),
found AS (
    SELECT unnest(effects(combinations, variance, degrees)) AS found FROM whole
)
SELECT
    found['parameter'] AS parameter,
    found['share'] AS share,
    found['p_value'] AS p_value,
    found['inseparable'] AS inseparable,
    found['value'] AS value,
    found['combinations'] AS combinations,
    found['level'] AS level,
    found['effect'] AS effect,
    found['effect_low'] AS effect_low,
    found['effect_high'] AS effect_high
FROM found
ORDER BY found['place'], found['level_place']
