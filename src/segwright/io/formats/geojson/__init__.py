"""Outlines as QuPath exports them: GeoJSON features in pixels."""
