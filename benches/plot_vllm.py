"""vLLM's own code for one figure, run by the Python that has vLLM.

Prints the seconds spent after the imports, so that drawing can be told from starting.
Usage: python benches/plot_vllm.py plot|plot_pareto ARGUMENT…
"""

import argparse
import importlib
import sys
import time

import matplotlib.pyplot
import pandas
import seaborn

kind, *arguments = sys.argv[1:]
module = importlib.import_module(f"vllm.benchmarks.sweep.{kind}")
command = {"plot": "SweepPlotArgs", "plot_pareto": "SweepPlotParetoArgs"}[kind]
parsed = getattr(module, command).add_cli_args(argparse.ArgumentParser()).parse_args(arguments)
started = time.perf_counter()
module.main(parsed)
print(time.perf_counter() - started)
