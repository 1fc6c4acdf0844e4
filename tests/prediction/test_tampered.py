"""A model that is not what was written is refused, by the name of what is wrong; old models without digests open."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from segwright.core.errors import DataError, ModelError
from segwright.core.identity import digest_of
from segwright.core.model import Manifest
from segwright.nets.weights import is_whole
from segwright.prediction.model import Model


@pytest.fixture
def model(make_model: Callable[..., Path], tmp_path: Path) -> Path:
    shutil.copytree(make_model(chain=True), tmp_path / "model")
    return tmp_path / "model"


def opened(folder: Path) -> Model:
    found = Model.load(folder, device="cpu")
    found.forward  # noqa: B018 - reads the weights
    return found


def edited(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def unsealed(folder: Path) -> Path:
    """As an earlier version wrote it: no digests but those of the weights, which are made to fit."""

    def change(data: dict[str, Any]) -> None:
        del data["digests"], data["seal"]
        for one in data["members"]:
            one["sha256"] = digest_of(folder / one["weights"])

    edited(folder / "manifest.json", change)
    return folder


def test_a_whole_model_opens_and_is_sealed(model: Path) -> None:
    found = opened(model)
    assert found.sealed and found.manifest is not None
    assert set(found.manifest.digests) == {"plan.json", "chain.json", "labels.csv"}


@pytest.mark.parametrize("name", ["plan.json", "chain.json", "labels.csv", "manifest.json", "member-0.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
def test_a_byte_anywhere_in_a_file_is_refused_by_its_name(model: Path, name: str, share: float) -> None:
    file = model / name
    content = bytearray(file.read_bytes())
    at = next(i for i in range(int(share * len(content)), len(content)) if content[i] not in b" \n\t")
    content[at] ^= 2
    file.write_bytes(bytes(content))
    with pytest.raises(DataError) as told:
        opened(model)
    assert name in str(told.value) and told.value.hint


@pytest.mark.parametrize("name", ["plan.json", "chain.json", "labels.csv", "member-0.safetensors"])
def test_a_file_that_is_gone_is_named(model: Path, name: str) -> None:
    (model / name).unlink()
    with pytest.raises(ModelError, match="missing") as told:
        opened(model)
    assert name in str(told.value.got)


def test_a_file_that_came_later_is_refused(make_model: Callable[..., Path], tmp_path: Path) -> None:
    shutil.copytree(make_model(), tmp_path / "plain")
    shutil.copyfile(make_model(chain=True) / "chain.json", tmp_path / "plain" / "chain.json")
    with pytest.raises(ModelError, match=r"chain\.json"):
        opened(tmp_path / "plain")


def test_a_card_may_be_edited(model: Path) -> None:
    (model / "CARD.md").write_text("ours")
    opened(model)


def test_models_without_digests_open_and_it_is_told_once(model: Path, tmp_path: Path) -> None:
    import numpy as np

    import segwright
    from segwright import io
    from segwright.core.geometry import Geometry
    from segwright.core.volume import Volume

    edited(unsealed(model) / "plan.json", lambda data: data.update(tolerance=2.0))
    assert not opened(model).sealed
    for name in "ab":
        scan = np.zeros((1, 20, 20), np.uint8)
        scan[0, 4:9] = 200
        io.write(Volume.of(scan, Geometry.from_spacing(scan.shape, (None,) * 3)), tmp_path / "in" / f"{name}.png")
    told: list[str] = []
    segwright.predict(
        model, tmp_path / "in", tmp_path / "out", device="cpu", listen=lambda e: told.append(getattr(e, "text", ""))
    )
    assert sum("without digests" in text for text in told) == 1


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("net.widths.1", lambda net: net.update(widths=[3, 10**9])),
        ("net.widths.0", lambda net: net.update(widths=[0, 4])),
        ("net.strides.1.2", lambda net: net.update(strides=[[1, 1, 1], [1, 2, 2000]])),
        ("net.strides.1.2", lambda net: net.update(strides=[[1, 1, 1], [1, 2, 0]])),
        ("net.kernels.0.1", lambda net: net.update(kernels=[[1, 9999, 3], [1, 3, 3]])),
        ("net.encoder_blocks.0", lambda net: net.update(encoder_blocks=[10**6, 1])),
        ("net.widths", lambda net: net.update(widths=[3] * 1000)),
        ("net.out_channels", lambda net: net.update(out_channels=10**7)),
    ],
)
def test_absurd_numbers_of_a_network_are_refused_by_name(model: Path, field: str, change: Callable[..., Any]) -> None:
    edited(unsealed(model) / "plan.json", lambda data: change(data["net"]))
    with pytest.raises(DataError, match=f"{field!r} is not valid"):
        opened(model)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("window.size.1", lambda data: data["window"].update(size=[1, 10**7, 16])),
        ("window.overlap", lambda data: data["window"].update(overlap=1.0)),
        ("window.overlap", lambda data: data["window"].update(overlap=float("nan"))),
        ("window.batch", lambda data: data["window"].update(batch=0)),
        ("prepare.spacing.1", lambda data: data["prepare"].update(spacing=[None, 0.0, 1.0])),
        ("prepare.normalise.0.std", lambda data: data["prepare"]["normalise"][0].update(std=float("inf"))),
    ],
)
def test_absurd_numbers_of_a_plan_are_refused_by_name(model: Path, field: str, change: Callable[..., Any]) -> None:
    edited(unsealed(model) / "plan.json", change)
    with pytest.raises(DataError, match="is not valid") as told:
        opened(model)
    assert field in told.value.what


def rewritten(model: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> str:
    """Change the weights of a model without digests; returns the name of their first tensor."""
    file = model / "member-0.safetensors"
    tensors = load_file(file)
    name = next(name for name in tensors if name.endswith("weight"))
    change(tensors)
    save_file(tensors, file)
    unsealed(model)
    return name


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_weight_that_is_no_number_is_refused_by_name(model: Path, value: float) -> None:
    name = rewritten(model, lambda tensors: next(iter(tensors.values())).view(-1)[0].fill_(value))
    with pytest.raises(ModelError, match="numbers that are none") as told:
        opened(model)
    assert "1 of" in str(told.value.got) and name.split(".")[0] in told.value.what


def test_missing_strange_and_misshapen_tensors_are_refused_by_name(model: Path) -> None:
    name = rewritten(model, lambda tensors: tensors.pop(next(n for n in tensors if n.endswith("weight"))))
    with pytest.raises(ModelError, match="do not fit") as told:
        opened(model)
    assert f"{name} is missing" in str(told.value.got)


def test_a_wider_network_than_the_weights_is_refused_before_it_is_made(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import segwright.nets.weights as module

    edited(unsealed(model) / "plan.json", lambda data: data["net"].update(widths=[16384, 16384]))
    real, made = module.build, []

    def build(spec):
        if torch.empty(0).device.type != "meta":
            made.append(spec)
        return real(spec)

    monkeypatch.setattr(module, "build", build)
    with pytest.raises(ModelError, match="do not fit") as told:
        opened(model)
    assert "has shape" in str(told.value.got) and not made


def test_weights_know_whether_they_are_whole(tmp_path: Path) -> None:
    from segwright.nets.weights import save_weights

    path = tmp_path / "w.safetensors"
    save_weights(torch.nn.Linear(30, 20), path)
    assert is_whole(path)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))
    assert not is_whole(path)
    path.write_bytes(b"")
    assert not is_whole(path) and not is_whole(tmp_path / "none")


def test_a_seal_covers_the_whole_manifest(model: Path) -> None:
    edited(model / "manifest.json", lambda data: data.update(members=[{**data["members"][0], "fold": 3}]))
    with pytest.raises(ModelError, match=r"manifest\.json"):
        Manifest.opened(model)
