#!/usr/bin/env python3
"""Lists the flags of vLLM's load clients, as tests/data/vllm_bench_flags.txt has them.

    benches/vllm_flags.py --vllm 'vllm' --vllm-rs PATH/vllm-rs > tests/data/vllm_bench_flags.txt

A test then shows which of them `sweeplake bench` does not know.
"""
import argparse, re, subprocess


def flags(command):
    text = subprocess.run(command, capture_output=True, text=True).stdout
    found = re.findall(r"^\s+(?:-\w, )?(--[a-z0-9-]+)", text, re.M)
    return sorted(set(found) - {"--help"})


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--vllm", help="the program `vllm`")
parser.add_argument("--vllm-rs", help="the program `vllm-rs` of vLLM's wheel")
arguments = parser.parse_args()
print("# Flags of `vllm bench serve`: of the Python client (0.32), and of the Rust client (0.33). benches/vllm_flags.py makes this list.")
if arguments.vllm:
    print("\n".join(f"python {flag}" for flag in flags([arguments.vllm, "bench", "serve", "--help=all"])))
if arguments.vllm_rs:
    print("\n".join(f"rust {flag}" for flag in flags([arguments.vllm_rs, "bench", "serve", "--help"])))
