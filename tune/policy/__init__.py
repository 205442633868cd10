"""Searches for augmentation policies: Fast AutoAugment's density matching, RandAugment's grid, PBA, AutoAugment."""
