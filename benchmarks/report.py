"""Writes results as tables: on the terminal, and in Markdown to paste into a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from . import memory, streaming
from .machine import sentence
from .options import LAYERS, OPTIONS
from .results import AtShape, Results
from .rows import FLOOR, title
from .targets import BATCHED, targets
from .timing import KINDS

__all__ = ["at_shape", "markdown", "pipes", "show", "table"]

Row = Sequence[str]
NOTES = f"""\
Medians, interleaved in one process. "train" is forward and backward; "forward" is without
gradients. "plain loop" is our cell without its kernel, "torch.compile" the same loop compiled.
"{FLOOR}" has no cell: torch.mm in a loop, forward and for training also the products of the
backward loop and of the weights' gradients. It is no bound where torch.mm is slow."""


def at_shape(found: AtShape) -> tuple[str, list[str], list[Row]]:
    """Return title, head and rows of the table of one shape."""
    head = ["layer"]
    for kind in KINDS:
        head += [f"{kind}, ms", "/ nn.LSTM"]
    body: list[Row] = []
    for row in found.rows:
        cells = [row.name]
        for kind in KINDS:
            cells += [_number(row.of(kind)), _number(found.ratio(row.name, "nn.LSTM", kind))]
        body.append(cells)
    body += [[f"{name}: {reason}", "", "", "", ""] for name, reason in found.failed.items()]
    return title(found.shape), head, body


def show(results: Results, console: Console) -> None:
    """Show everything except the tables of the shapes, which are shown once measured."""
    for name, head, body in _parts(results):
        console.print(table(name, head, body))
    console.print(NOTES.replace("\n", " "))
    for peer, note in results.peers.items():
        console.print(f"{peer}: {note}")
    console.print(sentence(results.about))


def table(name: str, head: Sequence[str], body: Sequence[Row]) -> Table:
    view = Table(title=name, width=78)
    for place, column in enumerate(head):
        view.add_column(column, justify="right" if place else "left", overflow="fold")
    for row in body:
        view.add_row(*row)
    return view


def markdown(results: Results) -> str:
    """Return all tables, with the shapes side by side."""
    lines = [f"Measured on {sentence(results.about)}.", ""]
    shapes = [", ".join(map(str, each.shape)) for each in results.shapes]
    names = list(dict.fromkeys(row.name for each in results.shapes for row in each.rows))
    body = [[name, *(_both(each, name) for each in results.shapes)] for name in names]
    lines += pipes("forward / train in ms (train / nn.LSTM) at T, N, I, H", ["", *shapes], body)
    for part in _parts(results):
        lines += pipes(*part)
    lines += [NOTES, ""]
    lines += [f"- {peer}: {note}." for peer, note in results.peers.items()]
    for each in results.shapes:
        lines += [f"- {name} failed: {reason}." for name, reason in each.failed.items()]
    return "\n".join(lines) + "\n"


def _parts(results: Results) -> Iterator[tuple[str, list[str], list[Row]]]:
    """Yield the tables other than those of the shapes."""
    if results.compile_seconds:
        yield (
            f"torch.compile of the plain loop, T = {results.shapes[0].shape[0]}",
            ["cell", "kind", "compile time, s"],
            [[each.cell, each.kind, f"{each.seconds:.1f}"] for each in results.compile_seconds],
        )
    if results.first_call:
        yield (
            "First training step of a new process, imports excluded",
            ["cell", "compiled, s", "from the cache, s"],
            [[each.cell, f"{each.cold:.2f}", f"{each.warm:.3f}"] for each in results.first_call],
        )
    if results.memory:
        yield (
            "Peak memory of a training step, " + ", ".join(map(str, memory.SHAPE)),
            ["cell", "kernel, MB", "plain loop, MB", "ratio"],
            [
                [name, f"{ours:.0f}", f"{loop:.0f}", f"{ours / loop:.2f}"]
                for each in results.memory
                for name, ours, loop in (
                    (each.cell, each.ours, each.loop),
                    (f"{each.cell}, tensors alone", each.live_ours, each.live_loop),
                )
            ],
        )
    if results.streaming:
        steps = {each.name: each.microseconds for each in results.streaming}
        yield (
            "A step of one sequence without gradients, " + ", ".join(map(str, streaming.SHAPE)),
            ["", "microseconds", "beside", "microseconds", "ratio"],
            [
                [name, f"{steps[name]:.1f}", base, *_compared(steps[name], steps[base])[1:]]
                for name, base in streaming.BESIDE.items()
            ],
        )
    if results.beside:
        yield (
            "Beside torch's at other T, N, I, H: forward, training, ms (ratio)",
            ["", "", "forward", "nn's", "ratio", "training", "nn's", "ratio"],
            [
                [
                    each.case,
                    each.cell,
                    *_compared(each.forward, each.torch_forward),
                    *_compared(each.train, each.torch_train),
                ]
                for each in results.beside
            ],
        )
    if results.options:
        yield (
            "Training with an option over training without: T, N, I, H",
            ["", *(f"{cell} {', '.join(map(str, shape))}" for shape in BATCHED for cell in LAYERS)],
            [
                [
                    name,
                    *(
                        f"{each.ratio:.2f}"
                        for shape in BATCHED
                        for cell in LAYERS
                        for each in results.options
                        if (each.shape, each.cell, each.option) == (shape, cell, name)
                    ),
                ]
                for name in OPTIONS
            ],
        )
    if results.products:
        yield (
            "A step's product on one core: N rows of H with 4H x H, GFLOP/s (of the peak)",
            ["H", "N", "ours", "", "torch.mm", "", "peak"],
            [
                [
                    str(each.hidden),
                    str(each.rows),
                    *(
                        part
                        for found in (each.ours, each.torch_mm)
                        for part in (_number(found), f"{found / each.peak:.2f}")
                    ),
                    _number(each.peak),
                ]
                for each in results.products
            ],
        )
    yield (
        "Targets (T, N, I, H: the first three shapes)",
        ["", "must, <=", "aim, <=", "measured", "met"],
        [
            [each.what, each.limits(each.must), each.limits(each.aim), each.found, each.met or "?"]
            for each in targets(results)
        ],
    )


def pipes(name: str, head: Sequence[str], body: Sequence[Row]) -> list[str]:
    ruler = ["---", *["---:"] * (len(head) - 1)]
    lines = ["| " + " | ".join(row) + " |" for row in (head, ruler, *body)]
    return [f"**{name}**", "", *lines, ""]


def _both(found: AtShape, name: str) -> str:
    forward, train = (_number(found.milliseconds(name, kind)) for kind in KINDS)
    ratio = _number(found.ratio(name, "nn.LSTM", "train"))
    return f"{forward} / {train} ({ratio})" if train else ""


def _compared(ours: float, theirs: float) -> list[str]:
    return [_number(ours), _number(theirs), f"{ours / theirs:.2f}"]


def _number(value: float | None) -> str:
    """Write three digits, which is more than repeats agree on."""
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
