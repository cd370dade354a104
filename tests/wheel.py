"""Tries an installed wheel: ``python wheel.py``, where no checkout is on the path."""

from __future__ import annotations

from pathlib import Path

import torch

import torchrecurrent

HERE = Path(__file__).resolve().parents[1]


def main() -> None:
    """Train a step of each kind of layer by the kernel, and use what comes as data."""
    installed = Path(torchrecurrent.__file__).resolve()
    assert not installed.is_relative_to(HERE / "torchrecurrent"), installed
    torch.manual_seed(0)
    for name in ("BR", "LSTM", "LEM", "LayerNormGRU"):
        layer = getattr(torchrecurrent, name)(3, 5)
        input = torch.randn(7, 2, 3)
        layer(input)[0].sum().backward()
        print(layer.explain(input))
    print(torchrecurrent.cite(torchrecurrent.BR(3, 5)).splitlines()[0])
    print(f"{len(torchrecurrent.list_cells())} cells, {installed.parent}")


if __name__ == "__main__":
    main()
