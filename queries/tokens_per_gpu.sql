-- The combinations by what a GPU yields, with what is left for each user.
-- Parameters: {limit}, how many
-- Defaults: limit = 10
-- Columns: sweep, serve, bench, gpu_count, tokens_per_gpu, ±, tokens_per_user, ±, output_throughput, n
SELECT
    sweep,
    coalesce(serve_name, serve_params) AS serve,
    coalesce(bench_name, bench_params) AS bench,
    gpu_count,
    tokens_per_gpu_mean AS tokens_per_gpu,
    tokens_per_gpu_ci95 AS "± tokens_per_gpu",
    tokens_per_user_mean AS tokens_per_user,
    tokens_per_user_ci95 AS "± tokens_per_user",
    output_throughput_mean AS output_throughput,
    n
FROM combinations
WHERE tokens_per_gpu_mean IS NOT NULL
ORDER BY tokens_per_gpu_mean DESC, sweep, combination
LIMIT {limit}
