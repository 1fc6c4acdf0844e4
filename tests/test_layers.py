"""Imports point only down the layers, heavy libraries enter by their doors, and the low layers stay free of torch."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[1] / "src" / "segwright"

LAYERS = {
    **dict.fromkeys(["core"], 2),
    **dict.fromkeys(["io", "ops"], 3),
    **dict.fromkeys(["planning", "prepare", "sample", "augment", "nets", "losses", "targets"], 4),
    **dict.fromkeys(["postprocess", "metrics", "measures", "phantoms"], 4),
    **dict.fromkeys(["train", "prediction", "evaluation", "report", "export", "restoration"], 5),
    "api": 6,
    **dict.fromkeys(["view", "serve"], 7),
    "cli": 8,
}

#: Library -> the modules (or packages, ending in a slash) that may import it.
DOORS = {
    "nibabel": ["io/nifti.py", "io/formats/neuro/read.py"],
    "SimpleITK": ["io/itk.py"],
    "pydicom": ["io/dicom.py", "io/dicomseg.py", "io/dicomsegout.py", "io/terms.py"],
    "highdicom": ["io/dicomsegout.py"],
    "PIL": ["io/image.py"],
    "tifffile": ["io/tiff.py"],
    "imagecodecs": ["io/tiff.py"],
    "zarr": ["io/zarr.py", "io/omezarr.py"],
    "h5py": ["io/hdf5.py"],
    "cc3d": ["ops/components.py"],
    "edt": ["ops/distance.py"],
    "skimage": ["ops/"],
    "lightning": ["train/"],
    "lightning_fabric": ["train/"],
    "tensorboard": ["train/log.py"],
    "torch.utils.tensorboard": ["train/log.py"],
    "matplotlib": ["report/figures.py", "report/overlay.py"],
    "jinja2": ["report/html.py"],
    "typer": ["cli/"],
    "click": ["cli/"],
    "rich": ["cli/"],
    "starlette": ["view/", "serve/"],
    "uvicorn": ["view/", "serve/"],
    "monai": ["nets/monai.py"],
    "einops": ["nets/monai.py"],
    "segmentation_models_pytorch": ["nets/smp.py"],
    "timm": ["nets/smp.py"],
    "torchvision": ["nets/smp.py"],
    "huggingface_hub": ["nets/smp.py"],
    "distributed": ["prediction/large/workers.py"],
    "roifile": ["io/formats/imagej/labels.py"],
    "numcodecs": ["io/n5.py"],
    "surface_distance": [],
}

NO_TORCH = ["core", "io", "ops", "planning", "metrics", "measures", "phantoms", "evaluation", "postprocess"]

MODULES = sorted(SRC.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(SRC).as_posix()


def layer_of(path: Path) -> str:
    """Package or top-level module that a file belongs to."""
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def imports(tree: ast.AST, path: Path) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of everything imported, wherever it stands in the file."""
    package = ["segwright", *path.relative_to(SRC).parts[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{start}.{alias.name}") for alias in node.names)


def rows(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and module of each `"segwright.x.y:attribute"` string."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            match = re.fullmatch(r"(segwright(?:\.\w+)+):\w+", node.value)
            if match:
                yield node.lineno, match[1]


def arrows(path: Path) -> Iterator[tuple[int, str]]:
    """Line and target layer of each dependency on another part of segwright."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for line, name in [*imports(tree, path), *rows(tree)]:
        parts = name.split(".")
        if parts[0] == "segwright" and len(parts) > 1 and not parts[1].startswith("__"):
            yield line, parts[1]


def test_every_package_has_a_layer():
    assert {layer_of(path) for path in MODULES} - {"__init__", "__main__"} <= set(LAYERS)


@pytest.mark.parametrize("path", [p for p in MODULES if p.parent != SRC or p.stem == "api"], ids=name_of)
def test_arrows_point_down(path):
    own = layer_of(path)
    wrong = [
        f"{name_of(path)}:{line} {own} (layer {LAYERS[own]}) uses {used} (layer {LAYERS.get(used, '?')})"
        for line, used in arrows(path)
        if used != own and LAYERS.get(used, 99) >= LAYERS[own]
    ]
    assert not wrong, "\n".join(wrong)


def test_the_package_itself_imports_nothing():
    """Public names are strings that are resolved when asked for; only type checkers may see imports."""
    tree = ast.parse((SRC / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            module = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
            assert str(module).split(".")[0] in sys.stdlib_module_names, f"__init__.py:{node.lineno} imports {module}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_libraries_enter_by_their_doors(path):
    name = name_of(path)
    wrong = []
    for line, imported in imports(ast.parse(path.read_text(encoding="utf-8")), path):
        for library, doors in DOORS.items():
            inside = imported == library or imported.startswith(library + ".")
            if inside and not any(name == door or (door.endswith("/") and name.startswith(door)) for door in doors):
                wrong.append(f"{name}:{line} imports {imported}; its door is {doors or 'closed'}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", [p for p in MODULES if layer_of(p) in NO_TORCH], ids=name_of)
def test_low_layers_import_no_torch(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not [line for line, name in imports(tree, path) if name.split(".")[0] in {"torch", "lightning"}]


def loaded_after(code: str) -> set[str]:
    """Top-level modules present in a fresh interpreter after `code`."""
    script = f"{code}\nimport sys\nsys.stderr.write(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-800:]
    return set(done.stderr.split())


def test_importing_segwright_loads_nothing_heavy():
    assert not loaded_after("import segwright") & {"torch", "numpy", "scipy", "pydantic", "matplotlib", "rich"}


def test_low_layers_load_no_torch_by_detours():
    names = [
        "segwright." + name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path in MODULES
        if layer_of(path) in NO_TORCH
    ]
    assert "torch" not in loaded_after("\n".join(f"import {name}" for name in names))


def test_help_loads_no_torch():
    code = (
        "import sys\nfrom segwright.__main__ import main\nsys.argv = ['segwright', '--help']\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code"
    )
    assert not loaded_after(code) & {"torch", "scipy", "matplotlib", "nibabel", "SimpleITK"}
