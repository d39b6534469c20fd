// Tables that can be sorted by each column, filtered by a word, and walked through by keys. Where one is wider
// than its place, each of its rows is a card: no column is out of sight.
//
// A column: { name, label, value(row) to sort by, text(row) or node(row, cell), number, wide: a name of any
// length, prose: sentences, plain: no heading }.

import { attribute, classes, h, keyed, put } from "./dom.js";

const kind = (column, mood) =>
  [column.number && "number", column.wide && "wide", column.prose && "prose", mood].filter(Boolean).join(" ");

const collator = new Intl.Collator(undefined, { numeric: true });

export class Table {
  // options: { label, columns, key(row), open(row), empty, sort: [name, descending], filter: false, most, row(tr, row) }
  constructor(options) {
    this.options = options;
    this.rows = [];
    [this.by, this.descending] = options.sort ?? [null, false];
    this.chosen = null;
    this.word = "";
    this.body = h("tbody");
    this.empty = h("p", { class: "calm" }, options.empty ?? "Nothing here.");
    this.heads = options.columns.map((column) => this.head(column));
    const table = h("table", { "aria-label": options.label },
      h("thead", {}, h("tr", {}, this.heads)), this.body);
    this.told = h("span", { class: "quiet told", role: "status" });
    this.input = h("input", {
      type: "search", class: "filter", placeholder: "Filter  /", "aria-label": `Filter: ${options.label}`,
      oninput: () => { this.word = this.input.value.trim().toLowerCase(); this.draw(); },
    });
    this.tools = options.filter === false ? null : h("div", { class: "tools-row" }, this.input, this.told);
    this.place = h("div", { class: "place" }, table);
    this.element = h("div", { class: "table" }, this.tools, this.place, this.empty);
    new ResizeObserver(() => this.fit()).observe(this.element);
  }

  head(column) {
    const numeric = column.number ? "number" : "";
    if (column.plain) return h("th", { scope: "col", class: numeric }, h("span", { class: "unseen" }, column.label));
    const button = h("button", { type: "button", class: "sorter", onclick: () => this.sort(column) }, column.label);
    return h("th", { scope: "col", class: numeric }, button);
  }

  sort(column) {
    const first = Boolean(column.number);
    this.descending = this.by === column.name ? !this.descending : first;
    this.by = column.name;
    this.draw();
  }

  show(rows) {
    this.rows = rows;
    // A short list of what hardly changes needs no filter.
    if (this.options.few && this.tools) this.tools.hidden = rows.length <= this.options.few && !this.word;
    this.draw();
  }

  // What is shown, in order.
  shown() {
    const { columns } = this.options;
    let rows = this.rows;
    if (this.word) {
      const words = this.word.split(/\s+/);
      const said = (row) => columns.filter((column) => column.text).map((column) => column.text(row)).join("\n").toLowerCase();
      rows = rows.filter((row) => { const text = said(row); return words.every((word) => text.includes(word)); });
    }
    const column = columns.find((one) => one.name === this.by);
    if (!column) return rows;
    const value = column.value ?? column.text;
    const sign = this.descending ? -1 : 1;
    const absent = (it) => it === null || it === undefined || Number.isNaN(it);
    return [...rows].sort((one, other) => {
      const [left, right] = [value(one), value(other)];
      if (absent(left) || absent(right)) return absent(left) - absent(right);
      if (typeof left === "number" && typeof right === "number") return sign * (left - right);
      return sign * collator.compare(String(left), String(right));
    });
  }

  draw() {
    const { columns, key, most = 500 } = this.options;
    this.heads.forEach((head, index) => {
      const column = columns[index];
      const order = column.name === this.by ? (this.descending ? "descending" : "ascending") : null;
      attribute(head, "aria-sort", order);
    });
    const all = this.shown();
    const rows = all.slice(0, most);
    keyed(this.body, rows, key, (row) => this.make(row), (line, row) => this.fill(line, row));
    this.keys = rows.map(key);
    if (this.chosen !== null && !this.keys.includes(this.chosen)) this.chosen = null;
    this.mark();
    this.empty.hidden = rows.length > 0;
    this.fit();
    const few = all.length > rows.length ? `the first ${rows.length} of ${all.length}` : `${all.length} of ${this.rows.length}`;
    put(this.told, this.word || all.length > rows.length ? few : `${this.rows.length}`);
  }

  // Once too wide, a table is cards until its place has another width: it does not change with each row.
  fit() {
    const width = this.element.clientWidth;
    if (!width) return;
    if (width !== this.width) this.element.classList.remove("cards");
    this.width = width;
    if (this.place.firstChild.offsetWidth > this.place.clientWidth) this.element.classList.add("cards");
  }

  make(row) {
    const name = this.options.key(row);
    const cells = this.options.columns.map((column) =>
      h("td", { class: kind(column) || null, "data-name": column.plain ? "" : column.label }));
    const line = h("tr", {}, cells);
    if (this.options.open) {
      line.classList.add("opens");
      line.addEventListener("click", (event) => {
        if (!event.target.closest("button, a, input") && !String(getSelection())) this.open(name);
      });
    }
    return line;
  }

  fill(line, row) {
    line.row = row;
    this.options.columns.forEach((column, index) => {
      const cell = line.children[index];
      if (column.node) column.node(row, cell);
      else put(cell, column.text(row));
      if (column.title) attribute(cell, "title", column.title(row));
      if (column.mood) classes(cell, kind(column, column.mood(row)));
    });
    this.options.row?.(line, row);
  }

  // ---- by keys ----

  move(step) {
    if (!this.keys?.length) return;
    const at = this.keys.indexOf(this.chosen);
    const next = at < 0 ? (step > 0 ? 0 : this.keys.length - 1) : Math.min(Math.max(at + step, 0), this.keys.length - 1);
    this.chosen = this.keys[next];
    this.mark();
    this.body.known.get(this.chosen)?.scrollIntoView({ block: "nearest" });
  }

  mark() {
    for (const [name, line] of this.body.known ?? []) attribute(line, "aria-selected", name === this.chosen ? "true" : null);
  }

  open(name = this.chosen) {
    const line = this.body.known?.get(name);
    if (line && this.options.open) this.options.open(line.row);
  }

  keyList() {
    return [
      ["j", "next row", () => this.move(1)],
      ["k", "row before", () => this.move(-1)],
      ...(this.options.open ? [["Enter", "open the row", () => this.open()]] : []),
      ...(this.options.filter === false ? [] : [["/", "filter the table", () => this.input.focus()]]),
    ];
  }
}
