"""Every network: where its builder stands, where it comes from, its setting there, and what planning has to know."""

from __future__ import annotations

from typing import Any

from segwright.core.plan import NetSpec
from segwright.core.registry import NetInfo, Registry

_UNSTATED = (
    "Unstated there and chosen here: widths 64 to 1024, batch norm, input 512 x 512, transposed convolutions up, and "
    "that the coarsest level is built like the others."
)
_SOURCE = "Xia and Jing, MR Image Segmentation (course report, Tsinghua University), and its code (SegMRI). "


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


def _classic(name: str, code: str, about: str, source: str, parameters: int, outputs: int = 1) -> NetInfo:
    spec = pyramid((64, 128, 256, 512, 1024), dims=2, inputs=1, outputs=outputs, name=name)
    size = (1, 512, 512) if outputs == 1 else (1, 1024, 1024)
    return NetInfo(f"segwright.nets.resunet:{code}", about, source, (2, 3), spec, size, parameters)


def _monai(code: str, about: str, source: str, **fields: Any) -> NetInfo:
    size = fields.pop("size")
    return NetInfo(f"segwright.nets.monai:{code}", about, source, (2, 3), pyramid(dims=3, **fields), size)


def _anisotropic(name: str, widths: tuple[int, ...], **params: object) -> NetSpec:
    levels = len(widths)
    return pyramid(
        widths,
        dims=3,
        inputs=1,
        outputs=2,
        name=name,
        strides=((1, 1, 1), *((1, 2, 2),) * (levels - 1)),
        encoder_blocks=(1,) * levels,
        decoder_blocks=(1,) * (levels - 1),
        params=params,
    )


def _dense(name: str, **rest: Any) -> NetSpec:
    """Widths are what the stacks put out; full resolution holds the image alone."""
    blocks = {"encoder_blocks": (1, 5, 10, 10), "decoder_blocks": (1, 1, 1)}
    return pyramid((1, 45, 104, 184), dims=3, inputs=1, outputs=6, name=name, **blocks, **rest)


NETS = Registry(
    "segwright.nets",
    {
        "unet": NetInfo(
            "segwright.nets.unet:unet",
            made_to_measure=True,
            recomputes=True,
            about="Plain U-Net of any depth and dimension; the default.",
            source="Ronneberger et al. 2015 (arXiv 1505.04597), Cicek et al. 2016 (arXiv 1606.06650)",
            dims=(2, 3),
            spec=pyramid((64, 128, 256, 512, 1024), dims=2, inputs=1, outputs=2, params={"down": "pool"}),
            size=(1, 512, 512),
        ),
        "resenc": NetInfo(
            "segwright.nets.unet:resenc",
            made_to_measure=True,
            recomputes=True,
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
        ),
        "unet-classic": _classic(
            "unet-classic",
            "unet_classic",
            "U-Net as first published, with norms: two convolutions a level, max-pooling, transposed convolutions.",
            "Ronneberger et al. 2015 (arXiv 1505.04597); seed 2, vertebrae in spine X-rays (widths, 7 outputs and "
            "1024 x 1024 stated); seed 0, bones in scanography, experiment 1 (two convolutions a level stated). "
            "Unstated there and chosen here: padded, bias-free convolutions with batch norm and ReLU, as in a "
            "sibling of seed 2's project.",
            31_036_871,
            outputs=7,
        ),
        "res-unet": _classic(
            "res-unet",
            "res_unet",
            "U-Net with one convolution and two residual blocks a level on the way down.",
            "Seed 0, bones in scanography, experiment 2, with blocks after He et al. 2016 (arXiv 1512.03385). "
            f"{_UNSTATED}",
            68_760_257,
        ),
        "res-unet-bottleneck": _classic(
            "res-unet-bottleneck",
            "res_unet_bottleneck",
            "U-Net with one convolution and two bottleneck residual blocks a level on the way down.",
            "Seed 0, bones in scanography, section 3, named without a result; He et al. 2016 (arXiv 1512.03385), "
            f"width over 4. {_UNSTATED}",
            21_441_857,
        ),
        "se-res-unet": _classic(
            "se-res-unet",
            "se_res_unet",
            "U-Net with one convolution and two squeeze-and-excitation residual blocks a level on the way down.",
            "Seed 0, bones in scanography, experiment 3, with blocks after Hu et al. 2018 (arXiv 1709.01507) and "
            f"its code: reduction 16, scaled before the sum. {_UNSTATED} Squeezing keeps at least 4 hidden units.",
            69_113_657,
        ),
        "attention-se-res-unet": _classic(
            "attention-se-res-unet",
            "attention_se_res_unet",
            "U-Net with squeeze-and-excitation residual blocks and an additive attention gate on each skip connection.",
            "Seed 0, bones in scanography, experiment 4, with gates after Oktay et al. 2018 (arXiv 1804.03999) "
            f"and its code. {_UNSTATED} The seed leaves out the strided convolution that brings both inputs to one "
            "size, and the projection behind the gate: both as in the code. It resizes attention tri-linearly, "
            "which in 2-D is bi-linear. All four skip connections are gated and a gate is half as wide as its "
            "skip connection; the code gates all but the finest.",
            70_509_181,
        ),
        "res-unet-r": NetInfo(
            "segwright.nets.mitonet:res_unet_r",
            about="Residual U-Net for anisotropic stacks: mask and boundary from one decoder; 1,547,758 weights "
            "take part.",
            source=(
                "Li et al. 2021 (arXiv 2104.07961) and its code (MitoEM2021-Challenge, unet_residual_3d), which "
                "has five levels where the paper's figure draws four. Interpolation replicates borders, where the "
                "code lets them fade; biases start at 0. The code's 86,724 idle weights are kept only on request "
                "(unused)."
            ),
            dims=(2, 3),
            spec=_anisotropic("res-unet-r", (28, 36, 48, 64, 80), unused=True),
            size=(32, 256, 256),
            parameters=1_634_482,
        ),
        "res-unet-h": NetInfo(
            "segwright.nets.mitonet:res_unet_h",
            about="Residual U-Net for anisotropic stacks with a decoder for objects and one for boundaries.",
            source=(
                "Li et al. 2021 (arXiv 2104.07961) and its code (MitoEM2021-Challenge, RSUNet); descriptions of "
                "the paper give Res-UNet-R with a second decoder instead (reading blog, widths 28 to 80: "
                "2,093,630 parameters). Interpolation replicates borders, where the code lets them fade; the last "
                "convolution of each block starts at zero, without which logits begin near 100 (choice made "
                "here)."
            ),
            dims=(2, 3),
            spec=_anisotropic("res-unet-h", (16, 32, 48, 64, 80)),
            size=(32, 256, 256),
            parameters=1_852_610,
        ),
        "segmri-unet": NetInfo(
            "segwright.nets.hybridunet:segmri_unet",
            about="Dense 3-D U-Net of five resolutions for blocks of liver MRI.",
            source=_SOURCE
            + (
                "The report speaks of four stages and 29 M parameters; the code has five resolutions and 25.9 M, "
                "which is built here; plan report has 28.5 M. Dropout is not stated: 0."
            ),
            dims=(2, 3),
            spec=pyramid((32, 64, 128, 256, 512), dims=3, inputs=1, outputs=2, name="segmri-unet"),
            size=(64, 64, 64),
            parameters=25_889_730,
        ),
        "segmri-simple": NetInfo(
            "segwright.nets.hybridunet:segmri_simple",
            about="Light 3-D U-Net with one convolution a level and nearest-neighbour steps up.",
            source=_SOURCE
            + (
                "The report draws a fusing convolution after each join and names 2 M parameters (plan report: 1.8 M);"
                " the code has neither."
            ),
            dims=(2, 3),
            spec=pyramid(
                (32, 64, 128, 256),
                dims=3,
                inputs=1,
                outputs=2,
                name="segmri-simple",
                encoder_blocks=(1,) * 4,
                decoder_blocks=(1,) * 3,
            ),
            size=(64, 64, 64),
            parameters=2_936_898,
        ),
        "segmri-unet-2d": NetInfo(
            "segwright.nets.hybridunet:segmri_unet_2d",
            about="Light 2-D U-Net with one convolution a level for axial slices.",
            source=_SOURCE
            + (
                "The report has an input convolution, bilinear steps up and 1 M parameters (plan report: 0.98 M);"
                " the code has transposed convolutions and no input convolution."
            ),
            dims=(2, 3),
            spec=pyramid(
                (32, 64, 128, 256),
                dims=2,
                inputs=1,
                outputs=2,
                name="segmri-unet-2d",
                encoder_blocks=(1,) * 4,
                decoder_blocks=(1,) * 3,
            ),
            size=(1, 320, 256),
            parameters=1_164_354,
        ),
        "segmri-hybrid": NetInfo(
            "segwright.nets.hybridunet:segmri_hybrid",
            about="Residual U-Net for slabs of three slices, which labels all three; overlapping slabs are averaged.",
            source=_SOURCE
            + (
                "The report speaks of pooling, the code has strided convolutions. Overlap in depth and weights of "
                "the average are those of the window plan, where the source has steps of one slice and equal "
                "weights."
            ),
            dims=(2, 3),
            spec=pyramid(
                (16, 32, 64, 64),
                dims=3,
                inputs=1,
                outputs=2,
                name="segmri-hybrid",
                strides=((1, 1, 1), (1, 2, 2), (1, 2, 2), (1, 2, 2)),
                encoder_blocks=(1, 1, 1, 3),
                decoder_blocks=(1,) * 3,
            ),
            size=(3, 320, 256),
            parameters=1_464_050,
        ),
        "vnet": NetInfo(
            "segwright.nets.vnet:vnet",
            about="V-Net: residual stages of 5 x 5 x 5 convolutions without norms; the released plan of stages.",
            source=(
                "Milletari et al. 2016 (arXiv 1606.04797), stages as in the released Caffe network; seed 1 says "
                'only "2 to 3 convolutions a stage". stages=deep is the plan of the paper\'s figure (65.17 '
                "million parameters), stages=mattmacy with norm=plan the PyTorch port (45,603,934), which drops "
                "channels at random while training and repeats the image along the batch; neither is done here. "
                "Chosen here: the specification's norm unless norm=none, no norm over single images in the head, "
                "image channels repeated in turn where there are several, 1 x 1 x 1 heads for deep supervision."
            ),
            dims=(2, 3),
            spec=pyramid(
                (16, 32, 64, 128, 256),
                dims=3,
                inputs=1,
                outputs=2,
                name="vnet",
                kernels=((5, 5, 5),) * 5,
                encoder_blocks=(1, 1, 2, 3, 3),
                decoder_blocks=(1, 1, 2, 3),
                params={"norm": "none"},
            ),
            size=(64, 128, 128),
            parameters=61_982_682,
        ),
        "dense-vnet": NetInfo(
            "segwright.nets.densevnet:dense_vnet",
            about="Dense V-Net: three dense stacks at a half, a quarter and an eighth of the resolution; few "
            "parameters.",
            source=(
                "Gibson et al. 2018 (doi 10.1109/TMI.2018.2806309) and its released NiftyNet code, whose dilation "
                "is 1 everywhere; the baseline of the PDV-Net paper that seed 1 reads. Left out: the learned "
                "spatial prior, batch-wise channel dropout and the affine augmentation inside the network, all "
                "optional there. Chosen here: pooling and strided convolutions are centred on every second voxel; "
                "auxiliary heads if deep supervision is asked for."
            ),
            dims=(2, 3),
            spec=_dense("dense-vnet", params={"dropout": 0.5}),
            size=(144, 144, 144),
            parameters=873_570,
        ),
        "pdv-net": NetInfo(
            "segwright.nets.densevnet:pdv_net",
            about="PDV-Net: dense stacks whose results improve one another; made for lung lobes.",
            source=(
                "Imran et al. 2019 (arXiv 1902.06362) as seed 1 describes it. The seed has growth 4/6/8, Dense "
                "V-Net's code and a third-party PDV-Net 4/8/16, which is the default. Unstated there and chosen "
                "here: skip features 12/24/24 as in Dense V-Net, PReLU after the first convolution, a slope a "
                "channel, dropout of 0.2 in the stacks as in the third-party code, one 3 x 3 x 3 head a result "
                "with a bias, supervision of all three results, joining by concatenation (progress=add sums them "
                "instead)."
            ),
            dims=(2, 3),
            spec=_dense("pdv-net", params={"dropout": 0.2}, deep_supervision=True),
            size=(64, 512, 512),
            parameters=881_588,
        ),
        "smp": NetInfo(
            "segwright.nets.smp:smp",
            about="Any architecture of segmentation-models-pytorch over any of its encoders or of timm's, by name.",
            source="segmentation-models-pytorch (MIT), timm (Apache-2.0); pretrained weights carry licences of "
            "their own",
            dims=(2,),
            spec=pyramid(
                (64, 64, 256, 512, 1024, 2048),
                dims=2,
                inputs=3,
                outputs=29,
                name="smp",
                params={"architecture": "Unet", "encoder": "resnet50"},
            ),
            size=(1, 512, 512),
            parameters=32_525_165,
        ),
        "segresnet": _monai(
            "segresnet",
            "Residual encoder with a light decoder; winner of BraTS 2018.",
            "Myronenko 2018 (arXiv 1810.11654) as in MONAI, without the autoencoder branch",
            name="segresnet",
            widths=(32, 64, 128, 256),
            inputs=4,
            outputs=3,
            norm="group",
            encoder_blocks=(1, 2, 2, 4),
            decoder_blocks=(1, 1, 1),
            size=(128, 192, 160),
        ),
        "swinunetr": _monai(
            "swinunetr",
            "Shifted-window transformer encoder with a convolutional decoder.",
            "Hatamizadeh et al. 2022 (arXiv 2201.01266) as in MONAI",
            name="swinunetr",
            widths=(48, 48, 96, 192, 384, 768),
            inputs=4,
            outputs=3,
            norm="instance",
            size=(128, 128, 128),
        ),
        "mednext": _monai(
            "mednext",
            "U-Net of inverted bottlenecks with depthwise convolutions; size S, kernel 3.",
            "Roy et al. 2023 (arXiv 2303.09975) as in MONAI",
            name="mednext",
            widths=(32, 64, 128, 256, 512),
            inputs=1,
            outputs=2,
            norm="instance",
            size=(128, 128, 128),
        ),
        "dynunet": _monai(
            "dynunet",
            "nnU-Net's network as MONAI builds it.",
            "Isensee et al. 2021 (arXiv 1809.10486) as in MONAI",
            name="dynunet",
            widths=(32, 64, 128, 256, 320, 320),
            inputs=1,
            outputs=2,
            norm="instance",
            size=(128, 128, 128),
        ),
        "monai-attention-unet": _monai(
            "attention_unet",
            "U-Net with additive attention gates as MONAI builds it.",
            "Oktay et al. 2018 (arXiv 1804.03999) as in MONAI",
            name="monai-attention-unet",
            widths=(16, 32, 64, 128, 256),
            inputs=1,
            outputs=2,
            size=(96, 160, 160),
        ),
    },
)


def net_info(name: str) -> NetInfo:
    """What is known of a network; nothing of it is loaded.

    Raises:
        UnknownNameError: No such network.

    Example:
        >>> net_info("vnet").parameters
        61982682
    """
    return NETS.info(name, NetInfo)
