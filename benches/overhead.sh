#!/usr/bin/env bash
# What sweeplake adds to a sweep: the wall time of 2 servers x 3 loads x 3 runs, less the time in which the
# benchmark's traffic ran and less the servers' own start. Usage: benches/overhead.sh [SWEEPLAKE]
set -euo pipefail
program=$(realpath "${1:-target/release/sweeplake}")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
echo '[{"max_num_seqs": 16}, {"max_num_seqs": 64}]' > serve.json
echo '[{"max_concurrency": 2, "num_prompts": 8}, {"max_concurrency": 8, "num_prompts": 40}, {"max_concurrency": 32, "num_prompts": 128}]' > bench.json
own_start=5
started=$(date +%s.%N)
"$program" serve --serve-cmd "$program sim m --port 18123 --startup-seconds $own_start" \
    --bench-cmd "$program bench --port 18123 --random-input-len 256 --random-output-len 64 --ignore-eos" \
    --serve-params serve.json --bench-params bench.json -e overhead 2> progress.txt
ended=$(date +%s.%N)
"$program" query results "
    SELECT runs, round(wall, 2) AS wall_s, round(traffic, 2) AS traffic_s, servers * $own_start AS own_start_s,
        round(wall - traffic - servers * $own_start, 2) AS added_s,
        round(1000 * (benchmarks - traffic) / runs, 1) AS client_ms_per_run,
        round(100 * (wall / (traffic + servers * $own_start) - 1), 2) AS added_percent
    FROM (
        SELECT count(*) AS runs, sum(duration) AS traffic, sum(wall_time_s) AS benchmarks,
            count(DISTINCT serve_params) AS servers, $ended::DOUBLE - $started::DOUBLE AS wall
        FROM runs
    )" --format table
