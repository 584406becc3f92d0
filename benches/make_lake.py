"""Makes the lakes that benches/query.py asks: python3 benches/make_lake.py FOLDER [RUNS] [REQUESTS].

FOLDER/runs: a lake of 100 sweeps with together RUNS (1,000,000) runs of 80 columns.
FOLDER/requests: a lake of 10 sweeps with together REQUESTS (50,000,000) requests of 10,000 runs.
FOLDER/loose: one sweep of 10,000 runs in a file each, as an interrupted sweep leaves them.
FOLDER/ten: ten sweeps of 36 runs.
FOLDER/many: 10,000 sweeps of 36 runs, each in its own file.
FOLDER/vllm: 2,000 combinations x 3 runs as `vllm bench sweep` writes them, by benches/make_vllm_folder.py.
Needs numpy and pyarrow.
"""
import json
import pathlib
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

rng = np.random.default_rng(1)
STATISTICS = ["mean", "median", "std", "p50", "p90", "p95", "p99", "p99.9"]
LATENCIES = ["ttft", "tpot", "itl", "e2el"]


def manifest(folder, name, runs):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sweep.json").write_text(json.dumps({
        "format_version": 2, "sweep": name, "kind": "serve", "state": "completed",
        "started_at": "2026-01-01T00:00:00.000Z", "finished_at": "2026-01-01T01:00:00.000Z",
        "serve_cmd": "vllm serve m", "bench_cmd": "vllm bench serve", "after_bench_cmd": None, "link_vars": "",
        "num_runs": 3, "warmup_num_prompts": 0, "serve_params": [], "bench_params": [], "combinations": [],
        "runs": runs, "failed": 0,
        "environment": {"host": "h", "os": "Linux", "cpu": "c", "cpu_cores": 2, "memory_bytes": 1, "gpus": [],
                        "engine": "vllm", "engine_version": "0.32.0", "git_commit": None, "sweeplake_version": "0.1.0"},
    }))


def runs_table(name, start, count):
    """Runs of servers and loads that vary, three repeats each, with latencies that grow with the load."""
    index = np.arange(start, start + count)
    combination = index // 3
    seqs = 2 ** (3 + combination % 7)
    load = 2 ** (combination // 7 % 10)
    noise = lambda scale: rng.lognormal(0, scale, count)
    throughput = 4000 * (1 - np.exp(-load / seqs)) * noise(0.05)
    columns = {
        "sweep": pa.array([name] * count), "combination": pa.array([f"{c:016x}" for c in combination.tolist()]),
        "run_id": pa.array([f"{i * 2654435761 % 2**64:016x}" for i in index.tolist()]),
        "run_number": index % 3, "status": pa.array(["completed"] * count),
        "started_at": pa.array(index * 60_000_000, pa.timestamp("us", tz="UTC")), "wall_time_s": 30 * noise(0.1),
        "serve_params": pa.array([f'{{"max_num_seqs":{s}}}' for s in seqs]),
        "bench_params": pa.array([f'{{"max_concurrency":{l}}}' for l in load]),
        "gpu_count": np.ones(count), "tokens_per_user": throughput / load, "tokens_per_gpu": throughput,
        "date": pa.array(["20260101-000000"] * count), "backend": pa.array(["openai"] * count),
        "model_id": pa.array([f"model-{m}" for m in combination // 70 % 8]),
        "num_prompts": np.full(count, 1000), "max_concurrency": load, "request_rate": np.full(count, np.inf),
        "burstiness": np.ones(count), "duration": 30 * noise(0.1), "completed": np.full(count, 1000),
        "failed": np.zeros(count, dtype=np.int64), "max_concurrent_requests": load,
        "total_input_tokens": np.full(count, 512000), "total_output_tokens": np.full(count, 128000),
        "request_throughput": throughput / 128, "output_throughput": throughput,
        "total_token_throughput": throughput * 5, "max_output_tokens_per_s": throughput * 1.2,
        "max_num_seqs": seqs, "tensor_parallel_size": 2 ** (combination % 3),
    }
    for latency in LATENCIES:
        base = {"ttft": 40, "tpot": 12, "itl": 12, "e2el": 1500}[latency] * (1 + load / seqs)
        for factor, statistic in enumerate(STATISTICS, 1):
            columns[f"{statistic}_{latency}_ms"] = base * (1 + factor / 8) * noise(0.1)
    while len(columns) < 80:
        columns[f"setting_{len(columns)}"] = rng.integers(0, 5, count)
    return with_kinds(pa.table(columns))


IDENTITY = {"sweep", "combination", "run_id", "run_number"}
SERVE = {"max_num_seqs", "tensor_parallel_size"}
BENCH = {"backend", "num_prompts", "max_concurrency", "request_rate", "burstiness"}
CONTEXT = {"status", "started_at", "wall_time_s", "serve_params", "bench_params", "gpu_count", "date", "model_id"}


def with_kinds(table):
    """The table with the metadata of format version 2: what each column is."""
    def kind(name):
        if name in IDENTITY:
            return "identity"
        if name in SERVE or name.startswith("setting_"):
            return "serve parameter"
        return "bench parameter" if name in BENCH else "context" if name in CONTEXT else "metric"
    fields = [field.with_metadata({"sweeplake.kind": kind(field.name)}) for field in table.schema]
    return table.cast(pa.schema(fields, metadata={"sweeplake.format_version": "2"}))


def requests_table(name, start, runs, each):
    count = runs * each
    run = np.repeat(np.arange(start, start + runs), each)
    load = 2 ** (run % 10)
    ttft = 40 * (1 + load / 64) * rng.lognormal(0, 0.4, count)
    tpot = 12 * (1 + load / 256) * rng.lognormal(0, 0.2, count)
    length = rng.integers(64, 192, count)
    ids = pa.array([f"{i * 2654435761 % 2**64:016x}" for i in range(start, start + runs)])
    combinations = pa.array([f"{i // 3:016x}" for i in range(start, start + runs)])
    take = pa.array(np.repeat(np.arange(runs), each))
    return pa.table({
        "sweep": pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, dtype=np.int32)), pa.array([name])).cast(pa.string()),
        "combination": combinations.take(take), "run_id": ids.take(take), "run_number": run % 3,
        "request_index": np.tile(np.arange(each), runs), "start_s": np.tile(np.linspace(0, 30, each), runs),
        "input_len": np.full(count, 512), "output_len": length, "ttft_ms": ttft, "tpot_ms": tpot,
        "e2el_ms": ttft + tpot * (length - 1), "ok": np.ones(count, dtype=bool),
    }).replace_schema_metadata({"sweeplake.format_version": "2"})


def main():
    top = pathlib.Path(sys.argv[1])
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    requests = int(sys.argv[3]) if len(sys.argv) > 3 else 50_000_000
    for number in range(100):
        folder = top / "runs" / f"sweep{number:03}"
        manifest(folder, folder.name, runs // 100)
        pq.write_table(runs_table(folder.name, number * (runs // 100), runs // 100), folder / "runs.parquet", compression="zstd")
    for number in range(10):
        folder = top / "requests" / f"sweep{number:03}"
        each = requests // 10_000
        manifest(folder, folder.name, 1000)
        pq.write_table(runs_table(folder.name, number * 1000, 1000), folder / "runs.parquet", compression="zstd")
        pq.write_table(requests_table(folder.name, number * 1000, 1000, each), folder / "requests.parquet", compression="zstd")
    manifest(top / "loose" / "sweep", "sweep", 0)
    table = runs_table("sweep", 0, 10_000)
    for run in range(10_000):
        folder = top / "loose" / "sweep" / f"SERVE--a={run // 3}"
        folder.mkdir(exist_ok=True)
        pq.write_table(table.slice(run, 1), folder / f"run={run % 3}.parquet", compression="none", use_dictionary=False, write_statistics=False)
    for name, sweeps in [("ten", 10), ("many", 10_000)]:
        table = runs_table("", 0, sweeps * 36)
        for number in range(sweeps):
            folder = top / name / f"sweep{number:05}"
            manifest(folder, folder.name, 36)
            own = table.slice(number * 36, 36).set_column(0, table.schema.field(0), pa.array([folder.name] * 36))
            pq.write_table(own, folder / "runs.parquet", compression="lz4", use_dictionary=False, write_statistics=False)
    script = pathlib.Path(__file__).with_name("make_vllm_folder.py")
    subprocess.run([sys.executable, str(script), str(top / "vllm")], check=True)
    for summary in (top / "vllm").glob("**/summary.json"):
        summary.unlink()


if __name__ == "__main__":
    main()
