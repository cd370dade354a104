"""Describes the machine and the versions of a measurement."""

from __future__ import annotations

import datetime
import platform
import re
from pathlib import Path

import torch

import torchrecurrent

__all__ = ["describe", "sentence"]


def describe() -> dict[str, str | int]:
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": _cpu(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "torchrecurrent": torchrecurrent.__version__,
        "python": platform.python_version(),
        "dtype": "float32",
    }


def sentence(about: dict[str, str | int]) -> str:
    return (
        f"{about['cpu']}, {about['threads']} threads, torch {about['torch']}, {about['dtype']}, "
        f"{about['date']}"
    )


def _cpu() -> str:
    """Return the processor's name; ``platform.processor()`` is often empty on Linux."""
    path = Path("/proc/cpuinfo")
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    match = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return match[1] if match else platform.processor() or platform.machine()
