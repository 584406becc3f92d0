-- The sweeps of a lake with their best results, newest first.
-- Columns: sweep, started_at, state, engine, gpu, combinations, runs, failed_runs, degraded_runs, best_throughput, least_p99_e2el_ms, folder
SELECT
    sweeps.sweep,
    date_trunc('second', coalesce(sweeps.started_at, measured.started_at)) AS started_at,
    state,
    trim(coalesce(engine, '') || ' ' || coalesce(engine_version, '')) AS engine,
    gpu,
    measured.combinations,
    measured.runs,
    measured.failed_runs,
    measured.degraded_runs,
    measured.best_throughput,
    measured.least_p99_e2el_ms,
    folder
FROM sweeps
LEFT JOIN (
    SELECT
        sweep,
        min(started_at) AS started_at,
        count(DISTINCT combination) AS combinations,
        count(*) FILTER (WHERE status <> 'retried') AS runs,
        count(*) FILTER (WHERE status = 'failed') AS failed_runs,
        count(*) FILTER (WHERE status = 'degraded') AS degraded_runs,
        max(output_throughput) FILTER (WHERE status = 'completed') AS best_throughput,
        min(p99_e2el_ms) FILTER (WHERE status = 'completed') AS least_p99_e2el_ms
    FROM runs
    GROUP BY sweep
) AS measured ON measured.sweep = sweeps.sweep
ORDER BY started_at DESC NULLS LAST, sweeps.sweep DESC
