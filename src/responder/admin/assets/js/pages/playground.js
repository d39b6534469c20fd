// Playground: a conversation with a model through the gateway, with its times and its events beside it.

import { askForToken, events, get, note, problem } from "../api.js";
import { h, panel, put } from "../dom.js";
import { DIALECTS, Cutter } from "../dialects.js";
import { OWNERS, count, time, tokens } from "../format.js";
import { listen } from "../live.js";
import { OwnerBar, PhaseBar, TokenLine } from "../timeline.js";

const LINES = 400;

// For as long as this tab is open, and in memory alone.
const kept = { dialect: "openai", host: "", key: "", model: "", most: "", messages: [], models: [] };

export function create({ signal }) {
  const page = new Playground(signal);
  return {
    title: "Playground", element: page.element,
    keys: [["i", "write", () => page.prompt.focus()], ["Escape", "stop the answer", () => page.stop()]],
  };
}

class Playground {
  constructor(signal) {
    this.signal = signal;
    const field = (label, input) => h("label", { class: "field" }, h("span", { class: "quiet" }, label), input);
    const kind = h("select", { onchange: () => { kept.dialect = kind.value; path.value = DIALECTS[kind.value].path; } },
      Object.entries(DIALECTS).map(([name, { label }]) => h("option", { value: name, selected: name === kept.dialect }, label)));
    const path = (this.path = h("input", { value: DIALECTS[kept.dialect].path, spellcheck: "false" }));
    this.names = h("datalist", { id: "model-names" });
    this.model = h("input", { list: "model-names", value: kept.model, placeholder: "name of a model", spellcheck: "false", oninput: () => (kept.model = this.model.value) });
    this.key = h("input", { type: "password", autocomplete: "off", value: kept.key, placeholder: "where the gateway asks for one", oninput: () => (kept.key = this.key.value) });
    this.most = h("input", { type: "number", min: 1, value: kept.most, placeholder: "no limit", oninput: () => (kept.most = this.most.value) });
    this.host = h("input", { value: kept.host, placeholder: "the gateway's address", spellcheck: "false", onchange: () => { kept.host = this.host.value.trim(); this.listModels(); } });
    this.talk = h("div", { class: "talk", tabindex: 0, "aria-label": "Conversation", "aria-live": "off" });
    this.prompt = h("textarea", { rows: 3, placeholder: "Ask something (Enter sends, Shift+Enter is a new line)", "aria-label": "What to ask", onkeydown: (event) => this.type(event) });
    this.send = h("button", { type: "button", onclick: () => this.ask() }, "Send");
    this.halt = h("button", { type: "button", class: "plain", disabled: true, onclick: () => this.stop() }, "Stop");
    const clear = h("button", { type: "button", class: "plain", onclick: () => { kept.messages = []; this.showTalk(); } }, "New");
    this.facts = h("dl", { class: "facts-grid tight" });
    [this.phases, this.owners, this.line] = [new PhaseBar(), new OwnerBar(), new TokenLine()];
    this.log = h("ol", { class: "events", tabindex: 0, "aria-label": "Raw events" });
    this.link = h("span", { class: "quiet" }, "\u00a0");
    this.element = h("div", { class: "page" },
      h("div", { class: "page-head" }, h("h1", {}, "Playground"), this.link),
      h("section", { class: "panel fields" }, field("API", kind), field("Path", path), field("Model", this.model), this.names,
        field("Key, kept in memory only", this.key), field("Tokens at most", this.most), field("Host that routes ask for", this.host)),
      h("div", { class: "play" },
        h("section", { class: "panel chat" }, this.talk, this.prompt, h("div", { class: "row-tools" }, this.send, this.halt, clear)),
        h("div", { class: "side-parts" },
          panel("The last answer", this.facts, this.phases.element),
          panel("Who was waited for", this.owners.element),
          panel("Events over time", this.line.element))),
      panel("Raw events, with the time since the request was sent", this.log));
    signal.addEventListener("abort", listen((view) => this.look(view)));
    signal.addEventListener("abort", () => this.stop());
    this.showTalk();
    this.showFacts();
    this.listModels();
  }

  type(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.ask();
  }

  showTalk() {
    this.talk.replaceChildren(...kept.messages.map((message) => this.bubble(message)));
    if (!kept.messages.length) this.talk.append(h("p", { class: "calm" }, "What is sent here goes through the gateway like any client's request: its routes, its keys, its limits."));
  }

  bubble({ role, content, mood }) {
    return h("div", { class: `bubble ${role} ${mood ?? ""}` }, h("span", { class: "who" }, role), h("div", { class: "said" }, content));
  }

  // The models that the gateway tells; where it tells none, the name is typed.
  async listModels() {
    const answer = await this.call({ path: "/v1/models" }).catch(() => null);
    const names = [];
    if (answer?.status === 200) {
      try {
        names.push(...JSON.parse(answer.text).data.map((model) => model.id));
      } catch (error) {
        // It is no list.
      }
    }
    const usage = names.length ? null : await get("/usage", this.signal);
    names.push(...new Set((usage?.series ?? []).map((row) => row.model_asked).filter((name) => name && name !== "other")));
    this.names.replaceChildren(...names.map((name) => h("option", { value: name })));
    if (!this.model.value && names.length) kept.model = this.model.value = names[0];
  }

  // Who asks, and whom.
  asker() {
    return { dialect: kept.dialect, ...(kept.key ? { key: kept.key } : {}), ...(kept.host ? { host: kept.host } : {}) };
  }

  // A request that is not watched: its status and its text.
  async call(order) {
    const found = { status: 0, text: "" };
    const body = JSON.stringify({ ...this.asker(), ...order });
    await events("/playground", (data) => {
      const told = JSON.parse(data);
      if (told.status) found.status = told.status;
      if (told.data) found.text += told.data;
    }, this.signal, { method: "POST", body });
    return found;
  }

  async ask() {
    const question = this.prompt.value.trim();
    if (!question || this.running) return;
    if (!this.model.value.trim()) {
      note("Which model? Its name is missing.");
      return this.model.focus();
    }
    this.prompt.value = "";
    if (!kept.messages.length) this.talk.replaceChildren();
    kept.messages.push({ role: "user", content: question });
    this.talk.append(this.bubble(kept.messages.at(-1)));
    const dialect = DIALECTS[kept.dialect];
    const id = `playground-${crypto.getRandomValues(new Uint32Array(2)).reduce((text, part) => text + part.toString(16).padStart(8, "0"), "")}`;
    const sent = kept.messages.filter(({ mood }) => !mood).map(({ role, content }) => ({ role, content }));
    const answer = { role: "assistant", content: "" };
    const shown = this.bubble(answer);
    this.talk.append(shown);
    this.begin(id, answer, shown.querySelector(".said"), dialect);
    const order = JSON.stringify({
      path: this.path.value.trim(), request_id: id, ...this.asker(),
      body: dialect.ask(this.model.value.trim(), sent, Number(this.most.value) || 0),
    });
    const stop = (this.abort = new AbortController());
    try {
      await this.run(order, AbortSignal.any([stop.signal, this.signal]));
    } catch (error) {
      if (stop.signal.aborted) this.failed = "stopped";
      else this.failed ??= "the admin address has gone";
    }
    this.finish(answer, shown);
  }

  async run(body, signal) {
    for (;;) {
      try {
        return await events("/playground", (data) => this.hear(JSON.parse(data)), signal, { method: "POST", body });
      } catch (error) {
        if (!error.response) throw error;
        const { code, message } = await problem(error.response);
        const wants = code === "token_missing" || code === "token_wrong";
        if (wants && (await askForToken(message))) continue;
        this.failed = message;
        return undefined;
      }
    }
  }

  begin(id, answer, node, dialect) {
    Object.assign(this, { id, running: true, answer, node, dialect, row: null, record: null, failed: null, status: null, told: null, first: null, last: 0, points: [] });
    this.cutter = null;
    this.log.replaceChildren();
    this.send.disabled = true;
    this.halt.disabled = false;
    this.link.replaceChildren(h("a", { href: `#/stream/-/${encodeURIComponent(id)}` }, id));
    this.showFacts();
  }

  hear(told) {
    this.last = told.at_us;
    if (told.status !== undefined) {
      this.status = told.status;
      const stream = (told.content_type ?? "").startsWith("text/event-stream");
      this.cutter = new Cutter(stream, (data, at) => this.event(data, at));
    } else if (told.data !== undefined) {
      this.cutter.feed(told.data, told.at_us);
    } else if (told.end !== undefined) {
      this.cutter?.end(told.at_us);
      // What the gateway has said of it inside the answer says more than that it broke off.
      if (told.end === "failed") this.failed ??= told.reason;
    }
    this.showFacts();
  }

  event(data, at) {
    const near = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 40;
    this.log.append(h("li", {}, h("span", { class: "at" }, time(at)), h("code", {}, data)));
    while (this.log.children.length > LINES) this.log.firstChild.remove();
    if (near) this.log.scrollTop = this.log.scrollHeight;
    let event;
    try {
      event = JSON.parse(data);
    } catch (error) {
      if (data !== "[DONE]" && this.status >= 400) this.failed = data;
      return;
    }
    const { text, thought, tokens: number, error } = this.dialect.read(event);
    if (error) this.failed = typeof error === "string" ? error : error.message ?? JSON.stringify(error);
    if (number !== undefined && number !== null) this.told = number;
    if (thought) this.node.append(h("span", { class: "thought" }, thought));
    if (text) {
      this.answer.content += text;
      this.node.append(h("span", {}, text));
    }
    if (!text && !thought) return;
    this.first ??= at;
    this.points.push([at, this.points.length + 1]);
    if (near) this.talk.scrollTop = this.talk.scrollHeight;
  }

  look(view) {
    if (!this.running) return;
    const row = view.streams.find((stream) => stream.request_id === this.id);
    if (!row) return;
    this.row = row;
    this.phases.show(row, row.age_ms * 1000);
    this.owners.show(Object.fromEntries(OWNERS.map((owner) => [owner, row.waited_ms[owner] * 1000])));
    this.showFacts();
  }

  async finish(answer, shown) {
    this.running = false;
    this.send.disabled = false;
    this.halt.disabled = true;
    if (this.failed) {
      const mood = this.failed === "stopped" ? "stopped" : "failed";
      if (answer.content) kept.messages.push(answer);
      kept.messages.push({ role: "gateway", content: this.failed, mood });
      if (!answer.content) shown.remove();
      this.talk.append(this.bubble(kept.messages.at(-1)));
    } else kept.messages.push(answer);
    this.talk.scrollTop = this.talk.scrollHeight;
    this.showFacts();
    const id = this.id;
    for (let tries = 0; tries < 10 && !this.signal.aborted && id === this.id; tries += 1) {
      const record = (await get(`/exchanges?request_id=${encodeURIComponent(id)}`, this.signal))?.exchanges[0];
      // Meanwhile somebody may have asked something else.
      if (record && id === this.id) return this.settle(record);
      await new Promise((done) => setTimeout(done, 200));
    }
    return undefined;
  }

  settle(record) {
    this.record = record;
    this.phases.show(record, record.total_us);
    this.owners.show(Object.fromEntries(OWNERS.map((owner) => [owner, record[`waited_${owner}_us`]])));
    this.showFacts();
  }

  // Microseconds: how long it took, or has gone on. A silence at its end is part of it.
  total() {
    const age = (this.row?.age_ms ?? 0) * 1000;
    return this.record?.total_us ?? Math.max(this.last ?? 0, age);
  }

  showFacts() {
    const number = this.record?.tokens_out ?? this.told ?? this.points?.length ?? 0;
    const guessed = this.record ? this.record.tokens_estimated : this.told === null || this.told === undefined;
    const total = this.total();
    const spoken = this.points?.length > 1 ? this.points.at(-1)[0] - this.points[0][0] : 0;
    const facts = [
      ["First token", time(this.first)], ["Tokens", number ? tokens(number, guessed) : "–"],
      ["Tokens per second", spoken ? count(((number - 1) * 1e6) / spoken) : "–"], ["Took", total ? time(total) : "–"],
      ["Status", this.status ?? "–"], ["Answered by", this.record?.endpoint ?? this.row?.endpoint ?? "–"],
    ];
    if (!this.shown) {
      this.shown = facts.map(([name]) => { const value = h("dd", {}); this.facts.append(h("div", {}, h("dt", {}, name), value)); return value; });
    }
    facts.forEach(([, value], index) => put(this.shown[index], value));
    const end = Math.max(total, this.last ?? 0, 1);
    const gaps = longest(this.points ?? [], end);
    this.line.show(this.points ?? [], gaps.map((gap) => ({ ...gap, owner: this.row?.waits_for ?? "upstream" })), null, end);
  }

  stop() {
    this.abort?.abort();
  }
}

// Silences that stand out among the times between events, and behind the last one.
function longest(points, end) {
  const later = [...points.slice(1).map(([at]) => at), end];
  const between = points.map(([at], index) => ({ from: at, to: later[index] }));
  const inside = between.slice(0, -1).map(({ from, to }) => to - from).sort((one, other) => one - other);
  const usual = inside[Math.floor(inside.length / 2)] ?? 0;
  return between.filter(({ from, to }) => to - from > Math.max(250e3, 5 * usual));
}
