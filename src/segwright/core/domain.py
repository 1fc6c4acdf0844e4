"""What a model's training scans were like, and in what a new scan is unlike them, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field

from segwright.core.appearance import SHARES, Appearance, Look
from segwright.core.document import Document, Part
from segwright.core.geometry import Spacing
from segwright.core.plan import Edges, PreparePlan, Triple

#: Voxel edges may lie this factor beyond those seen.
SPACING_SLACK = 1.25
#: Fields of view may lie this factor beyond those seen, and further after few scans: see `field_slack`.
FIELD_SLACK = 1.25
#: Correlation from which two channels count as one image, and how far a channel must be from its own looks, in standard
#: deviations, and how much nearer to another channel's, to count as that one.
SAME, ODD, NEARER = 0.999, 3.0, 2.0

_ALONG = {"S": "from foot to head", "A": "from back to front", "R": "from side to side"}
_PLANE = ("across planes", "from top to bottom", "from left to right")


@dataclass(frozen=True)
class Seen:
    """What one scan is like, along the axes the network sees `(z, y, x)`.

    Attributes:
        shape: Voxels, at the working size where spacing is unknown.
        spacing: mm a voxel, `None` where unknown.
        orientation: Axis codes as stored; empty where no spacing gives them a meaning.
        modality: As the file's header calls it, such as `CT`; empty where it does not.
        adapted: How its channels were brought to the model's, in words.
        appearance: How it looks, if it was read.
    """

    shape: Triple
    spacing: Spacing
    orientation: str = ""
    modality: str = ""
    adapted: tuple[str, ...] = ()
    appearance: Appearance | None = None

    @property
    def flat(self) -> bool:
        """Whether it is a single plane."""
        return self.shape[0] == 1

    @property
    def unit(self) -> str:
        """`mm` where the lengths of all its axes are known, else `voxels`."""
        return "voxels" if None in (self.spacing[1:] if self.flat else self.spacing) else "mm"

    @property
    def lengths(self) -> tuple[float, float, float]:
        """Field of view `(z, y, x)` in its unit."""
        steps = self.spacing if self.unit == "mm" else (1.0, 1.0, 1.0)
        z, y, x = (n * (step or 1.0) for n, step in zip(self.shape, steps, strict=True))
        return z, y, x


def seen(shape: Triple, spacing: Spacing, prepare: PreparePlan, **told: Any) -> Seen:
    """A scan by its turned grid; where an axis has no spacing, sizes are those the network works at.

    Args:
        shape: Voxels of the turned grid.
        spacing: Of the same.
        prepare: Of the model.
        told: Further fields of `Seen`.
    """
    unknown = None in (spacing[1:] if shape[0] == 1 else spacing)
    return Seen(prepare.size(shape, spacing) if unknown else shape, spacing, **told)


class ChannelDomain(Part):
    """The looks of one channel over the training scans.

    Attributes:
        name: Of the channel.
        bounds: For each number of `numbers_of`, lowest and highest that count as usual.
        centre: For each, mean and standard deviation.
        low, high: Range of the looks' ends, for words.
    """

    name: str
    bounds: dict[str, Edges]
    centre: dict[str, Edges]
    low: Edges
    high: Edges


class Domain(Document):
    """What a model has learnt from; kept beside its plan.

    Attributes:
        cases: Scans.
        flat: They are single planes.
        axes: Axis codes after turning; empty for planes.
        orientations: As they were stored; empty where no spacing gives them a meaning.
        modality: `ct`, `mr`, `xray`, `em` or `other`.
        modalities: What headers called it.
        spacing: Smallest and largest mm a voxel along `(z, y, x)`; `None` where no scan states any.
        unspaced: Some state none.
        fields: For each unit (`mm`, `voxels`), smallest and largest field of view; `None` along axes where it says
            nothing, as for tiles and stacks of sections.
        adapted: How their channels were adapted.
        channels: Their looks; empty in runs that did not measure them.
        likeness: Bounds of the correlation of each pair of channels.
    """

    filename: ClassVar[str] = "domain.json"
    cases: int
    flat: bool
    axes: str = ""
    orientations: tuple[str, ...] = ()
    modality: str = "other"
    modalities: tuple[str, ...] = ()
    spacing: tuple[Edges | None, Edges | None, Edges | None] = (None, None, None)
    unspaced: bool = False
    fields: dict[str, tuple[Edges | None, Edges | None, Edges | None]] = Field(default_factory=dict)
    adapted: tuple[str, ...] = ()
    channels: tuple[ChannelDomain, ...] = ()
    likeness: tuple[Edges, ...] = ()

    def reasons(self, seen: Seen) -> tuple[str, ...]:
        """In what a scan is unlike those of training, one sentence each; nothing if it is like them."""
        if seen.flat != self.flat:
            kinds = ("volumes", "single planes")
            return (
                f"it is a {'single plane' if seen.flat else 'volume'}, and the model learnt from {kinds[self.flat]}",
            )
        return (
            *self._spacings(seen),
            *self._orientations(seen),
            *self._fields(seen),
            *self._kinds(seen),
            *self._looks(seen.appearance),
        )

    def _spacings(self, seen: Seen) -> Iterator[str]:
        counted = [axis for axis in range(3) if axis or not self.flat]
        stated = [axis for axis in counted if seen.spacing[axis] is not None]
        unknown = [axis for axis in counted if seen.spacing[axis] is None and self.spacing[axis] is not None]
        if unknown and not self.unspaced:
            yield f"it states no voxel size, which was {_sizes(self.spacing)} mm in training, and is taken as it lies"
        elif stated and all(self.spacing[axis] is None for axis in stated):
            own = _sizes([None if step is None else (step, step) for step in seen.spacing])
            yield f"it states a voxel size ({own} mm), and no scan of training did: their scales cannot be compared"
        yield from self._beyond("its voxels are", seen.spacing, self.spacing, SPACING_SLACK, "mm")

    def _orientations(self, seen: Seen) -> Iterator[str]:
        if seen.orientation and self.orientations and seen.orientation not in self.orientations:
            usual = ", ".join(self.orientations)
            done = "" if self.flat else "; it was turned, so check left and right"
            yield f"its axes run {seen.orientation}, in training {usual}{done}"

    def _fields(self, seen: Seen) -> Iterator[str]:
        known = self.fields.get(seen.unit, (None, None, None))
        yield from self._beyond("its field of view is", seen.lengths, known, field_slack(self.cases), seen.unit)

    def _beyond(self, what: str, own: Spacing, usual: Sequence[Edges | None], slack: float, unit: str) -> Iterator[str]:
        """A sentence on lengths along `(z, y, x)` that lie further from the usual than the slack."""
        pairs = [(axis, n, r) for axis, (n, r) in enumerate(zip(own, usual, strict=True)) if n is not None and r]
        pairs = pairs[1:] if self.flat and len(pairs) == 3 else pairs
        odd = [axis for axis, n, r in pairs if not r[0] / slack <= n <= r[1] * slack]
        if odd:
            told = [row for row in pairs if len(odd) > 1 or row[0] in odd]
            sizes = (" x ".join(f"{n:.3g}" for _, n, _ in told), " x ".join(_range(r) for _, _, r in told))
            where = f" {self._along(odd[0])}" if len(odd) == 1 else ""
            yield f"{what} {sizes[0]} {unit}{where}, in training {sizes[1]}"

    def _along(self, axis: int) -> str:
        return _ALONG.get(self.axes[axis], "") if self.axes else _PLANE[axis]

    def _kinds(self, seen: Seen) -> Iterator[str]:
        family = FAMILIES.get(seen.modality, seen.modality)
        known = {FAMILIES.get(name, name) for name in self.modalities}
        guessed = {self.modality} & set(FAMILIES.values())
        if seen.modality and family not in (known or guessed or {family}):
            usual = ", ".join(self.modalities) or self.modality.upper()
            yield f"its header calls it {seen.modality}, and the model learnt from {usual}"
        for text in seen.adapted:
            if text not in self.adapted:
                yield f"{text}, which no scan of training needed"

    def _looks(self, appearance: Appearance | None) -> Iterator[str]:
        if appearance is None or len(appearance.channels) != len(self.channels):
            return
        for index, (look, channel) in enumerate(zip(appearance.channels, self.channels, strict=True)):
            told = f"channel {channel.name!r}" if len(self.channels) > 1 else "the image"
            other = None if look is None else self._taken_for(look, index)
            if look is None:
                yield f"{told} has one value everywhere"
            elif other:
                yield f"{told} looks like channel {other!r}"
            elif odd := _odd(look, channel):
                yield f"{told} {odd}"
        yield from self._likenesses(appearance)

    def _taken_for(self, look: Look, index: int) -> str:
        """The channel that a look belongs to rather than to its own; empty where it fits its own."""
        away = [_distance(look, channel) for channel in self.channels]
        nearest = min(range(len(away)), key=lambda i: away[i])
        if nearest != index and away[index] > ODD and away[index] > NEARER * away[nearest]:
            return self.channels[nearest].name
        return ""

    def _likenesses(self, appearance: Appearance) -> Iterator[str]:
        names = [channel.name for channel in self.channels]
        pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
        for (a, b), own, usual in zip(pairs, appearance.likeness, self.likeness, strict=False):
            if own > SAME > usual[1] or (own > SAME and usual[1] >= 1):
                yield f"channels {a!r} and {b!r} are the same image"
            elif not usual[0] <= own <= usual[1]:
                yield f"channels {a!r} and {b!r} are less alike or more alike than in training ({own:.2f})"


#: Families of what DICOM headers call a modality.
FAMILIES = {
    "CT": "ct", "MR": "mr",
    **dict.fromkeys(["CR", "DX", "DR", "RF", "RG", "XA", "MG", "PX", "IO"], "xray"),
}  # fmt: skip


def field_slack(cases: int) -> float:
    """The factor by which a field of view may lie beyond those of so many scans: few show little of what is usual.

    Example:
        >>> field_slack(100) < 1.26, round(field_slack(4), 2)
        (True, 1.48)
    """
    return float(FIELD_SLACK ** (1 + 3 / cases))


def numbers_of(look: Look) -> dict[str, float]:
    """A look as numbers of comparable size, by what they say.

    Example:
        >>> look = Look(low=0, high=100, shares=(0.1, 0.2, 0.3, 0.4, 0.5), zero=0, texture=0.1)
        >>> numbers_of(look)["offset"], numbers_of(look)["half"]
        (0.0, 0.3)
    """
    span = look.high - look.low
    shares = dict(zip(("tenth", "quarter", "half", "three quarters", "nine tenths"), look.shares, strict=True))
    return {
        "span": math.log(span),
        "offset": max(-9.0, min(9.0, look.low / span)),
        "zero": look.zero,
        "texture": math.log(look.texture + 1e-6),
        **shares,
    }


assert len(SHARES) == 5


def _odd(look: Look, channel: ChannelDomain) -> str:
    """The first thing in which a look is beyond its channel's bounds, in words; empty if in nothing."""
    beyond = [name for name, value in numbers_of(look).items() if not _in(value, channel.bounds.get(name))]
    if not beyond:
        return ""
    if beyond[0] in {"span", "offset"}:
        usual = f"began at {_range(channel.low)} and ended at {_range(channel.high)}"
        return f"has intensities from {look.low:.4g} to {look.high:.4g}; in training they {usual}"
    if beyond[0] == "zero":
        low, high = channel.bounds["zero"]
        return f"is exactly 0 in {look.zero:.0%} of its voxels, in training in {max(low, 0):.0%} to {min(high, 1):.0%}"
    if beyond == ["texture"]:
        return f"is {'smoother' if numbers_of(look)['texture'] < channel.bounds['texture'][0] else 'rougher'} than any"
    return "has another mix of dark and bright than in training, as another kind of scan would"


def _in(value: float, bounds: Edges | None) -> bool:
    return bounds is None or bounds[0] <= value <= bounds[1]


def _distance(look: Look, channel: ChannelDomain) -> float:
    """Root mean square distance of a look from a channel's in standard deviations; its units do not count."""
    own = numbers_of(look)
    terms = [((own[name] - mean) / deviation) ** 2 for name, (mean, deviation) in channel.centre.items() if name in own]
    return math.sqrt(sum(terms) / len(terms)) if terms else 0.0


def _range(seen: Edges) -> str:
    low, high = (f"{value:.3g}" for value in seen)
    return low if low == high else f"{low} to {high}"


def _sizes(edges: Sequence[Edges | None]) -> str:
    return " x ".join(_range(edge) for edge in edges if edge)
