// One canvas: a slice of a case with what lies over it, turned as it hangs, with its own slices and paint kept.

import * as api from "./api.js";
import { complain, el } from "./dom.js";
import { imageSheet, paintOverlay, setMatrix } from "./layers.js";
import { fitOf, quickStep, stepOf } from "./layout.js";
import { drawLetterbox, drawMarks } from "./marks.js";
import { state } from "./state.js";

// Milliseconds after which a slice is taken as being looked at, not passed by.
const STAYS = 400;

export class Pane {
  /**
   * @param {import("./stage.js").Stage} stage
   * @param {{axis: number, layers: () => any, title?: string, letters?: boolean}} what `layers` tells which sources lie
   *   over the image: [{source, style}], or {difference: [a, b]}
   */
  constructor(stage, { axis, layers, title = "", letters = true }) {
    this.stage = stage;
    this.axis = axis;
    this.layers = layers;
    this.title = title;
    this.letters = letters;
    /** Slices that are on the screen: the image, labels by source, object numbers. @type {Record<string, any>} */
    this.slices = {};
    /** Painted sheets by name. @type {Map<string, any>} */
    this.painted = new Map();
    this.error = null;
    this.pending = 0;
    this.canvas = el("canvas", { tabIndex: 0, role: "img" });
    this.note = el("div", { className: "pane-note", role: "status" });
    this.slider = el("input", {
      type: "range",
      min: 0,
      max: 0,
      step: 1,
      className: "slicer",
      oninput: () => this.stage.goto(this.axis, Number(this.slider.value)),
    });
    this.node = el(
      "div",
      { className: "pane" },
      this.canvas,
      el("div", { className: "pane-title" }, title),
      this.note,
      this.slider,
    );
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.observer = new ResizeObserver(() => this.request());
    this.observer.observe(this.node);
    stage.input.attach(this);
  }

  remove() {
    clearTimeout(this.refining);
    this.observer.disconnect();
    this.node.remove();
    this.gone = true;
  }

  get view() {
    return this.stage.info.views[this.axis];
  }
  get at() {
    return this.stage.at[this.axis];
  }

  // Rows and columns as stored.
  get extent() {
    const shape = this.stage.info.shape.filter((_, a) => a !== this.axis);
    return { rows: shape[0], columns: shape[1] };
  }

  get rest() {
    return [0, 1, 2].filter((a) => a !== this.axis);
  }

  // Scale (CSS pixels a mm or pixel) and the matrix from stored pixels to CSS pixels.
  place() {
    const { view } = this;
    const width = this.canvas.clientWidth,
      height = this.canvas.clientHeight;
    const fit = this.stage.fitting();
    const scale = Math.max(fit * state.zoom, 1e-6);
    const sx = view.column_size * scale * (view.flip_columns ? -1 : 1),
      sy = view.row_size * scale * (view.flip_rows ? -1 : 1);
    const matrix = view.transposed ? [0, sy, sx, 0] : [sx, 0, 0, sy];
    const centre = this.stage.centre();
    const r = centre[this.rest[0]],
      c = centre[this.rest[1]];
    const e = width / 2 - (matrix[0] * c + matrix[2] * r),
      f = height / 2 - (matrix[1] * c + matrix[3] * r);
    return {
      matrix: [...matrix, e, f],
      scale,
      fit,
      width,
      height,
      pixel: Math.min(Math.abs(sx), Math.abs(sy)),
      larger: Math.max(Math.abs(sx), Math.abs(sy)),
    };
  }

  // Scale at which the whole slice fits; panes side by side take the smallest of theirs.
  get fit() {
    return fitOf(this.view, this.extent, this.canvas.clientWidth, this.canvas.clientHeight);
  }

  toScreen([row, column], place = this.place()) {
    const [a, b, c, d, e, f] = place.matrix;
    return [a * column + c * row + e, b * column + d * row + f];
  }

  // Screen to stored pixels, fractional; pixel i spans i to i + 1.
  toSlice(x, y, place = this.place()) {
    const [a, b, c, d, e, f] = place.matrix;
    const det = a * d - b * c;
    const u = x - e,
      v = y - f;
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

  get quick() {
    return quickStep(this.view, this.extent, this.canvas, state.zoom);
  }

  // Sources needed for what lies over the image, without those that could not be read.
  sources() {
    const wanted = this.layers();
    const listed = wanted.difference ? wanted.difference : wanted.map((layer) => layer.source);
    return listed.filter((source) => this.stage.info.sources.includes(source) && !this.stage.failed.has(source));
  }

  // Objects in colours of their own: of the labels that are listed, side by side of what each pane shows.
  objects() {
    const listed = this.stage.objects(),
      [layer] = Array.isArray(this.layers()) ? this.layers() : [];
    if (!listed || ["swipe", "blink", "difference"].includes(state.mode)) return null;
    if (state.mode !== "side") return listed;
    return layer ? { source: layer.source, structure: listed.structure } : null;
  }

  // Fetch what the slice needs; the former slice stays until the new one is whole. What stays is then fetched in full.
  async load(step = this.quick) {
    const info = this.stage.info,
      { axis, at } = this,
      token = ++this.pending;
    clearTimeout(this.refining);
    const objects = this.objects();
    const wanted = this.sources();
    const channel = this.stage.colour() ? "all" : state.channel;
    const failed = [];
    const guarded = (promise) =>
      promise.catch((error) => {
        failed.push(error);
        return null;
      });
    const jobs = [guarded(api.image(info.index, axis, at, { channel, step }))];
    for (const source of wanted)
      jobs.push(
        guarded(
          api.labels(info.index, source, axis, at, { step }).catch((error) => this.stage.refuse(info, source, error)),
        ),
      );
    const over = objects
      ? guarded(api.ids(info.index, objects.source, objects.structure, axis, at, { step }))
      : Promise.resolve(null);
    let whole = false;
    const all = Promise.all([over, ...jobs]).then((parts) => {
      whole = true;
      return parts;
    });
    if (!this.slices.image || info.large) {
      const image = await jobs[0];
      await Promise.race([all, new Promise((done) => setTimeout(done))]); // all is there: painted once, not twice
      if (token !== this.pending || this.gone) return;
      if (image && !whole) {
        this.slices = { image, labels: new Map(), at };
        this.draw();
        this.stage.seen();
      }
    }
    const [ids, image, ...labels] = await all;
    if (token !== this.pending || this.gone) return;
    this.error = failed[0] || null;
    this.refusals = this.stage.refusals(this.layers());
    this.slices = {
      image,
      labels: new Map(wanted.map((source, i) => [source, labels[i]]).filter(([, s]) => s)),
      ids,
      at,
    };
    this.detail = this.wanted = null;
    this.draw();
    this.stage.loaded();
    if (step > this.step) this.refining = setTimeout(() => !this.gone && this.load(this.step), STAYS);
    this.ahead();
  }

  // The neighbours in the direction of travel, so that the next slice is there already.
  ahead() {
    const info = this.stage.info,
      length = info.shape[this.axis];
    if (length < 2) return;
    const way = this.at >= (this.before ?? this.at) ? 1 : -1;
    this.before = this.at;
    const channel = this.stage.colour() ? "all" : state.channel,
      step = this.quick;
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
    requestAnimationFrame(() => {
      this.asked = false;
      if (!this.gone) this.draw();
    });
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
    const { canvas, context } = this,
      info = this.stage.info;
    if (!info || !this.view) return;
    const dpr = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * dpr),
      height = Math.round(canvas.clientHeight * dpr);
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#05070a";
    context.fillRect(0, 0, width, height);
    const place = this.place();
    const { image } = this.slices;
    this.furnish();
    if (image) {
      setMatrix(this, place, dpr, image);
      context.imageSmoothingEnabled = !state.pixels || place.pixel * dpr * image.step < 1;
      context.imageSmoothingQuality = "high";
      context.drawImage(imageSheet(this, "image", image), 0, 0);
      this.sharpen(place, dpr);
      paintOverlay(this, place, dpr);
    }
    context.setTransform(dpr, 0, 0, dpr, 0, 0);
    drawMarks(this.stage, this, context, place);
    if (image) drawLetterbox(this, context, place);
    this.drawn = (this.drawn || 0) + 1;
  }

  // Beyond 2048 pixels the slice came reduced; where it is magnified, the part that is seen comes in full.
  sharpen(place, dpr) {
    const { image } = this.slices;
    if (image.step === 1 || place.pixel * dpr < (0.75 / image.step) * 1.5) {
      this.detail = this.wanted = null;
      return;
    }
    const step = Math.max(1, 2 ** Math.floor(Math.log2(1 / Math.max(place.pixel * dpr, 1e-6))));
    if (step >= image.step) {
      this.detail = this.wanted = null;
      return;
    }
    const seen = this.seen(place),
      { rows, columns } = this.extent,
      grid = 256 * step;
    const low = (v) => Math.max(0, Math.floor(v / grid) * grid),
      high = (v, n) => Math.min(n, Math.ceil(v / grid) * grid);
    const box = [low(seen.top), high(seen.bottom, rows), low(seen.left), high(seen.right, columns)];
    if (box[1] <= box[0] || box[3] <= box[2]) return;
    const sources = this.sources(),
      objects = this.objects();
    const name = [this.at, step, state.channel, sources, objects && Object.values(objects), ...box].join();
    if (this.detail) {
      setMatrix(this, place, dpr, this.detail.image);
      this.context.imageSmoothingEnabled = !state.pixels || place.pixel * dpr * this.detail.image.step < 1;
      this.context.drawImage(imageSheet(this, "detail", this.detail.image), 0, 0);
    }
    if (this.wanted === name) return;
    this.wanted = name;
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.fetchDetail(name, { step, box: box.join(",") }, sources, objects), 90);
  }

  async fetchDetail(name, part, sources, objects) {
    const info = this.stage.info,
      { axis, at } = this,
      channel = this.stage.colour() ? "all" : state.channel;
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
    } catch {
      /* the reduced slice stays */
    }
  }

  // Full rows and columns that are on the screen.
  seen(place) {
    const [p, q] = [
      [0, 0],
      [place.width, place.height],
    ].map(([x, y]) => this.toSlice(x, y, place));
    return {
      top: Math.min(p[0], q[0]),
      bottom: Math.max(p[0], q[0]),
      left: Math.min(p[1], q[1]),
      right: Math.max(p[1], q[1]),
    };
  }

  // Labels or objects as fine as they are there for all that is seen.
  finest(place) {
    const { detail, slices } = this,
      { rows, columns } = this.extent;
    if (!detail) return slices;
    const { top, left, step, ...size } = detail.image,
      seen = this.seen(place);
    const covers =
      Math.max(0, seen.top) >= top &&
      Math.max(0, seen.left) >= left &&
      Math.min(rows, seen.bottom) <= top + size.rows * step &&
      Math.min(columns, seen.right) <= left + size.columns * step;
    return covers ? detail : slices;
  }

  furnish() {
    const info = this.stage.info,
      length = info.shape[this.axis];
    this.slider.hidden = length < 2;
    if (length > 1) {
      this.slider.max = length - 1;
      this.slider.value = this.at;
      this.slider.setAttribute("aria-label", `${this.view.name} slice`);
    }
    const where = length > 1 ? `${this.view.name} ${this.at + 1} / ${length}` : "";
    this.canvas.setAttribute(
      "aria-label",
      `${info.id}${where ? ", " + where : ""}${this.title ? ", " + this.title : ""}`,
    );
    const title = [this.title, where].filter(Boolean).join(" · ");
    const shown = this.node.querySelector(".pane-title");
    if (shown.textContent !== title) shown.textContent = title;
    complain(this.note, [this.error, ...(this.refusals || [])].filter(Boolean));
    this.canvas.dataset.at = this.at;
  }
}
