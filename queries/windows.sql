-- Latencies and throughput of each run over time, in windows of requests by the second in which they began.
-- Parameters: {seconds}, the length of a window; {latency}, a column of requests
-- Defaults: seconds = 10, latency = e2el_ms
-- Columns: sweep, model_id, label, run_number, window_s, requests, failed, p50, p90, p99, output_tokens
SELECT
    requests.sweep,
    runs.model_id,
    runs.label,
    requests.run_number,
    floor(start_s / {seconds}) * {seconds} AS window_s,
    count(*) AS requests,
    count(*) FILTER (WHERE NOT ok) AS failed,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY {latency}) AS p50,
    percentile_cont(0.9) WITHIN GROUP (ORDER BY {latency}) AS p90,
    percentile_cont(0.99) WITHIN GROUP (ORDER BY {latency}) AS p99,
    sum(requests.output_len) AS output_tokens
FROM requests
JOIN runs ON requests.run_id = runs.run_id AND requests.sweep = runs.sweep
WHERE start_s IS NOT NULL
GROUP BY requests.sweep, runs.model_id, runs.label, requests.run_id, requests.run_number, window_s
ORDER BY requests.sweep, runs.label, requests.run_number, window_s
