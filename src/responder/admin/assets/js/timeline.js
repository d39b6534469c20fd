// The time of one stream: its phases as a bar, and its tokens as they came.

import { attribute, h, put, svg, width } from "./dom.js";
import { OWNERS, count, time } from "./format.js";

// [name, the member that says when it was over, what happens in it].
const PHASES = [
  ["queue", "attached_us", "until it had a connection: a queue, earlier attempts, pauses"],
  ["connect", "connected_us", "until the connection took the first byte of the request"],
  ["request", "request_written_us", "until it took the last one"],
  ["wait", "first_byte_us", "until the first byte of an answer was read"],
  ["first token", "first_event_us", "until the first event that says something was passed on"],
  ["stream", null, "from there to the end"],
];

// The phases of an exchange that has lasted `total` microseconds: [{ name, title, from, to }], those it came to.
export function phases(row, total) {
  const found = [];
  let from = 0;
  for (const [name, member, title] of PHASES) {
    const end = member === null ? total : row[member];
    const open = end === null || end === undefined;
    // What is not over goes on until now; a phase that was never begun is left out.
    const later = PHASES.some(([, other]) => other && other !== member && order(other) > order(member) && row[other] !== null && row[other] !== undefined);
    if (open && later) continue;
    const to = Math.max(open ? total : end, from);
    found.push({ name, title, from, to });
    if (open) break;
    from = to;
  }
  return found;
}

const order = (member) => PHASES.findIndex(([, one]) => one === member);

export class PhaseBar {
  constructor() {
    this.parts = PHASES.map(([name, , title]) => h("i", { class: `phase-${name.replace(" ", "-")}`, title }));
    this.list = PHASES.map(([name, , title]) => {
      const value = h("dd", {}, "–");
      return { term: h("dt", { class: `phase-${name.replace(" ", "-")}`, title }, name), value };
    });
    this.element = h("div", {},
      h("div", { class: "phases", "aria-hidden": "true" }, this.parts),
      h("dl", { class: "phase-list" }, this.list.map(({ term, value }) => h("div", {}, term, value))));
  }

  show(row, total) {
    const known = new Map(phases(row, total).map((phase) => [phase.name, phase]));
    PHASES.forEach(([name], index) => {
      const phase = known.get(name);
      width(this.parts[index], phase && total ? (phase.to - phase.from) / total : 0);
      this.parts[index].classList.toggle("none", !phase || phase.to === phase.from);
      put(this.list[index].value, phase ? time(phase.to - phase.from) : "–");
    });
  }
}

export class OwnerBar {
  constructor() {
    this.parts = OWNERS.map((owner) => h("i", { class: owner }));
    this.values = OWNERS.map(() => h("dd", {}, "–"));
    this.element = h("div", {},
      h("div", { class: "split", "aria-hidden": "true" }, this.parts),
      h("dl", { class: "legend" }, OWNERS.map((owner, index) => [h("dt", { class: owner }, owner), this.values[index]])));
  }

  // waited: microseconds by owner.
  show(waited) {
    const total = OWNERS.reduce((sum, owner) => sum + waited[owner], 0);
    OWNERS.forEach((owner, index) => {
      width(this.parts[index], total ? waited[owner] / total : 0);
      put(this.values[index], time(waited[owner]));
    });
  }
}

const [HEIGHT, TOP, FLOOR, RUG] = [190, 12, 128, 150];

// Tokens over time: a line that climbs, and a tick for each event. A gap is a level stretch, in the colour
// of whom was waited for.
export class TokenLine {
  constructor() {
    this.grid = svg("g", { class: "grid" });
    this.gaps = svg("g");
    this.guess = svg("path", { class: "line water guess" });
    this.line = svg("path", { class: "line water" });
    this.area = svg("path", { class: "area water" });
    this.rug = svg("path", { class: "rug" });
    this.picture = svg("svg", { class: "chart", height: HEIGHT, role: "img", "aria-label": "Tokens over time" },
      this.grid, this.gaps, this.area, this.guess, this.line, this.rug);
    this.element = h("div", {}, this.picture);
    new ResizeObserver(() => this.draw()).observe(this.picture);
  }

  // points: [[microseconds, events until then]]; gaps: [{ from, to, owner }]; from: what was before the first
  // point, as [microseconds, events]; total: microseconds.
  show(points, gaps, from, total) {
    this.told = { points, gaps, from, total };
    this.draw();
  }

  draw() {
    const wide = this.picture.clientWidth;
    if (!this.told || !wide) return;
    attribute(this.picture, "viewBox", `0 0 ${wide} ${HEIGHT}`);
    const { points, gaps, from, total } = this.told;
    const most = Math.max(points.at(-1)?.[1] ?? from?.at(-1)?.[1] ?? 1, 1);
    const x = (at) => 2 + (at / Math.max(total, 1)) * (wide - 4);
    const y = (value) => TOP + (1 - value / most) * (FLOOR - TOP);
    const at = ([micros, value]) => `${x(micros).toFixed(1)},${y(value).toFixed(1)}`;
    const steps = points.map((point, index) => index === 0 ? at(point) : `${x(point[0]).toFixed(1)},${y(points[index - 1][1]).toFixed(1)}L${at(point)}`);
    const end = points.length ? `L${x(total).toFixed(1)},${y(points.at(-1)[1]).toFixed(1)}` : "";
    attribute(this.line, "d", points.length ? `M${steps.join("L")}${end}` : null);
    attribute(this.area, "d", points.length ? `M${steps.join("L")}${end}V${FLOOR}H${x(points[0][0]).toFixed(1)}Z` : null);
    attribute(this.guess, "d", from?.length ? `M${from.map(at).join("L")}` : null);
    attribute(this.rug, "d", points.slice(-1500).map(([micros]) => `M${x(micros).toFixed(1)},${RUG - 12}V${RUG}`).join("") || null);
    this.gaps.replaceChildren(...gaps.map(({ from: start, to, owner }) =>
      svg("rect", { class: `gap ${owner}`, x: x(start).toFixed(1), y: TOP, width: Math.max(x(to) - x(start), 1).toFixed(1), height: RUG - TOP })));
    const marks = [0, 0.25, 0.5, 0.75, 1].map((share, index, all) => svg("text", {
      x: x(share * total), y: HEIGHT - 22, "text-anchor": index === 0 ? "start" : index === all.length - 1 ? "end" : "middle",
    }, time(share * total)));
    this.grid.replaceChildren(
      svg("line", { x1: 0, x2: wide, y1: FLOOR, y2: FLOOR }), svg("line", { x1: 0, x2: wide, y1: TOP, y2: TOP }),
      svg("text", { x: wide - 2, y: TOP - 2, "text-anchor": "end" }, `${count(most)} events`), ...marks);
  }
}
