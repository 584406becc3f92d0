#!/usr/bin/env bash
# Whole-process times of questions to a lake: the median of eleven. Usage: benches/query.sh SWEEPLAKE LAKE
set -euo pipefail
program=$1
lake=$2
for sql in "SELECT 1" "SELECT count(*), avg(p99_e2el_ms) FROM runs" "SELECT max(output_throughput_mean) FROM combinations" \
    "SELECT approx_percentile_cont(e2el_ms, 0.99) FROM requests"; do
    times=$(for _ in $(seq 11); do
        started=$(date +%s%N)
        "$program" query "$lake" "$sql" > /dev/null
        echo $(((($(date +%s%N) - started)) / 100000))
    done | sort -n | sed -n 6p)
    echo "| \`$sql\` | $((times / 10)).$((times % 10)) |"
done
