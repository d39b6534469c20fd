"""The table as data: what is loaded, who is measured, and which target each figure has.

A `Check` says: the gateway's figure ≤ factor × the least of that figure among `against`, or ≤
`at_most`. Checks without either are information. Figures are medians over rounds.
"""

from dataclasses import dataclass, field
from math import gcd

RELAY, HAPROXY, NGINX, ENVOY, DIRECT = "relay", "haproxy", "nginx", "envoy", "direct"
PROXIES = (RELAY, HAPROXY, NGINX, ENVOY)


@dataclass(frozen=True)
class Check:
    text: str
    figure: str
    factor: float = None
    against: tuple = ()
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
    settings: dict = field(default_factory=dict)


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
    more = {"warm_up": 2 * periods / rate, "direct": True, "show": TOKEN_SHOW, **more}
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
)
