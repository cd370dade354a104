"""Finds and reads data sets that are not part of this package.

The user's folder, named by the environment variable ``TORCHRECURRENT_DATA``, is searched before
the operating system's. In it ``fashion-mnist/`` and ``mnist/`` hold the four files of each set
under their usual names, with or without ``.gz``, and ``text/`` holds texts.
"""

from __future__ import annotations

import gzip
import os
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..running.store import StudyError

__all__ = ["VARIABLE", "ImageSet", "Images", "load_images", "user_folder"]

VARIABLE = "TORCHRECURRENT_DATA"
#: Where Debian's package dataset-fashion-mnist puts its files.
DEBIAN = Path("/usr/share/datasets")

#: The sets of images by name.
ImageSet: TypeAlias = Literal["fashion-mnist", "mnist", "digits"]

CLASSES = 10
#: Height and width of the images of MNIST and Fashion-MNIST.
SIDE = 28


@dataclass(frozen=True)
class Images:
    """Images and their labels.

    Attributes:
        pixels: ``(N, height, width)``, uint8, 0 is black.
        labels: ``(N,)``, integers from 0 to 9.
        white: the largest value that a pixel can have.
    """

    pixels: Tensor
    labels: Tensor
    white: int

    def __len__(self) -> int:
        return len(self.pixels)

    def select(self, indices: Tensor) -> Images:
        """Return the images at the indices ``(M,)``, in their order."""
        return Images(self.pixels[indices], self.labels[indices], self.white)


def user_folder() -> Path | None:
    """The folder in ``TORCHRECURRENT_DATA``, if that is set."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else None


def load_images(name: ImageSet, part: Literal["train", "test"]) -> Images:
    """Return the official training or test images of a set.

    ``"digits"`` are scikit-learn's, 8 x 8, which have no official parts: all are ``"train"``.

    Raises:
        StudyError: if a file is missing or malformed; the message is one line.
        ValueError: if there is no such part.
    """
    if part not in ("train", "test") or (name == "digits" and part == "test"):
        raise ValueError(f"part: {name} has no part {part!r}")
    if name == "digits":
        return _digits()
    return _read_part(_folder(name), "train" if part == "train" else "t10k")


@cache
def _digits() -> Images:
    from sklearn.datasets import load_digits  # takes a second to import

    found = load_digits()
    pixels = torch.from_numpy(found.images.astype(np.uint8))
    return Images(pixels, torch.from_numpy(found.target.astype(np.int64)), white=16)


def _folder(name: str) -> Path:
    """Return the first folder that exists; if a file is missing in it, that is an error."""
    user = user_folder()
    places = [user / name] if user else []
    advice = f"or run with --set images=digits (8 x 8, in scikit-learn: no {name})"
    if name == "fashion-mnist":
        places.append(DEBIAN / name)
        advice = f"install Debian's dataset-fashion-mnist, {advice}"
    for place in places:
        if place.is_dir():
            return place
    looked = " or ".join(map(str, places)) if places else f"{VARIABLE}, which is not set"
    raise StudyError(
        f"images: no {name} in {looked}; set {VARIABLE} to a folder with {name}/ in it, {advice}"
    )


@cache
def _read_part(folder: Path, prefix: str) -> Images:
    images = _read_idx(folder, f"{prefix}-images-idx3-ubyte", 3)
    labels = _read_idx(folder, f"{prefix}-labels-idx1-ubyte", 1)
    where = f"images: {folder}/{prefix}-*"
    if images.shape[1:] != (SIDE, SIDE):
        size = " x ".join(map(str, images.shape[1:]))
        raise StudyError(f"{where}: expected images of {SIDE} x {SIDE}, got {size}")
    if len(images) != len(labels) or not len(images):
        raise StudyError(
            f"{where}: expected as many labels as images, and some, "
            f"got {len(labels)} labels and {len(images)} images"
        )
    if labels.max() >= CLASSES:
        raise StudyError(f"{where}: expected labels below {CLASSES}, got {labels.max()}")
    return Images(torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64)), white=255)


def _read_idx(folder: Path, name: str, dimensions: int) -> NDArray[np.uint8]:
    """The array of unsigned bytes in an IDX file, gzipped or not.

    The format: two zero bytes, 8 for the type, the number of dimensions; the size of each,
    four bytes, the highest first; the values.
    """
    path = next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)
    if path is None:
        raise StudyError(
            f"images: {folder} has neither {name} nor {name}.gz; put it there, "
            f"or set {VARIABLE} to a folder whose {folder.name}/ has it"
        )
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise _malformed(path, f"{type(error).__name__}: {error}") from error
    magic = bytes((0, 0, 8, dimensions))
    if content[:4] != magic:
        raise _malformed(path, f"it starts with {content[:4].hex()}, expected {magic.hex()}")
    header = 4 + 4 * dimensions
    sizes = [int.from_bytes(content[k : k + 4], "big") for k in range(4, header, 4)]
    expected = header + int(np.prod(sizes, dtype=object))
    if len(content) != expected:
        raise _malformed(path, f"it has {len(content)} bytes, expected {expected} of its sizes")
    return np.frombuffer(content, np.uint8, offset=header).reshape(sizes).copy()


def _malformed(path: Path, why: str) -> StudyError:
    return StudyError(f"images: {path} is not an IDX file of this set ({why}); replace it")
