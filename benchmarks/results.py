"""All measurements of a run, and their JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .beside_torch import Beside
from .compiled import CompileTime
from .first_call import FirstCall
from .memory import Peak
from .options import Option
from .products import Product
from .rows import Shape
from .streaming import Step
from .timing import Timed

__all__ = ["AtShape", "Results", "read", "write"]


@dataclass(frozen=True)
class AtShape:
    """The rows of one shape, and why some are missing."""

    shape: Shape
    rows: list[Timed]
    failed: dict[str, str] = field(default_factory=dict)

    def milliseconds(self, name: str, kind: str) -> float | None:
        return next((row.of(kind) for row in self.rows if row.name == name), None)

    def ratio(self, name: str, base: str, kind: str) -> float | None:
        own, other = self.milliseconds(name, kind), self.milliseconds(base, kind)
        return None if own is None or other is None else own / other


@dataclass
class Results:
    """The measurements of ``make bench``; a part that was left out is empty."""

    about: dict[str, str | int]
    peers: dict[str, str]
    shapes: list[AtShape] = field(default_factory=list)
    compile_seconds: list[CompileTime] = field(default_factory=list)
    first_call: list[FirstCall] = field(default_factory=list)
    memory: list[Peak] = field(default_factory=list)
    streaming: list[Step] = field(default_factory=list)
    beside: list[Beside] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    options: list[Option] = field(default_factory=list)

    def at(self, shape: Shape) -> AtShape | None:
        return next((each for each in self.shapes if each.shape == shape), None)


def write(results: Results, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(results), indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> Results:
    """Read the results that :func:`write` wrote."""
    data = json.loads(path.read_text(encoding="utf-8"))
    data["shapes"] = [
        AtShape(tuple(each["shape"]), [Timed(**row) for row in each["rows"]], each["failed"])
        for each in data["shapes"]
    ]
    for name, kind in (
        ("compile_seconds", CompileTime),
        ("first_call", FirstCall),
        ("memory", Peak),
        ("streaming", Step),
        ("beside", Beside),
        ("products", Product),
    ):
        data[name] = [kind(**each) for each in data.get(name, ())]
    data["options"] = [
        Option(**{**each, "shape": tuple(each["shape"])}) for each in data.get("options", ())
    ]
    return Results(**data)
