"""Volumes of neuroimaging beside NIfTI, read by nibabel: FreeSurfer MGH and MGZ, MINC 1 and 2, Philips PAR/REC."""
