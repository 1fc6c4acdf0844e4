"""Learning curves of a run from its logs, thinned so that a fit of many hours stays a small answer while it grows."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from segwright.api.lock import busy
from segwright.api.run import Run
from segwright.core.errors import SegwrightError
from segwright.core.events import End, Step, TrainEvent
from segwright.core.plan import Plan

#: Points of a loss curve.
POINTS = 300
#: A fold without an event for so many seconds is not taken to be running.
SILENT_SECONDS = 180.0


def curves(run: Run) -> dict[str, Any]:
    """Every fold begun: curves, how far it is, and in words what the run is doing."""
    folds = [_fold(run, fold, events) for fold, events in sorted(_logs(run).items())]
    finished = run.report_file.exists()
    held = busy(run.folder) or any(busy(run.fold_folder(fold["fold"])) for fold in folds)
    running = held or (not finished and any(fold["running"] for fold in folds))
    return {
        "folds": folds,
        "finished": finished,
        "running": running,
        "doing": _doing(run, folds, running=running, finished=finished),
        "planned": len(run.split.folds),
    }


def _doing(run: Run, folds: list[dict[str, Any]], *, running: bool, finished: bool) -> str:
    """A word or two; between the end of a fold's training and the report, cases are predicted and scored."""
    if running and not (run.folder / Plan.filename).exists():
        return "planning"
    if running:
        return "training" if not folds or any(not fold["ended"] for fold in folds) else "predicting"
    return "finished" if finished else "not running" if folds else "has not begun"


def _logs(run: Run) -> dict[int, list[TrainEvent]]:
    try:
        return run.log()
    except (SegwrightError, OSError):
        return {}


def _fold(run: Run, fold: int, events: list[TrainEvent]) -> dict[str, Any]:
    steps = [event for event in events if isinstance(event, Step)]
    ended = any(isinstance(event, End) for event in events)
    age = time.time() - max(file.stat().st_mtime for file in run.logs(fold))
    last = steps[-1] if steps else Step(fold, 0)
    names = list(dict.fromkeys(name for step in steps for name in step.pseudo_dice))
    return {
        "fold": fold,
        "steps": last.step,
        "elapsed": last.elapsed,
        "progress": 1.0 if ended else last.progress,
        "remaining": last.remaining,
        "ended": ended,
        "running": not ended and age < SILENT_SECONDS,
        "loss": _binned([(one.step, one.loss) for one in steps if one.loss is not None]),
        "rate": _binned([(one.step, one.lr) for one in steps if one.lr is not None]),
        "pseudo": {
            name: [[one.step, one.pseudo_dice[name]] for one in steps if one.pseudo_dice.get(name) is not None]
            for name in names
        },
    }


def _binned(points: list[tuple[int, float]]) -> list[list[float]]:
    """At most `POINTS` means along the curve.

    Example:
        >>> _binned([(1, 2.0), (2, 4.0)])
        [[1.0, 2.0], [2.0, 4.0]]
    """
    real = np.array([p for p in points if np.isfinite(p[1])], dtype=float).reshape(-1, 2)
    if len(real) <= POINTS:
        return [[float(x), float(y)] for x, y in real]
    starts = np.linspace(0, len(real), POINTS + 1).astype(int)[:-1]
    sums = np.add.reduceat(real, starts, axis=0)
    counts = np.diff(np.append(starts, len(real)))[:, None]
    return [[float(x), float(y)] for x, y in sums / counts]
