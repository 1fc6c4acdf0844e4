"""Shared fixtures: where real data lies, plans of small networks, and what tensors hold at most."""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


@pytest.fixture(scope="session")
def plain_plan() -> Callable[..., Any]:
    """`plain_plan(space, size, net, overlap=, batch=, **fields)`: a plan in which only what is told is of interest."""
    from segwright.core import plan as parts
    from segwright.core.recipe import PartChoice

    none = PartChoice(name="x")

    def make(space: Any, size: Any, net: dict[str, Any], *, overlap: float = 0.5, batch: int = 1, **told: Any) -> Any:
        levels = len(net["widths"])
        usual = {"in_channels": 1, "encoder_blocks": (1,) * levels, "decoder_blocks": (1,) * (levels - 1)}
        fields = {
            "channels": ("image",),
            "prepare": parts.PreparePlan(normalise=(parts.Normalisation(),)),
            "target": "classes",
            "sample": parts.SamplePlan(policy=none, patch=size),
            "augment": parts.AugmentPlan(),
            "train": parts.TrainPlan(
                batch=1,
                steps=1,
                loss=none,
                optimiser=none,
                schedule=none,
                lr=1.0,
                weight_decay=0.0,
                precision="float32",
            ),
            "window": parts.WindowPlan(size=size, overlap=overlap, batch=batch),
            "folds": 1,
        }
        return parts.Plan(labels=space, net=parts.NetSpec(**(usual | net)), **(fields | told))

    return make


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory, plain_plan: Callable[..., Any]) -> Callable[..., Path]:
    """`make_model(seed)`: a model folder of a small 2-D network without training."""

    import torch
    from safetensors.torch import save_file

    from segwright.core.labels import LabelSpace
    from segwright.core.plan import Normalisation, PreparePlan
    from segwright.export.bundle import write_bundle
    from segwright.nets import build
    from segwright.postprocess.chain import Chain, ChainStep

    def make(seed: int = 0, chain: bool = False) -> Path:
        folder = tmp_path_factory.mktemp("model")
        space = LabelSpace(structures=[{"name": "a", "values": [1]}, {"name": "b", "values": [2]}])
        net = {
            "in_channels": 1,
            "out_channels": 3,
            "slab": 1,
            "widths": (3, 4),
            "strides": ((1, 1, 1), (1, 2, 2)),
            "kernels": ((1, 3, 3),) * 2,
        }
        prepare = PreparePlan(normalise=(Normalisation(),))
        plan = plain_plan(space, (1, 16, 16), net, prepare=prepare, channels=("grey",))
        torch.manual_seed(seed)
        save_file(build(plan.net).state_dict(), folder / "w.safetensors")
        steps = (ChainStep(name="keep_largest", structures=("a",)),)
        beside = [Chain(steps=steps)] if chain else []
        weights = {0: [folder / "w.safetensors"]}
        write_bundle(folder / "model", plan=plan, weights=weights, report=None, beside=beside, name="small")
        return folder / "model"

    return make


@pytest.fixture(scope="session")
def unsealed() -> Callable[[Path], Path]:
    """`unsealed(folder)`: a model (or ensemble, with its parts) as earlier versions wrote it, without digests."""

    def strip(folder: Path) -> Path:
        for file in folder.rglob("manifest.json"):
            told = json.loads(file.read_text(encoding="utf-8"))
            file.write_text(json.dumps({k: v for k, v in told.items() if k not in {"digests", "seal"}}))
        return folder

    return strip


@pytest.fixture(scope="session")
def most_alive() -> type:
    """A context whose `top` is the largest sum of storages alive at once, of tensors that operations returned."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class MostAlive(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.live: dict[int, int] = {}
            self.now = self.top = 0

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = function(*args, **(kwargs or {}))
            for tensor in tree_leaves(result):
                if isinstance(tensor, torch.Tensor):
                    self._watch(tensor.untyped_storage())
            return result

        def _watch(self, storage: Any) -> None:
            key = storage._cdata
            if key in self.live:
                return
            self.live[key] = storage.nbytes()
            self.now += storage.nbytes()
            self.top = max(self.top, self.now)
            weakref.finalize(storage, self._free, key)

        def _free(self, key: int) -> None:
            self.now -= self.live.pop(key)

    return MostAlive
