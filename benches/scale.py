"""What a sweep costs besides its benchmarks, at 100, 1,000 and 10,000 combinations: the table of docs/performance.md.

    cargo build --release
    python3 benches/scale.py target/release/sweeplake [SIZES…]

The benchmark is a shell script that writes a small result at once, so that all time is sweeplake's own (and the shell's).
"""

import json
import os
import pathlib
import resource
import socket
import subprocess
import sys
import tempfile
import time

SCRIPT = """while [ $# -gt 0 ]; do case $1 in --result-dir) d=$2;; --result-filename) f=$2;; esac; shift; done
echo '{"completed": 4, "failed": 0, "duration": 1.0, "output_throughput": 100.0, "p99_e2el_ms": 20.0, "date": "20260101-000000"}' > $d/$f
"""


def timed(command, folder):
    """Seconds and the largest resident set of a command, in MiB."""
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{command}: {error.decode()}")
    return time.monotonic() - started, usage.ru_maxrss / 1024


def main():
    program = os.path.abspath(sys.argv[1])
    sizes = [int(size) for size in sys.argv[2:]] or [100, 1000, 10000]
    print("| combinations | dry run, s | sweep, s | a run, ms: first hundred | last hundred | resume with nothing to do, s | MiB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for size in sizes:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "bench.sh").write_text(SCRIPT)
            (folder / "sets.json").write_text(json.dumps([{"x": index} for index in range(size)]))
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            command = [
                program, "serve", "--serve-cmd", f"{program} sim m --port {port}", "--bench-cmd", "sh bench.sh",
                "--bench-params", "sets.json", "--num-runs", "1", "-e", "x",
            ]
            dry, _ = timed(command + ["--dry-run"], folder)
            whole, memory = timed(command, folder)
            times = sorted(path.stat().st_mtime for path in (folder / "results/x").glob("*/run=0.json"))
            edge = min(100, size // 2)
            first = (times[edge] - times[0]) / edge * 1000
            last = (times[-1] - times[-1 - edge]) / edge * 1000
            again, _ = timed(command + ["--resume"], folder)
            print(f"| {size:,} | {dry:.2f} | {whole:.1f} | {first:.1f} | {last:.1f} | {again:.2f} | {memory:.0f} |", flush=True)


main()
