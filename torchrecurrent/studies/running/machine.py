"""Describes the versions and the machine of a run."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import torchrecurrent

__all__ = ["describe_machine", "describe_runs"]


def describe_machine(processes: int = 1) -> dict[str, object]:
    """Return the date, the versions and the machine.

    Args:
        processes: the number of processes that work on the run together.
    """
    packages = ("numpy", "matplotlib", "rich", "joblib", "scipy", "scikit-learn")
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchrecurrent": torchrecurrent.__version__,
            **{name: version(name) for name in packages},
        },
        "machine": {
            "system": platform.system(),
            "architecture": platform.machine(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "processes": processes,
        },
    }


def _processor() -> str:
    """Return the processor's model, which :mod:`platform` often leaves empty."""
    try:
        listed = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    found = re.search(r"^model name\s*:\s*(.+)$", listed, re.MULTILINE)
    return found[1] if found else platform.processor()


def describe_runs(made: Sequence[Mapping[str, Any]]) -> str:
    """Describe the days, machines and versions of torch of some runs, in words.

    Args:
        made: the result of :func:`describe_machine` for each; missing facts are left out.
    """
    days = sorted({str(each.get("date", ""))[:10] for each in made} - {""})
    when = " to ".join(dict.fromkeys([*days[:1], *days[-1:]]))
    machines = dict.fromkeys(map(_machine, made))
    torches = dict.fromkeys(f"torch {v['torch']}" for v in (m.get("versions") for m in made) if v)
    return ", ".join(filter(None, [when, *machines, *torches]))


def _machine(made: Mapping[str, Any]) -> str:
    machine = made.get("machine", {})
    cores = machine.get("cores")
    words = [machine.get("processor") or machine.get("architecture"), cores and f"{cores} cores"]
    return ", ".join(filter(None, words))
