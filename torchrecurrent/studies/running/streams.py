"""One independent stream of random numbers for each purpose."""

from __future__ import annotations

from hashlib import blake2b

import torch

__all__ = ["stream", "stream_seed"]


def stream_seed(*key: str | int) -> int:
    """A seed of 63 bits that depends on the key alone, the same on every machine."""
    digest = blake2b(repr(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def stream(*key: str | int) -> torch.Generator:
    """A generator that depends on the key alone.

    Purposes with keys of their own do not disturb each other: drawing one more validation
    sequence, say, leaves the training batches as they were.
    """
    return torch.Generator().manual_seed(stream_seed(*key))
