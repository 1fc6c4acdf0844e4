// Elements, icons and small words: everything the page is built from, without a framework.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, props, children) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style" && typeof value === "object") {
      for (const [key, v] of Object.entries(value)) node.style.setProperty(key, v);
    } else if (name in node && !(node instanceof SVGElement) && name !== "list" && name !== "form" && name !== "role")
      node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

/**
 * An element with properties, listeners ("onclick") and children; nothing, false and lists are taken as they come.
 * @param {string} tag
 * @param {Record<string, any>} [props]
 * @param {...any} children
 * @returns {any} of the tag's own kind
 */
export function el(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

/**
 * The same for SVG.
 * @param {string} tag
 * @param {Record<string, any>} [props]
 * @param {...any} children
 * @returns {any}
 */
export function svg(tag, props, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

const ICONS = {
  eye: "M2 12s3.600-6.500 10-6.500S22 12 22 12s-3.600 6.500-10 6.500S2 12 2 12Zm10 3a3 3 0 1 0 0-6 3 3 0 0 0 0 6Z",
  hidden:
    "M4 4l16 16M9.500 6a9.500 9.500 0 0 1 2.500-.4C18.400 5.600 22 12 22 12a17 17 0 0 1-3 3.700" +
    "M6.300 7.700A16 16 0 0 0 2 12s3.600 6.500 10 6.500c1.500 0 2.800-.3 4-.8",
  solo: "M12 4v4m0 8v4M4 12h4m8 0h4M12 14.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5Z",
  move:
    "M12 3v18M3 12h18M12 3l-2.500 2.500M12 3l2.500 2.500M12 21l-2.500-2.500M12 21l2.500-2.500" +
    "M3 12l2.500-2.500M3 12l2.500 2.500M21 12l-2.500-2.500M21 12l-2.500 2.500",
  contrast: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Zm0 2.500v13a6.500 6.500 0 0 0 0-13Z",
  ruler: "M3 16.500 16.500 3 21 7.500 7.500 21 3 16.500Zm4-4 2 2m1-5 2 2m1-5 2 2",
  fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  help:
    "M9 9.200a3 3 0 1 1 4.500 2.600c-1 .6-1.500 1.200-1.500 2.400M12 17.800v.2" +
    "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Z",
  theme: "M20 14.500A8.500 8.500 0 0 1 9.500 4 8.500 8.500 0 1 0 20 14.500Z",
  close: "M6 6l12 12M18 6 6 18",
  link:
    "M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.700-5.700L12 7m2 3a4 4 0 0 0-6-.4l-3 3A4 4 0 0 0 10.700 1" + "8.300L12 17",
  list: "M4 6h16M4 12h16M4 18h16",
  layers: "M12 3 3 8l9 5 9-5-9-5ZM3 12.500l9 5 9-5M3 16.800l9 5 9-5",
  sliders:
    "M4 7h9m5 0h2M4 17h3m5 0h8M15.500 9.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5Z" +
    "M9.500 19.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5Z",
  warn: "M12 4 2.500 20h19L12 4Zm0 6v5m0 2.300v.2",
  upload: "M12 16V4m0 0L7.500 8.500M12 4l4.500 4.500M4 16v4h16v-4",
  objects:
    "M7 10a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7Zm10 3a3 3 0 1 0 0-6 3 3 0 0 0 0 6Z" +
    "M9.500 21a4 4 0 1 0 0-8 4 4 0 0 0 0 8Z",
};

export function icon(name, size = 18) {
  return svg(
    "svg",
    { viewBox: "0 0 24 24", width: size, height: size, "aria-hidden": "true", class: "i" },
    svg("path", {
      d: ICONS[name],
      fill: "none",
      stroke: "currentColor",
      "stroke-width": 1.8,
      "stroke-linecap": "round",
      "stroke-linejoin": "round",
    }),
  );
}

// Replaces what a node holds; nothing, false and lists are taken as in `el`.
export function put(node, ...children) {
  node.replaceChildren();
  return fill(node, null, children);
}

export function number(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (value === 0) return "0";
  if (Math.abs(value) >= 1e5) return (value / 1e6).toFixed(Math.abs(value) >= 1e6 ? 1 : 2) + " M";
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en");
  if (Number.isInteger(value)) return String(value);
  return value.toFixed(Math.abs(value) >= 100 ? 1 : Math.abs(value) >= 10 ? Math.min(2, digits) : digits);
}

export function plural(count, word) {
  return `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
}

export function problem(error) {
  const told = error.told || { what: error.message || String(error) };
  const rest = ["expected", "got", "where", "hint"].filter((key) => told[key]);
  return el(
    "div",
    { className: "problem" },
    el("p", {}, el("strong", {}, told.what)),
    rest.length
      ? el(
          "dl",
          {},
          rest.map((key) => [el("dt", {}, key), el("dd", {}, told[key])]),
        )
      : null,
  );
}

// The same in a few lines, where there is little room: what, which file, and the hint.
function plain(error) {
  const told = error.told || { what: error.message || String(error) };
  const facts = [told.where, told.expected && `expected ${told.expected}`, told.got && `found ${told.got}`]
    .filter(Boolean)
    .join("; ");
  return el(
    "div",
    {},
    el("strong", {}, told.what),
    facts ? el("p", {}, facts) : null,
    told.hint ? el("p", {}, told.hint) : null,
  );
}

/**
 * What is wrong, with which file, and what to do; written once for each error.
 * @param {HTMLElement} note
 * @param {any[]} errors
 */
export function complain(note, errors) {
  const text = JSON.stringify(errors.map((error) => error.told || error.message));
  if (text === note.dataset.told) return;
  note.dataset.told = text;
  note.hidden = !errors.length;
  put(note, ...errors.map((error) => plain(error)));
}
