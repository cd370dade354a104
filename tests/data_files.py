"""Data files as a user or a system would have them, and texts."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import torch
from torch import Tensor

from torchrecurrent.studies.tasks import datasets
from torchrecurrent.studies.tasks.datasets import VARIABLE

NAMES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def idx(array: Tensor) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes((0, 0, 8, array.dim())) + sizes + array.numpy().tobytes()


def write_set(folder: Path, *, zipped: bool = False, train: int = 12, test: int = 5) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", train), ("test", test)):
        pixels = torch.randint(256, (count, 28, 28), dtype=torch.uint8)
        labels = (torch.arange(count) % 3).to(torch.uint8)
        for name, array in zip(NAMES[part], (pixels, labels), strict=True):
            if zipped:
                (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
            else:
                (folder / name).write_bytes(idx(array))


def write_text(folder: Path, name: str, content: str) -> None:
    (folder / "text").mkdir(exist_ok=True)
    (folder / "text" / f"{name}.txt").write_text(content, encoding="utf-8")


def hide_what_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without data sets."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(datasets, "DEBIAN", tmp_path / "debian")
