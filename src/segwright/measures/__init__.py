"""Measures of segmented structures: what a radiologist would draw with a ruler."""

from __future__ import annotations

from segwright.core.registry import Registry

__all__ = ["MEASURES"]

#: Names to `Measure` objects `(subject, **options) -> Taken`.
MEASURES = Registry(
    "segwright.measures",
    {
        "size": "segwright.measures.shapes:size",
        "axes": "segwright.measures.shapes:axes",
        "cobb": "segwright.measures.cobb:cobb",
        "cardiothoracic": "segwright.measures.cardiothoracic:cardiothoracic",
    },
)
