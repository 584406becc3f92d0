-- The answers to SLAs: for each combination the greatest load that meets them, between which values the boundary lies,
-- the throughput there, and what would break next.
-- Columns: serve, bench, sla, variable, value, lower, upper, status, output_throughput, binding, runs, reason
SELECT
    serve_params AS serve,
    bench_params AS bench,
    coalesce(sla_name, sla) AS sla,
    variable,
    value,
    lower,
    upper,
    status || CASE WHEN is_monotone THEN '' ELSE ' (not monotone)' END AS status,
    output_throughput,
    binding,
    runs,
    reason
FROM sla
ORDER BY sweep, serve_params, bench_params, sla
