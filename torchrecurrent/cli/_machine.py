"""Describes this machine's CPU, compiler and cache in the lines of a report."""

from __future__ import annotations

import os
import platform
import re

import torch

from .. import __version__
from ..engine.cpu import cache, compiler, target
from ..engine.run import torch_private

__all__ = ["facts"]

#: CPU features that decide how fast a kernel is, by their names on Linux and macOS.
_VECTORS = re.compile(
    r"\b(?:feat_)?((?:avx|fma|f16c|sse4|amx|asimd|neon|sve|i8mm|bf16|fphp)\w*)(?!\w|: 0)"
)
#: Variables of other programs that decide what is compiled and how many threads run it.
_OTHERS = ("CC", "OMP_NUM_THREADS")


def facts() -> list[tuple[str, str]]:
    """Return each fact's name and text."""
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    return [
        ("version", f"torchrecurrent {__version__}, Python {platform.python_version()}"),
        ("platform", system),
        ("torch", f"{torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} CPUs"),
        *([("", f"no kernels: {torch_private.missing}")] if torch_private.missing else []),
        ("CPU", _cpu()),
        *_compiler(),
        ("cache", _cache()),
        ("variables", _variables()),
    ]


def _cpu() -> str:
    capability = torch.backends.cpu.get_cpu_capability()
    # Without repeats, in order: macOS has some features under two names.
    features = dict.fromkeys(_VECTORS.findall(target.cpu_features().lower()))
    return f"{capability} for torch; {' '.join(features) or 'no vector instructions known'}"


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
