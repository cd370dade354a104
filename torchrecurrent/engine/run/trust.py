"""Lets a kernel run on a device once it has proved itself there, in the form that a call needs.

A proof takes a fraction of a second beyond compiling, once for each machine and version: what was
found is kept in the user's cache directory (:mod:`..disk.verdicts`). A wrong kernel is never
launched again. What may pass, a lack of memory for instance, is kept for this process only.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any, Literal, cast

import torch

from ..disk import verdicts
from ..disk.directory import CacheError
from ..disk.verdicts import Verdict
from ..gpu.cuda_graphs import settings
from ..gpu.driver import driver_version
from ..program.form import Form
from . import trial
from .kernels import Fused
from .trial import Trial, Tried

if TYPE_CHECKING:
    from ...cell import BaseRecurrentCell

__all__ = ["VARIABLE", "doubt", "mode"]

VARIABLE = "TORCHRECURRENT_TRUST"
Mode = Literal["check", "always", "never"]
_MODES = ("check", "always", "never")

#: Errors of a kernel, after which a process can't use the device any more.
_CRASHES = ("illegal memory access", "misaligned address", "illegal instruction", "device-side")


#: By all that a verdict depends on, without a digest: why kernels don't run; empty if they do.
_settled: dict[object, str] = {}
_locks: dict[str, threading.Lock] = {}
_guard = threading.Lock()


def mode() -> Mode:
    """Return what ``TORCHRECURRENT_TRUST`` says of kernels that have not been proved.

    Raises:
        ValueError: if it says something unknown.
    """
    name = os.environ.get(VARIABLE, "check")
    if name not in _MODES:
        raise ValueError(f"{VARIABLE} should be one of {_MODES}, got {name!r}")
    return cast("Mode", name)


def doubt(
    cell: BaseRecurrentCell,
    found: Fused,
    kernel: Tried,
    dtype: torch.dtype,
    device: torch.device,
    forms: Sequence[Form],
) -> str:
    """Return why a kernel can't be trusted in some forms; empty if it can. It may be tried now.

    Args:
        cell: one of its cells.
        found: what the kernel computes.
        kernel: the kernel, for tensors of one dtype.
        dtype: of these tensors.
        device: where they are.
        forms: those in which it would run.
    """
    chosen = mode()
    if chosen == "never":
        return f"{VARIABLE}=never lets no kernel run on {device.type!r}"
    if chosen == "always":
        return ""
    flags = settings()
    for form in forms:
        key = (found, dtype, device, flags, form)
        reason = _settled.get(key)
        if reason is None:
            if device.type == "cuda" and torch.cuda.is_current_stream_capturing():
                return (
                    "its kernels have not been checked on this device, and can't be while a CUDA "
                    "graph is captured; call the layer once before"
                )
            reason = _settled[key] = _settle(Trial(cell, found, kernel, dtype, device, form))
        if reason:
            return reason
    return ""


def _settle(tried: Trial) -> str:
    """Return why a kernel is not to run in one form: what is known, or what a trial shows."""
    parts = _parts(tried)
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    with _lock_of(digest):
        verdict = verdicts.known(digest)
        if verdict is None:
            with verdicts.alone(digest):
                verdict = verdicts.known(digest)  # another process may just have found it
                if verdict is None:
                    try:
                        fault = _in_a_thread(tried)
                    except Exception as error:  # Triton's and the drivers' have no base in common
                        fault = f"{type(error).__name__}: {error}".splitlines()[0]
                        if not any(each in fault for each in _CRASHES):
                            return f"its kernels could not be checked on this device: {fault}"
                    about = {k: v for k, v in parts.items() if k not in ("text", "code")}
                    verdict = Verdict(fault, about)
                    with suppress(CacheError, OSError):  # then each process checks for itself
                        verdicts.keep(digest, verdict)
                    if fault:
                        _warn(tried, fault)
    if not verdict.fault:
        return ""
    hint = "; TORCHRECURRENT_CUDA_GRAPHS=0 runs them without graphs" if tried.form.replay else ""
    return f"a check of its kernels on this device ({tried.form}) has failed: {verdict.fault}{hint}"


def _parts(tried: Trial) -> dict[str, str]:
    """Return all that a verdict depends on."""
    found, device = tried.fused, tried.device
    return {
        **tried.kernel.made_of,
        "cell": found.name,
        "form": str(tried.form),
        "dtype": str(tried.dtype).removeprefix("torch."),
        "input": str(found.input_size),
        "widths": " ".join(map(str, found.plan.widths)),
        "torch": str(torch.__version__),
        "device": _name_of(device),
        "driver": driver_version() if device.type == "cuda" else "",
        "settings": " ".join(map(str, settings())),
    }


def _name_of(device: torch.device) -> str:
    if device.type != "cuda":
        return device.type
    major, minor = torch.cuda.get_device_capability(device)
    return f"{torch.cuda.get_device_name(device)}, {major}.{minor}"


def _in_a_thread(tried: Trial) -> str:
    """Try a kernel in a thread of its own, which has none of the modes of torch of this one.

    Tracers, autocast, inference mode and the hooks of a checkpoint on saved tensors are a
    thread's own.
    """

    def run() -> str:
        is_cuda = tried.device.type == "cuda"
        guard: Any = torch.cuda.device(tried.device) if is_cuda else nullcontext()
        with guard:
            return trial.fault(tried)

    with ThreadPoolExecutor(1, thread_name_prefix="torchrecurrent-trial") as pool:
        return pool.submit(run).result()


def _warn(tried: Trial, fault: str) -> None:
    found, device = tried.fused, tried.device
    warnings.warn(
        f"torchrecurrent: the kernels of {found.name} ({tried.form}) are wrong on "
        f"{_name_of(device)} and won't run there: {fault}. The reference loop runs. Please report "
        f"it with the output of `torchrecurrent doctor --device {device.type}`",
        stacklevel=2,
    )


def _lock_of(digest: str) -> threading.Lock:
    with _guard:
        return _locks.setdefault(digest, threading.Lock())


def _after_fork_in_child() -> None:
    """Make new locks: their holders are not in the child."""
    global _guard
    _guard = threading.Lock()
    _locks.clear()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_after_fork_in_child)
