"""Measures a row: starts the stand, loads it with `sluicegate bench`, reads its report.

Every function gives back `samples`: target → figure → one value a round. Rounds of the targets
alternate (A B C A B C), so value i of one target and value i of another belong together.
"""

import json

import process
import proxies


class Stand:
    """Who takes part, and on which cores."""

    def __init__(self, binary, gateways, others, proxy_core, load_core):
        self.binary, self.gateways, self.others = binary, gateways, others
        self.proxy_cores, self.load_cores = {proxy_core}, {load_core}

    def kinds(self, row):
        """Name → kind of proxy, for those that this row wants."""
        wanted = {name: kind for name, kind in self.others.items() if name in row.proxies}
        gateways = {
            name: kind.with_settings(**row.settings) for name, kind in self.gateways.items()
        }
        return {**wanted, **gateways}


def bench(stand, row, load, targets, pids, times):
    """One run of the generator over all targets; its report."""
    rounds, warm_up, duration = times
    report = proxies.WORK / "report.json"
    report.unlink(missing_ok=True)
    command = [stand.binary, "bench", "--json", report, "--rounds", rounds]
    command += ["--warm-up", f"{int(warm_up * 1000)}ms", "--duration", f"{int(duration * 1000)}ms"]
    command += ["--cpu", min(stand.load_cores)]
    command += ["--compare", ",".join(f"{name}={url}" for name, url in targets.items())]
    for name, pid in pids.items():
        command += ["--pid", f"{name}={pid}"]
    for name, value in load.items():
        command += [f"--{name.replace('_', '-')}", value]
    within = len(targets) * rounds * (warm_up + duration + 1.5) + 30
    process.run(command, stand.load_cores, within)
    return json.loads(report.read_text())


def load(stand, row, times):
    """All targets at once, each idle while another has its turn."""
    mock = proxies.start_mock(stand.binary, stand.load_cores)
    running = []
    try:
        for name, kind in stand.kinds(row).items():
            running.append(kind.start(name, stand.proxy_cores, mock.port))
        targets = {"direct": mock.url()} if row.direct else {}
        targets.update({proxy.name: proxy.url() for proxy in running})
        pids = {proxy.name: proxy.pid for proxy in running}
        report = bench(stand, row, row.load, targets, pids, times)
    finally:
        for proxy in [*running, mock]:
            proxy.end()
    return {"samples": samples(report), "notes": notes(report), "report": report}


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
    seconds, process_ = one["seconds"], one["process"] or {}
    figures = {
        "tokens_per_second": one["tokens"] / seconds,
        "requests_per_second": one["requests"] / seconds,
        "bytes_per_second": one["bytes"] / seconds,
    }
    for what in ("token", "request", "byte"):
        if "cpu_ns" in process_ and one[f"{what}s"]:
            figures[f"cpu_ns_per_{what}"] = process_["cpu_ns"] / one[f"{what}s"]
    if "cpu_ns" in process_:
        figures["cpu_share"] = process_["cpu_ns"] / 1e9 / seconds
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


def notes(report):
    """What speaks against believing it: failures, and strangers on the proxies' core."""
    found = []
    for target in report["targets"]:
        failures = sum(one["failures"]["total"] for one in target["rounds"])
        if failures:
            found.append(f"{target['name']}: {failures} requests failed")
        for index, one in enumerate(target["rounds"]):
            waited = (one["process"] or {}).get("waiting_ns", 0) / 1e9 / one["seconds"]
            if waited > 0.05:
                found.append(
                    f"{target['name']}: waited {waited:.0%} of round {index + 1} for its core"
                )
    return found
