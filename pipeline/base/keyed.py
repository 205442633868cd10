"""Counter-based randomness: every draw is a function of its key, and no state lives anywhere.

A key is a tuple such as `(seed, "crop", epoch, sample)`. Equal keys give equal draws in any process, on any machine
and in any order; that is what makes a batch a pure function of (recipe, dataset, seed, epoch, k).
"""

import hashlib

import numpy as np

Part = int | str


def key_bits(*parts: Part) -> int:
    """Return 128 bits that stand for the key. `("a", "bc")`, `("ab", "c")` and `(1,)`, `("1",)` give different bits."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")


def generator(*parts: Part) -> np.random.Generator:
    """Make a Philox generator keyed by `parts` (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3")."""
    return np.random.Generator(np.random.Philox(key=key_bits(*parts)))


def seed64(*parts: Part) -> int:
    """Derive a 63-bit seed for libraries that take one integer, such as `torch.manual_seed`."""
    return key_bits(*parts) >> 65
