"""Compiled C, kept in the user's cache directory and loaded from there.

A kernel is two files, named by the digest of all that it depends on: the library and, in JSON, its
size and digest. The library is moved into place before its description, both atomically, and is
only loaded when the two agree: loading a truncated library can end the process. So nothing
that a killed build, a full disk or a second process leaves behind is ever run.

The first part of the name says what the library computes, the second which compiler made it and
for which CPU. Without a compiler, any library that computes the same is used if this CPU has all
the instructions it was built for, so a directory can be filled on another machine.

If the directory cannot be used, the kernel is compiled for this process alone.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..disk import verdicts
from ..disk.directory import (
    DIRECTORY_VARIABLE,
    CacheError,
    check_ours,
    directory,
    open_directory,
)
from ..disk.locks import file_lock, reading
from .calling import time_limit
from .compiler import Compiler, CompilerError, HangError, build, find_compiler
from .eviction import evict, size_limit, use
from .kernel_files import BUILD_PREFIX, kernel_files, sweep, zig_bytes
from .target import SUFFIX, cpu_features, instructions, target
from .zig import FOLDER

__all__ = ["CacheError", "clear", "directory", "load", "state"]

#: Digits of a name that say what the library computes; 16 more say what made it.
_MEANING = 48

#: Errors of a description that is not JSON, is nested too deeply or has other contents than those
#: written here, and of a file that is missing, not ours, or does not load.
_UNREADABLE = (ValueError, RecursionError, LookupError, TypeError, CacheError, OSError)

_libraries: dict[str, ctypes.CDLL] = {}
_key_locks: dict[str, threading.Lock] = {}
_key_locks_guard = threading.Lock()
_warned = False


def load(source: str) -> ctypes.CDLL:
    """Return the library of a C source: from this process, from the cache, or compiled now.

    Failures of the cache are not raised: the first one in a process is reported as a warning.

    Raises:
        CompilerError: if there is no compiler, the source does not compile, the compiler hangs,
            or the library cannot be loaded from any folder.
    """
    meaning = _digest(source, *target())[:_MEANING]
    try:
        compiler = find_compiler()
    except CompilerError as error:
        return _made_elsewhere(meaning, error)
    maker = (compiler.path, compiler.version, *compiler.arguments, cpu_features())
    key = meaning + _digest(*maker)[_MEANING:]
    with _lock_of(key):
        if key not in _libraries:
            _libraries[key] = _obtain(key, source, compiler)
        return _libraries[key]


def state() -> dict[str, object]:
    """Describe the cache for a report to the user.

    Returns:
        ``directory`` (``None`` without a home), ``usable``, ``reason`` (why it is not, or
        ``None``), ``kernels`` (how many there are), ``bytes`` (of all their files), ``limit``
        (to these) and ``zig`` (bytes of Zig's own files).
    """
    found: dict[str, object] = {"directory": None, "kernels": 0, "bytes": 0, "limit": 0, "zig": 0}
    reason: str | None = None
    try:
        found["directory"] = str(directory())
        found["limit"] = size_limit()
        folder = open_directory()
        paths = kernel_files(folder)
        found["kernels"] = sum(path.suffix == SUFFIX for path in paths)
        found["bytes"] = sum(path.stat().st_size for path in paths)
        found["zig"] = zig_bytes(folder)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(1 << 16))  # the size of a kernel: a full disk accepts an empty file
    except (CacheError, OSError) as error:
        reason = str(error)
    return {**found, "usable": reason is None, "reason": reason}


def clear() -> int:
    """Remove all kernels from the directory, and the verdicts on those of GPUs.

    What this process has loaded stays loaded.

    Returns:
        How many there were.

    Raises:
        CacheError: if the directory is not safe to use.
        OSError: if it cannot be made, read or written.
    """
    folder = open_directory()
    sweep(folder)
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
    verdicts.forget(folder)
    paths = kernel_files(folder)
    for path in paths:
        path.unlink(missing_ok=True)
    return sum(path.suffix == SUFFIX for path in paths)


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _lock_of(key: str) -> threading.Lock:
    with _key_locks_guard:
        return _key_locks.setdefault(key, threading.Lock())


def _made_elsewhere(meaning: str, error: CompilerError) -> ctypes.CDLL:
    """Return a library made by another compiler or machine, or raise ``error``."""
    with _lock_of(meaning):
        if meaning in _libraries:
            return _libraries[meaning]
        with suppress(CacheError, OSError):
            folder = open_directory()
            for path in sorted(folder.glob(f"{meaning}*.json")):
                if (library := _read(folder, path.stem, made_here=False)) is not None:
                    return _libraries.setdefault(meaning, library)
    raise error


def _obtain(key: str, source: str, compiler: Compiler) -> ctypes.CDLL:
    try:
        return _from_cache(key, source, compiler)
    except HangError:
        raise  # it would hang in another folder too
    # Out of space, the compiler fails as it does on a faulty source: the second try tells which.
    except (CacheError, CompilerError, OSError) as error:
        trouble = str(error)
    try:
        with _build_folder(None) as folder:
            library = build(folder, source, compiler)
    except OSError as error:
        message = f"no kernel can be compiled and loaded, neither in the cache ({trouble}) nor"
        raise CompilerError(f"{message} in a temporary directory ({error})") from error
    _warn_once(trouble)
    return library


def _from_cache(key: str, source: str, compiler: Compiler) -> ctypes.CDLL:
    folder = open_directory()
    size_limit()  # an invalid limit is reported before anything is compiled
    # First without the lock: a kernel that is only read may be on a read-only disk.
    if (library := _read(folder, key)) is not None:
        return library
    with file_lock(folder / f"{key}.lock", time_limit()):
        if (library := _read(folder, key)) is not None:
            return library  # another process has just made it
        for suffix in (".json", SUFFIX):
            (folder / f"{key}{suffix}").unlink(missing_ok=True)
        sweep(folder)
        with _build_folder(folder) as private:
            # Keep only a library that loads.
            library = build(private, source, compiler, folder / FOLDER)
            try:
                _publish(private / f"kernel{SUFFIX}", folder, key, compiler)
                evict(folder, key)
            except OSError as error:  # it is loaded: no need to build it again
                _warn_once(str(error))
            return library


@contextmanager
def _build_folder(parent: Path | None) -> Iterator[Path]:
    """A private folder (mode 0700). A loaded library outlives its file, so it can go at once."""
    # Not a TemporaryDirectory: a child forked during a build would remove it when it exits.
    name = tempfile.mkdtemp(prefix=BUILD_PREFIX, dir=parent)
    try:
        yield Path(name)
    finally:
        shutil.rmtree(name, ignore_errors=True)


def _publish(built: Path, folder: Path, key: str, compiler: Compiler) -> None:
    description = {
        **_proof(built, key),
        "compiler": [compiler.path, *compiler.arguments],
        "version": compiler.version,
        "target": target(),
        "instructions": sorted(instructions()),
    }
    text = built.with_suffix(".json")
    text.write_text(json.dumps(description, indent=1), encoding="utf-8")
    built.replace(folder / f"{key}{SUFFIX}")
    text.replace(folder / f"{key}.json")


def _proof(library: Path, key: str) -> dict[str, object]:
    content = library.read_bytes()
    return {"key": key, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _read(folder: Path, key: str, made_here: bool = True) -> ctypes.CDLL | None:
    """Return the library if it exists, is whole and loads here; ``None`` if not.

    One built for another CPU is taken if this CPU has all its instructions.
    """
    path = folder / f"{key}{SUFFIX}"
    with suppress(*_UNREADABLE), reading(path):
        told = json.loads((folder / f"{key}.json").read_bytes())
        if isinstance(told, dict) and _proof(path, key).items() <= told.items():
            check_ours(path)  # others may have been able to write here when it was made
            if made_here or instructions().issuperset(told["instructions"]):
                library = ctypes.CDLL(str(path))
                use(folder, key)
                return library
    return None


def _warn_once(trouble: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        message = f"compiled kernels cannot be kept, so each process compiles its own: {trouble}"
        warnings.warn(f"{message} ({DIRECTORY_VARIABLE} names another place)", stacklevel=4)


def _after_fork_in_child() -> None:
    """Make new locks: their holders are not in the child. Loaded libraries stay."""
    global _key_locks_guard
    _key_locks_guard = threading.Lock()
    _key_locks.clear()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_after_fork_in_child)
