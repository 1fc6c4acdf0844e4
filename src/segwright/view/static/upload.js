// Takes results in: files that are dropped or chosen, and whole folders, which travel as one form.

import * as api from "./api.js";
import { el, icon } from "./dom.js";
import { set } from "./state.js";

/** @typedef {import("./world.js").World} World */
/** @typedef {{path: string, file: File}} Part a file of a folder */

// A result dropped anywhere on the page is taken in and scored.
export function dropping(world) {
  const veil = el(
    "div",
    { className: "dropveil", hidden: true },
    el("div", {}, icon("upload", 40), el("p", {}, "Drop a result: it is scored against the labels")),
  );
  document.body.append(veil);
  let depth = 0;
  const files = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
  addEventListener("dragenter", (event) => {
    if (files(event)) {
      depth++;
      veil.hidden = false;
    }
  });
  addEventListener("dragleave", (event) => {
    if (files(event) && --depth <= 0) {
      depth = 0;
      veil.hidden = true;
    }
  });
  addEventListener("dragover", (event) => {
    if (files(event)) event.preventDefault();
  });
  addEventListener("drop", async (event) => {
    if (!files(event)) return;
    event.preventDefault();
    depth = 0;
    veil.hidden = true;
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()),
      dropped = [...event.dataTransfer.files];
    for (const [i, file] of dropped.entries()) {
      if (entries[i]?.isDirectory) await takeFolder(world, entries[i].name, walk(entries[i]));
      else await takeFile(world, file);
    }
  });
}

/**
 * Take in one file as it is.
 * @param {World} world
 * @param {File} file
 */
export function takeFile(world, file) {
  return take(world, file.name, async () => ({ size: file.size, body: file }));
}

/**
 * Take in the files of a folder; hidden ones stay behind.
 * @param {World} world
 * @param {string} name
 * @param {Promise<Part[]> | Part[]} parts
 */
export function takeFolder(world, name, parts) {
  return take(world, name, async () => {
    const body = new FormData();
    let size = 0;
    for (const { path, file } of await parts) {
      if (/(^|\/)\./.test(path)) continue;
      body.append(path, file);
      size += file.size;
    }
    return { size, body };
  });
}

/**
 * @param {World} world
 * @param {string} name
 * @param {() => Promise<{size: number, body: File | FormData}>} content
 */
async function take(world, name, content) {
  world.say(`Taking in ${name} …`);
  try {
    const { size, body } = await content();
    refuseLarge(size, world.upload_limit);
    const result = await api.send(name, body);
    await world.refresh();
    set({ result: result.number, page: "runs" });
  } catch (error) {
    world.refused = { name, error };
    set({ page: "runs" });
  }
  world.say("");
  world.changed("uploaded");
}

// Told here, as a browser that is still sending does not listen to the server's refusal.
function refuseLarge(size, limit) {
  if (size <= limit) return;
  const gb = (bytes) => `${Number((bytes / 1e9).toPrecision(3))} GB`;
  throw new api.Refused({
    what: "The upload is too large.",
    expected: `at most ${gb(limit)}`,
    got: gb(size),
    hint: "Start the viewer with --result and the folder or file instead; nothing is copied then.",
  });
}

/**
 * All files below a dropped folder, by path.
 * @param {FileSystemEntry} entry
 * @param {string} above
 * @returns {Promise<Part[]>}
 */
async function walk(entry, above = "") {
  const path = above + entry.name;
  if (entry.isFile) {
    const found = /** @type {FileSystemFileEntry} */ (entry);
    return [{ path, file: await new Promise((done, failed) => found.file(done, failed)) }];
  }
  const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader(),
    found = [];
  for (;;) {
    /** @type {FileSystemEntry[]} */
    const part = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!part.length) return found;
    for (const child of part) found.push(...(await walk(child, `${path}/`)));
  }
}
