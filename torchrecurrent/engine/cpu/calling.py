"""Calls a compiler in its own process group, with a time limit and without a shell.

When it hangs, the whole group is killed. A user who waits at a terminal is told the reason.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ..disk.telling import tell

__all__ = ["CompilerError", "HangError", "call", "summary", "time_limit"]

#: Names the variable with the seconds that one call of the compiler may take.
TIMEOUT_VARIABLE = "TORCHRECURRENT_COMPILE_TIMEOUT"

_DEFAULT_LIMIT = 60.0
#: Seconds after which a wait is explained, and the explanation.
_PATIENCE = 2.0
_WAITING = "compiling kernels, which are then kept for the next time"

# No fork while a compiler is being started: the child would hold open the pipe that its parent
# reads to the end, and may itself be waiting for the parent's lock on the cache.
_starting = threading.RLock()
if sys.platform != "win32":
    os.register_at_fork(
        before=_starting.acquire,
        after_in_parent=_starting.release,
        after_in_child=_starting.release,
    )


class CompilerError(RuntimeError):
    """There is no C compiler, or it failed; the message is one sentence for the user."""


class HangError(CompilerError):
    """The compiler ran past the time limit and was killed."""


def time_limit(default: float = _DEFAULT_LIMIT) -> float:
    """Seconds that one call of the compiler may take: ``TORCHRECURRENT_COMPILE_TIMEOUT`` or 60.

    Raises:
        CompilerError: if the variable is not a positive number.
    """
    text = os.environ.get(TIMEOUT_VARIABLE)
    if not text:
        return default
    with suppress(ValueError):
        # The upper bound also rejects inf, which select() does not accept.
        if 0 < (seconds := float(text)) < 1e6:
            return seconds
    raise CompilerError(f"{TIMEOUT_VARIABLE} must be a number of seconds, got {text!r}")


def call(
    command: list[str],
    seconds: float,
    folder: Path | None,
    extra: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run ``command`` to its end, whether it succeeds or fails.

    Args:
        command: the program and its arguments.
        seconds: how long it may take.
        folder: where it works and puts its temporary files; ``None`` if it compiles nothing.
        extra: further environment variables.

    Raises:
        HangError: if it took longer.
        CompilerError: if it cannot be started.
    """
    environment = {**os.environ, "LC_ALL": "C", **(extra or {})}  # messages as compile_c knows them
    if folder is not None:
        # Files of a killed compiler are removed with the folder.
        environment |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
    try:
        with _starting:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                env=environment,
                cwd=folder,
                start_new_session=True,
            )
    except OSError as error:
        raise CompilerError(f"{command[0]} cannot be started: {error.strerror}") from error
    try:
        output, errors = _finish(process, seconds, folder is not None)
    except BaseException as error:  # also Ctrl-C, which does not reach the other group
        _kill(process)
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        message = f"{command[0]} did not finish within {seconds:g} s and was stopped"
        raise HangError(message) from None
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def _finish(process: subprocess.Popen[str], seconds: float, compiles: bool) -> tuple[str, str]:
    if compiles and seconds > _PATIENCE:
        with suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=_PATIENCE)
        tell(_WAITING)
        seconds -= _PATIENCE
    return process.communicate(timeout=seconds)


def _kill(process: subprocess.Popen[str]) -> None:
    with suppress(OSError):  # gone already; macOS refuses if only zombies are left
        if sys.platform == "win32":  # no groups; this also ends the processes that it started
            tree = ["taskkill", "/T", "/F", "/PID", str(process.pid)]
            subprocess.run(tree, capture_output=True, check=False)
        else:
            os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    # With a limit: a process in an uninterruptible call does not end even now.
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)


def summary(result: subprocess.CompletedProcess[str]) -> str:
    """Return the first lines of the compiler's messages, from the first error on."""
    lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
    errors = (number for number, line in enumerate(lines) if "error" in line.lower())
    first = next(errors, 0)
    return " | ".join(lines[first : first + 3]) or f"exit status {result.returncode}"
