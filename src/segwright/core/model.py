"""The manifest of a deployable model folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from segwright.core.document import Document, Part
from segwright.core.errors import ModelError
from segwright.core.identity import digest_of

#: Shares of training at which the averaged weights are kept as well: how much an answer still changed tells of doubt.
EARLIER = (0.70, 0.85)


def earlier_files(path: Path) -> tuple[Path, ...]:
    """Where the weights of earlier in training lie, beside those that count.

    Example:
        >>> [file.name for file in earlier_files(Path("weights.safetensors"))]
        ['weights-at-70.safetensors', 'weights-at-85.safetensors']
    """
    return tuple(path.with_name(f"{path.stem}-at-{100 * share:.0f}{path.suffix}") for share in EARLIER)


class Member(Part):
    """One trained network of an ensemble.

    Attributes:
        fold: Fold whose validation cases it never saw.
        weights: File name inside the model folder.
        sha256: Of that file.
        earlier: Weights of earlier in training, with the SHA-256 of each; none in models of earlier versions.
    """

    fold: int
    weights: str
    sha256: str
    earlier: dict[str, str] = Field(default_factory=dict)

    @property
    def files(self) -> dict[str, str]:
        """All its files, with their SHA-256."""
        return {self.weights: self.sha256, **self.earlier}


class Manifest(Document):
    """What a model folder holds; `plan.json` and, if any, `chain.json` (post-processing) lie beside it.

    Attributes:
        name: As shown to people.
        version: segwright version that wrote it.
        created: ISO date and time.
        members: Networks whose scores are averaged.
        scores: Out-of-fold summary: `structure/metric` to mean and interval.
        card: Facts for the model card (data, groups, limits).
        digests: SHA-256 of every file that decides what the model does, by its place in the folder; none in models of
            earlier versions.
        seal: Of this document itself.
    """

    filename: ClassVar[str] = "manifest.json"
    name: str
    version: str
    created: str
    members: tuple[Member, ...]
    scores: dict[str, tuple[float | None, float | None, float | None]] = Field(default_factory=dict)
    card: dict[str, Any] = Field(default_factory=dict)
    digests: dict[str, str] = Field(default_factory=dict)
    seal: str = ""

    def sealed(self, folder: Path) -> Manifest:
        """The manifest with the digests of a folder that is otherwise whole, ready to be saved in it."""
        weights = {one.weights for one in self.members}
        names = sorted(name for name in _deciding(folder) if name not in weights)
        filled = self.model_copy(update={"digests": {name: digest_of(folder / name) for name in names}, "seal": ""})
        return filled.model_copy(update={"seal": filled.content_hash()})

    @classmethod
    def opened(cls, folder: Path, folds: Sequence[int] | None = None) -> Manifest:
        """The manifest of a folder, after everything it speaks of was held against it; of weights those of some folds.

        Raises:
            ModelError: A file is missing, was changed, or came later; says which.
        """
        found = cls.load(folder / cls.filename)
        if found.digests or found.seal:
            if found.model_copy(update={"seal": ""}).content_hash() != found.seal:
                raise _changed(folder / cls.filename)
            added = sorted(_deciding(folder) - set(found.digests) - {one.weights for one in found.members})
            if added:
                raise _changed(folder / added[0], got="a file that the model was written without")
        wanted = [one for one in found.members if folds is None or one.fold in folds]
        expected = {**found.digests, **{name: sha for one in wanted for name, sha in one.files.items()}}
        missing = [name for name in expected if not (folder / name).is_file()]
        if missing:
            raise ModelError(
                "Files are missing from the model folder.",
                expected=", ".join(expected),
                got=f"no {', no '.join(missing)}",
                where=folder,
                hint="Copy the whole folder again.",
            )
        for name, digest in expected.items():
            if digest_of(folder / name) != digest:
                raise _changed(folder / name, got=f"{(folder / name).stat().st_size} bytes of another digest")
        return found


#: Documents in a model folder that decide what it does, and the manifest of each part of an ensemble.
DECIDING = (
    "plan.json", "chain.json", "domain.json", "quality.json", "labels.csv", "ensemble.json", "parts/*/manifest.json",
)  # fmt: skip


def _deciding(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for pattern in DECIDING for file in folder.glob(pattern)}


def _changed(path: Path, *, got: str = "other content than was written") -> ModelError:
    return ModelError(
        f"{path.name} is not the one that the model was written with.",
        got=got,
        where=path,
        hint="Copy the model folder again, or write it anew with 'segwright report RUN'. To change how a model works, "
        "fit one with other settings.",
    )


class EnsemblePart(Part):
    """One of the models an ensemble of models is made of, whole and usable on its own.

    Attributes:
        name: Run it came from.
        folder: Model folder inside the ensemble's.
        recipe: Recipe it was trained by.
        plan: Hash of its plan.
        members: Networks it holds.
    """

    name: str
    folder: str
    recipe: str
    plan: str
    members: int


class Combination(Document):
    """How the models of an ensemble become one answer; written as `ensemble.json` in its folder.

    Attributes:
        combine: Weighted mean of the models' scores on the scan's own grid, or weighted vote of their final labels.
        parts: The models.
        weights: For each structure the share of each part.
    """

    filename: ClassVar[str] = "ensemble.json"
    combine: Literal["mean", "vote"] = "mean"
    parts: tuple[EnsemblePart, ...]
    weights: dict[str, tuple[float, ...]]
