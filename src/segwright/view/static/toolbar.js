// The bar above the scan: planes, modes and tools.

import { el, icon, put } from "./dom.js";
import { set, state } from "./state.js";

export function fillToolbar(stage) {
  if (!stage.info) return;
  const tools = [
    ["move", "move", "Move (drag); wheel scrolls or zooms"],
    ["window", "contrast", "Window and level (drag, or right button)"],
    ["ruler", "ruler", "Ruler"],
  ];
  const modes = [
    ["overlay", "Overlay"],
    ["side", "Side by side"],
    ["swipe", "Swipe"],
    ["blink", "Blink"],
    ["difference", "Difference"],
  ];
  const two = stage.info.sources.filter((s) => s !== 0).length && stage.info.sources.includes(0);
  const plane = stage.plane();
  put(
    stage.toolbar,
    el(
      "div",
      { className: "segments", role: "group", "aria-label": "Tool" },
      tools.map(([name, sign, title]) =>
        el(
          "button",
          {
            type: "button",
            title,
            "aria-label": title,
            "aria-pressed": String(state.tool === name),
            onclick: () => set({ tool: name }),
          },
          icon(sign),
        ),
      ),
    ),
    el(
      "button",
      { type: "button", className: "icon", title: "Fit (0)", "aria-label": "Fit", onclick: () => stage.fit() },
      icon("fit"),
    ),
    stage.info.shape[0] > 1 &&
      el(
        "div",
        { className: "segments", role: "group", "aria-label": "Plane" },
        [...stage.info.views.map((view, a) => [String(a), view.name]), ["all", "all three"]].map(([value, name]) =>
          el(
            "button",
            { type: "button", "aria-pressed": String(plane === value), onclick: () => set({ plane: value }) },
            name,
          ),
        ),
      ),
    stage.info.sources.length > 0 &&
      el(
        "div",
        { className: "segments", role: "group", "aria-label": "Compare" },
        modes
          .filter(([value]) => two || ["overlay", "side", "swipe"].includes(value))
          .map(([value, name]) =>
            el(
              "button",
              { type: "button", "aria-pressed": String(state.mode === value), onclick: () => set({ mode: value }) },
              name,
            ),
          ),
      ),
  );
}
