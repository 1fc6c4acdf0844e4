"""Does every reading give what was drawn? Random data sets in random forms, layouts and noise, and random damage.

    python benchmarks/readings.py [--draws 2000] [--damages 500] [--seed 0] [--only FORM] [--show]

Each draw is `equal`, `refused` (an error), `told` (it differs, and a line says of what) or `different`: wrong in
silence, of which there must be none. After every reading each file of the folder must be in a case or set aside with a
reason. Counts by form and by noise are kept in `benchmarks/results/readings.json`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
import unicodedata
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).parent))
from reading_forms import FORMS, ONE, Writer, Written, save
from reading_truths import COLOURS, Subject, Truth, draw

from segwright.core.case import Case, Dataset
from segwright.core.errors import SegwrightError
from segwright.io.dataset import open_dataset
from segwright.io.load import load_image, load_label
from segwright.planning.check import inspect

RESULTS = Path(__file__).parent / "results" / "readings.json"
OUTCOMES = ("equal", "told", "refused", "different")
#: Sentences that say that voxels were read otherwise than they are stored.
_SAYS = re.compile(
    r"another reader|is no structure|counts nowhere|number objects|number the objects|smeared|level of|snapped"
    r"|taken as background|are united|field of view|lossy|no voxel is background|runs count"
    r"|without a file are taken as absent|interpolation", re.IGNORECASE
)  # fmt: skip
_NO_LABEL, _CALLED = re.compile("no label"), re.compile("files of each structure")


@dataclass(frozen=True)
class Problem:
    """A difference, and the names of which a line that tells it must have one; none can tell it without a name.

    Attributes:
        says: What the line must say.
        left: Something was not read, so that any line on what was set aside tells it as well.
    """

    text: str
    about: frozenset[str] | set[str] = frozenset()
    says: re.Pattern[str] = _SAYS
    left: bool = False


@dataclass
class Draw:
    """One draw and what came of it."""

    seed: int
    form: str = ""
    layout: str = ""
    traits: set[str] = field(default_factory=set)
    outcome: str = ""
    why: str = ""


# ------------------------------------------------------------------------------- noise


def noises(rng: np.random.Generator, truth: Truth, form: str, layout: str) -> set[str]:
    """Kinds of noise that this form can have, each drawn by chance."""
    can = {"stray files": 0.25, "hidden files": 0.2}
    plain = form == "values" and layout in ("siblings", "beside", "patients", "splits")
    if truth.flat and (plain or form == "masks") and truth.kind in ("mask", "classes", "overlapping"):
        can |= {"jpeg label": 0.12, "blurred label": 0.1}
    if form == "colours":
        can["jpeg label"] = 0.25
    if form in ("values", "masks", "same stem"):
        can["upper suffix"] = 0.1
    if layout == "table" or form == "labelme":
        can |= {"windows paths": 0.3, "semicolons": 0.3}
    if truth.kind == "objects":
        can["scattered numbers"] = 0.5
    if form == "planes":
        can["0/255"] = 0.5
    if form == "run lengths":
        can["-1"] = 0.5
    if form == "masks":
        can["no file if absent"] = 0.5
    if layout == "splits" and form in ("values", "palette", "colours"):
        can["equal names"] = 0.4
    if form == "values" and layout == "siblings" and truth.flat:
        can |= {"painted copy": 0.15, "second reader": 0.15, "field of view": 0.1, "outline": 0.1}
    if "umlauts" in truth.traits and layout in ("siblings", "beside", "folders", "named"):
        can["decomposed letters"] = 0.6
    return {name for name, chance in can.items() if rng.random() < chance}


def disturb(w: Writer, out: Written, noise: set[str]) -> None:
    """Adds to a written folder what people leave in it."""
    rng, root = w.rng, w.root
    if "stray files" in noise:
        (root / "README.md").write_text("# scans\n")
        (root / "notes.txt").write_text("second scan is blurred\n")
        save(root / "overview.png", rng.integers(0, 255, (1, 30, 30)).astype(np.uint8))
        (root / "ages.csv").write_text("subject,age\nA,71\nB,64\n")
    if "hidden files" in noise:
        for place in [root, *[p for p in root.iterdir() if p.is_dir()]]:
            (place / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
            (place / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
            first = next((p for p in sorted(place.iterdir()) if p.is_file() and p.suffix == ".png"), None)
            if first is not None:
                (place / f"._{first.name}").write_bytes(b"\0\5\x16\7" + bytes(40))
    if "decomposed letters" in noise:
        for path in sorted(root.rglob("*")):
            if path.is_file() and not path.name.startswith(".") and (out.labels is None or path.parent in out.labels):
                path.rename(path.with_name(unicodedata.normalize("NFD", path.name)))
    if out.labels:
        _other_drawings(w, out, noise)


def _other_drawings(w: Writer, out: Written, noise: set[str]) -> None:
    labels = out.labels[0]
    for name, subject in w.truth.labelled.items():
        numbers = w.truth.numbers(subject)
        if "painted copy" in noise:
            ranks = np.searchsorted(np.unique(numbers), numbers)
            paint = np.concatenate([np.zeros((1, 3)), np.random.default_rng(5).integers(30, 255, (64, 3))]).astype(
                np.uint8
            )
            save(labels.with_name(f"{labels.name}_color") / f"{name}.png", paint[ranks])
        if "second reader" in noise:
            save(labels.with_name(f"{labels.name}_reader2") / f"{name}.png", np.roll(numbers, 1, 2))
        if "field of view" in noise:
            field_ = np.zeros(numbers.shape, np.uint8)
            corner = np.add.outer(np.arange(numbers.shape[1]), np.arange(numbers.shape[2])) < 8
            field_[:] = np.where(corner | corner[::-1, ::-1] | corner[::-1] | corner[:, ::-1], 0, 255)
            save(labels.with_name("fov_mask") / f"{name}.png", field_)
        if "outline" in noise:
            save(labels.with_name(f"{labels.name}_binary") / f"{name}.png", (numbers > 0) * np.uint8(255))


# ------------------------------------------------------------------------------- comparison


def unlisted(place: Path, dataset: Dataset) -> list[str]:
    """Files below a folder that are in no case and not set aside; counted, as they are told by folder."""
    root = Path(dataset.root)
    sources = {dataset.path(s).resolve() for case in dataset.cases for s in (*case.images, *case.label)}
    left: dict[str, int] = Counter()
    for where, folders, names in os.walk(place):
        stores = [f for f in folders if f.lower().endswith((".zarr", ".n5"))]
        folders[:] = [f for f in folders if f not in stores and f not in ("__MACOSX", "@eaDir")]
        for name in (*names, *stores):
            path = Path(where, name).resolve()
            partner = path.suffix in (".raw", ".zraw", ".img") and any(
                s.with_suffix("") == path.with_suffix("") for s in sources
            )
            if path not in sources and not partner and not sources.intersection(path.parents):
                inside = path.is_relative_to(root.resolve())
                left[path.parent.relative_to(root.resolve()).as_posix() if inside else str(path)] += 1
    told: dict[str, int] = Counter()
    for line in dataset.aside:
        first = line.path.split(", ")[0]
        folder = first.rsplit("/", 1)[0] if "/" in first else "."
        told[folder] += line.count
    return [f"{folder}: {count} left, {told.get(folder, 0)} told" for folder, count in left.items()
            if told.get(folder, 0) != count]  # fmt: skip


def owners(root: Path, truth: Truth) -> dict[str, set[Path]]:
    """Files of each subject, by its name in their paths; the longest name that fits."""
    found: dict[str, set[Path]] = {name: set() for name in truth.subjects}
    for path in (p for p in sorted(root.rglob("*")) if p.is_file()):
        told = unicodedata.normalize("NFC", path.relative_to(root).as_posix())
        named = [name for name in found if re.search(rf"(?<!\w){re.escape(name)}(?![a-zA-Z0-9])", told)]
        if named:
            found[max(named, key=len)].add(path)
    return found


def _hashes(files: Iterable[Path]) -> set[str]:
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file()}


def _found(dataset: Dataset, truth: Truth) -> dict[str, Case]:
    """The case of each subject, told by what its image shows."""
    signs = {}
    for case in dataset.cases:
        if case.images:
            signs[case.id] = load_image(dataset, case)
    out = {}
    for name, subject in truth.subjects.items():
        wanted = subject.image.astype(float)
        best = [(float(np.abs(v.array().astype(float) - wanted).mean()), key) for key, v in signs.items()
                if v.data.shape == wanted.shape]  # fmt: skip
        if best and min(best)[0] < 6:
            out[name] = dataset.case(min(best)[1])
    return out


def compare(dataset: Dataset, truth: Truth, out: Written, files: Mapping[str, set[Path]]) -> list[Problem]:
    """What differs between the reading and the truth; `files` are those of each subject."""
    problems: list[Problem] = []
    cases = _found(dataset, truth)
    for name, subject in truth.subjects.items():
        about = _about(name, cases.get(name), files.get(name, set()), Path(dataset.root))
        if name not in cases:
            problems.append(Problem(f"case {name} is missing", about, _NO_LABEL, left=True))
        elif subject.labelled and not cases[name].label:
            problems.append(Problem(f"label {name} is missing", about, _NO_LABEL, left=True))
        elif not subject.labelled and cases[name].label:
            problems.append(Problem(f"{name} has a label from nowhere"))
        elif subject.labelled:
            problems += [
                Problem(f"{name}: {one.text}", one.about | about)
                for one in _voxels(dataset, cases[name], truth, subject, out)
            ]
    if len({case.id for case in cases.values()}) < len(cases):
        problems.append(Problem("one case for two"))
    if out.by == "name" and not problems:
        problems += _names(dataset, truth, out)
    if out.groups and len(cases) == len(truth.subjects):
        pairs = {(truth.subjects[name].patient, case.group) for name, case in cases.items()}
        if len({p for p, _ in pairs}) != len(pairs):
            problems.append(Problem(f"groups {sorted(pairs)}"))
    return problems


def _about(name: str, case: Case | None, files: set[Path], root: Path) -> set[str]:
    """Names by which a line may speak of a subject: its own, its case's, its files and the folders they lie in."""
    inside = [path.relative_to(root) for path in files if path.is_relative_to(root)]
    folders = {f"{path.parent.as_posix()}/" for path in inside if len(path.parts) > 1}
    return {name, *([case.id] if case else []), *(path.name for path in inside), *folders}


def _names(dataset: Dataset, truth: Truth, out: Written) -> list[Problem]:
    """Structures that are called otherwise; those that are in no case need no name, and one alone needs none."""
    shown = [n for k, n in enumerate(truth.names) if any(s.masks[k].any() for s in truth.labelled.values())]
    told = sorted(_plain(n) for n in dataset.labels.names)
    fitting = (sorted(map(_plain, truth.names)), sorted(map(_plain, shown)))
    if told in fitting or (len(truth.names) == 1 and len(told) == 1):
        return []
    new = {name for name in dataset.labels.names if _plain(name) not in map(_plain, truth.names)}
    return [Problem(f"names {dataset.labels.names} for {truth.names}", new if out.renamed else frozenset(), _CALLED)]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _voxels(dataset: Dataset, case: Case, truth: Truth, subject: Subject, out: Written) -> list[Problem]:
    volume = load_image(dataset, case)
    label = load_label(dataset, case, volume.geometry)
    space = dataset.labels
    masks = [space.mask(label, i) for i in range(len(space.structures))]
    ignored = space.ignored(label)
    problems = []
    used = set()
    for told, index, mask in _wanted(truth, subject, dataset, out):
        used.add(index)
        about = {told, *_called(dataset, index)}
        if index is None:
            if mask.any():  # what the reading made of it is told by any structure of the reading
                every = set().union(*(_called(dataset, i) for i in range(len(masks))))
                problems.append(Problem(f"structure {told} is not there", about | every))
        elif not _alike(masks[index], mask, out.border):
            text = f"structure {told}: {int((masks[index] != mask).sum())} voxels of {int(mask.sum())} differ"
            problems.append(Problem(text, about))
    more = [i for i, mask in enumerate(masks) if i not in used and mask.sum() > 0]
    if more:
        about = set().union(*(_called(dataset, i) for i in more))
        problems.append(Problem(f"also structures {[space.names[i] for i in more]}", about))
    if not _alike(ignored, subject.unsure, out.border):
        marks = {f"value {value}" for value in (truth.ignore, space.ignore) if value is not None}
        text = f"{int((ignored != subject.unsure).sum())} voxels differ in counting nowhere"
        problems.append(Problem(text, marks))
    return problems


def _called(dataset: Dataset, index: int | None) -> set[str]:
    """The name of a structure as it was read, and its values where they are no small counts."""
    if index is None:
        return set()
    structure = dataset.labels.structures[index]
    return {structure.name, *(f"value {value}" for value in structure.values)} | {
        f"#{value:06X}" if value > 0xFFFF else str(value) for value in structure.values if value > 9
    }


def _wanted(
    truth: Truth, subject: Subject, dataset: Dataset, out: Written
) -> list[tuple[str, int | None, NDArray[Any]]]:
    """Each structure as it must be read: name, index in the reading, mask."""
    structures = dataset.labels.structures
    found: list[tuple[str, int | None, NDArray[Any]]] = []
    for k, mask in enumerate(subject.masks):
        index: int | None = None
        if out.by == "union" or (len(structures) == 1 and len(truth.names) == 1):
            index = 0 if len(structures) == 1 else None
        elif out.by == "plane":
            index = k if k < len(structures) else None
        elif out.by == "name":
            index = _by_name(truth.names[k], truth, [s.name for s in structures], out)
        else:
            value = truth.values[k]
            if out.by == "colour":
                r, g, b = COLOURS[k]
                value = (r << 16) + (g << 8) + b
            index = _nearest(value, [s.values for s in structures], out)
        found.append((truth.names[k], index, mask))
    return found


def _by_name(wanted: str, truth: Truth, found: Sequence[str], out: Written) -> int | None:
    """The structure of a name; where the only folder without a partner was renamed, the structure called after it."""
    names = [_plain(name) for name in found]
    if _plain(wanted) in names or not out.renamed:
        return names.index(_plain(wanted)) if _plain(wanted) in names else None
    mine = {_plain(name) for name in truth.names}
    new, gone = [i for i, name in enumerate(names) if name not in mine], mine - set(names)
    return new[0] if len(new) == len(gone) == 1 and len(names) == len(mine) else None


def _nearest(value: int, values: list[tuple[int, ...]], out: Written) -> int | None:
    exact = [i for i, told in enumerate(values) if value in told]
    if exact or not out.border:
        return exact[0] if exact else None

    def distance(other: int) -> int:
        if out.by != "colour":
            return abs(value - other)
        return max(abs((value >> s & 255) - (other >> s & 255)) for s in (0, 8, 16))

    near = [(min(map(distance, told)), i) for i, told in enumerate(values) if told]
    return min(near)[1] if near and min(near)[0] <= 14 else None


def _alike(a: NDArray[Any], b: NDArray[Any], border: int) -> bool:
    if border == 0 or a.shape != b.shape:
        return bool(np.array_equal(a, b))
    cross = np.ones((1, 3, 3), bool)
    edge = ndimage.binary_dilation(b, cross, border) & ~ndimage.binary_erosion(b, cross, border)
    return not bool(((a != b) & ~edge).any())


# ------------------------------------------------------------------------------- one draw


def judged(place: Path, truth: Truth, out: Written, files: Mapping[str, set[Path]]) -> tuple[str, str]:
    """Outcome and reason of reading a folder."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = open_dataset(place)
            problems = compare(dataset, truth, out, files)
            left = unlisted(place, dataset)
            if left:
                return "different", f"not listed: {left[:3]}"
            if not problems:
                return "equal", ""
            findings = inspect(dataset).findings
    except SegwrightError as error:
        return "refused", str(error).splitlines()[0]
    if any(finding.level == "error" for finding in findings):
        return "refused", next(f.what for f in findings if f.level == "error")
    lines = [*dataset.notes, *(f"{d.chosen} {d.other}" for d in dataset.decisions)]
    lines += [f"{finding.where}: {finding.what}" for finding in findings]
    aside = [f"{a.path}: {a.reason}" for a in dataset.aside]
    silent = [one.text for one in problems if not _is_told(one, lines, aside)]
    return ("different", "; ".join(silent[:3])) if silent else ("told", "; ".join(p.text for p in problems[:2]))


def _is_told(problem: Problem, lines: Sequence[str], aside: Sequence[str]) -> bool:
    """Whether a line speaks of a difference: of this file, case or structure, and of what became of it."""
    telling = [line for line in (*lines, *aside) if problem.says.search(line)] + (list(aside) if problem.left else [])
    return any(_speaks(unicodedata.normalize("NFC", line), name) for line in telling for name in problem.about)


def _speaks(line: str, name: str) -> bool:
    return re.search(rf"(?<![\w#]){re.escape(name)}(?!\w)", line, re.IGNORECASE) is not None


def one(seed: int, place: Path, only: str = "") -> Draw:
    """Draw, write, disturb, read and compare."""
    rng = np.random.default_rng(seed)
    name = only or str(rng.choice(list(FORMS)))
    if not only and rng.random() < 0.35:
        name = "values"
    form = FORMS[name]
    layout, kind = str(rng.choice(form.layouts)), str(rng.choice(form.kinds))
    flat = bool(rng.choice(form.flat)) and layout not in ("decathlon", "totalsegmentator")
    if layout in ("nnunet", "decathlon") and (kind == "objects" or (kind, layout) == ("ignore", "decathlon")):
        kind = "classes"  # their dataset.json has no way to state it
    truth = draw(rng, kind, flat=flat)
    if name in ("palette", "same stem") and max(truth.values) > 255:
        truth.values = tuple(range(1, len(truth.values) + 1))
    noise = noises(rng, truth, name, layout)
    if noise & {"jpeg label", "blurred label"} and max(truth.values) > 255:
        truth.values = (60, 120, 180)[: len(truth.values)]
    root = place / "scans"
    root.mkdir()
    writer = Writer(truth, root, rng, noise)
    out = form.write(writer, layout)
    disturb(writer, out, noise)
    outcome, why = judged(root, truth, out, owners(root, truth))
    return Draw(seed, name, layout, truth.traits | noise | {out.form}, outcome, why)


# ------------------------------------------------------------------------------- damage


def damage(seed: int, place: Path) -> Draw:
    """A good folder of plain forms, damaged in one to three ways."""
    rng = np.random.default_rng([seed, 1])
    layout = str(rng.choice(["siblings", "beside", "patients", "splits", "folders", "sibling folders", "named"]))
    kind = str(rng.choice(["mask", "classes"]))
    name = "values" if layout in ONE else "masks"
    kind = "classes" if name == "masks" else kind
    truth = draw(rng, kind, flat=bool(rng.random() < 0.7))
    root = place / "scans"
    root.mkdir()
    out = FORMS[name].write(Writer(truth, root, rng, set()), layout)
    ways = [str(w) for w in rng.choice(list(DAMAGES), int(rng.integers(1, 4)), replace=False)]
    before = owners(root, truth)
    known = {name: _hashes(files) for name, files in before.items()}
    for way in ways:
        DAMAGES[way](rng, root)
        out.renamed |= way == "rename folder"
    now = {path: _hashes([path]) for path in root.rglob("*") if path.is_file()}
    files = {n: before[n] | {path for path, one in now.items() if one & known[n]} for n in before}
    for name in [n for n in files if not any(path.exists() for path in files[n])]:
        del truth.subjects[name]  # nothing of it is left to be read
    outcome, why = judged(root, truth, out, files)
    return Draw(seed, "damage", layout, set(ways), outcome, why)


def _files(root: Path) -> list[Path]:
    return [p for p in sorted(root.rglob("*")) if p.is_file() and not any(".zarr" in q.name for q in p.parents)]


def _any(rng: np.random.Generator, root: Path) -> Path:
    files = _files(root)
    return files[int(rng.integers(len(files)))]


def _rename(rng: np.random.Generator, root: Path) -> None:
    path = _any(rng, root)
    path.rename(path.with_name(str(rng.choice(["copy of ", "old_", "_", "new-"])) + path.name))


def _rename_folder(rng: np.random.Generator, root: Path) -> None:
    folders = [p for p in sorted(root.iterdir()) if p.is_dir()]
    if folders:
        folder = folders[int(rng.integers(len(folders)))]
        folder.rename(folder.with_name(str(rng.choice(["stuff", "abc", folder.name.upper(), "new " + folder.name]))))


def _move(rng: np.random.Generator, root: Path) -> None:
    path = _any(rng, root)
    folders = [root, *[p for p in sorted(root.rglob("*")) if p.is_dir() and ".zarr" not in str(p)]]
    target = folders[int(rng.integers(len(folders)))] / path.name
    if not target.exists():
        path.rename(target)


def _drop(rng: np.random.Generator, root: Path) -> None:
    _any(rng, root).unlink()


def _copy(rng: np.random.Generator, root: Path) -> None:
    path = _any(rng, root)
    shutil.copy(path, path.with_name(f"{path.name.split('.')[0]} (1).{path.name.split('.', 1)[1]}"))


def _suffix(rng: np.random.Generator, root: Path) -> None:
    """Another format for one file that Pillow reads."""
    path = _any(rng, root)
    if path.suffix.lower() in (".png", ".bmp"):
        with Image.open(path) as picture:
            picture.save(path.with_suffix(str(rng.choice([".tif", ".bmp", ".PNG"]))))
        path.unlink()


def _stray_picture(rng: np.random.Generator, root: Path) -> None:
    places = [root, *[p for p in sorted(root.iterdir()) if p.is_dir() and ".zarr" not in p.name]]
    where = places[int(rng.integers(len(places)))]
    save(where / str(rng.choice(["figure.png", "montage_3.png", "preview.jpg"])),
         rng.integers(0, 255, (1, 30, 34)).astype(np.uint8))  # fmt: skip


def _stray_volume(rng: np.random.Generator, root: Path) -> None:
    save(root / str(rng.choice(["atlas.nii.gz", "mean.nrrd"])), rng.integers(0, 99, (5, 9, 9)).astype(np.uint8))


def _empty(rng: np.random.Generator, root: Path) -> None:
    _any(rng, root).write_bytes(b"")


def _archive(rng: np.random.Generator, root: Path) -> None:
    (root / "backup.zip").write_bytes(b"PK\5\6" + bytes(18))


def _results(rng: np.random.Generator, root: Path) -> None:
    """Somebody's predictions in a folder of their own."""
    for path in _files(root)[:3]:
        if path.suffix == ".png":
            save(root / "results" / path.name, (rng.random((1, 40, 48)) > 0.5).astype(np.uint8) * 255)


DAMAGES = {
    "rename": _rename, "rename folder": _rename_folder, "move": _move, "drop": _drop, "copy": _copy,
    "other suffix": _suffix, "stray picture": _stray_picture, "stray volume": _stray_volume, "empty file": _empty,
    "archive": _archive, "results": _results,
}  # fmt: skip


# ------------------------------------------------------------------------------- all


def run(draws: int, damages: int, seed: int, only: str = "", show: bool = False) -> list[Draw]:
    """All draws, in order."""
    found = []
    for kind, count in ((one, draws), (damage, damages)):
        for i in range(count):
            place = Path(tempfile.mkdtemp(prefix="readings-"))
            try:
                result = kind(seed + i, place, only) if kind is one else damage(seed + i, place)
            except Exception as error:
                if not show:
                    raise
                result = Draw(seed + i, outcome="different", why=f"crash {type(error).__name__}: {error}")
            finally:
                shutil.rmtree(place)
            found.append(result)
            if show and result.outcome != "equal":
                print(f"{result.outcome:9s} {'damage' if kind is damage else ''} {result.seed} {result.form} {result.layout} "
                      f"{sorted(result.traits)}: {result.why[:230]}", flush=True)  # fmt: skip
    return found


def table(found: list[Draw]) -> dict[str, Any]:
    """Counts of outcomes, in all, by form and by noise."""
    by: dict[str, dict[str, Counter[str]]] = {"form": defaultdict(Counter), "noise": defaultdict(Counter)}
    for result in found:
        by["form"][f"{result.form}, {result.layout}"][result.outcome] += 1
        for trait in result.traits:
            by["noise"][trait][result.outcome] += 1
    counts = {k: {n: dict(c) for n, c in sorted(v.items())} for k, v in by.items()}
    return {"draws": len(found), "outcomes": dict(Counter(r.outcome for r in found)), **counts}


def main() -> None:
    """Draw, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--damages", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--show", action="store_true", help="print each draw that is not equal")
    args = parser.parse_args()
    began = time.monotonic()
    found = run(args.draws, args.damages, args.seed, args.only, args.show)
    parts = {"drawn": [r for r in found if r.form != "damage"], "damaged": [r for r in found if r.form == "damage"]}
    result = {name: table(rows) for name, rows in parts.items() if rows}
    for name, rows in result.items():
        print(name, rows["draws"], rows["outcomes"])
    result["different"] = [f"{r.seed} {r.form}, {r.layout}: {r.why}" for r in found if r.outcome == "different"]  # type: ignore[assignment]
    print(f"{time.monotonic() - began:.0f} s")
    if not args.only and not args.show:
        RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
