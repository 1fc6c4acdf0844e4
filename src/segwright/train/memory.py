"""Turns running out of memory into an error that names the setting to change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from segwright.core.errors import OutOfMemoryError
from segwright.core.plan import Plan


@contextmanager
def memory_guard(plan: Plan) -> Iterator[None]:
    """Raise `OutOfMemoryError` with a smaller setting where torch cannot allocate.

    Raises:
        OutOfMemoryError: Main or GPU memory ran out.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _explained(plan, error) from error
    except RuntimeError as error:
        if "allocate memory" not in str(error):
            raise
        raise _explained(plan, error) from error


def _explained(plan: Plan, error: BaseException) -> OutOfMemoryError:
    forecast = plan.memory.get("train", 0) / 2**30
    smaller = max(1, plan.train.batch // 2)
    hint = (
        f"Set batch={smaller} accumulate={plan.train.accumulate * 2}"
        if plan.train.batch > 1
        else "Set a smaller patch="
    )
    return OutOfMemoryError(
        "Training ran out of memory.",
        expected=f"about {forecast:.1f} GB for a step",
        got=str(error).splitlines()[0] if str(error) else type(error).__name__,
        hint=f"{hint}, or checkpointing=true, and start a new run.",
    )
