"""The command line: ``torchrecurrent cells``, or ``python -m torchrecurrent cells``.

A module here is the subcommand of its name, unless that begins with an underscore. The first line
of its docstring is its help; ``arguments(parser)`` declares its arguments, ``run(options)`` runs it
and returns the exit status.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
from collections.abc import Sequence
from functools import partial

from .. import __version__
from ._commands import list_commands

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Args:
        argv: the words after the program's name; by default those of this process.

    Returns:
        The exit status: 0 on success; 141, as in a shell, if the output was not read to its end.

    Raises:
        SystemExit: if the arguments are wrong (status 2) or ask for help (0). Without a command
            the commands are listed on stderr, and the status is 2.
    """
    parser = argparse.ArgumentParser("torchrecurrent", description="Recurrent cells for PyTorch.")
    parser.add_argument("--version", action="version", version=f"torchrecurrent {__version__}")
    parser.set_defaults(run=partial(list_commands, parser))
    commands = parser.add_subparsers(metavar="command")
    for found in pkgutil.iter_modules(__path__):
        if not found.name.startswith("_"):
            module = importlib.import_module(f"{__name__}.{found.name}")
            about = (module.__doc__ or "").partition("\n")[0]
            command = commands.add_parser(found.name, help=about, description=about)
            command.set_defaults(run=module.run)
            module.arguments(command)
    options = parser.parse_args(argv)
    try:
        status = int(options.run(options))
        sys.stdout.flush()
    except BrokenPipeError:  # a reader such as `head` has stopped reading
        # The interpreter flushes the rest of the buffer when it ends, so it needs a target.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return status
