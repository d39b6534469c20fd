"""What the client scripts share: an end in time, a clear failure, one line of evidence.

A script checks, and prints one line of JSON when all held. The first check that does not hold
ends it with exit code 1 and a sentence. What only a clock says, a busy machine can say as well: such a
check ends the script with exit code 75, and whoever started it tries again. Times are nanoseconds of CLOCK_MONOTONIC, which is one
clock for all processes of a machine: a server may write "sent at" into an event, and the client
subtracts.
"""

import json
import os
import signal
import statistics
import sys
import threading
import time
import traceback


def now():
    return time.monotonic_ns()


def milliseconds(nanoseconds):
    return round(nanoseconds / 1e6, 2)


def fail(sentence):
    print(f"FAILED: {sentence}", file=sys.stderr, flush=True)
    # Not sys.exit: a client library's threads must not keep a failed script alive.
    os._exit(1)


def check(condition, sentence):
    if not condition:
        fail(sentence)


def check_time(condition, sentence):
    """A check that a busy machine can fail whatever the gateway does. The script is worth another try."""
    if not condition:
        print(f"LATE: {sentence}", file=sys.stderr, flush=True)
        os._exit(os.EX_TEMPFAIL)


def run(main, seconds):
    """Runs a script. It ends in time whatever hangs, and an exception is a failure with its place."""
    signal.signal(signal.SIGALRM, lambda *_: fail(f"not finished within {seconds} s"))
    signal.alarm(seconds)
    try:
        main()
    except Exception as error:
        here = os.path.dirname(os.path.abspath(__file__))
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(here)]
        way = " > ".join(frame.name for frame in frames if frame.name != "run")
        fail(f"{way}: {type(error).__name__}: {error}")


def done(**evidence):
    print(json.dumps(evidence, ensure_ascii=False), flush=True)


def wait_until(condition, seconds, sentence):
    """Milliseconds until the condition held."""
    begin = now()
    while not condition():
        check_time(now() - begin < seconds * 1e9, sentence)
        time.sleep(0.002)
    return milliseconds(now() - begin)


def gaps(arrivals):
    return [later - earlier for earlier, later in zip(arrivals, arrivals[1:])]


def gap_summary(arrivals):
    values = gaps(arrivals)
    return {
        "arrivals": len(arrivals),
        "span_ms": milliseconds(arrivals[-1] - arrivals[0]),
        "gap_median_ms": milliseconds(statistics.median(values)),
        "gap_max_ms": milliseconds(max(values)),
    }


def check_paced(what, arrivals, interval_ms):
    """Arrivals keep the pace they were sent with: neither one burst at the end nor small ones.

    A path that waits (a full buffer, a delayed acknowledgement) delivers several events at once
    and nothing in between, so it shows as gaps near zero whatever their sum. One in five is left
    to the scheduler of a busy machine.
    """
    expected = interval_ms * 1e6
    values = gaps(arrivals)
    span = arrivals[-1] - arrivals[0]
    check_time(
        span >= 0.8 * expected * len(values),
        f"{what}: {len(arrivals)} arrivals within {milliseconds(span)} ms, sent {interval_ms} ms apart: a burst",
    )
    bunched = sum(gap < expected / 5 for gap in values)
    check_time(
        bunched <= len(values) / 5,
        f"{what}: {bunched} of {len(values)} gaps are under a fifth of {interval_ms} ms: events arrive in bunches",
    )
    return gap_summary(arrivals) | {"bunched": bunched}


def check_prompt(what, delays):
    """Sent → received, each a nanosecond difference. Returns the median and worst in ms."""
    median, worst = statistics.median(delays), max(delays)
    check_time(median <= 10e6, f"{what}: half of the events took over {milliseconds(median)} ms from server to client")
    return {"delay_median_ms": milliseconds(median), "delay_max_ms": milliseconds(worst)}


def live_as_long_as_stdin():
    """For servers: end when standard input ends, that is, when whoever started us is gone."""

    def watch():
        while sys.stdin.buffer.read(4096):
            pass
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
