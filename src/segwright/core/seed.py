"""The only source of randomness: generators derived from one seed and a path of names."""

from __future__ import annotations

import hashlib

import numpy as np


def derive_seed(seed: int, *names: str | int) -> int:
    """A 63-bit integer fixed by `seed` and `names`, independent of platform and call order.

    Example:
        >>> derive_seed(1, "augment", 3) == derive_seed(1, "augment", 3) != derive_seed(1, "augment", 4)
        True
    """
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def derive(seed: int, *names: str | int) -> np.random.Generator:
    """A NumPy generator for one purpose, for example `derive(plan.seed, "sample", fold, step)`."""
    return np.random.default_rng(derive_seed(seed, *names))
