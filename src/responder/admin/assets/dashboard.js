// The dashboard: one event a second from /events, put where it belongs.
"use strict";

const $ = (id) => document.getElementById(id);
const OWNERS = ["upstream", "client", "gateway"];
const SECONDS_SHOWN = 90;
const LATE_MS = 5000;

// The token comes in the fragment, which no server sees, and stays in this tab.
const fragment = new URLSearchParams(location.hash.slice(1));
if (fragment.has("token")) {
  sessionStorage.setItem("token", fragment.get("token"));
  history.replaceState(null, "", location.pathname);
}

function authorized(options = {}) {
  const token = sessionStorage.getItem("token");
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  return { cache: "no-store", ...options, headers };
}

// ---- the feed ----

async function follow() {
  let pause = 500;
  for (;;) {
    try {
      const response = await fetch("/events", authorized());
      if (response.status === 401 || response.status === 403) {
        if (!(await askForToken((await problem(response)).message))) return setState("locked", "bad");
        continue;
      }
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      pause = 500;
      await read(response.body.getReader());
    } catch (error) {
      // Told by the state; the next attempt tells more.
    }
    setState("not connected", "bad");
    await new Promise((done) => setTimeout(done, pause));
    pause = Math.min(2 * pause, 8000);
  }
}

async function read(reader) {
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += decoder.decode(value, { stream: true });
    const events = text.split("\n\n");
    text = events.pop();
    for (const event of events) {
      if (event.startsWith("data: ")) show(JSON.parse(event.slice(6)));
    }
  }
}

async function problem(response) {
  try {
    return (await response.json()).error;
  } catch (error) {
    return { message: `HTTP ${response.status}` };
  }
}

// ---- what is shown ----

const history_ = [];

function show(view) {
  setState(view.ready ? "serving" : "draining", view.ready ? "good" : "bad");
  $("uptime").textContent = `up ${span(view.uptime_seconds * 1000)} · ${view.version}`;
  figure("tokens", tokens(view.tokens_per_second, view.tokens_per_second_estimated));
  $("events").textContent = count(view.events_per_second);
  figure("active", count(view.active));
  $("clients").textContent = count(view.clients);
  $("rate").textContent = count(view.exchanges_per_second);
  for (const name of ["ttft", "itl", "lag"]) {
    figure(`${name}-p50`, time(view[name].p50));
    $(`${name}-p90`).textContent = time(view[name].p90).join(" ");
    $(`${name}-p99`).textContent = time(view[name].p99).join(" ");
    $(`${name}-when`).textContent = view[name].recent ? "" : "since start";
  }
  history_.push(view.tokens_per_second);
  if (history_.length > SECONDS_SHOWN) history_.shift();
  drawFlow();
  showWorkers(view.workers);
  showOwners(view);
  showUpstreams(view.upstreams, view.discovery);
  showStreams(view.streams, view.active);
}

// Events stand for tokens where no server has told how many they were, and are marked.
function tokens(number, estimated) {
  return `${estimated ? "~" : ""}${count(number)}`;
}

function setState(text, mood) {
  const state = $("state");
  state.textContent = text;
  state.className = `pill ${mood}`;
  document.title = text === "serving" ? "Sluicegate" : `${text} · Sluicegate`;
}

function figure(id, parts) {
  const [value, unit] = Array.isArray(parts) ? parts : [parts, ""];
  const small = element("small", {}, unit);
  $(id).replaceChildren(value, ...(unit ? [small] : []));
}

function drawFlow() {
  const top = Math.max(...history_, 1);
  const step = 300 / (SECONDS_SHOWN - 1);
  const start = 300 - (history_.length - 1) * step;
  const points = history_.map((value, index) => {
    const y = 53 - (value / top) * 46;
    return `${(start + index * step).toFixed(1)},${y.toFixed(1)}`;
  });
  const line = `M${points.join("L")}`;
  $("flow").querySelector(".line").setAttribute("d", line);
  $("flow").querySelector(".area").setAttribute("d", `${line}L300,56L${start.toFixed(1)},56Z`);
}

function showWorkers(workers) {
  const most = Math.max(...workers.map((worker) => worker.active), 1);
  $("workers").replaceChildren(
    ...workers.map((worker) => {
      const told = worker.answered ? "" : " · does not answer";
      const text = `${count(worker.active)} streams · ${tokens(worker.tokens_per_second, worker.tokens_estimated)} tokens/s${told}`;
      return element("div", { class: worker.answered ? "row" : "row silent" },
        element("span", { class: "quiet" }, worker.worker),
        bar(worker.active / most),
        element("span", { class: "quiet" }, text));
    }),
  );
}

function showOwners(view) {
  const waited = view.waited_ms;
  const total = OWNERS.reduce((sum, owner) => sum + waited[owner], 0);
  const share = (owner) => (total ? (100 * waited[owner]) / total : 0);
  $("owners").replaceChildren(
    ...OWNERS.filter((owner) => waited[owner] > 0).map((owner) => {
      const part = element("i", { class: owner });
      part.style.width = `${share(owner)}%`;
      return part;
    }),
  );
  legend("owner-legend", OWNERS.map((owner) => [owner, percent(share(owner))]));
  legend("faults", OWNERS.map((owner) => [owner, count(view.faults[owner])]));
}

function legend(id, rows) {
  $(id).replaceChildren(
    ...rows.flatMap(([owner, value]) => [
      element("dt", { class: owner }, owner),
      element("dd", {}, value),
    ]),
  );
}

function showUpstreams(upstreams, discovery) {
  $("upstreams").replaceChildren(
    ...upstreams.map((upstream) => {
      const most = Math.max(...upstream.endpoints.map((endpoint) => endpoint.in_flight), 1);
      const waiting = upstream.waiting ? ` · ${count(upstream.waiting)} waiting` : "";
      return element("div", { class: "group" },
        element("h3", {}, element("span", {}, upstream.name),
          element("span", { class: "quiet" },
            `${count(upstream.open - upstream.idle)} busy · ${count(upstream.idle)} idle${waiting}`)),
        ...(discovery ?? []).filter((source) => source.upstream === upstream.name).map(sourceLine),
        ...upstream.endpoints.map((endpoint) =>
          element("div", { class: endpoint.up ? "row" : "row out" },
            element("span", { class: "place" }, endpoint.endpoint),
            bar(endpoint.in_flight / most),
            element("span", { class: "quiet" }, `${count(endpoint.in_flight)} in flight`),
            element("span", { class: "quiet detail" }, endpointState(endpoint)))));
    }),
  );
}

// Who tells the endpoints of an upstream, how long ago, and what is wrong.
function sourceLine(source) {
  const words = [source.source];
  if (source.age_seconds !== null) words.push(`told ${count(source.age_seconds)} s ago`);
  if (source.doubted !== null) words.push(`doubted: it tells ${count(source.doubted)} endpoints`);
  if (source.paused) words.push(`${count(source.paused)} come and go`);
  if (source.error !== null) words.push(source.error);
  const bad = source.doubted !== null || source.error !== null;
  return element("div", { class: bad ? "row out" : "row" },
    element("span", { class: "quiet detail" }, words.join(" · ")));
}

// What an endpoint is like, in a few words.
function endpointState(endpoint) {
  const words = [endpoint.up ? "up" : "out"];
  if (endpoint.draining) words.push("draining");
  if (endpoint.health !== "unknown") words.push(`checked: ${endpoint.health}`);
  if (endpoint.breaker) words.push(`breaker ${endpoint.breaker}`);
  if (endpoint.ttft_ms !== null) words.push(`first token ${span(endpoint.ttft_ms)}`);
  return words.join(" · ");
}

// Rows are kept while their stream lives, so that a button does not move from under a finger.
const rows = new Map();

function showStreams(streams, active) {
  const seen = new Set();
  const body = $("streams");
  streams.forEach((stream, index) => {
    seen.add(stream.id);
    let row = rows.get(stream.id);
    if (!row) rows.set(stream.id, (row = streamRow(stream.id)));
    fill(row, stream);
    if (body.children[index] !== row) body.insertBefore(row, body.children[index] ?? null);
  });
  for (const [id, row] of rows) {
    if (!seen.has(id)) {
      row.remove();
      rows.delete(id);
    }
  }
  $("calm").hidden = streams.length > 0;
  $("shown").textContent = streams.length < active ? `${streams.length} of ${count(active)}` : "";
}

const CELLS = ["", "", "", "", "age", "tokens", "gap", "waits for", "buffered", ""];

function streamRow(id) {
  const cells = CELLS.map((name, index) => {
    const classes = [4, 5, 6, 8].includes(index) ? "number" : index === 0 ? "id" : "";
    return element("td", { class: classes, "data-name": name });
  });
  const button = element("button", { class: "kill", type: "button", "data-id": id }, "Kill");
  button.addEventListener("click", () => kill(id, button));
  cells[9].append(button);
  return element("tr", {}, ...cells);
}

function fill(row, stream) {
  const cells = row.children;
  const put = (index, text) => {
    if (cells[index].textContent !== text) cells[index].textContent = text;
  };
  put(0, stream.request_id);
  cells[0].title = `${stream.request_id}, ${stream.route ?? "no route"}`;
  put(1, stream.client);
  put(2, stream.endpoint ? `${stream.upstream} · ${stream.endpoint}` : "–");
  put(3, stream.phase);
  put(4, span(stream.age_ms));
  put(5, stream.tokens === null ? "–" : tokens(stream.tokens, stream.tokens_estimated));
  put(6, span(stream.gap_ms));
  put(7, stream.waits_for);
  cells[6].className = stream.gap_ms > LATE_MS ? "number late" : "number";
  cells[7].className = `owner ${stream.waits_for}`;
  put(8, bytes(stream.buffered_bytes));
}

// ---- what it has cost ----

const MODELS_SHOWN = 50;
const USAGE_EVERY_MS = 5000;

async function followUsage() {
  for (;;) {
    try {
      const response = await fetch("/usage", authorized());
      if (response.ok) showModels(await response.json());
    } catch (error) {
      // The state tells that nobody is there.
    }
    await new Promise((done) => setTimeout(done, USAGE_EVERY_MS));
  }
}

// Those with the most requests; what is left of a name is in the row of its route.
function showModels(usage) {
  const rows = [...usage.series].sort((one, other) => other.requests - one.requests);
  const more = rows.length > MODELS_SHOWN ? `, ${MODELS_SHOWN} of ${count(rows.length)}` : "";
  $("models-panel").hidden = rows.length === 0;
  $("since").textContent = `since ${usage.since.slice(0, 16).replace("T", " ")}${more}`;
  $("cost-head").textContent = usage.currency ? `Cost, ${usage.currency}` : "Cost";
  $("models").replaceChildren(...rows.slice(0, MODELS_SHOWN).map(modelRow));
}

function modelRow(row) {
  const wasted = Object.values(row.tokens_wasted).reduce((sum, waste) => sum + waste.in + waste.out, 0);
  const errors = Object.entries(row.errors);
  const statuses = Object.entries(row.error_statuses ?? {});
  const failed = errors.reduce((sum, [, number]) => sum + number, 0);
  const millis = (value) => (value === null ? "–" : time(Math.round(1000 * value)).join(" "));
  const texts = [row.model_asked ?? "–", row.model ?? "–", row.upstream ?? "–"];
  const numbers = [
    count(row.requests), count(row.tokens_in), count(row.tokens_cached),
    tokens(row.tokens_out, row.tokens_estimated > 0), count(row.tokens_reasoning),
    count(wasted), count(failed), millis(row.ttft_ms), millis(row.time_per_output_token_ms), row.cost,
  ];
  const line = element("tr", { title: row.route ?? "no route" },
    ...texts.map((text) => element("td", {}, text)),
    ...numbers.map((text) => element("td", { class: "number" }, text)));
  const told = [...errors, ...statuses].map(([name, number]) => `${name}: ${number}`);
  line.children[9].title = told.join("\n");
  return line;
}

// ---- what can be done ----

async function kill(id, button) {
  button.disabled = true;
  const response = await fetch(`/streams/${id}`, authorized({ method: "DELETE" }));
  if (response.ok) return note("The stream was ended.");
  const { code, message } = await problem(response);
  button.disabled = false;
  if (code === "token_missing" || code === "token_wrong") {
    if (await askForToken()) kill(id, button);
    return;
  }
  note(message);
}

function askForToken(why) {
  const dialog = $("ask");
  if (why) $("ask-why").textContent = why;
  $("token").value = "";
  dialog.showModal();
  return new Promise((answer) => {
    dialog.onclose = () => {
      const given = dialog.returnValue === "ok" && $("token").value !== "";
      if (given) sessionStorage.setItem("token", $("token").value.trim());
      dialog.returnValue = "";
      answer(given);
    };
  });
}

let noteTimer;

function note(text) {
  $("note").textContent = text;
  $("note").hidden = false;
  clearTimeout(noteTimer);
  noteTimer = setTimeout(() => ($("note").hidden = true), 4000);
}

// ---- words ----

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return made;
}

function bar(share) {
  const inner = element("i", {});
  inner.style.width = `${Math.round(100 * share)}%`;
  return element("div", { class: "bar" }, inner);
}

function count(value) {
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)} k`;
  return value >= 100 ? String(Math.round(value)) : String(Math.round(value * 10) / 10);
}

function percent(share) {
  if (share > 0 && share < 0.1) return "< 0.1 %";
  return `${share.toFixed(share < 10 ? 1 : 0)} %`;
}

// Microseconds as [value, unit].
function time(micros) {
  if (micros === null || micros === undefined) return ["–", ""];
  if (micros < 1000) return [String(micros), "µs"];
  if (micros < 1e6) return [(micros / 1e3).toPrecision(3), "ms"];
  return [(micros / 1e6).toPrecision(3), "s"];
}

function span(millis) {
  if (millis < 1000) return `${millis} ms`;
  const seconds = millis / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

function bytes(count) {
  if (count < 1024) return `${count} B`;
  return count < 1 << 20 ? `${(count / 1024).toFixed(1)} KiB` : `${(count / (1 << 20)).toFixed(1)} MiB`;
}

follow();
followUsage();
