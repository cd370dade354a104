"""Run studies of the cells on tasks of the literature, and report on them."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from ._commands import list_commands

__all__ = ["arguments", "run"]

_SHOWING = {
    "report": "tables of what has been run, as Markdown and CSV",
    "plot": "figures of it, as PNG and SVG",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``list``, ``run``, ``report`` and ``plot``."""
    parser.set_defaults(run=partial(list_commands, parser))
    actions = parser.add_subparsers(metavar="action", dest="action")
    listing = actions.add_parser("list", help="the studies, their cells and what can be set")
    listing.set_defaults(run=run)

    running = actions.add_parser("run", help="run what is not finished yet")
    running.set_defaults(run=run)
    running.add_argument(
        "studies", nargs="+", metavar="study", help="names, as `torchrecurrent study list` has them"
    )
    running.add_argument(
        "--preset",
        default="quick",
        help="smoke: to see that it runs; quick: minutes; paper: as published "
        "(default: %(default)s)",
    )
    running.add_argument(
        "--cells",
        nargs="+",
        default=[],
        metavar="CELL",
        help="names in upper or lower case, 'all', or package.module:Class "
        "(default: the study's own)",
    )
    running.add_argument(
        "--seeds",
        default="",
        help="how many, such as 5, or which, such as 3-7 (default: the preset's)",
    )
    running.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="a value in place of the preset's; of several, separated by commas, all are run",
    )
    running.add_argument(
        "--jobs",
        type=int,
        help="runs at a time (default: the number of cores, or of the cluster's workers)",
    )
    running.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="a Dask scheduler, such as tcp://host:8786, on whose workers to run; each has one "
        "thread, sees the folder of results and can import the cells",
    )
    running.add_argument(
        "--dry-run", action="store_true", help="show the runs and about how long they take"
    )
    _add_out(running)

    for action, text in _SHOWING.items():
        showing = actions.add_parser(action, help=text)
        showing.set_defaults(run=run)
        showing.add_argument(
            "studies",
            nargs="*",
            metavar="study",
            help="names of studies (default: all in the folder)",
        )
        _add_out(showing)


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=Path, default=Path("results"), help="folder of results (default: %(default)s)"
    )


def run(options: argparse.Namespace) -> int:
    """Return 0 on success, 1 if a run failed, 2 if it can't be done, 130 after Ctrl-C."""
    try:
        # Not above: these need the extra, which the other commands do without.
        from ..studies import command
    except ModuleNotFoundError as error:
        print(f"torchrecurrent study: error: {error}", file=sys.stderr)
        return 2
    return command.main(options)
