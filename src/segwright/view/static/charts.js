// Small plots as SVG: strips of points, scatter, lines, bars, a matrix. Every point can lead to its case.

import { el, number, svg } from "./dom.js";

const W = 560;

function ticks(low, high, count = 5) {
  if (!(high > low)) return [low];
  const rough = (high - low) / count,
    power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const found = [];
  for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-6; v += step)
    found.push(Math.abs(v) < step * 1e-6 ? 0 : v);
  return found;
}

// As many digits as tell neighbouring marks apart.
function marked(marks) {
  const step = marks.length > 1 ? Math.abs(marks[1] - marks[0]) : 0;
  let digits = 0;
  while (
    step &&
    digits < 6 &&
    Math.abs(step * 10 ** digits - Math.round(step * 10 ** digits)) > 1e-6 * step * 10 ** digits
  )
    digits += 1;
  return marks.map((v) => [v, Math.abs(v) >= 1000 || !step ? number(v) : v.toFixed(digits)]);
}

function scale(low, high, from, to) {
  const span = high > low ? high - low : 1;
  return (v) => from + ((v - low) / span) * (to - from);
}

function padded(values) {
  const low = Math.min(...values),
    high = Math.max(...values);
  const room = (high - low) * 0.05 || Math.abs(high) * 0.05 || 1;
  return [low - room, high + room];
}

function frame(height, label, ...children) {
  return svg("svg", { viewBox: `0 0 ${W} ${height}`, class: "chart", role: "group", "aria-label": label }, ...children);
}

function bottom(x, low, high, y, label) {
  return [
    marked(ticks(low, high)).map(([v, text]) =>
      svg(
        "g",
        {},
        svg("line", { x1: x(v), x2: x(v), y1: y, y2: y + 4, class: "axis" }),
        svg("text", { x: x(v), y: y + 16, "text-anchor": "middle" }, text),
      ),
    ),
    svg("text", { x: W, y: y + 31, "text-anchor": "end" }, label),
  ];
}

function side(y, low, high, x0, label) {
  return [
    marked(ticks(low, high)).map(([v, text]) =>
      svg(
        "g",
        {},
        svg("line", { x1: x0, x2: W, y1: y(v), y2: y(v), class: "axis" }),
        svg("text", { x: x0 - 6, y: y(v) + 4, "text-anchor": "end" }, text),
      ),
    ),
    svg("text", { x: 0, y: 11 }, label),
  ];
}

function point(x, y, { colour, title, go, r = 4 }) {
  return svg(
    "circle",
    {
      cx: x,
      cy: y,
      r,
      class: "point",
      fill: colour,
      tabindex: go ? 0 : null,
      role: go ? "link" : null,
      "aria-label": go ? title : null,
      onclick: go,
      onkeydown:
        go &&
        ((event) => {
          if (event.key === "Enter") go();
        }),
    },
    svg("title", {}, title),
  );
}

// One row a name, a point a case, with the middle half and the median.
export function strips(rows, { label, go, unit = "" }) {
  const every = rows.flatMap((row) => row.points.map((p) => p.value));
  if (!every.length) return el("p", { className: "quiet" }, "Nothing to show.");
  const [low, high] = padded(every),
    line = rows.length > 14 ? 22 : 28;
  const left = Math.min(150, 24 + 7 * Math.max(...rows.map((row) => row.name.length)));
  const x = scale(Math.max(low, Math.min(...every) >= 0 ? 0 : low), high, left, W - 8);
  const from = Math.max(low, Math.min(...every) >= 0 ? 0 : low);
  const height = rows.length * line + 40;
  return frame(
    height,
    label,
    rows.map((row, i) => {
      const y = i * line + line / 2 + 2,
        sorted = row.points.map((p) => p.value).sort((a, b) => a - b);
      const at = (q) => sorted[Math.min(sorted.length - 1, Math.round(q * (sorted.length - 1)))];
      return svg(
        "g",
        {},
        svg("line", { x1: left, x2: W - 8, y1: y, y2: y, class: "axis" }),
        svg(
          "text",
          { x: left - 10, y: y + 4, "text-anchor": "end", class: "name" },
          row.name.length > 21 ? row.name.slice(0, 20) + "…" : row.name,
        ),
        sorted.length > 4 &&
          svg("rect", {
            x: x(at(0.25)),
            width: Math.max(1, x(at(0.75)) - x(at(0.25))),
            y: y - 7,
            height: 14,
            rx: 3,
            fill: row.colour,
            "fill-opacity": 0.22,
          }),
        sorted.length > 4 &&
          svg("line", {
            x1: x(at(0.5)),
            x2: x(at(0.5)),
            y1: y - 8,
            y2: y + 8,
            stroke: "var(--ink)",
            "stroke-width": 1.5,
          }),
        row.points.map((p, k) =>
          point(x(p.value), y + (((k * 37) % 9) - 4) * 0.8, {
            colour: row.colour,
            title: `${p.case}: ${number(p.value)} ${unit}`,
            go: () => go(p.case),
            r: 3.2,
          }),
        ),
      );
    }),
    bottom(x, from, high, rows.length * line + 6, label),
  );
}

export function scatter(points, { x: xs, y: ys, go }) {
  if (!points.length) return el("p", { className: "quiet" }, "Nothing to show.");
  const [x0, x1] = padded(points.map((p) => p.x)),
    [y0, y1] = padded(points.map((p) => p.y));
  const height = 270,
    x = scale(x0, x1, 54, W - 8),
    y = scale(y0, y1, height - 40, 20);
  return frame(
    height,
    `${ys} by ${xs}`,
    side(y, y0, y1, 54, ys),
    bottom(x, x0, x1, height - 38, xs),
    points.map((p) =>
      point(x(p.x), y(p.y), { colour: p.colour || "var(--accent)", title: p.title, go: () => go(p.case) }),
    ),
  );
}

export function lines(series, { x: xs, y: ys, log = false, low = null, high = null }) {
  const f = log ? (v) => Math.log10(Math.max(v, 1e-12)) : (v) => v;
  const all = series.flatMap((s) => s.points.map(([a, b]) => [a, f(b)]));
  if (!all.length) return el("p", { className: "quiet" }, "Nothing yet.");
  const x1 = Math.max(...all.map((p) => p[0])),
    [p0, p1] = padded(all.map((p) => p[1]));
  const y0 = low ?? p0,
    y1 = high ?? p1,
    height = 230,
    x = scale(0, x1, 54, W - 8),
    y = scale(y0, y1, height - 40, 20);
  const decades = [-6, -5, -4, -3, -2, -1, 0, 1, 2, 3]
    .flatMap((p) => [1, 2, 5].map((m) => Math.log10(m) + p))
    .filter((v) => v >= y0 && v <= y1);
  const known = log
    ? (decades.length > 1 ? decades : ticks(y0, y1, 4)).map((v) => [v, number(10 ** v, 2)])
    : marked(ticks(y0, y1, 4));
  const marks = known.map(([v, text]) =>
    svg(
      "g",
      {},
      svg("line", { x1: 54, x2: W, y1: y(v), y2: y(v), class: "axis" }),
      svg("text", { x: 48, y: y(v) + 4, "text-anchor": "end" }, text),
    ),
  );
  return el(
    "div",
    {},
    frame(
      height,
      `${ys} by ${xs}`,
      marks,
      svg("text", { x: 0, y: 11 }, ys),
      bottom(x, 0, x1, height - 38, xs),
      series.map((s) =>
        svg(
          "path",
          {
            class: "line",
            stroke: s.colour,
            "stroke-dasharray": s.dash || null,
            d: s.points.map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)} ${y(f(b)).toFixed(1)}`).join(""),
          },
          svg("title", {}, s.name),
        ),
      ),
    ),
    el(
      "p",
      { className: "keys" },
      series.map((s) => el("span", {}, el("i", { className: "dot", style: { background: s.colour } }), s.name)),
    ),
  );
}

export function matrix(names, value, { title }) {
  const cell = Math.min(34, 400 / names.length),
    left = 130,
    size = cell * names.length,
    width = left + size + 10;
  return svg(
    "svg",
    {
      viewBox: `0 0 ${Math.max(width, 300)} ${size + 110}`,
      class: "chart",
      role: "img",
      "aria-label": title,
      style: `max-width:${Math.max(width, 300)}px`,
    },
    names.map((name, i) =>
      svg("text", { x: left - 6, y: i * cell + cell / 2 + 4, "text-anchor": "end", class: "name" }, name.slice(0, 20)),
    ),
    names.map((name, i) =>
      svg(
        "text",
        { transform: `translate(${left + i * cell + cell / 2 + 4} ${size + 8}) rotate(50)`, class: "name" },
        name.slice(0, 16),
      ),
    ),
    names.map((a, i) =>
      names.map((b, k) => {
        const share = value(a, b);
        return svg(
          "rect",
          {
            x: left + k * cell,
            y: i * cell,
            width: cell - 1.5,
            height: cell - 1.5,
            rx: 2,
            fill: share > 0 ? "var(--accent)" : "var(--wash)",
            "fill-opacity": share > 0 ? 0.15 + 0.85 * Math.sqrt(share) : 1,
          },
          svg("title", {}, `${a} and ${b}: ${i === k ? "itself" : `${number(share * 100, 1)} % of the smaller`}`),
        );
      }),
    ),
  );
}
