"""What a run was made with and on."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from importlib.metadata import version

import torch

import torchrecurrent

__all__ = ["describe_machine"]


def describe_machine() -> dict[str, object]:
    """When, with which versions and on what."""
    packages = ("numpy", "matplotlib", "rich", "joblib")
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
            "cores": os.cpu_count(),
        },
    }
