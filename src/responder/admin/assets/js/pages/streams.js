// Streams: those under way, and the exchanges that ended last.

import { change, note, poll } from "../api.js";
import { h, panel, put } from "../dom.js";
import { bytes, clock, count, span, time, tokens } from "../format.js";
import { listen } from "../live.js";
import { Table } from "../table.js";

const LATE_MS = 5000;

const openStream = (row) => (location.hash = `#/stream/${encodeURIComponent(row.id)}/${encodeURIComponent(row.request_id)}`);
export const openExchange = (row) => (location.hash = `#/stream/-/${encodeURIComponent(row.request_id)}`);

const place = (row) => (row.endpoint ? `${row.upstream} · ${row.endpoint}` : row.upstream ?? "–");
export const model = (row) => row.model ?? row.model_asked ?? "–";

const LIVE = [
  { name: "request", label: "Request", text: (row) => row.request_id, title: (row) => `${row.request_id}, ${row.route ?? "no route"}`, wide: true },
  { name: "client", label: "Client", text: (row) => (row.key ? `${row.client} · ${row.key}` : row.client), wide: true },
  { name: "model", label: "Model", text: model, wide: true },
  { name: "upstream", label: "Upstream", text: place, wide: true },
  { name: "phase", label: "Phase", text: (row) => row.phase },
  { name: "age", label: "Age", number: true, value: (row) => row.age_ms, text: (row) => span(row.age_ms) },
  { name: "tokens", label: "Tokens", number: true, value: (row) => row.tokens ?? -1, text: (row) => (row.tokens === null ? "–" : tokens(row.tokens, row.tokens_estimated)) },
  {
    name: "gap", label: "Gap", number: true, value: (row) => row.gap_ms, text: (row) => span(row.gap_ms),
    mood: (row) => (row.gap_ms > LATE_MS ? "late" : ""),
  },
  { name: "waits", label: "Waits for", text: (row) => row.waits_for, mood: (row) => `owner ${row.waits_for}` },
  { name: "buffered", label: "Buffered", number: true, value: (row) => row.buffered_bytes, text: (row) => bytes(row.buffered_bytes) },
  {
    name: "kill", label: "End it", plain: true, number: true,
    node: (row, cell) => {
      if (cell.firstChild) return;
      const button = h("button", { type: "button", class: "kill", onclick: () => kill(row.id, button) }, "End");
      cell.append(button);
    },
  },
];

// A table of streams under way.
export function streamTable(empty) {
  return new Table({ label: "Live streams", columns: LIVE, key: (row) => row.id, open: openStream, sort: ["age", true], empty });
}

const OVER = [
  { name: "time", label: "Ended", value: (row) => row.time, text: (row) => clock(row.time) },
  { name: "request", label: "Request", text: (row) => row.request_id, wide: true },
  { name: "model", label: "Model", text: model, wide: true },
  { name: "upstream", label: "Upstream", text: place, wide: true },
  { name: "status", label: "Status", number: true, value: (row) => row.status, text: (row) => row.status, mood: (row) => (row.status >= 400 ? "late" : "") },
  { name: "end", label: "End", text: (row) => row.end, mood: (row) => (["complete", "unobserved"].includes(row.end) ? "" : "late") },
  { name: "tokens", label: "Tokens", number: true, value: (row) => row.tokens_out, text: (row) => tokens(row.tokens_out, row.tokens_estimated) },
  { name: "first", label: "First token", number: true, value: firstToken, text: (row) => time(firstToken(row)) },
  { name: "total", label: "Took", number: true, value: (row) => row.total_us, text: (row) => time(row.total_us) },
];

export function firstToken(row) {
  return row.first_event_us === undefined ? null : row.first_event_us - (row.request_written_us ?? 0);
}

// A table of exchanges that have ended.
export function exchangeTable(label, empty, filter = true) {
  const name = (row) => `${row.time} ${row.request_id} ${row.total_us}`;
  return new Table({ label, columns: OVER, key: name, open: openExchange, sort: ["time", true], empty, filter, most: 60 });
}

export function create({ signal }) {
  const streams = streamTable("No streams. All calm.");
  const over = exchangeTable("Ended last", "Nothing has ended yet.");
  const active = h("span", { class: "quiet" });
  const element = h("div", { class: "page" },
    h("div", { class: "page-head" }, h("h1", {}, "Streams"), active),
    panel("Live", streams.element),
    panel("Ended last", over.element));
  signal.addEventListener("abort", listen((view) => {
    streams.show(view.streams);
    const few = view.streams.length < view.active ? `, ${view.streams.length} shown` : "";
    put(active, `${count(view.active)} under way${few}`);
  }));
  poll("/exchanges", 2000, (answer) => { if (answer) over.show(answer.exchanges); }, signal);
  return { title: "Streams", element, keys: [...streams.keyList(), ["x", "end the stream of the row", () => endChosen(streams)]] };
}

function endChosen(table) {
  const line = table.body.known?.get(table.chosen);
  line?.querySelector("button.kill")?.click();
}

export async function kill(id, button) {
  button.disabled = true;
  const answer = await change("DELETE", `/streams/${encodeURIComponent(id)}`);
  button.disabled = false;
  if (answer) note("The stream was ended.");
}
