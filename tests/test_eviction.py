"""The size of the cache: what was not used for longest goes first, nothing that is being read."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from torchrecurrent.engine.cpu import cache, eviction
from torchrecurrent.engine.disk import locks

from .test_cache import REAL, TWICE, Sandbox, answer

pytestmark = pytest.mark.skipif(not REAL, reason="there is no C compiler here")

SOURCES = [TWICE + f"int number{k};" for k in range(4)]


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    sandbox = Sandbox(tmp_path)
    sandbox.enter(monkeypatch)
    return sandbox


def megabytes(box: Sandbox) -> float:
    return sum(path.stat().st_size for path in box.files()) / 1e6


def age(box: Sandbox, seconds: float) -> None:
    """As if all that is there had been used so much earlier."""
    for path in box.files("*.json"):
        os.utime(path, (path.stat().st_mtime - seconds,) * 2)


def fill(box: Sandbox, count: int) -> list[str]:
    """The keys of some kernels, the first of which was used last ``count`` hours ago."""
    keys: list[str] = []
    for source in SOURCES[:count]:
        age(box, 3600)
        cache.load(source)
        (new,) = {path.stem for path in box.files("*.json")} - set(keys)
        keys.append(new)
    return keys


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what this process has loaded, so that the next load is from the directory."""
    monkeypatch.setattr(cache, "_libraries", {})


def test_the_one_not_used_for_longest_goes(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = fill(box, 3)
    forget(monkeypatch)
    assert answer(cache.load(SOURCES[0])) == 42.0  # used again
    monkeypatch.setenv("TORCHRECURRENT_CACHE_SIZE", str(megabytes(box) * 1.1))
    cache.load(SOURCES[3])
    left = {path.stem for path in box.files("*.so")}
    assert len(left) == 3
    assert keys[1] not in left
    assert left == {path.stem for path in box.files("*.json")}
    assert box.calls == 4


def test_the_newest_stays_whatever_the_limit(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(box, 3)
    monkeypatch.setenv("TORCHRECURRENT_CACHE_SIZE", "0.000001")
    assert answer(cache.load(SOURCES[3])) == 42.0
    assert len(box.files()) == 2
    assert answer(cache.load(SOURCES[0])) == 42.0  # loaded, it needs no file


def test_what_another_process_loads_stays(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = fill(box, 2)
    library = box.folder / f"{keys[0]}.so"
    monkeypatch.setenv("TORCHRECURRENT_CACHE_SIZE", "0.000001")
    with locks.reading(library), locks.reading(library):
        eviction.evict(box.folder, "")
        assert [path.stem for path in box.files("*.so")] == [keys[0]]
    eviction.evict(box.folder, "")
    assert box.files() == []


def test_processes_that_push_each_others_kernels_out(box: Sandbox) -> None:
    script = "for k in range(12): print(twice(source + f'int n{k % 4};'))"
    running = [box.start(script, TORCHRECURRENT_CACHE_SIZE="0.000001") for _ in range(6)]
    for process in running:
        assert process.communicate(timeout=100) == ("42.0\n" * 12, "")
    assert {path.suffix for path in box.files()} <= {".so", ".json"}


def test_other_files_are_not_counted_or_removed(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.folder.mkdir(mode=0o700)
    mine = box.folder / "weights.so"
    mine.write_bytes(bytes(1_000_000))
    monkeypatch.setenv("TORCHRECURRENT_CACHE_SIZE", "0.5")
    fill(box, 2)
    assert len(box.files("*.json")) == 2
    assert mine.exists()


@pytest.mark.parametrize("size", ["much", "0", "-1", "nan", "inf"])
def test_a_wrong_size(box: Sandbox, monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    monkeypatch.setenv("TORCHRECURRENT_CACHE_SIZE", size)
    with pytest.warns(UserWarning, match="TORCHRECURRENT_CACHE_SIZE must be a number of MB"):
        assert answer(cache.load(TWICE)) == 42.0
    assert cache.state()["usable"] is False


def test_a_kernel_that_is_loaded_counts_as_used(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(box, 1)
    age(box, 3600)
    forget(monkeypatch)
    cache.load(SOURCES[0])
    (told,) = box.files("*.json")
    assert time.time() - told.stat().st_mtime < 600
