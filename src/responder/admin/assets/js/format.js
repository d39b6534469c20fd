// Numbers and times for people, each in as much room as its neighbours.

export const OWNERS = ["upstream", "client", "gateway"];

export function count(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value >= 1e9) return `${(value / 1e9).toFixed(2)} G`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)} k`;
  return value >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1);
}

// Data events stand for tokens where no server has told how many they were, and are marked.
export function tokens(number, estimated) {
  return `${estimated && number > 0 ? "≈\u2009" : ""}${count(number)}`;
}

export function percent(share) {
  if (share > 0 && share < 0.1) return "< 0.1 %";
  return `${share.toFixed(share < 10 ? 1 : 0)} %`;
}

// Microseconds as [value, unit].
export function timeParts(micros) {
  if (micros === null || micros === undefined || !Number.isFinite(micros)) return ["–", ""];
  if (micros === 0) return ["0", "s"];
  if (micros < 1000) return [String(Math.round(micros)), "µs"];
  if (micros < 1e6) return [digits(micros / 1e3), "ms"];
  if (micros < 120e6) return [digits(micros / 1e6), "s"];
  return [digits(micros / 60e6), "min"];
}

export const time = (micros) => timeParts(micros).join("\u202f").trim();
export const millis = (value) => (value === null || value === undefined ? "–" : time(value * 1000));

const digits = (value) => (value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0));

export function span(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${Math.round(ms)}\u202fms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)}\u202fs`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}\u202fmin ${Math.floor(seconds % 60)}\u202fs`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)}\u202fh ${Math.floor((seconds % 3600) / 60)}\u202fmin`;
  return `${Math.floor(seconds / 86400)}\u202fd ${Math.floor((seconds % 86400) / 3600)}\u202fh`;
}

export function bytes(number) {
  if (number === null || number === undefined) return "–";
  if (number < 1024) return `${number}\u202fB`;
  return number < 1 << 20 ? `${(number / 1024).toFixed(1)}\u202fKiB` : `${(number / (1 << 20)).toFixed(1)}\u202fMiB`;
}

// A moment of a day, as the reader's clock has it.
export function clock(text) {
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) return String(text ?? "–");
  const today = at.toDateString() === new Date().toDateString();
  const hours = at.toLocaleTimeString([], { hour12: false });
  return today ? hours : `${at.toLocaleDateString([], { year: "numeric", month: "short", day: "numeric" })} ${hours}`;
}
