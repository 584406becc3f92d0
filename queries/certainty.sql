-- How reliable the numbers of a lake are: repeats per combination, and half the 95 % interval of two metrics as a share of their means.
-- Columns: combinations, least_runs, most_runs, failed_runs, degraded_runs, throughput_median, throughput_worst, p99_median, p99_worst, fewest_requests
SELECT
    count(*) AS combinations,
    min(n) AS least_runs,
    max(n) AS most_runs,
    sum(failed_runs) AS failed_runs,
    sum(degraded_runs) AS degraded_runs,
    median(output_throughput_ci95 / nullif(output_throughput_mean, 0)) AS throughput_median,
    max(output_throughput_ci95 / nullif(output_throughput_mean, 0)) AS throughput_worst,
    median(p99_e2el_ms_ci95 / nullif(p99_e2el_ms_mean, 0)) AS p99_median,
    max(p99_e2el_ms_ci95 / nullif(p99_e2el_ms_mean, 0)) AS p99_worst,
    min(completed_min) FILTER (WHERE completed_min > 0) AS fewest_requests
FROM combinations
