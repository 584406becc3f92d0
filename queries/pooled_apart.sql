-- Combinations whose runs differ by more than repeats do: in their tokens, which repeats of one workload have in common, or in a
-- throughput whose scatter is far above that of the other combinations. What they are the mean of may be two things.
-- Columns: sweep, label, n, total_input_tokens_min, total_input_tokens_max, output_throughput_min, output_throughput_max, why
WITH spread AS (
    SELECT
        *,
        output_throughput_std / nullif(output_throughput_mean, 0) AS scatter
    FROM combinations
    WHERE n > 1
),
usual AS (
    SELECT sweep, greatest(coalesce(median(scatter), 0), 0.01) AS scatter
    FROM spread
    GROUP BY sweep
)
SELECT
    sweep, label, n, total_input_tokens_min, total_input_tokens_max, output_throughput_min, output_throughput_max,
    CASE WHEN total_input_tokens_max > 1.05 * total_input_tokens_min THEN 'their prompts have other lengths'
         ELSE 'their throughput differs by more than that of other combinations'' repeats' END AS why
FROM spread
JOIN usual USING (sweep)
WHERE total_input_tokens_max > 1.05 * total_input_tokens_min
    OR spread.scatter > greatest(10 * usual.scatter, 0.3)
ORDER BY sweep, started_at, combination
