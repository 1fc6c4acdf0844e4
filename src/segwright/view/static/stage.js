// The stage: the case that is open, its panes, and what they share (place, window, what is visible, marks).

import * as api from "./api.js";
import { el, problem, put } from "./dom.js";
import { Input } from "./input.js";
import { layOut, quickStep } from "./layout.js";
import { present, rgb } from "./paint.js";
import { Pane } from "./pane.js";
import { listen, numbers, set, state } from "./state.js";
import { fillToolbar } from "./toolbar.js";

// What changes pixels alone: nothing has to be asked for.
const REDRAWN = "zoom cz cy cx low high invert hide opacity style resultStyle swipe object tool pixels".split(" ");

/** @typedef {{source: number, style: string}} Layer */

export class Stage {
  /** @param {import("./world.js").World} world */
  constructor(world) {
    this.world = world;
    this.input = new Input(this);
    /** @type {Pane[]} */
    this.panes = [];
    /** @type {import("./api.js").Info | null} */
    this.info = null;
    this.at = [0, 0, 0];
    this.rulers = [];
    this.failed = new Map();
    this.grid = el("div", { className: "panes" });
    this.readout = el("p", { className: "readout" }, " ");
    this.veil = el("div", { className: "veil", hidden: true });
    this.toolbar = el("div", { className: "tools", role: "toolbar", "aria-label": "View" });
    this.node = el(
      "section",
      { className: "stage", id: "stage", "aria-label": "Scan" },
      this.toolbar,
      el("div", { className: "view" }, this.grid, this.veil),
      this.readout,
    );
    this.colours = world.structures.map((s) => rgb(s.colour));
    const first = api.told("first");
    this.known = new Map(first ? [[first.index, first]] : []);
    new ResizeObserver(() => layOut(this)).observe(this.grid);
    world.onChange((what) => what === "state" && this.renew());
    listen(["case"], () => this.open());
    listen(["z", "y", "x"], () => this.moved());
    listen(["plane", "mode"], () => this.arrange());
    listen(["channel", "objects"], () => this.reload());
    listen(["off", "result"], () => this.arrange());
    listen(REDRAWN, () => this.redraw());
    listen(["mode", "plane", "tool", "case"], () => fillToolbar(this));
  }

  // What was opened.
  async open() {
    const row = this.world.caseOf(state.case);
    if (!row) return;
    const token = (this.token = (this.token || 0) + 1),
      from = this.carried;
    this.rulers = [];
    this.carried = null;
    this.failed.clear();
    this.message(null);
    try {
      const info = this.known.get(row.index) || (await api.json(`/api/cases/${row.index}`));
      this.known.delete(row.index); // once only: what is asked for again may have changed
      if (token !== this.token) return;
      this.info = info;
      this.extents = null;
      if (from) set(carriedTo(from, info), { quiet: true });
      const middle = info.shape.map((n) => Math.floor(n / 2));
      const told = [state.z, state.y, state.x];
      this.at = middle.map((m, a) => (told[a] === null ? m : Math.min(Math.max(0, told[a]), info.shape[a] - 1)));
      this.arrange();
      this.world.opened(info);
      this.locate(token);
    } catch (error) {
      if (token !== this.token) return;
      this.info = null;
      this.clear();
      this.message(problem(error));
      this.world.opened(null);
    }
  }

  // The next case that is opened takes over window, zoom and slice, if it is of the same kind.
  carry() {
    this.carried = this.info || this.carried;
  }

  // What is open may have got a result, or lost one.
  async renew() {
    this.known.clear();
    const row = this.info && this.world.caseOf(this.info.id),
      token = this.token;
    if (!row) return;
    const info = await api.json(`/api/cases/${row.index}`).catch(() => null);
    if (!info || token !== this.token || String(info.sources) === String(this.info.sources)) return;
    this.info = info;
    this.failed.clear();
    this.arrange();
    this.world.opened(info);
    if (this.extents) this.world.located(this.extents);
  }

  // Labels or a result of the open case that cannot be read: told, and not asked for again.
  refuse(info, source, error) {
    if (info === this.info && error.told) this.failed.set(source, error);
    return null;
  }

  // What is wrong with what a pane should show.
  refusals(layers) {
    const wanted = layers.difference || layers.map((layer) => layer.source);
    return wanted.filter((source) => this.failed.has(source)).map((source) => this.failed.get(source));
  }

  // Structures in the slices on the screen.
  present() {
    const slices = this.panes.flatMap((pane) => [...(pane.slices.labels?.values() || [])]);
    return new Set(slices.flatMap((slice) => [...present(slice)]));
  }

  // Where structures lie; a case opened without a slice in its address starts where most of them are.
  async locate(token) {
    const { info } = this;
    delete document.body.dataset.located;
    try {
      if (!info.sources.length || info.large) return;
      if (!info.instant) await new Promise((resolve) => setTimeout(resolve, 2500));
      if (token !== this.token) return;
      const found = await api.json(`/api/cases/${info.index}/extents/${info.sources[0]}`);
      if (token !== this.token) return;
      this.extents = found.structures;
      const largest = found.structures.filter(Boolean).sort((a, b) => b.voxels - a.voxels)[0];
      const scrolled = [state.z, state.y, state.x].some((v) => v !== null);
      if (largest && !scrolled && info.shape[0] > 1 && info.instant) {
        this.at = [...largest.at];
        await Promise.all(this.panes.map((pane) => pane.load()));
        if (token !== this.token) return;
      }
      this.world.located(found.structures);
    } catch {
      /* the slice itself tells what is wrong */
    } finally {
      if (token === this.token) document.body.dataset.located = info.id;
    }
  }

  message(node) {
    put(this.veil, node);
    this.veil.hidden = !node;
  }

  clear() {
    this.panes.forEach((pane) => pane.remove());
    this.panes = [];
  }

  // Sources that are switched on, labels first.
  shown() {
    return this.info ? this.wanted(this.info) : [];
  }

  wanted(info) {
    const off = numbers(state.off);
    return info.sources.filter((source) => !off.has(source));
  }

  // The result that is compared with the labels.
  compared() {
    const results = this.info.sources.filter((s) => s !== 0);
    return results.includes(state.result)
      ? state.result
      : (results.find((s) => this.shown().includes(s)) ?? results[0]);
  }

  styleOf(source) {
    const chosen = source === 0 ? state.style : state.resultStyle;
    if (chosen) return chosen;
    const shown = this.shown();
    if (shown.length < 2 || state.mode !== "overlay") return "both";
    return source === shown[0] ? "fill" : "outline";
  }

  layersOf(sources) {
    return sources.map((source) => ({ source, style: this.styleOf(source) }));
  }

  plane() {
    const { shape, views, spacing } = this.info;
    if (shape[0] === 1) return "0";
    if (["0", "1", "2", "all"].includes(state.plane)) return state.plane;
    const sizes = spacing.map((s) => s ?? 1);
    const thick = sizes.indexOf(Math.max(...sizes));
    if (Math.max(...sizes) > 1.5 * Math.min(...sizes)) return String(thick);
    const axial = views.findIndex((view) => view.name === "axial");
    return String(Math.max(axial, 0));
  }

  arrange() {
    if (!this.info) return;
    this.clear();
    const plane = this.plane();
    const axes = plane === "all" ? [0, 1, 2] : [Number(plane)];
    const compared = this.compared();
    const two = this.info.sources.includes(0) && compared !== undefined;
    clearInterval(this.blinking);
    let panes;
    if (state.mode === "side") {
      const columns = [
        { title: "Image", layers: () => [] },
        ...this.shown().map((source) => ({
          title: this.world.nameOf(source),
          layers: () => [{ source, style: this.styleOf(source) }],
        })),
      ];
      panes = axes.flatMap((axis) => columns.map((column) => new Pane(this, { axis, ...column })));
    } else {
      const both = () => this.layersOf([0, compared].filter((s) => this.info.sources.includes(s)));
      const layers =
        {
          overlay: () => this.layersOf(this.shown()),
          difference: () => (two ? { difference: [0, compared] } : this.layersOf(this.shown())),
          swipe: both,
          blink: both,
        }[state.mode] || (() => this.layersOf(this.shown()));
      panes = axes.map((axis) => new Pane(this, { axis, layers }));
    }
    this.panes = panes;
    this.grid.dataset.count = String(panes.length);
    this.grid.dataset.layout = axes.length > 1 ? "planes" : "even";
    put(this.grid, ...panes.map((pane) => pane.node));
    layOut(this);
    if (state.mode === "blink") this.blink();
    panes.forEach((pane) => pane.load());
    fillToolbar(this);
  }

  // One scale for all panes: that at which the largest slice still fits.
  fitting() {
    return Math.min(...this.panes.map((pane) => pane.fit).filter((fit) => fit > 0), 1e6);
  }

  // What lengths are counted in where their size is unknown.
  unit() {
    return this.info.shape[0] > 1 ? "voxels" : "px";
  }

  blink() {
    this.phase = 0;
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    this.blinking = setInterval(() => {
      this.phase = 1 - this.phase;
      this.redraw();
    }, 700);
  }

  reload() {
    this.panes.forEach((pane) => pane.load());
  }
  redraw() {
    this.panes.forEach((pane) => pane.request());
  }

  moved() {
    const next = [state.z, state.y, state.x];
    const changed = next.map((v, a) => v !== null && v !== this.at[a]);
    if (!this.info || !changed.some(Boolean)) return;
    this.at = this.at.map((v, a) => (next[a] === null ? v : Math.min(Math.max(0, next[a]), this.info.shape[a] - 1)));
    this.panes.forEach((pane) => (changed[pane.axis] ? pane.load() : pane.request()));
  }

  goto(axis, index) {
    if (!this.info) return;
    const at = [...this.at];
    at[axis] = Math.min(Math.max(0, index), this.info.shape[axis] - 1);
    this.jump(at);
  }

  jump(at) {
    set({ z: at[0], y: at[1], x: at[2] });
  }

  centre() {
    const { shape } = this.info;
    return [state.cz ?? shape[0] / 2, state.cy ?? shape[1] / 2, state.cx ?? shape[2] / 2];
  }

  fit() {
    set({ zoom: 1, cz: null, cy: null, cx: null });
  }

  zoom(factor) {
    const pane = this.panes[0];
    if (pane) this.input.zoomAt(pane, [pane.canvas.clientWidth / 2, pane.canvas.clientHeight / 2], factor);
  }

  colour(info = this.info) {
    return info.channels.length === 3 && info.type === "uint8" && state.channel === 0;
  }

  // The picture that the next key press leads to is asked for while this one is looked at.
  async ahead(row) {
    const [pane] = this.panes;
    if (!row || !pane || this.info?.shape[0] !== 1 || this.warmed === row.id) return;
    this.warmed = row.id;
    try {
      const info = await api.json(`/api/cases/${row.index}`),
        [depth, rows, columns] = info.shape;
      const step = quickStep(info.views[0], { rows, columns }, pane.canvas, 1);
      this.known.set(row.index, info);
      if (depth > 1) return;
      await Promise.all([
        api.image(row.index, 0, 0, { channel: this.colour(info) ? "all" : state.channel, step }),
        ...this.wanted(info).map((source) => api.labels(row.index, source, 0, 0, { step })),
      ]);
    } catch {
      /* told when that case is opened */
    }
  }

  range() {
    const levels = this.info.ranges[Math.min(state.channel, this.info.ranges.length - 1)];
    const [first] = this.info.windows;
    return { low: levels[0], high: levels[6], auto: first ? [first.low, first.high] : [levels[1], levels[5]] };
  }

  window() {
    const { auto } = this.range();
    const low = state.low ?? auto[0],
      high = state.high ?? auto[1];
    return high > low ? { low, high } : { low, high: low + 1 };
  }

  look() {
    const hidden = numbers(state.hide);
    return { colours: this.colours, visible: (s) => !hidden.has(s), version: [state.hide, state.opacity].join(":") };
  }

  objects() {
    if (!state.objects && this.world.instances && this.info && this.shown().length && !this.info.large)
      return { source: this.shown()[0], structure: 0 };
    const [source, structure] = state.objects.split(".").map(Number);
    return state.objects && this.info && this.info.sources.includes(source) ? { source, structure } : null;
  }

  measure(pane, from, to) {
    const [a, b] = [from, to].map(([x, y]) => pane.toSlice(x, y));
    this.rulers = this.rulers.filter((ruler) => ruler.axis !== pane.axis);
    if (Math.hypot(to[0] - from[0], to[1] - from[1]) > 2) this.rulers.push({ axis: pane.axis, at: pane.at, a, b });
    this.redraw();
  }

  click(pane, spot) {
    const voxel = pane.toVoxel(...spot);
    if (!voxel) return;
    const { ids } = pane.finest(pane.place()),
      objects = ids && pane.objects();
    if (objects) {
      if (objects.source !== this.objects().source) set({ objects: `${objects.source}.${objects.structure}` });
      set({ object: ids.codes[api.cell(ids, ...pane.rest.map((a) => voxel[a]))] || 0 });
    }
    if (this.info.shape[0] > 1) this.jump(voxel);
  }

  // The scan itself is on the screen; labels may follow.
  seen() {
    document.body.dataset.seen = `${this.info.id}:${this.at.join(",")}`;
  }

  loaded() {
    this.seen();
    this.world.painted();
  }
}

// Cases of a kind are looked at in the same way: pictures or volumes, with the same channels, windows and planes.
const kindOf = (info) =>
  JSON.stringify([info.shape[0] > 1, info.channels, info.windows, info.views.map((view) => view.name)]);

// Slice, zoom and window for the next case: as they are, at the same share of its length; anew for one of another kind.
function carriedTo(from, info) {
  if (kindOf(from) !== kindOf(info))
    return { z: null, y: null, x: null, zoom: 1, cz: null, cy: null, cx: null, low: null, high: null, channel: 0 };
  const share = (value, a, last) => (value === null ? null : ((value + last) * info.shape[a]) / from.shape[a] - last);
  const slice = (value, a) =>
    value === null ? null : Math.min(info.shape[a] - 1, Math.floor(share(value, a, 0.5) + 0.5));
  return {
    z: slice(state.z, 0),
    y: slice(state.y, 1),
    x: slice(state.x, 2),
    cz: share(state.cz, 0, 0),
    cy: share(state.cy, 1, 0),
    cx: share(state.cx, 2, 0),
  };
}
