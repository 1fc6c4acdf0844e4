// Starts the page: what is open, the tabs, the keys, and the three pages.

import * as api from "./api.js";
import { CaseList } from "./caselist.js";
import { DataPage } from "./datapage.js";
import { el, icon, problem, put } from "./dom.js";
import { Panel } from "./panel.js";
import { RunsPage } from "./runspage.js";
import { Stage } from "./stage.js";
import { copy, shared } from "./share.js";
import { joined, listen, numbers, read, set, state } from "./state.js";
import { dropping } from "./upload.js";
import { World } from "./world.js";

const KEYS = [
  ["↑ ↓", "previous, next case"],
  ["← →", "previous, next slice"],
  ["Page ↑ ↓", "ten slices"],
  ["Home End", "first, last slice"],
  ["wheel", "slices of a volume, zoom of a picture"],
  ["Ctrl + wheel, + −", "zoom"],
  ["0, double click", "fit"],
  ["right drag", "window and level"],
  ["Shift + drag", "move"],
  ["M W R", "tool: move, window, ruler"],
  ["1 … 9", "structure on or off"],
  ["A, N", "all structures, none"],
  ["Space", "labels and results on or off"],
  ["O S P B D", "overlay, side by side, swipe (panes), blink, difference"],
  ["F", "fill, outline, both"],
  ["I", "invert"],
  ["X", "pixels as stored, or smooth"],
  ["?", "this list"],
];
const TOUCH = [
  ["drag", "move, window or measure: as the tool at the top says"],
  ["two fingers", "zoom"],
  ["slider at the right", "slices"],
  ["double tap", "fit"],
  ["tap", "go there, in three planes"],
  ["buttons below", "cases, structures, display"],
];

const main = document.getElementById("main");
const status = document.getElementById("status");

async function start() {
  document.getElementById("help").append(icon("help"));
  document.getElementById("theme").append(icon("theme"));
  document.getElementById("link").append(icon("link"));
  let told;
  try {
    told = api.told("state") || (await api.json("/api/state"));
  } catch (error) {
    put(main, problem(error));
    return;
  }
  const token = new URL(told.link, location.origin).search;
  if (token && !location.search) history.replaceState(null, "", token + location.hash); // came by the cookie
  const world = new World(told, status);
  document.getElementById("title").textContent = told.title;
  document.title = `${told.title} – segwright`;
  const stage = new Stage(world),
    list = new CaseList(world),
    panel = new Panel(world, stage);
  world.connect({ list, panel, stage });
  const sheets = el("nav", { className: "sheets", "aria-label": "Panels" });
  const cases = el("div", { className: "page cases" }, list.node, stage.node, panel.node, sheets);
  /** @type {Record<string, {node: HTMLElement, show?: () => void, hide?: () => void}>} */
  const pages = { cases: { node: cases }, data: new DataPage(world), runs: new RunsPage(world) };
  phoneSheets(sheets, cases);

  const show = () => {
    const name = pages[state.page] ? state.page : "cases";
    put(main, pages[name].node);
    pages[name].show?.();
    for (const [other, page] of Object.entries(pages)) if (other !== name) page.hide?.();
    put(
      document.getElementById("tabs"),
      ...[
        ["cases", "Cases"],
        ["data", "Data"],
        ["runs", world.runs.length ? "Runs" : "Results"],
      ].map(([page, label]) =>
        el(
          "a",
          {
            href: `#page=${page}`,
            "aria-current": page === name ? "page" : null,
            onclick: (event) => {
              event.preventDefault();
              set({ page });
            },
          },
          label,
        ),
      ),
    );
    if (name === "cases") stage.redraw();
  };
  listen(["page"], show);
  world.onChange(() => {
    if (state.page !== "cases") return;
    list.fill();
  });
  const first = read();
  if (!world.caseOf(first.case)) first.case = "";
  set(first, { quiet: true });
  list.fill();
  const asked = state.case;
  if (!asked) set({ case: list.firstId() || "" }, { quiet: true });
  show();
  list.fill();
  stage.open();
  addEventListener("hashchange", () => {
    const next = read();
    if (!world.caseOf(next.case)) next.case = state.case;
    set(next, { back: false });
  });
  addEventListener("keydown", (event) => key(event, stage, list, world));
  let touched = false; // once somebody has begun to look, the case does not change under their hands
  for (const kind of ["keydown", "pointerdown", "wheel"])
    addEventListener(
      kind,
      () => {
        touched = true;
      },
      { once: true, capture: true },
    );
  dropping(world);
  document.getElementById("help").onclick = () => shortcuts();
  document.getElementById("theme").onclick = () => theme(true);
  document.getElementById("link").onclick = () => {
    copy(shared(told.link));
    world.say("Link copied");
    setTimeout(() => world.say(""), 2500);
  };
  await world.refreshScores();
  if (!asked && !touched && ["worst", "best"].includes(state.sort) && list.firstId() !== state.case)
    set({ case: list.firstId() || "" }, { back: false });
  setInterval(
    () =>
      world.runs.length &&
      document.visibilityState === "visible" &&
      state.page === "cases" &&
      world.results.some((r) => r.kind === "run") &&
      world.refreshScores(),
    15000,
  );
}

function phoneSheets(nav, cases) {
  const names = [
    ["list", "Cases"],
    ["layers", "Structures"],
    ["sliders", "Display"],
    ["none", "Scan"],
  ];
  const choose = (name) => {
    cases.dataset.sheet = cases.dataset.sheet === name ? "none" : name;
    nav
      .querySelectorAll("button")
      .forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.name === cases.dataset.sheet)));
  };
  put(
    nav,
    ...names
      .slice(0, 3)
      .map(([name, label]) =>
        el(
          "button",
          { type: "button", "data-name": name, "aria-pressed": "false", onclick: () => choose(name) },
          icon(name),
          label,
        ),
      ),
  );
  cases.dataset.sheet = "none";
  listen(["case"], () => {
    if (cases.dataset.sheet === "list") choose("list");
  });
}

function key(event, stage, list, world) {
  if (event.ctrlKey || event.metaKey || event.altKey || state.page !== "cases") return;
  const tag = event.target.tagName;
  if (tag === "SELECT" || (tag === "INPUT" && event.target.type !== "checkbox" && event.target.type !== "range"))
    return;
  if (document.querySelector("dialog[open]")) return;
  const pane = stage.panes.find((p) => p.canvas === document.activeElement) || stage.panes[0];
  const scroll = (step) => pane && stage.goto(pane.axis, pane.at + step);
  const mode = (value) => () => set({ mode: value });
  const hidden = numbers(state.hide),
    every = world.structures.map((_, i) => i);
  const actions = {
    ArrowDown: () => list.step(1),
    ArrowUp: () => list.step(-1),
    ArrowRight: () => scroll(1),
    ArrowLeft: () => scroll(-1),
    PageDown: () => scroll(10),
    PageUp: () => scroll(-10),
    Home: () => scroll(-1e6),
    End: () => scroll(1e6),
    0: () => stage.fit(),
    "+": () => stage.zoom(1.25),
    "=": () => stage.zoom(1.25),
    "-": () => stage.zoom(0.8),
    m: () => set({ tool: "move" }),
    w: () => set({ tool: "window" }),
    r: () => set({ tool: "ruler" }),
    a: () => set({ hide: "" }),
    n: () => set({ hide: joined(every) }),
    o: mode("overlay"),
    s: mode("side"),
    p: mode("swipe"),
    b: mode("blink"),
    d: mode("difference"),
    i: () => set({ invert: !state.invert }),
    x: () => set({ pixels: !state.pixels }),
    "?": () => shortcuts(),
    f: () => set({ style: { both: "fill", fill: "outline", outline: "both" }[stage.styleOf(0)] }),
    " ": () => {
      const all = stage.info?.sources || [];
      set({ off: state.off ? "" : joined(all) });
    },
  };
  if (tag === "INPUT" && event.target.type === "range" && event.key.startsWith("Arrow")) return;
  if (tag === "BUTTON" && event.key === " ") return;
  if (tag === "INPUT" && event.key === " ") return;
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (/^[1-9]$/.test(name) && Number(name) <= every.length) {
    const s = Number(name) - 1;
    hidden.has(s) ? hidden.delete(s) : hidden.add(s);
    set({ hide: joined(hidden) });
  } else if (actions[name]) actions[name]();
  else return;
  event.preventDefault();
}

function shortcuts() {
  const dialog = el(
    "dialog",
    { className: "shortcuts", onclose: () => dialog.remove() },
    el("h2", {}, "Keys, mouse and fingers"),
    matchMedia("(pointer: coarse)").matches ? listed(TOUCH) : null,
    listed(KEYS),
    el("form", { method: "dialog" }, el("button", { className: "primary", autofocus: true }, "Close")),
  );
  document.body.append(dialog);
  dialog.showModal();
}

const listed = (rows) =>
  el(
    "dl",
    {},
    rows.map(([keys, what]) => [el("dt", {}, keys), el("dd", {}, what)]),
  );

function theme(next) {
  const modes = ["", "light", "dark"];
  let mode = localStorage.getItem("segwright-theme") || "";
  if (next) mode = modes[(modes.indexOf(mode) + 1) % 3];
  localStorage.setItem("segwright-theme", mode);
  if (mode) document.documentElement.dataset.theme = mode;
  else delete document.documentElement.dataset.theme;
}

theme(false);
start();
