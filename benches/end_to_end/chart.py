"""A picture of the whole table: CPU of each proxy in each row, as a multiple of the relay's.

Pure: stored rows in, SVG text out. Colours follow the reader's light or dark scheme.
"""

from html import escape
from statistics import median

from rows import RELAY, ROWS

FIGURES = ("cpu_ns_per_token", "cpu_ns_per_request", "cpu_ns_per_byte")
COLOURS = {
    "relay": "#7f7f7f",
    "haproxy": "#0072b2",
    "nginx": "#009e73",
    "envoy": "#cc79a7",
    "sluicegate": "#d55e00",
}
OTHER = "#e69f00"
STYLE = (
    ".page{fill:#fff}.text{fill:#222;font:13px system-ui,sans-serif}.title{font-size:17px;"
    "font-weight:600}.faint{fill:#666}.grid{stroke:#ddd}.range{stroke:#222}"
    "@media(prefers-color-scheme:dark){.page{fill:#14171a}.text{fill:#e6e6e6}.faint{fill:#a0a0a0}"
    ".grid{stroke:#33383d}.range{stroke:#e6e6e6}}"
)
WIDTH, LEFT, RIGHT, HEAD = 900, 170, 830, 92
BAR, GAP = 13, 14
# Longer bars are cut off, and say how long they would be.
MOST = 4.0


def bars(result):
    """Target → median, least and greatest ratio to the relay's CPU in a round."""
    found = {}
    samples = result["samples"]
    for figure in FIGURES:
        base = samples.get(RELAY, {}).get(figure)
        if not base or figure not in {check["figure"] for check in result["verdicts"]}:
            continue
        for name, figures in samples.items():
            if figure in figures:
                pairs = [mine / floor for mine, floor in zip(figures[figure], base)]
                ratio = median(figures[figure]) / median(base)
                found[name] = (ratio, min(pairs), max(pairs))
    return found


def x(ratio):
    return LEFT + (RIGHT - LEFT) * min(ratio, MOST) / MOST


def svg(stored):
    rows = [(row, bars(stored[row.name])) for row in ROWS if row.name in stored]
    rows = [(row, found) for row, found in rows if found]
    y, parts, names = HEAD, [], []
    for row, found in rows:
        middle = y + BAR * len(found) / 2 + 4
        parts.append(text(LEFT - 10, middle, row.name, "text", "end"))
        for name, (ratio, least, greatest) in found.items():
            names += [name] if name not in names else []
            colour = COLOURS.get(name, OTHER)
            parts.append(
                f'<rect x="{LEFT}" y="{y}" width="{x(ratio) - LEFT:.1f}" height="{BAR - 2}" '
                f'fill="{colour}"/>'
            )
            line = y + BAR / 2 - 1
            if greatest <= MOST:
                parts.append(
                    f'<line class="range" x1="{x(least):.1f}" x2="{x(greatest):.1f}" '
                    f'y1="{line}" y2="{line}"/>'
                )
            at = max(x(ratio), x(greatest)) + 6
            parts.append(text(at, y + 10, f"{ratio:.2f}", "text faint"))
            y += BAR
        y += GAP
    height = y + 40
    grid = []
    for half in range(int(2 * MOST) + 1):
        at = x(half / 2)
        grid.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{HEAD - 8}" y2="{y}"/>')
        grid.append(text(at, y + 18, f"{half / 2:g}", "text faint", "middle"))
    legend, at = [], LEFT
    for name in names:
        legend.append(
            f'<rect x="{at}" y="62" width="14" height="10" fill="{COLOURS.get(name, OTHER)}"/>'
        )
        legend.append(text(at + 20, 72, name, "text"))
        at += 34 + 8 * len(name)
    title = "CPU of the proxy, as a multiple of a bare relay's"
    below = "medians of rounds; the line is the range of single rounds; less is better"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
        f'<title>{title}</title><style>{STYLE}</style>'
        f'<rect class="page" width="{WIDTH}" height="{height}"/>'
        + text(LEFT, 28, title, "text title")
        + text(LEFT, 49, below, "text faint")
        + "".join([*legend, *grid, *parts])
        + "</svg>\n"
    )


def text(at, y, words, kind, anchor="start"):
    return f'<text class="{kind}" x="{at:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
