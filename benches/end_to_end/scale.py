#!/usr/bin/env python3
"""What docs/scale.md reckons with, measured: endpoints that change all the time, large sets, memory of a client.

    benches/end_to_end/scale.py [--row NAME]... [--rounds N] [--seconds S] [--executable FILE]

| row | figure |
|---|---|
| `churn` | CPU of a worker for each token, and how late it is, with 12,000 endpoints a minute replaced over 100 upstreams and without: two gateways of one configuration that take turns |
| `sets` | CPU of 10 upstreams that are told 1,000 other endpoints each, and memory of these 10,000 |
| `memory` | memory of an idle client and of an open stream, plain and under TLS |
| `tls` | CPU of a token whose client speaks TLS, beside a plain one |

CPU is that of threads, from /proc/PID/task/*/schedstat: the worker's and all others' apart.
"""

import argparse
import asyncio
import json
import os
import ssl
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

import process

ROOT = Path(__file__).resolve().parents[2]
UPSTREAMS, MEMBERS, REPLACED = 100, 20, 2
STREAMS, RATE = 200, 50


def configuration(port, folder, mock, upstreams, certificate=None):
    """All have the mock in their own list, which is asked first; what the files tell is never dialled."""
    tables = "".join(
        f"""
[[upstream]]
name = "u{at}"
endpoints = ["127.0.0.1:{mock}"]
pool = {{ connections = {6000 if at == 0 else 10} }}
discover = {{ file = "{folder}/u{at}.json", shrink = 1.0 }}
"""
        for at in range(upstreams)
    )
    listen = f'listen = ["127.0.0.1:{port}"]'
    sealed = f"[server.tls]\n{listen}\ncertificates = [{certificate}]"
    return f"""
[server]
{"" if certificate else listen}
cpus = [0]
{sealed if certificate else ""}
[limits]
connections = 6000
{tables}
[[route]]
path = "/*"
upstream = "u0"
"""


class Sets:
    """The files that tell endpoints. No address is told twice."""

    def __init__(self, folder, upstreams, members):
        self.folder, self.members, self.next = Path(folder), members, 1
        self.folder.mkdir()
        self.sets = [[self.fresh() for _ in range(members)] for _ in range(upstreams)]
        for at in range(upstreams):
            self.write(at)

    def fresh(self):
        self.next += 1
        return f"10.{self.next >> 16 & 255}.{self.next >> 8 & 255}.{self.next & 255}:8000"

    def write(self, at):
        told = [{"address": address, "priority": 1} for address in self.sets[at]]
        draft = self.folder / f"u{at}.draft"
        draft.write_text(json.dumps(told))
        draft.rename(self.folder / f"u{at}.json")

    def replace(self, at, count):
        self.sets[at] = self.sets[at][count:] + [self.fresh() for _ in range(count)]
        self.write(at)

    def churn(self, stop, count):
        """Every set once a second, evenly: that is how often files are looked at."""
        due, at = time.monotonic(), 0
        while not stop.is_set():
            self.replace(at, count)
            at, due = (at + 1) % len(self.sets), due + 1 / len(self.sets)
            time.sleep(max(0.0, due - time.monotonic()))


def spent(pid):
    """Nanoseconds on a core of the worker and of all other threads."""
    worker = others = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            taken = int((task / "schedstat").read_text().split()[0])
            name = (task / "comm").read_text()
        except OSError:
            continue
        if name.startswith("worker"):
            worker += taken
        else:
            others += taken
    return worker, others


def memory(pid):
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))


class Stand:
    def __init__(self, folder, executable):
        self.folder, self.executable = Path(folder), executable
        self.load = {os.cpu_count() - 1}

    def start(self, name, command, port, cores):
        log = self.folder / f"{name}.log"
        child = process.start(command, cores, log)
        process.wait_until_listening(child, port, name, log)
        return child

    def mock(self):
        port = process.free_port()
        command = [self.executable, "mock", "--listen", f"127.0.0.1:{port}", "--connections", "8000"]
        self.start("mock", command, port, self.load)
        return port

    def gateway(self, name, mock, upstreams, members, certificate=None):
        sets = Sets(self.folder / name, upstreams, members)
        port = process.free_port()
        file = self.folder / f"{name}.toml"
        file.write_text(configuration(port, sets.folder, mock, upstreams, certificate))
        # The worker is pinned to the first core by its configuration; other threads may run on any.
        command = [self.executable, "run", "--config", file, "--log-level", "error"]
        child = self.start(name, command, port, set(range(os.cpu_count())))
        return port, child, sets

    def streams(self, port, seconds, inside):
        """Paced streams for so long; `inside` is called with how long it may take, while they run."""
        out = self.folder / "report.json"
        url = f"http://127.0.0.1:{port}/stream"
        command = [self.executable, "bench", "--url", url, "--streams", STREAMS, "--rate", RATE]
        command += ["--duration", f"{seconds}s", "--warm-up", "2s", "--rounds", 1, "--json", out]
        child = process.start([str(word) for word in command], self.load, self.folder / "bench.log")
        time.sleep(2.5)
        inside(seconds - 1.5)
        child.wait(60)
        return json.loads(out.read_text())["targets"][0]["rounds"][0]


def middle(values):
    return statistics.median(values)


def churn(stand, rounds, seconds):
    mock = stand.mock()
    gateways = {name: stand.gateway(name, mock, UPSTREAMS, MEMBERS) for name in ("still", "churned")}
    stop = threading.Event()
    # `churned` alone is told others, all the time; `still` has the same files, and looks at them as often.
    threading.Thread(target=gateways["churned"][2].churn, args=(stop, REPLACED), daemon=True).start()
    time.sleep(3)
    idle = {}
    for name, (_, child, _) in gateways.items():
        before, began = spent(child.pid), time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        idle[name] = [(now - then) / took / 1e6 for now, then in zip(spent(child.pid), before)]
        print(f"{name}, no streams: worker {idle[name][0]:.2f} ms/s, other threads {idle[name][1]:.2f} ms/s", flush=True)
    found = {name: [] for name in gateways}
    for _ in range(rounds):
        for name, (port, child, _) in gateways.items():
            times = []

            def inside(lasts):
                before, began = spent(child.pid), time.monotonic()
                time.sleep(lasts)
                times.append([now - then for now, then in zip(spent(child.pid), before)])
                times[0].append(time.monotonic() - began)

            one = stand.streams(port, seconds, inside)
            (worker, others, took) = times[0]
            kept = one["tokens"] / (STREAMS * RATE * one["seconds"])
            late = one["token_latency"]
            found[name].append((worker / (took * STREAMS * RATE * kept), late["p50"] / 1e3, late["p99"] / 1e3, others / took / 1e6))
    stop.set()
    for name, rows in found.items():
        cpu, p50, p99, others = (middle(column) for column in zip(*rows))
        print(f"{name}: {cpu:,.0f} ns of the worker a token (least {min(row[0] for row in rows):,.0f}), p50 {p50:,.0f} us, p99 {p99:,.0f} us, other threads {others:.1f} ms/s", flush=True)
    ratios = [b[0] / a[0] for a, b in zip(found["still"], found["churned"])]
    print(f"churned to still, worker's CPU of a token: {middle(ratios):.3f} (rounds {min(ratios):.3f} to {max(ratios):.3f})", flush=True)


def sets(stand, rounds, seconds):
    mock = stand.mock()
    _, few, _ = stand.gateway("few", mock, 10, 1)
    _, many, told = stand.gateway("many", mock, 10, 1000)
    time.sleep(4)
    grown = memory(many.pid) - memory(few.pid)
    print(f"10,000 endpoints of files: {grown / 1e6:.1f} MB more than 10, {grown / 10_000:.0f} bytes each", flush=True)
    figures = []
    for _ in range(rounds):
        still = spent(many.pid)
        time.sleep(3)
        still = [now - then for now, then in zip(spent(many.pid), still)]
        before = spent(many.pid)
        for at in range(10):
            told.replace(at, 1000)
        time.sleep(3)
        after = [now - then for now, then in zip(spent(many.pid), before)]
        figures.append([(a - b) / 1e6 for a, b in zip(after, still)])
    worker, others = (middle(column) for column in zip(*figures))
    print(f"10,000 endpoints replaced at once: worker {worker:.1f} ms, other threads {others:.1f} ms", flush=True)
    grown = memory(many.pid) - memory(few.pid)
    print(f"behind {rounds} replacements: {grown / 1e6:.1f} MB", flush=True)


CLIENTS = 2000
ASK = b"POST /stream?rate=1&tokens=1000 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
IDLE = b"POST /stream?rate=0&tokens=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"


async def hold(port, request, context, count, inside, until):
    """So many connections that have asked this; `inside` is called while all stand."""
    room = asyncio.Semaphore(200)
    writers = []

    async def open_one():
        async with room:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, limit=2**14)
            writer.write(request)
            await reader.readuntil(until)
            writers.append((reader, writer))

    await asyncio.gather(*(open_one() for _ in range(count)))
    await asyncio.sleep(1)
    found = inside()
    for _, writer in writers:
        writer.transport.abort()
    await asyncio.sleep(1)
    return found


def certified(stand):
    """A certificate, and a context that believes it."""
    folder = stand.folder / "cert"
    folder.mkdir()
    key, cert = folder / "key.pem", folder / "cert.pem"
    process.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-keyout", key, "-out", cert, "-subj", "/CN=x"]
    )
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return f'{{ certificate = "{cert}", key = "{key}" }}', context


def clients(stand, rounds, seconds):
    process.raise_descriptor_limit()
    mock = stand.mock()
    certificate, context = certified(stand)
    for name, shown, believes in (("plain", None, None), ("tls", certificate, context)):
        port, child, _ = stand.gateway(name, mock, 1, 1, shown)
        for what, request, until in (("idle client", IDLE, b"0\r\n\r\n"), ("open stream", ASK, b"\r\n\r\n")):
            # The first time fills tables that are kept.
            for turn in ("first", "again"):
                before = memory(child.pid)
                grown = asyncio.run(hold(port, request, believes, CLIENTS, lambda: memory(child.pid), until)) - before
                print(f"{name}, {what}, {turn}: {grown / CLIENTS:,.0f} bytes each of {CLIENTS:,}, process {before / 1e6:.1f} MB before", flush=True)


def tokens_under_tls(stand, rounds, seconds):
    process.raise_descriptor_limit()
    mock = stand.mock()
    certificate, context = certified(stand)
    gateways = {name: (stand.gateway(name, mock, 1, 1, shown), believes) for name, shown, believes in (("plain", None, None), ("tls", certificate, context))}
    request = ASK.replace(b"rate=1&tokens=1000", b"rate=50&tokens=100000")
    found = {name: [] for name in gateways}
    for _ in range(rounds):
        for name, ((port, child, _), believes) in gateways.items():

            def inside():
                before, began = spent(child.pid), time.monotonic()
                time.sleep(seconds)
                worker = spent(child.pid)[0] - before[0]
                return worker / ((time.monotonic() - began) * 100 * RATE)

            found[name].append(asyncio.run(read_on(port, request, believes, inside)))
    for name, values in found.items():
        print(f"{name}: {middle(values):,.0f} ns of the worker a token (least {min(values):,.0f})", flush=True)
    ratios = [b / a for a, b in zip(found["plain"], found["tls"])]
    print(f"tls to plain: {middle(ratios):.2f} (rounds {min(ratios):.2f} to {max(ratios):.2f})", flush=True)


async def read_on(port, request, context, inside):
    """A hundred streams that are read while `inside` measures on a thread of its own."""
    taken = []

    async def stream():
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.write(request)
        taken.append(writer)
        while await reader.read(2**16):
            pass

    tasks = [asyncio.create_task(stream()) for _ in range(100)]
    await asyncio.sleep(1.5)
    found = await asyncio.to_thread(inside)
    for task in tasks:
        task.cancel()
    for writer in taken:
        writer.transport.abort()
    await asyncio.sleep(0.5)
    return found


ROWS = {"churn": churn, "sets": sets, "memory": clients, "tls": tokens_under_tls}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", action="append", choices=ROWS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--executable", default=ROOT / "target/release/sluicegate")
    given = parser.parse_args()
    for name in given.row or ROWS:
        print(f"== {name}", flush=True)
        try:
            with tempfile.TemporaryDirectory() as folder:
                ROWS[name](Stand(folder, given.executable), given.rounds, given.seconds)
        finally:
            process.end_all()


if __name__ == "__main__":
    main()
