"""Scans drawn from a seed, with their labels, so that demos, docs and tests need no patient and no download.

A row is a function `(seed, patient, view=0) -> Phantom`: the patient fixes the anatomy, the view fixes
posture, exposure and noise.
"""

from segwright.core.registry import Registry

PHANTOMS = Registry(
    "segwright.phantoms",
    {
        "spine-xray": "segwright.phantoms.spine:spine_xray",
        "tumour-mri": "segwright.phantoms.tumour:tumour_mri",
    },
)
