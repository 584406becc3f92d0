-- Failed requests in runs that did not fail, grouped by error message (without its numbers).
-- Columns: sweep, label, run_number, status, failed_requests, success_rate, error_kind, requests, example
WITH failed AS (
    SELECT
        sweep,
        run_id,
        regexp_replace(coalesce(error, 'not reported'), '[0-9]+', '#', 'g') AS error_kind,
        count(*) AS requests,
        min(error) AS example
    FROM requests
    WHERE ok IS FALSE
    GROUP BY 1, 2, 3
)
SELECT
    runs.sweep,
    runs.label,
    runs.run_number,
    runs.status,
    runs.failed_requests,
    runs.success_rate,
    failed.error_kind,
    failed.requests,
    failed.example
FROM runs
LEFT JOIN failed ON failed.run_id = runs.run_id AND failed.sweep = runs.sweep
WHERE runs.failed_requests > 0
ORDER BY runs.success_rate, runs.sweep, runs.started_at, runs.label, runs.run_number, failed.requests DESC, failed.error_kind
