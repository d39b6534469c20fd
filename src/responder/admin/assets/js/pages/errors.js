// Errors: how often each code, what it means, and who it happened to last.

import { get, poll } from "../api.js";
import { Chart } from "../chart.js";
import { h, panel, put } from "../dom.js";
import { clock, count } from "../format.js";
import { rangeSwitch } from "../range.js";
import { Table } from "../table.js";
import { exchangeTable } from "./streams.js";

const SHOWN = 5;
const COLOURS = ["gateway", "upstream", "client", "water", "violet", "other"];

export function create({ parameters: [chosen = null], signal }) {
  const codes = new Table({
    label: "Errors", key: (row) => row.code, sort: ["count", true], empty: "Nothing has failed since the start.", few: 8,
    open: (row) => (location.hash = `#/errors/${encodeURIComponent(row.code)}`),
    columns: [
      {
        name: "code", label: "Code", text: (row) => row.code,
        node: (row, cell) => {
          const link = cell.firstChild ?? cell.appendChild(h("a", { href: `#/errors/${encodeURIComponent(row.code)}` }));
          put(link, row.code);
        },
      },
      { name: "count", label: "Since the start", number: true, value: (row) => row.count, text: (row) => count(row.count) },
      { name: "recent", label: "In the range", number: true, value: (row) => row.recent, text: (row) => count(row.recent) },
      { name: "last", label: "Last", value: (row) => row.examples[0]?.time, text: (row) => (row.examples.length ? clock(row.examples[0].time) : "–") },
      { name: "hint", label: "What to do", text: (row) => row.hint, prose: true },
    ],
    row: (line, row) => line.classList.toggle("current", row.code === chosen),
  });
  const chart = h("div", { class: "charts one" });
  const detail = chosen ? new Detail(chosen, signal) : null;
  const range = rangeSwitch(() => ask());
  const element = h("div", { class: "page" },
    h("div", { class: "page-head" }, h("h1", {}, "Errors"), range.element),
    chart, detail?.element, panel("By code", codes.element));
  let known = null;
  let recent = {};
  const show = () => {
    if (!known) return;
    const rows = known.codes.map((row) => ({ ...row, recent: recent[row.code] ?? 0 }));
    codes.show(rows);
    detail?.show(rows.find((row) => row.code === chosen));
  };
  const ask = poll(() => `/history?range=${range.value}`, 2000, (history) => {
    if (!history) return;
    const step = history.step_seconds;
    const sum = (values) => Math.round(values.reduce((total, value) => total + value, 0) * step);
    recent = Object.fromEntries(Object.entries(history.codes).map(([code, values]) => [code, sum(values)]));
    draw(chart, history, recent);
    show();
  }, signal);
  poll("/errors", 2000, (errors) => { if (errors) { known = errors; show(); } }, signal);
  return { title: chosen ? `${chosen} · Errors` : "Errors", element, keys: [...codes.keyList(), ...range.keys] };
}

// The codes that were most frequent, on each other; the rest together.
function draw(container, { codes, step_seconds: step }, recent) {
  const names = Object.keys(recent).filter((code) => recent[code] > 0).sort((one, other) => recent[other] - recent[one]);
  const few = names.slice(0, SHOWN);
  const rest = names.slice(SHOWN);
  const wanted = [...few, ...(rest.length ? ["other codes"] : [])].join("\n");
  if (container.wanted !== wanted || !container.chart) {
    container.wanted = wanted;
    const lines = wanted ? wanted.split("\n").map((label, index) => ({ label, class: COLOURS[index] })) : [{ label: "no error", class: "water" }];
    container.chart = new Chart({ title: "Failures per second, by code", lines, stacked: true, bars: true, format: count, least: 1 });
    container.replaceChildren(container.chart.element);
  }
  const slots = step === 1 ? 300 : 360;
  const sum = rest.length ? [codes[rest[0]].map((_, index) => rest.reduce((total, code) => total + codes[code][index], 0))] : [];
  container.chart.show(few.length ? [...few.map((code) => codes[code]), ...sum] : [[]], step, slots);
}

// What is known of one code, and its last examples.
class Detail {
  constructor(code, signal) {
    this.text = h("div", { class: "explained" });
    this.examples = exchangeTable("Examples", "No exchange of this kind is kept: it was refused before it became one.", false);
    this.recordings = h("p", { class: "quiet" });
    this.element = h("section", { class: "panel" },
      h("div", { class: "page-head" }, h("h2", { class: "code" }, code), h("a", { href: "#/errors" }, "all codes")),
      this.text, h("h2", { class: "second" }, "The last exchanges that ended so"), this.examples.element, this.recordings);
    get("/recordings", signal).then((answer) => { this.kept = answer?.recordings ?? []; this.showRecordings(); });
  }

  show(row) {
    if (!row) return put(this.text, "This has not happened since the start.");
    if (row.explanation && !this.text.firstChild) this.text.append(...explained(row.explanation));
    this.examples.show(row.examples);
    this.names = new Set(row.examples.map((example) => example.request_id));
    this.showRecordings();
  }

  showRecordings() {
    if (!this.kept || !this.names) return;
    const here = this.kept.filter((recording) => this.names.has(recording.request_id));
    if (here.length === this.shown) return;
    this.shown = here.length;
    this.recordings.replaceChildren(...(here.length ? ["Recorded: ", here.map((recording) =>
      [h("a", { href: `/recordings/${encodeURIComponent(recording.id)}`, download: "" }, recording.request_id), " "])].flat(2) : []));
  }
}

// What `sluicegate explain` says: paragraphs with **marks** and `code`.
function explained(text) {
  const inline = (line) => line.split(/(\*\*[^*]+\*\*|`[^`]+`|\[[^\]]+\]\([^)]*\))/).filter(Boolean).map((part) => {
    if (part.startsWith("**")) return h("b", {}, part.slice(2, -2));
    if (part.startsWith("`")) return h("code", {}, part.slice(1, -1));
    return part.startsWith("[") ? part.slice(1, part.indexOf("](")) : part;
  });
  return text.split(/\n\n+/).filter((part) => !part.startsWith("**Hint")).map((part) => part.startsWith("```")
    ? h("pre", {}, part.replace(/^```\w*\n|\n?```$/g, ""))
    : h("p", {}, inline(part.replace(/\n/g, " "))));
}
