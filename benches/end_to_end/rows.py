"""The table as data: what is loaded, who is measured, and which target each figure has.

A `Check` says: the gateway's figure ≤ factor × the least of that figure among `against`, or ≤
`at_most`. Figures are medians over rounds.
"""

from dataclasses import dataclass, field, replace
from math import gcd

RELAY, HAPROXY, NGINX, ENVOY = "relay", "haproxy", "nginx", "envoy"
PROXIES = (RELAY, HAPROXY, NGINX, ENVOY)


@dataclass(frozen=True)
class Check:
    text: str
    figure: str
    factor: float = None
    against: tuple = ()
    # What may come on top of that.
    plus: float = 0.0
    at_most: float = None


@dataclass(frozen=True)
class Row:
    name: str
    title: str
    # How it is measured: a function of this name in `measure.py`.
    kind: str
    # Arguments of `sluicegate bench`.
    load: dict
    checks: tuple
    proxies: tuple = PROXIES
    # The mock without a proxy is measured too.
    direct: bool = False
    # Figures that are printed, and what one unit of print is.
    show: dict = field(default_factory=dict)
    # Seconds.
    warm_up: float = 0.6
    duration: float = 2.5
    rounds: int = 7
    # Keys of the gateways' configuration: `section.key` → TOML.
    settings: dict = field(default_factory=dict)
    # Whether latency over percentile is worth a picture.
    plot: bool = False
    # Which side of the proxies speaks TLS: `clients`, `server`, or none.
    seal: str = ""


MICROS, NANOS, BYTES, ONES = ("µs", 1_000.0), ("ns", 1.0), ("B", 1.0), ("", 1.0)
KIB = ("KiB", 1024.0)

TOKEN_SHOW = {
    "cpu_ns_per_token": MICROS,
    "added_p50_ns": MICROS,
    "added_p99_ns": MICROS,
    "tokens_per_second": ONES,
}


def streams(count, rate, periods, **more):
    """`periods`: over how many of a stream's token intervals the streams are opened. Without a
    divisor in common with `count`, their tokens are due at `count` evenly spaced instants."""
    assert gcd(periods, count) == 1
    checks = (
        Check("CPU per token ≤ 1.05 × relay", "cpu_ns_per_token", 1.05, (RELAY,)),
        Check("CPU per token ≤ 0.88 × HAProxy", "cpu_ns_per_token", 0.88, (HAPROXY,)),
        Check("added p50 ≤ 1.10 × relay's", "added_p50_ns", 1.10, (RELAY,)),
        Check("added p99 ≤ 1.10 × relay's", "added_p99_ns", 1.10, (RELAY,)),
    )
    title = f"{count:,} paced streams × {rate} tokens/s"
    load = {"shape": "streams", "connections": count, "rate": rate}
    # The generator opens connections over the first half of the warm-up.
    more = {"warm_up": 2 * periods / rate, "direct": True, "show": TOKEN_SHOW, "plot": True, **more}
    return Row(f"streams-{count}", title, "load", load, checks, **more)


def unary(count):
    text = "CPU per request ≤ 0.80 × the better of HAProxy and nginx"
    checks = (Check(text, "cpu_ns_per_request", 0.80, (HAPROXY, NGINX)),)
    show = {"cpu_ns_per_request": MICROS, "requests_per_second": ONES}
    load = {"shape": "unary", "connections": count}
    title = f"unary over kept connections, c = {count}"
    return Row(f"unary-{count}", title, "load", load, checks, show=show)


def firehose(count):
    text = "CPU per chunk ≤ the better of relay and HAProxy"
    checks = (Check(text, "cpu_ns_per_token", 1.0, (RELAY, HAPROXY)),)
    show = {"cpu_ns_per_token": NANOS, "tokens_per_second": ONES}
    load = {"shape": "firehose", "connections": count, "token_bytes": 150}
    title = f"firehose of 150-byte chunks, {count} stream{'s' if count > 1 else ''}"
    return Row(f"firehose-{count}", title, "load", load, checks, show=show)


def bulk(name, shape, title):
    checks = (Check("CPU per byte ≤ HAProxy", "cpu_ns_per_byte", 1.0, (HAPROXY,)),)
    show = {"cpu_ns_per_byte": NANOS, "bytes_per_second": ("MB/s", 1e6)}
    load = {"shape": shape, "connections": 1}
    return Row(f"bulk-{name}", f"bodies of {title}", "load", load, checks, show=show)


def memory(name, most, what, load):
    checks = (
        Check(f"memory of an {what} ≤ {most:,} B", "memory_bytes_per_connection", at_most=most),
        Check("base ≤ 8 MiB", "base_bytes", at_most=8 << 20),
    )
    show = {"memory_bytes_per_connection": BYTES, "base_bytes": KIB}
    load = {**load, "connections": 9000}
    more = {"show": show, "warm_up": 4.0, "duration": 1.0, "rounds": 2}
    return Row(f"memory-{name}", f"9,000 times an {what}", "memory", load, checks, **more)


def coalesce(count, rate, periods, bound_ns):
    """As `streams`, with the poll of the gateway allowed to gather tokens."""
    row = streams(count, rate, periods)
    allowed = f"{bound_ns // 1000} µs"
    checks = (
        Check("CPU per token ≤ 0.75 × relay", "cpu_ns_per_token", 0.75, (RELAY,)),
        Check(f"added p99 ≤ relay's + {allowed}", "added_p99_ns", 1.0, (RELAY,), plus=bound_ns),
    )
    settings = {"server.coalesce": f'"{bound_ns // 1000}us"'}
    name, title = f"coalesce-{count}", f"{row.title}, coalesced"
    return replace(row, name=name, title=title, checks=checks, settings=settings, proxies=(RELAY,))


def sealed(row, checks, seal="clients", **more):
    """A row under TLS, with targets of its own."""
    name = row.name if seal == "clients" else f"upstream-{row.name}"
    side = "clients" if seal == "clients" else "the server"
    title = f"{row.title}, TLS to {side}"
    proxies = PROXIES if seal == "clients" else (HAPROXY, NGINX, ENVOY)
    more = {"direct": False, "plot": False, "proxies": proxies, **more}
    return replace(row, name=f"tls-{name}", title=title, checks=checks, seal=seal, **more)


def at_most_of(factor, figure, what, against):
    names = {2: "the better of HAProxy and nginx", 3: "the best of HAProxy, nginx and Envoy"}
    return Check(f"CPU per {what} ≤ {factor} × {names[len(against)]}", figure, factor, against)


TWO, THREE = (HAPROXY, NGINX), (HAPROXY, NGINX, ENVOY)
SEALED_TOKEN = (
    Check("CPU per token ≤ 1.15 × the relay on rustls", "cpu_ns_per_token", 1.15, (RELAY,)),
    at_most_of(0.75, "cpu_ns_per_token", "token", TWO),
)
SEALED_SHOW = {"cpu_ns_per_token": MICROS, "tokens_per_second": ONES}


def handshakes(name, title, **load):
    checks = (at_most_of(0.9, "cpu_ns_per_request", "connection", THREE),)
    show = {"cpu_ns_per_request": MICROS, "requests_per_second": ONES}
    load = {"shape": "churn", "connections": 16, **load}
    return Row(f"tls-{name}", title, "load", load, checks, show=show, seal="clients")


def sealed_memory(name, most, what, load):
    text = f"memory of an {what} ≤ {most:,} B"
    checks = (Check(text, "memory_bytes_per_connection", at_most=most),)
    # Handshakes of as many as in the plain row would take the generator half a minute.
    row = memory(name, most, what, load)
    load = {**row.load, "connections": 4000}
    title = f"4,000 times an {what}"
    return sealed(replace(row, title=title, load=load, warm_up=12.0), checks)


def sealed_rows():
    per_request, per_token = "cpu_ns_per_request", "cpu_ns_per_token"
    show = {"show": SEALED_SHOW}
    yield sealed(streams(1000, 20, 7), SEALED_TOKEN, warm_up=3.0, **show)
    yield sealed(streams(5000, 20, 21, rounds=5), SEALED_TOKEN, warm_up=9.0, **show)
    # A rate that fills nobody's core: in a queue a wake-up serves several tokens, and each is cheaper.
    slow = replace(streams(5000, 8, 21, rounds=5), name="streams-5000-slow")
    yield sealed(slow, SEALED_TOKEN, warm_up=9.0, **show)
    yield sealed(unary(32), (at_most_of(0.85, per_request, "request", TWO),))
    yield sealed(unary(256), (at_most_of(0.65, per_request, "request", TWO),))
    yield sealed(firehose(8), (at_most_of(1.0, per_token, "chunk", THREE),))
    down = bulk("down", "download", "256 MiB down")
    yield sealed(down, (at_most_of(1.0, "cpu_ns_per_byte", "byte", THREE),))
    yield handshakes("handshake", "a full handshake and one request", full_handshakes=True)
    yield handshakes("resumed", "a resumed handshake and one request")
    to_server = (at_most_of(0.8, per_token, "token", TWO),)
    yield sealed(streams(1000, 20, 7), to_server, "server", **show)
    yield sealed(unary(32), (at_most_of(0.85, per_request, "request", TWO),), "server")
    yield sealed_memory("idle", 6 << 10, "idle kept client", {"shape": "idle"})
    yield sealed_memory("streams", 8 << 10, "open paced stream", {"shape": "streams", "rate": 1})
    yield Row(
        "tls-storm",
        "1,000 paced streams × 5 tokens/s, alone and beside 2,000 full handshakes a second",
        "storm",
        {"shape": "streams", "connections": 1000, "rate": 5},
        (Check("paced p99 ≤ 1.5 × without the storm", "p99_beside_to_alone", at_most=1.5),),
        show={
            "p99_beside_to_alone": ONES,
            "p99_alone_ns": MICROS,
            "p99_beside_ns": MICROS,
            "handshakes_per_second": ONES,
        },
        warm_up=4.0,
        duration=4.0,
        rounds=4,
        proxies=TWO,
        seal="clients",
    )


ROWS = (
    streams(100, 50, 17),
    streams(1000, 20, 7),
    streams(5000, 20, 21, rounds=5),
    unary(1),
    unary(32),
    unary(256),
    firehose(1),
    firehose(8),
    firehose(64),
    Row(
        "churn",
        "churn: connect, one request, close",
        "load",
        {"shape": "churn", "connections": 16},
        (Check("CPU per connection ≤ 0.9 × HAProxy", "cpu_ns_per_request", 0.9, (HAPROXY,)),),
        show={"cpu_ns_per_request": MICROS, "requests_per_second": ONES},
    ),
    bulk("up", "upload", "64 MiB up"),
    bulk("down", "download", "256 MiB down"),
    Row(
        "fairness",
        "200 paced streams × 20 tokens/s, alone and beside a firehose",
        "fairness",
        {"shape": "streams", "connections": 200, "rate": 20},
        (Check("paced p99 ≤ 1.5 × without the firehose", "p99_beside_to_alone", at_most=1.5),),
        direct=True,
        show={
            "p99_beside_to_alone": ONES,
            "p99_alone_ns": MICROS,
            "p99_beside_ns": MICROS,
            "firehose_bytes_per_second": ("MB/s", 1e6),
        },
        warm_up=0.7,
        duration=2.0,
        rounds=4,
    ),
    memory("idle", 400, "idle kept client", {"shape": "idle"}),
    memory("streams", 1024, "open paced stream", {"shape": "streams", "rate": 1}),
    Row(
        "syscalls",
        "system calls a token, 100 streams × 20 tokens/s",
        "syscalls",
        {"shape": "streams", "connections": 100, "rate": 20},
        (
            Check("1 read a token", "reads_per_token", at_most=1.005),
            Check("1 write a token", "writes_per_token", at_most=1.005),
            Check("with polls no more than the relay's", "calls_per_token", 1.0, (RELAY,)),
        ),
        show={
            "calls_per_token": ONES,
            "reads_per_token": ONES,
            "writes_per_token": ONES,
            "polls_per_token": ONES,
        },
        # As in `streams`: spread evenly, or one poll would find them all.
        warm_up=2 * 17 / 20,
        duration=4.0,
        rounds=2,
    ),
    Row(
        "workers",
        "two workers with 250 streams × 20 tokens/s each, beside one with 250",
        "workers",
        {"shape": "streams", "connections": 250, "rate": 20},
        (
            Check("CPU per token ≤ 1.05 × one worker's", "cpu_two_to_one", at_most=1.05),
            Check("streams of the fuller worker ≤ 1.02 × half", "fullest_to_even", at_most=1.02),
        ),
        proxies=(),
        show={
            "cpu_two_to_one": ONES,
            "fullest_to_even": ONES,
            "cpu_ns_per_token": MICROS,
        },
        warm_up=1.0,
        duration=2.5,
        rounds=5,
        settings={"server.accept": '"balanced"'},
    ),
    coalesce(100, 50, 17, 1_000_000),
    coalesce(1000, 20, 7, 500_000),
    *sealed_rows(),
)
