"""The door to segmentation-models-pytorch and timm: 2-D networks by name, with pretrained encoders if wished."""

from __future__ import annotations

import inspect
import sys
import urllib.error
import urllib.request
import warnings
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from segwright.core.errors import ModelError, PlanError, RecipeError, UnknownNameError, UsageError
from segwright.core.plan import NetSpec
from segwright.nets import pretrained
from segwright.nets.foreign import Padded, demand

#: Networks that hand segmentation was compared on: name -> (architecture, encoder, parameters with 29 outputs).
HAND_BONES: dict[str, tuple[str, str, int]] = {
    "unet-resnet50": ("Unet", "resnet50", 32_525_165),
    "unet-resnet101": ("Unet", "resnet101", 51_517_293),
    "unetplusplus-resnet50": ("UnetPlusPlus", "resnet50", 48_989_805),
    "unetplusplus-resnet101": ("UnetPlusPlus", "resnet101", 67_981_933),
    "unetplusplus-efficientnet-b5": ("UnetPlusPlus", "efficientnet-b5", 30_861_469),
    "unetplusplus-gernet-l": ("UnetPlusPlus", "tu-gernet_l", 40_918_861),
    "manet-resnet50": ("MAnet", "resnet50", 147_444_053),
    "manet-res2net50": ("MAnet", "tu-res2net50_26w_4s", 147_586_141),
    "manet-resnest50d": ("MAnet", "tu-resnest50d_4s2x40d", 152_304_613),
    "deeplabv3-efficientnet-b8": ("DeepLabV3", "timm-efficientnet-b8", 88_763_083),
    "upernet-resnet101": ("UPerNet", "resnet101", 56_283_997),
    "upernet-swin": ("UPerNet", "tu-swin_tiny_patch4_window7_224", 36_750_295),
    "segformer-mit-b0": ("Segformer", "mit_b0", 3_721_597),
}
#: Options that let timm's encoders of one image size take any.
_ANY_SIZE = {"swin": {"strict_img_size": False}, "vit": {"dynamic_img_size": True}}
#: Lengths that pooling pyramids need at least.
_LEAST = {"PAN": 128}
_OWN = ("self", "encoder_name", "encoder_weights", "in_channels", "classes", "activation", "aux_params", "kwargs")


def smp(
    spec: NetSpec,
    *,
    architecture: str = "Unet",
    encoder: str = "resnet34",
    weights: str | None = None,
    options: dict[str, Any] | None = None,
) -> nn.Module:
    """A network of segmentation-models-pytorch for images or slabs of any channels and size.

    Widths, kernels and blocks are the encoder's own; those of `spec` are not used, and its strides only set how far
    images are padded before this network pads them to what the encoder needs.

    Args:
        spec: 2-D or 2.5-D, batch norm.
        architecture: `Unet`, `UnetPlusPlus`, `MAnet`, `Linknet`, `FPN`, `PSPNet`, `DeepLabV3`, `DeepLabV3Plus`, `PAN`,
            `UPerNet`, `Segformer`, `DPT`, in any spelling.
        encoder: Name in segmentation-models-pytorch, or any of timm's with or without `tu-` before it.
        weights: `None`, a published set such as `imagenet`, or a file. The first convolution is adapted to other
            channel counts: one channel gets the sum, more get the channels repeated in turn and scaled.
        options: Further options of the architecture, e.g. `{"decoder_channels": [128, 64, 32, 16, 8]}`.

    Raises:
        UsageError: The libraries are not installed.
        UnknownNameError: No such architecture or encoder.
        RecipeError: An option that the architecture does not have.
        PlanError: Depth, norm, or a pair that the library refuses.
        ModelError: Weights that cannot be had or do not fit.
    """
    demand(spec, "slab", [1, 3, 5, 7, 9, 11, 13, 15], why="its networks see images, not volumes")
    demand(spec, "norm", ["batch"], why="its encoders have their norms built in")
    demand(spec, "deep_supervision", [False], why="its networks have one head")
    demand(spec, "checkpointing", [False], why="its encoders keep all activations")
    library, _ = _libraries()
    family = _family(library, architecture)
    name = _encoder(encoder)
    net = _built(family, name, spec, _options(family, name, options or {}))
    where = torch.get_default_device()
    if weights is not None and where.type != "meta":
        path = _published(name, weights)
        pretrained.fill(net.encoder, pretrained.read(path), path)
    _steady(net)
    edge = max(net.encoder.output_stride, 32)
    least = _LEAST.get(family.__name__, 2 * edge)
    _freeze_unused(net, spec.in_channels * spec.slab, max(least, 2 * edge))
    return Padded(net.to(where), (edge, edge), (least, least))


@cache
def _libraries() -> tuple[ModuleType, ModuleType]:
    """segmentation-models-pytorch and timm."""
    try:
        _import_torchvision()
        import segmentation_models_pytorch
        import timm
    except ImportError as error:
        version = torch.__version__.partition("+")[0]
        raise UsageError(
            "This network needs segmentation-models-pytorch, which is not installed.",
            got=str(error),
            hint=f'pip install "torch=={version}" "segwright[smp]"',  # naming torch keeps pip from replacing it
        ) from error
    return segmentation_models_pytorch, timm


def _import_torchvision() -> None:
    """Import torchvision even where its compiled part was made for another build of torch.

    The registry's wheels are built for CUDA. Beside a CPU build of torch their library does not load, and torchvision
    then stumbles over two box operators that this library would have declared. The networks need only its Python
    part, so the operators are declared here; to call them is an error as before.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        for operator in ("nms", "qnms"):
            signature = f"torchvision::{operator}"
            torch.library.define(signature, "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision  # noqa: F401


def _family(library: ModuleType, name: str) -> type[nn.Module]:
    families = library.MODEL_ARCHITECTURES_MAPPING
    key = name.lower().replace("++", "plusplus").replace("+", "plus").replace("-", "").replace("_", "")
    if key not in families:
        raise UnknownNameError.among("architecture", name, [family.__name__ for family in families.values()])
    return families[key]


def _encoder(name: str) -> str:
    """The library's own name of an encoder."""
    library, timm = _libraries()
    if name in library.encoders.encoders or name.startswith("timm-"):
        return name
    short = name.removeprefix("tu-")
    if timm.is_model(short):
        return f"tu-{short}"
    known = [*library.encoders.encoders, *(f"tu-{each}" for each in timm.list_models())]
    unknown = UnknownNameError.among("encoder", name, known)
    expected = f"one of {len(known)} encoders of segmentation-models-pytorch and timm"
    raise UnknownNameError(unknown.what, expected=expected, hint=unknown.hint)


def _options(family: type[nn.Module], encoder: str, given: dict[str, Any]) -> dict[str, Any]:
    """Options with lists as tuples; those the architecture does not know are timm's, or nobody's."""
    known = [name for name in inspect.signature(family).parameters if name not in _OWN]
    foreign = encoder.startswith("tu-")
    for name in given:
        if name in _OWN or not (foreign or name in known):
            unknown = UnknownNameError.among("option", name, known)
            raise RecipeError(
                f"{family.__name__} takes no option {name!r}.", expected=unknown.expected, hint=unknown.hint
            )
    size = [options for start, options in _ANY_SIZE.items() if encoder.startswith(f"tu-{start}")]
    return {**(size[0] if size else {}), **{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}}


def _built(family: type[nn.Module], encoder: str, spec: NetSpec, options: dict[str, Any]) -> Any:
    # mix transformers read numbers from tensors while they are built, which meta tensors do not have
    place = torch.device("cpu") if encoder.startswith("mit_") else nullcontext()
    try:
        with place, warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # old names of encoders
            return family(
                encoder_name=encoder,
                encoder_weights=None,
                in_channels=spec.in_channels * spec.slab,
                classes=spec.out_channels,
                **options,
            )
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise PlanError(
            f"segmentation-models-pytorch does not build {family.__name__} over {encoder}.",
            got=str(error).splitlines()[0],
            hint="Choose another encoder or architecture, or other options.",
        ) from error


def _published(encoder: str, weights: str) -> Path:
    """The file of a weight set: a path as it is, or a published set from this machine's cache or the hub."""
    library, timm = _libraries()
    if Path(weights).suffix or Path(weights).exists():
        return Path(weights)
    if encoder.startswith("tu-"):
        config = timm.get_pretrained_cfg(encoder.removeprefix("tu-"))
        known = {"imagenet": config.hf_hub_id} if config and config.hf_hub_id else {}
        repository, _, revision = str(known.get(weights)).partition("@")
    else:
        known = library.encoders.encoders[encoder]["pretrained_settings"]
        chosen = known.get(weights, {})
        repository, revision = str(chosen.get("repo_id")), str(chosen.get("revision", ""))
    if weights not in known:
        unknown = UnknownNameError.among("weights", weights, known)
        raise RecipeError(
            f"Encoder {encoder!r} has no published weights {weights!r}.",
            expected=unknown.expected or "none are published",
            hint=f"{unknown.hint} A file is given as weights=PATH.",
        )
    return _from_hub(repository, revision or None)


def _from_hub(repository: str, revision: str | None) -> Path:
    import huggingface_hub as hub

    name = "model.safetensors"
    cached = hub.try_to_load_from_cache(repository, name, revision=revision)
    if isinstance(cached, str):
        return Path(cached)
    try:
        _reach(hub.constants.ENDPOINT)
        return Path(hub.hf_hub_download(repository, name, revision=revision))
    except Exception as error:  # the hub's client raises what its transport raises
        raise ModelError(
            "Pretrained weights could not be downloaded.",
            expected=f"{name} of {repository} at {hub.constants.ENDPOINT}, or in this machine's cache",
            got=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}",
            hint="Download it where there is a network and give weights=PATH, or start untrained with weights=null.",
        ) from error


def _reach(address: str) -> None:
    """Ask for an answer of any kind within seconds, as the hub's client would try for minutes."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=10):
            return
    except urllib.error.HTTPError:
        return


class _Steady:
    """Put before a batch norm's own class: a single value a channel has no variance, so stored statistics are used."""

    training: bool

    def forward(self, x: Tensor) -> Tensor:
        """The norm's forward; as in evaluation where the batch holds one value a channel."""
        lone = self.training and x.shape[0] * x.shape[2:].numel() == 1
        self.training = self.training and not lone
        result: Tensor = super().forward(x)  # type: ignore[misc]
        self.training = self.training or lone
        return result


def _steady(net: nn.Module) -> None:
    """Let networks with pooled branches train on batches of one image."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.__class__ = _steadied(type(module))  # type: ignore[arg-type]  # a class is hashable


@cache
def _steadied(norm: Any) -> Any:
    return type(f"Steady{norm.__name__}", (_Steady, norm), {})


@torch.inference_mode(False)
@torch.enable_grad()
def _freeze_unused(net: nn.Module, channels: int, edge: int) -> None:
    """Freeze what never reaches the logits, e.g. an encoder's last layers, so that it counts as not trainable."""
    state = {
        name: torch.empty_like(value, device="meta").requires_grad_(isinstance(value, nn.Parameter))
        for name, value in [*net.named_parameters(), *net.named_buffers()]
    }
    image = torch.empty(2, channels, edge, edge, device="meta")
    torch.func.functional_call(net, state, image).sum().backward()
    for name, parameter in net.named_parameters():
        if state[name].grad is None:
            parameter.requires_grad_(False)
