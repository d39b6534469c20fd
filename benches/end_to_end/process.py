"""Processes of the harness: started on a core of their own, ended by their own number.

Nothing is looked up by name. What is started here is in one list, and `end_all` ends that list.
"""

import os
import resource
import signal
import socket
import subprocess
import time

START_WITHIN = 15.0
END_WITHIN = 5.0

_running = []


class Failed(Exception):
    """Something of the stand does not work; the message says what."""


def raise_descriptor_limit():
    """As many descriptors as we may have, for ourselves and for all we start."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# Whose turn it is where several share a core: at once when it has something to do; in turn with the
# others; behind them, and all the same before strangers; only when nobody else wants to. All of it is
# beside whatever turn the harness has itself: `chrt -r 2 benches/end_to_end/run` keeps strangers out.
FIRST, NORMAL, BEHIND, LAST = "first", "normal", "behind", "last"


def may_be_first():
    """Whether we may let a process go before all others."""
    hard = resource.getrlimit(resource.RLIMIT_RTPRIO)[1]
    return os.geteuid() == 0 or hard == resource.RLIM_INFINITY or hard > 0


def _place(cores, turn):
    """Run in a process that has just begun."""
    if cores:
        os.sched_setaffinity(0, cores)
    own = os.sched_getparam(0).sched_priority
    if turn == FIRST:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(own + 1))
    elif turn == BEHIND and own > 1:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(own - 1))
    elif turn == BEHIND:
        os.nice(10)
    elif turn == LAST:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def start(command, cores, log, turn=NORMAL):
    """Starts a server on these cores, in a process group of its own."""
    with open(log, "ab") as output:
        child = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=lambda: _place(cores, turn),
        )
    _running.append(child)
    return child


def wait_until_listening(child, port, name, log):
    give_up = time.monotonic() + START_WITHIN
    while time.monotonic() < give_up:
        if child.poll() is not None:
            raise Failed(f"{name} ended at once with {child.returncode}: {tail(log)}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise Failed(f"{name} does not listen on {port}: {tail(log)}")


def run(command, cores=None, within=120.0, check=True, turn=NORMAL):
    """Runs something to its end and gives back what it said on standard output."""
    child = subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: _place(cores, turn),
    )
    _running.append(child)
    try:
        said, complained = child.communicate(timeout=within)
    except subprocess.TimeoutExpired:
        raise Failed(f"{command[0]} took more than {within:.0f} s") from None
    finally:
        end(child)
    if check and child.returncode != 0:
        raise Failed(f"{' '.join(map(str, command[:3]))} failed: {complained.strip()[-400:]}")
    return said + ("" if check else complained)


def end(child):
    """Ends a process and the workers that it has started."""
    if child in _running:
        _running.remove(child)
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            pass
        try:
            child.wait(timeout=END_WITHIN if number == signal.SIGTERM else None)
        except subprocess.TimeoutExpired:
            continue


def end_all():
    while _running:
        end(_running[-1])


def children(pid):
    """The processes that this one has started."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children") as listing:
            found += [int(word) for word in listing.read().split()]
    return found


def tail(log):
    with open(log, errors="replace") as text:
        return text.read()[-500:].strip() or "it said nothing"
