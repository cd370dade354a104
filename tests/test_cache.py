"""The compiler and the cache of compiled code, where only source or compiler may be wrong.

What the rest does to the cache (other processes, kills, disks) is in test_cache_reliability.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

import torchrecurrent
from torchrecurrent.engine.cpu import cache, compiler, target, zig
from torchrecurrent.engine.cpu.compiler import Compiler, CompilerError, HangError

from .processes import in_foreground

REAL = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang") or ""
TWICE = "double twice(double x) { return 2 * x; }\n"

pytestmark = pytest.mark.skipif(not REAL, reason="there is no C compiler here")

#: A package without its __init__, and so without torch, starts in a tenth of the time.
SCRIPT = f"""
import sys, types
package = types.ModuleType("torchrecurrent")
package.__path__ = [{str(Path(torchrecurrent.__file__).parent)!r}]
package.__version__ = "test"
sys.modules["torchrecurrent"] = package
import ctypes, os, threading, time
from torchrecurrent.engine.cpu import cache
from torchrecurrent.engine.cpu.compiler import CompilerError

def twice(source):
    function = cache.load(source).twice
    function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double]
    return function(21.0)

source = os.environ["SOURCE"]
"""
ONCE = "print(twice(source))"


class Sandbox:
    """A cache folder, a compiler that counts its calls, and processes that use the two."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "cache"
        self.temporary = root / "tmp"
        self.temporary.mkdir()
        self._calls = root / "calls"
        self.compiler = root / "compiler"
        self.write_compiler()

    def write_compiler(self, before: str = "", on_version: str = "") -> None:
        """A wrapper of the real one; ``before`` runs ahead of a compilation."""
        lines = ["#!/bin/sh", f'case "$*" in *--version*) {on_version or ":"};; *)']
        lines += [f"echo call >> {self._calls}", before or ":", ";; esac", f'exec {REAL} "$@"']
        self.compiler.write_text("\n".join(lines))
        self.compiler.chmod(0o755)

    @property
    def calls(self) -> int:
        return len(self._calls.read_text().splitlines()) if self._calls.exists() else 0

    def environment(self, **changes: str) -> dict[str, str]:
        own = {
            "CC": str(self.compiler),
            "HOME": str(self.root),
            "SOURCE": TWICE,
            "TMPDIR": str(self.temporary),
            "TORCHRECURRENT_CACHE_DIR": str(self.folder),
        }
        return {**os.environ, **own, **changes}

    def command(self, script: str = ONCE) -> list[str]:
        return [sys.executable, "-c", SCRIPT + script]

    def start(self, script: str = ONCE, *around: str, **changes: str) -> subprocess.Popen[str]:
        with in_foreground():
            return subprocess.Popen(
                [*around, *self.command(script)],
                env=self.environment(**changes),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )

    def run(self, script: str = ONCE, *around: str, **changes: str) -> str:
        """The output of a process: the answer 42.0, then warnings."""
        output, errors = self.start(script, *around, **changes).communicate(timeout=30)
        return output + errors

    def files(self, pattern: str = "*") -> list[Path]:
        return sorted(self.folder.glob(pattern))

    def enter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make this process one that has used no cache yet."""
        for name, value in self.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(cache, "_libraries", {})
        monkeypatch.setattr(cache, "_warned", False)
        monkeypatch.setattr("tempfile.tempdir", None)  # or TMPDIR is not looked at again


def answer(library: ctypes.CDLL) -> float:
    library.twice.restype, library.twice.argtypes = ctypes.c_double, [ctypes.c_double]
    return float(library.twice(21.0))


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    sandbox = Sandbox(tmp_path)
    sandbox.enter(monkeypatch)
    return sandbox


def test_warm_load_calls_no_compiler(box: Sandbox) -> None:
    assert box.run() == "42.0\n"
    assert box.calls == 1
    assert box.run() == "42.0\n"
    assert box.calls == 1
    assert {path.suffix for path in box.files()} == {".so", ".json"}  # and nothing left over
    assert box.folder.stat().st_mode & 0o777 == 0o700


def test_one_process_loads_once(box: Sandbox) -> None:
    library = cache.load(TWICE)
    assert answer(library) == 42.0
    assert cache.load(TWICE) is library
    assert cache.load(TWICE + "int other;") is not library
    assert box.calls == 2


@pytest.mark.parametrize("change", ["target", "cpu", "compiler", "arguments"])
def test_key_has_what_a_kernel_depends_on(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    cache.load(TWICE)
    if change == "target":
        monkeypatch.setattr(cache, "target", lambda: ("another option",))
    elif change == "cpu":
        monkeypatch.setattr(cache, "cpu_features", lambda: "another CPU")
    elif change == "compiler":
        box.write_compiler(on_version="echo another version; exit")
        compiler._find.cache_clear()
    else:
        monkeypatch.setenv("CC", f"{box.compiler} -DOTHER=1")
    assert answer(cache.load(TWICE)) == 42.0
    assert len(box.files("*.so")) == 2


def test_target_names_cpu_flags_and_versions() -> None:
    parts = target.target()
    assert torchrecurrent.__version__ in parts
    assert set(target.FLAGS) < set(parts)
    assert len(target.cpu_features().split()) > 2
    assert target.instructions() < set(target.cpu_features().split())


def test_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("TORCHRECURRENT_CACHE_DIR", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache.directory() == tmp_path / ".cache" / "torchrecurrent"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache.directory() == tmp_path / ".cache" / "torchrecurrent"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.directory() == tmp_path / "xdg" / "torchrecurrent"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache.directory() == tmp_path / "Library" / "Caches" / "torchrecurrent"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    assert cache.directory() == tmp_path / "AppData" / "Local" / "torchrecurrent" / "Cache"
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache.directory() == tmp_path / "local" / "torchrecurrent" / "Cache"
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("TORCHRECURRENT_CACHE_DIR", "~/mine")
    assert cache.directory() == tmp_path / "mine"


def test_state_and_clear_leave_other_files_alone(box: Sandbox) -> None:
    box.folder.mkdir(mode=0o700)
    mine = box.folder / "build-results.json"
    mine.write_text("{}")
    assert cache.state()["kernels"] == 0
    cache.load(TWICE)
    size = sum(path.stat().st_size for path in box.files() if path != mine)
    expected = {"usable": True, "reason": None, "kernels": 1, "bytes": size}
    expected |= {"limit": 500_000_000, "zig": 0}
    assert cache.state() == {"directory": str(box.folder), **expected}
    assert cache.clear() == 1
    assert box.files() == [mine]
    assert cache.clear() == 0


def test_no_compiler(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(box.temporary))
    monkeypatch.delenv("CC")
    monkeypatch.setattr(zig, "zig_command", lambda: None)
    with pytest.raises(CompilerError, match=r"^no C compiler was found .*PATH.*CC") as error:
        cache.load(TWICE)
    assert "pip install ziglang" in str(error.value)
    monkeypatch.setattr(zig, "zig_command", lambda: [str(box.temporary / "missing"), "cc"])
    with pytest.raises(CompilerError, match="missing cannot be started"):
        cache.load(TWICE)


@pytest.mark.parametrize("name", ["missing-compiler", "'", "/dev/null"])
def test_wrong_cc(box: Sandbox, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("CC", name)
    with pytest.raises(CompilerError, match=r"^CC is .* not a program that can be run$"):
        cache.load(TWICE)


def test_cc_with_arguments(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", f"env NAME=1 {box.compiler}")
    assert answer(cache.load(TWICE)) == 42.0
    assert compiler.find_compiler().arguments == ("NAME=1", str(box.compiler))


def test_broken_compiler(box: Sandbox) -> None:
    box.write_compiler(on_version="echo no licence >&2; exit 1")
    with pytest.raises(CompilerError, match="--version failed: no licence"):
        cache.load(TWICE)


def test_compile_error_has_the_first_error(box: Sandbox) -> None:
    with pytest.raises(CompilerError, match=r"failed: .*error: .*undeclared_name"):
        cache.load("double twice(double x) { return undeclared_name; }")
    assert box.files() == []  # nothing broken is kept
    assert list(box.temporary.iterdir()) == []
    assert answer(cache.load(TWICE)) == 42.0


@pytest.mark.parametrize("where", ["version", "build"])
def test_compiler_that_hangs(box: Sandbox, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    pid = box.root / "pid"
    hang = f"sleep 60 & echo $! > {pid}; wait"
    box.write_compiler(*([hang] if where == "build" else ["", hang]))
    monkeypatch.setenv("TORCHRECURRENT_COMPILE_TIMEOUT", "1")
    start = time.monotonic()
    error = HangError if where == "build" else CompilerError
    with pytest.raises(error, match="did not finish within 1 s"):
        cache.load(TWICE)
    assert time.monotonic() - start < 20
    wait_until(lambda: not running(int(pid.read_text())))  # the whole group is gone
    assert box.files() == []
    assert box.calls == (where == "build")  # a second try would hang too


@pytest.mark.parametrize("limit", ["soon", "0", "-1", "nan", "inf"])
def test_wrong_time_limit(box: Sandbox, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setenv("TORCHRECURRENT_COMPILE_TIMEOUT", limit)
    with pytest.raises(CompilerError, match="TORCHRECURRENT_COMPILE_TIMEOUT must be"):
        cache.load(TWICE)
    monkeypatch.delenv("TORCHRECURRENT_COMPILE_TIMEOUT")
    assert answer(cache.load(TWICE)) == 42.0


def test_compiler_that_does_not_know_the_cpu(box: Sandbox) -> None:
    box.write_compiler(
        'case "$*" in *-march*) echo "error: unknown option -march=native" >&2; exit 1;; esac'
    )
    assert answer(cache.load(TWICE)) == 42.0
    assert box.calls == 2


def test_no_place_at_all(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = Mock(side_effect=FileNotFoundError("no usable temporary directory"))
    monkeypatch.setenv("TORCHRECURRENT_CACHE_DIR", "/dev/null/cache")
    monkeypatch.setattr(cache, "_build_folder", nowhere)
    with pytest.raises(CompilerError, match=r"neither in the cache .* nor"):
        cache.load(TWICE)


def test_compiler_works_in_a_private_folder(box: Sandbox) -> None:
    box.write_compiler('touch "$TMPDIR/mark" && test -f mark || exit 1')
    assert answer(cache.load(TWICE)) == 42.0
    assert len(box.files()) == 2


def test_compiler_that_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(CompilerError, match="wrote no library"):
        compiler.compile_c(Compiler("/bin/true", "1"), TWICE, tmp_path / "kernel.so")
    with pytest.raises(CompilerError, match="cannot be started"):
        compiler.compile_c(Compiler("/missing", "1"), TWICE, tmp_path / "kernel.so")


def test_flags_keep_nans(box: Sandbox) -> None:
    library = cache.load("int is_nan(double x) { return x != x; }")
    library.is_nan.argtypes = [ctypes.c_double]
    assert library.is_nan(float("nan")) == 1
    assert library.is_nan(1.0) == 0


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")  # an orphan that nobody waits for stays as a zombie
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def wait_until(done: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
