// What is being looked at, and its address: every change goes through `set`, so a link always reopens the same view.

/** @typedef {{page: string, case: string, plane: string, z: number | null, y: number | null, x: number | null,
 *   zoom: number, cz: number | null, cy: number | null, cx: number | null, low: number | null, high: number | null,
 *   invert: boolean, pixels: boolean, channel: number, mode: string, result: number, hide: string, off: string,
 *   style: string, resultStyle: string, opacity: number, sort: string, metric: string, structure: string, find: string,
 *   fold: string, group: string, only: string, tool: string, objects: string, object: number, swipe: number}} View */

/** @type {View} */
const DEFAULTS = {
  page: "cases",
  case: "",
  plane: "",
  z: null,
  y: null,
  x: null,
  zoom: 1,
  cz: null,
  cy: null,
  cx: null,
  low: null,
  high: null,
  invert: false,
  pixels: false,
  channel: 0,
  mode: "overlay",
  result: 0,
  hide: "",
  off: "",
  style: "",
  resultStyle: "",
  opacity: 0.4,
  sort: "order",
  metric: "dice",
  structure: "",
  find: "",
  fold: "",
  group: "",
  only: "",
  tool: "move",
  objects: "",
  object: 0,
  swipe: 0.5,
};
const NUMBERS = new Set([
  "z",
  "y",
  "x",
  "zoom",
  "cz",
  "cy",
  "cx",
  "low",
  "high",
  "channel",
  "opacity",
  "result",
  "object",
  "swipe",
]);
const FLAGS = new Set(["invert", "pixels"]);
// Slices count from 1 wherever a person reads them, and from 0 in here.
const COUNTED = new Set(["z", "y", "x"]);
// What "Back" leads back to; everything else is part of the step it was changed in.
const STEPS = new Set(["page", "case"]);
// Walking through a list with a key held down is one step.
const WALK = 700;

export const state = { ...DEFAULTS };
const listeners = [];
let timer = 0;
let stepped = -WALK;

/** Call when one of these keys changes. @param {string[]} keys @param {(changed: string[]) => void} call */
export function listen(keys, call) {
  listeners.push({ keys: new Set(keys), call });
}

/**
 * Change what is looked at, and with it the address.
 * @param {Partial<View>} patch
 * @param {{quiet?: boolean, back?: boolean}} options quiet: nobody is told; back: false where the address came first.
 */
export function set(patch, { quiet = false, back = true } = {}) {
  const changed = Object.keys(patch).filter((key) => state[key] !== patch[key]);
  if (!changed.length) return;
  const step = back && !quiet && changed.some((key) => STEPS.has(key)) && performance.now() - stepped > WALK;
  if (step) write();
  Object.assign(state, patch);
  if (step) {
    history.pushState(null, "", address());
    stepped = performance.now();
  }
  if (!quiet) tell(changed);
  clearTimeout(timer);
  timer = setTimeout(write, 120);
}

function write() {
  clearTimeout(timer);
  history.replaceState(null, "", address());
}

function tell(changed) {
  for (const { keys, call } of listeners) {
    if (changed.some((key) => keys.has(key))) call(changed);
  }
}

/** The view as the part of an address behind its sign #. @returns {string} */
export function address() {
  const parts = new URLSearchParams();
  for (const [key, value] of Object.entries(state)) {
    if (value === DEFAULTS[key] || value === null || value === "") continue;
    const told = COUNTED.has(key) ? Number(value) + 1 : value;
    const part = typeof told === "number" && !Number.isInteger(told);
    parts.set(key, part ? told.toPrecision(6).replace(/\.?0+$/, "") : String(told));
  }
  return "#" + parts.toString();
}

/** The view that the address names. @returns {View} */
export function read() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const patch = { ...DEFAULTS };
  for (const [key, value] of parts) {
    if (!(key in DEFAULTS)) continue;
    if (NUMBERS.has(key)) {
      if (Number.isFinite(Number(value))) patch[key] = Number(value) - (COUNTED.has(key) ? 1 : 0);
    } else if (FLAGS.has(key)) patch[key] = value === "true";
    else patch[key] = value;
  }
  return patch;
}

// Sets of numbers in the address, such as hidden structures: "1.4.9".
export function numbers(text) {
  return new Set(
    text
      .split(".")
      .filter((part) => part !== "")
      .map(Number),
  );
}

export function joined(set) {
  return [...set].sort((a, b) => a - b).join(".");
}
