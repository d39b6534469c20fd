"""From samples to a verdict: medians, ratios, spread, held or missed. Pure."""

from statistics import median

# The rounds of one target differ by more than this: nothing smaller is known.
SPREAD_MAX = 0.15


def spread(values):
    """How far the middle half of the rounds lies apart, over the median."""
    middle = median(values)
    ordered = sorted(values)
    quarter = len(ordered) // 4
    inner = ordered[quarter : len(ordered) - quarter]
    return (inner[-1] - inner[0]) / abs(middle) if middle else 0.0


def summed(values):
    return {
        "median": median(values),
        "min": min(values),
        "max": max(values),
        "spread": spread(values),
    }


def check(one, gateway, samples):
    """The verdict on one check for one gateway."""
    verdict = {"target": one.text, "figure": one.figure, "gateway": gateway}
    mine = samples.get(gateway, {}).get(one.figure)
    theirs = {
        name: samples[name][one.figure]
        for name in one.against
        if one.figure in samples.get(name, {})
    }
    if not mine or (one.at_most is None and len(theirs) < len(one.against)):
        return {**verdict, "verdict": "not measured"}
    value = median(mine)
    verdict["value"] = value
    if one.at_most is not None:
        verdict.update(bound=one.at_most, verdict=held(value <= one.at_most))
        return {**verdict, "noisy": spread(mine) > SPREAD_MAX}
    best = min(theirs, key=lambda name: median(theirs[name]))
    base = median(theirs[best])
    pairs = [a / b for a, b in zip(mine, theirs[best]) if b]
    verdict.update(
        against=best,
        bound=one.factor * base + one.plus,
        factor=one.factor,
        ratio=value / base if base else None,
        ratio_of_least=min(mine) / min(theirs[best]) if min(theirs[best]) else None,
        ratio_range=[min(pairs), max(pairs)] if pairs else None,
        verdict=held(value <= one.factor * base + one.plus),
    )
    noisy = max(spread(mine), spread(theirs[best])) > SPREAD_MAX
    # Straddling: some rounds say held, some say missed.
    limit = one.factor + (one.plus / base if base else 0.0)
    close = bool(pairs) and min(pairs) <= limit < max(pairs)
    return {**verdict, "noisy": noisy, "close": close}


def held(truth):
    return "held" if truth else "missed"


def row_text(row, result):
    """A measured row for people."""
    lines = [f"\n{row.title}  [{row.name}]"]
    samples = result["samples"]
    names = list(row.show)
    head = "".join(f"{label(name, row.show[name][0]):>26}" for name in names)
    lines.append(f"  {'':16}{head}   spread")
    for target, figures in samples.items():
        cells, widest = "", 0.0
        for name in names:
            scale = row.show[name][1]
            if name not in figures:
                cells += f"{'–':>26}"
                continue
            values = figures[name]
            text = f"{number(median(values) / scale)} (min {number(min(values) / scale)})"
            cells += f"{text:>26}"
        if names[0] in figures:
            widest = spread(figures[names[0]])
        noisy = "  noisy" if widest > SPREAD_MAX else ""
        lines.append(f"  {target:16}{cells}   {widest:5.1%}{noisy}")
    for verdict in result["verdicts"]:
        lines.append("  " + verdict_text(verdict, row))
    lines += [f"  note: {note}" for note in result.get("notes", [])]
    return "\n".join(lines)


def targets_text(rows, stored):
    """Every target of the stored rows in a line."""
    lines = [
        f"  {row.name:16}{verdict_text(one, row)}"
        for row in rows
        if row.name in stored
        for one in stored[row.name]["verdicts"]
    ]
    return "\n".join(["\ntargets", *lines])


def verdict_text(verdict, row):
    text = f"{verdict['gateway']}: {verdict['target']}: "
    if "value" not in verdict:
        return text + verdict["verdict"]
    if verdict.get("ratio") is not None:
        low, high = verdict["ratio_range"]
        text += f"{verdict['ratio']:.3f} × {verdict['against']} "
        text += f"(rounds {low:.3f} to {high:.3f}, of least {verdict['ratio_of_least']:.3f}): "
    else:
        unit, scale = row.show.get(verdict["figure"], ("", 1.0))
        text += f"{number(verdict['value'] / scale)} {unit} (≤ {number(verdict['bound'] / scale)}): "
    doubts = [word for word in ("noisy", "close") if verdict.get(word)]
    return text + verdict["verdict"].upper() + (f" ({', '.join(doubts)})" if doubts else "")


def label(name, unit):
    name = name.removesuffix("_ns").replace("_ns_", "_").replace("_", " ")
    return f"{name} {unit}".strip()


def number(value):
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"
