"""Compiled C, kept in the user's cache directory and loaded from there.

A kernel is two files, named by the digest of all that it depends on: the library and, in JSON, its
size and digest. The library is moved into place before its description, both atomically, and is
only loaded when the two agree: to load a library that is cut short can end the process. So nothing
that a killed build, a full disk or a second process leaves behind is ever run.

Where the directory cannot be used, the kernel is compiled for this process alone.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .compiler import Compiler, CompilerError, HangError, build, find_compiler, target, time_limit

__all__ = ["CacheError", "clear", "directory", "load", "state"]

DIRECTORY_VARIABLE = "TORCHRECURRENT_CACHE_DIR"

# The directory may be one where the user has other things: these are the names to remove.
_FILE = re.compile(r"[0-9a-f]{64}\.(so|json|lock)")
_BUILD_PREFIX = ".torchrecurrent-build-"
_STALE_SECONDS = 3600.0
_POLL_SECONDS = 0.02

_libraries: dict[str, ctypes.CDLL] = {}
_key_locks: dict[str, threading.Lock] = {}
_key_locks_guard = threading.Lock()
_lock_descriptors: set[int] = set()
_warned = False


class CacheError(RuntimeError):
    """The cache directory cannot be used; the message says why."""


def load(source: str) -> ctypes.CDLL:
    """The library of a C source: from this process, from the cache, or compiled now.

    Trouble with the cache never gets out of here: it is warned about once in a process.

    Raises:
        CompilerError: if there is no compiler, the source does not compile, the compiler hangs,
            or what it made cannot be loaded anywhere.
    """
    compiler = find_compiler()
    parts = (source, compiler.path, compiler.version, *compiler.arguments, *target())
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    with _key_locks_guard:
        lock = _key_locks.setdefault(key, threading.Lock())
    with lock:
        if key not in _libraries:
            _libraries[key] = _obtain(key, source, compiler)
        return _libraries[key]


def directory() -> Path:
    """Where kernels are kept: ``TORCHRECURRENT_CACHE_DIR``, or in the user's cache directory.

    Raises:
        CacheError: if the user has no home.
    """
    try:
        if chosen := os.environ.get(DIRECTORY_VARIABLE):
            return Path(chosen).expanduser().absolute()
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "torchrecurrent"
        base = Path(os.environ.get("XDG_CACHE_HOME", ""))
        # A relative one is to be ignored, says the XDG specification.
        return (base if base.is_absolute() else Path.home() / ".cache") / "torchrecurrent"
    except (RuntimeError, OSError) as error:
        raise CacheError(f"there is no cache directory: {error}") from error


def state() -> dict[str, object]:
    """The cache, for a report to the user.

    Returns:
        ``directory`` (``None`` without a home), ``usable``, ``reason`` (why it is not, or
        ``None``), ``kernels`` (how many there are) and ``bytes`` (of all their files).
    """
    found: dict[str, object] = {"directory": None, "kernels": 0, "bytes": 0}
    reason: str | None = None
    try:
        found["directory"] = str(directory())
        folder = _open_directory()
        paths = _files(folder)
        found["kernels"] = sum(path.suffix == ".so" for path in paths)
        found["bytes"] = sum(path.stat().st_size for path in paths)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(1 << 16))  # as much as a kernel: a full disk takes an empty file
    except (CacheError, OSError) as error:
        reason = str(error)
    return {**found, "usable": reason is None, "reason": reason}


def clear() -> int:
    """Remove all kernels from the directory; those that this process has loaded stay loaded.

    Returns:
        How many there were.

    Raises:
        CacheError: if the directory is not safe to use.
        OSError: if it cannot be made, read or written.
    """
    folder = _open_directory()
    _sweep(folder)
    paths = _files(folder)
    for path in paths:
        path.unlink(missing_ok=True)
    return sum(path.suffix == ".so" for path in paths)


def _obtain(key: str, source: str, compiler: Compiler) -> ctypes.CDLL:
    try:
        return _from_cache(key, source, compiler)
    except HangError:
        raise  # it would hang elsewhere too
    # Out of space, the compiler fails as it does on a wrong source: the second try tells.
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
    folder = _open_directory()
    # Without the lock first: what is only read may be on a read-only disk.
    if (library := _read(folder, key)) is not None:
        return library
    with _file_lock(folder / f"{key}.lock", time_limit()):
        if (library := _read(folder, key)) is not None:
            return library  # another process has just made it
        for suffix in (".json", ".so"):
            (folder / f"{key}{suffix}").unlink(missing_ok=True)
        _sweep(folder)
        with _build_folder(folder) as private:
            library = build(private, source, compiler)  # only what loads is worth keeping
            try:
                _publish(private / "kernel.so", folder, key, compiler)
            except OSError as error:  # it is loaded: nothing to do again
                _warn_once(str(error))
            return library


@contextmanager
def _build_folder(parent: Path | None) -> Iterator[Path]:
    """A private folder (mode 0700). A loaded library outlives its file, so it can go at once."""
    # Not a TemporaryDirectory: a child forked during a build would remove it when it exits.
    name = tempfile.mkdtemp(prefix=_BUILD_PREFIX, dir=parent)
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
    }
    text = built.with_suffix(".json")
    text.write_text(json.dumps(description, indent=1), encoding="utf-8")
    built.replace(folder / f"{key}.so")
    text.replace(folder / f"{key}.json")


def _proof(library: Path, key: str) -> dict[str, object]:
    content = library.read_bytes()
    return {"key": key, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _read(folder: Path, key: str) -> ctypes.CDLL | None:
    """The library, if it is there, whole, and loads."""
    path = folder / f"{key}.so"
    # What is not JSON, or nested too deep; what is not there, not ours, or does not load.
    with suppress(ValueError, RecursionError, CacheError, OSError):
        description = json.loads((folder / f"{key}.json").read_bytes())
        if isinstance(description, dict) and _proof(path, key).items() <= description.items():
            _check_ours(path)  # it may be from a time when others could write here
            return ctypes.CDLL(str(path))
    return None


def _open_directory() -> Path:
    """The directory, made if need be; CacheError or OSError if it cannot be used."""
    folder = Path(os.path.realpath(directory()))
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
    if not folder.is_dir():
        raise CacheError(f"{folder} is not a directory")
    _check_ours(folder)
    return folder


def _check_ours(path: Path) -> None:
    """Who can write a library here can run code as this user."""
    found = path.stat()
    if found.st_uid != os.geteuid():
        raise CacheError(f"{path} is owned by another user ({found.st_uid})")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise CacheError(f"{path} can be written by other users (chmod go-w makes it right)")


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if _FILE.fullmatch(path.name)]


def _sweep(folder: Path) -> None:
    """Remove what builds that were killed left behind."""
    for path in folder.glob(f"{_BUILD_PREFIX}*"):
        with suppress(OSError):  # another process may be sweeping too
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _file_lock(path: Path, seconds: float) -> Iterator[None]:
    """Hold ``path`` against other processes; the kernel lets go of it when this one dies.

    It only saves work. Where it is not to be had within ``seconds``, or the file system has no
    locks, the block runs without: what is moved into place is whole in any case.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    _lock_descriptors.add(descriptor)
    held = False
    try:
        held = _acquire(descriptor, time.monotonic() + seconds)
        yield
    finally:
        if held:
            # Who waits on the removed file, and who makes a new one, finds the kernel there.
            with suppress(OSError):
                path.unlink()
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a forked child may have it open too
        _lock_descriptors.discard(descriptor)
        os.close(descriptor)


def _acquire(descriptor: int, deadline: float) -> bool:
    while time.monotonic() < deadline:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(_POLL_SECONDS)
        except OSError:  # no locks on this file system
            return False
    return False


def _warn_once(trouble: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        message = f"compiled kernels cannot be kept, so each process compiles its own: {trouble}"
        warnings.warn(f"{message} ({DIRECTORY_VARIABLE} names another place)", stacklevel=4)


def _after_fork_in_child() -> None:
    """The threads that held the locks are not in the child; what was loaded is."""
    global _key_locks_guard
    _key_locks_guard = threading.Lock()
    _key_locks.clear()
    # Open here as well, the parent's lock files would stay locked beyond its death.
    for descriptor in _lock_descriptors:
        with suppress(OSError):
            os.close(descriptor)
    _lock_descriptors.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
