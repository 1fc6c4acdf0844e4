"""Outlines as YOLO trains on them: a text file an image, class numbers, corners as shares of width and height."""
