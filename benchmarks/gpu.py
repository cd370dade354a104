"""Checks and times the GPU's kernels: ``python -m benchmarks.gpu``, on a machine with a GPU.

Every cell is checked against float64 first. Then layers are compared with cuDNN, the reference
loop, flashrnn if it is installed, and the least time that the measured rates of this GPU allow.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from . import gpu_check
from .gpu_measure import (
    OURS,
    Shape,
    ceilings,
    floors,
    interleave,
    kernels_alone,
    rows,
    run_once,
)
from .pool import spread

SHAPES: list[Shape] = [(512, 64, 256, 512), (1024, 32, 128, 256), (128, 256, 512, 1024)]
#: float16 too, as cuDNN has its persistent kernels for it alone.
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
ELEMENTWISE = ("BR", "IndRNN", "LSTM, diagonal")
DENSE = ("nBR", "MGU", "URLSTM")


@dataclass(frozen=True)
class Target:
    """A quotient, the value that it must have and the one that is aimed at."""

    what: str
    must: float
    aim: float
    measured: float | None
    at_least: bool = False

    @property
    def met(self) -> str:
        if self.measured is None or self.measured != self.measured:
            return "?"
        sign = -1 if self.at_least else 1
        if sign * self.measured <= sign * self.aim:
            return "aim"
        return "must" if sign * self.measured <= sign * self.must else "no"


def targets(times: dict[str, float], bandwidth: dict[str, float]) -> list[Target]:
    """Return the targets for one shape and dtype."""

    def over(name: str, base: str) -> float | None:
        first, second = times.get(f"{name} train"), times.get(f"{base} train")
        return first / second if first is not None and second else None

    found = [Target(f"{n} / nn.LSTM", 0.3, 0.1, over(n, "nn.LSTM")) for n in ELEMENTWISE]
    found += [
        Target(f"{name}: loops / copy bandwidth", 0.6, 0.85, bandwidth.get(name), True)
        for name in ELEMENTWISE
    ]
    found += [Target(f"{n} / nn.{n}", 1.5, 0.9, over(n, f"nn.{n}")) for n in ("LSTM", "GRU")]
    found += [Target(f"{n} / nn.LSTM", 2.0, 1.0, over(n, "nn.LSTM")) for n in DENSE]
    found += [
        Target(f"{n} / its eager loop", 0.1, 0.03, over(n, f"{n}, eager loop"))
        for n in (*ELEMENTWISE, "LSTM", "GRU", *DENSE)
    ]
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--repeats", type=int, default=21, help="rounds (default: 21)")
    parser.add_argument("--out", type=Path, default=Path("build/gpu.json"), help="the JSON file")
    parser.add_argument("--jobs", type=int, default=1, help="processes that compile and check")
    parser.add_argument("--shapes", type=int, default=len(SHAPES), help="how many of the shapes")
    parser.add_argument("--no-check", action="store_true", help="leave the accuracy check out")
    parser.add_argument("--no-loops", action="store_true", help="leave the eager loops out")
    parser.add_argument("--tf32", action="store_true", help="let products and cuDNN use TF32")
    chosen = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        print("benchmarks.gpu needs a GPU that torch can use, and there is none", file=sys.stderr)
        return 2
    # The same for all: by default torch allows TF32 in cuDNN but not in its own products.
    torch.backends.cuda.matmul.allow_tf32 = chosen.tf32
    torch.backends.cudnn.allow_tf32 = chosen.tf32
    console = Console()
    found: dict[str, object] = {"about": _about(chosen.tf32)}
    found["accuracy"], wrong = ({}, False) if chosen.no_check else _check(console, chosen.jobs)
    _compile(SHAPES[: chosen.shapes], chosen.jobs)
    limits = ceilings()
    rates = {str(dtype): rate for dtype, rate in limits.flops_per_second.items()}
    found["ceilings"] = {"bytes_per_second": limits.bytes_per_second, "flops_per_second": rates}
    table = Table("shape, dtype", "layer", "forward, ms", "train, ms", "/ nn.LSTM", "/ floor")
    goals = Table("shape, dtype", "target", "must", "aim", "measured", "met")
    results = []
    for shape in SHAPES[: chosen.shapes]:
        for dtype in DTYPES:
            calls, slow = rows(shape, dtype, loops=not chosen.no_loops)
            times = interleave(calls, chosen.repeats, slow)
            least = floors(shape, dtype, limits)
            bandwidth = {name: kernels_alone(name, shape, dtype, limits) for name in ELEMENTWISE}
            title = f"{shape} {str(dtype).removeprefix('torch.')}"
            for line in _lines(title, times, least):
                table.add_row(*line)
            reached = targets(times, bandwidth)
            for goal in reached:
                value = "" if goal.measured is None else f"{goal.measured:.3f}"
                goals.add_row(title, goal.what, f"{goal.must:g}", f"{goal.aim:g}", value, goal.met)
            results.append(
                {
                    "shape": shape,
                    "dtype": str(dtype),
                    "milliseconds": times,
                    "floor": least,
                    "bandwidth": bandwidth,
                    "targets": [vars(goal) | {"met": goal.met} for goal in reached],
                }
            )
            found["results"] = results  # as far as it has come: machines are lent for a time
            chosen.out.parent.mkdir(parents=True, exist_ok=True)
            chosen.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    console.print(goals)
    console.print(table)
    console.print(f"{found['about']}\nwritten to {chosen.out}")
    return 1 if wrong else 0


def _check(console: Console, jobs: int) -> tuple[dict[str, dict[str, float | str]], bool]:
    """Return the error over the loop's, by dtype and cell, and whether one is too large."""
    found, wrong = {}, False
    for dtype in DTYPES:
        ratios = dict(gpu_check.all_cells(dtype, torch.device("cuda"), jobs))
        found[str(dtype)] = ratios
        numbers = {name: ratio for name, ratio in ratios.items() if isinstance(ratio, float)}
        errors = {name: ratio for name, ratio in ratios.items() if isinstance(ratio, str)}
        bad = {name: ratio for name, ratio in numbers.items() if ratio > gpu_check.LIMIT}
        wrong = wrong or bool(bad or errors)
        worst = max(numbers.values(), default=float("nan"))
        console.print(f"{dtype}: {len(ratios)} cells, largest error {worst:.2f} times the loop's")
        for name, ratio in bad.items():
            console.print(f"  {name} is WRONG: {ratio:.3g}, at most {gpu_check.LIMIT:g} is allowed")
        for name, error in errors.items():
            console.print(f"  {name} FAILED: {error}")
    return found, wrong


def _compile(shapes: Sequence[Shape], jobs: int) -> None:
    """Have the kernels compiled side by side, into Triton's cache."""
    names = [
        f"{k} {dtype} {name}" for k in range(len(shapes)) for dtype in range(3) for name in OURS
    ]
    if jobs > 1:
        for name, found in spread(_compile_one, names, jobs):
            if found:
                print(f"{name}: {found}")


def _compile_one(task: str) -> str:
    shape, dtype, name = task.split(" ", 2)
    run_once(name, SHAPES[int(shape)], DTYPES[int(dtype)])
    return ""


def _lines(
    title: str, times: dict[str, float], least: dict[str, float]
) -> list[tuple[str, str, str, str, str, str]]:
    lines = []
    names = dict.fromkeys(key.rsplit(" ", 1)[0] for key in times)
    for name in names:
        forward, train = times[f"{name} forward"], times[f"{name} train"]
        floor = least.get(f"{name} train")
        lines.append(
            (
                title,
                name,
                f"{forward:.3f}",
                f"{train:.3f}",
                f"{train / times['nn.LSTM train']:.3f}",
                "" if floor is None else f"{train / floor:.1f}",
            )
        )
    return lines


def _about(tf32: bool) -> dict[str, object]:
    import triton

    return {
        "date": datetime.date.today().isoformat(),
        "gpu": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "triton": triton.__version__,
        "tf32": tf32,
    }


if __name__ == "__main__":
    sys.exit(main())
