// The line below the scan: where the pointer is, and what is there.

import * as api from "./api.js";
import { number } from "./dom.js";

export function tellVoxel(stage, pane, spot) {
  const voxel = pane && stage.info ? pane.toVoxel(...spot) : null;
  if (!voxel) {
    stage.readout.textContent = " ";
    return;
  }
  const { shape, affine, orientation } = stage.info;
  const [r, c] = pane.rest.map((a) => voxel[a]);
  const [z, y, x] = voxel.map((v) => v + 1);
  const parts = [shape[0] > 1 ? `x ${x}  y ${y}  z ${z}` : `x ${x}  y ${y}`];
  const { image, labels, ids } = pane.finest(pane.place());
  if (image && pane.slices.at === pane.at) {
    const i = api.cell(image, r, c),
      n = image.rows * image.columns;
    const values = [...Array(image.channels).keys()].map((k) =>
      number(image.low + image.scale * image.pixels[i + k * n]),
    );
    parts.push(`value ${values.join(", ")}${image.step > 1 ? ` (mean of ${image.step}×${image.step})` : ""}`);
    for (const [source, slice] of labels) {
      const code = slice.codes[api.cell(slice, r, c)];
      const names = (slice.members[code] || []).map((s) => (s < 0 ? "ignored" : stage.world.structures[s].name));
      parts.push(`${stage.world.nameOf(source)}: ${names.join(" + ") || "–"}`);
    }
    if (ids) {
      const id = ids.codes[api.cell(ids, r, c)];
      if (id) parts.push(`object ${id}`);
    }
  }
  if (orientation) {
    const world = [0, 1, 2].map(
      (k) => affine[k][0] * voxel[0] + affine[k][1] * voxel[1] + affine[k][2] * voxel[2] + affine[k][3],
    );
    parts.push(`R ${world[0].toFixed(1)}  A ${world[1].toFixed(1)}  S ${world[2].toFixed(1)} mm`);
  }
  stage.readout.textContent = parts.join("   ·   ");
}
