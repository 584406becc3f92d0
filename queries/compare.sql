-- A metric of two sweeps side by side, by combination: the input of `sweeplake compare`. Changes are ratios of the
-- geometric means; std_log is the standard deviation of the runs' logarithms, roughly the relative noise.
-- Parameters: {base} and {candidate}, names of sweeps; {metric}, a column of runs
-- Columns: label, base, candidate, change, base_n, candidate_n, base_std_log, candidate_std_log
WITH sides AS (
    SELECT
        sweep,
        combination,
        first_value(label) AS label,
        avg("{metric}") AS mean,
        avg(ln("{metric}")) AS mean_log,
        stddev(ln("{metric}")) AS std_log,
        count("{metric}") AS n
    FROM runs
    WHERE status = 'completed' AND "{metric}" > 0 AND sweep IN ('{base}', '{candidate}')
    GROUP BY sweep, combination
)
SELECT
    base.label,
    base.mean AS base,
    candidate.mean AS candidate,
    exp(candidate.mean_log - base.mean_log) - 1 AS change,
    base.n AS base_n,
    candidate.n AS candidate_n,
    base.std_log AS base_std_log,
    candidate.std_log AS candidate_std_log
FROM sides AS base
JOIN sides AS candidate USING (combination)
WHERE base.sweep = '{base}' AND candidate.sweep = '{candidate}'
ORDER BY abs(candidate.mean_log - base.mean_log) DESC, base.label, base.combination
