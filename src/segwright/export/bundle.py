"""Writes the model folder: weights of all members, plan, post-processing, manifest and a card people can read."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import segwright
from segwright.core.disk import atomic_path
from segwright.core.document import Document
from segwright.core.identity import digest_of
from segwright.core.model import Combination, Manifest, Member, earlier_files
from segwright.core.plan import Plan
from segwright.core.report import Report
from segwright.core.words import amount
from segwright.io.labeltable import FILENAME, write_table
from segwright.nets.weights import read_checked


def write_bundle(
    folder: Path,
    *,
    plan: Plan,
    weights: Mapping[int, Sequence[Path]],
    report: Report | None,
    beside: Sequence[Document],
    name: str,
) -> Manifest:
    """Gather a model folder; it appears only when whole, and replaces an earlier one.

    Args:
        folder: Where the model goes.
        plan: The plan its members were trained by.
        weights: safetensors files of each trained fold.
        report: Out-of-fold scores for the card.
        beside: Further documents: chosen post-processing, what was learnt from.
        name: Shown in the card.
    """
    with atomic_path(folder) as partial:
        partial.mkdir(parents=True)
        members = tuple(
            _member(fold, path, partial / f"member-{fold}{f'-{at}' if at else ''}.safetensors")
            for fold, paths in sorted(weights.items())
            for at, path in enumerate(paths)
        )
        manifest = Manifest(
            name=name,
            version=segwright.__version__,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            members=members,
            scores=_scores(report),
        )
        plan.save(partial / Plan.filename)
        for document in beside:
            document.save(partial / document.filename)
        write_table(plan.labels, partial / FILENAME)
        manifest = manifest.sealed(partial)
        manifest.save(partial / Manifest.filename)
        (partial / "CARD.md").write_text(_card(manifest, plan), encoding="utf-8")
    return manifest


def write_ensemble(
    folder: Path,
    *,
    combination: Combination,
    models: Sequence[Path],
    report: Report | None,
    chain: Document | None,
    name: str,
) -> Manifest:
    """Gather several model folders into one; it appears only when whole, and replaces an earlier one.

    Args:
        folder: Where the ensemble goes.
        combination: Its parts, in the order of `models`, and their weights.
        models: Model folders; copied.
        report: Out-of-fold scores of the ensemble, for the card.
        chain: Post-processing of the combined scores, if any.
        name: Shown in the card.
    """
    with atomic_path(folder) as partial:
        partial.mkdir(parents=True)
        for part, model in zip(combination.parts, models, strict=True):
            shutil.copytree(model, partial / part.folder)
        manifest = Manifest(
            name=name,
            version=segwright.__version__,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            members=(),
            scores=_scores(report),
        )
        combination.save(partial / Combination.filename)
        if chain is not None:
            chain.save(partial / "chain.json")
        manifest = manifest.sealed(partial)
        manifest.save(partial / Manifest.filename)
        if report is not None:
            report.save(partial / Report.filename)
        (partial / "CARD.md").write_text(_ensemble_card(manifest, combination), encoding="utf-8")
    return manifest


def _ensemble_card(manifest: Manifest, combination: Combination) -> str:
    how = "the weighted mean of their scores" if combination.combine == "mean" else "a weighted vote of their labels"
    parts = combination.parts
    lines = [
        f"# {manifest.name}",
        "",
        f"An ensemble of {len(parts)} models, combined by {how}; made {manifest.created} by segwright "
        f"{manifest.version}.",
        "",
        *(
            f"- {part.name}: {amount(part.members, 'member')}, recipe `{part.recipe}`, plan `{part.plan}`"
            for part in parts
        ),
        "- not a medical device; judge it on your own scans before you rely on it",
        "",
        f"| weights | {' | '.join(part.name for part in parts)} |",
        "|---" * (len(parts) + 1) + "|",
        *(f"| {name} | {' | '.join(f'{w:.2f}' for w in row)} |" for name, row in combination.weights.items()),
        *_score_lines(manifest),
    ]
    return "\n".join([*lines, "", "Use: `segwright predict MODEL -i scans/ -o out/`", ""])


def _member(fold: int, path: Path, copy: Path) -> Member:
    pairs = [(path, copy), *zip(earlier_files(path), earlier_files(copy), strict=True)]
    found = {}
    for source, target in pairs:
        if source is path or source.exists():
            read_checked(source, hint="Delete this file and go on with 'segwright fit DATA -o RUN --resume'.")
            shutil.copyfile(source, target)
            found[target.name] = digest_of(target)
    return Member(fold=fold, weights=copy.name, sha256=found.pop(copy.name), earlier=found)


def _scores(report: Report | None) -> dict[str, tuple[float | None, float | None, float | None]]:
    rows = report.aggregates if report else ()
    return {f"{row.structure}/{row.metric}": (row.mean, row.low, row.high) for row in rows}


def _card(manifest: Manifest, plan: Plan) -> str:
    lines = [
        f"# {manifest.name}",
        "",
        f"Segments {', '.join(plan.labels.names)} in {plan.modality} images with channels {', '.join(plan.channels)}.",
        "",
        f"- {amount(len(manifest.members), 'member')}, made {manifest.created} by segwright {manifest.version}",
        f"- recipe `{plan.recipe}`, plan `{plan.content_hash()}`",
        f"- works at {_scale(plan)}; scans that are unlike those it learnt from are flagged",
        "- scores are out of fold: each case was judged by a member that had not seen its patient",
        "- not a medical device; judge it on your own scans before you rely on it",
        *_score_lines(manifest),
    ]
    return "\n".join([*lines, "", "Use: `segwright predict MODEL -i scans/ -o out/`", ""])


def _scale(plan: Plan) -> str:
    """The physical scale in words."""
    edges = plan.prepare.spacing or (None, None, None)
    if not any(edges):
        return "the voxel size of each scan"
    return " x ".join("any" if edge is None else f"{edge:.4g}" for edge in edges[plan.flat :]) + " mm a voxel"


def _score_lines(manifest: Manifest) -> list[str]:
    """A table of out-of-fold scores in Markdown; its head alone where there are none."""
    lines = ["", "| structure | metric | mean | 95 % interval |", "|---|---|---|---|"]
    for key, (mean, low, high) in manifest.scores.items():
        structure, _, metric = key.rpartition("/")
        if mean is not None and low is not None and high is not None:
            lines.append(f"| {structure} | {metric} | {mean:.4f} | {low:.4f} to {high:.4f} |")
    return lines
