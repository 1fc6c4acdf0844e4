"""What is known of every network: where it comes from, its setting there, and how many parameters that has."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import torch

from segwright.core.errors import SegwrightError
from segwright.core.plan import NetSpec, Triple
from segwright.core.registry import Registry
from segwright.nets import NETS, build

#: For each row of the nets table, where its `NetRow` stands; rows of plug-ins need none.
CATALOGUE = Registry(
    "segwright.net_rows",
    {
        "unet": "segwright.nets.catalogue:UNET",
        "resenc": "segwright.nets.catalogue:RESENC",
        "unet-classic": "segwright.nets.resunet:UNET_CLASSIC",
        "res-unet": "segwright.nets.resunet:RES_UNET",
        "res-unet-bottleneck": "segwright.nets.resunet:RES_UNET_BOTTLENECK",
        "se-res-unet": "segwright.nets.resunet:SE_RES_UNET",
        "attention-se-res-unet": "segwright.nets.resunet:ATTENTION_SE_RES_UNET",
        "res-unet-r": "segwright.nets.mitonet:RES_UNET_R",
        "res-unet-h": "segwright.nets.mitonet:RES_UNET_H",
        "segmri-unet": "segwright.nets.hybridunet:SEGMRI_UNET",
        "segmri-simple": "segwright.nets.hybridunet:SEGMRI_SIMPLE",
        "segmri-unet-2d": "segwright.nets.hybridunet:SEGMRI_UNET_2D",
        "segmri-hybrid": "segwright.nets.hybridunet:SEGMRI_HYBRID",
        "vnet": "segwright.nets.vnet:ROW",
        "dense-vnet": "segwright.nets.densevnet:DENSE",
        "pdv-net": "segwright.nets.densevnet:PDV",
        "smp": "segwright.nets.smp:SMP",
        "segresnet": "segwright.nets.monai:SEGRESNET",
        "swinunetr": "segwright.nets.monai:SWINUNETR",
        "mednext": "segwright.nets.monai:MEDNEXT",
        "dynunet": "segwright.nets.monai:DYNUNET",
        "monai-attention-unet": "segwright.nets.monai:ATTENTION_UNET",
    },
)


@dataclass(frozen=True)
class NetRow:
    """A network as its source describes it.

    Attributes:
        about: One sentence.
        source: Paper, repository or seed, with what was unstated there and chosen here.
        dims: Spatial dimensions it is built for: 2, 3 or both.
        spec: The setting of its source.
        size: Input `(z, y, x)` there.
        parameters: Trainable parameters at that setting, where the source or arithmetic gives them exactly.
    """

    about: str
    source: str
    dims: tuple[int, ...]
    spec: NetSpec
    size: Triple
    parameters: int | None = None


def count_parameters(net: Any) -> int:
    """Trainable numbers of a network."""
    return sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)


def pyramid(widths: tuple[int, ...], *, dims: int, inputs: int, outputs: int, **rest: Any) -> NetSpec:
    """A specification whose levels halve every axis, with two convolutions a level unless `rest` says otherwise."""
    step, one = ((2, 2, 2), (1, 1, 1)) if dims == 3 else ((1, 2, 2), (1, 1, 1))
    kernel = (3, 3, 3) if dims == 3 else (1, 3, 3)
    levels = len(widths)
    fields: dict[str, Any] = {
        "in_channels": inputs,
        "out_channels": outputs,
        "slab": 0 if dims == 3 else 1,
        "widths": widths,
        "strides": (one, *(step,) * (levels - 1)),
        "kernels": (kernel,) * levels,
        "encoder_blocks": (2,) * levels,
        "decoder_blocks": (2,) * (levels - 1),
        "norm": "batch",
    }
    return NetSpec(**{**fields, **rest})


UNET = NetRow(
    about="Plain U-Net of any depth and dimension; the default.",
    source="Ronneberger et al. 2015 (arXiv 1505.04597), Cicek et al. 2016 (arXiv 1606.06650)",
    dims=(2, 3),
    spec=pyramid((64, 128, 256, 512, 1024), dims=2, inputs=1, outputs=2, params={"down": "pool"}),
    size=(1, 512, 512),
)
RESENC = NetRow(
    about="U-Net with a residual encoder and one convolution a level on the way up.",
    source="Isensee et al. 2024 (arXiv 2404.09556), preset M",
    dims=(2, 3),
    spec=pyramid(
        (32, 64, 128, 256, 320, 320),
        dims=3,
        inputs=1,
        outputs=2,
        name="resenc",
        encoder_blocks=(1, 3, 4, 6, 6, 6),
        decoder_blocks=(1,) * 5,
        norm="instance",
    ),
    size=(128, 128, 128),
)


def summary(name: str) -> dict[str, Any]:
    """Facts of one network: `about`, `source`, `dims`, `size` `(z, y, x)` and `parameters` at its source's setting.

    What is not known is `None`; where the network cannot be built here, `note` says why.

    Raises:
        UnknownNameError: No such network.

    Example:
        >>> summary("unet-classic")["parameters"]
        31036871
    """
    if name not in NETS or name not in CATALOGUE:
        module = NETS.load(name).__module__  # a plug-in's, since it is not in the catalogue
        return {"about": None, "source": module, "dims": None, "size": None, "parameters": None}
    row: NetRow = CATALOGUE.load(name)
    facts: dict[str, Any] = {"about": row.about, "source": row.source, "dims": list(row.dims), "size": list(row.size)}
    try:
        with torch.device("meta"):
            return {**facts, "parameters": count_parameters(build(row.spec))}
    except SegwrightError as error:
        return {**facts, "parameters": row.parameters, "note": str(error)}


def details(name: str) -> dict[str, Any]:
    """As `summary`, with the `spec` of the source, the network's own `settings` with defaults, and their `help`.

    Raises:
        UnknownNameError: No such network.
    """
    facts = summary(name)
    builder = NETS.load(name)
    parameters = inspect.signature(builder).parameters.values()
    spec = CATALOGUE.load(name).spec.model_dump(mode="json") if name in CATALOGUE else None
    return {
        "name": name,
        **facts,
        "spec": spec,
        "settings": {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY},
        "help": inspect.getdoc(builder),
    }
