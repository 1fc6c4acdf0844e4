// How large slices are on the screen, and how panes share the stage so that three planes are as large as can be.

const BASE = 2048;
// The server averages no more pixels an edge to one.
const MOST = 1024;

/** @typedef {{wide: number, high: number}} Size of a slice as shown, in mm or voxels */
/**
 * @typedef {{columns: number[], rows: number[], areas: string[]}} Layout weights of columns and rows, and who is
 *   where
 */

const sum = (/** @type {number[]} */ list) => list.reduce((a, b) => a + b, 0);

/**
 * Ways to lay out three slices: side by side, one beside two, below each other.
 * @param {Size[]} sizes
 * @returns {Layout[]}
 */
function ways([a, b, c]) {
  const wide = Math.max(b.wide, c.wide),
    low = b.high + c.high,
    rise = Math.max(1, a.high / low);
  return [
    { columns: [a.wide, b.wide, c.wide], rows: [Math.max(a.high, b.high, c.high)], areas: ["a b c"] },
    { columns: [a.wide, wide], rows: [b.high * rise, c.high * rise], areas: ["a b", "a c"] },
    { columns: [Math.max(a.wide, wide)], rows: [a.high, b.high, c.high], areas: ["a", "b", "c"] },
  ];
}

/**
 * The way in which three slices are largest on one scale.
 * @param {Size[]} sizes
 * @param {number} width
 * @param {number} height
 * @returns {Layout}
 */
export function largest(sizes, width, height) {
  const scale = (/** @type {Layout} */ way) => Math.min(width / sum(way.columns), height / sum(way.rows));
  return ways(sizes).reduce((best, way) => (scale(way) > scale(best) ? way : best));
}

/** Weights as tracks of a grid. @param {number[]} weights */
export function tracks(weights) {
  const whole = sum(weights);
  return weights.map((weight) => `minmax(0, ${((100 * weight) / whole).toFixed(2)}fr)`).join(" ");
}

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
export function fitOf(view, extent, width, height) {
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

// Three planes share the stage so that they are as large as can be on one scale; side by side, a row each.
export function layOut(stage) {
  const { style } = stage.grid,
    { panes } = stage,
    planes = stage.info && stage.grid.dataset.layout === "planes";
  style.gridTemplateColumns = style.gridTemplateRows = style.gridTemplateAreas = "";
  panes.forEach((pane) => {
    pane.node.style.gridArea = "";
  });
  if (!planes) return;
  const each = panes.length / 3,
    sizes = [0, 1, 2].map((i) => sizeOf(panes[i * each].view, panes[i * each].extent));
  if (each > 1) {
    style.gridTemplateColumns = `repeat(${each}, minmax(0, 1fr))`;
    style.gridTemplateRows = tracks(sizes.map((size) => size.high));
    return;
  }
  const way = largest(sizes, stage.grid.clientWidth, stage.grid.clientHeight);
  style.gridTemplateColumns = tracks(way.columns);
  style.gridTemplateRows = tracks(way.rows);
  style.gridTemplateAreas = way.areas.map((row) => `"${row}"`).join(" ");
  panes.forEach((pane, i) => {
    pane.node.style.gridArea = "abc"[i];
  });
}
