-- All failures: failed runs with the last lines of their logs, and failed requests in other runs, grouped by error message
-- (without its numbers).
-- Columns: sweep, label, run_number, status, error_kind, requests, error, exit_code, log_tail
WITH of_requests AS (
    SELECT
        sweep,
        run_id,
        regexp_replace(coalesce(error, 'not reported'), '[0-9]+', '#', 'g') AS error_kind,
        count(*) AS requests,
        min(error) AS error
    FROM requests
    WHERE ok IS FALSE
    GROUP BY 1, 2, 3
)
SELECT sweep, label, run_number, status, error_kind, failed_requests AS requests, error, exit_code, log_tail
FROM runs
WHERE status IN ('failed', 'retried')
UNION ALL
SELECT
    runs.sweep,
    runs.label,
    runs.run_number,
    runs.status,
    coalesce(of_requests.error_kind, 'not reported') AS error_kind,
    coalesce(of_requests.requests, runs.failed_requests) AS requests,
    of_requests.error,
    NULL AS exit_code,
    NULL AS log_tail
FROM runs
LEFT JOIN of_requests ON of_requests.run_id = runs.run_id AND of_requests.sweep = runs.sweep
WHERE runs.failed_requests > 0 AND runs.status IN ('completed', 'degraded')
ORDER BY sweep, label, run_number, requests DESC, error_kind
