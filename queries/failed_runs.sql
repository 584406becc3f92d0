-- Failed runs, with the last lines of their logs.
-- Columns: sweep, label, serve, bench, run_number, error_kind, error, exit_code, log_tail
SELECT
    sweep,
    label,
    coalesce(serve_name, serve_params) AS serve,
    coalesce(bench_name, bench_params) AS bench,
    run_number, error_kind, error, exit_code, log_tail
FROM runs
WHERE status = 'failed'
ORDER BY started_at, sweep, label, run_number
