"""Figures as PNG files: curves, bars, confusion matrices and sheets of samples."""
