"""Rows that one run of the generator cannot measure: each of these puts several together.

As in `measure.py`, every function gives back `samples`: target → figure → one value a round.
"""

import contextlib
import json
import os
import threading
import time
from pathlib import Path

import process
import proxies
from measure import bench, notes
from process import Failed

# Fewer connections than this share of those asked for are another load.
STANDING = 0.99
READS = {"read", "readv", "recvfrom", "recvmsg", "recv"}
WRITES = {"write", "writev", "sendto", "sendmsg", "send"}
POLLS = {"epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "select"}


def add(samples, target, figures):
    for name, value in figures.items():
        samples.setdefault(target, {}).setdefault(name, []).append(value)


def fairness(stand, row, times):
    """The same streams alone and beside a firehose, each target after the other.

    The firehose has a reader of its own, which runs when nothing else wants the core, and the
    generator of the timed streams runs at once when it has something to do. Else the two would wait
    for each other, for longer than for any proxy.
    """
    return beside(stand, row, times, firehose, "firehose_bytes_per_second")


def storm(stand, row, times):
    """The same streams alone and beside newcomers, each of whom wants a full handshake and one answer."""
    return beside(stand, row, times, newcomers, "handshakes_per_second")


def beside(stand, row, times, crowd, named):
    """The streams of a row alone and beside a crowd, whose own rate is told too."""
    rounds, warm_up, duration = times
    once = (1, warm_up, duration)
    turn = process.FIRST if process.may_be_first() else process.NORMAL
    samples, reports = {}, []
    with stand.running(row) as (targets, pids):
        for _ in range(rounds):
            for name, url in targets.items():
                pid = {name: pids[name]} if name in pids else {}
                alone = bench(stand, row.load, {name: url}, pid, once, turn=turn)
                with crowd(stand, url, warm_up + duration) as rate:
                    together = bench(stand, row.load, {name: url}, pid, once, turn=turn)
                reports += [alone, together]
                p99 = [
                    report["targets"][0]["rounds"][0]["token_latency"]["p99"]
                    for report in (alone, together)
                ]
                figures = {
                    "p99_beside_to_alone": p99[1] / p99[0],
                    "p99_alone_ns": p99[0],
                    "p99_beside_ns": p99[1],
                    named: rate(),
                }
                add(samples, name, figures)
    found = notes(*reports)
    if turn != process.FIRST:
        found.append("without the right to real-time scheduling, mock and generator are in the p99")
    return {"samples": samples, "notes": found}


# Full handshakes that are due in a second.
NEWCOMERS = 2_000


def firehose(stand, url, seconds):
    """One fast stream for that long and a little more."""
    load = ["--shape", "firehose", "-c", "1", "--token-bytes", "150", "--warm-up", "200ms"]
    return crowd(stand, url, seconds, load, "bytes", process.LAST)


def newcomers(stand, url, seconds):
    """Clients that come at a constant rate, whether those before them are served or not."""
    load = ["--shape", "churn", "-c", "512", "--open", NEWCOMERS, "--full-handshakes"]
    load += ["--ca", stand.seals["clients"].certificate, "--warm-up", "200ms"]
    return crowd(stand, url, seconds, load, "requests", process.BEHIND)


@contextlib.contextmanager
def crowd(stand, url, seconds, load, counted, turn):
    """Another load beside the one that is timed. Gives what tells its rate afterwards."""
    report, log = proxies.WORK / "crowd.json", proxies.WORK / "crowd.log"
    command = [stand.binary, "bench", "--url", url, *load, "--json", report]
    command += ["--duration", f"{int(seconds * 1000)}ms"]
    report.unlink(missing_ok=True)
    child = process.start(command, stand.load_cores, log, turn=turn)
    holder = []
    try:
        yield lambda: holder[0]
        child.wait(timeout=seconds + process.START_WITHIN)
        holder.append(of_crowd(report, counted))
    finally:
        process.end(child)


def of_crowd(report, counted):
    if not report.exists():
        raise Failed("the load beside it brought nothing")
    one = json.loads(report.read_text())["targets"][0]["rounds"][0]
    return one[counted] / one["seconds"]


def memory(stand, row, times):
    """One proxy after another, each fresh: descriptors for all at once are not to be had."""
    rounds, warm_up, duration = times
    samples = {}
    for _ in range(rounds):
        for name in stand.kinds(row):
            with stand.running(row, only=name) as (targets, pids):
                report = bench(stand, row.load, targets, pids, (1, warm_up, duration))
            one = report["targets"][0]["rounds"][0]
            grown = one["process"]["memory_at_end"] - one["process"]["memory_before"]
            open_ = one["connections_at_end"]
            if open_ < row.load["connections"] * STANDING:
                raise Failed(f"{name} holds {open_} connections, not {row.load['connections']}")
            figures = {
                "memory_bytes_per_connection": grown / open_,
                "base_bytes": one["process"]["memory_before"],
            }
            add(samples, name, figures)
    return {"samples": samples, "notes": []}


def syscalls(stand, row, times):
    """Two loads of different length. Warm-up and connections are in both, so the difference of the
    calls over the difference of the tokens is what a token costs."""
    if not proxies.shutil.which("strace"):
        proxies.packages("strace")
    rounds, warm_up, duration = times
    samples = {}
    with stand.running(row) as (targets, pids):
        for _ in range(rounds):
            for name, pid in pids.items():
                only = {name: targets[name]}
                short, long_ = (
                    counted(stand, row, only, pid, (1, warm_up, seconds))
                    for seconds in (duration / 4, duration)
                )
                tokens = long_["tokens"] - short["tokens"]
                figures = {
                    f"{kind}_per_token": (long_[kind] - short[kind]) / tokens
                    for kind in ("reads", "writes", "polls", "calls")
                }
                add(samples, name, figures)
    return {"samples": samples, "notes": ["counted under strace, which slows what it counts"]}


def counted(stand, row, target, pid, times):
    """The system calls of a process during a load, and the tokens of that load."""
    table = proxies.WORK / "strace"
    table.unlink(missing_ok=True)
    log = proxies.WORK / "strace.log"
    log.unlink(missing_ok=True)
    tracer = process.start(["strace", "-c", "-f", "-p", pid, "-o", table], stand.load_cores, log)
    # It says `attached` when it is.
    give_up = time.monotonic() + process.START_WITHIN
    while "attached" not in log.read_text() and time.monotonic() < give_up:
        time.sleep(0.02)
    report = bench(stand, row.load, target, {}, times)
    process.end(tracer)
    calls = {}
    for line in table.read_text().splitlines():
        words = line.split()
        if len(words) >= 5 and words[3].isdigit() and words[-1] != "total":
            calls[words[-1]] = int(words[3])
    if not calls:
        raise Failed(f"strace counted nothing: {table}")
    total = lambda names: sum(count for name, count in calls.items() if name in names)
    return {
        "tokens": report["targets"][0]["rounds"][0]["tokens"],
        "reads": total(READS),
        "writes": total(WRITES),
        "polls": total(POLLS),
        "calls": sum(calls.values()),
    }


def workers(stand, row, times):
    """One worker with its streams, then two with twice as many. The second worker has the core of
    mock and generator, so their CPU can be compared, and nothing else."""
    rounds, warm_up, duration = times
    once = (1, warm_up, duration)
    samples = {}
    both = stand.proxy_cores | stand.load_cores
    for name, kind in stand.kinds(row).items():
        with stand.mock() as mock:
            one = kind.start(f"{name}-one", stand.proxy_cores, mock.port)
            two = kind.start(f"{name}-two", both, mock.port)
            try:
                for _ in range(rounds):
                    single = bench(stand, row.load, {"one": one.url()}, {"one": one.pid}, once)
                    split = []
                    middle = threading.Timer(
                        warm_up + duration / 2, lambda: split.extend(sockets(two.pid, len(both)))
                    )
                    middle.start()
                    twice = {**row.load, "connections": 2 * row.load["connections"]}
                    double = bench(stand, twice, {"two": two.url()}, {"two": two.pid}, once)
                    middle.join()
                    per = [of_token(report) for report in (single, double)]
                    figures = {
                        "cpu_two_to_one": per[1] / per[0],
                        "fullest_to_even": max(split) * len(split) / sum(split),
                        "cpu_ns_per_token": per[1],
                    }
                    add(samples, name, figures)
            finally:
                one.end()
                two.end()
    return {"samples": samples, "notes": []}


def of_token(report):
    one = report["targets"][0]["rounds"][0]
    return one["process"]["cpu_ns"] / one["tokens"]


def sockets(pid, workers_):
    """How many descriptors each poller of a process watches; the fullest, as many as workers."""
    watched = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            if os.readlink(f"/proc/{pid}/fd/{name}") == "anon_inode:[eventpoll]":
                lines = Path(f"/proc/{pid}/fdinfo/{name}").read_text().splitlines()
                watched.append(sum(line.startswith("tfd:") for line in lines))
        except OSError:
            # It was closed meanwhile.
            continue
    return sorted(watched, reverse=True)[:workers_]
