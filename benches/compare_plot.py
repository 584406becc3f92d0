"""Times `sweeplake plot` and `plot_pareto` against pandas and seaborn on the same folder, in turn.

Needs pandas and seaborn in the Python that runs it.
Usage: python3 benches/compare_plot.py [SWEEPLAKE [ROUNDS]]
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


def timed(command):
    started = time.perf_counter()
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return time.perf_counter() - started, output


with tempfile.TemporaryDirectory() as scratch:
    folder = f"{scratch}/sweep"
    subprocess.run([sys.executable, here / "make_vllm_folder.py", folder], check=True)
    picture = f"{scratch}/figure.png"
    ours = {
        "plot": [program, "plot", folder, "--var-x", "max_concurrency", "--curve-by", "max_num_seqs,max_num_batched_tokens"],
        "pareto": [program, "plot_pareto", folder],
    }
    print("| 2,000 combinations × 3 runs | sweeplake, s | pandas + seaborn, s | of it after imports, s | ratio | ratio after imports |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind, command in ours.items():
        mine, theirs, drawing = [], [], []
        for _ in range(rounds):
            mine.append(timed(command)[0])
            seconds, output = timed([sys.executable, str(here / "plot_pandas.py"), kind, folder, picture])
            theirs.append(seconds)
            drawing.append(float(output))
        one, two, three = (statistics.median(values) for values in (mine, theirs, drawing))
        print(f"| {kind} | {one:.3f} | {two:.2f} | {three:.2f} | {two / one:.1f} | {three / one:.1f} |")
