"""The C compiler of this machine: which one it is, one call of it, and what the result depends on.

The compiler is called with an argument list, never through a shell, in a process group of its
own and under a time limit: when it hangs, the whole group is killed.
"""

from __future__ import annotations

import ctypes
import os
import platform
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path

__all__ = [
    "FLAGS",
    "NATIVE",
    "Compiler",
    "CompilerError",
    "HangError",
    "build",
    "compile_c",
    "cpu_features",
    "find_compiler",
    "target",
    "time_limit",
]

#: For this machine's CPU. Left away where the compiler or its assembler does not take it.
NATIVE = "-march=native"

#: Contraction to fused multiply-adds rounds once instead of twice. Nothing here lets the compiler
#: assume that there are no NaNs or infinities, or reorder a sum.
FLAGS: tuple[str, ...] = (
    "-O3",
    NATIVE,
    "-fPIC",
    "-shared",
    "-std=c11",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
)

#: After the source: the linker takes from a library what the files before it ask for.
LIBRARIES: tuple[str, ...] = ("-lm",)

#: Seconds for one call of the compiler, as text.
TIMEOUT_VARIABLE = "TORCHRECURRENT_COMPILE_TIMEOUT"

_DEFAULT_LIMIT = 60.0
_PROBE_LIMIT = 20.0
_CANDIDATES = ("cc", "gcc", "clang")

# No fork while a compiler is being started: the child would hold the pipe open that its parent
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


@dataclass(frozen=True)
class Compiler:
    """A compiler that answered.

    Attributes:
        path: where the program is.
        version: the first line that it prints about itself.
        arguments: what goes before all other arguments, as in ``CC="ccache gcc"``.
    """

    path: str
    version: str
    arguments: tuple[str, ...] = ()


def find_compiler() -> Compiler:
    """The compiler that ``CC`` names, or else the first of cc, gcc and clang that answers.

    It is asked once for each value of ``CC`` and ``PATH``; a failure is remembered too, so that a
    compiler that hangs is not waited for again.

    Raises:
        CompilerError: if there is none, or none answers.
    """
    limit = min(time_limit(), _PROBE_LIMIT)
    found = _find(os.environ.get("CC", "").strip(), os.environ.get("PATH"), limit)
    if isinstance(found, str):
        raise CompilerError(found)
    return found


def time_limit() -> float:
    """Seconds that one call of the compiler may take: 60, or ``TORCHRECURRENT_COMPILE_TIMEOUT``.

    Raises:
        CompilerError: if the variable is not a positive number.
    """
    text = os.environ.get(TIMEOUT_VARIABLE)
    if not text:
        return _DEFAULT_LIMIT
    with suppress(ValueError):
        # The upper bound also turns inf down, which select() does not take.
        if 0 < (seconds := float(text)) < 1e6:
            return seconds
    raise CompilerError(f"{TIMEOUT_VARIABLE} must be a number of seconds, got {text!r}")


def compile_c(compiler: Compiler, source: str, output: Path) -> None:
    """Compile ``source`` to the shared library ``output``.

    The folder of ``output`` should be private and empty: the source and the compiler's temporary
    files are written there as well.

    Raises:
        HangError: if the compiler is not done within :func:`time_limit`.
        CompilerError: if it fails, with the first lines of what it says.
        OSError: if the source cannot be written.
    """
    text = output.with_suffix(".c")
    text.write_text(source, encoding="utf-8")
    result = _compile(compiler, FLAGS, text, output)
    said = result.stderr.lower()
    # "march": the compiler does not know the option, as on some architectures. "no such
    # instruction": the assembler is older than the compiler, and knows less of the CPU.
    if result.returncode and ("march" in said or "no such instruction" in said):
        portable = tuple(flag for flag in FLAGS if flag != NATIVE)
        result = _compile(compiler, portable, text, output)
    if result.returncode:
        raise CompilerError(f"{compiler.path} failed: {_summary(result)}")
    if not output.is_file():
        raise CompilerError(f"{compiler.path} reported success and wrote no library")


def build(folder: Path, source: str, compiler: Compiler) -> ctypes.CDLL:
    """Compile ``source`` to ``kernel.so`` in a private folder, and load it.

    Raises:
        CompilerError: as :func:`compile_c`.
        OSError: if there is no room, or what was made does not load (a disk may be ``noexec``).
    """
    output = folder / "kernel.so"
    compile_c(compiler, source, output)
    output.chmod(0o700)
    return ctypes.CDLL(str(output))


@cache
def cpu_features() -> str:
    """What a library for this machine's CPU may use, as text for a key."""
    machine = f"{sys.platform} {platform.machine()}"
    features = _sysctl_features() if sys.platform == "darwin" else _proc_features()
    return f"{machine} {features}"


@cache
def target() -> tuple[str, ...]:
    """What a library is built for: all that it depends on besides source and compiler."""
    from ... import __version__  # the package is not yet complete when this file is imported

    try:
        torch = metadata.version("torch")
    except metadata.PackageNotFoundError:
        torch = "unknown"
    pointer = str(struct.calcsize("P"))
    return (__version__, torch, pointer, cpu_features(), *FLAGS, *LIBRARIES)


@lru_cache(maxsize=16)
def _find(chosen: str, path: str | None, limit: float) -> Compiler | str:
    """The compiler, or the reason why there is none. ``path`` is here to be part of the key."""
    if chosen:
        # The whole first: a path may have a space in it.
        words = [chosen]
        with suppress(ValueError):  # a quotation mark without its partner
            words = words if shutil.which(chosen) else shlex.split(chosen)
        if not shutil.which(words[0]):
            return f"CC is {chosen!r}, which is not a program that can be run"
        candidates = [words]
    else:
        candidates = [[name] for name in _CANDIDATES if shutil.which(name)]
    if not candidates:
        names = ", ".join(_CANDIDATES)
        return f"no C compiler was found (looked on PATH for {names}; CC can name another)"
    reasons = []
    for words in candidates:
        try:
            return _ask(words, limit)
        except CompilerError as error:
            reasons.append(str(error))
    return "; ".join(reasons)


def _ask(words: list[str], limit: float) -> Compiler:
    found = shutil.which(words[0])
    # Not resolved further: what is behind the link may tell by its name what to do, as ccache does.
    path, arguments = os.path.abspath(found or words[0]), tuple(words[1:])
    result = _call([path, *arguments, "--version"], limit, None)
    lines = result.stdout.strip().splitlines()
    if result.returncode or not lines:
        raise CompilerError(f"{path} --version failed: {_summary(result)}")
    return Compiler(path, lines[0].strip(), arguments)


def _compile(
    compiler: Compiler, flags: tuple[str, ...], text: Path, output: Path
) -> subprocess.CompletedProcess[str]:
    command = [compiler.path, *compiler.arguments, *flags, str(text), "-o", str(output), *LIBRARIES]
    return _call(command, time_limit(), output.parent)


def _call(
    command: list[str], seconds: float, folder: Path | None
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LC_ALL": "C"}  # messages as compile_c knows them
    if folder is not None:
        environment["TMPDIR"] = str(folder)  # what a killed compiler leaves goes with the folder
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
        output, errors = process.communicate(timeout=seconds)
    except BaseException as error:  # also Ctrl-C, which does not reach the other group
        _kill(process)
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        message = f"{command[0]} did not finish within {seconds:g} s and was stopped"
        raise HangError(message) from None
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def _kill(process: subprocess.Popen[str]) -> None:
    with suppress(OSError):  # gone already; macOS refuses where only zombies are left
        os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    # With a limit: a process in an uninterruptible call does not end even now.
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)


def _summary(result: subprocess.CompletedProcess[str]) -> str:
    """The first lines of what the compiler says, from the first error on."""
    lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
    errors = (number for number, line in enumerate(lines) if "error" in line.lower())
    first = next(errors, 0)
    return " | ".join(lines[first : first + 3]) or f"exit status {result.returncode}"


def _proc_features() -> str:
    """The first core's: the kernel shows only what all cores have."""
    names = ("flags", "Features", "isa", "cpu")  # x86, Arm, RISC-V, POWER
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name.strip() in names:
                return " ".join(sorted(value.split()))
    return ""


def _sysctl_features() -> str:
    command = ["/usr/sbin/sysctl", "hw.optional", "machdep.cpu.brand_string"]
    with suppress(CompilerError):
        return _call(command, _PROBE_LIMIT, None).stdout
    return ""
