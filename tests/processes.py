"""Processes that tests start, and the signals that they are sent.

A job in the background, such as ``make test &`` in a script, ignores SIGINT, and so does every
process that it starts. What a test says of Ctrl-C therefore goes through this file.
"""

from __future__ import annotations

import _thread
import os
import signal
import subprocess
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = [
    "at_terminal",
    "in_background",
    "in_foreground",
    "interrupt",
    "interrupt_this",
    "status_of_child",
    "without_compiler",
]


@contextmanager
def _handling(handler: Any) -> Iterator[None]:
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        # None: the handler is not Python's, and what this process began with is all that is left.
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)


def in_foreground() -> Any:
    """Within the block SIGINT interrupts this process, and each that it starts."""
    return _handling(signal.default_int_handler)


def in_background() -> Any:
    """Within the block SIGINT is ignored by this process, and by each that it starts."""
    return _handling(signal.SIG_IGN)


def interrupt(process: subprocess.Popen[str]) -> None:
    """Press Ctrl-C in ``process``, which was started in the foreground."""
    process.send_signal(signal.SIGINT)


def interrupt_this() -> None:
    """Press Ctrl-C in this process, which is in the foreground; from any thread.

    Raises:
        RuntimeError: nobody would notice.
    """
    if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, signal.SIG_DFL, None):
        raise RuntimeError("SIGINT is not handled here; press Ctrl-C within in_foreground()")
    _thread.interrupt_main()


def at_terminal(command: list[str], environment: dict[str, str]) -> tuple[str, str]:
    """The text that a process writes to the terminal that is its stderr, and its other output."""
    import pty  # POSIX alone has it

    ours, theirs = pty.openpty()
    said = bytearray()

    def listen() -> None:
        try:
            while piece := os.read(ours, 1000):
                said.extend(piece)
        except OSError:  # so Linux says that the other end is closed
            pass

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=theirs,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        os.close(theirs)
        listener.join(timeout=30)
        os.close(ours)
    return said.decode().replace("\r\n", "\n"), done.stdout


def without_compiler(folder: Path) -> dict[str, str]:
    """Variables of a process that finds no compiler: none on PATH, and no ziglang to import."""
    (folder / "sitecustomize.py").write_text('import sys; sys.modules["ziglang"] = None\n')
    return {"PATH": str(folder), "CC": "", "PYTHONPATH": str(folder)}


def status_of_child(work: Callable[[], bool], seconds: int = 60) -> int:
    """0 if ``work`` returned true in a forked child, and did so in time."""
    with warnings.catch_warnings():
        # Python 3.12 warns of what is tested here: a process with threads that forks.
        warnings.filterwarnings("ignore", ".*use of fork.*", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            # The time limit of this test has a handler, which would wait for Python's turn.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(seconds)  # whose signal ends the child
            status = int(not work())
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1]
