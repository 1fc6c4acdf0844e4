"""Random changes of training batches: drawn from one generator, applied on any device, in 2-D and 3-D alike."""

from segwright.core.registry import Registry

AUGMENTS = Registry(
    "segwright.augments",
    {
        "spatial": "segwright.augment.spatial:Spatial",
        "mirror": "segwright.augment.spatial:Mirror",
        "brightness": "segwright.augment.intensity:Brightness",
        "contrast": "segwright.augment.intensity:Contrast",
        "gamma": "segwright.augment.intensity:Gamma",
        "noise": "segwright.augment.intensity:Noise",
        "blur": "segwright.augment.intensity:Blur",
        "low_resolution": "segwright.augment.intensity:LowResolution",
        "blank_boxes": "segwright.augment.boxes:BlankBoxes",
        "cutmix": "segwright.augment.boxes:CutMix",
        "cut_blur": "segwright.augment.boxes:CutBlur",
        "cut_noise": "segwright.augment.boxes:CutNoise",
        "missing_sections": "segwright.augment.sections:MissingSections",
        "shifted_section": "segwright.augment.sections:ShiftedSection",
        "misalignment": "segwright.augment.sections:Misalignment",
        "motion_blur": "segwright.augment.sections:MotionBlur",
    },
)
