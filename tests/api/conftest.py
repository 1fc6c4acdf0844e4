"""Small folders as people have them: volumes and images, exclusive and overlapping structures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from segwright import io
from segwright.core.geometry import Geometry
from segwright.core.volume import Volume

OBLIQUE = np.array([[0.1, 0.0, -1.5, 10.0], [0.2, 1.5, 0.0, -7.0], [3.0, 0.0, 0.1, 4.0], [0.0, 0.0, 0.0, 1.0]])


def discs(number: int, shape: tuple[int, int, int]) -> tuple[np.ndarray, list[np.ndarray]]:
    """An image and two overlapping round structures of different brightness."""
    rng = np.random.default_rng(number)
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in shape], indexing="ij")
    masks = []
    for centre in (-0.25, 0.25):
        shift = rng.uniform(-0.15, 0.15, 2)
        masks.append((z / 1.2) ** 2 + (y - shift[0]) ** 2 + (x - centre - shift[1]) ** 2 < 0.2)
    image = 100 + 40 * masks[0] + 70 * masks[1] + rng.normal(0, 8, shape)
    return image, masks


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """`make_folder(kind, dims, cases)` writes a folder and returns it."""

    def make(kind: str = "exclusive", dims: int = 3, cases: int = 6, name: str = "scans") -> Path:
        folder = tmp_path / name
        shape = (1, 40, 48) if dims == 2 else (10, 32, 28)
        suffix = ".png" if dims == 2 else ".nii.gz"
        geometry = Geometry.from_spacing(shape) if dims == 2 else Geometry(shape, OBLIQUE)
        for number in range(cases):
            image, masks = discs(number, shape)
            scan = np.clip(image, 0, 255).astype(np.uint8)
            io.write(Volume.of(scan, geometry), folder / "images" / f"case{number:02d}{suffix}")
            if kind == "exclusive":
                label = np.where(masks[1], 2, masks[0].astype(int)).astype(np.uint8)
                io.write(Volume.of(label, geometry), folder / "masks" / f"case{number:02d}{suffix}")
            else:
                for structure, mask in zip(("first", "second"), masks, strict=True):
                    path = folder / "masks" / structure / f"case{number:02d}{suffix}"
                    io.write(Volume.of(mask.astype(np.uint8) * 255, geometry), path)
        return folder

    return make
