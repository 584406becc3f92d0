-- For each model the five combinations with the highest throughput that keep a metric within a limit in every run. Failed requests count as
-- infinitely slow.
-- Parameters: {metric}, a metric for which it is known which direction is better, or METRIC:min or METRIC:max; {limit}, in its unit
-- Defaults: metric = p99_e2el_ms
-- Aliases: sla = limit
-- Columns: sweep, model_id, label, output_throughput_mean, output_throughput_ci95, metric, metric_mean, metric_min, metric_max, n, cautions
WITH kept AS (
    SELECT
        sweep,
        model_id,
        label,
        combination,
        output_throughput_mean,
        output_throughput_ci95,
        '{metric}' AS metric,
        "{metric}_mean" AS metric_mean,
        "{metric}_min" AS metric_min,
        "{metric}_max" AS metric_max,
        n,
        array_to_string(cautions, '; ') AS cautions,
        row_number() OVER (PARTITION BY model_id ORDER BY output_throughput_mean DESC, sweep, combination) AS place
    FROM combinations
    WHERE status = 'completed' AND {within}
)
SELECT
    sweep,
    model_id,
    label,
    output_throughput_mean,
    output_throughput_ci95,
    metric,
    metric_mean,
    metric_min,
    metric_max,
    n,
    cautions
FROM kept
WHERE place <= 5
ORDER BY model_id, place
