"""Independent streams of random numbers, one for each purpose."""

from __future__ import annotations

from hashlib import blake2b

import torch

__all__ = ["stream", "stream_seed"]


def stream_seed(*key: str | int) -> int:
    """Return a seed of 63 bits that depends only on the key, the same on every machine."""
    digest = blake2b(repr(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def stream(*key: str | int) -> torch.Generator:
    """Return a generator that depends only on the key.

    Purposes with separate keys do not affect each other: drawing one more validation
    sequence, say, leaves the training batches unchanged.
    """
    return torch.Generator().manual_seed(stream_seed(*key))
