"""Outlines of the VGG Image Annotator."""
