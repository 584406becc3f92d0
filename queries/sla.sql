-- The answers to SLAs: for each combination the highest load that meets them, between which values the boundary lies,
-- the throughput there, and what would break next.
-- Columns: sweep, label, sla, variable, value, lower, upper, status, output_throughput, binding, runs, reason
SELECT
    sweep,
    label,
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
