// The turn, seen: the record is in the page; a step is one mark of it.
"use strict";

const record = JSON.parse(document.getElementById("record").textContent);
const $ = (id) => document.getElementById(id);

// ---- the record, step by step ----

// Turns without a mark are no steps: nothing is to be seen in them.
const turns = record.turns.filter((turn) => turn.marks.length > 0);
const steps = turns.flatMap((turn, index) => turn.marks.map((mark) => ({ ...mark, turn: index })));

// What is true behind each step: bits, where each socket stands, its timer, who is queued.
function follow() {
  const state = {
    bits: record.lanes.map((lane) => lane.bits),
    stands: record.lanes.map(() => ""),
    timers: record.lanes.map(() => ""),
    alive: record.lanes.map((lane) => lane.kind === "listener"),
    queue: [],
  };
  let driver = null;
  return steps.map((step, index) => {
    const before = index > 0 && steps[index - 1].phase === step.phase && steps[index - 1].turn === step.turn;
    if (step.kind === "driven") driver = step.lane;
    else if (!before) driver = null;
    step.driver = driver;
    const lane = step.lane;
    if (step.kind !== "freed") state.alive[lane] = true;
    if (step.bits) state.bits[lane] = step.bits[1];
    if (step.kind === "step") state.stands[lane] = step.what;
    if (step.kind === "timer" && / in /.test(step.what)) {
      state.timers[lane] = `${step.what.replace("timer: ", "timer ")}, set at ${step.at}`;
    }
    const queued = /^queues (.+)$/.exec(step.why);
    if (step.kind === "event" && queued) state.queue = [...state.queue, queued[1]];
    if (step.kind === "queued") state.queue = [...state.queue, record.lanes[lane].name];
    if (step.kind === "driven") {
      const at = state.queue.indexOf(record.lanes[lane].name);
      if (at >= 0) state.queue = state.queue.filter((_, place) => place !== at);
    }
    if (step.kind === "freed") {
      state.alive[lane] = false;
      state.bits[lane] = "----";
    }
    return {
      bits: [...state.bits], stands: [...state.stands], timers: [...state.timers],
      alive: [...state.alive], queue: state.queue,
    };
  });
}
const states = follow();

// ---- the timeline ----

const COLUMN = 42, GAP = 62, HEAD = 52, LANE = 84, BAR = 26, MARGIN = 14;

function draw(name, attributes, parent, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

const middle = (lane) => HEAD + lane * LANE + LANE / 2;
const height = HEAD + record.lanes.length * LANE;
let width = MARGIN;
const bands = turns.map((turn, index) => {
  if (index > 0) width += GAP;
  const band = { from: width, to: width + turn.marks.length * COLUMN };
  width = band.to;
  return band;
});
width += MARGIN;
steps.forEach((step) => {
  const of = turns[step.turn].marks;
  const first = steps.findIndex((other) => other.turn === step.turn);
  step.x = bands[step.turn].from + (steps.indexOf(step) - first) * COLUMN;
  step.last = steps.indexOf(step) - first === of.length - 1;
});

function drawTurns(svg) {
  turns.forEach((turn, index) => {
    const { from, to } = bands[index];
    draw("rect", { class: "band", x: from, y: 0, width: to - from, height, rx: 6 }, svg);
    const name = draw("text", { class: "turn-name", x: from + 6, y: 20 }, svg, `turn ${turn.number}`);
    if (to - from > 3 * COLUMN) draw("tspan", { class: "turn-time", dx: 7 }, name, `at ${turn.at}`);
    if (index > 0) {
      const slept = turn.slept === "0" ? "no sleep" : turn.slept;
      draw("text", { class: "sleep", x: from - GAP / 2, y: 20, "text-anchor": "middle" }, svg, slept);
    }
    const own = steps.filter((step) => step.turn === index);
    own.forEach((step, at) => {
      if (at > 0 && own[at - 1].phase === step.phase) return;
      let end = at;
      while (end < own.length && own[end].phase === step.phase) end += 1;
      const [x1, x2] = [step.x + 3, step.x + (end - at) * COLUMN - 3];
      draw("line", { class: "phase-line", x1, x2, y1: 43, y2: 43 }, svg);
      draw("text", { class: "phase-name", x: (x1 + x2) / 2, y: 38, "text-anchor": "middle" }, svg, step.phase);
    });
  });
}

// Which bits are stripes, their places in the letters, and how far from the middle of a lane.
const STRIPES = [["r", 0, -3.5], ["w", 1, 3.5], ["f", 2, 0]];

// A lane is a line for as long as its socket lives, with a stripe for each bit that is set.
function drawLane(svg, lane) {
  const y = middle(lane);
  const of = (index) => index < 0 ? { alive: record.lanes[lane].kind === "listener", bits: record.lanes[lane].bits } :
    { alive: states[index].alive[lane], bits: states[index].bits[lane] };
  draw("line", { class: "rule", x1: 0, x2: width, y1: y + LANE / 2, y2: y + LANE / 2 }, svg);
  steps.forEach((step, index) => {
    const here = of(index);
    const touched = step.lane === lane;
    if (!here.alive && !touched) return;
    const from = step.x + (touched && !of(index - 1).alive ? COLUMN / 2 : 0);
    const to = step.x + (touched && !here.alive ? COLUMN / 2 : COLUMN);
    draw("line", { class: "life", x1: from, x2: to, y1: y, y2: y }, svg);
    const stripe = (bit, offset, x1, x2) => draw("line", { class: `stripe ${bit}`, x1, x2, y1: y + offset, y2: y + offset }, svg);
    const half = step.x + COLUMN / 2;
    for (const [bit, place, offset] of STRIPES) {
      const was = of(index - 1).bits[place] !== "-", is = here.bits[place] !== "-";
      if (was && (is || touched)) stripe(bit, offset, step.x, is ? step.x + COLUMN : half);
      else if (was) stripe(bit, offset, step.x, step.x + COLUMN);
      else if (is) stripe(bit, offset, half, step.x + COLUMN);
    }
    if (step.last && here.alive && step.turn + 1 < turns.length) {
      const [x1, x2] = [step.x + COLUMN, step.x + COLUMN + GAP];
      draw("line", { class: "life asleep", x1, x2, y1: y, y2: y }, svg);
      for (const [bit, place, offset] of STRIPES) {
        if (here.bits[place] !== "-") draw("line", { class: `stripe asleep ${bit}`, x1, x2, y1: y + offset, y2: y + offset }, svg);
      }
    }
  });
}

// A drive is a band from its first step to its last, and reaches out to the lanes that it calls.
function drawDrives(svg) {
  steps.forEach((step, index) => {
    if (step.kind !== "driven") return;
    let end = index + 1;
    while (end < steps.length && steps[end].turn === step.turn && steps[end].driver === step.lane && steps[end].kind !== "driven") end += 1;
    const attributes = { class: "drive", x: step.x + 3, y: middle(step.lane) - 37, width: (end - index) * COLUMN - 6, height: 74, rx: 9 };
    draw("rect", attributes, svg);
    for (const other of steps.slice(index + 1, end)) {
      if (other.lane === step.lane) continue;
      const x = other.x + COLUMN / 2;
      draw("line", { class: "reach", x1: x, x2: x, y1: middle(step.lane), y2: middle(other.lane) }, svg);
    }
  });
}

function shape(group, step, x, y) {
  const bytes = step.in || step.out;
  if (bytes > 0) {
    const outside = step.kind === "outside" ? " outside" : "";
    const way = step.in > 0 ? "in" : "out";
    const tall = Math.max(5, Math.min(BAR, 3.1 * Math.log2(bytes + 1) - 6));
    const top = way === "in" ? y - 7 - tall : y + 7;
    draw("rect", { class: `bar ${way}${outside}`, x: x - 6, y: top, width: 12, height: tall, rx: 2.5 }, group);
    const label = way === "in" ? top - 3 : top + tall + 10;
    draw("text", { class: "size", x, y: label, "text-anchor": "middle" }, group, bytes);
    if (step.kind === "call") draw("circle", { class: "dot call", cx: x, cy: y, r: 4.5 }, group);
    return;
  }
  switch (step.kind) {
    case "event":
      draw("path", { class: "dot event", d: `M${x - 8} ${y - 22}h16l-8 15z`, "stroke-linejoin": "round" }, group);
      break;
    case "timer":
      draw("circle", { class: "dot timer", cx: x, cy: y, r: 8 }, group);
      draw("path", { class: "hand", d: `M${x} ${y - 4.5}V${y}h3.5` }, group);
      break;
    case "freed":
      draw("path", { class: "cross", d: `M${x - 6} ${y - 6}l12 12m0-12l-12 12` }, group);
      break;
    case "step":
    case "commit":
    case "remark":
      draw("path", { class: `dot ${step.kind}`, d: `M${x} ${y - 8}l8 8-8 8-8-8z` }, group);
      break;
    case "queued":
      draw("rect", { class: "dot queued", x: x - 6.5, y: y - 6.5, width: 13, height: 13, rx: 3 }, group);
      break;
    case "driven":
      draw("path", { class: "dot driven", d: `M${x - 6} ${y - 9}l14 9-14 9z`, "stroke-linejoin": "round" }, group);
      break;
    case "mail":
      draw("rect", { class: "dot mail", x: x - 9, y: y - 6.5, width: 18, height: 13, rx: 2.5 }, group);
      draw("path", { d: `M${x - 7} ${y - 4}l7 5 7-5`, fill: "none", stroke: "var(--panel)", "stroke-width": 1.5 }, group);
      break;
    default: {
      const failed = / = E|= 0$/.test(step.what) && !/EINPROGRESS/.test(step.what);
      draw("circle", { class: `dot ${step.kind}${failed ? " empty" : ""}`, cx: x, cy: y, r: step.kind === "call" ? 6 : 5 }, group);
    }
  }
}

function drawMark(svg, step, index) {
  const [x, y] = [step.x + COLUMN / 2, middle(step.lane)];
  const group = draw("g", { class: "mark", "data-step": index }, svg);
  draw("rect", { class: "hit", x: step.x, y: y - LANE / 2, width: COLUMN, height: LANE }, group);
  draw("title", {}, group, `${record.lanes[step.lane].name}: ${step.what}`);
  shape(group, step, x, y);
  group.addEventListener("click", () => show(index));
}

function drawTimeline() {
  const svg = $("lanes");
  for (const [key, value] of Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` })) svg.setAttribute(key, value);
  drawTurns(svg);
  draw("rect", { id: "cursor", y: 1, width: COLUMN, height: height - 2, rx: 8 }, svg);
  drawDrives(svg);
  record.lanes.forEach((_, lane) => drawLane(svg, lane));
  steps.forEach((step, index) => drawMark(svg, step, index));
  draw("rect", { id: "veil", y: 0, height }, svg);
}

// ---- what stands beside it ----

function element(name, className, text) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

const GLOSS = {
  poll: "Sleeps until something happens; then the clock is read, once.",
  collect: "Events become bits, and owners are queued. No call is made.",
  run: "Drives who was queued when the phase began.",
  accept: "Takes new connections, behind the work that was there.",
  alarms: "Entries of the wheel that are due: what has come was heard before them.",
  mail: "What other threads have said.",
  reap: "The only place where slots are freed and sockets closed.",
};
const NAMES = { r: "readable", w: "writable", f: "FIN known", e: "error" };

function lamps(bits) {
  const all = element("span", "lamps");
  ["r", "w", "f", "e"].forEach((bit, place) => {
    const lamp = element("span", `lamp ${bit}${bits[place] === "-" ? "" : " on"}`, bit);
    lamp.title = NAMES[bit];
    all.append(lamp);
  });
  return all;
}

function drawHeads() {
  record.lanes.forEach((lane) => {
    const head = element("div", `head ${lane.kind}`);
    head.title = lane.about;
    head.append(element("b", "", lane.name), lamps(lane.bits));
    $("heads").append(head);
  });
}

function showHeads(step, state) {
  [...$("heads").children].forEach((head, lane) => {
    head.classList.toggle("here", lane === step.lane);
    head.classList.toggle("absent", !state.alive[lane]);
    head.lastChild.replaceWith(lamps(state.bits[lane]));
  });
}

function showBits(step) {
  const box = $("bits");
  box.replaceChildren();
  if (!step.bits) return;
  const [before, after] = step.bits;
  const row = element("div", `change${before === after ? " same" : ""}`);
  row.append(lamps(before));
  if (before !== after) row.append(element("span", "", "→"), lamps(after));
  box.append(row);
  const told = ["r", "w", "f", "e"].flatMap((bit, place) => before[place] === after[place] ? [] :
    [`${NAMES[bit]} is ${after[place] === "-" ? "cleared" : "set"}`]);
  box.append(element("div", "quiet", told.join(", ") || "no bit changes"));
}

function showTurn(current) {
  const turn = turns[steps[current].turn];
  $("turn").textContent = `Turn ${turn.number}, at ${turn.at}`;
  $("slept").textContent = `${turn.slept === "0" ? "did not sleep" : `slept ${turn.slept}`} (${turn.patience})`;
  const list = $("steps");
  list.replaceChildren();
  let phase = "";
  steps.forEach((step, index) => {
    if (turns[step.turn] !== turn) return;
    if (step.phase !== phase) {
      phase = step.phase;
      list.append(element("li", "phase", phase));
    }
    const item = element("li");
    const inside = step.driver !== null && step.kind !== "driven";
    const button = element("button", inside ? "inside" : "");
    button.type = "button";
    button.append(element("span", "", record.lanes[step.lane].name), element("code", "", step.what));
    if (index === current) button.setAttribute("aria-current", "step");
    button.addEventListener("click", () => show(index));
    item.append(button);
    list.append(item);
  });
  const here = list.querySelector("[aria-current]");
  if (here) list.scrollTop = here.offsetTop - list.offsetTop - list.clientHeight / 2;
}

function showSockets(state) {
  $("queue").textContent = state.queue.join(", ") || "empty";
  const list = $("sockets");
  list.replaceChildren();
  record.lanes.forEach((lane, index) => {
    if (!state.alive[index]) return;
    // The timer of a server's connection runs in the pool, and nowhere else.
    const timed = lane.kind === "client" || state.stands[index].startsWith("idle");
    const told = [state.stands[index], timed ? state.timers[index] : ""];
    list.append(element("dt", "", lane.name), element("dd", "", told.filter(Boolean).join("; ") || lane.about));
  });
}

function drawLegend() {
  const items = [
    [{ kind: "outside", in: 300 }, "bytes arrive"], [{ kind: "outside", out: 300 }, "bytes reach a peer"],
    [{ kind: "call", in: 300 }, "read"], [{ kind: "call", out: 300 }, "written"], [{ kind: "event" }, "event"], [{ kind: "queued" }, "queued"],
    [{ kind: "driven" }, "driven"], [{ kind: "call" }, "another call"], [{ kind: "call", what: "x = E" }, "it gives nothing"],
    [{ kind: "step" }, "a step further"], [{ kind: "commit" }, "the answer's commit"], [{ kind: "timer" }, "timer"], [{ kind: "mail" }, "mail"], [{ kind: "freed" }, "freed"],
  ];
  for (const [step, text] of items) {
    const item = element("div");
    const term = element("dt");
    const svg = draw("svg", { width: 24, height: 34, viewBox: "-12 -17 24 34", "aria-hidden": "true" }, term);
    const away = step.kind === "outside" ? 17 : 10;
    const offset = step.in ? away : step.out ? -away : step.kind === "event" ? 14 : 0;
    shape(svg, { in: 0, out: 0, what: "", ...step }, 0, offset);
    svg.querySelectorAll("text").forEach((label) => label.remove());
    item.append(term, element("dd", "", text));
    $("legend").append(item);
  }
  for (const [bit, text] of [["r", "stripe: readable"], ["w", "stripe: writable"], ["f", "stripe: FIN known"]]) {
    const item = element("div");
    const term = element("dt");
    const svg = draw("svg", { width: 26, height: 12, viewBox: "0 0 26 12", "aria-hidden": "true" }, term);
    draw("line", { class: `stripe ${bit}`, x1: 0, x2: 26, y1: 6, y2: 6 }, svg);
    item.append(term, element("dd", "", text));
    $("legend").append(item);
  }
}

// ---- stepping ----

let current = 0;

function show(index) {
  if (steps.length === 0) return;
  current = Math.max(0, Math.min(steps.length - 1, index));
  const step = steps[current], state = states[current];
  $("cursor").setAttribute("x", step.x);
  $("veil").setAttribute("x", step.x + COLUMN);
  $("veil").setAttribute("width", Math.max(0, width - step.x - COLUMN));
  const view = $("scroll");
  view.scrollLeft = step.x + COLUMN / 2 - view.clientWidth / 2;
  $("phase").textContent = step.phase;
  $("gloss").textContent = `${step.phase}: ${GLOSS[step.phase]}`;
  $("lane").textContent = record.lanes[step.lane].name;
  $("when").textContent = step.at;
  $("what").textContent = step.what;
  $("why").textContent = step.why;
  $("count").textContent = `${current + 1} / ${steps.length}`;
  $("slider").value = current;
  $("back").disabled = $("turn-back").disabled = current === 0;
  $("on").disabled = $("turn-on").disabled = current === steps.length - 1;
  showBits(step);
  showHeads(step, state);
  showTurn(current);
  showSockets(state);
}

function first(turn) {
  const found = steps.findIndex((step) => step.turn === turn);
  return found < 0 ? steps.length - 1 : found;
}

const moves = {
  ArrowRight: () => show(current + 1),
  ArrowLeft: () => show(current - 1),
  ArrowDown: () => show(first(steps[current].turn + 1)),
  ArrowUp: () => show(first(Math.max(0, current > first(steps[current].turn) ? steps[current].turn : steps[current].turn - 1))),
  Home: () => show(0),
  End: () => show(steps.length - 1),
  t: () => nextTheme(),
};

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in moves)) return;
  event.preventDefault();
  moves[event.key]();
});
$("on").addEventListener("click", moves.ArrowRight);
$("back").addEventListener("click", moves.ArrowLeft);
$("turn-on").addEventListener("click", moves.ArrowDown);
$("turn-back").addEventListener("click", moves.ArrowUp);
$("slider").addEventListener("input", () => show(Number($("slider").value)));

// ---- light and dark ----

const THEMES = ["auto", "light", "dark"];

function setTheme(name) {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  $("theme").textContent = name;
  // A page that is a file may have no storage; then the choice lasts as long as the page.
  try { localStorage.setItem("theme", name); } catch { /* nothing to do */ }
}

function nextTheme() {
  setTheme(THEMES[(THEMES.indexOf($("theme").textContent) + 1) % THEMES.length]);
}
$("theme").addEventListener("click", nextTheme);
try { setTheme(THEMES.find((name) => name === localStorage.getItem("theme")) || "auto"); } catch { setTheme("auto"); }

document.querySelector("main").hidden = false;
$("slider").max = steps.length - 1;
drawHeads();
drawTimeline();
drawLegend();
const opens = record.turns[record.first];
show(Math.max(0, steps.findIndex((step) => opens && turns[step.turn].number >= opens.number)));
