"""Finds this machine's C compiler and compiles sources to libraries."""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from . import zig
from .calling import CompilerError, HangError, call, summary, time_limit
from .target import FLAGS, LIBRARIES, NATIVE, SUFFIX

__all__ = ["Compiler", "CompilerError", "HangError", "build", "compile_c", "find_compiler"]

_PROBE_LIMIT = 20.0
# gcc for Windows does not align the stack for AVX (its bug 54412), and clang there is mostly
# Microsoft's, with other options: neither has been tried.
_CANDIDATES = () if sys.platform == "win32" else ("cc", "gcc", "clang")
#: Messages of compilers and assemblers that do not know this machine's CPU or the option for it.
_UNKNOWN_CPU = ("march", "mcpu", "no such instruction", "unknown cpu")


@dataclass(frozen=True)
class Compiler:
    """A compiler that answered.

    Attributes:
        path: where the program is.
        version: the first line that it prints about itself.
        arguments: come before all others, as in ``CC="ccache gcc"``.
    """

    path: str
    version: str
    arguments: tuple[str, ...] = ()

    @property
    def is_zig(self) -> bool:
        return zig.is_zig(self.path, self.arguments)


def find_compiler() -> Compiler:
    """Return the compiler that ``CC`` names, or the first of cc, gcc, clang and ziglang to answer.

    The search runs once for each value of ``CC`` and ``PATH``; a failure is remembered too, so
    that a compiler that hangs is not waited for again.

    Raises:
        CompilerError: if there is none, or none answers.
    """
    limit = min(time_limit(), _PROBE_LIMIT)
    installed = tuple(zig.zig_command() or ())
    found = _find(os.environ.get("CC", "").strip(), os.environ.get("PATH"), installed, limit)
    if isinstance(found, str):
        raise CompilerError(found)
    return found


def compile_c(compiler: Compiler, source: str, output: Path, support: Path | None = None) -> None:
    """Compile ``source`` to the shared library ``output``.

    The folder of ``output`` should be private and empty: the source and the compiler's temporary
    files are written there as well. ``support`` is where a compiler may keep files of its own that
    serve all compilations.

    Raises:
        HangError: if the compiler is not done within the time limit.
        CompilerError: if it fails, with the first lines of its messages.
        OSError: if the source cannot be written.
    """
    text = output.with_suffix(".c")
    text.write_text(source, encoding="utf-8")
    result = _compile(compiler, FLAGS, text, output, support)
    # On some architectures the compiler does not know the option; or the assembler is older
    # than the compiler and does not know all instructions of the CPU.
    said = result.stderr.lower()
    if result.returncode and any(words in said for words in _UNKNOWN_CPU):
        portable = tuple(flag for flag in FLAGS if flag != NATIVE)
        result = _compile(compiler, portable, text, output, support)
    if result.returncode:
        raise CompilerError(f"{compiler.path} failed: {summary(result)}")
    if not output.is_file():
        raise CompilerError(f"{compiler.path} reported success and wrote no library")


def build(
    folder: Path, source: str, compiler: Compiler, support: Path | None = None
) -> ctypes.CDLL:
    """Compile ``source`` to a file ``kernel`` in a private folder, and load it.

    Raises:
        CompilerError: as :func:`compile_c`.
        OSError: if there is no room, or the library does not load (a disk may be ``noexec``).
    """
    output = folder / f"kernel{SUFFIX}"
    compile_c(compiler, source, output, support)
    output.chmod(0o700)
    return ctypes.CDLL(str(output))


@lru_cache(maxsize=16)
def _find(
    chosen: str, path: str | None, installed: tuple[str, ...], limit: float
) -> Compiler | str:
    """Return the compiler, or the reason why there is none. ``path`` is only part of the key."""
    if chosen:
        # The whole value first: a path may have a space in it.
        words = [chosen]
        with suppress(ValueError):  # a quotation mark without its partner
            words = words if shutil.which(chosen) else shlex.split(chosen)
        if not shutil.which(words[0]):
            return f"CC is {chosen!r}, which is not a program that can be run"
        candidates = [words]
    else:
        candidates = [[name] for name in _CANDIDATES if _is_there(name)]
        candidates += [list(installed)] if installed else []
    if not candidates:
        looked = f"looked on PATH for {', '.join(_CANDIDATES)}; " if _CANDIDATES else ""
        return f"no C compiler was found ({looked}{zig.INSTALL} brings one; CC can name another)"
    reasons = []
    for words in candidates:
        try:
            return _ask(words, limit)
        except (CompilerError, OSError) as error:
            reasons.append(str(error))
    return "; ".join(reasons)


def _is_there(name: str) -> bool:
    """Whether the program exists; macOS has one that only offers to install the compiler."""
    path = shutil.which(name)
    if path is None or sys.platform != "darwin" or not path.startswith("/usr/bin/"):
        return path is not None
    with suppress(CompilerError):  # calling the program itself would open a window
        return call(["/usr/bin/xcode-select", "-p"], _PROBE_LIMIT, None).returncode == 0
    return False


def _ask(words: list[str], limit: float) -> Compiler:
    found = shutil.which(words[0])
    # Links are not resolved: a program such as ccache acts by the name it is called with.
    path, arguments = os.path.abspath(found or words[0]), tuple(words[1:])
    command = [path, *arguments, "--version"]
    if zig.is_zig(path, arguments):  # it needs a folder even to print its version
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            result = call(command, limit, None, zig.environment(Path(folder), None))
    else:
        result = call(command, limit, None)
    lines = result.stdout.strip().splitlines()
    if result.returncode or not lines:
        raise CompilerError(f"{path} --version failed: {summary(result)}")
    return Compiler(path, lines[0].strip(), arguments)


def _compile(
    compiler: Compiler, flags: tuple[str, ...], text: Path, output: Path, support: Path | None
) -> subprocess.CompletedProcess[str]:
    command = [compiler.path, *compiler.arguments, *flags, str(text), "-o", str(output), *LIBRARIES]
    if not compiler.is_zig:
        return call(command, time_limit(), output.parent)
    variables = zig.environment(output.parent, support)
    return call(command, zig.limit(variables), output.parent, variables)
