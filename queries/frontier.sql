-- The Pareto frontier of the combinations: those that no other one beats in both metrics.
-- Parameters: {x} and {y}, metrics; which way is better is known of each
-- Defaults: x = tokens_per_user, y = tokens_per_gpu
-- Columns: sweep, serve, bench, {x}, ±, {y}, ±, n
SELECT
    sweep,
    coalesce(serve_name, serve_params) AS serve,
    coalesce(bench_name, bench_params) AS bench,
    "{x}_mean" AS "{x}",
    "{x}_ci95" AS "± {x}",
    "{y}_mean" AS "{y}",
    "{y}_ci95" AS "± {y}",
    n
FROM pareto(combinations, '{x}_mean', '{y}_mean')
ORDER BY "{x}_mean", "{y}_mean", sweep, combination
