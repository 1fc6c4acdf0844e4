"""Segmentations of 3D Slicer: NRRD label maps whose header names the segments of each layer."""
