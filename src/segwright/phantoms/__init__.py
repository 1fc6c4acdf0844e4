"""Scans drawn from a seed, with their labels, so that demos, docs and tests need no patient and no download.

A row is a function `(seed, patient, view=0) -> Phantom`: the patient fixes the anatomy, the view fixes
posture, exposure and noise.
"""

from segwright.core.registry import Registry

PHANTOMS = Registry(
    "segwright.phantoms",
    {
        "spine-xray": "segwright.phantoms.spine:spine_xray",
        "vertebrae-xray": "segwright.phantoms.spine:vertebrae_xray",
        "tumour-mri": "segwright.phantoms.tumour:tumour_mri",
        "prostate-mri": "segwright.phantoms.prostate:prostate_mri",
        "mitochondria-em": "segwright.phantoms.mitochondria:mitochondria_em",
        "lobes-ct": "segwright.phantoms.lobes:lobes_ct",
        "hand-xray": "segwright.phantoms.hand:hand_xray",
        "nuclei": "segwright.phantoms.nuclei:nuclei",
        "liver-mri": "segwright.phantoms.liver:liver_mri",
    },
)
