// One stream: its phases, its tokens as they come, who was waited for, its events without their text.

import { askForToken, events, get, note, problem } from "../api.js";
import { h, panel, put } from "../dom.js";
import { OWNERS, bytes, clock, count, time, tokens } from "../format.js";
import { listen } from "../live.js";
import { OwnerBar, PhaseBar, TokenLine } from "../timeline.js";
import { kill, model } from "./streams.js";

const POINTS = 5000;
const LINES = 200;
// A silence is worth a mark if it is so much longer than what is usual here, and no blink.
const GAP_TIMES = 5;
const GAP_LEAST_US = 250e3;

export function create({ parameters: [id = "-", request = ""], signal }) {
  const page = new StreamPage(id, request, signal);
  return { title: request, within: "streams", element: page.element, keys: [["x", "end the stream", () => page.end.click()]] };
}

class StreamPage {
  constructor(id, request, signal) {
    Object.assign(this, { id, request, signal, points: [], gaps: [], from: null, over: null, total: 0, owner: "upstream" });
    this.facts = h("dl", { class: "facts-grid" });
    this.state = h("span", { class: "pill" }, "looking");
    this.end = h("button", { type: "button", class: "kill", hidden: true, onclick: () => kill(this.id, this.end) }, "End it");
    [this.phases, this.owners, this.line] = [new PhaseBar(), new OwnerBar(), new TokenLine()];
    this.longest = h("ol", { class: "gaps quiet" });
    this.told = h("p", { class: "quiet" }, "\u00a0");
    this.log = h("ol", { class: "events", tabindex: 0, "aria-label": "Events" });
    this.text = h("button", { type: "button", class: "plain small", onclick: () => this.withText() }, "With the text");
    this.element = h("div", { class: "page" },
      h("div", { class: "page-head" },
        h("h1", {}, h("a", { href: "#/streams", class: "up" }, "Streams"), h("span", { class: "name" }, request)),
        h("span", { class: "row-tools" }, this.state, this.end)),
      this.facts,
      panel("Phases", this.phases.element),
      h("div", { class: "two-one" },
        panel("Tokens over time", this.told, this.line.element),
        panel("Who was waited for", this.owners.element, h("h2", { class: "second" }, "Longest silences"), this.longest)),
      h("section", { class: "panel" },
        h("div", { class: "page-head" }, h("h2", {}, "Events as they come"), this.text), this.log));
    signal.addEventListener("abort", listen((view) => this.look(view)));
    if (id !== "-") this.tail(false);
    else this.find();
  }

  look(view) {
    if (this.over) return;
    const row = view.streams.find((stream) => stream.id === this.id)
      ?? (this.id === "-" ? view.streams.find((stream) => stream.request_id === this.request) : null);
    if (!row) {
      if (this.row || this.id !== "-") this.find();
      return;
    }
    if (this.id === "-") {
      this.id = row.id;
      this.tail(false);
    }
    this.row = row;
    this.total = row.age_ms * 1000;
    this.owner = row.waits_for;
    put(this.state, row.phase);
    this.state.className = "pill good";
    this.end.hidden = false;
    this.phases.show(row, this.total);
    this.owners.show(Object.fromEntries(OWNERS.map((owner) => [owner, row.waited_ms[owner] * 1000])));
    this.showFacts([
      ["Client", row.client], ["Key", row.key], ["Route", row.route],
      ["Upstream", row.endpoint ? `${row.upstream} · ${row.endpoint}` : row.upstream],
      ["Model", model(row)], ["Status", row.status], ["Age", time(this.total)],
      ["Tokens", row.tokens === null ? "–" : tokens(row.tokens, row.tokens_estimated)],
      ["Events", count(row.events)], ["Body", bytes(row.bytes)], ["Buffered", bytes(row.buffered_bytes)],
    ]);
    this.drawLine();
  }

  // It is over, or never was: what has become of it stands among those that ended last.
  async find() {
    if (this.finding) return;
    this.finding = true;
    const answer = await get(`/exchanges?request_id=${encodeURIComponent(this.request)}`, this.signal);
    this.finding = false;
    const record = answer?.exchanges[0];
    if (!record) {
      put(this.state, this.row ? "ended" : "not known");
      this.state.className = "pill";
      this.end.hidden = true;
      if (!this.row) put(this.told, "No exchange of this name is under way, and none is among the 256 that ended last.");
      return;
    }
    this.over = record;
    this.total = record.total_us;
    const well = ["complete", "unobserved"].includes(record.end) && record.status < 400;
    put(this.state, record.end);
    this.state.className = `pill ${well ? "" : "bad"}`;
    this.end.hidden = true;
    this.phases.show(record, record.total_us);
    this.owners.show(Object.fromEntries(OWNERS.map((owner) => [owner, record[`waited_${owner}_us`]])));
    this.showFacts([
      ["Client", record.client], ["Key", record.key], ["Route", record.route],
      ["Upstream", record.endpoint ? `${record.upstream} · ${record.endpoint}` : record.upstream],
      ["Model", model(record)], ["Status", record.status], ["Took", time(record.total_us)],
      ["Tokens in", record.tokens_in], ["Tokens out", tokens(record.tokens_out, record.tokens_estimated)],
      ["Attempts", record.attempts], ["Body", bytes(record.bytes_out)], ["Cost", record.cost], ["Ended", clock(record.time)],
    ]);
    this.drawLine();
  }

  showFacts(facts) {
    const said = facts.filter(([, value]) => value !== null && value !== undefined);
    this.facts.replaceChildren(...said.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
  }

  // ---- its events ----

  async tail(plain) {
    this.listening?.abort();
    const listening = (this.listening = new AbortController());
    const stop = AbortSignal.any([this.signal, listening.signal]);
    try {
      await events(`/streams/${encodeURIComponent(this.id)}/tail?times=1${plain ? "&text=1" : ""}`, (data) => this.hear(JSON.parse(data)), stop);
    } catch (error) {
      if (stop.aborted || !error.response) return;
      const { code, message } = await problem(error.response);
      // No answer has begun: look again.
      if (code === "no_response_yet") return setTimeout(() => stop.aborted || this.over || this.tail(plain), 300);
      if (code === "token_missing" || code === "token_wrong") {
        if (await askForToken(message)) return this.tail(plain);
        return this.tail(false);
      }
      if (code !== "no_such_stream") note(message);
    }
  }

  withText() {
    this.log.replaceChildren();
    this.tail(true);
  }

  hear(event) {
    if (event.tail !== undefined) {
      if (event.at_us !== undefined) this.began(event.at_us);
      return this.write(event.at_us, `— ${event.tail}`, "quiet");
    }
    if (event.missed_pieces) return this.write(undefined, `— ${event.missed_pieces} pieces were missed`, "late");
    const before = this.points.at(-1);
    this.points.push([event.at_us, (before?.[1] ?? this.base ?? 0) + 1]);
    if (this.points.length > POINTS) this.points.shift();
    if (before) this.notice(before[0], event.at_us);
    this.write(event.at_us, event.data);
    this.drawSoon();
  }

  // What came before somebody looked is known by its sum alone.
  began(at) {
    if (this.points.length) return;
    this.base = this.row?.events ?? 0;
    const first = this.row?.first_event_us;
    this.from = first !== null && first !== undefined && this.base > 0 ? [[first, 0], [at, this.base]] : null;
  }

  notice(from, to) {
    const usual = this.usual ?? to - from;
    this.usual = usual + (to - from - usual) * 0.1;
    if (to - from < Math.max(GAP_LEAST_US, GAP_TIMES * usual)) return;
    this.gaps.push({ from, to, owner: this.owner });
    if (this.gaps.length > 50) this.gaps.shift();
  }

  write(at, text, mood) {
    const near = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 40;
    this.log.append(h("li", { class: mood }, h("span", { class: "at" }, at === undefined ? "" : time(at)), h("code", {}, text)));
    while (this.log.children.length > LINES) this.log.firstChild.remove();
    if (near) this.log.scrollTop = this.log.scrollHeight;
  }

  drawSoon() {
    if (this.drawing) return;
    this.drawing = true;
    setTimeout(() => { this.drawing = false; this.drawLine(); }, 100);
  }

  drawLine() {
    const last = this.points.at(-1)?.[0] ?? 0;
    const total = Math.max(this.total, last);
    const silence = this.points.length && !this.over ? [{ from: last, to: total, owner: this.owner }] : [];
    const late = silence.filter(({ from, to }) => to - from > Math.max(GAP_LEAST_US, GAP_TIMES * (this.usual ?? 0)));
    let from = this.from;
    const record = this.over;
    if (!this.points.length && record?.first_event_us !== undefined) from = [[record.first_event_us, 0], [record.total_us, record.tokens_out]];
    this.line.show(this.points, [...this.gaps, ...late], from, total);
    put(this.told, this.points.length
      ? `each event as it was read${this.from ? "; dashed: on the average, before this page looked" : ""}`
      : "dashed: on the average; each event is shown from the moment this page looks at a live stream");
    const longest = [...this.gaps, ...late].sort((one, other) => other.to - other.from - (one.to - one.from)).slice(0, 5);
    this.longest.replaceChildren(...longest.map(({ from: at, to, owner }) =>
      h("li", {}, h("b", {}, time(to - at)), ` at ${time(at)}, for the `, h("span", { class: `owner ${owner}` }, owner))));
    if (!longest.length) this.longest.append(h("li", { class: "none" }, "none that stands out"));
  }
}
