// One canvas: a slice of a case with what lies over it, turned as it hangs, with its own slices and paint kept.

import * as api from "./api.js";
import { el, number, plain, put } from "./dom.js";
import { css, fillTable, outlinePaths, paintDifference, paintFill, paintImage, paintObjects, paintOutline } from "./paint.js";
import { state } from "./state.js";

const BASE = 2048;
// The server averages no more pixels an edge to one.
const MOST = 1024;
// Milliseconds after which a slice is taken as being looked at, not passed by.
const STAYS = 400;

// Full pixels a side that become one, so that a slice is no larger than a screen shows.
export function stepOf(rows, columns) {
  let step = 1;
  while (Math.max(rows, columns) / step > BASE && step < MOST) step *= 2;
  return step;
}

/** Width and height of a slice as shown, in mm or voxels. */
export function sizeOf({ transposed, row_size, column_size }, { rows, columns }) {
  const [down, across] = transposed ? [columns, rows] : [rows, columns];
  return { wide: across * column_size, high: down * row_size };
}

// CSS pixels a mm (or pixel) where the whole slice fits.
function fitOf(view, extent, width, height) {
  const { wide, high } = sizeOf(view, extent);
  return Math.min(width / wide, height / high) * 0.985;
}

// As `stepOf`, or more where the screen has fewer pixels than that: what is seen first, before the slice in full.
export function quickStep(view, extent, { clientWidth, clientHeight }, zoom) {
  const finest = stepOf(extent.rows, extent.columns);
  if (!clientWidth || !clientHeight) return finest;
  const scale = fitOf(view, extent, clientWidth, clientHeight) * zoom * (window.devicePixelRatio || 1);
  const pixel = Math.max(view.column_size, view.row_size) * scale;
  return Math.min(MOST, Math.max(finest, pixel < 1 ? 2 ** Math.floor(Math.log2(1 / pixel)) : 1));
}

export class Pane {
  // `layers()` tells which sources lie over the image: [{source, style}], or {difference: [a, b]}.
  constructor(stage, { axis, layers, title = "", letters = true }) {
    Object.assign(this, { stage, axis, layers, title, letters, slices: {}, painted: new Map(), error: null, pending: 0 });
    this.canvas = el("canvas", { tabIndex: 0, role: "img" });
    this.note = el("div", { className: "pane-note", role: "status" });
    this.slider = el("input", { type: "range", min: 0, max: 0, step: 1, className: "slicer", oninput: () => this.stage.goto(this.axis, Number(this.slider.value)) });
    this.node = el("div", { className: "pane" }, this.canvas, el("div", { className: "pane-title" }, title), this.note, this.slider);
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.observer = new ResizeObserver(() => this.request());
    this.observer.observe(this.node);
    stage.hands.attach(this);
  }

  remove() {
    clearTimeout(this.refining);
    this.observer.disconnect();
    this.node.remove();
    this.gone = true;
  }

  get view() { return this.stage.info.views[this.axis]; }
  get at() { return this.stage.at[this.axis]; }

  // Rows and columns as stored.
  get extent() {
    const shape = this.stage.info.shape.filter((_, a) => a !== this.axis);
    return { rows: shape[0], columns: shape[1] };
  }

  get rest() { return [0, 1, 2].filter((a) => a !== this.axis); }

  // Scale (CSS pixels a mm or pixel) and the matrix from stored pixels to CSS pixels.
  place() {
    const { view } = this;
    const width = this.canvas.clientWidth, height = this.canvas.clientHeight;
    const fit = this.stage.fitting();
    const scale = Math.max(fit * state.zoom, 1e-6);
    const sx = view.column_size * scale * (view.flip_columns ? -1 : 1), sy = view.row_size * scale * (view.flip_rows ? -1 : 1);
    const matrix = view.transposed ? [0, sy, sx, 0] : [sx, 0, 0, sy];
    const centre = this.stage.centre();
    const r = centre[this.rest[0]], c = centre[this.rest[1]];
    const e = width / 2 - (matrix[0] * c + matrix[2] * r), f = height / 2 - (matrix[1] * c + matrix[3] * r);
    return { matrix: [...matrix, e, f], scale, fit, width, height, pixel: Math.min(Math.abs(sx), Math.abs(sy)), larger: Math.max(Math.abs(sx), Math.abs(sy)) };
  }

  // Scale at which the whole slice fits; panes side by side take the smallest of theirs.
  get fit() { return fitOf(this.view, this.extent, this.canvas.clientWidth, this.canvas.clientHeight); }

  toScreen([row, column], place = this.place()) {
    const [a, b, c, d, e, f] = place.matrix;
    return [a * column + c * row + e, b * column + d * row + f];
  }

  // Screen to stored pixels, fractional; pixel i spans i to i + 1.
  toSlice(x, y, place = this.place()) {
    const [a, b, c, d, e, f] = place.matrix;
    const det = a * d - b * c;
    const u = x - e, v = y - f;
    return [(a * v - b * u) / det, (d * u - c * v) / det];
  }

  toVoxel(x, y) {
    const [row, column] = this.toSlice(x, y);
    const voxel = [0, 0, 0];
    voxel[this.axis] = this.at;
    voxel[this.rest[0]] = Math.floor(row);
    voxel[this.rest[1]] = Math.floor(column);
    return voxel.every((v, a) => v >= 0 && v < this.stage.info.shape[a]) ? voxel : null;
  }

  get step() {
    const { rows, columns } = this.extent;
    return stepOf(rows, columns);
  }

  get quick() { return quickStep(this.view, this.extent, this.canvas, state.zoom); }

  // Sources needed for what lies over the image, without those that could not be read.
  sources() {
    const wanted = this.layers();
    const listed = wanted.difference ? wanted.difference : wanted.map((layer) => layer.source);
    return listed.filter((source) => this.stage.info.sources.includes(source) && !this.stage.failed.has(source));
  }

  // Objects in colours of their own: of the labels that are listed, side by side of what each pane shows.
  objects() {
    const listed = this.stage.objects(), [layer] = Array.isArray(this.layers()) ? this.layers() : [];
    if (!listed || ["swipe", "blink", "difference"].includes(state.mode)) return null;
    if (state.mode !== "side") return listed;
    return layer ? { source: layer.source, structure: listed.structure } : null;
  }

  // Fetch what the slice needs; the former slice stays until the new one is whole. What stays is then fetched in full.
  async load(step = this.quick) {
    const info = this.stage.info, { axis, at } = this, token = ++this.pending;
    clearTimeout(this.refining);
    const objects = this.objects();
    const wanted = this.sources();
    const channel = this.stage.colour() ? "all" : state.channel;
    const failed = [];
    const guarded = (promise) => promise.catch((error) => { failed.push(error); return null; });
    const jobs = [guarded(api.image(info.index, axis, at, { channel, step }))];
    for (const source of wanted) jobs.push(guarded(api.labels(info.index, source, axis, at, { step }).catch((error) => this.stage.refuse(info, source, error))));
    const over = objects ? guarded(api.ids(info.index, objects.source, objects.structure, axis, at, { step })) : Promise.resolve(null);
    let whole = false;
    const all = Promise.all([over, ...jobs]).then((parts) => { whole = true; return parts; });
    if (!this.slices.image || info.large) {
      const image = await jobs[0];
      await Promise.race([all, new Promise((done) => setTimeout(done))]);  // all is there: painted once, not twice
      if (token !== this.pending || this.gone) return;
      if (image && !whole) { this.slices = { image, labels: new Map(), at }; this.draw(); this.stage.seen(); }
    }
    const [ids, image, ...labels] = await all;
    if (token !== this.pending || this.gone) return;
    this.error = failed[0] || null;
    this.refusals = this.stage.refusals(this.layers());
    this.slices = { image, labels: new Map(wanted.map((source, i) => [source, labels[i]]).filter(([, s]) => s)), ids, at };
    this.detail = this.wanted = null;
    this.draw();
    this.stage.loaded(this);
    if (step > this.step) this.refining = setTimeout(() => !this.gone && this.load(this.step), STAYS);
    this.ahead();
  }

  // The neighbours in the direction of travel, so that the next slice is there already.
  ahead() {
    const info = this.stage.info, length = info.shape[this.axis];
    if (length < 2) return;
    const way = this.at >= (this.before ?? this.at) ? 1 : -1;
    this.before = this.at;
    const channel = this.stage.colour() ? "all" : state.channel, step = this.quick;
    for (const offset of [way, 2 * way, -way]) {
      const next = this.at + offset;
      if (next < 0 || next >= length) continue;
      api.image(info.index, this.axis, next, { channel, step }).catch(() => {});
      for (const source of this.sources()) api.labels(info.index, source, this.axis, next, { step }).catch(() => {});
    }
  }

  request() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => { this.asked = false; if (!this.gone) this.draw(); });
  }

  // A canvas that is painted again only when `version` changes.
  sheet(key, version, slice, paint) {
    let sheet = this.painted.get(key);
    if (!sheet || sheet.canvas.width !== slice.columns || sheet.canvas.height !== slice.rows) {
      const canvas = el("canvas", { width: slice.columns, height: slice.rows });
      const context = canvas.getContext("2d");
      sheet = { canvas, context, data: context.createImageData(slice.columns, slice.rows), version: null };
      this.painted.set(key, sheet);
    }
    if (sheet.version !== version) {
      const words = new Uint32Array(sheet.data.data.buffer);
      paint(words);
      sheet.context.putImageData(sheet.data, 0, 0);
      sheet.version = version;
    }
    return sheet.canvas;
  }

  draw() {
    const { canvas, context } = this, info = this.stage.info;
    if (!info || !this.view) return;
    const dpr = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * dpr), height = Math.round(canvas.clientHeight * dpr);
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#05070a";
    context.fillRect(0, 0, width, height);
    const place = this.place();
    const { image } = this.slices;
    this.furnish();
    if (image) {
      this.matrix(place, dpr, image);
      context.imageSmoothingEnabled = !state.pixels || place.pixel * dpr * image.step < 1;
      context.imageSmoothingQuality = "high";
      context.drawImage(this.imageSheet("image", image), 0, 0);
      this.sharpen(place, dpr);
      this.overlay(place, dpr);
    }
    context.setTransform(dpr, 0, 0, dpr, 0, 0);
    this.stage.marks(this, context, place);
    if (image) this.letterbox(context, place);
    this.drawn = (this.drawn || 0) + 1;
  }

  // From pixels of a slice, or of a part of one, to the canvas.
  matrix(place, dpr, { step, top, left }) {
    const [a, b, c, d, e, f] = place.matrix.map((v) => v * dpr);
    this.context.setTransform(a * step, b * step, c * step, d * step, e + a * left + c * top, f + b * left + d * top);
  }

  imageSheet(key, image) {
    const { low, high } = this.stage.window();
    return this.sheet(key, [image.url, low, high, state.invert].join(), image, (out) => paintImage(out, image, low, high, state.invert));
  }

  // Beyond 2048 pixels the slice came reduced; where it is magnified, the part that is seen comes in full, labels as well.
  sharpen(place, dpr) {
    const { image } = this.slices;
    if (image.step === 1 || place.pixel * dpr < 0.75 / image.step * 1.5) { this.detail = this.wanted = null; return; }
    const step = Math.max(1, 2 ** Math.floor(Math.log2(1 / Math.max(place.pixel * dpr, 1e-6))));
    if (step >= image.step) { this.detail = this.wanted = null; return; }
    const seen = this.seen(place), { rows, columns } = this.extent, grid = 256 * step;
    const low = (v) => Math.max(0, Math.floor(v / grid) * grid), high = (v, n) => Math.min(n, Math.ceil(v / grid) * grid);
    const box = [low(seen.top), high(seen.bottom, rows), low(seen.left), high(seen.right, columns)];
    if (box[1] <= box[0] || box[3] <= box[2]) return;
    const sources = this.sources(), objects = this.objects();
    const name = [this.at, step, state.channel, sources, objects && Object.values(objects), ...box].join();
    if (this.detail) {
      this.matrix(place, dpr, this.detail.image);
      this.context.imageSmoothingEnabled = !state.pixels || place.pixel * dpr * this.detail.image.step < 1;
      this.context.drawImage(this.imageSheet("detail", this.detail.image), 0, 0);
    }
    if (this.wanted === name) return;
    this.wanted = name;
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.fetchDetail(name, { step, box: box.join(",") }, sources, objects), 90);
  }

  async fetchDetail(name, part, sources, objects) {
    const info = this.stage.info, { axis, at } = this, channel = this.stage.colour() ? "all" : state.channel;
    try {
      const [image, ids, ...labels] = await Promise.all([
        api.image(info.index, axis, at, { ...part, channel }),
        objects ? api.ids(info.index, objects.source, objects.structure, axis, at, part) : null,
        ...sources.map((source) => api.labels(info.index, source, axis, at, part)),
      ]);
      if (this.wanted !== name || this.gone) return;
      this.detail = { image, ids, labels: new Map(sources.map((source, i) => [source, labels[i]])) };
      this.canvas.dataset.detail = part.step;
      this.request();
    } catch { /* the reduced slice stays */ }
  }

  // Full rows and columns that are on the screen.
  seen(place) {
    const [p, q] = [[0, 0], [place.width, place.height]].map(([x, y]) => this.toSlice(x, y, place));
    return { top: Math.min(p[0], q[0]), bottom: Math.max(p[0], q[0]), left: Math.min(p[1], q[1]), right: Math.max(p[1], q[1]) };
  }

  // Labels or objects as fine as they are there for all that is seen.
  finest(place) {
    const { detail, slices } = this, { rows, columns } = this.extent;
    if (!detail) return slices;
    const { top, left, step, ...size } = detail.image, seen = this.seen(place);
    const covers = Math.max(0, seen.top) >= top && Math.max(0, seen.left) >= left
      && Math.min(rows, seen.bottom) <= top + size.rows * step && Math.min(columns, seen.right) <= left + size.columns * step;
    return covers ? detail : slices;
  }

  overlay(place, dpr) {
    const { context } = this, wanted = this.layers(), { labels, ids } = this.finest(place);
    const look = this.stage.look();
    context.imageSmoothingEnabled = false;
    const objects = ids && this.objects();
    if (objects) {
      this.matrix(place, dpr, ids);
      const picked = objects.source === this.stage.objects().source ? state.object : 0;
      const version = ["ids", ids.url, picked, state.opacity].join();
      context.drawImage(this.sheet("ids", version, ids, (out) => paintObjects(out, ids.codes, picked, Math.min(1, state.opacity + 0.25))), 0, 0);
    }
    if (wanted.difference) {
      const [a, b] = wanted.difference.map((source) => labels.get(source));
      if (!a || !b) return;
      this.matrix(place, dpr, a);
      const version = ["difference", a.url, b.url, look.version].join();
      context.drawImage(this.sheet("difference", version, a, (out) => paintDifference(out, a, b, look.visible, state.opacity + 0.35)), 0, 0);
      return;
    }
    const clips = this.stage.clips(this, wanted, place), several = wanted.length > 1;
    wanted.forEach((layer, i) => {
      const slice = labels.get(layer.source);
      if (!slice || clips[i] === null || (objects && layer.source === objects.source)) return;
      context.save();
      if (clips[i]) {
        context.setTransform(dpr, 0, 0, dpr, 0, 0);
        context.beginPath();
        context.rect(...clips[i]);
        context.clip();
      }
      this.matrix(place, dpr, slice);
      this.layer(slice, { ...layer, second: several && layer.source !== 0 }, look, place, dpr);
      context.restore();
    });
  }

  // A result beside labels is dashed and hatched: colours tell structures, strokes whose they are.
  layer(slice, { source, style, second }, look, place, dpr) {
    const { context } = this, scale = place.pixel * dpr * slice.step;
    const fill = style !== "outline", line = style !== "fill";
    const vector = line && place.larger * dpr * slice.step > 1.3;
    const reach = Math.max(1, Math.round(1.6 * dpr / Math.max(scale, 0.05)));
    const dash = second ? Math.max(1, Math.round((5 * dpr) / scale)) : 0;
    const version = [slice.url, look.version, fill, line && !vector ? reach : 0, dash].join();
    if (fill || !vector) {
      const sheet = this.sheet(`layer-${source}`, version, slice, (out) => {
        if (fill) paintFill(out, slice, fillTable(slice.members, look.colours, look.visible, state.opacity), dash);
        else out.fill(0);
        if (line && !vector) paintOutline(out, slice, look, reach, dash);
      });
      context.imageSmoothingEnabled = scale < 1;
      context.drawImage(sheet, 0, 0);
    }
    if (!vector) return;
    const seen = this.seen(place), { top, left, step } = slice;
    const region = {
      top: Math.floor((seen.top - top) / step), bottom: Math.ceil((seen.bottom - top) / step),
      left: Math.floor((seen.left - left) / step), right: Math.ceil((seen.right - left) / step),
    };
    const matrix = new DOMMatrix(context.getTransform());
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.lineWidth = 1.7 * dpr;
    context.lineCap = second ? "butt" : "square";
    if (second && scale > 8 * dpr) context.setLineDash([5 * dpr, 4 * dpr]);
    for (const [colour, path] of outlinePaths(slice, look, region, second && scale <= 8 * dpr ? dash : 0)) {
      const shown = new Path2D();
      shown.addPath(path, matrix);
      context.strokeStyle = css(colour);
      context.stroke(shown);
    }
    context.setLineDash([]);
  }

  // Letters of the patient's sides, scale bar.
  letterbox(context, place) {
    const { view } = this;
    context.font = "600 12px system-ui, sans-serif";
    context.fillStyle = "#c8d3de";
    context.shadowColor = "#000";
    context.shadowBlur = 3;
    context.textAlign = "center";
    context.textBaseline = "middle";
    if (view.letters && this.letters) {
      const [top, right, bottom, left] = view.letters;
      const titled = this.node.querySelector(".pane-title").offsetWidth + 24 > place.width / 2;
      context.fillText(top, place.width / 2, titled ? 42 : 14);
      context.fillText(bottom, place.width / 2, place.height - 30);
      context.fillText(right, place.width - (this.slider.hidden ? 14 : 34), place.height / 2);
      context.fillText(left, 14, place.height / 2);
    }
    const nice = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001, 0.00005, 0.00002, 0.00001];
    const length = nice.filter((n) => n * place.scale <= Math.min(150, place.width / 2 - 48)).sort((a, b) => b - a)[0];
    if (length) {
      const wide = length * place.scale, x = 14, y = place.height - 16;
      context.shadowBlur = 0;
      context.fillStyle = "rgb(5 7 10 / 62%)";
      context.beginPath(); context.roundRect(x - 7, y - 24, wide + 14, 31, 5); context.fill();
      context.fillStyle = "#e8eef4";
      context.strokeStyle = "#e8eef4";
      context.lineWidth = 1.5;
      context.beginPath();
      context.moveTo(x, y - 4); context.lineTo(x, y); context.lineTo(x + wide, y); context.lineTo(x + wide, y - 4);
      context.stroke();
      context.textAlign = "left";
      context.fillText(this.view.in_mm ? inWords(length) : `${number(length)} ${this.stage.unit()}`, x + 4, y - 11);
    }
    context.shadowBlur = 0;
  }

  furnish() {
    const info = this.stage.info, length = info.shape[this.axis];
    this.slider.hidden = length < 2;
    if (length > 1) {
      this.slider.max = length - 1;
      this.slider.value = this.at;
      this.slider.setAttribute("aria-label", `${this.view.name} slice`);
    }
    const where = length > 1 ? `${this.view.name} ${this.at + 1} / ${length}` : "";
    this.canvas.setAttribute("aria-label", `${info.id}${where ? ", " + where : ""}${this.title ? ", " + this.title : ""}`);
    const title = [this.title, where].filter(Boolean).join(" · ");
    const shown = this.node.querySelector(".pane-title");
    if (shown.textContent !== title) shown.textContent = title;
    this.complain([this.error, ...(this.refusals || [])].filter(Boolean));
    this.canvas.dataset.at = this.at;
  }

  // What is wrong, with which file, and what to do; written once for each error.
  complain(errors) {
    const text = JSON.stringify(errors.map((error) => error.told || error.message));
    if (text === this.complained) return;
    this.complained = text;
    this.note.hidden = !errors.length;
    put(this.note, ...errors.map((error) => plain(error)));
  }
}

/** A length in the unit that people say. @param {number} mm */
function inWords(mm) {
  if (mm >= 10) return `${mm / 10} cm`;
  if (mm >= 0.5) return `${mm} mm`;
  return mm >= 0.0005 ? `${Number((mm * 1000).toPrecision(3))} µm` : `${Number((mm * 1e6).toPrecision(3))} nm`;
}

export { inWords };
