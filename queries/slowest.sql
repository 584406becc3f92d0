-- The slowest requests, with their combination and run.
-- Parameters: {limit}, how many
-- Defaults: limit = 20
-- Columns: sweep, label, run_number, request_index, start_s, input_len, output_len, ttft_ms, e2el_ms
SELECT
    requests.sweep,
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
WHERE e2el_ms IS NOT NULL
ORDER BY e2el_ms DESC, requests.sweep, requests.combination, requests.run_number, request_index
LIMIT {limit}
