// Keys: one letter does something, `g` and a letter goes somewhere. Nothing happens in a field.

const actions = new Map();
let page = new Map();
let going = false;
let timer;

// Keys of everywhere: [key, what it does, action].
export function always(list) {
  for (const [key, told, act] of list) actions.set(key, { told, act });
}

// Keys of the page that is shown; those of the one before are gone.
export function forPage(list) {
  page = new Map(list.map(([key, told, act]) => [key, { told, act }]));
}

export const known = () => [...page, ...actions].filter(([, { told }]) => told).map(([key, { told }]) => [key, told]);

function isField(node) {
  return node instanceof HTMLElement && (node.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(node.tagName));
}

export function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (isField(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (document.querySelector("dialog[open]")) return;
  const key = going ? `g ${event.key}` : event.key;
  clearTimeout(timer);
  going = !going && key === "g";
  if (going) {
    timer = setTimeout(() => (going = false), 1500);
    return event.preventDefault();
  }
  // Enter on a button or a link is the button's.
  if (key === "Enter" && event.target.closest("button, a, summary")) return;
  const found = page.get(key) ?? actions.get(key);
  if (!found) return;
  event.preventDefault();
  found.act();
}
