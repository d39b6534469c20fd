// The live view: one event a second from /events, given to whoever listens.

import { askForToken, events, problem } from "./api.js";

const listeners = new Set();
export const live = { view: null, state: "connecting" };

// Calls `hear` with each view, and with the last one at once. Returns how to stop.
export function listen(hear) {
  listeners.add(hear);
  if (live.view) hear(live.view);
  return () => listeners.delete(hear);
}

let tell = () => {};

// `told`: whoever shows how it stands.
export async function follow(told) {
  tell = told;
  let pause = 500;
  for (;;) {
    try {
      await events("/events", (data) => {
        pause = 500;
        live.view = JSON.parse(data);
        state(live.view.ready ? "serving" : "draining", live.view.ready ? "good" : "bad");
        listeners.forEach((hear) => hear(live.view));
      });
    } catch (error) {
      const status = error.response?.status;
      if (status === 401 || status === 403) {
        const { message, code } = await problem(error.response);
        if (code === "foreign_host" || !(await askForToken(message))) return state("locked", "bad", message);
        continue;
      }
    }
    state("not connected", "bad");
    await new Promise((done) => setTimeout(done, pause));
    pause = Math.min(2 * pause, 8000);
  }
}

function state(text, mood, why) {
  live.state = text;
  tell(text, mood, why);
}
