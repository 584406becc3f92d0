"""What workers cost and bring: python3 benches/workers.py SWEEPLAKE FOLDER [MILLIONS] [ROUNDS].

Makes FOLDER/big, a lake of MILLIONS (200) million requests in sweeps of ten million, and FOLDER/small, one of 36 runs, if they are not
there. Then asks the same queries in turn of one process on all cores, and of 1, 2 and 4 workers that share the same cores, and prints
medians, the bytes that went over the loopback device, and whether the answers are the same. Needs numpy and pyarrow.
"""
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

import pyarrow.parquet as pq

from make_lake import manifest, requests_table, runs_table

SWEEP = 10_000_000
QUERIES = {
    "count and mean by sweep": "SELECT sweep, count(*) AS n, round(avg(e2el_ms), 6) AS mean FROM requests GROUP BY 1 ORDER BY 1",
    "exact p99 by sweep": "SELECT sweep, percentile_cont(0.99) WITHIN GROUP (ORDER BY ttft_ms) AS p99 FROM requests GROUP BY 1 ORDER BY 1",
    "max of each run": "SELECT run_id, max(e2el_ms) AS slowest FROM requests GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 5",
    "distinct lengths": "SELECT count(DISTINCT output_len) AS lengths FROM requests",
    "frontier": "SELECT ttft_ms, e2el_ms FROM pareto(requests, 'ttft_ms min', 'e2el_ms min') ORDER BY 1",
}
SMALL = {"small: runs by setting": "SELECT max_num_seqs, count(*) AS n, max(output_throughput) AS best FROM runs GROUP BY 1 ORDER BY 1"}


def make(folder, millions):
    for number in range(millions * 1_000_000 // SWEEP):
        sweep = folder / "big" / f"sweep{number:03}"
        if (sweep / "requests.parquet").exists():
            continue
        manifest(sweep, sweep.name, 1000)
        pq.write_table(runs_table(sweep.name, number * 1000, 1000), sweep / "runs.parquet", compression="zstd")
        pq.write_table(requests_table(sweep.name, number * 1000, 1000, SWEEP // 1000), sweep / "requests.parquet", compression="lz4")
    small = folder / "small" / "sweep"
    if not (small / "runs.parquet").exists():
        manifest(small, small.name, 36)
        pq.write_table(runs_table(small.name, 0, 36), small / "runs.parquet", compression="lz4")


def workers(program, lake, count):
    """So many workers, each on its share of the cores."""
    cores = sorted(os.sched_getaffinity(0))
    started, addresses = [], []
    for number in range(count):
        own = [core for index, core in enumerate(cores) if index % count == number] or [cores[number % len(cores)]]
        worker = subprocess.Popen(["taskset", "-c", ",".join(map(str, own)), program, "worker", "--listen", "127.0.0.1:0", str(lake)],
                                  stderr=subprocess.PIPE, text=True)
        addresses.append(re.search(r"127\.0\.0\.1:\d+", worker.stderr.readline())[0])
        started.append(worker)
    return started, ",".join(addresses)


def loopback():
    line = next(line for line in open("/proc/net/dev") if line.strip().startswith("lo:"))
    return int(line.split(":")[1].split()[0])


def ask(program, lake, sql, flags):
    before, began = loopback(), time.monotonic()
    done = subprocess.run([program, "query", str(lake), sql, *flags], capture_output=True, text=True, check=True)
    assert "could not be shared" not in done.stderr, done.stderr
    return time.monotonic() - began, loopback() - before, done.stdout


def main():
    program, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    millions = int(sys.argv[3]) if len(sys.argv) > 3 else 200
    rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 3
    make(folder, millions)
    print("| query | one process, s | " + " | ".join(f"{count} workers, s | MB moved" for count in (1, 2, 4)) + " |")
    for lake, queries in [("small", SMALL), ("big", QUERIES)]:
        lake = folder / lake
        fleets = {count: workers(program, lake, count) for count in (1, 2, 4)}
        for name, sql in queries.items():
            times, moved, answers = {}, {}, set()
            for _ in range(rounds):
                for count in (0, *fleets):
                    flags = ["--workers", fleets[count][1]] if count else []
                    took, went, answer = ask(program, lake, sql, flags)
                    times.setdefault(count, []).append(took)
                    moved[count] = went / 1e6
                    answers.add(answer)
            middle = {count: statistics.median(all) for count, all in times.items()}
            cells = " | ".join(f"{middle[count]:.3f} | {moved[count]:.2f}" for count in fleets)
            print(f"| {name} | {middle[0]:.3f} | {cells} |" + ("" if len(answers) == 1 else " DIFFERENT ANSWERS"), flush=True)
        for started, _ in fleets.values():
            for worker in started:
                worker.terminate()
                worker.wait()


if __name__ == "__main__":
    main()
