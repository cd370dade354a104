"""Verdicts on kernels, in one JSON file in the cache directory.

Each is under a digest of all that it depends on. A file that is damaged, or that others could have
written, holds no verdicts. It is replaced as a whole, under a lock, so that no process sees half
of it or undoes what another one has added.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .directory import CacheError, check_ours, open_directory
from .locks import file_lock

__all__ = ["NAME", "Verdict", "alone", "every", "forget", "keep", "known"]

#: The file.
NAME = "trust.json"
#: Verdicts in the file; beyond them the oldest go.
_MOST = 4096
#: Seconds to wait for another process that checks the same kernel, or that writes the file.
_PATIENCE, _WRITING = 60.0, 10.0
#: Errors of a file that is missing, not ours, or has other contents than those written here.
_UNREADABLE = (
    ValueError, RecursionError, TypeError, LookupError, AttributeError, CacheError, OSError,
)  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """What a check of a kernel has shown."""

    #: What is wrong with it; empty if nothing is.
    fault: str
    #: What was checked, and where, for a reader.
    about: Mapping[str, str] = field(default_factory=dict)


def known(digest: str) -> Verdict | None:
    """Return the verdict under a digest; ``None``: there is none."""
    return every().get(digest)


def every() -> dict[str, Verdict]:
    """Return all verdicts by their digests, the oldest first."""
    with suppress(*_UNREADABLE):
        return _read(open_directory() / NAME)
    return {}


def keep(digest: str, verdict: Verdict) -> None:
    """Add a verdict to the file.

    Raises:
        CacheError: if the directory is not safe to use.
        OSError: if it cannot be written.
    """
    folder = open_directory()
    with file_lock(folder / f"{NAME}.lock", _WRITING):
        found: dict[str, Verdict] = {}
        with suppress(*_UNREADABLE):
            found = _read(folder / NAME)
        found.pop(digest, None)
        newest = [*found.items(), (digest, verdict)][-_MOST:]
        text = json.dumps({name: asdict(each) for name, each in newest}, indent=1)
        descriptor, path = tempfile.mkstemp(prefix=f".{NAME}-", dir=folder)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            Path(path).replace(folder / NAME)
        except OSError:
            Path(path).unlink(missing_ok=True)
            raise


def forget(folder: Path) -> None:
    """Remove all verdicts from a directory."""
    (folder / NAME).unlink(missing_ok=True)


@contextmanager
def alone(digest: str) -> Iterator[None]:
    """Keep other processes of this machine from checking the same kernel, for a minute at most."""
    with ExitStack() as stack:
        with suppress(CacheError, OSError):  # the directory may only be read, or not at all
            stack.enter_context(file_lock(open_directory() / f"{digest}.lock", _PATIENCE))
        yield


def _read(path: Path) -> dict[str, Verdict]:
    """Return what a file says; raises one of several errors if it is not one of ours."""
    check_ours(path)
    told = json.loads(path.read_bytes())
    return {
        digest: Verdict(_text(each["fault"]), {k: _text(v) for k, v in each["about"].items()})
        for digest, each in told.items()
    }


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a string, got {value!r}")
    return value
