"""segwright: a folder of labelled scans in, a segmenter you can trust out."""

__version__ = "0.1.0"
