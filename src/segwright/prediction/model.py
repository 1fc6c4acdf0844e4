"""A loaded model folder: predicts scans back onto their own grids."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import segwright
from segwright.core.case import Case, Dataset
from segwright.core.document import Document
from segwright.core.domain import Domain
from segwright.core.errors import ModelError, UsageError
from segwright.core.geometry import Geometry
from segwright.core.identity import digest_of
from segwright.core.model import Combination, Manifest, earlier_files
from segwright.core.plan import Plan
from segwright.core.prediction import Prediction as Labelled
from segwright.core.prediction import Quality
from segwright.core.trail import Trail
from segwright.core.volume import LazyArray, Volume
from segwright.core.words import agree, listed
from segwright.io.load import load_image
from segwright.io.scans import open_images
from segwright.io.writers import known_form, open_writer
from segwright.nets.execution import fused, keep_float32, resolve_device, supports_bfloat16
from segwright.nets.weights import load_weights
from segwright.ops.appearance import appearance
from segwright.postprocess.chain import Chain, apply, apply_to_scores
from segwright.prediction import COMBINE
from segwright.prediction.admit import admit, refuse_coarse, refuse_plane
from segwright.prediction.ensemble import channel_order, member
from segwright.prediction.objects import find_objects, objects_at_scale, usual_chain
from segwright.prediction.window import Streamed, segment_prepared
from segwright.prediction.witness import Witness
from segwright.prepare.pipeline import Prepared, prepare_image
from segwright.quality.judgement import Judgement
from segwright.quality.signals import Signals
from segwright.targets import build_target, target_info

if TYPE_CHECKING:
    from segwright.targets.protocol import Settling

Stored = TypeVar("Stored", bound=Document)


@dataclass(frozen=True, slots=True, repr=False)
class Prediction(Labelled):
    """What a model found in a scan, on the scan's own grid.

    Attributes:
        case: Case id.
        labels: Canonical label array `(P, z, y, x)`.
        space: Meaning of the labels.
        source: The first image of the case, whose grid and header the result takes.
        scores: Structure scores `(K, z, y, x)`, uint8 where 255 is 1; `None` unless asked for.
        provenance: Model hash, members, flips, version.
        quality: What can be expected of it; `None` where the model does not know.
        signals: Agreement of copies of the answer, where these were watched.
        trail: Way from the source's grid to that of the scores, where they lie on another: objects are decoded on the
            grid that the network works on.
    """

    signals: Signals | None = None

    def save(self, folder: str | Path, suffix: str | None = None) -> tuple[Path, ...]:
        """Write it as `predict` does; returns the files.

        Args:
            folder: Where to; made where it is missing.
            suffix: Format such as `.nii.gz`, or a form of labels such as `png`; the scan's own format by default.

        Raises:
            UsageError: There is no such form.
            WriteError: The form cannot hold these labels; says which can.
        """
        writer = open_writer(known_form(suffix), folder, self.space)
        written = [Path(folder, source.path) for source in writer.add(self)]
        return tuple(dict.fromkeys([*written, *writer.close()]))


class Scored(NamedTuple):
    """What networks say of a case.

    Attributes:
        source: Its scan.
        result: Scores, where they were wanted, and labels without post-processing.
        trail: Way to the grid of both; `None` where that is the scan's own.
        provenance: As of a `Prediction`.
        signals: As of a `Prediction`.
    """

    source: Volume
    result: Streamed
    trail: Trail | None
    provenance: dict[str, Any]
    signals: Signals | None


@dataclass
class Model:
    """A segmenter on a device.

    Args:
        plan: Plan its members were trained by.
        weights: Weights file of each member.
        chain: Post-processing chosen on out-of-fold predictions, if any.
        manifest: What the folder says of itself.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        tta: Average over the plan's mirrored copies.
        combine: `mean` of the members' scores, or `vote`.
        domain: What it learnt from; `None` in models of earlier versions.
        judgement: What signals of doubt mean for it; `None` in models of earlier versions, or of too few cases.
        watched: Signals of doubt are looked for; always where there is a judgement.

    Example:
        >>> Model.load("no/such/folder")
        Traceback (most recent call last):
        segwright.core.errors.ModelError: This is not a model folder. ...
    """

    plan: Plan
    weights: Sequence[Path]
    chain: Chain | None = None
    manifest: Manifest | None = None
    device: str = "auto"
    tta: bool = True
    combine: str = "mean"
    domain: Domain | None = None
    judgement: Judgement | None = None
    watched: bool = False
    _memo: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.combine not in COMBINE:
            raise UsageError(
                f"Unknown combination {self.combine!r}.", expected=" or ".join(COMBINE), hint="Use 'mean'."
            )

    @classmethod
    def load(
        cls, folder: str | Path, *, device: str = "auto", folds: Sequence[int] | None = None, **options: Any
    ) -> Model:
        """Open a model folder, or the `model/` of a run's folder.

        Args:
            folder: Where it lies.
            device: Where it will run.
            folds: Members to use; all by default.
            options: `tta` and `combine`.

        Raises:
            ModelError: The folder is incomplete, or something in it is not what was written; says which file.
        """
        folder = Path(folder)
        folder = folder / "model" if (folder / "model" / Manifest.filename).exists() else folder
        if (folder / Combination.filename).exists():
            from segwright.prediction.combined import CombinedModel  # which is built on this module

            return CombinedModel.open(folder, device=device, folds=folds, **options)
        if not (folder / Manifest.filename).exists():
            raise ModelError(
                "This is not a model folder.",
                expected=f"{Manifest.filename}, plan.json and member weights",
                where=folder,
                hint="Give the 'model' folder of a finished run.",
            )
        manifest = Manifest.opened(folder, folds)
        members = [one for one in manifest.members if folds is None or one.fold in folds]
        _refuse_other_folds(folds, manifest, folder)
        if not members:
            raise ModelError("The model has no member.", where=folder, hint="Copy the whole folder again.")
        return cls(
            plan=Plan.load(folder / Plan.filename),
            weights=[folder / one.weights for one in members],
            chain=_beside(folder, Chain),
            manifest=manifest,
            device=device,
            domain=_beside(folder, Domain),
            judgement=_beside(folder, Judgement),
            **options,
        )

    @cached_property
    def torch_device(self) -> torch.device:
        """Where the networks run."""
        return resolve_device(self.device)

    @cached_property
    def forward(self) -> Callable[[Tensor], Tensor]:
        """Windows `(B, C, z, y, x)` to scores, over all members and mirrored copies."""
        target = build_target(self.plan.target, self.plan.labels)
        mirror = self.plan.window.mirror if self.tta else ()
        space, exchange = self.plan.labels, self.plan.exchange
        orders = {a: channel_order(pairs, target.channels, len(space.structures)) for a, pairs in exchange.items()}
        members = []
        for number, path in enumerate(self.weights):
            watch = self.witness.member(number, self._earlier(path, target.activate)) if self.witness else None
            members.append(member(self._runner(path), target.activate, mirror, orders, watch))
        ordered = target_info(self.plan.target).ordered  # these have other channels too
        one_channel = space.kind == "exclusive" and not ordered
        return COMBINE.load(self.combine)(members, exclusive=one_channel)

    @cached_property
    def witness(self) -> Witness | None:
        """What looks for signals of doubt, if anything does."""
        watched = self.watched or self.judgement is not None
        return Witness(build_target(self.plan.target, self.plan.labels).structure_scores) if watched else None

    def _earlier(self, path: Path, activate: Callable[[Tensor], Tensor]) -> list[Callable[[Tensor], Tensor]]:
        """A member's weights earlier in training, as far as they were kept."""
        told = None if self.manifest is None else {name for one in self.manifest.members for name in one.earlier}
        files = [file for file in earlier_files(path) if (file.exists() if told is None else file.name in told)]
        return [member(self._runner(file), activate) for file in files]

    def _runner(self, path: Path) -> Callable[[Tensor], Tensor]:
        net = load_member(self.plan, path, known=self.manifest is not None).to(self.torch_device)
        device = self.torch_device
        rough = self.plan.train.precision == "bfloat16" and supports_bfloat16(device)

        def run(batch: Tensor) -> Tensor:
            with torch.autocast(device.type, torch.bfloat16, enabled=rough):
                logits: Tensor = net(batch.to(device))
            return logits

        return run

    @cached_property
    def identity(self) -> str:
        """Changes with anything that changes results: plan, post-processing, weights, what it learnt from."""
        known = {} if self.manifest is None else {one.weights: one.sha256 for one in self.manifest.members}
        parts = (self.plan, self.chain, self.domain, *([self.judgement] if self.judgement else []))
        documents = [one.content_hash() if one else "" for one in parts]
        weights = [known.get(Path(path).name) or digest_of(Path(path)) for path in self.weights]
        return hashlib.sha256(repr([documents, weights]).encode()).hexdigest()[:16]

    @property
    def sealed(self) -> bool:
        """Whether the folder states digests of plan and post-processing, so that a change to them is seen."""
        return self.manifest is None or bool(self.manifest.digests)

    @property
    def records(self) -> bool:
        """Whether it knows what it learnt from, so that scans can be held against that."""
        return self.domain is not None

    def _received(self, volume: Volume, *, strict: bool) -> tuple[Prepared, tuple[str, ...]]:
        """A scan, read once, as the network sees it, and in what it is unlike those of training."""
        refuse_plane(volume, self.plan)
        refuse_coarse(volume, self.plan)
        array = volume.array()
        outside = admit(volume, appearance([array]), self.plan, domain=self.domain, strict=strict)
        held = Volume(LazyArray.of(array), volume.geometry, volume.channels, volume.header)
        return prepare_image(held, self.plan.prepare), outside

    def segment(self, dataset: Dataset, case: Case, *, keep_scores: bool = False, strict: bool = False) -> Prediction:
        """Segment one case of a dataset; `provenance["outside"]` tells in what it is unlike the training scans.

        Raises:
            ReadError: The scan cannot be read, or shows nothing.
            DomainError: It is a single plane where depth is needed, of voxels far too large, or `strict` and unlike the
                training scans.
        """
        source, result, trail, provenance, signals = self.scored(dataset, case, keep_scores=keep_scores, strict=strict)
        if self.plan.labels.instances and result.scores is not None:
            chain = self.chain or usual_chain(self.plan.target)
            labels = find_objects(chain, result.scores, self.plan, trail or source.geometry)
        else:
            labels = self._finish(result, source.geometry)
        scores = result.scores if keep_scores else None
        quality = self.expected(signals, labels, source.geometry, provenance["outside"])
        space = self.plan.labels
        return Prediction(case.id, labels, space, source, scores, provenance, quality, trail=trail, signals=signals)

    def scored(self, dataset: Dataset, case: Case, *, keep_scores: bool = True, strict: bool = False) -> Scored:
        """What the networks say of one case, before post-processing and before objects are found; see `segment`."""
        volume = load_image(dataset, case)
        prepared, outside = self._received(volume, strict=strict)
        trail = prepared.trail if objects_at_scale(self.plan) and prepared.trail.resampled else None
        if trail:
            prepared = Prepared(prepared.array, Trail(trail.target, trail.target), prepared.repaired)
        if self.witness:
            self.witness.begin()
        result = self._streamed(prepared, keep_scores=keep_scores)
        provenance = {
            "segwright": segwright.__version__,
            "plan": self.plan.content_hash(),
            "members": [path.name for path in self.weights],
            "mirror": list(self.plan.window.mirror) if self.tta else [],
            "postprocess": self.chain is not None,
            "repaired_voxels": result.repaired,
            "outside": list(outside),
            **result.told,
        }
        signals = self.witness.signals if self.witness else None
        return Scored(volume, result, trail, provenance, signals)

    def expected(
        self, signals: Signals | None, labels: NDArray[Any], geometry: Geometry, outside: Sequence[str]
    ) -> Quality | None:
        """What can be expected of labels `(P, z, y, x)`; `None` where the model does not know.

        Args:
            signals: Seen while they were predicted.
            labels: Canonical, after post-processing.
            geometry: Their grid.
            outside: In what the scan is unlike those of training.
        """
        if self.judgement is None or signals is None:
            return None
        return self.judgement.judge(signals, labels, self.plan.labels, geometry).also(outside)

    def _streamed(self, prepared: Prepared, *, keep_scores: bool) -> Streamed:
        """Labels, and scores where they were asked for or post-processing needs them, on the source grid."""
        target = build_target(self.plan.target, self.plan.labels)
        want = keep_scores or self.plan.labels.instances or (self.chain is not None and self.chain.needs_scores)
        settle = cast("Settling", target).settle if target_info(self.plan.target).ordered else None
        keep = _all_scores if self.plan.labels.instances else target.structure_scores
        return segment_prepared(
            prepared, self.forward, plan=self.plan, decode=target.decode, settle=settle, keep=keep if want else None
        )

    def _finish(self, result: Streamed, geometry: Geometry) -> NDArray[Any]:
        """Labels of structures after the chosen post-processing."""
        if self.chain is None:
            return result.labels
        if self.chain.needs_scores and result.scores is not None:
            return apply_to_scores(self.chain, result.scores, self.plan.labels, geometry=geometry)
        return apply(self.chain, result.labels, self.plan.labels, geometry=geometry)

    def predict(self, image: str | Path, *, keep_scores: bool = False, strict: bool = False) -> Prediction:
        """Segment one scan: a file, a DICOM series folder, or a folder with one case; see `segment`.

        Raises:
            UsageError: The path holds several cases; use `segwright.predict` for folders.
        """
        dataset = open_images(image, self.plan.channels, flat=self.plan.flat, upright=self.plan.upright)
        if len(dataset.cases) != 1:
            raise UsageError(
                "Expected one scan.", got=f"{len(dataset.cases)} cases", where=image, hint="Use segwright.predict."
            )
        return self.segment(dataset, dataset.cases[0], keep_scores=keep_scores, strict=strict)


def _beside(folder: Path, kind: type[Stored]) -> Stored | None:
    """A document of a model folder, if it is there."""
    file = folder / kind.filename
    return kind.load(file) if file.exists() else None


def _all_scores(scores: NDArray[Any]) -> NDArray[Any]:
    """Every channel: objects are decoded from more than one score a structure."""
    return scores


def _refuse_other_folds(folds: Sequence[int] | None, manifest: Manifest, folder: Path) -> None:
    """Folds that were asked for and that no member of the model was trained on."""
    known = sorted({one.fold for one in manifest.members})
    strange = sorted(set(folds or ()) - set(known))
    if strange:
        raise UsageError(
            f"The model has no {agree(len(strange), 'fold', 'folds')} {listed(strange)}.",
            expected=f"{agree(len(known), 'fold', 'folds')} {listed(known)}",
            got=listed(folds or ()),
            where=folder,
            hint="Choose among these, or leave the choice out to use all of them.",
        )


def load_member(plan: Plan, path: Path, *, known: bool = False) -> nn.Module:
    """A member's network with its weights, ready for inference; `known` if the file was held against a manifest.

    Raises:
        ModelError: The weights are damaged or do not fit the plan's network; says which.
    """
    net = load_weights(plan.net, path, known=known)
    net = fused(net)
    keep_float32(net, plan.train.float32_layers)
    return net.channels_last(bool(plan.train.channels_last)).eval()
