-- The slowest requests, with their combination and run.
-- Parameters: {limit}, how many; {latency}, a column of requests
-- Defaults: limit = 20, latency = e2el_ms
-- Columns: sweep, model_id, label, run_number, request_index, start_s, input_len, output_len, ttft_ms, e2el_ms
SELECT
    requests.sweep,
    runs.model_id,
    runs.label,
    requests.run_number,
    request_index,
    start_s,
    requests.input_len,
    requests.output_len,
    ttft_ms,
    e2el_ms
FROM requests
JOIN runs ON requests.run_id = runs.run_id AND requests.sweep = runs.sweep
WHERE {latency} IS NOT NULL
ORDER BY {latency} DESC, requests.sweep, requests.combination, requests.run_number, request_index
LIMIT {limit}
