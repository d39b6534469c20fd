"""The results as a file: rows by name, each with everything it was measured with.

A row is replaced as a whole, so a table can be measured in pieces and on several evenings; each
row says when and on what.
"""

import datetime
import json
import os
import re
from pathlib import Path

FORMAT = 1


def read(path):
    path = Path(path)
    if not path.exists():
        return {"format": FORMAT, "rows": {}}
    stored = json.loads(path.read_text())
    if stored.get("format") != FORMAT:
        raise SystemExit(f"{path} has another format: move it away")
    return stored


def put(path, name, result):
    """Writes a row into the file, which is whole at any time."""
    stored = read(path)
    stored["rows"][name] = result
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(text(stored))
    os.replace(draft, path)


def text(stored):
    """JSON with a line for each list of numbers, which are rounded to what can mean anything."""
    rounded = json.loads(json.dumps(stored), parse_float=lambda word: float(f"{float(word):.6g}"))
    lines = json.dumps(rounded, indent=1, ensure_ascii=False)
    flat = lambda found: "[" + " ".join(found.group(1).split()) + "]"
    return re.sub(r"\[\s*([-+.\deE,\s]*?)\s*\]", flat, lines) + "\n"


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def machine():
    governor = first("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in cpuinfo if line.startswith("model name")]
    memory = [line for line in Path("/proc/meminfo").read_text().splitlines() if "MemTotal" in line]
    return {
        "cpu": models[0] if models else None,
        "cores": os.cpu_count(),
        "kernel": os.uname().release,
        "governor": governor or "none",
        "hypervisor": any(" hypervisor" in line for line in cpuinfo if line.startswith("flags")),
        "memory": memory[0].partition(":")[2].strip() if memory else None,
    }


def first(path):
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None
