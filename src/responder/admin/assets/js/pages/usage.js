// Models and keys: what they were asked for since the start, and what it cost.

import { poll } from "../api.js";
import { h, panel, put } from "../dom.js";
import { clock, count, time, tokens } from "../format.js";
import { Table } from "../table.js";

const wasted = (row) => Object.values(row.tokens_wasted).reduce((sum, waste) => sum + waste.in + waste.out, 0);
const failed = (row) => Object.values(row.errors).reduce((sum, number) => sum + number, 0);
const told = (row) => [...Object.entries(row.errors), ...Object.entries(row.error_statuses ?? {})]
  .map(([name, number]) => `${name}: ${number}`).join("\n");
const number = (name, label, value, text = (row) => count(value(row)), more = {}) => ({ name, label, number: true, value, text, ...more });

const FIGURES = [
  number("requests", "Requests", (row) => row.requests),
  number("in", "Tokens in", (row) => row.tokens_in),
  number("cached", "cached", (row) => row.tokens_cached),
  number("out", "out", (row) => row.tokens_out, (row) => tokens(row.tokens_out, row.tokens_estimated > 0)),
  number("reasoning", "reasoning", (row) => row.tokens_reasoning),
  number("wasted", "Wasted", wasted),
  number("errors", "Errors", failed, (row) => count(failed(row)), { title: told, mood: (row) => (failed(row) > 0 ? "late" : "") }),
  number("ttft", "First token", (row) => row.ttft_ms, (row) => time(row.ttft_ms === null ? null : 1000 * row.ttft_ms)),
  number("per", "Per token", (row) => row.time_per_output_token_ms, (row) => time(row.time_per_output_token_ms === null ? null : 1000 * row.time_per_output_token_ms)),
  number("cost", "Cost", (row) => Number(row.cost), (row) => cost(row.cost)),
];

// Every digit adds up, and nobody reads more than six of them.
function cost(text) {
  const value = Number(text);
  return value === 0 ? "0" : value < 0.01 ? value.toPrecision(2) : value.toFixed(2);
}

export const MODEL_COLUMNS = [
  { name: "asked", label: "Asked", text: (row) => row.model_asked ?? "–", wide: true },
  { name: "model", label: "Answered", text: (row) => row.model ?? "–", wide: true },
  ...FIGURES,
];

export const FEW_MODEL_COLUMNS = MODEL_COLUMNS.filter(({ name }) => !["cached", "reasoning", "wasted"].includes(name));

const ADDED = ["requests", "streams", "tokens_in", "tokens_cached", "tokens_out", "tokens_reasoning", "tokens_estimated", "requests_unpriced"];

// Rows that have the same name become one: counts are added, means are weighed by what they are of.
export function sums(series, names) {
  const rows = new Map();
  for (const row of series) {
    const key = JSON.stringify(names(row));
    const known = rows.get(key);
    rows.set(key, known ? join(known, row) : row);
  }
  return [...rows.values()];
}

function join(one, other) {
  const made = { ...one };
  for (const name of ADDED) made[name] = one[name] + other[name];
  const weigh = (name, weight) => {
    const [left, right] = [one, other].map((row) => (row[name] === null ? 0 : weight(row)));
    made[name] = left + right === 0 ? null : ((one[name] ?? 0) * left + (other[name] ?? 0) * right) / (left + right);
  };
  weigh("ttft_ms", (row) => row.streams);
  weigh("time_per_output_token_ms", (row) => row.tokens_out);
  made.cost = String(Number(one.cost) + Number(other.cost));
  made.tokens_wasted = { ...one.tokens_wasted };
  for (const [reason, waste] of Object.entries(other.tokens_wasted)) {
    const before = made.tokens_wasted[reason] ?? { in: 0, out: 0 };
    made.tokens_wasted[reason] = { in: before.in + waste.in, out: before.out + waste.out };
  }
  for (const name of ["errors", "error_statuses"]) {
    made[name] = { ...one[name] };
    for (const [code, count_] of Object.entries(other[name] ?? {})) made[name][code] = (made[name][code] ?? 0) + count_;
  }
  return made;
}

export function create({ signal }) {
  const models = new Table({
    label: "Models", sort: ["requests", true], empty: "No model has been asked yet.",
    columns: [...MODEL_COLUMNS.slice(0, 2), { name: "upstream", label: "Upstream", text: (row) => row.upstream ?? "–", wide: true }, ...FIGURES],
    key: (row) => JSON.stringify([row.model_asked, row.model, row.upstream]),
  });
  const keys = new Table({
    label: "Keys", sort: ["requests", true], empty: "No request has come with a key.", filter: false,
    columns: [{ name: "key", label: "Key", text: (row) => row.key ?? "without a key", wide: true }, ...FIGURES],
    key: (row) => JSON.stringify(row.key),
  });
  const facts = h("p", { class: "facts quiet" });
  const element = h("div", { class: "page" },
    h("div", { class: "page-head" }, h("h1", {}, "Models and keys"), facts),
    panel("Models", models.element),
    panel("Keys", keys.element));
  poll("/usage", 2000, (usage) => {
    if (!usage) return;
    const money = usage.currency ? ` · costs in ${usage.currency}` : "";
    const unpriced = usage.total.requests_unpriced ? `, ${count(usage.total.requests_unpriced)} requests without a price` : "";
    const missed = usage.missed ? ` · ${count(usage.missed)} exchanges missed` : "";
    put(facts, `since ${clock(usage.since)} · ${count(usage.total.requests)} requests${money}${unpriced}${missed} · ≈ estimated`);
    models.show(sums(usage.series, (row) => [row.model_asked, row.model, row.upstream]));
    keys.show(sums(usage.series, (row) => row.key));
  }, signal);
  return { title: "Models and keys", element, keys: models.keyList() };
}
