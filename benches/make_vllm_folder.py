"""Writes a folder as `vllm bench sweep serve` leaves it: COMBINATIONS x RUNS results, with their summaries.

Usage: python3 benches/make_vllm_folder.py FOLDER [COMBINATIONS [RUNS]]
"""

import json
import pathlib
import random
import sys


def result(generator, seqs, tokens, concurrency, run):
    throughput = seqs * concurrency / (1 + concurrency / 40) * generator.gauss(1, 0.02)
    record = {
        "date": "20261101-120000", "endpoint_type": "openai", "backend": "openai", "label": None, "model_id": "m",
        "tokenizer_id": "m", "num_prompts": 100, "request_rate": "inf", "burstiness": 1.0,
        "max_concurrency": concurrency, "duration": 12.5, "completed": 100, "failed": 0, "total_input_tokens": 12800,
        "total_output_tokens": 3200, "request_throughput": throughput / 32, "request_goodput": None,
        "output_throughput": throughput, "total_token_throughput": throughput * 5,
        "latencies": [generator.random() for _ in range(100)], "queue_times": [0.0] * 100,
        "max_output_tokens_per_s": throughput * 1.2, "max_concurrent_requests": concurrency, "rtfx": 0.0,
    }
    for family, base in [("ttft", 20), ("tpot", 8), ("itl", 8), ("e2el", 300)]:
        center = base * (1 + concurrency / 20) * 64 / seqs * generator.gauss(1, 0.03)
        for statistic, factor in [("mean", 1), ("median", 0.98), ("std", 0.1), ("p99", 1.4)]:
            record[f"{statistic}_{family}_ms"] = center * factor
    record |= {"run_number": run, "max_num_seqs": seqs, "max_num_batched_tokens": tokens}
    return record


def main():
    folder = pathlib.Path(sys.argv[1])
    combinations = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    runs = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    generator = random.Random(1)
    for index in range(combinations):
        concurrency = 1 + index % 80
        seqs, tokens = 16 * (1 + index // 80 % 5), 1024 * (1 + index // 400)
        name = f"SERVE--max_num_seqs={seqs}-max_num_batched_tokens={tokens}-BENCH--max_concurrency={concurrency}"
        path = folder / name
        path.mkdir(parents=True, exist_ok=True)
        records = [result(generator, seqs, tokens, concurrency, run) for run in range(runs)]
        for run, record in enumerate(records):
            (path / f"run={run}.json").write_text(json.dumps(record, indent=4))
        (path / "summary.json").write_text(json.dumps(records, indent=4))


main()
