"""Whatever happens to the cache of compiled code: a right answer, and nothing left broken."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import pytest

from torchrecurrent.engine.cpu import cache

from .processes import in_background, interrupt
from .test_cache import REAL, TWICE, Sandbox, answer, wait_until

pytestmark = [
    pytest.mark.skipif(not REAL, reason="there is no C compiler here"),
    pytest.mark.skipif(sys.platform == "win32", reason="of POSIX's locks and signals"),
]

ONCE_AND_STATE = "print(twice(source)); print('usable:', cache.state()['usable'])"
ALONE = "cannot be kept, so each process compiles its own"


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    sandbox = Sandbox(tmp_path)
    sandbox.enter(monkeypatch)
    return sandbox


def assert_sound(box: Sandbox) -> None:
    """The next process loads what is there, without a compiler and without leftovers."""
    calls = box.calls
    assert box.run() == "42.0\n"
    assert box.calls == calls
    assert {path.suffix for path in box.files()} == {".so", ".json"}


def test_sixteen_processes_on_a_cold_cache(box: Sandbox) -> None:
    processes = [box.start() for _ in range(16)]
    results = [process.communicate(timeout=60) for process in processes]
    assert results == [("42.0\n", "")] * 16
    assert box.calls == 1
    assert_sound(box)


@pytest.mark.parametrize("usable", [True, False])
def test_threads_share_one_build(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch, usable: bool
) -> None:
    if not usable:  # and so without the file lock
        monkeypatch.setenv("TORCHRECURRENT_CACHE_DIR", "/dev/null/cache")
        monkeypatch.setattr(cache, "_warned", True)
    box.write_compiler("sleep 0.2")
    start = threading.Barrier(8)

    def work(_: int) -> float:
        start.wait()
        return answer(cache.load(TWICE))

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(work, range(8))) == [42.0] * 8
    assert box.calls == 1


@pytest.mark.parametrize("end", [subprocess.Popen.kill, interrupt], ids=["SIGKILL", "SIGINT"])
def test_build_killed_half_way(box: Sandbox, end: Callable[[subprocess.Popen[str]], None]) -> None:
    started = box.root / "started"
    box.write_compiler(f"touch {started}; sleep 5")
    with in_background():
        process = box.start()
    wait_until(started.exists)
    assert box.files("*.lock")
    end(process)
    process.communicate(timeout=30)
    assert box.files("*.so") == []
    left = box.files(".torchrecurrent-build-*")
    assert len(left) == (0 if end is interrupt else 1)
    box.write_compiler()
    assert box.run() == "42.0\n"  # without waiting: the lock died with its holder
    for path in left:
        shutil.rmtree(path)
    assert_sound(box)


def test_old_leftovers_are_swept(box: Sandbox) -> None:
    box.folder.mkdir(mode=0o700)
    fresh, stale = (box.folder / f".torchrecurrent-build-{name}" for name in ("new", "old"))
    mine = box.folder / "build-stale"
    for path in (fresh, stale, mine):
        path.mkdir()
        (path / "kernel.c").touch()
    for path in (stale, mine):
        os.utime(path, (time.time() - 4000,) * 2)
    cache.load(TWICE)
    assert [path.exists() for path in (fresh, mine, stale)] == [True, True, False]


def description(library: Path) -> Path:
    return library.with_suffix(".json")


def described_garbage(library: Path) -> None:
    library.write_bytes(b"not a library")
    tell(library, **cache._proof(library, library.stem))


def tell(library: Path, **changes: object) -> None:
    told = {**json.loads(description(library).read_text()), **changes}
    description(library).write_text(json.dumps(told))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda library: library.write_bytes(b""),
    "truncated": lambda library: os.truncate(library, library.stat().st_size // 2),
    "garbage": lambda library: library.write_bytes(os.urandom(library.stat().st_size)),
    "garbage, described as such": described_garbage,
    "writable": lambda library: library.chmod(0o777),
    "gone": lambda library: library.unlink(),
    "no json": lambda library: description(library).unlink(),
    "not json": lambda library: description(library).write_bytes(b'\xff{"size": '),
    "other json": lambda library: description(library).write_text("[1, 2]"),
    "deep json": lambda library: description(library).write_text("[" * 100_000),
    "another's json": lambda library: tell(library, key="0" * 64),
}


def test_damaged_kernel_is_made_again(box: Sandbox) -> None:
    box.run()
    (library,) = box.files("*.so")
    for number, (damage, work) in enumerate(DAMAGES.items(), start=1):
        work(library)
        assert box.run() == "42.0\n", damage
        assert box.calls == number + 1, damage
    assert_sound(box)


@pytest.mark.parametrize("home", ["/proc/none", "/dev/null/home", "a file"])
def test_home_that_cannot_be_written(box: Sandbox, home: str) -> None:
    if home == "a file":
        home = str(box.compiler)
    changes = {"HOME": home, "XDG_CACHE_HOME": "", "TORCHRECURRENT_CACHE_DIR": ""}
    said = box.run("print(twice(source), twice(source + '//'))", **changes)
    assert said.startswith("42.0 42.0\n")
    assert said.count(ALONE) == 1  # one warning for two kernels
    assert list(box.temporary.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="mounts in a namespace of its own")
@pytest.mark.parametrize("options", ["ro", "size=4k", "size=20k", "noexec"])
def test_disk_that_is_read_only_or_full_or_noexec(box: Sandbox, options: str) -> None:
    box.folder.mkdir(mode=0o700)
    mount = f"mount -t tmpfs -o mode=0700,{options} tmpfs {box.folder}"
    around = ("unshare", "--map-root-user", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh")
    if not shutil.which("unshare") or subprocess.call([*around, "true"], stderr=subprocess.DEVNULL):
        pytest.skip("no mount is allowed here")
    said = box.run(ONCE_AND_STATE, *around)
    assert said.startswith("42.0\n")
    assert ALONE in said
    assert ("usable: False" in said) == (options != "noexec")
    assert list(box.temporary.iterdir()) == []


def test_disk_that_is_full_when_the_kernel_is_kept(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(cache, "_publish", Mock(side_effect=full))
    with pytest.warns(UserWarning, match=f"{ALONE}.*No space left"):
        library = cache.load(TWICE)
    assert answer(library) == 42.0
    assert box.calls == 1  # what is compiled is used
    assert box.files() == []


def test_disk_that_is_full_for_the_compiler(box: Sandbox) -> None:
    full = "echo 'error: No space left on device' >&2; exit 1"
    box.write_compiler(f'case "$*" in *{box.folder}*) {full};; esac')
    with pytest.warns(UserWarning, match=f"{ALONE}.*No space left"):
        assert answer(cache.load(TWICE)) == 42.0
    assert box.files() == []


@pytest.mark.parametrize("case", ["another's", "group", "all", "link"])
def test_directory_that_others_can_write(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    box.folder.mkdir(mode=0o700)
    reason = "can be written by other users"
    if case == "another's":
        reason = "owned by another user"
        if owner := os.geteuid():  # what root has is as good as ours
            monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
        else:
            os.chown(box.folder, 12345, -1)
    elif case == "link":  # what counts is what is behind it
        box.folder.rename(box.root / "open")
        box.folder.symlink_to(box.root / "open")
        box.folder.chmod(0o777)
    else:
        box.folder.chmod({"group": 0o770, "all": 0o777}[case])
    with pytest.warns(UserWarning, match=f"{ALONE}.*{reason}"):
        assert answer(cache.load(TWICE)) == 42.0
    assert box.files() == []
    assert cache.state()["usable"] is False
    assert reason in str(cache.state()["reason"])
    with pytest.raises(cache.CacheError, match=reason):
        cache.clear()


def test_lock_that_is_never_let_go(box: Sandbox) -> None:
    box.run()
    (library,) = box.files("*.so")
    library.unlink()
    with library.with_suffix(".lock").open("w") as file:
        import fcntl  # POSIX alone has it

        fcntl.flock(file, fcntl.LOCK_EX)
        start = time.monotonic()
        assert box.run(TORCHRECURRENT_COMPILE_TIMEOUT="1") == "42.0\n"
        assert time.monotonic() - start > 1
    library.with_suffix(".lock").unlink()
    assert_sound(box)


FORK = """
def child(work):
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    return lambda: os.waitpid(pid, 0)

def wait_for(path):
    for _ in range(4000):
        if os.path.exists(path):
            break
        time.sleep(0.01)
"""


def test_forked_child(box: Sandbox) -> None:
    script = """
library = cache.load(source)
def work():
    assert cache.load(source) is library
    print(twice(source), twice(source + "//"), flush=True)
child(work)()
print(twice(source + "//"))
"""
    assert box.run(FORK + script) == "42.0 42.0\n42.0\n"
    assert box.calls == 2


def slow_compiler(box: Sandbox) -> dict[str, str]:
    """One that says when it has started, and goes on when it may."""
    started, go = box.root / "started", box.root / "go"
    box.write_compiler(f"touch {started}; while [ ! -e {go} ]; do sleep 0.02; done")
    # Of Python 3.12 and later: a process with threads that forks is what the tests are about.
    return {"STARTED": str(started), "GO": str(go), "PYTHONWARNINGS": "ignore::DeprecationWarning"}


def test_child_forked_during_a_build(box: Sandbox) -> None:
    script = """
thread = threading.Thread(target=lambda: print(twice(source), flush=True))
thread.start()
wait_for(os.environ["STARTED"])
wait = child(lambda: print(twice(source), flush=True))
open(os.environ["GO"], "w").close()
thread.join()
wait()
"""
    assert box.run(FORK + script, **slow_compiler(box)) == "42.0\n42.0\n"
    assert box.calls == 1
    assert_sound(box)


def test_child_does_not_keep_a_dead_parents_lock(box: Sandbox) -> None:
    script = """
threading.Thread(target=lambda: twice(source), daemon=True).start()
wait_for(os.environ["STARTED"])
child(lambda: wait_for(os.environ["GO"]))
os.kill(os.getpid(), 9)
"""
    changes = slow_compiler(box)
    with box.start(FORK + script, **changes) as process:
        process.wait(timeout=30)
    box.write_compiler()
    assert box.run() == "42.0\n"
    Path(changes["GO"]).touch()
