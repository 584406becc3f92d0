-- Combinations whose runs differ by more than repeats should: in tokens per request, which repeats of one workload have in common, or
-- in throughput. Their mean may mix different things.
-- Columns: sweep, label, n, input_tokens_min, input_tokens_max, output_throughput_min, output_throughput_max, why
WITH spread AS (
    SELECT
        sweep,
        combination,
        label,
        min(started_at) AS started_at,
        count(*) AS n,
        min(total_input_tokens / completed) AS input_tokens_min,
        max(total_input_tokens / completed) AS input_tokens_max,
        min(output_throughput) AS output_throughput_min,
        max(output_throughput) AS output_throughput_max,
        stddev(output_throughput) / nullif(avg(output_throughput), 0) AS scatter
    FROM runs
    WHERE status = 'completed'
    GROUP BY sweep, combination, label
    HAVING count(*) > 1
),
usual AS (
    SELECT sweep, count(*) AS combinations, median(scatter) AS scatter
    FROM spread
    GROUP BY sweep
)
SELECT
    sweep, label, n, input_tokens_min, input_tokens_max, output_throughput_min, output_throughput_max,
    CASE WHEN input_tokens_max > 1.05 * input_tokens_min THEN 'their prompts differ in length'
         ELSE 'their throughputs differ by more than repeats should' END AS why
FROM spread
JOIN usual USING (sweep)
WHERE input_tokens_max > 1.05 * input_tokens_min
    OR spread.scatter > 0.25
    OR (usual.combinations >= 5 AND spread.scatter > greatest(0.05, 10 * usual.scatter))
ORDER BY sweep, spread.started_at, spread.combination
