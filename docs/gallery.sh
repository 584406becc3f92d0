#!/usr/bin/env bash
# Draws docs/gallery/ again, from real sweeps of the simulated server. Takes some ten minutes the first time.
# Usage: docs/gallery.sh [SWEEPLAKE]
set -euo pipefail
cd "$(dirname "$0")/.."
program=$(realpath "${1:-target/release/sweeplake}")
gallery=$(realpath -m docs/gallery)
scratch=target/gallery # sweeps that are there already are not run again
mkdir -p "$gallery" "$scratch"
cp examples/demo_serve.json examples/demo_bench.json docs/gallery_wide_serve.json docs/gallery_wide_bench.json "$scratch"
cd "$scratch"

sweep() { # NAME SERVE_FLAGS BENCH_FLAGS MORE…
    local name=$1 serve=$2 bench=$3
    shift 3
    if [ -f "results/$name/sweep.json" ]; then set -- "$@" --resume; fi
    "$program" serve --serve-cmd "$program sim sim/llama-8b --port 18200 $serve" \
        --bench-cmd "$program bench --port 18200 --ignore-eos $bench" -e "$name" "$@" 2> "$name.txt" || { cat "$name.txt"; exit 1; }
}
draw() { # FILE COMMAND SWEEP FLAGS…
    local file=$1 command=$2 folder=results/$3
    shift 3
    "$program" "$command" "$folder" --fig-dpi 110 --fig-height 5 "$@" > /dev/null
    case $command in
        plot) mv "$folder/FIGURE.png" "$gallery/$file" ;;
        *) mv "$folder/pareto/PARETO.png" "$gallery/$file" ;;
    esac
}

echo '[{"request_rate": 4}, {"request_rate": 8}, {"request_rate": 16}, {"request_rate": 32}, {"request_rate": "inf"}]' > rates.json
sweep demo "" "--random-input-len 256 --random-output-len 32 --save-detailed" --serve-params demo_serve.json --bench-params demo_bench.json
sweep rates "" "--random-input-len 256 --random-output-len 32 --num-prompts 60" --bench-params rates.json
sweep wide "--speed 20" "--num-prompts 64" --serve-params gallery_wide_serve.json --bench-params gallery_wide_bench.json --num-runs 2

curves=max_num_seqs,tensor_parallel_size
draw latency_throughput.png plot demo --var-x output_throughput --var-y p99_e2el_ms --curve-by $curves
draw by_concurrency.png plot demo --var-x max_concurrency --var-y median_ttft_ms --curve-by $curves --scale-x log2 --scale-y log
draw request_rate.png plot rates --var-x request_rate --var-y p99_e2el_ms
draw single_x.png plot demo --var-x max_concurrency --var-y p99_ttft_ms --curve-by $curves --filter-by max_concurrency==16
draw twelve_curves.png plot wide --var-x max_concurrency --var-y output_throughput --scale-x log2 \
    --curve-by max_num_seqs,max_num_batched_tokens --filter-by 'random_input_len==256,random_output_len==64'
draw grid.png plot wide --var-x max_concurrency --var-y p99_e2el_ms --scale-x log2 --scale-y log --fig-height 2.8 --no-error-bars \
    --row-by random_input_len --col-by random_output_len --curve-by max_num_seqs,max_num_batched_tokens
draw pareto.png plot_pareto demo --label-by max_concurrency,max_num_seqs
draw pareto_groups.png plot_pareto demo --label-by max_concurrency,max_num_seqs --group-by tensor_parallel_size
draw pareto_latency.png plot_pareto demo --x median_ttft_ms:min --y output_throughput:max --label-by max_concurrency,$curves
draw box.png plot demo --kind box --over requests --var-x max_concurrency --var-y e2el_ms --curve-by max_num_seqs
draw violin.png plot demo --kind violin --over requests --var-x max_concurrency --var-y ttft_ms --curve-by max_num_seqs --scale-y log
draw ecdf.png plot demo --kind ecdf --over requests --var-y e2el_ms --curve-by $curves --filter-by max_concurrency==48
draw heat.png plot demo --kind heat --var-x max_concurrency --var-y output_throughput --curve-by $curves

# The top of a report, for the README.
if command -v chromium > /dev/null; then
    "$program" report results/demo -o report.html > /dev/null
    chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1250,830 \
        --screenshot="$gallery/report.png" "file://$PWD/report.html" 2> /dev/null
fi
