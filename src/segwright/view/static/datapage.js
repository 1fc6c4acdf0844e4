// The data page: what the dataset looks like in numbers, each point leading to its case.

import * as api from "./api.js";
import { matrix, scatter, strips } from "./charts.js";
import { el, icon, number, plural, problem, put } from "./dom.js";
import { set } from "./state.js";

export class DataPage {
  /** @param {import("./world.js").World} world */
  constructor(world) {
    this.world = world;
    this.wide = el("div", { className: "wide" });
    this.node = el("div", { className: "page sheet" }, this.wide);
  }

  show() {
    if (!this.told) this.ask();
  }
  hide() {
    clearTimeout(this.again);
  }

  async ask() {
    let told;
    try {
      told = await api.json("/api/data");
    } catch (error) {
      put(this.wide, problem(error));
      return;
    }
    if (told.error) {
      put(this.wide, problem({ told: { what: "The data could not be measured.", got: told.error } }));
      return;
    }
    if (!told.ready) {
      put(
        this.wide,
        el(
          "div",
          { className: "card full" },
          el("h2", {}, "Reading every case once"),
          el("p", { className: "quiet" }, `${told.done} of ${plural(told.total, "case")}`),
          el(
            "div",
            { className: "bar-track" },
            el("i", { style: { width: `${(100 * told.done) / Math.max(told.total, 1)}%` } }),
          ),
        ),
      );
      this.again = setTimeout(() => this.ask(), 500);
      return;
    }
    this.told = told;
    this.fill();
    this.world.refresh();
  }

  go(id) {
    this.world.look(id, { page: "cases" });
  }

  fill() {
    const { told, world } = this,
      e = told.exploration,
      go = (id) => this.go(id);
    const colour = new Map(world.structures.map((s) => [s.name, s.colour]));
    const card = (title, text, ...content) =>
      el(
        "section",
        { className: "card" },
        el("h2", {}, title),
        text ? el("p", { className: "quiet" }, text) : null,
        ...content,
      );
    const figure = (value, name) => el("div", {}, el("strong", {}, value), el("span", {}, name));
    const flat = e.dims === 2;
    const rows = e.rows;
    const parts = [
      el(
        "section",
        { className: "card full" },
        el("h2", {}, world.title),
        el("p", { className: "quiet" }, [...told.notes].join(" ")),
        el(
          "div",
          { className: "figures" },
          figure(e.cases, "cases"),
          figure(e.labelled, "labelled"),
          figure(e.groups, world.groupName(e.groups).toLowerCase()),
          figure(world.structures.length, "structures"),
          figure(told.findings.filter((f) => f.level !== "note").length, "findings"),
          figure({ ct: "CT", mr: "MR", xray: "X-ray", em: "EM", other: "other" }[e.modality] || e.modality, "modality"),
        ),
      ),
      this.findings(go),
      card(
        "Sizes",
        flat ? "Pixels of each image." : "Voxels in a slice and number of slices.",
        flat
          ? scatter(
              rows.map((r) => ({
                x: r.shape[2],
                y: r.shape[1],
                case: r.case,
                title: `${r.case}: ${r.shape[2]} × ${r.shape[1]}`,
              })),
              { x: "columns", y: "rows", go },
            )
          : scatter(
              rows.map((r) => ({
                x: Math.max(r.shape[1], r.shape[2]),
                y: r.shape[0],
                case: r.case,
                title: `${r.case}: ${r.shape.slice().reverse().join(" × ")}`,
              })),
              { x: "longer edge of a slice, voxels", y: "slices", go },
            ),
      ),
      rows.some((r) => r.spacing.some((s) => s !== null)) &&
        card(
          "Spacings",
          "mm a voxel along each axis.",
          strips(
            ["z", "y", "x"]
              .map((name, a) => ({
                name,
                colour: ["#d55e00", "#0072b2", "#009e73"][a],
                points: rows
                  .filter((r) => r.spacing[a] !== null && !(flat && a === 0))
                  .map((r) => ({ case: r.case, value: r.spacing[a] })),
              }))
              .filter((r) => r.points.length),
            { label: "mm", unit: "mm", go },
          ),
        ),
      ...e.channels.map((channel, k) =>
        card(
          e.channels.length > 1 ? `Intensities of ${channel.name}` : "Intensities",
          "Lowest, middle and highest values of each case (0.5, 50 and 99.5 percentile).",
          strips(
            [
              ["low", 0, "#0072b2"],
              ["middle", 1, "#009e73"],
              ["high", 2, "#d55e00"],
            ].map(([name, i, c]) => ({
              name,
              colour: c,
              points: rows.filter((r) => r.image[k]).map((r) => ({ case: r.case, value: r.image[k][i] })),
            })),
            { label: "value as stored", go },
          ),
        ),
      ),
      e.structures.length > 0 &&
        el(
          "section",
          { className: `card${e.structures.length > 8 ? " full" : ""}` },
          el("h2", {}, "Size of each structure"),
          el(
            "p",
            { className: "quiet" },
            `In ${e.size_unit}, of the cases that have it; box: middle half, line: median.`,
          ),
          strips(
            e.structures
              .map((s) => ({
                name: s.name,
                colour: colour.get(s.name) || s.colour,
                points: rows.filter((r) => r.sizes[s.name] > 0).map((r) => ({ case: r.case, value: r.sizes[s.name] })),
              }))
              .filter((r) => r.points.length),
            { label: e.size_unit, unit: e.size_unit, go },
          ),
        ),
      e.overlaps.length > 0 &&
        card("Overlaps", "Share of the smaller structure that lies in the other, median over cases.", this.overlaps(e)),
      card(
        world.groupName(2),
        [sentence(told.group_rule), `Cases of one ${world.group_word} stay in one fold.`].filter(Boolean).join(" "),
        this.groups(e),
      ),
      rows.some((r) => r.why.length) &&
        el(
          "section",
          { className: "card" },
          el("h2", {}, "Unusual cases"),
          el("p", { className: "quiet" }, "Far from the others; not necessarily wrong."),
          el(
            "ul",
            { className: "findings" },
            rows
              .filter((r) => r.why.length)
              .slice(0, 12)
              .map((r) =>
                el(
                  "li",
                  {},
                  el("span", { className: "score" }, number(r.outlier, 1)),
                  el("span", {}, r.why.join("; ")),
                  el("button", { type: "button", className: "link", onclick: () => go(r.case) }, r.case),
                ),
              ),
          ),
        ),
    ];
    put(this.wide, ...parts.filter(Boolean));
  }

  findings(go) {
    const found = this.told.findings;
    if (!found.length)
      return el(
        "section",
        { className: "card full" },
        el("h2", {}, "Findings"),
        el("p", { className: "quiet" }, "Nothing is wrong with these files."),
      );
    const order = { error: 0, warning: 1, note: 2 };
    const sorted = [...found].sort((a, b) => order[a.level] - order[b.level]);
    return el(
      "section",
      { className: "card full" },
      el("h2", {}, "Findings"),
      el("p", { className: "quiet" }, "What is wrong with the files, and what was assumed."),
      el(
        "ul",
        { className: "findings" },
        sorted
          .slice(0, 40)
          .map((f) =>
            el(
              "li",
              {},
              el(
                "span",
                { className: f.level === "note" ? "quiet" : "warn" },
                f.level === "note" ? "note" : icon("warn", 16),
                f.level === "note" ? null : el("span", { className: "unseen" }, f.level),
              ),
              el("span", {}, f.what, f.hint ? el("span", { className: "hint" }, ` ${f.hint}`) : null),
              this.world.caseOf(f.where)
                ? el("button", { type: "button", className: "link", onclick: () => go(f.where) }, f.where)
                : el("span", { className: "quiet" }, f.where),
            ),
          ),
      ),
      sorted.length > 40
        ? el("p", { className: "quiet" }, `and ${sorted.length - 40} more; 'segwright inspect' lists all.`)
        : null,
    );
  }

  overlaps(e) {
    const involved = e.structures
      .map((s) => s.name)
      .filter((n) => e.overlaps.some((o) => o.first === n || o.second === n));
    const share = new Map(
      e.overlaps.flatMap((o) => [
        [`${o.first}|${o.second}`, o.of_smaller.median],
        [`${o.second}|${o.first}`, o.of_smaller.median],
      ]),
    );
    return matrix(involved, (a, b) => (a === b ? 0 : share.get(`${a}|${b}`) || 0), { title: "Overlap of structures" });
  }

  groups(e) {
    const { told } = this,
      folds = [...new Set(Object.values(told.folds))].sort((a, b) => a - b);
    const sizes = Object.entries(e.group_sizes).map(
      ([cases, groups]) => `${plural(groups, this.world.group_word)} with ${plural(Number(cases), "case")}`,
    );
    return el(
      "div",
      {},
      el("p", {}, sizes.join(", ") + "."),
      folds.length
        ? el(
            "table",
            {},
            el(
              "thead",
              {},
              el("tr", {}, el("th", {}, "Fold"), el("th", {}, "Cases"), el("th", {}, this.world.groupName(2))),
            ),
            el(
              "tbody",
              {},
              folds.map((f) => {
                const ids = Object.entries(told.folds)
                  .filter(([, v]) => v === f)
                  .map(([k]) => k);
                return el(
                  "tr",
                  {},
                  el(
                    "td",
                    {},
                    el(
                      "button",
                      { type: "button", className: "link", onclick: () => set({ page: "cases", fold: String(f) }) },
                      `Fold ${f}`,
                    ),
                  ),
                  el("td", {}, ids.length),
                  el("td", {}, new Set(ids.map((id) => told.groups[id])).size),
                );
              }),
            ),
          )
        : null,
    );
  }
}

/** @param {string} text without its full stop */
function sentence(text) {
  return text ? `${text[0].toUpperCase()}${text.slice(1)}.` : "";
}
