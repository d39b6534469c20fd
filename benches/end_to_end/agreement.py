#!/usr/bin/env python3
"""Whether `sluicegate bench --api` says what aiperf and guidellm say of the same server.

    benches/end_to_end/agreement.py --aiperf VENV --guidellm VENV [--server llama|mock] [--rounds N]
                                    [--rate R | --concurrency N]

Both come from PyPI, each into an environment of its own (1.2 and 5.9 GB):

    python3 -m venv VENV && VENV/bin/pip install aiperf==0.13.0
    python3 -m venv VENV && VENV/bin/pip install guidellm==0.8.1

The three take turns within a round and ask prompts of the same words and length, for as many tokens. By default
requests are due at a fixed rate (`--rate`), each from when it is sent: so each tool asks as often, and what a
client does between two requests is in no figure. With `--concurrency` the loop is closed: then a tool whose client
takes longer between two requests asks less, and its rate says so (requests/s = concurrency / (E2E + that time)).

Figures are reckoned alike, from the records of each request where a tool's own aggregate is another one:
E2E ends with the last piece of an answer, and the time of a rate is that of the first sending to the last such
piece. What is compared is the median over the rounds; beside it stands how far the rounds of one tool lie apart,
for what is smaller than that says nothing. Exits with 1 where a figure differs by more than 5 %.

A real server is not equally fast at all times, so llama.cpp's is asked what it has spent on the prompts and tokens
of each run (`/metrics`). Latencies are compared as if it had been as fast in every run as in the median one: a
TTFT by its time for a token of a prompt, an ITL by its time for one of an answer, an E2E by both.

`--keep FOLDER` keeps what the tools have recorded of each request of the last round, as the test of the recorded
runs reads it (`tests/agreement/`).

`--server llama` is llama.cpp's own server (of the environment that `tests/run` makes) on the model of the tests
made larger: with the tiny one a token takes less than a client in Python needs to read it. `--server mock` is a
server with a fixed pace, whose figures are known beforehand.
"""

import argparse
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / "tests/.env"
# Of the tiny model's vocabulary, so that a word is a token for all of them.
WORDS = (
    "water gate river stream sluice token core turn edge read write buffer clock timer wheel pool lock weir dam "
    "mill pond canal bank reed stone bridge valley spring rain cloud delta harbour one two three four"
).split()
PROMPT_WORDS = 400
# Of the paced mock: a client in Python takes milliseconds for a request, and that has to be little beside it.
FIRST_TOKEN, TOKENS_PER_SECOND = "400ms", "50"
LIMIT = 0.05
FIGURES = {
    "requests": "requests answered",
    "tokens": "tokens of an answer",
    "ttft_p50": "TTFT p50, ms",
    "ttft_mean": "TTFT mean, ms",
    "itl_mean": "ITL mean, ms",
    "e2e_mean": "E2E mean, ms",
    "requests_per_second": "requests/s",
    "tokens_per_second": "output tokens/s",
}
# What the server says of its own speed, where it does.
PACE = {"server_prompt_tokens_ms": "its own, 1,000 of a prompt, ms", "server_token_ms": "its own, a token, ms"}

# Some milliseconds a token.
MODEL = """
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
import make_model
make_model.WIDTH, make_model.LAYERS, make_model.HEADS, make_model.FEED_FORWARD = 256, 6, 4, 768
make_model.main(sys.argv[2])
"""

TOKENIZER = """
import sys
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
words = ["<unk>", "<s>", "</s>"] + sys.argv[2].split()
tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="<unk>"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
PreTrainedTokenizerFast(
    tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
).save_pretrained(sys.argv[1])
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_server(options, port, folder):
    if options.server == "mock":
        command = [options.executable, "mock", "--listen", f"127.0.0.1:{port}", "--connections", "1000"]
        command += ["--first-token", FIRST_TOKEN, "--rate", TOKENS_PER_SECOND, "--tokens", str(options.tokens)]
    else:
        python, llama = ENVIRONMENT / "bin/python", ROOT / "tests/clients/llama"
        subprocess.run([python, "-c", MODEL, llama, folder / "model.gguf"], check=True)
        command = [python, llama / "serve.py", str(port), folder / "model.gguf"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).read()
            return server
        except OSError:
            time.sleep(0.2)
    server.kill()
    sys.exit("the server does not answer")


def spent(port):
    """What llama.cpp's server has spent until now: seconds and tokens of prompts and of answers."""
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
    values = dict(line.split()[:2] for line in text.splitlines() if line.startswith("llamacpp:"))
    names = ["prompt_seconds_total", "prompt_tokens_total", "tokens_predicted_seconds_total", "tokens_predicted_total"]
    return [float(values[f"llamacpp:{name}"]) for name in names]


def pace_of(before, after):
    """What it took in between, in milliseconds, for a thousand tokens of prompts and for a token of an answer. By the
    token, so that a request with which a tool warms up changes nothing."""
    prompts, read, answers, written = (late - early for early, late in zip(before, after))
    return {"server_prompt_tokens_ms": prompts / read * 1e6, "server_token_ms": answers / written * 1e3}


def write_prompts(folder, options, seed):
    """Prompts as each tool reads them. Every run has its own: llama.cpp keeps what it has read, and whoever asks
    the same as the one before gets his first token sooner."""
    draw = random.Random(seed)
    texts = [" ".join(draw.choices(WORDS, k=PROMPT_WORDS)) for _ in range(options.requests)]
    for name, row in {
        "sluicegate": lambda text: {"prompt": text, "output_len": options.tokens},
        "aiperf": lambda text: {"text": text},
        "guidellm": lambda text: {"prompt": text, "output_tokens_count": options.tokens},
    }.items():
        lines = [json.dumps(row(text)) for text in texts]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")


def call(command, folder, **environment):
    log = folder / "log"
    with log.open("w") as out:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=folder,
            stdout=out,
            stderr=out,
            env={**os.environ, **environment},
            timeout=900,
        )
    if done.returncode:
        sys.exit(f"{command[0]} has failed:\n{log.read_text()[-3000:]}")


def ours(options, folder, url):
    load = ["-c", options.concurrency] if options.concurrency else ["--open", options.rate, "--arrivals", "constant"]
    call(
        [options.executable, "bench", "--api", "openai-chat", "--url", url, "--model", options.model]
        + ["--prompts", folder / "sluicegate.jsonl", "--requests", options.requests, *load]
        + ["--extra-body", '{"ignore_eos":true}', "--json", folder / "ours.json"]
        + ["--records", folder / "ours.jsonl"],
        folder,
    )
    lines = [json.loads(line) for line in (folder / "ours.jsonl").read_text().splitlines()]
    level = json.loads((folder / "ours.json").read_text())["levels"][0]
    sent = "" if options.concurrency else "_from_send"
    told = {
        "ttft_mean": level[f"ttft{sent}_ms"]["mean"],
        "ttft_p50": level[f"ttft{sent}_ms"]["p50"],
        "itl_mean": level["tpot_ms"]["mean"],
    }
    rows = [
        {
            "start": line["sent_ms"],
            "first": line["first_ms"],
            "last": line["last_ms"],
            "tokens": line["output_tokens"],
        }
        for line in lines
        if line["failure"] is None
    ]
    return rows, told


def aiperf(options, folder, url):
    load = ["--request-rate", options.rate, "--arrival-pattern", "constant"]
    if options.concurrency:
        load = ["--concurrency", options.concurrency]
    call(
        [options.aiperf / "bin/aiperf", "profile", "-m", options.model, "--url", url, "--endpoint-type", "chat"]
        + ["--streaming", "--input-file", folder / "aiperf.jsonl", "--custom-dataset-type", "single_turn"]
        + [*load, "--request-count", options.requests]
        + ["--warmup-request-count", options.concurrency or 1, "--use-server-token-count"]
        + ["--tokenizer", folder / "tokenizer", "--extra-inputs", f"max_tokens:{options.tokens}"]
        + ["--extra-inputs", "ignore_eos:true", "--output-artifact-dir", folder / "aiperf", "--ui", "none"],
        folder,
        # Its processes may take long to start where others work too.
        AIPERF_SERVICE_REGISTRATION_TIMEOUT="300",
    )
    lines = (folder / "aiperf/profile_export.jsonl").read_text().splitlines()
    rows = []
    for line in map(json.loads, lines):
        about, metrics = line["metadata"], line["metrics"]
        if about["benchmark_phase"] != "profiling" or line.get("error"):
            continue
        start = about["request_start_ns"] / 1e6
        rows.append(
            {
                "start": start,
                "first": start + metrics["time_to_first_token"]["value"],
                "last": start + metrics["request_latency"]["value"],
                "tokens": metrics["output_sequence_length"]["value"],
            }
        )
    report = json.loads((folder / "aiperf/profile_export_aiperf.json").read_text())
    told = {
        "ttft_mean": report["time_to_first_token"]["avg"],
        "ttft_p50": report["time_to_first_token"]["p50"],
        "itl_mean": report["inter_token_latency"]["avg"],
        # Its rates are over the time of its phase, which is longer than that of the requests.
        "e2e_mean": report["request_latency"]["avg"],
    }
    return rows, told


def guidellm(options, folder, url):
    load = f"kind=constant,rate={options.rate}"
    if options.concurrency:
        load = f"kind=concurrent,streams={options.concurrency}"
    call(
        [options.guidellm / "bin/guidellm", "run", "--backend", f"kind=openai_http,target={url},model={options.model}"]
        + ["--profile", load]
        + ["--constraint", f"kind=max_requests,count={options.requests}"]
        + ["--tokenizer", f"kind=huggingface_auto,model={folder / 'tokenizer'}"]
        + ["--data", f"kind=json_file,path={folder / 'guidellm.jsonl'}"]
        + ["--output", f"kind=json,path={folder / 'guidellm.json'}", "--disable-console"],
        folder,
        HF_HUB_OFFLINE="1",
    )
    benchmark = json.loads((folder / "guidellm.json").read_text())["benchmarks"][0]
    rows = []
    for request in benchmark["requests"]["successful"]:
        timing = request["info"]["timings"]
        rows.append(
            {
                "start": timing["request_start"] * 1e3,
                "first": timing["first_token_iteration"] * 1e3,
                "last": timing["last_token_iteration"] * 1e3,
                "tokens": request["output_tokens"],
            }
        )
    metrics = {name: figure.get("successful") for name, figure in benchmark["metrics"].items() if isinstance(figure, dict)}
    told = {
        "ttft_mean": metrics["time_to_first_token_ms"]["mean"],
        "ttft_p50": metrics["time_to_first_token_ms"]["median"],
        "itl_mean": metrics["inter_token_latency_ms"]["mean"],
    }
    return rows, told


def figures_of(rows):
    """What all three are compared by, of the records of one run."""
    ttft = [row["first"] - row["start"] for row in rows]
    e2e = [row["last"] - row["start"] for row in rows]
    seconds = (max(row["last"] for row in rows) - min(row["start"] for row in rows)) / 1e3
    return {
        "requests": len(rows),
        "tokens": statistics.mean(row["tokens"] for row in rows),
        "ttft_p50": statistics.median(ttft),
        "ttft_mean": statistics.mean(ttft),
        "itl_mean": statistics.mean((row["last"] - row["first"]) / (row["tokens"] - 1) for row in rows),
        "e2e_mean": statistics.mean(e2e),
        "requests_per_second": len(rows) / seconds,
        "tokens_per_second": sum(row["tokens"] for row in rows) / seconds,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--aiperf", type=Path, required=True)
    parser.add_argument("--guidellm", type=Path, required=True)
    parser.add_argument("--server", choices=["llama", "mock"], default="llama")
    parser.add_argument("--executable", type=Path, default=ROOT / "target/release/sluicegate")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--rate", type=float, default=1.0, help="requests a second of an open loop")
    parser.add_argument("--concurrency", type=int, help="a closed loop of so many")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="a folder for the records of the last round")
    options = parser.parse_args()
    options.model = "mock" if options.server == "mock" else "tiny"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))
    tools = {"sluicegate": ours, "aiperf": aiperf, "guidellm": guidellm}
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        python = options.guidellm / "bin/python"
        subprocess.run([python, "-c", TOKENIZER, folder / "tokenizer", " ".join(WORDS)], check=True)
        server = start_server(options, port, folder)
        seen = {tool: [] for tool in tools}
        try:
            for number in range(options.rounds):
                # Another one first each time.
                order = list(tools)[number % 3 :] + list(tools)[: number % 3]
                for tool in order:
                    options.seed += 1
                    write_prompts(folder, options, options.seed)
                    before = spent(port) if options.server == "llama" else None
                    rows, told = tools[tool](options, folder, f"http://127.0.0.1:{port}")
                    pace = pace_of(before, spent(port)) if before else {}
                    seen[tool].append({**figures_of(rows), **pace})
                    if options.keep:
                        keep(options.keep / f"{options.server}-{tool}.jsonl", rows, {**told, **pace})
                    print(f"round {number + 1}: {tool} {json.dumps(seen[tool][-1])}", file=sys.stderr, flush=True)
        finally:
            server.kill()
            server.wait()
    if options.json:
        options.json.write_text(json.dumps(seen, indent=1) + "\n")
    sys.exit(0 if show(seen, options) else 1)


def keep(path, rows, told):
    """What the tool itself says in one line, and then its requests: milliseconds since the first sending, to the
    microsecond."""
    path.parent.mkdir(parents=True, exist_ok=True)
    begin = min(row["start"] for row in rows)
    moments = ["start", "first", "last"]
    rows = [{**row, **{name: round(row[name] - begin, 3) for name in moments}} for row in rows]
    rows.sort(key=lambda row: row["start"])
    told = {name: round(value, 4) for name, value in told.items()}
    path.write_text("".join(json.dumps(row) + "\n" for row in [told, *rows]))


def as_fast(seen, tokens):
    """The runs as if the server had been as fast in each of them as in the median one."""
    runs = [run for rounds in seen.values() for run in rounds]
    if not all(name in run for run in runs for name in PACE):
        return seen
    usual = {name: statistics.median(run[name] for run in runs) for name in PACE}

    def scaled(run):
        prompt, token = (usual[name] / run[name] for name in PACE)
        answer = run["itl_mean"] * (tokens - 1)
        return {
            **run,
            "ttft_p50": run["ttft_p50"] * prompt,
            "ttft_mean": run["ttft_mean"] * prompt,
            "itl_mean": run["itl_mean"] * token,
            "e2e_mean": (run["e2e_mean"] - answer) * prompt + answer * token,
        }

    return {tool: [scaled(run) for run in rounds] for tool, rounds in seen.items()}


def show(seen, options):
    """Prints the table. Whether all figures agree."""
    load = f"{options.concurrency} at once" if options.concurrency else f"{options.rate} a second"
    print(f"{options.server}, {options.requests} requests × {options.rounds} rounds, {load}")
    print(f"load of the machine in the last minute: {os.getloadavg()[0]:.1f}")
    print(f"{'median of rounds (spread)':<30}" + "".join(f"{tool:>22}" for tool in seen) + "    ours to theirs")
    agree = True
    told = {name: label for name, label in PACE.items() if all(name in run for rounds in seen.values() for run in rounds)}
    seen = as_fast(seen, options.tokens)
    for figure, label in {**FIGURES, **told}.items():
        medians, cells = {}, ""
        for tool, rounds in seen.items():
            values = [one[figure] for one in rounds]
            medians[tool] = statistics.median(values)
            spread = (max(values) - min(values)) / medians[tool] * 100
            cells += f"{medians[tool]:>14.2f} ({spread:3.0f} %)"
        ratios = [medians["sluicegate"] / medians[tool] for tool in ("aiperf", "guidellm")]
        agree &= figure in PACE or all(abs(ratio - 1) <= LIMIT for ratio in ratios)
        print(f"{label:<30}{cells}    " + ", ".join(f"{ratio:.3f}" for ratio in ratios))
    print("all within 5 %" if agree else "not all within 5 %")
    return agree


if __name__ == "__main__":
    main()
