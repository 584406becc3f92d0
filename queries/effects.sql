-- Which parameters matter: the effect of each parameter value on a metric with all other parameters held constant, as a change from the
-- mean of that parameter's values with a 95 % interval (least squares on logarithms over the combinations; with several sweeps, the sweep
-- counts as a parameter). `share` is the share of the metric's variance that the parameter explains (omega squared: the share that noise
-- would explain is subtracted), `p_value` tests whether it explains anything. Parameters that always change together share one row;
-- `inseparable` names parameters whose effects cannot be separated. Rows with × and no value are large interactions.
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
