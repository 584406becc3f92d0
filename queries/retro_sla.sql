-- Which combinations meet a per-request SLA that was defined after they were measured: evaluated on the stored requests,
-- without a new run.
-- Parameters: {condition}, what a request must meet, such as ttft_ms <= 200 (comma-separated); {share}, of the requests
-- Defaults: share = 0.99
-- Columns: sweep, label, requests, good_share, request_goodput, output_throughput, n
SELECT sweep, label, requests, good_share, request_goodput, output_throughput, n
FROM goodput(requests, {condition})
WHERE good_share >= {share} AND status = 'completed'
ORDER BY request_goodput DESC, sweep, combination
