// The list of cases: pictures, scores, findings; sorted, filtered, walked through with the keys.

import { idle } from "./api.js";
import { el, icon, number, plural, put } from "./dom.js";
import { listen, set, state } from "./state.js";

export class CaseList {
  /** @param {import("./world.js").World} world */
  constructor(world) {
    this.world = world;
    this.rows = new Map();
    this.queue = [];
    this.count = el("p", { className: "count" });
    this.list = el("ul", { className: "rows", role: "listbox", tabIndex: 0, "aria-label": "Cases" });
    this.controls = el("div", { className: "controls" });
    this.node = el("aside", { className: "caselist", "aria-label": "Case list" }, this.controls, this.count, this.list);
    listen(["sort", "metric", "structure", "find", "fold", "group", "only", "result"], () => this.fill());
    listen(["case"], () => this.mark());
    this.list.addEventListener("click", (event) => {
      const row = event.target.closest("[data-id]");
      if (row) this.choose(row.dataset.id);
    });
  }

  choose(id) {
    this.world.look(id);
  }

  // Pictures come once the first slice is painted, one after the other as their rows are seen: browsers ask a server
  // for six things at once, and a picture reads its whole case, so more of them would hold up slices.
  pictures() {
    this.pictured = new IntersectionObserver(
      (entries) => {
        for (const { target, isIntersecting } of entries) {
          if (!isIntersecting) continue;
          this.pictured.unobserve(target);
          this.queue.push(target.querySelector("img"));
        }
        this.nextPicture();
      },
      { root: this.list, rootMargin: "200px" },
    );
    for (const node of this.rows.values()) this.pictured.observe(node);
  }

  nextPicture() {
    if (this.asking || !this.queue.length) return;
    this.asking = true;
    const go = () => {
      if (!idle()) {
        setTimeout(go, 100);
        return;
      }
      const image = this.queue.shift();
      image.onload = image.onerror = (event) => {
        image.style.visibility = event.type === "error" ? "hidden" : "";
        this.asking = false;
        this.nextPicture();
      };
      image.src = image.dataset.src;
    };
    go();
  }

  visible() {
    const { world } = this,
      words = state.find.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = world.chosen;
    const value = (row) => (chosen ? world.value(chosen.number, row.id, state.structure, state.metric) : null);
    const has = chosen ? new Set(chosen.cases) : new Set();
    const rows = world.cases.filter(
      (row) =>
        words.every((word) => row.id.toLowerCase().includes(word) || row.group.toLowerCase().includes(word)) &&
        (state.fold === "" || String(row.fold) === state.fold) &&
        (state.group === "" || row.group === state.group) &&
        (state.only === "" ||
          (state.only === "findings" && row.findings.length) ||
          (state.only === "labelled" && row.labelled) ||
          (state.only === "unlabelled" && !row.labelled) ||
          (state.only === "result" && has.has(row.id))),
    );
    const better = world.column(state.metric).better;
    const badness = (row) => {
      const v = value(row);
      if (v === null) return Infinity;
      return better === "higher" ? v : better === "zero" ? -Math.abs(v) : -v;
    };
    if (state.sort === "worst" || state.sort === "best") {
      const sign = state.sort === "worst" ? 1 : -1;
      rows.sort((a, b) => {
        const x = badness(a),
          y = badness(b);
        if (x === Infinity || y === Infinity) return x === y ? a.index - b.index : x === Infinity ? 1 : -1;
        return sign * (x - y) || a.index - b.index;
      });
    } else if (state.sort === "findings")
      rows.sort((a, b) => b.findings.length - a.findings.length || a.index - b.index);
    else if (state.sort === "name") rows.sort((a, b) => a.id.localeCompare(b.id, "en", { numeric: true }));
    return rows.map((row) => ({ row, value: value(row) }));
  }

  firstId() {
    return this.order[0];
  }

  next() {
    return this.world.caseOf(this.order[this.order.indexOf(state.case) + 1]);
  }

  step(by) {
    const at = this.order.indexOf(state.case);
    const next = this.order[Math.min(this.order.length - 1, Math.max(0, at + by))];
    if (next !== undefined && next !== state.case) this.choose(next);
  }

  fill() {
    const shown = this.visible();
    this.order = shown.map(({ row }) => row.id);
    const column = this.world.column(state.metric);
    put(this.list, ...shown.map(({ row, value }) => this.node_(row, value, column)));
    this.count.textContent =
      shown.length === this.world.cases.length
        ? plural(shown.length, "case")
        : `${shown.length} of ${plural(this.world.cases.length, "case")}`;
    this.furnish();
    this.mark();
  }

  node_(row, value, column) {
    let node = this.rows.get(row.id);
    if (!node) {
      node = el(
        "li",
        { role: "option", id: `case-${row.index}`, "data-id": row.id, className: "row" },
        el("img", { alt: "", width: 48, height: 48, "data-src": `/api/cases/${row.index}/thumb.png` }),
        el("div", { className: "who" }, el("strong", {}, row.id), el("span", { className: "meta" })),
        el("div", { className: "mark" }),
      );
      this.rows.set(row.id, node);
      this.pictured?.observe(node);
    }
    const meta = [
      row.group !== row.id ? row.group : null,
      row.fold !== null ? `fold ${row.fold}` : null,
      row.labelled ? null : "no labels",
    ]
      .filter(Boolean)
      .join(" · ");
    node.querySelector(".meta").textContent = meta;
    const mark = node.querySelector(".mark");
    const share = value === null ? null : column.limit === 1 ? Math.max(0, Math.min(1, value)) : null;
    mark.replaceChildren(
      ...[
        row.findings.length
          ? el(
              "span",
              { className: "warn", title: row.findings.map((f) => f.what).join("\n") },
              icon("warn", 15),
              el("span", { className: "unseen" }, plural(row.findings.length, "finding")),
            )
          : null,
        value !== null ? el("span", { className: "score" }, number(value, column.digits)) : null,
        share !== null ? el("span", { className: "meter" }, el("i", { style: { width: `${share * 100}%` } })) : null,
      ].filter(Boolean),
    );
    return node;
  }

  mark() {
    for (const [id, node] of this.rows) node.setAttribute("aria-selected", String(id === state.case));
    const node = this.rows.get(state.case);
    if (node?.isConnected) {
      this.list.setAttribute("aria-activedescendant", node.id);
      const top = node.offsetTop - this.list.offsetTop;
      if (top < this.list.scrollTop || top + node.offsetHeight > this.list.scrollTop + this.list.clientHeight) {
        this.list.scrollTop = top - this.list.clientHeight / 2;
      }
    }
  }

  furnish() {
    const { world } = this,
      scores = world.chosen && world.scores.get(world.chosen.number);
    const signature = JSON.stringify([
      world.results.map((r) => r.number),
      scores?.metrics.length,
      world.cases.length,
      state.result,
      state.metric,
      state.structure,
      state.sort,
      state.fold,
      state.group,
      state.only,
    ]);
    if (signature === this.signature) return;
    this.signature = signature;
    const choice = (label, key, options) =>
      el(
        "label",
        {},
        el("span", {}, label),
        el(
          "select",
          {
            "aria-label": label,
            onchange: (event) => set({ [key]: key === "result" ? Number(event.target.value) : event.target.value }),
          },
          options.map(([value, name]) =>
            el(
              "option",
              {
                value,
                selected: String(value) === String(key === "result" ? (world.chosen?.number ?? 0) : state[key]),
              },
              name,
            ),
          ),
        ),
      );
    const folds = [...new Set(world.cases.map((row) => row.fold).filter((f) => f !== null))].sort((a, b) => a - b);
    const groups = [...new Set(world.cases.map((row) => row.group))];
    const several = groups.length < world.cases.length;
    const old = this.controls.querySelector("input");
    const find =
      old ||
      el("input", {
        type: "search",
        placeholder: "Find a case",
        "aria-label": "Find a case",
        value: state.find,
        oninput: (event) => set({ find: event.target.value }),
      });
    const sorts = [
      ["order", "As read"],
      ["name", "Name"],
      ...(scores
        ? [
            ["worst", "Worst first"],
            ["best", "Best first"],
          ]
        : []),
      ["findings", "Findings first"],
    ];
    const only = [
      ["", "All"],
      ["findings", "With findings"],
      ["labelled", "Labelled"],
      ["unlabelled", "Unlabelled"],
      ...(world.chosen ? [["result", "With a result"]] : []),
    ];
    const parts = [
      find,
      choice("Sort", "sort", sorts),
      world.results.length > 1 &&
        choice(
          "Result",
          "result",
          world.results.map((r) => [r.number, r.name]),
        ),
      scores &&
        scores.metrics.length > 0 &&
        choice(
          "Score",
          "metric",
          scores.metrics.map((m) => [m.name, m.label]),
        ),
      scores &&
        world.structures.length > 1 &&
        choice("Structure", "structure", [
          ["", "Mean of all"],
          ...[...world.structures.map((s) => s.name), ...world.regions].map((n) => [n, n]),
        ]),
      folds.length > 0 && choice("Fold", "fold", [["", "All"], ...folds.map((f) => [String(f), `Fold ${f}`])]),
      several && choice(world.groupName(), "group", [["", "All"], ...groups.map((g) => [g, g])]),
      choice("Show", "only", only),
    ].filter(Boolean);
    if (old) {
      for (const child of [...this.controls.children]) if (child !== old) child.remove();
      this.controls.append(...parts.slice(1));
    } else put(this.controls, ...parts);
  }
}
