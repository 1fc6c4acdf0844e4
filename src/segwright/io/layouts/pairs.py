"""Sibling folders of images and labels whose file names match; and several such sets, a site, split or patient each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from filecmp import cmp
from pathlib import Path
from typing import TypeVar

from segwright.core.case import Case, Dataset, Source
from segwright.core.labels import LabelSpace
from segwright.core.words import listed
from segwright.io.layouts.content import mostly_labels
from segwright.io.layouts.inventory import readable
from segwright.io.layouts.judge import choose, proposals
from segwright.io.layouts.listing import (
    add_structures,
    draft,
    mask_names,
    pair_items,
    several,
    structure_names,
    told_united,
    unique_ids,
)
from segwright.io.layouts.names import CHANNEL_WORDS, match, role, safe_id, site_of, split_of, tokens
from segwright.io.layouts.scan import Item, items, subfolders
from segwright.io.layouts.suffix import label_sets, named

#: More folders without a telling name are no kinds of files, but cases.
_MOST = 12
#: More data sets than this are patients, which other layouts read; each is opened to look.
_MOST_SETS = 64
#: Few data sets are sites or splits; more are patients, and none of them may cross folds.
_FEW = 4
_Source = TypeVar("_Source", bound=Source)


@dataclass
class Arrangement:
    """Which folder holds what, inside one part (train, test, ...) of a dataset."""

    images: list[Path] = field(default_factory=list)
    label: Path | None = None
    structures: dict[str, list[Item]] = field(default_factory=dict)
    filled: dict[Path, list[Item]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def held(self, folder: Path) -> list[Item]:
        """What one of its folders holds."""
        return self.filled.get(folder) or items(folder, depth=2)


class Pairs:
    """`images/` beside `masks/`; several image folders are channels, several label folders are structures."""

    looks_like = "two sibling folders, images and labels, whose file names match (images/a.png, masks/a.png)"

    def matches(self, folder: Path) -> bool:
        """Whether some siblings pair up."""
        return bool(_parts(folder))

    def open(self, folder: Path) -> Dataset:
        """Pair the siblings; parts such as train and test are put together and named in the notes."""
        return _together(folder, "pairs", {name: _drafted(one, folder, name) for name, one in _parts(folder).items()})


PAIRS = Pairs()


def arranged(root: Path, images: Sequence[Path], labels: Mapping[str, Path]) -> Dataset:
    """Images of some folders (channels, if several) with the mask files of others, wherever they lie.

    Args:
        root: What sources are relative to.
        images: One folder, or one a channel.
        labels: By structure; one folder under the empty name holds maps of values.
    """
    folders = (*images, *labels.values())
    filled = {folder: _held(folder, folders) for folder in folders}
    stated = Arrangement(images=list(images), label=labels.get(""), filled=filled)
    if "" not in labels:
        stated.structures = {name: filled[folder] for name, folder in labels.items()}
    elif len(images) == 1:  # the folder may hold a folder or a file a structure
        stated = _fitted(list(images), [labels[""]], filled) or Arrangement()
    if not all(filled.values()) or not stated.images:
        return draft(root, "pairs", ())
    channels, cases = _cases(stated, root)
    places = "; ".join(f"{name}: {folder}" if name else str(folder) for name, folder in labels.items())
    note = f"Images from {', '.join(map(str, images))}; labels from {places}."
    return draft(
        root, "pairs", unique_ids(cases), channels=channels if len(images) > 1 else (), notes=[note, *stated.notes]
    )


def _parts(folder: Path) -> dict[str, Arrangement]:
    """Arrangements by the site or part that folder names speak of (`siteA_images`, `imagesTr`, `labelsTs`), or one."""
    children = subfolders(folder)
    sites = _sites(children)
    groups = sites or _with_own(folder, children)
    found = {name or "all": _arrange(group) for name, group in groups.items() if len(group) > 1}
    parts = {name: a for name, a in found.items() if a is not None and (a.label or a.structures)}
    bare = {name: inner for name, inner in sites.items() if len(inner) == 1 and role(inner[0].name) == "image"}
    return parts | {name or "all": Arrangement(images=inner) for name, inner in bare.items()} if parts else {}


def _with_own(folder: Path, inner: Sequence[Path]) -> dict[str, list[Path]]:
    """Subfolders by the part that their names speak of, and the folder itself where it holds images or labels alone.

    Images may lie in `train/` and `test/` and all labels in `labels/`: then the images are all that is in no label
    folder, as the folder itself stands for.
    """
    groups: dict[str, list[Path]] = {}
    for child in inner:
        groups.setdefault(split_of(child.name, within=True), []).append(child)
    labels = [child for child in inner if role(child.name) == "label"]
    apart = labels and all(not split_of(child.name, within=True) for child in labels) and len(groups) > 1
    if apart and all(child in labels or split_of(child.name) for child in inner):
        return {"": [*labels, folder]}
    if "" in groups and len(inner) <= _MOST and _pairs_below(items(folder), inner):
        groups[""].append(folder)
    return groups


def _pairs_below(own: Sequence[Item], inner: Sequence[Path]) -> bool:
    """Whether files of a folder are images alone, or labels alone, most of which have partners in one subfolder."""
    if len({item.stem for item in own}) < len(own) or len({role(item.stem) == "label" for item in own}) != 1:
        return False
    stems = [item.stem for item in own]
    for child in inner:
        parts = dict.fromkeys(part for item in items(child, depth=2) for part in item.stem.split("/"))
        if len(match(stems, list(parts))) * 2 >= len(stems):
            return True
    return False


def _held(folder: Path, others: Iterable[Path]) -> list[Item]:
    """What lies in a folder and below it; of one above others of the data set its own files, else what is in none."""
    inner = [other for other in others if other != folder and folder in other.parents]
    found = (items(folder) if inner else []) or items(folder, depth=2)
    return [item for item in found if not any(place == item.path or place in item.path.parents for place in inner)]


def _sites(folders: Sequence[Path]) -> dict[str, list[Path]]:
    """Folders by the site that their names speak of; none unless two sites have images and labels of their own.

    Names of channels are no sites, and neither are folders that hold the same pictures: they have several labels.
    """
    groups: dict[str, list[Path]] = {}
    for folder in folders:
        if role(folder.name) is not None:
            groups.setdefault(site_of(folder.name), []).append(folder)
    kinds = {site: {role(folder.name) for folder in inner} for site, inner in groups.items()}
    whole = [groups[site] for site, both in kinds.items() if len(both) == 2]
    plain = all(split_of(site) or site.lower() in CHANNEL_WORDS for site in groups)
    if len(whole) < 2 or {"label"} in kinds.values() or plain:
        return {}
    first, other = (next(items(f, depth=2) for f in inner if role(f.name) == "image") for inner in whole[:2])
    return {} if _copied(first, other) else groups


def _copied(one: Sequence[Item], other: Sequence[Item]) -> bool:
    """Whether files of equal names are the same files, as where a folder of images was copied."""
    table = {item.path.name: item.path for item in one if item.path.is_file()}
    both = [(table[item.path.name], item.path) for item in other if item.path.name in table and item.path.is_file()]
    return bool(both) and all(cmp(a, b, shallow=False) for a, b in both)


def _arrange(folders: Sequence[Path]) -> Arrangement | None:
    """Decide which of some sibling folders hold images and which labels; `None` where names do not match."""
    filled = {folder: found for folder in folders if (found := _held(folder, folders))}
    own = next((folder for folder in folders if any(folder in other.parents for other in folders)), None)
    roles = {folder: role(folder.name) if folder != own else None for folder in filled}
    images = [f for f in filled if roles[f] == "image"]
    labels = [f for f in filled if roles[f] == "label"]
    unknown = [f for f in filled if roles[f] is None]
    if images and labels:
        labels += [f for f in unknown if _fits(filled[images[0]], filled[f]) and mostly_labels(filled[f])]
    elif len(unknown) > _MOST:
        return None
    else:
        judged = {folder: mostly_labels(filled[folder]) for folder in unknown}
        if not images:
            images = [folder for folder in unknown if not judged[folder]]
            if own in images:  # what lies below it and shows the same was made of it, unless it is called a channel
                images = [f for f in images if f == own or {*tokens(f.name)} & CHANNEL_WORDS]
        labels += [folder for folder in unknown if judged[folder]]
    return _fitted(images, labels, filled)


def _fitted(images: list[Path], labels: list[Path], filled: dict[Path, list[Item]]) -> Arrangement | None:
    """Keep the folders whose file names agree."""
    if not images or not labels:
        return None
    main = max(images, key=lambda f: max(len(_names(filled[f], filled[label])) for label in labels))
    others = (f for f in images if f != main and _same(filled[main], filled[f]))
    channels = [main, *(f for f in others if not _copied(filled[main], filled[f]))]
    result = Arrangement(images=sorted(channels) if len(channels) > 1 else [main], filled=filled)
    sets = {label: _structure_sets(filled[main], label, filled[label], result.notes) for label in labels}
    direct = [f for f in labels if not sets[f] and _fits(filled[main], filled[f])]
    if len(direct) == 1:
        result.label = direct[0]
    else:
        names = structure_names(f.name for f in direct)
        result.structures = {names[f.name]: filled[f] for f in direct}
    for found in sets.values():
        result.structures.update(found)
    if result.structures:
        result.label = None
    return result if result.label or result.structures else None


def _structure_sets(images: list[Item], folder: Path, found: list[Item], notes: list[str]) -> dict[str, list[Item]]:
    """Several masks an image: a folder a structure (`masks/heart/a.png`) or a case (`masks/a/heart.png`), or by name
    (`masks/a_heart.png`); empty if each image has one mask. What files of a case were taken for goes into `notes`.
    """
    if len(_names(images, found)) < len(found) and all(item.path.parent == folder for item in found):
        sets = label_sets(images, found)
        many = several(sets)
        notes += [told_united(many)] if many else []
        return named(sets) if many or (len(sets) > 1 and len(found) > 1.5 * len(images)) else {}
    if any(item.path.parent == folder for item in found) or any("/" in item.stem for item in images):
        return {}
    children = {child.name: items(child) for child in subfolders(folder)}
    children = {name: inner for name, inner in children.items() if inner}
    stems = {item.stem for item in images}
    fitting = {name: inner for name, inner in children.items() if name not in stems and _fits(images, inner)}
    if fitting and len(fitting) * 2 >= len(children):
        names = structure_names(fitting)
        return {names[name]: inner for name, inner in fitting.items()}
    by_case = match([item.stem for item in images], list(children))
    if len(by_case) * 2 < len(children):
        return {}
    naming, told = mask_names({name: [item.stem for item in children[name]] for name in by_case.values()})
    table: dict[str, list[Item]] = {}
    for name in by_case.values():
        for item in children[name]:
            table.setdefault(naming[name, item.stem], []).append(Item(item.path, name, item.kind))
    notes.append(told)
    return table


def _names(images: Sequence[Item], labels: Sequence[Item]) -> dict[str, str]:
    return match([item.stem for item in images], [item.stem for item in labels])


def _fits(images: Sequence[Item], labels: Sequence[Item]) -> bool:
    """Whether at least half of the shorter list finds its partner (channels of one case count once)."""
    if len(_names(images, labels)) * 2 >= min(len(images), len(labels)):
        return True
    _, cases = pair_items(images, labels, Path("/"))
    return sum(bool(c.images and c.label) for c in cases) * 2 >= len(labels)


def _same(a: Sequence[Item], b: Sequence[Item]) -> bool:
    return len(_names(a, b)) >= 0.8 * max(len(a), len(b))


def _cases(arrangement: Arrangement, root: Path) -> tuple[tuple[str, ...], tuple[Case, ...]]:
    """Channel names and cases of one arrangement."""
    main = arrangement.held(arrangement.images[0])
    labels = arrangement.held(arrangement.label) if arrangement.label else []
    channels, cases = pair_items(main, labels, root)
    if len(arrangement.images) > 1:
        channels = tuple(folder.name for folder in arrangement.images)
        cases = _with_channels(cases, [arrangement.held(folder) for folder in arrangement.images], root)
    if arrangement.structures:
        cases = add_structures(cases, arrangement.structures, root)
    return channels, cases


def _with_channels(cases: Sequence[Case], folders: Sequence[Sequence[Item]], root: Path) -> tuple[Case, ...]:
    """The cases with one image from each channel folder."""
    tables = [{item.stem: item for item in found} for found in folders]
    pairs = [match([case.id for case in cases], list(table)) for table in tables]
    out = []
    for case in cases:
        found = [table[pair[case.id]] for table, pair in zip(tables, pairs, strict=True) if case.id in pair]
        out.append(case.model_copy(update={"images": tuple(i.source(root) for i in found)}) if case.images else case)
    return tuple(out)


def _drafted(arrangement: Arrangement, root: Path, part: str) -> Dataset:
    channels, cases = _cases(arrangement, root)
    notes = [_told(arrangement, root, part), *arrangement.notes]
    return draft(root, "pairs", cases, channels=channels, notes=notes)


def _told(arrangement: Arrangement, root: Path, part: str) -> str:
    """One sentence on which folders were taken."""
    images = ", ".join(f.relative_to(root).as_posix() for f in arrangement.images)
    if not arrangement.label and not arrangement.structures:
        labels = "none"
    elif arrangement.label:
        labels = arrangement.label.relative_to(root).as_posix()
    else:
        labels = "files of each structure: " + ", ".join(arrangement.structures)
    return f"Images from {images}; labels from {labels}." + (f" Part: {part}." if part != "all" else "")


class Parts:
    """Each subfolder is arranged as a data set; equal file names in two of them are two cases."""

    looks_like = "a folder a site or split, each arranged as one of these (siteA/images, siteA/masks, siteB/...)"

    def matches(self, folder: Path) -> bool:
        """Whether the folders that hold scans are data sets, most of them of several cases."""
        return bool(_sets(folder))

    def open(self, folder: Path) -> Dataset:
        """The cases of all parts, the part's name in front of their ids."""
        found = _sets(folder)
        patients = len(found) > _FEW and not any(split_of(name) for name in found)
        return _together(folder, "parts", found, patients=patients)


PARTS = Parts()


def _sets(folder: Path) -> dict[str, Dataset]:
    """Subfolders that are data sets; none unless all that hold scans are."""
    children = [child for child in subfolders(folder) if child.is_dir()]
    if not 2 <= len(children) <= _MOST_SETS:
        return {}
    found: dict[str, Dataset] = {}
    for child in children:
        chosen = choose(proposals(child))
        part = chosen.dataset if chosen else None
        if part is not None and any(case.images and case.label for case in part.cases):
            found[child.name] = part
        elif split_of(child.name) != "test" and readable(child):
            return {}
    several = sum(len(part.cases) > 1 or part.layout == "pairs" for part in found.values())
    enough = several * 2 >= len(found) if len(found) > 1 else bool(found) and bool(split_of(next(iter(found))))
    return found if enough else {}


def _together(folder: Path, layout: str, parts: Mapping[str, Dataset], *, patients: bool = False) -> Dataset:
    """The cases of several parts, of which a single one stays as it is; else its name stands before their ids.

    Equal file names in two parts are two cases. With `patients`, each part is one, whom no fold parts.
    """
    whole = list(parts.values())
    notes = list(dict.fromkeys(note for part in whole for note in part.notes))
    cases = [case for part in whole for case in part.cases]
    below = layout == "parts"
    if below or len(whole) > 1:
        cases = [_named(c, name, below=below, patient=patients) for name, part in parts.items() for c in part.cases]
        told = "each is taken for a patient." if patients else "folds are made anew from all of them."
        notes.append(f"The parts {listed(parts, 12)} were put together; {told}")
    spaces = [part.labels for part in whole if part.labels.structures]
    channels = {part.channels for part in whole}
    same = bool(spaces) and len(spaces) == len(whole) and all(space == spaces[0] for space in spaces)
    return draft(
        folder,
        layout,
        unique_ids(_alike(cases)),
        channels=channels.pop() if len(channels) == 1 else (),
        labels=spaces[0] if same else LabelSpace(),
        notes=notes,
        group_rule="the folder of the patient" if patients else "",
    )


def _named(case: Case, part: str, *, below: bool, patient: bool) -> Case:
    """A case with the name of its part before its id and group; its sources as seen from the folder above, if below."""
    told: dict[str, object] = {"id": safe_id(f"{part}_{case.id}")}
    told["group"] = safe_id(part) if patient else safe_id(f"{part}_{case.group}") if case.group else ""
    if below:
        told["images"] = tuple(_below(source, part) for source in case.images)
        told["label"] = tuple(_below(source, part) for source in case.label)
    return case.model_copy(update=told)


def _alike(cases: Sequence[Case]) -> list[Case]:
    """The cases with the only structure named in all of them, where some parts have several masks of it an image."""
    named = {source.structure for case in cases for source in case.label}
    if len(named) != 2 or None not in named:
        return list(cases)
    name = next(name for name in named if name)
    return [
        case.model_copy(update={"label": tuple(s.model_copy(update={"structure": name}) for s in case.label)})
        for case in cases
    ]


def _below(source: _Source, part: str) -> _Source:
    path = source.path if Path(source.path).is_absolute() else f"{part}/{source.path}" if source.path != "." else part
    return source.model_copy(update={"path": path})
