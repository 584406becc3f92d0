-- The Pareto frontier of the combinations of each model: those that no other combination of it beats in both metrics.
-- Parameters: {x} and {y}, metrics for which it is known which direction is better
-- Defaults: x = tokens_per_user, y = tokens_per_gpu
-- Columns: sweep, model_id, label, {x}_mean, {x}_ci95, {y}_mean, {y}_ci95, n
SELECT
    sweep,
    model_id,
    label,
    "{x}_mean",
    "{x}_ci95",
    "{y}_mean",
    "{y}_ci95",
    n
FROM pareto(combinations, '{x}_mean', '{y}_mean', group => 'model_id')
ORDER BY model_id, "{x}_mean", "{y}_mean", sweep, combination
