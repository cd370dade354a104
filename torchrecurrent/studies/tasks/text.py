"""Reads real texts as sequences of characters, in a training, a validation and a test part."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..running.store import StudyError
from .datasets import VARIABLE, user_folder

__all__ = ["Corpus", "corpus", "read_text"]

#: The fractions at which the validation part and the test part begin.
SPLIT = (0.9, 0.95)
SHORTEST = 1000
WHOLE_BIBLE = ("bible", "-f", "gen1:1-rev22:21")
#: As in ``Ge1:1 In the beginning``.
VERSE = re.compile(r"^\w+:\d+ ", re.MULTILINE)


@dataclass(frozen=True)
class Corpus:
    """A text cut into three parts, with a class for each character.

    Attributes:
        characters: those of the training part, sorted; their places are their classes. All
            others share one more class, ``len(characters)``.
        training: the first 90 % of the text, ``(N,)``, int32.
        validation: the next 5 %.
        test: the last 5 %.
    """

    characters: str
    training: Tensor
    validation: Tensor
    test: Tensor

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.characters) + 1


def corpus(name: str) -> Corpus:
    """Return a text by its name, cut into three parts.

    Raises:
        StudyError: as :func:`read_text`.
    """
    return _cut(read_text(name))


def read_text(name: str) -> str:
    """Return a text of the user's or one of the known ones.

    ``text/<name>.txt`` in the folder that ``TORCHRECURRENT_DATA`` names is used if it exists.
    Otherwise ``"kjv"`` is the King James Bible without the references, as Debian's program
    ``bible`` prints it, and ``"python"`` the documentation in Python's standard library, which
    differs from one version of Python to the next.

    Raises:
        StudyError: if there is no such text, or it is too short; the message is one line.
    """
    user = user_folder()
    path = user / "text" / f"{name}.txt" if user else None
    if path is not None and path.is_file():
        return _of_file(path)
    if name in _OWN:
        return _OWN[name]()
    place = f"no {path}" if path is not None else f"{VARIABLE} is not set"
    raise StudyError(
        f"text: expected {' or '.join(_OWN)}, or a name with a file text/{name}.txt in the "
        f"folder that {VARIABLE} names, got {name!r}: {place}"
    )


@cache
def _of_file(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"text: could not read {path} as UTF-8: {error}") from error
    if len(text) < SHORTEST:
        raise StudyError(
            f"text: expected at least {SHORTEST} characters in {path}, got {len(text)}"
        )
    return text


@cache
def _bible() -> str:
    advice = (
        "install Debian's bible-kjv, put text/kjv.txt into a folder and set "
        f"{VARIABLE} to it, or run with --set text=python"
    )
    program = shutil.which(WHOLE_BIBLE[0])
    if program is None:
        raise StudyError(f"text: kjv is read from the program bible, which is not here; {advice}")
    try:
        text = subprocess.run(
            [program, *WHOLE_BIBLE[1:]],
            check=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
            timeout=60,
        ).stdout
    except (OSError, UnicodeDecodeError, subprocess.SubprocessError) as error:
        raise StudyError(f"text: {program} failed ({error}); {advice}") from error
    verses, count = VERSE.subn("", text)
    if count != text.count("\n") or len(verses) < SHORTEST:
        raise StudyError(f"text: {program} does not print a verse a line; {advice}")
    return verses


@cache
def _documentation() -> str:
    try:
        from pydoc_data.topics import topics
    except ImportError as error:  # some systems package it separately
        raise StudyError(
            "text: python is read from the standard library's pydoc_data, which is not here; "
            "install all of the standard library, or run with --set text=kjv"
        ) from error
    return "\n".join(topics[each] for each in sorted(topics))


_OWN: dict[str, Callable[[], str]] = {"kjv": _bible, "python": _documentation}


@cache
def _cut(text: str) -> Corpus:
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    first, second = (int(share * len(codes)) for share in SPLIT)
    known = np.unique(codes[:first])
    places = np.searchsorted(known, codes).clip(max=len(known) - 1)
    classes = np.where(known[places] == codes, places, len(known)).astype(np.int32)
    training, validation, test = torch.from_numpy(classes).tensor_split((first, second))
    return Corpus("".join(map(chr, known.tolist())), training, validation, test)
