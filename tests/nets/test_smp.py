"""Networks of segmentation-models-pytorch by name: counts, any image, weights from files, and refusals with a hint."""

from __future__ import annotations

import builtins
import sys
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from segwright.core.errors import ModelError, PlanError, RecipeError, UnknownNameError, UsageError
from segwright.core.plan import NetSpec
from segwright.nets import build, smp
from segwright.nets.catalogue import net_info, pyramid
from segwright.nets.describe import count_parameters
from segwright.nets.execution import fused
from segwright.nets.pretrained import untrained

installed = pytest.mark.skipif(
    find_spec("segmentation_models_pytorch") is None, reason="segmentation-models-pytorch is not installed"
)
HAND_BONES = [pytest.param(*row, id=name) for name, row in smp.HAND_BONES.items()]


def spec_of(*, inputs: int = 1, outputs: int = 3, slab: int = 1, **params: Any) -> NetSpec:
    widths = (8, 8, 8, 8, 8, 8)
    return pyramid(widths, dims=2, inputs=inputs, outputs=outputs, name="smp", slab=slab, params=params)


def made(seed: int = 0, **wishes: Any) -> torch.nn.Module:
    torch.manual_seed(seed)
    return build(spec_of(**wishes))


@installed
@pytest.mark.parametrize(("architecture", "encoder", "parameters"), HAND_BONES)
def test_networks_of_the_hand_bones(architecture, encoder, parameters):
    with torch.device("meta"):
        net = build(spec_of(inputs=3, outputs=29, architecture=architecture, encoder=encoder))
        result = net.eval()(torch.zeros(1, 3, 2, 70, 50))
    assert all(parameter.is_meta for parameter in net.parameters())
    assert result.shape == (1, 29, 2, 70, 50)
    assert count_parameters(net) == parameters


def test_the_golden_counts_are_in_the_table():
    assert smp.HAND_BONES["unet-resnet50"][2] == net_info("smp").parameters == 32_525_165
    assert smp.HAND_BONES["unetplusplus-resnet50"][2] == 48_989_805


@installed
@pytest.mark.parametrize("slab", [1, 3])
@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [("Unet", "resnet18"), ("UPerNet", "swin_tiny_patch4_window7_224"), ("Segformer", "mit_b0"), ("PAN", "resnet18")],
)
def test_any_channels_and_any_size_train_on_one_image(architecture, encoder, slab):
    net = made(inputs=2, slab=slab, architecture=architecture, encoder=encoder).train()
    logits = net(torch.randn(1, 2, slab, 37, 5))
    assert logits.shape == (1, 3, 1, 37, 5)
    logits.square().mean().backward()
    for name, parameter in net.named_parameters():
        assert not parameter.requires_grad or parameter.grad.isfinite().all(), name


@installed
@pytest.mark.parametrize(("architecture", "encoder"), [("DeepLabV3", "resnet18"), ("Unet", "resnest14d")])
def test_pooled_branches_train_on_one_image(architecture, encoder):
    """Their batch norms see one value a channel then, which torch refuses."""
    net = made(architecture=architecture, encoder=encoder).train()
    net(torch.randn(1, 1, 1, 32, 32)).square().mean().backward()
    assert all(m.training for m in net.modules())
    assert net.eval()(torch.randn(1, 1, 1, 32, 32)).isfinite().all()


@installed
def test_norms_of_many_values_are_untouched():
    import segmentation_models_pytorch as library

    torch.manual_seed(0)
    plain = library.Unet("resnet18", encoder_weights=None, in_channels=1, classes=3).train()
    ours = made(encoder="resnet18").train()
    x = torch.randn(2, 1, 64, 64)
    torch.testing.assert_close(ours(x[:, :, None])[:, :, 0], plain(x), rtol=0, atol=0)
    for (name, a), b in zip(ours.state_dict().items(), plain.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


@installed
@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [("Unet", "resnest14d"), ("UnetPlusPlus", "gernet_l"), ("Unet", "densenet121"), ("FPN", "tu-densenet121")],
)
def test_folding_batch_norm_away_keeps_activations(architecture, encoder):
    """timm has norms that carry their activation; to fold such a one into a convolution would lose it."""
    net, x = made(architecture=architecture, encoder=encoder), torch.randn(1, 1, 1, 64, 64)
    net.train()(3 * x + 1)
    with torch.no_grad():
        torch.testing.assert_close(fused(net)(x), net.eval()(x), rtol=1e-3, atol=1e-3)


@installed
def test_unused_layers_are_frozen():
    net = made(encoder="efficientnet-b0")
    frozen = [name for name, parameter in net.named_parameters() if not parameter.requires_grad]
    assert frozen and all("_conv_head" in name or "_bn1" in name for name in frozen)


@installed
def test_options_reach_the_decoder():
    net = made(encoder="resnet18", options={"decoder_channels": [64, 32, 32, 16, 16], "decoder_attention_type": "scse"})
    assert net.net.net.segmentation_head[0].in_channels == 16
    with pytest.raises(RecipeError, match="Did you mean 'decoder_channels'"):
        made(options={"decoder_channel": [8]})
    with pytest.raises(RecipeError, match="takes no option 'activation'"):
        made(encoder="tu-resnet18", options={"activation": "sigmoid"})


@installed
def test_names_in_any_spelling():
    for name in ("unet++", "Unet-Plus-Plus", "UNETPLUSPLUS"):
        with torch.device("meta"):
            assert type(build(spec_of(architecture=name)).net.net).__name__ == "UnetPlusPlus"
    with pytest.raises(UnknownNameError, match="Did you mean 'Linknet'"):
        made(architecture="Linket")
    with pytest.raises(UnknownNameError, match="Did you mean 'resnet34'"):
        made(encoder="resnet_34")


@installed
def test_pairs_that_the_library_refuses():
    with pytest.raises(PlanError, match="does not build UnetPlusPlus over mit_b0"):
        made(architecture="UnetPlusPlus", encoder="mit_b0")


def test_what_cannot_be_is_refused_with_a_hint():
    spec = spec_of()
    wishes = ({"slab": 0}, {"norm": "instance"}, {"deep_supervision": True}, {"checkpointing": True})
    for wish, hint in zip(
        wishes, ("slab=1", "norm=batch", "deep_supervision=false", "checkpointing=false"), strict=True
    ):
        with pytest.raises(PlanError, match=f"Hint: Set {hint} in the recipe"):
            build(spec.model_copy(update=wish))


@installed
@pytest.mark.parametrize("name", ["resnet18", "tu-resnet18"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_weights_from_a_file(tmp_path, name, channels):
    import segmentation_models_pytorch as library

    torch.manual_seed(7)
    source = library.encoders.get_encoder(name, in_channels=3, weights=None)
    path = tmp_path / "encoder.safetensors"
    save_file(source.state_dict(), path)
    encoder = made(inputs=channels, encoder=name, weights=str(path)).net.net.encoder
    first, *rest = encoder.state_dict().items()
    wanted = source.state_dict()[first[0]]
    adapted = {1: wanted.sum(1, keepdim=True), 3: wanted, 4: wanted[:, [0, 1, 2, 0]] * 0.75}[channels]
    torch.testing.assert_close(first[1], adapted)
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in rest if "num_batches" not in key)


@installed
def test_a_trained_network_needs_no_pretrained_file(tmp_path):
    """A model folder goes to machines that lack the file its training started from."""
    spec = spec_of(encoder="resnet18", weights=str(tmp_path / "gone.safetensors"))
    assert build(untrained(spec)).state_dict().keys() == made(encoder="resnet18").state_dict().keys()


@installed
def test_names_of_timm_files_fit_flattened_encoders(tmp_path):
    """timm stores `layers.0.blocks`, its feature extractors call the same `layers_0.blocks`."""
    import timm

    torch.manual_seed(7)
    whole = timm.create_model("swin_tiny_patch4_window7_224", pretrained=False)
    path = tmp_path / "swin.safetensors"
    save_file({name: value.contiguous() for name, value in whole.state_dict().items()}, path)
    net = made(inputs=3, architecture="UPerNet", encoder="swin_tiny_patch4_window7_224", weights=str(path))
    part = dict(net.net.net.encoder.named_parameters())["model.layers_2.blocks.5.mlp.fc1.weight"]
    assert torch.equal(part, whole.layers[2].blocks[5].mlp.fc1.weight)


@installed
def test_weights_that_do_not_fit(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match=r"do not fit the encoder.*weights=PATH, or weights=null"):
        made(weights=str(path))
    with pytest.raises(ModelError, match="missing"):
        made(weights=str(tmp_path / "none.pt"))
    with pytest.raises(RecipeError, match="Did you mean 'imagenet'"):
        made(weights="imagenett")


@installed
@pytest.mark.parametrize("name", ["resnet18", "tu-resnet18"])
def test_without_a_network_weights_are_an_error_and_no_hang(monkeypatch, tmp_path, name):
    def unreachable(*_: Any, **__: Any) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: None)
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    with pytest.raises(ModelError, match=r"could not be downloaded.*not known.*weights=PATH.*weights=null"):
        made(encoder=name, weights="imagenet")


@installed
def test_weights_of_the_cache_need_no_network(monkeypatch, tmp_path):
    import segmentation_models_pytorch as library

    path = tmp_path / "model.safetensors"
    save_file(library.encoders.get_encoder("resnet18", weights=None).state_dict(), path)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: str(path))
    stored = made(inputs=3, encoder="resnet18", weights="imagenet").net.net.encoder.conv1.weight
    twin = made(seed=1, inputs=3, encoder="resnet18", weights=str(path)).net.net.encoder.conv1.weight
    assert torch.equal(stored, twin)


@installed
def test_missing_libraries_are_named(monkeypatch):
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "segmentation_models_pytorch":
            raise ModuleNotFoundError("No module named 'segmentation_models_pytorch'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr(smp, "_libraries", smp._libraries.__wrapped__)
    with pytest.raises(UsageError, match=r'pip install "torch==[\d.]+" "segwright\[smp\]"'):
        build(spec_of())


def test_the_door_is_shut_until_asked_for():
    """Other tests may have opened it in this process, so only its module's own names are looked at."""
    assert "torchvision" not in vars(smp) and "timm" not in vars(smp) and "segwright.nets.smp" in sys.modules
