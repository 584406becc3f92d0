-- The combinations by throughput per GPU, with the throughput per user. Combinations with an unknown number of GPUs are left out.
-- Parameters: {limit}, how many
-- Defaults: limit = 10
-- Columns: sweep, model_id, label, gpu_count, tokens_per_gpu_mean, tokens_per_gpu_ci95, tokens_per_user_mean, tokens_per_user_ci95,
--          output_throughput_mean, n
SELECT
    sweep,
    model_id,
    label,
    gpu_count,
    tokens_per_gpu_mean,
    tokens_per_gpu_ci95,
    tokens_per_user_mean,
    tokens_per_user_ci95,
    output_throughput_mean,
    n
FROM combinations
WHERE tokens_per_gpu_mean IS NOT NULL AND status = 'completed'
ORDER BY tokens_per_gpu_mean DESC, sweep, combination
LIMIT {limit}
