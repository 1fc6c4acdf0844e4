// Takes results in: files that are dropped or chosen, and whole folders, which travel as one zip.

import * as api from "./api.js";
import { el, icon } from "./dom.js";
import { set } from "./state.js";

// A result dropped anywhere on the page is taken in and scored.
export function dropping(world) {
  const veil = el("div", { className: "dropveil", hidden: true }, el("div", {}, icon("upload", 40), el("p", {}, "Drop a result: it is scored against the labels")));
  document.body.append(veil);
  let depth = 0;
  const files = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
  addEventListener("dragenter", (event) => { if (files(event)) { depth++; veil.hidden = false; } });
  addEventListener("dragleave", (event) => { if (files(event) && --depth <= 0) { depth = 0; veil.hidden = true; } });
  addEventListener("dragover", (event) => { if (files(event)) event.preventDefault(); });
  addEventListener("drop", async (event) => {
    if (!files(event)) return;
    event.preventDefault();
    depth = 0;
    veil.hidden = true;
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()), dropped = [...event.dataTransfer.files];
    for (const [i, file] of dropped.entries()) {
      if (entries[i]?.isDirectory) await takeFolder(world, entries[i].name, walk(entries[i]));
      else await take(world, file.name, () => file);
    }
  });
  world.upload = async (list) => { for (const file of list) await take(world, file.name, () => file); };
  world.uploadFolder = (list) => list.length && takeFolder(world, list[0].webkitRelativePath.split("/")[0], list.map((file) => ({ name: file.webkitRelativePath, file })));
}

function takeFolder(world, name, parts) {
  return take(world, `${name}.zip`, async () => zipped((await parts).filter((part) => !/(^|\/)\./.test(part.name)), world.upload_limit));
}

async function take(world, name, content) {
  world.say(`Taking in ${name} …`);
  try {
    const file = await content();
    refuseLarge(file.size, world.upload_limit);
    const result = await api.send(name, file);
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
    what: "The upload is too large.", expected: `at most ${gb(limit)}`, got: gb(size),
    hint: "Start the viewer with --result and the folder or file instead; nothing is copied then.",
  });
}

// All files below a dropped folder, by path.
async function walk(entry, path = "") {
  const name = path + entry.name;
  if (entry.isFile) return [{ name, file: await new Promise((done, failed) => entry.file(done, failed)) }];
  const reader = entry.createReader(), found = [];
  for (;;) {
    const part = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!part.length) return found;
    for (const child of part) found.push(...await walk(child, `${name}/`));
  }
}

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function crc32(bytes) {
  let crc = -1;
  for (let i = 0; i < bytes.length; i++) crc = CRC[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
  return (crc ^ -1) >>> 0;
}

// Little-endian numbers of 2 and 4 bytes: [[2, value], [4, value], ...].
function record(fields) {
  const bytes = new Uint8Array(fields.reduce((sum, [size]) => sum + size, 0)), view = new DataView(bytes.buffer);
  let at = 0;
  for (const [size, value] of fields) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return bytes;
}

// Files as a zip without compression; their bytes stay where they are.
async function zipped(parts, limit) {
  refuseLarge(parts.reduce((sum, part) => sum + part.file.size, 0), limit);
  const body = [], index = [];
  let at = 0;
  for (const { name, file } of parts) {
    const path = new TextEncoder().encode(name), crc = crc32(new Uint8Array(await file.arrayBuffer()));
    const told = [[2, 20], [2, 0x0800], [2, 0], [2, 0], [2, 0x21], [4, crc], [4, file.size], [4, file.size], [2, path.length], [2, 0]];
    body.push(record([[4, 0x04034b50], ...told]), path, file);
    index.push(record([[4, 0x02014b50], [2, 20], ...told, [2, 0], [2, 0], [2, 0], [4, 0], [4, at]]), path);
    at += 30 + path.length + file.size;
  }
  const size = index.reduce((sum, bytes) => sum + bytes.length, 0);
  return new Blob([...body, ...index, record([[4, 0x06054b50], [2, 0], [2, 0], [2, parts.length], [2, parts.length], [4, size], [4, at], [2, 0]])]);
}
