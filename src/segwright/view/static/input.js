// Mouse, touch and keys on the canvases: move, zoom, window, measure, scroll.

import { tellVoxel } from "./readout.js";
import { set, state } from "./state.js";

export class Input {
  /** @param {import("./stage.js").Stage} stage */
  constructor(stage) {
    this.stage = stage;
    /** @type {Map<number, [number, number]>} */
    this.pointers = new Map();
    this.turned = 0;
  }

  attach(pane) {
    const { canvas } = pane;
    canvas.addEventListener("pointerdown", (event) => this.down(pane, event));
    canvas.addEventListener("pointermove", (event) => this.move(pane, event));
    canvas.addEventListener("pointerup", (event) => this.up(pane, event));
    canvas.addEventListener("pointercancel", (event) => this.up(pane, event));
    canvas.addEventListener("pointerleave", () => tellVoxel(this.stage, null));
    canvas.addEventListener("wheel", (event) => this.wheel(pane, event), { passive: false });
    canvas.addEventListener("dblclick", () => this.stage.fit());
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  /** @param {import("./pane.js").Pane} pane @param {MouseEvent} event @returns {[number, number]} */
  spot(pane, event) {
    const box = pane.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  down(pane, event) {
    pane.canvas.setPointerCapture(event.pointerId);
    const spot = this.spot(pane, event);
    this.pointers.set(event.pointerId, spot);
    const held = event.button === 2 ? "window" : event.button === 1 || event.shiftKey ? "move" : state.tool;
    const { low, high } = this.stage.window();
    this.drag = { pane, kind: held, from: spot, last: spot, far: 0, low, high, swipe: this.onSwipe(pane, spot) };
    if (this.drag.swipe) this.drag.kind = "swipe";
    if (this.drag.kind === "ruler") this.stage.measure(pane, spot, spot);
    if (this.pointers.size === 2) this.pinch = { spread: this.spread(), zoom: state.zoom };
  }

  /** @param {import("./pane.js").Pane} pane @param {number[]} spot */
  onSwipe(pane, [x]) {
    return state.mode === "swipe" && Math.abs(x - state.swipe * pane.canvas.clientWidth) < 14;
  }

  /** @returns {number} pixels between two fingers */
  spread() {
    const [a, b] = [...this.pointers.values()];
    return Math.hypot(a[0] - b[0], a[1] - b[1]);
  }

  move(pane, event) {
    const spot = this.spot(pane, event);
    const { drag } = this;
    if (!drag || !this.pointers.has(event.pointerId)) {
      tellVoxel(this.stage, pane, spot);
      pane.canvas.style.cursor = this.onSwipe(pane, spot)
        ? "ew-resize"
        : state.tool === "ruler"
          ? "crosshair"
          : "default";
      return;
    }
    this.pointers.set(event.pointerId, spot);
    if (this.pointers.size === 2) {
      this.zoomAt(pane, drag.from, (this.pinch.zoom * this.spread()) / this.pinch.spread / state.zoom);
      drag.far = 99;
      return;
    }
    const dx = spot[0] - drag.last[0],
      dy = spot[1] - drag.last[1];
    drag.far += Math.abs(dx) + Math.abs(dy);
    drag.last = spot;
    if (drag.kind === "swipe") set({ swipe: Math.min(0.98, Math.max(0.02, spot[0] / pane.canvas.clientWidth)) });
    else if (drag.kind === "window") this.window(drag, spot);
    else if (drag.kind === "ruler") this.stage.measure(pane, drag.from, spot);
    else if (drag.far > 3) this.pan(pane, dx, dy);
    tellVoxel(this.stage, pane, spot);
  }

  up(pane, event) {
    const { drag } = this;
    this.pointers.delete(event.pointerId);
    if (this.pointers.size) return;
    this.drag = null;
    if (
      drag &&
      drag.far <= 3 &&
      drag.kind !== "ruler" &&
      drag.kind !== "swipe" &&
      event.type === "pointerup" &&
      event.button !== 2
    ) {
      this.stage.click(pane, this.spot(pane, event));
    }
  }

  pan(pane, dx, dy) {
    const place = pane.place();
    const [r0, c0] = pane.toSlice(0, 0, place),
      [r1, c1] = pane.toSlice(dx, dy, place);
    const centre = this.stage.centre();
    centre[pane.rest[0]] -= r1 - r0;
    centre[pane.rest[1]] -= c1 - c0;
    set({ cz: centre[0], cy: centre[1], cx: centre[2] });
  }

  window(drag, spot) {
    const range = this.stage.range(),
      span = Math.max(drag.high - drag.low, 1e-9);
    const wide = Math.max(span * Math.exp((spot[0] - drag.from[0]) / 180), (range.high - range.low) / 2000);
    const middle = (drag.low + drag.high) / 2 + ((spot[1] - drag.from[1]) / 260) * span;
    set({ low: middle - wide / 2, high: middle + wide / 2 });
  }

  wheel(pane, event) {
    event.preventDefault();
    const pixels = event.deltaMode === 1 ? event.deltaY * 30 : event.deltaY;
    const deep = this.stage.info && this.stage.info.shape[pane.axis] > 1;
    if (!deep || event.ctrlKey || event.metaKey) {
      this.zoomAt(pane, this.spot(pane, event), Math.exp(-pixels / 320));
      return;
    }
    this.turned += pixels;
    const steps = Math.trunc(this.turned / 40);
    if (steps) {
      this.turned -= steps * 40;
      this.stage.goto(pane.axis, pane.at + steps);
    }
  }

  /** @param {import("./pane.js").Pane} pane @param {number[]} spot @param {number} factor */
  zoomAt(pane, [x, y], factor) {
    const zoom = Math.min(80, Math.max(0.3, state.zoom * factor));
    const before = pane.toSlice(x, y);
    const centre = this.stage.centre();
    const middle = [centre[pane.rest[0]], centre[pane.rest[1]]];
    const ratio = state.zoom / zoom;
    pane.rest.forEach((axis, i) => {
      centre[axis] = before[i] + (middle[i] - before[i]) * ratio;
    });
    set({ zoom, cz: centre[0], cy: centre[1], cx: centre[2] });
  }
}
