// The panel at the right: labels and results, structures, display, scores and objects of the case that is open.

import * as api from "./api.js";
import { DIFFERENCE, objectColour } from "./paint.js";
import { el, icon, number, plural, problem, put } from "./dom.js";
import { joined, listen, numbers, set, state } from "./state.js";

const dot = (colour) =>
  el("i", { className: "dot", style: { background: Array.isArray(colour) ? `rgb(${colour.join(" ")})` : colour } });

// More structures than this are searched.
const MANY = 12;
const OBJECTS_LARGE =
  "Objects are not told apart in colour here: the scan is too large for them to be numbered while looking at it.";

/** Units of volumes and areas, largest first. @type {Record<string, Unit[]>} */
const UNITS = {
  volume: [
    ["ml", 1e-3],
    ["mm³", 1],
    ["µm³", 1e9],
  ],
  area: [
    ["cm²", 1e-2],
    ["mm²", 1],
    ["µm²", 1e6],
  ],
};

/**
 * The largest unit in which a size is at least a hundredth; pixels where their size is unknown.
 * @param {import("./api.js").Info} info
 * @param {number} size in mm³ or mm²
 * @param {number} from skips larger units
 * @returns {Unit}
 */
function unitOf(info, size, from = 0) {
  if (!info.volume) return [info.shape[0] > 1 ? "voxels" : "px", 1];
  const units = UNITS[info.shape[0] > 1 ? "volume" : "area"].slice(from);
  return units.find(([, factor]) => size * factor >= 0.01) || units[size ? units.length - 1 : 0];
}

/** @typedef {[string, number]} Unit its name, and how many make a mm³ or mm² */

export class Panel {
  /** @param {import("./world.js").World} world @param {import("./stage.js").Stage} stage */
  constructor(world, stage) {
    this.world = world;
    this.stage = stage;
    /** Where structures lie, once that is known. @type {import("./api.js").Places | null} */
    this.places = null;
    this.layers = el("section", { "aria-label": "Labels and results" });
    this.structures = el("section", { className: "structures", "aria-label": "Structures" });
    this.display = el("section", { className: "display", "aria-label": "Display" });
    this.objects = el("section", { className: "objects", "aria-label": "Objects" });
    this.about = el("section", { className: "about", "aria-label": "This case" });
    this.node = el(
      "aside",
      { className: "panel", "aria-label": "Panel" },
      this.layers,
      this.structures,
      this.objects,
      this.display,
      this.about,
    );
    listen(["hide"], () => this.tick());
    listen(["off", "mode", "style", "resultStyle", "result"], () => this.fillLayers());
    listen(["metric", "result"], () => this.fillStructures());
    listen(["low", "high", "invert", "opacity", "channel", "pixels"], () => this.fillDisplay());
    listen(["objects"], () => this.fillObjects());
    listen(["object"], () => this.markObject());
    this.seek = "";
    this.here = false;
    world.onChange((what) => {
      if (!this.info) return;
      this.fillLayers();
      this.fillStructures();
      if (what === "state") this.fillAbout();
    });
  }

  open(info) {
    this.info = info;
    this.places = null;
    const parts = [this.layers, this.structures, this.display, this.objects, this.about];
    if (!info) {
      parts.forEach((part) => put(part));
      return;
    }
    this.fillLayers();
    this.fillStructures();
    this.fillDisplay();
    this.fillObjects();
    this.fillAbout();
  }

  located(places) {
    this.places = places;
    this.fillStructures();
  }

  fillLayers() {
    const { info, world } = this;
    if (!info) return;
    const off = numbers(state.off);
    const column = world.column(state.metric);
    const rows = info.sources.map((source) => {
      const on = !off.has(source),
        result = world.result(source);
      const value = source ? world.value(source, info.id, "", state.metric) : null;
      const failed = source && world.scores.get(source)?.failed[info.id];
      return el(
        "li",
        {},
        el(
          "button",
          {
            type: "button",
            className: "eye",
            "aria-pressed": String(on),
            "aria-label": `${world.nameOf(source)} ${on ? "shown" : "hidden"}`,
            title: on ? "Hide" : "Show",
            onclick: () => {
              on ? off.add(source) : off.delete(source);
              set({ off: joined(off) });
            },
          },
          icon(on ? "eye" : "hidden"),
        ),
        el("span", { className: "name", title: result?.notes.join("\n") || "" }, world.nameOf(source)),
        value !== null
          ? el(
              "span",
              { className: "score", title: `${column.label}, mean over structures` },
              number(value, column.digits),
            )
          : null,
        failed ? el("span", { className: "warn", title: failed }, icon("warn", 15)) : null,
        el(
          "select",
          {
            "aria-label": `How ${world.nameOf(source)} is drawn`,
            onchange: (e) => set({ [source ? "resultStyle" : "style"]: e.target.value }),
          },
          [
            ["both", "Both"],
            ["fill", "Fill"],
            ["outline", "Outline"],
          ].map(([value, name]) => el("option", { value, selected: this.stage.styleOf(source) === value }, name)),
        ),
      );
    });
    const legend =
      state.mode === "difference" &&
      info.sources.length > 1 &&
      el(
        "p",
        { className: "legend" },
        [
          ["both", "agree"],
          ["missed", "missed: label only"],
          ["only", "extra: result only"],
          ["other", "another structure"],
        ].map(([key, text]) => el("span", {}, dot(DIFFERENCE[key]), text)),
      );
    const others = info.sources.filter((s) => s !== 0);
    const pick =
      others.length > 1 &&
      ["difference", "swipe", "blink"].includes(state.mode) &&
      el(
        "label",
        {},
        el("span", {}, "Compared with the labels"),
        el(
          "select",
          { onchange: (e) => set({ result: Number(e.target.value) }) },
          others.map((s) => el("option", { value: s, selected: s === this.stage.compared() }, world.nameOf(s))),
        ),
      );
    put(
      this.layers,
      el("h2", {}, "Layers"),
      rows.length
        ? el("ul", { className: "layers" }, rows)
        : el("p", { className: "quiet" }, "This case has no labels."),
      ...[pick, legend].filter(Boolean),
    );
  }

  fillStructures() {
    const { info, world } = this;
    if (!info || !world.structures.length) {
      put(this.structures);
      return;
    }
    const number_ = this.stage.compared?.() ?? null;
    const column = world.column(state.metric);
    const hidden = numbers(state.hide);
    const known = this.places;
    const words = this.seek.toLowerCase().split(/\s+/),
      here = this.here ? this.stage.present() : null;
    const listed = (structure, i) =>
      words.every((word) => structure.name.toLowerCase().includes(word)) && (!here || here.has(i));
    const rows = world.structures.map((structure, i) => {
      if (!listed(structure, i)) return null;
      const place = known ? known[i] : undefined;
      const value = number_ ? world.value(number_, info.id, structure.name, state.metric) : null;
      const [unit, factor] = unitOf(info, place ? place.voxels * info.volume : 0);
      const size = place
        ? `${number(info.volume ? place.voxels * info.volume * factor : place.voxels, 2)} ${unit}`
        : place === null
          ? "absent"
          : "";
      const box = el("input", {
        type: "checkbox",
        checked: !hidden.has(i),
        onchange: () => {
          const now = numbers(state.hide);
          now.has(i) ? now.delete(i) : now.add(i);
          set({ hide: joined(now) });
        },
      });
      return el(
        "li",
        { className: place === null ? "absent" : "", "data-structure": i },
        el(
          "label",
          { className: "what" },
          box,
          dot(structure.colour),
          el("span", { className: "name" }, structure.name),
        ),
        el("span", { className: "size" }, size),
        value !== null
          ? el("span", { className: "score" }, number(value, column.digits))
          : el("span", { className: "score" }),
        el(
          "button",
          {
            type: "button",
            className: "icon",
            title: "Only this one",
            "aria-label": `Only ${structure.name}`,
            onclick: () => this.solo(i),
          },
          icon("eye", 15),
        ),
        el(
          "button",
          {
            type: "button",
            className: "icon",
            title: "Go there",
            "aria-label": `Go to ${structure.name}`,
            disabled: !place,
            onclick: () => place && this.go(place.at),
          },
          icon("solo", 15),
        ),
        el(
          "button",
          {
            type: "button",
            className: "icon",
            title: "Single objects",
            "aria-label": `Objects of ${structure.name}`,
            disabled: info.large || !info.sources.length,
            onclick: () => this.single(i),
          },
          icon("objects", 15),
        ),
      );
    });
    const all = world.structures.map((_, i) => i);
    const top = this.structures.querySelector("ul")?.scrollTop || 0;
    const typing = this.found?.contains(document.activeElement) && document.activeElement;
    put(
      this.structures,
      el(
        "div",
        { className: "head" },
        el("h2", {}, "Structures"),
        number_ ? el("span", { className: "quiet" }, column.label) : null,
        el("button", { type: "button", onclick: () => set({ hide: "" }) }, "All"),
        el("button", { type: "button", onclick: () => set({ hide: joined(all) }) }, "None"),
      ),
      world.structures.length > MANY ? this.finder() : null,
      el("ul", {}, rows.filter(Boolean)),
      rows.some(Boolean) ? null : el("p", { className: "quiet" }, "None of that kind."),
    );
    this.structures.querySelector("ul").scrollTop = top;
    if (typing instanceof HTMLElement) typing.focus();
  }

  // A box to search in, and a switch for what the slices show; kept while rows are made anew, so that typing goes on.
  finder() {
    this.found =
      this.found ||
      el(
        "div",
        { className: "finder" },
        el("input", {
          type: "search",
          placeholder: "Find a structure",
          "aria-label": "Find a structure",
          oninput: (e) => {
            this.seek = e.target.value;
            this.fillStructures();
          },
        }),
        el(
          "label",
          { className: "check" },
          el("input", {
            type: "checkbox",
            onchange: (e) => {
              this.here = e.target.checked;
              this.fillStructures();
            },
          }),
          el("span", {}, "In this slice"),
        ),
      );
    return this.found;
  }

  // Other slices are on the screen.
  scrolled() {
    if (this.here) this.fillStructures();
  }

  tick() {
    const hidden = numbers(state.hide);
    this.structures.querySelectorAll("li").forEach((row) => {
      row.querySelector("input").checked = !hidden.has(Number(row.dataset.structure));
    });
  }

  solo(i) {
    const others = this.world.structures.map((_, k) => k).filter((k) => k !== i);
    set({ hide: state.hide === joined(others) ? "" : joined(others) });
  }

  go(at) {
    this.stage.jump(at);
    if (state.zoom !== 1) set({ cz: at[0] + 0.5, cy: at[1] + 0.5, cx: at[2] + 0.5 });
  }

  single(i) {
    const source = this.stage.shown()[0] ?? this.info.sources[0];
    const name = `${source}.${i}`;
    set({ objects: state.objects === name && !this.world.instances ? "" : name, object: 0 });
  }

  async fillObjects() {
    const { world } = this,
      chosen = this.stage.objects();
    if (!chosen) {
      put(this.objects);
      this.table = null;
      return;
    }
    const name = world.structures[chosen.structure]?.name;
    const head = el(
      "div",
      { className: "head" },
      el("h2", {}, `Objects of ${name}`),
      this.info.sources.length > 1
        ? el(
            "select",
            {
              "aria-label": "Objects of which labels",
              onchange: (e) => set({ objects: `${e.target.value}.${chosen.structure}`, object: 0 }),
            },
            this.info.sources.map((s) => el("option", { value: s, selected: s === chosen.source }, world.nameOf(s))),
          )
        : null,
      el(
        "button",
        {
          type: "button",
          className: "icon",
          "aria-label": "Close objects",
          onclick: () => set({ objects: world.instances ? "none" : "", object: 0 }),
        },
        icon("close", 15),
      ),
    );
    put(this.objects, head, el("p", { className: "quiet" }, "Numbering …"));
    const asked = state.objects,
      index = this.info.index;
    let found;
    try {
      found = await api.json(`/api/cases/${index}/objects/${chosen.source}/${chosen.structure}`);
    } catch (error) {
      put(this.objects, head, problem(error));
      return;
    }
    if (asked !== state.objects || index !== this.info?.index) return;
    this.table = found.rows;
    const matched = found.rows.some((row) => row.found !== undefined);
    const [unit, factor] = unitOf(this.info, found.rows[0]?.size ?? 0, 1);
    this.line = (row) =>
      el(
        "tr",
        {
          "data-id": row.id,
          tabIndex: 0,
          onclick: () => this.pick(row),
          onkeydown: (e) => {
            if (e.key === "Enter") this.pick(row);
          },
        },
        el("td", {}, dot(objectColour(row.id)), row.id),
        el("td", {}, number(row.size === null ? row.voxels : row.size * factor, 3)),
        matched ? el("td", {}, `${Math.round((row.found ?? 0) * 100)} %`) : null,
      );
    const rows = found.rows.slice(0, 500).map(this.line);
    put(
      this.objects,
      head,
      el(
        "p",
        { className: "quiet" },
        [plural(found.total, "object"), found.total > rows.length && `the ${rows.length} largest`]
          .filter(Boolean)
          .join(", ") + ". Click one in the scan or here.",
      ),
      el(
        "div",
        { className: "scroller", tabIndex: 0, role: "region", "aria-label": "Table of objects" },
        el(
          "table",
          {},
          el(
            "thead",
            {},
            el(
              "tr",
              {},
              el("th", {}, "Object"),
              el("th", {}, `Size, ${unit}`),
              matched ? el("th", { title: "Share of it that the other labels have too" }, "Found") : null,
            ),
          ),
          el("tbody", {}, rows),
        ),
      ),
    );
    this.markObject();
  }

  pick(row) {
    set({ object: row.id });
    this.go(row.at);
  }

  // Mark the row of the object that was clicked; one beyond those that are listed is put before them.
  markObject() {
    const body = this.objects.querySelector("tbody"),
      row = this.table?.find((r) => r.id === state.object);
    if (body && row && !body.querySelector(`[data-id="${row.id}"]`)) body.prepend(this.line(row));
    for (const row of this.objects.querySelectorAll("tr[data-id]")) {
      const on = Number(row.dataset.id) === state.object;
      row.classList.toggle("on", on);
      if (on) row.scrollIntoView({ block: "nearest" });
    }
  }

  fillDisplay() {
    const { info, stage } = this;
    if (!info) return;
    const range = stage.range(),
      window = stage.window();
    const presets = [
      { name: "Automatic", low: null, high: null },
      { name: "Full range", low: range.low, high: range.high },
      ...info.windows,
    ];
    const step = Math.max((range.high - range.low) / 500, 1e-6);
    const tidy = (v) => Number(v.toPrecision(5));
    const edge = (key, label) =>
      el(
        "label",
        {},
        el("span", {}, label),
        el("input", {
          type: "number",
          step: "any",
          value: tidy(window[key]),
          onchange: (e) => {
            const v = Number(e.target.value);
            if (Number.isFinite(v)) set({ low: window.low, high: window.high, [key]: v });
          },
        }),
      );
    const chosen = presets.findIndex((p) => p.low === state.low && p.high === state.high);
    const active = document.activeElement;
    const focused = this.display.contains(active) && active instanceof HTMLInputElement && active.type === "range";
    if (focused) return;
    put(
      this.display,
      el("h2", {}, "Display"),
      el(
        "label",
        {},
        el("span", {}, "Opacity"),
        el("input", {
          type: "range",
          min: 0,
          max: 1,
          step: 0.05,
          value: state.opacity,
          oninput: (e) => set({ opacity: Number(e.target.value) }),
        }),
      ),
      el(
        "label",
        {},
        el("span", {}, "Window"),
        el(
          "select",
          {
            onchange: (e) => {
              const p = presets[Number(e.target.value)];
              if (p) set({ low: p.low, high: p.high });
            },
          },
          presets.map((p, i) => el("option", { value: i, selected: i === chosen }, p.name)),
          chosen < 0 ? el("option", { value: -1, selected: true }, "By hand") : null,
        ),
      ),
      el("div", { className: "two", "data-step": step }, edge("low", "From"), edge("high", "To")),
      info.channels.length > 1 &&
        el(
          "label",
          {},
          el("span", {}, "Channel"),
          el(
            "select",
            { onchange: (e) => set({ channel: Number(e.target.value), low: null, high: null }) },
            info.channels.map((name, i) =>
              el(
                "option",
                { value: i, selected: i === state.channel },
                info.channels.length === 3 && info.type === "uint8" && i === 0 ? "Colour" : name,
              ),
            ),
          ),
        ),
      el(
        "label",
        { className: "check" },
        el("input", { type: "checkbox", checked: state.invert, onchange: (e) => set({ invert: e.target.checked }) }),
        el("span", {}, "Invert"),
      ),
      el(
        "label",
        { className: "check" },
        el("input", { type: "checkbox", checked: state.pixels, onchange: (e) => set({ pixels: e.target.checked }) }),
        el("span", {}, "Pixels as stored"),
      ),
    );
  }

  fillAbout() {
    const { info, world } = this,
      row = world.caseOf(info.id);
    const spacing = info.spacing.some((s) => s !== null)
      ? info.spacing
          .filter((_, a) => info.shape[0] > 1 || a)
          .map((s) => (s === null ? "?" : String(Number(s.toPrecision(4)))))
          .reverse()
          .join(" × ") + " mm"
      : "unknown";
    const facts = [
      [
        "Size",
        info.shape
          .filter((_, a) => info.shape[0] > 1 || a)
          .reverse()
          .join(" × "),
      ],
      ["Spacing", spacing],
      info.orientation ? ["Orientation", `${info.orientation} (x, y, z)`] : null,
      ["Stored as", `${info.format}, ${info.type}`],
      [world.groupName(), row.group],
      row.fold !== null ? ["Fold", row.fold] : null,
    ].filter(Boolean);
    const told = [...row.findings.map((f) => f.what), ...info.warnings];
    const notes = [...world.notes, ...(info.large ? [world.instances ? OBJECTS_LARGE : ""] : [])].filter(Boolean);
    put(
      this.about,
      el("h2", {}, "This case"),
      el(
        "dl",
        {},
        facts.map(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))]),
      ),
      told.length
        ? el(
            "ul",
            { className: "told" },
            told.map((text) => el("li", {}, icon("warn", 15), text)),
          )
        : null,
      notes.length
        ? el(
            "ul",
            { className: "notes quiet" },
            notes.map((text) => el("li", {}, text)),
          )
        : null,
    );
  }
}
