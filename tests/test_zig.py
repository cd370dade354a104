"""The compiler that pip can install: found after all others, and told apart by what it needs."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from torchrecurrent.engine.cpu import cache, calling, compiler, zig
from torchrecurrent.engine.cpu.compiler import Compiler

from .processes import at_terminal
from .test_cache import TWICE, Sandbox, answer

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ziglang") is None, reason="ziglang is not installed"
)


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """Without any other compiler."""
    sandbox = Sandbox(tmp_path)
    sandbox.enter(monkeypatch)
    monkeypatch.setenv("PATH", str(sandbox.temporary))
    monkeypatch.setenv("CC", "")
    monkeypatch.delenv("ZIG_GLOBAL_CACHE_DIR", raising=False)
    return sandbox


def test_it_is_taken_where_there_is_no_other(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = compiler.find_compiler()
    assert found.is_zig
    assert (found.path, *found.arguments) == (sys.executable, "-m", "ziglang", "cc")
    other = tmp_path / "bin" / "clang"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\necho clang 1\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(other.parent))
    assert compiler.find_compiler() == Compiler(str(other), "clang 1")


def test_zig_by_other_names() -> None:
    assert Compiler("/opt/zig/zig", "1", ("cc",)).is_zig
    assert Compiler("/usr/bin/python3", "1", ("-m", "ziglang", "cc")).is_zig
    assert not Compiler("/usr/bin/cc", "1").is_zig
    assert not Compiler("/usr/bin/ccache", "1", ("gcc",)).is_zig


def test_what_it_keeps(box: Sandbox) -> None:
    """Its libraries, once, beside the kernels; nothing for each kernel, and nothing at home."""
    assert answer(cache.load(TWICE)) == 42.0
    support = box.folder / zig.FOLDER
    kept = sorted(support.rglob("*"))
    assert any("compiler_rt" in path.name for path in kept)
    assert int(str(cache.state()["zig"])) == sum(p.stat().st_size for p in kept if p.is_file())
    assert answer(cache.load(TWICE + "int other;")) == 42.0
    assert sorted(support.rglob("*")) == kept
    assert [path for path in box.root.iterdir() if path.name.startswith(".")] == []
    assert list(box.temporary.iterdir()) == []
    assert len(box.files("*.so")) == 2
    assert cache.clear() == 2
    assert box.files() == []


def test_where_nothing_can_be_kept(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHRECURRENT_CACHE_DIR", "/dev/null/cache")
    monkeypatch.setenv("HOME", "/dev/null")
    with pytest.warns(UserWarning, match="each process compiles its own"):
        assert answer(cache.load(TWICE)) == 42.0
    assert list(box.temporary.iterdir()) == []


def test_the_first_call_has_more_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said: list[str] = []
    monkeypatch.setattr(zig, "tell", said.append)
    monkeypatch.delenv("ZIG_GLOBAL_CACHE_DIR", raising=False)
    monkeypatch.delenv("TORCHRECURRENT_COMPILE_TIMEOUT", raising=False)
    variables = zig.environment(tmp_path / "build", tmp_path / "support")
    assert zig.limit(variables) > calling.time_limit()
    assert len(said) == 1
    library = tmp_path / "support" / "o" / "0123" / "libcompiler_rt.a"
    library.parent.mkdir(parents=True)
    library.touch()
    assert zig.limit(variables) == calling.time_limit()
    assert len(said) == 1
    monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", str(tmp_path / "chosen"))
    chosen = zig.environment(tmp_path / "build", tmp_path / "support")
    assert chosen["ZIG_GLOBAL_CACHE_DIR"] == str(tmp_path / "chosen")
    monkeypatch.setenv("TORCHRECURRENT_COMPILE_TIMEOUT", "7")
    assert zig.limit(chosen) == 7


def test_it_says_at_a_terminal_what_it_does(box: Sandbox) -> None:
    only = {"PATH": str(box.temporary), "CC": ""}
    said, printed = at_terminal(box.command(), box.environment(**only))
    assert printed == "42.0\n"
    assert said.splitlines()[0] == f"torchrecurrent: {zig._FIRST} ..."
    assert at_terminal(box.command(), box.environment(**only)) == ("", "42.0\n")
