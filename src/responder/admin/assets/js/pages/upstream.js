// One upstream: its endpoints, its history, the streams that it serves.

import { change, note, poll } from "../api.js";
import { Chart } from "../chart.js";
import { h, panel, put } from "../dom.js";
import { count, millis, percent, time, tokens } from "../format.js";
import { listen } from "../live.js";
import { rangeSwitch } from "../range.js";
import { Table } from "../table.js";
import { FEW_MODEL_COLUMNS, sums } from "./usage.js";
import { streamTable } from "./streams.js";

export const openUpstream = (row) => (location.hash = `#/upstream/${encodeURIComponent(row.name)}`);

const up = (upstream) => upstream.endpoints.filter((endpoint) => endpoint.up && !endpoint.draining).length;

// What there is to be said of an upstream in a row.
export const COLUMNS = [
  {
    name: "name", label: "Upstream", text: (row) => row.name, wide: true,
    node: (row, cell) => {
      const link = cell.firstChild ?? cell.appendChild(h("a", { href: `#/upstream/${encodeURIComponent(row.name)}` }));
      put(link, row.name);
    },
  },
  {
    name: "up", label: "Endpoints up", number: true, value: up,
    text: (row) => `${up(row)} of ${row.endpoints.length}`,
    mood: (row) => (up(row) < row.endpoints.length ? "late" : ""),
  },
  { name: "flight", label: "In flight", number: true, value: inFlight, text: (row) => count(inFlight(row)) },
  { name: "waiting", label: "Waiting", number: true, value: (row) => row.waiting, text: (row) => count(row.waiting + row.awaiting_model) },
  { name: "busy", label: "Connections", number: true, value: (row) => row.open, text: (row) => `${count(row.open)} (${count(row.idle)} idle)` },
  {
    name: "ttft", label: "First token", number: true, value: (row) => fastest(row), text: (row) => millis(fastest(row)),
    title: () => "of the endpoint that is fastest now",
  },
  { name: "state", label: "State", text: stateOf, mood: (row) => (stateOf(row) === "well" ? "good" : "late") },
];

function inFlight(upstream) {
  return upstream.endpoints.reduce((sum, endpoint) => sum + endpoint.in_flight, 0);
}

function fastest(upstream) {
  const times = upstream.endpoints.map((endpoint) => endpoint.ttft_ms).filter((time_) => time_ !== null);
  return times.length ? Math.min(...times) : null;
}

function stateOf(upstream) {
  if (upstream.server && upstream.server !== "up") return `server ${upstream.server}`;
  if (upstream.endpoints.length === 0) return "no endpoints";
  if (up(upstream) === 0) return "down";
  return up(upstream) < upstream.endpoints.length ? "partly down" : "well";
}

export function create({ parameters: [name = ""], signal }) {
  const facts = h("p", { class: "facts" });
  const told = h("div", { class: "sources" });
  const endpoints = new Table({
    label: "Endpoints", columns: endpointColumns(name), key: (row) => `${row.endpoint} ${row.address}`,
    sort: ["endpoint", false], empty: "No endpoints.", filter: false,
  });
  const streams = streamTable("No streams here now.");
  const models = new Table({
    label: "Models", columns: FEW_MODEL_COLUMNS, key: (row) => `${row.model_asked} ${row.model}`,
    sort: ["requests", true], empty: "Nothing has been asked of it.", filter: false,
  });
  const range = rangeSwitch(() => ask());
  const charts = makeCharts();
  const element = h("div", { class: "page" },
    h("div", { class: "page-head" },
      h("h1", {}, h("a", { href: "#/", class: "up" }, "Upstreams"), h("span", { class: "name" }, name)), range.element),
    facts, told,
    h("div", { class: "charts even" }, charts.all.map((chart) => chart.element)),
    panel("Endpoints", endpoints.element),
    panel("Live streams", streams.element),
    panel("Models since the start", models.element));

  signal.addEventListener("abort", listen((view) => {
    const upstream = view.upstreams.find((one) => one.name === name);
    put(facts, upstream ? describe(upstream) : "There is no upstream of this name now.");
    endpoints.show(upstream?.endpoints ?? []);
    streams.show(view.streams.filter((stream) => stream.upstream === name));
    showSources(told, (view.discovery ?? []).filter((source) => source.upstream === name));
  }));
  const show = (history) => { if (history) charts.show(history); };
  const ask = poll(() => `/history?range=${range.value}&upstream=${encodeURIComponent(name)}`, 2000, show, signal);
  poll("/usage", 5000, (usage) => {
    if (usage) models.show(sums(usage.series.filter((row) => row.upstream === name), (row) => [row.model_asked, row.model]));
  }, signal);
  return { title: name, within: "", element, keys: [...streams.keyList(), ...range.keys] };
}

function describe(upstream) {
  const words = [
    `${up(upstream)} of ${upstream.endpoints.length} endpoints up`,
    `${count(inFlight(upstream))} in flight`,
    `${count(upstream.waiting)} waiting`,
    `${count(upstream.open - upstream.idle)} connections busy, ${count(upstream.idle)} idle`,
  ];
  if (upstream.awaiting_model) words.push(`${count(upstream.awaiting_model)} wait for its model`);
  if (upstream.server) words.push(`its server is ${upstream.server}`);
  return words.join(" · ");
}

// Who tells the endpoints, how long ago, and what is wrong.
function showSources(container, sources) {
  container.replaceChildren(...sources.map((source) => {
    const words = [source.source];
    if (source.age_seconds !== null) words.push(`told ${count(source.age_seconds)} s ago`);
    if (source.doubted !== null) words.push(`doubted: it tells ${count(source.doubted)} endpoints`);
    if (source.paused) words.push(`${count(source.paused)} come and go`);
    if (source.error !== null) words.push(source.error);
    const bad = source.doubted !== null || source.error !== null;
    return h("p", { class: bad ? "late" : "quiet" }, words.join(" · "));
  }));
}

function endpointColumns(upstream) {
  return [
    { name: "endpoint", label: "Endpoint", text: (row) => row.endpoint, wide: true, title: (row) => row.address },
    { name: "state", label: "State", text: endpointState, mood: (row) => (row.up && !row.draining ? "good" : "late") },
    { name: "health", label: "Checked", text: (row) => (row.health === "unknown" ? "–" : row.health) },
    { name: "breaker", label: "Breaker", text: (row) => row.breaker ?? "–" },
    { name: "flight", label: "In flight", number: true, value: (row) => row.in_flight, text: (row) => count(row.in_flight) },
    { name: "weight", label: "Weight", number: true, value: (row) => row.weight, text: (row) => count(row.weight) },
    { name: "share", label: "Share", number: true, value: (row) => row.weight_share, text: (row) => percent(100 * row.weight_share) },
    { name: "ttft", label: "First token", number: true, value: (row) => row.ttft_ms, text: (row) => millis(row.ttft_ms) },
    {
      name: "act", label: "Drain or take back", plain: true, number: true,
      node: (row, cell) => {
        const button = cell.firstChild ?? cell.appendChild(h("button", { type: "button", class: "plain small" }));
        put(button, row.draining ? "Take back" : "Drain");
        button.onclick = () => drain(upstream, row, !row.draining, button);
      },
    },
  ];
}

function endpointState(endpoint) {
  if (endpoint.draining) return "draining";
  if (endpoint.loading) return "loading";
  return endpoint.up ? "up" : "out";
}

async function drain(upstream, { endpoint }, draining, button) {
  button.disabled = true;
  const answer = await change("PUT", "/endpoints", JSON.stringify({ upstream, endpoint, draining }));
  button.disabled = false;
  if (answer) note(draining ? `${endpoint} gets nothing new.` : `${endpoint} is taken back.`);
}

function makeCharts() {
  const rate = new Chart({
    title: "Tokens per second of ended answers", lines: [{ label: "tokens", class: "water", area: true }], least: 10,
    format: (value, at) => tokens(value, at !== undefined && rate.estimated?.[at] > 0),
  });
  const flight = new Chart({ title: "In flight", lines: [{ label: "at most", class: "client", area: true }], format: count, least: 4 });
  const first = new Chart({ title: "First token, mean", lines: [{ label: "mean", class: "water" }], format: time, bridge: 20 });
  const requests = new Chart({
    title: "Requests ended per second", format: count, least: 1, stacked: true, bars: true,
    lines: [{ label: "well", class: "water" }, { label: "failed", class: "gateway" }],
  });
  return {
    all: [rate, flight, requests, first],
    show({ series, step_seconds: step }) {
      const slots = step === 1 ? 300 : 360;
      rate.estimated = series.tokens_estimated;
      rate.show([series.tokens], step, slots);
      flight.show([series.in_flight], step, slots);
      requests.show([series.requests.map((all, index) => all - series.failed[index]), series.failed], step, slots);
      first.show([series.ttft_mean_us], step, slots);
    },
  };
}
