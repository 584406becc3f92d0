-- The sweeps of a lake, newest first.
-- Columns: sweep, state, started_at, combinations, runs, failed, degraded, engine, engine_version, gpu, note, folder
SELECT
    sweeps.sweep,
    state,
    coalesce(sweeps.started_at, measured.started_at) AS started_at,
    measured.combinations,
    measured.runs,
    measured.failed,
    measured.degraded,
    engine,
    engine_version,
    gpu,
    note,
    folder
FROM sweeps
LEFT JOIN (
    SELECT
        sweep,
        min(started_at) AS started_at,
        count(DISTINCT combination) AS combinations,
        count(*) FILTER (WHERE status <> 'retried') AS runs,
        count(*) FILTER (WHERE status = 'failed') AS failed,
        count(*) FILTER (WHERE status = 'degraded') AS degraded
    FROM runs
    GROUP BY sweep
) AS measured ON measured.sweep = sweeps.sweep
ORDER BY started_at DESC NULLS LAST, sweeps.sweep DESC
