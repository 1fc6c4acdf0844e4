"""Shared fixtures: where real data lies, and one thread so that tests run side by side."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

DATA = Path(os.environ.get("SEGWRIGHT_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """A function from a folder name to its path; skips the test where the data are absent."""

    def find(name: str) -> Path:
        path = DATA / name
        if not path.exists():
            pytest.skip(f"real data {name!r} are not on this machine (set SEGWRIGHT_DATA)")
        return path

    return find
