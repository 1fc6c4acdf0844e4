"""Outlines and masks of CVAT, one XML file for all images."""
