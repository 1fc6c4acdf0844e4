// The runs page: learning curves while a fit goes on, scores with intervals, comparisons, results dropped in.

import * as api from "./api.js";
import { lines, scatter } from "./charts.js";
import { el, icon, number, plural, problem, put } from "./dom.js";
import { state } from "./state.js";
import { takeFile, takeFolder } from "./upload.js";

const FOLDS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#882255", "#999933"];

/** What results are, in words. @type {Record<string, string>} */
const KINDS = {
  run: "out-of-fold predictions",
  table: "run-length table",
  folder: "label files",
  file: "label file",
};

export class RunsPage {
  /** @param {import("./world.js").World} world */
  constructor(world) {
    this.world = world;
    this.runs = el("div", { className: "wide" });
    this.results = el("div", { className: "wide", style: { "margin-top": "18px" } });
    this.picker = el("input", {
      type: "file",
      multiple: true,
      hidden: true,
      "aria-label": "Choose a result",
      onchange: () => {
        this.upload();
        this.picker.value = "";
      },
    });
    this.folder = el("input", {
      type: "file",
      webkitdirectory: true,
      hidden: true,
      "aria-label": "Choose a folder",
      onchange: () => {
        this.uploadFolder();
        this.folder.value = "";
      },
    });
    this.node = el("div", { className: "page sheet" }, this.runs, this.results, this.picker, this.folder);
    world.onChange(() => this.visible && this.fillResults());
  }

  /** Take in the files that were chosen, one after the other. */
  async upload() {
    for (const file of [...this.picker.files]) await takeFile(this.world, file);
  }

  /** Take in the folder that was chosen. */
  uploadFolder() {
    const parts = [...this.folder.files].map((file) => ({ path: file.webkitRelativePath, file }));
    if (parts.length) takeFolder(this.world, parts[0].path.split("/")[0], parts);
  }

  show() {
    this.visible = true;
    this.ask();
    this.fillResults();
  }
  hide() {
    this.visible = false;
    clearTimeout(this.again);
  }

  async ask() {
    clearTimeout(this.again);
    if (!this.visible || !this.world.runs.length) return;
    try {
      const told = await api.json("/api/runs");
      const text = JSON.stringify(told);
      if (text !== this.before) {
        this.before = text;
        put(this.runs, ...told.map((run) => this.run(run)));
      }
      const was = this.running;
      this.running = told.some((run) => run.running);
      if (was && !this.running) this.world.refresh();
    } catch (error) {
      put(this.runs, problem(error));
    }
    this.again = setTimeout(() => this.ask(), this.running === false ? 5000 : 1500);
  }

  run(run) {
    const folds = run.folds;
    const steps = folds.reduce((sum, f) => sum + f.steps, 0);
    const names = [...new Set(folds.flatMap((f) => Object.keys(f.pseudo)))];
    const colour = new Map(this.world.structures.map((s) => [s.name, s.colour]));
    const series = folds.map((f) => ({ name: `fold ${f.fold}`, colour: FOLDS[f.fold % FOLDS.length], points: f.loss }));
    const pseudo =
      folds.length > 1
        ? folds.map((f) => ({
            name: `fold ${f.fold}`,
            colour: FOLDS[f.fold % FOLDS.length],
            points: mean(Object.values(f.pseudo)),
          }))
        : names.map((n) => ({
            name: n,
            colour: colour.get(n) || FOLDS[names.indexOf(n) % 8],
            points: folds[0]?.pseudo[n] || [],
          }));
    return el(
      "section",
      { className: "card full", "data-run": run.name, "data-steps": steps },
      el(
        "div",
        { className: "titled" },
        el("h2", {}, run.name),
        el("span", { className: run.running ? "live" : "quiet" }, run.doing),
        el("span", { className: "grow" }),
        run.finished && this.world.runs[run.run]?.report ? el("a", { href: `/report/${run.run}` }, "Report") : null,
      ),
      run.error ? problem({ message: run.error }) : null,
      el(
        "p",
        { className: "quiet" },
        `${plural(folds.length, "fold")} begun of ${run.planned}, ${plural(steps, "step")}`,
      ),
      folds
        .filter((f) => !f.ended)
        .map((f) =>
          el(
            "div",
            {},
            el(
              "span",
              { className: "quiet" },
              `Fold ${f.fold}: ${Math.round(f.progress * 100)} %, ${time(f.elapsed)} so far` +
                (f.remaining > 0 ? `, ${time(f.remaining)} left` : ""),
            ),
            el("div", { className: "bar-track" }, el("i", { style: { width: `${f.progress * 100}%` } })),
          ),
        ),
      el(
        "div",
        {
          className: "wide",
          style: {
            display: "grid",
            "grid-template-columns": "repeat(auto-fit, minmax(min(100%, 340px), 1fr))",
            gap: "22px",
          },
        },
        el(
          "div",
          {},
          el("h3", { className: "quiet" }, "Loss"),
          lines(series, {
            x: "step",
            y: "loss, logarithmic",
            log: series.every((s) => s.points.every((p) => p[1] > 0)),
          }),
        ),
        el(
          "div",
          {},
          el("h3", { className: "quiet" }, folds.length > 1 ? "Pseudo-Dice, mean of structures" : "Pseudo-Dice"),
          lines(pseudo, { x: "step", y: "pseudo-Dice", low: 0, high: 1 }),
        ),
      ),
    );
  }

  fillResults() {
    const { world } = this,
      parts = [];
    parts.push(
      el(
        "section",
        { className: "card full" },
        el(
          "button",
          { type: "button", className: "drop", onclick: () => this.picker.click() },
          icon("upload", 30),
          el(
            "span",
            {},
            el("strong", {}, "Drop a result anywhere on this page, or choose a file"),
            "A run-length CSV (image_name, class, rle), a folder or zip of label files, or one label file. " +
              "It is scored against the labels at once and stays on this machine.",
          ),
        ),
        el(
          "p",
          { style: { "margin-top": "12px" } },
          el("button", { type: "button", onclick: () => this.folder.click() }, "Choose a folder"),
        ),
      ),
    );
    if (world.refused)
      parts.push(
        el(
          "section",
          { className: "card full", role: "alert" },
          el("h2", {}, `${world.refused.name} was not taken`),
          problem(world.refused.error),
        ),
      );
    for (const result of world.results) parts.push(this.result(result));
    if (world.results.length > 1) parts.push(this.comparison());
    const focus = document.activeElement?.id;
    put(this.results, ...parts);
    if (focus) document.getElementById(focus)?.focus();
  }

  result(result) {
    const { world } = this,
      scores = world.scores.get(result.number);
    const notes = result.notes.map((n) => el("li", {}, icon("warn", 15), n));
    const head = el(
      "div",
      { className: "titled" },
      el("h2", {}, result.name),
      el(
        "span",
        { className: "quiet" },
        `${KINDS[result.kind] || result.kind}, ${plural(result.cases.length, "case")}`,
      ),
      el("span", { className: "grow" }),
      el("button", { type: "button", onclick: () => world.worst(result.number) }, "Worst cases first"),
      result.dropped
        ? el(
            "button",
            {
              type: "button",
              onclick: async () => {
                await api.remove(result.number);
                await world.refresh();
              },
            },
            "Remove",
          )
        : null,
    );
    const body = [];
    if (result.error) body.push(el("p", { className: "quiet" }, result.error));
    if (scores && !scores.done)
      body.push(
        el("p", { className: "quiet" }, `Scored ${scores.scored} of ${plural(scores.total, "case")}`),
        el(
          "div",
          { className: "bar-track" },
          el("i", { style: { width: `${(100 * scores.scored) / Math.max(1, scores.total)}%` } }),
        ),
      );
    const failed = Object.entries(scores?.failed || {});
    if (failed.length)
      body.push(
        el(
          "ul",
          { className: "told" },
          failed
            .slice(0, 5)
            .map(([id, why]) => el("li", {}, icon("warn", 15), `${id}: ${why.replace(/^error: /, "")}`)),
        ),
      );
    if (scores?.aggregates.length) body.push(this.table(scores));
    if (scores?.rules.length)
      body.push(
        el(
          "details",
          {},
          el("summary", {}, "Rules and tolerances"),
          el(
            "ul",
            { className: "notes" },
            scores.rules.map((rule) => el("li", {}, rule)),
          ),
        ),
      );
    return el(
      "section",
      { className: "card full result", "data-result": result.name, "data-done": String(scores?.done || false) },
      head,
      notes.length ? el("ul", { className: "told" }, notes) : null,
      body,
    );
  }

  table(scores) {
    const masks = ["dice", "iou", "hd95", "surface_dice", "precision", "recall"];
    const usual = this.world.instances
      ? ["ap_50", "ap_75", "f1_50", "object_precision", "object_recall", "pq", "voi_split", "voi_merge", ...masks]
      : masks;
    const metrics = scores.metrics
      .filter((m) => usual.includes(m.name))
      .sort((a, b) => usual.indexOf(a.name) - usual.indexOf(b.name));
    const names = [...new Set(scores.aggregates.map((a) => a.structure))].sort((a, b) =>
      a === scores.mean ? -1 : b === scores.mean ? 1 : 0,
    );
    const cell = (name, metric) => {
      const a = scores.aggregates.find((row) => row.structure === name && row.metric === metric.name);
      if (!a || a.mean === null) return el("td", { className: "quiet" }, "–");
      return el(
        "td",
        {
          title:
            `median ${number(a.median, metric.digits)}, ${plural(a.cases, "case")}` +
            (a.missing ? `, ${a.missing} undefined` : ""),
        },
        number(a.mean, metric.digits),
        a.low !== null
          ? el("span", { className: "quiet" }, `  ${number(a.low, metric.digits)}–${number(a.high, metric.digits)}`)
          : null,
      );
    };
    const colour = new Map(this.world.structures.map((s) => [s.name, s.colour]));
    return el(
      "div",
      { className: "scroller", tabIndex: 0, role: "region", "aria-label": "Scores" },
      el(
        "table",
        {},
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            el("th", {}, "Structure"),
            metrics.map((m) =>
              el(
                "th",
                { title: m.better === "lower" ? "lower is better" : "higher is better" },
                m.label + (m.unit ? `, ${m.unit}` : ""),
              ),
            ),
          ),
        ),
        el(
          "tbody",
          {},
          names.map((name) =>
            el(
              "tr",
              {},
              el(
                "td",
                {},
                colour.has(name)
                  ? el("i", { className: "dot", style: { background: colour.get(name), "margin-right": "8px" } })
                  : null,
                name === scores.mean ? el("strong", {}, "Mean of structures") : name,
              ),
              metrics.map((m) => cell(name, m)),
            ),
          ),
        ),
      ),
      el("p", { className: "quiet" }, `Mean with 95 % interval over ${this.world.groupName(2).toLowerCase()}.`),
    );
  }

  comparison() {
    const { world } = this;
    this.pair = this.pair?.every((n) => world.result(n)) ? this.pair : world.results.slice(0, 2).map((r) => r.number);
    const place = el("div", {});
    const choose = (i) =>
      el(
        "select",
        {
          "aria-label": i ? "Second result" : "First result",
          onchange: (e) => {
            this.pair[i] = Number(e.target.value);
            this.compare(place);
          },
        },
        world.results.map((r) => el("option", { value: r.number, selected: r.number === this.pair[i] }, r.name)),
      );
    this.compare(place);
    return el(
      "section",
      { className: "card full" },
      el("div", { className: "titled" }, el("h2", {}, "Compare"), choose(0), el("span", {}, "with"), choose(1)),
      place,
    );
  }

  async compare(place) {
    const [first, second] = this.pair,
      { world } = this;
    if (first === second) {
      put(place, el("p", { className: "quiet" }, "Choose two different results."));
      return;
    }
    let told;
    try {
      told = await api.json(`/api/compare/${first}/${second}`);
    } catch (error) {
      put(place, problem(error));
      return;
    }
    const rows = told.rows.filter((r) => r.metric === state.metric && r.mean !== null);
    if (!rows.length) {
      put(place, el("p", { className: "quiet" }, told.notes.join(" ") || "No case is scored in both."));
      return;
    }
    const a = world.scores.get(first),
      b = world.scores.get(second),
      column = world.column(state.metric);
    const points = Object.keys(a?.rows || {})
      .filter((id) => b?.rows[id])
      .map((id) => ({
        case: id,
        x: world.value(first, id, "", state.metric),
        y: world.value(second, id, "", state.metric),
      }))
      .filter((p) => p.x !== null && p.y !== null)
      .map((p) => ({ ...p, title: `${p.case}: ${number(p.x)} and ${number(p.y)}` }));
    put(
      place,
      el("p", { className: "quiet" }, `${column.label}: second minus first, on the same cases, with 95 % interval.`),
      el(
        "div",
        { className: "scroller", tabIndex: 0, role: "region", "aria-label": "Differences" },
        el(
          "table",
          {},
          el(
            "thead",
            {},
            el(
              "tr",
              {},
              ["Structure", "First", "Second", "Difference", "Better", "Worse", "p"].map((h) => el("th", {}, h)),
            ),
          ),
          el(
            "tbody",
            {},
            rows.map((r) =>
              el(
                "tr",
                {},
                el("td", {}, r.structure),
                el("td", {}, number(r.first)),
                el("td", {}, number(r.second)),
                el(
                  "td",
                  {},
                  `${r.mean > 0 ? "+" : ""}${number(r.mean)}`,
                  r.low !== null ? el("span", { className: "quiet" }, `  ${number(r.low)} to ${number(r.high)}`) : null,
                ),
                el("td", {}, r.wins),
                el("td", {}, r.losses),
                el("td", {}, number(r.p)),
              ),
            ),
          ),
        ),
      ),
      points.length > 2
        ? el(
            "div",
            { style: { "max-width": "560px", "margin-top": "14px" } },
            scatter(points, {
              x: `${world.nameOf(first)}, ${column.label} of each case`,
              y: world.nameOf(second),
              go: (id) => world.look(id, { page: "cases", mode: "difference" }),
            }),
          )
        : null,
    );
  }
}

function mean(curves) {
  const sums = new Map();
  for (const curve of curves)
    for (const [x, y] of curve) {
      const [s, n] = sums.get(x) || [0, 0];
      sums.set(x, [s + y, n + 1]);
    }
  return [...sums].map(([x, [s, n]]) => [x, s / n]).sort((a, b) => a[0] - b[0]);
}

function time(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
