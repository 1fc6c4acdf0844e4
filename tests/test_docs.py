"""The documentation tells the truth: its Python runs, its commands and links exist, its tables are complete."""

from __future__ import annotations

import re
import shlex
import shutil
from functools import cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import segwright
from segwright.core.recipe import Recipe
from segwright.core.registry import Registry

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """Line number and text of each fenced block of a language."""
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, m.start()) + 2, m[2]) for m in FENCE.finditer(text) if m[1] == language]


@pytest.fixture(scope="session")
def desk(tmp_path_factory) -> Path:
    """A folder as the examples assume it: X-rays in `scans/`, `new/` and `reference/`, volumes in `mri/`."""
    from segwright.phantoms.write import write_dataset

    folder = tmp_path_factory.mktemp("desk")
    drawn = write_dataset("spine-xray", folder / "drawn", cases=10, seed=1, held_out=2)
    (drawn / "scans").rename(folder / "scans")
    (drawn / "held-out" / "images").rename(folder / "new")
    (drawn / "held-out" / "labels").rename(folder / "reference")
    write_dataset("tumour-mri", folder / "volumes", cases=4, seed=1)
    (folder / "volumes" / "scans").rename(folder / "mri")
    return folder


@pytest.fixture
def short_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever an example asks for, its fit takes two steps: the examples are checked for truth, not for scores."""
    fit = segwright.fit

    def short(data: Any, **wishes: Any) -> Any:
        quick = {"steps": 2, "folds": 2, "width": 4, "size": (96, 48), "precision": "float32", "tta": False}
        return fit(data, **{**wishes, **quick, "minutes": None, "postprocess": False})

    monkeypatch.setattr(segwright, "fit", short, raising=False)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_python_blocks_run(page, desk, short_fits, tmp_path, monkeypatch):
    """Blocks of a page run in order and share their names, as a reader would type them."""
    shutil.copytree(desk, tmp_path / "desk")
    monkeypatch.chdir(tmp_path / "desk")
    names: dict[str, Any] = {"__name__": "__main__"}
    for line, code in blocks(page, "python"):
        exec(compile("\n" * (line - 1) + code, str(page), "exec"), names)


@cache
def commands() -> dict[str, set[str]]:
    """Verbs of the command line and the flags of each."""
    from typer.main import get_command

    tree: Any = get_command(import_module("segwright.cli.app").app)
    return {
        name: {flag for p in verb.params for flag in (*p.opts, *p.secondary_opts)}
        for name, verb in tree.commands.items()
    }


def check_segwright(words: list[str]) -> None:
    """One `segwright ...` line: the verb exists and takes the flags given."""
    if not words or words[0].startswith("-"):
        return
    verb, *rest = words
    assert verb in commands(), f"no command {verb!r}"
    flags = {word.partition("=")[0] for word in rest if re.match(r"--?[a-zA-Z]", word)} - {"--help"}
    assert flags <= commands()[verb], f"{verb} has no {sorted(flags - commands()[verb])}"
    free = [word for before, word in pairwise(["", *rest]) if before != "--set"]  # what --set names is not a field
    for name in (word.partition("=")[0] for word in free if re.match(r"[a-z_.]+=", word)):
        assert name.split(".")[0] in Recipe.model_fields, f"no recipe field {name!r}"


@each_page
def test_commands_exist(page):
    targets = set(re.findall(r"^([a-z-]+%?):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for _, block in blocks(page, "console"):
        for line in block.splitlines():
            for part in line.removeprefix("$ ").split("&&") if line.startswith("$ ") else []:
                words = shlex.split(part, comments=True)
                if words[0] == "segwright":
                    check_segwright(words[1:])
                elif words[0] == "make":
                    assert all(word in targets or "%" in word or word.startswith("bench-") for word in words[1:])
                elif words[0].startswith("scripts/"):
                    assert (ROOT / words[0]).exists()


@each_page
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not re.match(r"\w+:", target):
            assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"


@pytest.mark.parametrize(
    ("page", "table"),
    [
        ("metrics", "segwright.metrics:METRICS"),
        ("measures", "segwright.measures:MEASURES"),
        ("recipes", "segwright.nets:NETS"),
        ("recipes", "segwright.losses:LOSSES"),
        ("recipes", "segwright.augment:AUGMENTS"),
        ("recipes", "segwright.train:OPTIMISERS"),
        ("recipes", "segwright.train:SCHEDULES"),
        ("layouts", "segwright.io.layouts:LAYOUTS"),
        ("layouts", "segwright.io:FORMS"),
        ("layouts", "segwright.io.writers:WRITERS"),
    ],
)
def test_reference_names_every_row(page, table):
    module, _, name = table.partition(":")
    rows = getattr(import_module(module), name)
    assert isinstance(rows, Registry)
    text = (ROOT / "docs" / "reference" / f"{page}.md").read_text(encoding="utf-8")
    assert not [row for row in rows if f"`{row}`" not in text]


def test_reference_names_every_recipe_field():
    text = (ROOT / "docs" / "reference" / "recipes.md").read_text(encoding="utf-8")
    assert not [name for name in set(Recipe.model_fields) - {"schema_number"} if f"`{name}`" not in text]


def test_every_page_can_be_found():
    """Each page under `docs/` is linked from the overview."""
    overview = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")} - {"README.md"}
    assert not [page for page in pages if f"({page})" not in overview]


def test_every_public_name_is_in_the_python_reference():
    text = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    listed = {line.rpartition(".")[2] for line in text.splitlines() if line.startswith("::: ")}
    assert listed == {name for name in segwright.__all__ if not name.startswith("__")}


def test_every_page_is_in_the_site():
    told = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert not [
        p for p in (ROOT / "docs").rglob("*.md") if f": {p.relative_to(ROOT / 'docs').as_posix()}\n" not in told
    ]
