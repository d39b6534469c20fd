// The last five minutes, or the last hour: chosen once for all pages.

import { attribute, h } from "./dom.js";

const RANGES = [["5m", "5 min", "The last five minutes, by the second"], ["1h", "1 h", "The last hour, by ten seconds"]];
let value = sessionStorage.getItem("range") === "1h" ? "1h" : "5m";

// `changed` is called when another one is chosen.
export function rangeSwitch(changed) {
  const buttons = RANGES.map(([name, label, title]) =>
    h("button", { type: "button", title, onclick: () => choose(name) }, label));
  const mark = () => buttons.forEach((button, index) => attribute(button, "aria-pressed", String(RANGES[index][0] === value)));
  const choose = (name) => {
    value = name;
    sessionStorage.setItem("range", name);
    mark();
    changed();
  };
  mark();
  return {
    element: h("div", { class: "segments", role: "group", "aria-label": "Time range" }, buttons),
    get value() { return value; },
    keys: [["r", "five minutes or an hour", () => choose(value === "5m" ? "1h" : "5m")]],
  };
}
