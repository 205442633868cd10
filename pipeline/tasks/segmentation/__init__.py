"""Segmentation: a class a pixel."""
