-- The answers to SLAs, as a ladder: for each SLA the highest load that each combination sustains, the bounds of that load,
-- the probability that no other server setting of the sweep sustains more, the throughput there, and which metric would fail next.
-- Parameters: {gpu_hour_price}, dollars for an hour of one GPU
-- Defaults: gpu_hour_price=NULL
-- Columns: sweep, sla, label, variable, value, lower, upper, boundary_low, boundary_high, best_probability, output_throughput,
--          request_throughput, usd_per_million_output_tokens, status, binding, runs, reason
SELECT
    sweep,
    coalesce(sla_name, sla) AS sla,
    label,
    variable,
    value,
    lower,
    upper,
    boundary_low,
    boundary_high,
    CASE
        WHEN count(*) OVER (PARTITION BY sweep, bench_params, sla, variable) > 1 THEN coalesce(
            round(best_probability(
                ln(CASE status WHEN 'fails_everywhere' THEN NULL ELSE coalesce(boundary_low, lower, value) END),
                ln(CASE status WHEN 'fails_everywhere' THEN NULL ELSE coalesce(boundary_high, upper, value) END)
            ) OVER (PARTITION BY sweep, bench_params, sla, variable), 4),
            0
        )
    END AS best_probability,
    output_throughput,
    request_throughput,
    CAST({gpu_hour_price} AS DOUBLE) * gpu_count / 3600 / nullif(output_throughput, 0) * 1e6 AS usd_per_million_output_tokens,
    status || CASE WHEN is_monotone THEN '' ELSE ' (not monotone)' END AS status,
    binding,
    runs,
    reason
FROM sla
ORDER BY sweep, bench_params, sla, value DESC NULLS LAST, serve_params
