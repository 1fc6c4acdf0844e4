// What is drawn over slices beside labels: cross-hair, rulers, letters of sides, scale bar.

import { number } from "./dom.js";
import { state } from "./state.js";

// Cross-hair, rulers, swipe line.
export function drawMarks(stage, pane, context, place) {
  if (stage.grid.dataset.layout === "planes") {
    const [x, y] = pane.toScreen([stage.at[pane.rest[0]] + 0.5, stage.at[pane.rest[1]] + 0.5], place);
    context.strokeStyle = "rgb(127 183 230 / 65%)";
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x, 0);
    context.lineTo(x, y - 9);
    context.moveTo(x, y + 9);
    context.lineTo(x, place.height);
    context.moveTo(0, y);
    context.lineTo(x - 9, y);
    context.moveTo(x + 9, y);
    context.lineTo(place.width, y);
    context.stroke();
  }
  if (state.mode === "swipe") {
    const x = state.swipe * place.width;
    context.strokeStyle = "#fff";
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(x, 0);
    context.lineTo(x, place.height);
    context.stroke();
    context.fillStyle = "#fff";
    context.beginPath();
    context.arc(x, place.height / 2, 6, 0, 7);
    context.fill();
  }
  for (const ruler of stage.rulers) drawRuler(stage, ruler, pane, context, place);
}

function drawRuler(stage, { axis, at, a, b }, pane, context, place) {
  if (axis !== pane.axis || at !== pane.at) return;
  const p = pane.toScreen(a, place),
    q = pane.toScreen(b, place);
  const { view } = pane;
  const size = view.transposed ? [view.column_size, view.row_size] : [view.row_size, view.column_size];
  const length = Math.hypot((a[0] - b[0]) * size[0], (a[1] - b[1]) * size[1]);
  context.strokeStyle = "#ffd84d";
  context.lineWidth = 2;
  context.beginPath();
  context.moveTo(...p);
  context.lineTo(...q);
  context.stroke();
  for (const [x, y] of [p, q]) {
    context.beginPath();
    context.arc(x, y, 3.5, 0, 7);
    context.fillStyle = "#ffd84d";
    context.fill();
  }
  const text = view.in_mm
    ? length < 0.5
      ? inWords(length)
      : `${length.toFixed(length < 10 ? 2 : 1)} mm`
    : `${length.toFixed(1)} ${stage.unit()}`;
  context.font = "600 13px system-ui, sans-serif";
  const wide = context.measureText(text).width + 12,
    x = (p[0] + q[0]) / 2,
    y = (p[1] + q[1]) / 2 - 16;
  context.fillStyle = "rgb(5 7 10 / 80%)";
  context.fillRect(x - wide / 2, y - 10, wide, 20);
  context.fillStyle = "#ffd84d";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(text, x, y);
}

// Letters of the patient's sides, scale bar.
export function drawLetterbox(pane, context, place) {
  const { view } = pane;
  context.font = "600 12px system-ui, sans-serif";
  context.fillStyle = "#c8d3de";
  context.shadowColor = "#000";
  context.shadowBlur = 3;
  context.textAlign = "center";
  context.textBaseline = "middle";
  if (view.letters && pane.letters) {
    const [top, right, bottom, left] = view.letters;
    const titled = pane.node.querySelector(".pane-title").offsetWidth + 24 > place.width / 2;
    context.fillText(top, place.width / 2, titled ? 42 : 14);
    context.fillText(bottom, place.width / 2, place.height - 30);
    context.fillText(right, place.width - (pane.slider.hidden ? 14 : 34), place.height / 2);
    context.fillText(left, 14, place.height / 2);
  }
  const nice = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005,
    0.0002, 0.0001, 0.00005, 0.00002, 0.00001,
  ];
  const length = nice.filter((n) => n * place.scale <= Math.min(150, place.width / 2 - 48)).sort((a, b) => b - a)[0];
  if (length) {
    const wide = length * place.scale,
      x = 14,
      y = place.height - 16;
    context.shadowBlur = 0;
    context.fillStyle = "rgb(5 7 10 / 62%)";
    context.beginPath();
    context.roundRect(x - 7, y - 24, wide + 14, 31, 5);
    context.fill();
    context.fillStyle = "#e8eef4";
    context.strokeStyle = "#e8eef4";
    context.lineWidth = 1.5;
    context.beginPath();
    context.moveTo(x, y - 4);
    context.lineTo(x, y);
    context.lineTo(x + wide, y);
    context.lineTo(x + wide, y - 4);
    context.stroke();
    context.textAlign = "left";
    context.fillText(pane.view.in_mm ? inWords(length) : `${number(length)} ${pane.stage.unit()}`, x + 4, y - 11);
  }
  context.shadowBlur = 0;
}

/** A length in the unit that people say. @param {number} mm */
export function inWords(mm) {
  if (mm >= 10) return `${mm / 10} cm`;
  if (mm >= 0.5) return `${mm} mm`;
  return mm >= 0.0005 ? `${Number((mm * 1000).toPrecision(3))} µm` : `${Number((mm * 1e6).toPrecision(3))} nm`;
}
