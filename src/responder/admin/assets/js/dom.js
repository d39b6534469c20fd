// Elements, made and changed. All that comes from others goes in as text, and what of it acts on how text is
// shown (controls, marks and overrides of direction, other format characters) is shown as an escape.

const SVG = "http://www.w3.org/2000/svg";

function fill(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : key === "title" ? plain(value) : value);
  }
  append(made, children);
  return made;
}

const ACTS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
const escape = (mark) => (mark === "\n" || mark === "\t" ? mark : `\\u${mark.codePointAt(0).toString(16).padStart(4, "0")}`);
export const plain = (text) => String(text).replace(ACTS, escape);

function append(made, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    made.append(child instanceof Node ? child : plain(child));
  }
}

export const h = (name, attributes = {}, ...children) =>
  fill(document.createElement(name), attributes, children);

export const svg = (name, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, name), attributes, children);

// Writes only what is new: an element that says the same stays selected and is not announced again.
export function put(node, text) {
  const words = plain(text);
  if (node.textContent !== words) node.textContent = words;
}

export function attribute(node, name, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== plain(value)) node.setAttribute(name, plain(value));
}

export function classes(node, names) {
  if (node.getAttribute("class") !== names) node.setAttribute("class", names);
}

// Children that keep their element as long as their key is there, so that nothing moves under a finger.
export function keyed(container, items, key, make, update) {
  const known = container.known ?? (container.known = new Map());
  const seen = new Set();
  items.forEach((item, index) => {
    const name = key(item);
    seen.add(name);
    let child = known.get(name);
    if (!child) known.set(name, (child = make(item)));
    update(child, item);
    if (container.children[index] !== child) container.insertBefore(child, container.children[index] ?? null);
  });
  for (const [name, child] of known) {
    if (!seen.has(name)) {
      child.remove();
      known.delete(name);
    }
  }
}

// A panel with a heading.
export function panel(title, ...children) {
  const heading = h("h2", {}, title);
  return h("section", { class: "panel" }, heading, ...children);
}

// A length of a bar, in percent. By the object model: the policy of the page forbids style attributes.
export function bar(share, name = "") {
  const inner = h("i", { class: name });
  width(inner, share);
  return h("span", { class: "bar", "aria-hidden": "true" }, inner);
}

export function width(inner, share) {
  const length = `${(100 * Math.min(Math.max(share || 0, 0), 1)).toFixed(1)}%`;
  if (inner.style.width !== length) inner.style.width = length;
}
