"""What a command says that needs another one after it."""

from __future__ import annotations

import argparse
import sys

__all__ = ["list_commands"]


def list_commands(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    """Print what can follow, with a line for each, where errors are printed; return 2."""
    parser.print_help(sys.stderr)
    return 2
