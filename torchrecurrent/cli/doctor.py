"""Show what this machine offers, and check its kernels against the reference loop.

The exit status is 1 if a check fails. A missing compiler, and so no kernel, is not a failure.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Sequence

import torch

from ..engine.cpu import cache
from ._machine import facts, trusted
from ._selfcheck import BATCH, STEPS, WIDTH, Outcome, cases, check

__all__ = ["arguments", "run"]

COLUMNS = 80
_INDENT = 12


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``--clear-cache`` and ``--device``."""
    parser.add_argument(
        "--clear-cache", action="store_true", help="remove all compiled kernels instead"
    )
    parser.add_argument(
        "--device", default="cpu", help="whose kernels are checked: cpu (the default) or cuda"
    )


def run(options: argparse.Namespace) -> int:
    """Print the report; return 1 if a check failed or the cache could not be cleared."""
    if options.clear_cache:
        return _clear_cache()
    try:
        device = torch.device(options.device)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts that it has it
        reason = str(error).partition("\n")[0]
        print(f"torchrecurrent doctor: error: --device {options.device}: {reason}", file=sys.stderr)
        return 2
    return _examine(device)


def _clear_cache() -> int:
    try:
        count = cache.clear()
        _say(f"Removed {count} kernels from {cache.directory()}.")
    except (cache.CacheError, OSError) as error:
        print(f"torchrecurrent doctor: error: {error}", file=sys.stderr)
        return 1
    return 0


def _examine(device: torch.device) -> int:
    for name, text in facts(device):
        _say(text, f"{name:<{_INDENT}}")
    _say("")
    _say(
        "Self-check: outputs, last states and all gradients against the reference loop in float64 "
        f"({STEPS} steps, {BATCH} sequences, {WIDTH} units), as relative errors; "
        "beside them those of the loop in the same dtype."
    )
    _say("")
    _say(_name("kind and cell") + _findings("ran", "error", "loop's"))
    outcomes: list[Outcome] = []
    for case in cases():
        print(_name(case.name), end="", flush=True)  # a kernel that crashes is the last one named
        outcome = check(case, device)
        _report(outcome, {each.reason for each in outcomes})
        outcomes.append(outcome)
    _say("")
    for text in trusted():
        _say(text, "    ")
    _say(_verdict(outcomes))
    return int(any(outcome.trouble for outcome in outcomes))


def _report(outcome: Outcome, said: set[str]) -> None:
    verdict = "FAILED" if outcome.trouble else "ok"
    numbers = [f"{error:.1e}" for error in (outcome.error, outcome.loop)]
    _say(f"{_findings(outcome.path, *numbers)}  {verdict}")
    for text in (outcome.trouble, "" if outcome.reason in said else outcome.reason):
        if text:
            _say(text, "    ")


def _name(text: str) -> str:
    return f"{text[:46]:<47}"


def _findings(path: str, error: str, loop: str) -> str:
    return f"{path:<6} {error:>8} {loop:>8}"


def _verdict(outcomes: Sequence[Outcome]) -> str:
    failed = [outcome for outcome in outcomes if outcome.trouble]
    loops = [outcome for outcome in outcomes if outcome.path == "loop"]
    if failed:
        count = f"{len(failed)} of {len(outcomes)} checks failed"
        if any(outcome.path == "kernel" for outcome in failed):
            return (
                f"{count}: set TORCHRECURRENT_BACKEND=reference, which runs the reference loop, "
                "and please report this text."
            )
        return f"{count}; please report this text."
    if not loops:
        return "All is well: the fused kernels run here, and compute what the reference loop does."
    if len(loops) == len(outcomes) and len({outcome.reason for outcome in loops}) == 1:
        return f"All is well, but the reference loop runs, which is slower: {loops[0].reason}."
    return f"All is well, but the reference loop ran {len(loops)} of {len(outcomes)} checks."


def _say(text: str, label: str = "") -> None:
    """Print ``text`` in lines that fit, the first after ``label``."""
    # Not at hyphens: flags and paths should stay whole if possible.
    lines = textwrap.wrap(
        text,
        COLUMNS,
        initial_indent=label,
        subsequent_indent=" " * len(label),
        break_on_hyphens=False,
    )
    print("\n".join(lines) if text else label.rstrip(), flush=True)
