// Charts of one number or a few over time: plain SVG, as wide as there is room.
//
// Lines have a name and a class that gives them their colour. What was at a moment is told where the
// pointer is, in a line that is always there, so that nothing moves.

import { attribute, h, put, svg } from "./dom.js";

const HEIGHT = 132;
const TOP = 10;
const BOTTOM = 20;
// Room for the numbers beside the lines.
const LEFT = 48;
const RIGHT = 2;

// A round number that is not below `value`.
function round(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].find((step) => step * power >= value * 0.999) * power;
}

function ago(seconds) {
  if (seconds < 1) return "now";
  return seconds < 120 ? `${Math.round(seconds)} s ago` : `${Math.round(seconds / 60)} min ago`;
}

export class Chart {
  // options: { title, lines: [{ label, class, area }], stacked, bars, bridge, format, least, height }
  constructor(options) {
    this.options = options;
    this.height = options.height ?? HEIGHT;
    this.shown = null;
    this.paths = options.lines.map((line) => ({
      area: svg("path", { class: `area ${line.class}` }),
      line: svg("path", { class: `line ${line.class}` }),
    }));
    this.lines = svg("g", { class: "grid" });
    this.grid = svg("g", { class: "grid" });
    this.cursor = svg("line", { class: "cursor", y1: TOP, y2: this.height - BOTTOM });
    this.cursor.style.visibility = "hidden";
    this.values = options.lines.map(() => h("b", {}, "–"));
    this.picture = svg("svg", { class: options.stacked ? "chart stacked" : "chart", height: this.height, role: "img" },
      this.lines, this.paths.map(({ area }) => area), this.paths.map(({ line }) => line), this.cursor, this.grid);
    this.when = h("span", { class: "quiet when" }, "now");
    const legend = h("p", { class: "legend-line" },
      options.lines.map((line, index) => h("span", { class: `key ${line.class}` }, line.label, " ", this.values[index])));
    this.element = h("figure", { class: "panel chart-panel" },
      h("figcaption", {}, h("h2", {}, options.title), this.when), legend, this.picture);
    this.picture.addEventListener("pointermove", (event) => this.point(event));
    this.picture.addEventListener("pointerleave", () => { this.at = null; this.tell(); });
    new ResizeObserver(() => this.draw()).observe(this.picture);
  }

  // data: an array for each line, the oldest first; null where there is nothing. step: seconds of a point.
  show(data, step, span) {
    this.shown = { data, step, span };
    this.draw();
  }

  get length() {
    return this.shown ? Math.max(...this.shown.data.map((line) => line.length), 0) : 0;
  }

  draw() {
    if (!this.shown) return;
    const width = this.picture.clientWidth;
    if (!width) return;
    attribute(this.picture, "viewBox", `0 0 ${width} ${this.height}`);
    const { data, span } = this.shown;
    const sums = this.options.stacked ? stack(data) : data;
    const greatest = Math.max(...sums.flat().filter((value) => value !== null), this.options.least ?? 0);
    const top = round(greatest);
    const slots = Math.max(span, 2);
    const x = (index, length) => LEFT + ((slots - length + index) / (slots - 1)) * (width - LEFT - RIGHT);
    const y = (value) => TOP + (1 - value / top) * (this.height - TOP - BOTTOM);
    this.x = x;
    this.place = { width, slots };
    this.drawGrid(width, top, y);
    const floor = y(0);
    this.paths.forEach(({ area, line }, number) => {
      const values = sums[number] ?? [];
      const runs = segments(values, this.options.bridge ?? 0).map((run) => run.map(([index, value]) => `${x(index, values.length).toFixed(1)},${y(value).toFixed(1)}`));
      const stroke = runs.map((points) => points.length === 1 ? `M${points[0]}h0.1` : `M${points.join("L")}`).join("");
      attribute(line, "d", (!this.options.stacked && stroke) || null);
      const filled = this.options.stacked || this.options.lines[number].area;
      const body = filled && runs.filter((points) => points.length > 1).map((points) => {
        const below = this.options.stacked && number > 0
          ? values.map((_, index) => `${x(index, values.length).toFixed(1)},${y(sums[number - 1][index] ?? 0).toFixed(1)}`).reverse()
          : [`${points.at(-1).split(",")[0]},${floor}`, `${points[0].split(",")[0]},${floor}`];
        return `M${points.join("L")}L${below.join("L")}Z`;
      }).join("");
      if (this.options.bars) return attribute(area, "d", bars(values, sums[number - 1], (index) => x(index, values.length), y) || null);
      attribute(area, "d", body || null);
    });
    this.tell();
  }

  drawGrid(width, top, y) {
    const format = this.options.format ?? String;
    const shares = [0, 0.5, 1];
    this.lines.replaceChildren(...shares.map((share) => svg("line", { x1: LEFT, x2: width, y1: y(share * top), y2: y(share * top) })));
    const names = shares.map((share) => svg("text", { x: LEFT - 8, y: y(share * top) + 4, "text-anchor": "end" }, share ? format(share * top) : "0"));
    const seconds = this.shown.span * this.shown.step;
    const marks = [[0, "start", ago(seconds)], [0.5, "middle", ago(seconds / 2)], [1, "end", "now"]].map(([share, anchor, text]) =>
      svg("text", { x: LEFT + share * (width - LEFT - RIGHT), y: this.height - 5, "text-anchor": anchor }, text));
    this.grid.replaceChildren(...names, ...marks);
  }

  point(event) {
    if (!this.shown || !this.place) return;
    const { width, slots } = this.place;
    const box = this.picture.getBoundingClientRect();
    const slot = Math.round(((event.clientX - box.left - LEFT) / (width - LEFT - RIGHT)) * (slots - 1));
    const index = slot - (slots - this.length);
    this.at = index >= 0 && index < this.length ? index : null;
    this.tell();
  }

  tell() {
    const { data, step } = this.shown;
    const length = this.length;
    const at = this.at ?? length - 1;
    const format = this.options.format ?? String;
    this.values.forEach((node, number) => {
      const line = data[number] ?? [];
      const value = line[at - (length - line.length)];
      put(node, value === null || value === undefined ? "–" : format(value, at));
    });
    put(this.when, this.at === null || this.at === undefined ? "now" : ago((length - 1 - at) * step));
    const shown = this.at !== null && this.at !== undefined;
    this.cursor.style.visibility = shown ? "visible" : "hidden";
    if (shown) {
      const x = this.x(at, length).toFixed(1);
      attribute(this.cursor, "x1", x);
      attribute(this.cursor, "x2", x);
    }
    const told = this.options.lines.map((line, number) => `${line.label} ${this.values[number].textContent}`);
    attribute(this.picture, "aria-label", `${this.options.title}: ${told.join(", ")}`);
  }
}

function stack(data) {
  const sums = [];
  data.forEach((line, number) => sums.push(line.map((value, index) => (value ?? 0) + (number > 0 ? sums[number - 1][index] ?? 0 : 0))));
  return sums;
}

// Values as bars on those below them.
function bars(values, below, x, y) {
  const half = Math.max((x(1) - x(0)) / 2, 0.5);
  return values.map((value, index) => {
    const floor = below?.[index] ?? 0;
    if (!(value > floor)) return "";
    return `M${(x(index) - half).toFixed(1)},${y(floor).toFixed(1)}V${y(value).toFixed(1)}h${(2 * half).toFixed(1)}V${y(floor).toFixed(1)}Z`;
  }).join("");
}

// The runs of values that are there, as [index, value]. Over so many that are missing a run goes on.
function segments(values, bridge) {
  const runs = [];
  let run = [];
  values.forEach((value, index) => {
    if (value === null || value === undefined) return;
    if (run.length && index - run.at(-1)[0] > bridge + 1) {
      runs.push(run);
      run = [];
    }
    run.push([index, value]);
  });
  if (run.length) runs.push(run);
  return runs;
}
