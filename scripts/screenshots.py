"""Pictures of the viewer for the documentation, made by the viewer itself on drawn scans.

python scripts/screenshots.py [--out docs/images]
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import threading
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright
from scipy import ndimage

from segwright import io
from segwright.core.volume import Volume
from segwright.phantoms.write import write_dataset
from segwright.view.launch import make_viewer

#: Name, address, colours, width and height, what to wait for.
SHOTS = (
    ("view", "#sort=worst&plane=all", "dark", (1440, 900), "body[data-painted][data-located]"),
    ("view-difference", "#sort=worst&mode=difference", "light", (1440, 900), "body[data-painted][data-located]"),
    ("view-data", "#page=data", "light", (1440, 1300), ".chart .point"),
    ("view-results", "#page=runs", "light", (1440, 900), ".result[data-done=true]"),
    ("view-phone", "#sort=worst", "dark", (390, 844), "body[data-painted][data-located]"),
)


def drawn(folder: Path) -> tuple[Path, Path]:
    """Eight MR volumes, and a result of each that errs the more the later it comes."""
    scans = write_dataset("tumour-mri", folder, cases=8, seed=11) / "scans"
    for number, path in enumerate(sorted((scans / "labelsTr").iterdir())):
        label = io.read(path)
        values = label.array()[0]
        rng = np.random.default_rng(number)
        field = [ndimage.gaussian_filter(rng.normal(size=values.shape), 5) for _ in range(3)]
        grid = np.indices(values.shape) + np.stack([f / f.std() * (0.5 + 0.35 * number) for f in field])
        moved = ndimage.map_coordinates(values, grid, order=0, mode="nearest")
        io.write(Volume.of(moved, label.geometry), folder / "result" / path.name, like=label)
    return scans, folder / "result"


def main() -> None:
    """Draw, open, photograph."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "docs" / "images")
    out = parser.parse_args().out
    folder = Path(tempfile.mkdtemp(prefix="segwright-shots-"))
    scans, result = drawn(folder)
    viewer = make_viewer(scans, results=[result])
    threading.Thread(target=viewer.server.run, kwargs={"sockets": viewer.sockets}, daemon=True).start()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        first = browser.new_page()
        first.goto(f"{viewer.url}#page=runs")
        first.wait_for_selector(".result[data-done=true]", timeout=120_000)
        for name, address, scheme, (width, height), ready in SHOTS:
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.goto(viewer.url + address)
            page.locator(ready).first.wait_for(state="attached", timeout=60_000)
            page.wait_for_timeout(2500)
            page.screenshot(path=out / f"{name}.png")
            page.close()
        browser.close()
    viewer.server.should_exit = True
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
