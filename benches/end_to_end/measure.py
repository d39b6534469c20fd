"""Measures a row: starts the stand, loads it with `sluicegate bench`, reads its report.

Every measurement gives back `samples`: target → figure → one value a round. Rounds of the targets
alternate (A B C A B C), so value i of one target and value i of another belong together.
"""

import contextlib
import json

import process
import proxies
import sealing

# Of a round: more than this was ready to run while somebody else had the core.
WAITED_MAX = 0.05
# Of a round: busier than this, a server of paced streams is behind.
BUSY_MAX = 0.9


class Stand:
    """Who takes part, and on which cores."""

    def __init__(self, binary, gateways, others, proxy_core, load_core):
        self.binary, self.gateways, self.others = binary, gateways, others
        self.seals = sealing.make(binary, proxies.WORK)
        self.proxy_cores, self.load_cores = {proxy_core}, {load_core}

    def kinds(self, row):
        """Name → kind of proxy, for those that this row wants."""
        wanted = {name: kind for name, kind in self.others.items() if name in row.proxies}
        gateways = {name: kind.with_settings(row.settings) for name, kind in self.gateways.items()}
        return {**wanted, **gateways}

    @contextlib.contextmanager
    def mock(self):
        mock = proxies.start_mock(self.binary, self.load_cores)
        try:
            yield mock
        finally:
            mock.end()

    @contextlib.contextmanager
    def running(self, row, only=None):
        """The mock and the proxies, all of them or one: their URLs, and who does the work."""
        with self.mock() as mock, contextlib.ExitStack() as ends:
            targets = {"direct": mock.url()} if row.direct else {}
            pids = {}
            seal, server = self.seals[row.seal], mock
            if seal.server:
                # The mock speaks no TLS: who does, in front of it, is on its core.
                relay, own = proxies.Relay(self.binary), self.seals["clients"]
                server = relay.start("sealed-mock", self.load_cores, mock.port, own)
                ends.callback(server.end)
            for name, kind in self.kinds(row).items():
                if only in (None, name):
                    proxy = kind.start(name, self.proxy_cores, server.port, seal)
                    ends.callback(proxy.end)
                    targets[name], pids[name] = proxy.url(), proxy.pid
            yield targets, pids


def bench(stand, load, targets, pids, times, plot=None, turn=process.NORMAL):
    """One run of the generator over all targets; its report."""
    rounds, warm_up, duration = times
    report = proxies.WORK / "report.json"
    report.unlink(missing_ok=True)
    command = [stand.binary, "bench", "--json", report, "--rounds", rounds]
    command += ["--warm-up", f"{int(warm_up * 1000)}ms", "--duration", f"{int(duration * 1000)}ms"]
    command += ["--cpu", min(stand.load_cores)]
    command += ["--compare", ",".join(f"{name}={url}" for name, url in targets.items())]
    command += ["--plot", plot] if plot else []
    for name, pid in pids.items():
        command += ["--pid", f"{name}={pid}"]
    command += ["--ca", stand.seals["clients"].certificate]
    for name, value in load.items():
        command += [f"--{name.replace('_', '-')}", *([] if value is True else [value])]
    within = len(targets) * rounds * (warm_up + duration + 1.5) + 30
    process.run(command, stand.load_cores, within, turn=turn)
    return json.loads(report.read_text())


def load(stand, row, times):
    """All targets at once, each idle while another has its turn."""
    plot = proxies.WORK / "latest.svg" if row.plot else None
    with stand.running(row) as (targets, pids):
        report = bench(stand, row.load, targets, pids, times, plot)
    return {"samples": samples(report), "notes": notes(report), "plot": plot}


def samples(report):
    rounds = {target["name"]: target["rounds"] for target in report["targets"]}
    direct = rounds.get("direct")
    found = {}
    for name, of_target in rounds.items():
        each = []
        for index, one in enumerate(of_target):
            figures = of_round(one)
            if direct and name != "direct":
                figures.update(added(one, direct[index]))
            each.append(figures)
        keys = [key for key in each[0] if all(key in figures for figures in each)]
        found[name] = {key: [figures[key] for figures in each] for key in keys}
    return found


def of_round(one):
    """The figures of a round of one target, from the counts in the report."""
    seconds, accounts = one["seconds"], one["process"] or {}
    figures = {f"{what}_per_second": one[what] / seconds for what in ("tokens", "requests", "bytes")}
    if "cpu_ns" in accounts:
        figures["cpu_share"] = accounts["cpu_ns"] / 1e9 / seconds
        for what in ("token", "request", "byte"):
            if one[f"{what}s"]:
                figures[f"cpu_ns_per_{what}"] = accounts["cpu_ns"] / one[f"{what}s"]
    for name in ("token_latency", "request_latency"):
        if one[name]:
            figures[f"{name}_p50_ns"] = one[name]["p50"]
            figures[f"{name}_p99_ns"] = one[name]["p99"]
    return figures


def added(one, direct):
    """How far a target's percentiles lie above the median without it, in the same round.

    One number is taken from both: percentiles of two distributions are not subtracted.
    """
    if not (one["token_latency"] and direct["token_latency"]):
        return {}
    return {
        f"added_{at}_ns": one["token_latency"][at] - direct["token_latency"]["p50"]
        for at in ("p50", "p99")
    }


def notes(*reports):
    """What speaks against believing them: failures, a proxy that had no more to give, strangers on
    its core. Each of them once for each target, about the worst round."""
    rounds = {}
    for report in reports:
        for target in report["targets"]:
            rounds.setdefault(target["name"], []).extend(target["rounds"])
    found = []
    for name, of_target in rounds.items():
        failures = sum(one["failures"]["total"] for one in of_target)
        if failures:
            found.append(f"{name}: {failures} requests failed")
        if any(one["process"] is None for one in of_target):
            continue
        share = {
            key: max(one["process"][key] / 1e9 / one["seconds"] for one in of_target)
            for key in ("waiting_ns", "cpu_ns")
        }
        if share["waiting_ns"] > WAITED_MAX:
            waited = share["waiting_ns"]
            found.append(f"{name}: waited up to {waited:.0%} of a round for its core")
        if share["cpu_ns"] > BUSY_MAX and reports[0]["plan"]["shape"] == "streams":
            busy = share["cpu_ns"]
            found.append(f"{name}: its core was {busy:.0%} busy, so its latency is a queue")
    return found
