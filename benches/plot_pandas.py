"""What a user of pandas and seaborn writes to draw a sweep: the summaries read, one figure, or the Pareto chart.

Prints the seconds spent after the imports, so that drawing can be told from starting.
Usage: python3 benches/plot_pandas.py plot|plot_pareto FOLDER FILE
"""

import json
import pathlib
import sys
import time

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

started = time.perf_counter()
kind, folder, file = sys.argv[1:]
records = [record for path in pathlib.Path(folder).rglob("summary.json") for record in json.loads(path.read_text())]
frame = pd.DataFrame.from_records(records)
if kind == "plot":
    grid = sns.FacetGrid(frame, height=6.4)
    grid.map_dataframe(sns.lineplot, x="max_concurrency", y="median_ttft_ms", hue="max_num_seqs", style="max_num_batched_tokens", markers=True, errorbar="sd")
    grid.add_legend()
    grid.savefig(file, dpi=300)
else:
    frame["x"] = frame["output_throughput"] / frame["max_concurrency"]
    frame["y"] = frame["output_throughput"]
    best, front = float("-inf"), []
    for index, row in frame.sort_values(["x", "y"], ascending=False).iterrows():
        if row["y"] > best:
            front.append(index)
            best = row["y"]
    figure, axes = plt.subplots()
    sns.scatterplot(data=frame, x="x", y="y", color="0.5", ax=axes)
    sns.lineplot(data=frame.loc[front].sort_values("x"), x="x", y="y", marker="o", ax=axes)
    figure.savefig(file, dpi=300)
print(time.perf_counter() - started)
