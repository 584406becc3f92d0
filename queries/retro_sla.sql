-- Which combinations meet an SLA on single requests that was not thought of when they were measured: from the stored requests,
-- without a new run.
-- Parameters: {condition}, what a request must meet, as ttft_ms <= 200 (several with commas between); {share}, of the requests
-- Defaults: share = 0.99
-- Columns: sweep, label, requests, good_share, request_goodput, output_throughput, n
SELECT sweep, label, requests, good_share, request_goodput, output_throughput, n
FROM goodput(requests, {condition})
WHERE good_share >= {share} AND status = 'completed'
ORDER BY request_goodput DESC, sweep, combination
