"""Describes this machine's CPU, compiler and cache in the lines of a report."""

from __future__ import annotations

import os
import platform
import re

import torch

from .. import __version__
from ..engine.cpu import cache, compiler, target
from ..engine.disk import verdicts
from ..engine.gpu import load
from ..engine.gpu.driver import driver_version
from ..engine.run import torch_private

__all__ = ["facts"]

#: CPU features that decide how fast a kernel is, by their names on Linux and macOS.
_VECTORS = re.compile(
    r"\b(?:feat_)?((?:avx|fma|f16c|sse4|amx|asimd|neon|sve|i8mm|bf16|fphp)\w*)(?!\w|: 0)"
)
#: Variables of other programs that decide what is compiled and how many threads run it.
_OTHERS = ("CC", "OMP_NUM_THREADS")


def facts(device: torch.device) -> list[tuple[str, str]]:
    """Return each fact's name and text, with those of a device that is not the CPU."""
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    return [
        ("version", f"torchrecurrent {__version__}, Python {platform.python_version()}"),
        ("platform", system),
        ("torch", f"{torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} CPUs"),
        *([("", f"no kernels: {torch_private.missing}")] if torch_private.missing else []),
        ("CPU", _cpu()),
        *_gpu(device),
        *_compiler(),
        ("cache", _cache()),
        ("variables", _variables()),
    ]


def _cpu() -> str:
    capability = torch.backends.cpu.get_cpu_capability()
    # Without repeats, in order: macOS has some features under two names.
    features = dict.fromkeys(_VECTORS.findall(target.cpu_features().lower()))
    return f"{capability} for torch; {' '.join(features) or 'no vector instructions known'}"


def _gpu(device: torch.device) -> list[tuple[str, str]]:
    if device.type != "cuda":
        return []
    major, minor = torch.cuda.get_device_capability(device)
    driver, name = driver_version(), torch.cuda.get_device_name(device)
    library = f"HIP {torch.version.hip}" if torch.version.hip else f"CUDA {torch.version.cuda}"
    return [
        ("GPU", f"{name}, capability {major}.{minor}, {library}, driver {driver}"),
        ("", load.refusal(device) or f"Triton {load.version()}"),
    ]


def trusted() -> list[str]:
    """Return what the checks of GPU kernels on this machine have shown, a sentence each."""
    found = verdicts.every().values()
    wrong = [each for each in found if each.fault]
    if not found:
        return []
    count = f"Checked on this machine: {len(found)} kernels of GPUs, of which {len(wrong)} failed"
    rest = ". They are not used. Please report this text." if wrong else "."
    return [
        count + rest,
        *(f"{', '.join(filter(None, each.about.values()))}: {each.fault}" for each in wrong),
        "",
    ]


def _compiler() -> list[tuple[str, str]]:
    try:
        found = compiler.find_compiler()
    except compiler.CompilerError as error:
        return [("compiler", f"none: {error}")]
    return [
        ("compiler", " ".join((found.path, *found.arguments))),
        ("", found.version),
        ("", " ".join((*target.FLAGS, *target.LIBRARIES))),
    ]


def _cache() -> str:
    state = cache.state()
    size, limit, zig = (int(str(state[name])) / 1e6 for name in ("bytes", "limit", "zig"))
    text = f"{state['directory']}, {state['kernels']} kernels, {size:.1f} of {limit:g} MB"
    text = f"{text}, and {zig:.0f} MB that Zig keeps" if zig else text
    return text if state["usable"] else f"{text}; not usable: {state['reason']}"


def _variables() -> str:
    names = [name for name in sorted(os.environ) if name.startswith("TORCHRECURRENT_")]
    names += [name for name in _OTHERS if name in os.environ]
    return ", ".join(f"{name}={os.environ[name]}" for name in names) or "none set"
