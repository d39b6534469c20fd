// The dashboard: pages by the fragment of the address, each a module; the live view feeds them all.

import { get, note } from "./api.js";
import { h, put } from "./dom.js";
import { span } from "./format.js";
import { always, forPage, known, onKey } from "./keys.js";
import { follow, live } from "./live.js";
import * as config from "./pages/config.js";
import * as errors from "./pages/errors.js";
import * as fleet from "./pages/fleet.js";
import * as overview from "./pages/overview.js";
import * as playground from "./pages/playground.js";
import * as stream from "./pages/stream.js";
import * as streams from "./pages/streams.js";
import * as upstream from "./pages/upstream.js";
import * as usage from "./pages/usage.js";

const $ = (id) => document.getElementById(id);

// In the order of the list: [path, module, name, key]. Without a name it is reached from another page.
const PAGES = [
  ["", overview, "Overview", "o"],
  ["streams", streams, "Streams", "s"],
  ["errors", errors, "Errors", "e"],
  ["models", usage, "Models and keys", "m"],
  ["config", config, "Configuration", "c"],
  ["fleet", fleet, "Fleet", "f"],
  ["playground", playground, "Playground", "p"],
  ["upstream", upstream],
  ["stream", stream],
];

let shown = null;

function route() {
  const path = location.hash.startsWith("#/") ? location.hash.slice(2) : "";
  const [name, ...rest] = path.split("/");
  const page = PAGES.find(([known_]) => known_ === name) ?? PAGES[0];
  shown?.leave.abort();
  const leave = new AbortController();
  const parameters = rest.map(decode);
  const made = page[1].create({ parameters, signal: leave.signal });
  shown = { leave };
  $("main").replaceChildren(made.element);
  forPage(made.keys ?? []);
  document.title = title(made.title);
  shown.title = made.title;
  for (const link of $("nav").children) {
    const current = link.dataset.page === (page[2] ? page[0] : made.within ?? "");
    if (current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  showCurrent();
  scrollTo(0, 0);
}

// On a phone the list of pages is wider than the screen.
function showCurrent() {
  document.querySelector("#nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    return text;
  }
}

function title(name) {
  const state = live.state === "serving" ? "" : `${live.state} · `;
  return `${state}${name} · Sluicegate`;
}

function showState(text, mood, why) {
  put($("state"), text);
  $("state").className = `pill ${mood}`;
  const view = live.view;
  if (view) put($("uptime"), `up ${span(view.uptime_seconds * 1000)} · ${view.version}`);
  document.title = title(shown?.title ?? "");
  if (why) note(why);
}

// ---- light and dark ----

const THEMES = ["auto", "light", "dark"];

function theme(step) {
  const now = document.documentElement.dataset.theme ?? "auto";
  const next = THEMES[(THEMES.indexOf(now) + step) % THEMES.length];
  if (next === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    if (next === "auto") localStorage.removeItem("theme");
    else localStorage.setItem("theme", next);
  } catch (error) {
    // It holds for this page, then.
  }
  put($("theme").querySelector("span"), next);
}

function help() {
  const keys = known().map(([key, told]) => [h("dt", {}, key.split(" ").map((one) => h("kbd", {}, one))), h("dd", {}, told)]);
  $("key-list").replaceChildren(...keys.flat());
  $("keys").showModal();
}

function begin() {
  const links = PAGES.filter(([, , name]) => name).map(([path, , name, key]) =>
    h("a", { href: `#/${path}`, "data-page": path, title: `g ${key}` }, name));
  $("nav").replaceChildren(...links);
  // It is off unless the configuration asks for it.
  const play = links.find((link) => link.dataset.page === "playground");
  play.hidden = true;
  get("/playground").then((told) => {
    play.hidden = !told?.playground;
    showCurrent();
  });
  always([
    ...PAGES.filter(([, , name]) => name).map(([path, , name, key]) => [`g ${key}`, name, () => (location.hash = `#/${path}`)]),
    ["t", "light, dark, or as the system has it", () => theme(1)],
    ["?", "this list", help],
  ]);
  $("theme").addEventListener("click", () => theme(1));
  $("help").addEventListener("click", help);
  theme(0);
  addEventListener("hashchange", route);
  addEventListener("keydown", onKey);
  route();
  follow(showState);
}

begin();
