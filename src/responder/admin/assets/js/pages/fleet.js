// Fleet: the gateways that share a store, and how they share limits.

import { poll } from "../api.js";
import { h, panel, put } from "../dom.js";
import { clock, count, span, tokens } from "../format.js";
import { Table } from "../table.js";

const number = (name, label, value, text = (row) => count(value(row)), more = {}) => ({ name, label, number: true, value, text, ...more });
const seconds = (value) => (value === null || value === undefined ? "–" : span(1000 * value));

const MEMBERS = [
  { name: "name", label: "Gateway", text: (row) => (row.self ? `${row.name} (this one)` : row.name), wide: true, title: (row) => row.id },
  { name: "state", label: "State", text: (row) => (row.draining ? "draining" : "serving"), mood: (row) => (row.draining ? "late" : "good") },
  { name: "version", label: "Version", text: (row) => row.version ?? "–" },
  number("behind", "Configuration", (row) => row.revision_behind, revision, { mood: (row) => (row.revision_behind > 0 ? "late" : "") }),
  number("streams", "Streams", (row) => row.load?.streams),
  number("requests", "Requests/s", (row) => row.load?.requests_per_second),
  number("tokens", "Tokens/s", (row) => row.load?.tokens_per_second, (row) => tokens(row.load?.tokens_per_second, true)),
  number("mean", "To the mean", (row) => row.load?.against_mean, (row) => times(row.load?.against_mean), { mood: (row) => (row.load?.against_mean > 1.5 ? "late" : "") }),
  number("skew", "Fullest worker", (row) => row.workers?.skew, (row) => times(row.workers?.skew), { title: (row) => `${row.workers?.count ?? "?"} workers; streams of the fullest against the mean` }),
  number("clock", "Clock", (row) => row.clock?.ahead_seconds, clockText),
  number("said", "Last word", (row) => row.said_seconds_ago, (row) => (row.said_seconds_ago === undefined || row.said_seconds_ago === null ? "–" : `${seconds(row.said_seconds_ago)} ago`)),
  { name: "started", label: "Started", text: (row) => clock(row.started) },
  { name: "admin", label: "Admin address", text: (row) => row.admin ?? "–", wide: true },
];

function revision(row) {
  if (row.revision === null || row.revision === undefined) return `generation ${row.generation ?? "–"}`;
  const behind = row.revision_behind > 0 ? `, ${row.revision_behind} behind` : "";
  return `revision ${row.revision}${behind}`;
}

function times(value) {
  return value === null || value === undefined ? "–" : `${value.toFixed(2)} ×`;
}

function clockText(row) {
  if (!row.clock) return "–";
  return `${row.clock.ahead_seconds.toFixed(1)} ± ${row.clock.give_or_take_seconds.toFixed(1)} s`;
}

const LIMITS = [
  { name: "key", label: "Key", text: (row) => row.key, wide: true },
  { name: "of", label: "Limit of", text: (row) => row.limit_of },
  number("limit", "Limit of the fleet", (row) => row.limit),
  number("here", "In force here", (row) => row.in_force_here),
  number("held", "Held by all", (row) => row.held),
  number("demand", "Asked for by all", (row) => row.demand, undefined, { mood: (row) => (row.demand > row.limit ? "late" : "") }),
];

// Each share of a member, a row.
const SHARES = [
  { name: "key", label: "Key", text: (row) => row.key, wide: true },
  { name: "of", label: "Limit of", text: (row) => row.of },
  { name: "member", label: "Gateway", text: (row) => row.member, wide: true },
  number("share", "Share", (row) => row.share),
  number("demand", "Asks for", (row) => row.demand, undefined, { mood: (row) => (row.demand > row.share ? "late" : "") }),
];

function sharesOf(members) {
  return members.flatMap((member) => Object.entries(member.shares ?? {}).flatMap(([key, shares]) =>
    Object.entries(shares).map(([of, share]) => ({ key, of, member: member.name, share, demand: member.demand?.[key]?.[of] ?? null }))));
}

export function create({ signal }) {
  const facts = h("dl", { class: "facts-grid" });
  const warning = h("p", { class: "late", role: "status", hidden: true });
  const alone = h("section", { class: "panel", hidden: true },
    h("p", { class: "calm" }, "There is no fleet: this gateway stands for itself. With [fleet] in its configuration, gateways that share a store tell each other of themselves, and share the limits of keys."));
  const members = new Table({ label: "Gateways", columns: MEMBERS, key: (row) => row.id, sort: ["name", false], empty: "None has told of itself yet.", few: 8 });
  const limits = new Table({ label: "Limits", columns: LIMITS, key: (row) => `${row.key} ${row.limit_of}`, sort: ["key", false], empty: "No key has a limit that is shared.", few: 12 });
  const shares = new Table({ label: "Shares", columns: SHARES, key: (row) => `${row.key} ${row.of} ${row.member}`, sort: ["key", false], empty: "No share is held.", few: 12 });
  const parts = h("div", { class: "stack", hidden: true }, facts, warning,
    panel("Gateways", members.element), panel("Limits that are shared", limits.element), panel("Shares", shares.element));
  const element = h("div", { class: "page" }, h("div", { class: "page-head" }, h("h1", {}, "Fleet")), alone, parts);

  poll("/fleet", 2000, (fleet) => {
    const configured = fleet?.configured === true;
    alone.hidden = configured;
    parts.hidden = !configured;
    if (!configured) return;
    const told = [
      ["Store", fleet.store], ["Gateways", count(fleet.members.length)],
      ["Known as of", fleet.known_seconds_ago === null ? "nothing was read yet" : `${seconds(fleet.known_seconds_ago)} ago`],
      ["Reports last", seconds(fleet.ttl_seconds)],
    ];
    facts.replaceChildren(...told.map(([name, value]) => h("div", { class: name === "Store" ? "wide" : null }, h("dt", {}, name), h("dd", {}, value))));
    warning.hidden = !fleet.away && !fleet.settling;
    put(warning, fleet.away
      ? "The store does not answer: all below is what was known last."
      : fleet.settling ? "The fleet is settling: shares do not rise for a while." : "");
    members.show(fleet.members);
    limits.show(fleet.limits);
    shares.show(sharesOf(fleet.members));
  }, signal);
  return { title: "Fleet", element, keys: members.keyList() };
}
