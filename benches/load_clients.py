#!/usr/bin/env python3
"""Load clients side by side against a server of canned answers: requests per second of the client's CPU, and memory.

    cargo build --release
    benches/load_clients.py --vllm-rs PATH --rounds 5

Each client sends the same number of requests for 128 tokens to `sweeplake sim --null`, in turn, `--rounds` times; the table has medians.
`--aiperf` and `--guidellm` name the programs of their installations.
"""
import argparse, json, os, shlex, statistics, subprocess, sys, time, urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOKENS = 128


def start_server(program, port, interval):
    command = [program, "sim", "null", "--null", "--null-tokens", str(TOKENS), "--port", str(port)]
    if interval:
        command += ["--null-interval", str(interval)]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    for _ in range(100):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models").read()
            return server
        except OSError:
            time.sleep(0.05)
    sys.exit("the server did not start")


def measure(command, folder):
    """CPU seconds, wall seconds and MiB of a program and its children."""
    began = time.monotonic()
    with open(os.path.join(folder, "log"), "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
        _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        tail = open(os.path.join(folder, "log")).read()[-800:]
        sys.exit(f"failed: {shlex.join(command)}\n{tail}")
    return usage.ru_utime + usage.ru_stime, time.monotonic() - began, usage.ru_maxrss / 1024


def prompts(folder):
    """A file of prompts of 128 common words, which every client reads as it is."""
    path = os.path.join(folder, "prompts.jsonl")
    words = "time year people way day man thing woman life child world school state family student group".split()
    with open(path, "w") as file:
        for number in range(1000):
            file.write(json.dumps({"prompt": " ".join(words[(number * 7 + place * place) % 16] for place in range(TOKENS))}) + "\n")
    return path


def clients(arguments, program, url, file, requests, concurrency):
    lengths = ["--dataset-name", "custom", "--dataset-path", file, "--custom-output-len", str(TOKENS)]
    load = ["--num-prompts", str(requests), "--max-concurrency", str(concurrency)]
    found = {"sweeplake bench": [program, "bench", "--base-url", url, "--disable-tqdm", *lengths, *load]}
    if arguments.vllm_rs:
        own = [arguments.vllm_rs, "bench", "serve", "--backend", "vllm", "--base-url", url, "--model", "null", "--disable-tqdm"]
        more = ["--tokenizer", arguments.tokenizer] if arguments.tokenizer else ["--skip-tokenizer-init"]
        found["vllm-rs bench serve"] = [*own, *more, "--skip-chat-template", *lengths, *load]
    if arguments.aiperf and requests <= arguments.most_python:
        found["aiperf profile"] = [
            arguments.aiperf, "profile", "--model", "null", "--url", url, "--endpoint-type", "completions", "--streaming",
            "--tokenizer", arguments.tokenizer or "gpt2", "--concurrency", str(concurrency), "--request-count", str(requests),
            "--synthetic-input-tokens-mean", "128", "--output-tokens-mean", str(TOKENS), "--ui", "none",
        ]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=os.path.join(ROOT, "target/release/sweeplake"))
    parser.add_argument("--vllm-rs")
    parser.add_argument("--aiperf")
    parser.add_argument("--tokenizer")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=20000)
    parser.add_argument("--most-python", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, nargs="*", default=[64, 256, 1000])
    parser.add_argument("--interval", type=float, help="milliseconds between tokens; default: all at once")
    parser.add_argument("--port", type=int, default=18765)
    arguments = parser.parse_args()
    folder = os.path.join(ROOT, "target", "load_clients")
    os.makedirs(folder, exist_ok=True)
    file = prompts(folder)
    server = start_server(arguments.program, arguments.port, arguments.interval)
    url = f"http://127.0.0.1:{arguments.port}"
    try:
        print(f"{'client':22} {'concurrency':>11} {'req / CPU s':>12} {'req / s':>9} {'MiB':>7}")
        for concurrency in arguments.concurrency:
            seen = {}
            for _ in range(arguments.rounds):
                for name, command in clients(arguments, arguments.program, url, file, arguments.requests, concurrency).items():
                    measured = measure(command, folder)
                    if measured:
                        seen.setdefault(name, []).append(measured)
            for name, runs in seen.items():
                cpu, wall, memory = (statistics.median(run[index] for run in runs) for index in range(3))
                print(f"{name:22} {concurrency:11} {arguments.requests / cpu:12.0f} {arguments.requests / wall:9.0f} {memory:7.0f}")
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
