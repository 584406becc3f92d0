-- The slowest requests, with the combination and the run that they are of.
-- Parameters: {limit}, how many
-- Defaults: limit = 20
-- Columns: sweep, serve, bench, run_number, request_index, start_s, input_len, output_len, ttft_ms, e2el_ms
SELECT
    requests.sweep,
    coalesce(runs.serve_name, runs.serve_params) AS serve,
    coalesce(runs.bench_name, runs.bench_params) AS bench,
    requests.run_number,
    request_index,
    start_s,
    requests.input_len,
    requests.output_len,
    ttft_ms,
    e2el_ms
FROM requests
JOIN runs ON requests.run_id = runs.run_id
WHERE e2el_ms IS NOT NULL
ORDER BY e2el_ms DESC, requests.sweep, requests.run_number, request_index
LIMIT {limit}
