"""The greatest concurrency that meets an SLA, as serve_sla, guidellm's `goodput` profile and AIPerf's SLA search find it on one simulated
server; and the truth, measured with long runs around their answers.

    pip install guidellm                       # in one environment
    pip install aiperf                         # in another
    python3 benches/sla_peers.py target/release/sweeplake GUIDELLM AIPERF [P99_E2EL_MS]

GUIDELLM and AIPERF are the programs of these environments. Prompts have 256 tokens, answers 32; 99 of 100 requests must take at most
P99_E2EL_MS. The two get a tokenizer of words, as the simulated server counts; how long prompts and answers were is asked of the server.
Prints Markdown.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

PORT = 8431
URL = f"http://127.0.0.1:{PORT}"
INPUT, OUTPUT = 256, 32
MOST = 256


def quietly(command, log, **more):
    with open(log, "w") as out:
        return subprocess.run([str(word) for word in command], stdout=out, stderr=subprocess.STDOUT, check=False, **more)


def bench_words(program):
    return (
        f"{program} bench --backend openai --base-url {URL} --dataset-name random --random-input-len {INPUT}"
        f" --random-output-len {OUTPUT} --percentile-metrics ttft,tpot,itl,e2el --metric-percentiles 50,99"
    )


def serve_sla(program, folder, limit):
    slas = folder / "sla.json"
    slas.write_text(json.dumps([{"p99_e2el_ms": f"<={limit}"}]))
    sim = f"{program} sim --port {PORT}"
    quietly(
        [program, "serve_sla", "--serve-cmd", sim, "--bench-cmd", bench_words(program), "--sla-params", slas,
         "--sla-variable", "max_concurrency", "--sla-max", MOST, "-o", folder / "lake", "-e", "sla"],
        folder / "serve_sla.log",
    )
    answer = json.loads(
        subprocess.check_output([program, "query", folder / "lake", "SELECT * FROM sla", "--format", "json"], text=True)
    )[0]
    bracket = f"{answer['lower']:g} to {answer['upper']:g}"
    return answer["value"], bracket, answer["runs"]


def tokenizer_in(folder):
    """A tokenizer with a token for each word."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["<unk>", "<s>", "</s>", *(a + b + c for a in letters for b in letters for c in "aeiou")]
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "vocab": {word: index for index, word in enumerate(words)}, "unk_token": "<unk>"},
    }))
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>",
        "pad_token": "</s>", "model_max_length": 8192,
    }))
    return folder


def counters():
    """Prompt tokens, output tokens and requests of the server so far."""
    text = urllib.request.urlopen(f"{URL}/metrics").read().decode()
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    names = ["prompt_tokens_total", "generation_tokens_total", "request_success_total"]
    return [float(next(value for key, value in lines.items() if key.startswith(f"vllm:{name}"))) for name in names]


def guidellm(program, tokenizer, folder, limit):
    quietly(
        [program, "run", "--backend", f"kind=openai_http,target={URL},model=sim/llama-8b,request_format=/v1/completions",
         "--profile", f"kind=goodput,target_attainment=0.99,tolerance=0.01,max_streams={MOST}",
         "--metrics", json.dumps({"kind": "generative", "slo": {"e2el_ms": limit}}),
         "--constraint", "kind=max_requests,count=1000",
         "--data", f"kind=synthetic_text,prompt_tokens={INPUT},output_tokens={OUTPUT}",
         "--tokenizer", f"kind=hf_auto,model={tokenizer}",
         "--output", f"kind=json,path={folder / 'guidellm.json'}", "--disable-console-interactive"],
        folder / "guidellm.log",
    )
    probes = []

    def walk(node):
        if isinstance(node, dict):
            if "best_passing_streams" in node:
                probes.append(node)
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(json.loads((folder / "guidellm.json").read_text()))
    found = probes[0]
    return found["best_passing_streams"], f"{found['best_passing_streams']} to {found['lowest_failing_streams']}", len(found["probes"])


def aiperf(program, tokenizer, folder, limit):
    artifacts = folder / "aiperf"
    quietly(
        [program, "profile", "--model", "sim/llama-8b", "--url", URL, "--endpoint-type", "completions", "--streaming",
         "--tokenizer", tokenizer, "--isl", INPUT, "--osl", OUTPUT, "--extra-inputs", "ignore_eos:true",
         "--extra-inputs", f"max_tokens:{OUTPUT}", "--use-server-token-count", "--request-count", 1000,
         "--search-space", f"phases.profiling.concurrency:1,{MOST}:int", "--search-metric", "output_token_throughput",
         "--search-direction", "maximize", "--search-planner", "monotonic-sla", "--search-max-iterations", 16,
         "--search-sla", f"request_latency:p99:le:{limit}", "--ui", "none", "--artifact-dir", artifacts],
        folder / "aiperf.log",
    )
    history = json.loads(next(artifacts.rglob("search_history.json")).read_text())
    ends = [(history["boundary_summary"][key] or {}).get("value") for key in ("feasible_max", "infeasible_min")]
    return ends[0], f"{ends[0]} to {ends[1]}", len(history["iterations"])


class Server:
    def __init__(self, program):
        self.process = subprocess.Popen([program, "sim", "--port", str(PORT)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            try:
                urllib.request.urlopen(f"{URL}/health").read()
                break
            except OSError:
                time.sleep(0.1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def p99_at(program, folder, concurrency):
    result = folder / f"truth-{concurrency}.json"
    words = bench_words(program).split()
    quietly(
        [*words, "--max-concurrency", concurrency, "--num-prompts", 100 * concurrency + 2000, "--seed", concurrency,
         "--save-result", "--result-dir", folder, "--result-filename", result.name],
        folder / "truth.log",
    )
    return json.loads(result.read_text())["p99_e2el_ms"]


def main():
    program, guidellm_program, aiperf_program, *rest = sys.argv[1:]
    limit = int(rest[0]) if rest else 1000
    folder = pathlib.Path(tempfile.mkdtemp())
    print(f"files in {folder}", file=sys.stderr)
    tokenizer = tokenizer_in(folder / "tokenizer")
    rows = []

    def timed(name, search, *arguments):
        began = time.monotonic()
        found = search(*arguments)
        rows.append([name, *found, time.monotonic() - began])
        print(rows[-1], file=sys.stderr)

    def counted(*arguments):
        before = counters()
        timed(*arguments)
        prompt, output, requests = (after - start for after, start in zip(counters(), before))
        print(f"a request of {arguments[0]}: {prompt / requests:.1f} + {output / requests:.1f} tokens", file=sys.stderr)

    timed("serve_sla", serve_sla, program, folder, limit)
    with Server(program):
        counted("guidellm", guidellm, guidellm_program, tokenizer, folder, limit)
        counted("aiperf", aiperf, aiperf_program, tokenizer, folder, limit)
        print("| method | answer | bracket | runs | seconds | its P99 in a long run, ms |\n| --- | ---: | ---: | ---: | ---: | ---: |")
        for name, answer, bracket, runs, seconds in rows:
            print(f"| {name} | {answer:g} | {bracket} | {runs} | {seconds:.0f} | {p99_at(program, folder, int(answer)):.0f} |")


if __name__ == "__main__":
    main()
