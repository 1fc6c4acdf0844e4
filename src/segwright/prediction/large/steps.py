"""The steps of a large prediction: what is done with one block, and in which order."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from segwright.core.box import Box, tile
from segwright.core.disk import is_full
from segwright.core.errors import SegwrightError
from segwright.core.geometry import Triple
from segwright.io.omezarr import read_level, write_box
from segwright.io.protocol import reason
from segwright.ops.resample import shrink_labels, shrink_scores
from segwright.prediction.ensemble import Forward
from segwright.prediction.large.bench import Bench, opened
from segwright.prediction.large.box import count_windows, predict_boxes
from segwright.prediction.large.objects import bring_back, find_objects, number_objects

#: Seconds between two notes of how far a block is.
TELL = 2.0


def perform(folder: str, step: str, index: int) -> dict[str, Any]:
    """Do one block of a step and record it; whatever goes wrong is returned as `{"error": ...}`.

    `full` in the answer means that no block can be written any more.
    """
    begin = time.perf_counter()
    bench = opened(folder)
    try:
        if bench.job.threads and torch.get_num_threads() != bench.job.threads:
            torch.set_num_threads(bench.job.threads)
        facts = _action(step)(bench, index)
    except SegwrightError as error:
        where = f" in {error.where}" if error.where else ""
        return {"error": f"{error.got or error.what}{where}", "full": is_full(error)}
    except Exception as error:
        return {"error": reason(error), "full": is_full(error)}
    facts = {**facts, "seconds": round(time.perf_counter() - begin, 3)}
    try:
        bench.record.finish(step, index, facts)
    except OSError as error:
        return {"error": reason(error), "full": is_full(error)}
    return facts


def _action(step: str) -> Callable[[Bench, int], dict[str, Any]]:
    name, _, level = step.partition("-")
    if level:
        return lambda bench, index: shrink(bench, name, int(level), index)
    return {"predict": predict, "objects": find_objects, "numbers": number_objects, "back": bring_back}[name]


def predict(bench: Bench, index: int) -> dict[str, Any]:
    """Scores and labels of a block, stored piece by piece as windows pass."""
    plan, scan = bench.job.plan, bench.scan
    pieces, repaired = bench.pieces(index), list[int]()
    needed = pieces if bench.working else [scan.needed(piece) for piece in pieces]
    total = count_windows(scan.shape, needed, plan.window, plan.net.divisor)
    rows = predict_boxes(
        partial(scan.read, repaired=repaired),
        scan.shape,
        _told(bench.model.forward, lambda seen: bench.record.advance("predict", index, seen / total)),
        needed,
        window=plan.window,
        net=(plan.net.context, plan.net.divisor),
    )
    for piece, found in zip(pieces, rows, strict=True):
        scores, box = (found, piece) if bench.working else (scan.restore(found, piece), scan.to_source(piece))
        if bench.scores:
            write_box(bench.store(bench.scores), bench.stored_scores(scores), box)
        if bench.has_labels:
            write_box(bench.store("labels"), bench.stored_labels(bench.labels_of(scores)), box)
    return {"repaired": sum(repaired)} if any(repaired) else {}


def _told(forward: Forward, tell: Callable[[int], None]) -> Forward:
    """The same function, which also tells every other second how many windows it has seen."""
    seen, spoke = 0, time.monotonic()

    def counted(batch: torch.Tensor) -> torch.Tensor:
        nonlocal seen, spoke
        scores = forward(batch)
        seen += len(batch)
        if time.monotonic() - spoke > TELL:
            spoke = time.monotonic()
            tell(seen)
        return scores

    return counted


def shrink(bench: Bench, name: str, level: int, index: int) -> dict[str, Any]:
    """A block of a smaller level of a result, from the level before, a chunk's depth at a time."""
    pyramid = bench.pyramid(name)
    whole = bench.blocks(level).box(index)
    factor: Triple = tuple(b // a for a, b in zip(*pyramid.levels[level - 1 : level + 1], strict=True))
    for part in tile(whole.shape, (pyramid.chunk[0], *whole.shape[1:])):
        box = part.shift(whole.start)
        source = Box(
            tuple(a * f for a, f in zip(box.start, factor, strict=True)),
            tuple(b * f for b, f in zip(box.stop, factor, strict=True)),
        ).clip(pyramid.shape(level - 1))
        finer = read_level(bench.store(name), source, level - 1)
        smaller = (shrink_scores if name == "scores" else shrink_labels)(finer, factor)
        write_box(bench.store(name), smaller, box, level)
    return {}
