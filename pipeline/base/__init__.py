"""Leaves that every package may import: errors in words, keyed randomness. They import nothing of the project."""
