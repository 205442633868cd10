"""Zoetrope: raw videos and images in, a trained and tracked model out."""
