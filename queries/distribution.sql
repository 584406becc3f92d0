-- The distribution of a latency over all requests of some combinations: about two hundred ranks of each, plus all of the last
-- hundred.
-- Parameters: {latency}, a column of requests; {combinations}, their quoted IDs separated by commas
-- Columns: sweep, combination, x (the latency), y (the share of requests at or below it)
WITH ranked AS (
    SELECT
        sweep,
        combination,
        "{latency}" AS x,
        row_number() OVER (PARTITION BY sweep, combination ORDER BY "{latency}") AS place,
        count(*) OVER (PARTITION BY sweep, combination) AS n
    FROM requests
    WHERE "{latency}" IS NOT NULL AND combination IN ({combinations})
)
SELECT sweep, combination, x, (place - 0.5) / n AS y
FROM ranked
WHERE (place - 1) % greatest(n / 200, 1) = 0 OR place > n - 100
ORDER BY sweep, combination, place
