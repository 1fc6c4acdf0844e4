// From numbers to pixels: windowed grey, colours of structures, outlines, differences. Pure functions, no page.

export function rgb(colour) {
  return [parseInt(colour.slice(1, 3), 16), parseInt(colour.slice(3, 5), 16), parseInt(colour.slice(5, 7), 16)];
}

const word = (r, g, b, a) => ((a << 24) | (b << 16) | (g << 8) | r) >>> 0;

// A slice as grey (or colour) pixels; `low` and `high` are in the scan's own values.
export function paintImage(out, slice, low, high, invert) {
  const levels = slice.bits === 8 ? 256 : 65536;
  const span = Math.max(high - low, 1e-9);
  const grey = new Uint8Array(levels);
  for (let i = 0; i < levels; i++) {
    const share = (slice.low + i * slice.scale - low) / span;
    const value = share <= 0 ? 0 : share >= 1 ? 255 : Math.round(share * 255);
    grey[i] = invert ? 255 - value : value;
  }
  const { pixels } = slice;
  const count = slice.rows * slice.columns;
  if (slice.channels === 3) {
    for (let i = 0; i < count; i++)
      out[i] = word(grey[pixels[i]], grey[pixels[i + count]], grey[pixels[i + 2 * count]], 255);
    return;
  }
  const table = new Uint32Array(levels);
  for (let i = 0; i < levels; i++) table[i] = word(grey[i], grey[i], grey[i], 255);
  for (let i = 0; i < count; i++) out[i] = table[pixels[i]];
}

// What each code looks like: the mean colour of its visible structures, or nothing.
export function fillTable(members, colours, visible, alpha) {
  const table = new Uint32Array(members.length);
  members.forEach((set, code) => {
    const seen = set.filter((s) => s >= 0 && visible(s)).map((s) => colours[s]);
    if (!seen.length) {
      if (set.includes(-1)) table[code] = word(150, 150, 150, Math.round(alpha * 160));
      return;
    }
    const mean = [0, 1, 2].map((c) => Math.round(seen.reduce((sum, colour) => sum + colour[c], 0) / seen.length));
    table[code] = word(...mean, Math.round(alpha * 255));
  });
  return table;
}

// Whole, or hatched with stripes `hatch` pixels wide.
export function paintFill(out, { codes, columns }, table, hatch = 0) {
  if (!hatch) {
    for (let i = 0; i < codes.length; i++) out[i] = table[codes[i]];
    return;
  }
  for (let i = 0; i < codes.length; i++)
    out[i] = gap(Math.floor(i / columns) + (i % columns), hatch) ? 0 : table[codes[i]];
}

// Whether a place along a line falls in a gap, where dashes are so many pixels long; without dashes never.
const gap = (place, dash) => dash > 0 && Math.floor(place / dash) % 2 === 1;

// For a pair of neighbouring codes, the colour of the first visible structure that ends between them, 0 if none.
function borderTable(members, colours, visible) {
  const sets = members.map((set) => set.filter((s) => s >= 0 && visible(s)));
  const known = new Map();
  return (a, b) => {
    const key = a * 65536 + b;
    let found = known.get(key);
    if (found === undefined) {
      const ends = sets[a].find((s) => !sets[b].includes(s));
      found = ends === undefined ? 0 : word(...colours[ends], 255);
      known.set(key, found);
    }
    return found;
  };
}

// Pixels inside a structure and within `width` of its border, in full colour, over whatever `out` holds.
export function paintOutline(out, slice, { colours, visible }, width, dash = 0) {
  const { codes, rows, columns, members } = slice;
  const border = borderTable(members, colours, visible);
  const reach = Math.max(1, Math.round(width));
  const down = reach * columns;
  for (let r = 0; r < rows; r++) {
    const line = r * columns;
    for (let c = 0; c < columns; c++) {
      const i = line + c;
      const code = codes[i];
      if (!code) continue;
      let colour = 0;
      if (!gap(r, dash)) {
        // borders at the left and right run down, those above and below run across
        let n = c >= reach ? codes[i - reach] : 0;
        if (n !== code) colour = border(code, n);
        if (!colour) {
          n = c + reach < columns ? codes[i + reach] : 0;
          if (n !== code) colour = border(code, n);
        }
      }
      if (!colour && !gap(c, dash)) {
        let n = r >= reach ? codes[i - down] : 0;
        if (n !== code) colour = border(code, n);
        if (!colour) {
          n = r + reach < rows ? codes[i + down] : 0;
          if (n !== code) colour = border(code, n);
        }
      }
      if (colour) out[i] = colour;
    }
  }
}

// Border between pixels as lines, for magnified views: paths by colour, in pixel coordinates, inside a region.
export function outlinePaths(slice, { colours, visible }, region, dash = 0) {
  const { codes, rows, columns, members } = slice;
  const border = borderTable(members, colours, visible);
  const paths = new Map();
  const path = (colour) => {
    if (!paths.has(colour)) paths.set(colour, new Path2D());
    return paths.get(colour);
  };
  const top = Math.max(0, region.top),
    bottom = Math.min(rows, region.bottom);
  const left = Math.max(0, region.left),
    right = Math.min(columns, region.right);
  const at = (r, c) => (r < 0 || c < 0 || r >= rows || c >= columns ? 0 : codes[r * columns + c]);
  for (let r = top; r < bottom; r++) {
    for (let c = left; c < right; c++) {
      const code = codes[r * columns + c];
      if (!code) continue;
      for (const [dr, dc, x0, y0, x1, y1] of [
        [-1, 0, c, r, c + 1, r],
        [1, 0, c, r + 1, c + 1, r + 1],
        [0, -1, c, r, c, r + 1],
        [0, 1, c + 1, r, c + 1, r + 1],
      ]) {
        const other = at(r + dr, c + dc);
        if (other === code || gap(dr ? c : r, dash)) continue;
        const colour = border(code, other);
        if (!colour) continue;
        const p = path(colour);
        p.moveTo(x0, y0);
        p.lineTo(x1, y1);
      }
    }
  }
  return paths;
}

export function css(colour) {
  return `rgb(${colour & 255} ${(colour >> 8) & 255} ${(colour >> 16) & 255})`;
}

// Agreement and error between labels and a result, in colours that stay apart for everyone.
export const DIFFERENCE = { both: [86, 180, 233], only: [230, 159, 0], missed: [213, 60, 140], other: [240, 228, 66] };

export function paintDifference(out, reference, result, visible, alpha) {
  const inA = reference.members.map((set) => set.filter((s) => s >= 0 && visible(s)));
  const inB = result.members.map((set) => set.filter((s) => s >= 0 && visible(s)));
  const ignored = reference.members.map((set) => set.includes(-1));
  const both = word(...DIFFERENCE.both, Math.round(alpha * 130));
  const only = word(...DIFFERENCE.only, Math.round(Math.min(1, alpha * 1.6) * 255));
  const missed = word(...DIFFERENCE.missed, Math.round(Math.min(1, alpha * 1.6) * 255));
  const other = word(...DIFFERENCE.other, Math.round(Math.min(1, alpha * 1.6) * 255));
  const known = new Map();
  const a = reference.codes,
    b = result.codes;
  for (let i = 0; i < a.length; i++) {
    if (!a[i] && !b[i]) {
      out[i] = 0;
      continue;
    }
    const key = a[i] * 65536 + b[i];
    let colour = known.get(key);
    if (colour === undefined) {
      const x = inA[a[i]],
        y = inB[b[i]];
      if (ignored[a[i]]) colour = 0;
      else if (x.length && y.length && !x.some((s) => y.includes(s))) colour = other;
      else if (x.some((s) => !y.includes(s))) colour = missed;
      else if (y.some((s) => !x.includes(s))) colour = only;
      else colour = x.length ? both : 0;
      known.set(key, colour);
    }
    out[i] = colour;
  }
}

// Structures that a slice shows.
export function present(slice) {
  if (!slice.present) {
    const seen = new Uint8Array(slice.members.length);
    for (const code of slice.codes) seen[code] = 1;
    slice.present = new Set(slice.members.flatMap((set, code) => (seen[code] ? set.filter((s) => s >= 0) : [])));
  }
  return slice.present;
}

// A colour for each object number: neighbours in number lie far apart on the wheel.
export function objectColour(id) {
  const hue = (id * 137.508) % 360;
  const light = 0.52 + 0.14 * (((id * 7) % 3) - 1);
  const a = 0.62 * Math.min(light, 1 - light);
  const part = (n) => {
    const k = (n + hue / 30) % 12;
    return Math.round(255 * (light - a * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [part(0), part(8), part(4)];
}

export function paintObjects(out, codes, chosen, alpha) {
  const known = new Map();
  for (let i = 0; i < codes.length; i++) {
    const id = codes[i];
    if (!id) {
      out[i] = 0;
      continue;
    }
    let colour = known.get(id);
    if (colour === undefined) {
      colour = word(
        ...objectColour(id),
        Math.round(255 * (id === chosen ? Math.min(1, alpha + 0.45) : chosen ? alpha * 0.6 : alpha)),
      );
      known.set(id, colour);
    }
    out[i] = colour;
  }
}
