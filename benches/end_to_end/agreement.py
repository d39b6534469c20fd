#!/usr/bin/env python3
"""Whether `sluicegate bench --api` says what aiperf and guidellm say of the same server.

    benches/end_to_end/agreement.py --aiperf VENV --guidellm VENV [--server llama|mock] [--rounds N]

Both come from PyPI, each into an environment of its own (1.2 and 5.9 GB):

    python3 -m venv VENV && VENV/bin/pip install aiperf==0.13.0
    python3 -m venv VENV && VENV/bin/pip install guidellm==0.8.1

The three take turns within a round and ask prompts of the same words and length, as many at once, for as many
tokens. What is compared is the median over the rounds; beside it stands how far the rounds of one tool lie
apart, for what is smaller than that says nothing. Exits with 1 where a figure differs by more than 5 %.

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
PROMPT_WORDS = 40
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
        command += ["--first-token", "100ms", "--rate", "50", "--tokens", str(options.tokens)]
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
    call(
        [options.executable, "bench", "--api", "openai-chat", "--url", url, "--model", options.model]
        + ["--prompts", folder / "sluicegate.jsonl", "--requests", options.requests, "-c", options.concurrency]
        + ["--extra-body", '{"ignore_eos":true}', "--json", folder / "ours.json"],
        folder,
    )
    level = json.loads((folder / "ours.json").read_text())["levels"][0]
    return {
        "requests": level["requests"]["succeeded"],
        "tokens": level["tokens"]["output"]["mean"],
        "ttft_p50": level["ttft_ms"]["p50"],
        "ttft_mean": level["ttft_ms"]["mean"],
        "itl_mean": level["tpot_ms"]["mean"],
        "e2e_mean": level["e2e_ms"]["mean"],
        "requests_per_second": level["requests_per_second"],
        "tokens_per_second": level["output_tokens_per_second"],
    }


def aiperf(options, folder, url):
    call(
        [options.aiperf / "bin/aiperf", "profile", "-m", options.model, "--url", url, "--endpoint-type", "chat"]
        + ["--streaming", "--input-file", folder / "aiperf.jsonl", "--custom-dataset-type", "single_turn"]
        + ["--concurrency", options.concurrency, "--request-count", options.requests]
        + ["--warmup-request-count", options.concurrency, "--use-server-token-count"]
        + ["--tokenizer", folder / "tokenizer", "--extra-inputs", f"max_tokens:{options.tokens}"]
        + ["--extra-inputs", "ignore_eos:true", "--output-artifact-dir", folder / "aiperf", "--ui", "none"],
        folder,
        # Its processes may take long to start where others work too.
        AIPERF_SERVICE_REGISTRATION_TIMEOUT="300",
    )
    report = json.loads((folder / "aiperf/profile_export_aiperf.json").read_text())
    return {
        "requests": report["request_count"]["avg"],
        "tokens": report["output_sequence_length"]["avg"],
        "ttft_p50": report["time_to_first_token"]["p50"],
        "ttft_mean": report["time_to_first_token"]["avg"],
        "itl_mean": report["inter_token_latency"]["avg"],
        "e2e_mean": report["request_latency"]["avg"],
        "requests_per_second": report["request_throughput"]["avg"],
        "tokens_per_second": report["output_token_throughput"]["avg"],
    }


def guidellm(options, folder, url):
    call(
        [options.guidellm / "bin/guidellm", "run", "--backend", f"kind=openai_http,target={url},model={options.model}"]
        + ["--profile", f"kind=concurrent,streams={options.concurrency}"]
        + ["--constraint", f"kind=max_requests,count={options.requests}"]
        + ["--tokenizer", f"kind=huggingface_auto,model={folder / 'tokenizer'}"]
        + ["--data", f"kind=json_file,path={folder / 'guidellm.jsonl'}"]
        + ["--output", f"kind=json,path={folder / 'guidellm.json'}", "--disable-console"],
        folder,
        HF_HUB_OFFLINE="1",
    )
    benchmark = json.loads((folder / "guidellm.json").read_text())["benchmarks"][0]
    metrics = benchmark["metrics"].items()
    done = {name: figure["successful"] for name, figure in metrics if "successful" in (figure or {})}
    # Seconds between the first sent and the last answered, as the other two reckon.
    timings = [request["info"]["timings"] for request in benchmark["requests"]["successful"]]
    first = min(timing["request_start"] for timing in timings)
    seconds = max(timing["request_end"] for timing in timings) - first
    tokens = done["output_token_count"]["mean"]
    return {
        "requests": len(timings),
        "tokens": tokens,
        "ttft_p50": done["time_to_first_token_ms"]["median"],
        "ttft_mean": done["time_to_first_token_ms"]["mean"],
        "itl_mean": done["inter_token_latency_ms"]["mean"],
        "e2e_mean": done["request_latency"]["mean"] * 1000,
        "requests_per_second": len(timings) / seconds,
        "tokens_per_second": len(timings) * tokens / seconds,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--aiperf", type=Path, required=True)
    parser.add_argument("--guidellm", type=Path, required=True)
    parser.add_argument("--server", choices=["llama", "mock"], default="llama")
    parser.add_argument("--executable", type=Path, default=ROOT / "target/release/sluicegate")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--concurrency", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
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
                    seen[tool].append(tools[tool](options, folder, f"http://127.0.0.1:{port}"))
                    print(f"round {number + 1}: {tool} {json.dumps(seen[tool][-1])}", file=sys.stderr, flush=True)
        finally:
            server.kill()
            server.wait()
    if options.json:
        options.json.write_text(json.dumps(seen, indent=1) + "\n")
    sys.exit(0 if show(seen, options) else 1)


def show(seen, options):
    """Prints the table. Whether all figures agree."""
    print(f"{options.server}, {options.requests} requests × {options.rounds} rounds, {options.concurrency} at once")
    print(f"{'median of rounds (spread)':<26}" + "".join(f"{tool:>22}" for tool in seen) + "    ours to theirs")
    agree = True
    for figure, label in FIGURES.items():
        medians, cells = {}, ""
        for tool, rounds in seen.items():
            values = [one[figure] for one in rounds]
            medians[tool] = statistics.median(values)
            spread = (max(values) - min(values)) / medians[tool] * 100
            cells += f"{medians[tool]:>14.2f} ({spread:3.0f} %)"
        ratios = [medians["sluicegate"] / medians[tool] for tool in ("aiperf", "guidellm")]
        agree &= all(abs(ratio - 1) <= LIMIT for ratio in ratios)
        print(f"{label:<26}{cells}    " + ", ".join(f"{ratio:.3f}" for ratio in ratios))
    print("all within 5 %" if agree else "not all within 5 %")
    return agree


if __name__ == "__main__":
    main()
