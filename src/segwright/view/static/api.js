// Talks to the server: JSON, and slices as typed arrays, kept up to a number of bytes.

/** @typedef {{name: string, row_size: number, column_size: number, transposed: boolean, flip_rows: boolean,
 *   flip_columns: boolean, row_axis: number, column_axis: number, in_mm: boolean, letters: string[] | null}} View of
 *   an axis */
/** @typedef {({voxels: number, box: number[][], at: number[]} | null)[]} Places of structures; null where absent */
/** @typedef {{name: string, low: number, high: number}} Preset a window by name */
/** @typedef {{index: number, id: string, shape: number[], spacing: (number | null)[], orientation: string,
 *   volume: number | null, affine: number[][], type: string, format: string, channels: string[], views: View[],
 *   ranges: number[][],
 *   windows: Preset[], warnings: string[], sources: number[], large: boolean, instant: boolean}} Info of an open case
 *   */

const LIMIT = 384e6;
const kept = new Map();
let used = 0;

export class Refused extends Error {
  constructor(told) {
    super(told.what);
    this.told = told;
  }
}

async function ask(url, options) {
  let answer;
  try {
    answer = await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused({
      what: "The viewer's server does not answer.",
      hint: "Start 'segwright view' again and reload this page.",
    });
  }
  if (answer.ok) return answer;
  let told = { what: `The server answered ${answer.status}.` };
  try {
    told = (await answer.json()).error || told;
  } catch {
    /* not JSON */
  }
  throw new Refused(told);
}

export async function json(url, options) {
  return (await ask(url, options)).json();
}

// What the page came with: the state, and the first case if the server had read it; told once, as both grow old.
let came = JSON.parse(document.getElementById("told")?.textContent || "{}");

export function told(name) {
  const found = came[name];
  came = { ...came, [name]: null };
  return found || null;
}

/**
 * A file, or the files of a folder as a form whose fields are named by their paths.
 * @param {string} name
 * @param {File | FormData} body
 */
export function send(name, body) {
  return json(`/api/results?name=${encodeURIComponent(name)}`, {
    method: "POST",
    body,
    headers: { "x-segwright": "1" },
  });
}

export function remove(number) {
  return json(`/api/results/${number}`, { method: "DELETE", headers: { "x-segwright": "1" } });
}

function keep(url, make) {
  const found = kept.get(url);
  if (found) {
    kept.delete(url);
    kept.set(url, found);
    return found.value;
  }
  const entry = { value: null, bytes: 0 };
  entry.value = make().then(
    (slice) => {
      entry.bytes = slice.bytes;
      entry.done = slice;
      used += slice.bytes;
      for (const [key, old] of kept) {
        if (used <= LIMIT) break;
        if (!old.done || old === entry) continue;
        kept.delete(key);
        used -= old.bytes;
      }
      return slice;
    },
    (error) => {
      kept.delete(url);
      throw error;
    },
  );
  kept.set(url, entry);
  return entry.value;
}

export function forget(match) {
  for (const [key, entry] of [...kept]) {
    if (match(key)) {
      kept.delete(key);
      used -= entry.bytes;
    }
  }
}

// Slices under way; pictures of the list wait for them.
let busy = 0;
export const idle = () => busy === 0;

async function slice(url) {
  busy += 1;
  let buffer;
  try {
    buffer = await (await ask(url)).arrayBuffer();
  } finally {
    busy -= 1;
  }
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  return { header, buffer, start: 4 + length };
}

/** @param {Record<string, unknown>} options */
function query(options) {
  const parts = Object.entries(options).filter(([, value]) => value !== undefined && value !== null);
  return parts.length ? "?" + parts.map(([key, value]) => `${key}=${value}`).join("&") : "";
}

/**
 * @typedef {{channel?: number | string, step?: number, box?: string}} Cut of a slice: rows, rows end, columns,
 *   columns end
 */

/** A slice of a scan. */
export function image(c, axis, at, /** @type {Cut} */ { channel = 0, step = 1, box } = {}) {
  const part = query({ c: channel || undefined, step: step > 1 ? step : undefined, box });
  const url = `/api/cases/${c}/image/${axis}/${at}${part}`;
  return keep(url, async () => {
    const { header, buffer, start } = await slice(url);
    const Kind = header.bits === 8 ? Uint8Array : Uint16Array;
    return { ...header, ...corner(box), url, pixels: new Kind(buffer, start), bytes: buffer.byteLength };
  });
}

/** A slice of labels as codes. */
export function labels(c, source, axis, at, /** @type {Cut} */ { step = 1, box } = {}) {
  const url = `/api/cases/${c}/labels/${source}/${axis}/${at}${query({ step: step > 1 ? step : undefined, box })}`;
  return keep(url, async () => {
    const { header, buffer, start } = await slice(url);
    const codes = expand(
      new Uint32Array(buffer, start),
      header.rows * header.columns,
      header.members.length < 256 ? Uint8Array : Uint16Array,
    );
    return { ...header, ...corner(box), url, codes, bytes: codes.byteLength };
  });
}

/** A slice of numbered objects. */
export function ids(c, source, structure, axis, at, /** @type {Cut} */ { step = 1, box } = {}) {
  const part = query({ step: step > 1 ? step : undefined, box });
  const url = `/api/cases/${c}/objects/${source}/${structure}/${axis}/${at}${part}`;
  return keep(url, async () => {
    const { header, buffer, start } = await slice(url);
    const codes = expand(new Uint32Array(buffer, start), header.rows * header.columns, Uint32Array);
    return { ...header, ...corner(box), url, codes, bytes: codes.byteLength };
  });
}

// First row and column of a part of a slice, in full pixels.
function corner(box) {
  const [top, , left] = box ? box.split(",").map(Number) : [0, 0, 0];
  return { top, left };
}

// Index of the pixel of a slice, or part of one, that holds a full pixel; -1 outside.
export function cell(slice, row, column) {
  const r = Math.floor((row - slice.top) / slice.step),
    c = Math.floor((column - slice.left) / slice.step);
  return r < 0 || c < 0 || r >= slice.rows || c >= slice.columns ? -1 : r * slice.columns + c;
}

function expand(runs, length, Kind) {
  const out = new Kind(length);
  let at = 0;
  for (let i = 0; i < runs.length; i += 2) {
    const end = at + runs[i + 1];
    if (runs[i]) out.fill(runs[i], at, end);
    at = end;
  }
  return out;
}
