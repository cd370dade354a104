"""The sources' claims about the cells, and whether the runs of a folder agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

from ..running.groups import Group
from ..running.records import RunConfig
from .comparison import By, Comparison, compare

__all__ = ["CLAIMS", "Checked", "Claim", "check"]


@dataclass(frozen=True)
class Claim:
    """Cells that are ahead of others, or of a level, according to a source.

    Attributes:
        study: the study whose runs decide.
        says: the claim in words.
        source: who claims it, and on what evidence.
        ahead: the cells ahead; if there are none, ``level`` is.
        behind: the cells behind; if there are none, ``level`` is.
        by: whether test scores decide, or steps to the threshold.
        level: a score or a number of steps.
        where: fields of the task or the run, and the values that the claim concerns.
    """

    study: str
    says: str
    source: str
    ahead: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()
    by: By = "score"
    level: float | None = None
    where: tuple[tuple[str, tuple[object, ...]], ...] = ()

    def is_about(self, group: Group) -> bool:
        """Whether runs of a setting can decide the claim; a smoke run decides nothing."""
        config = group.config
        return (
            group.study == self.study
            and group.preset != "smoke"
            and all(_value(config, name) in values for name, values in self.where)
        )


def _value(config: RunConfig, name: str) -> object:
    owner = config if name in {each.name for each in fields(config)} else config.task
    return getattr(owner, name)


class Checked(NamedTuple):
    """A claim and the measurement."""

    says: str
    source: str
    setting: str
    ours: str
    agrees: str


def check(groups: Sequence[Group]) -> list[Checked]:
    """Check every claim that runs can decide; differences from the source's settings are noted."""
    return [_checked(claim, group) for claim in CLAIMS for group in groups if claim.is_about(group)]


def _checked(claim: Claim, group: Group) -> Checked:
    config = group.config
    found = compare(group.results, claim.ahead, claim.behind, claim.by, claim.level)
    setting = f"{group.title}, {config.steps} steps of {config.batch_size}"
    if found is None:
        return Checked(claim.says, claim.source, setting, "not run", "-")
    what = "median steps" if claim.by == "steps" else config.task.measure
    ours = f"{what}: {found.numbers}; so in {found.seeds_agreeing} of {found.seeds} seeds"
    return Checked(claim.says, claim.source, setting, ours, _verdict(found))


def _verdict(found: Comparison) -> str:
    if found.verdict == 1:
        return "yes" if found.seeds_agreeing == found.seeds else "on average"
    return "no" if found.verdict == -1 else "not clearly"


_BRC_PYTORCH = "niklexical/brc_pytorch, figure, 5 runs"
_BRC_FIGURE = "niklexical/brc_pytorch, figure, 1 run, training MSE"
_VECOVEN = "Vecoven, Ernst and Drion (2021), in substance"
_ZOO = "torchrecurrent repository, T = 100, 2 x 128, 1 run"
_GU = "Gu et al. (2020), in substance"
_BISTABLE, _GATED = ("BRC", "nBRC"), ("LSTM", "GRU")


def _addition(layers: int) -> tuple[tuple[str, tuple[object, ...]], ...]:
    return (("num_layers", (layers,)), ("train_to", (20,)), ("test_to", (60,)))


CLAIMS = (
    Claim(
        "binary-addition",
        "One layer, L = 60: nBRC .995 and BRC .92 are ahead of GRU .59 and LSTM .48",
        _BRC_PYTORCH,
        _BISTABLE,
        _GATED,
        where=_addition(1),
    ),
    Claim(
        "binary-addition",
        "One layer, L = 60: nBRC is ahead of BRC",
        _BRC_PYTORCH,
        ("nBRC",),
        ("BRC",),
        where=_addition(1),
    ),
    Claim(
        "binary-addition",
        "One layer, L = 60: GRU is ahead of LSTM",
        _BRC_PYTORCH,
        ("GRU",),
        ("LSTM",),
        where=_addition(1),
    ),
    Claim(
        "binary-addition",
        "Two layers: BRC and nBRC are ahead of LSTM and GRU (the figure has BRC .987, LSTM .988)",
        "niklexical/brc_pytorch, README",
        _BISTABLE,
        _GATED,
        where=_addition(2),
    ),
    Claim(
        "binary-addition",
        "Two layers, L = 60: nBRC .999 is ahead of LSTM .988 and GRU .970",
        _BRC_PYTORCH,
        ("nBRC",),
        _GATED,
        where=_addition(2),
    ),
    Claim(
        "binary-addition",
        "Two layers, L = 60: LSTM .988 is ahead of GRU .970",
        _BRC_PYTORCH,
        ("LSTM",),
        ("GRU",),
        where=_addition(2),
    ),
    Claim(
        "copy-first",
        "T = 5: LSTM and GRU come to 0.1 (about 100 steps) before nBRC (250) and BRC (650)",
        _BRC_FIGURE,
        _GATED,
        _BISTABLE,
        by="steps",
        where=(("length", (5,)),),
    ),
    Claim(
        "copy-first",
        "T = 5: nBRC comes to 0.1 before BRC",
        _BRC_FIGURE,
        ("nBRC",),
        ("BRC",),
        by="steps",
        where=(("length", (5,)),),
    ),
    Claim(
        "copy-first",
        "T = 100 and 300: BRC and nBRC are ahead of LSTM and GRU",
        f"{_BRC_FIGURE}; {_VECOVEN}",
        _BISTABLE,
        _GATED,
        where=(("length", (100, 300)),),
    ),
    Claim(
        "copy-first",
        "T = 300 and 600: LSTM and GRU stay near 1 (here: above 0.9)",
        _VECOVEN,
        behind=_GATED,
        level=0.9,
        where=(("length", (300, 600)),),
    ),
    Claim(
        "copy-first",
        "T = 300 and 600: BRC and nBRC go below 0.1",
        _VECOVEN,
        _BISTABLE,
        level=0.1,
        where=(("length", (300, 600)),),
    ),
    Claim(
        "denoising",
        "With no mark in the last 200 of 400 steps BRC and nBRC are ahead of LSTM and GRU",
        _VECOVEN,
        _BISTABLE,
        _GATED,
        where=(("delay", (30, 200)),),  # 30 is from `quick`
    ),
    Claim(
        "images",
        "With many blanks BRC and nBRC are ahead of LSTM and GRU",
        f"{_VECOVEN}, on MNIST",
        _BISTABLE,
        _GATED,
        where=(("blanks", (72, 300, 472)),),
    ),
    Claim(
        "images",
        "With many blanks LSTM and GRU are at the commonest class (here: under 15 %)",
        f"{_VECOVEN}, on MNIST, 300 pixels or 472 rows",
        behind=_GATED,
        level=0.15,
        where=(("blanks", (300, 472)),),
    ),
    Claim(
        "adding",
        "GRU (560 steps) comes to 0.05 before BRC (1,120) and nBRC (1,600)",
        _ZOO,
        ("GRU",),
        _BISTABLE,
        by="steps",
    ),
    Claim("adding", "BRC comes to 0.05 before nBRC", _ZOO, ("BRC",), ("nBRC",), by="steps"),
    Claim(
        "adding",
        "MGU (400), STAR (480) and GRU come to 0.05 before CFN (1,280) and LSTM (5,760)",
        _ZOO,
        ("MGU", "STAR", "GRU"),
        ("CFN", "LSTM"),
        by="steps",
    ),
    Claim(
        "adding",
        "JANET and IndRNN stay at the baseline of .167 (.164 to .167; here: above .15)",
        _ZOO,
        behind=("JANET", "IndRNN"),
        level=0.15,
    ),
    Claim("adding", "UR-LSTM comes to 0.05 before LSTM", _GU, ("URLSTM",), ("LSTM",), by="steps"),
    Claim("copy-memory", "UR-LSTM is ahead of LSTM", _GU, ("URLSTM",), ("LSTM",)),
    Claim(
        "copy-memory",
        "LSTM stays near the baseline of ln 8 = 2.08 (here: above 1.9)",
        f"{_GU}, lag 480",
        behind=("LSTM",),
        level=1.9,
        where=(("lag", (480,)),),
    ),
)
