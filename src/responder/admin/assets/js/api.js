// Calls of the admin address. The token comes in the fragment, which no server sees, and stays in this tab.

import { h } from "./dom.js";

const $ = (id) => document.getElementById(id);

const fragment = /^#token=([^&]+)/.exec(location.hash);
if (fragment) {
  sessionStorage.setItem("token", decodeURIComponent(fragment[1]));
  history.replaceState(null, "", location.pathname);
}

export function authorized(options = {}) {
  const token = sessionStorage.getItem("token");
  const headers = { ...(options.headers ?? {}), ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  return { cache: "no-store", ...options, headers };
}

export async function problem(response) {
  try {
    return (await response.json()).error;
  } catch (error) {
    return { message: `HTTP ${response.status}` };
  }
}

const wantsToken = (code) => code === "token_missing" || code === "token_wrong";

// A document, or null where it is not to be had; why is told once.
export async function get(path, signal) {
  try {
    const response = await fetch(path, authorized({ signal }));
    if (response.ok) {
      const type = response.headers.get("content-type") ?? "";
      return type.startsWith("application/json") ? await response.json() : await response.text();
    }
  } catch (error) {
    // The state tells that nobody is there.
  }
  return null;
}

// A call that changes something: asks for the token where the tab has none. The answer, or null.
export async function change(method, path, body) {
  for (;;) {
    let response;
    try {
      response = await fetch(path, authorized({ method, body }));
    } catch (error) {
      note("The gateway cannot be reached.");
      return null;
    }
    if (response.ok) return response;
    const { code, message } = await problem(response);
    if (!wantsToken(code)) {
      note(message);
      return null;
    }
    if (!(await askForToken(message))) return null;
  }
}

// Server-sent events of a path, each given to `hear` as its data. Ends with the stream, or by `signal`.
export async function events(path, hear, signal, options = {}) {
  const response = await fetch(path, authorized({ ...options, signal }));
  if (!response.ok) throw Object.assign(new Error("refused"), { response });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const parts = text.split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const data = part.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
      if (data.length > 0) hear(data.join("\n"));
    }
  }
}

export function askForToken(why) {
  const dialog = $("ask");
  $("ask-why").textContent = why ?? "";
  $("token").value = "";
  if (!dialog.open) dialog.showModal();
  return new Promise((answer) => {
    dialog.onclose = () => {
      const given = dialog.returnValue === "ok" && $("token").value !== "";
      if (given) sessionStorage.setItem("token", $("token").value.trim());
      $("token").value = "";
      dialog.returnValue = "";
      answer(given);
    };
  });
}

let noteTimer;

export function note(text) {
  $("note").replaceChildren(h("span", {}, text));
  $("note").hidden = false;
  clearTimeout(noteTimer);
  noteTimer = setTimeout(() => ($("note").hidden = true), 5000);
}

// Asks again and again as long as the page is there: `every` milliseconds, and not while it is hidden.
// Returns how to ask at once.
export function poll(path, every, show, signal) {
  let timer;
  const ask = async () => {
    clearTimeout(timer);
    if (signal.aborted) return;
    if (!document.hidden) {
      const found = await get(typeof path === "function" ? path() : path, signal);
      if (signal.aborted) return;
      show(found);
    }
    clearTimeout(timer);
    timer = setTimeout(ask, every);
  };
  ask();
  return ask;
}
