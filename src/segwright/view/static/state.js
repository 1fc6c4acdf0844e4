// What is being looked at, and its address: every change goes through `set`, so a link always reopens the same view.

const DEFAULTS = {
  page: "cases", case: "", plane: "", z: null, y: null, x: null, zoom: 1, cz: null, cy: null, cx: null,
  low: null, high: null, invert: false, channel: 0, mode: "overlay", result: 0, hide: "", off: "", style: "", resultStyle: "",
  opacity: 0.4, sort: "order", metric: "dice", structure: "", find: "", fold: "", group: "", only: "", tool: "move",
  objects: "", object: 0, swipe: 0.5,
};
const NUMBERS = new Set(["z", "y", "x", "zoom", "cz", "cy", "cx", "low", "high", "channel", "opacity", "result", "object", "swipe"]);
const FLAGS = new Set(["invert"]);

export const state = { ...DEFAULTS };
const listeners = [];
let timer = 0;

export function listen(keys, call) {
  listeners.push({ keys: new Set(keys), call });
}

export function set(patch, { quiet = false } = {}) {
  const changed = Object.keys(patch).filter((key) => state[key] !== patch[key]);
  if (!changed.length) return;
  Object.assign(state, patch);
  if (!quiet) tell(changed);
  clearTimeout(timer);
  timer = setTimeout(() => history.replaceState(null, "", address()), 120);
}

function tell(changed) {
  for (const { keys, call } of listeners) {
    if (changed.some((key) => keys.has(key))) call(changed);
  }
}

export function address() {
  const parts = new URLSearchParams();
  for (const [key, value] of Object.entries(state)) {
    if (value === DEFAULTS[key] || value === null || value === "") continue;
    parts.set(key, NUMBERS.has(key) && !Number.isInteger(value) ? value.toPrecision(6).replace(/\.?0+$/, "") : String(value));
  }
  return "#" + parts.toString();
}

export function read() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const patch = { ...DEFAULTS };
  for (const [key, value] of parts) {
    if (!(key in DEFAULTS)) continue;
    if (NUMBERS.has(key)) { if (Number.isFinite(Number(value))) patch[key] = Number(value); }
    else if (FLAGS.has(key)) patch[key] = value === "true";
    else patch[key] = value;
  }
  return patch;
}

// Sets of numbers in the address, such as hidden structures: "1.4.9".
export function numbers(text) {
  return new Set(text.split(".").filter((part) => part !== "").map(Number));
}

export function joined(set) {
  return [...set].sort((a, b) => a - b).join(".");
}
