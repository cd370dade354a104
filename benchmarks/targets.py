"""The engine's performance targets, and whether it reaches them on this machine.

A target has a number that must be reached and one that is aimed at. No test depends on them: they
are for one processor without other load.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .options import LAYERS
from .results import Results
from .rows import SHAPES
from .streaming import BESIDE
from .timing import name_of

__all__ = ["Target", "targets"]

#: The last shape has a single sequence; most targets leave it out.
BATCHED = SHAPES[:3]
Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Target:
    """Numbers that should not exceed others, one for each shape or a single one."""

    what: str
    must: Numbers
    aim: Numbers
    measured: tuple[float | None, ...]
    unit: str = ""

    @property
    def met(self) -> str:
        """ "aim", "must", "no", or "" where a measurement is missing."""
        known = [value for value in self.measured if value is not None]
        if any(value > must for value, must in self._beside(self.must)):
            return "no"
        if len(known) < len(self.measured) or not known:
            return ""
        return "aim" if all(value <= aim for value, aim in self._beside(self.aim)) else "must"

    def _beside(self, limits: Numbers) -> Iterator[tuple[float, float]]:
        limits = limits * (len(self.measured) // len(limits))
        pairs = zip(self.measured, limits, strict=True)
        return ((value, limit) for value, limit in pairs if value is not None)

    @property
    def found(self) -> str:
        """The measurements as text."""
        digits = 3 if self.unit else 2
        shown = ("?" if value is None else f"{value:.{digits}f}" for value in self.measured)
        return ", ".join(shown) + self._suffix

    def limits(self, values: Numbers) -> str:
        """Return the limits as text."""
        return ", ".join(f"{value:g}" for value in values) + self._suffix

    @property
    def _suffix(self) -> str:
        return f" {self.unit}" if self.unit else ""


def targets(results: Results) -> list[Target]:
    """Return all targets, with "?" for missing measurements."""
    found: list[Target] = []
    for cell in ("BR", "IndRNN", "LSTM diagonal"):
        what = f"{cell}: train / nn.LSTM"
        found.append(
            Target(what, (0.45, 0.35, 0.25), (0.3, 0.2, 0.18), _ratios(results, cell, "nn.LSTM"))
        )
    found += [
        Target(
            "BR: train / 0.2.5",
            (0.15, 0.22, 0.45),
            (0.1, 0.15, 0.35),
            _ratios(results, "BR", name_of("BR", "0.2.5")),
        ),
        Target(
            "LSTM: train / nn.LSTM", (0.9, 0.7, 0.8), (0.6,), _ratios(results, "LSTM", "nn.LSTM")
        ),
        Target(
            "LSTM: forward / nn.LSTM",
            (1.05,),
            (0.8,),
            _ratios(results, "LSTM", "nn.LSTM", "forward"),
        ),
        Target("GRU: train / nn.GRU", (0.8,), (0.5,), _ratios(results, "GRU", "nn.GRU")),
    ]
    for cell in ("nBR", "MGU", "URLSTM", "PeepholeLSTM", "LEM", "coRNN"):
        peer = "ur-lstm-torch" if cell == "URLSTM" else "0.2.5"
        mean = _geometric_mean(_ratios(results, cell, name_of(cell, peer)))
        found.append(Target(f"{cell}: mean train / {peer}", (0.4,), (0.25,), (mean,)))
    return [*found, *_others(results)]


def _others(results: Results) -> Iterator[Target]:
    """Yield the targets that do not concern the time of a sequence."""
    calls = {each.cell: each for each in results.first_call}
    peaks = {each.cell: each for each in results.memory}
    steps = {each.name: each.microseconds for each in results.streaming}
    for cell in ("LSTM", "BR"):
        call = calls.get(cell)
        cold, warm = (call.cold, call.warm) if call else (None, None)
        yield Target(f"{cell}: first call, compiled", (3.0,), (1.0,), (cold,), "s")
        yield Target(f"{cell}: first call, cached", (0.1,), (0.02,), (warm,), "s")
        peak = peaks.get(cell)
        ratio, live = (peak.ratio, peak.live_ratio) if peak else (None, None)
        yield Target(f"{cell}: peak memory / plain loop", (0.5,), (0.3,), (ratio,))
        yield Target(f"{cell}: peak, tensors alone", (0.5,), (0.3,), (live,))
        for name in (f"{cell}, T = 1", f"{cell}Cell"):
            base = BESIDE[name]
            ratio = steps[name] / steps[base] if steps else None
            yield Target(f"{name}: step / {base}", (1.0,), (0.7,), (ratio,))
    large = [each for each in results.products if each.rows >= 16]
    share = min((each.ours / each.peak for each in large), default=None)
    missed = None if share is None else 1 - share
    yield Target("products of 16 rows or more: peak that is missed", (0.25,), (0.15,), (missed,))
    yield from _options(results)
    yield from _beside(results)


#: A training step with an option, over one without: at most, and what is aimed at.
_COSTS = {
    "resets at a step in fifty": (1.05, 1.02),
    "a masked step in ten": (1.05, 1.02),
    "zoneout": (1.25, 1.1),
    "recurrent_dropout": (1.25, 1.1),
    "weight_dropout": (1.25, 1.1),
}


def _options(results: Results) -> Iterator[Target]:
    for name, (must, aim) in _COSTS.items():
        for cell in LAYERS:
            found = {
                e.shape: e.ratio for e in results.options if (e.cell, e.option) == (cell, name)
            }
            measured = tuple(found.get(shape) for shape in BATCHED)
            yield Target(f"{cell}: {name} / without", (must,), (aim,), measured)


#: Forward and training at most: those of LSTM beside nn.LSTM.
_LIMITS = {
    "50, 1, 16, 32": (0.8, 0.8),
    "50, 16, 16, 32": (0.8, 0.8),
    "200, 1, 256, 512": (0.6, 1.0),
    "200, 8, 256, 256": (0.8, 0.7),
    "64, 32, 512, 1024": (0.8, 0.7),
}


def _beside(results: Results) -> Iterator[Target]:
    lstms = {each.case: each for each in results.beside if each.cell == "LSTM"}
    for case, limits in _LIMITS.items():
        each = lstms.get(case)
        pair = (
            (each.forward / each.torch_forward, each.train / each.torch_train)
            if each
            else (None, None)
        )
        yield Target(f"LSTM / nn.LSTM at {case}: forward, train", limits, limits, pair)


def _ratios(
    results: Results, name: str, base: str, kind: str = "train"
) -> tuple[float | None, ...]:
    return tuple(
        None if (found := results.at(shape)) is None else found.ratio(name, base, kind)
        for shape in BATCHED
    )


def _geometric_mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.exp(math.fsum(map(math.log, known)) / len(known)) if known == [*values] else None
