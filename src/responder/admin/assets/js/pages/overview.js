// Overview: how the gateway stands now, and how it got there.

import { poll } from "../api.js";
import { Chart } from "../chart.js";
import { bar, classes, h, keyed, panel, put, width } from "../dom.js";
import { OWNERS, count, percent, time, timeParts, tokens } from "../format.js";
import { listen } from "../live.js";
import { Table } from "../table.js";
import { COLUMNS, openUpstream } from "./upstream.js";
import { rangeSwitch } from "../range.js";

export function create({ signal }) {
  const tiles = makeTiles();
  const charts = makeCharts();
  const upstreams = new Table({
    label: "Upstreams", columns: COLUMNS, key: (row) => row.name, open: openUpstream,
    sort: ["name", false], empty: "No upstream is configured.", few: 8,
  });
  const workers = h("div", { class: "workers" });
  const owners = makeOwners();
  const range = rangeSwitch(() => ask());
  const element = h("div", { class: "page" },
    h("div", { class: "page-head" }, h("h1", {}, "Overview"), range.element),
    tiles.element,
    h("div", { class: "charts" }, charts.all.map((chart) => chart.element)),
    h("div", { class: "columns" },
      panel("Workers", workers),
      panel("Who streams have waited for, last 10 s", owners.waited),
      panel("Failed since the start, by who is to blame", owners.failed)),
    panel("Upstreams", upstreams.element));

  signal.addEventListener("abort", listen((view) => {
    tiles.show(view);
    owners.show(view);
    showWorkers(workers, view.workers);
    upstreams.show(view.upstreams);
  }));
  const show = (history) => { if (history) { charts.show(history); tiles.past(history); } };
  const ask = poll(() => `/history?range=${range.value}`, 2000, show, signal);
  return { title: "Overview", element, keys: [...upstreams.keyList(), ...range.keys] };
}

function tile(title) {
  const figure = h("p", { class: "figure" }, "–");
  const detail = [h("p", { class: "quiet" }, "\u00a0"), h("p", { class: "quiet" }, "\u00a0")];
  return { element: h("article", { class: "tile" }, h("h2", {}, title), figure, detail), figure, detail };
}

function figure(node, value, unit = "") {
  put(node.firstChild?.nodeType === 3 ? node.firstChild : node.appendChild(document.createTextNode("")), value);
  let small = node.querySelector("small");
  if (!small) node.append((small = h("small", {})));
  put(small, unit);
}

function makeTiles() {
  const rate = tile("Tokens per second");
  const streams = tile("Streams");
  const times = [["ttft", "First token"], ["itl", "Between tokens"], ["lag", "Loop lag"]].map(([name, title]) => [name, tile(title)]);
  const failed = tile("Failed, last 5 min");
  const element = h("section", { class: "tiles", "aria-label": "Now" },
    [rate, streams, ...times.map(([, one]) => one), failed].map((one) => one.element));
  return {
    element,
    show(view) {
      figure(rate.figure, tokens(view.tokens_per_second, view.tokens_per_second_estimated));
      put(rate.detail[0], `${count(view.events_per_second)} events/s`);
      put(rate.detail[1], view.tokens_per_second_estimated ? "≈ partly from events" : "as servers tell");
      figure(streams.figure, count(view.active));
      put(streams.detail[0], `${count(view.exchanges_per_second)} requests/s`);
      put(streams.detail[1], `${count(view.clients)} connections`);
      for (const [name, { figure: node, detail }] of times) {
        figure(node, ...timeParts(view[name].p50));
        put(detail[0], `p90 ${time(view[name].p90)}`);
        put(detail[1], `p99 ${time(view[name].p99)}${view[name].recent ? "" : ", since start"}`);
      }
    },
    past(history) {
      const seconds = 300 / history.step_seconds;
      const recent = (name) => (history.series[name] ?? []).slice(-seconds);
      const sum = (name) => recent(name).reduce((total, value) => total + value * history.step_seconds, 0);
      const faults = OWNERS.map((owner) => Math.round(sum(`failed_${owner}`)));
      figure(failed.figure, count(faults.reduce((total, one) => total + one, 0)));
      put(failed.detail[0], `of ${count(Math.round(sum("exchanges")))} requests`);
      put(failed.detail[1], OWNERS.map((owner, index) => faults[index] ? `${count(faults[index])} ${owner}` : null).filter(Boolean).join(", ") || "\u00a0");
    },
  };
}

function makeCharts() {
  const owners = OWNERS.map((owner) => ({ name: owner, label: owner, class: owner }));
  const rate = new Chart({
    title: "Tokens per second", lines: [{ label: "tokens", class: "water", area: true }], least: 10,
    format: (value, at) => tokens(value, at !== undefined && rate.estimated?.[at] > 0),
  });
  const active = new Chart({ title: "Exchanges under way", lines: [{ label: "at most", class: "client", area: true }], format: count, least: 4 });
  const first = new Chart({ title: "First token", lines: [{ label: "p50", class: "water" }, { label: "p99", class: "upstream" }], format: time, bridge: 20 });
  const between = new Chart({ title: "Between tokens", lines: [{ label: "p50", class: "water" }, { label: "p99", class: "upstream" }], format: time, bridge: 5 });
  const failed = new Chart({ title: "Failures per second, by who is to blame", lines: owners, stacked: true, bars: true, format: count, least: 1 });
  const waited = new Chart({
    title: "Waited for, seconds a second", lines: owners, stacked: true,
    format: (value) => value < 10 ? value.toFixed(2) : count(value),
  });
  return {
    all: [rate, active, first, between, failed, waited],
    show({ series, step_seconds: step }) {
      const slots = step === 1 ? 300 : 360;
      rate.estimated = series.tokens_estimated;
      rate.show([series.tokens], step, slots);
      active.show([series.active], step, slots);
      first.show([series.ttft_p50_us, series.ttft_p99_us], step, slots);
      between.show([series.itl_p50_us, series.itl_p99_us], step, slots);
      failed.show(OWNERS.map((owner) => series[`failed_${owner}`]), step, slots);
      waited.show(OWNERS.map((owner) => series[`waited_${owner}_ms`].map((ms) => ms / 1000)), step, slots);
    },
  };
}

function makeOwners() {
  const parts = OWNERS.map((owner) => h("i", { class: owner }));
  const legend = () => OWNERS.map((owner) => [h("dt", { class: owner }, owner), h("dd", {}, "–")]);
  const [waited, failed] = [legend(), legend()];
  return {
    waited: h("div", {}, h("div", { class: "split", "aria-hidden": "true" }, parts), h("dl", { class: "legend" }, waited)),
    failed: h("dl", { class: "legend" }, failed),
    show(view) {
      const total = OWNERS.reduce((sum, owner) => sum + view.waited_ms[owner], 0);
      OWNERS.forEach((owner, index) => {
        const share = total ? view.waited_ms[owner] / total : 0;
        width(parts[index], share);
        put(waited[index][1], percent(100 * share));
        put(failed[index][1], count(view.faults[owner]));
      });
    },
  };
}

function showWorkers(container, workers) {
  const most = Math.max(...workers.map((worker) => worker.active), 1);
  keyed(container, workers, (worker) => worker.worker, () => {
    const cells = [h("span", { class: "quiet" }), bar(0), h("span", { class: "quiet number" }), h("span", { class: "quiet number" })];
    return h("div", { class: "worker" }, cells);
  }, (line, worker) => {
    const [name, length, streams, rate] = line.children;
    put(name, worker.worker);
    width(length.firstChild, worker.active / most);
    put(streams, worker.answered ? `${count(worker.active)} streams` : "does not answer");
    put(rate, `${tokens(worker.tokens_per_second, worker.tokens_estimated)} tok/s`);
    classes(line, worker.answered ? "worker" : "worker silent");
  });
}
