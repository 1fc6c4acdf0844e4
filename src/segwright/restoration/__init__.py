"""Replaces spoiled sections of a stack by what their clean neighbours tell."""
