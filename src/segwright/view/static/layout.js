// How panes share the stage, so that three planes are as large as they can be on one scale.

/** @typedef {{wide: number, high: number}} Size of a slice as shown, in mm or voxels */
/** @typedef {{columns: number[], rows: number[], areas: string[]}} Layout weights of columns and rows, and who is where */

const sum = (/** @type {number[]} */ list) => list.reduce((a, b) => a + b, 0);

/** Ways to lay out three slices: side by side, one beside two, below each other. @param {Size[]} sizes @returns {Layout[]} */
function ways([a, b, c]) {
  const wide = Math.max(b.wide, c.wide), low = b.high + c.high, rise = Math.max(1, a.high / low);
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
