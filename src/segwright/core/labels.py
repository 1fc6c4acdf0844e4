"""What a label means: values, names, colours and coded terms of structures, and which of them may overlap."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from segwright.core.document import Part
from segwright.core.errors import LabelError

IGNORE = -1

_SIDES = (("left", "right"), ("l", "r"), ("lt", "rt"), ("lh", "rh"))


class Structure(Part):
    """One named thing to segment.

    Attributes:
        name: As shown to people.
        values: Values in label files that mean this structure; empty when it has files of its own.
        colour: `#RRGGBB`; chosen from the palette when empty.
        category, type, modifier: Coded terms `scheme:value:meaning`, such as `SCT:10200004:Liver`, which other programs
            understand; guessed from the name where a result needs them and they are empty.
    """

    name: str
    values: tuple[int, ...] = ()
    colour: str = ""
    category: str = ""
    type: str = ""
    modifier: str = ""


class LabelSpace(Part):
    """The structures of a dataset and how they share voxels.

    Attributes:
        structures: In channel order; may be empty only before labels are known.
        kind: `exclusive` (one structure a voxel), `overlapping` (any number) or `instances` (separate objects of one
            structure: every value in a label file is an object, or, where the structure has values, the connected
            components of these values are).
        ignore: Value in label files for voxels that count nowhere.
        background: Values in label files, beside 0, that mean no structure.
        smeared: Label files were compressed, blurred or resized: values between the known ones are expected, and each
            voxel takes the level of the flat area beside it.
        regions: Named unions of structures that are scored as well.

    Example:
        >>> space = LabelSpace(structures=[{"name": "liver", "values": [63]}, {"name": "spleen", "values": [252]}])
        >>> space.from_values(np.array([[[0, 63, 252]]])).tolist()
        [[[[0, 1, 2]]]]
    """

    structures: tuple[Structure, ...] = ()
    kind: Literal["exclusive", "overlapping", "instances"] = "exclusive"
    ignore: int | None = None
    background: tuple[int, ...] = ()
    smeared: bool = False
    regions: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> LabelSpace:
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"structure names must differ, came {list(self.names)}")
        if self.instances and (len(self.structures) > 1 or self.regions):
            raise ValueError(f"instances are objects of one structure, came {list(self.names)}")
        for region, parts in self.regions.items():
            missing = set(parts) - set(self.names)
            if missing:
                raise ValueError(f"region {region!r} names unknown structures {sorted(missing)}")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Structure names in channel order."""
        return tuple(structure.name for structure in self.structures)

    @property
    def exclusive(self) -> bool:
        """Whether a voxel belongs to at most one structure; so for instances too."""
        return self.kind != "overlapping"

    @property
    def instances(self) -> bool:
        """Whether labels number the objects of one structure."""
        return self.kind == "instances"

    @property
    def planes(self) -> int:
        """Planes of a canonical label array: 1 if exclusive, else one a structure."""
        return 1 if self.exclusive else len(self.structures)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of canonical label arrays."""
        if self.instances:
            return np.dtype(np.int32)
        return np.dtype(np.int16 if self.exclusive else np.int8)

    def colour(self, index: int) -> str:
        """Colour of structure `index` as `#RRGGBB`; anything else a person wrote is replaced by one of the palette."""
        chosen = self.structures[index].colour
        return chosen if re.fullmatch(r"#[0-9a-fA-F]{6}", chosen) else colour_of(index)

    def from_values(self, raw: NDArray[Any], *, where: str | None = None) -> NDArray[Any]:
        """Map file values `(z, y, x)` to a canonical label array `(P, z, y, x)`.

        Of instances, values become objects in ascending order, whatever their width; the components of a mask are
        counted by the reader.

        Raises:
            LabelError: A value belongs to no structure; the table of known values is shown.
        """
        present, inverse = np.unique(raw, return_inverse=True)
        if not self.instances:
            self._refuse_unknown(present, where)
        index = inverse.reshape(raw.shape)
        if self.instances:
            return self._objects(present, where)[index][None]
        if self.exclusive:
            return self._lookup(present)[index][None]
        table = np.stack([np.isin(present, s.values) for s in self.structures]).astype(np.int8)
        table[:, present == self.ignore if self.ignore is not None else np.zeros(len(present), bool)] = IGNORE
        return table[:, index]

    def _lookup(self, present: NDArray[Any]) -> NDArray[np.int16]:
        """Canonical value of each file value present."""
        meaning = {value: i + 1 for i in range(len(self.structures)) for value in self._values(i)}
        if self.ignore is not None:
            meaning[self.ignore] = IGNORE
        return np.array([meaning.get(int(value), 0) for value in present], dtype=np.int16)

    def _objects(self, present: NDArray[Any], where: str | None) -> NDArray[np.int32]:
        """Object number of each file value present."""
        ignored = present == self.ignore if self.ignore is not None else np.zeros(len(present), bool)
        if ((present < 0) & ~ignored).any():
            raise LabelError(
                "Object ids are 0 or more.",
                got=f"{int(present[0])}",
                where=where,
                hint=f"Number objects from 1, or set 'ignore: {int(present[0])}' under labels in dataset.yaml.",
            )
        objects = (present > 0) & ~ignored
        return np.where(ignored, IGNORE, np.cumsum(objects) * objects).astype(np.int32)

    def _values(self, index: int) -> tuple[int, ...]:
        """Values of a structure; where it came as a mask of its own, the value that `to_values` writes for it."""
        return self.structures[index].values or ((index + 1,) if self.exclusive else ())

    def _refuse_unknown(self, present: NDArray[Any], where: str | None) -> None:
        known = {0, *self.background, *([self.ignore] if self.ignore is not None else [])}
        known.update(value for i in range(len(self.structures)) for value in self._values(i))
        unknown = [value for value in present.tolist() if value not in known]
        if unknown:
            raise LabelError(
                f"Label value {unknown[0]:g} belongs to no structure.",
                expected=f"values {sorted(known)}",
                got=f"also {[f'{v:g}' for v in unknown[:5]]}",
                where=where,
                hint="Correct the label, or name the value in dataset.yaml under labels.structures.",
            )

    def to_values(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Map exclusive canonical labels `(1, z, y, x)` back to file values `(z, y, x)`, smallest fitting type."""
        if self.instances:
            ids = np.where(labels[0] == IGNORE, self.ignore or 0, labels[0]) if self.ignore is not None else labels[0]
            low, high = (int(ids.min()), int(ids.max())) if ids.size else (0, 0)
            return ids.astype(np.min_scalar_type(high) if low >= 0 else np.int32)
        values = [0, *(s.values[0] if s.values else i + 1 for i, s in enumerate(self.structures))]
        table = np.array([*values, self.ignore or 0])  # index -1 is the ignore value
        smallest = np.min_scalar_type(int(table.max())) if table.min() >= 0 else np.dtype(np.int32)
        return table.astype(smallest)[labels[0]]

    def mask(self, labels: NDArray[Any], index: int) -> NDArray[np.bool_]:
        """Voxels `(z, y, x)` of structure `index` in a canonical array."""
        if self.instances:
            return labels[0] > 0
        return labels[0] == index + 1 if self.exclusive else labels[index] == 1

    def ignored(self, labels: NDArray[Any]) -> NDArray[np.bool_]:
        """Voxels `(z, y, x)` that count for no structure."""
        return (labels == IGNORE).any(axis=0)

    def from_masks(self, masks: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Build a canonical array from one mask `(z, y, x)` a structure, in order; later ones win if exclusive."""
        if not self.exclusive:
            return np.stack([np.asarray(mask) != 0 for mask in masks]).astype(np.int8)
        labels = np.zeros((1, *masks[0].shape), dtype=np.int16)
        for index, mask in enumerate(masks):
            labels[0][np.asarray(mask) != 0] = index + 1
        return labels

    def partner(self, index: int) -> int | None:
        """The structure that a left-right mirror turns structure `index` into; `None` if it has no side."""
        words = re.split(r"([^a-zA-Z]+)", self.names[index])
        swapped = "".join(_swap_side(word) for word in words).lower()
        lower = [name.lower() for name in self.names]
        if swapped == lower[index] or swapped not in lower:
            return None
        return lower.index(swapped)


def _swap_side(word: str) -> str:
    for a, b in _SIDES:
        if word.lower() == a:
            return b
        if word.lower() == b:
            return a
    return word


#: Twelve colours that stay apart for colour-blind readers (after Okabe-Ito and Paul Tol's muted set).
PALETTE = (
    "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00",
    "#CC79A7", "#88CCEE", "#AA4499", "#44AA99", "#DDCC77", "#882255",
)  # fmt: skip
#: Colours before the first comes again.
MOST = 160
#: Levels of each primary that are candidates, the lightness that shows on grey and black, and the least of colour.
_LEVELS, _LIGHT, _CHROMA = 18, (0.42, 0.93), 0.05


def colour_of(index: int) -> str:
    """The colour of a structure by its place, `#RRGGBB`; the first hundred are as far apart as the first twelve.

    Example:
        >>> colour_of(0), colour_of(12), len({colour_of(i) for i in range(100)})
        ('#E69F00', '#6900FF', 100)
    """
    return PALETTE[index] if index < len(PALETTE) else _spread()[index % MOST]


@cache
def _spread() -> tuple[str, ...]:
    """The palette, and one candidate after the other that is farthest from all before it."""
    levels = np.linspace(0, 255, _LEVELS).round().astype(np.uint8)
    rgb = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    places = oklab(rgb)
    fit = (places[:, 0] > _LIGHT[0]) & (places[:, 0] < _LIGHT[1]) & (np.hypot(*places[:, 1:].T) > _CHROMA)
    rgb, places = rgb[fit], places[fit]
    first = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in PALETTE], np.uint8)
    near = np.min([np.linalg.norm(places - place, axis=1) for place in oklab(first)], axis=0)
    found = list(PALETTE)
    while len(found) < MOST:
        farthest = int(near.argmax())
        found.append("#" + "".join(f"{part:02X}" for part in rgb[farthest]))
        near = np.minimum(near, np.linalg.norm(places - places[farthest], axis=1))
    return tuple(found)


def oklab(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """sRGB `(n, 3)` of 0 to 255 as lightness and two colour axes, in which equal distances look alike (Ottosson 2020).

    Example:
        >>> oklab(np.array([[255, 255, 255], [255, 0, 0]], np.uint8)).round(3).tolist()
        [[1.0, 0.0, 0.0], [0.628, 0.225, 0.126]]
    """
    part = rgb / 255
    light = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    cones = light @ np.array(
        [[0.4122214708, 0.2119034982, 0.0883024619], [0.5363325363, 0.6806995451, 0.2817188376],
         [0.0514459929, 0.1073969566, 0.6299787005]]
    )  # fmt: skip
    found: NDArray[np.float64] = np.cbrt(cones) @ np.array(
        [[0.2104542553, 1.9779984951, 0.0259040371], [0.7936177850, -2.4285922050, 0.7827717662],
         [-0.0040720468, 0.4505937099, -0.8086757660]]
    )  # fmt: skip
    return found


#: Where a term comes from: a person or file stated it, it was guessed from the name, or nothing better is known.
Basis = Literal["stated", "guessed", "general"]


class Code(NamedTuple):
    """A term of a coding scheme, such as SNOMED CT (`SCT`)."""

    scheme: str
    value: str
    meaning: str

    @classmethod
    def parse(cls, text: str) -> Code | None:
        """The code that `str` gave, `None` of an empty text or one that is no code.

        Example:
            >>> Code.parse("SCT:10200004:Liver"), Code.parse(""), Code.parse("liver")
            (Code(scheme='SCT', value='10200004', meaning='Liver'), None, None)
        """
        parts = text.split(":", 2)
        return cls(*parts) if len(parts) == 3 and all(parts) else None

    def __str__(self) -> str:
        return ":".join(self)


#: What is said where nothing better is known; honest of any structure, and known to every reader.
GENERAL_CATEGORY = Code("SCT", "91723000", "Anatomical Structure")
GENERAL_TYPE = Code("SCT", "85756007", "Tissue")
LEFT = Code("SCT", "7771000", "Left")
RIGHT = Code("SCT", "24028007", "Right")


class Terms(NamedTuple):
    """Category (what kind of thing), type (which thing) and modifier (which side) of a structure."""

    category: Code = GENERAL_CATEGORY
    type: Code = GENERAL_TYPE
    modifier: Code | None = None
    basis: Basis = "general"
