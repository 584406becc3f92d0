-- What the table function goodput(requests, CONDITION, …) expands to: for each combination the stored requests, those that
-- meet all conditions, their share, and how many of them were served per second. A failed request meets no condition; one
-- without the value in question (TPOT of a single token) violates none; runs that did not store the value give no result.
-- Parameters: {requests}, a table or query with the columns of requests; {condition}, what a request must meet; {is_known}, whether
--             a run has the numbers for it
-- Columns: sweep, combination, label, status, serve, bench, serve_params, bench_params, n, requests, good, good_share, request_goodput,
--          request_throughput, output_throughput
SELECT
    runs.sweep,
    runs.combination,
    first_value(runs.label) AS label,
    max(runs.status) AS status,
    first_value(coalesce(runs.serve_name, runs.serve_params)) AS serve,
    first_value(coalesce(runs.bench_name, runs.bench_params)) AS bench,
    first_value(runs.serve_params) AS serve_params,
    first_value(runs.bench_params) AS bench_params,
    count(*) AS n,
    sum(judged.requests) AS requests,
    sum(judged.good) AS good,
    CAST(sum(judged.good) AS DOUBLE) / sum(judged.requests) AS good_share,
    sum(judged.good) / sum(runs.duration) AS request_goodput,
    sum(judged.completed) / sum(runs.duration) AS request_throughput,
    avg(runs.output_throughput) AS output_throughput
FROM (
    SELECT
        sweep,
        run_id,
        count(*) AS requests,
        count(*) FILTER (WHERE coalesce(ok, TRUE)) AS completed,
        CASE WHEN {is_known} THEN count(*) FILTER (WHERE ok IS NOT FALSE AND {condition}) END AS good
    FROM {requests}
    GROUP BY sweep, run_id
) AS judged
JOIN runs ON runs.run_id = judged.run_id AND runs.sweep = judged.sweep
GROUP BY runs.sweep, runs.combination
