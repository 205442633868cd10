"""The three published AutoAugment policies, 25 sub-policies each (Cubuk et al. 2019, tables 7 to 9).

As they are in torchvision; ImageNet's holds five sub-policies twice. Magnitudes are indices 0..9.
"""
