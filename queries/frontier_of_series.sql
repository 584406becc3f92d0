-- The Pareto frontier: the configurations that no other one of their series beats.
-- Exact: of two with equal x only the better y stays, equal points stay together.
-- Parameters: {configurations}, a query with columns sweep, combination, series, x and y; {x_sign} and {y_sign}, 1 where more is better
--             and -1 where less is
-- Columns: those of {configurations}, then is_frontier
WITH configurations AS (
    {configurations}
),
gains AS (
    SELECT *, {x_sign} * x AS gain_x, {y_sign} * y AS gain_y
    FROM configurations
    WHERE x IS NOT NULL AND y IS NOT NULL AND NOT isnan(x) AND NOT isnan(y)
),
best AS (
    SELECT series, gain_x, max(gain_y) AS best_y
    FROM gains
    GROUP BY series, gain_x
),
ahead AS (
    SELECT
        series,
        gain_x,
        best_y,
        max(best_y) OVER (
            PARTITION BY series ORDER BY gain_x DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS best_y_ahead
    FROM best
)
SELECT
    gains.*,
    gain_y = best_y AND (best_y_ahead IS NULL OR gain_y > best_y_ahead) AS is_frontier
FROM gains
JOIN ahead USING (series, gain_x)
ORDER BY series, x, y, sweep, combination
