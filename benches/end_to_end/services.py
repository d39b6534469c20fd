#!/usr/bin/env python3
"""What a translation, a plugin that looks at events and a route by `model` cost, as ratios to a plain route.

    benches/end_to_end/services.py [--rounds N] [--seconds S] [--executable FILE]

Every gateway runs at once, with one core; targets take turns, so that what the machine does meanwhile is done
to all. The server is this file too (`--serve PORT`): OpenAI's chats and Anthropic's messages, at one pace.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

import process

ROOT = Path(__file__).resolve().parents[2]
STREAMS, RATE = 100, 50

ASKED = {"model": "m", "max_tokens": 1_000_000, "messages": [{"role": "user", "content": "How do you do?"}]}
CHAT = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1784246400, "model": "a-model"}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "a-model", "content": []}


def event(data, name=None):
    text = (f"event: {name}\n" if name else "") + f"data: {data if data == '[DONE]' else json.dumps(data)}\n\n"
    return b"%x\r\n%s\r\n" % (len(text), text.encode())


def choice(delta, reason=None):
    return event({**CHAT, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})


def named(name, **members):
    return event({"type": name, **members}, name)


# The beginning, a token, and the end of a stream, by path.
WORDS = {
    "/v1/chat/completions": (
        b"",
        choice({"content": " token"}),
        choice({}, "stop") + event("[DONE]"),
    ),
    "/v1/messages": (
        named("message_start", message={**MESSAGE, "stop_reason": None, "usage": {"input_tokens": 9, "output_tokens": 1}})
        + named("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        named("content_block_delta", index=0, delta={"type": "text_delta", "text": " token"}),
        named("content_block_stop", index=0)
        + named("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 2})
        + named("message_stop"),
    ),
}
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Server(asyncio.Protocol):
    """One connection. Streams are paced; one of few tokens comes at once."""

    def connection_made(self, transport):
        self.transport, self.read, self.timer = transport, b"", None

    def connection_lost(self, _):
        if self.timer:
            self.timer.cancel()

    def data_received(self, data):
        self.read += data
        head, _, body = self.read.partition(b"\r\n\r\n")
        length = next((int(l[15:]) for l in head.split(b"\r\n") if l.lower().startswith(b"content-length:")), 0)
        if len(body) < length or not head:
            return
        self.read = b""
        begin, token, end = WORDS[head.split(b" ")[1].decode()]
        tokens = json.loads(body)["max_tokens"]
        if tokens < 100:
            self.transport.write(HEAD + begin + token * tokens + end + b"0\r\n\r\n")
        else:
            self.transport.write(HEAD + begin + token)
            self.due = asyncio.get_running_loop().time()
            self.beat(token)

    def beat(self, token):
        self.due += 1 / RATE
        self.timer = asyncio.get_running_loop().call_at(self.due, self.tell, token)

    def tell(self, token):
        self.transport.write(token)
        self.beat(token)


async def serve(port):
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", port)
    await server.serve_forever()


def configuration(port, server, *, upstream="", route="", more=""):
    return f"""{more}
[server]
listen = ["127.0.0.1:{port}"]
cpus = [0]
[[upstream]]
name = "server"
endpoints = ["127.0.0.1:{server}"]
pool = {{ connections = 1000 }}
{upstream}
[[route]]
path = "/v1/*"
upstream = "server"
{route}
"""


class Stand:
    def __init__(self, folder, executable):
        self.folder, self.executable = Path(folder), executable
        self.load = {os.cpu_count() - 1}
        self.targets = {}

    def start(self, name, command, port, cores):
        log = self.folder / f"{name}.log"
        child = process.start(command, cores, log)
        process.wait_until_listening(child, port, name, log)
        return child

    def gateway(self, name, server, **keys):
        port = process.free_port()
        file = self.folder / f"{name}.toml"
        file.write_text(configuration(port, server, **keys))
        command = [self.executable, "run", "--config", file, "--log-level", "warn"]
        self.targets[name] = (port, self.start(name, command, port, {0}).pid)

    def bench(self, names, asked, *options, seconds, rounds):
        """The figures of each round, by target and name."""
        out = self.folder / "report.json"
        urls = ",".join(f"{name}=http://127.0.0.1:{self.targets[name][0]}/v1/chat/completions" for name in names)
        pids = [word for name in names for word in ("--pid", f"{name}={self.targets[name][1]}")]
        command = [self.executable, "bench", "--compare", urls, "--server", "any", "--body", json.dumps(asked)]
        command += ["--header", "Content-Type: application/json", "--duration", f"{seconds}s", "--warm-up", "1s"]
        command += ["--rounds", rounds, "--json", out, *pids, *options]
        process.run(command, self.load, within=60 + rounds * len(names) * (seconds + 8))
        return json.loads(out.read_text())


def build_plugin(folder):
    """The example that counts events, and changes none."""
    path = Path(folder) / "tally.so"
    source = ROOT / "src/plugin/examples/tally/tally.c"
    process.run(["cc", "-shared", "-fPIC", "-O2", "-I", ROOT / "src/plugin", "-o", path, source])
    digest = process.run(["sha256sum", path]).split()[0]
    return f'[plugins]\nallow = ["{path}"]\n[[plugin]]\nname = "tally"\npath = "{path}"\nsha256 = "{digest}"\n'


def figures(report, figure):
    """A figure of every round, by target."""
    return {target["name"]: [figure(one) for one in target["rounds"]] for target in report["targets"]}


def tell(what, values, name, unit, bound, base="plain", difference=False):
    pairs = list(zip(values[name], values[base]))
    each = [a - b if difference else a / b for a, b in pairs]
    middle = statistics.median(each)
    medians = " against ".join(f"{statistics.median(values[it]):,.0f}" for it in (name, base))
    told = f"{middle / 1000:+.1f} us" if difference else f"{middle:.3f}"
    spread = " to ".join(f"{it / 1000:.1f}" if difference else f"{it:.3f}" for it in (min(each), max(each)))
    verdict = "held" if (middle / 1000 if difference else middle) <= bound else "missed"
    print(f"{what:<44} {told:>9} (rounds {spread}; {medians} {unit}): at most {bound}, {verdict}", flush=True)


def measure(stand, rounds, seconds):
    server, mock = process.free_port(), process.free_port()
    stand.start("server", [sys.executable, __file__, "--serve", server], server, stand.load)
    command = [stand.executable, "mock", "--listen", f"127.0.0.1:{mock}", "--rate", "0", "--tokens", "4"]
    stand.start("mock", command, mock, stand.load)
    stand.gateway("plain", server)
    stand.gateway("translated", server, upstream='translate_to = "anthropic"')
    stand.gateway("looked", server, route='plugins = ["tally"]', more=build_plugin(stand.folder))
    often = {"seconds": seconds, "rounds": rounds}
    streamed = {**ASKED, "stream": True}
    report = stand.bench(["plain", "translated", "looked"], streamed, "--streams", STREAMS, **often)
    cpu = figures(report, lambda one: one["process"]["cpu_ns"] / one["tokens"])
    tell("CPU of a translated token", cpu, "translated", "ns", 1.6)
    tell("CPU of a token that a plugin looks at", cpu, "looked", "ns", 1.15)
    few = {**streamed, "max_tokens": 2}
    report = stand.bench(["plain", "translated"], few, "-c", 1, **often)
    first = figures(report, lambda one: one["first_token"]["p50"])
    tell("first token, translated, later by", first, "translated", "ns", 20, difference=True)
    stand.gateway("unary", mock)
    stand.gateway("by_model", mock, route='when = { model = "m" }')
    report = stand.bench(["unary", "by_model"], ASKED, "--shape", "unary", "-c", 32, **often)
    cpu = figures(report, lambda one: one["process"]["cpu_ns"] / one["requests"])
    tell("CPU of a request by its model", cpu, "by_model", "ns", 1.03, "unary")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--executable", default=ROOT / "target/release/sluicegate")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        return asyncio.run(serve(given.serve))
    try:
        with tempfile.TemporaryDirectory() as folder:
            measure(Stand(folder, given.executable), given.rounds, given.seconds)
    finally:
        process.end_all()


if __name__ == "__main__":
    main()
