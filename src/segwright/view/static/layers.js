// Paints what lies over a slice: labels, results, differences and numbered objects.

import {
  css,
  fillTable,
  outlinePaths,
  paintDifference,
  paintFill,
  paintImage,
  paintObjects,
  paintOutline,
} from "./paint.js";
import { state } from "./state.js";

export function paintOverlay(pane, place, dpr) {
  const { context } = pane,
    wanted = pane.layers(),
    { labels, ids } = pane.finest(place);
  const look = pane.stage.look();
  context.imageSmoothingEnabled = false;
  const objects = ids && pane.objects();
  if (objects) {
    setMatrix(pane, place, dpr, ids);
    const picked = objects.source === pane.stage.objects().source ? state.object : 0;
    const version = ["ids", ids.url, picked, state.opacity].join();
    context.drawImage(
      pane.sheet("ids", version, ids, (out) => paintObjects(out, ids.codes, picked, Math.min(1, state.opacity + 0.25))),
      0,
      0,
    );
  }
  if (wanted.difference) {
    const [a, b] = wanted.difference.map((source) => labels.get(source));
    if (!a || !b) return;
    setMatrix(pane, place, dpr, a);
    const version = ["difference", a.url, b.url, look.version].join();
    context.drawImage(
      pane.sheet("difference", version, a, (out) => paintDifference(out, a, b, look.visible, state.opacity + 0.35)),
      0,
      0,
    );
    return;
  }
  const clips = clipsOf(pane.stage, wanted, place),
    several = wanted.length > 1;
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
    setMatrix(pane, place, dpr, slice);
    paintLayer(pane, slice, { ...layer, second: several && layer.source !== 0 }, look, place, dpr);
    context.restore();
  });
}

// A result beside labels is dashed and hatched: colours tell structures, strokes whose they are.
function paintLayer(pane, slice, { source, style, second }, look, place, dpr) {
  const { context } = pane,
    scale = place.pixel * dpr * slice.step;
  const fill = style !== "outline",
    line = style !== "fill";
  const vector = line && place.larger * dpr * slice.step > 1.3;
  const reach = Math.max(1, Math.round((1.6 * dpr) / Math.max(scale, 0.05)));
  const dash = second ? Math.max(1, Math.round((5 * dpr) / scale)) : 0;
  const version = [slice.url, look.version, fill, line && !vector ? reach : 0, dash].join();
  if (fill || !vector) {
    const sheet = pane.sheet(`layer-${source}`, version, slice, (out) => {
      if (fill) paintFill(out, slice, fillTable(slice.members, look.colours, look.visible, state.opacity), dash);
      else out.fill(0);
      if (line && !vector) paintOutline(out, slice, look, reach, dash);
    });
    context.imageSmoothingEnabled = scale < 1;
    context.drawImage(sheet, 0, 0);
  }
  if (!vector) return;
  const seen = pane.seen(place),
    { top, left, step } = slice;
  const region = {
    top: Math.floor((seen.top - top) / step),
    bottom: Math.ceil((seen.bottom - top) / step),
    left: Math.floor((seen.left - left) / step),
    right: Math.ceil((seen.right - left) / step),
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

// From pixels of a slice, or of a part of one, to the canvas.
export function setMatrix(pane, place, dpr, { step, top, left }) {
  const [a, b, c, d, e, f] = place.matrix.map((v) => v * dpr);
  pane.context.setTransform(a * step, b * step, c * step, d * step, e + a * left + c * top, f + b * left + d * top);
}

export function imageSheet(pane, key, image) {
  const { low, high } = pane.stage.window();
  return pane.sheet(key, [image.url, low, high, state.invert].join(), image, (out) =>
    paintImage(out, image, low, high, state.invert),
  );
}

// For each layer where it may be seen: undefined everywhere, null nowhere, or a box.
function clipsOf(stage, layers, place) {
  if (state.mode === "blink" && layers.length > 1) return layers.map((_, i) => (i === stage.phase ? undefined : null));
  if (state.mode !== "swipe") return layers.map(() => undefined);
  const x = state.swipe * place.width;
  return layers.map((_, i) => (i === 0 ? [0, 0, x, place.height] : [x, 0, place.width - x, place.height]));
}
