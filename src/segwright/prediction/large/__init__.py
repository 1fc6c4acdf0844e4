"""Volumes larger than memory: predicted by blocks, on one machine or a cluster, and always resumable."""
