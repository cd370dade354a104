"""Studies of the cells on tasks of the literature; needs the extra ``studies``.

``python -m torchrecurrent.studies.demo`` runs the short one.
"""

from __future__ import annotations

from importlib.util import find_spec

for _module in ("numpy", "matplotlib", "rich", "joblib", "scipy", "sklearn"):
    if find_spec(_module) is None:
        # Named after this package, the error is one line under ``python -m``, without a trace.
        raise ModuleNotFoundError(
            f"{__name__} needs {_module}, of the extra 'studies': pip install \".[studies]\" in a "
            "checkout of torchrecurrent",
            name=__name__,
        )
