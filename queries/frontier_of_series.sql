-- The configurations of each series, marking those on its Pareto frontier: those that no other one beats in both x and y.
-- Parameters: {configurations}, a query with columns sweep, combination, series, x and y; {x} and {y}, max if higher is better, min if
--             lower is
-- Columns: those of {configurations}, then is_frontier
WITH configurations AS (
    {configurations}
),
placed AS (
    SELECT * FROM configurations WHERE x IS NOT NULL AND y IS NOT NULL AND NOT isnan(x) AND NOT isnan(y)
),
front AS (
    SELECT sweep, combination, series
    FROM pareto(placed, 'x {x}', 'y {y}', group => 'series')
)
SELECT placed.*, front.series IS NOT NULL AS is_frontier
FROM placed
LEFT JOIN front USING (sweep, combination, series)
ORDER BY placed.series, placed.x, placed.y, placed.sweep, placed.combination
