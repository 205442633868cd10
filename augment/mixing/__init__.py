"""Mixing the samples of a batch on the device: mixup, CutMix, RICAP, mosaic, sample pairing, or a draw among them.

Pixels are float `[n, ..., H, W]` as the model gets them, so images `[n, 3, H, W]` and clips `[n, 3, T, H, W]` are one
case and all frames of a clip get the one draw. Mixing after normalisation gives what mixing before it would, since the
weights sum to 1; and nothing is rounded to whole grey levels.

Samples are mixed inside groups of neighbours, each group with its own keyed draw, so what comes out does not depend on
the number of ranks or micro-batches. In a group of g, the partner of sample i is (i + shift) % g. Where there are
enough samples, mixup and CutMix take another one than i, and RICAP four different ones.
"""
