"""sweeplake's SQL beside DuckDB's, on the same files, in turn: python3 benches/query.py SWEEPLAKE FOLDER [ROUNDS].

FOLDER is what benches/make_lake.py made. `whole` is a whole process: sweeplake's, and DuckDB's own command line (duckdb-cli from
PyPI); `hot` is one question asked again in a process that has answered it twice: sweeplake's shell, and the duckdb package. Both
may use all cores. Prints medians and, for sweeplake, the greatest memory of a whole process.
"""
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import time

import duckdb

program, folder = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
runs, requests = folder / "runs", folder / "requests"
RUNS = f"read_parquet('{runs}/compacted/latest/runs.parquet')"
REQUESTS = f"read_parquet('{requests}/compacted/latest/requests.parquet')"
LOOSE = f"read_parquet('{folder}/loose/**/*.parquet', union_by_name = true)"
VLLM = f"read_json('{folder}/vllm/**/run=*.json', union_by_name = true)"
TEN = f"read_parquet('{folder}/ten/*/runs.parquet', union_by_name = true)"
MANY = f"read_parquet('{folder}/many/*/runs.parquet', union_by_name = true)"


def front(table, partition):
    return (f"SELECT run_id, output_throughput, median_ttft_ms FROM (SELECT run_id, output_throughput, median_ttft_ms, "
            f"min(median_ttft_ms) OVER ({partition}ORDER BY output_throughput DESC, median_ttft_ms "
            f"ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS ahead FROM {table}) "
            f"WHERE ahead IS NULL OR median_ttft_ms < ahead")


def pareto(group):
    return f"SELECT run_id, output_throughput, median_ttft_ms FROM pareto(runs, 'output_throughput max', 'median_ttft_ms min'{group})"


GROUPED = "SELECT max_num_seqs, max_concurrency, avg(output_throughput), {} FROM {} WHERE model_id <> 'model-3' GROUP BY 1, 2"
# name, lake, sweeplake's SQL, DuckDB's SQL, how many rows both give (None: not checked)
QUESTIONS = [
    ("filter, group, mean, exact p99: 1 M runs × 80", runs, GROUPED.format("percentile_cont(0.99) WITHIN GROUP (ORDER BY p99_e2el_ms)", "runs"),
     GROUPED.format("quantile_cont(p99_e2el_ms, 0.99)", RUNS)),
    ("filter, group, mean, approximate p99: 1 M runs × 80", runs, GROUPED.format("approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY p99_e2el_ms)", "runs"),
     GROUPED.format("approx_quantile(p99_e2el_ms, 0.99)", RUNS)),
    ("frontier of 1 M runs", runs, pareto(""), front(RUNS, "")),
    ("frontier of 1 M runs, per model", runs, pareto(", group => 'model_id'"), front(RUNS, "PARTITION BY model_id ")),
    ("count distinct combinations: 1 M runs", runs, "SELECT count(DISTINCT combination) FROM runs", f"SELECT count(DISTINCT combination) FROM {RUNS}"),
    ("count distinct metric: 1 M runs", runs, "SELECT count(DISTINCT p99_e2el_ms) FROM runs", f"SELECT count(DISTINCT p99_e2el_ms) FROM {RUNS}"),
    ("exact p99 by combination: 50 M requests", requests, "SELECT combination, percentile_cont(0.99) WITHIN GROUP (ORDER BY e2el_ms) FROM requests GROUP BY 1",
     f"SELECT combination, quantile_cont(e2el_ms, 0.99) FROM {REQUESTS} GROUP BY 1"),
    ("10,000 loose runs: group, mean", folder / "loose", GROUPED.format("max(p99_e2el_ms)", "runs"), GROUPED.format("max(p99_e2el_ms)", LOOSE)),
    ("vLLM folder, 6,000 result files: group, mean", folder / "vllm", "SELECT max_concurrency, avg(output_throughput), max(p99_e2el_ms) FROM runs GROUP BY 1",
     f"SELECT max_concurrency, avg(output_throughput), max(p99_e2el_ms) FROM {VLLM} GROUP BY 1"),
    ("10,000 sweeps, not compacted: group, mean", folder / "many", GROUPED.format("max(p99_e2el_ms)", "runs"), GROUPED.format("max(p99_e2el_ms)", MANY)),
    ("ten sweeps: group, mean", folder / "ten", GROUPED.format("max(p99_e2el_ms)", "runs"), GROUPED.format("max(p99_e2el_ms)", TEN)),
]


def whole(command):
    """Wall seconds, and the lines of the answer."""
    started = time.perf_counter()
    answer = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return time.perf_counter() - started, answer.count(b"\n")


def memory_of(command):
    """The greatest memory of a process in MiB, by a small process in between: a child starts with its parent's."""
    script = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True); " \
             "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    return float(subprocess.run([sys.executable, "-c", script, *command], stdout=subprocess.PIPE, check=True).stdout)


def hot_sweeplake(lake, sql, times):
    script = "\\timing\n" + f"{sql};\n" * (times + 2)
    told = subprocess.run([program, "query", str(lake)], input=script, capture_output=True, text=True, check=True).stderr
    measured = [float(ms) / 1000 for ms in re.findall(r"time: ([0-9.]+) ms", told)]
    return measured[2:]


def hot_duckdb(sql, times):
    connection = duckdb.connect()
    measured = []
    for _ in range(times + 2):
        started = time.perf_counter()
        connection.execute(sql).fetchall()
        measured.append(time.perf_counter() - started)
    return measured[2:]


def main():
    cli = shutil.which("duckdb", path=f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}")
    version = subprocess.run([cli, "--version"], capture_output=True, text=True).stdout.split()[0] if cli else "none"
    print(f"duckdb {duckdb.__version__} (package), {version} (command line), {os.cpu_count()} cores, {rounds} rounds\n")
    print("| question | whole: sweeplake, ms | DuckDB, ms | ratio | hot: sweeplake, ms | DuckDB, ms | ratio | sweeplake's memory, MiB |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    ratios = {"whole": [], "hot": []}
    for name, lake, own, other in QUESTIONS:
        times = {"own": [], "other": [], "own_hot": [], "other_hot": []}
        memory = memory_of([program, "query", str(lake), own, "--format", "csv"])
        for _ in range(rounds):
            seconds, lines = whole([program, "query", str(lake), own, "--format", "csv"])
            times["own"].append(seconds)
            seconds, others = whole([cli, "-csv", "-c", other])
            times["other"].append(seconds)
            assert lines == others, f"{name}: {lines} lines against {others}"
            times["own_hot"] += hot_sweeplake(lake, own, 2)
            times["other_hot"] += hot_duckdb(other, 2)
        ms = {key: statistics.median(values) * 1000 for key, values in times.items()}
        ratio = {"whole": ms["own"] / ms["other"], "hot": ms["own_hot"] / ms["other_hot"]}
        for key in ratios:
            ratios[key].append(ratio[key])
        print(f"| {name} | {ms['own']:.0f} | {ms['other']:.0f} | {ratio['whole']:.2f} | {ms['own_hot']:.1f} | {ms['other_hot']:.1f} | "
              f"{ratio['hot']:.2f} | {memory:.0f} |", flush=True)
    print("\n" + ", ".join(f"geometric mean of {key}: {statistics.geometric_mean(values):.2f}" for key, values in ratios.items()))


if __name__ == "__main__":
    main()
