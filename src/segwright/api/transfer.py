"""Starts a fit from a trained model: its network is planned alike, its weights are copied in, and leaks are told."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from segwright.api.run import Run
from segwright.core.case import Split
from segwright.core.disk import atomic_path
from segwright.core.document import Document
from segwright.core.errors import ModelError, RecipeError
from segwright.core.inspection import Inspection
from segwright.core.model import Combination, Manifest
from segwright.core.plan import InitPlan, Plan
from segwright.core.recipe import PartChoice, Recipe
from segwright.nets import net_info

#: Folder of a run that holds what it started from.
FOLDER = "init"
#: Networks whose levels follow from the recipe's width and levels.


class Transfer(Document):
    """What a run took over; written as `init/transfer.json`.

    Attributes:
        source: As asked for.
        adopted: Recipe fields taken from the source's plan, so that its weights fit.
        members: File of each fold and the source fold it belongs to.
        sha256: Of these files.
        share: Share of the network's weights that came over.
        whole: Tensors that came over as they are.
        adapted: Tensors that were changed on the way, with how.
        left: Tensors that started fresh, with why.
        freeze: Share of the budget for which the encoder keeps still.
        notes: What a person should know, such as validation cases that the source has seen.
    """

    filename: ClassVar[str] = "transfer.json"
    source: str
    adopted: dict[str, str]
    members: tuple[str, ...]
    sha256: tuple[str, ...]
    share: float
    whole: tuple[str, ...]
    adapted: dict[str, str]
    left: dict[str, str]
    freeze: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def told_notes(self) -> tuple[str, ...]:
        """What a person should know, the shape of the network first."""
        alike = ", ".join(f"{name}={value}" for name, value in self.adopted.items())
        return (*([f"The network is planned like that of {self.source}: {alike}"] if alike else []), *self.notes)

    @property
    def told(self) -> str:
        """Why a plan starts from there."""
        percent = math.floor(round(self.share * 100, 6))
        return f"{percent} % of the weights come from {self.source}, as init/transfer.json lists"


@dataclass(frozen=True)
class Source:
    """A trained model, or a bare file of weights, to start from.

    Attributes:
        asked: As the recipe names it.
        files: Weights, by source fold; 0 for a bare file.
        plan: Of the network they belong to, if known.
        run: The run they come from, if it is beside them.
    """

    asked: str
    files: dict[int, Path]
    plan: Plan | None = None
    run: Run | None = None

    @classmethod
    def open(cls, asked: str) -> Source:
        """A run, a model folder or a file.

        Raises:
            ModelError: There is nothing to start from.
        """
        place = Path(asked)
        if place.is_file():
            return cls(asked, {0: place})
        if (place / Combination.filename).exists():
            raise ModelError(
                "A fit cannot start from an ensemble of models.",
                where=place,
                hint="Give one of the runs it is made of.",
            )
        folder = place / "model" if (place / "model" / Manifest.filename).exists() else place
        if not (folder / Manifest.filename).exists():
            raise ModelError(
                "There is no model to start from.",
                expected="a model folder, a run, or a file of weights",
                where=place,
                hint="Give the folder of a finished run to --init-from.",
            )
        manifest = Manifest.opened(folder)
        run = Run(folder.parent) if (folder.parent / Split.filename).exists() else None
        files = {member.fold: folder / member.weights for member in reversed(manifest.members)}  # the first of a fold
        return cls(asked, files, Plan.load(folder / Plan.filename), run)

    def adopt(self, recipe: Recipe) -> tuple[Recipe, dict[str, str]]:
        """The recipe with the shape of the source's network, wherever it leaves that to the planner."""
        if self.plan is None:
            return recipe, {}
        net = self.plan.net
        if recipe.net is not None and recipe.net.name != net.name:
            return recipe, {}
        params = {key: value for key, value in net.params.items() if key != "weights"}
        found: dict[str, Any] = {"net": PartChoice(name=net.name, params=params), "slab": net.slab}
        if net_info(net.name).made_to_measure:
            found |= {"width": net.widths[0], "levels": len(net.widths), "norm": net.norm}
            found["deep_supervision"] = net.deep_supervision
        taken = {name: value for name, value in found.items() if getattr(recipe, name) is None}
        told = {name: value.name if isinstance(value, PartChoice) else str(value) for name, value in taken.items()}
        return recipe.model_copy(update=taken), told

    @cached_property
    def _seen(self) -> dict[int, set[str]] | None:
        """Digests of the images that each member was trained on; `None` if the run is not at hand."""
        if self.run is None or not (self.run.folder / Inspection.filename).exists():
            return None
        digest = {facts.case: facts.digest for facts in self.run.inspection.facts if facts.digest}
        folds = self.run.split.folds
        return {k: {digest[c] for c in folds[k].train if c in digest} for k in self.files if k < len(folds)}

    def members(self, split: Split, inspection: Inspection) -> tuple[list[int], list[str]]:
        """For each fold the member that has seen the fewest of its validation cases, and what that leaves to tell."""
        own = sorted(self.files)
        if self._seen is None:
            told = ["Whether the source was trained on validation cases cannot be checked: its run is not beside it."]
            return [own[k % len(own)] for k in range(len(split.folds))], told
        digest = {facts.case: facts.digest for facts in inspection.facts}
        chosen, notes = [], []
        for k, fold in enumerate(split.folds):
            order = [own[(k + i) % len(own)] for i in range(len(own))]
            leaks = {m: sum(digest.get(c, "") in self._seen.get(m, set()) for c in fold.validation) for m in order}
            best = min(order, key=lambda m: leaks[m])
            chosen.append(best)
            if leaks[best]:
                notes.append(
                    f"Warning: fold {k}: the source was trained on {leaks[best]} of {len(fold.validation)} validation "
                    "cases; scores of this fold are better than they will be on new scans."
                )
        return chosen, notes


def opened(recipe: Recipe) -> Source | None:
    """What the recipe starts from.

    Raises:
        RecipeError: `freeze` without anything to freeze.
    """
    if recipe.init_from is not None:
        return Source.open(recipe.init_from)
    pretrained = recipe.net is not None and recipe.net.params.get("weights")
    if recipe.freeze and not pretrained:
        raise RecipeError(
            "There is nothing to freeze.",
            expected="init_from, or a network with pretrained weights",
            got=f"freeze={recipe.freeze:g}",
            hint="Add --init-from MODEL, or leave out freeze.",
        )
    return None


def install(
    source: Source, recipe: Recipe, plan: Plan, *, folder: Path, split: Split, inspection: Inspection
) -> tuple[InitPlan, Transfer]:
    """Copy the weights into the `init/` of a run's folder: where each fold starts, and what came over.

    Raises:
        ModelError: No layer fits.
    """
    members, notes = source.members(split, inspection)
    taken = _try(source, plan, source.files[members[0]], recipe.freeze)
    names, hashes = _copied(source, members, folder / FOLDER)
    init = InitPlan(source=source.asked, members=names, sha256=hashes)
    found = Transfer(
        source=source.asked,
        adopted=source.adopt(recipe)[1],
        members=names,
        sha256=hashes,
        share=math.floor(taken.share * 1e4) / 1e4,
        whole=tuple(taken.whole),
        adapted=taken.adapted,
        left=taken.left,
        freeze=recipe.freeze,
        notes=(*taken.sentences(), *other_scale(source, plan), *notes),
    )
    found.save(folder / FOLDER / Transfer.filename)
    return init, found


#: Factor from which voxel edges of two plans count as other scales.
ALIKE = 1.25


def other_scale(source: Source, plan: Plan) -> list[str]:
    """What to know where the weights were learnt at another physical scale than they are to be used at."""
    theirs = source.plan.prepare.spacing if source.plan is not None else None
    own = plan.prepare.spacing
    if theirs is None or own is None:
        return []
    pairs = [(a, b) for a, b in zip(theirs, own, strict=True) if a is not None and b is not None]
    if all(1 / ALIKE <= a / b <= ALIKE for a, b in pairs):
        return []
    sizes = (" x ".join(f"{edge:.3g}" for edge in edges) for edges in zip(*pairs, strict=True))
    wish = ",".join("null" if edge is None else f"{edge:.4g}" for edge in theirs)
    return [
        f"The source learnt at {' mm a voxel, and this run works at '.join(sizes)} mm: its weights know structures of "
        f"another size in voxels. To work at its scale, add spacing=[{wish}]."
    ]


def _try(source: Source, plan: Plan, file: Path, freeze: float) -> Any:
    """Take over into a network that is thrown away, to learn what fits, and whether it can be frozen as asked."""
    from segwright.nets import build
    from segwright.nets.pretrained import read, untrained
    from segwright.nets.transfer import take_over
    from segwright.train.parts import Frozen

    net = build(untrained(plan.net))
    taken = take_over(net, read(file), plan, source.plan)
    Frozen(net, freeze, taken.names)
    return taken


def _copied(source: Source, members: Sequence[int], folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The files that folds start from, in `folder` with the plan they belong to; names and hashes by fold."""
    names = {member: f"member-{member}{source.files[member].suffix}" for member in members}
    hashes = {}
    with atomic_path(folder) as partial:
        partial.mkdir(parents=True)
        for member, name in names.items():
            shutil.copyfile(source.files[member], partial / name)
            hashes[member] = hashlib.sha256((partial / name).read_bytes()).hexdigest()
        if source.plan is not None:
            source.plan.save(partial / Plan.filename)
    return tuple(names[m] for m in members), tuple(hashes[m] for m in members)


def initial_weights(run: Run, fold: int) -> Path | None:
    """The file a fold starts from, if any.

    Raises:
        ModelError: It is gone or changed.
    """
    init = run.plan.train.init
    if init is None:
        return None
    path = run.folder / FOLDER / init.members[fold]
    if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != init.sha256[fold]:
        raise ModelError(
            "The weights this run starts from are missing or changed.",
            expected=f"sha256 {init.sha256[fold][:12]}...",
            where=path,
            hint="Restore the folder 'init' of the run, or start a new run with another -o.",
        )
    return path


def transfer_receipt(run: Run) -> dict[str, Any]:
    """Source, hashes and share for the receipt of a run; empty where it started fresh."""
    init = run.plan.train.init
    if init is None:
        return {}
    found = Transfer.load(run.folder / FOLDER / Transfer.filename)
    told = {"source": init.source, "sha256": ", ".join(dict.fromkeys(one[:12] for one in init.sha256))}
    return {"init": {**told, "weights taken over": f"{math.floor(found.share * 100)} %", "freeze": found.freeze}}
