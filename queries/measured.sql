-- What each sweep measured.
-- Columns: sweep, models, runs, failed, degraded, combinations
SELECT
    sweep,
    string_agg(DISTINCT model_id, ', ') AS models,
    count(*) FILTER (WHERE status <> 'retried') AS runs,
    count(*) FILTER (WHERE status = 'failed') AS failed,
    count(*) FILTER (WHERE status = 'degraded') AS degraded,
    count(DISTINCT combination) AS combinations
FROM runs
GROUP BY sweep
ORDER BY sweep
