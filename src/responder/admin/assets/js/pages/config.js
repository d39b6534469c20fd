// Configuration: what is in force, where it comes from, what became of the last reads.

import { authorized, change, get, note, poll, problem } from "../api.js";
import { classes, h, panel, put } from "../dom.js";
import { clock } from "../format.js";
import { Table } from "../table.js";

const LEVELS = ["off", "error", "warn", "info", "debug", "trace"];

export function create({ signal }) {
  const facts = h("dl", { class: "facts-grid" });
  const refused = h("section", { class: "panel refused", hidden: true });
  const text = h("pre", { class: "config", tabindex: 0, "aria-label": "The configuration in force" });
  const found = h("span", { class: "quiet" });
  const filter = h("input", { type: "search", class: "filter", placeholder: "Find  /", "aria-label": "Find in the configuration", oninput: () => mark() });
  const history = new Table({
    label: "History", key: (row) => `${row.number}`, sort: ["at", true], filter: false, empty: "Read once, at the start.",
    columns: [
      { name: "at", label: "Read", value: (row) => row.number, text: (row) => clock(row.at) },
      { name: "became", label: "Became", text: (row) => (row.generation === null ? "refused" : `generation ${row.generation}`), mood: (row) => (row.generation === null ? "late" : "good") },
      { name: "source", label: "From", text: (row) => row.source, wide: true },
      { name: "reasons", label: "Why", text: (row) => row.reasons.join("\n") || "–", prose: true },
    ],
  });
  const changes = new Table({
    label: "Changes of the store", key: (row) => `${row.number}`, sort: ["number", true], filter: false, empty: "Nobody has changed anything.",
    columns: [
      { name: "number", label: "Change", value: (row) => row.number, text: (row) => `${row.number}` },
      { name: "at", label: "At", value: (row) => row.at, text: (row) => clock(row.at) },
      { name: "by", label: "By", text: (row) => row.by, wide: true },
      { name: "changed", label: "Parts", text: (row) => row.changed.join("\n") || "–", wide: true },
      { name: "message", label: "Why", text: (row) => row.message || "–", prose: true },
      { name: "canary", label: "Tried first", wide: true, text: (row) => (row.canary ? `${row.canary.outcome} by ${row.canary.by}` : "–"), mood: (row) => (row.canary?.outcome === "stopped" ? "late" : null) },
    ],
  });
  const unread = h("p", { class: "late", hidden: true });
  const store = panel("Who has changed the store", unread, changes.element);
  store.hidden = true;
  const reload = h("button", { type: "button", class: "plain small", onclick: () => read() }, "Read it again");
  const level = h("select", { "aria-label": "Level of the log", onchange: () => setLevel() }, LEVELS.map((name) => h("option", {}, name)));
  const element = h("div", { class: "page" },
    h("div", { class: "page-head" }, h("h1", {}, "Configuration"),
      h("span", { class: "row-tools" }, h("label", { class: "quiet" }, "Log ", level), reload)),
    facts, refused,
    store,
    panel("Reads since the start", history.element),
    h("section", { class: "panel" },
      h("div", { class: "page-head" }, h("h2", {}, "In force, every default filled in; secrets are left out"), h("span", { class: "row-tools" }, found, filter)),
      text));

  let shown = null;
  let asked = null;
  let lines = [];
  const mark = () => {
    const word = filter.value.trim().toLowerCase();
    let hits = 0;
    let first = null;
    for (const { node, low } of lines) {
      const hit = word !== "" && low.includes(word);
      classes(node, hit ? "hit" : "");
      if (hit && !hits++) first = node;
    }
    put(found, word ? `${hits} lines` : "");
    first?.scrollIntoView({ block: "nearest" });
  };
  const showText = async () => {
    const told = await get("/config", signal);
    if (told === null) return;
    lines = told.split("\n").map((line) => ({ node: h("span", {}, line, "\n"), low: line.toLowerCase() }));
    text.replaceChildren(...lines.map(({ node }) => node));
    mark();
  };
  // Asked when the page is opened and when something was read, not all the time: it is the store's work.
  const showChanges = async () => {
    let [told, why] = [null, ""];
    try {
      const response = await fetch("/config/history", authorized({ signal }));
      if (response.ok) told = await response.json();
      else why = (await problem(response)).message;
    } catch (error) {
      return;
    }
    store.hidden = told !== null && told.store === null;
    unread.hidden = why === "";
    // That nobody has changed anything is not known then.
    changes.element.hidden = why !== "";
    put(unread, why);
    if (told) changes.show(told.changes);
  };
  const showState = (state) => {
    if (!state) return;
    const key = `${state.generation} ${state.since}`;
    if (key !== shown) { shown = key; showText(); }
    const reads = `${key} ${state.refused?.at} ${(state.history ?? []).map((row) => row.number)}`;
    if (reads !== asked) { asked = reads; showChanges(); }
    const told = [["Source", state.source], ["Generation", state.generation], ["In force since", clock(state.since)], ["What was read last", state.in_force ? "is in force" : "was refused"]];
    facts.replaceChildren(...told.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", { class: name === "What was read last" && !state.in_force ? "late" : null }, value))));
    refused.hidden = state.in_force;
    if (state.refused) {
      refused.replaceChildren(h("h2", {}, `Refused at ${clock(state.refused.at)}; generation ${state.generation} stays`),
        h("ul", {}, state.refused.reasons.map((reason) => h("li", {}, h("code", {}, reason)))));
    }
    history.show(state.history ?? []);
  };
  const ask = poll("/config/state", 3000, showState, signal);
  const read = async () => {
    const answer = await change("POST", "/reload");
    if (answer) note(`Generation ${(await answer.json()).generation} is in force.`);
    ask();
  };
  const setLevel = async () => {
    const answer = await change("PUT", "/loglevel", level.value);
    if (answer) note(`The log tells ${level.value}.`);
    showLevel();
  };
  const showLevel = async () => {
    const told = await get("/loglevel", signal);
    if (told !== null) level.value = told.trim();
  };
  showLevel();
  return { title: "Configuration", element, keys: [["/", "find in the text", () => filter.focus()]] };
}
