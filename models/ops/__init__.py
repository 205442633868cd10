"""What detectors share: boxes and their coders, priors, and non-maximum suppression. Tensors in, tensors out."""
